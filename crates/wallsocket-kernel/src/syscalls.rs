//! The system calls that concern sockets, in one table: name, number by machine, what each does, and where a recording has
//! its arguments.
//!
//! Sources: `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` of Linux 6.x; the numbers of a
//! machine never change. Everything else that says what a call is, in Rust and in Python, reads this table.

/// What a call does with its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Makes sockets; there is no descriptor argument.
    New,
    /// A descriptor that is a socket, or the call fails with ENOTSOCK.
    Socket,
    /// Any descriptor: the call matters only when it is a socket.
    Any,
    /// Watches, or closes, many descriptors.
    Set,
    /// Not followed by a trace; threads are met waiting in it.
    Unfollowed,
}

/// What a call does to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Gives bytes to a socket.
    Send,
    /// Takes bytes from a socket.
    Receive,
    /// Moves bytes either way: `into_socket` says which.
    Either,
    /// Begins a conversation.
    Connect,
    /// Takes a conversation that a peer began.
    Accept,
    /// Ends a conversation or one direction of it.
    End,
    /// Waits for something to happen.
    Wait,
    /// Makes, names or sets up.
    SetUp,
}

/// What the column `value` of a call holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nothing,
    /// Control messages (cmsg(3)).
    Control,
    /// Bytes moved by each message, u32 each.
    Lengths,
    /// A socket option's value.
    Option,
    /// Two descriptors, i32 each.
    Descriptors,
    /// Entries of a poll set after the call: descriptor i32, events u16, returned events u16.
    PollEntries,
    /// The data of an epoll event, u64.
    EpollData,
    /// Returned epoll events: events u32, data u64.
    EpollEvents,
    /// A structure that depends on the request.
    Structure,
}

impl Subject {
    /// Its name outside Rust.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Socket => "socket",
            Self::Any => "any",
            Self::Set => "set",
            Self::Unfollowed => "unfollowed",
        }
    }
}

impl Role {
    /// Its name outside Rust.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Either => "either",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::End => "end",
            Self::Wait => "wait",
            Self::SetUp => "set up",
        }
    }
}

impl Value {
    /// Its name outside Rust.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Control => "control",
            Self::Lengths => "lengths",
            Self::Option => "option",
            Self::Descriptors => "descriptors",
            Self::PollEntries => "poll entries",
            Self::EpollData => "epoll data",
            Self::EpollEvents => "epoll events",
            Self::Structure => "structure",
        }
    }
}

