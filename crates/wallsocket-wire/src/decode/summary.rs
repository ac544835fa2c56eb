//! One line of text about a frame, in the wording that readers of tcpdump know.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::application::{self, Application};
use super::encapsulation::Encapsulation;
use super::options::{TcpOption, sack_edges};
use super::sctp::Sctp;
use super::tunnel::MAXIMUM_DEPTH;
use super::{Arp, Frame, Icmp, Igmp, Link, Network, Tcp, Transport, tcp_flag};

impl Frame<'_> {
    /// The frame in one line: addresses, protocol, what it says, lengths; then its problem in brackets.
    ///
    /// Sequence numbers are absolute. The text holds no line break and no control character.
    pub fn summary(&self) -> String {
        self.summary_relative(0, 0)
    }

    /// As [`Frame::summary`], with TCP sequence and acknowledgement numbers counted from the given ones.
    pub fn summary_relative(&self, sequence_base: u32, acknowledgement_base: u32) -> String {
        let mut line = String::with_capacity(120);
        // Writing to a String cannot fail.
        let _ = self.write_summary(&mut line, sequence_base, acknowledgement_base);
        line
    }

    /// Appends what [`Frame::summary_relative`] gives.
    ///
    /// # Errors
    /// None: a `String` takes everything.
    pub fn write_summary(
        &self,
        line: &mut String,
        sequence_base: u32,
        acknowledgement_base: u32,
    ) -> fmt::Result {
        write(line, self, sequence_base, acknowledgement_base)
    }
}

/// Letters of TCP flags as tcpdump prints them: `S` `F` `R` `P` `.` (ACK) `U` `E` `W` (CWR) `e` (AE); "none" without any.
pub fn tcp_flags(flags: u16) -> String {
    const LETTERS: [(u16, char); 9] = [
        (tcp_flag::FIN, 'F'),
        (tcp_flag::SYN, 'S'),
        (tcp_flag::RST, 'R'),
        (tcp_flag::PSH, 'P'),
        (tcp_flag::ACK, '.'),
        (tcp_flag::URG, 'U'),
        (tcp_flag::ECE, 'E'),
        (tcp_flag::CWR, 'W'),
        (tcp_flag::AE, 'e'),
    ];
    let letters: String = LETTERS
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, letter)| letter)
        .collect();
    if letters.is_empty() {
        "none".to_owned()
    } else {
        letters
    }
}

/// An Ethernet address as text.
pub fn ethernet_address(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

fn write(
    line: &mut String,
    frame: &Frame<'_>,
    sequence_base: u32,
    acknowledgement_base: u32,
) -> fmt::Result {
    write_at_depth(line, frame, sequence_base, acknowledgement_base, 0)
}

fn write_at_depth(
    line: &mut String,
    frame: &Frame<'_>,
    sequence_base: u32,
    acknowledgement_base: u32,
    depth: usize,
) -> fmt::Result {
    for vlan in frame.vlans() {
        write!(line, "vlan {}, ", vlan.identifier())?;
    }
    if frame.has_between() {
        between(line, frame)?;
    }
    match &frame.network {
        Network::Arp(message) => arp(line, message)?,
        Network::Ipv4(ip) => {
            line.write_str("IP ")?;
            // By far the most frequent: the general formatting takes several times as long.
            let ports = frame.ports();
            end4(line, ip.source, ports.map(|(from, _)| from));
            line.push_str(" > ");
            end4(line, ip.destination, ports.map(|(_, to)| to));
            line.push_str(": ");
            transport(line, frame, sequence_base, acknowledgement_base)?;
        }
        Network::Ipv6(ip) => {
            line.write_str("IP6 ")?;
            let (source, destination) = (Ipv6Addr::from(ip.source), Ipv6Addr::from(ip.destination));
            ends(line, frame, &source, &destination)?;
            transport(line, frame, sequence_base, acknowledgement_base)?;
        }
        Network::None => link(line, frame)?,
    }
    if let Some(problem) = &frame.problem {
        write!(line, " [{problem}]")?;
    }
    if depth < MAXIMUM_DEPTH
        && let Some(tunnel) = frame.tunnel()
    {
        write!(line, ": {tunnel}")?;
        if let Some(inner) = frame.inside(&tunnel) {
            line.write_str(": ")?;
            write_at_depth(line, &inner, sequence_base, acknowledgement_base, depth + 1)?;
        }
    }
    Ok(())
}

/// Labels and sessions, each with what tells it from others.
fn between(line: &mut String, frame: &Frame<'_>) -> fmt::Result {
    for header in frame.encapsulations() {
        match header {
            Encapsulation::Mpls(label) => {
                write!(
                    line,
                    "MPLS label {} ttl {}",
                    label.label, label.time_to_live
                )?;
            }
            Encapsulation::Pppoe(session) => {
                write!(line, "PPPoE {} {}", session.name(), session.session)?;
            }
            // Known by what follows.
            Encapsulation::Ppp {
                protocol: 0x21 | 0x57,
                ..
            }
            | Encapsulation::Vlan(_) => continue,
            Encapsulation::Ppp { protocol, .. } => match ppp_name(protocol) {
                Some(name) => write!(line, "PPP {name}")?,
                None => write!(line, "PPP protocol {protocol:#06x}")?,
            },
            Encapsulation::PortTag(tag) => write!(line, "802.1BR channel {}", tag.channel)?,
        }
        line.write_str(", ")?;
    }
    Ok(())
}

/// Name of a protocol of PPP (<https://www.iana.org/assignments/ppp-numbers>).
const fn ppp_name(protocol: u16) -> Option<&'static str> {
    Some(match protocol {
        0x8021 => "IPCP",
        0x8057 => "IPv6CP",
        0x80fd => "CCP",
        0xc021 => "LCP",
        0xc023 => "PAP",
        0xc025 => "LQR",
        0xc223 => "CHAP",
        0xc227 => "EAP",
        0x0281 | 0x0283 => "MPLS",
        _ => return None,
    })
}

