//! The header fields that most callers want, of a group of frames.

use arrow_schema::{DataType, TimeUnit};

use super::{GROUP, Meta};
use crate::decode::{Frame, Link, Network, Transport};

/// An array of [`Headers`].
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    U8(&'a [u8; GROUP]),
    U16(&'a [u16; GROUP]),
    U32(&'a [u32; GROUP]),
    U64(&'a [u64; GROUP]),
    /// Nanoseconds since 1970, UTC.
    Time(&'a [i64; GROUP]),
    Bytes6(&'a [[u8; 6]; GROUP]),
    Bytes16(&'a [[u8; 16]; GROUP]),
}

/// Numbers as the bytes that Arrow keeps them in.
macro_rules! copy_numbers {
    ($values:expr, $target:expr) => {
        for (slot, value) in $target
            .chunks_exact_mut(size_of_val(&$values[0]))
            .zip($values)
        {
            slot.copy_from_slice(&value.to_ne_bytes());
        }
    };
}

impl Values<'_> {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::U8(_) => DataType::UInt8,
            Self::U16(_) => DataType::UInt16,
            Self::U32(_) => DataType::UInt32,
            Self::U64(_) => DataType::UInt64,
            Self::Time(_) => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Self::Bytes6(_) => DataType::FixedSizeBinary(6),
            Self::Bytes16(_) => DataType::FixedSizeBinary(16),
        }
    }

    /// Bytes of one value.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::U8(_) => 1,
            Self::U16(_) => 2,
            Self::U32(_) => 4,
            Self::U64(_) | Self::Time(_) => 8,
            Self::Bytes6(_) => 6,
            Self::Bytes16(_) => 16,
        }
    }

    /// As many as there is room for.
    #[inline]
    pub(super) fn copy_to(self, target: &mut [u8]) {
        match self {
            Self::U8(values) => target.copy_from_slice(&values[..target.len()]),
            Self::U16(values) => copy_numbers!(values, target),
            Self::U32(values) => copy_numbers!(values, target),
            Self::U64(values) => copy_numbers!(values, target),
            Self::Time(values) => copy_numbers!(values, target),
            Self::Bytes6(values) => {
                target.copy_from_slice(&values.as_flattened()[..target.len()]);
            }
            Self::Bytes16(values) => {
                target.copy_from_slice(&values.as_flattened()[..target.len()]);
            }
        }
    }
}

/// An array for each field. A word for each kind of header says which frames have it; where it is missing the values are zero.
pub(super) struct Headers {
    pub(super) number: [u64; GROUP],
    pub(super) time: [i64; GROUP],
    pub(super) has_time: u64,
    pub(super) captured_length: [u32; GROUP],
    pub(super) original_length: [u32; GROUP],
    pub(super) interface: [u32; GROUP],
    pub(super) link_type: [u32; GROUP],
    pub(super) ethernet_destination: [[u8; 6]; GROUP],
    pub(super) ethernet_source: [[u8; 6]; GROUP],
    pub(super) has_ethernet: u64,
    pub(super) ether_type: [u16; GROUP],
    pub(super) has_ether_type: u64,
    pub(super) vlan: [u16; GROUP],
    pub(super) has_vlan: u64,
    pub(super) source: [[u8; 16]; GROUP],
    pub(super) destination: [[u8; 16]; GROUP],
    pub(super) ip_version: [u8; GROUP],
    pub(super) ip_length: [u32; GROUP],
    pub(super) time_to_live: [u8; GROUP],
    pub(super) has_ip: u64,
    pub(super) protocol: [u8; GROUP],
    pub(super) has_protocol: u64,
    pub(super) source_port: [u16; GROUP],
    pub(super) destination_port: [u16; GROUP],
    pub(super) has_ports: u64,
    pub(super) sequence_number: [u32; GROUP],
    pub(super) has_sequence_number: u64,
    pub(super) acknowledgement_number: [u32; GROUP],
    pub(super) has_acknowledgement_number: u64,
    pub(super) flags: [u16; GROUP],
    pub(super) has_flags: u64,
    pub(super) window: [u16; GROUP],
    pub(super) has_window: u64,
    pub(super) udp_length: [u16; GROUP],
    pub(super) has_udp_length: u64,
    pub(super) payload_length: [u32; GROUP],
}

impl Headers {
    pub(super) const fn new() -> Self {
        Self {
            number: [0; GROUP],
            time: [0; GROUP],
            has_time: 0,
            captured_length: [0; GROUP],
            original_length: [0; GROUP],
            interface: [0; GROUP],
            link_type: [0; GROUP],
            ethernet_destination: [[0; 6]; GROUP],
            ethernet_source: [[0; 6]; GROUP],
            has_ethernet: 0,
            ether_type: [0; GROUP],
            has_ether_type: 0,
            vlan: [0; GROUP],
            has_vlan: 0,
            source: [[0; 16]; GROUP],
            destination: [[0; 16]; GROUP],
            ip_version: [0; GROUP],
            ip_length: [0; GROUP],
            time_to_live: [0; GROUP],
            has_ip: 0,
            protocol: [0; GROUP],
            has_protocol: 0,
            source_port: [0; GROUP],
            destination_port: [0; GROUP],
            has_ports: 0,
            sequence_number: [0; GROUP],
            has_sequence_number: 0,
            acknowledgement_number: [0; GROUP],
            has_acknowledgement_number: 0,
            flags: [0; GROUP],
            has_flags: 0,
            window: [0; GROUP],
            has_window: 0,
            udp_length: [0; GROUP],
            has_udp_length: 0,
            payload_length: [0; GROUP],
        }
    }

    /// Starts a new group.
    const fn clear(&mut self) {
        self.has_time = 0;
        self.has_ethernet = 0;
        self.has_ether_type = 0;
        self.has_vlan = 0;
        self.has_ip = 0;
        self.has_protocol = 0;
        self.has_ports = 0;
        self.has_sequence_number = 0;
        self.has_acknowledgement_number = 0;
        self.has_flags = 0;
        self.has_window = 0;
        self.has_udp_length = 0;
    }

    /// [`Headers::put`] for rare callers, so that the frequent one has it in its own code.
    #[cold]
    #[inline(never)]
    pub(super) fn put_apart(&mut self, at: usize, frame: &Frame<'_>, meta: &Meta) {
        self.put(at, frame, meta);
    }

    /// Takes the fields of a frame into place `at` of the group. Places are filled in order; 0 starts a group.
    #[expect(clippy::inline_always, reason = "measured: 20 instructions a frame")]
    #[inline(always)]
    pub(super) fn put(&mut self, at: usize, frame: &Frame<'_>, meta: &Meta) {
        // Tells the compiler that it is below GROUP.
        let at = at % GROUP;
        let bit = 1_u64 << at;
        if at == 0 {
            self.clear();
        }
        let has = |condition: bool| u64::from(condition) << at;
        self.number[at] = meta.number;
        self.time[at] = meta.timestamp_ns.unwrap_or(0);
        self.has_time |= has(meta.timestamp_ns.is_some());
        self.captured_length[at] = frame.bytes.len() as u32;
        self.original_length[at] = frame.original_length;
        self.interface[at] = meta.interface;
        self.link_type[at] = frame.link_type.0;
        if let Link::Ethernet {
            destination,
            source,
        } = frame.link
        {
            self.ethernet_destination[at] = destination;
            self.ethernet_source[at] = source;
            self.has_ethernet |= bit;
        } else {
            self.ethernet_destination[at] = [0; 6];
            self.ethernet_source[at] = [0; 6];
        }
        self.ether_type[at] = frame.ether_type.unwrap_or(0);
        self.has_ether_type |= has(frame.ether_type.is_some());
        let outermost = frame.vlans().first();
        self.vlan[at] = outermost.map_or(0, |vlan| vlan.identifier());
        self.has_vlan |= has(outermost.is_some());
        match &frame.network {
            Network::Ipv4(ip) => {
                self.source[at] = mapped(ip.source);
                self.destination[at] = mapped(ip.destination);
                self.ip_version[at] = 4;
                self.ip_length[at] = ip.total_length.into();
                self.time_to_live[at] = ip.time_to_live;
                self.has_ip |= bit;
            }
            Network::Ipv6(ip) => {
                self.source[at] = ip.source;
                self.destination[at] = ip.destination;
                self.ip_version[at] = 6;
                self.ip_length[at] = 40 + u32::from(ip.payload_length);
                self.time_to_live[at] = ip.hop_limit;
                self.has_ip |= bit;
            }
            Network::Arp(_) | Network::None => {
                self.source[at] = [0; 16];
                self.destination[at] = [0; 16];
                self.ip_version[at] = 0;
                self.ip_length[at] = 0;
                self.time_to_live[at] = 0;
            }
        }
        self.protocol[at] = frame.protocol.unwrap_or(0);
        self.has_protocol |= has(frame.protocol.is_some());
        match &frame.transport {
            Transport::Tcp(tcp) => {
                self.source_port[at] = tcp.source_port;
                self.destination_port[at] = tcp.destination_port;
                self.has_ports |= bit;
                // What was not there of a cut header is zero.
                self.sequence_number[at] = tcp.sequence_number;
                self.acknowledgement_number[at] = tcp.acknowledgement_number;
                self.flags[at] = tcp.flags;
                self.window[at] = tcp.window;
                self.has_sequence_number |= has(tcp.present >= 8);
                self.has_acknowledgement_number |= has(tcp.present >= 12);
                self.has_flags |= has(tcp.present >= 14);
                self.has_window |= has(tcp.present >= 16);
                self.udp_length[at] = 0;
            }
            Transport::Udp(udp) => {
                self.source_port[at] = udp.source_port;
                self.destination_port[at] = udp.destination_port;
                self.has_ports |= bit;
                self.udp_length[at] = udp.length;
                self.has_udp_length |= has(udp.present >= 6);
                self.no_tcp(at);
            }
            _ => self.other_transport(at, frame),
        }
        self.payload_length[at] = frame.payload().len() as u32;
    }

    /// Neither TCP nor UDP; only SCTP has ports.
    #[cold]
    fn other_transport(&mut self, at: usize, frame: &Frame<'_>) {
        let at = at % GROUP;
        let ports = frame.ports();
        (self.source_port[at], self.destination_port[at]) = ports.unwrap_or((0, 0));
        self.has_ports |= u64::from(ports.is_some()) << at;
        self.udp_length[at] = 0;
        self.no_tcp(at);
    }

    #[inline]
    const fn no_tcp(&mut self, at: usize) {
        self.sequence_number[at] = 0;
        self.acknowledgement_number[at] = 0;
        self.flags[at] = 0;
        self.window[at] = 0;
    }
}

/// An IPv4 address as IPv6 has it: `::ffff:0:0/96`.
#[inline]
const fn mapped(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}
