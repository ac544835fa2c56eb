//! Capturing: the ring that the kernel fills.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_schema::ArrowError;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use wallsocket_sys::packet;
use wallsocket_wire::columns::Builder;
use wallsocket_wire::filter::Filters;
use wallsocket_wire::live;

use super::columns::Table;
use super::filter::{Filter, filters_of, instructions};
use super::frame::{Frame, frame_of};
use super::pcap::Writer;
use super::{lock_attached, os_error, owned};

/// A receive ring on a packet socket.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Ring {
    ring: Mutex<Option<RingState>>,
    /// Set before the ring is closed, so that a thread that waits for frames stops soon.
    closing: AtomicBool,
}

pub(super) struct RingState {
    ring: packet::Ring,
    filter: Option<Filters>,
    number: u64,
}

pub(super) fn packet_error(error: packet::PacketError) -> PyErr {
    let code = error.error.raw_os_error().unwrap_or(0);
    PyOSError::new_err((code, format!("{}: {}", error.call, error.error)))
}

pub(super) fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX)
}

/// Longest wait between two looks at signals.
pub(super) const SLICE: Duration = Duration::from_millis(200);

impl Ring {
    /// Waits for a filled block in slices, so that Ctrl-C and a close by another thread are heard; false when the time is over.
    fn wait(&self, py: Python<'_>, end: Option<Instant>) -> PyResult<bool> {
        loop {
            let left = end.map_or(SLICE, |end| {
                end.saturating_duration_since(Instant::now()).min(SLICE)
            });
            let ready = self.with(py, |state| {
                if state.ring.is_ready() {
                    return Ok(true);
                }
                match py.detach(|| state.ring.wait(Some(left))) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                    result => result.map_err(os_error),
                }
            })?;
            if ready {
                return Ok(true);
            }
            py.check_signals()?;
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
        }
    }
}