fn link(line: &mut String, frame: &Frame<'_>) -> fmt::Result {
    match &frame.link {
        Link::Ethernet {
            destination,
            source,
        } => {
            write!(
                line,
                "{} > {}, ",
                ethernet_address(*source),
                ethernet_address(*destination)
            )?;
        }
        Link::Cooked { .. } => line.write_str("cooked, ")?,
        Link::Loopback { family } => write!(line, "loopback family {family}, ")?,
        Link::Raw => line.write_str("raw, ")?,
        Link::Ppp if frame.has_between() => {}
        Link::Ppp => line.write_str("PPP, ")?,
        Link::Wireless { .. } => wireless(line, frame)?,
        Link::Can { .. } => {}
        Link::None => {}
    }
    if let Some(can) = frame.can() {
        let digits = if can.extended { 8 } else { 3 };
        write!(line, "CAN {:0digits$x}", can.identifier)?;
        line.write_str(match (can.error, can.remote, can.is_fd()) {
            (true, ..) => " error, ",
            (_, true, _) => " request, ",
            (.., true) => " FD, ",
            _ => ", ",
        })?;
        return write!(line, "length {}", can.length);
    }
    match frame.ether_type {
        Some(ether_type) => write!(line, "ethertype {}, ", ether_type_name(ether_type))?,
        None if matches!(frame.link, Link::Ethernet { .. }) => line.write_str("802.3, ")?,
        None => {}
    }
    write!(line, "length {}", frame.original_length)?;
    cut(line, (frame.bytes.len() as u32) < frame.original_length)
}

fn wireless(line: &mut String, frame: &Frame<'_>) -> fmt::Result {
    let Some(header) = frame.wireless() else {
        return Ok(());
    };
    write!(line, "802.11 {}, ", header.name())?;
    match header.transmitter {
        Some(from) => write!(
            line,
            "{} > {}, ",
            ethernet_address(from),
            ethernet_address(header.receiver)
        )?,
        None => write!(line, "to {}, ", ethernet_address(header.receiver))?,
    }
    if header.is_protected() {
        line.write_str("protected, ")?;
    }
    if let Some(signal) = frame.radio().and_then(|radio| radio.signal_dbm) {
        write!(line, "{signal} dBm, ")?;
    }
    Ok(())
}

/// Says that the capture does not have all of the bytes whose number was just written.
fn cut(line: &mut String, is_cut: bool) -> fmt::Result {
    if is_cut {
        line.write_str(" (cut)")?;
    }
    Ok(())
}

