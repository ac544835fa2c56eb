//! Headers between link and network layer that have no addresses of their own: labels, sessions, a port extender's tag.
//!
//! The network layer behind them is the frame's own. What has addresses of its own is a [tunnel](super::tunnel).

use super::link_layer::network_apart;
use super::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, Layer, Link, MAXIMUM_TAGS, Reason, Vlan,
    be16, header, is_tag,
};

const ETHERTYPE_MPLS: u16 = 0x8847;
const ETHERTYPE_MPLS_UPSTREAM: u16 = 0x8848;
const ETHERTYPE_PPPOE_DISCOVERY: u16 = 0x8863;
const ETHERTYPE_PPPOE_SESSION: u16 = 0x8864;
const ETHERTYPE_PORT_TAG: u16 = 0x893f;

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// A label of multiprotocol label switching (RFC 3032).
    Mpls(Label),
    /// PPP over Ethernet (RFC 2516).
    Pppoe(Pppoe),
    /// The protocol field of the point-to-point protocol (RFC 1661).
    Ppp {
        /// Where it starts in the frame.
        offset: u32,
        /// Its number: 0x21 IPv4, 0x57 IPv6, 0xc021 link control, …
        protocol: u16,
    },
    /// The tag of a bridge port extender (IEEE 802.1BR).
    PortTag(PortTag),
    /// A VLAN tag behind one of the others.
    Vlan(Vlan),
}

/// A label of multiprotocol label switching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where it starts in the frame.
    pub offset: u32,
    /// 20 bits.
    pub label: u32,
    /// Traffic class, 3 bits.
    pub traffic_class: u8,
    /// The last of its stack.
    pub bottom: bool,
    /// Time to live.
    pub time_to_live: u8,
}

/// A header of PPP over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pppoe {
    /// Where it starts in the frame.
    pub offset: u32,
    /// 0 session data; 0x09 PADI, 0x07 PADO, 0x19 PADR, 0x65 PADS, 0xa7 PADT.
    pub code: u8,
    /// Session.
    pub session: u16,
    /// Bytes behind the header, by the header.
    pub length: u16,
}

impl Pppoe {
    /// Name of the code.
    pub const fn name(&self) -> &'static str {
        match self.code {
            0x00 => "session",
            0x07 => "PADO",
            0x09 => "PADI",
            0x19 => "PADR",
            0x65 => "PADS",
            0xa7 => "PADT",
            _ => "unknown code",
        }
    }
}

/// The tag of a bridge port extender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortTag {
    /// Where it starts in the frame.
    pub offset: u32,
    /// Priority, 3 bits.
    pub priority: u8,
    /// Drop eligible.
    pub drop_eligible: bool,
    /// Channel the frame came from: base 12 bits and extension 8 bits, as 20.
    pub ingress: u32,
    /// Group, 2 bits.
    pub group: u8,
    /// Channel it goes to, as 20 bits.
    pub channel: u32,
}

/// What is expected at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    EtherType(u16),
    Label,
    Ppp,
    /// Nothing that is known.
    Data,
}

enum Step {
    /// A header, what follows it, where, and where that ends.
    Header(Encapsulation, Next, usize, usize),
    /// The network layer, by EtherType.
    Network(u16),
    /// Not known here.
    Data,
    Missing(Layer, usize),
}

