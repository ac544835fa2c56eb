//! Neighbour discovery (RFC 4861): the target, and the options behind the fixed part of the message; read when asked for.

use std::net::Ipv6Addr;

use super::{Frame, u32_at};

/// One option (<https://www.iana.org/assignments/icmpv6-parameters>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborOption<'a> {
    /// 1: link-layer address of the sender. 6 bytes on Ethernet.
    SourceLinkLayer(&'a [u8]),
    /// 2: link-layer address of the target.
    TargetLinkLayer(&'a [u8]),
    /// 3: a prefix of the link.
    Prefix(Prefix),
    /// 4: the packet that a redirect is about, as far as it fits.
    Redirected(&'a [u8]),
    /// 5: MTU of the link, bytes.
    Mtu(u32),
    /// 25: recursive DNS servers (RFC 8106).
    NameServers {
        /// Seconds that they may be used; all ones: for ever.
        lifetime_s: u32,
        /// 16 bytes for each.
        addresses: &'a [u8],
    },
    /// Any other, or a known one of an impossible length: type and data.
    Other(u8, &'a [u8]),
    /// A length of 0, or one that reaches beyond the message; the list ends here.
    Malformed(u8),
}

/// A prefix information option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Its bits.
    pub prefix: Ipv6Addr,
    /// How many of them count.
    pub length: u8,
    /// Addresses of it are on the link.
    pub on_link: bool,
    /// Hosts may make themselves addresses of it.
    pub autonomous: bool,
    /// Seconds that it is valid; all ones: for ever.
    pub valid_s: u32,
    /// Seconds that addresses of it are preferred; all ones: for ever.
    pub preferred_s: u32,
}

/// Iterator over neighbour discovery options.
#[derive(Clone, Debug)]
pub struct NeighborOptions<'a> {
    bytes: &'a [u8],
}

fn prefix(data: &[u8]) -> Option<Prefix> {
    Some(Prefix {
        length: *data.first()?,
        on_link: data.get(1)? & 0x80 != 0,
        autonomous: data.get(1)? & 0x40 != 0,
        valid_s: u32_at(data, 2)?,
        preferred_s: u32_at(data, 6)?,
        prefix: Ipv6Addr::from(*data.get(14..)?.first_chunk::<16>()?),
    })
}

impl<'a> Iterator for NeighborOptions<'a> {
    type Item = NeighborOption<'a>;

    fn next(&mut self) -> Option<NeighborOption<'a>> {
        let (&kind, rest) = self.bytes.split_first()?;
        let length = usize::from(rest.first().copied().unwrap_or(0)) * 8;
        let Some(data) = self.bytes.get(2..length) else {
            self.bytes = &[];
            return Some(NeighborOption::Malformed(kind));
        };
        self.bytes = self.bytes.get(length..).unwrap_or(&[]);
        let known = match kind {
            1 => Some(NeighborOption::SourceLinkLayer(data)),
            2 => Some(NeighborOption::TargetLinkLayer(data)),
            3 => prefix(data).map(NeighborOption::Prefix),
            4 => data.get(6..).map(NeighborOption::Redirected),
            5 => u32_at(data, 2).map(NeighborOption::Mtu),
            25 => u32_at(data, 2)
                .zip(data.get(6..))
                .filter(|(_, addresses)| {
                    !addresses.is_empty() && addresses.len().is_multiple_of(16)
                })
                .map(|(lifetime_s, addresses)| NeighborOption::NameServers {
                    lifetime_s,
                    addresses,
                }),
            _ => None,
        };
        Some(known.unwrap_or(NeighborOption::Other(kind, data)))
    }
}

impl<'a> Frame<'a> {
    /// What follows the first eight bytes of a neighbour discovery message: its type, and the bytes.
    fn neighbor_message(&self) -> Option<(u8, &'a [u8])> {
        let icmp = self
            .icmp()
            .filter(|icmp| icmp.version == 6 && matches!(icmp.kind, 133..=137))?;
        let start = icmp.offset as usize + 8;
        let body = self.bytes.get(start..self.payload_end as usize)?;
        Some((icmp.kind, body))
    }

