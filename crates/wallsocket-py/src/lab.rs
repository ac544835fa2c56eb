//! `wallsocket._core.lab`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{IntoRawFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes};
use wallsocket_kernel::netlink;
use wallsocket_kernel::route::{LinkChange, RouteChange, RouteSocket};
use wallsocket_link::fate::{Burst, Fate, Impairments};
use wallsocket_link::forwarder::{self, Action, COUNTER_NAMES, Decision, Hook, Script};
use wallsocket_link::lab::{End, Error};

/// An `OSError` with the kernel's number and sentence; pyo3 would make a `MemoryError` of ENOMEM, which is about the interpreter's.
fn plain_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, wallsocket_link::sentence(&error))),
        None => error.into(),
    }
}

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

    fn open_proc(&self, py: Python<'_>, host: u32, path: &str) -> PyResult<RawFd> {
        let found = py
            .detach(|| self.lab.open_proc(host, path))
            .map_err(|error| os_error(&error))?;
        Ok(found.into_raw_fd())
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

    fn splice(
        &self,
        py: Python<'_>,
        end: EndTuple,
        wires: u32,
        name: &str,
        far: EndTuple,
    ) -> PyResult<u32> {
        let (near, far) = (self::end(end), self::end(far));
        py.detach(|| self.lab.splice(&near, wires, name, &far))
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

/// AF_PACKET and SOCK_RAW.
const PACKET: (i32, i32) = (17, 3);

/// The forwarder of one impaired link. Direction 0 is from the first end to the second.
#[pyclass(module = "wallsocket._core.lab", frozen)]
struct Forwarder {
    forwarder: Mutex<forwarder::Forwarder>,
}

fn seconds(value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn fate_words(fate: &Fate) -> String {
    let words = [
        (fate.lost, "lost"),
        (fate.duplicated, "duplicated"),
        (fate.held, "held"),
        (fate.corrupted.is_some(), "corrupted"),
    ];
    let found: Vec<&str> = words
        .iter()
        .filter(|word| word.0)
        .map(|word| word.1)
        .collect();
    if found.is_empty() {
        "passed".to_owned()
    } else {
        found.join(" ")
    }
}

/// What a Python function said about a frame: nothing or True passes it, False drops it, bytes or several replace it.
fn decision(answer: &Bound<'_, PyAny>) -> PyResult<Decision> {
    if answer.is_none() {
        return Ok(Decision::Pass);
    }
    if let Ok(passes) = answer.cast::<PyBool>() {
        return Ok(if passes.is_true() {
            Decision::Pass
        } else {
            Decision::Drop
        });
    }
    if let Ok(bytes) = answer.cast::<PyBytes>() {
        return Ok(Decision::Replace(vec![bytes.as_bytes().to_vec()]));
    }
    let frames: PyResult<Vec<Vec<u8>>> = answer.extract();
    frames.map(Decision::Replace).map_err(|_| {
        PyTypeError::new_err(
            "a frame function returns None or True (pass), False (drop), bytes, or a list of bytes",
        )
    })
}

impl Forwarder {
    fn with<T>(&self, work: impl FnOnce(&forwarder::Forwarder) -> T) -> T {
        work(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, forwarder::Forwarder> {
        self.forwarder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Forwarder {
    #[expect(clippy::too_many_arguments, reason = "what a link is made of")]
    #[new]
    fn new(
        py: Python<'_>,
        namespaces: &Namespaces,
        host: u32,
        near: u32,
        far: u32,
        mtu: u32,
        seed: u64,
        ring: usize,
    ) -> PyResult<Self> {
        py.detach(|| {
            let socket = || {
                namespaces
                    .lab
                    .socket(host, PACKET.0, PACKET.1, 0)
                    .map_err(|error| os_error(&error))
            };
            let ends = [(socket()?, near), (socket()?, far)];
            let forwarder = Mutex::new(
                forwarder::Forwarder::start(ends, mtu, seed, ring).map_err(plain_error)?,
            );
            Ok(Self { forwarder })
        })
    }

    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.with(forwarder::Forwarder::wait))
            .map_err(plain_error)
    }

    fn end(&self) {
        self.with(forwarder::Forwarder::end);
    }

    #[expect(clippy::too_many_arguments, reason = "one for each impairment")]
    #[pyo3(signature = (direction, *, loss, burst, lost_numbers, lose_every, delay, jitter, duplicate, reorder, reorder_gap, corrupt, mend_checksum, rate, queue, largest))]
    fn set(
        &self,
        direction: usize,
        loss: f64,
        burst: Option<(f64, f64, f64, f64)>,
        lost_numbers: Vec<u64>,
        lose_every: Option<u64>,
        delay: f64,
        jitter: f64,
        duplicate: f64,
        reorder: f64,
        reorder_gap: u32,
        corrupt: f64,
        mend_checksum: bool,
        rate: Option<f64>,
        queue: usize,
        largest: Option<usize>,
    ) -> PyResult<()> {
        let burst = burst.map(|(enter, leave, loss_good, loss_bad)| Burst {
            enter,
            leave,
            loss_good,
            loss_bad,
        });
        let impairments = Impairments {
            loss,
            burst,
            lost_numbers,
            lose_every,
            delay: seconds(delay)?,
            jitter: seconds(jitter)?,
            duplicate,
            reorder,
            reorder_gap,
            corrupt,
            mend_checksum,
            rate,
            queue,
            largest,
        };
        self.with(|forwarder| forwarder.set(direction & 1, impairments));
        Ok(())
    }

    fn script(&self, action: &str, value: f64, port: Option<u16>) -> PyResult<()> {
        let action = match action {
            "reset_after" => Action::ResetAfter(value as u32),
            "refuse" => Action::Refuse(value as u32),
            "black_hole_after" => Action::BlackHoleAfter(seconds(value)?),
            "black_hole_after_bytes" => Action::BlackHoleAfterBytes(value as u32),
            other => return Err(PyValueError::new_err(format!("no script {other:?}"))),
        };
        self.with(|forwarder| forwarder.add_script(Script { action, port }));
        Ok(())
    }

    fn clear_scripts(&self) {
        self.with(forwarder::Forwarder::clear_scripts);
    }

    #[pyo3(signature = (function))]
    fn set_hook(&self, function: Option<Py<PyAny>>) {
        let hook = function.map(|function| -> Hook {
            Arc::new(move |direction, bytes| {
                // None while the interpreter ends.
                Python::try_attach(|py| {
                    let answer = function
                        .bind(py)
                        .call1((direction, PyBytes::new(py, bytes)));
                    answer
                        .and_then(|answer| decision(&answer))
                        .unwrap_or_else(|error| {
                            error.write_unraisable(py, Some(function.bind(py)));
                            Decision::Pass
                        })
                })
                .unwrap_or(Decision::Pass)
            })
        });
        self.with(|forwarder| forwarder.set_hook(hook));
    }

    fn cut(&self, time: Option<f64>) -> PyResult<()> {
        let time = time.map(seconds).transpose()?;
        self.with(|forwarder| forwarder.cut(time));
        Ok(())
    }

    fn restore(&self) {
        self.with(forwarder::Forwarder::restore);
    }

    #[getter]
    fn is_cut(&self) -> bool {
        self.with(forwarder::Forwarder::is_cut)
    }

    fn record(&self, on: bool) {
        self.with(|forwarder| forwarder.record(on));
    }

    fn fates(&self) -> Vec<(usize, String, u64, String)> {
        let fates = self.with(forwarder::Forwarder::fates);
        let row = |row: &forwarder::Recorded| {
            (
                row.direction,
                row.flow.to_string(),
                row.number,
                fate_words(&row.fate),
            )
        };
        fates.iter().map(row).collect()
    }

    fn counters(&self, direction: usize) -> BTreeMap<&'static str, u64> {
        COUNTER_NAMES
            .into_iter()
            .zip(self.with(|forwarder| forwarder.counters(direction & 1)))
            .collect()
    }

    fn stop(&self, py: Python<'_>) {
        // Without the interpreter's lock: the thread that is to end may be waiting for it in a frame function.
        py.detach(|| self.lock().stop());
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let stop = || self.lock().stop();
        if Python::try_attach(|py| py.detach(stop)).is_none() {
            self.lock().stop();
        }
    }
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Namespaces>()?;
    module.add_class::<Forwarder>()
}
