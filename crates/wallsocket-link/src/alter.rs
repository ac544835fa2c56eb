//! Frames that a link makes or changes: corrupted, shortened, with checksums made right, and resets of its own.

use wallsocket_wire::decode::checksum::Verdict;
use wallsocket_wire::decode::{Frame, Hints, LinkType, Network, Tcp, Transport, decode};

/// Decodes a frame of a link.
pub(crate) fn read(bytes: &[u8]) -> Frame<'_> {
    decode(
        LinkType::ETHERNET,
        bytes,
        bytes.len() as u32,
        Hints::default(),
    )
}

/// Where the transport checksum stands.
fn checksum_offset(frame: &Frame<'_>) -> Option<usize> {
    match &frame.transport {
        Transport::Tcp(tcp) => Some(tcp.offset as usize + 16),
        Transport::Udp(udp) => Some(udp.offset as usize + 6),
        Transport::Icmp(icmp) => Some(icmp.offset as usize + 2),
        Transport::Igmp(igmp) => Some(igmp.offset as usize + 2),
        Transport::None | Transport::Sctp(_) | Transport::Esp(_) => None,
    }
}

fn put(bytes: &mut [u8], offset: usize, value: u16) {
    if let Some(place) = bytes.get_mut(offset..offset + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// Makes the checksums of a frame right, where they are there to be.
pub fn mend(bytes: &mut [u8]) {
    let frame = read(bytes);
    let (verdicts, transport) = (frame.checksums(), checksum_offset(&frame));
    let network = if let Network::Ipv4(ip) = &frame.network {
        Some(ip.offset as usize + 10)
    } else {
        None
    };
    if let (Verdict::Bad { expected }, Some(offset)) = (verdicts.network, network) {
        put(bytes, offset, expected);
    }
    if let (Verdict::Bad { expected }, Some(offset)) = (verdicts.transport, transport) {
        put(bytes, offset, expected);
    }
}

/// Computes a transport checksum that its sender has left to hardware.
pub fn finish_checksum(bytes: &mut [u8]) {
    // The field holds the pseudo header's sum, which a check may take for "not finished" or, by chance, for right.
    for placeholder in [1, 2] {
        let Some(offset) = checksum_offset(&read(bytes)) else {
            return;
        };
        put(bytes, offset, placeholder);
        if let Verdict::Bad { expected } = read(bytes).checksums().transport {
            put(bytes, offset, expected);
            return;
        }
    }
}

/// Turns one bit over, which `choice` picks: of what the transport carries, or else, unless the checksum is to be mended, of the
/// transport header. Whether there was anything to corrupt.
pub fn corrupt(bytes: &mut [u8], choice: u64, mend_checksum: bool) -> bool {
    let frame = read(bytes);
    let was_good = frame.checksums().transport == Verdict::Good;
    let payload = frame.payload();
    let start = frame.payload_offset() as usize;
    let range = match (&frame.transport, payload.is_empty()) {
        (Transport::None | Transport::Sctp(_) | Transport::Esp(_), _) => return false,
        (_, false) => start..start + payload.len(),
        (_, true) if mend_checksum => return false,
        (Transport::Tcp(tcp), true) => tcp.offset as usize..start,
        (Transport::Udp(udp), true) => udp.offset as usize..start,
        (Transport::Icmp(icmp), true) => icmp.offset as usize..start,
        (Transport::Igmp(igmp), true) => igmp.offset as usize..start,
    };
    if range.is_empty() {
        return false;
    }
    let bit = (choice % (range.len() as u64 * 8)) as usize;
    let place = range.start + bit / 8;
    let Some(byte) = bytes.get_mut(place) else {
        return false;
    };
    *byte ^= 1 << (bit % 8);
    if mend_checksum && was_good {
        // What stands there may by chance be the sum that says "not finished".
        finish_checksum(bytes);
    } else if mend_checksum {
        mend(bytes);
    }
    true
}

/// A segment with only the first `keep` bytes of its payload, and without FIN.
pub fn shorten(frame: &Frame<'_>, keep: usize) -> Option<Vec<u8>> {
    let tcp = frame.tcp()?;
    let end = frame.payload_offset() as usize + keep.min(frame.payload().len());
    let mut bytes = frame.bytes.get(..end)?.to_vec();
    match &frame.network {
        Network::Ipv4(ip) => put(
            &mut bytes,
            ip.offset as usize + 2,
            (end - ip.offset as usize) as u16,
        ),
        Network::Ipv6(ip) => put(
            &mut bytes,
            ip.offset as usize + 4,
            (end - ip.offset as usize - 40) as u16,
        ),
        _ => return None,
    }
    if let Some(flags) = bytes.get_mut(tcp.offset as usize + 13) {
        *flags &= !1;
    }
    mend(&mut bytes);
    Some(bytes)
}

/// A reset for the connection of `frame`: to its sender, or to its receiver.
pub fn reset(
    frame: &Frame<'_>,
    to_sender: bool,
    sequence: u32,
    acknowledgement: u32,
) -> Option<Vec<u8>> {
    /// RST and ACK.
    const FLAGS: u8 = 0x14;
    let Tcp {
        source_port,
        destination_port,
        ..
    } = *frame.tcp()?;
    let (network, ether_type): (u32, u16) = match &frame.network {
        Network::Ipv4(ip) => (ip.offset, 0x0800),
        Network::Ipv6(ip) => (ip.offset, 0x86dd),
        _ => return None,
    };
    // Addresses and tags as they came: the answer goes the same way.
    let mut bytes = frame.bytes.get(..network as usize)?.to_vec();
    if to_sender {
        let (destination, source) = bytes.split_at_mut_checked(6)?;
        destination.swap_with_slice(source.get_mut(..6)?);
    }
    match &frame.network {
        Network::Ipv4(ip) => {
            let (source, destination) = ordered(to_sender, ip.source, ip.destination);
            // Version and header length, length 40, no fragments, TTL 64, TCP.
            bytes.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
            bytes.extend(source);
            bytes.extend(destination);
        }
        Network::Ipv6(ip) => {
            let (source, destination) = ordered(to_sender, ip.source, ip.destination);
            // Version, payload length 20, TCP, hop limit 64.
            bytes.extend([0x60, 0, 0, 0, 0, 20, 6, 64]);
            bytes.extend(source);
            bytes.extend(destination);
        }
        _ => return None,
    }
    debug_assert!(frame.ether_type.is_none_or(|found| found == ether_type));
    let (from, to) = ordered(to_sender, source_port, destination_port);
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledgement.to_be_bytes());
    // Header of 20 bytes, no window; the checksum is made right below, from a value that is not "absent".
    bytes.extend([0x50, FLAGS, 0, 0, 0, 0, 0, 0]);
    mend(&mut bytes);
    finish_checksum(&mut bytes);
    Some(bytes)
}

fn ordered<T>(swap: bool, first: T, second: T) -> (T, T) {
    if swap {
        (second, first)
    } else {
        (first, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Ethernet, IPv4 10.0.0.1 > 10.0.0.2, TCP 4000 > 80, sequence 1000, acknowledgement 500, PSH ACK, then the payload.
    fn segment(payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![
            2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0,
        ];
        put(&mut bytes, 16, 40 + payload.len() as u16);
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([
            0x0f, 0xa0, 0, 80, 0, 0, 3, 0xe8, 0, 0, 1, 0xf4, 0x50, 0x18, 1, 0, 0, 0, 0, 0,
        ]);
        bytes.extend(payload);
        mend(&mut bytes);
        finish_checksum(&mut bytes);
        bytes
    }

    fn is_good(bytes: &[u8]) -> bool {
        let verdicts = read(bytes).checksums();
        verdicts.network == Verdict::Good && verdicts.transport == Verdict::Good
    }

    #[test]
    fn a_reset_answers_the_segment_it_is_for() {
        let bytes = segment(b"hello");
        let frame = read(&bytes);
        let back = reset(&frame, true, 500, 1005).expect("a TCP segment");
        assert!(is_good(&back));
        let answer = read(&back);
        let tcp = answer.tcp().expect("TCP");
        assert_eq!((tcp.source_port, tcp.destination_port), (80, 4000));
        assert_eq!(
            (
                tcp.sequence_number,
                tcp.acknowledgement_number,
                tcp.flags & 0xff
            ),
            (500, 1005, 0x14)
        );
        assert_eq!(&back[..6], &[2, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_shortened_segment_is_whole() {
        let bytes = segment(b"hello");
        let short = shorten(&read(&bytes), 2).expect("a TCP segment");
        assert!(is_good(&short));
        assert_eq!(read(&short).payload(), b"he");
    }

    #[test]
    fn an_unfinished_checksum_is_finished() {
        let good = segment(b"payload");
        let mut bytes = good.clone();
        put(&mut bytes, 50, 0x1234);
        finish_checksum(&mut bytes);
        assert_eq!(bytes, good);
    }

    #[test]
    fn a_checksum_that_looks_unfinished_after_the_corruption_is_mended() {
        // Random input found it: with the first bit turned over, the checksum that stands there is the pseudo header's sum.
        let payload = [
            189, 78, 97, 61, 38, 245, 160, 187, 167, 51, 177, 242, 176, 76, 237, 86, 192, 167, 121,
            254, 63, 167, 60, 140, 20, 192, 199, 216, 24, 127, 248, 46, 158, 20, 161, 183, 143, 90,
            52, 89, 219, 167, 208, 38, 78, 207, 226, 42, 72, 4, 76, 200, 81, 212, 117, 199, 220,
            45, 234, 24, 248, 242, 181, 197, 224, 96, 15, 75, 134, 244, 69, 132, 157, 223, 46, 211,
            82, 173, 133, 225, 220,
        ];
        let mut bytes = segment(&payload);
        assert!(corrupt(&mut bytes, 0, true));
        assert!(is_good(&bytes));
    }

    proptest! {
        #[test]
        fn corruption_is_one_bit_and_mended_when_asked(choice: u64, payload in proptest::collection::vec(any::<u8>(), 1..100)) {
            let good = segment(&payload);
            let mut kept = good.clone();
            prop_assert!(corrupt(&mut kept, choice, false));
            let turned: u32 = good.iter().zip(&kept).map(|(one, other)| (one ^ other).count_ones()).sum();
            prop_assert_eq!(turned, 1);
            prop_assert!(!is_good(&kept));
            let mut mended = good.clone();
            prop_assert!(corrupt(&mut mended, choice, true));
            prop_assert!(is_good(&mended));
            prop_assert_ne!(read(&mended).payload(), &payload[..]);
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..100), choice: u64) {
            let frame = read(&bytes);
            let _ = (reset(&frame, true, 1, 2), shorten(&frame, 3));
            let mut changed = bytes.clone();
            corrupt(&mut changed, choice, choice.is_multiple_of(2));
            finish_checksum(&mut changed);
            mend(&mut changed);
        }
    }
}
