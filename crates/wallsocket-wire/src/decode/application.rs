//! What a payload says in one line: DNS and its relatives, TLS hello and alert, QUIC, DHCP, and what [greetings](super::greetings)
//! knows.
//!
//! Text from the wire is kept within [`TEXT_MAXIMUM`] characters; control characters, quotes' escapes and bytes that are not UTF-8 are
//! written as `\xNN`, so a line stays a line wherever it is printed.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::greetings::{
    Proxy, Redis, Smb, http, proxy, redis_answer, redis_command, sip, smb, ssh,
};
use super::quic::{Quic, quic};
use super::{Frame, Transport, u16_at, u32_at};

/// Longest text taken from a payload, in characters.
pub const TEXT_MAXIMUM: usize = 256;

/// Records of a DNS answer that are kept.
const ANSWERS_MAXIMUM: usize = 8;

/// A recognised payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Application {
    /// A DNS message.
    Dns(Dns),
    /// A TLS record.
    Tls(Tls),
    /// The first line of an HTTP/1 request or response.
    Http(String),
    /// A DHCP message.
    Dhcp(Dhcp),
    /// A QUIC packet with a long header.
    Quic(Quic),
    /// The first line of a SIP message.
    Sip(String),
    /// The identification of an SSH server or client.
    Ssh(String),
    /// A header of the PROXY protocol.
    Proxy(Proxy),
    /// A message of Redis' protocol.
    Redis(Redis),
    /// The header of an SMB message.
    Smb(Smb),
}

/// Protocols that speak in messages of DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsKind {
    /// DNS itself.
    Dns,
    /// Multicast DNS (RFC 6762).
    Multicast,
    /// Link-local multicast name resolution (RFC 4795).
    LinkLocal,
    /// Names of NetBIOS (RFC 1002).
    Netbios,
}

/// A DNS message (RFC 1035).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Whose it is.
    pub kind: DnsKind,
    /// Identifier that joins question and answer.
    pub identifier: u16,
    /// Whether it is an answer.
    pub response: bool,
    /// 0 for an ordinary query.
    pub operation: u8,
    /// 0 no error, 2 server failure, 3 no such name, 5 refused.
    pub response_code: u8,
    /// The answer was cut; ask by TCP.
    pub truncated: bool,
    /// Name and type of the first question.
    pub question: Option<(String, u16)>,
    /// Number of answers by the header.
    pub answer_count: u16,
    /// The first answers: type and text.
    pub answers: Vec<(u16, String)>,
}

/// A TLS record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// The first message of a client.
    ClientHello {
        /// Server name indication.
        server_name: Option<String>,
        /// Application protocols offered.
        protocols: Vec<String>,
        /// Highest version offered.
        version: u16,
    },
    /// The first answer of a server.
    ServerHello {
        /// Version chosen.
        version: u16,
        /// Cipher suite chosen.
        cipher_suite: u16,
    },
    /// An alert in clear text.
    Alert {
        /// Whether it ends the connection.
        fatal: bool,
        /// Its number.
        description: u8,
    },
    /// Another record: content type and length.
    Record {
        /// 20 change cipher spec, 21 alert (encrypted), 22 handshake, 23 application data.
        content: u8,
        /// Length by the header.
        length: u16,
    },
}

/// A DHCP message (RFC 2131).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp {
    /// 1 discover, 2 offer, 3 request, 4 decline, 5 acknowledgement, 6 refusal, 7 release, 8 inform; 0 for BOOTP.
    pub kind: u8,
    /// Transaction.
    pub transaction: u32,
    /// Hardware address of the client.
    pub client: [u8; 6],
    /// Address for the client; zero where none is given.
    pub address: Ipv4Addr,
    /// Address the client asks for.
    pub requested: Option<Ipv4Addr>,
    /// Name of the client.
    pub host_name: Option<String>,
}

