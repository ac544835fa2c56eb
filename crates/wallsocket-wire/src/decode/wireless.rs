//! IEEE 802.11, and what a receiver says of its radio in front of it: radiotap, AVS, Prism, PPI.

use super::link_layer::network_apart;
use super::{Frame, Layer, Link, Reason, be16, header};

/// A header of IEEE 802.11 (9.2 of the standard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wireless {
    /// Where it starts in the frame.
    pub offset: u32,
    /// Its bytes.
    pub header_length: u8,
    /// 0 management, 1 control, 2 data, 3 extension.
    pub kind: u8,
    /// 4 bits, whose meaning depends on the type.
    pub subtype: u8,
    /// Second byte of the frame control field: to and from the distribution system, more fragments, retry, power
    /// management, more data, protected, order.
    pub flags: u8,
    /// Duration in µs, or an association identifier.
    pub duration: u16,
    /// Who is to take it from the air.
    pub receiver: [u8; 6],
    /// Who sent it into the air.
    pub transmitter: Option<[u8; 6]>,
    /// Where it goes in the end.
    pub destination: Option<[u8; 6]>,
    /// Where it came from at first.
    pub source: Option<[u8; 6]>,
    /// The cell.
    pub cell: Option<[u8; 6]>,
    /// Sequence number, 12 bits, and fragment number, 4 bits.
    pub sequence: Option<(u16, u8)>,
    /// Quality of service control.
    pub quality: Option<u16>,
}

const TO_DISTRIBUTION: u8 = 1;
const FROM_DISTRIBUTION: u8 = 2;
const MORE_FRAGMENTS: u8 = 4;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

impl Wireless {
    /// Name of the type and subtype.
    pub const fn name(&self) -> &'static str {
        match (self.kind, self.subtype) {
            (0, 0) => "association request",
            (0, 1) => "association response",
            (0, 2) => "reassociation request",
            (0, 3) => "reassociation response",
            (0, 4) => "probe request",
            (0, 5) => "probe response",
            (0, 8) => "beacon",
            (0, 9) => "ATIM",
            (0, 10) => "disassociation",
            (0, 11) => "authentication",
            (0, 12) => "deauthentication",
            (0, 13 | 14) => "action",
            (0, _) => "management",
            (1, 7) => "control wrapper",
            (1, 8) => "block acknowledgement request",
            (1, 9) => "block acknowledgement",
            (1, 10) => "power save poll",
            (1, 11) => "request to send",
            (1, 12) => "clear to send",
            (1, 13) => "acknowledgement",
            (1, 14 | 15) => "end of contention-free period",
            (1, _) => "control",
            (2, subtype) if subtype & 4 != 0 => "no data",
            (2, _) => "data",
            _ => "extension",
        }
    }

    /// Whether what follows is encrypted.
    pub const fn is_protected(&self) -> bool {
        self.flags & PROTECTED != 0
    }

    /// Whether there is data, which is not one part of several and not encrypted, and begins with 802.2.
    const fn carries_packet(&self) -> bool {
        let whole = match self.sequence {
            Some((_, fragment)) => fragment == 0,
            None => false,
        };
        // Bit 7 of quality of service control: several packets in one frame.
        let one = match self.quality {
            Some(control) => control & 0x80 == 0,
            None => true,
        };
        self.kind == 2
            && self.subtype & 4 == 0
            && self.flags & (PROTECTED | MORE_FRAGMENTS) == 0
            && whole
            && one
    }
}

fn address(bytes: &[u8], offset: usize) -> Option<[u8; 6]> {
    header::<6>(bytes, offset, bytes.len()).copied()
}

