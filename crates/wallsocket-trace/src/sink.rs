//! The way from the tracing loop to the recorder: a bounded buffer and a thread that empties it.
//!
//! The tracing loop must not wait for a slow reader longer than [`PATIENCE`]: then rows are dropped and counted, and the
//! recording says from when on which layer has a gap. What waits is bounded, whatever the program does meanwhile. A
//! reader that is gone is no error: tracing goes on unrecorded, because the filter in the target cannot be removed.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::rows::{self, Row};

/// Bytes that may wait for the recorder: some 400,000 calls, a burst of a second or more, which costs the program no wait.
const CAPACITY: usize = 32 << 20;
/// Bytes that may wait with the rows that others refer to (processes, sockets, descriptors, lines), which are few and small
/// in most programs.
const CAPACITY_OF_ALL: usize = 2 * CAPACITY;
/// From this size on the writer is woken at once.
const URGENT: usize = 256 << 10;
/// How long the target may be held up by a recorder that does not read: once, until it reads again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rows wait at most this long in the buffer.
const DELAY: Duration = Duration::from_millis(20);

/// Where facts come from, as the recording names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// What the program did.
    Calls,
    /// What its sockets were.
    Kernel,
    /// What travelled.
    Wire,
}

impl Layer {
    const ALL: [Self; 3] = [Self::Calls, Self::Kernel, Self::Wire];

