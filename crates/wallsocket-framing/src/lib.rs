//! How a byte stream is cut into messages: fixed length, until close, delimited, length-prefixed. Sans-IO.
//!
//! A [`Codec`] describes the wire form; a [`Decoder`] applies one to a stream that arrives in pieces of any size. The
//! laws that the tests hold all codecs to:
//!
//! * the messages do not depend on how the stream was cut into pieces;
//! * decoding what was encoded gives the same messages;
//! * each byte is looked at a bounded number of times, whatever the pieces;
//! * between two calls a decoder keeps at most one unfinished message: `max_message` bytes and its framing.

mod decoder;
mod delimited;
mod fault;
mod fixed_length;
mod length_prefixed;
mod until_close;

pub use decoder::{Codec, Decode, Decoder, Taken};
pub use delimited::Delimited;
pub use fault::{Fault, Refusal, Setup};
pub use fixed_length::FixedLength;
pub use length_prefixed::{Header, LengthPrefixed, Order};
pub use until_close::UntilClose;
