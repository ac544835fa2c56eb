//! Tunnels: packets with addresses of their own that a packet carries. Looked at on request only.
//!
//! A frame stays the outermost packet; [`Frame::inner`] is the packet inside, decoded like any other, and [`Frame::innermost`]
//! what the last of several tunnels carries.

use std::fmt;

use super::{Frame, Hints, LinkType, Network, Transport, be16, decode, header};

/// Tunnels within tunnels that are entered.
pub const MAXIMUM_DEPTH: usize = 16;

/// How a packet is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Generic routing encapsulation (RFC 2784, 2890; version 1: RFC 2637), also in UDP (RFC 8086).
    Gre,
    /// A mirrored frame in GRE (draft-foschiano-erspan).
    Erspan,
    /// Virtual extensible LAN (RFC 7348), also with its generic protocol extension.
    Vxlan,
    /// Generic network virtualisation (RFC 8926).
    Geneve,
    /// User plane of the GPRS tunnelling protocol, version 1 (3GPP TS 29.281).
    Gtp,
    /// An IP packet in an IP packet (RFC 2003, 2473, 4213).
    Ip,
    /// Ethernet in IP (RFC 3378), or by protocol number 143 (RFC 8986).
    Ethernet,
    /// Labels in IP or UDP (RFC 4023, 7510).
    Mpls,
    /// Ethernet behind labels, with or without a control word (RFC 4448).
    Pseudowire,
    /// A provider backbone bridge's frame (IEEE 802.1ah).
    BackboneBridge,
    /// IPv6 in UDP (RFC 4380).
    Teredo,
}

impl Kind {
    /// Its short name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gtp => "gtp",
            Self::Ip => "ip",
            Self::Ethernet => "ethernet",
            Self::Mpls => "mpls",
            Self::Pseudowire => "pseudowire",
            Self::BackboneBridge => "802.1ah",
            Self::Teredo => "teredo",
        }
    }
}

/// The header of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// How the packet is carried.
    pub kind: Kind,
    /// Where the tunnel's header starts in the frame; without one where the inner packet starts.
    pub offset: u32,
    /// Which of several: key of GRE (of version 1 the call), network identifier of VXLAN and Geneve, endpoint identifier of GTP, session of ERSPAN,
    /// service of 802.1ah.
    pub identifier: Option<u32>,
    /// What the header says is inside: EtherType of GRE and Geneve, message type of GTP, next protocol of VXLAN's extension.
    pub protocol: Option<u16>,
    /// Flag bits as they travel: 16 of GRE, 8 of VXLAN, Geneve (O and C) and GTP.
    pub flags: u16,
    /// Sequence number of GRE and GTP.
    pub sequence_number: Option<u32>,
    /// Acknowledgement number of version 1 of GRE.
    pub acknowledgement_number: Option<u32>,
    /// Link type of the packet inside; `None` where none is known there.
    pub inner: Option<LinkType>,
    /// Where the packet inside starts.
    pub start: u32,
    /// Where it ends in the captured bytes.
    pub end: u32,
}

impl fmt::Display for Tunnel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.name())?;
        match self.identifier {
            Some(identifier) => write!(formatter, " {identifier}"),
            None => Ok(()),
        }
    }
}

/// Reads headers one after the other.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let found = header::<N>(self.bytes, self.at, self.end).copied()?;
        self.at += N;
        Some(found)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        let after = self.at.checked_add(count)?;
        (after <= self.end).then(|| self.at = after)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at..self.end)?.first().copied()
    }

    /// Raw IP, by the version that comes next.
    fn ip(&self) -> Option<LinkType> {
        matches!(self.peek()? >> 4, 4 | 6).then_some(LinkType::RAW)
    }
}

/// Link type of a packet that an EtherType names.
const fn link_type(ether_type: u16) -> Option<LinkType> {
    Some(match ether_type {
        0x0800 => LinkType::IPV4,
        0x86dd => LinkType::IPV6,
        0x0806 | 0x8035 => LinkType::ARP,
        0x6558 => LinkType::ETHERNET,
        0x880b => LinkType::PPP,
        0x8847 | 0x8848 => LinkType::MPLS,
        _ => return None,
    })
}

fn tunnel(kind: Kind, cursor: &Cursor<'_>, inner: Option<LinkType>) -> Tunnel {
    Tunnel {
        kind,
        offset: cursor.at as u32,
        identifier: None,
        protocol: None,
        flags: 0,
        sequence_number: None,
        acknowledgement_number: None,
        inner,
        start: cursor.at as u32,
        end: cursor.end as u32,
    }
}

