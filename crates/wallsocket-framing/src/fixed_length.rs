//! Every message has the same number of bytes.

use std::borrow::Cow;

use crate::decoder::{Codec, Taken};
use crate::fault::{Fault, Refusal, Setup};

/// Messages of exactly `length` bytes, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FixedLength {
    length: usize,
}

impl FixedLength {
    /// `length` is at least 1.
    pub fn new(length: usize) -> Result<Self, Setup> {
        if length == 0 {
            return Err(Setup("a fixed length must be at least 1 byte"));
        }
        Ok(Self { length })
    }

    /// The one length.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Bytes of the longest message: of each.
    pub fn max_message(&self) -> usize {
        self.length
    }
}

impl Codec for FixedLength {
    type Progress = ();

    fn take<'a>(
        &self,
        _progress: &mut (),
        bytes: &'a [u8],
        _at: u64,
    ) -> Result<Option<Taken<'a>>, Fault> {
        Ok(bytes.get(..self.length).map(|message| Taken {
            message: Cow::Borrowed(message),
            consumed: self.length,
        }))
    }

    fn end<'a>(
        &self,
        _progress: &(),
        bytes: &'a [u8],
        at: u64,
    ) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let missing = (self.length - bytes.len()) as u64;
        Err(Fault::Cut {
            at,
            received: bytes.len(),
            missing,
            exact: true,
        })
    }

    fn encode(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if message.len() != self.length {
            return Err(Refusal::WrongLength {
                length: message.len(),
                expected: self.length,
            });
        }
        out.extend_from_slice(message);
        Ok(())
    }
}