/// The header at `offset`, which is never empty, so that every walk ends.
fn step(bytes: &[u8], next: Next, offset: usize, end: usize) -> Step {
    let at = offset as u32;
    match next {
        Next::EtherType(ETHERTYPE_IPV4 | ETHERTYPE_IPV6 | ETHERTYPE_ARP) => match next {
            Next::EtherType(number) => Step::Network(number),
            _ => Step::Data,
        },
        Next::EtherType(ETHERTYPE_MPLS | ETHERTYPE_MPLS_UPSTREAM) | Next::Label => {
            let Some(word) = header::<4>(bytes, offset, end) else {
                return Step::Missing(Layer::Mpls, 4);
            };
            let word = u32::from_be_bytes(*word);
            let label = Label {
                offset: at,
                label: word >> 12,
                traffic_class: (word >> 9) as u8 & 7,
                bottom: word & 0x100 != 0,
                time_to_live: word as u8,
            };
            // Nothing says what follows the last label: an IP packet begins with its version (RFC 4928).
            let following = match (label.bottom, bytes.get(offset + 4).map(|byte| byte >> 4)) {
                (false, _) => Next::Label,
                (true, Some(4)) => Next::EtherType(ETHERTYPE_IPV4),
                (true, Some(6)) => Next::EtherType(ETHERTYPE_IPV6),
                (true, _) => Next::Data,
            };
            Step::Header(Encapsulation::Mpls(label), following, offset + 4, end)
        }
        Next::EtherType(number @ (ETHERTYPE_PPPOE_SESSION | ETHERTYPE_PPPOE_DISCOVERY)) => {
            let Some(&[_, code, s0, s1, l0, l1]) = header::<6>(bytes, offset, end) else {
                return Step::Missing(Layer::Pppoe, 6);
            };
            let session = Pppoe {
                offset: at,
                code,
                session: be16(s0, s1),
                length: be16(l0, l1),
            };
            let following = if number == ETHERTYPE_PPPOE_SESSION {
                Next::Ppp
            } else {
                Next::Data
            };
            let after = offset + 6;
            Step::Header(
                Encapsulation::Pppoe(session),
                following,
                after,
                after + usize::from(session.length),
            )
        }
        Next::EtherType(ETHERTYPE_PORT_TAG) => {
            let Some(&[i0, i1, g0, g1, ingress, extension, t0, t1]) =
                header::<8>(bytes, offset, end)
            else {
                return Step::Missing(Layer::PortTag, 8);
            };
            let tag = PortTag {
                offset: at,
                priority: i0 >> 5,
                drop_eligible: i0 & 0x10 != 0,
                ingress: u32::from(be16(i0, i1) & 0xfff) | u32::from(ingress) << 12,
                group: g0 >> 4 & 3,
                channel: u32::from(be16(g0, g1) & 0xfff) | u32::from(extension) << 12,
            };
            Step::Header(
                Encapsulation::PortTag(tag),
                Next::EtherType(be16(t0, t1)),
                offset + 8,
                end,
            )
        }
        Next::EtherType(protocol) if is_tag(protocol) => {
            let Some(&[c0, c1, t0, t1]) = header::<4>(bytes, offset, end) else {
                return Step::Missing(Layer::Vlan, 4);
            };
            let control = be16(c0, c1);
            Step::Header(
                Encapsulation::Vlan(Vlan { protocol, control }),
                Next::EtherType(be16(t0, t1)),
                offset + 4,
                end,
            )
        }
        Next::EtherType(_) | Next::Data => Step::Data,
        Next::Ppp => {
            let Some(&[first]) = header::<1>(bytes, offset, end) else {
                return Step::Missing(Layer::Ppp, 2);
            };
            // A number of one byte is odd (RFC 1661, 2).
            let (protocol, length) = if first & 1 == 1 {
                (first.into(), 1)
            } else {
                match header::<2>(bytes, offset, end) {
                    Some(&[high, low]) => (be16(high, low), 2),
                    None => return Step::Missing(Layer::Ppp, 2),
                }
            };
            let following = match protocol {
                0x0021 => Next::EtherType(ETHERTYPE_IPV4),
                0x0057 => Next::EtherType(ETHERTYPE_IPV6),
                0x0281 | 0x0283 => Next::Label,
                _ => Next::Data,
            };
            let ppp = Encapsulation::Ppp {
                offset: at,
                protocol,
            };
            Step::Header(ppp, following, offset + length, end)
        }
    }
}

