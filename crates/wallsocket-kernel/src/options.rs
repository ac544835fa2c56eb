//! Socket options: the one table, and the decoding and encoding of their values.
//!
//! Sources: socket(7), ip(7), ipv6(7), tcp(7), udp(7), raw(7), packet(7), netlink(7), vsock(7), unix(7); the kernel's uapi headers;
//! net/core/sock.c, net/ipv4/{ip_sockglue,tcp,udp}.c, net/ipv6/ipv6_sockglue.c, net/packet/af_packet.c, net/netlink/af_netlink.c.

use std::fmt::{self, Display, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::address::{self, Address};
use crate::names::{self, Flags, Table};
use crate::tcp_info::TcpInfo;

mod table;

const SO_MAX_PACING_RATE: i32 = 47;

pub use table::OPTIONS;

/// Sockets an option is for, as bits of [`SocketOption::applies`].
pub mod applies {
    /// TCP over IPv4.
    pub const TCP: u16 = 1;
    /// UDP over IPv4.
    pub const UDP: u16 = 2;
    /// SOCK_RAW over IPv4.
    pub const RAW: u16 = 4;
    /// TCP over IPv6.
    pub const TCP6: u16 = 8;
    /// UDP over IPv6.
    pub const UDP6: u16 = 16;
    /// SOCK_RAW over IPv6.
    pub const RAW6: u16 = 32;
    /// AF_UNIX of any type.
    pub const UNIX: u16 = 64;
    /// AF_PACKET.
    pub const PACKET: u16 = 128;
    /// AF_NETLINK.
    pub const NETLINK: u16 = 256;
    /// AF_VSOCK.
    pub const VSOCK: u16 = 512;
    /// AF_ALG.
    pub const ALG: u16 = 1024;
    /// Multipath TCP.
    pub const MPTCP: u16 = 2048;

    /// Every TCP socket.
    pub const ANY_TCP: u16 = TCP | TCP6;
    /// Every UDP socket.
    pub const ANY_UDP: u16 = UDP | UDP6;
    /// Every raw IP socket.
    pub const ANY_RAW: u16 = RAW | RAW6;
    /// Every socket of IPv4.
    pub const INET: u16 = TCP | UDP | RAW;
    /// Every socket of IPv6.
    pub const INET6: u16 = TCP6 | UDP6 | RAW6;
    /// Every socket of either IP.
    pub const ANY_IP: u16 = INET | INET6;
    /// Every socket.
    pub const ALL: u16 = ANY_IP | UNIX | PACKET | NETLINK | VSOCK;

    /// The bits with their names.
    pub const NAMES: &[(u16, &str)] = &[
        (TCP, "tcp"),
        (UDP, "udp"),
        (RAW, "raw"),
        (TCP6, "tcp6"),
        (UDP6, "udp6"),
        (RAW6, "raw6"),
        (UNIX, "unix"),
        (PACKET, "packet"),
        (NETLINK, "netlink"),
        (VSOCK, "vsock"),
        (ALG, "alg"),
        (MPTCP, "mptcp"),
    ];
}

/// What can be done with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// getsockopt and setsockopt.
    ReadWrite,
    /// getsockopt only.
    ReadOnly,
    /// setsockopt only.
    WriteOnly,
}

impl Access {
    /// Whether getsockopt takes it.
    pub fn readable(self) -> bool {
        self != Self::WriteOnly
    }

    /// Whether setsockopt takes it.
    pub fn settable(self) -> bool {
        self != Self::ReadOnly
    }
}

/// When setting an option has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At any time.
    Any,
    /// Before bind().
    BeforeBind,
    /// Before connect() or listen(): fixed in the handshake or at the first packet.
    BeforeConnect,
    /// On a listening socket, or before listen().
    Listening,
    /// On a connected socket only.
    Connected,
}

impl When {
    /// The word for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Any => "any time",
            Self::BeforeBind => "before bind",
            Self::BeforeConnect => "before connect or listen",
            Self::Listening => "on a listener",
            Self::Connected => "when connected",
        }
    }
}

