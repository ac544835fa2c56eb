//! `ptrace(2)` and `waitpid(2)` as a tracer needs them.
//!
//! `nix` has both, but its signal type knows no real-time signals: a status that names one is an error there and lost.

use std::io;

use libc::{c_long, c_void};

/// What a wait reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The thread ended with this exit status.
    Exited(i32),
    /// The thread was ended by this signal.
    Killed(i32),
    /// A system call begins or ends (`PTRACE_O_TRACESYSGOOD`).
    Syscall,
    /// A `PTRACE_EVENT_*` stop: event and signal.
    Event(i32, i32),
    /// A signal is about to be delivered.
    Signal(i32),
}

/// The registers of a stopped thread, `struct user_regs_struct`.
pub type Registers = libc::user_regs_struct;

/// The arguments of a call in the registers of its thread.
pub const fn arguments_in(registers: &Registers) -> [u64; 6] {
    [
        registers.rdi,
        registers.rsi,
        registers.rdx,
        registers.r10,
        registers.r8,
        registers.r9,
    ]
}

/// Puts the arguments of a call into registers.
pub const fn set_arguments(registers: &mut Registers, arguments: [u64; 6]) {
    [
        registers.rdi,
        registers.rsi,
        registers.rdx,
        registers.r10,
        registers.r8,
        registers.r9,
    ] = arguments;
}

/// Options for a running program that was there before its tracer and outlives it: its future descendants, exec, exit.
///
/// Without `PTRACE_O_TRACESECCOMP`, so that filters of its own answer as they do without a tracer.
pub const ATTACH_OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT;

/// Options for a program that we start: also seccomp, and death of the targets with the tracer.
pub const OPTIONS: i32 = ATTACH_OPTIONS | libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL;

/// Option: a stop also when a child of `vfork` has given its parent's memory back.
pub const VFORK_DONE: i32 = libc::PTRACE_O_TRACEVFORKDONE;

/// Where in a system call a thread is stopped, whatever stopped it: the end of `PTRACE_SYSCALL` or a seccomp filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStop {
    /// At its beginning.
    Entry {
        /// `AUDIT_ARCH_*`: which table of numbers is meant.
        architecture: u32,
        /// System-call number.
        number: i64,
        /// Arguments as the registers hold them.
        arguments: [u64; 6],
        /// Stack pointer.
        stack_pointer: u64,
        /// The data that the filter answered with (`SECCOMP_RET_DATA`); `None`: no filter stopped it.
        filter: Option<u16>,
    },
    /// At its end, with what it returned.
    Exit(i64),
    /// In none.
    Elsewhere,
}

/// Waits for a change of any child (`tid` -1) or of one thread. `Ok(None)`: with `poll`, nothing has happened.
///
/// Errors with `EINTR` when a signal handler ran, `ECHILD` when there is nothing left to wait for.
pub fn wait(tid: i32, poll: bool) -> io::Result<Option<(i32, Event)>> {
    let mut status = 0;
    let flags = libc::__WALL | if poll { libc::WNOHANG } else { 0 };
    // SAFETY: the kernel writes one int through the pointer, which is valid for the call.
    let pid = unsafe { libc::waitpid(tid, &raw mut status, flags) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        return Ok(None);
    }
    let event = if libc::WIFEXITED(status) {
        Event::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Event::Killed(libc::WTERMSIG(status))
    } else {
        let signal = libc::WSTOPSIG(status);
        match (status >> 16, signal) {
            (0, signal) if signal == libc::SIGTRAP | 0x80 => Event::Syscall,
            (0, signal) => Event::Signal(signal),
            (event, signal) => Event::Event(event, signal & 0x7F),
        }
    };
    Ok(Some((pid, event)))
}

fn request(request: libc::c_uint, tid: i32, address: usize, data: usize) -> io::Result<c_long> {
    // SAFETY: only called below with requests whose pointers, if any, point to live memory of the right size.
    let result = unsafe { libc::ptrace(request, tid, address as *mut c_void, data as *mut c_void) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// Begins to trace `tid` without stopping it.
pub fn seize(tid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, options as usize).map(drop)
}

/// Lets a stopped thread run on, delivering `signal` (0: none).
pub fn resume(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, tid, 0, signal as usize).map(drop)
}

/// Like [`resume`], but stops it at the next beginning or end of a system call.
pub fn resume_to_syscall(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, tid, 0, signal as usize).map(drop)
}

/// Leaves a thread in its group-stop, and reports when that ends.
pub fn listen(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, tid, 0, 0).map(drop)
}

/// Stops a running thread.
pub fn interrupt(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop)
}

/// Ends the tracing of a stopped thread.
pub fn detach(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, 0, signal as usize).map(drop)
}

/// The message of the event that the thread is stopped at: the new thread's id, the exit status, the former thread id.
pub fn event_message(tid: i32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, tid, 0, &raw mut message as usize)?;
    Ok(message)
}

/// Reads all registers of a stopped thread.
pub fn registers(tid: i32) -> io::Result<Registers> {
    // SAFETY: user_regs_struct is plain integers, for which zero is a value.
    let mut registers: Registers = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, tid, 0, &raw mut registers as usize)?;
    Ok(registers)
}

