//! A followed call from its beginning to its end.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use nix::unistd::Pid;
use serde_bytes::ByteBuf;
use wallsocket_ring::{Head, Record};

use super::{Next, Pending, Tracer};
use crate::calls::{self, Entry, Moved};
use crate::descriptors::{self, SharedTable};
use crate::facts::Failure;
use crate::interrupted;
use crate::lines::Site;
use crate::memory::{Memory, Recorded};
use crate::rows::{self, Row};
use crate::syscalls::{self, Subject};
use crate::unread;

/// Socket numbers in the form of the column `sockets`.
pub(super) fn packed(sockets: impl Iterator<Item = u32>) -> Option<ByteBuf> {
    let bytes: Vec<u8> = sockets.flat_map(u32::to_le_bytes).collect();
    (!bytes.is_empty()).then(|| ByteBuf::from(bytes))
}

/// How a call is seen that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Its thread stands there: its socket and its stack can be looked at.
    Stopped,
    /// The preloaded library recorded it.
    Recorded,
    /// The same, and its record is passed on as it is.
    ForLater,
}

impl Tracer {
    pub(super) fn at_entry(
        &mut self,
        tid: i32,
        began: i64,
        entry: &Entry,
        stack_pointer: u64,
    ) -> Next {
        if !self.recording {
            return Next::Run;
        }
        let Some(thread) = self.threads.get_mut(&tid) else {
            return Next::Run;
        };
        // Does an interrupted call go on?
        if let Some(top) = thread.interrupted.last() {
            let restarted = entry.number == libc::SYS_restart_syscall
                || (*entry == top.entry && stack_pointer == top.stack_pointer);
            if restarted {
                thread.pending = thread.interrupted.pop();
                self.alter_again(tid);
                return Next::ToExit;
            }
            // The stack was unwound past it, or its descriptor is closed: it ended with EINTR.
            let closed = (entry.number == libc::SYS_close).then_some(entry.arguments[0] as i32);
            while let Some(mut over) = thread.interrupted.pop_if(|top| {
                stack_pointer >= top.stack_pointer || (closed.is_some() && top.call.fd == closed)
            }) {
                over.call.result = Some(-i64::from(libc::EINTR));
                over.call.took_ns = over
                    .stopped_ns
                    .map(|stopped| (stopped - over.call.entry_ns).max(0));
                self.sink.send(&Row::Call(over.call));
            }
        }
        if entry.number == libc::SYS_restart_syscall {
            // Of a call that is not followed.
            return Next::Run;
        }
        if let Some(next) = self.follow(tid, entry) {
            return next;
        }
        let memory = Pid::from_raw(tid);
        let Some(pending) =
            self.begin_call(tid, entry, stack_pointer, began, &memory, Seen::Stopped)
        else {
            return Next::Run;
        };
        let process = pending.call.process;
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.pending = Some(pending);
        }
        self.meet_library(tid, process);
        if self.policy.is_some() {
            self.alter_call(tid);
        }
        Next::ToExit
    }

    /// Looks at a call at its beginning. `None`: it concerns no socket.
    pub(super) fn begin_call(
        &mut self,
        tid: i32,
        entry: &Entry,
        stack_pointer: u64,
        began: i64,
        memory: &impl Memory,
        seen: Seen,
    ) -> Option<Pending> {
        let stopped = seen == Seen::Stopped;
        let thread = self.threads.get(&tid)?;
        let id = thread.process;
        let table = Rc::clone(&thread.table);
        let number = entry.number as u64;
        let subject = syscalls::subject(number)?;
        let first = entry.arguments[0] as i32;
        let (fd, socket, watch) = match subject {
            Subject::New | Subject::Unfollowed => {
                if entry.number == libc::SYS_io_uring_setup {
                    self.saw_io_uring(id, tid);
                    return None;
                }
                (None, None, Vec::new())
            }
            Subject::Socket => {
                let socket = Self::socket_of(&table, first)
                    .or_else(|| self.unknown_descriptor(id, &table, first));
                (Some(first), socket, Vec::new())
            }
            Subject::Any => {
                if let Some((fd, socket)) = Self::subject_of(entry, &table) {
                    if stopped && self.has_another_meaning(tid, fd, socket, &table) {
                        return None;
                    }
                    if stopped && entry.number == libc::SYS_close {
                        table.borrow_mut().begin_close(fd);
                    }
                    (Some(fd), Some(socket), Vec::new())
                } else if stopped && self.is_closed(id, entry, &table) {
                    (Some(first), None, Vec::new())
                } else {
                    return None;
                }
            }
            Subject::Set => Self::set_of(memory, entry, &table)?,
        };
        self.last_call += 1;
        let mut call = rows::Call {
            id: self.last_call,
            process: id,
            tid,
            number: number as u32,
            entry_ns: began,
            fd,
            socket,
            ..rows::Call::default()
        };
        if !watch.is_empty() {
            // As they are now: another thread may close one before the call returns.
            let table = table.borrow();
            let sockets = watch
                .iter()
                .map(|(fd, _)| table.sockets.get(fd).map_or(0, |found| found.socket));
            call.sockets = packed(sockets);
        }
        if seen != Seen::ForLater {
            calls::begin(memory, entry, &watch, &mut call);
        }
        if stopped {
            self.find_line(tid, id, socket, &mut call);
        }
        if self.settings.samples
            && stopped
            && let (Some(fd), Some(socket)) = (fd, socket)
        {
            self.sample_at_entry(entry, id, fd, socket, call.id);
        }
        Some(Pending {
            call,
            entry: *entry,
            stack_pointer,
            watch,
            unread: seen == Seen::ForLater,
            reported: false,
            changed: None,
            stopped_ns: None,
        })
    }

    pub(super) fn at_exit(&mut self, tid: i32, began: i64, result: i64) {
        let trapped = self.trapped(tid, result);
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let Some(mut pending) = thread.pending.take() else {
            return;
        };
        if trapped {
            // How it goes on is between the program and its filter.
            pending.call.took_ns = None;
            self.sink.send(&Row::Call(pending.call));
            return;
        }
        if interrupted::restarts(result) {
            pending.stopped_ns = Some(began);
            thread.interrupted.push(pending);
            return;
        }
        if thread.in_doubt {
            pending.call.took_ns = Some((began - pending.call.entry_ns).max(0));
            thread.interrupted.push(pending);
            return;
        }
        let result = self.alter_result(tid, &pending.call, result);
        self.finish_call(tid, pending, began, result, &Pid::from_raw(tid), true);
    }

    /// A call has ended; `memory` is the program's as the call left it. `stopped`: its thread stands there, and its socket can be
    /// looked at.
    pub(super) fn finish_call(
        &mut self,
        tid: i32,
        mut pending: Pending,
        ended: i64,
        result: i64,
        memory: &impl Memory,
        stopped: bool,
    ) {
        let Some(thread) = self.threads.get(&tid) else {
            return;
        };
        let (id, table) = (thread.process, Rc::clone(&thread.table));
        let call = &mut pending.call;
        call.took_ns = Some((ended - call.entry_ns).max(0));
        call.result = Some(result);
        let moved = calls::finish(
            memory,
            &pending.entry,
            result,
            self.settings.payload,
            &pending.watch,
            call,
        );
        self.place_in_stream(moved, call);
        let number = pending.entry.number;
        self.sockets_of_events(&table, &pending.entry, result, &mut pending.call);
        if let Some(fact) = unread::said(memory, &pending.entry, &pending.call) {
            self.sink.send(&Row::Fact(fact));
        }
        self.descriptors_after(id, &table, &pending.entry, result, &mut pending.call);
        if self.settings.samples {
            self.learn_peer(number, result, &pending.call);
        }
        let call = pending.call;
        let (call_id, fd, socket) = (call.id, call.fd, call.socket);
        let failed = (-4095..0).contains(&result);
        let pending_error = (number == libc::SYS_getsockopt
            && call.a == Some(i64::from(libc::SOL_SOCKET))
            && call.b == Some(i64::from(libc::SO_ERROR)))
        .then(|| {
            call.value
                .as_ref()
                .and_then(|value| value.get(..4))
                .map(|v| i32::from_ne_bytes([v[0], v[1], v[2], v[3]]))
        })
        .flatten();
        let asked = call.address.clone();
        if matches!(
            number,
            libc::SYS_connect | libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_recvfrom
        ) {
            self.ports.add(asked.as_ref());
        }
        self.control.calls.fetch_add(1, Ordering::Relaxed);
        self.sink.send(&Row::Call(call));
        if !stopped {
            return;
        }
        if let (Some(fd), Some(socket)) = (fd, socket) {
            if self.settings.samples {
                self.sample_at_exit(number, result, id, fd, socket, call_id);
            }
            self.leave_to_library(&table, fd, socket);
        }
        let error = if failed {
            (-result) as i32
        } else {
            pending_error.unwrap_or(0)
        };
        if error != 0 {
            let known = socket.and_then(|socket| self.registry.sockets.get(&socket));
            let remote = known.and_then(|known| known.row.remote.clone());
            let family = known.map_or(libc::AF_UNSPEC, |known| known.row.family);
            let network = known
                .and_then(|known| known.row.network)
                .or_else(|| self.networks.of_thread(tid));
            let failure = Failure {
                call: call_id,
                number,
                errno: error,
                address: asked.or(remote),
                pid: self.processes.get(&id).map_or(0, |process| process.row.pid),
                process: id,
                tid,
                socket,
                family,
                network,
            };
            self.facts.after(self.clock.now(), &failure);
        }
    }

    /// A call has ended whose record is read later; gives the record's bytes back.
    pub(super) fn finish_unread(
        &mut self,
        tid: i32,
        mut pending: Pending,
        ended: i64,
        head: &Head,
        record: Vec<u8>,
    ) -> Vec<u8> {
        let Some(thread) = self.threads.get(&tid) else {
            return record;
        };
        let (entry, call) = (&pending.entry, &mut pending.call);
        call.took_ns = Some((ended - call.entry_ns).max(0));
        call.result = Some(head.result);
        if let Some(record) = Record::parse(&record, false) {
            let memory = Recorded {
                first: record.at_exit(),
                then: record.at_entry(),
            };
            let events = calls::returned_events(&memory, entry, head.result);
            call.sockets = Self::sockets_of_returned(&thread.table, entry, &events);
        }
        self.place_in_stream(calls::moved(entry, head.result), call);
        self.control.calls.fetch_add(1, Ordering::Relaxed);
        let row = rows::Unread {
            call: pending.call,
            payload: self.settings.payload,
            record: ByteBuf::from(record),
        };
        let row = Row::Unread(row);
        self.sink.send(&row);
        let Row::Unread(row) = row else {
            return Vec::new();
        };
        row.record.into_vec()
    }

    /// Says where in its stream a call has moved bytes.
    fn place_in_stream(&mut self, moved: Moved, call: &mut rows::Call) {
        if moved != Moved::No
            && let Some(known) = call
                .socket
                .and_then(|socket| self.registry.sockets.get_mut(&socket))
            && known.is_stream()
            && known.whole
        {
            match moved {
                Moved::Sent(bytes) => {
                    call.offset = Some(known.sent as i64);
                    known.sent += bytes;
                }
                Moved::Received(bytes) => {
                    call.offset = Some(known.received as i64);
                    known.received += bytes;
                }
                Moved::No => {}
            }
        }
    }

    /// The sockets of the events that a wait on an epoll set has returned.
    fn sockets_of_returned(table: &SharedTable, entry: &Entry, events: &[u8]) -> Option<ByteBuf> {
        let table = table.borrow();
        let set = table.epolls.get(&(entry.arguments[0] as i32))?.borrow();
        packed(calls::returned_data(events).map(|data| set.socket(data)))
    }

    /// Names the socket of each event that an epoll set returned, and of each descriptor that a message took along.
    fn sockets_of_events(
        &self,
        shared: &SharedTable,
        entry: &Entry,
        result: i64,
        call: &mut rows::Call,
    ) {
        let table = shared.borrow();
        let fd = entry.arguments[0] as i32;
        match entry.number {
            libc::SYS_epoll_ctl if result == 0 => {
                let watched = entry.arguments[2] as i32;
                let data = call
                    .value
                    .as_ref()
                    .and_then(|value| value.as_slice().try_into().ok())
                    .map(u64::from_ne_bytes);
                if let Some(set) = table.epolls.get(&fd)
                    && let Some(found) = table.sockets.get(&watched)
                {
                    let mut set = set.borrow_mut();
                    match (entry.arguments[1] as i32, data) {
                        (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, Some(data)) => {
                            let lives = |socket: u32| self.registry.sockets.contains_key(&socket);
                            set.watch(watched, found.socket, data, lives);
                        }
                        _ => set.forget(watched, found.socket),
                    }
                }
            }
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => {
                drop(table);
                if let Some(value) = &call.value {
                    call.sockets = Self::sockets_of_returned(shared, entry, value);
                }
            }
            libc::SYS_sendmsg if result >= 0 => {
                if let Some(control) = &call.value {
                    let passed = calls::passed_descriptors(control);
                    call.sockets = packed(
                        passed
                            .iter()
                            .map(|fd| table.sockets.get(fd).map_or(0, |found| found.socket)),
                    );
                }
            }
            _ => {}
        }
    }

    pub(super) fn saw_io_uring(&mut self, id: u32, tid: i32) {
        if let Some(process) = self.processes.get_mut(&id)
            && !process.io_uring_seen
        {
            process.io_uring_seen = true;
            self.mark(
                Some(id),
                Some(tid),
                "io_uring",
                "the program uses io_uring: operations that it submits there are not seen (--deny-io-uring makes programs fall back)",
            );
        }
    }

    pub(super) fn socket_of(table: &SharedTable, fd: i32) -> Option<u32> {
        table.borrow().sockets.get(&fd).map(|entry| entry.socket)
    }

    /// A socket call on a descriptor that we have not seen become a socket.
    fn unknown_descriptor(&mut self, process: u32, table: &SharedTable, fd: i32) -> Option<u32> {
        let pid = self.processes.get(&process)?.row.pid;
        let inode = descriptors::inode_of(pid, fd)?;
        Some(self.found_socket(process, table, fd, inode, "seen", None))
    }

    /// Whether a call reads or writes by a number that named a socket until it was closed, and names nothing now.
    fn is_closed(&self, process: u32, entry: &Entry, table: &SharedTable) -> bool {
        let number = entry.arguments[0] as i32;
        matches!(
            entry.number,
            libc::SYS_read | libc::SYS_write | libc::SYS_readv | libc::SYS_writev
        ) && table.borrow_mut().is_closed(number, || {
            self.processes.get(&process).is_none_or(|process| {
                let link = format!("/proc/{}/fd/{number}", process.row.pid);
                std::fs::symlink_metadata(link).is_ok()
            })
        })
    }

    /// Whether a number that another thread is closing names something else than its socket already.
    fn has_another_meaning(&self, tid: i32, fd: i32, socket: u32, table: &SharedTable) -> bool {
        table.borrow().is_closing(fd)
            && self
                .registry
                .sockets
                .get(&socket)
                .is_none_or(|known| descriptors::inode_of(tid, fd) != known.row.inode)
    }

    /// The socket that a call on any descriptor concerns.
    fn subject_of(entry: &Entry, table: &SharedTable) -> Option<(i32, u32)> {
        let [first, second, third, ..] = entry.arguments.map(|argument| argument as i32);
        let candidates: &[i32] = match entry.number {
            libc::SYS_sendfile => &[first],
            libc::SYS_splice => &[third, first],
            // dup2 onto a socket closes it, whatever the source is.
            libc::SYS_dup2 | libc::SYS_dup3 => &[first, second],
            _ => &[first],
        };
        let mut table = table.borrow_mut();
        if entry.number == libc::SYS_close {
            table.forget_epoll(first);
        }
        candidates
            .iter()
            .find_map(|fd| table.sockets.get(fd).map(|found| (*fd, found.socket)))
    }

    /// The sockets that a call on many descriptors concerns: descriptor, socket when it is one, and the poll set.
    #[allow(clippy::type_complexity, reason = "used once")]
    fn set_of(
        memory: &impl Memory,
        entry: &Entry,
        table: &SharedTable,
    ) -> Option<(Option<i32>, Option<u32>, Vec<(i32, u16)>)> {
        let [first, _, third, ..] = entry.arguments.map(|argument| argument as i32);
        match entry.number {
            libc::SYS_poll | libc::SYS_ppoll | libc::SYS_select | libc::SYS_pselect6 => {
                let watched = calls::watched(memory, entry);
                let table = table.borrow();
                let sockets: Vec<(i32, u16)> = watched
                    .iter()
                    .copied()
                    .filter(|(fd, _)| table.sockets.contains_key(fd))
                    .collect();
                if sockets.is_empty() {
                    return None;
                }
                let single = (sockets.len() == 1)
                    .then(|| table.sockets.get(&sockets[0].0).map(|e| e.socket))
                    .flatten();
                let fd = (sockets.len() == 1).then_some(sockets[0].0);
                Some((
                    fd,
                    single,
                    if matches!(entry.number, libc::SYS_poll | libc::SYS_ppoll) {
                        watched
                    } else {
                        sockets
                    },
                ))
            }
            libc::SYS_epoll_ctl => {
                let socket = table.borrow().sockets.get(&third).map(|found| found.socket);
                socket?;
                table.borrow_mut().watch_with(first);
                Some((Some(first), socket, Vec::new()))
            }
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => table
                .borrow()
                .epolls
                .contains_key(&first)
                .then(|| (Some(first), None, Vec::new())),
            libc::SYS_close_range => {
                let (low, high) = (entry.arguments[0] as u32, entry.arguments[1] as u32);
                let any = table
                    .borrow()
                    .sockets
                    .keys()
                    .any(|fd| (low..=high).contains(&(*fd as u32)));
                any.then_some((Some(first), None, Vec::new()))
            }
            _ => None,
        }
    }

    fn find_line(&mut self, tid: i32, process: u32, socket: Option<u32>, call: &mut rows::Call) {
        let Some(pid) = self.processes.get(&process).map(|process| process.row.pid) else {
            return;
        };
        let new = !self.lines.has_looked_at(pid);
        let mut reason = None;
        let site = self
            .lines
            .at(&self.sink, pid, tid, |text| reason = Some(text));
        if let Some(reason) = reason {
            self.mark(
                Some(process),
                Some(tid),
                "lines",
                format!("lines unknown: {reason}"),
            );
        }
        if new
            && let Some(language) = self.lines.language(pid)
            && let Some(process) = self.processes.get_mut(&process)
        {
            process.row.language = Some(language);
            self.sink.send(&Row::Process(process.row.clone()));
        }
        self.teach_library(tid, process);
        self.attribute(site, socket, call);
    }

    /// Notes where a call was made.
    pub(super) fn attribute(&mut self, site: Site, socket: Option<u32>, call: &mut rows::Call) {
        if let Site::Native(stack) = site {
            // Of what other kind it may be the recorder finds.
            (call.source, call.known, call.stack) = (Some(stack.source), 1, Some(stack.id));
            return;
        }
        let creator = socket
            .and_then(|socket| self.registry.sockets.get(&socket))
            .and_then(|known| known.row.source);
        (call.source, call.known) = match (site, creator) {
            (Site::Direct(line), _) => (Some(self.lines.source(&self.sink, line)), 1),
            (Site::Library(_) | Site::Loop, Some(creator)) => (Some(creator), 2),
            (Site::Library(line), None) => (Some(self.lines.source(&self.sink, line)), 4),
            (Site::Loop | Site::Native(_) | Site::Unknown, _) => (None, 0),
        };
    }
}
