//! `wallsocket._core.wire`: frames, capture files, columns, the packet ring, sending.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::exceptions::{PyOSError, PyStopIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyCapsule, PyDict, PyTuple};
use wallsocket_sys::packet;
use wallsocket_wire::columns::{
    Batches, Builder, COLUMNS, DEFAULT, Meta, ParallelBatches, Plan, Report,
};
use wallsocket_wire::compress::{self, Compression, Sink};
use wallsocket_wire::craft;
use wallsocket_wire::decode::{self, Hints, Link, LinkType, Network, Transport, Vlan, application};
use wallsocket_wire::file::{self, Chunk, FileError, Format, Reader as FileReader, Tail};
use wallsocket_wire::file_write::{self, Details, Writer as FileWriter};
use wallsocket_wire::filter::{Filter as Program, Filters, Instruction};
use wallsocket_wire::live;

/// A frame: immutable bytes, what the capture says about them, and the headers decoded from them.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct Frame {
    bytes: Py<PyBytes>,
    link_type: LinkType,
    original_length: u32,
    hints: Hints,
    meta: Meta,
    comments: Vec<String>,
    process_id: Option<u32>,
}

impl Frame {
    fn with<T>(&self, py: Python<'_>, use_frame: impl FnOnce(&decode::Frame<'_>) -> T) -> T {
        let bytes = self.bytes.as_bytes(py);
        use_frame(&decode::decode(
            self.link_type,
            bytes,
            self.original_length,
            self.hints,
        ))
    }
}

/// Ethernet header.
#[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
struct Ethernet {
    destination: String,
    source: String,
}

/// ARP message.
#[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
struct Arp {
    offset: u32,
    operation: u16,
    sender_hardware: Option<String>,
    sender: Option<String>,
    target_hardware: Option<String>,
    target: Option<String>,
}

/// IPv4 or IPv6 header.
#[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
struct Ip {
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

/// TCP header.
#[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
struct Tcp {
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

/// UDP header.
#[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
struct Udp {
    offset: u32,
    present: u8,
    source_port: u16,
    destination_port: u16,
    length: u16,
    checksum: u16,
}

/// ICMP or ICMPv6 header.
#[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
struct Icmp {
    offset: u32,
    version: u8,
    #[pyo3(name = "type")]
    kind: u8,
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

/// Fills in what a neighbour discovery message says.
fn add_neighbor_options(found: &mut Icmp, frame: &decode::Frame<'_>) {
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

/// IGMP message.
#[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
struct Igmp {
    offset: u32,
    #[pyo3(name = "type")]
    kind: u8,
    checksum: u16,
    group: String,
}

/// Bytes without copying: the buffer protocol is not asked, because a frame must not change.
fn frame_of(
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
    fn timestamp_ns(&self) -> Option<i64> {
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
                    .addresses
                    .map(|ends| decode::summary::ethernet_address(ends.sender_hardware)),
                sender: message.addresses.map(|ends| ends.sender.to_string()),
                target_hardware: message
                    .addresses
                    .map(|ends| decode::summary::ethernet_address(ends.target_hardware)),
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
                kind: icmp.kind,
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
                kind: igmp.kind,
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

/// What a lock guards, also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same for a thread that holds Python's lock: it lets go of that while it waits, because the holder may need it.
fn lock_attached<'a, T>(py: Python<'_>, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
    mutex
        .lock_py_attached(py)
        .unwrap_or_else(PoisonError::into_inner)
}

/// An exception that a signal handler raised while a thread was reading.
type Raised = Arc<Mutex<Option<PyErr>>>;

/// A file that lets Python's signal handlers run when a read is interrupted.
struct Interruptible {
    file: File,
    raised: Raised,
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if let Err(raised) = Python::attach(|py| py.check_signals()) {
                        *lock(&self.raised) = Some(raised);
                        return Err(io::Error::from_raw_os_error(125)); // ECANCELED
                    }
                }
                result => return result,
            }
        }
    }
}

/// With its number, so that Python makes it the right kind of `OSError`.
fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(code) => {
            let text = error.to_string();
            let text = text
                .split(" (os error")
                .next()
                .unwrap_or_default()
                .to_owned();
            PyOSError::new_err((code, text))
        }
        None => PyOSError::new_err(error.to_string()),
    }
}

fn file_error(error: FileError, raised: &Raised) -> PyErr {
    if let Some(raised) = lock(raised).take() {
        return raised;
    }
    match error {
        FileError::NotACapture(_) => PyValueError::new_err(error.to_string()),
        FileError::Io(error) => os_error(error),
    }
}

fn instructions(program: Vec<(u16, u8, u8, u32)>) -> Vec<Instruction> {
    program
        .into_iter()
        .map(|(code, jump_true, jump_false, operand)| Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        })
        .collect()
}

