//! `wallsocket._core.framing`.

use pyo3::prelude::*;

/// Adds the submodule's classes and functions.
pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