/// `length N` of the payload on the wire.
fn payload_length(line: &mut String, frame: &Frame<'_>) -> fmt::Result {
    let length = frame.wire_payload_length();
    write!(line, ", length {length}")?;
    cut(line, length as usize > frame.payload().len())
}

fn ether_type_name(ether_type: u16) -> String {
    let name = match ether_type {
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x8035 => "Reverse ARP",
        0x86dd => "IPv6",
        0x8847 | 0x8848 => "MPLS",
        0x8863 => "PPPoE discovery",
        0x8864 => "PPPoE session",
        0x888e => "EAPOL",
        0x88cc => "LLDP",
        0x88e5 => "MACsec",
        0x88f7 => "PTP",
        _ => return format!("{ether_type:#06x}"),
    };
    format!("{name} ({ether_type:#06x})")
}

fn arp(line: &mut String, message: &Arp) -> fmt::Result {
    let length = 8 + 2 * (u32::from(message.hardware_length) + u32::from(message.protocol_length));
    let Some(ends) = &message.addresses else {
        return write!(
            line,
            "ARP, operation {}, hardware type {}, protocol type {:#06x}, length {length}",
            message.operation, message.hardware_type, message.protocol_type
        );
    };
    match message.operation {
        1 if ends.sender == ends.target => write!(line, "ARP, Announcement {}", ends.sender)?,
        1 if ends.sender.is_unspecified() => write!(line, "ARP, Probe {}", ends.target)?,
        1 => write!(
            line,
            "ARP, Request who-has {} tell {}",
            ends.target, ends.sender
        )?,
        2 => write!(
            line,
            "ARP, Reply {} is-at {}",
            ends.sender,
            ethernet_address(ends.sender_hardware)
        )?,
        3 => write!(
            line,
            "RARP, Request who-is {}",
            ethernet_address(ends.target_hardware)
        )?,
        4 => write!(
            line,
            "RARP, Reply {} at {}",
            ethernet_address(ends.target_hardware),
            ends.target
        )?,
        other => write!(line, "ARP, operation {other}")?,
    }
    write!(line, ", length {length}")
}

/// An IPv4 address, and a port behind it.
fn end4(line: &mut String, address: [u8; 4], port: Option<u16>) {
    for (position, byte) in address.into_iter().enumerate() {
        if position > 0 {
            line.push('.');
        }
        number(line, byte.into());
    }
    if let Some(port) = port {
        line.push('.');
        number(line, port.into());
    }
}

/// A decimal number.
fn number(line: &mut String, value: u32) {
    let mut digits = [0_u8; 10];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for digit in &digits[at..] {
        line.push(char::from(*digit));
    }
}

/// `source.port > destination.port: `
fn ends(
    line: &mut String,
    frame: &Frame<'_>,
    source: &dyn fmt::Display,
    destination: &dyn fmt::Display,
) -> fmt::Result {
    match frame.ports() {
        Some((from, to)) => write!(line, "{source}.{from} > {destination}.{to}: "),
        None => write!(line, "{source} > {destination}: "),
    }
}

fn transport(
    line: &mut String,
    frame: &Frame<'_>,
    sequence_base: u32,
    acknowledgement_base: u32,
) -> fmt::Result {
    match &frame.transport {
        Transport::Tcp(header) => tcp(line, frame, header, sequence_base, acknowledgement_base)?,
        Transport::Udp(header) => {
            let length = if header.length >= 8 {
                u32::from(header.length) - 8
            } else {
                frame.wire_payload_length()
            };
            write!(line, "UDP, length {length}")?;
            cut(
                line,
                frame.wire_payload_length() as usize > frame.payload().len(),
            )?;
            known(line, application::recognise(frame).as_ref())?;
        }
        Transport::Icmp(header) if header.version == 6 => icmp6(line, frame, header)?,
        Transport::Icmp(header) => icmp4(line, frame, header)?,
        Transport::Igmp(header) => igmp(line, header)?,
        Transport::Sctp(header) => sctp(line, frame, header)?,
        Transport::Esp(header) => {
            write!(
                line,
                "ESP(spi={:#010x},seq={:#x})",
                header.spi, header.sequence_number
            )?;
            payload_length(line, frame)?;
        }
        Transport::None => {
            let number = frame.protocol.unwrap_or(0);
            match protocol_name(number) {
                Some(name) => line.write_str(name)?,
                None => write!(line, "protocol {number}")?,
            }
            if frame.fragment().is_none() {
                payload_length(line, frame)?;
            }
        }
    }
    if let Some((offset, more, identification)) = frame.fragment() {
        let sign = if more { "+" } else { "" };
        write!(line, ", fragment {identification} at {offset}{sign}")?;
        if frame.transport == Transport::None {
            payload_length(line, frame)?;
        }
    }
    Ok(())
}

