//! System calls that a tracer's stop interrupted, made to begin again as if nothing had happened.
//!
//! The kernel begins most interrupted calls again by itself: they leave a result of `-ERESTART*` behind (signal(7)). Others,
//! [`in_doubt`], return EINTR even when there is no signal handler to tell of: after a tracer's stop, and after a signal
//! that is ignored, of which only a tracer is told, or that another thread took. A thread that is stopped before
//! it has seen that result can be put back to the `syscall` instruction: then it makes the same call with the same
//! arguments, and a signal that comes in between finds it just before the call, where it may as well have been.

use std::collections::HashMap;
use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use wallsocket_sys::ptrace::{self, Registers};

use crate::clock::Clock;

/// Length of the x86-64 `syscall` instruction.
pub const SYSCALL_INSTRUCTION: u64 = 2;
const EINTR: i64 = -(libc::EINTR as i64);
/// Kernel-internal results of interrupted calls (linux/errno.h): the call begins again, or becomes EINTR.
const ERESTARTSYS: i64 = -512;
const ERESTART_RESTARTBLOCK: i64 = -516;
/// Not among libc's constants (asm/unistd_64.h).
const SYS_IO_PGETEVENTS: i64 = 333;
const MILLISECOND: i64 = 1_000_000;

/// Whether a call's result says that the kernel will begin it again, unless a handler runs.
pub fn restarts(result: i64) -> bool {
    (ERESTART_RESTARTBLOCK..=ERESTARTSYS).contains(&result)
}

/// Whether a call returned EINTR without having done anything, so that it may be made again.
///
/// Not `close`: its descriptor is gone all the same (close(2)).
pub fn in_doubt(number: i64, result: i64) -> bool {
    result == EINTR
        && matches!(
            number,
            libc::SYS_epoll_wait
            | libc::SYS_epoll_pwait
            | libc::SYS_epoll_pwait2
            // Sockets with SO_RCVTIMEO or SO_SNDTIMEO (socket(7)).
            | libc::SYS_accept
            | libc::SYS_accept4
            | libc::SYS_connect
            | libc::SYS_read
            | libc::SYS_readv
            | libc::SYS_write
            | libc::SYS_writev
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_sendfile
            | libc::SYS_splice
            | libc::SYS_rt_sigtimedwait
            | libc::SYS_semop
            | libc::SYS_semtimedop
            | libc::SYS_io_getevents
            | SYS_IO_PGETEVENTS
            | libc::SYS_io_uring_enter
        )
}

/// Whether a call has a time limit in a register: to be made again, it must be known for how long it has waited.
pub fn has_limit(registers: &Registers) -> bool {
    matches!(
        registers.orig_rax as i64,
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait
    ) && registers.r10 as i32 > 0
}

/// A wait whose time limit was shortened because part of it had passed.
#[derive(Clone, Copy, Debug)]
pub struct Shortened {
    /// What the program has in the register.
    original: u64,
    /// When the wait ends.
    until_ns: i64,
}

/// A thread at the end of a call that a stop interrupted.
#[derive(Debug)]
pub struct Interrupted {
    /// Registers, with the call's arguments as they will be when it begins again.
    pub registers: Registers,
    /// Its system-call number.
    pub number: i64,
    /// The fourth argument as the program gave it: a time limit may have been shortened.
    pub fourth: u64,
}

