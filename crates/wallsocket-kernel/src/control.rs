//! Control messages: the side channel of sendmsg() and recvmsg().
//!
//! Sources: cmsg(3), unix(7), ip(7), ipv6(7), udp(7), linux/errqueue.h, Documentation/networking/timestamping.rst.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::Address;
use crate::names;
use crate::words::{array, int32, uint32};

/// Bytes of `struct cmsghdr` before the data, and the alignment of both: a word of the 64-bit machine.
const HEADER: usize = 16;
const ALIGNMENT: usize = 8;

/// `msg_control`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlMessages {
    /// The messages, in order.
    pub messages: Vec<ControlMessage>,
    /// True when a length in the bytes points beyond them or is too small, so that more may have been there.
    pub cut_off: bool,
}

/// One control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlMessage {
    /// Level: `SOL_SOCKET`, `IPPROTO_IP` …
    pub level: i32,
    /// Type within the level.
    pub kind: i32,
    /// What it says.
    pub value: ControlValue,
}

/// A time as the kernel stamps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: i64,
}

/// What an entry of the error queue says (`struct sock_extended_err`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedError {
    /// Error number.
    pub error: u32,
    /// Where it came from: local, ICMP, ICMPv6, transmit status, zero-copy, transmit time.
    pub origin: u8,
    /// ICMP type, when it came by ICMP.
    pub icmp_type: u8,
    /// ICMP code, when it came by ICMP.
    pub icmp_code: u8,
    /// The path's MTU for EMSGSIZE, or the first number of a zero-copy range.
    pub info: u32,
    /// The last number of a zero-copy range, or a timestamp's number.
    pub data: u32,
    /// Who sent the ICMP error.
    pub offender: Address,
}

/// The content of a control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlValue {
    /// Descriptors that travel along.
    Rights(Vec<i32>),
    /// Who sent it.
    Credentials {
        /// Process.
        pid: i32,
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// When the packet arrived.
    Timestamp(Time),
    /// Software, unused and hardware stamps of SO_TIMESTAMPING.
    Timestamping([Time; 3]),
    /// Arrival, or wished departure, of an IPv4 packet.
    Inet {
        /// Interface number.
        interface: u32,
        /// The local address the route chose.
        local: Ipv4Addr,
        /// The address in the packet's header.
        destination: Ipv4Addr,
    },
    /// Arrival, or wished departure, of an IPv6 packet.
    Inet6 {
        /// The address in the packet's header.
        destination: Ipv6Addr,
        /// Interface number.
        interface: u32,
    },
    /// An entry of the error queue.
    Error(ExtendedError),
    /// A socket address, such as the original destination.
    Address(Address),
    /// One number: TTL, TOS, hop limit, drops, segment size, mark, waiting bytes.
    Number(i64),
    /// A text of the security module.
    Text(String),
    /// A form that this table does not know.
    Bytes(Vec<u8>),
}

fn aligned(length: usize) -> usize {
    length.saturating_add(ALIGNMENT - 1) & !(ALIGNMENT - 1)
}

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    array(bytes, at).map(i64::from_ne_bytes)
}

/// Takes `msg_control` apart, as a 64-bit program lays it out.
pub fn parse(mut bytes: &[u8]) -> ControlMessages {
    let mut all = ControlMessages::default();
    while !bytes.is_empty() {
        let Some(length) = array(bytes, 0).map(usize::from_ne_bytes) else {
            all.cut_off = true;
            break;
        };
        let (Some(level), Some(kind)) = (int32(bytes, 8), int32(bytes, 12)) else {
            all.cut_off = true;
            break;
        };
        if length < HEADER {
            // A zeroed rest of the buffer is how programs leave room; anything else is damage.
            all.cut_off = length != 0;
            break;
        }
        all.cut_off = length > bytes.len();
        let data = &bytes[HEADER..length.min(bytes.len())];
        all.messages.push(ControlMessage {
            level,
            kind,
            value: decode(level, kind, data),
        });
        let next = aligned(length);
        if all.cut_off || next >= bytes.len() {
            break;
        }
        bytes = &bytes[next..];
    }
    all
}

/// Decodes the data of one control message; data too short for its type stays bytes.
pub fn decode(level: i32, kind: i32, data: &[u8]) -> ControlValue {
    decode_known(level, kind, data).unwrap_or_else(|| ControlValue::Bytes(data.to_vec()))
}

// Numbers that libc lacks or names differently; see `names::control_types`.
const SCM_PIDFD: i32 = 4;
const SO_RXQ_OVFL: i32 = 40;
const SO_TIMESTAMP_NEW: i32 = 63;
const SO_TIMESTAMPNS_NEW: i32 = 64;
const SO_TIMESTAMPING_NEW: i32 = 65;
const SCM_TS_OPT_ID: i32 = 81;
const SCM_INQ: i32 = 84;
const SCM_SECURITY: i32 = 3;
const SO_MARK: i32 = 36;
const SO_PRIORITY: i32 = 12;
const IP_CHECKSUM: i32 = 23;
const IP_PROTOCOL: i32 = 52;
const IP_RECVFRAGSIZE: i32 = 25;
const IPV6_RECVFRAGSIZE: i32 = 77;
const IPV6_2292PKTINFO: i32 = 2;
const IPV6_2292HOPLIMIT: i32 = 8;
const TCP_CM_INQ: i32 = 36;