fn program_of(program: Vec<(u16, u8, u8, u32)>) -> PyResult<Program> {
    Program::new(instructions(program)).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A packet filter: a program for each link type, and one for every other.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct Filter {
    filters: Filters,
}

#[pymethods]
impl Filter {
    /// Frames of link types without a program do not match.
    #[new]
    #[pyo3(signature = (programs, other = None))]
    fn new(
        programs: std::collections::HashMap<u32, Vec<(u16, u8, u8, u32)>>,
        other: Option<Vec<(u16, u8, u8, u32)>>,
    ) -> PyResult<Self> {
        let programs = programs
            .into_iter()
            .map(|(link_type, program)| Ok((LinkType(link_type), program_of(program)?)))
            .collect::<PyResult<_>>()?;
        let other = other.map(program_of).transpose()?;
        Ok(Self {
            filters: Filters::new(programs, other),
        })
    }

    /// Whether a frame matches.
    fn matches(&self, py: Python<'_>, frame: &Frame) -> bool {
        self.filters.matches(
            frame.link_type,
            frame.bytes.as_bytes(py),
            frame.original_length,
        )
    }
}

/// The programs, to be taken along.
fn filters_of(filter: Option<&Bound<'_, Filter>>) -> Option<Filters> {
    filter.map(|filter| filter.get().filters.clone())
}

struct Open {
    reader: FileReader,
    chunk: Chunk,
    index: usize,
}

/// A capture file, read from an open descriptor.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct Reader {
    open: Mutex<Option<Open>>,
    raised: Raised,
    compression: &'static str,
    /// The file, where it can be read once more from its beginning.
    again: Option<Arc<File>>,
    /// Records that the copy wrote.
    copied: AtomicU64,
}

fn tail_tuple(tail: Option<Tail>) -> Option<(u64, u64, String)> {
    tail.map(|tail| (tail.unusable_bytes, tail.offset, tail.reason))
}

