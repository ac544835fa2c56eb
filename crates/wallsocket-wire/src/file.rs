//! Reading capture files: pcap in its variants, and pcapng.
//!
//! Sources: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>, `draft-ietf-opsawg-pcapng`, and for the old pcap
//! variants libpcap's `sf-pcap.c` (facts only).
//!
//! Rules of this module:
//! - The file is anyone's: nothing panics, memory is bounded by [`RECORD_MAXIMUM`], work is linear.
//! - A file that ends within a record, or is damaged, gives every record before; how many bytes were of no use is counted.
//! - A file may grow: after the end was reached, reading may be tried again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::decode::{Hints, LinkType};

/// A record or block that claims more bytes than this is damaged. libpcap's limit for pcapng blocks.
pub const RECORD_MAXIMUM: usize = 16 << 20;

/// Bytes read at a time: small enough to stay in a processor's cache until they are decoded.
const CHUNK: usize = 256 << 10;

/// Records of one chunk, so that what describes them stays bounded as well.
const CHUNK_RECORDS: usize = 16 << 10;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is no capture file that is known here.
    #[error("not a capture file: {0}")]
    NotACapture(String),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The two families of formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// pcap.
    Pcap,
    /// pcapng.
    Pcapng,
}

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

    fn nanoseconds(&self, ticks: u64) -> Option<i64> {
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
    start: u32,
    length: u32,
    options: u32,
    options_length: u32,
    whole: u32,
    whole_length: u32,
    big_endian: bool,
}

/// A pcapng block other than a packet or an interface, kept as it is.
#[derive(Clone, Copy, Debug)]
pub struct OtherBlock {
    /// Block type.
    pub kind: u32,
    /// It stands before the record of this index in its chunk.
    pub before: usize,
    start: u32,
    length: u32,
    /// Byte order of the numbers in it.
    pub big_endian: bool,
}

/// Bytes of a file with the records they hold.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Its length is kept from one use to the next, so that it is zeroed once; bytes after `filled` are stale.
    bytes: Vec<u8>,
    filled: usize,
    records: Vec<Record>,
    others: Vec<OtherBlock>,
    first: u64,
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
        BlockOptions {
            bytes: self
                .bytes
                .get(start..start + record.options_length as usize)
                .unwrap_or(&[]),
            big_endian: record.big_endian,
        }
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
}

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    big: bool,
}

const fn order(big: bool) -> Order {
    Order { big }
}

impl Order {
    const fn word(self, bytes: [u8; 4]) -> u32 {
        if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn word_at(self, bytes: &[u8], offset: usize) -> Option<u32> {
        bytes
            .get(offset..)?
            .first_chunk()
            .map(|word| self.word(*word))
    }

    fn half_at(self, bytes: &[u8], offset: usize) -> Option<u16> {
        let pair = *bytes.get(offset..)?.first_chunk()?;
        Some(if self.big {
            u16::from_be_bytes(pair)
        } else {
            u16::from_le_bytes(pair)
        })
    }
}

/// How the records of a pcap file look.
#[derive(Clone, Copy, Debug)]
struct PcapLayout {
    order: Order,
    nanoseconds: bool,
    header: usize,
    swapped_lengths: Swapped,
    link_type: LinkType,
}

/// Before version 2.3 the two lengths stood in the other order; in 2.3 one cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Swapped {
    No,
    Yes,
    Perhaps,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    Pcap(PcapLayout),
    Pcapng(Order),
}

/// How a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Bytes at the end that held no whole record.
    pub unusable_bytes: u64,
    /// Where they start in the (decompressed) file.
    pub offset: u64,
    /// Why.
    pub reason: String,
}

/// Reads a capture file chunk by chunk.
pub struct Reader {
    source: Box<dyn Read + Send>,
    layout: Layout,
    interfaces: Vec<Arc<Interface>>,
    /// Number of the first interface of the current section.
    section: usize,
    pending: Vec<u8>,
    offset: u64,
    count: u64,
    damaged: Option<String>,
    skipped: u64,
    header: Vec<u8>,
    /// The file itself, where parts of it can be read on their own.
    file: Option<Arc<File>>,
    /// Records that start here or later belong to another part.
    stop: u64,
}