/// Recognises the payload of a decoded frame by port and by content.
pub fn recognise(frame: &Frame<'_>) -> Option<Application> {
    let payload = frame.payload();
    if payload.is_empty() {
        return None;
    }
    match &frame.transport {
        Transport::Udp(udp) => {
            let either = |port: u16| udp.source_port == port || udp.destination_port == port;
            if either(53) {
                dns(payload).map(Application::Dns)
            } else if either(67) || either(68) {
                dhcp(payload).map(Application::Dhcp)
            } else if either(5353) {
                messages(DnsKind::Multicast, payload).map(Application::Dns)
            } else if either(5355) {
                messages(DnsKind::LinkLocal, payload).map(Application::Dns)
            } else if either(137) {
                messages(DnsKind::Netbios, payload).map(Application::Dns)
            } else if either(1900) {
                http(payload).map(Application::Http)
            } else {
                quic(payload)
                    .map(Application::Quic)
                    .or_else(|| sip(payload).map(Application::Sip))
            }
        }
        Transport::Tcp(tcp) => {
            if tcp.source_port == 53 || tcp.destination_port == 53 {
                return dns(payload.get(2..)?).map(Application::Dns);
            }
            stream(payload).or_else(|| {
                let answer = (tcp.source_port == 6379).then(|| redis_answer(payload))?;
                answer.map(Application::Redis)
            })
        }
        _ => None,
    }
}

/// Recognises the beginning of a TCP stream, whatever the port.
pub fn stream(bytes: &[u8]) -> Option<Application> {
    // The first byte leaves few of them.
    match bytes.first()? {
        0 => smb(bytes).map(Application::Smb),
        b'\r' => proxy(bytes).map(Application::Proxy),
        b'*' => redis_command(bytes).map(Application::Redis),
        20..=24 => tls(bytes).map(Application::Tls),
        b'A'..=b'Z' => http(bytes)
            .map(Application::Http)
            .or_else(|| ssh(bytes).map(Application::Ssh))
            .or_else(|| sip(bytes).map(Application::Sip))
            .or_else(|| proxy(bytes).map(Application::Proxy)),
        _ => None,
    }
}

/// The protocol that one direction of a stream begins with, by its first bytes: `tls`, `http` (version 1), `http/2`, `ssh`, `sip`,
/// `smb`, `proxy` (the PROXY protocol in front of another one); `None` for what none of them begins with, or too few bytes.
pub fn protocol(bytes: &[u8]) -> Option<&'static str> {
    // RFC 9113, section 3.4.
    const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n";
    if bytes.starts_with(HTTP_2) {
        return Some("http/2");
    }
    match stream(bytes)? {
        Application::Tls(_) => Some("tls"),
        Application::Http(_) => Some("http"),
        Application::Ssh(_) => Some("ssh"),
        Application::Sip(_) => Some("sip"),
        Application::Smb(_) => Some("smb"),
        Application::Proxy(_) => Some("proxy"),
        // An array of strings is no proof that it is Redis that is spoken.
        _ => None,
    }
}

/// Text from the wire, made fit for one line.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut result = String::new();
    let mut count = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if count >= TEXT_MAXIMUM {
                result.push('…');
                return result;
            }
            if character.is_control()
                || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                let _ = write!(result, "\\x{:02x}", u32::from(character));
            } else {
                result.push(character);
            }
            count += 1;
        }
        for byte in chunk.invalid() {
            let _ = write!(result, "\\x{byte:02x}");
            count += 1;
        }
    }
    result
}

/// A TLS record at the start of a stream.
pub fn tls(bytes: &[u8]) -> Option<Tls> {
    let &[content, 3, minor, high, low] = bytes.first_chunk()? else {
        return None;
    };
    if minor > 4 || !(20..=24).contains(&content) {
        return None;
    }
    let length = u16::from_be_bytes([high, low]);
    if length == 0 || length > 18_432 {
        return None;
    }
    let body = bytes.get(5..)?;
    let body = body.get(..usize::from(length)).unwrap_or(body);
    match (content, body.first()) {
        (22, Some(1)) => client_hello(body),
        (22, Some(2)) => server_hello(body),
        _ => None,
    }
    .or(match (content, length, body) {
        (21, 2, [level @ 1..=2, description, ..]) => Some(Tls::Alert {
            fatal: *level == 2,
            description: *description,
        }),
        _ => Some(Tls::Record { content, length }),
    })
}

/// Extensions of a hello: number and data. A cut list gives what is there.
fn hello_extensions(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let number = u16_at(rest, 0)?;
        let length = usize::from(u16_at(rest, 2)?);
        let data = rest.get(4..4 + length)?;
        rest = rest.get(4 + length..)?;
        Some((number, data))
    })
}

