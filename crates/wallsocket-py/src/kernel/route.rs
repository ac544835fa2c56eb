//! Questions to rtnetlink, and changes by it.

use std::net::IpAddr;
use std::os::fd::AsFd;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use wallsocket_kernel::names::{self, Table};
use wallsocket_kernel::netlink;
use wallsocket_kernel::route::{
    InterfaceAddress, Link, LinkChange, Neighbour, Route, RouteChange, RouteQuestion, RouteSocket,
    VethEnd,
};

use super::{AF_INET, AF_INET6, Rows, duplicate, io_error, opened, os_error, rows_of};

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
        rows_of(py, &mut self.0, RouteSocket::links, link_row)
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
        rows_of(py, &mut self.0, RouteSocket::addresses, address_row)
    }

    fn routes<'py>(&mut self, py: Python<'py>) -> Rows<'py> {
        rows_of(py, &mut self.0, RouteSocket::routes, route_row)
    }

    fn neighbours<'py>(&mut self, py: Python<'py>) -> Rows<'py> {
        rows_of(py, &mut self.0, RouteSocket::neighbours, neighbour_row)
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

/// Adds this part's classes and functions.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Routing>()
}
