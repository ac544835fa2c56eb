//! Having a stopped target make system calls for us: installing a further seccomp filter in it.
//!
//! The thread is stopped at the entry of a call of its own. That call is replaced by ours, more of ours follow, and at
//! the end the registers are as they were and the instruction pointer stands before the `syscall` instruction, so that
//! the program's call begins anew. The filter program is placed in a page of its own: below the stack pointer there may
//! be no room (Go's stacks are small).

use nix::unistd::Pid;
use wallsocket_sys::ptrace::{self, Event, Registers};
use wallsocket_sys::seccomp::{self, Instruction};

use crate::interrupted::SYSCALL_INSTRUCTION;
use crate::memory;

const PAGE: u64 = 4096;

/// Why filters could not be installed.
#[derive(Debug)]
pub enum Failed {
    /// The thread ended meanwhile, with this event.
    Ended(Event),
    /// The kernel or the program's own filter refused.
    Refused(String),
}

struct Session {
    tid: i32,
    process: i32,
    original: Registers,
    /// The program's own call has not been replaced yet.
    fresh: bool,
    held: Vec<(i32, [u8; 128])>,
}

/// Installs `programs` in every thread of the process, and leaves the thread at the beginning of its own call.
pub fn install(
    tid: i32,
    process: i32,
    registers: &Registers,
    programs: &[Vec<Instruction>],
) -> Result<(), Failed> {
    let mut session = Session {
        tid,
        process,
        original: *registers,
        fresh: true,
        held: Vec::new(),
    };
    let outcome = session.install(programs);
    if let Err(Failed::Ended(_)) = outcome {
        return outcome;
    }
    session.restore();
    outcome
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

    /// Makes the thread run one system call.
    fn call(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Failed> {
        let mut registers = self.original;
        [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ] = arguments;
        let gone = |_| Failed::Ended(Event::Killed(libc::SIGKILL));
        if std::mem::take(&mut self.fresh) {
            // Stopped at an entry: this call takes the place of the program's own.
            registers.orig_rax = number as u64;
            ptrace::set_registers(self.tid, &registers).map_err(gone)?;
        } else {
            // Stopped at an exit: execute the instruction again.
            registers.rip = self.original.rip - SYSCALL_INSTRUCTION;
            registers.rax = number as u64;
            registers.orig_rax = u64::MAX;
            ptrace::set_registers(self.tid, &registers).map_err(gone)?;
            self.step()?;
        }
        self.step()?;
        ptrace::result(self.tid).map_err(gone)
    }

    /// Runs the thread to its next stop at the beginning or end of a call. Signals are held back.
    fn step(&mut self) -> Result<(), Failed> {
        loop {
            // If the thread was killed this fails, and the wait reports it.
            let _ = ptrace::resume_to_syscall(self.tid, 0);
            match ptrace::wait(self.tid, false) {
                Ok(Some((_, Event::Syscall))) => return Ok(()),
                Ok(Some((_, event @ (Event::Exited(_) | Event::Killed(_))))) => {
                    return Err(Failed::Ended(event));
                }
                Ok(Some((_, Event::Signal(signal)))) => {
                    if let Ok(information) = ptrace::signal_information(self.tid) {
                        self.held.push((signal, information));
                    }
                }
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(_) => return Err(Failed::Ended(Event::Killed(libc::SIGKILL))),
            }
        }
    }

    fn restore(&mut self) {
        let mut registers = self.original;
        registers.rip -= SYSCALL_INSTRUCTION;
        registers.rax = self.original.orig_rax;
        registers.orig_rax = u64::MAX;
        let _ = ptrace::set_registers(self.tid, &registers);
        for (signal, information) in self.held.drain(..) {
            let _ = ptrace::redeliver(self.process, self.tid, signal, &information);
        }
    }
}

fn error_text(result: i64) -> String {
    std::io::Error::from_raw_os_error((-result) as i32).to_string()
}
