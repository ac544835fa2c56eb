//! Starting the program that is to be traced: fork, wait until the tracer holds the child, install the filter, exec.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal};
use nix::unistd::{ForkResult, Gid, Pid, Uid};

use crate::seccomp::{self, Instruction};

/// Whom a program shall run as, when the caller is root.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Path of the program file.
    pub path: CString,
    /// Argument vector, the program's name included.
    pub arguments: Vec<CString>,
    /// Environment, `NAME=value`.
    pub environment: Vec<CString>,
    /// User to become, or `None` to stay.
    pub credentials: Option<Credentials>,
    /// Filter to install just before exec.
    pub filter: Vec<Instruction>,
    /// Set-uid programs keep their rights: the filter comes without [`seccomp::no_new_privileges`], which only root can.
    pub keep_privileges: bool,
    /// Signals that the program shall ignore, as its parent's parent did; all others get their default action.
    pub ignored: Vec<Signal>,
    /// The same for signals 32 and 33, which glibc keeps for itself and its functions refuse to name.
    pub ignored_internal: Vec<i32>,
    /// Signal mask to give it.
    pub mask: SigSet,
    /// Descriptors to put at 0, 1 and 2; `None`: nothing is open there.
    pub streams: [Option<i32>; 3],
}

/// A child that waits, before exec, for [`Waiting::go`].
#[derive(Debug)]
pub struct Waiting {
    /// Its process id.
    pub pid: Pid,
    go: std::fs::File,
    failure: std::fs::File,
}

/// Which step before exec failed, and why.
#[derive(Debug)]
pub struct Failure {
    /// `filter`, `user` or `exec`.
    pub step: &'static str,
    /// The error.
    pub error: io::Error,
}

const STEPS: [&str; 3] = ["filter", "user", "exec"];

/// Forks a child that will run `program`. The calling process must have one thread only.
pub fn prepare(program: &Program) -> io::Result<Waiting> {
    fork_waiting(|go| match run(program, go) {
        Ok(never) => match never {},
        Err(failed) => failed,
    })
}

/// Forks a child that will make `count` cheap system calls, getppid, under `filter`, and end: to measure what a stop costs.
///
/// The calling process must have one thread only.
pub fn prepare_probe(filter: &[Instruction], count: u32) -> io::Result<Waiting> {
    fork_waiting(|go| {
        let result = wait_for_parent(go)
            .and_then(|()| seccomp::no_new_privileges())
            .and_then(|()| seccomp::install(filter));
        for _ in 0..if result.is_ok() { count } else { 0 } {
            nix::unistd::getppid();
        }
        (2, io::Error::from_raw_os_error(0))
    })
}

