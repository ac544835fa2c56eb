//! The tracing loop: follows every thread of a program and its descendants, stop by stop, and sends rows.
//!
//! A thread stops at the entry of a followed call (the seccomp filter's doing), is looked at, and is let run to the
//! call's exit only when the call concerns a socket. Everything here runs in one thread, because ptrace obeys only the
//! thread that attached; therefore, while it holds one target in a stop, no other target can get past a `close`.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_bytes::ByteBuf;
use wallsocket_sys::ptrace::Event;

use crate::calls::{self, Entry};
use crate::capture::Ports;
use crate::clock::Clock;
use crate::descriptors::{Registry, SharedTable, Table};
use crate::facts::Facts;
use crate::ids::Ids;
use crate::interrupted::{Shortened, Slept};
use crate::lines::Lines;
use crate::networks::Networks;
use crate::places::Places;
use crate::python::Chosen;
use crate::rows::{self, Row};
use crate::sampler::Watched;
use crate::sink::Sink;

mod attach;
mod filters;
mod following;
mod guards;
mod job_control;
mod near;
mod policy;
mod preload;
mod processes;
mod samples;
mod sockets;
mod stops;

use near::{Near, Pace};

pub use attach::{Seized, seize};
pub use policy::Policy;

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
    /// What is the user's own code, and what is not.
    pub code: Chosen,
    /// `io_uring_setup` fails with ENOSYS.
    pub deny_io_uring: bool,
    /// Busy threads are not confined to the tracer's core.
    pub spread: bool,
    /// Programs are started with the preloaded library, which records most of their calls.
    pub preload: bool,
}

/// What other threads may ask of the loop.
#[derive(Debug, Default)]
pub struct Control {
    /// Stop recording; targets run on, and those that were attached to are let go.
    pub unrecord: AtomicBool,
    /// End every process that is followed.
    pub end_all: AtomicBool,
    /// The loop must look at its flags, or at long-running calls.
    pub attention: AtomicBool,
    /// Process id of the first process, 0 before it runs.
    pub main_pid: AtomicI32,
    /// How the first process ended, as a shell has it, plus one; 0 while it runs.
    pub main_ended: AtomicI32,
    /// Stops that the targets made at system calls.
    pub stops: AtomicU64,
    /// Calls recorded.
    pub calls: AtomicU64,
    /// Nanoseconds that the loop spent on the stops of calls.
    pub busy_ns: AtomicU64,
    /// Nanoseconds that two stops, of a call's beginning and end, cost by themselves, measured before the start.
    pub switch_ns: AtomicU64,
    /// The same on one core.
    pub near_switch_ns: AtomicU64,
    /// Calls of threads that were on the tracer's core.
    pub near: AtomicU64,
    /// Programs whose calls the preloaded library recorded.
    pub taken_over: AtomicU64,
    /// Programs with sockets that were followed by stops alone, though with `preload`.
    pub stopped_alone: AtomicU64,
    /// Processes that are to be attached to as well, and the names of their networks.
    newcomers: Mutex<Vec<(i32, String)>>,
}

