//! What calls do to descriptors, and the sockets behind them.

use std::os::fd::AsFd;

use super::Tracer;
use super::following::packed;
use crate::calls::{self, Entry};
use crate::descriptors::{self, SharedTable};
use crate::networks::OWN;
use crate::rows::{self, Row};
use crate::sample::{self, Depth};

impl Tracer {
    /// Updates descriptors and sockets after a call.
    pub(super) fn descriptors_after(
        &mut self,
        id: u32,
        table: &SharedTable,
        entry: &Entry,
        result: i64,
        call: &mut rows::Call,
    ) {
        let [first, second, third, ..] = entry.arguments.map(|argument| argument as i32);
        match entry.number {
            libc::SYS_socket if result >= 0 => {
                let made = self.made_socket(id, table, result as i32, "socket", call, None);
                call.made = Some(made);
            }
            libc::SYS_socketpair if result == 0 => {
                let pair: Option<(i32, i32)> = call.value.as_ref().and_then(|value| {
                    Some((
                        i32::from_ne_bytes(value.get(..4)?.try_into().ok()?),
                        i32::from_ne_bytes(value.get(4..8)?.try_into().ok()?),
                    ))
                });
                if let Some((one, other)) = pair {
                    let first = self.made_socket(id, table, one, "socketpair", call, None);
                    self.made_socket(id, table, other, "socketpair", call, Some(first));
                    call.made = Some(first);
                }
            }
            libc::SYS_accept | libc::SYS_accept4 if result >= 0 => {
                let made = self.made_socket(id, table, result as i32, "accept", call, call.socket);
                call.made = Some(made);
            }
            libc::SYS_pidfd_getfd if result >= 0 => {
                let pid = self.processes.get(&id).map_or(0, |process| process.row.pid);
                if let Some(inode) = descriptors::inode_of(pid, result as i32) {
                    call.made = Some(self.found_socket(
                        id,
                        table,
                        result as i32,
                        inode,
                        "pidfd",
                        Some(call.id),
                    ));
                }
            }
            libc::SYS_recvmsg if result >= 0 => {
                let Some(control) = &call.value else { return };
                let passed = calls::passed_descriptors(control);
                let pid = self.processes.get(&id).map_or(0, |process| process.row.pid);
                let mut sockets = Vec::with_capacity(passed.len());
                for fd in passed {
                    sockets.push(descriptors::inode_of(pid, fd).map_or(0, |inode| {
                        self.found_socket(id, table, fd, inode, "received", Some(call.id))
                    }));
                }
                call.sockets = packed(sockets.into_iter());
            }
            // Linux frees the number even when close reports an error (close(2)).
            // Meanwhile the number may have become that of another socket.
            libc::SYS_close if Self::socket_of(table, first) == call.socket => {
                self.drop_descriptor(table, first);
            }
            libc::SYS_dup if result >= 0 => self.duplicated(id, table, first, result as i32, false),
            libc::SYS_dup2 | libc::SYS_dup3 if result >= 0 && first != second => {
                self.drop_descriptor(table, second);
                let cloexec = entry.number == libc::SYS_dup3 && third & libc::O_CLOEXEC != 0;
                self.duplicated(id, table, first, second, cloexec);
            }
            libc::SYS_fcntl if result >= 0 => match second {
                libc::F_DUPFD => self.duplicated(id, table, first, result as i32, false),
                libc::F_DUPFD_CLOEXEC => self.duplicated(id, table, first, result as i32, true),
                libc::F_SETFD => {
                    self.set_close_on_exec(table, first, third & libc::FD_CLOEXEC != 0);
                }
                _ => {}
            },
            libc::SYS_ioctl if result >= 0 => match entry.arguments[1] {
                libc::FIOCLEX => self.set_close_on_exec(table, first, true),
                libc::FIONCLEX => self.set_close_on_exec(table, first, false),
                _ => {}
            },
            libc::SYS_close_range if result == 0 => {
                let (low, high, flags) = (first as u32, second as u32, third as u32);
                let numbers: Vec<i32> = table
                    .borrow()
                    .sockets
                    .keys()
                    .copied()
                    .filter(|fd| (low..=high).contains(&(*fd as u32)))
                    .collect();
                for number in numbers {
                    if flags & libc::CLOSE_RANGE_CLOEXEC != 0 {
                        self.set_close_on_exec(table, number, true);
                    } else {
                        self.drop_descriptor(table, number);
                    }
                }
            }
            _ => {}
        }
    }

    fn set_close_on_exec(&mut self, table: &SharedTable, number: i32, on: bool) {
        if let Some(entry) = table.borrow_mut().sockets.get_mut(&number)
            && entry.row.cloexec != Some(on)
        {
            entry.row.cloexec = Some(on);
            self.sink.send(&Row::Descriptor(entry.row.clone()));
        }
    }

