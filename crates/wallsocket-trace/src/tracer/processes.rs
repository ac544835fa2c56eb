//! Processes and threads: how they come into being, run another program, and end.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nix::unistd::Pid;
use wallsocket_sys::descriptor;
use wallsocket_sys::ptrace::{self, Event};

use super::{Next, Process, Stop, Thread, Tracer};
use crate::descriptors::{self, SharedTable, Table};
use crate::lines::Site;
use crate::memory::Memory;
use crate::rows::{self, End, Row};
use crate::sample::Depth;

impl Tracer {
    pub(super) fn new_process(
        &mut self,
        pid: i32,
        parent: Option<u32>,
        table: SharedTable,
        tid: i32,
    ) -> u32 {
        self.last_process += 1;
        let id = self.last_process;
        let (mut command, mut executable, mut language, mut filters) =
            (None, None, None, (false, false, false, false, false));
        let network = self.networks.of_thread(tid);
        if let Some(parent) = parent.and_then(|parent| self.processes.get(&parent)) {
            command.clone_from(&parent.row.command);
            executable.clone_from(&parent.row.executable);
            language.clone_from(&parent.row.language);
            filters = (
                parent.follows_sockets,
                parent.follows_streams,
                parent.every_call,
                parent.refuses_filters,
                parent.own_filters,
            );
        }
        let pidfd = descriptor::pidfd_open(pid);
        if let Err(error) = &pidfd {
            self.lost_sight(error);
        }
        let process = Process {
            row: rows::Process {
                id,
                pid,
                parent,
                command,
                executable,
                language,
                started_ns: self.now(),
                ended_ns: None,
                exit_code: None,
                signal: None,
                network,
                source: None,
            },
            pidfd: pidfd.ok(),
            threads: HashSet::from([tid]),
            follows_sockets: filters.0,
            follows_streams: filters.1,
            every_call: filters.2,
            refuses_filters: filters.3,
            own_filters: filters.4,
            io_uring_seen: false,
            preload: super::preload::Preload::default(),
            status: None,
        };
        self.sink.send(&Row::Process(process.row.clone()));
        self.processes.insert(id, process);
        self.by_pid.insert(pid, id);
        self.threads.insert(tid, Thread::new(id, table));
        id
    }

    pub(super) fn forked(&mut self, stop: &Stop) {
        let Stop { tid, event, .. } = *stop;
        let Some(message) = stop.message else {
            return;
        };
        let child = message as i32;
        self.near.born(tid, child);
        let Some((parent_process, parent_table)) = self
            .threads
            .get(&tid)
            .map(|thread| (thread.process, Rc::clone(&thread.table)))
        else {
            return;
        };
        let vfork = matches!(event, Event::Event(libc::PTRACE_EVENT_VFORK, _));
        // A plain fork has none that matter here, unless it is made by clone with flags.
        let flags = if vfork {
            libc::CLONE_VM as u64
        } else if self.settings.preload
            || matches!(event, Event::Event(libc::PTRACE_EVENT_CLONE, _))
        {
            clone_flags(tid)
        } else {
            0
        };
        if flags & libc::CLONE_THREAD as u64 != 0 {
            if let Some(process) = self.processes.get_mut(&parent_process) {
                process.threads.insert(child);
            }
            let table = if flags & libc::CLONE_FILES as u64 != 0 {
                parent_table
            } else {
                Rc::new(RefCell::new(Table::default()))
            };
            self.threads
                .insert(child, Thread::new(parent_process, table));
        } else if flags & libc::CLONE_FILES as u64 != 0 {
            self.new_process(child, Some(parent_process), parent_table, child);
        } else {
            let table = Rc::new(RefCell::new(Table::default()));
            let id = self.new_process(child, Some(parent_process), Rc::clone(&table), child);
            self.copy_table(id, &parent_table, &table);
            if self.recording && !table.borrow().sockets.is_empty() {
                self.note_origin(id, parent_process, tid);
            }
        }
        if flags & (libc::CLONE_VM | libc::CLONE_THREAD) as u64 == libc::CLONE_VM as u64
            && let Some(id) = self.by_pid.get(&child).copied()
        {
            self.lend_memory(parent_process, id, vfork);
        }
        let altered = self.put_back(tid);
        if altered.is_some()
            && let Some(thread) = self.threads.get_mut(&child)
        {
            // It has copies of its parent's registers, and perhaps of its memory.
            thread.altered = altered;
        }
        if self.early.remove(&child) {
            self.put_back(child);
            self.go(child, Next::Run, 0);
        }
    }

