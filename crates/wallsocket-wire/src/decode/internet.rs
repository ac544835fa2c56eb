//! ARP, IPv4 and IPv6.

use std::net::Ipv4Addr;

use super::transport::transport;
use super::{
    Arp, ArpAddresses, ETHERTYPE_IPV4, Frame, Ipv4, Ipv6, Ipv6Fragment, Layer, Network, Problem,
    Reason, be16, header,
};

#[inline]
pub(super) fn arp(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let bytes = frame.bytes;
    let Some(fixed) = header::<8>(bytes, offset, end) else {
        return frame.missing(Layer::Arp, offset, 8, end);
    };
    let [h0, h1, p0, p1, hardware_length, protocol_length, o0, o1] = *fixed;
    let mut message = Arp {
        offset: offset as u32,
        hardware_type: be16(h0, h1),
        protocol_type: be16(p0, p1),
        hardware_length,
        protocol_length,
        operation: be16(o0, o1),
        addresses: None,
    };
    let length = 8 + 2 * (usize::from(hardware_length) + usize::from(protocol_length));
    if let Some(all) = header::<28>(bytes, offset, end)
        && hardware_length == 6
        && protocol_length == 4
        && message.protocol_type == ETHERTYPE_IPV4
    {
        let hardware = |at: usize| {
            [
                all[at],
                all[at + 1],
                all[at + 2],
                all[at + 3],
                all[at + 4],
                all[at + 5],
            ]
        };
        let address = |at: usize| Ipv4Addr::new(all[at], all[at + 1], all[at + 2], all[at + 3]);
        message.addresses = Some(ArpAddresses {
            sender_hardware: hardware(8),
            sender: address(14),
            target_hardware: hardware(18),
            target: address(24),
        });
    }
    frame.network = Network::Arp(message);
    if offset + length > end {
        frame.payload_start = end as u32;
        return frame.missing(Layer::Arp, offset, length, end);
    }
    frame.payload_start = (offset + length) as u32;
    frame.payload_end = frame.payload_start;
}

