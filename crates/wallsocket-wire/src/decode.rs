//! The one frame decoder: link, network and transport headers of captured bytes.
//!
//! Rules of this module:
//! - Bytes are anyone's: nothing here panics, and work is linear in the number of bytes.
//! - Nothing is copied but the fields of the headers; payloads are ranges of the frame.
//! - Decoding goes as far as the bytes allow. What stopped it, or does not fit, is the frame's [`Problem`]; the fields read before
//!   stand. A frame that the capture cut short is not malformed, and its problem says so.
//! - Work that most callers do not need (options, checksums, quoted packets, text) is done on request only.
//!
//! What the headers say is in `fields`, what does not fit in `problem`; the layers are read by the modules of their names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub mod application;
pub mod can;
pub mod checksum;
pub mod encapsulation;
mod fields;
pub mod greetings;
pub mod headers;
pub mod http;
mod internet;
pub mod ipsec;
mod link_layer;
pub mod neighbor;
pub mod options;
mod problem;
pub mod quic;
pub mod sctp;
pub mod summary;
mod transport;
pub mod tunnel;
pub mod wireless;

use internet::{EXTENSION_AUTHENTICATION, EXTENSION_FRAGMENT, is_extension};
use link_layer::{ethernet, other_link};

pub use checksum::{Checksums, Verdict};
pub use fields::{
    Arp, ArpAddresses, Icmp, Igmp, Ipv4, Ipv6, Ipv6Fragment, Link, Network, Tcp, Transport, Udp,
    Vlan, tcp_flag,
};
pub use problem::{Layer, Problem, Reason};

#[cfg(test)]
mod tests;

/// Number of a link-layer header type, as in capture files (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: a protocol family in the byte order of the capturing machine.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// The point-to-point protocol, with or without address and control bytes (RFC 1662).
    pub const PPP: Self = Self(9);
    /// IPv4 or IPv6 without a link-layer header.
    pub const RAW: Self = Self(101);
    /// IEEE 802.11.
    pub const WIRELESS: Self = Self(105);
    /// OpenBSD loopback: a protocol family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture, version 1.
    pub const LINUX_COOKED: Self = Self(113);
    /// IEEE 802.11 behind a radiotap header.
    pub const RADIOTAP: Self = Self(127);
    /// Labels of multiprotocol label switching.
    pub const MPLS: Self = Self(219);
    /// Controller area network, as Linux' sockets have it.
    pub const CAN: Self = Self(227);
    /// IPv4 without a link-layer header.
    pub const IPV4: Self = Self(228);
    /// IPv6 without a link-layer header.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_COOKED_2: Self = Self(276);
    /// An address resolution message without a link-layer header, as tunnels carry it. No file has it: there, numbers have 16
    /// bits.
    pub const ARP: Self = Self(0x0001_0806);

    /// Of frames from a Linux interface with this hardware type (`ARPHRD_*` of `include/uapi/linux/if_arp.h`).
    ///
    /// Tunnels and TUN devices have no link-layer header. `None`: unknown to this decoder.
    pub const fn from_hardware_type(hardware_type: u16) -> Option<Self> {
        match hardware_type {
            1 | 772 => Some(Self::ETHERNET),
            512 | 519 | 768 | 769 | 776 | 0xfffe => Some(Self::RAW),
            801 => Some(Self::WIRELESS),
            803 => Some(Self::RADIOTAP),
            _ => None,
        }
    }

    /// The name without its LINKTYPE_ prefix, for those that are decoded.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "NULL",
            1 => "ETHERNET",
            9 => "PPP",
            12 | 14 | 101 => "RAW",
            50 => "PPP_HDLC",
            51 => "PPP_ETHER",
            104 => "C_HDLC",
            105 => "IEEE802_11",
            108 => "LOOP",
            113 => "LINUX_SLL",
            119 => "IEEE802_11_PRISM",
            127 => "IEEE802_11_RADIOTAP",
            163 => "IEEE802_11_AVS",
            192 => "PPI",
            219 => "MPLS",
            227 => "CAN_SOCKETCAN",
            228 => "IPV4",
            229 => "IPV6",
            276 => "LINUX_SLL2",
            _ => return None,
        })
    }
}

/// What the capture knows beside the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// A VLAN tag that the kernel took out of the frame.
    pub vlan: Option<Vlan>,
    /// The sender left the transport checksum to hardware that had not run when the frame was captured.
    pub checksum_not_ready: bool,
    /// The kernel or the network card had checked the transport checksum.
    pub checksum_verified: bool,
}

