//! Values of options, as they are before their names and units are known.

use std::fmt::{self, Display};

use crate::address::Address;

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
    pub(super) fn int32(&self) -> Option<Vec<u8>> {
        let number = match self {
            Self::Bool(on) => i32::from(*on),
            Self::Int(number) => i32::try_from(*number).ok()?,
            // An unsigned word is what the kernel makes of it: the same bits.
            Self::Uint(number) => u32::try_from(*number).ok()?.cast_signed(),
            _ => return None,
        };
        Some(number.to_ne_bytes().to_vec())
    }

    pub(super) fn unsigned(&self) -> Option<u64> {
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
