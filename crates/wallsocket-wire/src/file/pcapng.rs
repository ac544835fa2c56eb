//! pcapng: sections, interfaces and packets, each a block with options.

use std::sync::Arc;

use super::{
    CHUNK_RECORDS, Chunk, Interface, Layout, Order, OtherBlock, RECORD_MAXIMUM, Reader, Record,
    order,
};
use crate::decode::LinkType;

/// Section header block.
pub const BLOCK_SECTION: u32 = 0x0a0d_0d0a;
/// Interface description block.
pub const BLOCK_INTERFACE: u32 = 1;
/// Packet block, obsolete.
pub const BLOCK_OLD_PACKET: u32 = 2;
/// Simple packet block.
pub const BLOCK_SIMPLE_PACKET: u32 = 3;
/// Name resolution block.
pub const BLOCK_NAMES: u32 = 4;
/// Interface statistics block.
pub const BLOCK_STATISTICS: u32 = 5;
/// Enhanced packet block.
pub const BLOCK_PACKET: u32 = 6;
/// Decryption secrets block.
pub const BLOCK_SECRETS: u32 = 10;
/// Custom block that may be copied.
pub const BLOCK_CUSTOM: u32 = 0x0bad;

/// More descriptions than a section has use for; bounds memory.
const INTERFACES_MAXIMUM: usize = 1 << 16;

/// An option of a pcapng block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOption<'a> {
    /// Its code: 1 comment, 2988 and up custom; others by block type.
    pub code: u16,
    /// Its value.
    pub value: &'a [u8],
    /// Byte order of numbers in it.
    pub big_endian: bool,
}

impl BlockOption<'_> {
    /// The value as a number of 4 bytes.
    pub fn as_u32(&self) -> Option<u32> {
        self.value
            .first_chunk()
            .map(|word| order(self.big_endian).word(*word))
    }
}

/// Iterator over the options of a pcapng block.
#[derive(Clone, Debug)]
pub struct BlockOptions<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> BlockOptions<'a> {
    /// The options that these bytes hold.
    pub(super) const fn of(bytes: &'a [u8], big_endian: bool) -> Self {
        Self { bytes, big_endian }
    }
}

impl<'a> Iterator for BlockOptions<'a> {
    type Item = BlockOption<'a>;

    fn next(&mut self) -> Option<BlockOption<'a>> {
        let order = order(self.big_endian);
        let code = order.half_at(self.bytes, 0)?;
        let length = usize::from(order.half_at(self.bytes, 2)?);
        let value = self.bytes.get(4..4 + length)?;
        if code == 0 {
            return None;
        }
        self.bytes = self
            .bytes
            .get(4 + length.next_multiple_of(4)..)
            .unwrap_or(&[]);
        Some(BlockOption {
            code,
            value,
            big_endian: self.big_endian,
        })
    }
}

/// Option `opt_comment` of any block.
pub const OPTION_COMMENT: u16 = 1;
/// Option `epb_flags`: direction in its two lowest bits.
pub const OPTION_PACKET_FLAGS: u16 = 2;
/// Option `epb_processid_threadid`.
pub const OPTION_PROCESS: u16 = 8;

pub(super) fn section_order(magic: [u8; 4]) -> Option<Order> {
    match magic {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(order(true)),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(order(false)),
        _ => None,
    }
}

fn interface(order: Order, body: &[u8]) -> Option<Interface> {
    let mut result = Interface::new(LinkType(order.half_at(body, 0)?.into()));
    result.snap_length = order.word_at(body, 4)?;
    result.ticks_per_second = 1_000_000;
    let text = |value: &[u8]| {
        Some(
            String::from_utf8_lossy(value)
                .trim_end_matches('\0')
                .to_owned(),
        )
    };
    for option in BlockOptions::of(body.get(8..)?, order.big) {
        match (option.code, option.value) {
            (2, name) => result.name = text(name),
            (3, description) => result.description = text(description),
            (9, [exponent, ..]) => {
                // The highest bit says: a power of two.
                let power = u32::from(exponent & 0x7f);
                let base: u64 = if exponent & 0x80 == 0 { 10 } else { 2 };
                result.ticks_per_second = base.checked_pow(power).unwrap_or(u64::MAX);
            }
            (11, [0, filter @ ..]) => result.filter = text(filter),
            (14, offset) if offset.len() == 8 => {
                let bytes: [u8; 8] = offset.try_into().ok()?;
                result.offset_s = if order.big {
                    i64::from_be_bytes(bytes)
                } else {
                    i64::from_le_bytes(bytes)
                };
            }
            _ => {}
        }
    }
    Some(result)
}

/// Length of what may be a block at this place.
pub(super) fn plausible(order: Order, bytes: &[u8], at: usize) -> Option<usize> {
    let length = order.word_at(bytes, at + 4)? as usize;
    let known = matches!(order.word_at(bytes, at)?, 1..=10 | 0x0bad | 0x4000_0bad);
    let fits = known
        && length >= 12
        && length.is_multiple_of(4)
        && length <= RECORD_MAXIMUM
        && order.word_at(bytes, at + length - 4)? as usize == length;
    fits.then_some(length)
}

/// Bytes that the block at the start of `bytes` needs.
pub(super) fn needed(order: Order, bytes: &[u8]) -> usize {
    (order.word_at(bytes, 4).unwrap_or(12) as usize).min(RECORD_MAXIMUM)
}

