//! What stopped the decoding of a frame, or does not fit.

use std::fmt;

use super::MAXIMUM_TAGS;

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
