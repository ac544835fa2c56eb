//! A frame and its headers.

use std::net::Ipv4Addr;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wallsocket_wire::columns::Meta;
use wallsocket_wire::decode::{self, Hints, Link, LinkType, Network, Transport, Vlan, application};

use super::layers;

/// A frame: immutable bytes, what the capture says about them, and the headers decoded from them.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Frame {
    pub(super) bytes: Py<PyBytes>,
    pub(super) link_type: LinkType,
    pub(super) original_length: u32,
    hints: Hints,
    meta: Meta,
    pub(super) comments: Vec<String>,
    pub(super) process_id: Option<u32>,
}

impl Frame {
    pub(super) fn with<T>(
        &self,
        py: Python<'_>,
        use_frame: impl FnOnce(&decode::Frame<'_>) -> T,
    ) -> T {
        let bytes = self.bytes.as_bytes(py);
        use_frame(&decode::decode(
            self.link_type,
            bytes,
            self.original_length,
            self.hints,
        ))
    }
}

header! {
    /// Ethernet header.
    Ethernet {
        destination: String,
        source: String,
    }
}

header! {
    /// ARP message.
    Arp {
        offset: u32,
        operation: u16,
        sender_hardware: Option<String>,
        sender: Option<String>,
        target_hardware: Option<String>,
        target: Option<String>,
    }
}

header! {
    /// IPv4 or IPv6 header.
    Ip {
        offset: u32,
        version: u8,
        header_length: u32,
        source: String,
        destination: String,
        protocol: u8,
        next_header: u8,
        time_to_live: u8,
        traffic_class: u8,
        length: u32,
        identification: Option<u32>,
        dont_fragment: Option<bool>,
        more_fragments: bool,
        fragment_offset: u32,
        flow_label: Option<u32>,
        checksum: Option<u16>,
        options: Vec<(u8, Option<Vec<u8>>)>,
    }
}

header! {
    /// TCP header.
    Tcp {
        offset: u32,
        present: u8,
        header_length: u8,
        source_port: u16,
        destination_port: u16,
        sequence_number: u32,
        acknowledgement_number: u32,
        flags: u16,
        flags_text: String,
        window: u16,
        checksum: u16,
        urgent_pointer: u16,
        maximum_segment_size: Option<u16>,
        window_scale: Option<u8>,
        sack_permitted: bool,
        sack: Vec<(u32, u32)>,
        timestamps: Option<(u32, u32)>,
    }
}

header! {
    /// UDP header.
    Udp {
        offset: u32,
        present: u8,
        source_port: u16,
        destination_port: u16,
        length: u16,
        checksum: u16,
    }
}

header! {
    /// ICMP or ICMPv6 header.
    Icmp {
        offset: u32,
        version: u8,
        r#type: u8,
        code: u8,
        checksum: u16,
        rest: u32,
        identifier: Option<u16>,
        sequence_number: Option<u16>,
        next_hop_mtu: Option<u32>,
        is_error: bool,
        target: Option<String>,
        source_link_layer: Option<String>,
        target_link_layer: Option<String>,
        prefixes: Vec<(String, bool, bool, u32, u32)>,
        link_mtu: Option<u32>,
        name_servers: Vec<(String, u32)>,
    }
}

/// Fills in what a neighbour discovery message says.
pub(super) fn add_neighbor_options(found: &mut Icmp, frame: &decode::Frame<'_>) {
    use decode::neighbor::NeighborOption;
    found.target = frame.neighbor_target().map(|address| address.to_string());
    let text = |address: &[u8]| match address.first_chunk::<6>() {
        Some(ethernet) if address.len() == 6 => decode::summary::ethernet_address(*ethernet),
        _ => address
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(":"),
    };
    for option in frame.neighbor_options() {
        match option {
            NeighborOption::SourceLinkLayer(address) => {
                found.source_link_layer = Some(text(address));
            }
            NeighborOption::TargetLinkLayer(address) => {
                found.target_link_layer = Some(text(address));
            }
            NeighborOption::Prefix(prefix) => found.prefixes.push((
                format!("{}/{}", prefix.prefix, prefix.length),
                prefix.on_link,
                prefix.autonomous,
                prefix.valid_s,
                prefix.preferred_s,
            )),
            NeighborOption::Mtu(mtu) => found.link_mtu = Some(mtu),
            NeighborOption::NameServers {
                lifetime_s,
                addresses,
            } => {
                found.name_servers.extend(
                    addresses.as_chunks::<16>().0.iter().map(|address| {
                        (std::net::Ipv6Addr::from(*address).to_string(), lifetime_s)
                    }),
                )
            }
            _ => {}
        }
    }
}

header! {
    /// IGMP message.
    Igmp {
        offset: u32,
        r#type: u8,
        checksum: u16,
        group: String,
    }
}

/// Bytes without copying: the buffer protocol is not asked, because a frame must not change.
pub(super) fn frame_of(
    py: Python<'_>,
    bytes: &[u8],
    link_type: LinkType,
    original_length: u32,
    hints: Hints,
    meta: Meta,
) -> Frame {
    Frame {
        bytes: PyBytes::new(py, bytes).unbind(),
        link_type,
        original_length,
        hints,
        meta,
        comments: Vec::new(),
        process_id: None,
    }
}

#[pymethods]
impl Frame {
    #[new]
    #[pyo3(signature = (bytes, link_type = 1, *, original_length = None, timestamp_ns = None, number = 0, interface = 0,
                        vlan = None, checksum_not_ready = false))]
    #[expect(clippy::too_many_arguments)]
    fn new(
        bytes: Py<PyBytes>,
        link_type: u32,
        original_length: Option<u32>,
        timestamp_ns: Option<i64>,
        number: u64,
        interface: u32,
        vlan: Option<(u16, u16)>,
        checksum_not_ready: bool,
        py: Python<'_>,
    ) -> Self {
        let length = bytes.as_bytes(py).len() as u32;
        Self {
            bytes,
            link_type: LinkType(link_type),
            original_length: original_length.unwrap_or(length).max(length),
            hints: Hints {
                vlan: vlan.map(|(protocol, control)| Vlan { protocol, control }),
                checksum_not_ready,
                checksum_verified: false,
            },
            meta: Meta {
                number,
                timestamp_ns,
                interface,
                inbound: None,
            },
            comments: Vec::new(),
            process_id: None,
        }
    }

    #[getter]
    fn bytes(&self, py: Python<'_>) -> Py<PyBytes> {
        self.bytes.clone_ref(py)
    }

    fn __bytes__(&self, py: Python<'_>) -> Py<PyBytes> {
        self.bytes.clone_ref(py)
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.bytes.as_bytes(py).len()
    }

    #[getter]
    fn link_type(&self) -> u32 {
        self.link_type.0
    }

    #[getter]
    fn original_length(&self) -> u32 {
        self.original_length
    }

    #[getter]
    pub(super) fn timestamp_ns(&self) -> Option<i64> {
        self.meta.timestamp_ns
    }

    #[getter]
    fn number(&self) -> u64 {
        self.meta.number
    }

    #[getter]
    fn interface(&self) -> u32 {
        self.meta.interface
    }

    #[getter]
    fn inbound(&self) -> Option<bool> {
        self.meta.inbound
    }

    #[getter]
    fn comments(&self) -> Vec<String> {
        self.comments.clone()
    }

    #[getter]
    fn process_id(&self) -> Option<u32> {
        self.process_id
    }

    #[getter]
    fn vlans(&self, py: Python<'_>) -> Vec<u16> {
        self.with(py, |frame| {
            frame.vlans().iter().map(|vlan| vlan.identifier()).collect()
        })
    }

    #[getter]
    fn ether_type(&self, py: Python<'_>) -> Option<u16> {
        self.with(py, |frame| frame.ether_type)
    }

    #[getter]
    fn protocol(&self, py: Python<'_>) -> Option<u8> {
        self.with(py, |frame| frame.protocol)
    }

    #[getter]
    fn ethernet(&self, py: Python<'_>) -> Option<Ethernet> {
        self.with(py, |frame| match frame.link {
            Link::Ethernet {
                destination,
                source,
            } => Some(Ethernet {
                destination: decode::summary::ethernet_address(destination),
                source: decode::summary::ethernet_address(source),
            }),
            _ => None,
        })
    }

    #[getter]
    fn arp(&self, py: Python<'_>) -> Option<Arp> {
        self.with(py, |frame| match &frame.network {
            Network::Arp(message) => Some(Arp {
                offset: message.offset,
                operation: message.operation,
                sender_hardware: message
                    .ethernet()
                    .map(|(sender, _)| decode::summary::ethernet_address(sender)),
                sender: message.addresses.map(|ends| ends.sender.to_string()),
                target_hardware: message
                    .ethernet()
                    .map(|(_, target)| decode::summary::ethernet_address(target)),
                target: message.addresses.map(|ends| ends.target.to_string()),
            }),
            _ => None,
        })
    }

    #[getter]
    fn ip(&self, py: Python<'_>) -> Option<Ip> {
        self.with(py, |frame| {
            let (source, destination) = frame.addresses()?;
            let (source, destination) = (source.to_string(), destination.to_string());
            let protocol = frame.protocol.unwrap_or(0);
            match &frame.network {
                Network::Ipv4(ip) => Some(Ip {
                    offset: ip.offset,
                    version: 4,
                    header_length: ip.header_length.into(),
                    source,
                    destination,
                    protocol,
                    next_header: ip.protocol,
                    time_to_live: ip.time_to_live,
                    traffic_class: ip.traffic_class,
                    length: ip.total_length.into(),
                    identification: Some(ip.identification.into()),
                    dont_fragment: Some(ip.dont_fragment()),
                    more_fragments: ip.more_fragments(),
                    fragment_offset: ip.fragment_offset(),
                    flow_label: None,
                    checksum: Some(ip.checksum),
                    options: frame
                        .ipv4_options()
                        .map(|option| (option.kind, option.data.map(<[u8]>::to_vec)))
                        .collect(),
                }),
                Network::Ipv6(ip) => Some(Ip {
                    offset: ip.offset,
                    version: 6,
                    header_length: ip.upper_offset - ip.offset,
                    source,
                    destination,
                    protocol,
                    next_header: ip.next_header,
                    time_to_live: ip.hop_limit,
                    traffic_class: ip.traffic_class,
                    length: 40 + u32::from(ip.payload_length),
                    identification: ip.fragment.map(|fragment| fragment.identification),
                    dont_fragment: None,
                    more_fragments: ip.fragment.is_some_and(|fragment| fragment.more),
                    fragment_offset: ip.fragment.map_or(0, |fragment| fragment.offset),
                    flow_label: Some(ip.flow_label),
                    checksum: None,
                    options: frame
                        .extensions()
                        .map(|header| (header.number, Some(header.bytes.to_vec())))
                        .collect(),
                }),
                _ => None,
            }
        })
    }

    #[getter]
    fn tcp(&self, py: Python<'_>) -> Option<Tcp> {
        use decode::options::{TcpOption, sack_edges};
        self.with(py, |frame| {
            let tcp = frame.tcp()?;
            let mut found = Tcp {
                offset: tcp.offset,
                present: tcp.present,
                header_length: tcp.header_length,
                source_port: tcp.source_port,
                destination_port: tcp.destination_port,
                sequence_number: tcp.sequence_number,
                acknowledgement_number: tcp.acknowledgement_number,
                flags: tcp.flags,
                flags_text: decode::summary::tcp_flags(tcp.flags),
                window: tcp.window,
                checksum: tcp.checksum,
                urgent_pointer: tcp.urgent_pointer,
                maximum_segment_size: None,
                window_scale: None,
                sack_permitted: false,
                sack: Vec::new(),
                timestamps: None,
            };
            for option in frame.tcp_options() {
                match option {
                    TcpOption::MaximumSegmentSize(size) => found.maximum_segment_size = Some(size),
                    TcpOption::WindowScale(shift) => found.window_scale = Some(shift),
                    TcpOption::SackPermitted => found.sack_permitted = true,
                    TcpOption::Sack(edges) => found.sack = sack_edges(edges).collect(),
                    TcpOption::Timestamps { value, echo } => found.timestamps = Some((value, echo)),
                    _ => {}
                }
            }
            Some(found)
        })
    }

    #[getter]
    fn udp(&self, py: Python<'_>) -> Option<Udp> {
        self.with(py, |frame| {
            frame.udp().map(|udp| Udp {
                offset: udp.offset,
                present: udp.present,
                source_port: udp.source_port,
                destination_port: udp.destination_port,
                length: udp.length,
                checksum: udp.checksum,
            })
        })
    }

    #[getter]
    fn icmp(&self, py: Python<'_>) -> Option<Icmp> {
        self.with(py, |frame| {
            let icmp = frame.icmp()?;
            let mut found = Icmp {
                offset: icmp.offset,
                version: icmp.version,
                r#type: icmp.kind,
                code: icmp.code,
                checksum: icmp.checksum,
                rest: icmp.rest,
                identifier: icmp.identifier(),
                sequence_number: icmp.sequence_number(),
                next_hop_mtu: icmp.next_hop_mtu(),
                is_error: icmp.is_error(),
                target: None,
                source_link_layer: None,
                target_link_layer: None,
                prefixes: Vec::new(),
                link_mtu: None,
                name_servers: Vec::new(),
            };
            add_neighbor_options(&mut found, frame);
            Some(found)
        })
    }

    #[getter]
    fn igmp(&self, py: Python<'_>) -> Option<Igmp> {
        self.with(py, |frame| match &frame.transport {
            Transport::Igmp(igmp) => Some(Igmp {
                offset: igmp.offset,
                r#type: igmp.kind,
                checksum: igmp.checksum,
                group: Ipv4Addr::from(igmp.group).to_string(),
            }),
            _ => None,
        })
    }

    /// The packet that an ICMP error quotes.
    #[getter]
    fn quoted(&self, py: Python<'_>) -> Option<Frame> {
        self.with(py, |frame| {
            let quoted = frame.quoted()?;
            Some(frame_of(
                py,
                quoted.bytes,
                LinkType::RAW,
                quoted.original_length,
                Hints::default(),
                Meta::default(),
            ))
        })
    }

    /// The header of the tunnel that this packet is.
    #[getter]
    fn tunnel(&self, py: Python<'_>) -> Option<layers::Tunnel> {
        self.with(py, layers::tunnel)
    }

    /// The packet that the tunnel carries.
    #[getter]
    fn inner(&self, py: Python<'_>) -> Option<Frame> {
        self.with(py, |frame| {
            let inner = frame.inner()?;
            let mut found = frame_of(
                py,
                inner.bytes,
                inner.link_type,
                inner.original_length,
                Hints::default(),
                self.meta,
            );
            found.process_id = self.process_id;
            Some(found)
        })
    }

    #[getter]
    fn labels(&self, py: Python<'_>) -> Vec<layers::Label> {
        self.with(py, layers::labels)
    }

    #[getter]
    fn pppoe(&self, py: Python<'_>) -> Option<layers::Pppoe> {
        self.with(py, layers::pppoe)
    }

    #[getter]
    fn ppp_protocol(&self, py: Python<'_>) -> Option<u16> {
        self.with(py, |frame| frame.ppp_protocol())
    }

    #[getter]
    fn port_tag(&self, py: Python<'_>) -> Option<layers::PortTag> {
        self.with(py, layers::port_tag)
    }

    #[getter]
    fn sctp(&self, py: Python<'_>) -> Option<layers::Sctp> {
        self.with(py, layers::sctp)
    }

    #[getter]
    fn ipsec(&self, py: Python<'_>) -> Option<layers::Ipsec> {
        self.with(py, layers::ipsec)
    }

    #[getter]
    fn wireless(&self, py: Python<'_>) -> Option<layers::Wireless> {
        self.with(py, layers::wireless)
    }

    #[getter]
    fn can(&self, py: Python<'_>) -> Option<layers::Can> {
        self.with(py, layers::can)
    }

    #[getter]
    fn payload(&self, py: Python<'_>) -> Py<PyBytes> {
        self.with(py, |frame| PyBytes::new(py, frame.payload()).unbind())
    }

    #[getter]
    fn payload_offset(&self, py: Python<'_>) -> u32 {
        self.with(py, |frame| frame.payload_offset())
    }

    #[getter]
    fn problem(&self, py: Python<'_>) -> Option<String> {
        self.with(py, |frame| frame.problem.map(|problem| problem.to_string()))
    }

    #[getter]
    fn malformed(&self, py: Python<'_>) -> bool {
        self.with(py, |frame| {
            frame.problem.is_some_and(|problem| problem.is_malformed())
        })
    }

    /// Verdicts on the checksums of the network and of the transport layer.
    #[getter]
    fn checksums(&self, py: Python<'_>) -> (&'static str, &'static str) {
        self.with(py, |frame| {
            let verdicts = frame.checksums();
            (verdicts.network.name(), verdicts.transport.name())
        })
    }

    #[getter]
    fn application(&self, py: Python<'_>) -> Option<String> {
        self.with(py, |frame| {
            application::recognise(frame).map(|found| found.to_string())
        })
    }

    /// The frame in one line; TCP numbers are counted from the given ones.
    #[pyo3(signature = (sequence_base = 0, acknowledgement_base = 0))]
    fn summary(&self, py: Python<'_>, sequence_base: u32, acknowledgement_base: u32) -> String {
        self.with(py, |frame| {
            frame.summary_relative(sequence_base, acknowledgement_base)
        })
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<Frame {}: {}>", self.meta.number, self.summary(py, 0, 0))
    }

    /// For notebooks.
    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        let module = slf.py().import("wallsocket.wire.frame")?;
        module.call_method1("html", (slf,))?.extract()
    }

    fn __eq__(&self, py: Python<'_>, other: &Self) -> bool {
        self.link_type == other.link_type && self.bytes.as_bytes(py) == other.bytes.as_bytes(py)
    }

    fn __hash__(&self, py: Python<'_>) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.link_type, self.bytes.as_bytes(py)).hash(&mut hasher);
        hasher.finish()
    }
}

/// What the beginning of a TCP stream is: TLS or HTTP/1.
#[pyfunction]
pub(super) fn recognise_stream(bytes: &[u8]) -> Option<String> {
    application::stream(bytes).map(|found| found.to_string())
}

/// LINKTYPE of the frames of an interface with this hardware type; None when it is not known.
#[pyfunction]
pub(super) fn link_type_of_hardware(hardware_type: u16) -> Option<u32> {
    LinkType::from_hardware_type(hardware_type).map(|link_type| link_type.0)
}