/// Writes all registers of a stopped thread.
pub fn set_registers(tid: i32, registers: &Registers) -> io::Result<()> {
    request(libc::PTRACE_SETREGS, tid, 0, &raw const *registers as usize).map(drop)
}

/// Writes one word into the memory of a stopped thread, also where the program itself may only read.
pub fn poke(tid: i32, address: u64, word: u64) -> io::Result<()> {
    request(libc::PTRACE_POKEDATA, tid, address as usize, word as usize).map(drop)
}

/// Asks which system call a thread is stopped in (`PTRACE_GET_SYSCALL_INFO`, Linux 5.3).
pub fn call_stop(tid: i32) -> io::Result<CallStop> {
    const SIZE: usize = 88; // struct ptrace_syscall_info (linux/ptrace.h)
    const GET_SYSCALL_INFO: libc::c_uint = 0x420E;
    let mut bytes = [0u8; SIZE];
    request(GET_SYSCALL_INFO, tid, SIZE, bytes.as_mut_ptr() as usize)?;
    let long = |offset: usize| {
        bytes[offset..offset + 8]
            .try_into()
            .map_or(0, u64::from_ne_bytes)
    };
    Ok(match bytes[0] {
        // PTRACE_SYSCALL_INFO_ENTRY and _SECCOMP begin alike.
        kind @ (1 | 3) => CallStop::Entry {
            architecture: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            stack_pointer: long(16),
            number: long(24) as i64,
            arguments: std::array::from_fn(|index| long(32 + index * 8)),
            filter: (kind == 3).then(|| long(80) as u16),
        },
        2 => CallStop::Exit(long(24) as i64),
        _ => CallStop::Elsewhere,
    })
}

/// The register that holds a system call's result, alone: cheaper than [`registers`].
pub fn result(tid: i32) -> io::Result<i64> {
    let offset = std::mem::offset_of!(Registers, rax);
    // The raw call returns the word through a pointer; the libc function returns it, with errno to tell -1 from an error.
    let mut word: c_long = 0;
    // SAFETY: the kernel writes one word through the last argument, which is valid for the call.
    let status = unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            libc::PTRACE_PEEKUSER,
            tid,
            offset,
            &raw mut word,
        )
    };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(word)
}

/// Makes `signal` interrupt a blocking [`wait`] of this process instead of ending it.
pub fn interruptible_by(signal: i32) -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: the handler does nothing, so it may run anywhere; the structure is zero but for its address.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Which signals this process inherited as ignored, and its signal mask.
pub fn inherited_signals() -> io::Result<(Vec<nix::sys::signal::Signal>, nix::sys::signal::SigSet)>
{
    let mut ignored = Vec::new();
    for signal in nix::sys::signal::Signal::iterator() {
        // SAFETY: a null new action only asks; the kernel fills the old one, which is valid for the call.
        let action = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal as i32, std::ptr::null(), &raw mut action) < 0 {
                continue;
            }
            action.sa_sigaction
        };
        if action == libc::SIG_IGN {
            ignored.push(signal);
        }
    }
    Ok((ignored, nix::sys::signal::SigSet::thread_get_mask()?))
}

/// Ignores `signal` in this process.
pub fn ignore(signal: nix::sys::signal::Signal) -> io::Result<()> {
    // SAFETY: no handler of ours is installed.
    unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn) }?;
    Ok(())
}

/// The thread that calls this, so that others can interrupt its [`wait`].
#[derive(Clone, Copy, Debug)]
pub struct Waiter(libc::pthread_t);

impl Waiter {
    /// The calling thread.
    pub fn current() -> Self {
        // SAFETY: pthread_self has no conditions.
        Self(unsafe { libc::pthread_self() })
    }

    /// Sends `signal` (see [`interruptible_by`]) to that thread, which must not have ended.
    pub fn interrupt(self, signal: i32) {
        // SAFETY: the tracing thread lives as long as the process.
        unsafe { libc::pthread_kill(self.0, signal) };
    }
}

/// Whether a thread shares its core with others in turn: no real-time policy, no deadline (sched(7)).
pub fn is_time_sharing(tid: i32) -> bool {
    // SAFETY: takes two numbers; touches no memory.
    let policy = unsafe { libc::sched_getscheduler(tid) };
    [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE].contains(&policy)
}

/// The signals that a stopped thread blocks: bit `n - 1` for signal `n`.
pub fn blocked_signals(tid: i32) -> io::Result<u64> {
    let mut set = 0u64;
    request(GET_SIGNAL_MASK, tid, 8, &raw mut set as usize)?;
    Ok(set)
}

/// Makes a stopped thread block these signals; the kernel leaves out SIGKILL and SIGSTOP.
///
/// Not while it is in a call that has a mask of its own (ppoll, sigsuspend…): the former mask would not come back.
pub fn block_signals(tid: i32, set: u64) -> io::Result<()> {
    request(SET_SIGNAL_MASK, tid, 8, &raw const set as usize).map(drop)
}

// linux/ptrace.h
const GET_SIGNAL_MASK: libc::c_uint = 0x420A;
const SET_SIGNAL_MASK: libc::c_uint = 0x420B;
