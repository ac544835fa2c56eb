//! Decoded frames as Arrow columns.
//!
//! A column is one entry of [`COLUMNS`]: name, meaning, and how it is filled. Rows are decoded in groups of [`GROUP`] and then every
//! column takes the group in one loop, so a column that was not asked for costs nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use arrow_array::types::{Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
    RecordBatch, RecordBatchReader, StringArray, TimestampNanosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::decode::options::TcpOption;
use crate::decode::{Frame, Hints, Link, Network, Transport, application, decode_into, summary};
use crate::file::{Chunk, Reader, Record, Tail};
use crate::filter::Filter;

/// Rows decoded before the columns take them. One word of validity bits; the frames stay in the first-level cache.
pub const GROUP: usize = 64;

/// What is known of a frame beside its decoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// Number in its capture, from 1.
    pub number: u64,
    /// Nanoseconds since 1970.
    pub timestamp_ns: Option<i64>,
    /// Interface: its number in a file, its index on a live system.
    pub interface: u32,
    /// Whether it was received (true) or sent.
    pub inbound: Option<bool>,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Beside it.
    pub meta: Meta,
    /// Where it comes from, for what only a file knows.
    pub file: Option<(&'a Chunk, &'a Record)>,
}

/// A column of [`COLUMNS`].
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// What it holds, with unit.
    pub meaning: &'static str,
    make: fn() -> Box<dyn Column>,
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// Collects the values of one column.
trait Column: Send {
    fn data_type(&self) -> DataType;
    fn reserve(&mut self, rows: usize);
    fn extend(&mut self, rows: &[Row<'_>]);
    fn finish(&mut self) -> ArrayRef;
}

/// Validity bits, taken up to [`GROUP`] at a time.
#[derive(Default)]
struct Validity {
    words: Vec<u64>,
    length: usize,
    valid: usize,
}

impl Validity {
    fn push(&mut self, mask: u64, count: usize) {
        let shift = self.length % 64;
        if shift == 0 {
            self.words.push(mask);
        } else {
            if let Some(last) = self.words.last_mut() {
                *last |= mask << shift;
            }
            if shift + count > 64 {
                self.words.push(mask >> (64 - shift));
            }
        }
        self.length += count;
        self.valid += mask.count_ones() as usize;
    }

    fn finish(&mut self) -> Option<NullBuffer> {
        let all = self.valid == self.length;
        let bits = BooleanBuffer::new(
            Buffer::from_vec(std::mem::take(&mut self.words)),
            0,
            self.length,
        );
        (self.length, self.valid) = (0, 0);
        if all {
            None
        } else {
            Some(NullBuffer::new(bits))
        }
    }
}

/// Numbers.
struct Numbers<T: ArrowPrimitiveType, F> {
    values: Vec<T::Native>,
    validity: Validity,
    get: F,
}

impl<T, F> Column for Numbers<T, F>
where
    T: ArrowPrimitiveType,
    F: Fn(&Row<'_>) -> Option<T::Native> + Send,
{
    fn data_type(&self) -> DataType {
        T::DATA_TYPE
    }

    fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
        self.validity.words.reserve(rows / 64 + 1);
    }

    fn extend(&mut self, rows: &[Row<'_>]) {
        let mut mask = 0;
        let mut bit = 0;
        self.values.extend(rows.iter().map(|row| {
            let value = (self.get)(row);
            mask |= u64::from(value.is_some()) << bit;
            bit += 1;
            value.unwrap_or_default()
        }));
        self.validity.push(mask, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        Arc::new(PrimitiveArray::<T>::new(values, self.validity.finish()))
    }
}

/// Times: nanoseconds since 1970, UTC.
struct Times(Numbers<Int64Type, fn(&Row<'_>) -> Option<i64>>);

impl Column for Times {
    fn data_type(&self) -> DataType {
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
    }

    fn reserve(&mut self, rows: usize) {
        self.0.reserve(rows);
    }

    fn extend(&mut self, rows: &[Row<'_>]) {
        self.0.extend(rows);
    }

    fn finish(&mut self) -> ArrayRef {
        let values = ScalarBuffer::from(std::mem::take(&mut self.0.values));
        Arc::new(
            TimestampNanosecondArray::new(values, self.0.validity.finish()).with_timezone("UTC"),
        )
    }
}

/// Truth values.
struct Flags<F> {
    values: Validity,
    validity: Validity,
    get: F,
}

impl<F: Fn(&Row<'_>) -> Option<bool> + Send> Column for Flags<F> {
    fn data_type(&self) -> DataType {
        DataType::Boolean
    }

    fn reserve(&mut self, _rows: usize) {}

    fn extend(&mut self, rows: &[Row<'_>]) {
        let (mut set, mut known) = (0, 0);
        for (bit, row) in rows.iter().enumerate() {
            if let Some(value) = (self.get)(row) {
                known |= 1 << bit;
                set |= u64::from(value) << bit;
            }
        }
        self.values.push(set, rows.len());
        self.validity.push(known, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        let bits = BooleanBuffer::new(
            Buffer::from_vec(std::mem::take(&mut self.values.words)),
            0,
            self.values.length,
        );
        self.values = Validity::default();
        Arc::new(BooleanArray::new(bits, self.validity.finish()))
    }
}

/// Values of `N` bytes.
struct Fixed<const N: usize, F> {
    values: Vec<[u8; N]>,
    validity: Validity,
    get: F,
}

impl<const N: usize, F: Fn(&Row<'_>) -> Option<[u8; N]> + Send> Column for Fixed<N, F> {
    fn data_type(&self) -> DataType {
        DataType::FixedSizeBinary(N as i32)
    }

    fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    fn extend(&mut self, rows: &[Row<'_>]) {
        let mut mask = 0;
        let mut bit = 0;
        self.values.extend(rows.iter().map(|row| {
            let value = (self.get)(row);
            mask |= u64::from(value.is_some()) << bit;
            bit += 1;
            value.unwrap_or([0; N])
        }));
        self.validity.push(mask, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        let values = Buffer::from_vec(std::mem::take(&mut self.values).into_flattened());
        Arc::new(FixedSizeBinaryArray::new(
            N as i32,
            values,
            self.validity.finish(),
        ))
    }
}

/// Values of any length: text or bytes. The function appends the value and says whether there is one.
struct Variable<F> {
    values: Vec<u8>,
    ends: Vec<i32>,
    validity: Validity,
    text: bool,
    append: F,
}

impl<F: Fn(&Row<'_>, &mut Vec<u8>) -> bool + Send> Column for Variable<F> {
    fn data_type(&self) -> DataType {
        if self.text {
            DataType::Utf8
        } else {
            DataType::Binary
        }
    }

    fn reserve(&mut self, rows: usize) {
        self.ends.reserve(rows + 1);
        if self.ends.is_empty() {
            self.ends.push(0);
        }
    }

    fn extend(&mut self, rows: &[Row<'_>]) {
        let mut mask = 0;
        for (bit, row) in rows.iter().enumerate() {
            if (self.append)(row, &mut self.values) {
                mask |= 1 << bit;
            }
            self.ends.push(self.values.len() as i32);
        }
        self.validity.push(mask, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        if self.ends.is_empty() {
            self.ends.push(0);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::take(&mut self.ends)));
        let values = Buffer::from_vec(std::mem::take(&mut self.values));
        let validity = self.validity.finish();
        if self.text {
            Arc::new(StringArray::new(offsets, values, validity))
        } else {
            Arc::new(BinaryArray::new(offsets, values, validity))
        }
    }
}

fn numbers<T: ArrowPrimitiveType>(
    get: impl Fn(&Row<'_>) -> Option<T::Native> + Send + 'static,
) -> Box<dyn Column> {
    Box::new(Numbers::<T, _> {
        values: Vec::new(),
        validity: Validity::default(),
        get,
    })
}

fn flags(get: impl Fn(&Row<'_>) -> Option<bool> + Send + 'static) -> Box<dyn Column> {
    Box::new(Flags {
        values: Validity::default(),
        validity: Validity::default(),
        get,
    })
}

fn fixed<const N: usize>(
    get: impl Fn(&Row<'_>) -> Option<[u8; N]> + Send + 'static,
) -> Box<dyn Column> {
    Box::new(Fixed {
        values: Vec::new(),
        validity: Validity::default(),
        get,
    })
}

fn variable(
    text: bool,
    append: impl Fn(&Row<'_>, &mut Vec<u8>) -> bool + Send + 'static,
) -> Box<dyn Column> {
    Box::new(Variable {
        values: Vec::new(),
        ends: Vec::new(),
        validity: Validity::default(),
        text,
        append,
    })
}

/// Text made by `Display`.
fn text<D: std::fmt::Display>(
    get: impl Fn(&Row<'_>) -> Option<D> + Send + 'static,
) -> Box<dyn Column> {
    variable(true, move |row, values| {
        use std::io::Write as _;
        // Writing to a Vec cannot fail.
        get(row).is_some_and(|value| write!(values, "{value}").is_ok())
    })
}

#[inline]
fn ipv4<'a>(row: &'a Row<'_>) -> Option<&'a crate::decode::Ipv4> {
    if let Network::Ipv4(ip) = &row.frame.network {
        Some(ip)
    } else {
        None
    }
}

#[inline]
fn ipv6<'a>(row: &'a Row<'_>) -> Option<&'a crate::decode::Ipv6> {
    if let Network::Ipv6(ip) = &row.frame.network {
        Some(ip)
    } else {
        None
    }
}

#[inline]
fn tcp<'a>(row: &'a Row<'_>, needed: u8) -> Option<&'a crate::decode::Tcp> {
    row.frame.tcp().filter(|tcp| tcp.present >= needed)
}

/// An IPv4 address as IPv6 has it: `::ffff:0:0/96`.
#[inline]
fn mapped(address: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = address;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Appends an IPv4 address in dotted decimal; several times as fast as the general formatting.
fn dotted(values: &mut Vec<u8>, address: [u8; 4]) {
    for (position, byte) in address.into_iter().enumerate() {
        if position > 0 {
            values.push(b'.');
        }
        if byte >= 100 {
            values.push(b'0' + byte / 100);
        }
        if byte >= 10 {
            values.push(b'0' + byte / 10 % 10);
        }
        values.push(b'0' + byte % 10);
    }
}

fn address_text(row: &Row<'_>, values: &mut Vec<u8>, source: bool) -> bool {
    use std::io::Write as _;
    match &row.frame.network {
        Network::Ipv4(ip) => {
            dotted(values, if source { ip.source } else { ip.destination });
            true
        }
        Network::Ipv6(ip) => write!(
            values,
            "{}",
            Ipv6Addr::from(if source { ip.source } else { ip.destination })
        )
        .is_ok(),
        Network::Arp(message) => message.addresses.is_some_and(|ends| {
            write!(values, "{}", if source { ends.sender } else { ends.target }).is_ok()
        }),
        Network::None => false,
    }
}

fn ethernet_text(row: &Row<'_>, values: &mut Vec<u8>, source: bool) -> bool {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let Link::Ethernet {
        destination,
        source: from,
    } = &row.frame.link
    else {
        return false;
    };
    for (position, byte) in (if source { from } else { destination }).iter().enumerate() {
        if position > 0 {
            values.push(b':');
        }
        values.push(DIGITS[usize::from(byte >> 4)]);
        values.push(DIGITS[usize::from(byte & 15)]);
    }
    true
}

fn timestamps(row: &Row<'_>) -> Option<(u32, u32)> {
    row.frame.tcp_options().find_map(|option| match option {
        TcpOption::Timestamps { value, echo } => Some((value, echo)),
        _ => None,
    })
}

macro_rules! columns {
    ($($name:literal, $meaning:literal, $make:expr;)*) => {
        /// Every column there is.
        pub static COLUMNS: &[Definition] = &[$(Definition { name: $name, meaning: $meaning, make: || $make }),*];
    };
}

columns! {
    "number", "number of the frame in its capture, from 1", numbers::<UInt64Type>(|row| Some(row.meta.number));
    "time", "when it was captured, nanoseconds, UTC",
        Box::new(Times(Numbers { values: Vec::new(), validity: Validity::default(), get: |row| row.meta.timestamp_ns }));
    "captured_length", "bytes captured", numbers::<UInt32Type>(|row| Some(row.frame.bytes.len() as u32));
    "original_length", "bytes on the wire", numbers::<UInt32Type>(|row| Some(row.frame.original_length));
    "interface", "interface: number in the file, or index on this host", numbers::<UInt32Type>(|row| Some(row.meta.interface));
    "link_type", "LINKTYPE number", numbers::<UInt32Type>(|row| Some(row.frame.link_type.0));
    "inbound", "received (true) or sent, when known", flags(|row| row.meta.inbound);
    "process_id", "process that sent or received it, when the file says so",
        numbers::<UInt32Type>(|row| row.file.and_then(|(chunk, record)| chunk.process_id(record)));
    "comment", "comments in the file", text(|row| {
        let (chunk, record) = row.file?;
        let comments = chunk.comments(record);
        (!comments.is_empty()).then(|| comments.join("\n"))
    });
    "ethernet_destination", "Ethernet destination, 6 bytes", fixed::<6>(|row| match row.frame.link {
        Link::Ethernet { destination, .. } => Some(destination),
        _ => None,
    });
    "ethernet_source", "Ethernet source, 6 bytes", fixed::<6>(|row| match row.frame.link {
        Link::Ethernet { source, .. } => Some(source),
        _ => None,
    });
    "ethernet_destination_text", "Ethernet destination as text", variable(true, |row, values| ethernet_text(row, values, false));
    "ethernet_source_text", "Ethernet source as text", variable(true, |row, values| ethernet_text(row, values, true));
    "ether_type", "EtherType after the VLAN tags", numbers::<UInt16Type>(|row| row.frame.ether_type);
    "vlan", "identifier of the outermost VLAN", numbers::<UInt16Type>(|row| row.frame.vlans().first().map(|vlan| vlan.identifier()));
    "vlan_inner", "identifier of the innermost of several VLANs", numbers::<UInt16Type>(|row| match row.frame.vlans() {
        [_, .., last] => Some(last.identifier()),
        _ => None,
    });
    "source", "source address as text: IPv4, IPv6, or the sender in ARP", variable(true, |row, values| address_text(row, values, true));
    "destination", "destination address as text: IPv4, IPv6, or the target in ARP", variable(true, |row, values| address_text(row, values, false));
    "source_address", "source address, 16 bytes; IPv4 mapped into ::ffff:0:0/96", fixed::<16>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(mapped(ip.source)),
        Network::Ipv6(ip) => Some(ip.source),
        _ => None,
    });
    "destination_address", "destination address, 16 bytes; IPv4 mapped into ::ffff:0:0/96", fixed::<16>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(mapped(ip.destination)),
        Network::Ipv6(ip) => Some(ip.destination),
        _ => None,
    });
    "ip_version", "4 or 6", numbers::<UInt8Type>(|row| match &row.frame.network {
        Network::Ipv4(_) => Some(4),
        Network::Ipv6(_) => Some(6),
        _ => None,
    });
    "ip_length", "bytes of the IP packet by its header", numbers::<UInt32Type>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(ip.total_length.into()),
        Network::Ipv6(ip) => Some(40 + u32::from(ip.payload_length)),
        _ => None,
    });
    "ip_header_length", "bytes of the IPv4 header", numbers::<UInt8Type>(|row| ipv4(row).map(|ip| ip.header_length));
    "ip_traffic_class", "DSCP and ECN", numbers::<UInt8Type>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(ip.traffic_class),
        Network::Ipv6(ip) => Some(ip.traffic_class),
        _ => None,
    });
    "ip_identification", "IPv4 identification, or that of the IPv6 fragment header", numbers::<UInt32Type>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(ip.identification.into()),
        Network::Ipv6(ip) => ip.fragment.map(|fragment| fragment.identification),
        _ => None,
    });
    "ip_dont_fragment", "IPv4 DF", flags(|row| ipv4(row).map(crate::decode::Ipv4::dont_fragment));
    "ip_more_fragments", "more fragments follow", flags(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(ip.more_fragments()),
        Network::Ipv6(ip) => ip.fragment.map(|fragment| fragment.more),
        _ => None,
    });
    "ip_fragment_offset", "offset of the fragment, bytes", numbers::<UInt32Type>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(ip.fragment_offset()),
        Network::Ipv6(ip) => ip.fragment.map(|fragment| fragment.offset),
        _ => None,
    });
    "ip_flow_label", "IPv6 flow label", numbers::<UInt32Type>(|row| ipv6(row).map(|ip| ip.flow_label));
    "ip_next_header", "IPv4 protocol, or IPv6 next header before extension headers", numbers::<UInt8Type>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(ip.protocol),
        Network::Ipv6(ip) => Some(ip.next_header),
        _ => None,
    });
    "ip_protocol", "protocol of the transport layer, after extension headers", numbers::<UInt8Type>(|row| row.frame.protocol);
    "ip_time_to_live", "time to live, or hop limit", numbers::<UInt8Type>(|row| match &row.frame.network {
        Network::Ipv4(ip) => Some(ip.time_to_live),
        Network::Ipv6(ip) => Some(ip.hop_limit),
        _ => None,
    });
    "ip_checksum", "verdict on the IPv4 header checksum: good, bad, partial, absent, unknown", text(|row| Some(row.frame.checksums().network.name()));
    "source_port", "TCP or UDP source port", numbers::<UInt16Type>(|row| row.frame.ports().map(|(source, _)| source));
    "destination_port", "TCP or UDP destination port", numbers::<UInt16Type>(|row| row.frame.ports().map(|(_, destination)| destination));
    "tcp_sequence_number", "TCP sequence number", numbers::<UInt32Type>(|row| tcp(row, 8).map(|tcp| tcp.sequence_number));
    "tcp_acknowledgement_number", "TCP acknowledgement number", numbers::<UInt32Type>(|row| tcp(row, 12).map(|tcp| tcp.acknowledgement_number));
    "tcp_header_length", "bytes of the TCP header by its data offset", numbers::<UInt8Type>(|row| tcp(row, 13).map(|tcp| tcp.header_length));
    "tcp_flags", "TCP flags, 12 bits, FIN lowest", numbers::<UInt16Type>(|row| tcp(row, 14).map(|tcp| tcp.flags));
    "tcp_flags_text", "TCP flags as tcpdump's letters", text(|row| tcp(row, 14).map(|tcp| summary::tcp_flags(tcp.flags)));
    "tcp_window", "TCP window before scaling, bytes", numbers::<UInt16Type>(|row| tcp(row, 16).map(|tcp| tcp.window));
    "tcp_urgent_pointer", "TCP urgent pointer", numbers::<UInt16Type>(|row| tcp(row, 20).map(|tcp| tcp.urgent_pointer));
    "tcp_maximum_segment_size", "MSS option, bytes", numbers::<UInt16Type>(|row| row.frame.tcp_options().find_map(|option| match option {
        TcpOption::MaximumSegmentSize(size) => Some(size),
        _ => None,
    }));
    "tcp_window_scale", "window scale option, shift count", numbers::<UInt8Type>(|row| row.frame.tcp_options().find_map(|option| match option {
        TcpOption::WindowScale(shift) => Some(shift),
        _ => None,
    }));
    "tcp_sack_permitted", "SACK-permitted option", flags(|row| tcp(row, 20).map(|_| row.frame.tcp_options().any(|option| option == TcpOption::SackPermitted)));
    "tcp_sack_blocks", "ranges in the SACK option", numbers::<UInt8Type>(|row| row.frame.tcp_options().find_map(|option| match option {
        TcpOption::Sack(edges) => Some((edges.len() / 8) as u8),
        _ => None,
    }));
    "tcp_timestamp_value", "timestamp option: clock of the sender", numbers::<UInt32Type>(|row| timestamps(row).map(|(value, _)| value));
    "tcp_timestamp_echo", "timestamp option: value echoed", numbers::<UInt32Type>(|row| timestamps(row).map(|(_, echo)| echo));
    "udp_length", "UDP length, header included, bytes", numbers::<UInt16Type>(|row| row.frame.udp().filter(|udp| udp.present >= 6).map(|udp| udp.length));
    "icmp_type", "ICMP or ICMPv6 type", numbers::<UInt8Type>(|row| row.frame.icmp().map(|icmp| icmp.kind));
    "icmp_code", "ICMP or ICMPv6 code", numbers::<UInt8Type>(|row| row.frame.icmp().map(|icmp| icmp.code));
    "icmp_identifier", "identifier of an echo", numbers::<UInt16Type>(|row| row.frame.icmp().and_then(crate::decode::Icmp::identifier));
    "icmp_sequence_number", "sequence number of an echo", numbers::<UInt16Type>(|row| row.frame.icmp().and_then(crate::decode::Icmp::sequence_number));
    "icmp_next_hop_mtu", "MTU in fragmentation needed and packet too big, bytes", numbers::<UInt32Type>(|row| row.frame.icmp().and_then(crate::decode::Icmp::next_hop_mtu));
    "quoted_source", "source address of the packet an ICMP error quotes", text(|row| Some(row.frame.quoted()?.addresses()?.0));
    "quoted_destination", "destination address of the packet an ICMP error quotes", text(|row| Some(row.frame.quoted()?.addresses()?.1));
    "quoted_protocol", "protocol of the packet an ICMP error quotes", numbers::<UInt8Type>(|row| row.frame.quoted()?.protocol);
    "quoted_source_port", "source port of the packet an ICMP error quotes", numbers::<UInt16Type>(|row| Some(row.frame.quoted()?.ports()?.0));
    "quoted_destination_port", "destination port of the packet an ICMP error quotes", numbers::<UInt16Type>(|row| Some(row.frame.quoted()?.ports()?.1));
    "igmp_type", "IGMP type", numbers::<UInt8Type>(|row| match &row.frame.transport {
        Transport::Igmp(igmp) => Some(igmp.kind),
        _ => None,
    });
    "igmp_group", "IGMP group address", text(|row| match &row.frame.transport {
        Transport::Igmp(igmp) => Some(Ipv4Addr::from(igmp.group)),
        _ => None,
    });
    "arp_operation", "ARP operation: 1 request, 2 reply", numbers::<UInt16Type>(|row| match &row.frame.network {
        Network::Arp(message) => Some(message.operation),
        _ => None,
    });
    "arp_sender_hardware", "hardware address of the ARP sender, 6 bytes", fixed::<6>(|row| match &row.frame.network {
        Network::Arp(message) => message.addresses.map(|ends| ends.sender_hardware),
        _ => None,
    });
    "arp_target_hardware", "hardware address of the ARP target, 6 bytes", fixed::<6>(|row| match &row.frame.network {
        Network::Arp(message) => message.addresses.map(|ends| ends.target_hardware),
        _ => None,
    });
    "transport_checksum", "verdict on the transport checksum: good, bad, partial, absent, unknown", text(|row| Some(row.frame.checksums().transport.name()));
    "payload_length", "bytes of the innermost decoded layer's payload that were captured", numbers::<UInt32Type>(|row| Some(row.frame.payload().len() as u32));
    "payload", "payload of the innermost decoded layer", variable(false, |row, values| {
        values.extend_from_slice(row.frame.payload());
        true
    });
    "frame", "the captured bytes", variable(false, |row, values| {
        values.extend_from_slice(row.frame.bytes);
        true
    });
    "application", "what the payload says in a line: DNS, TLS, HTTP/1, DHCP", text(|row| application::recognise(&row.frame));
    "summary", "the frame in a line", text(|row| Some(row.frame.summary()));
    "problem", "what does not fit, or stopped the decoding", text(|row| row.frame.problem);
    "malformed", "whether the frame breaks its protocol", flags(|row| Some(row.frame.problem.is_some_and(|problem| problem.is_malformed())));
}

/// The columns that are made when none are named.
pub static DEFAULT: &[&str] = &[
    "number",
    "time",
    "captured_length",
    "original_length",
    "source",
    "destination",
    "ip_protocol",
    "ip_time_to_live",
    "source_port",
    "destination_port",
    "tcp_sequence_number",
    "tcp_acknowledgement_number",
    "tcp_flags",
    "tcp_window",
    "payload_length",
    "problem",
];

/// Largest number of bytes in one column of text or bytes of a batch: offsets are 32-bit.
const BATCH_BYTES: usize = 64 << 20;

/// Collects rows into record batches.
pub struct Builder {
    schema: SchemaRef,
    columns: Vec<Box<dyn Column>>,
    rows: usize,
    bytes: usize,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("schema", &self.schema)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// With the columns of these names, in this order.
    ///
    /// # Errors
    /// Gives back the first name that is not a column.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, String> {
        let mut columns = Vec::with_capacity(names.len());
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let Some(definition) = COLUMNS
                .iter()
                .find(|definition| definition.name == name.as_ref())
            else {
                return Err(name.as_ref().to_owned());
            };
            let column = (definition.make)();
            fields.push(Field::new(definition.name, column.data_type(), true));
            columns.push(column);
        }
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            columns,
            rows: 0,
            bytes: 0,
        })
    }

    /// Names and types.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows collected.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was collected.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the batch should be finished for its size in bytes.
    pub const fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }

    /// Makes room for a batch.
    pub fn reserve(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.reserve(rows);
        }
    }

    /// Takes up to [`GROUP`] rows.
    pub fn extend(&mut self, rows: &[Row<'_>]) {
        for group in rows.chunks(GROUP) {
            if self.rows == 0 {
                self.reserve(group.len());
            }
            for column in &mut self.columns {
                column.extend(group);
            }
            self.rows += group.len();
            self.bytes += group.iter().map(|row| row.frame.bytes.len()).sum::<usize>();
        }
    }

    /// The rows collected, as a batch; the builder starts anew.
    ///
    /// # Errors
    /// None that a correct column can cause.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let arrays: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(|column| column.finish())
            .collect();
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new_with_options(self.schema(), arrays, &options)
    }
}

