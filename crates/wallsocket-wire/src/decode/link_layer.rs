//! What stands in front of the network layer, by link type.

use super::can::can;
use super::encapsulation::{Next, between};
use super::internet::{arp, ipv4, ipv6};
use super::wireless::{radio, wireless};
use super::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_REVERSE_ARP, Frame, Layer, Link,
    LinkType, MAXIMUM_TAGS, Reason, Vlan, be16, header, is_tag,
};

#[inline]
pub(super) fn ethernet(frame: &mut Frame<'_>) {
    let bytes = frame.bytes;
    let Some(fixed) = header::<14>(bytes, 0, bytes.len()) else {
        return frame.missing(Layer::Link, 0, 14, bytes.len());
    };
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, high, low] = *fixed;
    frame.link = Link::Ethernet {
        destination: [d0, d1, d2, d3, d4, d5],
        source: [s0, s1, s2, s3, s4, s5],
    };
    tagged(frame, be16(high, low), 14);
}

/// VLAN tags, then the network layer. `offset` is after the EtherType.
#[inline]
fn tagged(frame: &mut Frame<'_>, mut ether_type: u16, mut offset: usize) {
    let bytes = frame.bytes;
    while is_tag(ether_type) {
        let Some(tag) = header::<4>(bytes, offset, bytes.len()) else {
            frame.payload_start = offset as u32;
            return frame.missing(Layer::Vlan, offset, 4, bytes.len());
        };
        let count = usize::from(frame.tag_count);
        if count == MAXIMUM_TAGS {
            frame.payload_start = offset as u32;
            return frame.stop(Layer::Vlan, Reason::TooManyTags, offset);
        }
        frame.tags[count] = Vlan {
            protocol: ether_type,
            control: be16(tag[0], tag[1]),
        };
        frame.tag_count += 1;
        ether_type = be16(tag[2], tag[3]);
        offset += 4;
    }
    let mut end = bytes.len();
    if ether_type <= 1500 {
        // IEEE 802.3: a length, then 802.2. With a SNAP header of organisation 0 an EtherType follows (RFC 1042).
        end = end.min(offset + usize::from(ether_type));
        frame.payload_end = end as u32;
        let Some([0xaa, 0xaa, 0x03, 0, 0, 0, high, low]) = header::<8>(bytes, offset, end) else {
            frame.payload_start = offset as u32;
            return;
        };
        ether_type = be16(*high, *low);
        offset += 8;
    }
    frame.ether_type = Some(ether_type);
    network(frame, ether_type, offset, end);
}

/// The same for rare callers, so that the frequent one has it in its own code.
#[cold]
#[inline(never)]
pub(super) fn network_apart(frame: &mut Frame<'_>, ether_type: u16, offset: usize, end: usize) {
    network(frame, ether_type, offset, end);
}

#[expect(clippy::inline_always, reason = "measured: 20 instructions a frame")]
#[inline(always)]
fn network(frame: &mut Frame<'_>, ether_type: u16, offset: usize, end: usize) {
    frame.payload_start = offset as u32;
    match ether_type {
        ETHERTYPE_IPV4 => ipv4(frame, offset, end),
        ETHERTYPE_IPV6 => ipv6(frame, offset, end),
        ETHERTYPE_ARP | ETHERTYPE_REVERSE_ARP => arp(frame, offset, end),
        _ => between(frame, Next::EtherType(ether_type), offset, end),
    }
}

