//! Headers of IPsec: encapsulating security payload (RFC 4303), authentication header (RFC 4302).

use super::{EXTENSION_AUTHENTICATION, Frame, Layer, Network, Transport, header};

/// The header of an encapsulating security payload; what follows is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Esp {
    /// Where the header starts in the frame.
    pub offset: u32,
    /// Security parameters index.
    pub spi: u32,
    /// Sequence number.
    pub sequence_number: u32,
}

/// What both headers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipsec {
    /// An authentication header, not an encapsulating one.
    pub authentication: bool,
    /// Where the header starts in the frame.
    pub offset: u32,
    /// Security parameters index.
    pub spi: u32,
    /// Sequence number.
    pub sequence_number: u32,
}

/// Port of ESP in UDP (RFC 3948).
const TRAVERSAL: u16 = 4500;

#[cold]
pub(super) fn esp(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let Some(&[s0, s1, s2, s3, n0, n1, n2, n3]) = header::<8>(frame.bytes, offset, end) else {
        return frame.missing(Layer::Esp, offset, 8, end);
    };
    frame.transport = Transport::Esp(Esp {
        offset: offset as u32,
        spi: u32::from_be_bytes([s0, s1, s2, s3]),
        sequence_number: u32::from_be_bytes([n0, n1, n2, n3]),
    });
    frame.payload_start = (offset + 8) as u32;
}

impl Frame<'_> {
    fn words(&self, offset: usize) -> Option<(u32, u32)> {
        let &[s0, s1, s2, s3, n0, n1, n2, n3] = header::<8>(self.bytes, offset, self.bytes.len())?;
        Some((
            u32::from_be_bytes([s0, s1, s2, s3]),
            u32::from_be_bytes([n0, n1, n2, n3]),
        ))
    }

    /// Where an authentication header starts.
    fn authentication_offset(&self) -> Option<usize> {
        match &self.network {
            Network::Ipv4(ip)
                if ip.protocol == EXTENSION_AUTHENTICATION && ip.fragment_offset() == 0 =>
            {
                Some(ip.offset as usize + usize::from(ip.header_length))
            }
            Network::Ipv6(ip) => {
                let mut at = ip.offset as usize + 40;
                for extension in self.extensions() {
                    if extension.number == EXTENSION_AUTHENTICATION {
                        return Some(at);
                    }
                    at += extension.bytes.len();
                }
                None
            }
            _ => None,
        }
    }

    /// The outermost header of IPsec: of authentication, of an encapsulating payload, also one in UDP.
    pub fn ipsec(&self) -> Option<Ipsec> {
        if let Some(offset) = self.authentication_offset() {
            let (spi, sequence_number) = self.words(offset + 4)?;
            return Some(Ipsec {
                authentication: true,
                offset: offset as u32,
                spi,
                sequence_number,
            });
        }
        let offset = match &self.transport {
            Transport::Esp(esp) => esp.offset,
            // A marker of four zeros in front of key exchanges, and single bytes that keep a path open.
            Transport::Udp(udp)
                if (udp.source_port == TRAVERSAL || udp.destination_port == TRAVERSAL)
                    && self.payload().len() >= 8
                    && self.payload()[..4] != [0; 4] =>
            {
                self.payload_offset()
            }
            _ => return None,
        };
        let (spi, sequence_number) = self.words(offset as usize)?;
        Some(Ipsec {
            authentication: false,
            offset,
            spi,
            sequence_number,
        })
    }
}
