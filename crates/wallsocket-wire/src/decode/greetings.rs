//! How streams and datagrams begin whose first bytes are a line of text or a header that names them: HTTP/1, SIP, SSH, Redis, the
//! PROXY protocol, SMB.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::application::text;
use super::header;

/// Methods of HTTP/1: IANA's registry, and those of Exchange and of UPnP that are not in it.
const HTTP_METHODS: [&str; 57] = [
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "CONNECT",
    "TRACE",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "BCOPY",
    "BDELETE",
    "BMOVE",
    "BPROPFIND",
    "BPROPPATCH",
    "NOTIFY",
    "POLL",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "X-MS-ENUMATTS",
    "RPC_CONNECT",
    "RPC_IN_DATA",
    "RPC_OUT_DATA",
    "CCM_POST",
    "RDG_IN_DATA",
    "RDG_OUT_DATA",
    "M-SEARCH",
    "PURGE",
];

/// Methods of SIP (<https://www.iana.org/assignments/sip-parameters>).
const SIP_METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];

/// The longest first line that is looked for.
const LINE_MAXIMUM: usize = 2048;

/// The first line without its end, and whether that is there.
fn first_line(bytes: &[u8]) -> (&[u8], bool) {
    let window = &bytes[..bytes.len().min(LINE_MAXIMUM)];
    let line = window
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let whole = line.len() < window.len();
    (line.strip_suffix(b"\r").unwrap_or(line), whole)
}

/// Whether bytes begin with one of these words and a space.
fn begins_with_word(bytes: &[u8], words: &[&str]) -> bool {
    // None of them is longer than 17 letters.
    let head = &bytes[..bytes.len().min(18)];
    head.iter()
        .position(|byte| *byte == b' ')
        .is_some_and(|end| words.iter().any(|word| word.as_bytes() == &head[..end]))
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

/// The first line of an HTTP/1 message.
pub fn http(bytes: &[u8]) -> Option<String> {
    let request = begins_with_word(bytes, &HTTP_METHODS);
    if !request && !bytes.starts_with(b"HTTP/1.") {
        return None;
    }
    let (line, whole) = first_line(bytes);
    if request && whole && !contains(line, b" HTTP/1.") {
        return None;
    }
    // A cut line says HTTP only by a method that is nobody else's.
    if request && !whole && begins_with_word(bytes, &SIP_METHODS) && contains(line, b" sip:") {
        return None;
    }
    Some(text(line))
}

/// The first line of a SIP message (RFC 3261).
pub fn sip(bytes: &[u8]) -> Option<String> {
    let (line, whole) = first_line(bytes);
    let request = begins_with_word(bytes, &SIP_METHODS) && line.ends_with(b" SIP/2.0");
    (whole && (request || bytes.starts_with(b"SIP/2.0 "))).then(|| text(line))
}

/// The identification of an SSH server or client (RFC 4253, 4.2).
pub fn ssh(bytes: &[u8]) -> Option<String> {
    let (line, _) = first_line(bytes);
    bytes.starts_with(b"SSH-").then(|| text(line))
}

/// A header of the PROXY protocol (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// 1 or 2.
    pub version: u8,
    /// Source and destination with ports, as text; `None` where the proxy speaks for itself, or does not know.
    pub ends: Option<(String, String)>,
}

/// What version 2 begins with.
const PROXY_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of the PROXY protocol.
pub fn proxy(bytes: &[u8]) -> Option<Proxy> {
    if let Some(rest) = bytes.strip_prefix(PROXY_2) {
        let ends = match header::<4>(rest, 0, rest.len()) {
            // Version 2, and the command of a connection that is passed on.
            Some(&[0x21, family, _, _]) => proxy_ends(family, &rest[4..]),
            _ => None,
        };
        return Some(Proxy { version: 2, ends });
    }
    if !bytes.starts_with(b"PROXY ") {
        return None;
    }
    let (line, _) = first_line(bytes);
    let mut words = line.split(|byte| *byte == b' ').skip(1).map(text);
    let ends = match words.next()?.as_str() {
        "TCP4" | "TCP6" => {
            let [source, destination, from, to] =
                [words.next()?, words.next()?, words.next()?, words.next()?];
            Some((format!("{source}.{from}"), format!("{destination}.{to}")))
        }
        "UNKNOWN" => None,
        _ => return None,
    };
    Some(Proxy { version: 1, ends })
}

fn proxy_ends(family: u8, bytes: &[u8]) -> Option<(String, String)> {
    let port =
        |at: usize| header::<2>(bytes, at, bytes.len()).map(|pair| u16::from_be_bytes(*pair));
    match family >> 4 {
        1 => {
            let address =
                |at| header::<4>(bytes, at, bytes.len()).map(|four| Ipv4Addr::from(*four));
            Some((
                format!("{}.{}", address(0)?, port(8)?),
                format!("{}.{}", address(4)?, port(10)?),
            ))
        }
        2 => {
            let address = |at| header::<16>(bytes, at, bytes.len()).map(|all| Ipv6Addr::from(*all));
            Some((
                format!("{}.{}", address(0)?, port(32)?),
                format!("{}.{}", address(16)?, port(34)?),
            ))
        }
        _ => None,
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PROXY protocol version {}", self.version)?;
        match &self.ends {
            Some((source, destination)) => write!(formatter, ", {source} > {destination}"),
            None => Ok(()),
        }
    }
}