pub(super) fn client_hello(body: &[u8]) -> Option<Tls> {
    let mut version = u16_at(body, 4)?;
    let mut offset = 4 + 2 + 32;
    offset += 1 + usize::from(*body.get(offset)?);
    offset += 2 + usize::from(u16_at(body, offset)?);
    offset += 1 + usize::from(*body.get(offset)?);
    let mut server_name = None;
    let mut protocols = Vec::new();
    for (number, data) in hello_extensions(body.get(offset + 2..).unwrap_or(&[])) {
        match number {
            0 if data.get(2) == Some(&0) => {
                let length = usize::from(u16_at(data, 3)?);
                server_name = data.get(5..5 + length).map(text);
            }
            16 => {
                let mut rest = data.get(2..).unwrap_or(&[]);
                while let Some((&length, after)) = rest.split_first()
                    && let Some((name, following)) = after.split_at_checked(usize::from(length))
                    && protocols.len() < 16
                {
                    protocols.push(text(name));
                    rest = following;
                }
            }
            43 => {
                // Values of the form 0x?a?a are there to keep servers tolerant (RFC 8701).
                version = data
                    .get(1..)
                    .unwrap_or(&[])
                    .chunks_exact(2)
                    .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                    .filter(|version| version & 0x0f0f != 0x0a0a)
                    .max()
                    .unwrap_or(version);
            }
            _ => {}
        }
    }
    Some(Tls::ClientHello {
        server_name,
        protocols,
        version,
    })
}

fn server_hello(body: &[u8]) -> Option<Tls> {
    let mut version = u16_at(body, 4)?;
    let mut offset = 4 + 2 + 32;
    offset += 1 + usize::from(*body.get(offset)?);
    let cipher_suite = u16_at(body, offset)?;
    for (number, data) in hello_extensions(body.get(offset + 5..).unwrap_or(&[])) {
        if number == 43 {
            version = u16_at(data, 0).unwrap_or(version);
        }
    }
    Some(Tls::ServerHello {
        version,
        cipher_suite,
    })
}

/// A DNS message.
pub fn dns(bytes: &[u8]) -> Option<Dns> {
    messages(DnsKind::Dns, bytes)
}

/// Questions of a message that are passed over to reach its answers.
const QUESTIONS_MAXIMUM: u16 = 64;

fn messages(protocol: DnsKind, bytes: &[u8]) -> Option<Dns> {
    let identifier = u16_at(bytes, 0)?;
    let flags = u16_at(bytes, 2)?;
    let (questions, answer_count) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
    u32_at(bytes, 8)?;
    let mut offset = 12;
    let mut question = None;
    for number in 0..questions.min(QUESTIONS_MAXIMUM) {
        let (name, after) = dns_name(bytes, offset)?;
        let kind = u16_at(bytes, after)?;
        offset = after + 4;
        if number == 0 {
            let name = if protocol == DnsKind::Netbios {
                netbios_name(&name).unwrap_or(name)
            } else {
                name
            };
            question = Some((name, kind));
        }
    }
    let mut answers = Vec::new();
    let known = protocol != DnsKind::Netbios && questions <= QUESTIONS_MAXIMUM;
    let wanted = if known { answer_count } else { 0 };
    for _ in 0..usize::from(wanted).min(ANSWERS_MAXIMUM) {
        let Some((kind, answer, after)) = dns_record(bytes, offset) else {
            break;
        };
        answers.push((kind, answer));
        offset = after;
    }
    Some(Dns {
        kind: protocol,
        identifier,
        response: flags & 0x8000 != 0,
        operation: (flags >> 11) as u8 & 15,
        response_code: flags as u8 & 15,
        truncated: flags & 0x0200 != 0,
        question,
        answer_count,
        answers,
    })
}

/// A name of NetBIOS, which is written as letters A to P, one for each four bits (RFC 1001, 14.1): its text, and its last byte,
/// the kind of service.
fn netbios_name(encoded: &str) -> Option<String> {
    let letters = encoded.split('.').next()?.as_bytes();
    if letters.len() != 32 || !letters.iter().all(|letter| (b'A'..=b'P').contains(letter)) {
        return None;
    }
    let bytes: Vec<u8> = letters
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[high, low]| (high - b'A') << 4 | (low - b'A'))
        .collect();
    let (service, name) = bytes.split_last()?;
    let name = name.trim_ascii_end();
    let name = name
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(&[][..], |last| &name[..=last]);
    Some(format!("{}<{service:02x}>", text(name)))
}

