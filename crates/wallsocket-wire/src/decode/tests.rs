//! Tables of frames with their decoding, laws on arbitrary bytes, and etherparse as a second opinion.

use proptest::prelude::*;

use super::*;
use crate::decode::options::TcpOption;

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<u8> = hexadecimal
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal")
        })
        .collect()
}

fn ethernet_frame(frame: &[u8]) -> Frame<'_> {
    decode(
        LinkType::ETHERNET,
        frame,
        frame.len() as u32,
        Hints::default(),
    )
}

/// 02:00:00:00:00:02 > 02:00:00:00:00:01
const ETHERNET_IPV4: &str = "020000000001 020000000002 0800";
/// 10.0.0.1:40000 > 10.0.0.2:80, SYN with MSS 1460, SACK permitted, timestamps 7 and 0, no operation, window scale 7.
const SYN: &str = "4500003c 00014000 4006 26b9 0a000001 0a000002
                   9c40 0050 00000064 00000000 a002 faf0 d3c8 0000 020405b4 0402 080a 00000007 00000000 01 030307";
/// 10.0.0.1:5000 > 10.0.0.2:5001, "hello".
const UDP: &str = "45000021 00010000 4011 66c9 0a000001 0a000002 1388 1389 000d 80ee 68656c6c6f";

#[test]
fn a_syn_with_its_options() {
    let raw = bytes(&format!("{ETHERNET_IPV4}{SYN}"));
    let frame = ethernet_frame(&raw);
    assert_eq!(
        frame.link,
        Link::Ethernet {
            destination: [2, 0, 0, 0, 0, 1],
            source: [2, 0, 0, 0, 0, 2]
        }
    );
    assert_eq!(frame.problem, None);
    let tcp = frame.tcp().expect("TCP");
    assert_eq!(
        (
            tcp.source_port,
            tcp.destination_port,
            tcp.sequence_number,
            tcp.window
        ),
        (40000, 80, 100, 64240)
    );
    assert_eq!(tcp.flags, tcp_flag::SYN);
    assert_eq!(
        frame.tcp_options().collect::<Vec<_>>(),
        [
            TcpOption::MaximumSegmentSize(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 7, echo: 0 },
            TcpOption::NoOperation,
            TcpOption::WindowScale(7),
        ]
    );
    assert_eq!(
        frame.summary(),
        "IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 100, win 64240, \
         options [mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 7], length 0"
    );
    assert_eq!(frame.payload(), b"");
}

#[test]
fn padding_is_no_payload_and_checksums_are_judged() {
    let mut raw = bytes(&format!("{ETHERNET_IPV4}{UDP}"));
    raw.resize(60, 0xee);
    let frame = ethernet_frame(&raw);
    assert_eq!(frame.payload(), b"hello");
    assert_eq!(
        frame.summary(),
        "IP 10.0.0.1.5000 > 10.0.0.2.5001: UDP, length 5"
    );
    let found = frame.checksums();
    assert_eq!(
        (found.network, found.transport),
        (Verdict::Good, Verdict::Good)
    );

    let mut wrong = raw.clone();
    wrong[42] ^= 0x20;
    let expected = 0xa0ee;
    assert_eq!(
        ethernet_frame(&wrong).checksums().transport,
        Verdict::Bad { expected }
    );

    let mut none = raw.clone();
    none[40..42].fill(0);
    assert_eq!(ethernet_frame(&none).checksums().transport, Verdict::Absent);

    let mut partial = raw.clone();
    let start = checksum::pseudo_header(&[10, 0, 0, 1], &[10, 0, 0, 2], 17, 13);
    partial[40..42].copy_from_slice(&start.to_be_bytes());
    assert_eq!(
        ethernet_frame(&partial).checksums().transport,
        Verdict::Partial
    );
    let hints = Hints {
        checksum_not_ready: true,
        ..Hints::default()
    };
    assert_eq!(
        decode(LinkType::ETHERNET, &wrong, 60, hints)
            .checksums()
            .transport,
        Verdict::Partial
    );

    let cut = decode(LinkType::ETHERNET, &raw[..44], 60, Hints::default());
    assert_eq!(cut.checksums().transport, Verdict::Unknown);
    assert_eq!(
        cut.problem.map(|problem| problem.is_malformed()),
        Some(false)
    );
}

