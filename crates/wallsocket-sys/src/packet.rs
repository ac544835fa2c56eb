//! AF_PACKET: the TPACKET_V3 receive ring, and sending whole frames.
//!
//! A [`Ring`] lends blocks that the kernel has filled; a [`Block`] lends its frames as slices of the ring's own memory and gives
//! the block back when it is dropped. The kernel's side is described in `Documentation/networking/packet_mmap.rst` and in
//! `include/uapi/linux/if_packet.h`; offsets are those of that header.
//!
//! The socket may be made here or handed in, so it may belong to another network namespace. Interface indices are then those of
//! that namespace.
//!
//! This file is about the socket alone; `filter` is about the program that the kernel runs on each frame, `ring` about the blocks
//! and `frame` about what stands in one, `send` about the way out, and `mapping` about the memory that each ring shares with the kernel.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

mod filter;
mod frame;
mod mapping;
mod ring;
mod send;

#[cfg(test)]
mod tests;

pub use filter::{Direction, FILTER_MAXIMUM, Instruction, attach_filter};
pub use frame::{FrameHeader, Frames, HARDWARE_LOOPBACK, PacketType, RingFrame, Vlan};
pub use ring::{Block, Fanout, FanoutKind, Ring, RingOptions, Statistics};
pub use send::{Sender, is_queue_full};

pub(crate) use mapping::Mapping;
pub(crate) use send::{bind_for_sending, send_at_once};

/// A step of setting up or using a packet socket that the kernel refused.
#[derive(Debug)]
pub struct PacketError {
    /// The call, in the kernel's words.
    pub call: &'static str,
    /// The kernel's answer.
    pub error: io::Error,
}

impl fmt::Display for PacketError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.call, self.error)
    }
}

impl std::error::Error for PacketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<PacketError> for io::Error {
    fn from(error: PacketError) -> Self {
        error.error
    }
}

pub(crate) fn failed(call: &'static str) -> impl FnOnce(io::Error) -> PacketError {
    move |error| PacketError { call, error }
}

/// Makes a packet socket that receives nothing until it is bound.
///
/// # Errors
/// EPERM without CAP_NET_RAW in the user namespace that owns the network namespace.
pub fn packet_socket() -> Result<OwnedFd, PacketError> {
    // SAFETY: socket() takes no pointers; a negative result is checked before the descriptor is owned.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(failed("socket(AF_PACKET, SOCK_RAW)")(
            io::Error::last_os_error(),
        ));
    }
    // SAFETY: `fd` is a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds a packet socket to an interface (0: all) and a protocol in host byte order.
pub(crate) fn bind(socket: BorrowedFd<'_>, interface: u32, protocol: u16) -> io::Result<()> {
    // SAFETY: sockaddr_ll is plain old data; all zeroes is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = interface.cast_signed();
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// setsockopt with a plain-old-data value.
pub(crate) fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The pending error of a socket (SO_ERROR), which reading clears.
fn pending_error(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut code: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both pointers are to live locals and `length` says how large `code` is.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut code).cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if code != 0 {
        Err(io::Error::from_raw_os_error(code))
    } else {
        Ok(())
    }
}
