//! What a system call was given and what it gave back, read from its arguments and the program's memory.

use std::collections::HashMap;

use serde_bytes::ByteBuf;

use crate::confidential;
use crate::memory::{self, Memory, Vector};
use crate::rows;

/// `struct sockaddr_storage` has this size (linux/socket.h): no address is longer.
const MAXIMUM_ADDRESS: u32 = 128;
/// Size of `struct sockaddr_in6`, the longest of the common ones.
const INET_ADDRESS: usize = 28;
/// Longest option value that is kept.
const MAXIMUM_OPTION: u32 = 256;
/// Longest control data that is kept.
const MAXIMUM_CONTROL: u64 = 1024;
/// Entries of a poll set or event list that are kept.
const MAXIMUM_ENTRIES: u64 = 512;
/// Where the data is in `struct epoll_event`.
const EPOLL_DATA: usize = if cfg!(target_arch = "x86_64") { 4 } else { 8 };
/// Messages of one sendmmsg or recvmmsg (UIO_MAXIOV).
const MAXIMUM_MESSAGES: u64 = 1024;

/// What a call did to bytes of a socket, for stream positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Nothing.
    No,
    /// This many bytes were sent.
    Sent(u64),
    /// This many bytes were received.
    Received(u64),
}

/// The arguments of a call at its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// System-call number.
    pub number: i64,
    /// Arguments as the registers hold them.
    pub arguments: [u64; 6],
}

/// One entry of a poll set, in the form of the `value` column.
pub fn poll_entry(fd: i32, events: u16, revents: u16) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&fd.to_le_bytes());
    bytes[4..6].copy_from_slice(&events.to_le_bytes());
    bytes[6..].copy_from_slice(&revents.to_le_bytes());
    bytes
}

/// The poll set of a call, in the form of the `value` column; nothing in it is ready unless `ready` says so.
fn poll_set(watch: &[(i32, u16)], ready: &HashMap<i32, u16>) -> Option<ByteBuf> {
    let entries = watch
        .iter()
        .flat_map(|(fd, events)| poll_entry(*fd, *events, ready.get(fd).copied().unwrap_or(0)));
    optional(entries.collect())
}