#[test]
fn tags_from_the_frame_and_from_the_kernel() {
    let raw = bytes(&format!(
        "020000000001 020000000002 88a8 2064 8100 6005 0800 {UDP}"
    ));
    let frame = ethernet_frame(&raw);
    let identifiers: Vec<u16> = frame.vlans().iter().map(|vlan| vlan.identifier()).collect();
    assert_eq!(identifiers, [100, 5]);
    assert_eq!(
        (frame.vlans()[0].priority(), frame.vlans()[1].priority()),
        (1, 3)
    );
    assert_eq!(frame.ports(), Some((5000, 5001)));
    let plain = bytes(&format!("{ETHERNET_IPV4}{UDP}"));
    let hints = Hints {
        vlan: Some(Vlan {
            protocol: 0x8100,
            control: 7,
        }),
        ..Hints::default()
    };
    let frame = decode(LinkType::ETHERNET, &plain, plain.len() as u32, hints);
    assert_eq!(
        frame.summary(),
        "vlan 7, IP 10.0.0.1.5000 > 10.0.0.2.5001: UDP, length 5"
    );
    let many = bytes(&format!(
        "020000000001 020000000002 {} 0800 {UDP}",
        "81000001".repeat(5)
    ));
    assert_eq!(
        ethernet_frame(&many).problem.map(|problem| problem.reason),
        Some(Reason::TooManyTags)
    );
}

/// Packet, or whole frame of a link type, and its line.
const LINES: &[(LinkType, &str, &str)] = &[
    (
        LinkType::RAW,
        // Port unreachable about a datagram to 10.0.0.2:9.
        "45c00038 00000000 4001 66c1 0a000002 0a000001 0303 fcfc 00000000 4500001c 00010000 4011 66ce 0a000001 0a000002 1388 0009 0008 0000",
        "IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 udp port 9 unreachable, length 36",
    ),
    (
        LinkType::RAW,
        "45000054 00014000 4001 26a6 0a000001 0a000002 0800 0000 0001 0002 00000000",
        "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 2, length 12 \
         [IPv4 length 84 is more than the 32 bytes there (at byte 0)]",
    ),
    (
        LinkType::RAW,
        // A later fragment.
        "4500001c 00070001 4011 0000 0a000001 0a000002 0102030405060708",
        "IP 10.0.0.1 > 10.0.0.2: UDP, fragment 7 at 8, length 8",
    ),
    (
        LinkType::RAW,
        "4600 0020 0001 0000 0102 0000 0a000001 e0000016 94040000 16 00 0000 e0000101",
        "IP 10.0.0.1 > 224.0.0.22: igmp v2 report 224.0.1.1",
    ),
    (
        LinkType::RAW,
        // Hop-by-hop header, then a neighbour solicitation.
        "60000000 0020 00 ff fe80000000000000 0000000000000001 ff02000000000000 00000001ff000002 3a00 050200000100
         8700 0000 00000000 fe80000000000000 0000000000000002",
        "IP6 fe80::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has fe80::2, length 24",
    ),
    (
        LinkType::RAW,
        // Fragment header: a first fragment of UDP.
        "60000000 0018 2c 40 20010db8000000000000000000000001 20010db8000000000000000000000002
         1100 0001 00000009 1388 0035 0100 0000 6161616161616161",
        "IP6 2001:db8::1.5000 > 2001:db8::2.53: UDP, length 248, fragment 9 at 0+",
    ),
    (
        LinkType::ETHERNET,
        "ffffffffffff 020000000002 0806 0001 0800 06 04 0001 020000000002 0a000001 000000000000 0a000002",
        "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
    ),
    (
        LinkType::ETHERNET,
        "020000000001 020000000002 0806 0001 0800 06 04 0002 020000000002 0a000001 020000000001 0a000002",
        "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:02, length 28",
    ),
    (LinkType::ETHERNET, "020000000001 020000000002 88cc 0207", "02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype LLDP (0x88cc), length 16"),
    (LinkType::ETHERNET, "020000000001 0200", "length 8 [link layer too short: 8 of 14 bytes (at byte 0)]"),
    (LinkType::NULL, "02000000 45000021 00010000 4011 66c9 0a000001 0a000002 1388 1389 000d 80ee 68656c6c6f", "IP 10.0.0.1.5000 > 10.0.0.2.5001: UDP, length 5"),
    (LinkType::LOOP, "00000002 45000021 00010000 4011 66c9 0a000001 0a000002 1388 1389 000d 80ee 68656c6c6f", "IP 10.0.0.1.5000 > 10.0.0.2.5001: UDP, length 5"),
    (LinkType::LINUX_COOKED, "0004 0001 0006 020000000002 0000 0800 45000021 00010000 4011 66c9 0a000001 0a000002 1388 1389 000d 80ee 68656c6c6f", "IP 10.0.0.1.5000 > 10.0.0.2.5001: UDP, length 5"),
    (LinkType::LINUX_COOKED_2, "0800 0000 00000003 0001 04 06 020000000002 0000 45000021 00010000 4011 66c9 0a000001 0a000002 1388 1389 000d 80ee 68656c6c6f", "IP 10.0.0.1.5000 > 10.0.0.2.5001: UDP, length 5"),
    (LinkType(999), "00", "length 1 [link type 999 is not decoded (at byte 0)]"),
    (LinkType::RAW, "4500001d 00010000 4011 0000 0a000001 0a000002 1388 1389 0004 0000 61", "IP 10.0.0.1.5000 > 10.0.0.2.5001: UDP, length 1 [UDP length 4 is below 8 (at byte 20)]"),
    (LinkType::RAW, "42000021", "length 4 [IPv4 too short: 4 of 20 bytes (at byte 0)]"),
    (LinkType::RAW, "42000021 00010000 4011 66c9 0a000001 0a000002 1388", "IP 10.0.0.1 > 10.0.0.2: UDP, length 22 [IPv4 header length 8 is below 20 (at byte 0)]"),
];