/// The form of an option's value.
#[derive(Clone, Copy)]
pub enum Kind {
    /// An int that means no (0) or yes.
    Bool,
    /// A signed number.
    Int,
    /// An unsigned number of 4 or 8 bytes, as long as the bytes are.
    Uint,
    /// An unsigned number of 8 bytes.
    Uint64,
    /// An int with a name for each value.
    Named(&'static Table),
    /// Bits with names.
    Flags(&'static Flags),
    /// Text that ends at a zero byte.
    Text,
    /// Bytes without further form here.
    Bytes,
    /// An error number, 0 for none.
    Error,
    /// A descriptor.
    Descriptor,
    /// A whole socket address.
    Address,
    /// One IPv4 address.
    Ipv4,
    /// `struct timeval`: a time limit, none when zero.
    Timeout,
    /// `struct linger`.
    Linger,
    /// A C struct.
    Struct(&'static [Field]),
    /// Unsigned numbers of 4 bytes, as many as there are.
    List,
    /// `struct tcp_info`.
    TcpInfo,
    /// An interface number in network order.
    InterfaceBigEndian,
    /// Two ports in one word: the lower in the low half.
    PortRange,
    /// Nothing: setting needs no value.
    Empty,
}

impl Kind {
    /// The word for it, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "unsigned",
            Self::Uint64 => "unsigned 64",
            Self::Named(_) => "enum",
            Self::Flags(_) => "flags",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Error => "error",
            Self::Descriptor => "descriptor",
            Self::Address => "address",
            Self::Ipv4 => "ipv4 address",
            Self::Timeout => "timeval",
            Self::Linger => "linger",
            Self::Struct(_) => "struct",
            Self::List => "list",
            Self::TcpInfo => "tcp_info",
            Self::InterfaceBigEndian => "interface",
            Self::PortRange => "port range",
            Self::Empty => "none",
        }
    }
}

/// A member of a C struct; members follow each other without holes, padding is a member of its own.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its name in the kernel's header; empty for padding.
    pub name: &'static str,
    /// Its form.
    pub kind: FieldKind,
}

/// The form of a struct's member.
#[derive(Clone, Copy)]
pub enum FieldKind {
    /// One byte.
    U8,
    /// Two bytes.
    U16,
    /// Two bytes in network order.
    U16BigEndian,
    /// Four bytes, signed.
    I32,
    /// Four bytes.
    U32,
    /// Four bytes in network order.
    U32BigEndian,
    /// Eight bytes, signed.
    I64,
    /// Eight bytes.
    U64,
    /// Four bytes of bits with names.
    Flags(&'static Flags),
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A socket address in 128 bytes.
    Storage,
    /// So many bytes without a meaning of their own.
    Bytes(usize),
}

impl FieldKind {
    fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::U16BigEndian => 2,
            Self::I32 | Self::U32 | Self::U32BigEndian | Self::Flags(_) | Self::Ipv4 => 4,
            Self::I64 | Self::U64 => 8,
            Self::Ipv6 => 16,
            Self::Storage => 128,
            Self::Bytes(length) => length,
        }
    }
}

/// One socket option.
#[derive(Clone, Copy)]
pub struct SocketOption {
    /// Level, as in getsockopt().
    pub level: i32,
    /// Number within the level.
    pub number: i32,
    /// The kernel's name.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// Unit of a number, or empty.
    pub unit: &'static str,
    /// Sockets that have it: bits of [`applies`].
    pub applies: u16,
    /// Whether it can be read, set, or both.
    pub access: Access,
    /// When setting it has an effect.
    pub when: When,
    /// The first kernel that has it, where it is newer than Linux 2.6.
    pub since: Option<(u8, u8)>,
    /// The permission that setting needs, or empty.
    pub privilege: &'static str,
    /// What reading or setting needs besides, or what reading changes, or empty.
    pub condition: &'static str,
    /// True when the value is or holds a key: it is never shown.
    pub secret: bool,
    /// True when reading it changes something: an error is taken, a counter reset, a descriptor made.
    pub reading_changes: bool,
    /// What it does, in one sentence.
    pub meaning: &'static str,
}