impl From<&wallsocket_sys::packet::FrameHeader> for Hints {
    fn from(header: &wallsocket_sys::packet::FrameHeader) -> Self {
        Self {
            vlan: header.vlan.map(|vlan| Vlan {
                protocol: vlan.protocol,
                control: vlan.control,
            }),
            checksum_not_ready: header.checksum_not_ready(),
            checksum_verified: header.checksum_verified(),
        }
    }
}

/// VLAN tags that are decoded; more are a problem, not an allocation.
pub const MAXIMUM_TAGS: usize = 4;

/// A decoded frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Bytes the frame had on the wire.
    pub original_length: u32,
    /// Kind of the first header.
    pub link_type: LinkType,
    /// The link layer.
    pub link: Link,
    tags: [Vlan; MAXIMUM_TAGS],
    tag_count: u8,
    /// EtherType of the network layer, after the tags; `None` where the link layer has none (raw IP, 802.2).
    pub ether_type: Option<u16>,
    /// The network layer.
    pub network: Network,
    /// Protocol number of the transport layer, after extension headers; `None` without IP.
    pub protocol: Option<u8>,
    /// The transport layer.
    pub transport: Transport,
    payload_start: u32,
    payload_end: u32,
    /// Where headers start that stand between link and network layer (labels, sessions); `u32::MAX` without any.
    between: u32,
    /// What does not fit.
    pub problem: Option<Problem>,
    hints: Hints,
}

impl<'a> Frame<'a> {
    /// A frame of no bytes, to be decoded into.
    pub const fn empty() -> Self {
        Self {
            bytes: &[],
            original_length: 0,
            link_type: LinkType::RAW,
            link: Link::None,
            tags: [Vlan {
                protocol: 0,
                control: 0,
            }; MAXIMUM_TAGS],
            tag_count: 0,
            ether_type: None,
            network: Network::None,
            protocol: None,
            transport: Transport::None,
            payload_start: 0,
            payload_end: 0,
            between: u32::MAX,
            problem: None,
            hints: Hints {
                vlan: None,
                checksum_not_ready: false,
                checksum_verified: false,
            },
        }
    }

    /// VLAN tags, outermost first.
    pub fn vlans(&self) -> &[Vlan] {
        &self.tags[..usize::from(self.tag_count)]
    }