#[test]
fn lines() {
    for (link_type, text, expected) in LINES {
        let raw = bytes(text);
        let frame = decode(*link_type, &raw, raw.len() as u32, Hints::default());
        let line = frame.summary();
        let line = line.strip_prefix("raw, ").unwrap_or(&line);
        assert_eq!(line, *expected);
    }
}

#[test]
fn an_error_gives_the_packet_it_quotes() {
    let raw = bytes(LINES[0].1);
    let frame = decode(LinkType::RAW, &raw, raw.len() as u32, Hints::default());
    let quoted = frame.quoted().expect("a quoted packet");
    assert_eq!(quoted.ports(), Some((5000, 9)));
    assert!(quoted.quoted().is_none());
}

#[test]
fn an_error_that_quotes_eight_bytes_of_tcp_gives_ports_and_sequence_number() {
    let raw = bytes(
        "45000038 00000000 4001 0000 0a000002 0a000001 0b00 0000 00000000 4500003c 00010000 0106 0000 0a000001 0a000002 9c40 0050 00000064",
    );
    let frame = decode(LinkType::RAW, &raw, raw.len() as u32, Hints::default());
    assert_eq!(
        frame.summary(),
        "IP 10.0.0.2 > 10.0.0.1: ICMP time exceeded in-transit, length 36"
    );
    let quoted = frame.quoted().expect("a quoted packet");
    let tcp = quoted.tcp().expect("TCP");
    assert_eq!(
        (
            tcp.source_port,
            tcp.destination_port,
            tcp.sequence_number,
            tcp.present
        ),
        (40000, 80, 100, 8)
    );
    assert_eq!(
        quoted.problem.map(|problem| problem.is_malformed()),
        Some(false)
    );
}

