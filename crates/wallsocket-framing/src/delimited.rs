//! Messages end with a delimiter, as lines do.

use std::borrow::Cow;

use memchr::{memchr2_iter, memmem};

use crate::decoder::{Codec, Taken};
use crate::fault::{Fault, Refusal, Setup};

/// Messages that end with `delimiter`.
///
/// With an `escape` byte, a message may hold any bytes: the escape precedes each escape byte and each first byte of the
/// delimiter, so no delimiter can begin inside a message. Without one, a message that holds the delimiter is refused.
#[derive(Clone, Debug)]
pub struct Delimited {
    delimiter: Vec<u8>,
    finder: memmem::Finder<'static>,
    escape: Option<u8>,
    strict: bool,
    max_message: usize,
}

/// How far the search has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search {
    /// Bytes at the start that need no second look.
    searched: usize,
    /// Escape bytes among them, which are not part of the message.
    escapes: usize,
}

impl Delimited {
    /// `strict`: a last message without its delimiter, and an escape before a byte that needs none, are faults; else
    /// the former is a message and the latter stands for that byte.
    pub fn new(
        delimiter: &[u8],
        escape: Option<u8>,
        strict: bool,
        max_message: usize,
    ) -> Result<Self, Setup> {
        if delimiter.is_empty() {
            return Err(Setup("the delimiter must have at least 1 byte"));
        }
        if escape.is_some_and(|escape| delimiter.contains(&escape)) {
            return Err(Setup("the escape byte must not be part of the delimiter"));
        }
        let finder = memmem::Finder::new(delimiter).into_owned();
        Ok(Self {
            delimiter: delimiter.to_vec(),
            finder,
            escape,
            strict,
            max_message,
        })
    }

    /// The bytes that end a message.
    pub fn delimiter(&self) -> &[u8] {
        &self.delimiter
    }

    /// The byte that takes the meaning from the next one.
    pub fn escape(&self) -> Option<u8> {
        self.escape
    }

    /// Whether the grammar is enforced to the letter.
    pub fn strict(&self) -> bool {
        self.strict
    }

    /// The limit in force.
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// Offset of the delimiter that ends the message, or `None` with `search` moved on.
    fn find(&self, search: &mut Search, bytes: &[u8], at: u64) -> Result<Option<usize>, Fault> {
        let Some(escape) = self.escape else {
            return Ok(
                if let Some(found) = self.finder.find(&bytes[search.searched..]) {
                    Some(search.searched + found)
                } else {
                    // A delimiter may have begun in the last bytes.
                    search.searched = search
                        .searched
                        .max((bytes.len() + 1).saturating_sub(self.delimiter.len()));
                    None
                },
            );
        };
        let first = self.delimiter[0];
        let mut next = search.searched;
        for offset in memchr2_iter(escape, first, &bytes[search.searched..]) {
            let position = search.searched + offset;
            if position < next {
                continue; // escaped
            }
            if bytes[position] == escape {
                let Some(&escaped) = bytes.get(position + 1) else {
                    search.searched = position;
                    return Ok(None);
                };
                if self.strict && escaped != escape && escaped != first {
                    if position - search.escapes > self.max_message {
                        return Err(self.too_long(at)); // as it is when the stream comes byte by byte
                    }
                    return Err(Fault::Malformed {
                        at,
                        reason: "an escape precedes a byte that needs none (strict)",
                    });
                }
                search.escapes += 1;
                next = position + 2;
            } else if bytes[position..].starts_with(&self.delimiter) {
                return Ok(Some(position));
            } else if self.delimiter.starts_with(&bytes[position..]) {
                // The beginning of a delimiter whose end has not come yet.
                search.searched = position;
                return Ok(None);
            }
        }
        search.searched = next.max(bytes.len());
        Ok(None)
    }

    /// Without escape bytes.
    fn plain<'a>(&self, bytes: &'a [u8], escapes: usize) -> Cow<'a, [u8]> {
        let Some(escape) = self.escape.filter(|_| escapes > 0) else {
            return Cow::Borrowed(bytes);
        };
        let mut message = Vec::with_capacity(bytes.len() - escapes);
        let mut rest = bytes.iter();
        while let Some(&byte) = rest.next() {
            message.push(if byte == escape {
                rest.next().copied().unwrap_or(byte)
            } else {
                byte
            });
        }
        Cow::Owned(message)
    }

    fn too_long(&self, at: u64) -> Fault {
        Fault::TooLong {
            at,
            length: self.max_message as u64 + 1,
            exact: false,
            limit: self.max_message,
        }
    }
}

impl Codec for Delimited {
    type Progress = Search;

    fn take<'a>(
        &self,
        search: &mut Search,
        bytes: &'a [u8],
        at: u64,
    ) -> Result<Option<Taken<'a>>, Fault> {
        let found = self.find(search, bytes, at)?;
        // Where the limit is passed must not depend on how much has come: the fault is the same for all pieces.
        let known = found.unwrap_or(search.searched.min(bytes.len())) - search.escapes;
        if known > self.max_message {
            return Err(self.too_long(at));
        }
        Ok(found.map(|end| Taken {
            message: self.plain(&bytes[..end], search.escapes),
            consumed: end + self.delimiter.len(),
        }))
    }

    fn end<'a>(
        &self,
        search: &Search,
        bytes: &'a [u8],
        at: u64,
    ) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        if bytes.is_empty() {
            return Ok(None);
        }
        if self.strict {
            let begun = (1..self.delimiter.len())
                .rev()
                .find(|&length| {
                    bytes.ends_with(&self.delimiter[..length])
                        && bytes.len() - length >= search.searched
                })
                .unwrap_or(0);
            let missing = (self.delimiter.len() - begun) as u64;
            return Err(Fault::Cut {
                at,
                received: bytes.len(),
                missing,
                exact: false,
            });
        }
        let message = self.plain(bytes, search.escapes + usize::from(self.escape.is_some()));
        if message.len() > self.max_message {
            return Err(self.too_long(at));
        }
        Ok(Some(message))
    }

    fn encode(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if message.len() > self.max_message {
            return Err(Refusal::TooLong {
                length: message.len(),
                limit: self.max_message as u64,
            });
        }
        let before = out.len();
        if let Some(escape) = self.escape {
            let first = self.delimiter[0];
            let mut copied = 0;
            for position in memchr2_iter(escape, first, message) {
                out.extend_from_slice(&message[copied..position]);
                out.push(escape);
                copied = position;
            }
            out.extend_from_slice(&message[copied..]);
            out.extend_from_slice(&self.delimiter);
            return Ok(());
        }
        out.extend_from_slice(message);
        out.extend_from_slice(&self.delimiter);
        // Also where message and delimiter together form an earlier one: "xa" + "aa" ends after "x".
        if let Some(found) = self
            .finder
            .find(&out[before..])
            .filter(|&found| found != message.len())
        {
            out.truncate(before);
            return Err(Refusal::HoldsDelimiter { at: found });
        }
        Ok(())
    }
}
