//! The guardian: the process that traces, and outlives a dead recorder or terminal.
//!
//! It starts a program, or attaches to running ones. A seccomp filter whose tracer is gone answers ENOSYS for ever, so with
//! a program that it started this process stays until the last followed process has ended, recorder or not; if it is
//! itself killed, the kernel kills the targets with it (`PTRACE_O_EXITKILL`). Programs that ran before get no filter: they
//! run on when this process ends, for whatever reason.
//!
//! It is started as `wallsocket-guardian SETTINGS PROGRAM ARGUMENTS…`; `SETTINGS` is a JSON object ([`Order`]).

use std::ffi::{CString, OsString};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::Deserialize;
use wallsocket_sys::ptrace::{self, Event, Waiter};
use wallsocket_sys::{descriptor, spawn};

use crate::capture::{Capturing, Ports};
use crate::clock::Clock;
use crate::facts::Facts;
use crate::namespace;
use crate::native::symbols;
use crate::networks::{self, Networks};
use crate::places::Places;
use crate::python::Chosen;
use crate::rows::{self, End, Row};
use crate::sampler::{Sampler, Watched};
use crate::sink::Sink;
use crate::tally::Tally;
use crate::tracer::{self, Control, Seized, Settings, Tracer};

/// How long the ticks go on when the recorder is gone.
const FAREWELL: Duration = Duration::from_secs(5);
/// What a terminal sends to a whole process group. The recorder starts this process with them blocked, so that none is lost
/// before the program can get it.
const OF_TERMINAL: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGHUP,
];
/// Interrupts the loop's wait. Not used by anything else in this process.
const ATTENTION: i32 = libc::SIGUSR1;

/// What the recorder orders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Descriptor to send rows to.
    rows_fd: i32,
    /// Inherited descriptor of a file without a name, for rows that wait for the recorder.
    #[serde(default)]
    backlog_fd: Option<i32>,
    /// Descriptor that commands come from; its end means that the recorder is gone.
    control_fd: i32,
    /// CLOCK_MONOTONIC at the start of the recording.
    origin_ns: i64,
    /// Payload bytes to keep of each call.
    payload: usize,
    /// Look at sockets at calls.
    samples: bool,
    /// Record packets, where that is permitted.
    #[serde(default = "yes")]
    wire: bool,
    /// Read source lines.
    lines: bool,
    /// What is the user's own code, and what is not.
    code: Chosen,
    /// `io_uring_setup` fails with ENOSYS.
    deny_io_uring: bool,
    /// How often the tracing loop is asked to look at calls that take long.
    tick_ms: u16,
    /// Confine the program and this process to one core.
    one_core: bool,
    /// Leave busy threads on the cores where the scheduler puts them.
    #[serde(default)]
    spread: bool,
    /// Signals that are blocked only for the start of this process: the program gets them unblocked.
    unblocked: Vec<i32>,
    /// Signals that the recorder was given as ignored, and that this process was not: Python and glibc set them.
    ignored_unseen: Vec<i32>,
    /// Of 0, 1 and 2 those that the program finds closed. This process does not: Rust opens `/dev/null` there before `main`.
    #[serde(default)]
    closed_streams: Vec<i32>,
    /// Root asks: set-uid programs keep their rights.
    privileged: bool,
    /// Run in a private network namespace.
    lab: bool,
    /// Path of the program file to run; without one, `attach` says what to follow.
    program: Option<String>,
    /// Processes to attach to.
    attach: Vec<i32>,
    /// More processes to attach to are named later: having none is not the end.
    #[serde(default)]
    expects_more: bool,
    /// Path of the library to preload into the program, which records most calls then.
    #[serde(default)]
    preload: Option<String>,
    /// Run as another user (root only): uid, gid, groups.
    user: Option<(u32, u32, Vec<u32>)>,
}

const fn yes() -> bool {
    true
}

/// A step that failed before the program ran.
struct Failed {
    step: String,
    error: std::io::Error,
}

fn at(step: &'static str) -> impl Fn(std::io::Error) -> Failed {
    move |error| Failed {
        step: step.into(),
        error,
    }
}