    /// A new descriptor for a known socket.
    fn name_socket(
        &mut self,
        process: u32,
        table: &SharedTable,
        number: i32,
        socket: u32,
        origin: &str,
        cloexec: Option<bool>,
    ) {
        // A number that we believe open was closed unseen.
        if table.borrow().sockets.contains_key(&number) {
            self.drop_descriptor(table, number);
        }
        let row = rows::Descriptor {
            id: self.registry.next_descriptor(),
            process,
            number,
            socket,
            origin: origin.into(),
            opened_ns: self.now(),
            closed_ns: None,
            cloexec,
        };
        let mut kind = 0;
        if let Some(known) = self.registry.sockets.get_mut(&socket) {
            known.references += 1;
            kind = known.kind();
        }
        self.sink.send(&Row::Descriptor(row.clone()));
        let entry = descriptors::Entry {
            socket,
            row,
            unwatched: !self.settings.samples,
            kind,
        };
        table.borrow_mut().insert(number, entry);
    }

    fn duplicated(&mut self, process: u32, table: &SharedTable, from: i32, to: i32, cloexec: bool) {
        if let Some(socket) = Self::socket_of(table, from) {
            self.name_socket(process, table, to, socket, "dup", Some(cloexec));
        }
    }

    /// A socket that a call has just made.
    fn made_socket(
        &mut self,
        process: u32,
        table: &SharedTable,
        number: i32,
        origin: &str,
        call: &rows::Call,
        parent: Option<u32>,
    ) -> u32 {
        let pid = self
            .processes
            .get(&process)
            .map_or(0, |process| process.row.pid);
        let inode = descriptors::inode_of(pid, number);
        let (family, kind_bits, protocol) = match (
            origin,
            parent.and_then(|parent| self.registry.sockets.get(&parent)),
        ) {
            ("accept", Some(listener)) => (
                listener.row.family,
                listener.row.kind,
                listener.row.protocol,
            ),
            _ => (
                call.a.unwrap_or(-1) as i32,
                call.b.unwrap_or(-1) as i32,
                call.c.unwrap_or(0) as i32,
            ),
        };
        let cloexec = match origin {
            "accept" => call.a.unwrap_or(0) as i32 & libc::SOCK_CLOEXEC != 0,
            _ => kind_bits & libc::SOCK_CLOEXEC != 0,
        };
        let kind = if kind_bits < 0 {
            -1
        } else {
            kind_bits & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)
        };
        let depth = if origin == "accept" {
            Depth::Everything
        } else {
            Depth::Queues
        };
        let socket = self.registry.add(rows::Socket {
            process,
            family,
            kind,
            protocol,
            inode,
            origin: origin.into(),
            call: Some(call.id),
            parent,
            created_ns: call.entry_ns + call.took_ns.unwrap_or(0),
            source: call.source,
            ..rows::Socket::default()
        });
        let maker = (origin != "accept").then_some(call.tid);
        self.introduce(process, number, socket, depth, Some(call.id), maker);
        self.meet_network(socket, call.tid);
        self.name_socket(process, table, number, socket, "call", Some(cloexec));
        socket
    }

    /// A socket that we meet under a descriptor without having seen it made; or a known one under a new number.
    pub(super) fn found_socket(
        &mut self,
        process: u32,
        table: &SharedTable,
        number: i32,
        inode: u64,
        origin: &str,
        call: Option<u64>,
    ) -> u32 {
        let pid = self
            .processes
            .get(&process)
            .map_or(0, |process| process.row.pid);
        let cloexec = descriptors::is_close_on_exec(pid, number);
        let revived = |tracer: &mut Self| {
            if !tracer.registry.has_departed(inode) {
                return None;
            }
            let pidfd = tracer.processes.get(&process)?.pidfd.as_ref()?;
            let cookie = sample::identify(sample::duplicate(pidfd, number).ok()?.as_fd()).cookie;
            let socket = tracer.registry.revive(inode, cookie)?;
            if let Some(known) = tracer.registry.sockets.get(&socket) {
                tracer.sink.send(&Row::Socket(known.row.clone()));
            }
            Some(socket)
        };
        let socket = if let Some(known) = self.registry.by_inode(inode).or_else(|| revived(self)) {
            known
        } else {
            let socket = self.registry.add(rows::Socket {
                process,
                family: -1,
                kind: -1,
                protocol: -1,
                inode: Some(inode),
                origin: origin.into(),
                call,
                created_ns: self.now(),
                ..rows::Socket::default()
            });
            self.introduce(process, number, socket, Depth::Everything, call, None);
            self.meet_network(socket, pid);
            socket
        };
        self.name_socket(process, table, number, socket, origin, cloexec);
        socket
    }

    /// Asks a new socket who it is, and sends its row and first state. `maker`: the thread that has just made it.
    fn introduce(
        &mut self,
        process: u32,
        number: i32,
        socket: u32,
        depth: Depth,
        call: Option<u64>,
        maker: Option<i32>,
    ) {
        let pidfd = self
            .processes
            .get(&process)
            .and_then(|process| process.pidfd.as_ref());
        let Some(known) = self.registry.sockets.get_mut(&socket) else {
            return;
        };
        let copy = pidfd.map(|pidfd| sample::duplicate(pidfd, number));
        if let Some(Err(error)) = &copy {
            return self.lost_sight(error);
        }
        if let Some(Ok(copy)) = copy {
            let identity = sample::identify(copy.as_fd());
            known.row.cookie = identity.cookie;
            known.row.family = identity.family.unwrap_or(known.row.family);
            known.row.kind = identity.kind.unwrap_or(known.row.kind);
            known.row.protocol = identity.protocol.unwrap_or(known.row.protocol);
            known.row.network = self.networks.of_socket(identity.network, maker);
            if maker.is_some()
                && let Some(process) = self.processes.get_mut(&process)
                && process.row.network != known.row.network
            {
                // It entered another namespace in the meantime.
                process.row.network = known.row.network;
                self.sink.send(&Row::Process(process.row.clone()));
            }
            let inet = matches!(known.row.family, libc::AF_INET | libc::AF_INET6);
            if let Some(cookie) = identity.cookie
                && inet
                && self.settings.samples
            {
                let network = known.row.network.unwrap_or(OWN);
                self.watched.add(cookie, socket, network);
            }
            if self.settings.samples || depth == Depth::Everything {
                let mut state = sample::look(copy.as_fd(), known.row.family, known.row.kind, depth);
                state.socket = socket;
                state.at_ns = self.clock.now();
                state.moment = if call.is_some() { 1 } else { 2 };
                state.call = call;
                if depth != Depth::Queues {
                    known.row.local.clone_from(&state.local);
                    known.row.remote.clone_from(&state.remote);
                    self.ports.add(known.row.local.as_ref());
                    self.ports.add(known.row.remote.as_ref());
                }
                self.sink.send(&Row::Socket(known.row.clone()));
                self.sink.send(&Row::State(state));
                return;
            }
        }
        self.sink.send(&Row::Socket(known.row.clone()));
    }

    /// Whom a Unix socket talks with, once that is decided.
    pub(super) fn learn_peer(&mut self, number: i64, result: i64, call: &rows::Call) {
        let socket = match number {
            libc::SYS_connect if result == 0 => call.socket,
            libc::SYS_accept | libc::SYS_accept4 | libc::SYS_socketpair => call.made,
            _ => None,
        };
        let Some(socket) = socket else { return };
        let Some(row) = self.registry.sockets.get(&socket).map(|known| &known.row) else {
            return;
        };
        if row.family != libc::AF_UNIX {
            return;
        }
        if number == libc::SYS_socketpair {
            // The other end was made by the same call, right after this one.
            let inode = row.inode;
            let Some(other) = self.registry.sockets.get(&(socket + 1)) else {
                return;
            };
            let ends = [(socket, other.row.inode), (socket + 1, inode)];
            for (end, peer) in ends {
                self.set_peer(end, peer.and_then(|peer| u32::try_from(peer).ok()), None);
            }
            return;
        }
        let Some((network, inode)) = row.network.zip(row.inode) else {
            return;
        };
        let pid = self
            .processes
            .get(&call.process)
            .and_then(|process| process.pidfd.as_ref())
            .zip(match number {
                libc::SYS_connect => call.fd,
                _ => i32::try_from(result).ok(),
            })
            .and_then(|(pidfd, fd)| sample::duplicate(pidfd, fd).ok())
            .and_then(|copy| sample::peer_process(copy.as_fd()));
        let peer = u32::try_from(inode)
            .ok()
            .and_then(|inode| self.facts.unix_peer(network, call.tid, inode));
        self.set_peer(socket, peer, pid);
    }

    fn set_peer(&mut self, socket: u32, inode: Option<u32>, pid: Option<i32>) {
        if let Some(known) = self.registry.sockets.get_mut(&socket)
            && (inode.is_some() || pid.is_some())
        {
            known.row.peer_inode = inode;
            known.row.peer_pid = pid;
            self.sink.send(&Row::Socket(known.row.clone()));
        }
    }

    /// The first facts of the namespace that a new socket is in.
    fn meet_network(&mut self, socket: u32, tid: i32) {
        if self.settings.samples
            && let Some(known) = self.registry.sockets.get(&socket)
            && let Some(network) = known.row.network
        {
            let family = known.row.family;
            self.facts.begin(network, tid);
            if matches!(family, libc::AF_INET | libc::AF_INET6 | libc::AF_PACKET) {
                self.facts.meet(self.clock.now(), network, tid);
                self.places.open(network, tid);
            }
        }
    }

    /// A descriptor was closed; with the last one the socket has no owner among the followed processes.
    pub(super) fn drop_descriptor(&mut self, table: &SharedTable, number: i32) {
        let Some(mut entry) = table.borrow_mut().remove(number) else {
            return;
        };
        let now = self.now();
        entry.row.closed_ns = Some(now);
        if self.recording {
            self.sink.send(&Row::Descriptor(entry.row));
        }
        let Some(known) = self.registry.sockets.get_mut(&entry.socket) else {
            return;
        };
        known.references = known.references.saturating_sub(1);
        if known.references == 0
            && let Some(mut known) = self.registry.remove(entry.socket)
        {
            known.row.ended_ns = Some(now);
            if self.recording {
                self.sink.send(&Row::Socket(known.row.clone()));
            }
            self.registry.depart(known);
        }
    }
}
