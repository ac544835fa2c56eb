//! Socket options: the one table, and the decoding and encoding of their values.
//!
//! Sources: socket(7), ip(7), ipv6(7), tcp(7), udp(7), raw(7), packet(7), netlink(7), vsock(7), unix(7); the kernel's uapi headers;
//! net/core/sock.c, net/ipv4/{ip_sockglue,tcp,udp}.c, net/ipv6/ipv6_sockglue.c, net/packet/af_packet.c, net/netlink/af_netlink.c.
//!
//! Here stands what the table says of an option. `kind` has the forms of values, `value` the values themselves; `decode` and
//! `encode` lead from bytes to values, and to text, and back.

mod decode;
mod encode;
mod kind;
mod table;
#[cfg(test)]
mod tests;
mod value;

use crate::names;
use crate::words::array;

pub use encode::EncodeError;
pub use kind::{Field, FieldKind, Kind};
pub use table::OPTIONS;
pub use value::Value;

const SO_MAX_PACING_RATE: i32 = 47;

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
