//! Capture files, read and written.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::RecordBatchReader;
use pyo3::exceptions::{PyStopIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use wallsocket_wire::columns::{Meta, Plan, Report};
use wallsocket_wire::compress::{self, Compression, Sink};
use wallsocket_wire::decode::{Hints, LinkType};
use wallsocket_wire::file::{self, Chunk, FileError, Format, Reader as FileReader, Tail};
use wallsocket_wire::file_write::{self, Details, Writer as FileWriter};

use super::columns::{ColumnSource, ColumnStream, batches};
use super::filter::{Filter, filters_of};
use super::frame::{Frame, frame_of};
use super::lines::Lines;
use super::{lock, lock_attached, os_error, owned};

/// An exception that a signal handler raised while a thread was reading.
pub(super) type Raised = Arc<Mutex<Option<PyErr>>>;

/// A file that lets Python's signal handlers run when a read is interrupted.
pub(super) struct Interruptible {
    file: File,
    raised: Raised,
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if let Err(raised) = Python::attach(|py| py.check_signals()) {
                        *lock(&self.raised) = Some(raised);
                        return Err(io::Error::from_raw_os_error(125)); // ECANCELED
                    }
                }
                result => return result,
            }
        }
    }
}

pub(super) fn file_error(error: FileError, raised: &Raised) -> PyErr {
    if let Some(raised) = lock(raised).take() {
        return raised;
    }
    match error {
        FileError::NotACapture(_) => PyValueError::new_err(error.to_string()),
        FileError::Io(error) => os_error(error),
    }
}

pub(super) struct Open {
    pub(super) reader: FileReader,
    pub(super) chunk: Chunk,
    pub(super) index: usize,
}

/// A capture file, read from an open descriptor.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Reader {
    open: Mutex<Option<Open>>,
    raised: Raised,
    compression: &'static str,
    /// The file, where it can be read once more from its beginning.
    again: Option<Arc<File>>,
    /// Records that the copy wrote.
    copied: AtomicU64,
}

/// Bytes of text that are made at a time.
const LINES_MAXIMUM: usize = 1 << 20;

pub(super) fn tail_tuple(tail: Option<Tail>) -> Option<(u64, u64, String)> {
    tail.map(|tail| (tail.unusable_bytes, tail.offset, tail.reason))
}