    /// Notes the line that made a process which has inherited sockets.
    fn note_origin(&mut self, process: u32, parent: u32, tid: i32) {
        let Some(pid) = self.processes.get(&parent).map(|parent| parent.row.pid) else {
            return;
        };
        let source = match self.lines.at(&self.sink, pid, tid, |_| ()) {
            Site::Direct(line) | Site::Library(line) => self.lines.source(&self.sink, line),
            Site::Native(stack) => stack.source,
            Site::Loop | Site::Unknown => return,
        };
        if let Some(process) = self.processes.get_mut(&process) {
            process.row.source = Some(source);
            self.sink.send(&Row::Process(process.row.clone()));
        }
    }

    fn copy_table(&mut self, process: u32, from: &SharedTable, to: &SharedTable) {
        let from = from.borrow();
        let mut to = to.borrow_mut();
        to.epolls.clone_from(&from.epolls);
        for (number, entry) in &from.sockets {
            let mut row = entry.row.clone();
            row.id = self.registry.next_descriptor();
            row.process = process;
            row.origin = "fork".into();
            row.opened_ns = self.now();
            row.closed_ns = None;
            if self.recording {
                self.sink.send(&Row::Descriptor(row.clone()));
            }
            if let Some(known) = self.registry.sockets.get_mut(&entry.socket) {
                known.references += 1;
            }
            to.insert(
                *number,
                descriptors::Entry {
                    socket: entry.socket,
                    row,
                    unwatched: !self.settings.samples,
                    kind: entry.kind,
                },
            );
        }
    }

