//! Every column: its name, its meaning, and where its values come from.

use std::net::{Ipv4Addr, Ipv6Addr};

use arrow_array::types::{Int8Type, UInt8Type, UInt16Type, UInt32Type};

use super::headers::Values;
use super::kinds::{fixed, flags, numbers, text, variable};
use super::{ALL, Definition, Kind, Row};
use crate::decode::options::TcpOption;
use crate::decode::{Link, Network, Transport, application, summary};

#[inline]
fn ipv4<'a>(row: &'a Row<'_>) -> Option<&'a crate::decode::Ipv4> {
    if let Network::Ipv4(ip) = &row.frame.network {
        Some(ip)
    } else {
        None
    }
}

#[inline]
fn ipv6<'a>(row: &'a Row<'_>) -> Option<&'a crate::decode::Ipv6> {
    if let Network::Ipv6(ip) = &row.frame.network {
        Some(ip)
    } else {
        None
    }
}

#[inline]
fn tcp<'a>(row: &'a Row<'_>, needed: u8) -> Option<&'a crate::decode::Tcp> {
    row.frame.tcp().filter(|tcp| tcp.present >= needed)
}

/// Appends an IPv4 address in dotted decimal; several times as fast as the general formatting.
fn dotted(values: &mut Vec<u8>, address: [u8; 4]) {
    for (position, byte) in address.into_iter().enumerate() {
        if position > 0 {
            values.push(b'.');
        }
        if byte >= 100 {
            values.push(b'0' + byte / 100);
        }
        if byte >= 10 {
            values.push(b'0' + byte / 10 % 10);
        }
        values.push(b'0' + byte % 10);
    }
}

fn address_text(row: &Row<'_>, values: &mut Vec<u8>, source: bool) -> bool {
    use std::io::Write as _;
    match &row.frame.network {
        Network::Ipv4(ip) => {
            dotted(values, if source { ip.source } else { ip.destination });
            true
        }
        Network::Ipv6(ip) => write!(
            values,
            "{}",
            Ipv6Addr::from(if source { ip.source } else { ip.destination })
        )
        .is_ok(),
        Network::Arp(message) => message.addresses.is_some_and(|ends| {
            write!(values, "{}", if source { ends.sender } else { ends.target }).is_ok()
        }),
        Network::None => false,
    }
}

fn ethernet_text(row: &Row<'_>, values: &mut Vec<u8>, source: bool) -> bool {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let Link::Ethernet {
        destination,
        source: from,
    } = &row.frame.link
    else {
        return false;
    };
    for (position, byte) in (if source { from } else { destination }).iter().enumerate() {
        if position > 0 {
            values.push(b':');
        }
        values.push(DIGITS[usize::from(byte >> 4)]);
        values.push(DIGITS[usize::from(byte & 15)]);
    }
    true
}

/// Words with a space between them; `None` without any.
fn joined<D: std::fmt::Display>(words: impl Iterator<Item = D>) -> Option<String> {
    let mut line = String::new();
    for word in words {
        use std::fmt::Write as _;
        let space = if line.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(line, "{space}{word}");
    }
    (!line.is_empty()).then_some(line)
}

fn timestamps(row: &Row<'_>) -> Option<(u32, u32)> {
    row.frame.tcp_options().find_map(|option| match option {
        TcpOption::Timestamps { value, echo } => Some((value, echo)),
        _ => None,
    })
}

macro_rules! columns {
    // Behind `=>` the array of `Headers` that has the values, and which frames have one; else what makes them of frames.
    (
        capture { $($capture:literal, $said:literal $(, $told:expr)? $(=> $known:expr)?;)* }
        frame { $($name:literal, $meaning:literal $(, $make:expr)? $(=> $header:expr)?;)* }
    ) => {
        /// Every column there is. Those of the frame are there a second time, for the innermost packet that tunnels carry.
        pub static COLUMNS: &[Definition] = &[
            $(Definition {
                name: $capture,
                meaning: $said,
                kind: $(Kind::Made(|| $told))? $(Kind::Header($known))?,
                inner: false,
            },)*
            $(Definition {
                name: $name,
                meaning: $meaning,
                kind: $(Kind::Made(|| $make))? $(Kind::Header($header))?,
                inner: false,
            },)*
            $(Definition {
                name: concat!("inner_", $name),
                meaning: concat!("the same of the innermost packet in tunnels: ", $meaning),
                kind: $(Kind::Made(|| $make))? $(Kind::Header($header))?,
                inner: true,
            },)*
        ];
    };
}