/// Looks whether a stopped thread is at the end of an interrupted call, and makes the call begin again if the kernel
/// will not. `None`: no call was interrupted, or the program is to see that it was.
///
/// `waited_ns` is for how long the call has waited, `now_ns` the time now; both matter only for a time limit in a register.
pub fn resume(
    tid: i32,
    waited_ns: i64,
    now_ns: i64,
    shortened: &mut Option<Shortened>,
) -> io::Result<Option<Interrupted>> {
    let mut registers = ptrace::registers(tid)?;
    let number = registers.orig_rax as i64;
    let result = registers.rax as i64;
    if number < 0 {
        return Ok(None);
    }
    let fourth = registers.r10;
    if restarts(result) {
        return Ok(Some(Interrupted {
            registers,
            number,
            fourth,
        }));
    }
    if !in_doubt(number, result) || Signals::of(tid).is_some_and(Signals::awaited) {
        return Ok(None);
    }
    registers.rip -= SYSCALL_INSTRUCTION;
    registers.rax = number as u64;
    // Tells the kernel that there is no call to begin again.
    registers.orig_rax = u64::MAX;
    let limit = registers.r10 as i32;
    if matches!(number, libc::SYS_epoll_wait | libc::SYS_epoll_pwait) && limit > 0 {
        let shortened = shortened.get_or_insert(Shortened {
            original: registers.r10,
            until_ns: now_ns - waited_ns + i64::from(limit) * MILLISECOND,
        });
        let left = (shortened.until_ns - now_ns).max(0);
        registers.r10 = (left as u64).div_ceil(MILLISECOND as u64);
    }
    ptrace::set_registers(tid, &registers)?;
    Ok(Some(Interrupted {
        registers,
        number,
        fourth,
    }))
}

/// Gives the program back the register that [`resume`] shortened; the thread is at the call's end.
pub fn restore(tid: i32, shortened: Shortened) -> io::Result<()> {
    let mut registers = ptrace::registers(tid)?;
    registers.r10 = shortened.original;
    ptrace::set_registers(tid, &registers)
}

/// Whether `signal` is about to be delivered to a stopped thread.
pub fn is_pending(tid: i32, signal: i32) -> bool {
    Signals::of(tid).is_some_and(|signals| signals.pending & bit(signal) != 0)
}

/// Whether `signal`, which a stopped thread is about to get, runs a handler or stops the process.
pub fn is_noticed(tid: i32, signal: i32) -> bool {
    Signals::of(tid).is_some_and(|signals| {
        Signals {
            pending: bit(signal),
            blocked: 0,
            ..signals
        }
        .awaited()
    })
}