fn dns_record(bytes: &[u8], offset: usize) -> Option<(u16, String, usize)> {
    let (_, after) = dns_name(bytes, offset)?;
    let kind = u16_at(bytes, after)?;
    let length = usize::from(u16_at(bytes, after + 8)?);
    let start = after + 10;
    let data = bytes.get(start..start + length)?;
    let answer = match kind {
        1 => Ipv4Addr::from(*data.first_chunk::<4>()?).to_string(),
        28 => Ipv6Addr::from(*data.first_chunk::<16>()?).to_string(),
        2 | 5 | 12 => dns_name(bytes, start)?.0,
        15 => format!("{} {}", u16_at(data, 0)?, dns_name(bytes, start + 2)?.0),
        16 => format!("\"{}\"", text(data.get(1..)?)),
        _ => format!("{length} bytes"),
    };
    Some((kind, answer, start + length))
}

/// A name, and the offset after it. Pointers may only lead backwards, so following them ends.
fn dns_name(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut offset = start;
    let mut limit = start;
    let mut after = None;
    let mut total = 0;
    loop {
        let length = usize::from(*bytes.get(offset)?);
        match length >> 6 {
            0 if length == 0 => break,
            0 => {
                total += length + 1;
                if total > 254 {
                    return None;
                }
                name.push_str(&text(bytes.get(offset + 1..offset + 1 + length)?));
                name.push('.');
                offset += 1 + length;
            }
            3 => {
                let target = usize::from(u16_at(bytes, offset)? & 0x3fff);
                after.get_or_insert(offset + 2);
                if target >= limit {
                    return None;
                }
                limit = target;
                offset = target;
            }
            _ => return None,
        }
    }
    if name.is_empty() {
        name.push('.');
    }
    Some((name, after.unwrap_or(offset + 1)))
}

/// A DHCP or BOOTP message.
pub fn dhcp(bytes: &[u8]) -> Option<Dhcp> {
    let &[1 | 2, 1, 6, _] = bytes.first_chunk()? else {
        return None;
    };
    let mut message = Dhcp {
        kind: 0,
        transaction: u32_at(bytes, 4)?,
        client: *bytes.get(28..)?.first_chunk()?,
        address: Ipv4Addr::from(*bytes.get(16..)?.first_chunk::<4>()?),
        requested: None,
        host_name: None,
    };
    let mut rest = bytes
        .get(236..)
        .and_then(|options| options.strip_prefix(&[0x63, 0x82, 0x53, 0x63]))
        .unwrap_or(&[]);
    while let Some((&option, after)) = rest.split_first() {
        if option == 0 {
            rest = after;
            continue;
        }
        let Some(data) = after
            .first()
            .and_then(|length| after.get(1..=usize::from(*length)))
        else {
            break;
        };
        match (option, data) {
            (255, _) => break,
            (53, [kind]) => message.kind = *kind,
            (50, [a, b, c, d]) => message.requested = Some(Ipv4Addr::new(*a, *b, *c, *d)),
            (12, name) => message.host_name = Some(text(name)),
            _ => {}
        }
        rest = &after[data.len() + 1..];
    }
    Some(message)
}

/// Name of a DNS record type.
fn dns_type(kind: u16) -> String {
    match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        41 => "OPT",
        43 => "DS",
        46 => "RRSIG",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        257 => "CAA",
        other => return format!("TYPE{other}"),
    }
    .to_owned()
}

fn tls_version(version: u16) -> String {
    match version {
        0x0300 => "SSL 3.0".to_owned(),
        0x0301 => "TLS 1.0".to_owned(),
        0x0302 => "TLS 1.1".to_owned(),
        0x0303 => "TLS 1.2".to_owned(),
        0x0304 => "TLS 1.3".to_owned(),
        other => format!("version {other:#06x}"),
    }
}

/// Name of a TLS alert (<https://www.iana.org/assignments/tls-parameters>).
pub const fn tls_alert(description: u8) -> Option<&'static str> {
    Some(match description {
        0 => "close notify",
        10 => "unexpected message",
        20 => "bad record MAC",
        21 => "decryption failed",
        22 => "record overflow",
        40 => "handshake failure",
        41 => "no certificate",
        42 => "bad certificate",
        43 => "unsupported certificate",
        44 => "certificate revoked",
        45 => "certificate expired",
        46 => "certificate unknown",
        47 => "illegal parameter",
        48 => "unknown CA",
        49 => "access denied",
        50 => "decode error",
        51 => "decrypt error",
        70 => "protocol version",
        71 => "insufficient security",
        80 => "internal error",
        86 => "inappropriate fallback",
        90 => "user cancelled",
        100 => "no renegotiation",
        109 => "missing extension",
        110 => "unsupported extension",
        112 => "unrecognised name",
        113 => "bad certificate status response",
        115 => "unknown PSK identity",
        116 => "certificate required",
        120 => "no application protocol",
        _ => return None,
    })
}

