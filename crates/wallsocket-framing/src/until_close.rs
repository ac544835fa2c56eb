//! One message per connection: it ends where the stream ends.

use std::borrow::Cow;

use crate::decoder::{Codec, Taken};
use crate::fault::{Fault, Refusal};

/// All bytes until the end of the stream are one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UntilClose {
    max_message: usize,
}

impl UntilClose {
    /// A message of at most `max_message` bytes.
    pub fn new(max_message: usize) -> Self {
        Self { max_message }
    }

    /// The limit in force.
    pub fn max_message(&self) -> usize {
        self.max_message
    }
}

impl Codec for UntilClose {
    type Progress = ();

    const ENDS_WITH_STREAM: bool = true;

    fn take<'a>(
        &self,
        _progress: &mut (),
        bytes: &'a [u8],
        at: u64,
    ) -> Result<Option<Taken<'a>>, Fault> {
        if bytes.len() > self.max_message {
            let length = bytes.len() as u64;
            return Err(Fault::TooLong {
                at,
                length: length.min(self.max_message as u64 + 1),
                exact: false,
                limit: self.max_message,
            });
        }
        Ok(None)
    }

    fn end<'a>(
        &self,
        _progress: &(),
        bytes: &'a [u8],
        _at: u64,
    ) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        Ok(Some(Cow::Borrowed(bytes)))
    }

    fn encode(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if message.len() > self.max_message {
            return Err(Refusal::TooLong {
                length: message.len(),
                limit: self.max_message as u64,
            });
        }
        out.extend_from_slice(message);
        Ok(())
    }
}
