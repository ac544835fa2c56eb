//! From a value to the bytes that setsockopt(2) takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Field, FieldKind, Kind, SocketOption, Value, table};
use crate::address::{self, Address};
use crate::words::array;

/// A value that an option cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} takes {wanted}")]
pub struct EncodeError {
    name: &'static str,
    wanted: &'static str,
}

impl SocketOption {
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
