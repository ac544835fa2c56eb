//! Messages announce their length.

use std::borrow::Cow;

use crate::decoder::{Codec, Taken};
use crate::fault::{Fault, Refusal, Setup};

/// Byte order of a length of fixed width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Most significant byte first: network order.
    Big,
    /// Least significant byte first.
    Little,
}

/// Form of the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Header {
    /// An unsigned number of 1, 2, 4 or 8 bytes.
    Fixed(usize, Order),
    /// LEB128, as in Protocol Buffers: 7 bits a byte, least significant first, the top bit says that more follow.
    Varint,
}

/// A 64-bit number takes at most ten groups of seven bits.
const VARINT_MAX: usize = 10;

/// Messages behind their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LengthPrefixed {
    header: Header,
    includes_header: bool,
    max_message: usize,
}

impl LengthPrefixed {
    /// `includes_header`: the announced length counts the header's own bytes too.
    pub fn new(header: Header, includes_header: bool, max_message: usize) -> Result<Self, Setup> {
        if let Header::Fixed(width, _) = header
            && ![1, 2, 4, 8].contains(&width)
        {
            return Err(Setup(
                "the width of a length prefix is 1, 2, 4 or 8 bytes, or \"varint\"",
            ));
        }
        Ok(Self {
            header,
            includes_header,
            max_message,
        })
    }

    /// Form of the length.
    pub fn header(&self) -> Header {
        self.header
    }

    /// Whether the length counts the header's own bytes.
    pub fn includes_header(&self) -> bool {
        self.includes_header
    }

    /// The limit in force.
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// The announced number and the header's width, or `None` when the header is not complete.
    #[inline]
    fn announced(&self, bytes: &[u8], at: u64) -> Result<Option<(u64, usize)>, Fault> {
        match self.header {
            Header::Fixed(width, order) => {
                let Some(field) = bytes.get(..width) else {
                    return Ok(None);
                };
                let mut wide = [0; 8];
                let value = if order == Order::Big {
                    wide[8 - width..].copy_from_slice(field);
                    u64::from_be_bytes(wide)
                } else {
                    wide[..width].copy_from_slice(field);
                    u64::from_le_bytes(wide)
                };
                Ok(Some((value, width)))
            }
            Header::Varint => {
                let mut value = 0_u64;
                for (index, byte) in bytes.iter().take(VARINT_MAX).enumerate() {
                    let group = u64::from(byte & 0x7f);
                    if index == VARINT_MAX - 1 && *byte > 1 {
                        break;
                    }
                    value |= group << (7 * index);
                    if byte & 0x80 == 0 {
                        return Ok(Some((value, index + 1)));
                    }
                }
                if bytes.len() < VARINT_MAX {
                    return Ok(None);
                }
                Err(Fault::Malformed {
                    at,
                    reason: "the varint length does not fit in 64 bits",
                })
            }
        }
    }

    /// Length of the message that the header announces.
    #[inline]
    fn length(&self, bytes: &[u8], at: u64) -> Result<Option<(usize, usize)>, Fault> {
        let Some((value, width)) = self.announced(bytes, at)? else {
            return Ok(None);
        };
        let length = if self.includes_header {
            value.checked_sub(width as u64).ok_or(Fault::Malformed {
                at,
                reason: "the announced length includes the header but is shorter than it",
            })?
        } else {
            value
        };
        match usize::try_from(length) {
            Ok(length) if length <= self.max_message => Ok(Some((length, width))),
            _ => Err(Fault::TooLong {
                at,
                length,
                exact: true,
                limit: self.max_message,
            }),
        }
    }
}

fn varint_width(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

impl Codec for LengthPrefixed {
    type Progress = ();

    #[inline]
    fn take<'a>(
        &self,
        _progress: &mut (),
        bytes: &'a [u8],
        at: u64,
    ) -> Result<Option<Taken<'a>>, Fault> {
        let Some((length, width)) = self.length(bytes, at)? else {
            return Ok(None);
        };
        Ok(bytes.get(width..width + length).map(|message| Taken {
            message: Cow::Borrowed(message),
            consumed: width + length,
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
        let received = bytes.len();
        Err(match (self.length(bytes, at)?, self.header) {
            (Some((length, width)), _) => Fault::Cut {
                at,
                received,
                missing: (width + length - received) as u64,
                exact: true,
            },
            (None, Header::Fixed(width, _)) => Fault::Cut {
                at,
                received,
                missing: (width - received) as u64,
                exact: false,
            },
            (None, Header::Varint) => Fault::Cut {
                at,
                received,
                missing: 1,
                exact: false,
            },
        })
    }

    fn encode(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let length = message.len();
        let own = |width: usize| {
            if self.includes_header {
                width as u64
            } else {
                0
            }
        };
        if length > self.max_message {
            return Err(Refusal::TooLong {
                length,
                limit: self.max_message as u64,
            });
        }
        match self.header {
            Header::Fixed(width, order) => {
                let value = length as u64 + own(width);
                let largest = u64::MAX >> (64 - 8 * width);
                if value > largest {
                    return Err(Refusal::TooLong {
                        length,
                        limit: largest - own(width),
                    });
                }
                match order {
                    Order::Big => out.extend_from_slice(&value.to_be_bytes()[8 - width..]),
                    Order::Little => out.extend_from_slice(&value.to_le_bytes()[..width]),
                }
            }
            Header::Varint => {
                let mut width = 1;
                // Counting itself, the header may grow by one byte; a number that fits its own width always exists.
                while varint_width(length as u64 + own(width)) > width {
                    width += 1;
                }
                let mut value = length as u64 + own(width);
                for _ in 1..width {
                    out.push((value & 0x7f) as u8 | 0x80);
                    value >>= 7;
                }
                out.push(value as u8);
            }
        }
        out.extend_from_slice(message);
        Ok(())
    }
}
