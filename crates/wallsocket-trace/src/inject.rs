//! Having a stopped target make system calls for us: installing a further seccomp filter in it.
//!
//! This is the one thing that cannot be had from outside: a filter can only be installed by the process itself, and one
//! that stops at `read` and `write` before the program has a socket would make every access to a file cost two switches.
//!
//! The thread is stopped at the entry of a call of its own. That call is replaced by ours, more of ours follow, and at
//! the end the registers are as they were and the instruction pointer stands before the `syscall` instruction, so that
//! the program's call begins anew. The filter program is placed in a page of its own: below the stack pointer there may
//! be no room (Go's stacks are small).
//!
//! Nothing else may happen to the thread meanwhile. Signals are blocked, so that they wait where they are; a stop signal,
//! which cannot be blocked, takes effect, and the thread is asked to stop once more at the end, so that it joins its
//! process. Each stop is resumed once, whatever interrupts our waiting for the next.

use nix::unistd::Pid;
use wallsocket_sys::ptrace::{self, CallStop, Event, Registers, set_arguments};
use wallsocket_sys::seccomp::{self, Instruction};

use crate::interrupted::SYSCALL_INSTRUCTION;
use crate::memory;

const PAGE: u64 = 4096;

/// Why filters could not be installed.
#[derive(Debug)]
pub enum Failed {
    /// The thread ended meanwhile, or its process runs another program: this is to be handled, or the next wait tells.
    Ended(Option<Event>),
    /// The kernel or the program's own filter refused.
    Refused(String),
}

struct Session {
    tid: i32,
    original: Registers,
    /// The program's own call has not been replaced yet.
    fresh: bool,
    /// A stop signal took effect.
    stopped: bool,
}

/// Installs `programs` in every thread of the process, and leaves the thread at the beginning of its own call.
///
/// The thread must have no filter of its own: it would judge our calls.
pub fn install(tid: i32, programs: &[Vec<Instruction>]) -> Result<(), Failed> {
    let original = ptrace::registers(tid).map_err(gone)?;
    let blocked = ptrace::blocked_signals(tid).map_err(gone)?;
    ptrace::block_signals(tid, u64::MAX).map_err(gone)?;
    let mut session = Session {
        tid,
        original,
        fresh: true,
        stopped: false,
    };
    let outcome = session.install(programs);
    if matches!(outcome, Err(Failed::Ended(_))) {
        return outcome;
    }
    session.restore().map_err(gone)?;
    ptrace::block_signals(tid, blocked).map_err(gone)?;
    if session.stopped {
        ptrace::interrupt(tid).map_err(gone)?;
    }
    outcome
}

/// A request failed because the thread was killed; the wait will report it.
fn gone(_: std::io::Error) -> Failed {
    Failed::Ended(None)
}

impl Session {
    fn install(&mut self, programs: &[Vec<Instruction>]) -> Result<(), Failed> {
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        let page = self.call(libc::SYS_mmap, [0, PAGE, protection, flags, u64::MAX, 0])?;
        if (-4095..0).contains(&page) {
            return Err(Failed::Refused(format!("mmap: {}", error_text(page))));
        }
        let page = page as u64;
        let mut outcome = Ok(());
        for program in programs {
            if !memory::write(
                Pid::from_raw(self.tid),
                page,
                &seccomp::image(program, page),
            ) {
                outcome = Err(Failed::Refused("its memory cannot be written".into()));
                break;
            }
            let arguments = [seccomp::SET_MODE_FILTER, seccomp::FLAG_TSYNC, page, 0, 0, 0];
            let result = self.call(libc::SYS_seccomp, arguments)?;
            if result != 0 {
                let reason = if result > 0 {
                    format!("thread {result} has a filter of its own")
                } else {
                    format!("seccomp: {}", error_text(result))
                };
                outcome = Err(Failed::Refused(reason));
                break;
            }
        }
        self.call(libc::SYS_munmap, [page, PAGE, 0, 0, 0, 0])?;
        outcome
    }

    /// Makes the thread run one system call, and gives its result.
    fn call(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Failed> {
        let mut registers = self.original;
        set_arguments(&mut registers, arguments);
        if std::mem::take(&mut self.fresh) {
            // Stopped at an entry: this call takes the place of the program's own.
            registers.orig_rax = number as u64;
        } else {
            // Stopped at an exit: execute the instruction again.
            registers.rip = self.original.rip - SYSCALL_INSTRUCTION;
            registers.rax = number as u64;
            registers.orig_rax = u64::MAX;
        }
        ptrace::set_registers(self.tid, &registers).map_err(gone)?;
        loop {
            self.step()?;
            if let CallStop::Exit(result) = ptrace::call_stop(self.tid).map_err(gone)? {
                return Ok(result);
            }
        }
    }

    /// Runs the thread to its next stop at the beginning or end of a call.
    fn step(&mut self) -> Result<(), Failed> {
        let mut signal = 0;
        loop {
            // If the thread was killed this fails, and the wait reports it.
            let _ = ptrace::resume_to_syscall(self.tid, signal);
            signal = 0;
            match self.wait()? {
                Event::Syscall => return Ok(()),
                // All others are blocked.
                Event::Signal(stopping) => signal = stopping,
                Event::Event(libc::PTRACE_EVENT_STOP, stopping) => {
                    self.stopped |= stopping != libc::SIGTRAP;
                }
                // Our first filter stops at calls that install filters.
                Event::Event(libc::PTRACE_EVENT_SECCOMP, _) => {}
                event => return Err(Failed::Ended(Some(event))),
            }
        }
    }

    /// Waits for the thread's next stop. An interrupted wait is no stop: the thread runs, or its stop is still to be told.
    fn wait(&self) -> Result<Event, Failed> {
        loop {
            match ptrace::wait(self.tid, false) {
                Ok(Some((_, event))) => return Ok(event),
                Ok(None) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(gone(error)),
            }
        }
    }

    fn restore(&self) -> std::io::Result<()> {
        let mut registers = self.original;
        registers.rip -= SYSCALL_INSTRUCTION;
        registers.rax = self.original.orig_rax;
        registers.orig_rax = u64::MAX;
        ptrace::set_registers(self.tid, &registers)
    }
}

fn error_text(result: i64) -> String {
    std::io::Error::from_raw_os_error((-result) as i32).to_string()
}