/// Closes a header that was read to its end.
fn ended(mut found: Tunnel, cursor: &Cursor<'_>, inner: Option<LinkType>) -> Tunnel {
    found.start = cursor.at as u32;
    found.end = cursor.end as u32;
    found.inner = inner.filter(|_| cursor.at < cursor.end);
    found
}

const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const GRE_ACKNOWLEDGEMENT: u16 = 0x0080;
const GRE_VERSION: u16 = 0x0007;
/// Types II and III of ERSPAN; type I has no sequence number and no header.
const ERSPAN_2: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;
/// Ethernet between MikroTik's routers, in version 1; the number of the tunnel stands in place of the call, low byte first.
const ETHERNET_OVER_IP: u16 = 0x6400;
/// 802.11 between Aruba's access points and controllers: one number for each access class and kind of payload.
const ARUBA: std::ops::RangeInclusive<u16> = 0x8200..=0x8370;
/// Redirected by WCCP: a header of four bytes may stand in front (draft-wilson-wrec-wccp-v2).
const WCCP: u16 = 0x883e;

fn gre(cursor: &mut Cursor<'_>) -> Option<Tunnel> {
    let mut found = tunnel(Kind::Gre, cursor, None);
    let [f0, f1, p0, p1] = cursor.take()?;
    let (flags, protocol) = (be16(f0, f1), be16(p0, p1));
    found.flags = flags;
    found.protocol = Some(protocol);
    // Fields that were cut off are not known, and nothing behind them.
    let inner = gre_fields(&mut found, cursor, flags, protocol);
    Some(ended(found, cursor, inner))
}

/// What follows the first four bytes; the link type of the packet inside.
fn gre_fields(
    found: &mut Tunnel,
    cursor: &mut Cursor<'_>,
    flags: u16,
    protocol: u16,
) -> Option<LinkType> {
    if flags & (GRE_CHECKSUM | GRE_ROUTING) != 0 && flags & GRE_VERSION == 0 {
        cursor.skip(4)?;
    }
    if flags & GRE_KEY != 0 {
        let key = cursor.word()?;
        // Version 1 has the length of the payload in the upper half, and a call in the lower.
        let is_call = flags & GRE_VERSION == 1;
        found.identifier = Some(match (is_call, protocol) {
            (true, ETHERNET_OVER_IP) => u32::from((key as u16).swap_bytes()),
            (true, _) => key & 0xffff,
            (false, _) => key,
        });
    }
    if flags & GRE_SEQUENCE != 0 {
        found.sequence_number = Some(cursor.word()?);
    }
    if flags & GRE_VERSION == 1 && flags & GRE_ACKNOWLEDGEMENT != 0 {
        found.acknowledgement_number = Some(cursor.word()?);
    }
    if flags & GRE_ROUTING != 0 && flags & GRE_VERSION == 0 {
        // Routes until one without a length (RFC 1701).
        loop {
            let [_, _, _, length] = cursor.take()?;
            if length == 0 {
                break;
            }
            cursor.skip(length.into())?;
        }
    }
    match protocol {
        ERSPAN_2 if flags & GRE_SEQUENCE == 0 => {
            found.kind = Kind::Erspan;
            Some(LinkType::ETHERNET)
        }
        ERSPAN_2 | ERSPAN_3 => {
            let [_, _, s0, s1] = cursor.take()?;
            found.kind = Kind::Erspan;
            found.identifier = Some(u32::from(be16(s0, s1) & 0x3ff));
            if protocol == ERSPAN_2 {
                cursor.skip(4)?;
                return Some(LinkType::ETHERNET);
            }
            let [.., kind, last] = cursor.take::<8>()?;
            // A subheader for the platform.
            if last & 1 == 1 {
                cursor.skip(8)?;
            }
            // Five bits behind one that says whether the kind of the frame is known.
            match kind >> 2 & 0x1f {
                0 => Some(LinkType::ETHERNET),
                2 => cursor.ip(),
                _ => None,
            }
        }
        WCCP => {
            if cursor.ip().is_none() {
                cursor.skip(4)?;
            }
            cursor.ip()
        }
        ETHERNET_OVER_IP => Some(LinkType::ETHERNET),
        number if ARUBA.contains(&number) && number.is_multiple_of(16) => Some(LinkType::WIRELESS),
        number => link_type(number),
    }
}

