//! TCP_INFO, SO_MEMINFO, counters, and questions to sock_diag.

use std::collections::HashSet;
use std::net::IpAddr;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use wallsocket_kernel::counters;
use wallsocket_kernel::diag::{DiagSocket, InetQuery, InetSocket, UnixSocket};
use wallsocket_kernel::memory::SocketMemory;
use wallsocket_kernel::tcp_info::{self, TcpInfo};

use super::address::PyAddress;
use super::{Rows, duplicate, io_error, opened, os_error, rows_of};

/// Fields of TCP_INFO by name, as far as the bytes reach.
#[pyfunction(name = "tcp_info")]
#[pyo3(signature = (data, /))]
fn tcp_info_fields<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let info =
        TcpInfo::parse(data).ok_or_else(|| PyValueError::new_err("TCP_INFO without a byte"))?;
    let dict = PyDict::new(py);
    for (field, value) in info.fields() {
        dict.set_item(field.name, value)?;
    }
    Ok(dict)
}

/// One field of TCP_INFO, where the bytes reach so far: who asks for one of many samples needs no other.
#[pyfunction]
#[pyo3(signature = (data, name, /))]
fn tcp_info_field(data: &[u8], name: &str) -> PyResult<Option<u64>> {
    let field = tcp_info::FIELDS
        .iter()
        .find(|field| field.name == name)
        .ok_or_else(|| PyValueError::new_err(format!("TCP_INFO has no field {name}")))?;
    Ok(field.value(data))
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
    let dict = PyDict::new(py);
    for (name, value) in SocketMemory::parse(data).fields() {
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

// sock_diag: structures are given as the kernel gave them, since most are never looked into.

fn memory_bytes<'py>(
    py: Python<'py>,
    memory: Option<&SocketMemory>,
) -> Option<Bound<'py, PyBytes>> {
    memory.map(|memory| PyBytes::new(py, &memory.bytes()))
}

fn inet_row<'py>(py: Python<'py>, row: &InetSocket) -> PyResult<Bound<'py, PyDict>> {
    let info = row.info.as_ref().map(|info| PyBytes::new(py, info.bytes()));
    let has_peer = row.peer.port() != 0 || !row.peer.ip().is_unspecified();
    Ok(dict!(py,
        "protocol" => row.protocol,
        "state" => row.state,
        "local" => PyAddress(row.local.into()),
        "peer" => has_peer.then(|| PyAddress(row.peer.into())),
        "interface" => row.interface,
        "cookie" => row.cookie,
        "inode" => row.inode,
        "uid" => row.uid,
        "receive_queue" => row.receive_queue,
        "send_queue" => row.send_queue,
        "timer" => row.timer,
        "timer_expires_ms" => row.timer_expires_ms,
        "retransmits" => row.retransmits,
        "info" => info,
        "memory" => memory_bytes(py, row.memory.as_ref()),
        "congestion" => row.congestion.as_deref(),
        "mark" => row.mark,
        "type_of_service" => row.type_of_service,
        "shutdown" => row.shutdown,
        "only_inet6" => row.only_inet6,
    ))
}

fn unix_row<'py>(py: Python<'py>, row: &UnixSocket) -> PyResult<Bound<'py, PyDict>> {
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
        "memory" => memory_bytes(py, row.memory.as_ref()),
        "shutdown" => row.shutdown,
        "uid" => row.uid,
    ))
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
        let query = InetQuery {
            inet6,
            protocol,
            states,
            local_port,
            peer_port,
        };
        rows_of(py, &mut self.0, |open| open.inet(&query), inet_row)
    }

    #[pyo3(signature = (protocol, states, inodes, local_port, /))]
    fn around<'py>(
        &mut self,
        py: Python<'py>,
        protocol: u8,
        states: u32,
        inodes: HashSet<u32>,
        local_port: u16,
    ) -> Rows<'py> {
        let open = opened(&mut self.0)?;
        let rows = py
            .detach(|| open.around(protocol, states, &inodes, local_port))
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
        rows_of(py, &mut self.0, |open| open.unix(states), unix_row)
    }
}

/// Adds this part's classes and functions.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Diag>()?;
    module.add_function(wrap_pyfunction!(tcp_info_fields, module)?)?;
    module.add_function(wrap_pyfunction!(tcp_info_field, module)?)?;
    module.add_function(wrap_pyfunction!(tcp_info_table, module)?)?;
    module.add_function(wrap_pyfunction!(socket_memory, module)?)?;
    module.add_function(wrap_pyfunction!(parse_counters, module)?)
}
