//! `wallsocket._core.kernel`: the kernel crate's names, addresses, options and questions, as Python objects.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use wallsocket_kernel::address::{self, Address};
use wallsocket_kernel::diag::{self, DiagSocket, InetQuery, InetSocket, UnixSocket};
use wallsocket_kernel::memory::SocketMemory;
use wallsocket_kernel::names::{self, Table};
use wallsocket_kernel::options::{self, Kind, SocketOption, Value, applies};
use wallsocket_kernel::route::{
    InterfaceAddress, Link, LinkChange, Neighbour, Route, RouteChange, RouteQuestion, RouteSocket,
    VethEnd,
};
use wallsocket_kernel::tcp_info::{self, TcpInfo};
use wallsocket_kernel::{control, counters, netlink, program as programs};
use wallsocket_sys::socket;

/// Address families, as Python's `socket` numbers them (linux/socket.h).
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;

type Rows<'py> = PyResult<Vec<Bound<'py, PyDict>>>;

/// `OSError` with the kernel's number; Python picks the subclass by it.
fn os_error(error: &netlink::Error) -> PyErr {
    let text = error.to_string();
    match error.number() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}

/// The same for a call of the system: the conversion of the standard library would lose the number.
pub(crate) fn io_error(error: &std::io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, netlink::strerror(number))),
        None => PyOSError::new_err(error.to_string()),
    }
}

/// A copy of a descriptor that Python keeps.
fn duplicate(descriptor: i32) -> PyResult<OwnedFd> {
    socket::duplicate(descriptor).map_err(|error| io_error(&error))
}

macro_rules! dict {
    ($py:expr, $($name:literal => $value:expr),+ $(,)?) => {{
        let dict = PyDict::new($py);
        $(dict.set_item($name, $value)?;)+
        dict
    }};
}

// Names

macro_rules! tables {
    ($($name:ident $table:ident $meaning:literal)*) => {
        $(
            #[doc = $meaning]
            #[pyfunction]
            #[pyo3(signature = (number, /))]
            fn $name(number: i64) -> String {
                names::$table.render(number).into_owned()
            }
        )*
        fn register_tables(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
            Ok(())
        }
    };
}

tables! {
    family FAMILIES "`AF_` name."
    level LEVELS "Name of a level of options and control messages."
    shutdown SHUTDOWN "`SHUT_` name."
    tcp_state TCP_STATES "State of a TCP socket."
    epoll_operation EPOLL_OPERATIONS "`EPOLL_CTL_` name."
    fcntl_command FCNTL_COMMANDS "`F_` name."
    error_origin ERROR_ORIGINS "`SO_EE_ORIGIN_` name."
    route_type ROUTE_TYPES "Kind of a route, as ip(8) writes it."
    route_origin ROUTE_ORIGINS "Who made a route, as ip(8) writes it."
    scope SCOPES "Scope of a route or address, as ip(8) writes it."
}

macro_rules! flags {
    ($($name:ident $table:ident $meaning:literal)*) => {
        $(
            #[doc = $meaning]
            #[pyfunction]
            #[pyo3(signature = (bits, /))]
            fn $name(bits: i64) -> String {
                // Recordings keep ints as the program passed them: a 32-bit word may have come out negative.
                let bits = if bits < 0 { u64::from(bits as u32) } else { bits.cast_unsigned() };
                names::$table.render(bits)
            }
        )*
        fn register_flags(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_function(wrap_pyfunction!($name, module)?)?;)*
            Ok(())
        }
    };
}

flags! {
    socket_type_flags SOCKET_TYPE_FLAGS "`SOCK_NONBLOCK` and `SOCK_CLOEXEC`."
    message_flags MESSAGE_FLAGS "`MSG_` bits."
    poll_events POLL_EVENTS "`POLL` bits."
    epoll_events EPOLL_EVENTS "`EPOLL` bits."
    epoll_create_flags EPOLL_CREATE_FLAGS "Flags of epoll_create1()."
    descriptor_flags DESCRIPTOR_FLAGS "`FD_CLOEXEC`."
    interface_flags INTERFACE_FLAGS "`IFF_` bits without their prefix."
    neighbour_states NEIGHBOUR_STATES "`NUD_` bits without their prefix."
    tcp_info_options TCP_INFO_OPTIONS "Options agreed in the handshake."
}