fn vxlan(cursor: &mut Cursor<'_>, extended: bool) -> Option<Tunnel> {
    let mut found = tunnel(Kind::Vxlan, cursor, None);
    let [flags, _, _, next, n0, n1, n2, _] = cursor.take()?;
    found.flags = flags.into();
    found.identifier = Some(u32::from_be_bytes([0, n0, n1, n2]));
    let inner = if extended && flags & 0x04 != 0 {
        found.protocol = Some(next.into());
        // draft-ietf-nvo3-vxlan-gpe, 3.2.
        match next {
            1 => Some(LinkType::IPV4),
            2 => Some(LinkType::IPV6),
            3 => Some(LinkType::ETHERNET),
            5 => Some(LinkType::MPLS),
            _ => None,
        }
    } else {
        Some(LinkType::ETHERNET)
    };
    Some(ended(found, cursor, inner))
}

fn geneve(cursor: &mut Cursor<'_>) -> Option<Tunnel> {
    let mut found = tunnel(Kind::Geneve, cursor, None);
    let [first, flags, p0, p1, n0, n1, n2, _] = cursor.take()?;
    // Version 0 is the only one.
    if first >> 6 != 0 {
        return None;
    }
    let protocol = be16(p0, p1);
    found.flags = flags.into();
    found.protocol = Some(protocol);
    found.identifier = Some(u32::from_be_bytes([0, n0, n1, n2]));
    cursor.skip(usize::from(first & 0x3f) * 4)?;
    Some(ended(found, cursor, link_type(protocol)))
}

/// Message type of a user's packet.
const GTP_PACKET: u8 = 255;
/// Messages of the user plane: echoes, an error, extensions, status and end of a tunnel, packets (3GPP TS 29.281, 6.1).
const GTP_MESSAGES: [u8; 7] = [1, 2, 26, 31, 253, 254, GTP_PACKET];

fn gtp(cursor: &mut Cursor<'_>) -> Option<Tunnel> {
    let mut found = tunnel(Kind::Gtp, cursor, None);
    let [flags, message, l0, l1] = cursor.take()?;
    // Version 1 of the protocol itself, not of its charging variant; what has no message of the user plane is something else.
    if flags >> 4 != 3 || !GTP_MESSAGES.contains(&message) {
        return None;
    }
    found.flags = flags.into();
    found.protocol = Some(message.into());
    found.identifier = Some(cursor.word()?);
    cursor.end = cursor.end.min(cursor.at + usize::from(be16(l0, l1)));
    if flags & 7 != 0 {
        let [s0, s1, _, mut next] = cursor.take()?;
        if flags & 2 != 0 {
            found.sequence_number = Some(be16(s0, s1).into());
        }
        while flags & 4 != 0 && next != 0 {
            let [words] = cursor.take()?;
            let length = usize::from(words) * 4;
            if length == 0 {
                return None;
            }
            cursor.skip(length - 2)?;
            [next] = cursor.take()?;
        }
    }
    let inner = if message == GTP_PACKET {
        cursor.ip()
    } else {
        None
    };
    Some(ended(found, cursor, inner))
}

