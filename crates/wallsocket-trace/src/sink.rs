//! The way from the tracing loop to the recorder: a bounded buffer and a thread that empties it.
//!
//! The tracing loop must not wait for a slow reader longer than [`PATIENCE`]: then rows are dropped and counted. A
//! reader that is gone is no error: tracing goes on unrecorded, because the filter in the target cannot be removed.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::rows::Row;

/// Bytes that may wait for the recorder.
const CAPACITY: usize = 8 << 20;
/// From this size on the writer is woken at once.
const URGENT: usize = 256 << 10;
/// How long the target may be held up by a recorder that does not read: once, until it reads again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rows wait at most this long in the buffer.
const DELAY: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    closing: bool,
    urgent: bool,
    /// The recorder was waited for in vain, and has not read since: a stopped one (Ctrl-Z) must not stop the target.
    forsaken: bool,
}

struct Shared {
    buffer: Mutex<Buffer>,
    filled: Condvar,
    emptied: Condvar,
    gone: AtomicBool,
    lost: AtomicU64,
}

/// The sending side; clones share one buffer.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
}

fn lock(mutex: &Mutex<Buffer>) -> MutexGuard<'_, Buffer> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    /// Starts the writer thread on `output`.
    pub fn new(output: OwnedFd) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let shared = Arc::new(Shared {
            buffer: Mutex::new(Buffer::default()),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            gone: AtomicBool::new(false),
            lost: AtomicU64::new(0),
        });
        let sink = Self {
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("rows".into())
            .spawn(move || write_out(&shared, output))?;
        Ok((sink, thread))
    }

    /// Whether the recorder is gone: rows are no longer wanted.
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// Stops recording: rows are dropped from now on, what is buffered is still sent.
    pub fn stop(&self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        let mut buffer = lock(&self.shared.buffer);
        buffer.closing = true;
        self.shared.filled.notify_one();
    }

    /// Rows that were dropped because the recorder did not keep up.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Queues a row.
    pub fn send(&self, row: &Row) {
        if self.is_gone() {
            return;
        }
        let mut buffer = lock(&self.shared.buffer);
        if buffer.bytes.len() >= CAPACITY {
            let patience = if buffer.forsaken {
                Duration::ZERO
            } else {
                PATIENCE
            };
            let deadline = Instant::now() + patience;
            while buffer.bytes.len() >= CAPACITY && !self.is_gone() {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    buffer.forsaken = true;
                    // Rows that others refer to are small and few: they get through, or nothing could be read later.
                    if matches!(
                        row,
                        Row::Call(_) | Row::State(_) | Row::Packet(_) | Row::Counter(_)
                    ) {
                        self.shared.lost.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    break;
                }
                buffer = self
                    .shared
                    .emptied
                    .wait_timeout(buffer, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
        let was_empty = buffer.bytes.is_empty();
        // Writing to a Vec cannot fail; a row that cannot be encoded would be a bug in its type.
        let bytes = std::mem::take(&mut buffer.bytes);
        match postcard::to_extend(row, bytes) {
            Ok(bytes) => buffer.bytes = bytes,
            Err(_) => {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        let urgent = buffer.bytes.len() >= URGENT && !buffer.urgent;
        buffer.urgent |= urgent;
        drop(buffer);
        if was_empty || urgent {
            self.shared.filled.notify_one();
        }
    }

    /// Sends what is buffered and lets the writer thread end.
    pub fn close(&self) {
        lock(&self.shared.buffer).closing = true;
        self.shared.filled.notify_one();
    }
}

fn write_out(shared: &Shared, output: OwnedFd) {
    let mut output = std::fs::File::from(output);
    let mut batch = Vec::new();
    loop {
        {
            let mut buffer = lock(&shared.buffer);
            while buffer.bytes.is_empty() && !buffer.closing {
                buffer = shared
                    .filled
                    .wait(buffer)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            // A short wait gathers rows into one write, unless there are many already.
            let deadline = Instant::now() + DELAY;
            while !buffer.closing && !buffer.urgent {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                buffer = shared
                    .filled
                    .wait_timeout(buffer, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            std::mem::swap(&mut batch, &mut buffer.bytes);
            buffer.forsaken = false;
            buffer.urgent = false;
            if batch.is_empty() && buffer.closing {
                return;
            }
        }
        shared.emptied.notify_all();
        if output.write_all(&batch).is_err() {
            shared.gone.store(true, Ordering::Relaxed);
            shared.emptied.notify_all();
            return;
        }
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn a_recorder_that_does_not_read_is_waited_for_once() -> std::io::Result<()> {
        let (reader, writer) = std::io::pipe()?;
        let (sink, _thread) = Sink::new(writer.into())?;
        let large = Row::Packet(rows::Packet {
            at_ns: 0,
            interface: None,
            link_type: 1,
            length: 0,
            frame: serde_bytes::ByteBuf::from(vec![0; CAPACITY / 8]),
            network: None,
        });
        let began = Instant::now();
        while sink.lost() == 0 {
            sink.send(&large);
        }
        assert!(began.elapsed() >= PATIENCE);
        // Now thousands are lost in less time than the first one waited.
        let began = Instant::now();
        for _ in 0..10_000 {
            sink.send(&large);
        }
        assert_eq!(sink.lost(), 10_001);
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        drop(reader);
        Ok(())
    }
}