/// The program's entry.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments
        .peek()
        .is_some_and(|first| first == networks::ARGUMENT)
    {
        return networks::serve();
    }
    if arguments
        .peek()
        .is_some_and(|first| first == symbols::ARGUMENT)
    {
        return symbols::serve();
    }
    let order = arguments.next().map(OsString::into_vec).unwrap_or_default();
    let Ok(order) = serde_json::from_slice::<Order>(&order) else {
        // A recorder of another version knows what this status means, and says it.
        if !order.starts_with(b"{") {
            eprintln!("wallsocket-guardian is started by `wallsocket trace`, not by hand");
        }
        return ExitCode::from(2);
    };
    let arguments: Vec<CString> = arguments
        .filter_map(|argument| CString::new(argument.into_vec()).ok())
        .collect();
    let Ok(rows) = descriptor::inherited(order.rows_fd) else {
        return ExitCode::from(2);
    };
    let Ok(control) = descriptor::inherited(order.control_fd) else {
        return ExitCode::from(2);
    };
    let Ok(backlog) = order.backlog_fd.map(descriptor::inherited).transpose() else {
        return ExitCode::from(2);
    };
    // Taken by the writer thread once it runs: its end must be the stream's end.
    let mut rows = Some(rows);
    match run(
        &order,
        arguments,
        &mut rows,
        backlog.map(std::fs::File::from),
        control,
    ) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            // No writer thread runs yet: the row goes out directly.
            let row = Row::End(End::NotStarted {
                step: failed.step,
                errno: failed.error.raw_os_error().unwrap_or(libc::EIO),
            });
            if let (Some(rows), Ok(bytes)) = (rows, postcard::to_stdvec(&row)) {
                let _ = std::io::Write::write_all(&mut std::fs::File::from(rows), &bytes);
            }
            ExitCode::from(1)
        }
    }
}