/// IPv6 behind indications of origin and authentication (RFC 4380, 5.1.1).
fn teredo(cursor: &mut Cursor<'_>) -> Option<Tunnel> {
    let mut found = tunnel(Kind::Teredo, cursor, None);
    loop {
        match cursor.peek()? {
            first if first >> 4 == 6 => {
                found = ended(found, cursor, Some(LinkType::IPV6));
                return Some(found);
            }
            0 => match cursor.take()? {
                [0, 0] => cursor.skip(6)?,
                [0, 1] => {
                    let [identifier, value] = cursor.take()?;
                    cursor.skip(usize::from(identifier) + usize::from(value) + 9)?;
                }
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Ethernet behind the last label, as far as that can be told: with a control word, whose first four bits are 0, or without.
fn pseudowire(cursor: &mut Cursor<'_>) -> Option<Tunnel> {
    let mut found = tunnel(Kind::Pseudowire, cursor, None);
    let plausible = |start: usize| {
        header::<2>(cursor.bytes, start + 12, cursor.end).is_some_and(|&[high, low]| {
            let number = be16(high, low);
            let known = matches!(
                number,
                0x0800
                    | 0x0806
                    | 0x86dd
                    | 0x8100
                    | 0x88a8
                    | 0x8847
                    | 0x8848
                    | 0x8863
                    | 0x8864
                    | 0x88cc
                    | 0x9000
            );
            known
                || ((3..=1500).contains(&number) && start + 14 + usize::from(number) <= cursor.end)
        })
    };
    if cursor.peek()? >> 4 == 0 && plausible(cursor.at + 4) {
        found.sequence_number = Some(cursor.word()? & 0xffff);
    } else if !plausible(cursor.at) {
        return None;
    }
    found = ended(found, cursor, Some(LinkType::ETHERNET));
    Some(found)
}

fn backbone_bridge(cursor: &mut Cursor<'_>) -> Option<Tunnel> {
    let mut found = tunnel(Kind::BackboneBridge, cursor, None);
    let word = cursor.word()?;
    found.flags = (word >> 24) as u16;
    found.identifier = Some(word & 0xff_ffff);
    Some(ended(found, cursor, Some(LinkType::ETHERNET)))
}

impl<'a> Frame<'a> {
    /// The tunnel whose header is the innermost one of this frame.
    pub fn tunnel(&self) -> Option<Tunnel> {
        let mut cursor = Cursor {
            bytes: self.bytes,
            at: self.payload_start as usize,
            end: (self.payload_end as usize).min(self.bytes.len()),
        };
        let cursor = &mut cursor;
        // What does not fit leaves nothing that could be taken for a header.
        let broken = self.problem.is_some_and(|problem| problem.is_malformed());
        if cursor.at >= cursor.end || broken {
            return None;
        }
        match (&self.network, &self.transport) {
            (Network::None, _) if self.ether_type == Some(0x88e7) => backbone_bridge(cursor),
            (Network::None, _) if self.labels().last().is_some_and(|label| label.bottom) => {
                pseudowire(cursor)
            }
            (Network::Ipv4(_) | Network::Ipv6(_), _) if self.fragment().is_some() => None,
            (Network::Ipv4(_) | Network::Ipv6(_), Transport::None) => {
                let found = match self.protocol? {
                    4 => Some(LinkType::IPV4),
                    41 => Some(LinkType::IPV6),
                    47 => return gre(cursor),
                    97 => {
                        // Version 3, and bits that are zero.
                        let [0x30, 0] = cursor.take()? else {
                            return None;
                        };
                        Some(LinkType::ETHERNET)
                    }
                    137 => Some(LinkType::MPLS),
                    143 => Some(LinkType::ETHERNET),
                    _ => return None,
                };
                let kind = match found {
                    Some(LinkType::ETHERNET) => Kind::Ethernet,
                    Some(LinkType::MPLS) => Kind::Mpls,
                    _ => Kind::Ip,
                };
                Some(tunnel(kind, cursor, found))
            }
            (_, Transport::Udp(udp)) if udp.present == 8 => {
                // The port of a service is the destination; answers of GTP and Teredo come from it.
                match (udp.destination_port, udp.source_port) {
                    // 8472: Linux' default (drivers/net/vxlan).
                    (4789 | 8472, _) => vxlan(cursor, false),
                    (4790, _) => vxlan(cursor, true),
                    (4754, _) => gre(cursor),
                    (6081, _) => geneve(cursor),
                    (6635, _) => Some(tunnel(Kind::Mpls, cursor, Some(LinkType::MPLS))),
                    (2152, _) | (_, 2152) => gtp(cursor),
                    (3544, _) | (_, 3544) => teredo(cursor),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The packet that a tunnel carries. Its offsets count from its own first byte.
    pub fn inner(&self) -> Option<Frame<'a>> {
        self.tunnel().and_then(|tunnel| self.inside(&tunnel))
    }

    pub(super) fn inside(&self, tunnel: &Tunnel) -> Option<Frame<'a>> {
        let bytes = self
            .bytes
            .get(tunnel.start as usize..tunnel.end as usize)
            .filter(|bytes| !bytes.is_empty())?;
        let length = bytes.len() as u32;
        // What the capture cut of the frame it cut of the packet inside.
        let original_length = if tunnel.end as usize == self.bytes.len() {
            length + (self.wire_payload_length()).saturating_sub(self.payload().len() as u32)
        } else {
            length
        };
        Some(decode(
            tunnel.inner?,
            bytes,
            original_length,
            Hints::default(),
        ))
    }

    /// Every tunnel with the packet in it, outermost first; at most [`MAXIMUM_DEPTH`].
    pub fn tunnels(&self) -> impl Iterator<Item = (Tunnel, Option<Frame<'a>>)> + use<'a> {
        let mut outer = Some(*self);
        std::iter::from_fn(move || {
            let frame = outer.take()?;
            let tunnel = frame.tunnel()?;
            outer = frame.inside(&tunnel);
            Some((tunnel, outer))
        })
        .take(MAXIMUM_DEPTH)
    }

    /// The packet that the last of several tunnels carries; `None` without a tunnel.
    pub fn innermost(&self) -> Option<Frame<'a>> {
        self.tunnels().filter_map(|(_, inner)| inner).last()
    }
}