/// Decodes what stands in front of the network layer, and that. `offset` is where it starts.
#[cold]
pub(super) fn between(frame: &mut Frame<'_>, mut next: Next, mut offset: usize, mut end: usize) {
    let start = offset as u32;
    loop {
        match step(frame.bytes, next, offset, end) {
            Step::Header(found, following, after, claimed) => {
                frame.between = start;
                if let Encapsulation::Vlan(tag) = found {
                    let count = usize::from(frame.tag_count);
                    if count == MAXIMUM_TAGS {
                        return frame.stop(Layer::Vlan, Reason::TooManyTags, offset);
                    }
                    frame.tags[count] = tag;
                    frame.tag_count += 1;
                }
                if let Encapsulation::Pppoe(session) = found {
                    if claimed > end {
                        let length = 6 + usize::from(session.length);
                        super::internet::length_beyond(frame, Layer::Pppoe, offset, length, end);
                    } else {
                        end = claimed;
                    }
                }
                (next, offset) = (following, after);
                frame.payload_start = offset as u32;
                frame.payload_end = end as u32;
            }
            Step::Network(ether_type) => return network_apart(frame, ether_type, offset, end),
            Step::Data => return,
            Step::Missing(layer, needed) => {
                frame.between = start;
                return frame.missing(layer, offset, needed, end);
            }
        }
    }
}

/// Iterator over the headers between link and network layer.
#[derive(Clone, Debug)]
pub struct Encapsulations<'a> {
    bytes: &'a [u8],
    next: Next,
    offset: usize,
    end: usize,
}

impl Iterator for Encapsulations<'_> {
    type Item = Encapsulation;

    fn next(&mut self) -> Option<Encapsulation> {
        let Step::Header(found, next, offset, end) =
            step(self.bytes, self.next, self.offset, self.end)
        else {
            self.next = Next::Data;
            return None;
        };
        (self.next, self.offset, self.end) = (next, offset, end.min(self.bytes.len()));
        Some(found)
    }
}

impl<'a> Frame<'a> {
    /// Headers between link and network layer; empty for nearly all frames.
    pub fn encapsulations(&self) -> Encapsulations<'a> {
        let next = match (self.link_type.0, self.ether_type) {
            _ if !self.has_between() => Next::Data,
            (_, Some(number)) => Next::EtherType(number),
            (51, _) => Next::EtherType(ETHERTYPE_PPPOE_SESSION),
            (219, _) => Next::Label,
            _ if self.link == Link::Ppp => Next::Ppp,
            _ => Next::Data,
        };
        Encapsulations {
            bytes: self.bytes,
            next,
            offset: self.between as usize,
            end: self.bytes.len(),
        }
    }

    /// Whether headers stand between link and network layer.
    pub const fn has_between(&self) -> bool {
        self.between != u32::MAX
    }

    /// Labels of multiprotocol label switching, outermost first.
    pub fn labels(&self) -> impl Iterator<Item = Label> + use<'a> {
        self.encapsulations().filter_map(|header| match header {
            Encapsulation::Mpls(label) => Some(label),
            _ => None,
        })
    }

    /// The header of PPP over Ethernet.
    pub fn pppoe(&self) -> Option<Pppoe> {
        self.encapsulations().find_map(|header| match header {
            Encapsulation::Pppoe(session) => Some(session),
            _ => None,
        })
    }

    /// Protocol number of the point-to-point protocol.
    pub fn ppp_protocol(&self) -> Option<u16> {
        self.encapsulations().find_map(|header| match header {
            Encapsulation::Ppp { protocol, .. } => Some(protocol),
            _ => None,
        })
    }

    /// The tag of a bridge port extender.
    pub fn port_tag(&self) -> Option<PortTag> {
        self.encapsulations().find_map(|header| match header {
            Encapsulation::PortTag(tag) => Some(tag),
            _ => None,
        })
    }
}
