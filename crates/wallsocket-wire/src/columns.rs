//! Decoded frames as Arrow columns.
//!
//! A column is one entry of [`COLUMNS`]: name, meaning, and how it is filled. Frames are decoded in groups of [`GROUP`], and then
//! every column takes the group in one loop. The fields that most callers want are put into [`Headers`] as each frame is decoded,
//! where the processor has just found out what the frame is; their columns copy whole arrays and never look at a frame. The
//! others are made from the decoded frames, so a column that was not asked for costs nothing.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use arrow_array::types::{Int8Type, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
    RecordBatch, RecordBatchReader, StringArray, make_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use wallsocket_sys::region::Region;

use crate::decode::options::TcpOption;
use crate::decode::{
    Frame, Hints, Link, LinkType, Network, Transport, application, decode_into, summary,
};
use crate::file::{Chunk, Reader, Record, Tail};
use crate::filter::Filters;

mod headers;
mod parallel;

pub use parallel::ParallelBatches;

use headers::{Headers, Values};

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
    kind: Kind,
    /// Of the innermost packet that a tunnel carries.
    inner: bool,
}

enum Kind {
    /// Copied from an array of [`Headers`]; the word says which frames have a value.
    Header(fn(&Headers) -> (Values<'_>, u64)),
    /// Made from the decoded frames.
    Made(fn() -> Box<dyn Column>),
}

/// Every frame of a group.
const ALL: u64 = u64::MAX;

impl std::fmt::Debug for Definition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// Collects the values of one column.
trait Column: Send {
    fn data_type(&self) -> DataType;
    fn reserve(&mut self, rows: usize);
    /// Takes rows. Those whose bit of `present` is not set have no value.
    fn extend(&mut self, rows: &[Row<'_>], present: u64);
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

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let mut mask = 0;
        let mut bit = 0;
        self.values.extend(rows.iter().map(|row| {
            let value = (self.get)(row);
            mask |= u64::from(value.is_some()) << bit;
            bit += 1;
            value.unwrap_or_default()
        }));
        self.validity.push(mask & present, rows.len());
    }

    fn finish(&mut self) -> ArrayRef {
        let values = ScalarBuffer::from(std::mem::take(&mut self.values));
        Arc::new(PrimitiveArray::<T>::new(values, self.validity.finish()))
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

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let (mut set, mut known) = (0, 0);
        for (bit, row) in rows.iter().enumerate() {
            if let Some(value) = (self.get)(row) {
                known |= 1 << bit;
                set |= u64::from(value) << bit;
            }
        }
        self.values.push(set, rows.len());
        self.validity.push(known & present, rows.len());
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

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let mut mask = 0;
        let mut bit = 0;
        self.values.extend(rows.iter().map(|row| {
            let value = (self.get)(row);
            mask |= u64::from(value.is_some()) << bit;
            bit += 1;
            value.unwrap_or([0; N])
        }));
        self.validity.push(mask & present, rows.len());
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

    fn extend(&mut self, rows: &[Row<'_>], present: u64) {
        let mut mask = 0;
        for (bit, row) in rows.iter().enumerate() {
            if (self.append)(row, &mut self.values) {
                mask |= 1 << bit;
            }
            self.ends.push(self.values.len() as i32);
        }
        self.validity.push(mask & present, rows.len());
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

/// Words with a space between them; `None` without any.
fn joined<D: std::fmt::Display>(words: impl Iterator<Item = D>) -> Option<String> {
    let mut line = String::new();
    for word in words {
        use std::fmt::Write as _;
        let space = if line.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(line, "{space}{word}");
    }
    (!line.is_empty()).then_some(line)
}

fn timestamps(row: &Row<'_>) -> Option<(u32, u32)> {
    row.frame.tcp_options().find_map(|option| match option {
        TcpOption::Timestamps { value, echo } => Some((value, echo)),
        _ => None,
    })
}

macro_rules! columns {
    // Behind `=>` the array of `Headers` that has the values, and which frames have one; else what makes them of frames.
    (
        capture { $($capture:literal, $said:literal $(, $told:expr)? $(=> $known:expr)?;)* }
        frame { $($name:literal, $meaning:literal $(, $make:expr)? $(=> $header:expr)?;)* }
    ) => {
        /// Every column there is. Those of the frame are there a second time, for the innermost packet that tunnels carry.
        pub static COLUMNS: &[Definition] = &[
            $(Definition {
                name: $capture,
                meaning: $said,
                kind: $(Kind::Made(|| $told))? $(Kind::Header($known))?,
                inner: false,
            },)*
            $(Definition {
                name: $name,
                meaning: $meaning,
                kind: $(Kind::Made(|| $make))? $(Kind::Header($header))?,
                inner: false,
            },)*
            $(Definition {
                name: concat!("inner_", $name),
                meaning: concat!("the same of the innermost packet in tunnels: ", $meaning),
                kind: $(Kind::Made(|| $make))? $(Kind::Header($header))?,
                inner: true,
            },)*
        ];
    };
}

columns! {
    capture {
        "number", "number of the frame in its capture, from 1" => |group| (Values::U64(&group.number), ALL);
        "time", "when it was captured, nanoseconds, UTC" => |group| (Values::Time(&group.time), group.has_time);
        "interface", "interface: number in the file, or index on this host" => |group| (Values::U32(&group.interface), ALL);
        "inbound", "received (true) or sent, when known", flags(|row| row.meta.inbound.or_else(|| {
            let (chunk, record) = row.file?;
            chunk.inbound(record)
        }));
        "process_id", "process that sent or received it, when the file says so",
            numbers::<UInt32Type>(|row| row.file.and_then(|(chunk, record)| chunk.process_id(record)));
        "comment", "comments in the file", text(|row| {
            let (chunk, record) = row.file?;
            let comments = chunk.comments(record);
            (!comments.is_empty()).then(|| comments.join("\n"))
        });
    }
    frame {
        "captured_length", "bytes captured" => |group| (Values::U32(&group.captured_length), ALL);
        "original_length", "bytes on the wire" => |group| (Values::U32(&group.original_length), ALL);
        "link_type", "LINKTYPE number" => |group| (Values::U32(&group.link_type), ALL);
        "ethernet_destination", "Ethernet destination, 6 bytes" => |group| (Values::Bytes6(&group.ethernet_destination), group.has_ethernet);
        "ethernet_source", "Ethernet source, 6 bytes" => |group| (Values::Bytes6(&group.ethernet_source), group.has_ethernet);
        "ethernet_destination_text", "Ethernet destination as text", variable(true, |row, values| ethernet_text(row, values, false));
        "ethernet_source_text", "Ethernet source as text", variable(true, |row, values| ethernet_text(row, values, true));
        "ether_type", "EtherType after the VLAN tags" => |group| (Values::U16(&group.ether_type), group.has_ether_type);
        "vlan", "identifier of the outermost VLAN" => |group| (Values::U16(&group.vlan), group.has_vlan);
        "vlan_inner", "identifier of the innermost of several VLANs", numbers::<UInt16Type>(|row| match row.frame.vlans() {
            [_, .., last] => Some(last.identifier()),
            _ => None,
        });
        "source", "source address as text: IPv4, IPv6, or the sender in ARP", variable(true, |row, values| address_text(row, values, true));
        "destination", "destination address as text: IPv4, IPv6, or the target in ARP", variable(true, |row, values| address_text(row, values, false));
        "source_address", "source address, 16 bytes; IPv4 mapped into ::ffff:0:0/96" => |group| (Values::Bytes16(&group.source), group.has_ip);
        "destination_address", "destination address, 16 bytes; IPv4 mapped into ::ffff:0:0/96" => |group| (Values::Bytes16(&group.destination), group.has_ip);
        "ip_version", "4 or 6" => |group| (Values::U8(&group.ip_version), group.has_ip);
        "ip_length", "bytes of the IP packet by its header" => |group| (Values::U32(&group.ip_length), group.has_ip);
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
        "ip_protocol", "protocol of the transport layer, after extension headers" => |group| (Values::U8(&group.protocol), group.has_protocol);
        "ip_time_to_live", "time to live, or hop limit" => |group| (Values::U8(&group.time_to_live), group.has_ip);
        "ip_checksum", "verdict on the IPv4 header checksum: good, bad, partial, absent, unknown", text(|row| Some(row.frame.checksums().network.name()));
        "source_port", "TCP, UDP or SCTP source port" => |group| (Values::U16(&group.source_port), group.has_ports);
        "destination_port", "TCP, UDP or SCTP destination port" => |group| (Values::U16(&group.destination_port), group.has_ports);
        "tcp_sequence_number", "TCP sequence number" => |group| (Values::U32(&group.sequence_number), group.has_sequence_number);
        "tcp_acknowledgement_number", "TCP acknowledgement number" => |group| (Values::U32(&group.acknowledgement_number), group.has_acknowledgement_number);
        "tcp_header_length", "bytes of the TCP header by its data offset", numbers::<UInt8Type>(|row| tcp(row, 13).map(|tcp| tcp.header_length));
        "tcp_flags", "TCP flags, 12 bits, FIN lowest" => |group| (Values::U16(&group.flags), group.has_flags);
        "tcp_flags_text", "TCP flags as tcpdump's letters", text(|row| tcp(row, 14).map(|tcp| summary::tcp_flags(tcp.flags)));
        "tcp_window", "TCP window before scaling, bytes" => |group| (Values::U16(&group.window), group.has_window);
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
        "udp_length", "UDP length, header included, bytes" => |group| (Values::U16(&group.udp_length), group.has_udp_length);
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
        "mpls_label", "label of the outermost MPLS header", numbers::<UInt32Type>(|row| row.frame.labels().next().map(|label| label.label));
        "mpls_labels", "every MPLS label, outermost first, as text", text(|row| joined(row.frame.labels().map(|label| label.label)));
        "pppoe_session", "session of PPP over Ethernet", numbers::<UInt16Type>(|row| row.frame.pppoe().map(|pppoe| pppoe.session));
        "ppp_protocol", "protocol number of PPP", numbers::<UInt16Type>(|row| row.frame.ppp_protocol());
        "tunnel", "how packets inside are carried, outermost first: gre, vxlan, geneve, gtp, ip, mpls, …", text(|row| joined(row.frame.tunnels().map(|(tunnel, _)| tunnel.kind.name())));
        "tunnel_identifier", "which of several tunnels: key of GRE, network of VXLAN and Geneve, endpoint of GTP, service of 802.1ah", numbers::<UInt32Type>(|row| row.frame.tunnel()?.identifier);
        "sctp_verification_tag", "SCTP verification tag", numbers::<UInt32Type>(|row| row.frame.sctp().filter(|sctp| sctp.present >= 8).map(|sctp| sctp.verification_tag));
        "sctp_chunk_type", "type of the first SCTP chunk", numbers::<UInt8Type>(|row| row.frame.sctp_chunks().next().map(|chunk| chunk.kind));
        "ipsec_spi", "security parameters index of ESP or AH", numbers::<UInt32Type>(|row| row.frame.ipsec().map(|ipsec| ipsec.spi));
        "ipsec_sequence_number", "sequence number of ESP or AH", numbers::<UInt32Type>(|row| row.frame.ipsec().map(|ipsec| ipsec.sequence_number));
        "wireless_type", "kind of an 802.11 frame: data, beacon, acknowledgement, …", text(|row| row.frame.wireless().map(|wireless| wireless.name()));
        "wireless_receiver", "802.11: who takes it from the air, 6 bytes", fixed::<6>(|row| row.frame.wireless().map(|wireless| wireless.receiver));
        "wireless_transmitter", "802.11: who sent it into the air, 6 bytes", fixed::<6>(|row| row.frame.wireless()?.transmitter);
        "wireless_source", "802.11: where it came from at first, 6 bytes", fixed::<6>(|row| row.frame.wireless()?.source);
        "wireless_destination", "802.11: where it goes in the end, 6 bytes", fixed::<6>(|row| row.frame.wireless()?.destination);
        "wireless_cell", "802.11: the cell (BSSID), 6 bytes", fixed::<6>(|row| row.frame.wireless()?.cell);
        "wireless_sequence_number", "802.11 sequence number", numbers::<UInt16Type>(|row| row.frame.wireless()?.sequence.map(|(number, _)| number));
        "radio_signal_dbm", "strength of the signal, by radiotap", numbers::<Int8Type>(|row| row.frame.radio()?.signal_dbm);
        "radio_channel_mhz", "frequency of the channel, by radiotap", numbers::<UInt16Type>(|row| row.frame.radio()?.channel_mhz);
        "can_identifier", "CAN identifier, 11 or 29 bits", numbers::<UInt32Type>(|row| row.frame.can().map(|can| can.identifier));
        "can_extended", "a CAN identifier of 29 bits", flags(|row| row.frame.can().map(|can| can.extended));
        "transport_checksum", "verdict on the transport checksum: good, bad, partial, absent, unknown", text(|row| Some(row.frame.checksums().transport.name()));
        "payload_length", "bytes of the innermost decoded layer's payload that were captured" => |group| (Values::U32(&group.payload_length), ALL);
        "payload", "payload of the innermost decoded layer", variable(false, |row, values| {
            values.extend_from_slice(row.frame.payload());
            true
        });
        "frame", "the captured bytes", variable(false, |row, values| {
            values.extend_from_slice(row.frame.bytes);
            true
        });
        "application", "what the payload says in a line: DNS, TLS, QUIC, HTTP/1, DHCP, SSH, SIP, SMB, Redis and others", text(|row| application::recognise(&row.frame));
        "summary", "the frame in a line", text(|row| Some(row.frame.summary()));
        "problem", "what does not fit, or stopped the decoding", text(|row| row.frame.problem);
        "malformed", "whether the frame breaks its protocol", flags(|row| Some(row.frame.problem.is_some_and(|problem| problem.is_malformed())));
    }
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

/// A column of [`Headers`] that is being collected.
struct HeaderColumn {
    values: fn(&Headers) -> (Values<'_>, u64),
    inner: bool,
    width: usize,
    /// Where its values start in the memory of the batch.
    start: usize,
    validity: Validity,
}

/// A column that is made from frames, and is being collected.
struct Made {
    column: Box<dyn Column>,
    inner: bool,
}

/// The header fields of the packets that a group's tunnels carry.
struct Inner {
    headers: Headers,
    /// Which frames of the group carry a packet.
    present: u64,
}

/// Where a column of the schema is collected: its place in one of the two lists of [`Builder`].
#[derive(Clone, Copy)]
enum Place {
    Header(usize),
    Made(usize),
}

/// Collects rows into record batches.
pub struct Builder {
    schema: SchemaRef,
    places: Vec<Place>,
    headers: Vec<HeaderColumn>,
    made: Vec<Made>,
    group: Box<Headers>,
    /// Of the packets inside, where a column asks for them.
    inner: Option<Box<Inner>>,
    /// Values of the header columns, one column after the other, with room for `capacity` rows.
    memory: Option<Region>,
    capacity: usize,
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

/// Rows that a batch has room for at first when nobody said how many will come.
const FIRST_ROWS: usize = 1024;

impl Builder {
    /// With the columns of these names, in this order.
    ///
    /// # Errors
    /// Gives back the first name that is not a column.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, String> {
        let group = Box::new(Headers::new());
        let mut fields = Vec::with_capacity(names.len());
        let (mut places, mut headers, mut made) = (Vec::new(), Vec::new(), Vec::new());
        let mut inner = None;
        for name in names {
            let Some(definition) = COLUMNS
                .iter()
                .find(|definition| definition.name == name.as_ref())
            else {
                return Err(name.as_ref().to_owned());
            };
            if definition.inner && inner.is_none() {
                inner = Some(Box::new(Inner {
                    headers: Headers::new(),
                    present: 0,
                }));
            }
            let data_type = match definition.kind {
                Kind::Header(values) => {
                    places.push(Place::Header(headers.len()));
                    let (array, _) = values(&group);
                    headers.push(HeaderColumn {
                        values,
                        inner: definition.inner,
                        width: array.width(),
                        start: 0,
                        validity: Validity::default(),
                    });
                    array.data_type()
                }
                Kind::Made(start) => {
                    places.push(Place::Made(made.len()));
                    let column = start();
                    let data_type = column.data_type();
                    made.push(Made {
                        column,
                        inner: definition.inner,
                    });
                    data_type
                }
            };
            fields.push(Field::new(definition.name, data_type, true));
        }
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            places,
            headers,
            made,
            group,
            inner,
            memory: None,
            capacity: 0,
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

    /// Makes room for so many rows in all.
    ///
    /// # Errors
    /// No memory.
    pub fn reserve(&mut self, rows: usize) -> Result<(), ArrowError> {
        if rows <= self.capacity {
            return Ok(());
        }
        // Every column starts at a multiple of 64 bytes, as Arrow recommends.
        let mut length = 0;
        let starts: Vec<usize> = self
            .headers
            .iter()
            .map(|column| {
                let start = length;
                length += (rows * column.width).next_multiple_of(64);
                start
            })
            .collect();
        let mut memory = Region::new(length)?;
        for (column, start) in self.headers.iter_mut().zip(starts) {
            let used = self.rows * column.width;
            if let Some(old) = &self.memory {
                memory[start..start + used]
                    .copy_from_slice(&old[column.start..column.start + used]);
            }
            column.start = start;
            column.validity.words.reserve(rows / 64 + 1);
        }
        for made in &mut self.made {
            made.column.reserve(rows - self.rows);
        }
        self.memory = Some(memory);
        self.capacity = rows;
        Ok(())
    }

    /// Takes the `count` rows, at least one, that were put into `group`; `rows` has them too where there are other columns, and
    /// `inside` the packets that they carry.
    fn take(
        &mut self,
        rows: &[Row<'_>],
        inside: &[Row<'_>],
        count: usize,
    ) -> Result<(), ArrowError> {
        if self.rows + count > self.capacity {
            // Small at first, and soon large: what is never touched costs nothing.
            let factor = if self.capacity < 1 << 16 { 8 } else { 2 };
            self.reserve(
                (self.rows + count)
                    .max(FIRST_ROWS)
                    .max(factor * self.capacity),
            )?;
        }
        if let Some(memory) = &mut self.memory {
            for column in &mut self.headers {
                let (group, present) = match &self.inner {
                    Some(inner) if column.inner => (&inner.headers, inner.present),
                    _ => (&*self.group, ALL),
                };
                let (values, mask) = (column.values)(group);
                let start = column.start + self.rows * column.width;
                values.copy_to(&mut memory[start..start + count * column.width]);
                column
                    .validity
                    .push(mask & present & (ALL >> (GROUP - count)), count);
            }
        }
        for made in &mut self.made {
            match &self.inner {
                Some(inner) if made.inner => made.column.extend(inside, inner.present),
                _ => made.column.extend(rows, ALL),
            }
        }
        self.rows += count;
        self.bytes += self.group.captured_length[..count]
            .iter()
            .map(|length| *length as usize)
            .sum::<usize>();
        Ok(())
    }

    /// The rows collected, as a batch; the builder starts anew.
    ///
    /// # Errors
    /// None that a correct column can cause.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = self.rows;
        let memory = self.memory.take().map_or_else(
            || Buffer::from_vec(Vec::<u8>::new()),
            |memory| Buffer::from(bytes::Bytes::from_owner(memory)),
        );
        let arrays = self
            .places
            .iter()
            .zip(self.schema.fields())
            .map(|(place, field)| match place {
                Place::Header(index) => {
                    let column = &mut self.headers[*index];
                    let values = if rows == 0 {
                        Buffer::from_vec(Vec::<u64>::new())
                    } else {
                        memory.slice_with_length(column.start, rows * column.width)
                    };
                    let data = ArrayData::builder(field.data_type().clone())
                        .len(rows)
                        .nulls(column.validity.finish())
                        .add_buffer(values)
                        .build()?;
                    Ok(make_array(data))
                }
                Place::Made(index) => Ok(self.made[*index].column.finish()),
            })
            .collect::<Result<Vec<_>, ArrowError>>()?;
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
        self.rows = 0;
        self.bytes = 0;
        self.capacity = 0;
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
    pub filter: Option<Filters>,
    /// Stop after so many rows.
    pub limit: Option<u64>,
    /// Where to say how the file ended.
    pub report: Report,
    /// Bytes of a file that a thread decodes at a time, where several do.
    pub part_bytes: Option<u64>,
}

/// Notes how a file ended.
fn tell(report: &Report, reader: &Reader) {
    if let Ok(mut tail) = report.lock() {
        *tail = reader.tail();
    }
}

/// Frames that are decoded together, in place: moving a row costs as much as decoding it.
pub struct Group<'a> {
    rows: Box<[Row<'a>; GROUP]>,
    /// The packets that they carry, where a column asks for them.
    inside: Box<[Row<'a>]>,
    count: usize,
    /// Whether some column looks at the rows; else one place serves for all.
    keep: bool,
}

impl std::fmt::Debug for Group<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Group")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<'a> Group<'a> {
    /// For the columns of `builder`.
    pub fn new(builder: &Builder) -> Self {
        let empty = Row {
            frame: Frame::empty(),
            meta: Meta::default(),
            file: None,
        };
        let inside = if builder.inner.is_some() { GROUP } else { 0 };
        Self {
            rows: Box::new([empty; GROUP]),
            inside: vec![empty; inside].into_boxed_slice(),
            count: 0,
            keep: !builder.made.is_empty(),
        }
    }

    /// Decodes a frame. The builder takes the frames when there are [`GROUP`], and at [`Group::end`].
    ///
    /// # Errors
    /// No memory.
    #[inline]
    pub fn add(
        &mut self,
        builder: &mut Builder,
        link_type: LinkType,
        bytes: &'a [u8],
        original_length: u32,
        hints: Hints,
        meta: Meta,
        file: Option<(&'a Chunk, &'a Record)>,
    ) -> Result<(), ArrowError> {
        let row = &mut self.rows[if self.keep { self.count % GROUP } else { 0 }];
        decode_into(&mut row.frame, link_type, bytes, original_length, hints);
        row.meta = meta;
        row.file = file;
        builder.group.put(self.count, &row.frame, &row.meta);
        if let Some(inner) = &mut builder.inner {
            let row = *row;
            self.add_inside(inner, row);
        }
        self.count += 1;
        if self.count == GROUP {
            self.end(builder)?;
        }
        Ok(())
    }

    /// Decodes what a frame carries.
    #[cold]
    fn add_inside(&mut self, inner: &mut Inner, outer: Row<'a>) {
        if self.count == 0 {
            inner.present = 0;
        }
        let found = outer.frame.innermost();
        inner.present |= u64::from(found.is_some()) << (self.count % GROUP);
        let frame = found.unwrap_or_else(Frame::empty);
        inner.headers.put_apart(self.count, &frame, &outer.meta);
        if let Some(row) = self.inside.get_mut(self.count) {
            *row = Row { frame, ..outer };
        }
    }

    /// Hands the builder what it has not yet taken.
    ///
    /// # Errors
    /// No memory.
    pub fn end(&mut self, builder: &mut Builder) -> Result<(), ArrowError> {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return Ok(());
        }
        let inside = self.inside.get(..count).unwrap_or(&[]);
        builder.take(&self.rows[..count], inside, count)
    }
}

/// Decodes the records of a chunk, from the one of index `first` on, into `builder`.
fn decode_chunk(
    chunk: &Chunk,
    first: usize,
    filter: Option<&Filters>,
    builder: &mut Builder,
    left: &mut u64,
) -> Result<(), ArrowError> {
    let mut group = Group::new(builder);
    let numbers = chunk.first_number() + first as u64..;
    for (record, number) in chunk.records()[first..].iter().zip(numbers) {
        let bytes = chunk.frame_bytes(record);
        let wanted = filter
            .is_none_or(|filter| filter.matches(record.link_type, bytes, record.original_length));
        if !wanted {
            continue;
        }
        if *left == 0 {
            break;
        }
        *left -= 1;
        let meta = Meta {
            number,
            timestamp_ns: record.timestamp_ns,
            interface: record.interface,
            inbound: None,
        };
        group.add(
            builder,
            record.link_type,
            bytes,
            record.original_length,
            Hints::default(),
            meta,
            Some((chunk, record)),
        )?;
    }
    group.end(builder)
}

/// Rows of the batch to make room for, by its first chunk: all, unless the file seems to be small.
fn expected_rows(chunk: &Chunk, batch_rows: usize) -> usize {
    let rows = chunk.records().len();
    if chunk.is_full() {
        batch_rows.min(1 << 20) + 2 * rows
    } else {
        rows
    }
}

/// A capture file as a stream of record batches, decoded in the calling thread.
pub struct Batches {
    reader: Reader,
    chunk: Chunk,
    /// Index of the first record of `chunk` that is not yet decoded; `None` when all are.
    first: Option<usize>,
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
    /// Of the records of `chunk` from index `first` on, and then of `reader`, from where it stands.
    ///
    /// # Errors
    /// Gives back a name that is not a column.
    pub fn new(reader: Reader, chunk: Chunk, first: usize, plan: Plan) -> Result<Self, String> {
        let builder = Builder::new(&plan.columns)?;
        let left = plan.limit.unwrap_or(u64::MAX);
        Ok(Self {
            reader,
            first: (first < chunk.records().len()).then_some(first),
            chunk,
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

impl Batches {
    /// Decodes chunks until the batch is full or the file ends.
    fn collect(&mut self) -> Result<(), ArrowError> {
        while self.left > 0 && self.builder.len() < self.plan.batch_rows && !self.builder.is_full()
        {
            let first = if let Some(first) = self.first.take() {
                first
            } else if !self.ended && self.reader.read_chunk(&mut self.chunk)? {
                0
            } else {
                self.ended = true;
                tell(&self.plan.report, &self.reader);
                break;
            };
            if self.builder.is_empty() {
                self.builder
                    .reserve(expected_rows(&self.chunk, self.plan.batch_rows))?;
            }
            decode_chunk(
                &self.chunk,
                first,
                self.plan.filter.as_ref(),
                &mut self.builder,
                &mut self.left,
            )?;
        }
        Ok(())
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.collect() {
            // What was decoded before comes next, and then the end.
            self.left = 0;
            return Some(Err(error));
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

#[cfg(test)]
mod tests;