    pub(super) fn executed(&mut self, stop: &Stop) {
        let tid = stop.tid;
        // exec from a thread: that thread takes the leader's id, the others are gone.
        let former = stop.message.map_or(tid, |message| message as i32);
        self.near.renamed(former, tid);
        let Some(id) = self
            .by_pid
            .get(&tid)
            .copied()
            .or_else(|| self.threads.get(&former).map(|t| t.process))
        else {
            return;
        };
        let table = self
            .threads
            .get(&former)
            .map(|thread| Rc::clone(&thread.table));
        let others: Vec<i32> = self
            .processes
            .get(&id)
            .map(|p| p.threads.iter().copied().collect())
            .unwrap_or_default();
        for other in others {
            self.threads.remove(&other);
            if other != tid {
                self.near.gone(other);
            }
        }
        self.tell_way(id);
        // exec gives the process a table of its own.
        let own = Rc::new(RefCell::new(Table::default()));
        if let Some(table) = table {
            if Rc::strong_count(&table) > 1 {
                self.copy_table(id, &table, &own);
            } else {
                *own.borrow_mut() = table.take();
            }
        }
        let pid = tid;
        let gone: Vec<i32> = own
            .borrow()
            .sockets
            .iter()
            .filter(|(number, entry)| {
                let inode = self
                    .registry
                    .sockets
                    .get(&entry.socket)
                    .and_then(|known| known.row.inode);
                descriptors::inode_of(pid, **number) != inode
            })
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            self.drop_descriptor(&own, number);
        }
        own.borrow_mut().mirror(None);
        self.forget_library(id);
        own.borrow_mut()
            .epolls
            .retain(|fd, _| std::fs::metadata(format!("/proc/{pid}/fd/{fd}")).is_ok());
        let first = self
            .processes
            .get(&id)
            .is_some_and(|process| process.row.command.is_none());
        self.threads.insert(tid, Thread::new(id, Rc::clone(&own)));
        self.lines.forget(pid);
        let executable = executable_of(pid);
        let command = arguments_of(pid);
        if let Some(process) = self.processes.get_mut(&id) {
            process.threads = HashSet::from([tid]);
            process.row.command.clone_from(&command);
            process.row.executable.clone_from(&executable);
            process.row.language = None;
            process.row.network = self.networks.of_thread(tid).or(process.row.network);
            self.sink.send(&Row::Process(process.row.clone()));
        }
        if !self.recording {
            return;
        }
        self.mark(Some(id), Some(tid), "exec", command.unwrap_or_default());
        if is_32_bit(pid) {
            self.mark(
                Some(id),
                Some(tid),
                "32-bit",
                format!(
                    "{} is a 32-bit program: its calls are not seen",
                    executable.unwrap_or_default()
                ),
            );
        }
        if first {
            for (fd, inode) in descriptors::all_of(pid) {
                self.found_socket(id, &own, fd, inode, "inherited", None);
            }
            if !own.borrow().sockets.is_empty() {
                self.follow_sockets_soon(id);
            }
        }
    }

    pub(super) fn exiting(&mut self, stop: &Stop) {
        let tid = stop.tid;
        self.finish_dying(tid);
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let (id, table) = (thread.process, Rc::clone(&thread.table));
        let stopped = thread.pending.take().or_else(|| thread.interrupted.pop());
        for mut pending in stopped.into_iter().chain(thread.recorded.take()) {
            // It never returns: result and duration stay unknown.
            if self.recording && !pending.reported {
                pending.call.took_ns = None;
                self.sink.send(&Row::Call(pending.call));
            }
        }
        self.return_ring(tid);
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        if let Some(status) = stop.message {
            process.status = Some(status as i32);
        }
        if process.threads.len() > 1 {
            return;
        }
        if self.recording {
            self.facts.leave(process.row.network, tid);
        }
        if self.recording && self.settings.samples {
            // The descriptors are still open at this stop.
            let open: Vec<(i32, u32)> = table
                .borrow()
                .sockets
                .iter()
                .map(|(number, entry)| (*number, entry.socket))
                .collect();
            for (number, socket) in open {
                self.take_sample(id, number, socket, 0, None, Depth::Addresses);
            }
        }
        // The kernel closes them right after this stop, before it reports the end: a peer may see that, and act, first.
        // Held by the thread and by this function.
        self.drop_all(&table, 2);
    }

    /// The process that holds this table ends: its descriptors are closed, unless more than `holders` share them.
    fn drop_all(&mut self, table: &SharedTable, holders: usize) {
        if Rc::strong_count(table) <= holders {
            let numbers: Vec<i32> = table.borrow().sockets.keys().copied().collect();
            for number in numbers {
                self.drop_descriptor(table, number);
            }
        }
    }

    pub(super) fn ended(&mut self, tid: i32, code: Option<i32>, signal: Option<i32>) {
        self.early.remove(&tid);
        self.return_ring(tid);
        let Some(thread) = self.threads.remove(&tid) else {
            return;
        };
        self.near.gone(tid);
        let Some(process) = self.processes.get_mut(&thread.process) else {
            return;
        };
        process.threads.remove(&tid);
        // The first thread is reported last, after every other of its process; one that had ended before we attached, never.
        if tid != process.row.pid && !process.threads.is_empty() {
            return;
        }
        let pid = process.row.pid;
        let id = thread.process;
        process.row.ended_ns = Some(self.clock.now());
        process.row.exit_code = code;
        process.row.signal = signal;
        let row = process.row.clone();
        if self.recording {
            self.sink.send(&Row::Process(row));
        }
        self.tell_way(id);
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let rest: Vec<i32> = process.threads.drain().collect();
        for other in rest {
            self.threads.remove(&other);
            self.near.gone(other);
        }
        self.processes.remove(&id);
        self.by_pid.remove(&pid);
        self.lines.forget(pid);
        self.drop_all(&thread.table, 1);
        if pid == self.main_pid {
            let status = code.unwrap_or_else(|| 128 + signal.unwrap_or(0));
            self.control.main_ended.store(status + 1, Ordering::Relaxed);
            self.sink.send(&Row::End(End::Main {
                status,
                left: self.processes.len() as u32,
            }));
        }
    }
}

/// The flags that a clone was called with, at its event stop.
fn clone_flags(tid: i32) -> u64 {
    let Ok(registers) = ptrace::registers(tid) else {
        return 0;
    };
    match registers.orig_rax as i64 {
        // struct clone_args begins with the flags (clone(2)).
        libc::SYS_clone3 => Pid::from_raw(tid).long(registers.rdi).unwrap_or(0),
        libc::SYS_clone => registers.rdi,
        _ => 0,
    }
}

/// Path of the program file.
pub(super) fn executable_of(pid: i32) -> Option<String> {
    std::fs::read_link(format!("/proc/{pid}/exe"))
        .ok()
        .map(|path| path.display().to_string())
}

/// The argument vector as a JSON array.
pub(super) fn arguments_of(pid: i32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    let arguments: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    serde_json::to_string(&arguments).ok()
}

/// Whether the program is a 32-bit ELF file: byte 4 of the file is its class (elf(5)).
fn is_32_bit(pid: i32) -> bool {
    use std::io::Read;
    let mut head = [0; 5];
    std::fs::File::open(format!("/proc/{pid}/exe"))
        .and_then(|mut file| file.read_exact(&mut head))
        .is_ok()
        && head == [0x7F, b'E', b'L', b'F', 1]
}