/// Name of an IP protocol number, as IANA's registry has it.
pub const fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "HOPOPT",
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4 in IP",
        6 => "TCP",
        8 => "EGP",
        17 => "UDP",
        33 => "DCCP",
        41 => "IPv6 in IP",
        46 => "RSVP",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        59 => "no next header",
        88 => "EIGRP",
        89 => "OSPF",
        103 => "PIM",
        108 => "IPComp",
        112 => "VRRP",
        115 => "L2TP",
        132 => "SCTP",
        136 => "UDP-Lite",
        143 => "Ethernet",
        _ => return None,
    })
}

fn known(line: &mut String, application: Option<&Application>) -> fmt::Result {
    match application {
        Some(application) => write!(line, ": {application}"),
        None => Ok(()),
    }
}

fn tcp(
    line: &mut String,
    frame: &Frame<'_>,
    tcp: &Tcp,
    sequence_base: u32,
    acknowledgement_base: u32,
) -> fmt::Result {
    if !tcp.is_complete() {
        return if tcp.present >= 8 {
            write!(
                line,
                "tcp, seq {}",
                tcp.sequence_number.wrapping_sub(sequence_base)
            )
        } else {
            line.write_str("tcp")
        };
    }
    write!(line, "Flags [{}]", tcp_flags(tcp.flags))?;
    let length = frame.wire_payload_length();
    // The sender of a SYN has no earlier number to count from.
    let first = if tcp.flags & tcp_flag::SYN != 0 {
        tcp.sequence_number
    } else {
        tcp.sequence_number.wrapping_sub(sequence_base)
    };
    if length > 0 {
        write!(line, ", seq {first}:{}", first.wrapping_add(length))?;
    } else if tcp.flags & (tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST) != 0 {
        write!(line, ", seq {first}")?;
    }
    if tcp.flags & tcp_flag::ACK != 0 {
        write!(
            line,
            ", ack {}",
            tcp.acknowledgement_number
                .wrapping_sub(acknowledgement_base)
        )?;
    }
    write!(line, ", win {}", tcp.window)?;
    if tcp.flags & tcp_flag::URG != 0 {
        write!(line, ", urg {}", tcp.urgent_pointer)?;
    }
    if tcp.header_length > 20 {
        line.write_str(", options [")?;
        for (number, option) in frame.tcp_options().enumerate() {
            if number > 0 {
                line.write_char(',')?;
            }
            tcp_option(line, &option, acknowledgement_base)?;
        }
        line.write_char(']')?;
    }
    payload_length(line, frame)?;
    known(line, application::recognise(frame).as_ref())
}

/// Chunks of an SCTP packet that are named.
const CHUNKS_MAXIMUM: usize = 16;

fn sctp(line: &mut String, frame: &Frame<'_>, sctp: &Sctp) -> fmt::Result {
    line.write_str("SCTP")?;
    if sctp.present == 12 {
        write!(line, ", tag {:#010x}", sctp.verification_tag)?;
    }
    for chunk in frame.sctp_chunks().take(CHUNKS_MAXIMUM) {
        match chunk.name() {
            Some(name) => write!(line, " [{name}]")?,
            None => write!(line, " [chunk {}]", chunk.kind)?,
        }
    }
    payload_length(line, frame)
}

