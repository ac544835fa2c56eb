//! The system calls that are followed, by their numbers on x86-64, and how each uses its arguments.

use libc::c_long;

/// What a call does with its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Makes sockets; there is no descriptor argument.
    None,
    /// A descriptor that is a socket, or the call fails with ENOTSOCK.
    Socket,
    /// Any descriptor: the call matters only when it is a socket.
    Any,
    /// Watches many descriptors.
    Set,
}

/// A system call that is followed.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its number.
    pub number: u32,
    /// What its first argument is.
    pub subject: Subject,
}

const fn spec(number: c_long, subject: Subject) -> Spec {
    Spec {
        number: number as u32,
        subject,
    }
}

/// Calls that can give a program its first socket, or hide one from us: followed from the start.
pub const FIRST: [Spec; 4] = [
    spec(libc::SYS_socket, Subject::None),
    spec(libc::SYS_socketpair, Subject::None),
    spec(libc::SYS_pidfd_getfd, Subject::None),
    spec(libc::SYS_io_uring_setup, Subject::None),
];

/// Calls followed only once a program has a socket.
pub const LATER: [Spec; 42] = [
    spec(libc::SYS_read, Subject::Any),
    spec(libc::SYS_write, Subject::Any),
    spec(libc::SYS_readv, Subject::Any),
    spec(libc::SYS_writev, Subject::Any),
    spec(libc::SYS_close, Subject::Any),
    spec(libc::SYS_connect, Subject::Socket),
    spec(libc::SYS_accept, Subject::Socket),
    spec(libc::SYS_accept4, Subject::Socket),
    spec(libc::SYS_sendto, Subject::Socket),
    spec(libc::SYS_recvfrom, Subject::Socket),
    spec(libc::SYS_sendmsg, Subject::Socket),
    spec(libc::SYS_recvmsg, Subject::Socket),
    spec(libc::SYS_sendmmsg, Subject::Socket),
    spec(libc::SYS_recvmmsg, Subject::Socket),
    spec(libc::SYS_shutdown, Subject::Socket),
    spec(libc::SYS_bind, Subject::Socket),
    spec(libc::SYS_listen, Subject::Socket),
    spec(libc::SYS_getsockname, Subject::Socket),
    spec(libc::SYS_getpeername, Subject::Socket),
    spec(libc::SYS_setsockopt, Subject::Socket),
    spec(libc::SYS_getsockopt, Subject::Socket),
    spec(libc::SYS_sendfile, Subject::Any),
    spec(libc::SYS_splice, Subject::Any),
    spec(libc::SYS_dup, Subject::Any),
    spec(libc::SYS_dup2, Subject::Any),
    spec(libc::SYS_dup3, Subject::Any),
    spec(libc::SYS_fcntl, Subject::Any),
    spec(libc::SYS_ioctl, Subject::Any),
    spec(libc::SYS_close_range, Subject::Set),
    spec(libc::SYS_poll, Subject::Set),
    spec(libc::SYS_ppoll, Subject::Set),
    spec(libc::SYS_select, Subject::Set),
    spec(libc::SYS_pselect6, Subject::Set),
    spec(libc::SYS_epoll_ctl, Subject::Set),
    spec(libc::SYS_epoll_wait, Subject::Set),
    spec(libc::SYS_epoll_pwait, Subject::Set),
    spec(libc::SYS_epoll_pwait2, Subject::Set),
    spec(libc::SYS_socket, Subject::None),
    spec(libc::SYS_socketpair, Subject::None),
    spec(libc::SYS_pidfd_getfd, Subject::None),
    spec(libc::SYS_io_uring_setup, Subject::None),
    // Begins again an interrupted poll (signal(7), restart_syscall(2)).
    spec(libc::SYS_restart_syscall, Subject::None),
];

/// How the call uses its first argument, or `None` when it is not followed.
pub fn subject(number: u64) -> Option<Subject> {
    LATER
        .iter()
        .find(|spec| u64::from(spec.number) == number)
        .map(|spec| spec.subject)
}
