//! The tracing loop: follows every thread of a program and its descendants, stop by stop, and sends rows.
//!
//! A thread stops at the entry of a followed call (the seccomp filter's doing), is looked at, and is let run to the
//! call's exit only when the call concerns a socket. Everything here runs in one thread, because ptrace obeys only the
//! thread that attached; therefore, while it holds one target in a stop, no other target can get past a `close`.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Instant;

use nix::unistd::Pid;
use serde_bytes::ByteBuf;
use wallsocket_sys::descriptor;
use wallsocket_sys::ptrace::{self, CallStop, Event};

use crate::calls::{self, Entry, Moved};
use crate::capture::Ports;
use crate::clock::Clock;
use crate::descriptors::{self, Registry, SharedTable, Table};
use crate::facts::{Facts, Failure};
use crate::filter;
use crate::interrupted::{self, Shortened, Slept};
use crate::lines::{Lines, Site};
use crate::rows::{self, End, Row};
use crate::sample::{self, Depth};
use crate::sampler::Watched;
use crate::sink::Sink;
use crate::syscalls::{self, Subject};

mod attach;

pub use attach::{Seized, seize};

/// Data calls that are followed by a look at the socket: the first so many of each socket, later one per interval.
const SAMPLED_CALLS: u32 = 32;
/// See [`SAMPLED_CALLS`].
const SAMPLE_INTERVAL_NS: i64 = 5_000_000;
/// A call that has not returned after this time is recorded as it stands.
const UNFINISHED_NS: i64 = 100_000_000;

/// The architecture whose numbers [`syscalls`] has (linux/audit.h).
const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;

/// What to record.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Payload bytes to keep of each call.
    pub payload: usize,
    /// Look at sockets at calls.
    pub samples: bool,
    /// Read source lines.
    pub lines: bool,
    /// `io_uring_setup` fails with ENOSYS.
    pub deny_io_uring: bool,
}

/// What other threads may ask of the loop.
#[derive(Debug, Default)]
pub struct Control {
    /// Stop recording; targets run on, and those that were attached to are let go.
    pub unrecord: AtomicBool,
    /// The loop must look at its flags, or at long-running calls.
    pub attention: AtomicBool,
    /// Process id of the first process, 0 before it runs.
    pub main_pid: AtomicI32,
    /// Stops that the targets made at system calls.
    pub stops: AtomicU64,
    /// Calls recorded.
    pub calls: AtomicU64,
    /// Nanoseconds that the loop spent on the stops of calls.
    pub busy_ns: AtomicU64,
    /// Nanoseconds that two stops, of a call's beginning and end, cost by themselves, measured before the start.
    pub switch_ns: AtomicU64,
}

impl Control {
    /// Sends the figures about the run itself.
    pub fn send_totals(&self, sink: &Sink) {
        let stops = self.stops.load(Ordering::Relaxed);
        let added_ns = self.busy_ns.load(Ordering::Relaxed)
            + stops * self.switch_ns.load(Ordering::Relaxed) / 2;
        // Stops at calls that are not recorded delay the program as well: the recorded ones bear them.
        let per_call_ns = added_ns
            .checked_div(self.calls.load(Ordering::Relaxed))
            .unwrap_or(0);
        for (key, value) in [
            ("stops", stops),
            ("lost", sink.lost()),
            ("added_ns_per_call", per_call_ns),
        ] {
            sink.send(&Row::Meta(rows::Meta {
                key: key.into(),
                value: value.to_string(),
            }));
        }
    }
}

/// A call between its entry and its exit.
#[derive(Debug)]
struct Pending {
    call: rows::Call,
    entry: Entry,
    stack_pointer: u64,
    watch: Vec<(i32, u16)>,
    reported: bool,
}

#[derive(Debug)]
struct Thread {
    process: u32,
    table: SharedTable,
    pending: Option<Pending>,
    /// Calls that a signal interrupted; they go on when the same call is seen again.
    interrupted: Vec<Pending>,
    /// Between the stops at the beginning and the end of a call.
    in_call: bool,
    /// When its latest call began.
    entered_ns: i64,
    /// Which call that is or was.
    number: i64,
    /// That call returned EINTR; at the next stop it is seen whether the program is to know.
    in_doubt: bool,
    /// It was attached to and has not stopped yet.
    fresh: bool,
    /// Where it slept just before it was asked to stop.
    slept: Option<Slept>,
    /// The call that it was interrupted in begins again.
    resumed: bool,
    /// That call's time limit, as the program gave it.
    shortened: Option<Shortened>,
}