#[pymethods]
impl Reader {
    /// Takes the descriptor over.
    #[new]
    fn new(py: Python<'_>, descriptor: i32) -> PyResult<Self> {
        let raised = Raised::default();
        // A descriptor from Python: checked to be open, then owned by this reader.
        let file = owned(descriptor)?;
        let mut file = File::from(file);
        // Read from its beginning: standard input may stand anywhere.
        let whole = file.stream_position().is_ok_and(|position| position == 0);
        let again = if whole {
            file.try_clone().ok().map(Arc::new)
        } else {
            None
        };
        let source = Box::new(Interruptible {
            file,
            raised: Arc::clone(&raised),
        });
        let result = py.detach(|| {
            let (source, compression) = compress::decompressed(source)?;
            Ok((FileReader::new(source)?, compression))
        });
        let (mut reader, compression) = result.map_err(|error| file_error(error, &raised))?;
        if let (Some(file), Compression::None) = (&again, compression) {
            reader.set_file(Arc::clone(file));
        }
        let compression = match compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstandard => "zstd",
        };
        Ok(Self {
            open: Mutex::new(Some(Open {
                reader,
                chunk: Chunk::default(),
                index: 0,
            })),
            raised,
            compression,
            again,
            copied: AtomicU64::new(0),
        })
    }

    #[getter]
    fn compression(&self) -> &'static str {
        self.compression
    }

    #[getter]
    fn format(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |open| match open.reader.format() {
            Format::Pcap => "pcap",
            Format::Pcapng => "pcapng",
        })
    }

    /// Interfaces found so far.
    #[getter]
    fn interfaces(&self, py: Python<'_>) -> PyResult<Vec<Py<PyDict>>> {
        let found: Vec<Arc<file::Interface>> =
            self.with(py, |open| open.reader.interfaces().to_vec())?;
        found
            .iter()
            .map(|interface| {
                let entry = PyDict::new(py);
                entry.set_item("link_type", interface.link_type.0)?;
                entry.set_item("snap_length", interface.snap_length)?;
                entry.set_item("name", &interface.name)?;
                entry.set_item("description", &interface.description)?;
                entry.set_item("filter", &interface.filter)?;
                entry.set_item("ticks_per_second", interface.ticks_per_second)?;
                Ok(entry.unbind())
            })
            .collect()
    }

    /// (bytes of no use, where they start, why) once the end was reached.
    #[getter]
    fn tail(&self, py: Python<'_>) -> PyResult<Option<(u64, u64, String)>> {
        self.with(py, |open| tail_tuple(open.reader.tail()))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The next frame that matches, or None at the end of what the file has now; reading may be tried again.
    #[pyo3(signature = (filter = None))]
    fn next_frame(
        &self,
        py: Python<'_>,
        filter: Option<&Bound<'_, Filter>>,
    ) -> PyResult<Option<Frame>> {
        let filter = filter.map(|filter| &filter.get().filters);
        let mut guard = lock_attached(py, &self.open);
        let Some(open) = guard.as_mut() else {
            return Err(PyValueError::new_err("the capture file is closed"));
        };
        let matches = |chunk: &Chunk, record: &file::Record| {
            filter.is_none_or(|filter| {
                let bytes = chunk.frame_bytes(record);
                filter.matches(record.link_type, bytes, record.original_length)
            })
        };
        loop {
            let rest = &open.chunk.records()[open.index.min(open.chunk.records().len())..];
            match rest.iter().position(|record| matches(&open.chunk, record)) {
                Some(skipped) => {
                    open.index += skipped;
                    break;
                }
                None => open.index = 0,
            }
            if !self.read_more(py, open)? {
                return Ok(None);
            }
        }
        let record = &open.chunk.records()[open.index];
        let meta = Meta {
            number: open.chunk.first_number() + open.index as u64,
            timestamp_ns: record.timestamp_ns,
            interface: record.interface,
            inbound: open.chunk.inbound(record),
        };
        let bytes = open.chunk.frame_bytes(record);
        let mut frame = frame_of(
            py,
            bytes,
            record.link_type,
            record.original_length,
            Hints::default(),
            meta,
        );
        frame.comments = open.chunk.comments(record);
        frame.process_id = open.chunk.process_id(record);
        open.index += 1;
        Ok(Some(frame))
    }

    /// The lines of some frames that match, at most `limit`, and of how many; None at the end of what the file has now.
    #[pyo3(signature = (lines, filter = None, limit = None))]
    fn lines(
        &self,
        py: Python<'_>,
        lines: &Bound<'_, Lines>,
        filter: Option<&Bound<'_, Filter>>,
        limit: Option<u64>,
    ) -> PyResult<Option<(String, u64)>> {
        let filter = filter.map(|filter| &filter.get().filters);
        let lines = lines.get();
        let mut guard = lock_attached(py, &self.open);
        let Some(open) = guard.as_mut() else {
            return Err(PyValueError::new_err("the capture file is closed"));
        };
        let (mut text, mut count) = (String::new(), 0);
        while count == 0 {
            if open.index >= open.chunk.records().len() {
                open.index = 0;
                if !self.read_more(py, open)? {
                    return Ok(None);
                }
            }
            let mut writer = lock_attached(py, &lines.lines);
            for record in &open.chunk.records()[open.index..] {
                if limit.is_some_and(|limit| count >= limit) || text.len() > LINES_MAXIMUM {
                    break;
                }
                open.index += 1;
                let bytes = open.chunk.frame_bytes(record);
                let wanted = filter.is_none_or(|filter| {
                    filter.matches(record.link_type, bytes, record.original_length)
                });
                if wanted {
                    let frame = open.chunk.decode(record);
                    writer.write(&mut text, &frame, record.timestamp_ns, |seconds| {
                        lines.difference_s(py, seconds)
                    })?;
                    count += 1;
                }
            }
        }
        Ok(Some((text, count)))
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Frame> {
        self.next_frame(py, None)?
            .ok_or_else(|| PyStopIteration::new_err(()))
    }

    /// The rest of the file as Arrow columns; the reader is used up.
    #[pyo3(signature = (columns, *, batch_rows = 65536, filter = None, limit = None, workers = 1))]
    fn columns(
        &self,
        py: Python<'_>,
        columns: Vec<String>,
        batch_rows: usize,
        filter: Option<&Bound<'_, Filter>>,
        limit: Option<u64>,
        workers: usize,
    ) -> PyResult<ColumnStream> {
        let filter = filters_of(filter);
        let Some(open) = lock_attached(py, &self.open).take() else {
            return Err(PyValueError::new_err("the capture file is closed"));
        };
        let report = Report::default();
        let plan = Plan {
            columns,
            batch_rows: batch_rows.max(1),
            filter,
            limit,
            report: Arc::clone(&report),
            part_bytes: None,
        };
        let workers = if limit.is_none() { workers } else { 1 };
        let taken = match open.chunk.records().len() {
            0 => open.reader.count(),
            _ => open.chunk.first_number() - 1 + open.index as u64,
        };
        let stream = py
            .detach(|| batches(open, &plan, workers))
            .map_err(PyValueError::new_err)?;
        let schema = stream.schema();
        Ok(ColumnStream {
            source: Arc::new(ColumnSource {
                first: Mutex::new(Some(stream)),
                file: self.again.clone(),
                taken,
                plan,
                workers,
            }),
            schema,
            report,
        })
    }

    /// Copies records that match, `limit` at most, and every other block, byte for byte to another descriptor.
    ///
    /// With `follow`, waits for more at the end. `copied` says how many records were written, also after an error.
    #[pyo3(signature = (descriptor, filter = None, *, limit = None, compression = "none", follow = false))]
    fn copy(
        &self,
        py: Python<'_>,
        descriptor: i32,
        filter: Option<&Bound<'_, Filter>>,
        limit: Option<u64>,
        compression: &str,
        follow: bool,
    ) -> PyResult<u64> {
        let filter = filter.map(|filter| &filter.get().filters);
        let sink = Sink::new(
            Box::new(File::from(owned(descriptor)?)),
            compression_of(compression)?,
        );
        let mut output = io::BufWriter::with_capacity(1 << 20, sink);
        let Some(mut open) = lock_attached(py, &self.open).take() else {
            return Err(PyValueError::new_err("the capture file is closed"));
        };
        let keep = |chunk: &Chunk, record: &file::Record| {
            filter.is_none_or(|filter| {
                let bytes = chunk.frame_bytes(record);
                filter.matches(record.link_type, bytes, record.original_length)
            })
        };
        let step = |output: &mut io::BufWriter<Sink>, ended: bool| {
            if ended && follow {
                output.flush()?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Python::attach(|py| py.check_signals()).map_err(|raised| {
                *lock(&self.raised) = Some(raised);
                io::Error::from_raw_os_error(125) // ECANCELED
            })?;
            Ok(follow)
        };
        let mut kept = 0;
        let result = py.detach(|| {
            let reader = &mut open.reader;
            let done = file_write::copy(reader, &mut output, keep, limit, &mut kept, step);
            // What was copied before an error is whole in the file.
            let ended = output.flush().and_then(|()| output.get_mut().finish());
            done.and(ended.map(drop))
        });
        self.copied.store(kept, Ordering::Relaxed);
        *lock_attached(py, &self.open) = Some(open);
        result
            .map(|()| kept)
            .map_err(|error: io::Error| file_error(error.into(), &self.raised))
    }

    #[getter]
    fn copied(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    fn close(&self, py: Python<'_>) {
        lock_attached(py, &self.open).take();
    }
}

impl Reader {
    /// Reads the next records; false at the end of what the file has now.
    fn read_more(&self, py: Python<'_>, open: &mut Open) -> PyResult<bool> {
        let more = py.detach(|| open.reader.read_chunk(&mut open.chunk));
        py.check_signals()?;
        more.map_err(|error| file_error(error.into(), &self.raised))
    }

    pub(super) fn with<T>(&self, py: Python<'_>, ask: impl FnOnce(&Open) -> T) -> PyResult<T> {
        lock_attached(py, &self.open)
            .as_ref()
            .map(ask)
            .ok_or_else(|| PyValueError::new_err("the capture file is closed"))
    }
}

pub(super) fn compression_of(name: &str) -> PyResult<Compression> {
    Ok(match name {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstandard,
        other => return Err(PyValueError::new_err(format!("no compression {other:?}"))),
    })
}

/// Writes a capture file to a descriptor.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Writer {
    writer: Mutex<Option<FileWriter<io::BufWriter<Sink>>>>,
}

#[pymethods]
impl Writer {
    /// `format`: "pcapng", "pcap" (microseconds) or "pcap-ns"; `compression`: "none", "gzip" or "zstd".
    #[new]
    #[pyo3(signature = (descriptor, format = "pcapng", *, link_type = None, snap_length = 0, compression = "none", comment = None))]
    fn new(
        descriptor: i32,
        format: &str,
        link_type: Option<u32>,
        snap_length: u32,
        compression: &str,
        comment: Option<&str>,
    ) -> PyResult<Self> {
        let file = Box::new(File::from(owned(descriptor)?));
        let sink = Sink::new(file, compression_of(compression)?);
        let output = io::BufWriter::with_capacity(1 << 18, sink);
        let link_type = link_type.map(LinkType);
        let writer = match format {
            "pcapng" => FileWriter::pcapng(
                output,
                concat!("wallsocket ", env!("CARGO_PKG_VERSION")),
                comment,
            ),
            "pcap" => FileWriter::pcap(output, link_type, snap_length, false),
            "pcap-ns" => FileWriter::pcap(output, link_type, snap_length, true),
            other => {
                return Err(PyValueError::new_err(format!(
                    "no capture file format {other:?}"
                )));
            }
        }
        .map_err(os_error)?;
        Ok(Self {
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Describes an interface; gives its number.
    #[pyo3(signature = (link_type = 1, *, name = None, description = None, filter = None, snap_length = 0))]
    fn interface(
        &self,
        link_type: u32,
        name: Option<String>,
        description: Option<String>,
        filter: Option<String>,
        snap_length: u32,
    ) -> PyResult<u32> {
        let interface = file::Interface {
            name,
            description,
            filter,
            snap_length,
            ..file::Interface::new(LinkType(link_type))
        };
        self.with(|writer| writer.interface(&interface))
    }

    #[pyo3(signature = (interface, timestamp_ns, bytes, *, original_length = None, comments = Vec::new(),
                        process_id = None, inbound = None))]
    #[expect(clippy::too_many_arguments)]
    fn frame(
        &self,
        interface: u32,
        timestamp_ns: Option<i64>,
        bytes: &[u8],
        original_length: Option<u32>,
        comments: Vec<String>,
        process_id: Option<u32>,
        inbound: Option<bool>,
    ) -> PyResult<()> {
        let details = Details {
            comments,
            process_id,
            inbound,
            vlan: None,
        };
        let original_length = original_length.unwrap_or(bytes.len() as u32);
        self.with(|writer| writer.frame(interface, timestamp_ns, bytes, original_length, &details))
    }

    fn statistics(
        &self,
        interface: u32,
        timestamp_ns: i64,
        seen: u64,
        dropped: u64,
    ) -> PyResult<()> {
        self.with(|writer| writer.statistics(interface, timestamp_ns, seen, dropped))
    }

    fn custom(&self, enterprise: u32, bytes: &[u8]) -> PyResult<()> {
        self.with(|writer| writer.custom(enterprise, bytes))
    }

    fn block(&self, kind: u32, body: &[u8]) -> PyResult<()> {
        self.with(|writer| writer.block(kind, body))
    }

    #[getter]
    fn count(&self) -> PyResult<u64> {
        self.with(|writer| Ok(writer.count()))
    }

    /// Whether a pcap file waits for the link type of its first frame.
    #[getter]
    fn is_waiting(&self) -> PyResult<bool> {
        self.with(|writer| Ok(writer.is_waiting()))
    }

    /// Hands what is written to the system, so that others can read it.
    fn flush(&self) -> PyResult<()> {
        self.with(|writer| writer.output().flush())
    }

    fn close(&self) -> PyResult<()> {
        if let Some(mut writer) = lock(&self.writer).take() {
            writer.finish().map_err(os_error)?;
            let mut output = writer.into_output();
            output.flush().map_err(os_error)?;
            output.get_mut().finish().map_err(os_error)?;
            // Nothing is left in the buffer; its own attempt to write on drop has nothing to do.
        }
        Ok(())
    }
}

impl Writer {
    pub(super) fn with<T>(
        &self,
        act: impl FnOnce(&mut FileWriter<io::BufWriter<Sink>>) -> io::Result<T>,
    ) -> PyResult<T> {
        let mut guard = lock(&self.writer);
        let writer = guard
            .as_mut()
            .ok_or_else(|| PyValueError::new_err("the capture file is closed"))?;
        act(writer).map_err(os_error)
    }
}