#[pymethods]
impl Reader {
    /// Takes the descriptor over.
    #[new]
    fn new(py: Python<'_>, descriptor: i32) -> PyResult<Self> {
        let raised = Raised::default();
        // A descriptor from Python: checked to be open, then owned by this reader.
        let file = owned(descriptor)?;
        let mut file = File::from(file);
        // Read from its beginning: standard input may stand anywhere.
        let whole = file.stream_position().is_ok_and(|position| position == 0);
        let again = if whole {
            file.try_clone().ok().map(Arc::new)
        } else {
            None
        };
        let source = Box::new(Interruptible {
            file,
            raised: Arc::clone(&raised),
        });
        let result = py.detach(|| {
            let (source, compression) = compress::decompressed(source)?;
            Ok((FileReader::new(source)?, compression))
        });
        let (mut reader, compression) = result.map_err(|error| file_error(error, &raised))?;
        if let (Some(file), Compression::None) = (&again, compression) {
            reader.set_file(Arc::clone(file));
        }
        let compression = match compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstandard => "zstd",
        };
        Ok(Self {
            open: Mutex::new(Some(Open {
                reader,
                chunk: Chunk::default(),
                index: 0,
            })),
            raised,
            compression,
            again,
            copied: AtomicU64::new(0),
        })
    }

    #[getter]
    fn compression(&self) -> &'static str {
        self.compression
    }

    #[getter]
    fn format(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |open| match open.reader.format() {
            Format::Pcap => "pcap",
            Format::Pcapng => "pcapng",
        })
    }

    /// Interfaces found so far.
    #[getter]
    fn interfaces(&self, py: Python<'_>) -> PyResult<Vec<Py<PyDict>>> {
        let found: Vec<Arc<file::Interface>> =
            self.with(py, |open| open.reader.interfaces().to_vec())?;
        found
            .iter()
            .map(|interface| {
                let entry = PyDict::new(py);
                entry.set_item("link_type", interface.link_type.0)?;
                entry.set_item("snap_length", interface.snap_length)?;
                entry.set_item("name", &interface.name)?;
                entry.set_item("description", &interface.description)?;
                entry.set_item("filter", &interface.filter)?;
                entry.set_item("ticks_per_second", interface.ticks_per_second)?;
                Ok(entry.unbind())
            })
            .collect()
    }

    /// (bytes of no use, where they start, why) once the end was reached.
    #[getter]
    fn tail(&self, py: Python<'_>) -> PyResult<Option<(u64, u64, String)>> {
        self.with(py, |open| tail_tuple(open.reader.tail()))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The next frame that matches, or None at the end of what the file has now; reading may be tried again.
    #[pyo3(signature = (filter = None))]
    fn next_frame(
        &self,
        py: Python<'_>,
        filter: Option<&Bound<'_, Filter>>,
    ) -> PyResult<Option<Frame>> {
        let filter = filter.map(|filter| &filter.get().filters);
        let mut guard = lock_attached(py, &self.open);
        let Some(open) = guard.as_mut() else {
            return Err(PyValueError::new_err("the capture file is closed"));
        };
        let matches = |chunk: &Chunk, record: &file::Record| {
            filter.is_none_or(|filter| {
                let bytes = chunk.frame_bytes(record);
                filter.matches(record.link_type, bytes, record.original_length)
            })
        };
        loop {
            let rest = &open.chunk.records()[open.index.min(open.chunk.records().len())..];
            match rest.iter().position(|record| matches(&open.chunk, record)) {
                Some(skipped) => {
                    open.index += skipped;
                    break;
                }
                None => open.index = 0,
            }
            let more = py.detach(|| open.reader.read_chunk(&mut open.chunk));
            py.check_signals()?;
            match more {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(file_error(error.into(), &self.raised)),
            }
        }
        let record = &open.chunk.records()[open.index];
        let meta = Meta {
            number: open.chunk.first_number() + open.index as u64,
            timestamp_ns: record.timestamp_ns,
            interface: record.interface,
            inbound: open.chunk.inbound(record),
        };
        let bytes = open.chunk.frame_bytes(record);
        let mut frame = frame_of(
            py,
            bytes,
            record.link_type,
            record.original_length,
            Hints::default(),
            meta,
        );
        frame.comments = open.chunk.comments(record);
        frame.process_id = open.chunk.process_id(record);
        open.index += 1;
        Ok(Some(frame))
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Frame> {
        self.next_frame(py, None)?
            .ok_or_else(|| PyStopIteration::new_err(()))
    }

    /// The rest of the file as Arrow columns; the reader is used up.
    #[pyo3(signature = (columns, *, batch_rows = 65536, filter = None, limit = None, workers = 1))]
    fn columns(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        batch_rows: usize,
        filter: Option<&Bound<'_, Filter>>,
        limit: Option<u64>,
        workers: usize,
    ) -> PyResult<ColumnStream> {
        let filter = filters_of(filter);
        let Some(open) = lock_attached(py, &self.open).take() else {
            return Err(PyValueError::new_err("the capture file is closed"));
        };
        let report = Report::default();
        let plan = Plan {
            columns,
            batch_rows: batch_rows.max(1),
            filter,
            limit,
            report: Arc::clone(&report),
            part_bytes: None,
        };
        let workers = if limit.is_none() { workers } else { 1 };
        let taken = match open.chunk.records().len() {
            0 => open.reader.count(),
            _ => open.chunk.first_number() - 1 + open.index as u64,
        };
        let stream = py
            .detach(|| batches(open, &plan, workers))
            .map_err(PyValueError::new_err)?;
        let schema = stream.schema();
        Ok(ColumnStream {
            source: Arc::new(ColumnSource {
                first: Mutex::new(Some(stream)),
                file: self.again.clone(),
                taken,
                plan,
                workers,
            }),
            schema,
            report,
        })
    }

    /// Copies records that match, `limit` at most, and every other block, byte for byte to another descriptor.
    ///
    /// With `follow`, waits for more at the end. `copied` says how many records were written, also after an error.
    #[pyo3(signature = (descriptor, filter = None, *, limit = None, compression = "none", follow = false))]
    fn copy(
        &self,
        py: Python<'_>,
        descriptor: i32,
        filter: Option<&Bound<'_, Filter>>,
        limit: Option<u64>,
        compression: &str,
        follow: bool,
    ) -> PyResult<u64> {
        let filter = filter.map(|filter| &filter.get().filters);
        let sink = Sink::new(
            Box::new(File::from(owned(descriptor)?)),
            compression_of(compression)?,
        );
        let mut output = io::BufWriter::with_capacity(1 << 20, sink);
        let Some(mut open) = lock_attached(py, &self.open).take() else {
            return Err(PyValueError::new_err("the capture file is closed"));
        };
        let keep = |chunk: &Chunk, record: &file::Record| {
            filter.is_none_or(|filter| {
                let bytes = chunk.frame_bytes(record);
                filter.matches(record.link_type, bytes, record.original_length)
            })
        };
        let step = |output: &mut io::BufWriter<Sink>, ended: bool| {
            if ended && follow {
                output.flush()?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Python::attach(|py| py.check_signals()).map_err(|raised| {
                *lock(&self.raised) = Some(raised);
                io::Error::from_raw_os_error(125) // ECANCELED
            })?;
            Ok(follow)
        };
        let mut kept = 0;
        let result = py.detach(|| {
            let reader = &mut open.reader;
            let done = file_write::copy(reader, &mut output, keep, limit, &mut kept, step);
            // What was copied before an error is whole in the file.
            let ended = output.flush().and_then(|()| output.get_mut().finish());
            done.and(ended.map(drop))
        });
        self.copied.store(kept, Ordering::Relaxed);
        *lock_attached(py, &self.open) = Some(open);
        result
            .map(|()| kept)
            .map_err(|error: io::Error| file_error(error.into(), &self.raised))
    }

    #[getter]
    fn copied(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    fn close(&self, py: Python<'_>) {
        lock_attached(py, &self.open).take();
    }
}

impl Reader {
    fn with<T>(&self, py: Python<'_>, ask: impl FnOnce(&Open) -> T) -> PyResult<T> {
        lock_attached(py, &self.open)
            .as_ref()
            .map(ask)
            .ok_or_else(|| PyValueError::new_err("the capture file is closed"))
    }
}

/// A descriptor of our own for one that Python holds.
fn owned(descriptor: i32) -> PyResult<OwnedFd> {
    wallsocket_sys::descriptor::duplicate(descriptor).map_err(os_error)
}

fn compression_of(name: &str) -> PyResult<Compression> {
    Ok(match name {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstandard,
        other => return Err(PyValueError::new_err(format!("no compression {other:?}"))),
    })
}

type BoxedBatches = Box<dyn RecordBatchReader + Send>;

/// The record batches of an open file.
fn batches(open: Open, plan: &Plan, workers: usize) -> Result<BoxedBatches, String> {
    let unknown = |name: String| format!("no column {name:?}");
    Ok(if workers > 1 {
        Box::new(
            ParallelBatches::new(open.reader, open.chunk, open.index, plan, workers)
                .map_err(unknown)?,
        )
    } else {
        Box::new(Batches::new(open.reader, open.chunk, open.index, plan.clone()).map_err(unknown)?)
    })
}

/// Where the record batches of a [`ColumnStream`] come from: the reader that was opened, then the file once more.
struct ColumnSource {
    first: Mutex<Option<BoxedBatches>>,
    file: Option<Arc<File>>,
    /// Frames that were taken before the columns were asked for.
    taken: u64,
    plan: Plan,
    workers: usize,
}

impl ColumnSource {
    fn open(&self) -> Result<BoxedBatches, String> {
        if let Some(stream) = lock(&self.first).take() {
            return Ok(stream);
        }
        let Some(file) = &self.file else {
            return Err(
                "the columns were taken already, and their source cannot be read twice".into(),
            );
        };
        let source = Box::new(file::Positioned::new(Arc::clone(file), 0));
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let (source, compression) =
            compress::decompressed(source).map_err(|error| failed(&error))?;
        let mut reader = FileReader::new(source).map_err(|error| failed(&error))?;
        if compression == Compression::None {
            reader.set_file(Arc::clone(file));
        }
        let (mut chunk, mut index) = (Chunk::default(), 0);
        while reader.count() < self.taken {
            if !reader
                .read_chunk(&mut chunk)
                .map_err(|error| failed(&error))?
            {
                break;
            }
            let before = chunk.first_number() - 1;
            index = (self.taken.saturating_sub(before) as usize).min(chunk.records().len());
        }
        let open = Open {
            reader,
            chunk,
            index,
        };
        batches(open, &self.plan, self.workers)
    }
}

/// One reading of a [`ColumnStream`], which begins when the first batch is asked for: some libraries ask for a stream to
/// see its schema, and for another to read.
struct Asked {
    source: Arc<ColumnSource>,
    schema: SchemaRef,
    stream: Option<BoxedBatches>,
}

impl Iterator for Asked {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stream.is_none() {
            match self.source.open() {
                Ok(stream) => self.stream = Some(stream),
                Err(reason) => return Some(Err(ArrowError::InvalidArgumentError(reason))),
            }
        }
        self.stream.as_mut()?.next()
    }
}

impl RecordBatchReader for Asked {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Record batches that are made as they are taken; each asking begins at the beginning, where the file can be read again.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct ColumnStream {
    source: Arc<ColumnSource>,
    schema: SchemaRef,
    report: Report,
}

impl ColumnStream {
    fn ask(&self) -> Asked {
        Asked {
            source: Arc::clone(&self.source),
            schema: Arc::clone(&self.schema),
            stream: None,
        }
    }
}

fn stream_capsule(
    py: Python<'_>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), c"arrow_array_stream")
}

#[pymethods]
impl ColumnStream {
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    /// (bytes of no use, where they start, why) once every batch was taken.
    #[getter]
    fn tail(&self) -> Option<(u64, u64, String)> {
        tail_tuple(lock(&self.report).clone())
    }

    /// The Arrow C stream of all batches.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The protocol allows to ignore a requested schema.
        drop(requested_schema);
        stream_capsule(py, Box::new(self.ask()))
    }

    fn __iter__(&self) -> ColumnBatches {
        ColumnBatches {
            asked: Mutex::new(self.ask()),
        }
    }

    fn __repr__(&self) -> String {
        format!(
            "<ColumnStream of {}, decoded as it is taken>",
            self.column_names().join(", ")
        )
    }
}

/// The record batches of a stream, one after the other.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct ColumnBatches {
    asked: Mutex<Asked>,
}

#[pymethods]
impl ColumnBatches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Table> {
        let mut guard = lock_attached(py, &self.asked);
        let asked = &mut *guard;
        match py.detach(|| asked.next()) {
            Some(Ok(batch)) => Ok(Table {
                schema: Arc::clone(&asked.schema),
                batches: vec![batch],
            }),
            Some(Err(ArrowError::InvalidArgumentError(reason))) => {
                Err(PyValueError::new_err(reason))
            }
            Some(Err(error)) => Err(PyOSError::new_err(error.to_string())),
            None => Err(PyStopIteration::new_err(())),
        }
    }
}

