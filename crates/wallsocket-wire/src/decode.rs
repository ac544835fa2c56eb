//! The one frame decoder: link, network and transport headers of captured bytes.
//!
//! Rules of this module:
//! - Bytes are anyone's: nothing here panics, and work is linear in the number of bytes.
//! - Nothing is copied but the fields of the headers; payloads are ranges of the frame.
//! - Decoding goes as far as the bytes allow. What stopped it, or does not fit, is the frame's [`Problem`]; the fields read before
//!   stand. A frame that the capture cut short is not malformed, and its problem says so.
//! - Work that most callers do not need (options, checksums, quoted packets, text) is done on request only.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub mod application;
pub mod can;
pub mod checksum;
pub mod encapsulation;
pub mod greetings;
pub mod headers;
pub mod http;
mod internet;
pub mod ipsec;
mod link_layer;
pub mod neighbor;
pub mod options;
pub mod quic;
pub mod sctp;
pub mod summary;
mod transport;
pub mod tunnel;
pub mod wireless;

use internet::{EXTENSION_AUTHENTICATION, EXTENSION_FRAGMENT, is_extension};
use link_layer::{ethernet, other_link};

pub use checksum::{Checksums, Verdict};

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

/// An 802.1Q or 802.1ad tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vlan {
    /// Tag protocol (0x8100, 0x88a8, …).
    pub protocol: u16,
    /// Priority, drop eligibility and identifier as they travel.
    pub control: u16,
}

impl Vlan {
    /// VLAN identifier, 0 to 4095.
    pub const fn identifier(self) -> u16 {
        self.control & 0x0fff
    }

    /// Priority code point, 0 to 7.
    pub const fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }

    /// Drop eligible indicator.
    pub const fn drop_eligible(self) -> bool {
        self.control & 0x1000 != 0
    }
}

/// The link-layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Not decoded: the link type is unknown or the bytes end before.
    None,
    /// Ethernet.
    Ethernet {
        /// Destination address.
        destination: [u8; 6],
        /// Source address.
        source: [u8; 6],
    },
    /// Linux cooked capture.
    Cooked {
        /// 1 or 2.
        version: u8,
        /// 0 to us, 1 broadcast, 2 multicast, 3 to another host, 4 sent by us.
        packet_type: u16,
        /// `ARPHRD_*`.
        hardware_type: u16,
        /// Address of the sender.
        sender: [u8; 8],
        /// How many bytes of it count.
        sender_length: u16,
        /// Interface index; version 2 only.
        interface: u32,
    },
    /// BSD loopback.
    Loopback {
        /// Protocol family in the numbering of the capturing system.
        family: u32,
    },
    /// No link-layer header.
    Raw,
    /// The point-to-point protocol.
    Ppp,
    /// IEEE 802.11; [`Frame::wireless`] reads its header.
    Wireless {
        /// Where it starts: after what the receiver says of its radio.
        offset: u32,
    },
    /// A message of a controller area network; [`Frame::can`] reads it.
    Can {
        /// Where it starts.
        offset: u32,
    },
}

/// An address resolution message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Where the message starts in the frame.
    pub offset: u32,
    /// `ARPHRD_*`: 1 for Ethernet.
    pub hardware_type: u16,
    /// EtherType of the protocol addresses.
    pub protocol_type: u16,
    /// Length of hardware addresses.
    pub hardware_length: u8,
    /// Length of protocol addresses.
    pub protocol_length: u8,
    /// 1 request, 2 reply, 3 and 4 the reverse.
    pub operation: u16,
    /// Addresses, when they have the lengths of Ethernet and IPv4 ones.
    pub addresses: Option<ArpAddresses>,
}

impl Arp {
    /// The hardware addresses of sender and target, where they are Ethernet's: also under the numbers of experimental Ethernet
    /// and of IEEE 802 (<https://www.iana.org/assignments/arp-parameters>).
    pub fn ethernet(&self) -> Option<([u8; 6], [u8; 6])> {
        self.addresses
            .filter(|_| matches!(self.hardware_type, 1 | 2 | 6))
            .map(|ends| (ends.sender_hardware, ends.target_hardware))
    }
}

