//! Messages of a controller area network, as Linux' sockets have them (linux/can.h), with identifiers in network byte order
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_CAN_SOCKETCAN.html>).

use super::{Frame, Layer, Link, be16, header};

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Can {
    /// Where it starts in the frame.
    pub offset: u32,
    /// 11 or 29 bits; of an error message its class.
    pub identifier: u32,
    /// An identifier of 29 bits.
    pub extended: bool,
    /// A request for data.
    pub remote: bool,
    /// A message of the controller about an error.
    pub error: bool,
    /// `CANFD_*`: 1 faster data phase, 2 the sender saw errors, 4 CAN FD.
    pub flags: u8,
    /// Bytes of data by its header.
    pub length: u16,
}

impl Can {
    /// Whether it is a message of CAN FD.
    pub const fn is_fd(&self) -> bool {
        self.flags & 4 != 0
    }
}

/// Bytes in front of the data.
const HEADER: usize = 8;

#[cold]
pub(super) fn can(frame: &mut Frame<'_>, offset: usize) {
    let end = frame.bytes.len();
    frame.payload_start = offset as u32;
    // In cooked captures the identifier has the byte order of the machine that captured, mostly little-endian.
    let order = if offset == 0 {
        u32::from_be_bytes
    } else {
        hosts
    };
    let Some(message) = read(frame.bytes, offset, order) else {
        return frame.missing(Layer::Can, offset, HEADER, end);
    };
    if offset == 0 {
        frame.link = Link::Can { offset: 0 };
    }
    let start = offset + HEADER;
    let claimed = start + usize::from(message.length);
    frame.payload_start = start as u32;
    // A request has a length, and no data.
    if message.remote {
        frame.payload_end = start as u32;
    } else if claimed > end {
        super::internet::length_beyond(frame, Layer::Can, offset, claimed - offset, end);
    } else {
        frame.payload_end = claimed as u32;
    }
}

/// Little-endian, unless only the other order gives an identifier that fits 11 bits without the flag for 29.
fn hosts(bytes: [u8; 4]) -> u32 {
    let (little, big) = (u32::from_le_bytes(bytes), u32::from_be_bytes(bytes));
    let fits = |word: u32| word & 0xa000_0000 != 0 || word & 0x1fff_ffff <= 0x7ff;
    if !fits(little) && fits(big) {
        big
    } else {
        little
    }
}

fn read(bytes: &[u8], offset: usize, order: fn([u8; 4]) -> u32) -> Option<Can> {
    let &[i0, i1, i2, i3, length, flags, _, _] = header::<HEADER>(bytes, offset, bytes.len())?;
    // CAN XL keeps another header here, which is told by this bit.
    if length & 0x80 != 0 {
        return None;
    }
    let word = order([i0, i1, i2, i3]);
    let extended = word & 0x8000_0000 != 0;
    let error = word & 0x2000_0000 != 0;
    Some(Can {
        offset: offset as u32,
        identifier: word
            & if extended || error {
                0x1fff_ffff
            } else {
                0x7ff
            },
        extended,
        remote: word & 0x4000_0000 != 0,
        error,
        flags,
        length: be16(0, length),
    })
}

impl Frame<'_> {
    /// The message of a controller area network.
    pub fn can(&self) -> Option<Can> {
        match self.link {
            Link::Can { offset } => read(self.bytes, offset as usize, u32::from_be_bytes),
            Link::Cooked {
                version,
                hardware_type: 280,
                ..
            } => {
                let (protocol, offset) = if version == 1 { (14, 16) } else { (0, 20) };
                let [0, 0x0c..=0x0e] = header::<2>(self.bytes, protocol, self.bytes.len())? else {
                    return None;
                };
                read(self.bytes, offset, hosts)
            }
            _ => None,
        }
    }
}