columns! {
    capture {
        "number", "number of the frame in its capture, from 1" => |group| (Values::U64(&group.number), ALL);
        "time", "when it was captured, nanoseconds, UTC" => |group| (Values::Time(&group.time), group.has_time);
        "interface", "interface: number in the file, or index on this host" => |group| (Values::U32(&group.interface), ALL);
        "inbound", "received (true) or sent, when known", flags(|row| row.meta.inbound.or_else(|| {
            let (chunk, record) = row.file?;
            chunk.inbound(record)
        }));
        "process_id", "process that sent or received it, when the file says so",
            numbers::<UInt32Type>(|row| row.file.and_then(|(chunk, record)| chunk.process_id(record)));
        "comment", "comments in the file", text(|row| {
            let (chunk, record) = row.file?;
            let comments = chunk.comments(record);
            (!comments.is_empty()).then(|| comments.join("\n"))
        });
    }
    frame {
        "captured_length", "bytes captured" => |group| (Values::U32(&group.captured_length), ALL);
        "original_length", "bytes on the wire" => |group| (Values::U32(&group.original_length), ALL);
        "link_type", "LINKTYPE number" => |group| (Values::U32(&group.link_type), ALL);
        "ethernet_destination", "Ethernet destination, 6 bytes" => |group| (Values::Bytes6(&group.ethernet_destination), group.has_ethernet);
        "ethernet_source", "Ethernet source, 6 bytes" => |group| (Values::Bytes6(&group.ethernet_source), group.has_ethernet);
        "ethernet_destination_text", "Ethernet destination as text", variable(true, |row, values| ethernet_text(row, values, false));
        "ethernet_source_text", "Ethernet source as text", variable(true, |row, values| ethernet_text(row, values, true));
        "ether_type", "EtherType after the VLAN tags" => |group| (Values::U16(&group.ether_type), group.has_ether_type);
        "vlan", "identifier of the outermost VLAN" => |group| (Values::U16(&group.vlan), group.has_vlan);
        "vlan_inner", "identifier of the innermost of several VLANs", numbers::<UInt16Type>(|row| match row.frame.vlans() {
            [_, .., last] => Some(last.identifier()),
            _ => None,
        });
        "source", "source address as text: IPv4, IPv6, or the sender in ARP", variable(true, |row, values| address_text(row, values, true));
        "destination", "destination address as text: IPv4, IPv6, or the target in ARP", variable(true, |row, values| address_text(row, values, false));
        "source_address", "source address, 16 bytes; IPv4 mapped into ::ffff:0:0/96" => |group| (Values::Bytes16(&group.source), group.has_ip);
        "destination_address", "destination address, 16 bytes; IPv4 mapped into ::ffff:0:0/96" => |group| (Values::Bytes16(&group.destination), group.has_ip);
        "ip_version", "4 or 6" => |group| (Values::U8(&group.ip_version), group.has_ip);
        "ip_length", "bytes of the IP packet by its header" => |group| (Values::U32(&group.ip_length), group.has_ip);
        "ip_header_length", "bytes of the IPv4 header", numbers::<UInt8Type>(|row| ipv4(row).map(|ip| ip.header_length));
        "ip_traffic_class", "DSCP and ECN", numbers::<UInt8Type>(|row| match &row.frame.network {
            Network::Ipv4(ip) => Some(ip.traffic_class),
            Network::Ipv6(ip) => Some(ip.traffic_class),
            _ => None,
        });
        "ip_identification", "IPv4 identification, or that of the IPv6 fragment header", numbers::<UInt32Type>(|row| match &row.frame.network {
            Network::Ipv4(ip) => Some(ip.identification.into()),
            Network::Ipv6(ip) => ip.fragment.map(|fragment| fragment.identification),
            _ => None,
        });
        "ip_dont_fragment", "IPv4 DF", flags(|row| ipv4(row).map(crate::decode::Ipv4::dont_fragment));
        "ip_more_fragments", "more fragments follow", flags(|row| match &row.frame.network {
            Network::Ipv4(ip) => Some(ip.more_fragments()),
            Network::Ipv6(ip) => ip.fragment.map(|fragment| fragment.more),
            _ => None,
        });
        "ip_fragment_offset", "offset of the fragment, bytes", numbers::<UInt32Type>(|row| match &row.frame.network {
            Network::Ipv4(ip) => Some(ip.fragment_offset()),
            Network::Ipv6(ip) => ip.fragment.map(|fragment| fragment.offset),
            _ => None,
        });
        "ip_flow_label", "IPv6 flow label", numbers::<UInt32Type>(|row| ipv6(row).map(|ip| ip.flow_label));
        "ip_next_header", "IPv4 protocol, or IPv6 next header before extension headers", numbers::<UInt8Type>(|row| match &row.frame.network {
            Network::Ipv4(ip) => Some(ip.protocol),
            Network::Ipv6(ip) => Some(ip.next_header),
            _ => None,
        });
        "ip_protocol", "protocol of the transport layer, after extension headers" => |group| (Values::U8(&group.protocol), group.has_protocol);
        "ip_time_to_live", "time to live, or hop limit" => |group| (Values::U8(&group.time_to_live), group.has_ip);
        "ip_checksum", "verdict on the IPv4 header checksum: good, bad, partial, absent, unknown", text(|row| Some(row.frame.checksums().network.name()));
        "source_port", "TCP, UDP or SCTP source port" => |group| (Values::U16(&group.source_port), group.has_ports);
        "destination_port", "TCP, UDP or SCTP destination port" => |group| (Values::U16(&group.destination_port), group.has_ports);
        "tcp_sequence_number", "TCP sequence number" => |group| (Values::U32(&group.sequence_number), group.has_sequence_number);
        "tcp_acknowledgement_number", "TCP acknowledgement number" => |group| (Values::U32(&group.acknowledgement_number), group.has_acknowledgement_number);
        "tcp_header_length", "bytes of the TCP header by its data offset", numbers::<UInt8Type>(|row| tcp(row, 13).map(|tcp| tcp.header_length));
        "tcp_flags", "TCP flags, 12 bits, FIN lowest" => |group| (Values::U16(&group.flags), group.has_flags);
        "tcp_flags_text", "TCP flags as tcpdump's letters", text(|row| tcp(row, 14).map(|tcp| summary::tcp_flags(tcp.flags)));
        "tcp_window", "TCP window before scaling, bytes" => |group| (Values::U16(&group.window), group.has_window);
        "tcp_urgent_pointer", "TCP urgent pointer", numbers::<UInt16Type>(|row| tcp(row, 20).map(|tcp| tcp.urgent_pointer));
        "tcp_maximum_segment_size", "MSS option, bytes", numbers::<UInt16Type>(|row| row.frame.tcp_options().find_map(|option| match option {
            TcpOption::MaximumSegmentSize(size) => Some(size),
            _ => None,
        }));
        "tcp_window_scale", "window scale option, shift count", numbers::<UInt8Type>(|row| row.frame.tcp_options().find_map(|option| match option {
            TcpOption::WindowScale(shift) => Some(shift),
            _ => None,
        }));
        "tcp_sack_permitted", "SACK-permitted option", flags(|row| tcp(row, 20).map(|_| row.frame.tcp_options().any(|option| option == TcpOption::SackPermitted)));
        "tcp_sack_blocks", "ranges in the SACK option", numbers::<UInt8Type>(|row| row.frame.tcp_options().find_map(|option| match option {
            TcpOption::Sack(edges) => Some((edges.len() / 8) as u8),
            _ => None,
        }));
        "tcp_timestamp_value", "timestamp option: clock of the sender", numbers::<UInt32Type>(|row| timestamps(row).map(|(value, _)| value));
        "tcp_timestamp_echo", "timestamp option: value echoed", numbers::<UInt32Type>(|row| timestamps(row).map(|(_, echo)| echo));
        "udp_length", "UDP length, header included, bytes" => |group| (Values::U16(&group.udp_length), group.has_udp_length);
        "icmp_type", "ICMP or ICMPv6 type", numbers::<UInt8Type>(|row| row.frame.icmp().map(|icmp| icmp.kind));
        "icmp_code", "ICMP or ICMPv6 code", numbers::<UInt8Type>(|row| row.frame.icmp().map(|icmp| icmp.code));
        "icmp_identifier", "identifier of an echo, extended echo, timestamp, information or address mask message", numbers::<UInt16Type>(|row| row.frame.icmp().and_then(crate::decode::Icmp::identifier));
        "icmp_sequence_number", "sequence number of such a message, but not of an extended echo", numbers::<UInt16Type>(|row| row.frame.icmp().and_then(crate::decode::Icmp::sequence_number));
        "icmp_next_hop_mtu", "MTU in fragmentation needed and packet too big, bytes", numbers::<UInt32Type>(|row| row.frame.icmp().and_then(crate::decode::Icmp::next_hop_mtu));
        "quoted_source", "source address of the packet an ICMP error quotes", text(|row| Some(row.frame.quoted()?.addresses()?.0));
        "quoted_destination", "destination address of the packet an ICMP error quotes", text(|row| Some(row.frame.quoted()?.addresses()?.1));
        "quoted_protocol", "protocol of the packet an ICMP error quotes", numbers::<UInt8Type>(|row| row.frame.quoted()?.protocol);
        "quoted_source_port", "source port of the packet an ICMP error quotes", numbers::<UInt16Type>(|row| Some(row.frame.quoted()?.ports()?.0));
        "quoted_destination_port", "destination port of the packet an ICMP error quotes", numbers::<UInt16Type>(|row| Some(row.frame.quoted()?.ports()?.1));
        "igmp_type", "IGMP type", numbers::<UInt8Type>(|row| match &row.frame.transport {
            Transport::Igmp(igmp) => Some(igmp.kind),
            _ => None,
        });
        "igmp_group", "IGMP group address", text(|row| match &row.frame.transport {
            Transport::Igmp(igmp) => Some(Ipv4Addr::from(igmp.group)),
            _ => None,
        });
        "arp_operation", "ARP operation: 1 request, 2 reply", numbers::<UInt16Type>(|row| match &row.frame.network {
            Network::Arp(message) => Some(message.operation),
            _ => None,
        });
        "arp_sender_hardware", "Ethernet address of the ARP sender, 6 bytes", fixed::<6>(|row| match &row.frame.network {
            Network::Arp(message) => message.ethernet().map(|(sender, _)| sender),
            _ => None,
        });
        "arp_target_hardware", "Ethernet address of the ARP target, 6 bytes", fixed::<6>(|row| match &row.frame.network {
            Network::Arp(message) => message.ethernet().map(|(_, target)| target),
            _ => None,
        });
        "mpls_label", "label of the outermost MPLS header", numbers::<UInt32Type>(|row| row.frame.labels().next().map(|label| label.label));
        "mpls_labels", "every MPLS label, outermost first, as text", text(|row| joined(row.frame.labels().map(|label| label.label)));
        "pppoe_session", "session of PPP over Ethernet", numbers::<UInt16Type>(|row| row.frame.pppoe().map(|pppoe| pppoe.session));
        "ppp_protocol", "protocol number of PPP", numbers::<UInt16Type>(|row| row.frame.ppp_protocol());
        "tunnel", "how packets inside are carried, outermost first: gre, vxlan, geneve, gtp, ip, mpls, …", text(|row| joined(row.frame.tunnels().map(|(tunnel, _)| tunnel.kind.name())));
        "tunnel_identifier", "which of several tunnels: key of GRE, network of VXLAN and Geneve, endpoint of GTP, service of 802.1ah", numbers::<UInt32Type>(|row| row.frame.tunnel()?.identifier);
        "sctp_verification_tag", "SCTP verification tag", numbers::<UInt32Type>(|row| row.frame.sctp().filter(|sctp| sctp.present >= 8).map(|sctp| sctp.verification_tag));
        "sctp_chunk_type", "type of the first SCTP chunk", numbers::<UInt8Type>(|row| row.frame.sctp_chunks().next().map(|chunk| chunk.kind));
        "ipsec_spi", "security parameters index of ESP or AH", numbers::<UInt32Type>(|row| row.frame.ipsec().map(|ipsec| ipsec.spi));
        "ipsec_sequence_number", "sequence number of ESP or AH", numbers::<UInt32Type>(|row| row.frame.ipsec().map(|ipsec| ipsec.sequence_number));
        "wireless_type", "kind of an 802.11 frame: data, beacon, acknowledgement, …", text(|row| row.frame.wireless().map(|wireless| wireless.name()));
        "wireless_receiver", "802.11: who takes it from the air, 6 bytes", fixed::<6>(|row| row.frame.wireless().map(|wireless| wireless.receiver));
        "wireless_transmitter", "802.11: who sent it into the air, 6 bytes", fixed::<6>(|row| row.frame.wireless()?.transmitter);
        "wireless_source", "802.11: where it came from at first, 6 bytes", fixed::<6>(|row| row.frame.wireless()?.source);
        "wireless_destination", "802.11: where it goes in the end, 6 bytes", fixed::<6>(|row| row.frame.wireless()?.destination);
        "wireless_cell", "802.11: the cell (BSSID), 6 bytes", fixed::<6>(|row| row.frame.wireless()?.cell);
        "wireless_sequence_number", "802.11 sequence number", numbers::<UInt16Type>(|row| row.frame.wireless()?.sequence.map(|(number, _)| number));
        "radio_signal_dbm", "strength of the signal, by radiotap", numbers::<Int8Type>(|row| row.frame.radio()?.signal_dbm);
        "radio_channel_mhz", "frequency of the channel, by radiotap", numbers::<UInt16Type>(|row| row.frame.radio()?.channel_mhz);
        "can_identifier", "CAN identifier, 11 or 29 bits", numbers::<UInt32Type>(|row| row.frame.can().map(|can| can.identifier));
        "can_extended", "a CAN identifier of 29 bits", flags(|row| row.frame.can().map(|can| can.extended));
        "transport_checksum", "verdict on the transport checksum: good, bad, partial, absent, unknown", text(|row| Some(row.frame.checksums().transport.name()));
        "payload_length", "bytes of the innermost decoded layer's payload that were captured" => |group| (Values::U32(&group.payload_length), ALL);
        "payload", "payload of the innermost decoded layer", variable(false, |row, values| {
            values.extend_from_slice(row.frame.payload());
            true
        });
        "frame", "the captured bytes", variable(false, |row, values| {
            values.extend_from_slice(row.frame.bytes);
            true
        });
        "application", "what the payload says in a line: DNS, TLS, QUIC, HTTP/1, DHCP, SSH, SIP, SMB, Redis and others", text(|row| application::recognise(&row.frame));
        "summary", "the frame in a line", text(|row| Some(row.frame.summary()));
        "problem", "what does not fit, or stopped the decoding", text(|row| row.frame.problem);
        "malformed", "whether the frame breaks its protocol", flags(|row| Some(row.frame.problem.is_some_and(|problem| problem.is_malformed())));
    }
}

/// The columns that are made when none are named.
pub static DEFAULT: &[&str] = &[
    "number",
    "time",
    "captured_length",
    "original_length",
    "source",
    "destination",
    "ip_protocol",
    "ip_time_to_live",
    "source_port",
    "destination_port",
    "tcp_sequence_number",
    "tcp_acknowledgement_number",
    "tcp_flags",
    "tcp_window",
    "payload_length",
    "problem",
];