impl Control {
    /// Processes that are to be attached to as well, and the names of their networks.
    pub fn newcomers(&self) -> MutexGuard<'_, Vec<(i32, String)>> {
        self.newcomers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the figures about the run itself.
    pub fn send_totals(&self, sink: &Sink) {
        let stops = self.stops.load(Ordering::Relaxed);
        let near = self.near.load(Ordering::Relaxed);
        let added_ns = self.busy_ns.load(Ordering::Relaxed)
            + stops.saturating_sub(2 * near) * self.switch_ns.load(Ordering::Relaxed) / 2
            + near * self.near_switch_ns.load(Ordering::Relaxed);
        // Stops at calls that are not recorded delay the program as well: the recorded ones bear them.
        let per_call_ns = added_ns
            .checked_div(self.calls.load(Ordering::Relaxed))
            .unwrap_or(0);
        for (key, value) in [
            ("stops", stops),
            ("near_calls", near),
            ("lost", sink.lost()),
            ("added_ns_per_call", per_call_ns),
            ("via_preload", self.taken_over.load(Ordering::Relaxed)),
            ("via_ptrace", self.stopped_alone.load(Ordering::Relaxed)),
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
    /// Its record is passed on as it is.
    unread: bool,
    reported: bool,
    /// The arguments that a policy has the kernel see instead.
    changed: Option<[u64; 6]>,
    /// When a signal interrupted it, if one has.
    stopped_ns: Option<i64>,
}

#[derive(Debug)]
struct Thread {
    process: u32,
    table: SharedTable,
    pending: Option<Pending>,
    /// The call that it is in according to its ring.
    recorded: Option<Pending>,
    /// Where the preloaded library records its calls.
    ring: Option<preload::Ring>,
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
    /// What of the program was changed for the duration of this call.
    altered: Option<Altered>,
    /// This call installs a filter, if it succeeds.
    installs_filter: bool,
    /// It is in seccomp's strict mode, which we keep for it: the kernel refuses that to a thread with a filter.
    strict: bool,
    /// Its process was stopped by a signal.
    stopped: bool,
    /// How quickly its calls come.
    pace: Pace,
}

/// What the kernel is to see instead of what the program gave it, until the call ends.
#[derive(Clone, Copy, Debug, Default)]
struct Altered {
    /// The program's arguments.
    arguments: Option<[u64; 6]>,
    /// Address of a word in its memory, and what the program has there.
    memory: Option<(u64, u64)>,
}

impl Thread {
    fn new(process: u32, table: SharedTable) -> Self {
        Self {
            process,
            table,
            pending: None,
            recorded: None,
            ring: None,
            interrupted: Vec::new(),
            in_call: false,
            entered_ns: 0,
            number: -1,
            in_doubt: false,
            fresh: false,
            slept: None,
            resumed: false,
            shortened: None,
            altered: None,
            installs_filter: false,
            strict: false,
            stopped: false,
            pace: Pace::default(),
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
    /// It has installed filters of its own, which would judge calls in its name.
    own_filters: bool,
    io_uring_seen: bool,
    preload: preload::Preload,
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
    networks: Networks,
    places: Arc<Places>,
    threads: Ids<i32, Thread>,
    processes: Ids<u32, Process>,
    by_pid: Ids<i32, u32>,
    registry: Registry,
    /// New threads that stopped before their parent's event told of them.
    early: HashSet<i32>,
    /// Threads with a ring.
    ringed: BTreeSet<i32>,
    /// Recorded calls that began before this moment were taken.
    horizon_ns: i64,
    /// Stops that were reported and are to be handled, in this order.
    stops: VecDeque<Stop>,
    last_process: u32,
    last_call: u64,
    main_pid: i32,
    recorder_pid: i32,
    recording: bool,
    /// The processes ran before us, and run on after us.
    attached: bool,
    /// More of them may be named at any time.
    expects_more: bool,
    /// We are letting them go, until this moment.
    leaving: Option<Instant>,
    policy: Option<Box<dyn Policy>>,
    near: Near,
    /// Filters were there before ours: of a container, say.
    filtered_before: bool,
}

/// A change of a thread that a wait reported.
#[derive(Clone, Copy, Debug)]
struct Stop {
    tid: i32,
    event: Event,
    at_ns: i64,
    /// What the kernel has to say of it: the new thread's id, the former thread id, the exit status.
    message: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Run on; stop at followed calls.
    Run,
    /// Stop at the exit of this call.
    ToExit,
    /// The call was held back and begins again.
    Again,
    /// Nothing: it is no longer in the stop that we know of.
    Leave,
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
        networks: Networks,
        places: Arc<Places>,
        recorder_pid: i32,
    ) -> Self {
        Self {
            lines: Lines::new(settings.lines, settings.code.clone()),
            near: Near::new(settings.spread),
            settings,
            sink,
            clock,
            control,
            watched,
            ports,
            facts,
            networks,
            places,
            threads: Ids::default(),
            processes: Ids::default(),
            by_pid: Ids::default(),
            registry: Registry::default(),
            early: HashSet::new(),
            ringed: BTreeSet::new(),
            horizon_ns: 0,
            stops: VecDeque::new(),
            last_process: 0,
            last_call: 0,
            main_pid: 0,
            recorder_pid,
            recording: true,
            attached: false,
            expects_more: false,
            leaving: None,
            policy: None,
            filtered_before: guards::has_filter(),
        }
    }

    /// Lets `policy` change what followed calls are given and what they give back.
    pub fn set_policy(&mut self, policy: Box<dyn Policy>) {
        self.policy = Some(policy);
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
            if !self.serve()? {
                return Ok(());
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
        if self.control.end_all.load(Ordering::Relaxed) {
            self.end_processes();
        }
        let newcomers = std::mem::take(&mut *self.control.newcomers());
        if self.recording {
            for (pid, network) in newcomers {
                self.follow_as_well(pid, &network);
            }
        }
        self.facts.tidy();
        self.tidy_near();
        self.take_records(self.now(), None);
        if self.recording {
            self.report_unfinished(UNFINISHED_NS);
        }
    }

    /// Kills what is followed: a process that has been asked to end before gets it once more, which does no harm.
    fn end_processes(&self) {
        for pid in self.by_pid.keys() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(*pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }

    /// Sends the calls that have not returned after `age_ns`, as they stand.
    fn report_unfinished(&mut self, age_ns: i64) {
        let now = self.now();
        for thread in self.threads.values_mut() {
            let stopped = thread.pending.as_mut().or(thread.interrupted.last_mut());
            for pending in stopped.into_iter().chain(&mut thread.recorded) {
                if pending.reported || now - pending.call.entry_ns < age_ns {
                    continue;
                }
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
                self.sink.send(&Row::Call(call));
            }
        }
    }

    /// From here on targets only run; nothing is recorded.
    fn end_recording(&mut self) {
        self.take_records(self.now(), None);
        self.report_unfinished(0);
        for id in self.processes.keys().copied().collect::<Vec<_>>() {
            self.tell_way(id);
        }
        self.let_through();
        for process in self.processes.values() {
            self.sink.send(&Row::Process(process.row.clone()));
        }
        // What follows takes its time, in which nothing is seen any more.
        self.sink.send(&Row::Meta(rows::Meta {
            key: "ended_ns".into(),
            value: self.now().to_string(),
        }));
        self.recording = false;
        self.near.release_all();
        for thread in self.threads.values_mut() {
            thread.pending = None;
            thread.recorded = None;
            thread.interrupted.clear();
        }
        if self.attached {
            self.begin_leaving();
        } else {
            self.control.send_totals(&self.sink);
            self.sink.stop();
        }
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