fn tcp_option(line: &mut String, option: &TcpOption<'_>, acknowledgement_base: u32) -> fmt::Result {
    match option {
        TcpOption::End => line.write_str("eol"),
        TcpOption::NoOperation => line.write_str("nop"),
        TcpOption::MaximumSegmentSize(size) => write!(line, "mss {size}"),
        TcpOption::WindowScale(shift) => write!(line, "wscale {shift}"),
        TcpOption::SackPermitted => line.write_str("sackOK"),
        TcpOption::Sack(edges) => {
            write!(line, "sack {} ", edges.len() / 8)?;
            for (left, right) in sack_edges(edges) {
                let (left, right) = (
                    left.wrapping_sub(acknowledgement_base),
                    right.wrapping_sub(acknowledgement_base),
                );
                write!(line, "{{{left}:{right}}}")?;
            }
            Ok(())
        }
        TcpOption::Timestamps { value, echo } => write!(line, "TS val {value} ecr {echo}"),
        TcpOption::Md5(_) => line.write_str("md5"),
        TcpOption::UserTimeout(value) => {
            let unit = if value & 0x8000 != 0 { "min" } else { "s" };
            write!(line, "uto {} {unit}", value & 0x7fff)
        }
        TcpOption::Authentication(_) => line.write_str("tcp-ao"),
        TcpOption::Multipath(data) => write!(line, "mptcp {}", data.first().unwrap_or(&0) >> 4),
        TcpOption::FastOpen([]) => line.write_str("tfo cookiereq"),
        TcpOption::FastOpen(cookie) => write!(line, "tfo cookie {} bytes", cookie.len()),
        TcpOption::EncryptionNegotiation(_) => line.write_str("tcp-eno"),
        TcpOption::AccurateEcn(..) => line.write_str("accecn"),
        TcpOption::Other(kind, data) => write!(line, "unknown-{kind} {} bytes", data.len()),
        TcpOption::Malformed(kind) => write!(line, "bad option {kind}"),
    }
}

/// `length N` of an ICMP message on the wire: header and data.
fn message_length(line: &mut String, frame: &Frame<'_>, icmp: &Icmp) -> fmt::Result {
    let header = frame.payload_offset() - icmp.offset;
    let length = frame.wire_payload_length();
    write!(line, ", length {}", header + length)?;
    cut(line, length as usize > frame.payload().len())
}

/// The packet that an error quotes, in brief: destination with protocol and port.
fn about(frame: &Frame<'_>) -> Option<(String, Option<(&'static str, u16)>)> {
    let quoted = frame.quoted()?;
    let (_, destination) = quoted.addresses()?;
    let port = match &quoted.transport {
        Transport::Tcp(tcp) => Some(("tcp", tcp.destination_port)),
        Transport::Udp(udp) => Some(("udp", udp.destination_port)),
        _ => None,
    };
    Some((destination.to_string(), port))
}

/// What an echo says of itself, as far as it is there.
fn echo(line: &mut String, name: &str, icmp: &Icmp) -> fmt::Result {
    write!(line, "echo {name}")?;
    if let Some(identifier) = icmp.identifier() {
        write!(line, ", id {identifier}")?;
    }
    if let Some(number) = icmp.sequence_number() {
        write!(line, ", seq {number}")?;
    }
    Ok(())
}

fn icmp4(line: &mut String, frame: &Frame<'_>, icmp: &Icmp) -> fmt::Result {
    line.write_str("ICMP ")?;
    let about = about(frame);
    let destination = about
        .as_ref()
        .map_or("unknown", |(destination, _)| destination);
    match (icmp.kind, icmp.code) {
        (0 | 8, _) => {
            let name = if icmp.kind == 8 { "request" } else { "reply" };
            echo(line, name, icmp)?;
        }
        (3, 0) => write!(line, "net {destination} unreachable")?,
        (3, 1) => write!(line, "host {destination} unreachable")?,
        (3, 2) => write!(line, "{destination} protocol unreachable")?,
        (3, 3) => match &about {
            Some((_, Some((protocol, port)))) => {
                write!(line, "{destination} {protocol} port {port} unreachable")?;
            }
            _ => write!(line, "{destination} port unreachable")?,
        },
        (3, 4) => write!(
            line,
            "{destination} unreachable - need to frag (mtu {})",
            icmp.rest & 0xffff
        )?,
        (3, 9 | 10 | 13) => write!(
            line,
            "host {destination} unreachable - admin prohibited (code {})",
            icmp.code
        )?,
        (3, code) => write!(line, "{destination} unreachable, code {code}")?,
        (4, _) => line.write_str("source quench")?,
        (5, _) => write!(
            line,
            "redirect {destination} to {}",
            Ipv4Addr::from(icmp.rest)
        )?,
        (9, _) => line.write_str("router advertisement")?,
        (10, _) => line.write_str("router solicitation")?,
        (11, 0) => line.write_str("time exceeded in-transit")?,
        (11, _) => line.write_str("ip reassembly time exceeded")?,
        (12, _) => write!(line, "parameter problem at {}", icmp.rest >> 24)?,
        (13 | 14, _) => {
            let name = if icmp.kind == 13 { "query" } else { "reply" };
            write!(
                line,
                "time stamp {name} id {} seq {}",
                icmp.rest >> 16,
                icmp.rest & 0xffff
            )?;
        }
        (kind, code) => write!(line, "type {kind}, code {code}")?,
    }
    message_length(line, frame, icmp)
}

