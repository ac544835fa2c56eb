//! Sending frames.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use wallsocket_sys::packet;
use wallsocket_wire::craft;
use wallsocket_wire::decode::LinkType;

use super::capture::packet_error;
use super::{os_error, owned};

/// Sends frames through one interface.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Sender {
    sender: packet::Sender,
}

#[pymethods]
impl Sender {
    #[new]
    #[pyo3(signature = (descriptor, interface, *, bypass_queue = false))]
    fn new(descriptor: i32, interface: u32, bypass_queue: bool) -> PyResult<Self> {
        packet::Sender::on(owned(descriptor)?, interface, bypass_queue)
            .map(|sender| Self { sender })
            .map_err(packet_error)
    }

    /// Has a ring made, on this other packet socket of the same namespace; many frames take it once it is there.
    fn prepare_ring(&self, descriptor: i32) -> PyResult<()> {
        self.sender.prepare_ring(owned(descriptor)?);
        Ok(())
    }

    /// Whether there is a ring by now.
    fn has_ring(&self) -> bool {
        self.sender.has_ring()
    }

    /// Sends the frames, in few system calls; gives how many were sent (the rest met an error, which the next call reports).
    ///
    /// Of a tuple, which cannot change meanwhile, so that its items need not be held one by one.
    fn send(&self, py: Python<'_>, frames: &Bound<'_, PyTuple>) -> PyResult<usize> {
        let frames = frames
            .iter_borrowed()
            .map(|frame| Ok(frame.cast::<PyBytes>()?))
            .collect::<PyResult<Vec<_>>>()?;
        let frames: Vec<&[u8]> = frames.iter().map(|frame| frame.as_bytes()).collect();
        py.detach(|| self.sender.send(&frames)).map_err(os_error)
    }

    /// Sends a frame for each combination of field values, built on the way; gives how many were sent.
    ///
    /// `fields`: (offset, width in bytes, values).
    #[pyo3(signature = (template, fields, *, checksums = true, link_type = 1))]
    fn sweep(
        &self,
        py: Python<'_>,
        template: Vec<u8>,
        fields: Vec<(usize, usize, Vec<u64>)>,
        checksums: bool,
        link_type: u32,
    ) -> PyResult<u64> {
        let fields = sweep_fields(fields);
        let mut sweeps = craft::Sweeps::new(template, LinkType(link_type), fields, checksums)
            .map_err(PyValueError::new_err)?;
        let mut frames: Vec<Vec<u8>> = vec![Vec::new(); 256];
        let mut sent = 0;
        loop {
            let count = py.detach(|| {
                let mut count = 0;
                while count < frames.len() && sweeps.write(&mut frames[count]) {
                    count += 1;
                }
                count
            });
            let mut done = 0;
            while done < count {
                match py.detach(|| self.sender.send(&frames[done..count])) {
                    Ok(number) => done += number,
                    // The queue of the interface is full for the moment.
                    Err(error) if packet::is_queue_full(&error) => {
                        py.detach(|| std::thread::sleep(Duration::from_micros(500)));
                    }
                    Err(error) => return Err(os_error(error)),
                }
                py.check_signals()?;
            }
            sent += count as u64;
            if count < frames.len() {
                return Ok(sent);
            }
        }
    }
}

pub(super) fn sweep_fields(fields: Vec<(usize, usize, Vec<u64>)>) -> Vec<craft::Sweep> {
    fields
        .into_iter()
        .map(|(offset, width, values)| craft::Sweep {
            offset,
            width,
            values,
        })
        .collect()
}
