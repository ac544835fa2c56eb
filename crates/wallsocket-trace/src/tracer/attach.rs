//! Attaching to running programs, and leaving them as they were.
//!
//! No filter is installed: every system call stops. The tracer may end at any moment: the kernel then lets the threads
//! run on, because there is no `PTRACE_O_EXITKILL`.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::json;
use wallsocket_sys::ptrace::{self, CallStop, Event, arguments_in};

use super::following::Seen;
use super::{Stop, Thread, Tracer};
use crate::calls::Entry;
use crate::descriptors::{self, SharedTable, Table};
use crate::interrupted::{self, Interrupted, Sleeping};
use crate::rows::{self, Row};

/// How long the threads of a program stand still for one that does not stop: it waits for a disk, or for a child that vfork
/// made.
const STANDSTILL: Duration = Duration::from_millis(500);
/// How long to wait for threads that do not stop to be let go.
const PATIENCE: Duration = Duration::from_secs(1);

/// A process whose threads are seized, and run.
#[derive(Debug)]
pub struct Seized {
    /// Its id.
    pub pid: i32,
    /// Its threads; those that they make later are seized by the kernel.
    pub threads: Vec<i32>,
}

/// Seizes every thread of a process. Nothing of it is stopped or changed, so to give up here leaves no trace.
pub fn seize(pid: i32) -> io::Result<Seized> {
    let mut seized = Seized {
        pid,
        threads: Vec::new(),
    };
    let mut refused = io::Error::from_raw_os_error(libc::ESRCH);
    loop {
        let mut complete = true;
        for tid in threads_of(pid)? {
            if seized.threads.contains(&tid) {
                continue;
            }
            match ptrace::seize(tid, ptrace::ATTACH_OPTIONS) {
                Ok(()) => {
                    seized.threads.push(tid);
                    complete = false;
                }
                // Ended meanwhile; made meanwhile by a thread that is ours already; or the dead first thread of others.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(_) if is_ours_or_dead(tid) => {}
                Err(error) if seized.threads.is_empty() => refused = error,
                Err(error) => return Err(error),
            }
        }
        if complete {
            break;
        }
    }
    if seized.threads.is_empty() {
        return Err(refused);
    }
    Ok(seized)
}

fn threads_of(pid: i32) -> io::Result<Vec<i32>> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/task"))?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

fn is_ours_or_dead(tid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let own = format!("TracerPid:\t{}", std::process::id());
    text.is_empty()
        || text.lines().any(|line| {
            line == own || line.starts_with("State:\tZ") || line.starts_with("State:\tX")
        })
}