/// Record batches in memory.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

#[pymethods]
impl Table {
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect()
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn __repr__(&self) -> String {
        format!(
            "<Table of {} rows: {}>",
            self.__len__(),
            self.column_names().join(", ")
        )
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let batches: Vec<_> = self.batches.iter().cloned().map(Ok).collect();
        stream_capsule(
            py,
            Box::new(RecordBatchIterator::new(batches, Arc::clone(&self.schema))),
        )
    }
}

/// Writes a capture file to a descriptor.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct Writer {
    writer: Mutex<Option<FileWriter<io::BufWriter<Sink>>>>,
}

#[pymethods]
impl Writer {
    /// `format`: "pcapng", "pcap" (microseconds) or "pcap-ns"; `compression`: "none", "gzip" or "zstd".
    #[new]
    #[pyo3(signature = (descriptor, format = "pcapng", *, link_type = None, snap_length = 0, compression = "none", comment = None))]
    fn new(
        descriptor: i32,
        format: &str,
        link_type: Option<u32>,
        snap_length: u32,
        compression: &str,
        comment: Option<&str>,
    ) -> PyResult<Self> {
        let file = Box::new(File::from(owned(descriptor)?));
        let sink = Sink::new(file, compression_of(compression)?);
        let output = io::BufWriter::with_capacity(1 << 18, sink);
        let link_type = link_type.map(LinkType);
        let writer = match format {
            "pcapng" => FileWriter::pcapng(
                output,
                concat!("wallsocket ", env!("CARGO_PKG_VERSION")),
                comment,
            ),
            "pcap" => FileWriter::pcap(output, link_type, snap_length, false),
            "pcap-ns" => FileWriter::pcap(output, link_type, snap_length, true),
            other => {
                return Err(PyValueError::new_err(format!(
                    "no capture file format {other:?}"
                )));
            }
        }
        .map_err(os_error)?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Describes an interface; gives its number.
    #[pyo3(signature = (link_type = 1, *, name = None, description = None, filter = None, snap_length = 0))]
    fn interface(
        &self,
        link_type: u32,
        name: Option<String>,
        description: Option<String>,
        filter: Option<String>,
        snap_length: u32,
    ) -> PyResult<u32> {
        let interface = file::Interface {
            name,
            description,
            filter,
            snap_length,
            ..file::Interface::new(LinkType(link_type))
        };
        self.with(|writer| writer.interface(&interface))
    }

    #[pyo3(signature = (interface, timestamp_ns, bytes, *, original_length = None, comments = Vec::new(),
                        process_id = None, inbound = None))]
    #[expect(clippy::too_many_arguments)]
    fn frame(
        &self,
        interface: u32,
        timestamp_ns: Option<i64>,
        bytes: &[u8],
        original_length: Option<u32>,
        comments: Vec<String>,
        process_id: Option<u32>,
        inbound: Option<bool>,
    ) -> PyResult<()> {
        let details = Details {
            comments,
            process_id,
            inbound,
            vlan: None,
        };
        let original_length = original_length.unwrap_or(bytes.len() as u32);
        self.with(|writer| writer.frame(interface, timestamp_ns, bytes, original_length, &details))
    }

    fn statistics(
        &self,
        interface: u32,
        timestamp_ns: i64,
        seen: u64,
        dropped: u64,
    ) -> PyResult<()> {
        self.with(|writer| writer.statistics(interface, timestamp_ns, seen, dropped))
    }

    fn custom(&self, enterprise: u32, bytes: &[u8]) -> PyResult<()> {
        self.with(|writer| writer.custom(enterprise, bytes))
    }

    fn block(&self, kind: u32, body: &[u8]) -> PyResult<()> {
        self.with(|writer| writer.block(kind, body))
    }

    #[getter]
    fn count(&self) -> PyResult<u64> {
        self.with(|writer| Ok(writer.count()))
    }

    /// Whether a pcap file waits for the link type of its first frame.
    #[getter]
    fn is_waiting(&self) -> PyResult<bool> {
        self.with(|writer| Ok(writer.is_waiting()))
    }

    /// Hands what is written to the system, so that others can read it.
    fn flush(&self) -> PyResult<()> {
        self.with(|writer| writer.output().flush())
    }

    fn close(&self) -> PyResult<()> {
        if let Some(mut writer) = lock(&self.writer).take() {
            writer.finish().map_err(os_error)?;
            let mut output = writer.into_output();
            output.flush().map_err(os_error)?;
            output.get_mut().finish().map_err(os_error)?;
            // Nothing is left in the buffer; its own attempt to write on drop has nothing to do.
        }
        Ok(())
    }
}