/// A system call.
#[derive(Clone, Copy, Debug)]
pub struct Syscall {
    /// Its name.
    pub name: &'static str,
    /// Its number on x86-64, or [`NONE`].
    pub x86_64: u32,
    /// Its number on aarch64, or [`NONE`].
    pub aarch64: u32,
    /// What its first argument is.
    pub subject: Subject,
    /// What it does to a conversation; of calls on any descriptor when that is a socket.
    pub role: Role,
    /// What the columns `a`, `b` and `c` of a recorded call are, empty where nothing.
    pub arguments: [&'static str; 3],
    /// What the column `value` is.
    pub value: Value,
}

/// The machine has no such call.
pub const NONE: u32 = u32::MAX;

impl Syscall {
    /// Its number on the machine that this is compiled for, or [`NONE`].
    pub const fn number(&self) -> u32 {
        if cfg!(target_arch = "aarch64") {
            self.aarch64
        } else {
            self.x86_64
        }
    }
}

const fn call(
    name: &'static str,
    x86_64: u32,
    aarch64: u32,
    subject: Subject,
    role: Role,
    arguments: [&'static str; 3],
    value: Value,
) -> Syscall {
    Syscall {
        name,
        x86_64,
        aarch64,
        subject,
        role,
        arguments,
        value,
    }
}

/// All of them; the frequent ones first, because filters try them in this order.
pub static SYSCALLS: [Syscall; TABLE.len()] = TABLE;

#[rustfmt::skip]
const TABLE: [Syscall; 62] = [
    call("read", 0, 63, Subject::Any, Role::Receive, ["", "", ""], Value::Nothing),
    call("write", 1, 64, Subject::Any, Role::Send, ["", "", ""], Value::Nothing),
    call("readv", 19, 65, Subject::Any, Role::Receive, ["", "", ""], Value::Nothing),
    call("writev", 20, 66, Subject::Any, Role::Send, ["", "", ""], Value::Nothing),
    call("close", 3, 57, Subject::Any, Role::End, ["", "", ""], Value::Nothing),
    call("connect", 42, 203, Subject::Socket, Role::Connect, ["", "", ""], Value::Nothing),
    call("accept", 43, 202, Subject::Socket, Role::Accept, ["", "", ""], Value::Nothing),
    call("accept4", 288, 242, Subject::Socket, Role::Accept, ["flags", "", ""], Value::Nothing),
    call("sendto", 44, 206, Subject::Socket, Role::Send, ["flags", "", ""], Value::Nothing),
    call("recvfrom", 45, 207, Subject::Socket, Role::Receive, ["flags", "", ""], Value::Nothing),
    call("sendmsg", 46, 211, Subject::Socket, Role::Send, ["flags", "", ""], Value::Control),
    call("recvmsg", 47, 212, Subject::Socket, Role::Receive, ["flags", "", ""], Value::Control),
    call("sendmmsg", 307, 269, Subject::Socket, Role::Send, ["flags", "messages", ""], Value::Lengths),
    call("recvmmsg", 299, 243, Subject::Socket, Role::Receive, ["flags", "messages", ""], Value::Lengths),
    call("shutdown", 48, 210, Subject::Socket, Role::End, ["how", "", ""], Value::Nothing),
    call("bind", 49, 200, Subject::Socket, Role::SetUp, ["", "", ""], Value::Nothing),
    call("listen", 50, 201, Subject::Socket, Role::SetUp, ["backlog", "", ""], Value::Nothing),
    call("getsockname", 51, 204, Subject::Socket, Role::SetUp, ["", "", ""], Value::Nothing),
    call("getpeername", 52, 205, Subject::Socket, Role::SetUp, ["", "", ""], Value::Nothing),
    call("setsockopt", 54, 208, Subject::Socket, Role::SetUp, ["level", "option", "option_length"], Value::Option),
    call("getsockopt", 55, 209, Subject::Socket, Role::SetUp, ["level", "option", "option_length"], Value::Option),
    call("sendfile", 40, 71, Subject::Any, Role::Send, ["other_fd", "", ""], Value::Nothing),
    call("splice", 275, 76, Subject::Any, Role::Either, ["other_fd", "flags", "into_socket"], Value::Nothing),
    call("dup", 32, 23, Subject::Any, Role::SetUp, ["", "", ""], Value::Nothing),
    call("dup2", 33, NONE, Subject::Any, Role::SetUp, ["new_fd", "", ""], Value::Nothing),
    call("dup3", 292, 24, Subject::Any, Role::SetUp, ["new_fd", "flags", ""], Value::Nothing),
    call("fcntl", 72, 25, Subject::Any, Role::SetUp, ["command", "argument", ""], Value::Nothing),
    call("ioctl", 16, 29, Subject::Any, Role::SetUp, ["request", "argument", ""], Value::Structure),
    call("close_range", 436, 436, Subject::Set, Role::End, ["", "last_fd", "flags"], Value::Nothing),
    call("poll", 7, NONE, Subject::Set, Role::Wait, ["entries", "timeout_ms", ""], Value::PollEntries),
    call("ppoll", 271, 73, Subject::Set, Role::Wait, ["entries", "timeout_ms", ""], Value::PollEntries),
    call("select", 23, NONE, Subject::Set, Role::Wait, ["descriptors", "timeout_ms", ""], Value::PollEntries),
    call("pselect6", 270, 72, Subject::Set, Role::Wait, ["descriptors", "timeout_ms", ""], Value::PollEntries),
    call("epoll_ctl", 233, 21, Subject::Set, Role::SetUp, ["operation", "watched_fd", "events"], Value::EpollData),
    call("epoll_wait", 232, NONE, Subject::Set, Role::Wait, ["maximum", "timeout_ms", ""], Value::EpollEvents),
    call("epoll_pwait", 281, 22, Subject::Set, Role::Wait, ["maximum", "timeout_ms", ""], Value::EpollEvents),
    call("epoll_pwait2", 441, 441, Subject::Set, Role::Wait, ["maximum", "timeout_ms", ""], Value::EpollEvents),
    call("socket", 41, 198, Subject::New, Role::SetUp, ["family", "type", "protocol"], Value::Nothing),
    call("socketpair", 53, 199, Subject::New, Role::SetUp, ["family", "type", "protocol"], Value::Descriptors),
    call("pidfd_getfd", 438, 438, Subject::New, Role::SetUp, ["", "", ""], Value::Nothing),
    call("io_uring_setup", 425, 425, Subject::New, Role::SetUp, ["", "", ""], Value::Nothing),
    call("restart_syscall", 219, 128, Subject::New, Role::Wait, ["", "", ""], Value::Nothing),
    call("clock_nanosleep", 230, 115, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("epoll_create", 213, NONE, Subject::Unfollowed, Role::SetUp, ["", "", ""], Value::Nothing),
    call("epoll_create1", 291, 20, Subject::Unfollowed, Role::SetUp, ["", "", ""], Value::Nothing),
    call("flock", 73, 32, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("fsync", 74, 82, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("futex", 202, 98, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("futex_wait", 455, 455, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("futex_waitv", 449, 449, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("io_getevents", 208, 4, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("io_uring_enter", 426, 426, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("mq_timedreceive", 243, 183, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("msgrcv", 70, 188, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("nanosleep", 35, 101, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("openat", 257, 56, Subject::Unfollowed, Role::SetUp, ["", "", ""], Value::Nothing),
    call("pause", 34, NONE, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("rt_sigsuspend", 130, 133, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("rt_sigtimedwait", 128, 137, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("semtimedop", 220, 192, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("wait4", 61, 260, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
    call("waitid", 247, 95, Subject::Unfollowed, Role::Wait, ["", "", ""], Value::Nothing),
];

/// One more than the largest number that is followed.
const NUMBERS: usize = 512;

const BY_NUMBER: [Option<Subject>; NUMBERS] = {
    let mut table = [None; NUMBERS];
    let mut index = 0;
    while index < TABLE.len() {
        let number = TABLE[index].number() as usize;
        if number < NUMBERS && !matches!(TABLE[index].subject, Subject::Unfollowed) {
            table[number] = Some(TABLE[index].subject);
        }
        index += 1;
    }
    table
};

/// How the call of this number, on this machine, uses its first argument, or `None` when it is not followed.
pub fn subject(number: u64) -> Option<Subject> {
    BY_NUMBER
        .get(usize::try_from(number).ok()?)
        .copied()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and number of each line `#define __NR_read 0` of a header of the kernel.
    fn defined(text: &str) -> std::collections::HashMap<&str, u32> {
        text.lines()
            .filter_map(|line| {
                let mut words = line.strip_prefix("#define __NR")?.split_ascii_whitespace();
                let name = words.next()?.trim_start_matches("3264").strip_prefix('_')?;
                Some((name, words.next()?.parse().ok()?))
            })
            .collect()
    }

    fn agrees(header: &str, number: impl Fn(&Syscall) -> u32) {
        let Ok(text) = std::fs::read_to_string(header) else {
            eprintln!("not compared: {header} is not installed (linux-libc-dev)");
            return;
        };
        let defined = defined(&text);
        for call in &SYSCALLS {
            let expected = defined.get(call.name).copied();
            // Names that a header is too old for are no contradiction.
            if number(call) != NONE && expected.is_none() {
                assert!(number(call) > 424, "{} is unknown to {header}", call.name);
                continue;
            }
            assert_eq!(expected.unwrap_or(NONE), number(call), "{}", call.name);
        }
    }

    #[test]
    fn numbers_of_x86_64_are_those_of_the_kernels_header() {
        agrees("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", |call| {
            call.x86_64
        });
    }

    #[test]
    fn numbers_of_aarch64_are_those_of_the_kernels_header() {
        // aarch64 uses the generic table as it is (arch/arm64/include/uapi/asm/unistd.h).
        agrees("/usr/include/asm-generic/unistd.h", |call| call.aarch64);
    }

    #[test]
    fn each_name_and_number_stands_once() {
        for (index, call) in SYSCALLS.iter().enumerate() {
            for other in &SYSCALLS[index + 1..] {
                assert_ne!(call.name, other.name);
                assert!(
                    call.x86_64 == NONE || call.x86_64 != other.x86_64,
                    "{}",
                    call.name
                );
                assert!(
                    call.aarch64 == NONE || call.aarch64 != other.aarch64,
                    "{}",
                    call.name
                );
            }
        }
    }

    #[test]
    fn followed_calls_are_found_by_number() {
        for call in SYSCALLS.iter().filter(|call| call.number() != NONE) {
            let expected = (call.subject != Subject::Unfollowed).then_some(call.subject);
            assert_eq!(subject(u64::from(call.number())), expected, "{}", call.name);
        }
        assert_eq!(subject(u64::MAX), None);
    }
}
