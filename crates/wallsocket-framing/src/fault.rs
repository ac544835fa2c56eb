//! What can be wrong: with the stream ([`Fault`]), with a message to send ([`Refusal`]), with a framing's own
//! parameters ([`Setup`]).

use thiserror::Error;

/// The stream cannot be cut into messages any further. The peer, or a wrong choice of framing, is the cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A message is longer than the limit that the receiver set.
    #[error(
        "message at byte {at} of the stream is {}{length} bytes long, the limit (max_message) is {limit}",
        least(*.exact)
    )]
    TooLong {
        /// Offset in the stream of the message's first framing byte.
        at: u64,
        /// Announced length, or how much has come.
        length: u64,
        /// Whether `length` was announced by the peer (else: that much has come, without an end).
        exact: bool,
        /// The limit in force.
        limit: usize,
    },
    /// Bytes that this framing does not allow.
    #[error("malformed message at byte {at} of the stream: {reason}")]
    Malformed {
        /// Offset in the stream of the message's first framing byte.
        at: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The stream ended inside a message.
    #[error(
        "the stream ended inside a message: {received} bytes of it came, {}{missing} missing (it began at byte {at})",
        least(*.exact)
    )]
    Cut {
        /// Offset in the stream of the message's first framing byte.
        at: u64,
        /// Bytes of the unfinished message that came, framing included.
        received: usize,
        /// Bytes that were missing.
        missing: u64,
        /// Whether `missing` is the whole truth (a length was announced) or the least possible number.
        exact: bool,
    },
    /// Bytes after the end of the stream: the caller's mistake.
    #[error("bytes were fed after the end of the stream")]
    AfterEnd,
}

fn least(exact: bool) -> &'static str {
    if exact { "" } else { "at least " }
}

/// A message that this framing cannot carry. The sender is the cause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Longer than `max_message`.
    #[error("the message has {length} bytes, the limit (max_message) is {limit}")]
    TooLong {
        /// Length of the message.
        length: usize,
        /// The limit in force.
        limit: u64,
    },
    /// Not of the one length.
    #[error("the message has {length} bytes, this framing carries exactly {expected}")]
    WrongLength {
        /// Length of the message.
        length: usize,
        /// The one length.
        expected: usize,
    },
    /// The receiver would see the end of the message too early.
    #[error(
        "the message holds the delimiter at byte {at}: the receiver would cut it there; use an escape, another \
         delimiter, or a length prefix"
    )]
    HoldsDelimiter {
        /// Offset in the message.
        at: usize,
    },
}

/// A framing that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Setup(pub &'static str);