fn fork_waiting(child_side: impl FnOnce(OwnedFd) -> (u8, io::Error)) -> io::Result<Waiting> {
    let (go_read, go_write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let (failure_read, failure_write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: this process has one thread (the callers' promise), so the child may run any code.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => {
            drop((go_read, failure_write));
            Ok(Waiting {
                pid: child,
                go: go_write.into(),
                failure: failure_read.into(),
            })
        }
        ForkResult::Child => {
            drop((go_write, failure_read));
            let (step, error) = child_side(go_read);
            let mut message = [0u8; 5];
            message[0] = step;
            message[1..].copy_from_slice(&error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes());
            let _ = std::fs::File::from(failure_write).write_all(&message);
            // SAFETY: _exit ends the child at once, without running the parent's exit handlers.
            unsafe { libc::_exit(127) }
        }
    }
}

/// Blocks until the tracer holds this child; an error when it gave up.
fn wait_for_parent(go: OwnedFd) -> io::Result<()> {
    let mut byte = [0u8; 1];
    // The parent closes its end when it gives up.
    if std::fs::File::from(go).read(&mut byte)? == 0 {
        return Err(io::Error::from_raw_os_error(libc::ECANCELED));
    }
    Ok(())
}

/// The child's side: returns only on failure.
fn run(program: &Program, go: OwnedFd) -> Result<std::convert::Infallible, (u8, io::Error)> {
    wait_for_parent(go).map_err(|error| (2, error))?;
    for number in 1..=64 {
        let Ok(signal) = Signal::try_from(number) else {
            continue;
        };
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            continue;
        }
        let action = if program.ignored.contains(&signal) {
            SigHandler::SigIgn
        } else {
            SigHandler::SigDfl
        };
        // SAFETY: installs no handler of ours, only the default action or "ignore".
        let _ = unsafe { nix::sys::signal::signal(signal, action) };
    }
    // posix_spawn(3) of glibc, which started this process, ignores its two internal signals whatever they were before.
    for signal in 32..=33 {
        let handler = if program.ignored_internal.contains(&signal) {
            libc::SIG_IGN as u64
        } else {
            libc::SIG_DFL as u64
        };
        let action = [handler, 0, 0, 0];
        // SAFETY: the kernel reads a struct kernel_sigaction, 32 bytes, that names no handler of ours.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                action.as_ptr(),
                std::ptr::null::<u64>(),
                8,
            )
        };
    }
    for (target, source) in program.streams.iter().enumerate() {
        let target = target as i32;
        // SAFETY: calls on plain numbers; a bad number gives an error and no harm.
        unsafe {
            match *source {
                Some(source) if source == target => libc::fcntl(target, libc::F_SETFD, 0),
                Some(source) => libc::dup2(source, target),
                None => libc::close(target),
            }
        };
    }
    if !program.filter.is_empty() {
        // While we are root still, if we are; uid 0 alone, as in many containers, is not enough.
        if !program.keep_privileges || seccomp::install(&program.filter).is_err() {
            seccomp::no_new_privileges().map_err(|error| (0, error))?;
            seccomp::install(&program.filter).map_err(|error| (0, error))?;
        }
    }
    if let Some(credentials) = &program.credentials {
        let groups: Vec<Gid> = credentials
            .groups
            .iter()
            .copied()
            .map(Gid::from_raw)
            .collect();
        let gid = Gid::from_raw(credentials.gid);
        let uid = Uid::from_raw(credentials.uid);
        nix::unistd::setgroups(&groups).map_err(|error| (1, error.into()))?;
        nix::unistd::setresgid(gid, gid, gid).map_err(|error| (1, error.into()))?;
        nix::unistd::setresuid(uid, uid, uid).map_err(|error| (1, error.into()))?;
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&program.mask), None)
        .map_err(|error| (2, error.into()))?;
    match nix::unistd::execve(&program.path, &program.arguments, &program.environment) {
        Ok(never) => Ok(never),
        Err(nix::errno::Errno::ENOEXEC) if is_text(&program.path) => {
            // A script without an interpreter line: the shell runs it, as execvp(3) does.
            let shell = CString::new("/bin/sh").map_err(|error| (2, error.into()))?;
            let mut arguments = vec![shell.clone(), program.path.clone()];
            arguments.extend(program.arguments.iter().skip(1).cloned());
            nix::unistd::execve(&shell, &arguments, &program.environment)
                .map_err(|error| (2, error.into()))
        }
        Err(error) => Err((2, error.into())),
    }
}

/// Whether a file may be a shell script: it has no zero byte in its beginning, which is how shells tell (bash, execute_cmd.c).
fn is_text(path: &CString) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let mut beginning = Vec::new();
    std::fs::File::open(std::ffi::OsStr::from_bytes(path.as_bytes()))
        .and_then(|file| file.take(128).read_to_end(&mut beginning))
        .is_ok()
        && !beginning.contains(&0)
}

impl Waiting {
    /// Lets the child go on to exec. Does not wait for it.
    pub fn go(&mut self) -> io::Result<()> {
        self.go.write_all(b"g")
    }

    /// After the child has run exec or ended: why it could not run the program, if it could not.
    ///
    /// Blocks until one of the two has happened.
    pub fn failure(&mut self) -> Option<Failure> {
        let mut message = [0u8; 5];
        self.failure.read_exact(&mut message).ok()?;
        let errno = i32::from_le_bytes([message[1], message[2], message[3], message[4]]);
        Some(Failure {
            step: STEPS
                .get(usize::from(message[0]))
                .copied()
                .unwrap_or("exec"),
            error: io::Error::from_raw_os_error(errno),
        })
    }
}