/// `SOCK_` name with its flag bits.
#[pyfunction]
#[pyo3(signature = (kind, /))]
fn socket_type(kind: i32) -> String {
    names::render_socket_type(kind)
}

/// Protocol of a family.
#[pyfunction]
#[pyo3(signature = (family, protocol, /))]
fn protocol(family: i32, protocol: i32) -> String {
    names::render_protocol(family, protocol).into_owned()
}

/// Name of an error number.
#[pyfunction]
#[pyo3(signature = (number, /))]
fn error(number: i32) -> String {
    names::render_error(number).into_owned()
}

/// Value of `F_GETFL`.
#[pyfunction]
#[pyo3(signature = (flags, /))]
fn status_flags(flags: i32) -> String {
    names::render_status_flags(flags)
}

/// Name of an ioctl request.
#[pyfunction]
#[pyo3(signature = (request, /))]
fn ioctl_request(request: u64) -> String {
    names::render_ioctl(request).into_owned()
}

/// Name of a control message's type.
#[pyfunction]
#[pyo3(signature = (level, kind, /))]
fn control_type(level: i32, kind: i32) -> String {
    names::control_types(level)
        .render(i64::from(kind))
        .into_owned()
}

/// What a socket's timer waits for.
#[pyfunction]
#[pyo3(signature = (number, /))]
fn timer(number: i64) -> String {
    diag::TIMERS.render(number).into_owned()
}

/// `msg_control` as text.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn control_messages(data: &[u8]) -> String {
    control::parse(data).to_string()
}

/// One control message: name and text.
#[pyfunction]
#[pyo3(signature = (level, kind, data, /))]
fn control_message(level: i32, kind: i32, data: &[u8]) -> (String, String) {
    (
        control_type(level, kind),
        control::decode(level, kind, data).to_string(),
    )
}

/// Bytes as printable text on one line.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn escape(data: &[u8]) -> String {
    address::escape(data)
}

/// What people call the program with this argument vector, and the positions of the words that tell it.
#[pyfunction]
#[pyo3(signature = (words, /))]
fn program(words: Vec<String>) -> (String, Vec<usize>) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = programs::program(&words);
    (found.name, found.telling)
}

// Addresses

/// A socket address.
#[pyclass(module = "wallsocket._core.kernel", name = "Address", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
struct PyAddress(Address);

#[pymethods]
impl PyAddress {
    #[staticmethod]
    #[pyo3(signature = (data, /))]
    fn decode(data: &[u8]) -> Self {
        Self(Address::decode(data))
    }

    #[staticmethod]
    #[pyo3(signature = (text, /))]
    fn parse(text: &str) -> PyResult<Self> {
        Address::parse(text)
            .map(Self)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    #[getter]
    fn family(&self) -> Option<u16> {
        self.0.family()
    }

    #[getter]
    fn host(&self) -> Option<String> {
        match &self.0 {
            Address::Inet { address, .. } => Some(address.to_string()),
            Address::Inet6 { address, .. } => Some(address.to_string()),
            _ => None,
        }
    }

    #[getter]
    fn port(&self) -> Option<u32> {
        self.0.port()
    }

    #[getter]
    fn zone(&self) -> u32 {
        if let Address::Inet6 { zone, .. } = self.0 {
            zone
        } else {
            0
        }
    }

    #[getter]
    fn flow(&self) -> u32 {
        if let Address::Inet6 { flow, .. } = self.0 {
            flow
        } else {
            0
        }
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.0 {
            Address::UnixPath(path) => Some(PyBytes::new(py, path)),
            _ => None,
        }
    }

    #[getter]
    fn abstract_name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.0 {
            Address::UnixAbstract(name) => Some(PyBytes::new(py, name)),
            _ => None,
        }
    }

    #[getter]
    fn interface(&self) -> Option<u32> {
        if let Address::Packet { interface, .. } = self.0 {
            Some(interface)
        } else {
            None
        }
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Address({:?})", self.0.to_string())
    }
}

