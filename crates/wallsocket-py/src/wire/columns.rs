//! Frames as Arrow columns.

use std::fs::File;
use std::sync::{Arc, Mutex};

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::exceptions::{PyOSError, PyStopIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use wallsocket_wire::columns::{Batches, ParallelBatches, Plan, Report};
use wallsocket_wire::compress::{self, Compression};
use wallsocket_wire::file::{self, Chunk, Reader as FileReader};

use crate::arrow::{names_of, stream_capsule};

use super::pcap::{Open, tail_tuple};
use super::{lock, lock_attached};

pub(super) type BoxedBatches = Box<dyn RecordBatchReader + Send>;

/// The record batches of an open file.
pub(super) fn batches(open: Open, plan: &Plan, workers: usize) -> Result<BoxedBatches, String> {
    let unknown = |name: String| format!("no column {name:?}");
    Ok(if workers > 1 {
        Box::new(
            ParallelBatches::new(open.reader, open.chunk, open.index, plan, workers)
                .map_err(unknown)?,
        )
    } else {
        Box::new(Batches::new(open.reader, open.chunk, open.index, plan.clone()).map_err(unknown)?)
    })
}

/// Where the record batches of a [`ColumnStream`] come from: the reader that was opened, then the file once more.
pub(super) struct ColumnSource {
    pub(super) first: Mutex<Option<BoxedBatches>>,
    pub(super) file: Option<Arc<File>>,
    /// Frames that were taken before the columns were asked for.
    pub(super) taken: u64,
    pub(super) plan: Plan,
    pub(super) workers: usize,
}

impl ColumnSource {
    fn open(&self) -> Result<BoxedBatches, String> {
        if let Some(stream) = lock(&self.first).take() {
            return Ok(stream);
        }
        let Some(file) = &self.file else {
            return Err(
                "the columns were taken already, and their source cannot be read twice".into(),
            );
        };
        let source = Box::new(file::Positioned::new(Arc::clone(file), 0));
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let (source, compression) =
            compress::decompressed(source).map_err(|error| failed(&error))?;
        let mut reader = FileReader::new(source).map_err(|error| failed(&error))?;
        if compression == Compression::None {
            reader.set_file(Arc::clone(file));
        }
        let (mut chunk, mut index) = (Chunk::default(), 0);
        while reader.count() < self.taken {
            if !reader
                .read_chunk(&mut chunk)
                .map_err(|error| failed(&error))?
            {
                break;
            }
            let before = chunk.first_number() - 1;
            index = (self.taken.saturating_sub(before) as usize).min(chunk.records().len());
        }
        let open = Open {
            reader,
            chunk,
            index,
        };
        batches(open, &self.plan, self.workers)
    }
}

/// One reading of a [`ColumnStream`], which begins when the first batch is asked for: some libraries ask for a stream to
/// see its schema, and for another to read.
pub(super) struct Asked {
    source: Arc<ColumnSource>,
    schema: SchemaRef,
    stream: Option<BoxedBatches>,
}

impl Iterator for Asked {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stream.is_none() {
            match self.source.open() {
                Ok(stream) => self.stream = Some(stream),
                Err(reason) => return Some(Err(ArrowError::InvalidArgumentError(reason))),
            }
        }
        self.stream.as_mut()?.next()
    }
}

impl RecordBatchReader for Asked {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Record batches that are made as they are taken; each asking begins at the beginning, where the file can be read again.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct ColumnStream {
    pub(super) source: Arc<ColumnSource>,
    pub(super) schema: SchemaRef,
    pub(super) report: Report,
}

impl ColumnStream {
    fn ask(&self) -> Asked {
        Asked {
            source: Arc::clone(&self.source),
            schema: Arc::clone(&self.schema),
            stream: None,
        }
    }
}

#[pymethods]
impl ColumnStream {
    #[getter]
    fn column_names(&self) -> Vec<String> {
        names_of(&self.schema)
    }

    /// (bytes of no use, where they start, why) once every batch was taken.
    #[getter]
    fn tail(&self) -> Option<(u64, u64, String)> {
        tail_tuple(lock(&self.report).clone())
    }

    /// The Arrow C stream of all batches.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The protocol allows to ignore a requested schema.
        drop(requested_schema);
        stream_capsule(py, Box::new(self.ask()))
    }

    fn __iter__(&self) -> ColumnBatches {
        ColumnBatches {
            asked: Mutex::new(self.ask()),
        }
    }

    fn __repr__(&self) -> String {
        format!(
            "<ColumnStream of {}, decoded as it is taken>",
            self.column_names().join(", ")
        )
    }
}

/// The record batches of a stream, one after the other.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct ColumnBatches {
    asked: Mutex<Asked>,
}

#[pymethods]
impl ColumnBatches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Table> {
        let mut guard = lock_attached(py, &self.asked);
        let asked = &mut *guard;
        match py.detach(|| asked.next()) {
            Some(Ok(batch)) => Ok(Table {
                schema: Arc::clone(&asked.schema),
                batches: vec![batch],
            }),
            Some(Err(ArrowError::InvalidArgumentError(reason))) => {
                Err(PyValueError::new_err(reason))
            }
            Some(Err(error)) => Err(PyOSError::new_err(error.to_string())),
            None => Err(PyStopIteration::new_err(())),
        }
    }
}

/// Record batches in memory.
#[pyclass(frozen, module = "wallsocket._core.wire")]
pub(super) struct Table {
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
}

#[pymethods]
impl Table {
    #[getter]
    fn column_names(&self) -> Vec<String> {
        names_of(&self.schema)
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    fn __repr__(&self) -> String {
        format!(
            "<Table of {} rows: {}>",
            self.__len__(),
            self.column_names().join(", ")
        )
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let batches: Vec<_> = self.batches.iter().cloned().map(Ok).collect();
        stream_capsule(
            py,
            Box::new(RecordBatchIterator::new(batches, Arc::clone(&self.schema))),
        )
    }
}