impl Thread {
    fn new(process: u32, table: SharedTable) -> Self {
        Self {
            process,
            table,
            pending: None,
            interrupted: Vec::new(),
            in_call: false,
            entered_ns: 0,
            number: -1,
            in_doubt: false,
            fresh: false,
            slept: None,
            resumed: false,
            shortened: None,
        }
    }
}

struct Process {
    row: rows::Process,
    pidfd: Option<OwnedFd>,
    threads: HashSet<i32>,
    /// The filter for sockets is installed.
    follows_sockets: bool,
    /// The filter for descriptors 0–2 is installed.
    follows_streams: bool,
    /// Without a filter of ours: every call stops.
    every_call: bool,
    /// It shall have none: it was attached to, or has one of its own that forbids ours.
    refuses_filters: bool,
    io_uring_seen: bool,
    /// Exit status word as PTRACE_EVENT_EXIT gave it.
    status: Option<i32>,
}

/// The loop's state.
pub struct Tracer {
    settings: Settings,
    sink: Sink,
    clock: Clock,
    control: Arc<Control>,
    watched: Arc<Watched>,
    ports: Arc<Ports>,
    lines: Lines,
    facts: Facts,
    threads: HashMap<i32, Thread>,
    processes: HashMap<u32, Process>,
    by_pid: HashMap<i32, u32>,
    registry: Registry,
    /// New threads that stopped before their parent's event told of them.
    early: HashSet<i32>,
    /// Ends of threads that were seen while something was injected into them.
    postponed: Vec<(i32, Event)>,
    last_process: u32,
    last_call: u64,
    main_pid: i32,
    recorder_pid: i32,
    recording: bool,
    /// The processes ran before us, and run on after us.
    attached: bool,
    /// We are letting them go, until this moment.
    leaving: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Run on; stop at followed calls.
    Run,
    /// Stop at the exit of this call.
    ToExit,
    /// The call was held back and begins again.
    Again,
}

impl Tracer {
    /// A loop that sends to `sink`. `recorder_pid` is stopped and continued together with the first process (job control).
    pub fn new(
        settings: Settings,
        sink: Sink,
        clock: Clock,
        control: Arc<Control>,
        watched: Arc<Watched>,
        ports: Arc<Ports>,
        facts: Facts,
        recorder_pid: i32,
    ) -> Self {
        Self {
            lines: Lines::new(settings.lines),
            settings,
            sink,
            clock,
            control,
            watched,
            ports,
            facts,
            threads: HashMap::new(),
            processes: HashMap::new(),
            by_pid: HashMap::new(),
            registry: Registry::default(),
            early: HashSet::new(),
            postponed: Vec::new(),
            last_process: 0,
            last_call: 0,
            main_pid: 0,
            recorder_pid,
            recording: true,
            attached: false,
            leaving: None,
        }
    }

    /// Takes the first process, which is seized already and has not run its program yet.
    pub fn adopt(&mut self, pid: i32) {
        self.main_pid = pid;
        self.control.main_pid.store(pid, Ordering::Relaxed);
        self.new_process(pid, None, Rc::new(RefCell::new(Table::default())), pid);
    }

    fn now(&self) -> i64 {
        self.clock.now()
    }

    fn mark(&self, process: Option<u32>, tid: Option<i32>, kind: &str, text: impl Into<String>) {
        self.sink.send(&Row::Mark(rows::Mark {
            at_ns: self.now(),
            process,
            tid,
            kind: kind.into(),
            text: text.into(),
        }));
    }

