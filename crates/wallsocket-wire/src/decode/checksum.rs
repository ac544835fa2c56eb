//! Internet checksums (RFC 1071) and what to think of them.

use super::{Frame, Network, Transport};

/// What a checksum says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fits.
    Good,
    /// It does not; the value that would.
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
        Transport::None => return Verdict::Absent,
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
        (Network::Ipv4(ip), true) => {
            pseudo_header(&ip.source, &ip.destination, protocol, bytes.len() as u32)
        }
        (Network::Ipv6(ip), true) => {
            // With a routing header the sum covers the final destination, which is in that header: not followed.
            if frame.extensions().any(|extension| {
                extension.number == 43 && extension.bytes.get(3).is_some_and(|left| *left > 0)
            }) {
                return Verdict::Unknown;
            }
            pseudo_header(&ip.source, &ip.destination, protocol, bytes.len() as u32)
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
    use proptest::prelude::*;

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
