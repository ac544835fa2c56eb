//! The way from the tracing loop to the recorder: a bounded queue, and a thread that empties it into the [`Backlog`].
//!
//! When that is full, too, or there is none, a recorder that is far behind slows the program down, in short waits ([`PATIENCE`]) between which as many rows pass as
//! all threads of most programs make in one round ([`GRAIN`]). One that reads nothing for a while ([`STANDSTILL`]) is not
//! waited for: when the queue is full rows are dropped and counted, and the recording says from when on which layer has a
//! gap. A reader that is gone is no error: tracing goes on unrecorded, because the filter in the target cannot be removed.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backlog::{Backlog, IN_FILE};
use crate::rows::{self, Row};

/// Bytes that may wait for the recorder before it counts as far behind: some 400,000 calls, a burst of a second or more,
/// which costs the program no wait.
const AHEAD: usize = 32 << 20;
/// Bytes that may wait at all.
const CAPACITY: usize = 2 * AHEAD;
/// The same with the rows that others refer to (processes, sockets, descriptors, lines), which are few and small in most
/// programs.
const CAPACITY_OF_ALL: usize = CAPACITY + AHEAD;
/// What is written at a time: as much as a pipe holds (pipe(7)).
const PIECE: usize = 64 << 10;
/// What passes between two waits for a recorder that is far behind: some 200 calls.
const GRAIN: usize = 16 << 10;
/// How long one such wait may last.
const PATIENCE: Duration = Duration::from_millis(20);
/// A recorder that has read nothing for so long is not waited for: a stopped one (Ctrl-Z) must not stop the target.
const STANDSTILL: Duration = Duration::from_millis(500);
/// Rows wait at most this long for others to be written with.
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
            Row::Unread(unread) => (Self::Calls, unread.call.entry_ns),
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

struct Queue {
    /// Rows; all pieces but the last are full.
    pieces: VecDeque<Vec<u8>>,
    /// Bytes in them, and in the one that is being written.
    waiting: usize,
    /// Bytes that came since the program was last held back.
    passed: usize,
    /// How often it was.
    waits: u64,
    /// When the recorder last took a piece.
    taken: Instant,
    /// The latest time of a row.
    latest_ns: i64,
    /// From when on rows of each layer are lost, as long as nobody was told.
    lost_since_ns: [Option<i64>; 3],
    closing: bool,
}

impl Queue {
    fn new() -> Self {
        Self {
            pieces: VecDeque::new(),
            waiting: 0,
            passed: 0,
            waits: 0,
            taken: Instant::now(),
            latest_ns: 0,
            lost_since_ns: [None; 3],
            closing: false,
        }
    }

    /// Adds a row. False: it cannot be encoded, which would be a bug in its type.
    fn append(&mut self, row: &Row) -> bool {
        if self.pieces.back().is_none_or(|last| last.len() >= PIECE) {
            self.pieces.push_back(Vec::new());
        }
        let last = self
            .pieces
            .back_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        let before = last.len();
        // Writing to a Vec cannot fail.
        let Ok(bytes) = postcard::to_extend(row, last) else {
            return false;
        };
        self.waiting += bytes.len() - before;
        self.passed += bytes.len() - before;
        if let Some(last) = self.pieces.back_mut() {
            *last = bytes;
        }
        true
    }

    /// A piece is full.
    fn is_urgent(&self) -> bool {
        self.pieces
            .front()
            .is_some_and(|first| first.len() >= PIECE)
    }

    /// The recorder is far behind, reads, and was not waited for since many rows.
    fn is_worth_a_wait(&self) -> bool {
        self.waiting >= AHEAD && self.passed >= GRAIN && self.taken.elapsed() < STANDSTILL
    }
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    emptied: Condvar,
    backlog: Backlog,
    gone: AtomicBool,
    sent: AtomicU64,
    lost: AtomicU64,
    /// Layers whose gap was told.
    gaps: AtomicU8,
}

/// The sending side; clones share one queue.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
}

