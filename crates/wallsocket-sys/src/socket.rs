//! Sockets as the kernel takes them: raw addresses, raw option values, raw requests.
//!
//! Everything here speaks bytes, because the callers decode by their own tables (and a libc type would fix a length that newer kernels exceed).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for any socket address the kernel returns (`struct sockaddr_storage`).
const ADDRESS_ROOM: usize = 128;

/// The longest interface name, with its terminating zero byte (`IFNAMSIZ`).
const INTERFACE_NAME_ROOM: usize = libc::IFNAMSIZ;

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn checked_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Makes a socket; it is closed on exec whatever `kind` says.
pub fn open(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: socket() takes no pointers; a result that is not negative is a descriptor that nobody else owns.
    unsafe {
        let descriptor = checked(libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Reads a socket option into `value` and returns how many bytes the kernel wrote.
///
/// Some options (IP_PKTOPTIONS, TCP_ZEROCOPY_RECEIVE) read the buffer as well: its content is handed over as it is.
pub fn get_option(
    socket: BorrowedFd<'_>,
    level: i32,
    number: i32,
    value: &mut [u8],
) -> io::Result<usize> {
    let mut length = value.len() as libc::socklen_t;
    // SAFETY: the pointer and `length` describe `value`, which lives through the call; the kernel writes at most `length` bytes.
    checked(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            number,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    Ok((length as usize).min(value.len()))
}

/// Sets a socket option to the bytes of `value`.
pub fn set_option(socket: BorrowedFd<'_>, level: i32, number: i32, value: &[u8]) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: the pointer and `length` describe `value`, which the kernel only reads.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            number,
            value.as_ptr().cast(),
            length,
        )
    })?;
    Ok(())
}

/// Binds to an address in the kernel's form.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length describe `address`, which the kernel only reads; bind() needs no alignment of it.
    checked(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            address.as_ptr().cast(),
            address.len() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// A second descriptor of the same socket (or file), closed on exec; any number that is no descriptor gives EBADF.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl() takes no pointer here and checks the number; its result is a descriptor that nobody else owns.
    unsafe {
        let copy = checked(libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(copy))
    }
}

/// Connects to an address in the kernel's form.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length describe `address`, which the kernel only reads.
    checked(unsafe {
        libc::connect(
            socket.as_raw_fd(),
            address.as_ptr().cast(),
            address.len() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// The address the socket is bound to, in the kernel's form.
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    address_by(|address, length| {
        // SAFETY: `address` and `length` describe the buffer of `address_by`, which lives through the call.
        unsafe { libc::getsockname(socket.as_raw_fd(), address, length) }
    })
}

/// The address of the peer, in the kernel's form.
pub fn peer_address(socket: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    address_by(|address, length| {
        // SAFETY: `address` and `length` describe the buffer of `address_by`, which lives through the call.
        unsafe { libc::getpeername(socket.as_raw_fd(), address, length) }
    })
}

fn address_by(
    ask: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int,
) -> io::Result<Vec<u8>> {
    let mut address = [0_u8; ADDRESS_ROOM];
    let mut length = ADDRESS_ROOM as libc::socklen_t;
    checked(ask(address.as_mut_ptr().cast(), &raw mut length))?;
    let length = (length as usize).min(ADDRESS_ROOM);
    Ok(address[..length].to_vec())
}

/// Sends `data` on a socket; `flags` are MSG_ bits.
pub fn send(socket: BorrowedFd<'_>, data: &[u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the pointer and length describe `data`, which the kernel only reads.
    checked_size(unsafe { libc::send(socket.as_raw_fd(), data.as_ptr().cast(), data.len(), flags) })
}

/// Receives into `buffer`; with MSG_TRUNC among `flags` a datagram socket returns the true length, which may exceed the buffer.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the pointer and length describe `buffer`, which lives through the call.
    checked_size(unsafe {
        libc::recv(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags,
        )
    })
}

/// The same for a descriptor that other code of this process owns, by number.
///
/// # Errors
/// EBADF when the number is not open, ENOTSOCK when it is no socket.
pub fn receive_by_number(descriptor: RawFd, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the pointer and length describe `buffer`, which lives through the call; the kernel checks the number.
    checked_size(unsafe { libc::recv(descriptor, buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

/// Asks an ioctl whose answer is one int: FIONREAD (SIOCINQ), SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK.
pub fn ioctl_int(socket: BorrowedFd<'_>, request: u64) -> io::Result<i32> {
    let mut value: libc::c_int = 0;
    match request {
        libc::FIONREAD | libc::TIOCOUTQ | SIOCOUTQNSD | SIOCATMARK => {}
        _ => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
    // SAFETY: each request let through above writes exactly one int through the pointer.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut value) })?;
    Ok(value)
}

/// Bytes in the send queue that were never sent (linux/sockios.h).
pub const SIOCOUTQNSD: u64 = 0x894B;
/// Whether the next read is at the urgent mark (asm-generic/sockios.h).
pub const SIOCATMARK: u64 = 0x8905;

/// The number of the interface called `name` in the socket's network namespace.
pub fn interface_index(socket: BorrowedFd<'_>, name: &[u8]) -> io::Result<u32> {
    if name.is_empty() || name.len() >= INTERFACE_NAME_ROOM || name.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let mut request = empty_interface_request();
    for (slot, byte) in request.ifr_name.iter_mut().zip(name) {
        *slot = *byte as libc::c_char;
    }
    // SAFETY: SIOCGIFINDEX reads the name of the `ifreq` and writes its index field, both inside `request`.
    let index = unsafe {
        checked(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFINDEX,
            &raw mut request,
        ))?;
        request.ifr_ifru.ifru_ifindex
    };
    u32::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))
}

/// The name of interface number `index` in the socket's network namespace.
pub fn interface_name(socket: BorrowedFd<'_>, index: u32) -> io::Result<Vec<u8>> {
    let mut request = empty_interface_request();
    request.ifr_ifru.ifru_ifindex =
        i32::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: SIOCGIFNAME reads the index field of the `ifreq` and writes its name, both inside `request`.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGIFNAME, &raw mut request) })?;
    Ok(request
        .ifr_name
        .iter()
        .map(|c| *c as u8)
        .take_while(|c| *c != 0)
        .collect())
}

/// linux/sockios.h; libc has no name for it on Linux.
const SIOCGIFNAME: libc::c_ulong = 0x8910;

fn empty_interface_request() -> libc::ifreq {
    // SAFETY: `ifreq` is plain integers, arrays and pointers in a union: all zero bytes are a valid value.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn options_round_trip() {
        let socket = open(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        set_option(
            socket.as_fd(),
            libc::SOL_SOCKET,
            libc::SO_KEEPALIVE,
            &1_i32.to_ne_bytes(),
        )
        .unwrap();
        let mut value = [0_u8; 16];
        let length = get_option(
            socket.as_fd(),
            libc::SOL_SOCKET,
            libc::SO_KEEPALIVE,
            &mut value,
        )
        .unwrap();
        assert_eq!(&value[..length], &1_i32.to_ne_bytes());
    }

    #[test]
    fn loopback_has_a_name_and_a_number() {
        let socket = open(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let index = interface_index(socket.as_fd(), b"lo").unwrap();
        assert_eq!(interface_name(socket.as_fd(), index).unwrap(), b"lo");
        assert_eq!(
            interface_index(socket.as_fd(), b"no-such-if")
                .unwrap_err()
                .raw_os_error(),
            Some(libc::ENODEV)
        );
        assert_eq!(
            interface_index(socket.as_fd(), &[b'x'; 64])
                .unwrap_err()
                .raw_os_error(),
            Some(libc::ENODEV)
        );
    }

    #[test]
    fn addresses_come_as_bytes() {
        let socket = open(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let mut address = vec![2, 0, 0, 0, 127, 0, 0, 1];
        address.resize(16, 0);
        bind(socket.as_fd(), &address).unwrap();
        let local = local_address(socket.as_fd()).unwrap();
        assert_eq!(local.len(), 16);
        assert_eq!(&local[4..8], &[127, 0, 0, 1]);
        assert_eq!(
            peer_address(socket.as_fd()).unwrap_err().raw_os_error(),
            Some(libc::ENOTCONN)
        );
        connect(socket.as_fd(), &local).unwrap();
        assert_eq!(send(socket.as_fd(), b"abc", 0).unwrap(), 3);
        assert_eq!(ioctl_int(socket.as_fd(), libc::FIONREAD).unwrap(), 3);
        let mut buffer = [0_u8; 2];
        assert_eq!(
            receive(socket.as_fd(), &mut buffer, libc::MSG_TRUNC).unwrap(),
            3
        );
    }
}