/// How a file ended, told once its last batch was made.
pub type Report = Arc<Mutex<Option<Tail>>>;

/// What of a capture is decoded, and how.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Columns.
    pub columns: Vec<String>,
    /// Rows of a batch, at most about this many.
    pub batch_rows: usize,
    /// Frames that do not match are left out.
    pub filter: Option<Filter>,
    /// Stop after so many rows.
    pub limit: Option<u64>,
    /// Where to say how the file ended.
    pub report: Report,
}

/// Notes how a file ended.
fn tell(report: &Report, reader: &Reader) {
    if let Ok(mut tail) = report.lock() {
        *tail = reader.tail();
    }
}

/// Decodes the records of a chunk into `builder`.
fn decode_chunk(chunk: &Chunk, filter: Option<&Filter>, builder: &mut Builder, left: &mut u64) {
    let mut number = chunk.first_number();
    // Decoded in place: moving a row costs as much as decoding it.
    let mut rows = [Row {
        frame: Frame::empty(),
        meta: Meta::default(),
        file: None,
    }; GROUP];
    for group in chunk.records().chunks(GROUP) {
        let mut count = 0;
        for record in group {
            let bytes = chunk.frame_bytes(record);
            let wanted = filter.is_none_or(|filter| filter.matches(bytes, record.original_length));
            if wanted && *left > 0 {
                *left -= 1;
                let row = &mut rows[count];
                count += 1;
                decode_into(
                    &mut row.frame,
                    record.link_type,
                    bytes,
                    record.original_length,
                    Hints::default(),
                );
                row.meta = Meta {
                    number,
                    timestamp_ns: record.timestamp_ns,
                    interface: record.interface,
                    inbound: chunk.inbound(record),
                };
                row.file = Some((chunk, record));
            }
            number += 1;
        }
        builder.extend(&rows[..count]);
    }
}