#[pymethods]
impl Ring {
    /// A ring on the packet socket `descriptor` (a copy of it is taken).
    ///
    /// `filter` runs in the kernel; `late_filter` here, on frames with their VLAN tag put back.
    #[new]
    #[pyo3(signature = (descriptor, *, interface = None, direction = "both", block_size = 262_144, block_count = 64,
                        block_timeout_s = 0.02, filter = None, late_filter = None, snap_length = 262_144,
                        promiscuous = false, fanout = None))]
    #[expect(clippy::too_many_arguments)]
    fn new(
        descriptor: i32,
        interface: Option<u32>,
        direction: &str,
        block_size: usize,
        block_count: usize,
        block_timeout_s: f64,
        filter: Option<Vec<(u16, u8, u8, u32)>>,
        late_filter: Option<&Bound<'_, Filter>>,
        snap_length: u32,
        promiscuous: bool,
        fanout: Option<(u16, String)>,
    ) -> PyResult<Self> {
        let direction = match direction {
            "both" => packet::Direction::Both,
            "in" => packet::Direction::In,
            "out" => packet::Direction::Out,
            "raw" => packet::Direction::Raw,
            other => {
                return Err(PyValueError::new_err(format!(
                    "no direction {other:?}: both, in, out or raw"
                )));
            }
        };
        let fanout = match fanout {
            None => None,
            Some((group, kind)) => Some(packet::Fanout {
                group,
                kind: match kind.as_str() {
                    "hash" => packet::FanoutKind::Hash,
                    "round-robin" => packet::FanoutKind::RoundRobin,
                    "processor" => packet::FanoutKind::Processor,
                    "rollover" => packet::FanoutKind::Rollover,
                    "random" => packet::FanoutKind::Random,
                    "queue" => packet::FanoutKind::Queue,
                    other => {
                        return Err(PyValueError::new_err(format!("no fanout kind {other:?}")));
                    }
                },
            }),
        };
        let options = packet::RingOptions {
            interface,
            direction,
            block_size,
            block_count,
            block_timeout: seconds(block_timeout_s),
            filter: filter.map(instructions).unwrap_or_default(),
            snap_length,
            promiscuous,
            fanout,
        };
        let ring = packet::Ring::on(owned(descriptor)?, &options).map_err(packet_error)?;
        let state = RingState {
            ring,
            filter: filters_of(late_filter),
            number: 0,
        };
        Ok(Self {
            ring: Mutex::new(Some(state)),
            closing: AtomicBool::new(false),
        })
    }

    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.with(py, |state| Ok(state.ring.as_raw_fd()))
    }

    /// Whether a block can be read without waiting.
    fn is_ready(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |state| Ok(state.ring.is_ready()))
    }

    /// The frames of the next block, copied; an empty list when the time is over. `timeout_s` None: wait for ever.
    #[pyo3(signature = (timeout_s = None))]
    fn frames(&self, py: Python<'_>, timeout_s: Option<f64>) -> PyResult<Vec<Frame>> {
        let end = timeout_s.map(|timeout| Instant::now() + seconds(timeout.min(1e9)));
        let mut found = Vec::new();
        while found.is_empty() {
            if !self.wait(py, end)? {
                break;
            }
            self.with(py, |state| {
                let RingState {
                    ring,
                    filter,
                    number,
                } = state;
                if let Some(block) = ring.next_block(Some(Duration::ZERO)).map_err(os_error)? {
                    found.extend(live::frames(&block, filter.as_ref(), number).map(|frame| {
                        frame_of(
                            py,
                            &frame.bytes,
                            frame.link_type,
                            frame.original_length,
                            frame.hints,
                            frame.meta,
                        )
                    }));
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Decodes into columns where the frames lie, for `duration_s` or until `rows` were seen.
    #[pyo3(signature = (columns, *, duration_s, rows = None))]
    fn columns(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        duration_s: f64,
        rows: Option<u64>,
    ) -> PyResult<Table> {
        let mut builder = Builder::new(&columns)
            .map_err(|name| PyValueError::new_err(format!("no column {name:?}")))?;
        let end = Instant::now() + seconds(duration_s.min(1e9));
        let mut left = rows.unwrap_or(u64::MAX);
        let mut batches = Vec::new();
        while left > 0 {
            if !self.wait(py, Some(end))? {
                break;
            }
            self.with(py, |state| {
                let RingState {
                    ring,
                    filter,
                    number,
                } = &mut *state;
                let builder = &mut builder;
                let taken =
                    py.detach(|| take_block(ring, filter.as_ref(), number, builder, &mut left))?;
                if taken && (builder.is_full() || builder.len() >= LIVE_BATCH) {
                    batches.push(builder.finish());
                }
                Ok(())
            })?;
        }
        let schema = builder.schema();
        if !builder.is_empty() {
            batches.push(builder.finish());
        }
        let batches = batches
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Table { schema, batches })
    }

    /// Writes the frames of the next blocks to a file, for `duration_s` or until `limit` were written; gives their number.
    ///
    /// `interfaces`: number in the file for each interface index. An interface that is not in it ends the call early, with its
    /// index and hardware type as second and third value: describe it in the file and call again.
    #[pyo3(signature = (writer, interfaces, *, duration_s, limit = None))]
    fn write(
        &self,
        py: Python<'_>,
        writer: &Writer,
        interfaces: std::collections::HashMap<u32, u32>,
        duration_s: f64,
        limit: Option<u64>,
    ) -> PyResult<(u64, Option<u32>, u32)> {
        let end = Instant::now() + seconds(duration_s.min(1e9));
        let mut written = 0;
        while limit.is_none_or(|limit| written < limit) {
            if !self.wait(py, Some(end))? {
                break;
            }
            let unknown = self.with(py, |state| {
                let RingState {
                    ring,
                    filter,
                    number,
                } = &mut *state;
                py.detach(|| -> PyResult<Option<(u32, u16)>> {
                    let Some(block) = ring.next_block(Some(Duration::ZERO)).map_err(os_error)?
                    else {
                        return Ok(None);
                    };
                    if let Some(found) = live::unknown_interface(&block, &interfaces) {
                        block.put_back();
                        return Ok(Some(found));
                    }
                    let left = limit.map_or(u64::MAX, |limit| limit - written);
                    written += writer.with(|file| {
                        live::write_block(&block, filter.as_ref(), number, file, &interfaces, left)
                    })?;
                    Ok(None)
                })
            })?;
            if let Some((interface, hardware_type)) = unknown {
                return Ok((written, Some(interface), hardware_type.into()));
            }
        }
        Ok((written, None, 0))
    }

    /// (frames that passed the filter, frames lost, times the ring was full) since it was opened.
    fn statistics(&self, py: Python<'_>) -> PyResult<(u64, u64, u64)> {
        self.with(py, |state| {
            let found = state.ring.statistics().map_err(os_error)?;
            Ok((found.seen, found.dropped, found.freezes))
        })
    }

    fn close(&self, py: Python<'_>) {
        self.closing.store(true, Ordering::Release);
        lock_attached(py, &self.ring).take();
    }
}

/// Rows of a batch of a live capture.
pub(super) const LIVE_BATCH: usize = 65536;

pub(super) fn arrow_error(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Decodes the frames of one block into `builder`; false when there was none.
pub(super) fn take_block(
    ring: &mut packet::Ring,
    filter: Option<&Filters>,
    number: &mut u64,
    builder: &mut Builder,
    left: &mut u64,
) -> PyResult<bool> {
    let Some(block) = ring.next_block(Some(Duration::ZERO)).map_err(os_error)? else {
        return Ok(false);
    };
    live::decode_block(&block, filter, number, builder, left).map_err(arrow_error)?;
    Ok(true)
}

impl Ring {
    fn with<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut RingState) -> PyResult<T>,
    ) -> PyResult<T> {
        let mut guard = lock_attached(py, &self.ring);
        if self.closing.load(Ordering::Acquire) {
            guard.take();
        }
        act(guard
            .as_mut()
            .ok_or_else(|| PyValueError::new_err("the capture is closed"))?)
    }
}