/// The header at `offset`, or how many bytes it needs.
fn read(bytes: &[u8], offset: usize, end: usize) -> Result<Wireless, usize> {
    let bytes = &bytes[..end.min(bytes.len())];
    let Some(&[control, flags, d0, d1, a0, a1, a2, a3, a4, a5]) =
        header::<10>(bytes, offset, bytes.len())
    else {
        return Err(10);
    };
    let (kind, subtype) = (control >> 2 & 3, control >> 4);
    let mut found = Wireless {
        offset: offset as u32,
        header_length: 10,
        kind,
        subtype,
        flags,
        duration: u16::from_le_bytes([d0, d1]),
        receiver: [a0, a1, a2, a3, a4, a5],
        transmitter: None,
        destination: None,
        source: None,
        cell: None,
        sequence: None,
        quality: None,
    };
    let word = |at: usize| {
        header::<2>(bytes, offset + at, bytes.len()).map(|pair| u16::from_le_bytes(*pair))
    };
    match kind {
        1 => {
            // Those with a second address: wrapper, acknowledgements of blocks, poll, request to send, ends of periods.
            if matches!(subtype, 8..=11 | 14 | 15) {
                found.transmitter = Some(address(bytes, offset + 10).ok_or(16_usize)?);
                found.header_length = 16;
            }
            // A poll goes to the cell, the end of a period comes from it.
            if subtype == 10 {
                found.cell = Some(found.receiver);
            } else if subtype >= 14 {
                found.cell = found.transmitter;
            }
        }
        0 | 2 => {
            let second = address(bytes, offset + 10).ok_or(24_usize)?;
            let third = address(bytes, offset + 16).ok_or(24_usize)?;
            let sequence = word(22).ok_or(24_usize)?;
            found.sequence = Some((sequence >> 4, sequence as u8 & 15));
            found.transmitter = Some(second);
            let mut length = 24;
            let ways = if kind == 2 {
                flags & (TO_DISTRIBUTION | FROM_DISTRIBUTION)
            } else {
                0
            };
            (found.destination, found.source, found.cell) = match ways {
                0 => (Some(found.receiver), Some(second), Some(third)),
                TO_DISTRIBUTION => (Some(third), Some(second), Some(found.receiver)),
                FROM_DISTRIBUTION => (Some(found.receiver), Some(third), Some(second)),
                _ => {
                    let fourth = address(bytes, offset + 24).ok_or(30_usize)?;
                    length = 30;
                    (Some(third), Some(fourth), None)
                }
            };
            if kind == 2 && subtype & 8 != 0 {
                found.quality = Some(word(length).ok_or(length + 2)?);
                length += 2;
            }
            // High throughput control.
            if flags & ORDER != 0 && (kind == 0 || found.quality.is_some()) {
                length += 4;
            }
            found.header_length = length as u8;
        }
        _ => {}
    }
    Ok(found)
}

/// `alignment`: the payload starts at a multiple of it behind the header's start.
#[cold]
pub(super) fn wireless(frame: &mut Frame<'_>, offset: usize, end: usize, alignment: usize) {
    frame.payload_start = offset as u32;
    frame.payload_end = end as u32;
    // Version 0 is the only one with this header.
    if let Some(found) = frame.bytes.get(offset).map(|byte| byte & 3)
        && found != 0
    {
        return frame.stop(Layer::Wireless, Reason::Version { found }, offset);
    }
    let found = match read(frame.bytes, offset, end) {
        Ok(found) => found,
        Err(needed) => return frame.missing(Layer::Wireless, offset, needed, end),
    };
    frame.link = Link::Wireless {
        offset: offset as u32,
    };
    let start = offset + usize::from(found.header_length).next_multiple_of(alignment);
    if start > end {
        return frame.missing(Layer::Wireless, offset, found.header_length.into(), end);
    }
    frame.payload_start = start as u32;
    // 802.2 with SNAP, of organisation 0 (RFC 1042) or of bridge tunnels (0x0000f8, IEEE 802.1H).
    if found.carries_packet()
        && let Some(&[0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, high, low]) =
            header::<8>(frame.bytes, start, end)
    {
        let ether_type = be16(high, low);
        frame.ether_type = Some(ether_type);
        network_apart(frame, ether_type, start + 8, end);
    }
}

/// What the receiver says of its radio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Radio {
    /// Bytes of its header.
    pub length: u32,
    /// Radiotap's flags: 0x10 the checksum of the frame is there, 0x20 padding behind the header, 0x40 it is wrong.
    pub flags: Option<u8>,
    /// In units of 500 kbit/s.
    pub rate_500kbps: Option<u8>,
    /// Frequency of the channel, MHz.
    pub channel_mhz: Option<u16>,
    /// Strength of the signal, dBm.
    pub signal_dbm: Option<i8>,
    /// Strength of the noise, dBm.
    pub noise_dbm: Option<i8>,
}

