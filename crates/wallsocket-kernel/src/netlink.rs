//! Netlink: framing of messages and attributes, requests and dumps on one socket.
//!
//! Only this file knows how messages are laid out (netlink(7), linux/netlink.h). It is small enough to own: one header, one attribute
//! header, one error message; a crate for it would be larger than this file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use wallsocket_sys::socket;

use crate::words::{uint16, uint32};

/// Bytes of `struct nlmsghdr` and of `struct nlattr`; both and what follows them start at multiples of 4.
const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// Largest dump part of current kernels is 32 KiB (`NLMSG_GOODSIZE` and `netlink_dump()`); a larger buffer gets fuller parts.
const RECEIVE_ROOM: usize = 64 * 1024;

/// Message types below `NLMSG_MIN_TYPE` are the protocol's own.
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// The bit that says "more attributes inside", and the mask that drops it and its sibling (`NLA_TYPE_MASK`).
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// `NETLINK_EXT_ACK` and `NETLINK_CAP_ACK`, options of SOL_NETLINK; the text of an error is attribute 1.
const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLM_F_DUMP_INTR: u16 = 0x10;

/// A request is answered.
pub const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
/// A request for the whole table.
pub const DUMP: u16 = libc::NLM_F_DUMP as u16;
/// A request that wants an answer even if it is only "done".
pub const ACK: u16 = libc::NLM_F_ACK as u16;
/// A request to make something new.
pub const CREATE: u16 = libc::NLM_F_CREATE as u16;
/// A request that fails if the thing exists.
pub const EXCLUSIVE: u16 = libc::NLM_F_EXCL as u16;
/// A request that replaces the thing if it exists.
pub const REPLACE: u16 = libc::NLM_F_REPLACE as u16;

/// One attribute: its type without flag bits, and its data.
pub type Attribute<'a> = (u16, &'a [u8]);

/// Attributes one after the other; stops at the first that is cut off.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    std::iter::from_fn(move || {
        let length = usize::from(uint16(bytes, 0)?);
        let kind = uint16(bytes, 2)?;
        let data = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or(&[]);
        Some((kind & NLA_TYPE_MASK, data))
    })
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// One message of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// `NLM_F_` bits.
    pub flags: u16,
    /// Number of the request that it answers; 0 for notifications.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages in what one receive returned; stops at the first that is cut off.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = uint32(bytes, 0)? as usize;
        let kind = uint16(bytes, 4)?;
        let flags = uint16(bytes, 6)?;
        let sequence = uint32(bytes, 8)?;
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or(&[]);
        Some(Message {
            kind,
            flags,
            sequence,
            payload,
        })
    })
}

/// A request under construction.
#[derive(Debug, Clone)]
pub struct Request {
    bytes: Vec<u8>,
    /// An attribute did not fit its 16-bit length; such a request is refused before it is sent.
    too_long: bool,
}