fn run(
    order: &Order,
    arguments: Vec<CString>,
    rows: &mut Option<std::os::fd::OwnedFd>,
    backlog: Option<std::fs::File>,
    control_fd: std::os::fd::OwnedFd,
) -> Result<(), Failed> {
    // As the owner of a file with capabilities (CAP_NET_RAW, for the wire) this process would belong to root in /proc, and
    // could neither be traced by itself between fork and exec nor map its user id. It stays out of reach all the same: who
    // traces it needs the capabilities that it has (ptrace(2), "Ptrace access mode checking"). Programs get none of them.
    nix::sys::prctl::set_dumpable(true).map_err(|error| at("trace")(error.into()))?;
    let recorder = nix::unistd::getppid().as_raw();
    let (mut ignored, mut mask) = ptrace::inherited_signals().map_err(at("trace"))?;
    for signal in &order.unblocked {
        mask.remove(Signal::try_from(*signal).map_err(|error| at("trace")(error.into()))?);
    }
    // Rust's start-up code ignores SIGPIPE before main; the recorder asked for its default action.
    ignored.retain(|signal| *signal != Signal::SIGPIPE);
    ignored.extend(
        order
            .ignored_unseen
            .iter()
            .filter_map(|number| Signal::try_from(*number).ok()),
    );
    // SIGTERM reaches the target through the recorder. A limit on the size of files (setrlimit(2)) also holds for the backlog's:
    // writing then fails, and no more.
    for signal in [
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGTERM,
        Signal::SIGPIPE,
        Signal::SIGXFSZ,
    ] {
        ptrace::ignore(signal).map_err(at("trace"))?;
    }
    ptrace::interruptible_by(ATTENTION).map_err(at("trace"))?;
    if order.one_core {
        confine().map_err(at("trace"))?;
    }
    if let Some(pid) = order.attach.first() {
        // Where its sockets are. Refused, or the same: then what the kernel says of this one is of no harm.
        namespace::join(*pid);
    }
    if order.lab {
        namespace::enter().map_err(|refused| Failed {
            step: format!("lab: {}", refused.what),
            error: refused.error,
        })?;
    }
    let switch_ns = match calibrate() {
        Ok(measured) => measured,
        // No filter is needed to attach: one that is refused is no reason not to.
        Err(_) if order.program.is_none() => 0,
        Err(error) => return Err(at("trace")(error)),
    };
    let on_one_core_ns = if order.program.is_some() && !order.one_core {
        calibrate_on_one_core()
    } else {
        None
    };
    let target = match &order.program {
        Some(program) => Target::start(order, program, arguments, ignored, mask)?,
        None => Target::attach(&order.attach)?,
    };
    target.hand_over_signals().map_err(at("trace"))?;
    release_streams();

    let clock = Clock::new(order.origin_ns);
    let rows = rows
        .take()
        .ok_or_else(|| std::io::Error::from_raw_os_error(libc::EBADF));
    let (sink, writer) = rows
        .and_then(|rows| Sink::new(rows, backlog))
        .map_err(at("trace"))?;
    let farewell = control_fd.try_clone().map_err(at("trace"))?;
    let networks = Networks::new(sink.clone());
    let control = Arc::new(Control::default());
    control.switch_ns.store(switch_ns, Ordering::Relaxed);
    control
        .near_switch_ns
        .store(on_one_core_ns.unwrap_or(switch_ns), Ordering::Relaxed);
    let watched = Arc::new(Watched::default());
    let settings = Settings {
        payload: order.payload,
        samples: order.samples,
        lines: order.lines,
        code: order.code.clone(),
        deny_io_uring: order.deny_io_uring,
        spread: order.spread || order.one_core,
        preload: order.preload.is_some(),
    };
    let ports = Arc::new(Ports::default());
    let tally = Arc::new(Tally::new(sink.clone(), clock, networks.clone()));
    let capturing = Arc::new(Capturing::new(
        sink.clone(),
        clock,
        Arc::clone(&ports),
        order.payload,
    ));
    let places = Arc::new(Places::new(
        sink.clone(),
        clock,
        networks.clone(),
        order.wire.then(|| Arc::clone(&capturing)),
    ));
    let sampler = Sampler::start(
        sink.clone(),
        clock,
        Arc::clone(&watched),
        Arc::clone(&places),
        Arc::clone(&tally),
        order.samples,
    )
    .map_err(at("trace"))?;
    // Of a lab's hosts each network is captured in itself, and what travels here is not theirs.
    let capture = (order.wire && !order.expects_more).then(|| capturing.here(order.lab));
    let wire = match &capture {
        None if !order.wire => "not asked for".to_owned(),
        None | Some(Ok(_)) => "yes".to_owned(),
        Some(Err(error)) if error.error.raw_os_error() == Some(libc::EPERM) => {
            "needs CAP_NET_RAW; --lab has it".to_owned()
        }
        Some(Err(error)) => error.to_string(),
    };
    sink.send(&Row::Meta(rows::Meta {
        key: "wire".into(),
        value: wire,
    }));
    for (key, value) in [
        ("switch_ns", Some(switch_ns)),
        ("switch_on_one_core_ns", on_one_core_ns),
    ] {
        if let Some(value) = value {
            sink.send(&Row::Meta(rows::Meta {
                key: key.into(),
                value: value.to_string(),
            }));
        }
    }
    if let Target::Started(waiting) = &target {
        // A signal may be the recorder's first command.
        let pid = waiting.pid.as_raw();
        control.main_pid.store(pid, Ordering::Relaxed);
    }
    listen(
        control_fd,
        Arc::clone(&control),
        Waiter::current(),
        Duration::from_millis(u64::from(order.tick_ms.max(1))),
    )
    .map_err(at("trace"))?;

    let mut failure = None;
    let mut tracer = Tracer::new(
        settings,
        sink.clone(),
        clock,
        Arc::clone(&control),
        watched,
        ports,
        Facts::new(sink.clone(), networks.clone(), tally),
        networks,
        Arc::clone(&places),
        recorder,
    );
    match target {
        Target::Started(mut waiting) => {
            tracer.adopt(waiting.pid.as_raw());
            waiting.go().map_err(at("exec"))?;
            tracer.run().map_err(at("trace"))?;
            failure = waiting.failure();
        }
        Target::Running(seized) => {
            tracer.take_over(&seized);
            if order.expects_more {
                tracer.expect_more();
            }
            tracer.run().map_err(at("trace"))?;
        }
    }

    if let Some(failure) = failure {
        sink.send(&Row::End(End::NotStarted {
            step: failure.step.into(),
            errno: failure.error.raw_os_error().unwrap_or(libc::EIO),
        }));
    }
    sampler.finish();
    places.finish();
    if let Some(Ok(capture)) = capture {
        capture.finish();
    }
    control.send_totals(&sink);
    sink.send(&Row::End(End::All));
    say_goodbye(farewell, &sink, &control);
    sink.close();
    let _ = writer.join();
    Ok(())
}

/// What is traced; its threads are seized.
enum Target {
    /// Started by us; waits before exec.
    Started(spawn::Waiting),
    /// Programs that ran before.
    Running(Vec<Seized>),
}