    fn new_process(&mut self, pid: i32, parent: Option<u32>, table: SharedTable, tid: i32) -> u32 {
        self.last_process += 1;
        let id = self.last_process;
        let (mut command, mut executable, mut language, mut filters) =
            (None, None, None, (false, false, false, false));
        if let Some(parent) = parent.and_then(|parent| self.processes.get(&parent)) {
            command.clone_from(&parent.row.command);
            executable.clone_from(&parent.row.executable);
            language.clone_from(&parent.row.language);
            filters = (
                parent.follows_sockets,
                parent.follows_streams,
                parent.every_call,
                parent.refuses_filters,
            );
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
            },
            pidfd: descriptor::pidfd_open(pid).ok(),
            threads: HashSet::from([tid]),
            follows_sockets: filters.0,
            follows_streams: filters.1,
            every_call: filters.2,
            refuses_filters: filters.3,
            io_uring_seen: false,
            status: None,
        };
        self.sink.send(&Row::Process(process.row.clone()));
        self.processes.insert(id, process);
        self.by_pid.insert(pid, id);
        self.threads.insert(tid, Thread::new(id, table));
        id
    }

    /// Runs until every followed process has ended or was let go.
    pub fn run(&mut self) -> io::Result<()> {
        loop {
            match ptrace::wait(-1, false) {
                Ok(Some((tid, event))) => {
                    self.handle(tid, event);
                    while let Some((tid, event)) = self.postponed.pop() {
                        self.handle(tid, event);
                    }
                }
                Ok(None) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.control.attention.swap(false, Ordering::Relaxed) {
                self.attend();
            }
            if self.leaving.is_some_and(|until| Instant::now() >= until) {
                // What does not stop cannot be let go by us; the kernel does it when this process ends.
                return Ok(());
            }
        }
    }

    /// What is due now and then: the end of recording, and calls that take long.
    fn attend(&mut self) {
        if self.recording && (self.control.unrecord.load(Ordering::Relaxed) || self.sink.is_gone())
        {
            self.end_recording();
        }
        if self.recording {
            self.report_unfinished(UNFINISHED_NS);
        }
    }

    /// Sends the calls that have not returned after `age_ns`, as they stand.
    fn report_unfinished(&mut self, age_ns: i64) {
        let now = self.now();
        for (tid, thread) in &mut self.threads {
            let pending = thread.pending.as_mut().or(thread.interrupted.last_mut());
            if let Some(pending) = pending
                && !pending.reported
                && now - pending.call.entry_ns >= age_ns
            {
                pending.reported = true;
                let mut call = pending.call.clone();
                call.took_ns = None;
                if call.value.is_none() && !pending.watch.is_empty() {
                    let value: Vec<u8> = pending
                        .watch
                        .iter()
                        .flat_map(|(fd, events)| calls::poll_entry(*fd, *events, 0))
                        .collect();
                    call.value = Some(ByteBuf::from(value));
                }
                let _ = tid;
                self.sink.send(&Row::Call(call));
            }
        }
    }

    /// From here on targets only run; nothing is recorded.
    fn end_recording(&mut self) {
        self.report_unfinished(0);
        for process in self.processes.values() {
            self.sink.send(&Row::Process(process.row.clone()));
        }
        // What follows takes its time, in which nothing is seen any more.
        self.sink.send(&Row::Meta(rows::Meta {
            key: "ended_ns".into(),
            value: self.now().to_string(),
        }));
        self.recording = false;
        for thread in self.threads.values_mut() {
            thread.pending = None;
            thread.interrupted.clear();
        }
        if self.attached {
            self.begin_leaving();
        } else {
            self.control.send_totals(&self.sink);
            self.sink.stop();
        }
    }

    fn handle(&mut self, tid: i32, event: Event) {
        if self.leaving.is_some() {
            self.leave(tid, event);
            return;
        }
        let trap = matches!(event, Event::Event(libc::PTRACE_EVENT_STOP, libc::SIGTRAP));
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.fresh &= trap;
            thread.in_doubt &= trap;
        }
        match event {
            Event::Exited(code) => self.ended(tid, Some(code), None),
            Event::Killed(signal) => self.ended(tid, None, Some(signal)),
            Event::Event(libc::PTRACE_EVENT_SECCOMP, _) | Event::Syscall => self.at_call(tid),
            Event::Event(
                libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
                _,
            ) => {
                self.forked(tid, event);
                self.go(tid, Next::Run, 0);
            }
            Event::Event(libc::PTRACE_EVENT_EXEC, _) => {
                self.executed(tid);
                self.go(tid, Next::Run, 0);
            }
            Event::Event(libc::PTRACE_EVENT_EXIT, _) => {
                self.exiting(tid);
                self.go(tid, Next::Run, 0);
            }
            Event::Event(libc::PTRACE_EVENT_STOP, signal) => {
                if !self.threads.contains_key(&tid) {
                    // A child whose parent's event is still to come.
                    self.early.insert(tid);
                    return;
                }
                if matches!(
                    signal,
                    libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU
                ) {
                    self.group_stopped(tid, signal);
                    let _ = ptrace::listen(tid);
                } else {
                    if tid == self.main_pid && self.main_was_stopped() {
                        self.group_continued(tid);
                    }
                    self.met(tid);
                    self.decide(tid);
                    self.go(tid, Next::Run, 0);
                }
            }
            Event::Event(..) => self.go(tid, Next::Run, 0),
            Event::Signal(signal) => {
                if self.recording {
                    let process = self.threads.get(&tid).map(|thread| thread.process);
                    self.mark(process, Some(tid), "signal", signal_name(signal));
                }
                self.go(tid, Next::Run, signal);
            }
        }
    }

    /// A stop at the beginning or the end of a call: a filter's, or where every call stops.
    fn at_call(&mut self, tid: i32) {
        let began = self.now();
        self.control.stops.fetch_add(1, Ordering::Relaxed);
        let next = match ptrace::call_stop(tid) {
            Ok(CallStop::Entry {
                architecture,
                number,
                arguments,
                stack_pointer,
            }) => {
                let seen = self.call_begins(tid, began, number);
                if seen {
                    Next::ToExit
                } else if architecture == AUDIT_ARCH_X86_64 {
                    let entry = Entry { number, arguments };
                    self.at_entry(tid, began, &entry, stack_pointer)
                } else {
                    // Numbers of another architecture mean other calls.
                    Next::Run
                }
            }
            Ok(CallStop::Exit(result)) => {
                self.call_returned(tid, result);
                self.at_exit(tid, began, result);
                Next::Run
            }
            // Killed in the meantime; its end is reported next.
            Ok(CallStop::Elsewhere) | Err(_) => Next::Run,
        };
        if next == Next::Again
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            thread.in_call = false;
        }
        self.go(tid, next, 0);
        self.control
            .busy_ns
            .fetch_add((self.now() - began).max(0) as u64, Ordering::Relaxed);
    }

    /// Notes that a call begins. True: this was seen already, and a filter stops it once more.
    fn call_begins(&mut self, tid: i32, began: i64, number: i64) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return false;
        };
        if std::mem::replace(&mut thread.in_call, true) {
            return true;
        }
        thread.entered_ns = began;
        thread.number = number;
        if !std::mem::take(&mut thread.resumed) {
            thread.shortened = None;
        }
        false
    }

    /// Notes that a call has returned. True: with EINTR, perhaps only because it is traced; one more stop will tell.
    fn call_returned(&mut self, tid: i32, result: i64) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return false;
        };
        thread.in_call = false;
        thread.in_doubt = interrupted::in_doubt(thread.number, result);
        if let Some(shortened) = thread.shortened {
            let _ = interrupted::restore(tid, shortened);
            if !thread.in_doubt {
                thread.shortened = None;
            }
        }
        thread.in_doubt && ptrace::interrupt(tid).is_ok()
    }

    /// Lets a stopped thread run on.
    fn go(&mut self, tid: i32, next: Next, signal: i32) {
        let every_call = self
            .threads
            .get(&tid)
            .and_then(|thread| self.processes.get(&thread.process))
            .is_some_and(|process| process.every_call);
        if next == Next::Run
            && !(every_call && self.recording)
            && let Some(thread) = self.threads.get_mut(&tid)
        {
            // The end of this call will not stop.
            thread.in_call = false;
        }
        // An error means that the thread was killed in the meantime; its end is reported next.
        let _ = match next {
            Next::Run | Next::Again if !(every_call && self.recording) => {
                ptrace::resume(tid, signal)
            }
            _ => ptrace::resume_to_syscall(tid, signal),
        };
    }

    // ── processes and threads ──

    fn forked(&mut self, tid: i32, event: Event) {
        let Ok(message) = ptrace::event_message(tid) else {
            return;
        };
        let child = message as i32;
        let Some((parent_process, parent_table)) = self
            .threads
            .get(&tid)
            .map(|thread| (thread.process, Rc::clone(&thread.table)))
        else {
            return;
        };
        let flags = if matches!(event, Event::Event(libc::PTRACE_EVENT_CLONE, _)) {
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
        }
        if self.early.remove(&child) {
            self.go(child, Next::Run, 0);
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
            to.sockets.insert(
                *number,
                descriptors::Entry {
                    socket: entry.socket,
                    row,
                },
            );
        }
    }

    fn executed(&mut self, tid: i32) {
        // exec from a thread: that thread takes the leader's id, the others are gone.
        let former = ptrace::event_message(tid).map_or(tid, |message| message as i32);
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
        }
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
        own.borrow_mut()
            .epolls
            .retain(|fd| std::fs::metadata(format!("/proc/{pid}/fd/{fd}")).is_ok());
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

    /// Inherited sockets need the later filters before the program's first call; they are installed at this exec stop.
    fn follow_sockets_soon(&mut self, process: u32) {
        // At an exec stop the thread is inside execve, where nothing can be injected: the next call's entry is the place.
        if let Some(process) = self.processes.get_mut(&process) {
            process.every_call = true;
        }
    }

    fn exiting(&mut self, tid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let (id, table) = (thread.process, Rc::clone(&thread.table));
        if let Some(mut pending) = thread.pending.take().or_else(|| thread.interrupted.pop()) {
            // It never returns: result and duration stay unknown.
            if self.recording && !pending.reported {
                pending.call.took_ns = None;
                self.sink.send(&Row::Call(pending.call));
            }
        }
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        if let Ok(status) = ptrace::event_message(tid) {
            process.status = Some(status as i32);
        }
        if process.threads.len() > 1 {
            return;
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

    fn ended(&mut self, tid: i32, code: Option<i32>, signal: Option<i32>) {
        self.early.remove(&tid);
        let Some(thread) = self.threads.remove(&tid) else {
            return;
        };
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
        let rest: Vec<i32> = process.threads.drain().collect();
        for other in rest {
            self.threads.remove(&other);
        }
        self.processes.remove(&id);
        self.by_pid.remove(&pid);
        self.lines.forget(pid);
        self.drop_all(&thread.table, 1);
        if pid == self.main_pid {
            let status = code.unwrap_or_else(|| 128 + signal.unwrap_or(0));
            self.sink.send(&Row::End(End::Main {
                status,
                left: self.processes.len() as u32,
            }));
        }
    }

    // ── job control ──

    fn main_was_stopped(&self) -> bool {
        self.control.main_pid.load(Ordering::Relaxed) < 0
    }

    fn group_stopped(&mut self, tid: i32, signal: i32) {
        let process = self.threads.get(&tid).map(|thread| thread.process);
        if self.recording && self.by_pid.contains_key(&tid) {
            self.mark(process, Some(tid), "stopped", signal_name(signal));
        }
        if tid == self.main_pid && !self.attached && self.recording && !self.main_was_stopped() {
            self.control.main_pid.store(-tid, Ordering::Relaxed);
            // The shell waits for the recorder: it must see it stop, as it would see the program stop.
            let _ = nix::sys::signal::kill(
                Pid::from_raw(self.recorder_pid),
                nix::sys::signal::Signal::SIGSTOP,
            );
        }
    }

    fn group_continued(&mut self, tid: i32) {
        self.control.main_pid.store(tid, Ordering::Relaxed);
        let process = self.threads.get(&tid).map(|thread| thread.process);
        if self.recording {
            self.mark(process, Some(tid), "continued", "SIGCONT");
            let _ = nix::sys::signal::kill(
                Pid::from_raw(self.recorder_pid),
                nix::sys::signal::Signal::SIGCONT,
            );
        }
    }

    // ── calls ──

    fn at_entry(&mut self, tid: i32, began: i64, entry: &Entry, stack_pointer: u64) -> Next {
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
                return Next::ToExit;
            }
            if stack_pointer >= top.stack_pointer {
                // The stack was unwound past it: it ended with EINTR.
                while let Some(mut over) = thread
                    .interrupted
                    .pop_if(|top| stack_pointer >= top.stack_pointer)
                {
                    over.call.result = Some(-i64::from(libc::EINTR));
                    self.sink.send(&Row::Call(over.call));
                }
            }
        }
        if entry.number == libc::SYS_restart_syscall {
            // Of a call that is not followed.
            return Next::Run;
        }
        if !self.follow(tid, entry) {
            return Next::Again;
        }
        let Some(pending) = self.begin_call(tid, entry, stack_pointer, began) else {
            return Next::Run;
        };
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.pending = Some(pending);
        }
        Next::ToExit
    }

    /// Looks at a call at its beginning. `None`: it concerns no socket.
    fn begin_call(
        &mut self,
        tid: i32,
        entry: &Entry,
        stack_pointer: u64,
        began: i64,
    ) -> Option<Pending> {
        let thread = self.threads.get(&tid)?;
        let id = thread.process;
        let table = Rc::clone(&thread.table);
        let number = entry.number as u64;
        let subject = syscalls::subject(number)?;
        let first = entry.arguments[0] as i32;
        let (fd, socket, watch) = match subject {
            Subject::None => {
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
                let (fd, socket) = Self::subject_of(entry, &table)?;
                (Some(fd), Some(socket), Vec::new())
            }
            Subject::Set => Self::set_of(tid, entry, &table)?,
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
        let target = Pid::from_raw(tid);
        calls::begin(target, entry, &mut call);
        self.find_line(tid, id, socket, &mut call);
        if self.settings.samples
            && let (Some(fd), Some(socket)) = (fd, socket)
        {
            self.sample_at_entry(entry, id, fd, socket, call.id);
        }
        Some(Pending {
            call,
            entry: *entry,
            stack_pointer,
            watch,
            reported: false,
        })
    }

    /// Makes sure that the filters for sockets are in place. False: the call begins again and will stop again.
    fn follow(&mut self, tid: i32, entry: &Entry) -> bool {
        let Some(thread) = self.threads.get(&tid) else {
            return true;
        };
        let (id, table) = (thread.process, Rc::clone(&thread.table));
        let Some(process) = self.processes.get_mut(&id) else {
            return true;
        };
        if process.refuses_filters || entry.number == libc::SYS_io_uring_setup {
            return true;
        }
        let sockets = !process.follows_sockets
            && (process.every_call
                || syscalls::subject(entry.number as u64) == Some(Subject::None));
        let streams_are_sockets = || table.borrow().sockets.range(0..3).next().is_some();
        let streams_will_be = matches!(entry.number, libc::SYS_dup2 | libc::SYS_dup3)
            && entry.arguments[1] < 3
            && table
                .borrow()
                .sockets
                .contains_key(&(entry.arguments[0] as i32));
        let streams = !process.follows_streams && (streams_will_be || streams_are_sockets());
        let mut wanted = Vec::new();
        if sockets {
            wanted.push(filter::later(self.settings.deny_io_uring));
        }
        if streams {
            wanted.push(filter::streams());
        }
        if wanted.is_empty() {
            return true;
        }
        let Ok(registers) = ptrace::registers(tid) else {
            return true;
        };
        let outcome = crate::inject::install(tid, process.row.pid, &registers, &wanted);
        process.follows_sockets |= sockets;
        process.follows_streams |= streams;
        match outcome {
            Ok(()) => {
                process.every_call = false;
                false
            }
            Err(crate::inject::Failed::Ended(event)) => {
                self.postponed.push((tid, event));
                false
            }
            Err(crate::inject::Failed::Refused(reason)) => {
                process.every_call = true;
                process.refuses_filters = true;
                self.mark(
                    Some(id),
                    Some(tid),
                    "blind",
                    format!("the program refuses a further filter ({reason}): every call of it stops, which is slow"),
                );
                false
            }
        }
    }

    fn saw_io_uring(&mut self, id: u32, tid: i32) {
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

    fn socket_of(table: &SharedTable, fd: i32) -> Option<u32> {
        table.borrow().sockets.get(&fd).map(|entry| entry.socket)
    }

    /// A socket call on a descriptor that we have not seen become a socket.
    fn unknown_descriptor(&mut self, process: u32, table: &SharedTable, fd: i32) -> Option<u32> {
        let pid = self.processes.get(&process)?.row.pid;
        let inode = descriptors::inode_of(pid, fd)?;
        Some(self.found_socket(process, table, fd, inode, "seen", None))
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
            table.epolls.remove(&first);
        }
        candidates
            .iter()
            .find_map(|fd| table.sockets.get(fd).map(|found| (*fd, found.socket)))
    }

    /// The sockets that a call on many descriptors concerns: descriptor, socket when it is one, and the poll set.
    #[allow(clippy::type_complexity, reason = "used once")]
    fn set_of(
        tid: i32,
        entry: &Entry,
        table: &SharedTable,
    ) -> Option<(Option<i32>, Option<u32>, Vec<(i32, u16)>)> {
        let [first, _, third, ..] = entry.arguments.map(|argument| argument as i32);
        match entry.number {
            libc::SYS_poll | libc::SYS_ppoll | libc::SYS_select | libc::SYS_pselect6 => {
                let watched = calls::watched(Pid::from_raw(tid), entry);
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
                table.borrow_mut().epolls.insert(first);
                Some((Some(first), socket, Vec::new()))
            }
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => table
                .borrow()
                .epolls
                .contains(&first)
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
        let site = self.lines.at(pid, tid, |text| reason = Some(text));
        if let Some(reason) = reason {
            self.mark(
                Some(process),
                Some(tid),
                "blind",
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
        let creator = socket
            .and_then(|socket| self.registry.sockets.get(&socket))
            .and_then(|known| known.row.source);
        (call.source, call.known) = match (site, creator) {
            (Site::Direct(line), _) => (Some(self.lines.source(&self.sink, line)), 1),
            (Site::Library(_) | Site::Loop, Some(creator)) => (Some(creator), 2),
            (Site::Library(line), None) => (Some(self.lines.source(&self.sink, line)), 4),
            (Site::Loop | Site::Unknown, _) => (None, 0),
        };
    }

    fn sample_at_entry(&mut self, entry: &Entry, process: u32, fd: i32, socket: u32, call: u64) {
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

    fn sample_is_due(&self, socket: u32) -> bool {
        self.registry.sockets.get(&socket).is_some_and(|known| {
            known.samples < SAMPLED_CALLS || self.now() - known.sampled_ns >= SAMPLE_INTERVAL_NS
        })
    }

    /// Looks at a socket and sends what it is. `moment`: 0 entry, 1 exit.
    fn take_sample(
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
        let Some(copy) = sample::duplicate(pidfd, fd) else {
            return;
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

    fn at_exit(&mut self, tid: i32, began: i64, result: i64) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let Some(mut pending) = thread.pending.take() else {
            return;
        };
        if interrupted::restarts(result) {
            thread.interrupted.push(pending);
            return;
        }
        if thread.in_doubt {
            pending.call.took_ns = Some((began - pending.call.entry_ns).max(0));
            thread.interrupted.push(pending);
            return;
        }
        let (id, table) = (thread.process, Rc::clone(&thread.table));
        let call = &mut pending.call;
        call.took_ns = Some((began - call.entry_ns).max(0));
        call.result = Some(result);
        let target = Pid::from_raw(tid);
        let moved = calls::finish(
            target,
            &pending.entry,
            result,
            self.settings.payload,
            &pending.watch,
            call,
        );
        if let Some(known) = call
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
        let number = pending.entry.number;
        self.descriptors_after(id, &table, &pending.entry, result, &mut pending.call);
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
        if self.settings.samples
            && let (Some(fd), Some(socket)) = (fd, socket)
        {
            self.sample_at_exit(number, result, id, fd, socket, call_id);
        }
        let error = if failed {
            (-result) as i32
        } else {
            pending_error.unwrap_or(0)
        };
        if error != 0 {
            let remote = socket
                .and_then(|socket| self.registry.sockets.get(&socket))
                .and_then(|known| known.row.remote.clone());
            let failure = Failure {
                call: call_id,
                number,
                errno: error,
                address: asked.or(remote),
                pid: self.processes.get(&id).map_or(0, |process| process.row.pid),
            };
            self.facts.after(&self.sink, self.clock.now(), &failure);
        }
    }

    fn sample_at_exit(
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

    // ── descriptors ──

    /// Updates descriptors and sockets after a call.
    fn descriptors_after(
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
                for fd in passed {
                    if let Some(inode) = descriptors::inode_of(pid, fd) {
                        self.found_socket(id, table, fd, inode, "received", Some(call.id));
                    }
                }
            }
            // Linux frees the number even when close reports an error (close(2)).
            libc::SYS_close => self.drop_descriptor(table, first),
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
        if let Some(known) = self.registry.sockets.get_mut(&socket) {
            known.references += 1;
        }
        self.sink.send(&Row::Descriptor(row.clone()));
        table
            .borrow_mut()
            .sockets
            .insert(number, descriptors::Entry { socket, row });
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
        self.introduce(process, number, socket, depth, Some(call.id));
        self.name_socket(process, table, number, socket, "call", Some(cloexec));
        socket
    }

    /// A socket that we meet under a descriptor without having seen it made; or a known one under a new number.
    fn found_socket(
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
            let cookie = sample::identify(sample::duplicate(pidfd, number)?.as_fd()).cookie;
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
            self.introduce(process, number, socket, Depth::Everything, call);
            socket
        };
        self.name_socket(process, table, number, socket, origin, cloexec);
        socket
    }

    /// Asks a new socket who it is, and sends its row and first state.
    fn introduce(
        &mut self,
        process: u32,
        number: i32,
        socket: u32,
        depth: Depth,
        call: Option<u64>,
    ) {
        let pidfd = self
            .processes
            .get(&process)
            .and_then(|process| process.pidfd.as_ref());
        let Some(known) = self.registry.sockets.get_mut(&socket) else {
            return;
        };
        if let Some(copy) = pidfd.and_then(|pidfd| sample::duplicate(pidfd, number)) {
            let identity = sample::identify(copy.as_fd());
            known.row.cookie = identity.cookie;
            known.row.family = identity.family.unwrap_or(known.row.family);
            known.row.kind = identity.kind.unwrap_or(known.row.kind);
            known.row.protocol = identity.protocol.unwrap_or(known.row.protocol);
            let inet = matches!(known.row.family, libc::AF_INET | libc::AF_INET6);
            if let Some(cookie) = identity.cookie
                && inet
                && self.settings.samples
            {
                self.watched.add(cookie, socket);
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

    /// A descriptor was closed; with the last one the socket has no owner among the followed processes.
    fn drop_descriptor(&mut self, table: &SharedTable, number: i32) {
        let Some(mut entry) = table.borrow_mut().sockets.remove(&number) else {
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

/// The flags that a clone was called with, at its event stop.
fn clone_flags(tid: i32) -> u64 {
    let Ok(registers) = ptrace::registers(tid) else {
        return 0;
    };
    if registers.orig_rax as i64 == libc::SYS_clone3 {
        // struct clone_args begins with the flags (clone(2)).
        crate::memory::long(Pid::from_raw(tid), registers.rdi).unwrap_or(0)
    } else {
        registers.rdi
    }
}

/// Path of the program file.
fn executable_of(pid: i32) -> Option<String> {
    std::fs::read_link(format!("/proc/{pid}/exe"))
        .ok()
        .map(|path| path.display().to_string())
}

/// The argument vector as a JSON array.
fn arguments_of(pid: i32) -> Option<String> {
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

/// `SIGTERM`, or `SIGRTMIN+n` / the number for others.
pub fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal).map_or_else(
        |_| {
            if signal >= 34 {
                format!("SIGRTMIN+{}", signal - 34)
            } else {
                format!("signal {signal}")
            }
        },
        |signal| signal.as_str().to_owned(),
    )
}
