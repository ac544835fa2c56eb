//! The forms that values of options have.

use crate::names::{Flags, Table};

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
    pub(super) fn size(self) -> usize {
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
