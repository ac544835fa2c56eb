//! What a socket is at a call on it, asked through the gate: as the tracer asks at a stop (`sample.rs` of wallsocket-trace).
//!
//! Nothing here changes the socket.

use core::sync::atomic::{AtomicU64, Ordering};

use wallsocket_ring::look::{INFO, Noted};
use wallsocket_ring::table;

use crate::recording::{Shape, Writer};
use crate::system::{self, SYS_GETSOCKOPT, SYS_IOCTL, Thread};

const SOL_SOCKET: usize = 1;
const IPPROTO_TCP: usize = 6;
const TCP_INFO: usize = 11;
const SO_MEMINFO: usize = 55; // asm-generic/socket.h
/// Index of the drops in SO_MEMINFO (SK_MEMINFO_DROPS, linux/sock_diag.h).
const DROPS: usize = 8;
const FIONREAD: usize = 0x541B; // asm-generic/ioctls.h
const TIOCOUTQ: usize = 0x5411;
const TCP_LISTEN: u8 = 10; // net/tcp_states.h

/// Whether calls of this shape move bytes on one socket.
#[inline(always)]
const fn moves(shape: Shape) -> bool {
    !matches!(
        shape,
        Shape::Close
            | Shape::Poll
            | Shape::PollChecked
            | Shape::PollTimespec
            | Shape::Select
            | Shape::SelectTimespec
            | Shape::Epoll
            | Shape::EpollTimespec
    )
}

/// Whether a datagram may be cut by a call of this shape: its length is worth knowing before.
#[inline(always)]
pub(crate) const fn may_cut(shape: Shape) -> bool {
    matches!(
        shape,
        Shape::Read
            | Shape::ReadChecked
            | Shape::ReadVector
            | Shape::Receive
            | Shape::ReceiveChecked
            | Shape::ReceiveMessage
    )
}

/// Whether the socket is to be looked at now, at a call that moves bytes; says when next.
#[inline(always)]
pub(crate) fn is_due(thread: &Thread, shape: Shape, descriptor: usize, now_ns: i64) -> bool {
    let descriptor = descriptor as u32 as usize;
    if !moves(shape) || descriptor >= table::NUMBERS {
        return false;
    }
    let table = thread.shared.table as usize;
    // SAFETY: words in the table.
    let (due, looked) = unsafe {
        (
            &*((table + table::DUE + descriptor * 8) as *const AtomicU64),
            &*((table + table::LOOKED) as *const AtomicU64),
        )
    };
    let when = due.load(Ordering::Relaxed);
    if when == 0 {
        return false;
    }
    if when > table::SOON {
        if now_ns < when as i64
            || now_ns - (looked.load(Ordering::Relaxed) as i64) < table::LOOKS_APART_NS
        {
            return false;
        }
        looked.store(now_ns as u64, Ordering::Relaxed);
    }
    let next = if when > 1 && when <= table::SOON {
        when - 1
    } else {
        (now_ns + table::INTERVAL_NS) as u64
    };
    due.store(next, Ordering::Relaxed);
    true
}

/// Notes what the socket is, as the piece at `address`.
#[cold]
pub(crate) fn note(writer: &mut Writer, address: u64, descriptor: usize, kind: u8) {
    #[repr(C)]
    struct Piece {
        noted: Noted,
        info: [u8; INFO],
    }
    let mut piece = Piece {
        noted: Noted {
            at_ns: 0,
            receive_queue: -1,
            send_queue: -1,
            drops: -1,
        },
        info: [0; INFO],
    };
    let mut known = 0;
    if kind & table::TCP != 0 {
        let length = option(
            descriptor,
            IPPROTO_TCP,
            TCP_INFO,
            (&raw mut piece.info).cast(),
            INFO,
        );
        known = length.unwrap_or(0).min(INFO);
    }
    if known == 0 || piece.info[0] != TCP_LISTEN {
        piece.noted.receive_queue = number(descriptor, FIONREAD);
        piece.noted.send_queue = number(descriptor, TIOCOUTQ);
    }
    let mut memory = [0u32; 16];
    let length = option(
        descriptor,
        SOL_SOCKET,
        SO_MEMINFO,
        (&raw mut memory).cast(),
        64,
    );
    if length.is_some_and(|length| length > DROPS * 4) {
        piece.noted.drops = i64::from(memory[DROPS]);
    }
    piece.noted.at_ns = system::now_ns();
    writer.own_piece(address, (&raw const piece).cast(), Noted::SIZE + known);
}

/// Reads an option: how many bytes it has.
fn option(
    descriptor: usize,
    level: usize,
    name: usize,
    into: *mut u8,
    size: usize,
) -> Option<usize> {
    let mut length = size as u32;
    let arguments = [
        descriptor,
        level,
        name,
        into as usize,
        &raw mut length as usize,
        0,
    ];
    (system::gate(SYS_GETSOCKOPT, arguments) == 0).then_some(length as usize)
}

/// Asks a number of bytes.
fn number(descriptor: usize, what: usize) -> i64 {
    let mut value = 0i32;
    let arguments = [descriptor, what, &raw mut value as usize, 0, 0, 0];
    if system::gate(SYS_IOCTL, arguments) == 0 {
        i64::from(value)
    } else {
        -1
    }
}