/// The descriptors that a `poll` or `select` watches, read at its entry: descriptor and poll events.
pub fn watched(from: &impl Memory, entry: &Entry) -> Vec<(i32, u16)> {
    let [first, second, third, fourth, ..] = entry.arguments;
    match entry.number {
        libc::SYS_poll | libc::SYS_ppoll => {
            let count = second.min(MAXIMUM_ENTRIES) as usize;
            from.read(first, count * 8)
                .chunks_exact(8)
                .map(|pollfd| {
                    (
                        i32::from_ne_bytes([pollfd[0], pollfd[1], pollfd[2], pollfd[3]]),
                        u16::from_ne_bytes([pollfd[4], pollfd[5]]),
                    )
                })
                .collect()
        }
        libc::SYS_select | libc::SYS_pselect6 => {
            let count = (first.min(1024)) as usize;
            let bytes = count.div_ceil(8);
            let mut found = std::collections::BTreeMap::new();
            for (address, events) in [
                (second, libc::POLLIN),
                (third, libc::POLLOUT),
                (fourth, libc::POLLPRI),
            ] {
                for (index, byte) in from.read(address, bytes).iter().enumerate() {
                    for bit in 0..8 {
                        let fd = index * 8 + bit;
                        if byte & (1 << bit) != 0 && fd < count {
                            *found.entry(fd as i32).or_insert(0) |= events as u16;
                        }
                    }
                }
            }
            found.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn optional(bytes: Vec<u8>) -> Option<ByteBuf> {
    (!bytes.is_empty()).then(|| ByteBuf::from(bytes))
}

/// An address without the padding of `struct sockaddr_in` (eight zero bytes, ip(7)), which every datagram would carry.
fn address(mut bytes: Vec<u8>) -> Option<ByteBuf> {
    const INET_USED: usize = 8;
    if bytes.len() > INET_USED && bytes[..2] == (libc::AF_INET as u16).to_ne_bytes() {
        bytes.truncate(INET_USED);
    }
    optional(bytes)
}

/// An address that the caller gave: pointer and length in registers.
fn address_in(from: &impl Memory, pointer: u64, length: u64) -> Option<ByteBuf> {
    address(from.read(pointer, (length as u32).min(MAXIMUM_ADDRESS) as usize))
}

/// An address that the kernel returned: the length stands behind a pointer.
fn address_out(from: &impl Memory, pointer: u64, length_pointer: u64) -> Option<ByteBuf> {
    let length = from.word(length_pointer)?;
    address_in(from, pointer, u64::from(length))
}

/// A timeout in milliseconds from a `timespec` (`nanoseconds` per unit of its second field 1) or `timeval` (1000); -1 for none.
fn timeout_ms(from: &impl Memory, pointer: u64, nanoseconds: i64) -> Option<i64> {
    if pointer == 0 {
        return Some(-1);
    }
    let bytes = from.array::<16>(pointer)?;
    let seconds = memory::field(&bytes, 0) as i64;
    let fraction = memory::field(&bytes, 1) as i64;
    Some(
        seconds
            .saturating_mul(1000)
            .saturating_add(fraction.saturating_mul(nanoseconds) / 1_000_000),
    )
}

/// The value of a socket option, where it may be kept.
fn option(from: &impl Memory, entry: &Entry, length: u32, limit: usize) -> Option<ByteBuf> {
    let [_, level, name, pointer, ..] = entry.arguments;
    let mut value = from.read(pointer, length as usize);
    confidential::blank_option(level as i32, name as i32, limit, &mut value);
    optional(value)
}

fn register(value: u64) -> Option<i64> {
    Some(i64::from(value as i32))
}

/// Fills in what is known when the call begins and may be gone when it ends.
pub fn begin(from: &impl Memory, entry: &Entry, watch: &[(i32, u16)], call: &mut rows::Call) {
    let [first, second, third, fourth, fifth, _] = entry.arguments;
    match entry.number {
        libc::SYS_select | libc::SYS_pselect6 => call.a = register(first),
        libc::SYS_poll | libc::SYS_ppoll => call.a = register(second),
        _ => {}
    }
    // What it waits for is known also when it never comes back, or is interrupted.
    call.value = poll_set(watch, &HashMap::new());
    match entry.number {
        // The kernel lowers the remaining time behind the pointer, so it is read before.
        libc::SYS_select => call.b = timeout_ms(from, fifth, 1000),
        libc::SYS_pselect6 => call.b = timeout_ms(from, fifth, 1),
        libc::SYS_ppoll => call.b = timeout_ms(from, third, 1),
        libc::SYS_poll => call.b = register(third),
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait => call.b = register(fourth),
        libc::SYS_epoll_pwait2 => call.b = timeout_ms(from, fourth, 1),
        libc::SYS_connect | libc::SYS_bind => call.address = address_in(from, second, third),
        libc::SYS_sendto => {
            call.a = register(fourth);
            call.length = Some(third as i64);
        }
        libc::SYS_recvfrom => {
            call.a = register(fourth);
            call.length = Some(third as i64);
        }
        libc::SYS_read | libc::SYS_write => call.length = Some(third as i64),
        libc::SYS_sendmsg | libc::SYS_recvmsg => call.a = register(third),
        libc::SYS_setsockopt | libc::SYS_getsockopt => {
            call.a = register(second);
            call.b = register(third);
        }
        libc::SYS_accept4 => call.a = register(fourth),
        libc::SYS_listen | libc::SYS_shutdown => call.a = register(second),
        _ => {}
    }
}

/// Fills in the rest when the call has returned `result`. `limit` is how many payload bytes to keep; `watch` what
/// [`watched`] gave at entry, sockets only.
pub fn finish(
    from: &impl Memory,
    entry: &Entry,
    result: i64,
    limit: usize,
    watch: &[(i32, u16)],
    call: &mut rows::Call,
) -> Moved {
    let [first, second, third, fourth, fifth, sixth] = entry.arguments;
    let moved = result.max(0) as u64;
    let kept = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(limit);
    match entry.number {
        libc::SYS_socket => {
            (call.a, call.b, call.c) = (register(first), register(second), register(third));
        }
        libc::SYS_socketpair => {
            (call.a, call.b, call.c) = (register(first), register(second), register(third));
            if result == 0 {
                call.value = optional(from.read(fourth, 8));
            }
        }
        libc::SYS_accept | libc::SYS_accept4 if result >= 0 => {
            call.address = address_out(from, second, third);
        }
        libc::SYS_getsockname | libc::SYS_getpeername if result == 0 => {
            call.address = address_out(from, second, third);
        }
        libc::SYS_sendto => {
            let length = (sixth as u32).min(MAXIMUM_ADDRESS) as usize;
            let [payload, address] = from.pieces([(second, kept(moved)), (fifth, length)]);
            (call.payload, call.address) = (optional(payload), self::address(address));
            return self::moved(entry, result);
        }
        libc::SYS_write => {
            call.payload = optional(from.read(second, kept(moved)));
            return self::moved(entry, result);
        }
        libc::SYS_recvfrom => {
            let (address, length) = if result >= 0 { (fifth, sixth) } else { (0, 0) };
            let [payload, sender, length] = from.pieces([
                (second, kept(moved.min(third))),
                (address, INET_ADDRESS),
                (length, 4),
            ]);
            call.payload = optional(payload);
            let length = length.try_into().map_or(0, u32::from_ne_bytes) as usize;
            call.address = if length > INET_ADDRESS {
                address_in(from, address, length as u64)
            } else {
                self::address(sender.get(..length).unwrap_or(&[]).to_vec())
            };
            return self::moved(entry, result);
        }
        libc::SYS_read => {
            call.payload = optional(from.read(second, kept(moved)));
            return self::moved(entry, result);
        }
        libc::SYS_readv | libc::SYS_writev => {
            let vector = Vector::read(from, second, third);
            call.length = Some(vector.length() as i64);
            call.payload = optional(vector.bytes(from, kept(moved)));
            return self::moved(entry, result);
        }
        libc::SYS_sendmsg | libc::SYS_recvmsg => {
            // struct msghdr: name, namelen (u32), iov, iovlen, control, controllen, flags (i32)
            let header = from.read(second, 56);
            let vector = Vector::read(from, memory::field(&header, 2), memory::field(&header, 3));
            call.length = Some(vector.length() as i64);
            let sending = entry.number == libc::SYS_sendmsg;
            if sending || result >= 0 {
                call.address =
                    address_in(from, memory::field(&header, 0), memory::field(&header, 1));
                let control = memory::field(&header, 5).min(MAXIMUM_CONTROL) as usize;
                let mut control = from.read(memory::field(&header, 4), control);
                if limit == 0 {
                    confidential::blank_control(&mut control);
                }
                call.value = optional(control);
            }
            call.payload = optional(vector.bytes(from, kept(moved.min(vector.length()))));
            if sending {
                return Moved::Sent(moved);
            }
            if result >= 0 {
                call.flags = Some(memory::field(&header, 6) as i32);
            }
            return received(result, third);
        }
        libc::SYS_sendmmsg | libc::SYS_recvmmsg => return many(from, entry, result, limit, call),
        libc::SYS_sendfile => {
            call.a = register(second);
            call.length = Some(fourth as i64);
            return self::moved(entry, result);
        }
        libc::SYS_splice => {
            let into_socket = call.fd == register(third).and_then(|fd| i32::try_from(fd).ok());
            call.a = register(if into_socket { first } else { third });
            call.b = register(entry.arguments[5]);
            call.c = Some(i64::from(into_socket));
            call.length = Some(fifth as i64);
            return if into_socket {
                Moved::Sent(moved)
            } else {
                received(result, 0)
            };
        }
        libc::SYS_setsockopt => {
            call.c = register(fifth);
            call.value = option(from, entry, (fifth as u32).min(MAXIMUM_OPTION), limit);
        }
        libc::SYS_getsockopt if result == 0 => {
            let length = from.word(fifth).unwrap_or(0);
            call.c = Some(i64::from(length));
            call.value = option(from, entry, length.min(MAXIMUM_OPTION), limit);
        }
        libc::SYS_dup2 | libc::SYS_dup3 => {
            call.a = register(second);
            if entry.number == libc::SYS_dup3 {
                call.b = register(third);
            }
        }
        libc::SYS_fcntl => {
            call.a = register(second);
            call.b = register(third);
        }
        libc::SYS_ioctl => {
            call.a = Some(second as i64);
            match second {
                libc::FIONBIO | libc::FIONREAD | libc::TIOCOUTQ => {
                    call.b = from.word(third).map(|word| i64::from(word as i32));
                }
                // struct ifreq is 40 bytes on x86-64 (linux/if.h); other socket requests pass less.
                0x8900..=0x89FF => call.value = optional(from.read(third, 40)),
                _ => call.b = register(third),
            }
        }
        libc::SYS_poll | libc::SYS_ppoll | libc::SYS_select | libc::SYS_pselect6 if result > 0 => {
            call.value = poll_set(watch, &ready(from, entry));
        }
        libc::SYS_epoll_ctl => {
            call.a = register(second);
            call.b = register(third);
            if fourth != 0 {
                // struct epoll_event is packed on x86-64 only (epoll_ctl(2)).
                let event = from.read(fourth, EPOLL_DATA + 8);
                call.c = event
                    .get(..4)
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(|bytes| i64::from(u32::from_ne_bytes(bytes)));
                call.value = optional(event.get(EPOLL_DATA..).unwrap_or_default().to_vec());
            }
        }
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => {
            call.a = register(third);
            call.value = optional(returned_events(from, entry, result));
        }
        libc::SYS_close_range => {
            call.b = Some(i64::from(second as u32));
            call.c = register(third);
        }
        _ => {}
    }
    Moved::No
}

/// What a call that moves one message, without a name, has done to the bytes of its socket.
pub fn moved(entry: &Entry, result: i64) -> Moved {
    match entry.number {
        libc::SYS_sendto | libc::SYS_write | libc::SYS_writev | libc::SYS_sendfile => {
            Moved::Sent(result.max(0) as u64)
        }
        libc::SYS_recvfrom => received(result, entry.arguments[3]),
        libc::SYS_read | libc::SYS_readv => received(result, 0),
        _ => Moved::No,
    }
}

/// The events that a wait on an epoll set has returned, as the column `value` has them; nothing of other calls.
pub fn returned_events(from: &impl Memory, entry: &Entry, result: i64) -> Vec<u8> {
    match entry.number {
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => {
            let count = (result.max(0) as u64).min(MAXIMUM_ENTRIES) as usize;
            from.read(entry.arguments[1], count * (EPOLL_DATA + 8))
        }
        _ => Vec::new(),
    }
}

fn received(result: i64, flags: u64) -> Moved {
    if result > 0 && flags as i32 & (libc::MSG_PEEK | libc::MSG_ERRQUEUE) == 0 {
        Moved::Received(result as u64)
    } else {
        Moved::No
    }
}

/// The descriptors that came back ready from a poll or select.
fn ready(from: &impl Memory, entry: &Entry) -> HashMap<i32, u16> {
    if matches!(entry.number, libc::SYS_poll | libc::SYS_ppoll) {
        let count = entry.arguments[1].min(MAXIMUM_ENTRIES) as usize;
        return from
            .read(entry.arguments[0], count * 8)
            .chunks_exact(8)
            .map(|pollfd| {
                (
                    i32::from_ne_bytes([pollfd[0], pollfd[1], pollfd[2], pollfd[3]]),
                    u16::from_ne_bytes([pollfd[6], pollfd[7]]),
                )
            })
            .filter(|(_, revents)| *revents != 0)
            .collect();
    }
    // select leaves the ready ones in its sets.
    watched(from, entry).into_iter().collect()
}

/// The first bytes that a call moved on one stream, at most `limit`; empty for calls that move none, or several datagrams.
pub fn begin_of_payload(from: &impl Memory, entry: &Entry, result: i64, limit: usize) -> Vec<u8> {
    let [_, second, third, ..] = entry.arguments;
    let limit = usize::try_from(result).unwrap_or(0).min(limit);
    match entry.number {
        libc::SYS_sendto | libc::SYS_write | libc::SYS_recvfrom | libc::SYS_read => {
            from.read(second, limit)
        }
        libc::SYS_readv | libc::SYS_writev => Vector::read(from, second, third).bytes(from, limit),
        libc::SYS_sendmsg | libc::SYS_recvmsg => {
            let header = from.read(second, 56);
            Vector::read(from, memory::field(&header, 2), memory::field(&header, 3))
                .bytes(from, limit)
        }
        _ => Vec::new(),
    }
}

/// The last bytes that a read brought, at most `limit`; empty for other calls.
pub fn end_of_payload(from: &impl Memory, entry: &Entry, result: i64, limit: usize) -> Vec<u8> {
    let [_, second, ..] = entry.arguments;
    let moved = usize::try_from(result).unwrap_or(0);
    match entry.number {
        libc::SYS_recvfrom | libc::SYS_read => {
            let length = moved.min(limit);
            from.read(second.saturating_add((moved - length) as u64), length)
        }
        _ => Vec::new(),
    }
}

/// sendmmsg and recvmmsg: lengths moved of every message, address and payload of the first.
fn many(
    from: &impl Memory,
    entry: &Entry,
    result: i64,
    limit: usize,
    call: &mut rows::Call,
) -> Moved {
    // struct mmsghdr: a msghdr of 56 bytes, msg_len (u32), padding
    const SIZE: usize = 64;
    let [_, messages, count, flags, ..] = entry.arguments;
    let sending = entry.number == libc::SYS_sendmmsg;
    call.a = register(flags);
    call.b = Some(i64::from(count as u32));
    let asked = u64::from(count as u32).min(MAXIMUM_MESSAGES);
    let done = (result.max(0) as u64).min(asked);
    let headers = from.read(messages, done.max(1).min(asked) as usize * SIZE);
    let mut lengths = Vec::new();
    let mut total = 0u64;
    for (index, header) in headers.chunks_exact(SIZE).enumerate() {
        let vector_at = memory::field(header, 2);
        if index == 0 {
            let vector = Vector::read(from, vector_at, memory::field(header, 3));
            call.length = Some(vector.length() as i64);
            if result > 0 {
                let moved = u64::from(memory::field(header, 7) as u32).min(vector.length());
                call.payload = optional(vector.bytes(
                    from,
                    usize::try_from(moved).unwrap_or(usize::MAX).min(limit),
                ));
            }
            if sending || result > 0 {
                call.address = address_in(from, memory::field(header, 0), memory::field(header, 1));
            }
            if !sending && result > 0 {
                call.flags = Some(memory::field(header, 6) as i32);
            }
        }
        if (index as u64) < done {
            let length = memory::field(header, 7) as u32;
            lengths.extend_from_slice(&length.to_le_bytes());
            total += u64::from(length);
        }
    }
    call.value = optional(lengths);
    if sending {
        Moved::Sent(total)
    } else if flags as i32 & libc::MSG_PEEK == 0 && result > 0 {
        Moved::Received(total)
    } else {
        Moved::No
    }
}

/// The data of each event that an epoll set returned, from the `value` column.
pub fn returned_data(value: &[u8]) -> impl Iterator<Item = u64> {
    value.chunks_exact(EPOLL_DATA + 8).map(|event| {
        let mut data = [0; 8];
        data.copy_from_slice(&event[EPOLL_DATA..]);
        u64::from_ne_bytes(data)
    })
}

/// The descriptors that an SCM_RIGHTS message carried, from raw control data (cmsg(3)).
pub fn passed_descriptors(control: &[u8]) -> Vec<i32> {
    let mut found = Vec::new();
    let mut rest = control;
    // struct cmsghdr: len (u64), level (i32), type (i32), then data, padded to 8.
    while rest.len() >= 16 {
        let length = memory::field(rest, 0) as usize;
        if length < 16 || length > rest.len() {
            break;
        }
        let level = i32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]);
        let kind = i32::from_ne_bytes([rest[12], rest[13], rest[14], rest[15]]);
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            found.extend(
                rest[16..length]
                    .chunks_exact(4)
                    .map(|fd| i32::from_ne_bytes([fd[0], fd[1], fd[2], fd[3]])),
            );
        }
        rest = rest.get(length.next_multiple_of(8)..).unwrap_or(&[]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_never_comes_back_has_its_set() {
        let entry = Entry {
            number: libc::SYS_poll,
            arguments: [0x1000, 2, u64::MAX, 0, 0, 0],
        };
        let watch = [(4, libc::POLLIN as u16), (9, libc::POLLOUT as u16)];
        let mut call = rows::Call::default();
        begin(&nix::unistd::getpid(), &entry, &watch, &mut call);
        let expected = [poll_entry(4, 1, 0), poll_entry(9, 4, 0)].concat();
        assert_eq!(call.value.as_deref(), Some(&expected));
        assert_eq!((call.a, call.b), (Some(2), Some(-1)));
    }

    #[test]
    fn reads_passed_descriptors_from_control_data() {
        let mut control = Vec::new();
        control.extend_from_slice(&28u64.to_ne_bytes());
        control.extend_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        control.extend_from_slice(&libc::SCM_CREDENTIALS.to_ne_bytes());
        control.extend_from_slice(&[7; 16]);
        control.extend_from_slice(&24u64.to_ne_bytes());
        control.extend_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        control.extend_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        control.extend_from_slice(&5i32.to_ne_bytes());
        control.extend_from_slice(&6i32.to_ne_bytes());
        assert_eq!(passed_descriptors(&control), [5, 6]);
    }

    #[test]
    fn control_data_that_lies_about_its_length_is_harmless() {
        for length in [0u64, 1, 15, 17, 1000, u64::MAX] {
            let mut control = length.to_ne_bytes().to_vec();
            control.extend_from_slice(&[1; 20]);
            let _ = passed_descriptors(&control);
        }
        assert_eq!(passed_descriptors(&[1, 2, 3]), Vec::<i32>::new());
    }
}
