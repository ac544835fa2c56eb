//! Frames as lines of text.

use std::sync::Mutex;

use pyo3::prelude::*;
use wallsocket_wire::lines;

use super::frame::Frame;
use super::lock_attached;

/// Writes a line for each frame, with TCP numbers counted from the first ones.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Lines {
    pub(super) lines: Mutex<lines::Lines>,
    difference_s: Py<PyAny>,
}

impl Lines {
    /// By how many seconds local clocks are ahead of UTC at a time, in seconds since 1970.
    pub(super) fn difference_s(&self, py: Python<'_>, seconds: i64) -> PyResult<i32> {
        self.difference_s.call1(py, (seconds,))?.extract(py)
    }
}

#[pymethods]
impl Lines {
    #[new]
    #[pyo3(signature = (difference_s, *, absolute = false))]
    fn new(difference_s: Py<PyAny>, absolute: bool) -> Self {
        Self {
            lines: Mutex::new(lines::Lines::new(absolute)),
            difference_s,
        }
    }

    /// The line of a frame, with its end.
    fn line(&self, py: Python<'_>, frame: &Bound<'_, Frame>) -> PyResult<String> {
        let frame = frame.get();
        let mut text = String::with_capacity(160);
        frame.with(py, |decoded| {
            lock_attached(py, &self.lines).write(
                &mut text,
                decoded,
                frame.timestamp_ns(),
                |seconds| self.difference_s(py, seconds),
            )
        })?;
        Ok(text)
    }
}
