//! Checksums of frames that are built.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wallsocket_wire::craft;
use wallsocket_wire::decode::{self, LinkType};

/// The frame with its checksums set.
#[pyfunction]
#[pyo3(signature = (bytes, link_type = 1))]
pub(super) fn set_checksums(py: Python<'_>, bytes: Vec<u8>, link_type: u32) -> Py<PyBytes> {
    let mut bytes = bytes;
    craft::set_checksums(LinkType(link_type), &mut bytes);
    PyBytes::new(py, &bytes).unbind()
}

/// The internet checksum of bytes (RFC 1071): the ones' complement of their sum.
#[pyfunction]
pub(super) fn internet_checksum(bytes: &[u8]) -> u16 {
    !decode::checksum::sum(bytes, 0)
}