impl Tracer {
    /// Follows processes that are seized: stops all their threads, looks at what is open, and lets them run on.
    pub fn take_over(&mut self, seized: &[Seized]) {
        self.attached = true;
        let mut sleeping = Sleeping::default();
        for found in seized {
            self.admit(found, &mut sleeping);
        }
        let stopped = self.stop_all();
        let mut ids: Vec<u32> = self.processes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.take_stock(id);
        }
        for stop in stopped {
            self.handle(stop);
        }
    }

    /// More processes may be named at any time: having none is not the end.
    pub fn expect_more(&mut self) {
        self.expects_more = true;
    }

    /// Attaches to one more process, while others run.
    pub(super) fn follow_as_well(&mut self, pid: i32, network: &str) {
        let seized = match seize(pid) {
            Ok(seized) => seized,
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                self.mark(None, Some(pid), "not attached", number.to_string());
                return;
            }
        };
        let Some(id) = self.admit(&seized, &mut Sleeping::default()) else {
            return;
        };
        if let Some(place) = self
            .processes
            .get(&id)
            .and_then(|process| process.row.network)
            && !network.is_empty()
        {
            self.networks.set_name(place, network);
        }
        let mut stopped = Vec::new();
        for tid in &seized.threads {
            let _ = ptrace::interrupt(*tid);
        }
        let deadline = Instant::now() + STANDSTILL;
        for tid in seized.threads {
            while Instant::now() < deadline {
                match ptrace::wait(tid, true) {
                    Ok(Some((tid, event))) => {
                        stopped.push(self.reported(tid, event));
                        break;
                    }
                    Ok(None) => std::thread::sleep(Duration::from_micros(200)),
                    Err(_) => break,
                }
            }
        }
        self.take_stock(id);
        for stop in stopped {
            self.handle(stop);
        }
    }

    /// Takes a process that is seized, and whose threads run.
    fn admit(&mut self, found: &Seized, sleeping: &mut Sleeping) -> Option<u32> {
        let table = Rc::new(RefCell::new(Table::default()));
        let first = found.threads.first()?;
        let id = self.new_process(found.pid, None, Rc::clone(&table), *first);
        for tid in &found.threads {
            let mut thread = Thread::new(id, Rc::clone(&table));
            thread.slept = sleeping.in_call(found.pid, *tid);
            thread.fresh = true;
            self.threads.insert(*tid, thread);
        }
        if let Some(process) = self.processes.get_mut(&id) {
            process.threads = found.threads.iter().copied().collect();
            process.every_call = true;
            process.refuses_filters = true;
            process.row.command = super::processes::arguments_of(found.pid);
            process.row.executable = super::processes::executable_of(found.pid);
            self.sink.send(&Row::Process(process.row.clone()));
        }
        if self.main_pid == 0 {
            self.main_pid = found.pid;
        }
        Some(id)
    }

    /// Stops every thread, and gives the stops, which are still to be handled.
    fn stop_all(&mut self) -> Vec<Stop> {
        let mut running: HashSet<i32> = self.threads.keys().copied().collect();
        for tid in &running {
            let _ = ptrace::interrupt(*tid);
        }
        let mut stopped = Vec::new();
        let deadline = Instant::now() + STANDSTILL;
        while !running.is_empty() && Instant::now() < deadline {
            // The control thread interrupts the wait now and then.
            match ptrace::wait(-1, false) {
                Ok(Some((tid, event))) => {
                    running.remove(&tid);
                    let stop = self.reported(tid, event);
                    match event {
                        Event::Exited(_) | Event::Killed(_) => self.handle(stop),
                        _ => stopped.push(stop),
                    }
                }
                Ok(None) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(_) => break,
            }
        }
        for tid in running.iter().filter(|tid| self.threads.contains_key(tid)) {
            let process = self.threads.get(tid).map(|thread| thread.process);
            self.mark(
                process,
                Some(*tid),
                "blind",
                "the thread does not stop: it is seen from its next system call on",
            );
        }
        stopped
    }

    /// Records what a process has open that concerns sockets; its threads are stopped.
    fn take_stock(&mut self, id: u32) {
        let Some(pid) = self.processes.get(&id).map(|process| process.row.pid) else {
            return;
        };
        let Some(table) = self
            .threads
            .values()
            .find(|thread| thread.process == id)
            .map(|thread| Rc::clone(&thread.table))
        else {
            return;
        };
        for (fd, inode) in descriptors::all_of(pid) {
            self.found_socket(id, &table, fd, inode, "attached", None);
        }
        if self
            .processes
            .get(&id)
            .is_some_and(|process| !process.threads.contains(&pid))
        {
            self.mark(
                Some(id),
                None,
                "blind",
                "the program's first thread has ended: which sockets its descriptors are cannot be asked",
            );
        }
        let count = table.borrow().sockets.len();
        let mut epolls = Vec::new();
        for (fd, kind) in descriptors::anonymous(pid) {
            if kind == "[io_uring]" {
                self.saw_io_uring(id, pid);
            } else if kind == "[eventpoll]" {
                let watches: Vec<_> = descriptors::epoll_watches(pid, fd)
                    .into_iter()
                    .filter(|watch| table.borrow().sockets.contains_key(&watch.fd))
                    .collect();
                if !watches.is_empty() {
                    let mut set = descriptors::Epoll::default();
                    for watch in &watches {
                        if let Some(socket) = Self::socket_of(&table, watch.fd) {
                            set.watch(watch.fd, socket, watch.data, |_| true);
                        }
                    }
                    table
                        .borrow_mut()
                        .epolls
                        .insert(fd, Rc::new(RefCell::new(set)));
                    let watches: Vec<_> = watches
                        .iter()
                        .map(|watch| json!({"fd": watch.fd, "events": watch.events}))
                        .collect();
                    epolls.push(json!({"fd": fd, "watches": watches}));
                }
            }
        }
        let threads: Vec<i32> = self
            .processes
            .get(&id)
            .map(|process| process.threads.iter().copied().collect())
            .unwrap_or_default();
        let networks = self.networks_of(&threads, &table);
        self.sink.send(&Row::Fact(rows::Fact {
            at_ns: self.now(),
            call: None,
            kind: "attached".into(),
            value:
                json!({"process": id, "threads": threads, "networks": networks, "epolls": epolls})
                    .to_string(),
            occasion: Some("attached".into()),
            process: Some(id),
            ..rows::Fact::default()
        }));
        self.mark(
            Some(id),
            None,
            "attached",
            format!("{count} descriptors of sockets were open; what happened before is unknown"),
        );
    }

    /// The network namespaces in which threads are, and the sockets of a table.
    fn networks_of(&self, threads: &[i32], table: &SharedTable) -> BTreeSet<u32> {
        let sockets = table.borrow();
        let of_sockets = sockets
            .sockets
            .values()
            .filter_map(|entry| self.registry.sockets.get(&entry.socket)?.row.network);
        threads
            .iter()
            .filter_map(|tid| self.networks.of_thread(*tid))
            .chain(of_sockets)
            .collect()
    }

    /// The first stop of an attached thread, if nothing else happened to it: the call that was interrupted goes on.
    pub(super) fn met(&mut self, tid: i32) {
        let now = self.now();
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        if !std::mem::take(&mut thread.fresh) {
            return;
        }
        thread.entered_ns = now;
        if let Some(slept) = thread.slept.take()
            && slept.until_stopped(tid)
        {
            thread.entered_ns -= slept.waited_ns;
        }
        let Ok(Some(interrupted)) = thread.resume_call(tid, now) else {
            return;
        };
        let mut entry = entry_of(&interrupted);
        let again = entry;
        entry.arguments[3] = interrupted.fourth;
        if entry.number == libc::SYS_restart_syscall {
            // It was interrupted before, too: what it was is not known here any more.
            return;
        }
        if let Some(mut pending) = self.begin_call(
            tid,
            &entry,
            interrupted.registers.rsp,
            now,
            &Pid::from_raw(tid),
            Seen::Stopped,
        ) {
            pending.entry = again;
            let process = Some(pending.call.process);
            let text = format!("call {} had begun before", pending.call.id);
            self.mark(process, Some(tid), "attached", text);
            if let Some(thread) = self.threads.get_mut(&tid) {
                thread.interrupted.push(pending);
            }
        }
    }

    /// Begins to leave: every thread is asked to stop once more, and let go at its next stop.
    pub(super) fn begin_leaving(&mut self) {
        self.leaving = Some(Instant::now() + PATIENCE);
        for tid in self.early.drain() {
            let _ = ptrace::detach(tid, 0);
        }
        for tid in self.threads.keys() {
            // Such a call would be asked about anew. It stops at its end, or the kernel lets it go when this process ends.
            if !waits_for_supervisor(*tid) {
                let _ = ptrace::interrupt(*tid);
            }
        }
    }

    /// Lets a thread go at a stop, whatever it is, with the call that it was in intact.
    pub(super) fn leave(&mut self, tid: i32, event: Event) {
        let now = self.now();
        let signal = match event {
            Event::Exited(code) => return self.ended(tid, Some(code), None),
            Event::Killed(signal) => return self.ended(tid, None, Some(signal)),
            Event::Signal(signal) => signal,
            Event::Syscall => {
                match ptrace::call_stop(tid) {
                    Ok(CallStop::Entry { number, .. }) => {
                        // The stop that we asked for is taken by this one, but the kernel will still interrupt the call
                        // (kernel/signal.c: ptrace_stop clears the request, not TIF_SIGPENDING). So it is seen to its end.
                        self.call_begins(tid, now, number);
                        let _ = ptrace::interrupt(tid);
                        let _ = ptrace::resume_to_syscall(tid, 0);
                        return;
                    }
                    Ok(CallStop::Exit(result)) if self.call_returned(tid, result) => {
                        // Perhaps because we asked it to stop: that is mended at its next one.
                        let _ = ptrace::resume(tid, 0);
                        return;
                    }
                    _ => 0,
                }
            }
            Event::Event(libc::PTRACE_EVENT_STOP, libc::SIGTRAP) => {
                if let Some(thread) = self.threads.get_mut(&tid) {
                    let _ = thread.resume_call(tid, now);
                }
                0
            }
            Event::Event(..) => 0,
        };
        let _ = ptrace::detach(tid, signal);
    }

    /// The stop after a call that returned EINTR: it begins again, or the program sees that, and so does the recording.
    pub(super) fn decide(&mut self, tid: i32) {
        let now = self.now();
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        if !std::mem::take(&mut thread.in_doubt) {
            return;
        }
        let resumed = thread.resume_call(tid, now);
        let Some(mut pending) = thread
            .interrupted
            .pop_if(|pending| pending.call.took_ns.is_some())
        else {
            return;
        };
        if let Ok(Some(interrupted)) = resumed {
            pending.call.took_ns = None;
            pending.entry = entry_of(&interrupted);
            thread.interrupted.push(pending);
        } else {
            pending.call.result = Some(-i64::from(libc::EINTR));
            self.control.calls.fetch_add(1, Ordering::Relaxed);
            self.sink.send(&Row::Call(pending.call));
        }
    }
}

impl Thread {
    /// See [`interrupted::resume`].
    pub(super) fn resume_call(&mut self, tid: i32, now: i64) -> io::Result<Option<Interrupted>> {
        let waited_ns = (now - self.entered_ns).max(0);
        let found = interrupted::resume(tid, waited_ns, now, &mut self.shortened);
        self.resumed |= matches!(found, Ok(Some(_)));
        found
    }
}

/// Whether the thread's call waits for the answer of a seccomp supervisor (kernel/seccomp.c), as `/proc/PID/wchan` has it.
fn waits_for_supervisor(tid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{tid}/wchan"))
        .is_ok_and(|function| function.starts_with("seccomp_do_user_notification"))
}

fn entry_of(interrupted: &Interrupted) -> Entry {
    let registers = &interrupted.registers;
    Entry {
        number: interrupted.number,
        arguments: arguments_in(registers),
    }
}