// Options

fn value_object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Nothing | Value::Secret(_) => Ok(py.None().into_bound(py)),
        Value::Bool(on) => on.into_bound_py_any(py),
        Value::Int(number) => number.into_bound_py_any(py),
        Value::Uint(number) => number.into_bound_py_any(py),
        // Socket time limits are far below 2^53 µs, so a float holds them exactly enough.
        Value::Microseconds(time) => (*time as f64 / 1e6).into_bound_py_any(py),
        Value::Text(text) => text.into_bound_py_any(py),
        Value::Bytes(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
        Value::Address(address) => PyAddress(address.clone()).into_bound_py_any(py),
        Value::List(numbers) => numbers.clone().into_bound_py_any(py),
        Value::Fields(members) => {
            let dict = PyDict::new(py);
            for (name, member) in members {
                dict.set_item(name, value_object(py, member)?)?;
            }
            Ok(dict.into_any())
        }
    }
}

fn object_value(option: &SocketOption, object: &Bound<'_, PyAny>, member: bool) -> PyResult<Value> {
    let timeout = matches!(option.kind, Kind::Timeout) && !member;
    let wrong = || PyTypeError::new_err(format!("{} takes no {}", option.name, object.get_type()));
    if object.is_none() {
        return Ok(if timeout {
            Value::Microseconds(0)
        } else {
            Value::Nothing
        });
    }
    if object.is_instance_of::<PyBool>() {
        return Ok(Value::Bool(object.extract()?));
    }
    if timeout && (object.is_instance_of::<PyFloat>() || object.is_instance_of::<PyInt>()) {
        let seconds: f64 = object.extract()?;
        let microseconds = (seconds * 1e6).round();
        if !(0.0..9e18).contains(&microseconds) {
            return Err(PyValueError::new_err(format!(
                "{} takes seconds from 0",
                option.name
            )));
        }
        return Ok(Value::Microseconds(microseconds as i64));
    }
    if object.is_instance_of::<PyInt>() {
        return match object.extract::<i64>() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => object.extract::<u64>().map(Value::Uint),
        };
    }
    if let Ok(text) = object.cast::<PyString>() {
        let text = text.to_str()?;
        if matches!(option.kind, Kind::Address) {
            return PyAddress::parse(text).map(|address| Value::Address(address.0));
        }
        return Ok(Value::Text(text.to_owned()));
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Value::Bytes(bytes.as_bytes().to_vec()));
    }
    if let Ok(address) = object.cast::<PyAddress>() {
        return Ok(Value::Address(address.get().0.clone()));
    }
    if let Ok(list) = object.cast::<PyList>() {
        return Ok(Value::List(list.extract()?));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        let known = option.members();
        let mut members = Vec::new();
        for (key, item) in dict.iter() {
            let key: String = key.extract()?;
            let Some(name) = known.iter().find(|name| **name == key) else {
                let known = known.join(", ");
                return Err(PyValueError::new_err(format!(
                    "{} has no member {key:?} (it has: {known})",
                    option.name
                )));
            };
            members.push((*name, object_value(option, &item, true)?));
        }
        return Ok(Value::Fields(members));
    }
    Err(wrong())
}

