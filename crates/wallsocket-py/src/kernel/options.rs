//! The table of socket options, and reading and setting them.

use std::os::fd::AsFd;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use wallsocket_kernel::address::Address;
use wallsocket_kernel::options::{self, Kind, SocketOption, Value, applies};
use wallsocket_sys::socket;

use super::address::PyAddress;
use super::{duplicate, io_error};

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

/// Adds this part's classes and functions.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyOption>()?;
    module.add_function(wrap_pyfunction!(option_table, module)?)?;
    module.add_function(wrap_pyfunction!(option, module)?)?;
    module.add_function(wrap_pyfunction!(disconnect, module)?)?;
    module.add_function(wrap_pyfunction!(get_option, module)?)?;
    module.add_function(wrap_pyfunction!(set_option, module)?)
}
