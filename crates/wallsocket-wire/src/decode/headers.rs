//! What remains of a frame when its payload must not be kept.
//!
//! A program with a raw or packet socket writes headers itself, and may write anything in their place. So only that counts
//! as a header which is one beyond doubt: of a known protocol, well-formed, its checksum not wrong. Options whose content a
//! program chooses are blanked, their lengths stay.

use super::options::TcpOption;
use super::{Arp, Frame, Link, Network, Transport, Verdict, is_extension};

/// Hardware type of Ethernet, and the operations that are in use (RFC 826, RFC 903).
const ARP_ETHERNET: u16 = 1;
const ARP_OPERATIONS: std::ops::RangeInclusive<u16> = 1..=4;
/// Message types of ICMP and ICMPv6 that Linux sends or answers (linux/icmp.h, linux/icmpv6.h).
const ICMP_KINDS: [u8; 13] = [0, 3, 4, 5, 8, 11, 12, 13, 14, 15, 16, 17, 18];
const ICMPV6_KINDS: [u8; 14] = [1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137];
/// Report of version 2 of ICMPv6 multicast listener discovery.
const ICMPV6_LISTENER_REPORT: u8 = 143;
const IGMP_KINDS: [u8; 5] = [0x11, 0x12, 0x16, 0x17, 0x22];

impl Frame<'_> {
    /// Where what is a header beyond doubt ends.
    ///
    /// Of an ICMP error the headers of the packet that it quotes count as well. Nothing counts of a frame whose protocol is
    /// not known, its link-layer header included.
    pub fn headers_end(&self) -> usize {
        let here = self.payload_offset() as usize;
        if let Some(problem) = self.problem.filter(super::Problem::is_malformed) {
            return problem.offset as usize;
        }
        // Labels, sessions and radio headers hold whatever a program puts there.
        if self.has_between() || matches!(self.link, Link::Wireless { .. } | Link::Can { .. }) {
            return 0;
        }
        let checksums = self.checksums();
        let network = match &self.network {
            Network::None => return 0,
            Network::Arp(arp) if is_usual(arp) => return arp.offset as usize + 28,
            Network::Arp(arp) => return arp.offset as usize,
            Network::Ipv4(ip) => ip.offset,
            Network::Ipv6(ip) => ip.offset,
        };
        if matches!(checksums.network, Verdict::Bad { .. }) {
            return network as usize;
        }
        let (transport, known) = match &self.transport {
            Transport::None => return here,
            Transport::Tcp(tcp) => (tcp.offset, true),
            Transport::Udp(udp) => (udp.offset, true),
            Transport::Icmp(icmp) if icmp.version == 6 => (
                icmp.offset,
                ICMPV6_KINDS.contains(&icmp.kind) || icmp.kind == ICMPV6_LISTENER_REPORT,
            ),
            Transport::Icmp(icmp) => (icmp.offset, ICMP_KINDS.contains(&icmp.kind)),
            Transport::Igmp(igmp) => (igmp.offset, IGMP_KINDS.contains(&igmp.kind)),
            Transport::Sctp(sctp) => (sctp.offset, false),
            Transport::Esp(esp) => (esp.offset, false),
        };
        if !known || matches!(checksums.transport, Verdict::Bad { .. }) {
            return transport as usize;
        }
        here + self
            .quoted_by_error()
            .map_or(0, |quoted| quoted.headers_end())
    }

    /// The headers, and at most `payload` bytes behind them. The content of options that a program chooses is zero.
    pub fn headers(&self, payload: usize) -> Vec<u8> {
        let sure = self.headers_end();
        let mut end = sure.saturating_add(payload).min(self.bytes.len());
        if self.problem.is_none() {
            // Padding of the link layer is not always zero.
            end = end.min((self.payload_end as usize).max(sure));
        }
        let mut kept = self.bytes.get(..end).unwrap_or(&[]).to_vec();
        self.blank(&mut kept, 0);
        kept
    }

    /// Blanks the options of this packet, and of the one that it quotes, in `kept`, where it begins at `start`.
    fn blank(&self, kept: &mut [u8], start: usize) {
        match &self.network {
            Network::Ipv4(ip) => {
                let options = start + ip.offset as usize + 20;
                let end = start + ip.offset as usize + usize::from(ip.header_length);
                wipe(kept, options, end);
            }
            Network::Ipv6(ip) => {
                let mut at = start + ip.offset as usize + 40;
                for extension in self.extensions() {
                    let length = extension.bytes.len();
                    // The fragment header is the kernel's own; of the others the first two bytes lead to the next one.
                    if extension.number != super::EXTENSION_FRAGMENT {
                        wipe(kept, at + 2, at + length);
                    }
                    at += length;
                }
                if is_extension(ip.next_header) {
                    wipe(kept, at, start + ip.upper_offset as usize);
                }
            }
            _ => {}
        }
        if let Some(tcp) = self.tcp() {
            let mut at = start + tcp.offset as usize + 20;
            let end = start + tcp.offset as usize + usize::from(tcp.header_length).max(20);
            for option in self.tcp_options() {
                let length = match option {
                    TcpOption::NoOperation => 1,
                    TcpOption::SackPermitted => 2,
                    TcpOption::WindowScale(_) => 3,
                    TcpOption::MaximumSegmentSize(_) => 4,
                    TcpOption::Timestamps { .. } => 10,
                    TcpOption::Sack(edges) => 2 + edges.len(),
                    TcpOption::End | TcpOption::Malformed(_) => break,
                    _ => {
                        let length = kept.get(at + 1).copied().map_or(2, usize::from).max(2);
                        wipe(kept, at + 2, (at + length).min(end));
                        length
                    }
                };
                at += length;
            }
            wipe(kept, at, end);
        }
        if let (Some(quoted), Some(icmp)) = (self.quoted_by_error(), self.icmp()) {
            quoted.blank(kept, start + icmp.offset as usize + 8);
        }
    }
}