/// One socket option.
#[pyclass(module = "wallsocket._core.kernel", name = "SocketOption", frozen)]
struct PyOption(&'static SocketOption);

#[pymethods]
impl PyOption {
    #[getter]
    fn level(&self) -> i32 {
        self.0.level
    }

    #[getter]
    fn number(&self) -> i32 {
        self.0.number
    }

    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind.text()
    }

    #[getter]
    fn unit(&self) -> &'static str {
        self.0.unit
    }

    #[getter]
    fn applies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let bits = applies::NAMES
            .iter()
            .filter(|entry| self.0.applies & entry.0 != 0);
        PyTuple::new(py, bits.map(|entry| entry.1).collect::<Vec<_>>())
    }

    #[getter]
    fn readable(&self) -> bool {
        self.0.access.readable()
    }

    #[getter]
    fn settable(&self) -> bool {
        self.0.access.settable()
    }

    #[getter]
    fn when(&self) -> &'static str {
        self.0.when.text()
    }

    #[getter]
    fn since(&self) -> Option<(u8, u8)> {
        self.0.since
    }

    #[getter]
    fn privilege(&self) -> &'static str {
        self.0.privilege
    }

    #[getter]
    fn condition(&self) -> &'static str {
        self.0.condition
    }

    #[getter]
    fn secret(&self) -> bool {
        self.0.secret
    }

    #[getter]
    fn reading_changes(&self) -> bool {
        self.0.reading_changes
    }

    #[getter]
    fn meaning(&self) -> &'static str {
        self.0.meaning
    }

    #[getter]
    fn members<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.members())
    }

    #[getter]
    fn read_size(&self) -> usize {
        self.0.read_size()
    }

    /// The value in the bytes, as an object and as text.
    #[pyo3(signature = (data, /))]
    fn decode<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<(Bound<'py, PyAny>, String)> {
        let value = self.0.decode(data);
        Ok((value_object(py, &value)?, self.0.render(&value)))
    }

    /// The bytes for setsockopt.
    #[pyo3(signature = (value, /))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let value = object_value(self.0, value, false)?;
        match self.0.encode(&value) {
            Ok(bytes) => Ok(PyBytes::new(py, &bytes)),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    fn __repr__(&self) -> String {
        format!("<SocketOption {}>", self.0.name)
    }
}

/// Every option of the table.
#[pyfunction]
fn option_table() -> Vec<PyOption> {
    options::OPTIONS.iter().map(PyOption).collect()
}

/// An option's name and, with the bytes of its value, that as text; what is not in the table is shown by number.
#[pyfunction]
#[pyo3(signature = (level, number, value, /))]
fn option(level: i32, number: i32, value: Option<&[u8]>) -> (String, Option<String>) {
    let text = value.map(|bytes| options::decode(level, number, bytes).0);
    (options::render_name(level, number), text)
}

// TCP_INFO, SO_MEMINFO, counters

/// Fields of TCP_INFO by name, as far as the bytes reach.
#[pyfunction(name = "tcp_info")]
#[pyo3(signature = (data, /))]
fn tcp_info_fields<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let info =
        TcpInfo::parse(data).ok_or_else(|| PyValueError::new_err("TCP_INFO without a byte"))?;
    tcp_info_dict(py, &info)
}

fn tcp_info_dict<'py>(py: Python<'py>, info: &TcpInfo) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (field, value) in info.fields() {
        dict.set_item(field.name, value)?;
    }
    Ok(dict)
}

/// Names and meanings of the fields of TCP_INFO.
#[pyfunction]
fn tcp_info_table() -> Vec<(&'static str, &'static str)> {
    tcp_info::FIELDS
        .iter()
        .map(|field| (field.name, field.meaning))
        .collect()
}

/// Numbers of SO_MEMINFO by name, as far as the bytes reach.
#[pyfunction]
#[pyo3(signature = (data, /))]
fn socket_memory<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    memory_dict(py, &SocketMemory::parse(data))
}

fn memory_dict<'py>(py: Python<'py>, memory: &SocketMemory) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in memory.fields() {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

/// Counters in the texts of /proc/net/snmp, netstat and snmp6, by name.
#[pyfunction]
#[pyo3(signature = (text, /))]
fn parse_counters(text: &str) -> counters::Counters {
    let mut all = counters::Counters::new();
    counters::parse(text, &mut all);
    all
}

// sock_diag

fn inet_row<'py>(py: Python<'py>, row: &InetSocket) -> PyResult<Bound<'py, PyDict>> {
    let info = row
        .info
        .as_ref()
        .map(|info| tcp_info_dict(py, info))
        .transpose()?;
    let memory = row
        .memory
        .as_ref()
        .map(|memory| memory_dict(py, memory))
        .transpose()?;
    Ok(dict!(py,
        "protocol" => row.protocol,
        "state" => row.state,
        "local" => PyAddress(row.local.into()),
        "peer" => PyAddress(row.peer.into()),
        "interface" => row.interface,
        "cookie" => row.cookie,
        "inode" => row.inode,
        "uid" => row.uid,
        "receive_queue" => row.receive_queue,
        "send_queue" => row.send_queue,
        "timer" => diag::TIMERS.render(i64::from(row.timer)).into_owned(),
        "timer_expires_ms" => row.timer_expires_ms,
        "retransmits" => row.retransmits,
        "info" => info,
        "memory" => memory,
        "congestion" => row.congestion.as_deref(),
        "mark" => row.mark,
        "type_of_service" => row.type_of_service,
        "shutdown" => row.shutdown,
        "only_inet6" => row.only_inet6,
    ))
}

