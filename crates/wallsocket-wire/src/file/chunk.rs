//! What a piece of a capture file holds: its bytes, and where the records and blocks in them lie.

use super::CHUNK;
use super::pcapng::{BlockOptions, OPTION_COMMENT, OPTION_PACKET_FLAGS, OPTION_PROCESS};
use crate::decode::{Frame, Hints, LinkType, decode};

/// An interface that frames were captured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Kind of its frames.
    pub link_type: LinkType,
    /// Bytes kept of each frame; 0: no limit.
    pub snap_length: u32,
    /// Name, when known.
    pub name: Option<String>,
    /// Description, when known.
    pub description: Option<String>,
    /// Text of the capture filter, when known.
    pub filter: Option<String>,
    /// Ticks per second of its timestamps.
    pub ticks_per_second: u64,
    /// Seconds to add to its timestamps.
    pub offset_s: i64,
}

impl Interface {
    /// An interface of which only the link type is known; nanoseconds.
    pub fn new(link_type: LinkType) -> Self {
        Self {
            link_type,
            snap_length: 0,
            name: None,
            description: None,
            filter: None,
            ticks_per_second: 1_000_000_000,
            offset_s: 0,
        }
    }

    pub(super) fn nanoseconds(&self, ticks: u64) -> Option<i64> {
        let fraction = match self.ticks_per_second {
            1_000_000_000 => i128::from(ticks),
            1_000_000 => i128::from(ticks) * 1000,
            other => i128::from(ticks) * 1_000_000_000 / i128::from(other.max(1)),
        };
        i64::try_from(fraction + i128::from(self.offset_s) * 1_000_000_000).ok()
    }
}

/// Where a record lies in its chunk, and what the file says about it.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// CLOCK_REALTIME, nanoseconds since 1970; `None` in simple packet blocks, which have no time, and beyond the year 2262.
    pub timestamp_ns: Option<i64>,
    /// Bytes the frame had on the wire.
    pub original_length: u32,
    /// Number of the interface in the file, counted over all sections.
    pub interface: u32,
    /// Kind of the frame.
    pub link_type: LinkType,
    pub(super) start: u32,
    pub(super) length: u32,
    pub(super) options: u32,
    pub(super) options_length: u32,
    pub(super) whole: u32,
    pub(super) whole_length: u32,
    pub(super) big_endian: bool,
}

/// A pcapng block other than a packet or an interface, kept as it is.
#[derive(Clone, Copy, Debug)]
pub struct OtherBlock {
    /// Block type.
    pub kind: u32,
    /// It stands before the record of this index in its chunk.
    pub before: usize,
    pub(super) start: u32,
    pub(super) length: u32,
    /// Byte order of the numbers in it.
    pub big_endian: bool,
}

/// Bytes of a file with the records they hold.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Its length is kept from one use to the next, so that it is zeroed once; bytes after `filled` are stale.
    pub(super) bytes: Vec<u8>,
    pub(super) filled: usize,
    pub(super) records: Vec<Record>,
    pub(super) others: Vec<OtherBlock>,
    pub(super) first: u64,
}

impl Chunk {
    /// The records, in the order of the file.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether the source had as much as one chunk takes: it may have more.
    pub const fn is_full(&self) -> bool {
        self.filled >= CHUNK
    }

    /// Bytes of the file in it.
    pub const fn length(&self) -> usize {
        self.filled
    }

    /// Number of the first record in the file, counted from 1.
    pub const fn first_number(&self) -> u64 {
        self.first
    }

    /// The captured bytes of a record of this chunk.
    #[inline]
    pub fn frame_bytes(&self, record: &Record) -> &[u8] {
        self.bytes
            .get(record.start as usize..(record.start + record.length) as usize)
            .unwrap_or(&[])
    }

    /// A record as it stands in the file, headers and options included.
    pub fn record_bytes(&self, record: &Record) -> &[u8] {
        self.bytes
            .get(record.whole as usize..(record.whole + record.whole_length) as usize)
            .unwrap_or(&[])
    }

    /// Options of a pcapng packet block.
    pub fn options(&self, record: &Record) -> BlockOptions<'_> {
        let start = record.options as usize;
        BlockOptions::of(
            self.bytes
                .get(start..start + record.options_length as usize)
                .unwrap_or(&[]),
            record.big_endian,
        )
    }

    /// Blocks that are neither packets nor interfaces, in the order of the file.
    pub fn others(&self) -> &[OtherBlock] {
        &self.others
    }

    /// The whole of such a block, its type and lengths included.
    pub fn block_bytes(&self, block: &OtherBlock) -> &[u8] {
        self.bytes
            .get(block.start as usize..(block.start + block.length) as usize)
            .unwrap_or(&[])
    }

    /// Comments of a packet.
    pub fn comments(&self, record: &Record) -> Vec<String> {
        self.options(record)
            .filter(|option| option.code == OPTION_COMMENT)
            .map(|option| String::from_utf8_lossy(option.value).into_owned())
            .collect()
    }

    /// Process that sent or received a packet, when the file says so.
    pub fn process_id(&self, record: &Record) -> Option<u32> {
        self.options(record)
            .find(|option| option.code == OPTION_PROCESS)?
            .as_u32()
    }

    /// Whether the packet was received (`Some(true)`) or sent, when the file says so.
    pub fn inbound(&self, record: &Record) -> Option<bool> {
        match self
            .options(record)
            .find(|option| option.code == OPTION_PACKET_FLAGS)?
            .as_u32()?
            & 3
        {
            1 => Some(true),
            2 => Some(false),
            _ => None,
        }
    }

    /// A frame of this chunk, decoded.
    #[inline]
    pub fn decode(&self, record: &Record) -> Frame<'_> {
        decode(
            record.link_type,
            self.frame_bytes(record),
            record.original_length,
            Hints::default(),
        )
    }
}
