//! `wallsocket._core.lab`.

use std::net::IpAddr;
use std::os::fd::{IntoRawFd, RawFd};
use std::path::PathBuf;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use wallsocket_kernel::netlink;
use wallsocket_kernel::route::{LinkChange, RouteChange, RouteSocket};
use wallsocket_link::lab::{End, Error};

/// An `OSError` with the kernel's number and a text that says what was tried.
fn os_error(error: &Error) -> PyErr {
    PyOSError::new_err((error.errno().unwrap_or(EBADF), error.to_string()))
}

/// EBADF: the lab is closed.
const EBADF: i32 = 9;

/// Host number, interface name, index, MAC address, MTU, addresses with prefix lengths.
type EndTuple = (u32, String, u32, [u8; 6], u32, Vec<(IpAddr, u8)>);

fn end((host, name, index, mac, mtu, addresses): EndTuple) -> End {
    End {
        host,
        name,
        index,
        mac,
        mtu,
        addresses,
    }
}

/// A running lab's namespaces.
#[pyclass(module = "wallsocket._core.lab", frozen)]
struct Namespaces {
    lab: wallsocket_link::lab::Lab,
}

impl Namespaces {
    fn change(
        &self,
        py: Python<'_>,
        host: u32,
        what: String,
        work: impl FnOnce(&mut RouteSocket) -> Result<(), netlink::Error> + Send,
    ) -> PyResult<()> {
        py.detach(|| self.lab.route(host, what, work))
            .map_err(|error| os_error(&error))
    }
}

#[pymethods]
impl Namespaces {
    #[new]
    fn new(py: Python<'_>, program: PathBuf) -> PyResult<Self> {
        let lab = py
            .detach(|| wallsocket_link::lab::Lab::start(&program))
            .map_err(|error| os_error(&error))?;
        Ok(Self { lab })
    }

    #[getter]
    fn holder(&self) -> Option<u32> {
        self.lab.holder()
    }

    fn add_hosts(
        &self,
        py: Python<'_>,
        count: u32,
        sysctls: Vec<(String, Vec<String>)>,
    ) -> PyResult<u32> {
        py.detach(|| self.lab.add_hosts(count, &sysctls))
            .map_err(|error| os_error(&error))
    }

    fn socket(
        &self,
        py: Python<'_>,
        host: u32,
        family: i32,
        kind: i32,
        protocol: i32,
    ) -> PyResult<RawFd> {
        let made = py
            .detach(|| self.lab.socket(host, family, kind, protocol))
            .map_err(|error| os_error(&error))?;
        Ok(made.into_raw_fd())
    }

    fn network(&self, host: u32) -> PyResult<RawFd> {
        Ok(self
            .lab
            .network(host)
            .map_err(|error| os_error(&error))?
            .into_raw_fd())
    }

    #[pyo3(signature = (host, name, value=None))]
    fn sysctl(
        &self,
        py: Python<'_>,
        host: u32,
        name: &str,
        value: Option<&str>,
    ) -> PyResult<String> {
        py.detach(|| self.lab.sysctl(host, name, value))
            .map_err(|error| os_error(&error))
    }

    fn set_names(&self, py: Python<'_>, host: u32, hosts: &str, resolver: &str) -> PyResult<()> {
        py.detach(|| self.lab.set_names(host, hosts, resolver))
            .map_err(|error| os_error(&error))
    }

    fn enter(&self, py: Python<'_>, host: u32) -> PyResult<Vec<RawFd>> {
        let descriptors = py
            .detach(|| self.lab.enter(host))
            .map_err(|error| os_error(&error))?;
        Ok(descriptors
            .into_iter()
            .map(IntoRawFd::into_raw_fd)
            .collect())
    }

    fn connect(
        &self,
        py: Python<'_>,
        near: EndTuple,
        far: EndTuple,
        keep_offloads: bool,
    ) -> PyResult<()> {
        let (near, far) = (end(near), end(far));
        py.detach(|| self.lab.connect(&near, &far, keep_offloads))
            .map_err(|error| os_error(&error))
    }

    /// Makes a bridge and returns its number.
    fn bridge(&self, py: Python<'_>, host: u32, name: &str, mtu: u32) -> PyResult<u32> {
        let mut index = 0;
        self.change(py, host, format!("make the bridge {name}"), |route| {
            route.create_bridge(name)?;
            index = route.link(name)?.index;
            route.change_link(
                index,
                &LinkChange {
                    mtu: Some(mtu),
                    ..LinkChange::default()
                },
            )
        })?;
        Ok(index)
    }

    fn port(&self, py: Python<'_>, host: u32, index: u32, bridge: u32) -> PyResult<()> {
        self.change(
            py,
            host,
            format!("plug interface {index} into bridge {bridge}"),
            |route| {
                route.change_link(
                    index,
                    &LinkChange {
                        master: Some(bridge),
                        ..LinkChange::default()
                    },
                )
            },
        )
    }

    fn up(&self, py: Python<'_>, host: u32, index: u32, up: bool) -> PyResult<()> {
        let verb = if up { "up" } else { "down" };
        self.change(
            py,
            host,
            format!("bring interface {index} {verb}"),
            |route| {
                route.change_link(
                    index,
                    &LinkChange {
                        up: Some(up),
                        ..LinkChange::default()
                    },
                )
            },
        )
    }

    fn mtu(&self, py: Python<'_>, host: u32, index: u32, mtu: u32) -> PyResult<()> {
        self.change(
            py,
            host,
            format!("set the MTU of interface {index} to {mtu}"),
            |route| {
                route.change_link(
                    index,
                    &LinkChange {
                        mtu: Some(mtu),
                        ..LinkChange::default()
                    },
                )
            },
        )
    }

    fn address(
        &self,
        py: Python<'_>,
        host: u32,
        index: u32,
        address: IpAddr,
        prefix: u8,
        add: bool,
    ) -> PyResult<()> {
        let verb = if add { "add" } else { "remove" };
        self.change(
            py,
            host,
            format!("{verb} address {address}/{prefix}"),
            |route| {
                if add {
                    route.add_address(index, address, prefix)
                } else {
                    route.delete_address(index, address, prefix)
                }
            },
        )
    }

    #[expect(clippy::too_many_arguments, reason = "one for each field of a route")]
    fn route(
        &self,
        py: Python<'_>,
        host: u32,
        destination: IpAddr,
        prefix: u8,
        gateway: Option<IpAddr>,
        index: Option<u32>,
        kind: u8,
        add: bool,
    ) -> PyResult<()> {
        let change = RouteChange {
            destination: (prefix > 0).then_some((destination, prefix)),
            gateway,
            interface: index,
            // A route to be removed is found whatever its kind.
            kind: add.then_some(kind),
            inet6: destination.is_ipv6(),
            replace: true,
            ..RouteChange::default()
        };
        let verb = if add { "add" } else { "remove" };
        let via = gateway
            .map(|gateway| format!(" via {gateway}"))
            .unwrap_or_default();
        self.change(
            py,
            host,
            format!("{verb} route {destination}/{prefix}{via}"),
            |route| {
                if add {
                    route.add_route(&change)
                } else {
                    route.delete_route(&change)
                }
            },
        )
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.lab.close());
    }
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Namespaces>()
}