fn unix_row<'py>(py: Python<'py>, row: &UnixSocket) -> PyResult<Bound<'py, PyDict>> {
    let memory = row
        .memory
        .as_ref()
        .map(|memory| memory_dict(py, memory))
        .transpose()?;
    Ok(dict!(py,
        "type" => row.kind,
        "state" => row.state,
        "inode" => row.inode,
        "cookie" => row.cookie,
        "name" => PyAddress(row.name.clone()),
        "file_inode" => row.file_inode,
        "peer_inode" => row.peer_inode,
        "waiting" => &row.waiting,
        "receive_queue" => row.receive_queue,
        "send_queue" => row.send_queue,
        "memory" => memory,
        "shutdown" => row.shutdown,
        "uid" => row.uid,
    ))
}

/// What a closed object answers.
fn opened<T>(slot: &mut Option<T>) -> PyResult<&mut T> {
    slot.as_mut()
        .ok_or_else(|| PyValueError::new_err("this netlink socket is closed"))
}

/// Questions to sock_diag on one netlink socket.
#[pyclass(module = "wallsocket._core.kernel")]
struct Diag(Option<DiagSocket>);

#[pymethods]
impl Diag {
    /// Works on a copy of the descriptor, which must be of a NETLINK_SOCK_DIAG socket.
    #[new]
    fn new(descriptor: i32) -> PyResult<Self> {
        DiagSocket::from_socket(duplicate(descriptor)?)
            .map(|open| Self(Some(open)))
            .map_err(|error| io_error(&error))
    }

    /// Closes the copy of the descriptor; nothing can be asked afterwards.
    fn close(&mut self) {
        self.0 = None;
    }

    #[pyo3(signature = (inet6, protocol, states, local_port, peer_port, /))]
    fn inet<'py>(
        &mut self,
        py: Python<'py>,
        inet6: bool,
        protocol: u8,
        states: u32,
        local_port: u16,
        peer_port: u16,
    ) -> Rows<'py> {
        let open = opened(&mut self.0)?;
        let query = InetQuery {
            inet6,
            protocol,
            states,
            local_port,
            peer_port,
        };
        let rows = py
            .detach(|| open.inet(&query))
            .map_err(|error| os_error(&error))?;
        rows.iter().map(|row| inet_row(py, row)).collect()
    }

    #[pyo3(signature = (protocol, local, peer, interface, cookie, /))]
    fn inet_exact<'py>(
        &mut self,
        py: Python<'py>,
        protocol: u8,
        local: (IpAddr, u16),
        peer: (IpAddr, u16),
        interface: u32,
        cookie: Option<u64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let open = opened(&mut self.0)?;
        let found =
            py.detach(|| open.inet_exact(protocol, local.into(), peer.into(), interface, cookie));
        inet_row(py, &found.map_err(|error| os_error(&error))?)
    }

    #[pyo3(signature = (states, /))]
    fn unix<'py>(&mut self, py: Python<'py>, states: u32) -> Rows<'py> {
        let open = opened(&mut self.0)?;
        let rows = py
            .detach(|| open.unix(states))
            .map_err(|error| os_error(&error))?;
        rows.iter().map(|row| unix_row(py, row)).collect()
    }
}

// rtnetlink