impl Reader {
    /// Finds the blocks of a pcapng file in the bytes of a chunk; returns how many bytes they take.
    pub(super) fn split_pcapng(&mut self, chunk: &mut Chunk) -> usize {
        let whole = std::mem::take(&mut chunk.bytes);
        let bytes = &whole[..chunk.filled];
        let mut at = 0;
        let stop = usize::try_from(self.stop - self.offset).unwrap_or(usize::MAX);
        while chunk.records.len() + chunk.others.len() < CHUNK_RECORDS && at < stop {
            let Layout::Pcapng(mut order) = self.layout else {
                break;
            };
            let rest = &bytes[at..];
            let (Some(mut kind), Some(mut length)) =
                (order.word_at(rest, 0), order.word_at(rest, 4))
            else {
                break;
            };
            if rest.starts_with(&0x0a0d_0d0a_u32.to_be_bytes()) {
                let Some(magic) = rest.get(8..12).and_then(|magic| magic.first_chunk()) else {
                    break;
                };
                let Some(section) = section_order(*magic) else {
                    self.damaged = Some(format!(
                        "the section at byte {} has no byte-order magic",
                        self.offset + at as u64
                    ));
                    break;
                };
                order = section;
                kind = BLOCK_SECTION;
                length = order.word_at(rest, 4).unwrap_or(0);
            }
            let length = length as usize;
            if length < 12 || !length.is_multiple_of(4) || length > RECORD_MAXIMUM {
                self.damaged = Some(format!(
                    "the block at byte {} claims {length} bytes",
                    self.offset + at as u64
                ));
                break;
            }
            let Some(block) = rest.get(..length) else {
                break;
            };
            if order.word_at(block, length - 4) != Some(length as u32) {
                self.damaged = Some(format!(
                    "the block at byte {} gives two different lengths",
                    self.offset + at as u64
                ));
                break;
            }
            if let Err(reason) = self.block(chunk, kind, order, block, at) {
                self.damaged = Some(format!(
                    "the block at byte {}: {reason}",
                    self.offset + at as u64
                ));
                break;
            }
            at += length;
        }
        chunk.bytes = whole;
        at
    }

    fn block(
        &mut self,
        chunk: &mut Chunk,
        kind: u32,
        order: Order,
        block: &[u8],
        at: usize,
    ) -> Result<(), &'static str> {
        let body = &block[8..block.len() - 4];
        let mut other = || {
            chunk.others.push(OtherBlock {
                kind,
                before: chunk.records.len(),
                start: at as u32,
                length: block.len() as u32,
                big_endian: order.big,
            });
        };
        match kind {
            BLOCK_SECTION => {
                if order.half_at(body, 4) != Some(1) {
                    return Err("a section of an unknown version");
                }
                self.layout = Layout::Pcapng(order);
                self.section = self.interfaces.len();
                other();
            }
            BLOCK_INTERFACE => {
                if self.interfaces.len() >= INTERFACES_MAXIMUM {
                    return Err("too many interfaces");
                }
                self.interfaces.push(Arc::new(
                    interface(order, body).ok_or("an interface without its fields")?,
                ));
                other();
            }
            BLOCK_PACKET | BLOCK_OLD_PACKET => {
                let number = if kind == BLOCK_PACKET {
                    order.word_at(body, 0)
                } else {
                    order.half_at(body, 0).map(u32::from)
                };
                let fields = (|| {
                    Some((
                        number?,
                        order.word_at(body, 4)?,
                        order.word_at(body, 8)?,
                        order.word_at(body, 12)?,
                        order.word_at(body, 16)?,
                    ))
                })();
                let (number, high, low, captured, original) =
                    fields.ok_or("a packet without its fields")?;
                let index = self.section + number as usize;
                let interface = self
                    .interfaces
                    .get(index)
                    .ok_or("a packet of an interface that was not described")?;
                let padded = (captured as usize).next_multiple_of(4);
                if 20 + captured as usize > body.len() {
                    return Err("a packet longer than its block");
                }
                let options = body.len().min(20 + padded);
                chunk.records.push(Record {
                    timestamp_ns: interface.nanoseconds((u64::from(high) << 32) | u64::from(low)),
                    original_length: original,
                    interface: index as u32,
                    link_type: interface.link_type,
                    start: (at + 8 + 20) as u32,
                    length: captured,
                    options: (at + 8 + options) as u32,
                    options_length: (body.len() - options) as u32,
                    whole: at as u32,
                    whole_length: block.len() as u32,
                    big_endian: order.big,
                });
            }
            BLOCK_SIMPLE_PACKET => {
                let interface = self
                    .interfaces
                    .get(self.section)
                    .ok_or("a packet of an interface that was not described")?;
                let original = order
                    .word_at(body, 0)
                    .ok_or("a packet without its length")?;
                let limit = if interface.snap_length == 0 {
                    u32::MAX
                } else {
                    interface.snap_length
                };
                let captured = original.min(limit).min(body.len() as u32 - 4);
                chunk.records.push(Record {
                    timestamp_ns: None,
                    original_length: original,
                    interface: self.section as u32,
                    link_type: interface.link_type,
                    start: (at + 8 + 4) as u32,
                    length: captured,
                    options: 0,
                    options_length: 0,
                    whole: at as u32,
                    whole_length: block.len() as u32,
                    big_endian: order.big,
                });
            }
            _ => other(),
        }
        Ok(())
    }
}