fn lock(mutex: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    /// Starts the threads that bring rows to `output`; what it does not take at once waits in `file`, where there is one.
    ///
    /// The thread ends when all is delivered, or the reader is gone.
    pub fn new(
        output: OwnedFd,
        file: Option<File>,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new()),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            backlog: Backlog::new(file, IN_FILE),
            gone: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            gaps: AtomicU8::new(0),
        });
        let sink = Self {
            shared: Arc::clone(&shared),
        };
        let emptying = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("rows".into())
            .spawn(move || empty(&emptying))?;
        let thread = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || {
                if shared.backlog.deliver(&mut File::from(output)).is_err() {
                    shared.gone.store(true, Ordering::Relaxed);
                    shared.emptied.notify_all();
                }
            })?;
        Ok((sink, thread))
    }

    /// Whether the recorder is gone: rows are no longer wanted.
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// Stops recording: rows are dropped from now on, what waits is still sent.
    pub fn stop(&self) {
        self.shared.gone.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Rows that were sent or are on their way.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Bytes that wait for the recorder.
    pub fn waiting(&self) -> u64 {
        self.shared.backlog.bytes() + lock(&self.shared.queue).waiting as u64
    }

    /// Rows that were dropped because the recorder did not keep up.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Says that a layer is no longer recorded, or not wholly, from `at_ns` on; once for each layer.
    pub fn gap(&self, at_ns: i64, layer: Layer, reason: &str) {
        let mut queue = lock(&self.shared.queue);
        self.append_gap(&mut queue, at_ns, layer, reason);
        drop(queue);
        self.shared.filled.notify_one();
    }

    fn append_gap(&self, queue: &mut Queue, at_ns: i64, layer: Layer, reason: &str) {
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
        self.append(queue, &Row::Mark(mark));
        self.append(queue, &Row::Meta(meta));
    }

    /// Queues a row.
    pub fn send(&self, row: &Row) {
        if self.is_gone() {
            return;
        }
        let mut queue = lock(&self.shared.queue);
        let layer = Layer::of(row);
        if let Some((layer, at_ns)) = layer {
            queue = self.hold_back(queue);
            queue.latest_ns = queue.latest_ns.max(at_ns);
            // Rows that others refer to are small and few: they get through, or nothing could be read later.
            let droppable = matches!(
                row,
                Row::Call(_) | Row::Unread(_) | Row::State(_) | Row::Packet(_) | Row::Counter(_)
            );
            let capacity = if droppable { CAPACITY } else { CAPACITY_OF_ALL };
            if queue.waiting >= capacity {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                let now_ns = queue.latest_ns;
                queue.lost_since_ns[layer as usize].get_or_insert(now_ns);
                return;
            }
        }
        if layer.is_none() || queue.waiting < AHEAD {
            for layer in Layer::ALL {
                if let Some(at_ns) = queue.lost_since_ns[layer as usize].take() {
                    self.append_gap(&mut queue, at_ns, layer, "the recorder did not keep up");
                }
            }
        }
        let was_empty = queue.pieces.is_empty();
        let was_urgent = queue.is_urgent();
        self.append(&mut queue, row);
        let wanted = was_empty || queue.is_urgent() && !was_urgent;
        drop(queue);
        if wanted {
            self.shared.filled.notify_one();
        }
    }

    /// Waits for a recorder that is far behind, until it takes something.
    fn hold_back<'a>(&self, mut queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        if !queue.is_worth_a_wait() {
            return queue;
        }
        queue.passed = 0;
        queue.waits += 1;
        let taken = queue.taken;
        self.shared
            .emptied
            .wait_timeout_while(queue, PATIENCE, |queue| {
                queue.taken == taken && !self.is_gone()
            })
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn append(&self, queue: &mut Queue, row: &Row) {
        if queue.append(row) {
            self.shared.sent.fetch_add(1, Ordering::Relaxed);
        } else {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what waits and lets the writer thread end.
    pub fn close(&self) {
        lock(&self.shared.queue).closing = true;
        self.shared.filled.notify_one();
    }
}

/// Hands on what was gathered in a short while, until the sink is closed.
fn empty(shared: &Shared) {
    loop {
        let piece = {
            let mut queue = shared
                .filled
                .wait_while(lock(&shared.queue), |queue| {
                    queue.pieces.is_empty() && !queue.closing
                })
                .unwrap_or_else(PoisonError::into_inner);
            // A short wait gathers rows into one write, unless there are many already.
            queue = shared
                .filled
                .wait_timeout_while(queue, DELAY, |queue| !queue.closing && !queue.is_urgent())
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            queue.pieces.pop_front()
        };
        let Some(piece) = piece else {
            // Closing, and nothing is left.
            shared.backlog.complete();
            return;
        };
        let length = piece.len();
        let failed = !shared.backlog.put(piece);
        let mut queue = lock(&shared.queue);
        queue.waiting -= length;
        queue.taken = Instant::now();
        drop(queue);
        shared.emptied.notify_all();
        if failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    fn frame(bytes: usize) -> Row {
        Row::Packet(rows::Packet {
            at_ns: 0,
            interface: None,
            link_type: 1,
            length: 0,
            frame: serde_bytes::ByteBuf::from(vec![0; bytes]),
            network: None,
        })
    }

    fn waits(sink: &Sink) -> u64 {
        lock(&sink.shared.queue).waits
    }

    #[test]
    fn a_recorder_that_does_not_read_holds_the_program_back_shortly_and_not_for_long()
    -> std::io::Result<()> {
        let (reader, writer) = std::io::pipe()?;
        let (sink, _thread) = Sink::new(writer.into(), None)?;
        let row = frame(GRAIN);
        // As if it had read just before.
        lock(&sink.shared.queue).taken = Instant::now();
        while lock(&sink.shared.queue).waiting < AHEAD {
            sink.send(&row);
        }
        assert_eq!((waits(&sink), sink.lost()), (0, 0));
        lock(&sink.shared.queue).taken = Instant::now();
        while sink.lost() == 0 {
            sink.send(&row);
        }
        // Each took PATIENCE at least, where nothing was taken.
        let most = STANDSTILL.as_millis() / PATIENCE.as_millis() + 1;
        let before = waits(&sink);
        assert!((1..=most).contains(&u128::from(before)), "{before} waits");
        for _ in 0..10_000 {
            sink.send(&row);
        }
        assert_eq!((waits(&sink), sink.lost()), (before, 10_001));
        drop(reader);
        Ok(())
    }

    #[test]
    fn a_recorder_that_is_far_behind_is_waited_for_between_many_small_rows() -> std::io::Result<()>
    {
        let (mut reader, writer) = std::io::pipe()?;
        let (sink, thread) = Sink::new(writer.into(), None)?;
        let large = frame(AHEAD);
        sink.send(&large);
        // The backlog takes one, and has no room then.
        while lock(&sink.shared.queue).waiting > 0 {
            std::thread::yield_now();
        }
        sink.send(&large);
        let small = frame(16);
        let mut sent = 0;
        while waits(&sink) == 0 {
            lock(&sink.shared.queue).taken = Instant::now();
            sink.send(&small);
            sent += 1;
        }
        // The large one passed, too.
        let before = waits(&sink);
        let held = lock(&sink.shared.queue).waiting;
        while waits(&sink) == before {
            lock(&sink.shared.queue).taken = Instant::now();
            sink.send(&small);
            sent += 1;
        }
        assert!(lock(&sink.shared.queue).waiting - held >= GRAIN);
        // It reads: nobody is held back any more, and nothing is lost.
        let reading = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        while lock(&sink.shared.queue).waiting > 0 {
            std::thread::yield_now();
        }
        let before = waits(&sink);
        for _ in 0..1000 {
            sink.send(&small);
        }
        assert_eq!((waits(&sink), sink.lost()), (before, 0));
        sink.close();
        let _ = thread.join();
        let bytes = reading.join().expect("the reader")?;
        assert!(bytes > (2 * AHEAD + (sent + 1000) * 16) as u64);
        Ok(())
    }

    #[test]
    fn a_file_keeps_what_memory_does_not() -> std::io::Result<()> {
        let (mut reader, writer) = std::io::pipe()?;
        let (sink, thread) = Sink::new(writer.into(), Some(crate::backlog::tests::unnamed()?))?;
        for number in 0..300_000 {
            sink.send(&Row::Mark(rows::Mark {
                at_ns: number,
                process: None,
                tid: None,
                kind: "mark".into(),
                text: "x".repeat(200),
            }));
        }
        sink.close();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes)?;
        let _ = thread.join();
        assert_eq!((sink.lost(), sink.sent()), (0, 300_000));
        let mut rest = &bytes[..];
        for number in 0..300_000 {
            let (row, left) = postcard::take_from_bytes::<Row>(rest).expect("a row");
            rest = left;
            assert!(matches!(row, Row::Mark(mark) if mark.at_ns == number));
        }
        assert!(rest.is_empty());
        Ok(())
    }

    #[test]
    fn what_waits_for_a_stopped_recorder_is_bounded_and_what_is_lost_is_said() -> std::io::Result<()>
    {
        let (mut reader, writer) = std::io::pipe()?;
        let (sink, thread) = Sink::new(writer.into(), None)?;
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
        assert!(lock(&sink.shared.queue).waiting <= CAPACITY_OF_ALL + 2000);
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