fn link_row<'py>(py: Python<'py>, row: &Link) -> PyResult<Bound<'py, PyDict>> {
    let counters = dict!(py,
        "received_packets" => row.counters.received_packets,
        "sent_packets" => row.counters.sent_packets,
        "received_bytes" => row.counters.received_bytes,
        "sent_bytes" => row.counters.sent_bytes,
        "receive_errors" => row.counters.receive_errors,
        "send_errors" => row.counters.send_errors,
        "receive_drops" => row.counters.receive_drops,
        "send_drops" => row.counters.send_drops,
    );
    Ok(dict!(py,
        "index" => row.index,
        "name" => &row.name,
        "kind" => row.kind.as_deref(),
        "flags" => row.flags,
        "mtu" => row.mtu,
        "hardware_type" => row.hardware_type,
        "hardware_address" => PyBytes::new(py, &row.hardware_address),
        "master" => row.master,
        "peer" => row.peer,
        "carrier" => row.carrier,
        "queue_length" => row.queue_length,
        "counters" => counters,
    ))
}

fn text(address: Option<IpAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}

fn address_row<'py>(py: Python<'py>, row: &InterfaceAddress) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py,
        "interface" => row.interface,
        "address" => row.address.to_string(),
        "prefix_length" => row.prefix_length,
        "peer" => text(row.peer),
        "broadcast" => text(row.broadcast),
        "scope" => names::SCOPES.render(i64::from(row.scope)).into_owned(),
        "flags" => row.flags,
    ))
}

fn route_row<'py>(py: Python<'py>, row: &Route) -> PyResult<Bound<'py, PyDict>> {
    let hops = row
        .hops
        .iter()
        .map(|hop| {
            Ok(dict!(py, "interface" => hop.interface, "gateway" => text(hop.gateway), "weight" => hop.weight))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let named = |table: &Table, number: u8| table.render(i64::from(number)).into_owned();
    Ok(dict!(py,
        "family" => if row.inet6 { AF_INET6 } else { AF_INET },
        "destination" => text(row.destination),
        "prefix_length" => row.prefix_length,
        "gateway" => text(row.gateway),
        "interface" => row.interface,
        "preferred_source" => text(row.preferred_source),
        "metric" => row.metric,
        "table" => row.table,
        "origin" => named(&names::ROUTE_ORIGINS, row.origin),
        "scope" => named(&names::SCOPES, row.scope),
        "type" => named(&names::ROUTE_TYPES, row.kind),
        "mtu" => row.mtu,
        "hops" => hops,
    ))
}

fn neighbour_row<'py>(py: Python<'py>, row: &Neighbour) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(py,
        "interface" => row.interface,
        "address" => row.address.to_string(),
        "hardware_address" => PyBytes::new(py, &row.hardware_address),
        "state" => names::NEIGHBOUR_STATES.render(u64::from(row.state)),
    ))
}

/// Questions to rtnetlink, and changes by it, on one netlink socket.
#[pyclass(module = "wallsocket._core.kernel")]
struct Routing(Option<RouteSocket>);

impl Routing {
    fn change(
        &mut self,
        py: Python<'_>,
        change: impl FnOnce(&mut RouteSocket) -> Result<(), netlink::Error> + Send,
    ) -> PyResult<()> {
        let open = opened(&mut self.0)?;
        py.detach(|| change(open)).map_err(|error| os_error(&error))
    }
}

#[pymethods]
impl Routing {
    /// Works on a copy of the descriptor, which must be of a NETLINK_ROUTE socket.
    #[new]
    fn new(descriptor: i32) -> PyResult<Self> {
        RouteSocket::from_socket(duplicate(descriptor)?)
            .map(|open| Self(Some(open)))
            .map_err(|error| io_error(&error))
    }

    /// Closes the copy of the descriptor; nothing can be asked afterwards.
    fn close(&mut self) {
        self.0 = None;
    }

