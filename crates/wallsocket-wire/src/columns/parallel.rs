//! A capture file decoded by several threads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, RecordBatchReader, UInt64Array};
use arrow_schema::{ArrowError, SchemaRef};

use super::batches::{decode_chunk, expected_rows, tell};
use super::{Builder, Plan};
use crate::file::{Chunk, Reader};

/// What one task gave: batches, and for a part of a file where it began and ended.
struct Done {
    batches: Vec<Result<RecordBatch, ArrowError>>,
    part: Option<Part>,
}

/// A part of a file that was decoded on its own.
struct Part {
    /// Where the first record was taken to start.
    start: u64,
    /// Its reader, behind its last record.
    reader: Reader,
}

/// A capture file as a stream of record batches, decoded by several threads. Batches come in the order of the file.
///
/// A file that can be read at any place is decoded in parts of equal size, each by one thread that reads for itself. Where the
/// first record of a part starts is guessed ([`Reader::seek_record`]). What the parts give is taken in order, and a part counts only
/// if it began exactly where the one before ended; else it is decoded again from there, so a wrong guess costs time and nothing
/// else. Other sources are read by one thread at a time, under a lock.
pub struct ParallelBatches {
    schema: SchemaRef,
    receiver: Option<Receiver<(u64, Done)>>,
    workers: Vec<JoinHandle<()>>,
    waiting: BTreeMap<u64, Done>,
    next: u64,
    ready: VecDeque<Result<RecordBatch, ArrowError>>,
    plan: Plan,
    parts: Option<Parts>,
}

/// How far the parts of a file are known to be right.
struct Parts {
    /// Behind the last record of what was given out.
    reader: Reader,
    /// Where the first part began.
    first: u64,
    size: u64,
    length: u64,
    /// Records before, for the column of their numbers.
    records: u64,
    /// Whether interfaces were described since the workers started, so that what they decoded may be wrong.
    stale: bool,
    ended: bool,
}

/// [`Plan::part_bytes`] when nothing is said.
const PART: u64 = 16 << 20;

impl std::fmt::Debug for ParallelBatches {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ParallelBatches")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

/// The part that one worker at a time holds: the source, and the number of the next task.
struct Shared {
    reader: Reader,
    task: u64,
    ended: bool,
}

impl ParallelBatches {
    /// Of the records of `chunk` from index `first` on, and then of `reader`, with `workers` threads. A row limit is not possible
    /// here.
    ///
    /// # Errors
    /// Gives back a name that is not a column.
    pub fn new(
        mut reader: Reader,
        mut chunk: Chunk,
        first: usize,
        plan: &Plan,
        workers: usize,
    ) -> Result<Self, String> {
        let mut builder = Builder::new(&plan.columns)?;
        let schema = builder.schema();
        let mut ready = VecDeque::new();
        let mut ended = false;
        let mut left = u64::MAX;
        // What was read before the workers start, and for pcapng the beginning, where the interfaces stand.
        let mut decode = |chunk: &Chunk, first: usize| {
            let result = decode_chunk(chunk, first, plan.filter.as_ref(), &mut builder, &mut left);
            if result.is_err() || !builder.is_empty() {
                ready.push_back(result.and_then(|()| builder.finish()));
            }
        };
        if first < chunk.records().len() {
            decode(&chunk, first);
        }
        match reader.read_chunk(&mut chunk) {
            Ok(true) => decode(&chunk, 0),
            Ok(false) => {
                ended = true;
                tell(&plan.report, &reader);
            }
            Err(error) => {
                ended = true;
                ready.push_back(Err(error.into()));
            }
        }
        let workers = if ended { 0 } else { workers.clamp(1, 64) };
        let (sender, receiver) = sync_channel(workers * 2);
        let (parts, threads) = if let Some(size) = reader.size() {
            let from = reader.offset();
            let length = plan.part_bytes.unwrap_or(PART).max(1);
            let next = Arc::new(AtomicU64::new(0));
            let mut threads = Vec::new();
            for _ in 0..workers {
                let Some(template) = reader.part(from, from) else {
                    break;
                };
                let (sender, plan, next) = (sender.clone(), plan.clone(), Arc::clone(&next));
                threads.push(std::thread::spawn(move || {
                    work_on_parts(&template, size, length, &plan, &next, &sender);
                }));
            }
            let parts = Parts {
                first: from,
                size,
                length,
                records: reader.count(),
                reader,
                stale: false,
                ended,
            };
            (Some(parts), threads)
        } else {
            let shared = Arc::new(Mutex::new(Shared {
                reader,
                task: 0,
                ended,
            }));
            let threads = (0..workers)
                .map(|_| {
                    let (sender, plan, shared) =
                        (sender.clone(), plan.clone(), Arc::clone(&shared));
                    std::thread::spawn(move || work(&shared, &plan, &sender))
                })
                .collect();
            (None, threads)
        };
        Ok(Self {
            schema,
            receiver: Some(receiver),
            workers: threads,
            waiting: BTreeMap::new(),
            next: 0,
            ready,
            plan: plan.clone(),
            parts,
        })
    }

