//! What the headers of a frame say, as they stand in it.

use std::net::Ipv4Addr;

use super::{ipsec, sctp};

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
    /// IEEE 802.11; [`Frame::wireless`](super::Frame::wireless) reads its header.
    Wireless {
        /// Where it starts: after what the receiver says of its radio.
        offset: u32,
    },
    /// A message of a controller area network; [`Frame::can`](super::Frame::can) reads it.
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
