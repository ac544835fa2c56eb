//! Internet checksums (RFC 1071) and what to think of them.

use super::{Frame, Network, Transport};

/// What a checksum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Good,
    /// It does not; the value that would, of SCTP's 32 bits the lower half.
    Bad {
        /// The right checksum.
        expected: u16,
    },
    /// It was not finished when the frame was captured: it is the sum of the pseudo-header, or the capture says so.
    Partial,
    /// The layer is not there, or it carries none (UDP over IPv4 may do without).
    Absent,
    /// It covers bytes that are not there: the frame is cut or one fragment of several.
    Unknown,
}

impl Verdict {
    /// The verdict as a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad { .. } => "bad",
            Self::Partial => "partial",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// Verdicts on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksums {
    /// IPv4 header.
    pub network: Verdict,
    /// TCP, UDP, ICMP, ICMPv6 or IGMP.
    pub transport: Verdict,
}

/// The ones' complement sum of bytes as 16-bit words, folded, added to `start`.
pub fn sum(bytes: &[u8], start: u16) -> u16 {
    // Eight bytes at a time in native order: the sum of RFC 1071 does not care about the order as long as it is swapped at the end.
    let mut total = u64::from(start.to_be());
    let mut chunks = bytes.chunks_exact(8);
    let mut wide: u128 = 0;
    for chunk in &mut chunks {
        if let Some(chunk) = chunk.first_chunk() {
            wide += u128::from(u64::from_ne_bytes(*chunk));
        }
    }
    let mut last = [0; 8];
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    wide += u128::from(u64::from_ne_bytes(last));
    while wide >> 16 != 0 {
        wide = (wide & 0xffff) + (wide >> 16);
    }
    total += wide as u64;
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    u16::from_be(total as u16)
}

/// Sum of the pseudo-header of TCP, UDP and ICMPv6.
pub fn pseudo_header(source: &[u8], destination: &[u8], protocol: u8, length: u32) -> u16 {
    let mut total = sum(source, 0);
    total = sum(destination, total);
    total = sum(&length.to_be_bytes(), total);
    sum(&[0, protocol], total)
}

/// Sum of the pseudo-header of a frame: of the addresses at its first sender and its final destination, which a source
/// route, a routing header or a home address option may hold in place of the IP header.
///
/// `None` where those are not known.
pub fn pseudo_header_of(frame: &Frame<'_>, protocol: u8, length: u32) -> Option<u16> {
    match &frame.network {
        Network::Ipv4(ip) => {
            let mut destination = &ip.destination[..];
            if ip.header_length > 20 {
                for option in frame.ipv4_options() {
                    // Loose and strict source route (RFC 791, 3.1): a pointer, and the addresses still to be passed after it.
                    if matches!(option.kind, 131 | 137) {
                        let (pointer, route) = option.data?.split_first()?;
                        if usize::from(*pointer) <= 2 + route.len() {
                            destination = route.as_chunks::<4>().0.last()?;
                        }
                    }
                }
            }
            Some(pseudo_header(&ip.source, destination, protocol, length))
        }
        Network::Ipv6(ip) => {
            let (mut source, mut destination) = (&ip.source[..], &ip.destination[..]);
            for extension in frame.extensions() {
                match extension.number {
                    43 => destination = final_destination(extension.bytes)?.unwrap_or(destination),
                    60 => source = home_address(extension.bytes)?.unwrap_or(source),
                    _ => {}
                }
            }
            Some(pseudo_header(source, destination, protocol, length))
        }
        _ => None,
    }
}

/// The last address of a routing header that has segments left; `Some(None)` when it has none left, `None` when it holds
/// addresses in a form that is not known here.
#[expect(clippy::option_option, reason = "two different absences")]
fn final_destination(header: &[u8]) -> Option<Option<&[u8]>> {
    let [_, _, kind, left, ..] = header else {
        return None;
    };
    if *left == 0 {
        return Some(None);
    }
    let addresses = header.get(8..)?.as_chunks::<16>().0;
    let found = match kind {
        // RFC 2460, 4.4, and RFC 6275, 6.4: in the order of the way.
        0 | 2 => addresses.last(),
        // RFC 8754, 2: the other way round.
        4 => addresses.first(),
        _ => None,
    };
    found.map(|address| Some(&address[..]))
}