/// Signals that stop a process, unless they are caught or ignored.
const STOPPING: u64 =
    bit(libc::SIGSTOP) | bit(libc::SIGTSTP) | bit(libc::SIGTTIN) | bit(libc::SIGTTOU);

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Sets of signals of one thread, from `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default)]
struct Signals {
    pending: u64,
    blocked: u64,
    caught: u64,
    ignored: u64,
}

impl Signals {
    /// Of a thread; `None` when it is gone.
    fn of(tid: i32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
        let mut signals = Self::default();
        for line in text.lines() {
            let Some((name, set)) = line.split_once(":\t") else {
                continue;
            };
            let set = || u64::from_str_radix(set.trim(), 16).unwrap_or(0);
            match name {
                "SigPnd" | "ShdPnd" => signals.pending |= set(),
                "SigBlk" => signals.blocked = set(),
                "SigCgt" => signals.caught = set(),
                "SigIgn" => signals.ignored = set(),
                _ => {}
            }
        }
        Some(signals)
    }

    /// Whether a handler is about to run, or the process about to stop: the program must see its EINTR (signal(7)).
    fn awaited(self) -> bool {
        self.pending & !self.blocked & (self.caught | STOPPING & !self.ignored) != 0
    }
}

/// A sleep that was seen just before the thread was asked to stop.
#[derive(Clone, Copy, Debug)]
pub struct Slept {
    /// How long it had lasted then, at least.
    pub waited_ns: i64,
    switches: u64,
}

impl Slept {
    /// Whether the thread, which is stopped now, has slept on until then: its stop is the only sleep since.
    pub fn until_stopped(self, tid: i32) -> bool {
        voluntary_switches(tid) == Some(self.switches + 1)
    }
}

/// How often a thread went to sleep (proc(5)).
fn voluntary_switches(tid: i32) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/{tid}/status"))
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?
        .trim()
        .parse()
        .ok()
}

/// For how long threads have slept, by the scheduler's own note of when each ran last: `se.exec_start` of
/// `/proc/PID/sched` (kernel/sched/debug.c).
///
/// That note is on the clock of the processor that the thread ran on, which stands still while the processor serves
/// interrupts. The calling thread therefore goes to the same processor for a moment and compares; the answer is never
/// more than the true time.
#[derive(Debug, Default)]
pub struct Sleeping {
    /// By processor: what its clock says when ours says what.
    clocks: HashMap<usize, (f64, i64)>,
}

impl Sleeping {
    /// The sleep of a thread that waits in a call with a time limit in a register; `None`: it does not, or that is unknown.
    pub fn in_call(&mut self, pid: i32, tid: i32) -> Option<Slept> {
        let switches = voluntary_switches(tid)?;
        // "number arguments… stack-pointer instruction-pointer", or "running" (proc(5)).
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall")).ok()?;
        let number = text.split_ascii_whitespace().next()?.parse().ok()?;
        if !matches!(number, libc::SYS_epoll_wait | libc::SYS_epoll_pwait) {
            return None;
        }
        Some(Slept {
            waited_ns: self.asleep_ns(pid, tid)?.max(0),
            switches,
        })
    }

    fn asleep_ns(&mut self, pid: i32, tid: i32) -> Option<i64> {
        let last_ms = last_ran_ms(&format!("/proc/{pid}/task/{tid}/sched"))?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
        // Field 39; the second is a name in parentheses that may hold anything.
        let processor = stat
            .rsplit_once(')')?
            .1
            .split_ascii_whitespace()
            .nth(36)?
            .parse()
            .ok()?;
        let (clock_ms, read_ns) = match self.clocks.get(&processor) {
            Some(known) => *known,
            None => *self.clocks.entry(processor).or_insert(clock_of(processor)?),
        };
        let since_read = Clock::monotonic_ns() - read_ns;
        Some(((clock_ms - last_ms) * 1e6) as i64 + if clock_ms >= last_ms { since_read } else { 0 })
    }
}

fn clock_of(processor: usize) -> Option<(f64, i64)> {
    let own = Pid::from_raw(0);
    let allowed = sched_getaffinity(own).ok()?;
    let mut there = CpuSet::new();
    there.set(processor).ok()?;
    sched_setaffinity(own, &there).ok()?;
    let now = last_ran_ms("/proc/thread-self/sched");
    let read_ns = Clock::monotonic_ns();
    let _ = sched_setaffinity(own, &allowed);
    now.map(|now| (now, read_ns))
}

fn last_ran_ms(path: &str) -> Option<f64> {
    std::fs::read_to_string(path)
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("se.exec_start"))?
        .rsplit_once(':')?
        .1
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_signal_with_a_handler_is_awaited_unless_it_is_blocked() {
        let caught = Signals {
            pending: 0b10,
            caught: 0b10,
            ..Signals::default()
        };
        assert!(caught.awaited());
        let blocked = Signals {
            blocked: 0b10,
            ..caught
        };
        assert!(!blocked.awaited());
        let stops = Signals {
            pending: STOPPING,
            ..Signals::default()
        };
        assert!(stops.awaited());
        assert!(
            !Signals {
                ignored: STOPPING,
                ..stops
            }
            .awaited()
        );
        assert!(
            !Signals {
                caught: 0,
                ..caught
            }
            .awaited()
        );
    }

    #[test]
    fn a_thread_that_just_ran_has_not_slept_long() {
        // The reading thread runs: the scheduler's note of it is of now, on whichever processor.
        let tid = nix::unistd::gettid().as_raw();
        if let Some(asleep) = Sleeping::default().asleep_ns(std::process::id() as i32, tid) {
            assert!(asleep < 60_000_000_000, "{asleep}");
        }
    }
}
