//! Writing capture files. What is written opens in tshark and tcpdump.

use std::io::{self, Write};

use crate::decode::{LinkType, Vlan};
use crate::file::{
    BLOCK_CUSTOM, BLOCK_INTERFACE, BLOCK_PACKET, BLOCK_SECTION, BLOCK_SIMPLE_PACKET,
    BLOCK_STATISTICS, Chunk, Format, Interface, OPTION_COMMENT, OPTION_PACKET_FLAGS,
    OPTION_PROCESS, OtherBlock, Reader, Record,
};

/// Snap length written where none is known: libpcap's largest.
const SNAP_LENGTH: u32 = 262_144;

/// What a packet block says beside the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Texts for people.
    pub comments: Vec<String>,
    /// Process that sent or received it.
    pub process_id: Option<u32>,
    /// Whether it was received or sent, when known.
    pub inbound: Option<bool>,
    /// A tag that the kernel took out and that is put back.
    pub vlan: Option<Vlan>,
}

/// Writes frames to a file.
pub struct Writer<W: Write> {
    output: W,
    format: Format,
    nanoseconds: bool,
    interfaces: Vec<Interface>,
    /// Those that the current section of a pcapng file describes, in its order.
    section: Vec<Described>,
    /// Body of the section block, to begin another section with.
    section_body: Vec<u8>,
    /// Snap length of a pcap file whose header waits for the link type of the first frame.
    waiting: Option<u32>,
    count: u64,
    scratch: Vec<u8>,
}

/// An interface of a section.
#[derive(Clone, Copy)]
struct Described {
    number: u32,
    snap_length: u32,
}

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Writer")
            .field("format", &self.format)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    // An option's length has 16 bits.
    let value = &value[..value.len().min(usize::from(u16::MAX) - 3)];
    block.extend_from_slice(&code.to_ne_bytes());
    block.extend_from_slice(&(value.len() as u16).to_ne_bytes());
    block.extend_from_slice(value);
    pad(block);
}

fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

/// Text cut to what an option holds, between characters.
fn fitting(text: &str) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(usize::from(u16::MAX) - 3)]
}

impl<W: Write> Writer<W> {
    /// Starts a pcapng file: a section, without interfaces yet.
    ///
    /// # Errors
    /// Those of the output.
    pub fn pcapng(output: W, application: &str, comment: Option<&str>) -> io::Result<Self> {
        let mut writer = Self {
            output,
            format: Format::Pcapng,
            nanoseconds: true,
            interfaces: Vec::new(),
            section: Vec::new(),
            section_body: Vec::new(),
            waiting: None,
            count: 0,
            scratch: Vec::new(),
        };
        let mut body = Vec::new();
        body.extend_from_slice(&0x1a2b_3c4d_u32.to_ne_bytes());
        body.extend_from_slice(&1_u16.to_ne_bytes());
        body.extend_from_slice(&0_u16.to_ne_bytes());
        body.extend_from_slice(&u64::MAX.to_ne_bytes());
        if let Some(comment) = comment {
            option(&mut body, OPTION_COMMENT, fitting(comment));
        }
        option(&mut body, 3, b"Linux");
        option(&mut body, 4, fitting(application));
        option(&mut body, 0, b"");
        writer.block(BLOCK_SECTION, &body)?;
        writer.section_body = body;
        Ok(writer)
    }

    /// Starts a pcap file, which has one link type: without `link_type` that of the first interface or frame.
    ///
    /// # Errors
    /// Those of the output.
    pub fn pcap(
        output: W,
        link_type: Option<LinkType>,
        snap_length: u32,
        nanoseconds: bool,
    ) -> io::Result<Self> {
        let snap_length = if snap_length == 0 {
            SNAP_LENGTH
        } else {
            snap_length
        };
        let mut writer = Self {
            output,
            format: Format::Pcap,
            nanoseconds,
            interfaces: Vec::new(),
            section: Vec::new(),
            section_body: Vec::new(),
            waiting: Some(snap_length),
            count: 0,
            scratch: Vec::new(),
        };
        if let Some(link_type) = link_type {
            writer.begin(link_type)?;
        }
        Ok(writer)
    }

