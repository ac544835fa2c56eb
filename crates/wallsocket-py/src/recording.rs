//! `wallsocket._core.recording`: rows of a recording as events.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple, PyType};

/// What a column may hold, as bits of its number in `allowed`.
const NONE: u8 = 1;
const INTEGER: u8 = 2;
const BYTES: u8 = 4;
const TEXT: u8 = 8;

fn holds(value: &Bound<'_, PyAny>) -> u8 {
    if value.is_none() {
        NONE
    } else if value.is_exact_instance_of::<PyInt>() {
        INTEGER
    } else if value.is_exact_instance_of::<PyBytes>() {
        BYTES
    } else if value.is_exact_instance_of::<PyString>() {
        TEXT
    } else {
        0
    }
}

/// Events of rows that SQLite gave, up to the first row that is not as it has to be.
///
/// A row begins with its number, which must be larger than that of the row before (`after`); then follow the columns, where
/// the number is not the first of them (`numbered`). Each column holds what `allowed` says: 1 None, 2 an int, 4 bytes, 8 str, or
/// a sum of these. Equal values in the columns `alike` become one object, which `seen` remembers.
#[pyfunction]
#[pyo3(signature = (kind, rows, after, *, numbered, allowed, alike, seen))]
#[allow(clippy::too_many_arguments)]
fn events<'py>(
    py: Python<'py>,
    kind: &Bound<'py, PyType>,
    rows: &Bound<'py, PyList>,
    after: Option<i64>,
    numbered: bool,
    allowed: &[u8],
    alike: Vec<usize>,
    seen: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyList>> {
    if alike.iter().any(|place| *place >= allowed.len()) {
        return Err(PyValueError::new_err("alike names no column"));
    }
    let found = PyList::empty(py);
    let first = usize::from(numbered);
    let mut last = after;
    for row in rows.iter() {
        let Ok(row) = row.cast_into::<PyTuple>() else {
            break;
        };
        if row.len() != first + allowed.len() {
            break;
        }
        let Ok(number) = row
            .get_borrowed_item(0)
            .and_then(|number| number.extract::<i64>())
        else {
            break;
        };
        if last.is_some_and(|last| number <= last) {
            break;
        }
        last = Some(number);
        let mut right = true;
        for (value, allowed) in row.iter_borrowed().skip(first).zip(allowed) {
            right &= holds(&value) & allowed != 0;
        }
        if !right {
            break;
        }
        let mut repeated = Vec::new();
        for place in &alike {
            let value = row.get_borrowed_item(first + place)?;
            if !value.is_none() {
                repeated.push((*place, value));
            }
        }
        let event = if repeated.is_empty() && !numbered {
            kind.call1(row)?
        } else {
            let mut fields: Vec<_> = row.iter().skip(first).collect();
            for (place, value) in repeated {
                if let Some(known) = seen.get_item(value)? {
                    fields[place] = known;
                } else {
                    seen.set_item(value, value)?;
                }
            }
            kind.call1(PyTuple::new(py, fields)?)?
        };
        found.append(event)?;
    }
    Ok(found)
}

/// Fills the submodule.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(events, module)?)
}