impl Target {
    fn start(
        order: &Order,
        path: &str,
        arguments: Vec<CString>,
        ignored: Vec<Signal>,
        mask: nix::sys::signal::SigSet,
    ) -> Result<Self, Failed> {
        let mut variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        if let Some(library) = &order.preload {
            preload(&mut variables, library);
        }
        let environment = variables.into_iter().filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        });
        let program = spawn::Program {
            path: CString::new(path).map_err(|error| Failed {
                step: "exec".into(),
                error: error.into(),
            })?,
            arguments,
            environment: environment.collect(),
            credentials: order
                .user
                .as_ref()
                .map(|(uid, gid, groups)| spawn::Credentials {
                    uid: *uid,
                    gid: *gid,
                    groups: groups.clone(),
                }),
            filter: crate::filter::first(order.deny_io_uring, order.preload.is_some()),
            keep_privileges: order.privileged,
            ignored,
            ignored_internal: order.ignored_unseen.clone(),
            mask,
            streams: [0, 1, 2]
                .map(|number| (!order.closed_streams.contains(&number)).then_some(number)),
        };
        let waiting = spawn::prepare(&program).map_err(at("trace"))?;
        ptrace::seize(
            waiting.pid.as_raw(),
            if order.preload.is_some() {
                ptrace::OPTIONS | ptrace::VFORK_DONE
            } else {
                ptrace::OPTIONS
            },
        )
        .map_err(at("trace"))?;
        Ok(Self::Started(waiting))
    }

    /// Signals of the terminal are for the target, also those that came before it could be told.
    fn hand_over_signals(&self) -> std::io::Result<()> {
        if let Self::Started(waiting) = self {
            // One that has reached both is one: it waits, blocked, until exec, and a signal cannot wait twice.
            for signal in pending(OF_TERMINAL)? {
                nix::sys::signal::kill(waiting.pid, signal)?;
            }
        }
        OF_TERMINAL.into_iter().try_for_each(ptrace::ignore)
    }

    fn attach(pids: &[i32]) -> Result<Self, Failed> {
        pids.iter()
            .map(|pid| {
                tracer::seize(*pid).map_err(|error| Failed {
                    step: format!("attach {pid}"),
                    error,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self::Running)
    }
}

/// Puts the library before what the environment asks the dynamic linker to load (ld.so(8)).
fn preload(variables: &mut Vec<(OsString, OsString)>, library: &str) {
    const NAME: &str = "LD_PRELOAD";
    match variables.iter_mut().find(|(name, _)| name == NAME) {
        Some((_, value)) => {
            let others = std::mem::replace(value, library.into());
            value.push(":");
            value.push(others);
        }
        None => variables.push((NAME.into(), library.into())),
    }
}

/// Which of some signals wait for this process, blocked.
fn pending(signals: [Signal; 4]) -> std::io::Result<Vec<Signal>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let bits = status
        .lines()
        .filter_map(|line| {
            line.strip_prefix("ShdPnd:")
                .or_else(|| line.strip_prefix("SigPnd:"))
        })
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .fold(0, |all, mask| all | mask);
    Ok(signals
        .into_iter()
        .filter(|signal| bits >> (*signal as i32 - 1) & 1 == 1)
        .collect())
}

/// What the two stops of a followed call cost here and now, in nanoseconds, without any work at them.
///
/// Half of the calls cost no more: what else the machine does in between shall not count.
fn calibrate() -> std::io::Result<u64> {
    const CALLS: u32 = 40;
    let mut probe = spawn::prepare_probe(&crate::filter::probe(), CALLS)?;
    let pid = probe.pid.as_raw();
    ptrace::seize(pid, ptrace::OPTIONS)?;
    probe.go()?;
    let mut ends = Vec::new();
    loop {
        match ptrace::wait(pid, false) {
            Ok(Some((_, Event::Event(libc::PTRACE_EVENT_SECCOMP, _)))) => {
                ptrace::resume_to_syscall(pid, 0)?;
            }
            Ok(Some((_, Event::Syscall))) => {
                ends.push(Clock::monotonic_ns());
                ptrace::resume(pid, 0)?;
            }
            Ok(Some((_, Event::Exited(_) | Event::Killed(_)))) => break,
            Ok(_) => ptrace::resume(pid, 0)?,
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    let mut spans: Vec<i64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    spans.sort_unstable();
    Ok(spans
        .get(spans.len() / 2)
        .map_or(0, |span| (*span).max(0) as u64))
}

/// The same with both on one core; `None` where there is only one, or it cannot be had for the moment.
fn calibrate_on_one_core() -> Option<u64> {
    let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0)).ok()?;
    let cores = (0..nix::sched::CpuSet::count())
        .filter(|core| allowed.is_set(*core).unwrap_or(false))
        .count();
    if cores < 2 {
        return None;
    }
    confine().ok()?;
    let measured = calibrate().ok();
    nix::sched::sched_setaffinity(Pid::from_raw(0), &allowed).ok()?;
    measured
}

/// One core for this process and the program: switching between them is then cheaper.
fn confine() -> std::io::Result<()> {
    let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0))?;
    let mut one = nix::sched::CpuSet::new();
    let last = (0..nix::sched::CpuSet::count())
        .rev()
        .find(|cpu| allowed.is_set(*cpu).unwrap_or(false))
        .unwrap_or(0);
    one.set(last)?;
    nix::sched::sched_setaffinity(Pid::from_raw(0), &one)?;
    Ok(())
}