    /// Writes the header of a pcap file, if it waits for that.
    fn begin(&mut self, link_type: LinkType) -> io::Result<()> {
        let Some(snap_length) = self.waiting.take() else {
            return Ok(());
        };
        let magic: u32 = if self.nanoseconds {
            0xa1b2_3c4d
        } else {
            0xa1b2_c3d4
        };
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&magic.to_ne_bytes());
        header.extend_from_slice(&2_u16.to_ne_bytes());
        header.extend_from_slice(&4_u16.to_ne_bytes());
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&snap_length.to_ne_bytes());
        header.extend_from_slice(&link_type.0.to_ne_bytes());
        self.interfaces.push(Interface::new(link_type));
        self.output.write_all(&header)
    }

    /// Whether a pcap file waits for the link type of its first frame.
    pub const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Ends the file: an empty pcap file gets its header.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(&mut self) -> io::Result<()> {
        self.begin(LinkType::ETHERNET)
    }

    /// Frames written so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The output, to flush or to finish it.
    pub const fn output(&mut self) -> &mut W {
        &mut self.output
    }

    /// The output, when writing is over.
    pub fn into_output(self) -> W {
        self.output
    }

    /// Describes an interface; its number is what [`Writer::frame`] wants. Timestamps of this writer are nanoseconds.
    ///
    /// # Errors
    /// InvalidInput for a second link type in a pcap file; those of the output.
    pub fn interface(&mut self, interface: &Interface) -> io::Result<u32> {
        if u16::try_from(interface.link_type.0).is_err() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "link types above 65535 do not fit capture files",
            ));
        }
        if self.format == Format::Pcap {
            self.begin(interface.link_type)?;
            let first = self.interfaces.first().map_or(0, |one| one.link_type.0);
            if first == interface.link_type.0 {
                return Ok(0);
            }
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a pcap file holds one link type, this one {first}; {} is another (pcapng holds several)",
                    interface.link_type.0
                ),
            ));
        }
        let number = self.interfaces.len() as u32;
        self.interfaces.push(interface.clone());
        self.describe(number, interface.snap_length)?;
        Ok(number)
    }

    /// Describes an interface in the current section.
    fn describe(&mut self, number: u32, snap_length: u32) -> io::Result<()> {
        let interface = &self.interfaces[number as usize];
        let mut body = Vec::new();
        body.extend_from_slice(&(interface.link_type.0 as u16).to_ne_bytes());
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&snap_length.to_ne_bytes());
        if let Some(name) = &interface.name {
            option(&mut body, 2, fitting(name));
        }
        if let Some(description) = &interface.description {
            option(&mut body, 3, fitting(description));
        }
        option(&mut body, 9, &[9]);
        if let Some(filter) = &interface.filter {
            let mut value = vec![0];
            value.extend_from_slice(fitting(filter));
            option(&mut body, 11, &value);
        }
        option(&mut body, 0, b"");
        self.block(BLOCK_INTERFACE, &body)?;
        self.section.push(Described {
            number,
            snap_length,
        });
        Ok(())
    }

    /// The number that an interface has in the current section, described there if it was not yet.
    fn place(&mut self, number: u32) -> io::Result<u32> {
        // Nearly always its own number.
        if self
            .section
            .get(number as usize)
            .is_some_and(|one| one.number == number)
        {
            return Ok(number);
        }
        if let Some(place) = self.section.iter().position(|one| one.number == number) {
            return Ok(place as u32);
        }
        self.describe(number, self.interfaces[number as usize].snap_length)?;
        Ok(self.section.len() as u32 - 1)
    }

    /// Writes a frame that has no time: a simple packet block, which belongs to the first interface of a section and
    /// is cut where that one's snap length says. Where the current section does not suit, another begins.
    fn timeless(&mut self, number: u32, bytes: &[u8], original_length: u32) -> io::Result<()> {
        let length = bytes.len() as u32;
        let suits = self.section.first().is_some_and(|first| {
            let whole = length == original_length
                && (first.snap_length == 0 || first.snap_length >= length);
            first.number == number && (whole || (length > 0 && first.snap_length == length))
        });
        if !suits {
            if !self.section.is_empty() {
                let body = std::mem::take(&mut self.section_body);
                self.section.clear();
                self.block(BLOCK_SECTION, &body)?;
                self.section_body = body;
            }
            let snap_length = if length == original_length { 0 } else { length };
            self.describe(number, snap_length)?;
        }
        let mut body = Vec::with_capacity(4 + bytes.len());
        body.extend_from_slice(&original_length.to_ne_bytes());
        body.extend_from_slice(bytes);
        self.block(BLOCK_SIMPLE_PACKET, &body)
    }

    /// Writes one frame. A pcap file keeps no details, and a frame without a time has the time 0 in it.
    ///
    /// # Errors
    /// InvalidInput for an interface that was not described, a time a pcap file cannot hold, or details of a frame
    /// without a time; those of the output.
    pub fn frame(
        &mut self,
        interface: u32,
        timestamp_ns: Option<i64>,
        bytes: &[u8],
        original_length: u32,
        details: &Details,
    ) -> io::Result<()> {
        if self.interfaces.get(interface as usize).is_none() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("interface {interface} was not described"),
            ));
        }
        let mut tag = [0; 4];
        let (start, tag, rest) = match (details.vlan, bytes.get(..12)) {
            (Some(vlan), Some(start)) => {
                tag[..2].copy_from_slice(&vlan.protocol.to_be_bytes());
                tag[2..].copy_from_slice(&vlan.control.to_be_bytes());
                (start, &tag[..], &bytes[12..])
            }
            _ => (&[][..], &[][..], bytes),
        };
        let length = bytes.len() + tag.len();
        let original_length = (original_length + tag.len() as u32).max(length as u32);
        if self.format == Format::Pcapng && timestamp_ns.is_none() {
            if !details.comments.is_empty() || details.process_id.is_some() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a frame without a time has no comment and no process in pcapng: give it a time",
                ));
            }
            let whole = [start, tag, rest].concat();
            self.timeless(interface, &whole, original_length)?;
            self.count += 1;
            return Ok(());
        }
        let timestamp_ns = timestamp_ns.unwrap_or(0);
        let interface = if self.format == Format::Pcap {
            0
        } else {
            self.place(interface)?
        };
        self.scratch.clear();
        let block = &mut self.scratch;
        if self.format == Format::Pcap {
            let seconds = u32::try_from(timestamp_ns.div_euclid(1_000_000_000)).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a time before 1970 or after 2106 does not fit pcap",
                )
            })?;
            let nanoseconds = timestamp_ns.rem_euclid(1_000_000_000) as u32;
            let fraction = if self.nanoseconds {
                nanoseconds
            } else {
                nanoseconds / 1000
            };
            for word in [seconds, fraction, length as u32, original_length] {
                block.extend_from_slice(&word.to_ne_bytes());
            }
            block.extend_from_slice(start);
            block.extend_from_slice(tag);
            block.extend_from_slice(rest);
        } else {
            let mut fixed = Vec::with_capacity(64 + length);
            fixed.extend_from_slice(&interface.to_ne_bytes());
            let ticks = timestamp_ns.max(0) as u64;
            fixed.extend_from_slice(&((ticks >> 32) as u32).to_ne_bytes());
            fixed.extend_from_slice(&(ticks as u32).to_ne_bytes());
            fixed.extend_from_slice(&(length as u32).to_ne_bytes());
            fixed.extend_from_slice(&original_length.to_ne_bytes());
            fixed.extend_from_slice(start);
            fixed.extend_from_slice(tag);
            fixed.extend_from_slice(rest);
            pad(&mut fixed);
            let before = fixed.len();
            for comment in &details.comments {
                option(&mut fixed, OPTION_COMMENT, fitting(comment));
            }
            if let Some(inbound) = details.inbound {
                option(
                    &mut fixed,
                    OPTION_PACKET_FLAGS,
                    &(if inbound { 1_u32 } else { 2 }).to_ne_bytes(),
                );
            }
            if let Some(process) = details.process_id {
                // Process and thread; the thread is not known.
                let mut value = process.to_ne_bytes().to_vec();
                value.extend_from_slice(&0_u32.to_ne_bytes());
                option(&mut fixed, OPTION_PROCESS, &value);
            }
            if fixed.len() > before {
                option(&mut fixed, 0, b"");
            }
            wrap(block, BLOCK_PACKET, &fixed);
        }
        self.output.write_all(block)?;
        self.count += 1;
        Ok(())
    }

    /// Writes how many frames an interface saw and lost.
    ///
    /// # Errors
    /// Those of the output. A pcap file has no place for it: nothing is written.
    pub fn statistics(
        &mut self,
        interface: u32,
        timestamp_ns: i64,
        seen: u64,
        dropped: u64,
    ) -> io::Result<()> {
        if self.format == Format::Pcap {
            return Ok(());
        }
        if self.interfaces.get(interface as usize).is_none() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("interface {interface} was not described"),
            ));
        }
        let interface = self.place(interface)?;
        let ticks = timestamp_ns.max(0) as u64;
        let mut body = Vec::new();
        body.extend_from_slice(&interface.to_ne_bytes());
        body.extend_from_slice(&((ticks >> 32) as u32).to_ne_bytes());
        body.extend_from_slice(&(ticks as u32).to_ne_bytes());
        option(&mut body, 4, &seen.to_ne_bytes());
        option(&mut body, 5, &dropped.to_ne_bytes());
        option(&mut body, 0, b"");
        self.block(BLOCK_STATISTICS, &body)
    }

    /// Writes a custom block: a Private Enterprise Number and bytes that other programs carry along.
    ///
    /// # Errors
    /// Those of the output; InvalidInput in a pcap file.
    pub fn custom(&mut self, enterprise: u32, bytes: &[u8]) -> io::Result<()> {
        if self.format == Format::Pcap {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a pcap file holds no custom blocks",
            ));
        }
        let mut body = enterprise.to_ne_bytes().to_vec();
        body.extend_from_slice(bytes);
        self.block(BLOCK_CUSTOM, &body)
    }

    /// Writes any block: its type and body, in this machine's byte order.
    ///
    /// # Errors
    /// Those of the output.
    pub fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        self.scratch.clear();
        wrap(&mut self.scratch, kind, body);
        self.output.write_all(&self.scratch)
    }
}

