//! `wallsocket._core.sys`: many datagrams in one call.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use wallsocket_sys::batch::{self, Buffers};

use crate::wire::os_error;

/// Room for the datagrams of one call.
#[pyclass(frozen, module = "wallsocket._core.sys")]
struct Batch(Mutex<Buffers>);

/// A datagram, its sender as the kernel wrote it, and whether it was longer than the room for it.
type Datagram = (Py<PyBytes>, Py<PyBytes>, bool);

#[pymethods]
impl Batch {
    /// For so many datagrams of at most so many bytes.
    #[new]
    fn new(count: usize, size: usize) -> Self {
        Self(Mutex::new(Buffers::new(count, size)))
    }

    /// Those that are there, at most `count`.
    fn receive(
        &self,
        py: Python<'_>,
        descriptor: i32,
        count: usize,
        flags: i32,
    ) -> PyResult<Vec<Datagram>> {
        // With Python's lock: another thread could wait for that while it has this one. The call never waits for long, because
        // callers wait elsewhere.
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffers
            .receive(descriptor, count, flags)
            .map_err(os_error)?;
        Ok(buffers
            .messages()
            .map(|message| {
                (
                    PyBytes::new(py, message.bytes).unbind(),
                    PyBytes::new(py, message.sender).unbind(),
                    message.truncated,
                )
            })
            .collect())
    }
}

/// Sends datagrams, each to the address beside it, or to the peer where that is empty. How many were sent.
#[pyfunction]
fn send_many(
    descriptor: i32,
    datagrams: Vec<(PyBackedBytes, PyBackedBytes)>,
    flags: i32,
) -> PyResult<usize> {
    let messages: Vec<(&[u8], &[u8])> = datagrams
        .iter()
        .map(|(bytes, address)| (&bytes[..], &address[..]))
        .collect();
    batch::send(descriptor, &messages, flags).map_err(os_error)
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Batch>()?;
    module.add_function(wrap_pyfunction!(send_many, module)?)?;
    module.add("BATCH_MAXIMUM", batch::MAXIMUM)
}
