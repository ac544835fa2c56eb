//! Which system calls stop for the tracer, from the one table of `wallsocket_kernel::syscalls`.

use wallsocket_kernel::syscalls::{NONE, SYSCALLS, Syscall};
pub use wallsocket_kernel::syscalls::{Subject, subject};

/// Calls that can give a program its first socket, or hide one from us: followed from the start.
pub fn first() -> impl Iterator<Item = &'static Syscall> {
    // Not restart_syscall, which begins again what another call was.
    later().filter(|call| {
        call.subject == Subject::New && i64::from(call.number()) != libc::SYS_restart_syscall
    })
}

/// Calls followed once a program has a socket.
pub fn later() -> impl Iterator<Item = &'static Syscall> {
    SYSCALLS
        .iter()
        .filter(|call| call.subject != Subject::Unfollowed && call.number() != NONE)
}