    /// The address that a neighbour solicitation, neighbour advertisement or redirect is about.
    pub fn neighbor_target(&self) -> Option<Ipv6Addr> {
        let (kind, body) = self.neighbor_message()?;
        matches!(kind, 135..=137)
            .then(|| body.first_chunk::<16>())?
            .map(|address| Ipv6Addr::from(*address))
    }

    /// Options of a neighbour discovery message; empty for other frames.
    pub fn neighbor_options(&self) -> NeighborOptions<'a> {
        let bytes = self.neighbor_message().and_then(|(kind, body)| {
            let fixed = match kind {
                133 => 0,
                134 => 8,
                135 | 136 => 16,
                _ => 32,
            };
            body.get(fixed..)
        });
        NeighborOptions {
            bytes: bytes.unwrap_or(&[]),
        }
    }

    /// The packet that a redirect is about, as far as it is there.
    pub(super) fn redirected(&self) -> Option<&'a [u8]> {
        self.icmp()
            .filter(|icmp| (icmp.version, icmp.kind) == (6, 137))?;
        self.neighbor_options().find_map(|option| match option {
            NeighborOption::Redirected(packet) => Some(packet),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Hints, LinkType, decode};

    /// An IPv6 packet with an ICMPv6 message.
    fn packet(message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&[58, 255]);
        bytes.extend_from_slice(&[0; 32]);
        bytes.extend_from_slice(message);
        bytes
    }

    #[test]
    fn a_router_advertisement() {
        let mut message = vec![134, 0, 0, 0, 64, 0, 7, 8]; // hop limit 64, lifetime 1800 s
        message.extend_from_slice(&[0; 8]); // reachable time, retransmission timer
        message.extend_from_slice(&[1, 1, 2, 0, 0, 0, 0, 9]); // source link-layer address
        message.extend_from_slice(&[5, 1, 0, 0, 0, 0, 5, 0xdc]); // MTU 1500
        message.extend_from_slice(&[
            3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0,
        ]);
        message.extend_from_slice(&Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 0).octets());
        message.extend_from_slice(&[25, 3, 0, 0, 0, 0, 2, 0x58]); // one server for 600 s
        message.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
        message.extend_from_slice(&[200, 1, 1, 2, 3, 4, 5, 6]);
        let bytes = packet(&message);
        let frame = decode(LinkType::RAW, &bytes, bytes.len() as u32, Hints::default());
        assert_eq!(frame.neighbor_target(), None);
        let found: Vec<_> = frame.neighbor_options().collect();
        assert_eq!(
            found,
            [
                NeighborOption::SourceLinkLayer(&[2, 0, 0, 0, 0, 9]),
                NeighborOption::Mtu(1500),
                NeighborOption::Prefix(Prefix {
                    prefix: Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 0),
                    length: 64,
                    on_link: true,
                    autonomous: true,
                    valid_s: 86400,
                    preferred_s: 14400,
                }),
                NeighborOption::NameServers {
                    lifetime_s: 600,
                    addresses: &Ipv6Addr::LOCALHOST.octets()
                },
                NeighborOption::Other(200, &[1, 2, 3, 4, 5, 6]),
            ]
        );
        // Cut anywhere: no panic, and the list ends with what is malformed.
        for length in 40..bytes.len() {
            let cut = decode(
                LinkType::RAW,
                &bytes[..length],
                bytes.len() as u32,
                Hints::default(),
            );
            assert!(cut.neighbor_options().count() <= found.len());
        }
    }

    #[test]
    fn a_solicitation_names_its_target() {
        let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
        message.extend_from_slice(&[1, 0, 9]); // a length of 0
        let bytes = packet(&message);
        let frame = decode(LinkType::RAW, &bytes, bytes.len() as u32, Hints::default());
        assert_eq!(frame.neighbor_target(), Some(Ipv6Addr::LOCALHOST));
        assert_eq!(
            frame.neighbor_options().collect::<Vec<_>>(),
            [NeighborOption::Malformed(1)]
        );
    }
}