impl Writer {
    fn with<T>(
        &self,
        act: impl FnOnce(&mut FileWriter<io::BufWriter<Sink>>) -> io::Result<T>,
    ) -> PyResult<T> {
        let mut guard = lock(&self.writer);
        let writer = guard
            .as_mut()
            .ok_or_else(|| PyValueError::new_err("the capture file is closed"))?;
        act(writer).map_err(os_error)
    }
}

/// A receive ring on a packet socket.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct Ring {
    ring: Mutex<Option<RingState>>,
    /// Set before the ring is closed, so that a thread that waits for frames stops soon.
    closing: AtomicBool,
}

struct RingState {
    ring: packet::Ring,
    filter: Option<Filters>,
    number: u64,
}

fn packet_error(error: packet::PacketError) -> PyErr {
    let code = error.error.raw_os_error().unwrap_or(0);
    PyOSError::new_err((code, format!("{}: {}", error.call, error.error)))
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX)
}

/// Longest wait between two looks at signals.
const SLICE: Duration = Duration::from_millis(200);

impl Ring {
    /// Waits for a filled block in slices, so that Ctrl-C and a close by another thread are heard; false when the time is over.
    fn wait(&self, py: Python<'_>, end: Option<Instant>) -> PyResult<bool> {
        loop {
            let left = end.map_or(SLICE, |end| {
                end.saturating_duration_since(Instant::now()).min(SLICE)
            });
            let ready = self.with(py, |state| {
                if state.ring.is_ready() {
                    return Ok(true);
                }
                match py.detach(|| state.ring.wait(Some(left))) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                    result => result.map_err(os_error),
                }
            })?;
            if ready {
                return Ok(true);
            }
            py.check_signals()?;
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
        }
    }
}