/// Addresses of an [`Arp`] message, as long as those of Ethernet and IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpAddresses {
    /// Hardware address of the sender.
    pub sender_hardware: [u8; 6],
    /// IPv4 address of the sender.
    pub sender: Ipv4Addr,
    /// Hardware address of the target; zeroes in requests.
    pub target_hardware: [u8; 6],
    /// IPv4 address of the target.
    pub target: Ipv4Addr,
}

/// An IPv4 header (RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Where the header starts in the frame.
    pub offset: u32,
    /// Bytes of the header, options included.
    pub header_length: u8,
    /// Differentiated services and congestion notification.
    pub traffic_class: u8,
    /// Length of the packet by the header; 0 in packets that the sender's card was to segment.
    pub total_length: u16,
    /// Fragment group.
    pub identification: u16,
    /// Flags (3 bits: reserved, don't fragment, more fragments) and fragment offset (13 bits) as they travel.
    pub fragment_word: u16,
    /// Time to live.
    pub time_to_live: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Header checksum.
    pub checksum: u16,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

impl Ipv4 {
    /// DF.
    pub const fn dont_fragment(&self) -> bool {
        self.fragment_word & 0x4000 != 0
    }

    /// MF.
    pub const fn more_fragments(&self) -> bool {
        self.fragment_word & 0x2000 != 0
    }

    /// Offset of this fragment's payload in bytes.
    pub const fn fragment_offset(&self) -> u32 {
        ((self.fragment_word & 0x1fff) as u32) * 8
    }
}

/// An IPv6 header (RFC 8200) and what its extension headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Where the header starts in the frame.
    pub offset: u32,
    /// Differentiated services and congestion notification.
    pub traffic_class: u8,
    /// Flow label.
    pub flow_label: u32,
    /// Bytes after the header, by the header; 0 in jumbograms.
    pub payload_length: u16,
    /// Protocol or first extension header after this header.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// The fragment header, when there is one.
    pub fragment: Option<Ipv6Fragment>,
    /// Where the upper-layer header starts: after the extension headers.
    pub upper_offset: u32,
}

/// An IPv6 fragment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Fragment {
    /// Offset of this fragment in bytes.
    pub offset: u32,
    /// Whether more follow.
    pub more: bool,
    /// Fragment group.
    pub identification: u32,
}

/// The network layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// None, or none that is decoded.
    None,
    /// Address resolution.
    Arp(Arp),
    /// IPv4.
    Ipv4(Ipv4),
    /// IPv6.
    Ipv6(Ipv6),
}

/// TCP flag bits, as in [`Tcp::flags`].
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u16 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u16 = 0x02;
    /// Reset the connection.
    pub const RST: u16 = 0x04;
    /// Push.
    pub const PSH: u16 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u16 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u16 = 0x20;
    /// Congestion experienced echo.
    pub const ECE: u16 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u16 = 0x80;
    /// Accurate ECN (RFC 9768), formerly the nonce sum.
    pub const AE: u16 = 0x100;
}

/// A TCP header (RFC 9293). When fewer than 20 of its bytes were there, the fields beyond [`Tcp::present`] are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Where the header starts in the frame.
    pub offset: u32,
    /// How many bytes of the fixed header were there: 4 to 20.
    pub present: u8,
    /// Bytes of the header by its data offset, options included.
    pub header_length: u8,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number; bytes 4 to 8.
    pub sequence_number: u32,
    /// Acknowledgement number; bytes 8 to 12.
    pub acknowledgement_number: u32,
    /// The twelve bits after the data offset: three reserved, then AE CWR ECE URG ACK PSH RST SYN FIN.
    pub flags: u16,
    /// Window as it travels, before scaling.
    pub window: u16,
    /// Checksum.
    pub checksum: u16,
    /// Urgent pointer.
    pub urgent_pointer: u16,
}