/// A message of Redis' protocol. Of a command only its name is told, not what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redis {
    /// A command, and how many arguments it has.
    Command(String, u64),
    /// A line of status.
    Status(String),
    /// An error.
    Error(String),
    /// Another answer.
    Answer(&'static str),
}

/// Digits up to a line end, and what follows.
fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(20).position(|byte| *byte == b'\r')?;
    let (number, rest) = bytes.split_at(end);
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, rest.strip_prefix(b"\r\n")?))
}

/// A command in Redis' protocol: an array of strings.
pub fn redis_command(bytes: &[u8]) -> Option<Redis> {
    let (count, rest) = digits(bytes.strip_prefix(b"*")?)?;
    let (length, rest) = digits(rest.strip_prefix(b"$")?)?;
    let name = rest.get(..usize::try_from(length).ok()?)?;
    if count == 0
        || name.is_empty()
        || name.len() > 32
        || !name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
    {
        return None;
    }
    let name = text(name).to_ascii_uppercase();
    Some(Redis::Command(name, count - 1))
}

/// What a Redis server answers.
pub fn redis_answer(bytes: &[u8]) -> Option<Redis> {
    let (kind, rest) = bytes.split_first()?;
    let (line, whole) = first_line(rest);
    if !whole {
        return None;
    }
    let number = std::str::from_utf8(line).is_ok_and(|line| line.parse::<i64>().is_ok());
    Some(match kind {
        b'+' => Redis::Status(text(line)),
        b'-' => Redis::Error(text(line)),
        b':' if number => Redis::Answer("integer"),
        b'$' if number => Redis::Answer(if line == b"-1" { "nothing" } else { "string" }),
        b'*' if number => Redis::Answer("array"),
        b'%' if number => Redis::Answer("map"),
        b'~' if number => Redis::Answer("set"),
        b'>' if number => Redis::Answer("push"),
        b'_' => Redis::Answer("nothing"),
        _ => return None,
    })
}

impl fmt::Display for Redis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(name, 1) => write!(formatter, "Redis {name}, 1 argument"),
            Self::Command(name, count) => write!(formatter, "Redis {name}, {count} arguments"),
            Self::Status(line) => write!(formatter, "Redis answer: {line}"),
            Self::Error(line) => write!(formatter, "Redis error: {line}"),
            Self::Answer(kind) => write!(formatter, "Redis answer: {kind}"),
        }
    }
}

/// The header of an SMB message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smb {
    /// 1; 2 also stands for 3.
    pub version: u8,
    /// Command; `None` where the message is encrypted or compressed.
    pub command: Option<u16>,
    /// From the server.
    pub response: bool,
    /// Status of a response.
    pub status: u32,
}

impl Smb {
    const fn name(&self) -> Option<&'static str> {
        let Some(command) = self.command else {
            return None;
        };
        // MS-CIFS 2.2.2.1 and MS-SMB2 2.2.1.
        Some(match (self.version, command) {
            (1, 0x04) => "close",
            (1, 0x06) => "delete",
            (1, 0x08) => "query information",
            (1, 0x24) => "locking",
            (1, 0x25) => "transaction",
            (1, 0x2b) => "echo",
            (1, 0x2e) => "read",
            (1, 0x2f) => "write",
            (1, 0x32) => "transaction 2",
            (1, 0x71) => "tree disconnect",
            (1, 0x72) | (2, 0) => "negotiate",
            (1, 0x73) | (2, 1) => "session setup",
            (1, 0x74) => "logoff",
            (1, 0x75) | (2, 3) => "tree connect",
            (1, 0xa0) => "NT transaction",
            (1, 0xa2) => "NT create",
            (2, 2) => "logoff",
            (2, 4) => "tree disconnect",
            (2, 5) => "create",
            (2, 6) => "close",
            (2, 7) => "flush",
            (2, 8) => "read",
            (2, 9) => "write",
            (2, 10) => "lock",
            (2, 11) => "ioctl",
            (2, 12) => "cancel",
            (2, 13) => "echo",
            (2, 14) => "query directory",
            (2, 15) => "change notify",
            (2, 16) => "query information",
            (2, 17) => "set information",
            (2, 18) => "oplock break",
            _ => return None,
        })
    }
}

/// An SMB message behind the four bytes that frame it (RFC 1002, 4.3.1).
pub fn smb(bytes: &[u8]) -> Option<Smb> {
    let rest = bytes.strip_prefix(&[0])?.get(3..)?;
    match rest {
        [0xff, b'S', b'M', b'B', command, s0, s1, s2, s3, flags, ..] => Some(Smb {
            version: 1,
            command: Some(u16::from(*command)),
            response: flags & 0x80 != 0,
            status: u32::from_le_bytes([*s0, *s1, *s2, *s3]),
        }),
        [0xfe, b'S', b'M', b'B', 64, 0, ..] => {
            let &[s0, s1, s2, s3, c0, c1, _, _, flags] = header::<9>(rest, 8, rest.len())?;
            Some(Smb {
                version: 2,
                command: Some(u16::from_le_bytes([c0, c1])),
                response: flags & 1 != 0,
                status: u32::from_le_bytes([s0, s1, s2, s3]),
            })
        }
        [0xfd | 0xfc, b'S', b'M', b'B', ..] => Some(Smb {
            version: 2,
            command: None,
            response: false,
            status: 0,
        }),
        _ => None,
    }
}

