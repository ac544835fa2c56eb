//! Socket addresses: the kernel's bytes to a value, to text, and back.
//!
//! The one decoder of `sockaddr` in the project. Any bytes decode to something: what is cut off or of a family without
//! a form here becomes [`Address::Unknown`] with its bytes, never a panic and never a guess.
//! Sources: ip(7), ipv6(7), unix(7), packet(7), netlink(7), vsock(7).

use std::fmt::{self, Display, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::words::{array, uint16, uint32};

/// Bytes of `sun_path` (unix(7)).
pub const UNIX_PATH_ROOM: usize = 108;

/// `VMADDR_CID_ANY` and `VMADDR_PORT_ANY` (linux/vm_sockets.h).
const VSOCK_ANY: u32 = u32::MAX;

/// A socket address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// No address: zero bytes, or AF_UNSPEC, which makes connect() dissolve an association.
    Unspecified,
    /// AF_INET.
    Inet {
        /// Host address.
        address: Ipv4Addr,
        /// Port, in host order.
        port: u16,
    },
    /// AF_INET6.
    Inet6 {
        /// Host address.
        address: Ipv6Addr,
        /// Port, in host order.
        port: u16,
        /// Flow label and traffic class (`sin6_flowinfo`), in host order.
        flow: u32,
        /// Interface number for link-local addresses (`sin6_scope_id`), or 0.
        zone: u32,
    },
    /// AF_UNIX without a name: an unbound or socketpair() end.
    UnixUnnamed,
    /// AF_UNIX with a name in the file system, without terminating zero.
    UnixPath(Vec<u8>),
    /// AF_UNIX with an abstract name, without the leading zero; every byte counts, zeros too.
    UnixAbstract(Vec<u8>),
    /// AF_PACKET.
    Packet {
        /// Ethernet type in host order; 3 is all of them.
        protocol: u16,
        /// Interface number; 0 is any.
        interface: u32,
        /// ARP hardware type (1 is Ethernet).
        hardware_type: u16,
        /// To us, broadcast, multicast, to others, outgoing (`PACKET_HOST` …).
        packet_type: u8,
        /// Link-layer address, at most 8 bytes.
        hardware: Vec<u8>,
    },
    /// AF_NETLINK.
    Netlink {
        /// Port number of the socket; 0 is the kernel.
        port: u32,
        /// Multicast groups as bits.
        groups: u32,
    },
    /// AF_VSOCK.
    Vsock {
        /// Machine: 2 is the host, 4294967295 is any.
        cid: u32,
        /// Port; 4294967295 is any.
        port: u32,
    },
    /// A family without a form here, or an address that is cut off.
    Unknown {
        /// Address family, when two bytes of it were there.
        family: Option<u16>,
        /// All the bytes, with those of the family.
        bytes: Vec<u8>,
    },
}