impl Tcp {
    /// Whether the whole fixed header was there.
    pub const fn is_complete(&self) -> bool {
        self.present == 20
    }
}

/// A UDP header (RFC 768). When fewer than 8 of its bytes were there, the fields beyond [`Udp::present`] are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Where the header starts in the frame.
    pub offset: u32,
    /// How many bytes of the header were there: 4 to 8.
    pub present: u8,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Length of header and data by the header.
    pub length: u16,
    /// Checksum; 0 means none.
    pub checksum: u16,
}

/// An ICMP (RFC 792) or ICMPv6 (RFC 4443) header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Where the header starts in the frame.
    pub offset: u32,
    /// 4 or 6.
    pub version: u8,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum.
    pub checksum: u16,
    /// The four bytes after the checksum: identifier and sequence number, gateway, MTU, …; zero where they were not there.
    pub rest: u32,
    /// Bytes of the header that were there, 4 to 8.
    pub present: u8,
}

impl Icmp {
    /// Echo request or reply.
    pub const fn is_echo(&self) -> bool {
        matches!((self.version, self.kind), (4, 0 | 8) | (6, 128 | 129))
    }

    /// Whether the message has an identifier and a sequence number: echoes, and requests and replies of timestamps, information
    /// and address masks (RFC 792, 950).
    pub const fn is_numbered(&self) -> bool {
        self.is_echo() || matches!((self.version, self.kind), (4, 13..=18))
    }

    /// Whether the message quotes the packet it is about.
    pub const fn is_error(&self) -> bool {
        matches!(
            (self.version, self.kind),
            (4, 3 | 4 | 5 | 11 | 12) | (6, 1..=4)
        )
    }

    /// Identifier of a [numbered](Self::is_numbered) message, or of an extended echo, whose sequence number has one byte (RFC 8335).
    pub const fn identifier(&self) -> Option<u16> {
        let extended = matches!((self.version, self.kind), (4, 42 | 43) | (6, 160 | 161));
        if (self.is_numbered() || extended) && self.present >= 6 {
            Some((self.rest >> 16) as u16)
        } else {
            None
        }
    }

    /// Sequence number of a [numbered](Self::is_numbered) message.
    pub const fn sequence_number(&self) -> Option<u16> {
        if self.is_numbered() && self.present >= 8 {
            Some(self.rest as u16)
        } else {
            None
        }
    }

    /// MTU of the next hop, from "fragmentation needed" (RFC 1191) and "packet too big".
    pub const fn next_hop_mtu(&self) -> Option<u32> {
        match (self.version, self.kind, self.code) {
            (4, 3, 4) if self.present == 8 => Some(self.rest & 0xffff),
            (6, 2, _) if self.present == 8 => Some(self.rest),
            _ => None,
        }
    }
}

/// A group membership message (RFC 3376).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Igmp {
    /// Where the message starts in the frame.
    pub offset: u32,
    /// Type: 0x11 query, 0x16 report (version 2), 0x17 leave, 0x22 report (version 3).
    pub kind: u8,
    /// Maximum response time, in tenths of a second.
    pub maximum_response: u8,
    /// Checksum.
    pub checksum: u16,
    /// The group; in version 3 reports reserved bits and the number of records.
    pub group: [u8; 4],
}

/// The transport layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// None, or none that is decoded: a later fragment, another protocol, too few bytes.
    None,
    /// TCP.
    Tcp(Tcp),
    /// UDP.
    Udp(Udp),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
    /// IGMP.
    Igmp(Igmp),
    /// SCTP.
    Sctp(sctp::Sctp),
    /// An encapsulating security payload.
    Esp(ipsec::Esp),
}