impl fmt::Display for Smb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SMB{}", if self.version == 1 { "" } else { "2" })?;
        let Some(command) = self.command else {
            return formatter.write_str(" encrypted");
        };
        match self.name() {
            Some(name) => write!(formatter, " {name}")?,
            None => write!(formatter, " command {command}")?,
        }
        formatter.write_str(if self.response {
            " response"
        } else {
            " request"
        })?;
        if self.response && self.status != 0 {
            write!(formatter, ", status {:#010x}", self.status)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_say_what_they_are() {
        assert_eq!(
            http(b"PROPFIND /a HTTP/1.1\r\nHost: b"),
            Some("PROPFIND /a HTTP/1.1".into())
        );
        assert_eq!(http(b"HTTP/1.0 200 OK\r\n"), Some("HTTP/1.0 200 OK".into()));
        for other in [&b"GETS /a HTTP/1.1\r\n"[..], b"GET /a\r\n", b"hello", b""] {
            assert_eq!(http(other), None);
        }
        let invite = b"INVITE sip:bob@b.example SIP/2.0\r\nVia: x";
        assert_eq!(sip(invite), Some("INVITE sip:bob@b.example SIP/2.0".into()));
        assert_eq!(http(b"OPTIONS sip:bob@b.example SI"), None);
        assert_eq!(
            sip(b"SIP/2.0 180 Ringing\r\n"),
            Some("SIP/2.0 180 Ringing".into())
        );
        assert_eq!(ssh(b"SSH-2.0-x\r\n\0\0"), Some("SSH-2.0-x".into()));
    }

    #[test]
    fn both_versions_of_the_proxy_protocol() {
        let first = proxy(b"PROXY TCP4 192.0.2.1 192.0.2.9 5000 443\r\nGET /").expect("version 1");
        assert_eq!(
            first.to_string(),
            "PROXY protocol version 1, 192.0.2.1.5000 > 192.0.2.9.443"
        );
        let mut bytes = PROXY_2.to_vec();
        bytes.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 9, 0x13, 0x88, 1, 0xbb,
        ]);
        let second = proxy(&bytes).expect("version 2");
        assert_eq!(second.ends, first.ends);
        bytes[12] = 0x20;
        assert_eq!(proxy(&bytes).expect("local").ends, None);
        assert_eq!(proxy(b"PROXY UNKNOWN\r\n").expect("unknown").ends, None);
        assert_eq!(proxy(b"PROXY x"), None);
    }

    #[test]
    fn redis_tells_the_command_only() {
        let set = b"*3\r\n$3\r\nset\r\n$6\r\nsecret\r\n$1\r\n5\r\n";
        assert_eq!(
            redis_command(set).expect("a command").to_string(),
            "Redis SET, 2 arguments"
        );
        assert_eq!(
            redis_answer(b"-ERR no\r\n").expect("an error").to_string(),
            "Redis error: ERR no"
        );
        assert_eq!(redis_command(b"*1\r\n$900\r\nx"), None);
        assert_eq!(redis_answer(b"$x\r\n"), None);
    }

    #[test]
    fn messages_of_both_smb() {
        let mut one = b"\0\0\0\x20\xffSMB\x72\0\0\0\0\x18".to_vec();
        assert_eq!(smb(&one).expect("SMB").to_string(), "SMB negotiate request");
        one[4] = 0xfd;
        assert_eq!(smb(&one).expect("SMB").to_string(), "SMB2 encrypted");
        let two = [
            &b"\0\0\0\x40\xfeSMB\x40\0\0\0\x22\0\0\xc0\x05\0\x01\0\x01\0\0\0"[..],
            &[0; 44],
        ]
        .concat();
        assert_eq!(
            smb(&two).expect("SMB2").to_string(),
            "SMB2 create response, status 0xc0000022"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(start in 0_usize..9, tail in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let starts: [&[u8]; 9] = [
                b"", b"PROXY TCP4 ", PROXY_2, b"*3\r\n$", b"\0\0\0\0\xfeSMB", b"\0\0\0\0\xffSMB", b"SIP/2.0 ", b"GET ", b"SSH-",
            ];
            let bytes = [starts[start], &tail[..]].concat();
            let shown = [
                http(&bytes),
                sip(&bytes),
                ssh(&bytes),
                proxy(&bytes).map(|found| found.to_string()),
                redis_command(&bytes).map(|found| found.to_string()),
                redis_answer(&bytes).map(|found| found.to_string()),
                smb(&bytes).map(|found| found.to_string()),
            ];
            for line in shown.iter().flatten() {
                proptest::prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