#[cold]
pub(super) fn other_link(frame: &mut Frame<'_>) {
    let bytes = frame.bytes;
    let end = bytes.len();
    match frame.link_type.0 {
        12 | 14 | 101 => {
            frame.link = Link::Raw;
            raw_ip(frame, 0, end);
        }
        228 => {
            frame.link = Link::Raw;
            ipv4(frame, 0, end);
        }
        229 => {
            frame.link = Link::Raw;
            ipv6(frame, 0, end);
        }
        9 | 50 => point_to_point(frame),
        104 => {
            frame.link = Link::Ppp;
            cisco(frame);
        }
        51 => {
            frame.link = Link::Ppp;
            between(frame, Next::EtherType(0x8864), 0, end);
        }
        105 => wireless(frame, 0, end, 1),
        119 | 127 | 163 | 192 => radio(frame),
        219 => {
            frame.link = Link::Raw;
            between(frame, Next::EtherType(0x8847), 0, end);
        }
        227 => can(frame, 0),
        _ if frame.link_type == LinkType::ARP => {
            frame.link = Link::Raw;
            arp(frame, 0, end);
        }
        0 | 108 => {
            let Some(word) = header::<4>(bytes, 0, end) else {
                return frame.missing(Layer::Link, 0, 4, end);
            };
            // A NULL header has the byte order of the machine that captured: families are small numbers.
            let big = u32::from_be_bytes(*word);
            let family = if frame.link_type == LinkType::NULL && big > 0xffff {
                u32::from_le_bytes(*word)
            } else {
                big
            };
            frame.link = Link::Loopback { family };
            frame.payload_start = 4;
            match family {
                2 => ipv4(frame, 4, end),
                // AF_INET6 of Linux, NetBSD, FreeBSD and macOS.
                10 | 24 | 28 | 30 => ipv6(frame, 4, end),
                _ => {}
            }
        }
        113 => {
            let Some(fixed) = header::<16>(bytes, 0, end) else {
                return frame.missing(Layer::Link, 0, 16, end);
            };
            let [
                p0,
                p1,
                h0,
                h1,
                l0,
                l1,
                a0,
                a1,
                a2,
                a3,
                a4,
                a5,
                a6,
                a7,
                high,
                low,
            ] = *fixed;
            frame.link = Link::Cooked {
                version: 1,
                packet_type: be16(p0, p1),
                hardware_type: be16(h0, h1),
                sender: [a0, a1, a2, a3, a4, a5, a6, a7],
                sender_length: be16(l0, l1),
                interface: 0,
            };
            cooked(frame, be16(h0, h1), be16(high, low), 16);
        }
        276 => {
            let Some(fixed) = header::<20>(bytes, 0, end) else {
                return frame.missing(Layer::Link, 0, 20, end);
            };
            let [
                high,
                low,
                _,
                _,
                i0,
                i1,
                i2,
                i3,
                h0,
                h1,
                packet_type,
                length,
                a0,
                a1,
                a2,
                a3,
                a4,
                a5,
                a6,
                a7,
            ] = *fixed;
            frame.link = Link::Cooked {
                version: 2,
                packet_type: packet_type.into(),
                hardware_type: be16(h0, h1),
                sender: [a0, a1, a2, a3, a4, a5, a6, a7],
                sender_length: length.into(),
                interface: u32::from_be_bytes([i0, i1, i2, i3]),
            };
            cooked(frame, be16(h0, h1), be16(high, low), 20);
        }
        number => frame.stop(Layer::Link, Reason::LinkType { number }, 0),
    }
}

fn cooked(frame: &mut Frame<'_>, hardware_type: u16, protocol: u16, offset: usize) {
    frame.payload_start = offset as u32;
    // For netlink, frame relay and radiotap devices the field is not an EtherType; below 1536 it is `ETH_P_802_3` and the
    // like (https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html).
    if protocol > 1500 && !matches!(hardware_type, 770 | 803 | 824) {
        tagged(frame, protocol, offset);
    } else if matches!(protocol, 0x0c..=0x0e) && hardware_type == 280 {
        // ETH_P_CAN, ETH_P_CANFD and ETH_P_CANXL of linux/if_ether.h; ARPHRD_CAN.
        can(frame, offset);
    }
}

/// Cisco's HDLC: a unicast or multicast address, and an EtherType (<https://www.tcpdump.org/linktypes.html>).
fn cisco(frame: &mut Frame<'_>) {
    let end = frame.bytes.len();
    let Some(&[_, _, high, low]) = header::<4>(frame.bytes, 0, end) else {
        return frame.missing(Layer::Link, 0, 4, end);
    };
    let ether_type = be16(high, low);
    frame.ether_type = Some(ether_type);
    frame.payload_start = 4;
    // Here the number of reverse ARP is that of Cisco's own SLARP.
    if ether_type != ETHERTYPE_REVERSE_ARP {
        network_apart(frame, ether_type, 4, end);
    }
}

/// PPP as a link: the address and control bytes may be there, or compressed away.
fn point_to_point(frame: &mut Frame<'_>) {
    let end = frame.bytes.len();
    frame.link = Link::Ppp;
    let start = match frame.bytes {
        [0xff, 3, ..] => 2,
        // Serial lines of Cisco are also found under the number of PPP.
        [0x0f | 0x8f, 0, _, _, ..] => return cisco(frame),
        _ => 0,
    };
    between(frame, Next::Ppp, start, end);
}

fn raw_ip(frame: &mut Frame<'_>, offset: usize, end: usize) {
    frame.payload_start = offset as u32;
    match frame.bytes.get(offset).map(|byte| byte >> 4) {
        Some(6) => ipv6(frame, offset, end),
        Some(4) | None => ipv4(frame, offset, end),
        Some(found) => frame.stop(Layer::Ipv4, Reason::Version { found }, offset),
    }
}
