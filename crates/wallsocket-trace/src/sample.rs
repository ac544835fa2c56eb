//! What the kernel says about one socket, asked on a duplicate of the target's descriptor.
//!
//! The duplicate keeps the socket open, so it lives only while the tracing loop holds a thread in a stop: every `close`
//! of a followed process stops for the same loop, so none can happen in between. Nothing here changes the socket:
//! SO_ERROR is never read (reading clears it).

use std::os::fd::{AsFd, BorrowedFd};

use serde_bytes::ByteBuf;
use wallsocket_ring::look::Noted;
use wallsocket_sys::{descriptor, socket};

use crate::rows;

const TCP_INFO: i32 = libc::TCP_INFO;
const SO_COOKIE: i32 = 57; // asm-generic/socket.h
const SO_MEMINFO: i32 = 55; // asm-generic/socket.h
const TCP_LISTEN: u8 = 10; // net/tcp_states.h
const TCP_CLOSE: u8 = 7;
/// Offsets in `struct tcp_info` (linux/tcp.h); of a listener they hold the accept queue and the backlog.
const TCP_INFO_UNACKED: usize = 24;
const TCP_INFO_SACKED: usize = 28;
/// Index of the drops in SO_MEMINFO (SK_MEMINFO_DROPS, linux/sock_diag.h).
const MEMINFO_DROPS: usize = 8;

/// Who a socket is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// SO_COOKIE.
    pub cookie: Option<u64>,
    /// SO_DOMAIN.
    pub family: Option<i32>,
    /// SO_TYPE.
    pub kind: Option<i32>,
    /// SO_PROTOCOL.
    pub protocol: Option<i32>,
    /// SO_NETNS_COOKIE.
    pub network: Option<u64>,
}

/// How much to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// State, queues and drops.
    Queues,
    /// And both addresses.
    Addresses,
    /// And the options in force.
    Everything,
}

/// The options whose values in force are recorded: level and name.
const OPTIONS: [(i32, i32); 22] = [
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_BROADCAST),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (libc::IPPROTO_IP, libc::IP_RECVERR),
    (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_CORK),
    (libc::IPPROTO_TCP, libc::TCP_QUICKACK),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_TCP, libc::TCP_MAXSEG),
    (libc::IPPROTO_TCP, libc::TCP_CONGESTION),
];

fn number(socket: BorrowedFd<'_>, option: i32) -> Option<i32> {
    let mut bytes = [0; 4];
    let length = socket::get_option(socket, libc::SOL_SOCKET, option, &mut bytes).ok()?;
    (length == 4).then(|| i32::from_ne_bytes(bytes))
}

/// Asks who the socket is.
pub fn identify(socket: BorrowedFd<'_>) -> Identity {
    let mut cookie = [0; 8];
    let cookie = socket::get_option(socket, libc::SOL_SOCKET, SO_COOKIE, &mut cookie)
        .is_ok_and(|length| length == 8)
        .then(|| u64::from_ne_bytes(cookie));
    Identity {
        cookie,
        family: number(socket, libc::SO_DOMAIN),
        kind: number(socket, libc::SO_TYPE),
        protocol: number(socket, libc::SO_PROTOCOL),
        network: crate::networks::cookie_of(socket),
    }
}

/// The process at the other end of a Unix socket: the one that connected, or called listen (SO_PEERCRED, unix(7)).
pub fn peer_process(socket: BorrowedFd<'_>) -> Option<i32> {
    // struct ucred: pid, uid, gid
    let mut credentials = [0; 12];
    let length = socket::get_option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_PEERCRED,
        &mut credentials,
    )
    .ok()?;
    let pid = i32::from_ne_bytes(credentials.get(..4)?.try_into().ok()?);
    (length == 12 && pid > 0).then_some(pid)
}

