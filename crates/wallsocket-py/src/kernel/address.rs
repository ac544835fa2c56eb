//! Socket addresses.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wallsocket_kernel::address::Address;

/// A socket address.
#[pyclass(module = "wallsocket._core.kernel", name = "Address", frozen, eq, hash)]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct PyAddress(pub(super) Address);

#[pymethods]
impl PyAddress {
    #[staticmethod]
    #[pyo3(signature = (data, /))]
    fn decode(data: &[u8]) -> Self {
        Self(Address::decode(data))
    }

    #[staticmethod]
    #[pyo3(signature = (text, /))]
    pub(super) fn parse(text: &str) -> PyResult<Self> {
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

/// Adds this part's classes and functions.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyAddress>()
}