/// The home address among destination options (RFC 6275, 6.3); `None` for options that do not fit their header, which might
/// have held one.
#[expect(clippy::option_option, reason = "two different absences")]
fn home_address(header: &[u8]) -> Option<Option<&[u8]>> {
    let mut rest = header.get(2..)?;
    while let [kind, after @ ..] = rest {
        if *kind == 0 {
            rest = after;
            continue;
        }
        let (length, after) = after.split_first()?;
        let (data, after) = after.split_at_checked(usize::from(*length))?;
        if *kind == 201 && data.len() == 16 {
            return Some(Some(data));
        }
        rest = after;
    }
    Some(None)
}

/// Checks `bytes`, whose checksum field of two bytes is at `field`.
fn verify(bytes: &[u8], field: usize, start: u16, found: u16) -> Verdict {
    if sum(bytes, start) == 0xffff {
        return Verdict::Good;
    }
    let (Some(before), Some(after)) = (bytes.get(..field), bytes.get(field + 2..)) else {
        return Verdict::Unknown;
    };
    let expected = !sum(after, sum(before, start));
    // 0 and 0xffff are the same number here.
    if found == expected || (expected == 0 && found == 0xffff) {
        Verdict::Good
    } else {
        Verdict::Bad { expected }
    }
}

pub(super) fn check(frame: &Frame<'_>) -> Checksums {
    Checksums {
        network: network(frame),
        transport: transport(frame),
    }
}

fn network(frame: &Frame<'_>) -> Verdict {
    let Network::Ipv4(ip) = &frame.network else {
        return Verdict::Absent;
    };
    let start = ip.offset as usize;
    match frame
        .bytes
        .get(start..start + usize::from(ip.header_length))
    {
        Some(header) if header.len() >= 20 => {
            // A header that segmentation offload left without its length has no final checksum either.
            if ip.total_length == 0 && sum(header, 0) != 0xffff {
                Verdict::Partial
            } else {
                verify(header, 10, 0, ip.checksum)
            }
        }
        _ => Verdict::Unknown,
    }
}

