//! A codec applied to a stream that arrives in pieces.

use std::borrow::Cow;

use crate::fault::{Fault, Refusal};

/// One message found at the start of the bytes that were shown.
#[derive(Debug)]
pub struct Taken<'a> {
    /// The message without its framing.
    pub message: Cow<'a, [u8]>,
    /// How many bytes it took with its framing.
    pub consumed: usize,
}

/// The wire form of a framing.
pub trait Codec {
    /// What is known of the unfinished message, so that no byte is searched twice.
    type Progress: Default + Send + Sync;

    /// Whether a message ends with the stream, so that a connection carries one.
    const ENDS_WITH_STREAM: bool = false;

    /// Looks for a whole message at the start of `bytes`, which begin at byte `at` of the stream.
    ///
    /// After `Ok(None)` the next call for the same message shows the same bytes and more.
    fn take<'a>(
        &self,
        progress: &mut Self::Progress,
        bytes: &'a [u8],
        at: u64,
    ) -> Result<Option<Taken<'a>>, Fault>;

    /// The stream has ended with `bytes` left over, for which `take` said `None` (or which are empty).
    fn end<'a>(
        &self,
        progress: &Self::Progress,
        bytes: &'a [u8],
        at: u64,
    ) -> Result<Option<Cow<'a, [u8]>>, Fault>;

    /// Appends the wire form of `message` to `out`; leaves `out` alone when it refuses.
    fn encode(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal>;
}

/// What a user of any decoder needs; object-safe.
pub trait Decode: Send + Sync {
    /// Hands every message that `data` completes to `sink`, and says how many there were.
    ///
    /// Messages before a fault are always delivered: the fault is returned by the call that delivers no message, and
    /// by every call after it. [`Decode::fault`] has it at once.
    fn feed(&mut self, data: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<usize, Fault>;

    /// The stream has ended: hands over a last message, if the end completes one, or says what was missing.
    fn end(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<usize, Fault>;

    /// The fault that the next call will return.
    fn fault(&self) -> Option<&Fault>;

    /// Bytes of the unfinished message that are kept.
    fn buffered(&self) -> usize;
}

/// Larger buffers are given back to the allocator when their message is complete.
const KEPT_CAPACITY: usize = 1 << 16;

/// A [`Codec`] at work on one stream.
#[derive(Debug)]
pub struct Decoder<C: Codec> {
    codec: C,
    /// The unfinished message, framing included; empty between messages.
    buffer: Vec<u8>,
    progress: C::Progress,
    /// Offset in the stream where the unfinished message begins.
    at: u64,
    fault: Option<Fault>,
    ended: bool,
}

impl<C: Codec> Decoder<C> {
    /// A decoder at the start of a stream.
    pub fn new(codec: C) -> Self {
        Self {
            codec,
            buffer: Vec::new(),
            progress: C::Progress::default(),
            at: 0,
            fault: None,
            ended: false,
        }
    }

    /// Takes all whole messages from the start of `bytes`; returns how many bytes and messages that were.
    fn drain(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> (usize, usize) {
        let (mut start, mut count) = (0, 0);
        // An empty rest is not asked about: no framing has a message of no bytes on the wire.
        while start < bytes.len() {
            match self
                .codec
                .take(&mut self.progress, &bytes[start..], self.at)
            {
                Ok(Some(taken)) => {
                    sink(&taken.message);
                    start += taken.consumed;
                    self.at += taken.consumed as u64;
                    self.progress = C::Progress::default();
                    count += 1;
                }
                Ok(None) => break,
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        (start, count)
    }
}

impl<C: Codec + Send + Sync> Decode for Decoder<C> {
    fn feed(&mut self, data: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<usize, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.ended {
            return Err(Fault::AfterEnd);
        }
        let count;
        if self.buffer.is_empty() {
            // The common case: whole messages go out of the caller's bytes without being kept first.
            let (start, found) = self.drain(data, sink);
            self.buffer.extend_from_slice(&data[start..]);
            count = found;
        } else {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.extend_from_slice(data);
            let (start, found) = self.drain(&buffer, sink);
            if start == buffer.len() && buffer.capacity() > KEPT_CAPACITY {
                buffer = Vec::new();
            } else {
                // What stays is part of `data` (the older bytes are gone with the first message), hence linear time.
                buffer.drain(..start);
            }
            self.buffer = buffer;
            count = found;
        }
        match &self.fault {
            None => Ok(count),
            Some(fault) => {
                self.buffer = Vec::new();
                if count == 0 {
                    Err(fault.clone())
                } else {
                    Ok(count)
                }
            }
        }
    }

    fn end(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<usize, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.ended {
            return Ok(0);
        }
        self.ended = true;
        let bytes = std::mem::take(&mut self.buffer);
        match self.codec.end(&self.progress, &bytes, self.at) {
            Ok(Some(message)) => {
                sink(&message);
                Ok(1)
            }
            Ok(None) => Ok(0),
            Err(fault) => {
                self.fault = Some(fault.clone());
                Err(fault)
            }
        }
    }

    fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn buffered(&self) -> usize {
        self.buffer.len()
    }
}