fn decode_known(level: i32, kind: i32, data: &[u8]) -> Option<ControlValue> {
    let number = || int32(data, 0).map(|value| ControlValue::Number(i64::from(value)));
    let unsigned = || uint32(data, 0).map(|value| ControlValue::Number(i64::from(value)));
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
            let descriptors = data
                .chunks_exact(4)
                .filter_map(|chunk| int32(chunk, 0))
                .collect();
            Some(ControlValue::Rights(descriptors))
        }
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => Some(ControlValue::Credentials {
            pid: int32(data, 0)?,
            uid: uint32(data, 4)?,
            gid: uint32(data, 8)?,
        }),
        (libc::SOL_SOCKET, SCM_SECURITY) | (libc::IPPROTO_IP, libc::IP_PASSSEC) => {
            let text: Vec<u8> = data.iter().copied().take_while(|byte| *byte != 0).collect();
            Some(ControlValue::Text(crate::address::escape(&text)))
        }
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMP | SO_TIMESTAMP_NEW) => {
            // Microseconds on the way in; one unit inside.
            Some(ControlValue::Timestamp(Time {
                seconds: long(data, 0)?,
                nanoseconds: long(data, 8)?.checked_mul(1000)?,
            }))
        }
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS | SO_TIMESTAMPNS_NEW) => {
            Some(ControlValue::Timestamp(Time {
                seconds: long(data, 0)?,
                nanoseconds: long(data, 8)?,
            }))
        }
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING | SO_TIMESTAMPING_NEW) => {
            let stamp = |at| {
                Some(Time {
                    seconds: long(data, at)?,
                    nanoseconds: long(data, at + 8)?,
                })
            };
            Some(ControlValue::Timestamping([
                stamp(0)?,
                stamp(16)?,
                stamp(32)?,
            ]))
        }
        (libc::SOL_SOCKET, SO_RXQ_OVFL | SO_MARK | SO_PRIORITY | SCM_TS_OPT_ID)
        | (libc::IPPROTO_IP, IP_CHECKSUM) => unsigned(),
        (libc::SOL_SOCKET, SCM_PIDFD | SCM_INQ)
        | (libc::IPPROTO_IP, libc::IP_TTL | IP_RECVFRAGSIZE | IP_PROTOCOL)
        | (
            libc::IPPROTO_IPV6,
            libc::IPV6_HOPLIMIT
            | IPV6_2292HOPLIMIT
            | libc::IPV6_TCLASS
            | IPV6_RECVFRAGSIZE
            | libc::IPV6_DONTFRAG,
        )
        | (libc::IPPROTO_TCP, TCP_CM_INQ)
        | (libc::IPPROTO_UDP, libc::UDP_GRO) => number(),
        (libc::IPPROTO_IPV6, libc::IPV6_FLOWINFO) => array(data, 0)
            .map(u32::from_be_bytes)
            .map(|flow| ControlValue::Number(i64::from(flow))),
        // The kernel delivers one byte, programs may send an int.
        (libc::IPPROTO_IP, libc::IP_TOS) => match data.len() {
            1 => Some(ControlValue::Number(i64::from(data[0]))),
            _ => number(),
        },
        (libc::IPPROTO_UDP, libc::UDP_SEGMENT) => array(data, 0)
            .map(u16::from_ne_bytes)
            .map(|size| ControlValue::Number(i64::from(size))),
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => Some(ControlValue::Inet {
            interface: uint32(data, 0)?,
            local: array::<4>(data, 4)?.into(),
            destination: array::<4>(data, 8)?.into(),
        }),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO | IPV6_2292PKTINFO) => Some(ControlValue::Inet6 {
            destination: array::<16>(data, 0)?.into(),
            interface: uint32(data, 16)?,
        }),
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            Some(ControlValue::Error(ExtendedError {
                error: uint32(data, 0)?,
                origin: *data.get(4)?,
                icmp_type: *data.get(5)?,
                icmp_code: *data.get(6)?,
                info: uint32(data, 8)?,
                data: uint32(data, 12)?,
                offender: Address::decode(&data[16..]),
            }))
        }
        (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) | (libc::IPPROTO_IPV6, libc::IPV6_ORIGDSTADDR) => {
            Some(ControlValue::Address(Address::decode(data)))
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PATHMTU) => {
            // struct ip6_mtuinfo: sockaddr_in6, then the MTU.
            uint32(data, 28).map(|mtu| ControlValue::Number(i64::from(mtu)))
        }
        _ => None,
    }
}

impl ExtendedError {
    /// The offender's address, when there is one.
    pub fn offender_address(&self) -> Option<IpAddr> {
        match self.offender {
            Address::Inet { address, .. } => Some(address.into()),
            Address::Inet6 { address, .. } => Some(address.into()),
            _ => None,
        }
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanoseconds)
    }
}