/// A capture file as a stream of record batches, decoded in the calling thread.
pub struct Batches {
    reader: Reader,
    chunk: Chunk,
    builder: Builder,
    plan: Plan,
    left: u64,
    ended: bool,
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Batches")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Batches {
    /// Of `reader`, from where it stands.
    ///
    /// # Errors
    /// Gives back a name that is not a column.
    pub fn new(reader: Reader, plan: Plan) -> Result<Self, String> {
        let builder = Builder::new(&plan.columns)?;
        let left = plan.limit.unwrap_or(u64::MAX);
        Ok(Self {
            reader,
            chunk: Chunk::default(),
            builder,
            plan,
            left,
            ended: false,
        })
    }

    /// The reader, for its interfaces and its tail.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended
            && self.left > 0
            && self.builder.len() < self.plan.batch_rows
            && !self.builder.is_full()
        {
            match self.reader.read_chunk(&mut self.chunk) {
                Ok(true) => {
                    if self.builder.is_empty() {
                        self.builder.reserve(
                            self.plan.batch_rows.min(1 << 20) + self.chunk.records().len(),
                        );
                    }
                    decode_chunk(
                        &self.chunk,
                        self.plan.filter.as_ref(),
                        &mut self.builder,
                        &mut self.left,
                    );
                }
                Ok(false) => {
                    self.ended = true;
                    tell(&self.plan.report, &self.reader);
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(ArrowError::from(error)));
                }
            }
        }
        if self.builder.is_empty() {
            None
        } else {
            Some(self.builder.finish())
        }
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.builder.schema()
    }
}