fn transport(frame: &Frame<'_>) -> Verdict {
    let (offset, field, found, pseudo) = match &frame.transport {
        Transport::None | Transport::Esp(_) => return Verdict::Absent,
        Transport::Sctp(sctp) => return super::sctp::verdict(frame, sctp),
        Transport::Tcp(tcp) => (tcp.offset, 16, tcp.checksum, true),
        Transport::Udp(udp) => (udp.offset, 6, udp.checksum, true),
        Transport::Icmp(icmp) => (icmp.offset, 2, icmp.checksum, icmp.version == 6),
        Transport::Igmp(igmp) => (igmp.offset, 2, igmp.checksum, false),
    };
    if matches!(&frame.transport, Transport::Udp(udp) if udp.present == 8 && udp.checksum == 0)
        && matches!(frame.network, Network::Ipv4(_))
    {
        return Verdict::Absent;
    }
    // Any problem means that the extent of the data is not known for sure.
    if frame.problem.is_some() || frame.fragment().is_some() {
        return Verdict::Unknown;
    }
    let Some(bytes) = frame.bytes.get(offset as usize..frame.payload_end as usize) else {
        return Verdict::Unknown;
    };
    let protocol = frame.protocol.unwrap_or(0);
    let start = match (&frame.network, pseudo) {
        (_, false) => 0,
        (Network::Ipv4(_) | Network::Ipv6(_), true) => {
            match pseudo_header_of(frame, protocol, bytes.len() as u32) {
                Some(start) => start,
                None => return Verdict::Unknown,
            }
        }
        _ => return Verdict::Absent,
    };
    let verdict = verify(bytes, field, start, found);
    if matches!(verdict, Verdict::Bad { .. }) {
        if frame.hints().checksum_not_ready || (pseudo && found == start) {
            return Verdict::Partial;
        }
        if frame.hints().checksum_verified {
            return Verdict::Good;
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Hints, LinkType, decode};
    use proptest::prelude::*;

    const CARE_OF: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    const NEXT: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
    const HOME: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const FINAL: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

    /// UDP from port 5000 to 53 whose checksum covers these addresses.
    fn datagram(source: &[u8], destination: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x13, 0x88, 0, 53, 0, 12, 0, 0, b'd', b'a', b't', b'a'];
        let start = pseudo_header(source, destination, 17, 12);
        let checksum = !sum(&bytes, start);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn verdict(packet: &[u8]) -> Verdict {
        decode(LinkType::RAW, packet, packet.len() as u32, Hints::default())
            .checksums()
            .transport
    }

    fn ipv6(first: u8, extension: &[u8], upper: &[u8]) -> Vec<u8> {
        let length = (extension.len() + upper.len()) as u16;
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, first, 64];
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        packet.extend(CARE_OF);
        packet.extend(NEXT);
        packet.extend(extension);
        packet.extend(upper);
        packet
    }

    #[test]
    fn a_home_address_counts_instead_of_the_source() {
        let mut options = vec![17, 2, 1, 2, 0, 0, 201, 16];
        options.extend(HOME);
        assert_eq!(
            verdict(&ipv6(60, &options, &datagram(&HOME, &NEXT))),
            Verdict::Good
        );
        let wrong = verdict(&ipv6(60, &options, &datagram(&CARE_OF, &NEXT)));
        assert!(matches!(wrong, Verdict::Bad { .. }));
        // An option that reaches beyond its header.
        options[7] = 17;
        assert_eq!(
            verdict(&ipv6(60, &options, &datagram(&HOME, &NEXT))),
            Verdict::Unknown
        );
    }

    #[test]
    fn the_final_destination_counts_while_segments_are_left() {
        for (kind, addresses) in [(0, [HOME, FINAL]), (2, [HOME, FINAL]), (4, [FINAL, HOME])] {
            let mut routing = vec![17, 4, kind, 2, 0, 0, 0, 0];
            routing.extend(addresses.concat());
            let right = ipv6(43, &routing, &datagram(&CARE_OF, &FINAL));
            assert_eq!(verdict(&right), Verdict::Good, "routing type {kind}");
            routing[3] = 0;
            let arrived = ipv6(43, &routing, &datagram(&CARE_OF, &NEXT));
            assert_eq!(verdict(&arrived), Verdict::Good, "routing type {kind}");
        }
        let unknown = [17, 0, 3, 1, 0, 0, 0, 0];
        let packet = ipv6(43, &unknown, &datagram(&CARE_OF, &NEXT));
        assert_eq!(verdict(&packet), Verdict::Unknown);
    }

    #[test]
    fn a_source_route_holds_the_final_destination() {
        for (pointer, destination) in [(4, [10, 0, 0, 9]), (8, [10, 0, 0, 5])] {
            let mut packet = vec![
                0x47, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 5,
            ];
            packet.extend([131, 7, pointer, 10, 0, 0, 9, 0]);
            packet.extend(datagram(&[10, 0, 0, 1], &destination));
            assert_eq!(verdict(&packet), Verdict::Good, "pointer {pointer}");
        }
    }

    /// The definition, word by word.
    fn slow(bytes: &[u8], start: u16) -> u16 {
        let mut total = u32::from(start);
        for pair in bytes.chunks(2) {
            total += u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]));
            total = (total & 0xffff) + (total >> 16);
        }
        total as u16
    }

    proptest! {
        #[test]
        fn sum_is_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..200), start: u16) {
            prop_assert_eq!(sum(&bytes, start), slow(&bytes, start));
        }
    }
}
