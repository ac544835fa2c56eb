//! The tracing loop: follows every thread of a program and its descendants, stop by stop, and sends rows.
//!
//! A thread stops at the entry of a followed call (the seccomp filter's doing), is looked at, and is let run to the
//! call's exit only when the call concerns a socket. Everything here runs in one thread, because ptrace obeys only the
//! thread that attached; therefore, while it holds one target in a stop, no other target can get past a `close`.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Instant;

use serde_bytes::ByteBuf;
use wallsocket_sys::ptrace::{self, CallStop, Event};

use crate::calls::{self, Entry};
use crate::capture::Ports;
use crate::clock::Clock;
use crate::descriptors::{Registry, SharedTable, Table};
use crate::facts::Facts;
use crate::interrupted::{self, Shortened, Slept};
use crate::lines::Lines;
use crate::rows::{self, Row};
use crate::sampler::Watched;
use crate::sink::Sink;

mod attach;
mod filters;
mod following;
mod job_control;
mod processes;
mod samples;
mod sockets;

pub use attach::{Seized, seize};

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