/// Radiotap's fields up to the antenna noise: their sizes and alignments (<https://www.radiotap.org/fields/defined>).
const FIELDS: [(usize, usize); 7] = [(8, 8), (1, 1), (1, 1), (4, 2), (2, 2), (1, 1), (1, 1)];

fn radiotap(bytes: &[u8]) -> Option<Radio> {
    let &[version, _, l0, l1, p0, p1, p2, p3] = header::<8>(bytes, 0, bytes.len())?;
    let mut found = Radio {
        length: u16::from_le_bytes([l0, l1]).into(),
        ..Radio::default()
    };
    if version != 0 {
        return Some(found);
    }
    let all = bytes.get(..found.length as usize).unwrap_or(bytes);
    let present = u32::from_le_bytes([p0, p1, p2, p3]);
    // Bit 31 says that another word of such bits follows.
    let mut at = 8;
    let mut word = present;
    while word & 0x8000_0000 != 0 {
        word = u32::from_le_bytes(*header::<4>(all, at, all.len())?);
        at += 4;
    }
    for (number, (size, alignment)) in FIELDS.into_iter().enumerate() {
        if present & 1 << number == 0 {
            continue;
        }
        at = at.next_multiple_of(alignment);
        let Some(field) = all.get(at..at + size) else {
            break;
        };
        match (number, field) {
            (1, [flags]) => found.flags = Some(*flags),
            (2, [rate]) => found.rate_500kbps = Some(*rate),
            (3, [low, high, ..]) => found.channel_mhz = Some(u16::from_le_bytes([*low, *high])),
            (5, [signal]) => found.signal_dbm = Some(signal.cast_signed()),
            (6, [noise]) => found.noise_dbm = Some(noise.cast_signed()),
            _ => {}
        }
        at += size;
    }
    Some(found)
}

/// The header in front of 802.11, by link type; its length is that which it claims.
fn radio_header(link_type: u32, bytes: &[u8]) -> Option<Radio> {
    let length = |length: u32| {
        Some(Radio {
            length,
            ..Radio::default()
        })
    };
    match link_type {
        127 => radiotap(bytes),
        // PPI: version, flags, length, link type of what follows.
        192 => header::<8>(bytes, 0, bytes.len())
            .filter(|fixed| fixed[4..] == [105, 0, 0, 0])
            .and_then(|fixed| length(u16::from_le_bytes([fixed[2], fixed[3]]).into())),
        // Both begin with a magic number and their length; that of AVS is big-endian, that of Prism the host's.
        119 | 163 => {
            let &[m0, m1, m2, m3, l0, l1, l2, l3] = header::<8>(bytes, 0, bytes.len())?;
            match [m0, m1, m2, m3] {
                [0x80, 0x21, 0x10, _] => length(u32::from_be_bytes([l0, l1, l2, l3])),
                [0x44, 0, 0, 0] => length(u32::from_le_bytes([l0, l1, l2, l3])),
                _ => length(144),
            }
        }
        _ => None,
    }
}

#[cold]
pub(super) fn radio(frame: &mut Frame<'_>) {
    let mut end = frame.bytes.len();
    let Some(radio) = radio_header(frame.link_type.0, frame.bytes) else {
        return frame.missing(Layer::Radio, 0, 8, end);
    };
    if radio.length as usize > end {
        return frame.missing(Layer::Radio, 0, radio.length as usize, end);
    }
    // The checksum of the frame is behind it, if it was captured.
    if radio.flags.unwrap_or(0) & 0x10 != 0 && frame.bytes.len() as u32 == frame.original_length {
        end = end.saturating_sub(4).max(radio.length as usize);
    }
    // With padding (0x20) the payload begins at a multiple of four bytes behind the header's start.
    let padded = radio.flags.unwrap_or(0) & 0x20 != 0;
    wireless(
        frame,
        radio.length as usize,
        end,
        if padded { 4 } else { 1 },
    );
}

impl Frame<'_> {
    /// The header of IEEE 802.11.
    pub fn wireless(&self) -> Option<Wireless> {
        let Link::Wireless { offset } = self.link else {
            return None;
        };
        read(self.bytes, offset as usize, self.bytes.len()).ok()
    }

    /// What the receiver says of its radio.
    pub fn radio(&self) -> Option<Radio> {
        radio_header(self.link_type.0, self.bytes)
    }
}