/// Asks what the socket is now. The caller fills in `socket`, `at_ns`, `moment` and `call`.
pub fn look(socket: BorrowedFd<'_>, family: i32, kind: i32, depth: Depth) -> rows::State {
    let mut state = rows::State::default();
    let inet = family == libc::AF_INET || family == libc::AF_INET6;
    let is_tcp = inet && kind == libc::SOCK_STREAM;
    if is_tcp {
        let mut info = [0; 512];
        if let Ok(length) = socket::get_option(socket, libc::IPPROTO_TCP, TCP_INFO, &mut info) {
            tell_tcp(&mut state, &info[..length]);
        }
    }
    if state.state != Some(TCP_LISTEN) {
        state.receive_queue = socket::ioctl_int(socket, libc::FIONREAD)
            .ok()
            .map(i64::from);
        state.send_queue = socket::ioctl_int(socket, libc::TIOCOUTQ)
            .ok()
            .map(i64::from);
    }
    let mut memory = [0; 64];
    if let Ok(length) = socket::get_option(socket, libc::SOL_SOCKET, SO_MEMINFO, &mut memory) {
        let drops = memory.get(MEMINFO_DROPS * 4..MEMINFO_DROPS * 4 + 4);
        if length >= MEMINFO_DROPS * 4 + 4 {
            state.drops = drops
                .and_then(|bytes| bytes.try_into().ok())
                .map(|bytes| i64::from(u32::from_ne_bytes(bytes)));
        }
        if depth != Depth::Queues {
            state.memory = Some(ByteBuf::from(memory[..length].to_vec()));
        }
    }
    if depth != Depth::Queues {
        state.local = socket::local_address(socket).ok().map(ByteBuf::from);
        state.remote = socket::peer_address(socket).ok().map(ByteBuf::from);
    }
    if depth == Depth::Everything {
        state.options = Some(ByteBuf::from(options(socket, inet, is_tcp, family)));
    }
    state
}

/// What `struct tcp_info` says.
fn tell_tcp(state: &mut rows::State, info: &[u8]) {
    state.state = info.first().copied();
    if state.state == Some(TCP_LISTEN) {
        let field = |offset: usize| {
            info.get(offset..offset + 4)
                .and_then(|bytes| bytes.try_into().ok())
                .map(|bytes| i64::from(u32::from_ne_bytes(bytes)))
        };
        state.receive_queue = field(TCP_INFO_UNACKED);
        state.send_queue = field(TCP_INFO_SACKED);
    }
    // Of a listener, or before and after a connection, the rest says nothing.
    if !matches!(state.state, Some(TCP_LISTEN | TCP_CLOSE)) {
        state.tcp_info = Some(ByteBuf::from(info.to_vec()));
    }
}

/// What the preloaded library noted of a socket: the same as [`look`] with [`Depth::Queues`]; and when, by CLOCK_MONOTONIC.
pub fn noted(piece: &[u8]) -> Option<(rows::State, i64)> {
    let (noted, info) = Noted::parse(piece)?;
    let mut state = rows::State::default();
    if !info.is_empty() {
        tell_tcp(&mut state, info);
    }
    let known = |number: i64| (number >= 0).then_some(number);
    if state.state != Some(TCP_LISTEN) {
        state.receive_queue = known(noted.receive_queue);
        state.send_queue = known(noted.send_queue);
    }
    state.drops = known(noted.drops);
    Some((state, noted.at_ns))
}

/// The options in force, packed as the `options` column wants them.
fn options(socket: BorrowedFd<'_>, inet: bool, tcp: bool, family: i32) -> Vec<u8> {
    let mut packed = Vec::with_capacity(200);
    for (level, name) in OPTIONS {
        let applies = match level {
            libc::IPPROTO_IP => inet,
            libc::IPPROTO_IPV6 => family == libc::AF_INET6,
            libc::IPPROTO_TCP => tcp,
            _ => true,
        };
        let mut value = [0; 64];
        if !applies {
            continue;
        }
        if let Ok(length) = socket::get_option(socket, level, name, &mut value) {
            packed.extend_from_slice(&(level as u16).to_le_bytes());
            packed.extend_from_slice(&(name as u16).to_le_bytes());
            packed.extend_from_slice(&(length as u16).to_le_bytes());
            packed.extend_from_slice(&value[..length]);
        }
    }
    packed
}

/// A duplicate of a followed process's descriptor; see the module's rule on how long it may live.
pub fn duplicate(pidfd: &impl AsFd, fd: i32) -> std::io::Result<std::os::fd::OwnedFd> {
    descriptor::pidfd_getfd(pidfd.as_fd(), fd)
}

/// Why sockets can no longer be looked at, where the error of [`duplicate`] or of opening a pidfd says so.
///
/// `None` where it concerns one descriptor or process only: it was closed, or has ended, meanwhile.
pub fn refusal(error: &std::io::Error) -> Option<String> {
    match error.raw_os_error() {
        Some(libc::EBADF | libc::ESRCH | libc::EINVAL) => None,
        Some(libc::EMFILE | libc::ENFILE) => {
            Some(format!("the tracer has no descriptors left ({error})"))
        }
        Some(libc::EPERM | libc::EACCES) => Some(format!(
            "the kernel refuses a look at a program's sockets, which is not dumpable or has other rights ({error})"
        )),
        _ => Some(format!("sockets cannot be looked at ({error})")),
    }
}