/// A file from a place of its own, which reading by others does not move.
#[derive(Debug)]
pub struct Positioned {
    file: Arc<File>,
    offset: u64,
}

impl Positioned {
    /// From `offset` on.
    pub const fn new(file: Arc<File>, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Records in a row that must look right where a part is taken to start.
const PLAUSIBLE_RECORDS: usize = 4;

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Reader")
            .field("layout", &self.layout)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
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

impl Reader {
    /// Reads the file header from `source` (already decompressed).
    ///
    /// # Errors
    /// [`FileError::NotACapture`] for other files, empty ones included.
    pub fn new(mut source: Box<dyn Read + Send>) -> Result<Self, FileError> {
        let mut start = vec![0; 24];
        let mut filled = 0;
        while filled < start.len() {
            match source.read(&mut start[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error().is_none() => {
                    return Err(FileError::NotACapture(format!(
                        "the compressed stream is damaged or cut: {error}"
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
        start.truncate(filled);
        if start.is_empty() {
            return Err(FileError::NotACapture("it is empty".to_owned()));
        }
        let mut reader = Self {
            source,
            layout: Layout::Pcapng(order(false)),
            interfaces: Vec::new(),
            section: 0,
            pending: Vec::new(),
            offset: 0,
            count: 0,
            damaged: None,
            skipped: 0,
            header: Vec::new(),
            file: None,
            stop: u64::MAX,
        };
        if start.starts_with(&0x0a0d_0d0a_u32.to_be_bytes()) {
            let Some(big) = start
                .get(8..12)
                .and_then(|magic| section_order(*magic.first_chunk()?))
            else {
                return Err(FileError::NotACapture(
                    "a pcapng section without its byte-order magic".to_owned(),
                ));
            };
            reader.layout = Layout::Pcapng(big);
            reader.pending = start;
            return Ok(reader);
        }
        let layout = pcap_layout(&start)?;
        let snap_length = layout.order.word_at(&start, 16).unwrap_or(0);
        reader.interfaces.push(Arc::new(Interface {
            snap_length,
            ticks_per_second: if layout.nanoseconds {
                1_000_000_000
            } else {
                1_000_000
            },
            ..Interface::new(layout.link_type)
        }));
        reader.offset = 24;
        reader.header = start;
        reader.layout = Layout::Pcap(layout);
        Ok(reader)
    }

    /// pcap or pcapng.
    pub const fn format(&self) -> Format {
        match self.layout {
            Layout::Pcap(_) => Format::Pcap,
            Layout::Pcapng(_) => Format::Pcapng,
        }
    }

    /// Whether numbers in the file (its current section) are big-endian.
    pub const fn is_big_endian(&self) -> bool {
        match self.layout {
            Layout::Pcap(layout) => layout.order.big,
            Layout::Pcapng(order) => order.big,
        }
    }

    /// Interfaces found so far.
    pub fn interfaces(&self) -> &[Arc<Interface>] {
        &self.interfaces
    }

    /// Records read so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The header of a pcap file as it stands in it; empty for pcapng, whose sections are blocks.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Lets parts be read on their own. `file` is what this reader reads, a regular file that is not compressed.
    pub fn set_file(&mut self, file: Arc<File>) {
        self.file = Some(file);
    }

    /// Bytes the file has now, where parts of it can be read on their own.
    pub fn size(&self) -> Option<u64> {
        let metadata = self.file.as_ref()?.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Where the next record starts in the (decompressed) file.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Another reader, of the records that start at byte `from` or later and before `to`. Interfaces are those found so far.
    /// `None` where the source is no file that can be read at any place.
    pub fn part(&self, from: u64, to: u64) -> Option<Self> {
        let file = Arc::clone(self.file.as_ref()?);
        Some(Self {
            source: Box::new(Positioned {
                file: Arc::clone(&file),
                offset: from,
            }),
            layout: self.layout,
            interfaces: self.interfaces.clone(),
            section: self.section,
            pending: Vec::new(),
            offset: from,
            count: 0,
            damaged: None,
            skipped: 0,
            header: Vec::new(),
            file: Some(file),
            stop: to,
        })
    }

    /// For a part that starts anywhere: moves on to the first place that looks like the start of a record; false if there is none
    /// nearby. It may be wrong: only the end of the part before says where a record starts.
    ///
    /// # Errors
    /// Those of the source.
    pub fn seek_record(&mut self) -> io::Result<bool> {
        let mut chunk = Chunk::default();
        self.fill(&mut chunk, CHUNK)?;
        let bytes = &chunk.bytes[..chunk.filled];
        let found = (0..bytes.len()).find(|start| {
            let mut at = *start;
            for _ in 0..PLAUSIBLE_RECORDS {
                match self.plausible(bytes, at) {
                    Some(length) => at += length,
                    None => return false,
                }
            }
            true
        });
        let Some(start) = found else {
            return Ok(false);
        };
        self.offset += start as u64;
        self.pending.clear();
        self.pending.extend_from_slice(&bytes[start..]);
        Ok(true)
    }

    /// Length of what may be a record at this place.
    fn plausible(&self, bytes: &[u8], at: usize) -> Option<usize> {
        match self.layout {
            Layout::Pcap(layout) => {
                let word = |offset: usize| layout.order.word_at(bytes, at + offset);
                let (fraction, captured, original) = (word(4)?, word(8)?, word(12)?);
                let unit = if layout.nanoseconds { 1000 } else { 1 };
                let fits = captured <= 1 << 18
                    && captured <= original
                    && original <= RECORD_MAXIMUM as u32
                    && fraction < 1_000_000 * unit;
                fits.then_some(layout.header + captured as usize)
            }
            Layout::Pcapng(order) => {
                let length = order.word_at(bytes, at + 4)? as usize;
                let known = matches!(order.word_at(bytes, at)?, 1..=10 | 0x0bad | 0x4000_0bad);
                let fits = known
                    && length >= 12
                    && length.is_multiple_of(4)
                    && length <= RECORD_MAXIMUM
                    && order.word_at(bytes, at + length - 4)? as usize == length;
                fits.then_some(length)
            }
        }
    }

    /// Whether the rest of the file cannot be read.
    pub const fn is_damaged(&self) -> bool {
        self.damaged.is_some()
    }

    /// What is left at the end, once [`Reader::read_chunk`] has said that there is nothing more.
    pub fn tail(&self) -> Option<Tail> {
        let unusable_bytes = if self.is_part() && self.damaged.is_some() {
            self.size()
                .map_or(0, |size| size.saturating_sub(self.offset))
        } else if self.offset >= self.stop {
            0
        } else {
            self.skipped + self.pending.len() as u64
        };
        if unusable_bytes == 0 && self.damaged.is_none() {
            return None;
        }
        Some(Tail {
            unusable_bytes,
            offset: self.offset,
            reason: self
                .damaged
                .clone()
                .unwrap_or_else(|| "the file ends within a record".to_owned()),
        })
    }

    /// Reads the next records into `chunk`; false at the end of the file, for now.
    ///
    /// # Errors
    /// Those of the source. A broken compressed stream is not an error but a damaged file.
    pub fn read_chunk(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        chunk.records.clear();
        chunk.others.clear();
        chunk.first = self.count + 1;
        loop {
            let wanted = self.wanted().max(CHUNK);
            if self.damaged.is_some() || self.offset >= self.stop {
                chunk.filled = 0;
                if !self.is_part() {
                    self.skip()?;
                }
                return Ok(false);
            }
            let ended = self.fill(chunk, wanted)?;
            let used = self.split(chunk);
            self.offset += used as u64;
            self.count += chunk.records.len() as u64;
            self.pending.clear();
            self.pending
                .extend_from_slice(&chunk.bytes[used..chunk.filled]);
            if !chunk.records.is_empty() || !chunk.others.is_empty() {
                return Ok(true);
            }
            if ended && self.damaged.is_none() {
                return Ok(false);
            }
        }
    }

    /// Whether this reads a part of a file: what follows is the business of others.
    const fn is_part(&self) -> bool {
        self.stop != u64::MAX
    }

    /// Bytes that the first pending record needs, so that a large one is not walked again and again.
    fn wanted(&self) -> usize {
        self.needed(&self.pending)
    }

    /// Bytes that the record at the start of `bytes` needs.
    fn needed(&self, bytes: &[u8]) -> usize {
        match self.layout {
            Layout::Pcap(layout) => {
                let length = layout.order.word_at(bytes, 8).unwrap_or(0);
                let other = layout.order.word_at(bytes, 12).unwrap_or(0);
                let length = if layout.swapped_lengths == Swapped::No {
                    length
                } else {
                    length.min(other)
                };
                layout.header + (length as usize).min(RECORD_MAXIMUM)
            }
            Layout::Pcapng(order) => {
                (order.word_at(bytes, 4).unwrap_or(12) as usize).min(RECORD_MAXIMUM)
            }
        }
    }

    /// Fills a chunk with what is pending and more from the source, up to `wanted`; true when the source had no more.
    fn fill(&mut self, chunk: &mut Chunk, wanted: usize) -> io::Result<bool> {
        let wanted = wanted.max(self.pending.len());
        if chunk.bytes.len() < wanted {
            chunk.bytes.resize(wanted, 0);
        }
        chunk.bytes[..self.pending.len()].copy_from_slice(&self.pending);
        chunk.filled = self.pending.len();
        while chunk.filled < wanted {
            match self.source.read(&mut chunk.bytes[chunk.filled..wanted]) {
                Ok(0) => return Ok(true),
                Ok(count) => {
                    chunk.filled += count;
                    // A pipe gives what it has: do not wait for more than one record, which a live viewer wants to see now.
                    if chunk.filled < wanted
                        && chunk.filled >= self.needed(&chunk.bytes[..chunk.filled])
                    {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_of_compression(&error) => {
                    self.damaged =
                        Some(format!("the compressed stream is damaged or cut: {error}"));
                    self.source = Box::new(io::empty());
                    return Ok(true);
                }
                Err(error) => {
                    self.pending.clear();
                    self.pending.extend_from_slice(&chunk.bytes[..chunk.filled]);
                    return Err(error);
                }
            }
        }
        Ok(false)
    }

    /// Counts the rest of a damaged file.
    fn skip(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.skipped += count as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Damaged bytes make damaged records: the same fault, seen a second time.
                Err(error) if is_of_compression(&error) => {
                    self.source = Box::new(io::empty());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Finds the records in the bytes of a chunk; returns how many bytes they take.
    fn split(&mut self, chunk: &mut Chunk) -> usize {
        match self.layout {
            Layout::Pcap(layout) => self.split_pcap(layout, chunk),
            Layout::Pcapng(_) => self.split_pcapng(chunk),
        }
    }

    fn split_pcap(&mut self, layout: PcapLayout, chunk: &mut Chunk) -> usize {
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

    fn split_pcapng(&mut self, chunk: &mut Chunk) -> usize {
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

/// Whether an error says that a compressed stream is damaged or cut, not that the system failed.
fn is_of_compression(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let kind = matches!(
        error.kind(),
        UnexpectedEof | InvalidData | InvalidInput | Other
    );
    kind && error.raw_os_error().is_none()
}

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

fn section_order(magic: [u8; 4]) -> Option<Order> {
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
    for option in (BlockOptions {
        bytes: body.get(8..)?,
        big_endian: order.big,
    }) {
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

fn pcap_layout(start: &[u8]) -> Result<PcapLayout, FileError> {
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
    Ok(PcapLayout {
        order,
        nanoseconds,
        header,
        swapped_lengths,
        link_type: LinkType(network & 0x03ff_ffff),
    })
}

impl Chunk {
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
    pub fn decode(&self, record: &Record) -> crate::decode::Frame<'_> {
        crate::decode::decode(
            record.link_type,
            self.frame_bytes(record),
            record.original_length,
            Hints::default(),
        )
    }
}