    /// What the innermost decoded layer carries; without link padding.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes
            .get(self.payload_start as usize..self.payload_end as usize)
            .unwrap_or(&[])
    }

    /// Offset of [`Frame::payload`] in the frame.
    pub const fn payload_offset(&self) -> u32 {
        self.payload_start
    }

    /// The hints given to [`decode`].
    pub const fn hints(&self) -> Hints {
        self.hints
    }

    /// The TCP header, if that is the transport.
    pub const fn tcp(&self) -> Option<&Tcp> {
        if let Transport::Tcp(tcp) = &self.transport {
            Some(tcp)
        } else {
            None
        }
    }

    /// The UDP header, if that is the transport.
    pub const fn udp(&self) -> Option<&Udp> {
        if let Transport::Udp(udp) = &self.transport {
            Some(udp)
        } else {
            None
        }
    }

    /// The ICMP or ICMPv6 header, if that is the transport.
    pub const fn icmp(&self) -> Option<&Icmp> {
        if let Transport::Icmp(icmp) = &self.transport {
            Some(icmp)
        } else {
            None
        }
    }

    /// Bytes of payload on the wire: more than [`Frame::payload`] has where the capture cut the frame.
    pub fn wire_payload_length(&self) -> u32 {
        let captured = self.payload_end.saturating_sub(self.payload_start);
        let there = self.bytes.len() as u32;
        if there >= self.original_length || self.payload_end < there {
            return captured;
        }
        let end = match &self.network {
            Network::Ipv4(ip) if ip.total_length > 0 => ip.offset + u32::from(ip.total_length),
            Network::Ipv6(ip) if ip.payload_length > 0 => {
                ip.offset + 40 + u32::from(ip.payload_length)
            }
            _ => self.original_length,
        };
        let end = match &self.transport {
            Transport::Udp(udp) if udp.length >= 8 => end.min(udp.offset + u32::from(udp.length)),
            _ => end,
        };
        end.min(self.original_length)
            .saturating_sub(self.payload_start)
            .max(captured)
    }

    /// Source and destination address of IP packets.
    pub fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match &self.network {
            Network::Ipv4(ip) => Some((
                Ipv4Addr::from(ip.source).into(),
                Ipv4Addr::from(ip.destination).into(),
            )),
            Network::Ipv6(ip) => Some((
                Ipv6Addr::from(ip.source).into(),
                Ipv6Addr::from(ip.destination).into(),
            )),
            _ => None,
        }
    }

    /// Source and destination port of TCP, UDP and SCTP.
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match &self.transport {
            Transport::Tcp(tcp) => Some((tcp.source_port, tcp.destination_port)),
            Transport::Udp(udp) => Some((udp.source_port, udp.destination_port)),
            Transport::Sctp(sctp) => Some((sctp.source_port, sctp.destination_port)),
            _ => None,
        }
    }

    /// Whether this is one part of a packet: offset in bytes, more to come, group.
    pub fn fragment(&self) -> Option<(u32, bool, u32)> {
        match &self.network {
            Network::Ipv4(ip) if ip.fragment_word & 0x3fff != 0 => Some((
                ip.fragment_offset(),
                ip.more_fragments(),
                ip.identification.into(),
            )),
            Network::Ipv6(Ipv6 {
                fragment: Some(fragment),
                ..
            }) if fragment.offset != 0 || fragment.more => {
                Some((fragment.offset, fragment.more, fragment.identification))
            }
            _ => None,
        }
    }

    /// The packet that an ICMP error or a redirect is about, decoded as far as it was quoted.
    pub fn quoted(&self) -> Option<Frame<'a>> {
        self.quoted_by_error()
            .or_else(|| self.redirected().and_then(as_quoted))
    }

    /// That of an error, which begins behind the first eight bytes of the message.
    fn quoted_by_error(&self) -> Option<Frame<'a>> {
        let icmp = self.icmp().filter(|icmp| icmp.is_error())?;
        let start = icmp.offset as usize + 8;
        as_quoted(self.bytes.get(start..self.payload_end as usize)?)
    }

    /// Checksum verdicts; computed on each call.
    pub fn checksums(&self) -> Checksums {
        checksum::check(self)
    }

    fn stop(&mut self, layer: Layer, reason: Reason, offset: usize) {
        if self.problem.is_none() {
            self.problem = Some(Problem {
                layer,
                reason,
                offset: offset as u32,
            });
        }
    }

    /// Too few bytes for a header: whether the capture or the sender is the reason depends on where the frame ended on the wire.
    fn missing(&mut self, layer: Layer, offset: usize, needed: usize, end: usize) {
        let available = end.saturating_sub(offset) as u32;
        let needed = needed as u32;
        let reason = if end == self.bytes.len()
            && (offset as u64 + u64::from(needed)) <= u64::from(self.original_length)
        {
            Reason::Cut { needed, available }
        } else {
            Reason::Short { needed, available }
        };
        self.stop(layer, reason, offset);
    }
}

/// Only the beginning of a packet is quoted, so what is missing was cut, not malformed.
fn as_quoted(quoted: &[u8]) -> Option<Frame<'_>> {
    (!quoted.is_empty()).then(|| decode(LinkType::RAW, quoted, u32::MAX, Hints::default()))
}

#[inline]
fn header<const N: usize>(bytes: &[u8], offset: usize, end: usize) -> Option<&[u8; N]> {
    bytes.get(offset..end)?.first_chunk()
}

#[inline]
const fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|pair| u16::from_be_bytes(*pair))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|word| u32::from_be_bytes(*word))
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_REVERSE_ARP: u16 = 0x8035;
const ETHERTYPE_IPV6: u16 = 0x86dd;

const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100)
}

/// Decodes one frame. `original_length` is its length on the wire; `bytes` may be fewer.
#[inline]
pub fn decode(link_type: LinkType, bytes: &[u8], original_length: u32, hints: Hints) -> Frame<'_> {
    let mut frame = Frame::empty();
    decode_into(&mut frame, link_type, bytes, original_length, hints);
    frame
}

/// The same, in the place of an earlier frame: saves moving it where many are decoded.
#[inline]
pub fn decode_into<'a>(
    frame: &mut Frame<'a>,
    link_type: LinkType,
    bytes: &'a [u8],
    original_length: u32,
    hints: Hints,
) {
    frame.bytes = bytes;
    frame.original_length = original_length;
    frame.link_type = link_type;
    frame.link = Link::None;
    frame.tag_count = 0;
    frame.ether_type = None;
    frame.network = Network::None;
    frame.protocol = None;
    frame.transport = Transport::None;
    frame.payload_start = 0;
    frame.payload_end = bytes.len() as u32;
    frame.between = u32::MAX;
    frame.problem = None;
    frame.hints = hints;
    if let Some(vlan) = hints.vlan {
        frame.tags[0] = vlan;
        frame.tag_count = 1;
    }
    if link_type == LinkType::ETHERNET {
        ethernet(frame);
    } else {
        other_link(frame);
    }
}
