//! `wallsocket._core.wire`: frames, capture files, columns, the packet ring, sending.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use wallsocket_wire::columns::{COLUMNS, DEFAULT};

/// A class of read-only values, whose repr gives them in the order in which they stand here.
macro_rules! header {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[pyclass(frozen, get_all, module = "wallsocket._core.wire")]
        pub(super) struct $name {
            $($field: $type),*
        }

        #[pymethods]
        impl $name {
            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                super::values_of(slf.as_any(), &[$(stringify!($field)),*])
            }
        }
    };
}

mod capture;
mod columns;
mod craft;
mod filter;
mod frame;
mod inject;
mod layers;
mod lines;
mod pcap;

/// `Name(field=value, …)` of the fields that have a value.
fn values_of(object: &Bound<'_, PyAny>, fields: &[&str]) -> PyResult<String> {
    let mut said = Vec::new();
    for field in fields {
        let name = field.trim_start_matches("r#");
        let value = object.getattr(name)?;
        if !value.is_none() {
            said.push(format!("{name}={}", value.repr()?));
        }
    }
    Ok(format!(
        "{}({})",
        object.get_type().name()?,
        said.join(", ")
    ))
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

/// With its number, so that Python makes it the right kind of `OSError`.
pub(crate) fn os_error(error: io::Error) -> PyErr {
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

/// A descriptor of our own for one that Python holds.
fn owned(descriptor: i32) -> PyResult<OwnedFd> {
    wallsocket_sys::descriptor::duplicate(descriptor).map_err(os_error)
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<frame::Frame>()?;
    module.add_class::<frame::Ethernet>()?;
    module.add_class::<frame::Arp>()?;
    module.add_class::<frame::Ip>()?;
    module.add_class::<frame::Tcp>()?;
    module.add_class::<frame::Udp>()?;
    module.add_class::<frame::Icmp>()?;
    module.add_class::<frame::Igmp>()?;
    module.add_class::<layers::Tunnel>()?;
    module.add_class::<layers::Label>()?;
    module.add_class::<layers::Pppoe>()?;
    module.add_class::<layers::PortTag>()?;
    module.add_class::<layers::Sctp>()?;
    module.add_class::<layers::Ipsec>()?;
    module.add_class::<layers::Wireless>()?;
    module.add_class::<layers::Can>()?;
    module.add_class::<lines::Lines>()?;
    module.add_class::<pcap::Reader>()?;
    module.add_class::<pcap::Writer>()?;
    module.add_class::<columns::ColumnStream>()?;
    module.add_class::<columns::ColumnBatches>()?;
    module.add_class::<filter::Filter>()?;
    module.add_class::<columns::Table>()?;
    module.add_class::<capture::Ring>()?;
    module.add_class::<inject::Sender>()?;
    let every: Vec<(&str, &str)> = COLUMNS
        .iter()
        .map(|column| (column.name, column.meaning))
        .collect();
    module.add("COLUMNS", every)?;
    module.add("DEFAULT_COLUMNS", DEFAULT.to_vec())?;
    module.add_function(wrap_pyfunction!(craft::set_checksums, module)?)?;
    module.add_function(wrap_pyfunction!(craft::internet_checksum, module)?)?;
    module.add_function(wrap_pyfunction!(frame::recognise_stream, module)?)?;
    module.add_function(wrap_pyfunction!(frame::link_type_of_hardware, module)?)?;
    Ok(())
}