    fn links<'py>(&mut self, py: Python<'py>) -> Rows<'py> {
        let open = opened(&mut self.0)?;
        let rows = py
            .detach(|| open.links())
            .map_err(|error| os_error(&error))?;
        rows.iter().map(|row| link_row(py, row)).collect()
    }

    #[pyo3(signature = (name, /))]
    fn link<'py>(&mut self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
        let open = opened(&mut self.0)?;
        link_row(
            py,
            &py.detach(|| open.link(name))
                .map_err(|error| os_error(&error))?,
        )
    }

    fn addresses<'py>(&mut self, py: Python<'py>) -> Rows<'py> {
        let open = opened(&mut self.0)?;
        let rows = py
            .detach(|| open.addresses())
            .map_err(|error| os_error(&error))?;
        rows.iter().map(|row| address_row(py, row)).collect()
    }

    fn routes<'py>(&mut self, py: Python<'py>) -> Rows<'py> {
        let open = opened(&mut self.0)?;
        let rows = py
            .detach(|| open.routes())
            .map_err(|error| os_error(&error))?;
        rows.iter().map(|row| route_row(py, row)).collect()
    }

    fn neighbours<'py>(&mut self, py: Python<'py>) -> Rows<'py> {
        let open = opened(&mut self.0)?;
        let rows = py
            .detach(|| open.neighbours())
            .map_err(|error| os_error(&error))?;
        rows.iter().map(|row| neighbour_row(py, row)).collect()
    }

    #[pyo3(signature = (address, source, interface, mark, /))]
    fn route_to<'py>(
        &mut self,
        py: Python<'py>,
        address: IpAddr,
        source: Option<IpAddr>,
        interface: Option<u32>,
        mark: u32,
    ) -> PyResult<Bound<'py, PyDict>> {
        let open = opened(&mut self.0)?;
        let question = RouteQuestion {
            source,
            interface,
            mark,
        };
        let route = py
            .detach(|| open.route_to(address, &question))
            .map_err(|error| os_error(&error))?;
        route_row(py, &route)
    }

    #[pyo3(signature = (name, peer_name, *, namespace=None, mtu=None, up=false))]
    fn create_veth(
        &mut self,
        py: Python<'_>,
        name: &str,
        peer_name: &str,
        namespace: Option<i32>,
        mtu: Option<u32>,
        up: bool,
    ) -> PyResult<()> {
        let namespace = namespace.map(duplicate).transpose()?;
        let near = VethEnd {
            name,
            mtu,
            up,
            ..VethEnd::default()
        };
        let far = VethEnd {
            name: peer_name,
            namespace: namespace.as_ref().map(AsFd::as_fd),
            ..near
        };
        self.change(py, |routing| routing.create_veth(&near, &far))
    }

    #[pyo3(signature = (name, /))]
    fn create_bridge(&mut self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.change(py, |routing| routing.create_bridge(name))
    }

    #[pyo3(signature = (index, *, up=None, mtu=None, name=None, hardware_address=None, master=None, namespace=None))]
    #[allow(clippy::too_many_arguments)] // Python's side names each.
    fn change_link(
        &mut self,
        py: Python<'_>,
        index: u32,
        up: Option<bool>,
        mtu: Option<u32>,
        name: Option<&str>,
        hardware_address: Option<[u8; 6]>,
        master: Option<u32>,
        namespace: Option<i32>,
    ) -> PyResult<()> {
        let namespace = namespace.map(duplicate).transpose()?;
        let namespace = namespace.as_ref().map(AsFd::as_fd);
        let change = LinkChange {
            up,
            mtu,
            name,
            hardware_address,
            master,
            namespace,
            ..LinkChange::default()
        };
        self.change(py, |routing| routing.change_link(index, &change))
    }

    #[pyo3(signature = (index, /))]
    fn delete_link(&mut self, py: Python<'_>, index: u32) -> PyResult<()> {
        self.change(py, |routing| routing.delete_link(index))
    }

    #[pyo3(signature = (interface, address, prefix_length, /))]
    fn add_address(
        &mut self,
        py: Python<'_>,
        interface: u32,
        address: IpAddr,
        prefix_length: u8,
    ) -> PyResult<()> {
        self.change(py, |routing| {
            routing.add_address(interface, address, prefix_length)
        })
    }

    #[pyo3(signature = (interface, address, prefix_length, /))]
    fn delete_address(
        &mut self,
        py: Python<'_>,
        interface: u32,
        address: IpAddr,
        prefix_length: u8,
    ) -> PyResult<()> {
        self.change(py, |routing| {
            routing.delete_address(interface, address, prefix_length)
        })
    }

    #[pyo3(signature = (destination, *, gateway=None, interface=None, metric=None, kind=None, mtu=None, inet6=false, delete=false))]
    #[allow(clippy::too_many_arguments)] // Python's side names each.
    fn change_route(
        &mut self,
        py: Python<'_>,
        destination: Option<(IpAddr, u8)>,
        gateway: Option<IpAddr>,
        interface: Option<u32>,
        metric: Option<u32>,
        kind: Option<u8>,
        mtu: Option<u32>,
        inet6: bool,
        delete: bool,
    ) -> PyResult<()> {
        let route = RouteChange {
            destination,
            gateway,
            interface,
            metric,
            kind,
            mtu,
            inet6,
            ..RouteChange::default()
        };
        self.change(py, |routing| {
            if delete {
                routing.delete_route(&route)
            } else {
                routing.add_route(&route)
            }
        })
    }

    #[pyo3(signature = (interface, address, hardware_address, /))]
    fn add_neighbour(
        &mut self,
        py: Python<'_>,
        interface: u32,
        address: IpAddr,
        hardware_address: [u8; 6],
    ) -> PyResult<()> {
        self.change(py, |routing| {
            routing.add_neighbour(interface, address, &hardware_address)
        })
    }

    #[pyo3(signature = (interface, address, /))]
    fn delete_neighbour(
        &mut self,
        py: Python<'_>,
        interface: u32,
        address: IpAddr,
    ) -> PyResult<()> {
        self.change(py, |routing| routing.delete_neighbour(interface, address))
    }
}

