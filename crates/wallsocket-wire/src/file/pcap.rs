//! pcap: one header, then records of one kind.

use super::{CHUNK_RECORDS, Chunk, FileError, Order, RECORD_MAXIMUM, Reader, Record, order};
use crate::decode::LinkType;

/// How the records of a pcap file look.
#[derive(Clone, Copy, Debug)]
pub(super) struct PcapLayout {
    pub(super) order: Order,
    pub(super) nanoseconds: bool,
    header: usize,
    swapped_lengths: Swapped,
    pub(super) link_type: LinkType,
}

/// Before version 2.3 the two lengths stood in the other order; in 2.3 one cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swapped {
    No,
    Yes,
    Perhaps,
}

/// Names of formats that are not read here, by their first bytes.
const FOREIGN: [(&[u8], &str); 8] = [
    (b"snoop\0\0\0", "a Solaris snoop file"),
    (b"\x1f\x9d", "compressed with compress(1)"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"RTSS", "a Network Monitor 1 file"),
];

impl PcapLayout {
    /// Reads the header of a file.
    pub(super) fn of(start: &[u8]) -> Result<Self, FileError> {
        let magic = start
            .first_chunk::<4>()
            .map_or(0, |magic| u32::from_be_bytes(*magic));
        let (order, nanoseconds, header) = match magic {
            0xa1b2_c3d4 => (order(true), false, 16),
            0xd4c3_b2a1 => (order(false), false, 16),
            0xa1b2_3c4d => (order(true), true, 16),
            0x4d3c_b2a1 => (order(false), true, 16),
            // Alexey Kuznetsov's variant: interface, protocol and type after the lengths.
            0xa1b2_cd34 => (order(true), false, 24),
            0x34cd_b2a1 => (order(false), false, 24),
            _ => {
                let foreign = FOREIGN
                    .iter()
                    .find(|(magic, _)| start.starts_with(magic))
                    .map(|(_, name)| (*name).to_owned());
                let shown = start
                    .iter()
                    .take(4)
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<Vec<_>>()
                    .join(" ");
                return Err(FileError::NotACapture(
                    foreign.unwrap_or_else(|| format!("it starts with {shown}")),
                ));
            }
        };
        let (Some(major), Some(minor), Some(network)) = (
            order.half_at(start, 4),
            order.half_at(start, 6),
            order.word_at(start, 20),
        ) else {
            return Err(FileError::NotACapture(format!(
                "a pcap header cut after {} bytes",
                start.len()
            )));
        };
        if major != 2 && major != 543 {
            return Err(FileError::NotACapture(format!(
                "pcap of version {major}.{minor}"
            )));
        }
        let swapped_lengths = match (major, minor) {
            (543, _) | (2, 0..=2) => Swapped::Yes,
            (2, 3) => Swapped::Perhaps,
            _ => Swapped::No,
        };
        // The upper bits hold the length of a frame check sequence.
        Ok(Self {
            order,
            nanoseconds,
            header,
            swapped_lengths,
            link_type: LinkType(network & 0x03ff_ffff),
        })
    }

    /// Length of what may be a record at this place.
    pub(super) fn plausible(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let word = |offset: usize| self.order.word_at(bytes, at + offset);
        let (fraction, captured, original) = (word(4)?, word(8)?, word(12)?);
        let unit = if self.nanoseconds { 1000 } else { 1 };
        let fits = captured <= 1 << 18
            && captured <= original
            && original <= RECORD_MAXIMUM as u32
            && fraction < 1_000_000 * unit;
        fits.then_some(self.header + captured as usize)
    }

    /// Bytes that the record at the start of `bytes` needs.
    pub(super) fn needed(&self, bytes: &[u8]) -> usize {
        let length = self.order.word_at(bytes, 8).unwrap_or(0);
        let other = self.order.word_at(bytes, 12).unwrap_or(0);
        let length = if self.swapped_lengths == Swapped::No {
            length
        } else {
            length.min(other)
        };
        self.header + (length as usize).min(RECORD_MAXIMUM)
    }
}

impl Reader {
    /// Finds the records of a pcap file in the bytes of a chunk; returns how many bytes they take.
    pub(super) fn split_pcap(&mut self, layout: PcapLayout, chunk: &mut Chunk) -> usize {
        let bytes = &chunk.bytes[..chunk.filled];
        let order = layout.order;
        let unit = if layout.nanoseconds { 1 } else { 1000 };
        let mut at = 0;
        let stop = usize::try_from(self.stop - self.offset).unwrap_or(usize::MAX);
        while chunk.records.len() < CHUNK_RECORDS && at < stop {
            let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) else {
                break;
            };
            let word = |offset: usize| {
                order.word([
                    header[offset],
                    header[offset + 1],
                    header[offset + 2],
                    header[offset + 3],
                ])
            };
            let (mut captured, mut original) = (word(8), word(12));
            let swap = match layout.swapped_lengths {
                Swapped::No => false,
                Swapped::Yes => true,
                Swapped::Perhaps => captured > original,
            };
            if swap {
                std::mem::swap(&mut captured, &mut original);
            }
            let start = at + layout.header;
            let end = start + captured as usize;
            if captured as usize > RECORD_MAXIMUM {
                self.damaged = Some(format!(
                    "the record at byte {} claims {captured} bytes",
                    self.offset + at as u64
                ));
                break;
            }
            if end > bytes.len() {
                break;
            }
            chunk.records.push(Record {
                timestamp_ns: Some(i64::from(word(0)) * 1_000_000_000 + i64::from(word(4)) * unit),
                original_length: original,
                interface: 0,
                link_type: layout.link_type,
                start: start as u32,
                length: captured,
                options: 0,
                options_length: 0,
                whole: at as u32,
                whole_length: (end - at) as u32,
                big_endian: order.big,
            });
            at = end;
        }
        at
    }
}