fn is_usual(arp: &Arp) -> bool {
    arp.addresses.is_some()
        && arp.hardware_type == ARP_ETHERNET
        && ARP_OPERATIONS.contains(&arp.operation)
}

fn wipe(bytes: &mut [u8], start: usize, end: usize) {
    let end = end.min(bytes.len());
    if let Some(part) = bytes.get_mut(start.min(end)..end) {
        part.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{Hints, LinkType, decode};

    const SECRET: &[u8] = b"SECRET-of-the-program";

    fn headers(link_type: LinkType, bytes: &[u8], payload: usize) -> Vec<u8> {
        decode(link_type, bytes, bytes.len() as u32, Hints::default()).headers(payload)
    }

    /// IPv4 without options around `upper`, with a right checksum.
    fn ipv4(protocol: u8, upper: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
        packet.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let length = (20 + upper.len()) as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        let sum = !crate::decode::checksum::sum(&packet, 0);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend_from_slice(upper);
        packet
    }

    fn udp(payload: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0x13, 0x88, 0x13, 0x89];
        datagram.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
        datagram.extend_from_slice(&[0, 0]);
        datagram.extend_from_slice(payload);
        datagram
    }

    fn icmp(kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, 1, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(rest);
        let sum = !crate::decode::checksum::sum(&message, 0);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }

    fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut segment = vec![0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
        segment.extend_from_slice(&[(5 + options.len() as u8 / 4) << 4, 0x10, 0, 9, 0, 0, 0, 0]);
        segment.extend_from_slice(options);
        segment.extend_from_slice(payload);
        let start = crate::decode::checksum::pseudo_header(
            &[10, 0, 0, 1],
            &[10, 0, 0, 2],
            6,
            segment.len() as u32,
        );
        let sum = !crate::decode::checksum::sum(&segment, start);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        segment
    }

    #[test]
    fn payload_ends_behind_the_transport_header() {
        let datagram = ipv4(17, &udp(SECRET));
        assert_eq!(headers(LinkType::RAW, &datagram, 0), datagram[..28]);
        assert_eq!(headers(LinkType::RAW, &datagram, 6), datagram[..34]);
        assert_eq!(headers(LinkType::RAW, &datagram, usize::MAX), datagram);
        let segment = ipv4(6, &tcp(b"\x02\x04\x05\xb4\x01\x01\x04\x02", SECRET));
        assert_eq!(headers(LinkType::RAW, &segment, 0), segment[..48]);
        let message = ipv4(1, &icmp(8, SECRET));
        assert_eq!(headers(LinkType::RAW, &message, 0), message[..28]);
    }

    #[test]
    fn an_error_quotes_headers_only() {
        let error = ipv4(1, &icmp(3, &ipv4(17, &udp(SECRET))));
        assert_eq!(headers(LinkType::RAW, &error, 0), error[..56]);
        let error = ipv4(1, &icmp(3, SECRET));
        assert_eq!(headers(LinkType::RAW, &error, 0), error[..28]);
    }

    #[test]
    fn what_is_no_header_beyond_doubt_is_payload() {
        // Protocols that are not known, or whose message is not what it should be.
        for protocol in [1, 2, 6, 17, 47, 50, 132, 253] {
            let packet = ipv4(protocol, &SECRET.repeat(3));
            assert_eq!(
                headers(LinkType::RAW, &packet, 0),
                packet[..20],
                "{protocol}"
            );
        }
        let mut wrong_checksum = ipv4(1, &icmp(8, SECRET));
        wrong_checksum[22] ^= 1;
        assert_eq!(
            headers(LinkType::RAW, &wrong_checksum, 0),
            wrong_checksum[..20]
        );
        let link: Vec<u8> = [&[0; 12][..], &[0x88, 0xb5]].concat();
        let unknown = [&link[..], SECRET].concat();
        assert_eq!(headers(LinkType::ETHERNET, &unknown, 0), b"");
        assert_eq!(headers(LinkType::ETHERNET, &unknown, 3), unknown[..3]);
        let arp = [&[0; 12][..], &[0x08, 0x06], &SECRET.repeat(3)].concat();
        assert_eq!(headers(LinkType::ETHERNET, &arp, 0), arp[..14]);
        assert_eq!(headers(LinkType::ETHERNET, &SECRET.repeat(2), 0), b"");
    }

    #[test]
    fn a_resolution_is_all_header() {
        let mut arp = [&[2; 12][..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[1; 20]].concat();
        arp.extend_from_slice(SECRET);
        assert_eq!(headers(LinkType::ETHERNET, &arp, 0), arp[..42]);
    }

    #[test]
    fn options_with_chosen_content_are_blank() {
        let mut options = vec![253, 22];
        options.extend_from_slice(&SECRET[..20]);
        options.extend_from_slice(b"\x08\x0a\0\0\0\x01\0\0\0\x02\x01\x01");
        options.extend_from_slice(&[1, 1]);
        let segment = ipv4(6, &tcp(&options, SECRET));
        let kept = headers(LinkType::RAW, &segment, 0);
        assert_eq!(kept.len(), 76);
        assert_eq!(kept[40..42], [253, 22]);
        assert_eq!(kept[42..62], [0; 20]);
        assert_eq!(kept[62..72], segment[62..72]);
        let extended: Vec<u8> = [
            &[0x60, 0, 0, 0, 0, 32 + 8, 60, 64][..],
            &[1; 32],
            &[17, 3],
            &[0x1e, 28],
            &[b's'; 28],
            &[0, 1, 0, 2, 0, 8, 0, 0],
        ]
        .concat();
        let kept = headers(LinkType::RAW, &extended, 0);
        assert_eq!(kept[..42], extended[..42]);
        assert!(!kept.contains(&b's'));
    }

    proptest! {
        #[test]
        fn never_more_than_was_there(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            link in prop::sample::select(vec![0_u32, 1, 101, 113, 276]),
            payload in 0_usize..50,
        ) {
            let frame = decode(LinkType(link), &bytes, bytes.len() as u32, Hints::default());
            let kept = frame.headers(payload);
            prop_assert!(kept.len() <= bytes.len());
            prop_assert!(kept.len() <= frame.headers_end() + payload);
        }

        /// Whatever a packet holds behind a valid IP header of an unknown protocol, none of it is kept.
        #[test]
        fn nothing_behind_an_unknown_protocol(upper in prop::collection::vec(any::<u8>(), 0..100)) {
            let packet = ipv4(253, &upper);
            prop_assert_eq!(headers(LinkType::RAW, &packet, 0), &packet[..20]);
        }
    }
}