impl Request {
    /// A request of message type `kind`; [`REQUEST`] is added to `flags`. `body` is the fixed part after the header.
    pub fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend(body);
        bytes.resize(aligned(bytes.len()), 0);
        Self {
            bytes,
            too_long: false,
        }
    }

    /// Adds an attribute; one of more than 65531 bytes makes the request fail when it is sent.
    #[must_use]
    pub fn attribute(mut self, kind: u16, data: &[u8]) -> Self {
        let length = self.attribute_length(ATTRIBUTE_HEADER + data.len());
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(data);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    /// Adds an attribute that holds a number of 4 bytes.
    #[must_use]
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds those of the numbers that there are.
    #[must_use]
    pub fn numbers(self, numbers: &[(u16, Option<u32>)]) -> Self {
        numbers
            .iter()
            .fold(self, |request, (kind, value)| match value {
                Some(value) => request.number(*kind, *value),
                None => request,
            })
    }

    /// Adds an attribute that holds text and its terminating zero.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Adds an attribute that holds what `fill` adds to it.
    #[must_use]
    pub fn nested(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self = self.attribute(kind | NLA_F_NESTED, &[]);
        self = fill(self);
        self.close(start)
    }

    /// Adds an attribute that starts with `body` and goes on with what `fill` adds.
    #[must_use]
    pub fn nested_after(mut self, kind: u16, body: &[u8], fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        self = self.attribute(kind | NLA_F_NESTED, body);
        self = fill(self);
        self.close(start)
    }

    fn close(mut self, start: usize) -> Self {
        let length = self.attribute_length(self.bytes.len() - start);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    fn attribute_length(&mut self, length: usize) -> u16 {
        u16::try_from(length).unwrap_or_else(|_| {
            self.too_long = true;
            u16::MAX
        })
    }

    /// The request as it goes to the kernel.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// The system's words for an error number, without the number.
pub fn strerror(number: i32) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    text.rsplit_once(" (os error")
        .map_or(text.clone(), |parts| parts.0.to_owned())
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused it.
    #[error("{}{}", strerror(*number), if text.is_empty() { String::new() } else { format!(": {text}") })]
    Refused {
        /// Error number.
        number: i32,
        /// The kernel's own words, where it has some.
        text: String,
    },
    /// The socket failed; ENOBUFS means that the kernel had to drop messages.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The answer is no netlink message.
    #[error("the kernel's netlink answer is cut off")]
    CutOff,
}

impl Error {
    /// The error number, where there is one.
    pub fn number(&self) -> Option<i32> {
        match self {
            Self::Refused { number, .. } => Some(*number),
            Self::Io(error) => error.raw_os_error(),
            Self::CutOff => None,
        }
    }
}

/// A netlink socket, of whatever network namespace it was made in.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Makes a socket of `protocol` (`NETLINK_ROUTE`, `NETLINK_SOCK_DIAG`) in the caller's network namespace.
    pub fn open(protocol: i32) -> io::Result<Self> {
        Self::from_socket(socket::open(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?)
    }

    /// Takes a netlink socket made elsewhere, such as in another network namespace.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        let on = 1_i32.to_ne_bytes();
        // Neither is needed for an answer: without them errors have no text and come with the request in front.
        for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK] {
            if let Err(error) = socket::set_option(socket.as_fd(), libc::SOL_NETLINK, option, &on)
                && error.raw_os_error() != Some(libc::ENOPROTOOPT)
            {
                return Err(error);
            }
        }
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; RECEIVE_ROOM],
        })
    }

    /// The socket, to wait on.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes a port number of the kernel's choice; sending does that too, listening does not.
    pub fn bind(&self) -> io::Result<()> {
        let any = crate::address::Address::Netlink { port: 0, groups: 0 };
        match socket::bind(self.socket.as_fd(), &any.encode()) {
            // It has one already.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            result => result,
        }
    }

    /// Joins a multicast group by number.
    pub fn join(&self, group: u32) -> io::Result<()> {
        socket::set_option(
            self.socket.as_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            &group.to_ne_bytes(),
        )
    }

    /// Sends `request` and hands every answering message to `take`, until the kernel says that it is done.
    ///
    /// Returns false when a dump changed under the kernel's hands, so that entries may be missing or double (NLM_F_DUMP_INTR).
    pub fn ask(
        &mut self,
        request: Request,
        mut take: impl FnMut(Message<'_>),
    ) -> Result<bool, Error> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let sequence = self.sequence;
        if request.too_long {
            return Err(Error::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a netlink attribute is longer than 65531 bytes",
            )));
        }
        let bytes = request.finish(sequence);
        let flags = u16::from_ne_bytes([bytes[6], bytes[7]]);
        socket::send(self.socket.as_fd(), &bytes, 0)?;
        let mut consistent = true;
        loop {
            let length = self.receive(0)?;
            let mut seen = 0;
            for message in messages(&self.buffer[..length]) {
                seen += 1;
                if message.sequence != sequence || message.kind == NLMSG_NOOP {
                    continue;
                }
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => return status(message).map(|()| consistent),
                    _ => take(message),
                }
                // A question with one answer and no wish for an acknowledgement ends with it.
                if flags & (DUMP | ACK) == 0 {
                    return Ok(consistent);
                }
            }
            if seen == 0 {
                return Err(Error::CutOff);
            }
        }
    }

    /// Sends a request that changes something and waits for the kernel's yes.
    pub fn command(&mut self, request: Request) -> Result<(), Error> {
        let mut request = request;
        let flags = u16::from_ne_bytes([request.bytes[6], request.bytes[7]]) | ACK;
        request.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.ask(request, |_| {}).map(|_| ())
    }

    /// Takes the notifications that wait, without blocking; returns false when there were none.
    ///
    /// ENOBUFS means that the kernel dropped some: count it and go on.
    pub fn notifications(&mut self, mut take: impl FnMut(Message<'_>)) -> io::Result<bool> {
        match self.receive(libc::MSG_DONTWAIT) {
            Ok(length) => {
                messages(&self.buffer[..length]).for_each(&mut take);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self, flags: i32) -> io::Result<usize> {
        loop {
            match socket::receive(self.socket.as_fd(), &mut self.buffer, flags) {
                Ok(length) => return Ok(length.min(self.buffer.len())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What an error or done message says: 0 is yes.
fn status(message: Message<'_>) -> Result<(), Error> {
    let code = message
        .payload
        .get(..4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
        .ok_or(Error::CutOff)?;
    if code >= 0 {
        return Ok(());
    }
    let text = if message.flags & NLM_F_ACK_TLVS == 0 {
        None
    } else {
        error_text(message)
    };
    Err(Error::Refused {
        number: -code,
        text: text.unwrap_or_default(),
    })
}

fn error_text(message: Message<'_>) -> Option<String> {
    let skipped = if message.kind == NLMSG_DONE {
        4
    } else if message.flags & NLM_F_CAPPED == 0 {
        // The whole request stands between the code and the text.
        let length = uint32(message.payload, 4)? as usize;
        4 + aligned(length)
    } else {
        4 + HEADER
    };
    let (_, text) = attributes(message.payload.get(skipped..)?)
        .find(|attribute| attribute.0 == NLMSGERR_ATTR_MSG)?;
    Some(crate::address::escape(
        text.strip_suffix(&[0]).unwrap_or(text),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let bytes = Request::new(16, 0, &[1])
            .text(3, "lo")
            .nested(18, |request| {
                request
                    .text(1, "veth")
                    .nested_after(2, &[9; 16], |request| request.number(7, 5))
            })
            .finish(1);
        let parsed: Vec<_> = messages(&bytes).collect();
        assert_eq!(parsed.len(), 1);
        let all: Vec<_> = attributes(&parsed[0].payload[4..]).collect();
        assert_eq!(all[0], (3, &b"lo\0"[..]));
        let inner: Vec<_> = attributes(all[1].1).collect();
        assert_eq!(inner[0], (1, &b"veth\0"[..]));
        assert_eq!(
            attributes(&inner[1].1[16..]).next(),
            Some((7, &5_u32.to_ne_bytes()[..]))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = status(message);
                for (_, data) in attributes(message.payload) {
                    let _ = attributes(data).count();
                }
            }
            prop_assert!(attributes(&bytes).count() <= bytes.len());
        }
    }
}