impl SocketOption {
    const fn new(
        level: i32,
        number: i32,
        name: &'static str,
        kind: Kind,
        applies: u16,
        meaning: &'static str,
    ) -> Self {
        Self {
            level,
            number,
            name,
            kind,
            unit: "",
            applies,
            access: Access::ReadWrite,
            when: When::Any,
            since: None,
            privilege: "",
            condition: "",
            secret: false,
            reading_changes: false,
            meaning,
        }
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    const fn write_only(mut self) -> Self {
        self.access = Access::WriteOnly;
        self
    }

    const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    const fn since(mut self, major: u8, minor: u8) -> Self {
        self.since = Some((major, minor));
        self
    }

    const fn privilege(mut self, privilege: &'static str) -> Self {
        self.privilege = privilege;
        self
    }

    const fn condition(mut self, condition: &'static str) -> Self {
        self.condition = condition;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn reading_changes(mut self) -> Self {
        self.reading_changes = true;
        self
    }

    /// Names of the members of its value, where the value has members.
    pub fn members(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Struct(fields) => fields
                .iter()
                .map(|field| field.name)
                .filter(|name| !name.is_empty())
                .collect(),
            Kind::Linger => vec!["on", "seconds"],
            Kind::PortRange => vec!["low", "high"],
            Kind::Ipv4 => vec!["group", "address", "interface"],
            Kind::TcpInfo => crate::tcp_info::FIELDS
                .iter()
                .map(|field| field.name)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Bytes to offer to getsockopt.
    pub fn read_size(&self) -> usize {
        match self.kind {
            // The kernel returns as many bytes as fit, and this rate needs all eight to say "no limit".
            Kind::Uint if self.number == SO_MAX_PACING_RATE && self.level == libc::SOL_SOCKET => 8,
            Kind::Bool
            | Kind::Int
            | Kind::Uint
            | Kind::Named(_)
            | Kind::Flags(_)
            | Kind::Error
            | Kind::Descriptor
            | Kind::Ipv4
            | Kind::InterfaceBigEndian
            | Kind::PortRange => 4,
            Kind::Uint64 | Kind::Linger => 8,
            Kind::Timeout => 16,
            Kind::Text => 64,
            Kind::Address => 128,
            Kind::Bytes | Kind::List | Kind::TcpInfo => 512,
            Kind::Struct(fields) => fields.iter().map(|field| field.kind.size()).sum(),
            Kind::Empty => 0,
        }
    }

    /// The value in `bytes`, which a program passed or the kernel returned; too short ones come as bytes.
    pub fn decode(&self, bytes: &[u8]) -> Value {
        if self.secret {
            return Value::Secret(bytes.len());
        }
        self.decode_open(bytes)
            .unwrap_or_else(|| Value::Bytes(bytes.to_vec()))
    }

    fn decode_open(&self, bytes: &[u8]) -> Option<Value> {
        Some(match self.kind {
            Kind::Bool => match signed(bytes)? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                // Some of these hold a small number after all; the number is not thrown away.
                other => Value::Int(other),
            },
            Kind::Int | Kind::Error | Kind::Descriptor | Kind::Named(_) => {
                Value::Int(signed(bytes)?)
            }
            Kind::Flags(_) => Value::Uint(u64::from(uint32(bytes, 0)?)),
            Kind::Uint if bytes.len() < 8 => Value::Uint(u64::from(uint32(bytes, 0)?)),
            Kind::Uint | Kind::Uint64 => Value::Uint(u64::from_ne_bytes(array(bytes, 0)?)),
            Kind::Text => {
                let text: Vec<u8> = bytes
                    .iter()
                    .copied()
                    .take_while(|byte| *byte != 0)
                    .collect();
                Value::Text(address::escape(&text))
            }
            Kind::Bytes => Value::Bytes(bytes.to_vec()),
            Kind::Address => Value::Address(Address::decode(bytes)),
            Kind::Ipv4 => {
                // IP_MULTICAST_IF also takes ip_mreq and ip_mreqn, whose second member is the address.
                let at = if bytes.len() >= 8 { 4 } else { 0 };
                let address = Ipv4Addr::from(array::<4>(bytes, at)?);
                if bytes.len() >= 12 {
                    let interface = int32(bytes, 8)?;
                    Value::Fields(vec![
                        ("address", Value::Text(address.to_string())),
                        ("interface", Value::Int(i64::from(interface))),
                    ])
                } else {
                    Value::Text(address.to_string())
                }
            }
            Kind::Timeout => {
                let seconds = i64::from_ne_bytes(array(bytes, 0)?);
                let microseconds = i64::from_ne_bytes(array(bytes, 8)?);
                Value::Microseconds(seconds.checked_mul(1_000_000)?.checked_add(microseconds)?)
            }
            Kind::Linger => {
                let on = int32(bytes, 0)? != 0;
                Value::Fields(vec![
                    ("on", Value::Bool(on)),
                    ("seconds", Value::Int(i64::from(int32(bytes, 4)?))),
                ])
            }
            Kind::Struct(fields) => decode_struct(fields, bytes)?,
            Kind::List => Value::List(
                bytes
                    .chunks_exact(4)
                    .filter_map(|chunk| uint32(chunk, 0))
                    .map(u64::from)
                    .collect(),
            ),
            Kind::TcpInfo => {
                let info = TcpInfo::parse(bytes)?;
                Value::Fields(
                    info.fields()
                        .map(|(field, value)| (field.name, Value::Uint(value)))
                        .collect(),
                )
            }
            Kind::InterfaceBigEndian => Value::Int(i64::from(i32::from_be_bytes(array(bytes, 0)?))),
            Kind::PortRange => {
                let word = uint32(bytes, 0)?;
                Value::Fields(vec![
                    ("low", Value::Uint(u64::from(word & 0xffff))),
                    ("high", Value::Uint(u64::from(word >> 16))),
                ])
            }
            Kind::Empty => Value::Nothing,
        })
    }

    /// `value` as text, with its names and its unit.
    pub fn render(&self, value: &Value) -> String {
        match (self.kind, value) {
            (Kind::Error, Value::Int(0)) => "none".to_owned(),
            (Kind::Error, Value::Int(number)) => names::ERRORS.render(*number).into_owned(),
            (Kind::Named(table), Value::Int(number)) => table.render(*number).into_owned(),
            (Kind::Flags(flags), Value::Uint(bits)) => flags.render(*bits),
            (Kind::Flags(flags), Value::Int(bits)) => {
                flags.render(bits.cast_unsigned() & 0xffff_ffff)
            }
            (Kind::Uint, Value::Uint(u64::MAX)) | (Kind::Timeout, Value::Microseconds(0)) => {
                "no limit".to_owned()
            }
            (Kind::Struct(fields), Value::Fields(members)) => {
                let mut text = String::from("{");
                for (position, (name, member)) in members.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    let kind = fields
                        .iter()
                        .find(|field| field.name == *name)
                        .map(|field| field.kind);
                    let shown = match (kind, member) {
                        (Some(FieldKind::Flags(flags)), Value::Uint(bits)) => flags.render(*bits),
                        _ => member.to_string(),
                    };
                    let _ = write!(text, "{separator}{name}={shown}");
                }
                text.push('}');
                text
            }
            (_, Value::Int(_) | Value::Uint(_)) if !self.unit.is_empty() => {
                format!("{value} {}", self.unit)
            }
            _ => value.to_string(),
        }
    }

    /// The bytes for setsockopt.
    pub fn encode(&self, value: &Value) -> Result<Vec<u8>, EncodeError> {
        let wrong = |wanted: &'static str| EncodeError {
            name: self.name,
            wanted,
        };
        if !self.access.settable() {
            return Err(wrong("no value: it can only be read"));
        }
        if let Value::Bytes(bytes) = value {
            return Ok(bytes.clone());
        }
        match self.kind {
            Kind::Bool => match value {
                Value::Bool(on) => Ok(i32::from(*on).to_ne_bytes().to_vec()),
                Value::Int(_) | Value::Uint(_) => value.int32().ok_or_else(|| wrong("a bool")),
                _ => Err(wrong("a bool")),
            },
            Kind::Int | Kind::Descriptor => {
                value.int32().ok_or_else(|| wrong("a number of 32 bits"))
            }
            Kind::Named(table) => match value {
                Value::Text(name) => {
                    let number = table
                        .value(name)
                        .ok_or_else(|| wrong("one of its names, or a number"))?;
                    Ok((number as i32).to_ne_bytes().to_vec())
                }
                _ => value
                    .int32()
                    .ok_or_else(|| wrong("one of its names, or a number")),
            },
            Kind::Flags(_) => value
                .unsigned()
                .and_then(|bits| u32::try_from(bits).ok())
                .map(|bits| bits.to_ne_bytes().to_vec())
                .ok_or_else(|| wrong("bits in 32 bits")),
            Kind::Uint => {
                let number = value
                    .unsigned()
                    .ok_or_else(|| wrong("a number that is not negative"))?;
                Ok(match u32::try_from(number) {
                    Ok(number) => number.to_ne_bytes().to_vec(),
                    Err(_) => number.to_ne_bytes().to_vec(),
                })
            }
            Kind::Uint64 => value
                .unsigned()
                .map(|number| number.to_ne_bytes().to_vec())
                .ok_or_else(|| wrong("a number that is not negative")),
            Kind::Text => match value {
                Value::Text(text) if !text.contains('\0') => {
                    let mut bytes = address::unescape(text)
                        .ok_or_else(|| wrong("a text whose backslashes are \\\\ or \\xNN"))?;
                    bytes.push(0);
                    Ok(bytes)
                }
                _ => Err(wrong("a text without zero bytes")),
            },
            Kind::Address => match value {
                Value::Address(address) => Ok(address.encode()),
                _ => Err(wrong("an address")),
            },
            Kind::Ipv4 => match value {
                Value::Text(text) => {
                    let address: Ipv4Addr = text.parse().map_err(|_| wrong("an IPv4 address"))?;
                    Ok(address.octets().to_vec())
                }
                Value::Fields(_) => encode_struct(table::MULTICAST_INTERFACE, value).map_err(wrong),
                _ => Err(wrong("an IPv4 address")),
            },
            Kind::Timeout => match value {
                Value::Microseconds(microseconds) if *microseconds >= 0 => {
                    let mut bytes = (microseconds / 1_000_000).to_ne_bytes().to_vec();
                    bytes.extend((microseconds % 1_000_000).to_ne_bytes());
                    Ok(bytes)
                }
                _ => Err(wrong("a time that is not negative")),
            },
            Kind::Linger => {
                let Value::Fields(members) = value else {
                    return Err(wrong("on and seconds"));
                };
                let member = |name| {
                    members
                        .iter()
                        .find(|member| member.0 == name)
                        .and_then(|member| member.1.int32())
                };
                let mut bytes = member("on").ok_or_else(|| wrong("on and seconds"))?;
                bytes.extend(member("seconds").unwrap_or_else(|| vec![0; 4]));
                Ok(bytes)
            }
            Kind::Struct(fields) => encode_struct(fields, value).map_err(wrong),
            Kind::List => match value {
                Value::List(numbers) => numbers
                    .iter()
                    .map(|number| u32::try_from(*number).map(u32::to_ne_bytes))
                    .collect::<Result<Vec<_>, _>>()
                    .map(|words| words.concat())
                    .map_err(|_| wrong("numbers of 32 bits")),
                _ => Err(wrong("a list of numbers")),
            },
            Kind::InterfaceBigEndian => {
                let bytes = value.int32().ok_or_else(|| wrong("an interface number"))?;
                Ok(array(&bytes, 0)
                    .map(i32::from_ne_bytes)
                    .unwrap_or_default()
                    .to_be_bytes()
                    .to_vec())
            }
            Kind::PortRange => {
                let Value::Fields(members) = value else {
                    return Err(wrong("low and high"));
                };
                let member = |name| {
                    let found = members.iter().find(|member| member.0 == name)?;
                    found.1.unsigned().filter(|port| *port <= 0xffff)
                };
                match (member("low"), member("high")) {
                    (Some(low), Some(high)) => {
                        Ok((low as u32 | (high as u32) << 16).to_ne_bytes().to_vec())
                    }
                    _ => Err(wrong("low and high ports from 0 to 65535")),
                }
            }
            Kind::Empty => Ok(Vec::new()),
            Kind::Bytes | Kind::TcpInfo | Kind::Error => Err(wrong("bytes")),
        }
    }
}

