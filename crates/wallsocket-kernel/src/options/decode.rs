//! From the bytes of an option to its value, and to the text that people read.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Field, FieldKind, Kind, SocketOption, Value};
use crate::address::{self, Address};
use crate::names;
use crate::tcp_info::TcpInfo;
use crate::words::{array, int32, uint32};

impl SocketOption {
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