/// Batches with the number of the first record in them, so that they can be put in order again.
type Numbered = (u64, Result<RecordBatch, ArrowError>);

/// A capture file as a stream of record batches, decoded by several threads. Batches come in the order of the file.
///
/// Reading (one thread at a time, under a lock) is a small part of the work; decoding is done outside the lock.
pub struct ParallelBatches {
    schema: SchemaRef,
    receiver: Option<Receiver<Numbered>>,
    workers: Vec<JoinHandle<()>>,
    waiting: BTreeMap<u64, Result<RecordBatch, ArrowError>>,
    next: u64,
}

impl std::fmt::Debug for ParallelBatches {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ParallelBatches")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

/// The part that one worker at a time holds: the file, and the number of the next task.
struct Shared {
    reader: Reader,
    task: u64,
    ended: bool,
}

impl ParallelBatches {
    /// With `workers` threads. A row limit is not possible here.
    ///
    /// # Errors
    /// Gives back a name that is not a column.
    pub fn new(reader: Reader, plan: &Plan, workers: usize) -> Result<Self, String> {
        let schema = Builder::new(&plan.columns)?.schema();
        let workers = workers.clamp(1, 64);
        let (sender, receiver) = sync_channel(workers * 2);
        let shared = Arc::new(Mutex::new(Shared {
            reader,
            task: 0,
            ended: false,
        }));
        let threads = (0..workers)
            .map(|_| {
                let (sender, shared, plan) = (sender.clone(), Arc::clone(&shared), plan.clone());
                std::thread::spawn(move || work(&shared, &plan, &sender))
            })
            .collect();
        Ok(Self {
            schema,
            receiver: Some(receiver),
            workers: threads,
            waiting: BTreeMap::new(),
            next: 0,
        })
    }
}

/// Chunks one task reads under the lock: together about as many rows as a batch has, in memory at once.
const TASK_CHUNKS: usize = 16;

fn work(shared: &Mutex<Shared>, plan: &Plan, sender: &SyncSender<Numbered>) {
    let Ok(mut builder) = Builder::new(&plan.columns) else {
        return;
    };
    let mut chunks: Vec<Chunk> = (0..TASK_CHUNKS).map(|_| Chunk::default()).collect();
    loop {
        let mut used = 0;
        let mut rows = 0;
        let mut failure = None;
        let task = {
            let Ok(mut shared) = shared.lock() else {
                return;
            };
            while !shared.ended && used < TASK_CHUNKS && rows < plan.batch_rows {
                match shared.reader.read_chunk(&mut chunks[used]) {
                    Ok(true) => {
                        rows += chunks[used].records().len();
                        used += 1;
                    }
                    Ok(false) => {
                        shared.ended = true;
                        tell(&plan.report, &shared.reader);
                    }
                    Err(error) => {
                        shared.ended = true;
                        failure = Some(ArrowError::from(error));
                    }
                }
            }
            if used == 0 && failure.is_none() {
                return;
            }
            shared.task += 1;
            shared.task - 1
        };
        builder.reserve(rows);
        let mut left = u64::MAX;
        for chunk in &chunks[..used] {
            decode_chunk(chunk, plan.filter.as_ref(), &mut builder, &mut left);
        }
        let result = failure.map_or_else(|| builder.finish(), Err);
        if sender.send((task, result)).is_err() {
            return;
        }
    }
}

impl Iterator for ParallelBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.waiting.remove(&self.next) {
                self.next += 1;
                // A filter may leave nothing of a task.
                if batch.as_ref().is_ok_and(|batch| batch.num_rows() == 0) {
                    continue;
                }
                return Some(batch);
            }
            match self.receiver.as_ref()?.recv() {
                Ok((task, batch)) => {
                    self.waiting.insert(task, batch);
                }
                Err(_) => return None,
            }
        }
    }
}

impl RecordBatchReader for ParallelBatches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for ParallelBatches {
    fn drop(&mut self) {
        // Workers end at their next send.
        drop(self.receiver.take());
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}