/// Copies the records that `keep` wants, `limit` at most, and every other block before them, byte for byte: nothing that a
/// capture file holds is lost on the way. `kept` counts what was written, also when an error ends the copy.
///
/// `step` is called after each chunk, with true when the file has no more for now; at the end it says whether to try again.
/// A section's length of itself, which a selection changes, becomes "unknown".
///
/// # Errors
/// Those of the source, of the output and of `step`.
pub fn copy<W: Write>(
    reader: &mut Reader,
    output: &mut W,
    mut keep: impl FnMut(&Chunk, &Record) -> bool,
    limit: Option<u64>,
    kept: &mut u64,
    mut step: impl FnMut(&mut W, bool) -> io::Result<bool>,
) -> io::Result<()> {
    output.write_all(reader.header())?;
    let mut chunk = Chunk::default();
    loop {
        if !reader.read_chunk(&mut chunk)? {
            if step(output, true)? {
                continue;
            }
            return Ok(());
        }
        let mut others = chunk.others().iter().peekable();
        for (index, record) in chunk.records().iter().enumerate() {
            while let Some(other) = others.next_if(|other| other.before <= index) {
                copy_block(output, &chunk, other)?;
            }
            if keep(&chunk, record) {
                output.write_all(chunk.record_bytes(record))?;
                *kept += 1;
                if limit == Some(*kept) {
                    return Ok(());
                }
            }
        }
        for other in others {
            copy_block(output, &chunk, other)?;
        }
        step(output, false)?;
    }
}

fn copy_block<W: Write>(output: &mut W, chunk: &Chunk, block: &OtherBlock) -> io::Result<()> {
    let bytes = chunk.block_bytes(block);
    match (block.kind, bytes.split_at_checked(16)) {
        // "Unknown" is -1.
        (BLOCK_SECTION, Some((start, rest))) if rest.len() >= 8 => {
            output.write_all(start)?;
            output.write_all(&[0xff; 8])?;
            output.write_all(&rest[8..])
        }
        _ => output.write_all(bytes),
    }
}

fn wrap(block: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (12 + body.len().next_multiple_of(4)) as u32;
    block.extend_from_slice(&kind.to_ne_bytes());
    block.extend_from_slice(&length.to_ne_bytes());
    block.extend_from_slice(body);
    pad(block);
    block.extend_from_slice(&length.to_ne_bytes());
}
