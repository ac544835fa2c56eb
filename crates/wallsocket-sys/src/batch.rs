//! Many messages of a datagram socket in one call: recvmmsg(2) and sendmmsg(2).

use std::io;
use std::os::fd::RawFd;

/// Most messages of one call: UIO_MAXIOV of the kernel (include/uapi/linux/uio.h), which cuts longer lists.
pub const MAXIMUM: usize = 1024;

/// Room for the messages of one call, used again for the next.
pub struct Buffers {
    bytes: Vec<u8>,
    size: usize,
    names: Vec<libc::sockaddr_storage>,
    /// Of each message that was received: bytes, bytes of the name, and whether it was longer.
    received: Vec<(usize, usize, bool)>,
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Buffers")
            .field("count", &self.names.len())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A message that was received.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The address of its sender, as the kernel wrote it; empty without one.
    pub sender: &'a [u8],
    /// It was longer than the room for it.
    pub truncated: bool,
}

impl Buffers {
    /// For `count` messages of at most `size` bytes, at least one each and at most [`MAXIMUM`].
    pub fn new(count: usize, size: usize) -> Self {
        let count = count.clamp(1, MAXIMUM);
        let size = size.max(1);
        // SAFETY: sockaddr_storage is plain integers, for which all zeroes is a value.
        let name: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self {
            bytes: vec![0; count * size],
            size,
            names: vec![name; count],
            received: Vec::new(),
        }
    }

    /// Receives what is there, at most `count` messages, and says how many; [`Buffers::messages`] has them. Only the first is
    /// waited for, and not even that one with `MSG_DONTWAIT` among the flags.
    ///
    /// # Errors
    /// What recvmmsg(2) reports: `EAGAIN`, `EINTR`, an error that waited at the socket.
    pub fn receive(&mut self, socket: RawFd, count: usize, flags: i32) -> io::Result<usize> {
        self.received.clear();
        let count = count.min(self.names.len());
        let mut parts: Vec<libc::iovec> = self
            .bytes
            .chunks_exact_mut(self.size)
            .take(count)
            .map(|part| libc::iovec {
                iov_base: part.as_mut_ptr().cast(),
                iov_len: part.len(),
            })
            .collect();
        let mut messages = headers(count);
        for ((message, part), name) in messages.iter_mut().zip(&mut parts).zip(&mut self.names) {
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = (&raw mut *name).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
        }
        // SAFETY: each header points to a name and a vector that outlive the call, and the vector to bytes that no other has.
        let received = unsafe {
            libc::recvmmsg(
                socket,
                messages.as_mut_ptr(),
                count as u32,
                flags | libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            return Err(io::Error::last_os_error());
        }
        let size = self.size;
        self.received
            .extend(messages.iter().take(received as usize).map(|message| {
                (
                    (message.msg_len as usize).min(size),
                    (message.msg_hdr.msg_namelen as usize).min(size_of::<libc::sockaddr_storage>()),
                    message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                )
            }));
        Ok(self.received.len())
    }

    /// What the last call received.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Received<'_>> {
        self.received
            .iter()
            .zip(self.bytes.chunks_exact(self.size))
            .zip(&self.names)
            .map(|((&(length, name_length, truncated), bytes), name)| {
                // SAFETY: the name is initialised, and any byte of it may be read; it is not longer than that.
                let sender = unsafe {
                    std::slice::from_raw_parts((&raw const *name).cast::<u8>(), name_length)
                };
                Received {
                    bytes: &bytes[..length],
                    sender,
                    truncated,
                }
            })
    }
}

fn headers(count: usize) -> Vec<libc::mmsghdr> {
    // SAFETY: mmsghdr is plain integers and pointers, for which all zeroes is a value.
    let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
    vec![empty; count]
}

/// Sends messages, each to the address beside it, or with an empty one to the socket's peer. How many were sent: fewer than there
/// are when the socket's buffer is full, or the next one fails.
///
/// # Errors
/// What sendmmsg(2) reports of the first one.
pub fn send(socket: RawFd, messages: &[(&[u8], &[u8])], flags: i32) -> io::Result<usize> {
    let count = messages.len().min(MAXIMUM);
    let mut parts: Vec<libc::iovec> = messages[..count]
        .iter()
        .map(|(bytes, _)| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        })
        .collect();
    let mut list = headers(count);
    for ((header, part), (_, address)) in list.iter_mut().zip(&mut parts).zip(messages) {
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        if !address.is_empty() {
            header.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = address.len() as u32;
        }
    }
    // SAFETY: each header points to a vector, an address and bytes that outlive the call; sending only reads them.
    let sent = unsafe { libc::sendmmsg(socket, list.as_mut_ptr(), count as u32, flags) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(sent as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_is_sent_in_one_call_is_received_in_one() {
        let there = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let here = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        here.connect(there.local_addr().expect("bound"))
            .expect("connected");
        let messages: [(&[u8], &[u8]); 3] = [(b"one", b""), (b"", b""), (b"a long one", b"")];
        assert_eq!(send(here.as_raw_fd(), &messages, 0).expect("sent"), 3);
        let mut buffers = Buffers::new(8, 4);
        assert_eq!(
            buffers.receive(there.as_raw_fd(), 8, 0).expect("received"),
            3
        );
        let found: Vec<(&[u8], bool)> = buffers
            .messages()
            .map(|message| (message.bytes, message.truncated))
            .collect();
        assert_eq!(
            found,
            [
                (&b"one"[..], false),
                (&b""[..], false),
                (&b"a lo"[..], true)
            ]
        );
        assert!(buffers.messages().all(|message| message.sender.len() == 16));
        let none = buffers.receive(there.as_raw_fd(), 8, libc::MSG_DONTWAIT);
        assert_eq!(none.expect_err("empty").kind(), io::ErrorKind::WouldBlock);
    }
}