/// UDP payload to port 53, TCP payload, and what is recognised in them.
#[test]
fn a_stream_is_recognised_by_its_first_bytes() {
    use super::application::protocol;

    for (bytes, expected) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], Some("tls")),
        (b"\x16\x03\x01\x02\x00", Some("tls")),
        (b"\x17\x03\x03\x00\x50", Some("tls")),
        (b"GET / HTTP/1.0\r\n", Some("http")),
        (b"HTTP/1.1 200 OK\r\n", Some("http")),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some("http/2")),
        (b"SSH-2.0-OpenSSH_9.2", Some("ssh")),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Some("proxy")),
        (b"\r\n\r\n\0\r\nQUIT\n\x21", Some("proxy")),
        (b"*1\r\n$4\r\nPING\r\n", None),
        (b"hello", None),
        (b"\x16\x03", None),
        (b"", None),
    ] {
        assert_eq!(protocol(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn payloads_are_recognised() {
    use super::application::{dns, stream};
    let query = bytes("3039 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001");
    assert_eq!(
        dns(&query).expect("DNS").to_string(),
        "DNS 12345 A? example.com."
    );
    let answer = bytes("3039 8180 0001 0002 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001
                        c00c 0005 0001 00000010 0006 03 777777 c00c  c029 0001 0001 00000010 0004 c0000201");
    assert_eq!(
        dns(&answer).expect("DNS").to_string(),
        "DNS 12345 A? example.com. answers 2: CNAME www.example.com., A 192.0.2.1"
    );
    let looping = bytes("3039 0100 0001 0000 0000 0000 c00c 0001 0001");
    assert_eq!(dns(&looping), None);
    assert_eq!(
        stream(b"GET /a\x1b[31m HTTP/1.1\r\nHost: x\r\n")
            .expect("HTTP")
            .to_string(),
        "HTTP: GET /a\\x1b[31m HTTP/1.1"
    );
    assert_eq!(
        stream(b"HTTP/1.0 404 Not Found\r\n\r\n")
            .expect("HTTP")
            .to_string(),
        "HTTP: HTTP/1.0 404 Not Found"
    );
    assert_eq!(
        stream(&bytes("15 0303 0002 02 30"))
            .expect("TLS")
            .to_string(),
        "TLS fatal alert: unknown CA"
    );
    // Client hello with server name "a.example", protocols "h2" and "http/1.1", versions 1.3 and 1.2.
    let extensions = "0000 000e 000c 00 0009 612e6578616d706c65  0010 000e 000c 02 6832 08 687474702f312e31  002b 0005 04 0304 0303";
    let length = bytes(extensions).len();
    let hello = bytes(&format!(
        "16 0301 {:04x} 01 {:06x} 0303 {} 00 0002 1301 01 00 {length:04x} {extensions}",
        4 + 41 + 2 + length,
        41 + 2 + length,
        "00".repeat(32),
    ));
    assert_eq!(
        stream(&hello).expect("TLS").to_string(),
        "TLS client hello, TLS 1.3, server name a.example, ALPN h2 http/1.1"
    );
    assert_eq!(stream(b"hello"), None);
}

/// A well-formed beginning with arbitrary changes: reaches deeper than arbitrary bytes alone.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let samples: Vec<Vec<u8>> = LINES
        .iter()
        .filter(|(link_type, ..)| *link_type == LinkType::RAW)
        .map(|(_, text, _)| bytes(text))
        .chain([bytes(SYN), bytes(UDP)])
        .collect();
    (
        prop::sample::select(samples),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        0..80_usize,
    )
        .prop_map(|(mut sample, changes, keep)| {
            for (index, value) in changes {
                let position = index.index(sample.len());
                sample[position] = value;
            }
            sample.truncate(keep.max(1));
            sample
        })
}

const LINK_TYPES: [u32; 9] = [0, 1, 12, 101, 108, 113, 228, 276, 147];

/// Everything that can be asked of a frame; nothing may panic.
fn ask_everything(frame: &Frame<'_>) {
    let line = frame.summary();
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(frame.payload().len() <= frame.bytes.len());
    let _ = (
        frame.checksums(),
        frame.fragment(),
        frame.addresses(),
        frame.ports(),
    );
    assert!(frame.tcp_options().count() <= 40);
    assert!(frame.ipv4_options().count() <= 40);
    assert!(frame.extensions().count() <= frame.bytes.len() / 8);
    let _ = application::recognise(frame);
    if let Some(quoted) = frame.quoted() {
        let _ = (quoted.summary(), quoted.checksums());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn arbitrary_bytes_do_not_panic(raw in prop::collection::vec(any::<u8>(), 0..120), extra in 0..2000_u32) {
        for number in LINK_TYPES {
            ask_everything(&decode(LinkType(number), &raw, raw.len() as u32 + extra, Hints::default()));
        }
    }

    #[test]
    fn damaged_packets_do_not_panic(raw in damaged(), extra in 0..2_u32) {
        ask_everything(&decode(LinkType::RAW, &raw, raw.len() as u32 + extra * 1000, Hints::default()));
        let mut framed = bytes(ETHERNET_IPV4);
        framed.extend_from_slice(&raw);
        ask_everything(&ethernet_frame(&framed));
    }

    #[test]
    fn application_parsers_do_not_panic(raw in prop::collection::vec(any::<u8>(), 0..300), kind in 0..4_u8) {
        let mut raw = raw;
        match kind {
            0 if raw.len() > 6 => raw[..3].copy_from_slice(&[22, 3, 1]),
            1 if raw.len() > 6 => raw[..6].copy_from_slice(&[22, 3, 1, 0, 200, 1]),
            2 if raw.len() > 12 => raw[4..8].copy_from_slice(&[0, 1, 0, 3]),
            _ => {}
        }
        for line in [
            application::dns(&raw).map(|found| found.to_string()),
            application::stream(&raw).map(|found| found.to_string()),
            application::dhcp(&raw).map(|found| found.to_string()),
        ].into_iter().flatten() {
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }

    /// Two decoders written apart agree on packets that both find whole.
    #[test]
    fn etherparse_agrees(raw in damaged()) {
        let mut framed = bytes(ETHERNET_IPV4);
        if raw[0] >> 4 == 6 {
            framed[12..14].copy_from_slice(&[0x86, 0xdd]);
        }
        framed.extend_from_slice(&raw);
        let ours = ethernet_frame(&framed);
        let Ok(theirs) = etherparse::SlicedPacket::from_ethernet(&framed) else { return Ok(()) };
        match (&theirs.net, &ours.network) {
            (Some(etherparse::NetSlice::Ipv4(net)), Network::Ipv4(ip)) => {
                prop_assert_eq!(net.header().source(), ip.source);
                prop_assert_eq!(net.header().destination(), ip.destination);
                prop_assert_eq!(net.header().ttl(), ip.time_to_live);
                prop_assert_eq!(u32::from(net.header().fragments_offset().value()) * 8, ip.fragment_offset());
            }
            (Some(etherparse::NetSlice::Ipv6(net)), Network::Ipv6(ip)) => {
                prop_assert_eq!(net.header().source(), ip.source);
                prop_assert_eq!(net.header().hop_limit(), ip.hop_limit);
            }
            (None, Network::None) => {}
            (net, _) => prop_assert!(false, "{:?} against {:?}", net, ours.network),
        }
        match (&theirs.transport, &ours.transport) {
            (Some(etherparse::TransportSlice::Tcp(theirs)), Transport::Tcp(tcp)) => {
                prop_assert_eq!(theirs.source_port(), tcp.source_port);
                prop_assert_eq!(theirs.sequence_number(), tcp.sequence_number);
                prop_assert_eq!(theirs.acknowledgment_number(), tcp.acknowledgement_number);
                prop_assert_eq!(theirs.window_size(), tcp.window);
                prop_assert_eq!(theirs.payload(), ours.payload());
            }
            (Some(etherparse::TransportSlice::Udp(theirs)), Transport::Udp(udp)) => {
                prop_assert_eq!(theirs.source_port(), udp.source_port);
                prop_assert_eq!(theirs.length(), udp.length);
                prop_assert_eq!(theirs.payload(), ours.payload());
            }
            (Some(etherparse::TransportSlice::Icmpv4(theirs)), Transport::Icmp(icmp)) => {
                prop_assert_eq!(theirs.type_u8(), icmp.kind);
                prop_assert_eq!(theirs.checksum(), icmp.checksum);
            }
            (Some(etherparse::TransportSlice::Icmpv6(theirs)), Transport::Icmp(icmp)) => {
                prop_assert_eq!(theirs.type_u8(), icmp.kind);
            }
            (Some(etherparse::TransportSlice::Igmp(theirs)), Transport::Igmp(igmp)) => {
                prop_assert_eq!(theirs.slice()[0], igmp.kind);
            }
            // Fragments, and what etherparse does not know.
            (None, _) => {}
            (theirs, ours) => prop_assert!(false, "{:?} against {:?}", theirs, ours),
        }
    }
}