#[inline]
pub(super) fn ipv4(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let bytes = frame.bytes;
    let Some(fixed) = header::<20>(bytes, offset, end) else {
        return frame.missing(Layer::Ipv4, offset, 20, end);
    };
    let [
        first,
        traffic_class,
        l0,
        l1,
        i0,
        i1,
        f0,
        f1,
        time_to_live,
        protocol,
        c0,
        c1,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = *fixed;
    if first >> 4 != 4 {
        return frame.stop(Layer::Ipv4, Reason::Version { found: first >> 4 }, offset);
    }
    let header_length = (first & 15) * 4;
    let total_length = be16(l0, l1);
    let ip = Ipv4 {
        offset: offset as u32,
        header_length,
        traffic_class,
        total_length,
        identification: be16(i0, i1),
        fragment_word: be16(f0, f1),
        time_to_live,
        protocol,
        checksum: be16(c0, c1),
        source: [s0, s1, s2, s3],
        destination: [d0, d1, d2, d3],
    };
    frame.network = Network::Ipv4(ip);
    frame.protocol = Some(protocol);
    if header_length < 20 {
        return frame.stop(
            Layer::Ipv4,
            Reason::HeaderLength {
                claimed: header_length.into(),
                minimum: 20,
            },
            offset,
        );
    }
    let length = usize::from(total_length);
    let mut packet_end = end;
    // 0: the sender's card was to cut a large packet (segmentation offload), so the frame's own end counts.
    if length != 0 {
        if length < usize::from(header_length) {
            let reason = Reason::LengthBelow {
                claimed: length as u32,
                minimum: header_length.into(),
            };
            return frame.stop(Layer::Ipv4, reason, offset);
        }
        if offset + length > end {
            length_beyond(frame, Layer::Ipv4, offset, length, end);
        } else {
            packet_end = offset + length;
        }
    }
    let upper = offset + usize::from(header_length);
    if upper > packet_end {
        frame.payload_start = packet_end as u32;
        return frame.missing(Layer::Ipv4, offset, header_length.into(), packet_end);
    }
    frame.payload_start = upper as u32;
    frame.payload_end = packet_end as u32;
    // Only the first fragment has the transport header.
    if ip.fragment_offset() == 0 {
        transport(frame, protocol, upper, packet_end);
    }
}

/// A length field that says more than was captured: cut if the wire had it, else malformed.
#[cold]
pub(super) fn length_beyond(
    frame: &mut Frame<'_>,
    layer: Layer,
    offset: usize,
    claimed: usize,
    end: usize,
) {
    let available = (end - offset) as u32;
    let claimed32 = claimed as u32;
    let reason = if end == frame.bytes.len()
        && (offset + claimed) as u64 <= u64::from(frame.original_length)
    {
        Reason::Cut {
            needed: claimed32,
            available,
        }
    } else {
        Reason::LengthBeyond {
            claimed: claimed32,
            available,
        }
    };
    frame.stop(layer, reason, offset);
}

#[inline]
pub(super) fn ipv6(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let bytes = frame.bytes;
    let Some(fixed) = header::<40>(bytes, offset, end) else {
        return frame.missing(Layer::Ipv6, offset, 40, end);
    };
    let word = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
    if word >> 28 != 6 {
        return frame.stop(
            Layer::Ipv6,
            Reason::Version {
                found: (word >> 28) as u8,
            },
            offset,
        );
    }
    let payload_length = be16(fixed[4], fixed[5]);
    let next_header = fixed[6];
    let mut ip = Ipv6 {
        offset: offset as u32,
        traffic_class: (word >> 20) as u8,
        flow_label: word & 0xf_ffff,
        payload_length,
        next_header,
        hop_limit: fixed[7],
        source: [0; 16],
        destination: [0; 16],
        fragment: None,
        upper_offset: (offset + 40) as u32,
    };
    ip.source.copy_from_slice(&fixed[8..24]);
    ip.destination.copy_from_slice(&fixed[24..40]);
    frame.network = Network::Ipv6(ip);
    frame.protocol = Some(next_header);
    let length = usize::from(payload_length);
    let mut packet_end = end;
    // 0 with a hop-by-hop header: a jumbogram (RFC 2675), whose frame's own end counts. So it does where the sender's card was to
    // cut a segment that is longer than the field can say; neither TCP nor UDP is without a header.
    if length != 0 || !matches!(next_header, EXTENSION_HOP_BY_HOP | 6 | 17) {
        if offset + 40 + length > end {
            length_beyond(frame, Layer::Ipv6, offset, 40 + length, end);
        } else {
            packet_end = offset + 40 + length;
        }
    }
    frame.payload_start = (offset + 40) as u32;
    frame.payload_end = packet_end as u32;
    if is_extension(next_header) {
        extensions(frame, next_header, offset + 40, packet_end);
    } else {
        transport(frame, next_header, offset + 40, packet_end);
    }
}

const EXTENSION_HOP_BY_HOP: u8 = 0;
pub(super) const EXTENSION_FRAGMENT: u8 = 44;
pub(super) const EXTENSION_AUTHENTICATION: u8 = 51;

/// Hop-by-hop, routing, fragment, destination options, authentication, mobility, HIP, shim6.
pub(super) const fn is_extension(number: u8) -> bool {
    matches!(number, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
}

#[cold]
pub(super) fn extensions(frame: &mut Frame<'_>, mut next: u8, mut offset: usize, end: usize) {
    let bytes = frame.bytes;
    let mut fragment = None;
    while is_extension(next) {
        let Some(fixed) = header::<8>(bytes, offset, end) else {
            frame.missing(Layer::Extension, offset, 8, end);
            break;
        };
        let length = match next {
            EXTENSION_FRAGMENT => {
                let word = be16(fixed[2], fixed[3]);
                fragment = Some(Ipv6Fragment {
                    offset: u32::from(word & 0xfff8),
                    more: word & 1 != 0,
                    identification: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                });
                8
            }
            EXTENSION_AUTHENTICATION => (usize::from(fixed[1]) + 2) * 4,
            _ => (usize::from(fixed[1]) + 1) * 8,
        };
        next = fixed[0];
        frame.protocol = Some(next);
        if offset + length > end {
            frame.missing(Layer::Extension, offset, length, end);
            offset = end;
            break;
        }
        offset += length;
        if fragment.is_some_and(|fragment| fragment.offset != 0) {
            break;
        }
    }
    if let Network::Ipv6(ip) = &mut frame.network {
        ip.fragment = fragment;
        ip.upper_offset = offset as u32;
    }
    frame.payload_start = offset as u32;
    let later_fragment = fragment.is_some_and(|fragment| fragment.offset != 0);
    if !is_extension(next)
        && !later_fragment
        && !matches!(
            frame.problem,
            Some(Problem {
                layer: Layer::Extension,
                ..
            })
        )
    {
        transport(frame, next, offset, end);
    }
}
