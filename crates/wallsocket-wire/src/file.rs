//! Reading capture files: pcap in its variants, and pcapng.
//!
//! Sources: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>, `draft-ietf-opsawg-pcapng`, and for the old pcap
//! variants libpcap's `sf-pcap.c` (facts only).
//!
//! Rules of this module:
//! - The file is anyone's: nothing panics, memory is bounded by [`RECORD_MAXIMUM`], work is linear.
//! - A file that ends within a record, or is damaged, gives every record before; how many bytes were of no use is counted.
//! - A file may grow: after the end was reached, reading may be tried again.
//!
//! The [`Reader`] here cuts what comes from the source into chunks and knows how the file ended. What a header, a record and a
//! block look like is known by `pcap` and `pcapng`; `chunk` is what they find.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

mod chunk;
mod pcap;
mod pcapng;

pub use chunk::{Chunk, Interface, OtherBlock, Record};
pub use pcapng::{
    BLOCK_CUSTOM, BLOCK_INTERFACE, BLOCK_NAMES, BLOCK_OLD_PACKET, BLOCK_PACKET, BLOCK_SECRETS,
    BLOCK_SECTION, BLOCK_SIMPLE_PACKET, BLOCK_STATISTICS, BlockOption, BlockOptions,
    OPTION_COMMENT, OPTION_PACKET_FLAGS, OPTION_PROCESS,
};

use pcap::PcapLayout;
use pcapng::section_order;

/// A record or block that claims more bytes than this is damaged. libpcap's limit for pcapng blocks.
pub const RECORD_MAXIMUM: usize = 16 << 20;

/// Bytes read at a time: small enough to stay in a processor's cache until they are decoded.
const CHUNK: usize = 256 << 10;

/// Records of one chunk, so that what describes them stays bounded as well.
const CHUNK_RECORDS: usize = 16 << 10;

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

#[derive(Clone, Copy, Debug)]
enum Layout {
    Pcap(PcapLayout),
    Pcapng(Order),
}

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
        let layout = PcapLayout::of(&start)?;
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
            Layout::Pcap(layout) => layout.plausible(bytes, at),
            Layout::Pcapng(order) => pcapng::plausible(order, bytes, at),
        }
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
            Layout::Pcap(layout) => layout.needed(bytes),
            Layout::Pcapng(order) => pcapng::needed(order, bytes),
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
