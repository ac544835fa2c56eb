//! SCTP (RFC 9260): the common header, the chunks behind it, and its checksum.

use super::{Frame, Layer, Transport, Verdict, be16, header};

/// The common header. When fewer than 12 of its bytes were there, the fields beyond [`Sctp::present`] are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sctp {
    /// Where the header starts in the frame.
    pub offset: u32,
    /// How many bytes of it were there: 4 to 12.
    pub present: u8,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Verification tag; bytes 4 to 8.
    pub verification_tag: u32,
    /// CRC32c as it travels, little-endian by its nature; bytes 8 to 12.
    pub checksum: u32,
}

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// 0 DATA, 1 INIT, 2 INIT ACK, 3 SACK, 4 HEARTBEAT, …
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Length by its header, header included, padding not.
    pub length: u16,
    /// What is there behind its header of four bytes.
    pub value: &'a [u8],
}

impl Chunk<'_> {
    /// Its name, in the registry's spelling.
    pub const fn name(&self) -> Option<&'static str> {
        Some(match self.kind {
            0 => "DATA",
            1 => "INIT",
            2 => "INIT ACK",
            3 => "SACK",
            4 => "HEARTBEAT",
            5 => "HEARTBEAT ACK",
            6 => "ABORT",
            7 => "SHUTDOWN",
            8 => "SHUTDOWN ACK",
            9 => "ERROR",
            10 => "COOKIE ECHO",
            11 => "COOKIE ACK",
            12 => "ECNE",
            13 => "CWR",
            14 => "SHUTDOWN COMPLETE",
            15 => "AUTH",
            64 => "I-DATA",
            128 => "ASCONF ACK",
            130 => "RE-CONFIG",
            132 => "PAD",
            192 => "FORWARD TSN",
            193 => "ASCONF",
            194 => "I-FORWARD-TSN",
            _ => return None,
        })
    }
}

#[cold]
pub(super) fn sctp(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let there = frame.bytes.get(offset..end).unwrap_or(&[]);
    if there.len() >= 4 {
        let mut fixed = [0; 12];
        let present = there.len().min(12);
        // Whole fields count.
        let whole = present / 4 * 4;
        fixed[..whole].copy_from_slice(&there[..whole]);
        let [a, b, c, d, t0, t1, t2, t3, c0, c1, c2, c3] = fixed;
        frame.transport = Transport::Sctp(Sctp {
            offset: offset as u32,
            present: present as u8,
            source_port: be16(a, b),
            destination_port: be16(c, d),
            verification_tag: u32::from_be_bytes([t0, t1, t2, t3]),
            checksum: u32::from_be_bytes([c0, c1, c2, c3]),
        });
        frame.payload_start = (offset + present) as u32;
    }
    if there.len() < 12 {
        frame.missing(Layer::Sctp, offset, 12, end);
    }
}

/// Iterator over chunks.
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let &[kind, flags, l0, l1] = header::<4>(self.bytes, 0, self.bytes.len())?;
        let length = be16(l0, l1);
        let claimed = usize::from(length).max(4);
        let value = self.bytes.get(4..claimed.min(self.bytes.len()))?;
        self.bytes = self
            .bytes
            .get(claimed.next_multiple_of(4)..)
            .filter(|_| length >= 4)
            .unwrap_or(&[]);
        Some(Chunk {
            kind,
            flags,
            length,
            value,
        })
    }
}

impl<'a> Frame<'a> {
    /// The SCTP header, if that is the transport.
    pub const fn sctp(&self) -> Option<&Sctp> {
        if let Transport::Sctp(sctp) = &self.transport {
            Some(sctp)
        } else {
            None
        }
    }

    /// The chunks of an SCTP packet; the last one may be cut.
    pub fn sctp_chunks(&self) -> Chunks<'a> {
        let bytes = if self.sctp().is_some_and(|sctp| sctp.present == 12) {
            self.payload()
        } else {
            &[]
        };
        Chunks { bytes }
    }
}

/// CRC32c (RFC 9260, appendix A), byte by byte.
const TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ 0x82f6_3b78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

fn crc32c(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, byte| {
        state >> 8 ^ TABLE[usize::from(state as u8 ^ byte)]
    })
}

/// The checksum of an SCTP packet, as a big-endian reading of its field gives it.
pub fn checksum(packet: &[u8]) -> u32 {
    let (before, after) = packet.split_at(packet.len().min(8));
    let state = crc32c(crc32c(u32::MAX, before), &[0; 4]);
    (!crc32c(state, after.get(4..).unwrap_or(&[]))).swap_bytes()
}

pub(super) fn verdict(frame: &Frame<'_>, sctp: &Sctp) -> Verdict {
    let packet = frame
        .bytes
        .get(sctp.offset as usize..frame.payload_end as usize);
    match packet {
        Some(packet)
            if sctp.present == 12 && frame.problem.is_none() && frame.fragment().is_none() =>
        {
            let expected = checksum(packet);
            if expected == sctp.checksum || frame.hints().checksum_verified {
                Verdict::Good
            } else if frame.hints().checksum_not_ready || sctp.checksum == 0 {
                Verdict::Partial
            } else {
                Verdict::Bad {
                    expected: expected as u16,
                }
            }
        }
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_nine_digits() {
        // The check value of CRC-32/ISCSI.
        assert_eq!(!crc32c(u32::MAX, b"123456789"), 0xe306_9283);
    }
}