fn icmp6(line: &mut String, frame: &Frame<'_>, icmp: &Icmp) -> fmt::Result {
    line.write_str("ICMP6, ")?;
    let about = about(frame);
    let destination = about
        .as_ref()
        .map_or("unknown", |(destination, _)| destination);
    let target = frame
        .payload()
        .first_chunk::<16>()
        .map(|bytes| Ipv6Addr::from(*bytes));
    match (icmp.kind, icmp.code) {
        (1, 0) => write!(
            line,
            "destination unreachable, unreachable route {destination}"
        )?,
        (1, 1) => write!(
            line,
            "destination unreachable, unreachable prohibited {destination}"
        )?,
        (1, 3) => write!(
            line,
            "destination unreachable, unreachable address {destination}"
        )?,
        (1, 4) => match &about {
            Some((_, Some((protocol, port)))) => {
                write!(
                    line,
                    "destination unreachable, unreachable port, {destination} {protocol} port {port}"
                )?;
            }
            _ => write!(
                line,
                "destination unreachable, unreachable port, {destination}"
            )?,
        },
        (1, code) => write!(line, "destination unreachable, code {code}, {destination}")?,
        (2, _) => write!(line, "packet too big, mtu {}", icmp.rest)?,
        (3, 0) => write!(line, "time exceeded in-transit for {destination}")?,
        (3, _) => line.write_str("time exceeded in reassembly")?,
        (4, code) => write!(line, "parameter problem, code {code}, at {}", icmp.rest)?,
        (128 | 129, _) => {
            let name = if icmp.kind == 128 { "request" } else { "reply" };
            echo(line, name, icmp)?;
        }
        (130, _) => line.write_str("multicast listener query")?,
        (131, _) => line.write_str("multicast listener report")?,
        (132, _) => line.write_str("multicast listener done")?,
        (133, _) => line.write_str("router solicitation")?,
        (134, _) => line.write_str("router advertisement")?,
        (135, _) => {
            line.write_str("neighbor solicitation")?;
            if let Some(target) = target {
                write!(line, ", who has {target}")?;
            }
        }
        (136, _) => {
            line.write_str("neighbor advertisement")?;
            if let Some(target) = target {
                write!(line, ", tgt is {target}")?;
            }
        }
        (137, _) => line.write_str("redirect")?,
        (143, _) => write!(
            line,
            "multicast listener report v2, {} group record(s)",
            icmp.rest & 0xffff
        )?,
        (kind, code) => write!(line, "type {kind}, code {code}")?,
    }
    message_length(line, frame, icmp)
}

fn igmp(line: &mut String, igmp: &Igmp) -> fmt::Result {
    let group = Ipv4Addr::from(igmp.group);
    match igmp.kind {
        0x11 if group.is_unspecified() => line.write_str("igmp query"),
        0x11 => write!(line, "igmp query {group}"),
        0x12 => write!(line, "igmp v1 report {group}"),
        0x16 => write!(line, "igmp v2 report {group}"),
        0x17 => write!(line, "igmp leave {group}"),
        0x22 => write!(
            line,
            "igmp v3 report, {} group record(s)",
            u16::from_be_bytes([igmp.group[2], igmp.group[3]])
        ),
        other => write!(line, "igmp type {other:#04x}"),
    }
}