/// The program has its streams; holding them here would keep its pipes open after its end.
fn release_streams() {
    if let Ok(null) = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
    {
        let _ = nix::unistd::dup2_stdin(null.as_fd());
        let _ = nix::unistd::dup2_stdout(null.as_fd());
        let _ = nix::unistd::dup2_stderr(null.as_fd());
    }
}

/// Tells the recorder that nothing more will be recorded: the rows that were sent, the bytes of them that wait, and how the
/// program that was started ended, as a shell has it, or -1. It may want to end the recording before it has read all.
fn say_goodbye(control_fd: std::os::fd::OwnedFd, sink: &Sink, control: &Control) {
    let mut message = Vec::with_capacity(20);
    message.extend_from_slice(&sink.sent().to_ne_bytes());
    message.extend_from_slice(&sink.waiting().to_ne_bytes());
    let status = control.main_ended.load(Ordering::Relaxed) - 1;
    message.extend_from_slice(&status.to_ne_bytes());
    let _ = std::io::Write::write_all(&mut std::fs::File::from(control_fd), &message);
}

/// Starts the thread that reads the recorder's commands and asks the loop for attention now and then.
///
/// Commands: `u` stop recording · `k` kill the first process · `s` and a byte: send it that signal · `a`, a process id as
/// four bytes, a length as one, and a name: attach to that process as well; its network has this name.
fn listen(
    descriptor: std::os::fd::OwnedFd,
    control: Arc<Control>,
    waiter: Waiter,
    tick: Duration,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            let mut input = std::fs::File::from(descriptor);
            let timeout = PollTimeout::try_from(tick).unwrap_or(PollTimeout::MAX);
            loop {
                let ready = poll(
                    &mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)],
                    timeout,
                )
                .unwrap_or(0);
                if ready > 0 {
                    let mut command = [0; 1];
                    if !matches!(input.read(&mut command), Ok(1)) {
                        control.unrecord.store(true, Ordering::Relaxed);
                        // The loop looks at the clock only when it is called: until it has let go of everything, or given up.
                        let end = Instant::now() + FAREWELL;
                        while Instant::now() < end {
                            call(&control, waiter);
                            std::thread::sleep(tick);
                        }
                        return;
                    }
                    let kind = command[0];
                    if kind == b'a' {
                        if let Ok(newcomer) = newcomer(&mut input) {
                            control.newcomers().push(newcomer);
                        }
                    } else if kind == b's' && input.read_exact(&mut command).is_ok() {
                        signal_main(&control, i32::from(command[0]));
                    } else if kind == b'u' {
                        control.unrecord.store(true, Ordering::Relaxed);
                    } else if kind == b'k' {
                        // The command at once; what it started when the loop comes to it.
                        control.end_all.store(true, Ordering::Relaxed);
                        signal_main(&control, libc::SIGKILL);
                    }
                }
                call(&control, waiter);
            }
        })?;
    Ok(())
}

fn newcomer(input: &mut impl Read) -> std::io::Result<(i32, String)> {
    let (mut pid, mut length) = ([0; 4], [0; 1]);
    input.read_exact(&mut pid)?;
    input.read_exact(&mut length)?;
    let mut name = vec![0; usize::from(length[0])];
    input.read_exact(&mut name)?;
    Ok((
        i32::from_ne_bytes(pid),
        String::from_utf8_lossy(&name).into_owned(),
    ))
}

fn call(control: &Control, waiter: Waiter) {
    control.attention.store(true, Ordering::Relaxed);
    waiter.interrupt(ATTENTION);
}

fn signal_main(control: &Control, signal: i32) {
    let pid = control.main_pid.load(Ordering::Relaxed).abs();
    if pid != 0
        && let Ok(signal) = Signal::try_from(signal)
    {
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), signal);
    }
}