impl fmt::Display for Application {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(dns) => dns.fmt(formatter),
            Self::Tls(tls) => tls.fmt(formatter),
            Self::Http(line) => write!(formatter, "HTTP: {line}"),
            Self::Dhcp(dhcp) => dhcp.fmt(formatter),
            Self::Quic(packet) => packet.fmt(formatter),
            Self::Sip(line) => write!(formatter, "SIP: {line}"),
            Self::Ssh(line) => write!(formatter, "SSH: {line}"),
            Self::Proxy(header) => header.fmt(formatter),
            Self::Redis(message) => message.fmt(formatter),
            Self::Smb(message) => message.fmt(formatter),
        }
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            DnsKind::Dns => "DNS",
            DnsKind::Multicast => "mDNS",
            DnsKind::LinkLocal => "LLMNR",
            DnsKind::Netbios => "NetBIOS",
        };
        write!(formatter, "{name} {}", self.identifier)?;
        if self.operation != 0 {
            write!(formatter, " operation {}", self.operation)?;
        }
        if let Some((name, kind)) = &self.question {
            match (self.kind, kind) {
                // RFC 1002, 4.2.1.2.
                (DnsKind::Netbios, 32) => write!(formatter, " NB? {name}")?,
                (DnsKind::Netbios, 33) => write!(formatter, " NBSTAT? {name}")?,
                _ => write!(formatter, " {}? {name}", dns_type(*kind))?,
            }
        }
        if self.response {
            match self.response_code {
                0 => {}
                1 => formatter.write_str(" format error")?,
                2 => formatter.write_str(" server failure")?,
                3 => formatter.write_str(" no such name")?,
                4 => formatter.write_str(" not implemented")?,
                5 => formatter.write_str(" refused")?,
                other => write!(formatter, " error {other}")?,
            }
            if self.truncated {
                formatter.write_str(" truncated")?;
            }
            write!(formatter, " answers {}", self.answer_count)?;
            for (number, (kind, answer)) in self.answers.iter().enumerate() {
                write!(
                    formatter,
                    "{} {} {answer}",
                    if number == 0 { ":" } else { "," },
                    dns_type(*kind)
                )?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientHello {
                server_name,
                protocols,
                version,
            } => {
                write!(formatter, "TLS client hello, {}", tls_version(*version))?;
                if let Some(name) = server_name {
                    write!(formatter, ", server name {name}")?;
                }
                if !protocols.is_empty() {
                    write!(formatter, ", ALPN {}", protocols.join(" "))?;
                }
                Ok(())
            }
            Self::ServerHello {
                version,
                cipher_suite,
            } => {
                write!(
                    formatter,
                    "TLS server hello, {}, cipher suite {cipher_suite:#06x}",
                    tls_version(*version)
                )
            }
            Self::Alert { fatal, description } => {
                write!(
                    formatter,
                    "TLS {} alert: ",
                    if *fatal { "fatal" } else { "warning" }
                )?;
                match tls_alert(*description) {
                    Some(name) => formatter.write_str(name),
                    None => write!(formatter, "number {description}"),
                }
            }
            Self::Record { content, length } => {
                let name = match content {
                    20 => "change cipher spec",
                    21 => "encrypted alert",
                    22 => "handshake",
                    23 => "application data",
                    _ => "heartbeat",
                };
                write!(formatter, "TLS {name}, {length} bytes")
            }
        }
    }
}

impl fmt::Display for Dhcp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            1 => "discover",
            2 => "offer",
            3 => "request",
            4 => "decline",
            5 => "acknowledgement",
            6 => "refusal",
            7 => "release",
            8 => "inform",
            _ => "message",
        };
        let client = super::summary::ethernet_address(self.client);
        write!(
            formatter,
            "DHCP {name} {:#010x} for {client}",
            self.transaction
        )?;
        if !self.address.is_unspecified() {
            write!(formatter, ", address {}", self.address)?;
        }
        if let Some(address) = self.requested {
            write!(formatter, ", asks for {address}")?;
        }
        if let Some(name) = &self.host_name {
            write!(formatter, ", name {name}")?;
        }
        Ok(())
    }
}