/// The part of a frame that a [`Problem`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Link-layer header.
    Link,
    /// VLAN tag.
    Vlan,
    /// Address resolution message.
    Arp,
    /// IPv4 header.
    Ipv4,
    /// IPv6 header.
    Ipv6,
    /// An IPv6 extension header, or an authentication header.
    Extension,
    /// TCP header.
    Tcp,
    /// UDP header.
    Udp,
    /// ICMP header.
    Icmp,
    /// ICMPv6 header.
    Icmpv6,
    /// IGMP message.
    Igmp,
    /// Labels of multiprotocol label switching.
    Mpls,
    /// PPP over Ethernet.
    Pppoe,
    /// Point-to-point protocol.
    Ppp,
    /// Tag of a bridge port extender.
    PortTag,
    /// Header of IEEE 802.11.
    Wireless,
    /// What a receiver says of its radio.
    Radio,
    /// Message of a controller area network.
    Can,
    /// SCTP header.
    Sctp,
    /// Encapsulating security payload.
    Esp,
}

impl Layer {
    /// Its usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link layer",
            Self::Vlan => "VLAN tag",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Extension => "extension header",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
            Self::Icmpv6 => "ICMPv6",
            Self::Igmp => "IGMP",
            Self::Mpls => "MPLS",
            Self::Pppoe => "PPPoE",
            Self::Ppp => "PPP",
            Self::PortTag => "802.1BR tag",
            Self::Wireless => "802.11",
            Self::Radio => "radio header",
            Self::Can => "CAN",
            Self::Sctp => "SCTP",
            Self::Esp => "ESP",
        }
    }
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The capture kept too few bytes of the frame.
    Cut {
        /// Bytes wanted.
        needed: u32,
        /// Bytes there.
        available: u32,
    },
    /// The packet itself ends too early.
    Short {
        /// Bytes wanted.
        needed: u32,
        /// Bytes there.
        available: u32,
    },
    /// A header says that it is shorter than its fixed part.
    HeaderLength {
        /// Bytes by the header.
        claimed: u32,
        /// The least that is possible.
        minimum: u32,
    },
    /// A length field says more than there is.
    LengthBeyond {
        /// Bytes by the header.
        claimed: u32,
        /// Bytes there.
        available: u32,
    },
    /// A length field says less than the header that holds it.
    LengthBelow {
        /// Bytes by the header.
        claimed: u32,
        /// The least that is possible.
        minimum: u32,
    },
    /// The version field is not that of the protocol.
    Version {
        /// The version found.
        found: u8,
    },
    /// Frames of this link type are not decoded.
    LinkType {
        /// Its number.
        number: u32,
    },
    /// More tags than are decoded.
    TooManyTags,
}

/// Why decoding stopped, or what does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub layer: Layer,
    /// What.
    pub reason: Reason,
    /// Offset in the frame of the header concerned.
    pub offset: u32,
}

impl Problem {
    /// Whether the frame breaks its protocol; false when the capture or this decoder is the reason.
    pub const fn is_malformed(&self) -> bool {
        !matches!(
            self.reason,
            Reason::Cut { .. } | Reason::LinkType { .. } | Reason::TooManyTags
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = self.layer.name();
        match self.reason {
            Reason::Cut { needed, available } => {
                write!(
                    formatter,
                    "{layer} cut by the capture: {available} of {needed} bytes kept"
                )
            }
            Reason::Short { needed, available } => write!(
                formatter,
                "{layer} too short: {available} of {needed} bytes"
            ),
            Reason::HeaderLength { claimed, minimum } => {
                write!(
                    formatter,
                    "{layer} header length {claimed} is below {minimum}"
                )
            }
            Reason::LengthBeyond { claimed, available } => {
                write!(
                    formatter,
                    "{layer} length {claimed} is more than the {available} bytes there"
                )
            }
            Reason::LengthBelow { claimed, minimum } => {
                write!(formatter, "{layer} length {claimed} is below {minimum}")
            }
            Reason::Version { found } => write!(formatter, "{layer} with version {found}"),
            Reason::LinkType { number } => write!(formatter, "link type {number} is not decoded"),
            Reason::TooManyTags => write!(formatter, "more than {MAXIMUM_TAGS} VLAN tags"),
        }?;
        write!(formatter, " (at byte {})", self.offset)
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
