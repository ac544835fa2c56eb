//! Looks at sockets at the calls that concern them.

use std::os::fd::AsFd;

use super::Tracer;
use crate::calls::Entry;
use crate::rows::Row;
use crate::sample::{self, Depth};
use crate::sink::Layer;

/// Data calls that are followed by a look at the socket: the first so many of each socket, later one per interval.
pub(super) const SAMPLED_CALLS: u32 = 32;
/// See [`SAMPLED_CALLS`].
pub(super) const SAMPLE_INTERVAL_NS: i64 = wallsocket_ring::table::INTERVAL_NS;

impl Tracer {
    pub(super) fn sample_at_entry(
        &mut self,
        entry: &Entry,
        process: u32,
        fd: i32,
        socket: u32,
        call: u64,
    ) {
        let Some(known) = self.registry.sockets.get(&socket) else {
            return;
        };
        match entry.number {
            libc::SYS_close | libc::SYS_dup2 | libc::SYS_dup3 => {
                self.take_sample(process, fd, socket, 0, Some(call), Depth::Everything);
            }
            libc::SYS_shutdown => {
                self.take_sample(process, fd, socket, 0, Some(call), Depth::Queues);
            }
            // The next datagram's length, which a receive may cut.
            libc::SYS_recvfrom | libc::SYS_recvmsg | libc::SYS_read | libc::SYS_readv
                if known.row.kind == libc::SOCK_DGRAM && self.sample_is_due(socket) =>
            {
                self.take_sample(process, fd, socket, 0, Some(call), Depth::Queues);
            }
            _ => {}
        }
    }

    pub(super) fn sample_at_exit(
        &mut self,
        number: i64,
        result: i64,
        process: u32,
        fd: i32,
        socket: u32,
        call: u64,
    ) {
        let depth = match number {
            libc::SYS_connect => {
                // The address asked for is worth keeping even when nobody answers.
                Depth::Everything
            }
            libc::SYS_bind | libc::SYS_listen if result == 0 => Depth::Everything,
            libc::SYS_setsockopt | libc::SYS_shutdown if result == 0 => Depth::Queues,
            libc::SYS_getsockopt => Depth::Addresses,
            libc::SYS_accept | libc::SYS_accept4 => Depth::Queues,
            libc::SYS_read
            | libc::SYS_write
            | libc::SYS_readv
            | libc::SYS_writev
            | libc::SYS_sendto
            | libc::SYS_recvfrom
            | libc::SYS_sendmsg
            | libc::SYS_recvmsg
            | libc::SYS_sendmmsg
            | libc::SYS_recvmmsg
            | libc::SYS_sendfile
            | libc::SYS_splice
                if self.sample_is_due(socket)
                    || (result < 0 && result != -i64::from(libc::EAGAIN)) =>
            {
                let incomplete = self.registry.sockets.get(&socket).is_some_and(|known| {
                    known.row.local.is_none() || (known.is_stream() && known.row.remote.is_none())
                });
                if incomplete {
                    Depth::Addresses
                } else {
                    Depth::Queues
                }
            }
            _ => return,
        };
        self.take_sample(process, fd, socket, 1, Some(call), depth);
    }

    fn sample_is_due(&self, socket: u32) -> bool {
        self.registry.sockets.get(&socket).is_some_and(|known| {
            known.samples < SAMPLED_CALLS || self.now() - known.sampled_ns >= SAMPLE_INTERVAL_NS
        })
    }

    /// What the preloaded library noted of a socket beside a call of it.
    pub(super) fn noted_sample(&mut self, socket: u32, call: u64, moment: u8, piece: &[u8]) {
        let Some(known) = self.registry.sockets.get_mut(&socket) else {
            return;
        };
        let Some((mut state, monotonic_ns)) = sample::noted(piece) else {
            return;
        };
        state.socket = socket;
        state.at_ns = self.clock.at(monotonic_ns);
        state.moment = moment;
        state.call = Some(call);
        known.samples += 1;
        known.sampled_ns = known.sampled_ns.max(state.at_ns);
        self.sink.send(&Row::State(state));
    }

    /// Sockets could not be looked at: a gap in what the kernel says, if it is more than this one.
    pub(super) fn lost_sight(&self, error: &std::io::Error) {
        if self.settings.samples
            && let Some(reason) = sample::refusal(error)
        {
            self.sink.gap(self.now(), Layer::Kernel, &reason);
        }
    }

    /// Looks at a socket and sends what it is. `moment`: 0 entry, 1 exit.
    pub(super) fn take_sample(
        &mut self,
        process: u32,
        fd: i32,
        socket: u32,
        moment: u8,
        call: Option<u64>,
        depth: Depth,
    ) {
        let Some(pidfd) = self
            .processes
            .get(&process)
            .and_then(|process| process.pidfd.as_ref())
        else {
            return;
        };
        let Some(known) = self.registry.sockets.get_mut(&socket) else {
            return;
        };
        let copy = match sample::duplicate(pidfd, fd) {
            Ok(copy) => copy,
            Err(error) => return self.lost_sight(&error),
        };
        let mut state = sample::look(copy.as_fd(), known.row.family, known.row.kind, depth);
        drop(copy);
        state.socket = socket;
        state.at_ns = self.clock.now();
        state.moment = moment;
        state.call = call;
        known.samples += 1;
        known.sampled_ns = state.at_ns;
        if depth != Depth::Queues
            && (state.local != known.row.local || state.remote != known.row.remote)
        {
            // An address that can no longer be asked (the peer is gone) is not forgotten.
            if state.local.is_some() {
                known.row.local.clone_from(&state.local);
            }
            if state.remote.is_some() {
                known.row.remote.clone_from(&state.remote);
            }
            self.ports.add(known.row.local.as_ref());
            self.ports.add(known.row.remote.as_ref());
            self.sink.send(&Row::Socket(known.row.clone()));
        }
        self.sink.send(&Row::State(state));
    }
}
