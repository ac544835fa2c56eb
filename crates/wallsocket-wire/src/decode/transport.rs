//! TCP, UDP, ICMP and IGMP; SCTP and ESP.

use super::internet::{EXTENSION_AUTHENTICATION, extensions, length_beyond};
use super::ipsec::esp;
use super::sctp::sctp;
use super::{Frame, Icmp, Igmp, Layer, Network, Reason, Tcp, Transport, Udp, be16, header};

#[inline]
pub(super) fn transport(frame: &mut Frame<'_>, protocol: u8, offset: usize, end: usize) {
    match protocol {
        6 => tcp(frame, offset, end),
        17 => udp(frame, offset, end),
        _ => other_transport(frame, protocol, offset, end),
    }
}

/// Apart, so that the two that nearly all frames have are told by two comparisons.
#[cold]
fn other_transport(frame: &mut Frame<'_>, protocol: u8, offset: usize, end: usize) {
    match protocol {
        1 | 58 => icmp(frame, protocol, offset, end),
        2 => igmp(frame, offset, end),
        EXTENSION_AUTHENTICATION if matches!(frame.network, Network::Ipv4(_)) => {
            extensions(frame, protocol, offset, end);
        }
        50 => esp(frame, offset, end),
        132 => sctp(frame, offset, end),
        _ => {}
    }
}

#[inline]
fn tcp(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let Some(fixed) = header::<20>(frame.bytes, offset, end) else {
        return partial_tcp(frame, offset, end);
    };
    let header = tcp_header(fixed, offset);
    frame.transport = Transport::Tcp(header);
    if header.header_length < 20 {
        frame.payload_start = end as u32;
        let reason = Reason::HeaderLength {
            claimed: header.header_length.into(),
            minimum: 20,
        };
        return frame.stop(Layer::Tcp, reason, offset);
    }
    let start = offset + usize::from(header.header_length);
    if start > end {
        frame.payload_start = end as u32;
        return frame.missing(Layer::Tcp, offset, header.header_length.into(), end);
    }
    frame.payload_start = start as u32;
}

#[inline]
fn tcp_header(fixed: &[u8; 20], offset: usize) -> Tcp {
    Tcp {
        offset: offset as u32,
        present: 20,
        header_length: (fixed[12] >> 4) * 4,
        source_port: be16(fixed[0], fixed[1]),
        destination_port: be16(fixed[2], fixed[3]),
        sequence_number: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        acknowledgement_number: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        flags: be16(fixed[12], fixed[13]) & 0x0fff,
        window: be16(fixed[14], fixed[15]),
        checksum: be16(fixed[16], fixed[17]),
        urgent_pointer: be16(fixed[18], fixed[19]),
    }
}

/// The beginning of a TCP header, as ICMP errors quote it and short captures keep it: whole fields count, the others stay zero.
#[cold]
fn partial_tcp(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let there = frame.bytes.get(offset..end).unwrap_or(&[]);
    if there.len() >= 4 {
        let mut fixed = [0; 20];
        fixed[..there.len()].copy_from_slice(there);
        let mut header = tcp_header(&fixed, offset);
        header.present = there.len() as u8;
        for (needed, wipe) in [(8, 0_u8), (12, 1), (13, 2), (14, 3), (16, 4), (18, 5)] {
            if there.len() < needed {
                match wipe {
                    0 => header.sequence_number = 0,
                    1 => header.acknowledgement_number = 0,
                    2 => header.header_length = 0,
                    3 => header.flags = 0,
                    4 => header.window = 0,
                    _ => header.checksum = 0,
                }
            }
        }
        header.urgent_pointer = 0;
        frame.transport = Transport::Tcp(header);
        frame.payload_start = end as u32;
    }
    frame.missing(Layer::Tcp, offset, 20, end);
}

#[inline]
fn udp(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let Some(fixed) = header::<8>(frame.bytes, offset, end) else {
        if let Some(ports) = header::<4>(frame.bytes, offset, end) {
            frame.transport = Transport::Udp(Udp {
                offset: offset as u32,
                present: (end - offset) as u8,
                source_port: be16(ports[0], ports[1]),
                destination_port: be16(ports[2], ports[3]),
                length: header::<6>(frame.bytes, offset, end)
                    .map_or(0, |bytes| be16(bytes[4], bytes[5])),
                checksum: 0,
            });
            frame.payload_start = end as u32;
        }
        return frame.missing(Layer::Udp, offset, 8, end);
    };
    let length = be16(fixed[4], fixed[5]);
    frame.transport = Transport::Udp(Udp {
        offset: offset as u32,
        present: 8,
        source_port: be16(fixed[0], fixed[1]),
        destination_port: be16(fixed[2], fixed[3]),
        length,
        checksum: be16(fixed[6], fixed[7]),
    });
    frame.payload_start = (offset + 8) as u32;
    let claimed = usize::from(length);
    if offset + claimed == end {
        return;
    }
    if claimed == 0 && is_beyond_lengths(frame, end - offset) {
        // The packet's own end counts.
    } else if claimed < 8 {
        frame.stop(
            Layer::Udp,
            Reason::LengthBelow {
                claimed: claimed as u32,
                minimum: 8,
            },
            offset,
        );
    } else if offset + claimed < end {
        frame.payload_end = (offset + claimed) as u32;
    } else if frame.fragment().is_none() {
        // The first fragment holds less than the whole datagram, which is as it should be.
        length_beyond(frame, Layer::Udp, offset, claimed, end);
    }
}

/// Whether a packet is longer than a length field can say: one that is still to be segmented, or a jumbogram (RFC 2675, 4).
#[cold]
const fn is_beyond_lengths(frame: &Frame<'_>, length: usize) -> bool {
    let unsaid = match &frame.network {
        Network::Ipv4(ip) => ip.total_length == 0,
        Network::Ipv6(ip) => ip.payload_length == 0,
        Network::Arp(_) | Network::None => false,
    };
    unsaid || length > u16::MAX as usize
}

#[inline]
fn icmp(frame: &mut Frame<'_>, protocol: u8, offset: usize, end: usize) {
    let (version, layer) = if protocol == 58 {
        (6, Layer::Icmpv6)
    } else {
        (4, Layer::Icmp)
    };
    let bytes = frame.bytes;
    let Some(fixed) = header::<4>(bytes, offset, end) else {
        return frame.missing(layer, offset, 8, end);
    };
    let after = bytes.get(offset + 4..end.min(offset + 8)).unwrap_or(&[]);
    let mut rest = [0; 4];
    rest[..after.len()].copy_from_slice(after);
    frame.transport = Transport::Icmp(Icmp {
        offset: offset as u32,
        version,
        kind: fixed[0],
        code: fixed[1],
        checksum: be16(fixed[2], fixed[3]),
        rest: u32::from_be_bytes(rest),
        present: 4 + after.len() as u8,
    });
    if after.len() == 4 {
        frame.payload_start = (offset + 8) as u32;
    } else {
        frame.payload_start = end as u32;
        frame.missing(layer, offset, 8, end);
    }
}

#[cold]
fn igmp(frame: &mut Frame<'_>, offset: usize, end: usize) {
    let Some(fixed) = header::<8>(frame.bytes, offset, end) else {
        return frame.missing(Layer::Igmp, offset, 8, end);
    };
    frame.transport = Transport::Igmp(Igmp {
        offset: offset as u32,
        kind: fixed[0],
        maximum_response: fixed[1],
        checksum: be16(fixed[2], fixed[3]),
        group: [fixed[4], fixed[5], fixed[6], fixed[7]],
    });
    frame.payload_start = (offset + 8) as u32;
}
