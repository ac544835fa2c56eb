//! A capture file as a stream of record batches.

use std::sync::{Arc, Mutex};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use super::{Builder, Group, Meta};
use crate::decode::Hints;
use crate::file::{Chunk, Reader, Tail};
use crate::filter::Filters;

/// How a file ended, told once its last batch was made.
pub type Report = Arc<Mutex<Option<Tail>>>;

/// What of a capture is decoded, and how.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Columns.
    pub columns: Vec<String>,
    /// Rows of a batch, at most about this many.
    pub batch_rows: usize,
    /// Frames that do not match are left out.
    pub filter: Option<Filters>,
    /// Stop after so many rows.
    pub limit: Option<u64>,
    /// Where to say how the file ended.
    pub report: Report,
    /// Bytes of a file that a thread decodes at a time, where several do.
    pub part_bytes: Option<u64>,
}

/// Notes how a file ended.
pub(super) fn tell(report: &Report, reader: &Reader) {
    if let Ok(mut tail) = report.lock() {
        *tail = reader.tail();
    }
}

/// Decodes the records of a chunk, from the one of index `first` on, into `builder`.
pub(super) fn decode_chunk(
    chunk: &Chunk,
    first: usize,
    filter: Option<&Filters>,
    builder: &mut Builder,
    left: &mut u64,
) -> Result<(), ArrowError> {
    let mut group = Group::new(builder);
    let numbers = chunk.first_number() + first as u64..;
    for (record, number) in chunk.records()[first..].iter().zip(numbers) {
        let bytes = chunk.frame_bytes(record);
        let wanted = filter
            .is_none_or(|filter| filter.matches(record.link_type, bytes, record.original_length));
        if !wanted {
            continue;
        }
        if *left == 0 {
            break;
        }
        *left -= 1;
        let meta = Meta {
            number,
            timestamp_ns: record.timestamp_ns,
            interface: record.interface,
            inbound: None,
        };
        group.add(
            builder,
            record.link_type,
            bytes,
            record.original_length,
            Hints::default(),
            meta,
            Some((chunk, record)),
        )?;
    }
    group.end(builder)
}

/// Rows of the batch to make room for, by its first chunk: all, unless the file seems to be small.
pub(super) fn expected_rows(chunk: &Chunk, batch_rows: usize) -> usize {
    let rows = chunk.records().len();
    if chunk.is_full() {
        batch_rows.min(1 << 20) + 2 * rows
    } else {
        rows
    }
}

/// A capture file as a stream of record batches, decoded in the calling thread.
pub struct Batches {
    reader: Reader,
    chunk: Chunk,
    /// Index of the first record of `chunk` that is not yet decoded; `None` when all are.
    first: Option<usize>,
    builder: Builder,
    plan: Plan,
    left: u64,
    ended: bool,
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Batches")
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

impl Batches {
    /// Of the records of `chunk` from index `first` on, and then of `reader`, from where it stands.
    ///
    /// # Errors
    /// Gives back a name that is not a column.
    pub fn new(reader: Reader, chunk: Chunk, first: usize, plan: Plan) -> Result<Self, String> {
        let builder = Builder::new(&plan.columns)?;
        let left = plan.limit.unwrap_or(u64::MAX);
        Ok(Self {
            reader,
            first: (first < chunk.records().len()).then_some(first),
            chunk,
            builder,
            plan,
            left,
            ended: false,
        })
    }

    /// The reader, for its interfaces and its tail.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }
}

impl Batches {
    /// Decodes chunks until the batch is full or the file ends.
    fn collect(&mut self) -> Result<(), ArrowError> {
        while self.left > 0 && self.builder.len() < self.plan.batch_rows && !self.builder.is_full()
        {
            let first = if let Some(first) = self.first.take() {
                first
            } else if !self.ended && self.reader.read_chunk(&mut self.chunk)? {
                0
            } else {
                self.ended = true;
                tell(&self.plan.report, &self.reader);
                break;
            };
            if self.builder.is_empty() {
                self.builder
                    .reserve(expected_rows(&self.chunk, self.plan.batch_rows))?;
            }
            decode_chunk(
                &self.chunk,
                first,
                self.plan.filter.as_ref(),
                &mut self.builder,
                &mut self.left,
            )?;
        }
        Ok(())
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.collect() {
            // What was decoded before comes next, and then the end.
            self.left = 0;
            return Some(Err(error));
        }
        if self.builder.is_empty() {
            None
        } else {
            Some(self.builder.finish())
        }
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.builder.schema()
    }
}