    /// What the next task gave.
    fn receive(&mut self) -> Option<Done> {
        loop {
            if let Some(done) = self.waiting.remove(&self.next) {
                self.next += 1;
                return Some(done);
            }
            let (task, done) = self.receiver.as_ref()?.recv().ok()?;
            self.waiting.insert(task, done);
        }
    }

    /// Takes the batches of the next part, decoded again if its worker began at the wrong place.
    fn take_part(&mut self, done: Option<Done>) {
        let Some(parts) = &mut self.parts else {
            return;
        };
        let Some(done) = done else {
            parts.ended = true;
            return tell(&self.plan.report, &parts.reader);
        };
        let to = part_end(parts.first, parts.size, parts.length, self.next - 1);
        let expected = parts.reader.offset();
        if expected >= to {
            // A record of the part before reaches over all of this one.
            return;
        }
        let (batches, reader) = match done.part {
            Some(part) if part.start == expected && !parts.stale => (done.batches, part.reader),
            _ => match parts.reader.part(expected, to) {
                Some(mut reader) => (decode_part(&mut reader, &self.plan), reader),
                None => return,
            },
        };
        // The numbers of a part are counted from 1.
        let before = parts.records;
        self.ready.extend(
            batches
                .into_iter()
                .map(|batch| batch.and_then(|batch| renumbered(batch, before))),
        );
        parts.records += reader.count();
        parts.stale |= reader.interfaces().len() != parts.reader.interfaces().len();
        let failed = self.ready.back().is_some_and(Result::is_err);
        parts.ended = failed || reader.offset() < to;
        parts.reader = reader;
        if parts.ended {
            tell(&self.plan.report, &parts.reader);
        }
    }
}

/// Behind the last byte at which a record of a part may start; the last part takes what the file has grown by since.
const fn part_end(first: u64, size: u64, length: u64, part: u64) -> u64 {
    let end = first.saturating_add((part + 1).saturating_mul(length));
    if end >= size { u64::MAX - 1 } else { end }
}

/// The batch with its frames counted on from `before`.
fn renumbered(batch: RecordBatch, before: u64) -> Result<RecordBatch, ArrowError> {
    let Ok(index) = batch.schema_ref().index_of("number") else {
        return Ok(batch);
    };
    let mut arrays = batch.columns().to_vec();
    if let Some(numbers) = arrays[index].as_any().downcast_ref::<UInt64Array>() {
        arrays[index] = Arc::new(numbers.unary::<_, UInt64Type>(|number| number + before));
    }
    RecordBatch::try_new(batch.schema(), arrays)
}

/// Decodes all records of a part.
fn decode_part(reader: &mut Reader, plan: &Plan) -> Vec<Result<RecordBatch, ArrowError>> {
    let mut batches = Vec::new();
    let Ok(mut builder) = Builder::new(&plan.columns) else {
        return batches;
    };
    let mut chunk = Chunk::default();
    let mut left = u64::MAX;
    let result: Result<(), ArrowError> = (|| {
        while reader.read_chunk(&mut chunk)? {
            if builder.is_empty() {
                // As many as the part has if its records are like the first ones, and some more.
                let part = plan.part_bytes.unwrap_or(PART) as usize;
                let rows = chunk.records().len() * (part / chunk.length().max(1) + 1);
                builder.reserve((rows + rows / 8).min(expected_rows(&chunk, plan.batch_rows)))?;
            }
            decode_chunk(&chunk, 0, plan.filter.as_ref(), &mut builder, &mut left)?;
            if builder.len() >= plan.batch_rows || builder.is_full() {
                batches.push(builder.finish());
            }
        }
        Ok(())
    })();
    if !builder.is_empty() {
        batches.push(builder.finish());
    }
    if let Err(error) = result {
        batches.push(Err(error));
    }
    batches
}

fn work_on_parts(
    template: &Reader,
    size: u64,
    length: u64,
    plan: &Plan,
    next: &AtomicU64,
    sender: &SyncSender<(u64, Done)>,
) {
    let first = template.offset();
    loop {
        let task = next.fetch_add(1, Ordering::Relaxed);
        let from = first.saturating_add(task.saturating_mul(length));
        if from >= size {
            return;
        }
        let Some(mut reader) = template.part(from, part_end(first, size, length, task)) else {
            return;
        };
        let found = task == 0 || matches!(reader.seek_record(), Ok(true));
        let done = if found {
            let start = reader.offset();
            Done {
                batches: decode_part(&mut reader, plan),
                part: Some(Part { start, reader }),
            }
        } else {
            Done {
                batches: Vec::new(),
                part: None,
            }
        };
        if sender.send((task, done)).is_err() {
            return;
        }
    }
}

/// Chunks one task reads under the lock: together about as many rows as a batch has, in memory at once.
const TASK_CHUNKS: usize = 16;

fn work(shared: &Mutex<Shared>, plan: &Plan, sender: &SyncSender<(u64, Done)>) {
    let Ok(mut builder) = Builder::new(&plan.columns) else {
        return;
    };
    let mut chunks: Vec<Chunk> = (0..TASK_CHUNKS).map(|_| Chunk::default()).collect();
    loop {
        let mut used = 0;
        let mut rows = 0;
        let mut failure = None;
        let task = {
            let Ok(mut shared) = shared.lock() else {
                return;
            };
            while !shared.ended && used < TASK_CHUNKS && rows < plan.batch_rows {
                match shared.reader.read_chunk(&mut chunks[used]) {
                    Ok(true) => {
                        rows += chunks[used].records().len();
                        used += 1;
                    }
                    Ok(false) => {
                        shared.ended = true;
                        tell(&plan.report, &shared.reader);
                    }
                    Err(error) => {
                        shared.ended = true;
                        failure = Some(ArrowError::from(error));
                    }
                }
            }
            if used == 0 && failure.is_none() {
                return;
            }
            shared.task += 1;
            shared.task - 1
        };
        let mut left = u64::MAX;
        let result = builder.reserve(rows).and_then(|()| {
            chunks[..used].iter().try_for_each(|chunk| {
                decode_chunk(chunk, 0, plan.filter.as_ref(), &mut builder, &mut left)
            })
        });
        let mut batches = Vec::new();
        // A filter may leave nothing of a task.
        if result.is_err() || !builder.is_empty() {
            batches.push(result.and_then(|()| builder.finish()));
        }
        batches.extend(failure.map(Err));
        if sender
            .send((
                task,
                Done {
                    batches,
                    part: None,
                },
            ))
            .is_err()
        {
            return;
        }
    }
}

impl Iterator for ParallelBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(batch);
            }
            if self.parts.as_ref().is_some_and(|parts| parts.ended) {
                return None;
            }
            let done = self.receive();
            if self.parts.is_some() {
                self.take_part(done);
            } else {
                self.ready.extend(done?.batches);
            }
        }
    }
}

impl RecordBatchReader for ParallelBatches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for ParallelBatches {
    fn drop(&mut self) {
        // Workers end at their next send.
        drop(self.receiver.take());
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}