#[pymethods]
impl Ring {
    /// A ring on the packet socket `descriptor` (a copy of it is taken).
    ///
    /// `filter` runs in the kernel; `late_filter` here, on frames with their VLAN tag put back.
    #[new]
    #[pyo3(signature = (descriptor, *, interface = None, direction = "both", block_size = 262_144, block_count = 64,
                        block_timeout_s = 0.02, filter = None, late_filter = None, snap_length = 262_144,
                        promiscuous = false, fanout = None))]
    #[expect(clippy::too_many_arguments)]
    fn new(
        descriptor: i32,
        interface: Option<u32>,
        direction: &str,
        block_size: usize,
        block_count: usize,
        block_timeout_s: f64,
        filter: Option<Vec<(u16, u8, u8, u32)>>,
        late_filter: Option<&Bound<'_, Filter>>,
        snap_length: u32,
        promiscuous: bool,
        fanout: Option<(u16, String)>,
    ) -> PyResult<Self> {
        let direction = match direction {
            "both" => packet::Direction::Both,
            "in" => packet::Direction::In,
            "out" => packet::Direction::Out,
            "raw" => packet::Direction::Raw,
            other => {
                return Err(PyValueError::new_err(format!(
                    "no direction {other:?}: both, in, out or raw"
                )));
            }
        };
        let fanout = match fanout {
            None => None,
            Some((group, kind)) => Some(packet::Fanout {
                group,
                kind: match kind.as_str() {
                    "hash" => packet::FanoutKind::Hash,
                    "round-robin" => packet::FanoutKind::RoundRobin,
                    "processor" => packet::FanoutKind::Processor,
                    "rollover" => packet::FanoutKind::Rollover,
                    "random" => packet::FanoutKind::Random,
                    "queue" => packet::FanoutKind::Queue,
                    other => {
                        return Err(PyValueError::new_err(format!("no fanout kind {other:?}")));
                    }
                },
            }),
        };
        let options = packet::RingOptions {
            interface,
            direction,
            block_size,
            block_count,
            block_timeout: seconds(block_timeout_s),
            filter: filter.map(instructions).unwrap_or_default(),
            snap_length,
            promiscuous,
            fanout,
        };
        let ring = packet::Ring::on(owned(descriptor)?, &options).map_err(packet_error)?;
        let state = RingState {
            ring,
            filter: filters_of(late_filter),
            number: 0,
        };
        Ok(Self {
            ring: Mutex::new(Some(state)),
            closing: AtomicBool::new(false),
        })
    }

    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, |state| Ok(state.ring.as_raw_fd()))
    }

    /// Whether a block can be read without waiting.
    fn is_ready(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |state| Ok(state.ring.is_ready()))
    }

    /// The frames of the next block, copied; an empty list when the time is over. `timeout_s` None: wait for ever.
    #[pyo3(signature = (timeout_s = None))]
    fn frames(&self, py: Python<'_>, timeout_s: Option<f64>) -> PyResult<Vec<Frame>> {
        let end = timeout_s.map(|timeout| Instant::now() + seconds(timeout.min(1e9)));
        let mut found = Vec::new();
        while found.is_empty() {
            if !self.wait(py, end)? {
                break;
            }
            self.with(py, |state| {
                let RingState {
                    ring,
                    filter,
                    number,
                } = state;
                if let Some(block) = ring.next_block(Some(Duration::ZERO)).map_err(os_error)? {
                    found.extend(live::frames(&block, filter.as_ref(), number).map(|frame| {
                        frame_of(
                            py,
                            &frame.bytes,
                            frame.link_type,
                            frame.original_length,
                            frame.hints,
                            frame.meta,
                        )
                    }));
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Decodes into columns where the frames lie, for `duration_s` or until `rows` were seen.
    #[pyo3(signature = (columns, *, duration_s, rows = None))]
    fn columns(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        duration_s: f64,
        rows: Option<u64>,
    ) -> PyResult<Table> {
        let mut builder = Builder::new(&columns)
            .map_err(|name| PyValueError::new_err(format!("no column {name:?}")))?;
        let end = Instant::now() + seconds(duration_s.min(1e9));
        let mut left = rows.unwrap_or(u64::MAX);
        let mut batches = Vec::new();
        while left > 0 {
            if !self.wait(py, Some(end))? {
                break;
            }
            self.with(py, |state| {
                let RingState {
                    ring,
                    filter,
                    number,
                } = &mut *state;
                let builder = &mut builder;
                let taken =
                    py.detach(|| take_block(ring, filter.as_ref(), number, builder, &mut left))?;
                if taken && (builder.is_full() || builder.len() >= LIVE_BATCH) {
                    batches.push(builder.finish());
                }
                Ok(())
            })?;
        }
        let schema = builder.schema();
        if !builder.is_empty() {
            batches.push(builder.finish());
        }
        let batches = batches
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Table { schema, batches })
    }

    /// Writes the frames of the next blocks to a file, for `duration_s` or until `limit` were written; gives their number.
    ///
    /// `interfaces`: number in the file for each interface index. An interface that is not in it ends the call early, with its
    /// index and hardware type as second and third value: describe it in the file and call again.
    #[pyo3(signature = (writer, interfaces, *, duration_s, limit = None))]
    fn write(
        &self,
        py: Python<'_>,
        writer: &Writer,
        interfaces: std::collections::HashMap<u32, u32>,
        duration_s: f64,
        limit: Option<u64>,
    ) -> PyResult<(u64, Option<u32>, u32)> {
        let end = Instant::now() + seconds(duration_s.min(1e9));
        let mut written = 0;
        while limit.is_none_or(|limit| written < limit) {
            if !self.wait(py, Some(end))? {
                break;
            }
            let unknown = self.with(py, |state| {
                let RingState {
                    ring,
                    filter,
                    number,
                } = &mut *state;
                py.detach(|| -> PyResult<Option<(u32, u16)>> {
                    let Some(block) = ring.next_block(Some(Duration::ZERO)).map_err(os_error)?
                    else {
                        return Ok(None);
                    };
                    if let Some(found) = live::unknown_interface(&block, &interfaces) {
                        block.put_back();
                        return Ok(Some(found));
                    }
                    let left = limit.map_or(u64::MAX, |limit| limit - written);
                    written += writer.with(|file| {
                        live::write_block(&block, filter.as_ref(), number, file, &interfaces, left)
                    })?;
                    Ok(None)
                })
            })?;
            if let Some((interface, hardware_type)) = unknown {
                return Ok((written, Some(interface), hardware_type.into()));
            }
        }
        Ok((written, None, 0))
    }

    /// (frames that passed the filter, frames lost, times the ring was full) since it was opened.
    fn statistics(&self, py: Python<'_>) -> PyResult<(u64, u64, u64)> {
        self.with(py, |state| {
            let found = state.ring.statistics().map_err(os_error)?;
            Ok((found.seen, found.dropped, found.freezes))
        })
    }

    fn close(&self, py: Python<'_>) {
        self.closing.store(true, Ordering::Release);
        lock_attached(py, &self.ring).take();
    }
}

/// Rows of a batch of a live capture.
const LIVE_BATCH: usize = 65536;

fn arrow_error(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Decodes the frames of one block into `builder`; false when there was none.
fn take_block(
    ring: &mut packet::Ring,
    filter: Option<&Filters>,
    number: &mut u64,
    builder: &mut Builder,
    left: &mut u64,
) -> PyResult<bool> {
    let Some(block) = ring.next_block(Some(Duration::ZERO)).map_err(os_error)? else {
        return Ok(false);
    };
    live::decode_block(&block, filter, number, builder, left).map_err(arrow_error)?;
    Ok(true)
}

impl Ring {
    fn with<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut RingState) -> PyResult<T>,
    ) -> PyResult<T> {
        let mut guard = lock_attached(py, &self.ring);
        if self.closing.load(Ordering::Acquire) {
            guard.take();
        }
        act(guard
            .as_mut()
            .ok_or_else(|| PyValueError::new_err("the capture is closed"))?)
    }
}

/// Sends frames through one interface.
#[pyclass(frozen, module = "wallsocket._core.wire")]
struct Sender {
    sender: packet::Sender,
}

#[pymethods]
impl Sender {
    #[new]
    #[pyo3(signature = (descriptor, interface, *, bypass_queue = false))]
    fn new(descriptor: i32, interface: u32, bypass_queue: bool) -> PyResult<Self> {
        packet::Sender::on(owned(descriptor)?, interface, bypass_queue)
            .map(|sender| Self { sender })
            .map_err(packet_error)
    }

    /// Has a ring made, on this other packet socket of the same namespace; many frames take it once it is there.
    fn prepare_ring(&self, descriptor: i32) -> PyResult<()> {
        self.sender.prepare_ring(owned(descriptor)?);
        Ok(())
    }

    /// Whether there is a ring by now.
    fn has_ring(&self) -> bool {
        self.sender.has_ring()
    }

    /// Sends the frames, in few system calls; gives how many were sent (the rest met an error, which the next call reports).
    ///
    /// Of a tuple, which cannot change meanwhile, so that its items need not be held one by one.
    fn send(&self, py: Python<'_>, frames: &Bound<'_, PyTuple>) -> PyResult<usize> {
        let frames = frames
            .iter_borrowed()
            .map(|frame| Ok(frame.cast::<PyBytes>()?))
            .collect::<PyResult<Vec<_>>>()?;
        let frames: Vec<&[u8]> = frames.iter().map(|frame| frame.as_bytes()).collect();
        py.detach(|| self.sender.send(&frames)).map_err(os_error)
    }

    /// Sends a frame for each combination of field values, built on the way; gives how many were sent.
    ///
    /// `fields`: (offset, width in bytes, values).
    #[pyo3(signature = (template, fields, *, checksums = true, link_type = 1))]
    fn sweep(
        &self,
        py: Python<'_>,
        template: Vec<u8>,
        fields: Vec<(usize, usize, Vec<u64>)>,
        checksums: bool,
        link_type: u32,
    ) -> PyResult<u64> {
        let fields = sweep_fields(fields);
        let mut sweeps = craft::Sweeps::new(template, LinkType(link_type), fields, checksums)
            .map_err(PyValueError::new_err)?;
        let mut frames: Vec<Vec<u8>> = vec![Vec::new(); 256];
        let mut sent = 0;
        loop {
            let count = py.detach(|| {
                let mut count = 0;
                while count < frames.len() && sweeps.write(&mut frames[count]) {
                    count += 1;
                }
                count
            });
            let mut done = 0;
            while done < count {
                match py.detach(|| self.sender.send(&frames[done..count])) {
                    Ok(number) => done += number,
                    // The queue of the interface is full for the moment.
                    Err(error) if packet::is_queue_full(&error) => {
                        py.detach(|| std::thread::sleep(Duration::from_micros(500)));
                    }
                    Err(error) => return Err(os_error(error)),
                }
                py.check_signals()?;
            }
            sent += count as u64;
            if count < frames.len() {
                return Ok(sent);
            }
        }
    }
}

fn sweep_fields(fields: Vec<(usize, usize, Vec<u64>)>) -> Vec<craft::Sweep> {
    fields
        .into_iter()
        .map(|(offset, width, values)| craft::Sweep {
            offset,
            width,
            values,
        })
        .collect()
}

/// The frame with its checksums set.
#[pyfunction]
#[pyo3(signature = (bytes, link_type = 1))]
fn set_checksums(py: Python<'_>, bytes: Vec<u8>, link_type: u32) -> Py<PyBytes> {
    let mut bytes = bytes;
    craft::set_checksums(LinkType(link_type), &mut bytes);
    PyBytes::new(py, &bytes).unbind()
}

/// The internet checksum of bytes (RFC 1071): the ones' complement of their sum.
#[pyfunction]
fn internet_checksum(bytes: &[u8]) -> u16 {
    !decode::checksum::sum(bytes, 0)
}

/// What the beginning of a TCP stream is: TLS or HTTP/1.
#[pyfunction]
fn recognise_stream(bytes: &[u8]) -> Option<String> {
    application::stream(bytes).map(|found| found.to_string())
}

/// LINKTYPE of the frames of an interface with this hardware type; None when it is not known.
#[pyfunction]
fn link_type_of_hardware(hardware_type: u16) -> Option<u32> {
    LinkType::from_hardware_type(hardware_type).map(|link_type| link_type.0)
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Frame>()?;
    module.add_class::<Ethernet>()?;
    module.add_class::<Arp>()?;
    module.add_class::<Ip>()?;
    module.add_class::<Tcp>()?;
    module.add_class::<Udp>()?;
    module.add_class::<Icmp>()?;
    module.add_class::<Igmp>()?;
    module.add_class::<Reader>()?;
    module.add_class::<Writer>()?;
    module.add_class::<ColumnStream>()?;
    module.add_class::<ColumnBatches>()?;
    module.add_class::<Filter>()?;
    module.add_class::<Table>()?;
    module.add_class::<Ring>()?;
    module.add_class::<Sender>()?;
    let every: Vec<(&str, &str)> = COLUMNS
        .iter()
        .map(|column| (column.name, column.meaning))
        .collect();
    module.add("COLUMNS", every)?;
    module.add("DEFAULT_COLUMNS", DEFAULT.to_vec())?;
    module.add_function(wrap_pyfunction!(set_checksums, module)?)?;
    module.add_function(wrap_pyfunction!(internet_checksum, module)?)?;
    module.add_function(wrap_pyfunction!(recognise_stream, module)?)?;
    module.add_function(wrap_pyfunction!(link_type_of_hardware, module)?)?;
    Ok(())
}