/// Dissolves the association of a connected socket: connect() to AF_UNSPEC.
#[pyfunction]
#[pyo3(signature = (descriptor, /))]
fn disconnect(descriptor: i32) -> PyResult<()> {
    let copy = duplicate(descriptor)?;
    socket::connect(copy.as_fd(), &Address::Unspecified.encode()).map_err(|error| io_error(&error))
}

/// Reads an option; Python's own getsockopt has other forms for some families.
#[pyfunction]
#[pyo3(signature = (descriptor, level, number, size, /))]
fn get_option<'py>(
    py: Python<'py>,
    descriptor: i32,
    level: i32,
    number: i32,
    size: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let copy = duplicate(descriptor)?;
    let mut value = vec![0; size.min(1 << 16)];
    let length = socket::get_option(copy.as_fd(), level, number, &mut value)
        .map_err(|error| io_error(&error))?;
    Ok(PyBytes::new(py, &value[..length]))
}

/// Sets an option to bytes.
#[pyfunction]
#[pyo3(signature = (descriptor, level, number, value, /))]
fn set_option(descriptor: i32, level: i32, number: i32, value: &[u8]) -> PyResult<()> {
    let copy = duplicate(descriptor)?;
    socket::set_option(copy.as_fd(), level, number, value).map_err(|error| io_error(&error))
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    register_tables(module)?;
    register_flags(module)?;
    module.add_class::<PyAddress>()?;
    module.add_class::<PyOption>()?;
    module.add_class::<Diag>()?;
    module.add_class::<Routing>()?;
    for function in [
        wrap_pyfunction!(socket_type, module)?,
        wrap_pyfunction!(protocol, module)?,
        wrap_pyfunction!(error, module)?,
        wrap_pyfunction!(status_flags, module)?,
        wrap_pyfunction!(ioctl_request, module)?,
        wrap_pyfunction!(control_type, module)?,
        wrap_pyfunction!(timer, module)?,
        wrap_pyfunction!(control_messages, module)?,
        wrap_pyfunction!(control_message, module)?,
        wrap_pyfunction!(escape, module)?,
        wrap_pyfunction!(program, module)?,
        wrap_pyfunction!(option_table, module)?,
        wrap_pyfunction!(option, module)?,
        wrap_pyfunction!(tcp_info_fields, module)?,
        wrap_pyfunction!(tcp_info_table, module)?,
        wrap_pyfunction!(socket_memory, module)?,
        wrap_pyfunction!(parse_counters, module)?,
        wrap_pyfunction!(disconnect, module)?,
        wrap_pyfunction!(get_option, module)?,
        wrap_pyfunction!(set_option, module)?,
    ] {
        module.add_function(function)?;
    }
    Ok(())
}