/// A value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Nothing,
    /// No or yes.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A time in microseconds.
    Microseconds(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A socket address.
    Address(Address),
    /// Numbers.
    List(Vec<u64>),
    /// Members of a struct, by name.
    Fields(Vec<(&'static str, Value)>),
    /// A key of so many bytes, not shown.
    Secret(usize),
}

impl Value {
    fn int32(&self) -> Option<Vec<u8>> {
        let number = match self {
            Self::Bool(on) => i32::from(*on),
            Self::Int(number) => i32::try_from(*number).ok()?,
            // An unsigned word is what the kernel makes of it: the same bits.
            Self::Uint(number) => u32::try_from(*number).ok()?.cast_signed(),
            _ => return None,
        };
        Some(number.to_ne_bytes().to_vec())
    }

    fn unsigned(&self) -> Option<u64> {
        match self {
            Self::Bool(on) => Some(u64::from(*on)),
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::Uint(number) => Some(*number),
            _ => None,
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Bool(on) => f.write_str(if *on { "on" } else { "off" }),
            Self::Int(number) => write!(f, "{number}"),
            Self::Uint(number) => write!(f, "{number}"),
            Self::Microseconds(time) if time % 1_000_000 == 0 => {
                write!(f, "{} s", time / 1_000_000)
            }
            Self::Microseconds(time) if time % 1000 == 0 => write!(f, "{} ms", time / 1000),
            Self::Microseconds(time) => write!(f, "{time} µs"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Bytes(bytes) => {
                f.write_str("0x")?;
                for byte in bytes {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
            Self::Address(address) => Display::fmt(address, f),
            Self::List(numbers) => write!(f, "{numbers:?}"),
            Self::Fields(members) => {
                f.write_str("{")?;
                for (position, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{name}={value}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Self::Secret(length) => write!(f, "({length} bytes with a key, not shown)"),
        }
    }
}

/// A value that an option cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} takes {wanted}")]
pub struct EncodeError {
    name: &'static str,
    wanted: &'static str,
}

/// The option of that number, if the table has it.
pub fn find(level: i32, number: i32) -> Option<&'static SocketOption> {
    OPTIONS
        .iter()
        .find(|option| option.level == level && option.number == number)
}

/// The option of that name (`SO_RCVBUF`, `TCP_NODELAY`); capitals do not matter.
pub fn find_by_name(name: &str) -> Option<&'static SocketOption> {
    OPTIONS
        .iter()
        .find(|option| option.name.eq_ignore_ascii_case(name))
}

/// The option's name, or `level/number` where the table has none.
pub fn render_name(level: i32, number: i32) -> String {
    find(level, number).map_or_else(
        || format!("{}/{number}", render_level(level)),
        |option| option.name.to_owned(),
    )
}

/// The level by name, or as a number.
pub fn render_level(level: i32) -> String {
    names::LEVELS.render(i64::from(level)).into_owned()
}

/// The text and the value of the bytes of any option; what is not in the table is a number when 4 bytes long, else bytes.
pub fn decode(level: i32, number: i32, bytes: &[u8]) -> (String, Value) {
    if let Some(option) = find(level, number) {
        let value = option.decode(bytes);
        (option.render(&value), value)
    } else {
        let value = match array(bytes, 0).filter(|_| bytes.len() == 4) {
            Some(word) => Value::Int(i64::from(i32::from_ne_bytes(word))),
            None => Value::Bytes(bytes.to_vec()),
        };
        (value.to_string(), value)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn int32(bytes: &[u8], at: usize) -> Option<i32> {
    array(bytes, at).map(i32::from_ne_bytes)
}

fn uint32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

/// An int, or the one byte that the IP level takes and returns in its place.
fn signed(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        0 => None,
        1..4 => Some(i64::from(bytes[0])),
        _ => int32(bytes, 0).map(i64::from),
    }
}

/// Members as far as the bytes reach: older kernels and programs know shorter structs.
fn decode_struct(fields: &'static [Field], bytes: &[u8]) -> Option<Value> {
    let mut members = Vec::new();
    let mut at = 0;
    for field in fields {
        let size = field.kind.size();
        let Some(part) = bytes.get(at..at + size) else {
            break;
        };
        at += size;
        if field.name.is_empty() {
            continue;
        }
        let value = match field.kind {
            FieldKind::U8 => Value::Uint(u64::from(part[0])),
            FieldKind::U16 => Value::Uint(u64::from(u16::from_ne_bytes(array(part, 0)?))),
            FieldKind::U16BigEndian => Value::Uint(u64::from(u16::from_be_bytes(array(part, 0)?))),
            FieldKind::I32 => Value::Int(i64::from(int32(part, 0)?)),
            FieldKind::U32 | FieldKind::Flags(_) => Value::Uint(u64::from(uint32(part, 0)?)),
            FieldKind::U32BigEndian => Value::Uint(u64::from(u32::from_be_bytes(array(part, 0)?))),
            FieldKind::I64 => Value::Int(i64::from_ne_bytes(array(part, 0)?)),
            FieldKind::U64 => Value::Uint(u64::from_ne_bytes(array(part, 0)?)),
            FieldKind::Ipv4 => Value::Text(Ipv4Addr::from(array::<4>(part, 0)?).to_string()),
            FieldKind::Ipv6 => Value::Text(Ipv6Addr::from(array::<16>(part, 0)?).to_string()),
            FieldKind::Storage => Value::Address(decode_storage(part)),
            FieldKind::Bytes(_) => Value::Bytes(part.to_vec()),
        };
        members.push((field.name, value));
    }
    if members.is_empty() && !bytes.is_empty() {
        None
    } else {
        Some(Value::Fields(members))
    }
}

/// A socket address in a field of fixed size: cut to the length that its family has.
fn decode_storage(bytes: &[u8]) -> Address {
    let length = match i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
        libc::AF_INET => 16,
        libc::AF_INET6 => 28,
        _ => bytes.len(),
    };
    Address::decode(&bytes[..length.min(bytes.len())])
}

/// The bytes of a struct; members that `value` does not name are zero.
fn encode_struct(fields: &'static [Field], value: &Value) -> Result<Vec<u8>, &'static str> {
    let Value::Fields(members) = value else {
        return Err("the members of its struct, by name");
    };
    if members
        .iter()
        .any(|member| !fields.iter().any(|field| field.name == member.0))
    {
        return Err("only the members of its struct");
    }
    let mut bytes = Vec::new();
    for field in fields {
        let start = bytes.len();
        let size = field.kind.size();
        if let Some((_, value)) = members
            .iter()
            .find(|member| member.0 == field.name && !field.name.is_empty())
        {
            let number = || value.unsigned().ok_or("numbers for its members");
            let narrow = |limit: u64| {
                number().and_then(|number| {
                    if number <= limit {
                        Ok(number)
                    } else {
                        Err("smaller numbers for its members")
                    }
                })
            };
            match (field.kind, value) {
                (FieldKind::U8, _) => bytes.push(narrow(0xff)? as u8),
                (FieldKind::U16, _) => bytes.extend((narrow(0xffff)? as u16).to_ne_bytes()),
                (FieldKind::U16BigEndian, _) => {
                    bytes.extend((narrow(0xffff)? as u16).to_be_bytes());
                }
                (FieldKind::I32, _) => {
                    bytes.extend(value.int32().ok_or("numbers for its members")?);
                }
                (FieldKind::U32 | FieldKind::Flags(_), _) => {
                    bytes.extend((narrow(0xffff_ffff)? as u32).to_ne_bytes());
                }
                (FieldKind::U32BigEndian, _) => {
                    bytes.extend((narrow(0xffff_ffff)? as u32).to_be_bytes());
                }
                (FieldKind::I64, Value::Int(number)) => bytes.extend(number.to_ne_bytes()),
                (FieldKind::I64 | FieldKind::U64, _) => bytes.extend(number()?.to_ne_bytes()),
                (FieldKind::Ipv4, Value::Text(text)) => {
                    bytes.extend(
                        text.parse::<Ipv4Addr>()
                            .map_err(|_| "IPv4 addresses for its addresses")?
                            .octets(),
                    );
                }
                (FieldKind::Ipv6, Value::Text(text)) => {
                    bytes.extend(
                        text.parse::<Ipv6Addr>()
                            .map_err(|_| "IPv6 addresses for its addresses")?
                            .octets(),
                    );
                }
                (FieldKind::Storage, Value::Address(address)) => bytes.extend(address.encode()),
                (FieldKind::Storage, Value::Text(text)) => {
                    bytes.extend(
                        Address::parse(text)
                            .map_err(|_| "ADDRESS:PORT for its addresses")?
                            .encode(),
                    );
                }
                (FieldKind::Bytes(length), Value::Bytes(part)) if part.len() <= length => {
                    bytes.extend(part);
                }
                _ => return Err("members of the kinds that its struct has"),
            }
        }
        bytes.resize(start + size, 0);
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(name: &str, bytes: &[u8]) -> String {
        let option = find_by_name(name).unwrap();
        option.render(&option.decode(bytes))
    }

    #[test]
    fn names_and_numbers_stand_once() {
        for (position, option) in OPTIONS.iter().enumerate() {
            assert!(
                std::ptr::eq(find(option.level, option.number).unwrap(), option),
                "{} shares its number",
                option.name
            );
            assert!(
                std::ptr::eq(find_by_name(option.name).unwrap(), option),
                "{} stands twice",
                option.name
            );
            let next = OPTIONS.get(position + 1);
            assert!(
                next.is_none_or(|next| next.level != option.level || next.number > option.number),
                "{} is out of order",
                option.name
            );
            assert!(
                option.meaning.ends_with('.')
                    && option.meaning.chars().filter(|c| *c == '.').count() >= 1,
                "{}",
                option.name
            );
            assert!(option.applies != 0 && (option.secret || option.read_size() <= 512));
        }
        assert!(OPTIONS.len() > 200);
    }

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(shown("SO_REUSEADDR", &[1, 0, 0, 0]), "on");
        assert_eq!(
            shown("SO_RCVBUF", &212_992_i32.to_ne_bytes()),
            "212992 bytes"
        );
        assert_eq!(shown("SO_TYPE", &[1, 0, 0, 0]), "SOCK_STREAM");
        assert_eq!(shown("SO_ERROR", &111_i32.to_ne_bytes()), "ECONNREFUSED");
        assert_eq!(shown("SO_ERROR", &[0; 4]), "none");
        assert_eq!(shown("IP_TOS", &[16]), "16");
        assert_eq!(shown("TCP_CONGESTION", b"bbr\0\0\0"), "\"bbr\"");
        assert_eq!(
            shown("SO_LINGER", &[1, 0, 0, 0, 5, 0, 0, 0]),
            "{on=on, seconds=5}"
        );
        let mut time = 2_i64.to_ne_bytes().to_vec();
        time.extend(500_000_i64.to_ne_bytes());
        assert_eq!(shown("SO_RCVTIMEO", &time), "2500 ms");
        assert_eq!(shown("SO_RCVTIMEO", &[0; 16]), "no limit");
        assert_eq!(shown("SO_MAX_PACING_RATE", &[0xff; 8]), "no limit");
        assert_eq!(
            shown("SO_TIMESTAMPING", &[16 + 8, 0, 0, 0]),
            "{flags=RX_SOFTWARE|SOFTWARE}"
        );
        assert_eq!(
            shown("IP_ADD_MEMBERSHIP", &[224, 0, 0, 251, 127, 0, 0, 1]),
            "{group=\"224.0.0.251\", address=\"127.0.0.1\"}"
        );
        assert_eq!(
            shown("IP_LOCAL_PORT_RANGE", &[0x10, 0x27, 0x20, 0x4e]),
            "{low=10000, high=20000}"
        );
        assert_eq!(
            shown("TCP_MD5SIG", &[7; 216]),
            "(216 bytes with a key, not shown)"
        );
        assert_eq!(decode(1, 999, &[5, 0, 0, 0]).0, "5");
        assert_eq!(render_name(1, 999), "SOL_SOCKET/999");
        assert_eq!(render_name(6, 1), "TCP_NODELAY");
    }

    #[test]
    fn wrong_values_say_what_is_wanted() {
        let wrong = |name: &str, value: Value| {
            find_by_name(name)
                .unwrap()
                .encode(&value)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            wrong("SO_TYPE", Value::Int(1)),
            "SO_TYPE takes no value: it can only be read"
        );
        assert_eq!(
            wrong("SO_RCVBUF", Value::Text("big".into())),
            "SO_RCVBUF takes a number of 32 bits"
        );
        assert_eq!(
            wrong("SO_RCVBUF", Value::Int(1 << 40)),
            "SO_RCVBUF takes a number of 32 bits"
        );
        assert_eq!(
            wrong("SO_RCVTIMEO", Value::Microseconds(-1)),
            "SO_RCVTIMEO takes a time that is not negative"
        );
        assert_eq!(
            wrong(
                "IP_LOCAL_PORT_RANGE",
                Value::Fields(vec![("low", Value::Int(70_000))])
            ),
            "IP_LOCAL_PORT_RANGE takes low and high ports from 0 to 65535"
        );
        assert_eq!(
            wrong(
                "IP_ADD_MEMBERSHIP",
                Value::Fields(vec![("grp", Value::Nothing)])
            ),
            "IP_ADD_MEMBERSHIP takes only the members of its struct"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_decode_and_print(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for option in OPTIONS {
                let value = option.decode(&bytes);
                prop_assert!(option.render(&value).len() < 8000);
            }
        }

        #[test]
        fn encoding_undoes_decoding(bytes in proptest::collection::vec(any::<u8>(), 520..600)) {
            for option in OPTIONS.iter().filter(|option| option.access.settable() && !option.secret) {
                let value = option.decode(&bytes);
                if let Ok(encoded) = option.encode(&value) {
                    prop_assert_eq!(option.decode(&encoded), value, "{}", option.name);
                }
            }
        }
    }
}
