//! `wallsocket._core.arrow`: rows that Python gives, as Arrow columns.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    ArrayRef, Float64Array, Int64Array, LargeBinaryArray, LargeStringArray, RecordBatch,
    RecordBatchReader,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyString, PyTuple};

/// Names of the columns.
pub(crate) fn names_of(schema: &Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

/// An Arrow C stream, as Python's libraries take it from each other.
pub(crate) fn stream_capsule(
    py: Python<'_>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'_, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), c"arrow_array_stream")
}

/// Columns of rows that are made as they are taken; each asking begins at the beginning.
#[pyclass(frozen, module = "wallsocket._core.arrow")]
struct Stream {
    schema: SchemaRef,
    open: Py<PyAny>,
}

#[pymethods]
impl Stream {
    /// `columns`: names and kinds (`int`, `float`, `str`, `bytes`); `open()` gives an iterator of lists of tuples.
    #[new]
    fn new(columns: Vec<(String, String)>, open: Py<PyAny>) -> PyResult<Self> {
        let fields: PyResult<Vec<Field>> = columns
            .into_iter()
            .map(|(name, kind)| {
                let kind = match kind.as_str() {
                    "int" => DataType::Int64,
                    "float" => DataType::Float64,
                    // Large: a batch of payload may hold more than the two GiB of their small siblings.
                    "str" => DataType::LargeUtf8,
                    "bytes" => DataType::LargeBinary,
                    other => {
                        return Err(PyValueError::new_err(format!("no kind {other:?}")));
                    }
                };
                Ok(Field::new(name, kind, true))
            })
            .collect();
        Ok(Self {
            schema: Arc::new(Schema::new(fields?)),
            open,
        })
    }

    #[getter]
    fn column_names(&self) -> Vec<String> {
        names_of(&self.schema)
    }

    /// The Arrow C stream of all rows.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The protocol allows to ignore a requested schema.
        drop(requested_schema);
        let batches = Batches {
            schema: Arc::clone(&self.schema),
            open: self.open.clone_ref(py),
            rows: Mutex::new(None),
        };
        stream_capsule(py, Box::new(batches))
    }
}

/// One reading of a [`Stream`], which begins when the first batch is asked for.
struct Batches {
    schema: SchemaRef,
    open: Py<PyAny>,
    rows: Mutex<Option<Py<PyAny>>>,
}

impl Batches {
    fn batch(&self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.is_none() {
            *rows = Some(self.open.bind(py).call0()?.try_iter()?.into_any().unbind());
        }
        let Some(iterator) = rows.as_ref() else {
            return Ok(None);
        };
        let Some(batch) = iterator.bind(py).try_iter()?.next() else {
            return Ok(None);
        };
        let batch: Vec<Bound<'_, PyTuple>> = batch?.extract()?;
        let columns: PyResult<Vec<ArrayRef>> = self
            .schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| column(&batch, index, field))
            .collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns?)
            .map(Some)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // During the interpreter's end there is nobody to give rows.
        let batch = Python::try_attach(|py| {
            self.batch(py)
                .map_err(|error| ArrowError::ExternalError(error.value(py).to_string().into()))
        });
        batch.unwrap_or(Ok(None)).transpose()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

fn column(rows: &[Bound<'_, PyTuple>], index: usize, field: &Field) -> PyResult<ArrayRef> {
    let values = rows.iter().map(|row| {
        let value = row.get_item(index)?;
        Ok(if value.is_none() { None } else { Some(value) })
    });
    let values: PyResult<Vec<Option<Bound<'_, PyAny>>>> = values.collect();
    let values = values?;
    let wrong = |error: PyErr| PyValueError::new_err(format!("column {}: {error}", field.name()));
    Ok(match field.data_type() {
        DataType::Int64 => Arc::new(Int64Array::from(
            extracted(&values, |value| value.extract::<i64>()).map_err(wrong)?,
        )),
        DataType::Float64 => Arc::new(Float64Array::from(
            extracted(&values, |value| value.extract::<f64>()).map_err(wrong)?,
        )),
        DataType::LargeBinary => {
            let values: PyResult<Vec<Option<&[u8]>>> =
                extracted(&values, |value| Ok(value.cast::<PyBytes>()?.as_bytes()));
            Arc::new(LargeBinaryArray::from(values.map_err(wrong)?))
        }
        _ => Arc::new(LargeStringArray::from(
            extracted(&values, |value| {
                Ok(value.cast::<PyString>()?.to_string_lossy().into_owned())
            })
            .map_err(wrong)?,
        )),
    })
}

fn extracted<'a, 'py, T>(
    values: &'a [Option<Bound<'py, PyAny>>],
    extract: impl Fn(&'a Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<Option<T>>> {
    values
        .iter()
        .map(|value| value.as_ref().map(&extract).transpose())
        .collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Stream>()
}