impl Display for ControlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rights(descriptors) => write!(f, "{descriptors:?}"),
            Self::Credentials { pid, uid, gid } => write!(f, "pid={pid} uid={uid} gid={gid}"),
            Self::Timestamp(time) => Display::fmt(time, f),
            Self::Timestamping([software, _, hardware]) => {
                write!(f, "software={software} hardware={hardware}")
            }
            Self::Inet {
                interface,
                local,
                destination,
            } => write!(f, "if{interface} local={local} destination={destination}"),
            Self::Inet6 {
                destination,
                interface,
            } => write!(f, "if{interface} destination={destination}"),
            Self::Error(error) => {
                let origin = names::ERROR_ORIGINS.render(i64::from(error.origin));
                write!(
                    f,
                    "{} {origin}",
                    names::render_error(error.error.cast_signed())
                )?;
                if matches!(error.origin, 2 | 3) {
                    write!(f, " type={} code={}", error.icmp_type, error.icmp_code)?;
                }
                if error.info != 0 || error.data != 0 {
                    write!(f, " info={} data={}", error.info, error.data)?;
                }
                match error.offender_address() {
                    Some(address) => write!(f, " from={address}"),
                    None => Ok(()),
                }
            }
            Self::Address(address) => Display::fmt(address, f),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => {
                for byte in bytes {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

impl Display for ControlMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match names::control_types(self.level).name(i64::from(self.kind)) {
            Some(name) => write!(f, "{name} {}", self.value),
            None => write!(
                f,
                "{}/{} {}",
                names::LEVELS.render(i64::from(self.level)),
                self.kind,
                self.value
            ),
        }
    }
}

impl Display for ControlMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (position, message) in self.messages.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            Display::fmt(message, f)?;
        }
        f.write_str(if self.cut_off { ", cut off]" } else { "]" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    #[test]
    fn several_messages_in_one_buffer() {
        let mut bytes = message(
            libc::SOL_SOCKET,
            libc::SCM_RIGHTS,
            &[5, 0, 0, 0, 6, 0, 0, 0],
        );
        bytes.extend(message(
            libc::IPPROTO_IP,
            libc::IP_TTL,
            &64_i32.to_ne_bytes(),
        ));
        bytes.extend(message(libc::IPPROTO_IP, libc::IP_TOS, &[16]));
        bytes.extend(message(
            libc::IPPROTO_IP,
            libc::IP_PKTINFO,
            &[2, 0, 0, 0, 10, 0, 0, 1, 10, 0, 0, 255],
        ));
        bytes.extend(message(99, 7, &[0xab]));
        let all = parse(&bytes);
        assert_eq!(
            all.to_string(),
            "[SCM_RIGHTS [5, 6], IP_TTL 64, IP_TOS 16, IP_PKTINFO if2 local=10.0.0.1 destination=10.0.0.255, 99/7 ab]"
        );
    }

    #[test]
    fn an_icmp_error_names_its_sender() {
        // ECONNREFUSED by ICMP 3/3 from 192.0.2.1
        let mut data = 111_u32.to_ne_bytes().to_vec();
        data.extend([
            2, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0,
        ]);
        let all = parse(&message(libc::IPPROTO_IP, libc::IP_RECVERR, &data));
        assert_eq!(
            all.to_string(),
            "[IP_RECVERR ECONNREFUSED SO_EE_ORIGIN_ICMP type=3 code=3 from=192.0.2.1]"
        );
    }

    #[test]
    fn times_are_nanoseconds_inside() {
        let mut data = 5_i64.to_ne_bytes().to_vec();
        data.extend(7_i64.to_ne_bytes());
        assert_eq!(
            decode(libc::SOL_SOCKET, libc::SCM_TIMESTAMP, &data).to_string(),
            "5.000007000"
        );
        assert_eq!(
            decode(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &data).to_string(),
            "5.000000007"
        );
    }

    #[test]
    fn damage_is_said() {
        let bytes = message(libc::IPPROTO_IP, libc::IP_TTL, &64_i32.to_ne_bytes());
        assert!(!parse(&bytes).cut_off);
        assert!(parse(&bytes[..12]).cut_off);
        assert!(parse(&bytes[..18]).cut_off);
        assert_eq!(
            parse(&bytes[..18]).messages[0].value,
            ControlValue::Bytes(vec![64, 0])
        );
        let mut huge = bytes.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert!(parse(&huge).cut_off);
        assert_eq!(parse(&[0; 64]), ControlMessages::default());
        assert_eq!(parse(&[]), ControlMessages::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            level in prop_oneof![Just(0), Just(1), Just(6), Just(17), Just(41), any::<i32>()],
            kind in prop_oneof![0_i32..110, any::<i32>()],
        ) {
            prop_assert!(!parse(&bytes).to_string().is_empty());
            for cut in 0..bytes.len() {
                let _ = decode(level, kind, &bytes[..cut]).to_string();
            }
            let wrapped = message(level, kind, &bytes);
            prop_assert_eq!(parse(&wrapped).messages.len(), 1);
        }
    }
}