impl Address {
    /// Decodes what a program or the kernel passed as `sockaddr`: `bytes` is cut to the length that came with it.
    pub fn decode(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::Unspecified;
        }
        let Some(family) = uint16(bytes, 0) else {
            return Self::Unknown {
                family: None,
                bytes: bytes.to_vec(),
            };
        };
        let known = match i32::from(family) {
            libc::AF_UNSPEC => Some(Self::Unspecified),
            libc::AF_INET => Self::decode_inet(bytes),
            libc::AF_INET6 => Self::decode_inet6(bytes),
            libc::AF_UNIX => Some(Self::decode_unix(&bytes[2..])),
            libc::AF_PACKET => Self::decode_packet(bytes),
            libc::AF_NETLINK => Self::decode_netlink(bytes),
            libc::AF_VSOCK => Self::decode_vsock(bytes),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Unknown {
            family: Some(family),
            bytes: bytes.to_vec(),
        })
    }

    fn decode_inet(bytes: &[u8]) -> Option<Self> {
        let port = u16::from_be_bytes(array(bytes, 2)?);
        let address = Ipv4Addr::from(array(bytes, 4)?);
        Some(Self::Inet { address, port })
    }

    fn decode_inet6(bytes: &[u8]) -> Option<Self> {
        let port = u16::from_be_bytes(array(bytes, 2)?);
        let flow = u32::from_be_bytes(array(bytes, 4)?);
        let address = array::<16>(bytes, 8)?;
        // The kernel still takes the 24-byte form of RFC 2133, which has no zone.
        let zone = uint32(bytes, 24).unwrap_or(0);
        Some(Self::Inet6 {
            address: address.into(),
            port,
            flow,
            zone,
        })
    }

    fn decode_unix(path: &[u8]) -> Self {
        let path = &path[..path.len().min(UNIX_PATH_ROOM)];
        match path.split_first() {
            None => Self::UnixUnnamed,
            Some((0, name)) => Self::UnixAbstract(name.to_vec()),
            Some(_) => Self::UnixPath(path.iter().copied().take_while(|byte| *byte != 0).collect()),
        }
    }

    fn decode_packet(bytes: &[u8]) -> Option<Self> {
        let protocol = u16::from_be_bytes(array(bytes, 2)?);
        let interface = uint32(bytes, 4)?;
        let hardware_type = uint16(bytes, 8)?;
        let packet_type = *bytes.get(10)?;
        let length = usize::from(*bytes.get(11)?).min(8);
        let hardware = bytes.get(12..12 + length)?.to_vec();
        Some(Self::Packet {
            protocol,
            interface,
            hardware_type,
            packet_type,
            hardware,
        })
    }

    fn decode_netlink(bytes: &[u8]) -> Option<Self> {
        let port = uint32(bytes, 4)?;
        let groups = uint32(bytes, 8)?;
        Some(Self::Netlink { port, groups })
    }

    fn decode_vsock(bytes: &[u8]) -> Option<Self> {
        let port = uint32(bytes, 4)?;
        let cid = uint32(bytes, 8)?;
        Some(Self::Vsock { cid, port })
    }

    /// The `AF_` number, where it is known.
    pub fn family(&self) -> Option<u16> {
        let family = match self {
            Self::Unspecified => libc::AF_UNSPEC,
            Self::Inet { .. } => libc::AF_INET,
            Self::Inet6 { .. } => libc::AF_INET6,
            Self::UnixUnnamed | Self::UnixPath(_) | Self::UnixAbstract(_) => libc::AF_UNIX,
            Self::Packet { .. } => libc::AF_PACKET,
            Self::Netlink { .. } => libc::AF_NETLINK,
            Self::Vsock { .. } => libc::AF_VSOCK,
            Self::Unknown { family, .. } => return *family,
        };
        Some(family as u16)
    }

    /// Port number in host order, of the families that have one.
    pub fn port(&self) -> Option<u32> {
        match self {
            Self::Inet { port, .. } | Self::Inet6 { port, .. } => Some(u32::from(*port)),
            Self::Vsock { port, .. } | Self::Netlink { port, .. } => Some(*port),
            _ => None,
        }
    }

    /// The bytes that the kernel takes, of the exact length to pass with them.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28);
        if let Some(family) = self.family() {
            bytes.extend(family.to_ne_bytes());
        }
        match self {
            Self::Unspecified => bytes.resize(16, 0),
            Self::Inet { address, port } => {
                bytes.extend(port.to_be_bytes());
                bytes.extend(address.octets());
                bytes.resize(16, 0);
            }
            Self::Inet6 {
                address,
                port,
                flow,
                zone,
            } => {
                bytes.extend(port.to_be_bytes());
                bytes.extend(flow.to_be_bytes());
                bytes.extend(address.octets());
                bytes.extend(zone.to_ne_bytes());
            }
            Self::UnixUnnamed => {}
            Self::UnixPath(path) => {
                bytes.extend(path);
                // The kernel adds the terminating zero itself when the path fills the field.
                if path.len() < UNIX_PATH_ROOM {
                    bytes.push(0);
                }
            }
            Self::UnixAbstract(name) => {
                bytes.push(0);
                bytes.extend(name);
            }
            Self::Packet {
                protocol,
                interface,
                hardware_type,
                packet_type,
                hardware,
            } => {
                bytes.extend(protocol.to_be_bytes());
                bytes.extend(interface.to_ne_bytes());
                bytes.extend(hardware_type.to_ne_bytes());
                bytes.push(*packet_type);
                bytes.push(hardware.len().min(8) as u8);
                bytes.extend(&hardware[..hardware.len().min(8)]);
                bytes.resize(20, 0);
            }
            Self::Netlink { port, groups } => {
                bytes.extend([0, 0]);
                bytes.extend(port.to_ne_bytes());
                bytes.extend(groups.to_ne_bytes());
            }
            Self::Vsock { cid, port } => {
                bytes.extend([0, 0]);
                bytes.extend(port.to_ne_bytes());
                bytes.extend(cid.to_ne_bytes());
                bytes.resize(16, 0);
            }
            Self::Unknown { bytes: all, .. } => bytes.clone_from(all),
        }
        bytes
    }

    /// Parses the text that [`Display`] prints; names of hosts and interfaces are not looked up.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let error = |reason| ParseError {
            text: text.to_owned(),
            reason,
        };
        if text == "unspecified" {
            return Ok(Self::Unspecified);
        }
        if let Some(name) = text.strip_prefix("unix:") {
            return Self::parse_unix(name).map_err(error);
        }
        if let Some(rest) = text.strip_prefix("netlink:") {
            let (port, groups) = rest.split_once('/').unwrap_or((rest, "0"));
            let port = port
                .parse()
                .map_err(|_| error("the port after netlink: is not a number"))?;
            let groups =
                number(groups).ok_or_else(|| error("the groups after / are not a number"))?;
            return Ok(Self::Netlink { port, groups });
        }
        if let Some(rest) = text.strip_prefix("vsock:") {
            let (cid, port) = rest
                .split_once(':')
                .ok_or_else(|| error("a vsock address is vsock:CID:PORT"))?;
            let any = |part: &str| {
                if part == "any" {
                    Some(VSOCK_ANY)
                } else {
                    part.parse().ok()
                }
            };
            let cid = any(cid).ok_or_else(|| error("the CID is not a number"))?;
            let port = any(port).ok_or_else(|| error("the port is not a number"))?;
            return Ok(Self::Vsock { cid, port });
        }
        if let Some(rest) = text.strip_prefix("packet:if") {
            return Self::parse_packet(rest).map_err(error);
        }
        if text.starts_with('[') {
            return Self::parse_inet6(text).map_err(error);
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| error("the port is missing (write ADDRESS:PORT)"))?;
        let address = host
            .parse()
            .map_err(|_| error("not an IPv4 address, and IPv6 needs [ADDRESS]:PORT"))?;
        let port = port
            .parse()
            .map_err(|_| error("the port is not a number from 0 to 65535"))?;
        Ok(Self::Inet { address, port })
    }

    fn parse_unix(name: &str) -> Result<Self, &'static str> {
        if name.is_empty() {
            return Ok(Self::UnixUnnamed);
        }
        let (abstract_name, name) = name
            .strip_prefix('@')
            .map_or((false, name), |name| (true, name));
        let bytes = unescape(name).ok_or("a backslash must be followed by a backslash or xNN")?;
        let room = if abstract_name {
            UNIX_PATH_ROOM - 1
        } else {
            UNIX_PATH_ROOM
        };
        if bytes.len() > room {
            return Err("the name is longer than the 108 bytes of sun_path");
        }
        if abstract_name {
            return Ok(Self::UnixAbstract(bytes));
        }
        if bytes.contains(&0) {
            return Err("a path cannot hold a zero byte");
        }
        Ok(Self::UnixPath(bytes))
    }

    fn parse_packet(rest: &str) -> Result<Self, &'static str> {
        let mut parts = rest.splitn(3, '/');
        let interface = parts
            .next()
            .and_then(|part| part.parse().ok())
            .ok_or("the interface number is missing")?;
        let protocol = parts
            .next()
            .and_then(number)
            .ok_or("the protocol after / is missing")?;
        let protocol = u16::try_from(protocol).map_err(|_| "the protocol has more than 16 bits")?;
        let hardware = match parts.next() {
            None => Vec::new(),
            Some(text) => text
                .split(':')
                .map(|byte| u8::from_str_radix(byte, 16).ok())
                .collect::<Option<Vec<u8>>>()
                .filter(|bytes| bytes.len() <= 8)
                .ok_or("the link-layer address is not bytes in hex")?,
        };
        Ok(Self::Packet {
            protocol,
            interface,
            hardware_type: 0,
            packet_type: 0,
            hardware,
        })
    }

    fn parse_inet6(text: &str) -> Result<Self, &'static str> {
        let (host, rest) = text[1..]
            .split_once(']')
            .ok_or("the ] after the IPv6 address is missing")?;
        let rest = rest
            .strip_prefix(':')
            .ok_or("the port after ] is missing")?;
        let (port, flow) = rest.split_once("?flow=").unwrap_or((rest, "0"));
        let (host, zone) = host.split_once('%').unwrap_or((host, "0"));
        let address = host.parse().map_err(|_| "not an IPv6 address")?;
        let zone = zone
            .parse()
            .map_err(|_| "the zone is not an interface number")?;
        let port = port
            .parse()
            .map_err(|_| "the port is not a number from 0 to 65535")?;
        let flow = number(flow).ok_or("the flow is not a number")?;
        Ok(Self::Inet6 {
            address,
            port,
            flow,
            zone,
        })
    }
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no socket address: {reason}")]
pub struct ParseError {
    text: String,
    reason: &'static str,
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::Inet {
                address: *v4.ip(),
                port: v4.port(),
            },
            SocketAddr::V6(v6) => Self::Inet6 {
                address: *v6.ip(),
                port: v6.port(),
                flow: v6.flowinfo(),
                zone: v6.scope_id(),
            },
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unspecified => f.write_str("unspecified"),
            Self::Inet { address, port } => write!(f, "{address}:{port}"),
            Self::Inet6 {
                address,
                port,
                flow,
                zone,
            } => {
                write!(f, "[{address}")?;
                if *zone != 0 {
                    write!(f, "%{zone}")?;
                }
                write!(f, "]:{port}")?;
                if *flow != 0 {
                    write!(f, "?flow={flow:#x}")?;
                }
                Ok(())
            }
            Self::UnixUnnamed => f.write_str("unix:"),
            Self::UnixPath(path) => {
                f.write_str("unix:")?;
                // A path that starts with @ must not look like an abstract name.
                match path.split_first() {
                    Some((b'@', rest)) => write!(f, "\\x40{}", escape(rest)),
                    _ => f.write_str(&escape(path)),
                }
            }
            Self::UnixAbstract(name) => write!(f, "unix:@{}", escape(name)),
            Self::Packet {
                protocol,
                interface,
                hardware,
                ..
            } => {
                write!(f, "packet:if{interface}/{protocol:#06x}")?;
                for (position, byte) in hardware.iter().enumerate() {
                    write!(f, "{}{byte:02x}", if position == 0 { '/' } else { ':' })?;
                }
                Ok(())
            }
            Self::Netlink { port, groups } => {
                write!(f, "netlink:{port}/")?;
                if *groups == 0 {
                    f.write_str("0")
                } else {
                    write!(f, "{groups:#x}")
                }
            }
            Self::Vsock { cid, port } => {
                f.write_str("vsock:")?;
                any_or_number(f, *cid)?;
                f.write_str(":")?;
                any_or_number(f, *port)
            }
            Self::Unknown { family, bytes } => {
                match family {
                    Some(family) => match crate::names::FAMILIES.name(i64::from(*family)) {
                        Some(name) => write!(f, "{name}:")?,
                        None => write!(f, "family {family}:")?,
                    },
                    None => f.write_str("cut off:")?,
                }
                let data = if family.is_some() { &bytes[2..] } else { bytes };
                for byte in data {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

fn any_or_number(f: &mut fmt::Formatter<'_>, value: u32) -> fmt::Result {
    if value == VSOCK_ANY {
        f.write_str("any")
    } else {
        write!(f, "{value}")
    }
}

/// Bytes as text on one line: printable characters as they are, everything else and the backslash escaped.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push_str("\\\\");
            } else if is_printable(character) {
                text.push(character);
            } else {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Characters that show as themselves: no controls, and none of Unicode's format characters and line separators, which hide or
/// reorder the text around them.
fn is_printable(character: char) -> bool {
    let hides = matches!(
        u32::from(character),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890..=0x891 | 0x8e2 | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e
            | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0x110bd | 0x110cd | 0x13430..=0x1343f | 0x1bca0..=0x1bca3
            | 0x1d173..=0x1d17a | 0xe0000..=0xe007f
    );
    !character.is_control() && !hides
}

/// Undoes [`escape`]; `None` where a backslash begins neither `\\` nor `\xNN`.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'\\' {
            bytes.push(*first);
            rest = tail;
        } else if tail.first() == Some(&b'\\') {
            bytes.push(b'\\');
            rest = &tail[1..];
        } else {
            let digits = tail.strip_prefix(b"x")?.get(..2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &tail[3..];
        }
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> String {
        Address::decode(bytes).to_string()
    }

    #[test]
    fn known_bytes() {
        // AF_INET, port 80, 127.0.0.1
        assert_eq!(
            shown(&[2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            "127.0.0.1:80"
        );
        // AF_INET6, port 53, flow 0, fe80::1, zone 2
        let mut inet6 = vec![10, 0, 0, 53, 0, 0, 0, 0, 0xfe, 0x80];
        inet6.extend([0; 13]);
        inet6.extend([1, 2, 0, 0, 0]);
        assert_eq!(shown(&inet6), "[fe80::1%2]:53");
        assert_eq!(shown(&inet6[..24]), "[fe80::1]:53");
        assert_eq!(shown(b"\x01\x00/run/x\x00rest"), "unix:/run/x");
        assert_eq!(shown(b"\x01\x00\x00name"), "unix:@name");
        assert_eq!(shown(b"\x01\x00\x00na\x00me\n"), "unix:@na\\x00me\\x0a");
        assert_eq!(shown(b"\x01\x00"), "unix:");
        assert_eq!(shown(b"\x01\x00@x\x00"), "unix:\\x40x");
        assert_eq!(
            shown(&[16, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0]),
            "netlink:7/0x1"
        );
        assert_eq!(
            shown(&[17, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            "packet:if3/0x0003"
        );
        assert_eq!(
            shown(&[17, 0, 8, 0, 3, 0, 0, 0, 1, 0, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0]),
            "packet:if3/0x0800/02:00:00:00:00:09"
        );
        assert_eq!(
            shown(&[40, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
            "vsock:2:1"
        );
        assert_eq!(
            shown(&[40, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255]),
            "vsock:any:1"
        );
        assert_eq!(shown(&[]), "unspecified");
        assert_eq!(shown(&[0, 0, 1, 2]), "unspecified");
        assert_eq!(shown(&[31, 0, 1, 2]), "AF_BLUETOOTH:0102");
        assert_eq!(shown(&[99, 0, 1]), "family 99:01");
        assert_eq!(shown(&[2, 0, 0, 80, 127]), "AF_INET:00507f");
        assert_eq!(shown(&[2]), "cut off:02");
    }

    #[test]
    fn texts_that_are_no_address_say_why() {
        for (text, reason) in [
            ("127.0.0.1", "the port is missing"),
            ("127.0.0.1:99999", "0 to 65535"),
            ("::1:80", "IPv6 needs [ADDRESS]:PORT"),
            ("[::1]80", "the port after ] is missing"),
            ("[::1", "the ] after"),
            ("[::1%eth0]:1", "zone"),
            ("unix:\\q", "backslash"),
            ("vsock:1", "vsock:CID:PORT"),
            ("packet:ifx/1", "interface number"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let long = format!("unix:/{}", "x".repeat(108));
        assert!(
            Address::parse(&long)
                .unwrap_err()
                .to_string()
                .contains("108 bytes")
        );
    }

    fn any_address() -> impl Strategy<Value = Address> {
        prop_oneof![
            Just(Address::Unspecified),
            Just(Address::UnixUnnamed),
            (any::<[u8; 4]>(), any::<u16>()).prop_map(|(a, port)| Address::Inet {
                address: a.into(),
                port
            }),
            (any::<[u8; 16]>(), any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
                |(a, port, flow, zone)| Address::Inet6 {
                    address: a.into(),
                    port,
                    flow,
                    zone
                }
            ),
            proptest::collection::vec(1_u8.., 1..=108).prop_map(Address::UnixPath),
            proptest::collection::vec(any::<u8>(), 0..=107).prop_map(Address::UnixAbstract),
            (
                any::<u16>(),
                any::<u32>(),
                proptest::collection::vec(any::<u8>(), 0..=8)
            )
                .prop_map(|(protocol, interface, hardware)| {
                    Address::Packet {
                        protocol,
                        interface,
                        hardware_type: 0,
                        packet_type: 0,
                        hardware,
                    }
                }),
            (any::<u32>(), any::<u32>())
                .prop_map(|(port, groups)| Address::Netlink { port, groups }),
            (any::<u32>(), any::<u32>()).prop_map(|(cid, port)| Address::Vsock { cid, port }),
        ]
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(address in any_address()) {
            prop_assert_eq!(Address::decode(&address.encode()), address);
        }

        #[test]
        fn parsing_undoes_printing(address in any_address()) {
            let text = address.to_string();
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(Address::parse(&text), Ok(address));
        }

        #[test]
        fn any_bytes_decode_and_print(family in prop_oneof![0_u8..50, any::<u8>()], rest in proptest::collection::vec(any::<u8>(), 0..140)) {
            let mut bytes = vec![family, 0];
            bytes.extend(rest);
            for cut in 0..=bytes.len() {
                let address = Address::decode(&bytes[..cut]);
                prop_assert!(!address.to_string().is_empty());
            }
        }

        #[test]
        fn any_text_parses_or_says_why(text in "(unix:|vsock:|netlink:|packet:if|\\[)?\\PC{0,40}") {
            let _ = Address::parse(&text);
        }
    }
}