    /// Its key in `meta`.
    const fn key(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Kernel => "kernel",
            Self::Wire => "wire",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The layer that a row is a part of, and when that was (0 of things without a time); `None` of messages about the run.
    fn of(row: &Row) -> Option<(Self, i64)> {
        Some(match row {
            Row::Call(call) => (Self::Calls, call.entry_ns),
            Row::Process(process) => (Self::Calls, process.started_ns),
            Row::Socket(socket) => (Self::Calls, socket.created_ns),
            Row::Descriptor(descriptor) => (Self::Calls, descriptor.opened_ns),
            Row::Source(_) | Row::Binary(_) | Row::Stack(_) | Row::Network(_) => (Self::Calls, 0),
            Row::Mark(mark) => (Self::Calls, mark.at_ns),
            Row::State(state) => (Self::Kernel, state.at_ns),
            Row::Counter(counter) => (Self::Kernel, counter.at_ns),
            Row::Fact(fact) => (Self::Kernel, fact.at_ns),
            Row::Packet(packet) => (Self::Wire, packet.at_ns),
            Row::Meta(_) | Row::End(_) => return None,
        })
    }
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// The latest time of a row.
    latest_ns: i64,
    /// From when on rows of each layer are lost, as long as nobody was told.
    lost_since_ns: [Option<i64>; 3],
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
    /// Layers whose gap was told.
    gaps: AtomicU8,
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
            gaps: AtomicU8::new(0),
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

    /// Says that a layer is no longer recorded, or not wholly, from `at_ns` on; once for each layer.
    pub fn gap(&self, at_ns: i64, layer: Layer, reason: &str) {
        let mut buffer = lock(&self.shared.buffer);
        self.append_gap(&mut buffer, at_ns, layer, reason);
        drop(buffer);
        self.shared.filled.notify_one();
    }

    fn append_gap(&self, buffer: &mut Buffer, at_ns: i64, layer: Layer, reason: &str) {
        if self.shared.gaps.fetch_or(layer.bit(), Ordering::Relaxed) & layer.bit() != 0 {
            return;
        }
        let key = layer.key();
        let mark = rows::Mark {
            at_ns,
            process: None,
            tid: None,
            kind: "gap".into(),
            text: format!("{key}: {reason}"),
        };
        let meta = rows::Meta {
            key: key.into(),
            value: format!(
                "incomplete since {}.{:03} s: {reason}",
                at_ns / 1_000_000_000,
                at_ns / 1_000_000 % 1000
            ),
        };
        self.append(buffer, &Row::Mark(mark));
        self.append(buffer, &Row::Meta(meta));
    }

    /// Queues a row.
    pub fn send(&self, row: &Row) {
        if self.is_gone() {
            return;
        }
        let mut buffer = lock(&self.shared.buffer);
        let layer = Layer::of(row);
        if let Some((layer, at_ns)) = layer {
            buffer = self.wait_for_room(buffer);
            buffer.latest_ns = buffer.latest_ns.max(at_ns);
            // Rows that others refer to are small and few: they get through, or nothing could be read later.
            let droppable = matches!(
                row,
                Row::Call(_) | Row::State(_) | Row::Packet(_) | Row::Counter(_)
            );
            let capacity = if droppable { CAPACITY } else { CAPACITY_OF_ALL };
            if buffer.bytes.len() >= capacity {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                let now_ns = buffer.latest_ns;
                buffer.lost_since_ns[layer as usize].get_or_insert(now_ns);
                return;
            }
        }
        if layer.is_none() || buffer.bytes.len() < CAPACITY / 2 {
            for layer in Layer::ALL {
                if let Some(at_ns) = buffer.lost_since_ns[layer as usize].take() {
                    self.append_gap(&mut buffer, at_ns, layer, "the recorder did not keep up");
                }
            }
        }
        let was_empty = buffer.bytes.is_empty();
        self.append(&mut buffer, row);
        let urgent = buffer.bytes.len() >= URGENT && !buffer.urgent;
        buffer.urgent |= urgent;
        drop(buffer);
        if was_empty || urgent {
            self.shared.filled.notify_one();
        }
    }

    /// Waits for a reader that is behind, but not for one that was waited for in vain.
    fn wait_for_room<'a>(&self, mut buffer: MutexGuard<'a, Buffer>) -> MutexGuard<'a, Buffer> {
        let deadline = Instant::now() + PATIENCE;
        while buffer.bytes.len() >= CAPACITY && !buffer.forsaken && !self.is_gone() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                buffer.forsaken = true;
                break;
            }
            buffer = self
                .shared
                .emptied
                .wait_timeout(buffer, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        buffer
    }

    fn append(&self, buffer: &mut Buffer, row: &Row) {
        // Writing to a Vec cannot fail; a row that cannot be encoded would be a bug in its type.
        let bytes = std::mem::take(&mut buffer.bytes);
        match postcard::to_extend(row, bytes) {
            Ok(bytes) => buffer.bytes = bytes,
            Err(_) => {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
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
        // One large row must not keep its room for ever.
        batch.shrink_to(URGENT);
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

    #[test]
    fn what_waits_for_a_stopped_recorder_is_bounded_and_what_is_lost_is_said() -> std::io::Result<()>
    {
        let (mut reader, writer) = std::io::pipe()?;
        let (sink, thread) = Sink::new(writer.into())?;
        let process = |id| {
            Row::Process(rows::Process {
                id,
                command: Some("x".repeat(1000)),
                started_ns: i64::from(id) * 1000,
                ..rows::Process::default()
            })
        };
        for id in 0..200_000 {
            sink.send(&process(id));
        }
        assert!(lock(&sink.shared.buffer).bytes.len() <= CAPACITY_OF_ALL + 2000);
        assert!(sink.lost() > 50_000);
        sink.send(&Row::End(rows::End::All));
        sink.close();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes)?;
        let _ = thread.join();
        let mut rest = &bytes[..];
        let (mut processes, mut said, mut ended) = (0_u64, Vec::new(), false);
        while !rest.is_empty() {
            let (row, left) = postcard::take_from_bytes::<Row>(rest).expect("a row");
            rest = left;
            match row {
                Row::Process(_) => processes += 1,
                Row::Mark(mark) => said.push((mark.kind, mark.text)),
                Row::Meta(meta) => said.push((meta.key, meta.value)),
                Row::End(_) => ended = true,
                _ => {}
            }
        }
        assert_eq!(processes + sink.lost(), 200_000);
        assert!(ended);
        assert_eq!(said.len(), 2, "{said:?}");
        let reason = "the recorder did not keep up";
        assert_eq!(said[0], ("gap".into(), format!("calls: {reason}")));
        assert_eq!(said[1].0, "calls");
        assert!(said[1].1.starts_with("incomplete since 0.0") && said[1].1.ends_with(reason));
        Ok(())
    }
}
