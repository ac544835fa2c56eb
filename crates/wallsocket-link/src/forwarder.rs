//! Carries the frames of one link between its two ends, and does to them what the link was told to.
//!
//! Two threads a link, one for each direction, which share what is known of its flows. Frames that pass at once and unchanged go
//! from the receive ring of one end to the other with one call for a batch and no copy here; all others are copied and wait for
//! their time.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use wallsocket_sys::link::{BATCH, FrameRing, request_short_slices, send_frames};
use wallsocket_wire::decode::{Frame, tcp_flag};

use crate::alter;
use crate::fate::{Fate, Impairments};
use crate::flow::{Flow, Flows, Name, Verdict};

/// A held frame is let go after this time when nothing has overtaken it: no later frame may come.
const HOLD_LIMIT: Duration = Duration::from_millis(200);

/// How often a thread that waits for the other one looks whether it is to end.
const MEETING_INTERVAL: Duration = Duration::from_millis(50);

/// Fates that are kept when they are recorded; older ones are forgotten.
const MOST_FATES: usize = 1 << 20;

/// What a script does to connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Resets a connection for both ends once one direction has carried this many bytes; the byte after them never arrives.
    ResetAfter(u32),
    /// Answers the first so many connection attempts with a reset.
    Refuse(u32),
    /// Swallows everything of a connection this long after its first frame.
    BlackHoleAfter(Duration),
    /// Swallows everything of a connection once one direction has carried this many bytes.
    BlackHoleAfterBytes(u32),
}

/// A rule for connections, by service port or for all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Script {
    /// What it does.
    pub action: Action,
    /// To connections to this port only.
    pub port: Option<u16>,
}

/// What a hook decides about a frame.
#[derive(Debug)]
pub enum Decision {
    /// It goes on.
    Pass,
    /// It is lost.
    Drop,
    /// These frames go on in its place.
    Replace(Vec<Vec<u8>>),
}

/// A function of the user's that sees every frame before anything else happens to it.
pub type Hook = Arc<dyn Fn(usize, &[u8]) -> Decision + Send + Sync>;

/// Counted for each direction; [`COUNTER_NAMES`] in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Frames that came in.
    Received,
    /// Bytes of those.
    ReceivedBytes,
    /// Frames that went out, repeated ones included.
    Sent,
    /// Bytes of those.
    SentBytes,
    /// Lost by probability or number.
    Lost,
    /// Lost because the queue of the rate was full.
    QueueFull,
    /// Lost because the link was cut.
    Cut,
    /// Lost because they were too large.
    TooLarge,
    /// Lost by the user's function.
    Hooked,
    /// Taken by a script, in place of which there may have been a reset.
    Scripted,
    /// Sent twice.
    Duplicated,
    /// Held back.
    Reordered,
    /// Corrupted.
    Corrupted,
    /// Lost because this program was too slow, or the other end was down: nobody asked for it.
    Overrun,
}

/// Names of the counters.
pub const COUNTER_NAMES: [&str; 14] = [
    "received",
    "received_bytes",
    "sent",
    "sent_bytes",
    "lost",
    "queue_full",
    "cut",
    "too_large",
    "hooked",
    "scripted",
    "duplicated",
    "reordered",
    "corrupted",
    "overrun",
];

/// One recorded fate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded {
    /// 0 from the first end to the second, 1 back.
    pub direction: usize,
    /// The flow.
    pub flow: Name,
    /// Number of the frame in its flow and direction, from 1.
    pub number: u64,
    /// Its fate.
    pub fate: Fate,
}

/// What a link is told to do.
#[derive(Clone, Default)]
struct Orders {
    impairments: [Impairments; 2],
    /// Each with the number of connections that it has counted.
    scripts: Vec<(Script, Arc<AtomicU32>)>,
    hook: Option<Hook>,
    cut_until: Option<Instant>,
    cut: bool,
    record: bool,
}

impl Orders {
    /// Whether every frame passes at once and unchanged, cuts aside.
    fn are_nothing(&self) -> bool {
        self.impairments.iter().all(Impairments::is_nothing)
            && self.scripts.is_empty()
            && self.hook.is_none()
            && !self.record
    }
}

struct Shared {
    seed: u64,
    orders: Mutex<Orders>,
    /// Counts changes of the orders.
    version: AtomicU64,
    /// There was an order that has to look into frames. It stays so: flows that a script has ended stay ended.
    looks: AtomicBool,
    flows: Mutex<Flows>,
    counters: [[AtomicU64; COUNTER_NAMES.len()]; 2],
    fates: Mutex<VecDeque<Recorded>>,
    /// Resets for each direction that the thread of the other one made, and whether there are any.
    back: [Mutex<Vec<Vec<u8>>>; 2],
    back_waits: [AtomicBool; 2],
    stop: AtomicBool,
    /// One for each thread.
    wake: [EventFd; 2],
}

impl Shared {
    fn count(&self, direction: usize, counter: Counter, by: u64) {
        self.counters[direction][counter as usize].fetch_add(by, Ordering::Relaxed);
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    fn fates(&self) -> MutexGuard<'_, VecDeque<Recorded>> {
        lock(&self.fates)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running forwarder; ends when dropped.
pub struct Forwarder {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    opened: Receiver<io::Result<()>>,
}

impl Forwarder {
    /// Forwards between two interfaces, once [`Self::wait`] says so: for each end a packet socket of its network namespace and
    /// the interface's number. `ring` is the number of bytes of full frames that may wait for each thread to get the processor.
    ///
    /// Making a ring waits for the kernel (synchronize_net() in packet_set_ring, tens of milliseconds on a busy machine), so each
    /// thread makes its own: links that are started one after the other wait together.
    pub fn start(ends: [(OwnedFd, u32); 2], mtu: u32, seed: u64, ring: usize) -> io::Result<Self> {
        // Ethernet header and a VLAN tag around the IP packet.
        let frame_length = mtu as usize + 18;
        let frames = (ring / frame_length).max(BATCH);
        let wake = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let shared = Arc::new(Shared {
            seed,
            orders: Mutex::default(),
            version: AtomicU64::new(1),
            looks: AtomicBool::new(false),
            flows: Mutex::default(),
            counters: Default::default(),
            fates: Mutex::default(),
            back: Default::default(),
            back_waits: Default::default(),
            stop: AtomicBool::new(false),
            wake: [wake()?, wake()?],
        });
        let out = [ends[1].0.try_clone()?, ends[0].0.try_clone()?];
        let both = Arc::new(Meeting::default());
        let (report, opened) = mpsc::channel();
        let mut forwarder = Self {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
            opened,
        };
        for (direction, ((socket, index), out)) in ends.into_iter().zip(out).enumerate() {
            let (shared, both, report) = (Arc::clone(&shared), Arc::clone(&both), report.clone());
            let open = move || FrameRing::open(socket, index as i32, frame_length, frames);
            let work = move || carry_one_way(shared, direction, open, out, &both, &report);
            let thread = std::thread::Builder::new().name("wallsocket-link".into());
            forwarder.threads.push(thread.spawn(work)?);
        }
        Ok(forwarder)
    }

    /// Waits until it forwards; an error when it cannot.
    pub fn wait(&self) -> io::Result<()> {
        (0..2).try_for_each(|_| self.opened.recv().unwrap_or(Ok(())))
    }

    fn change(&self, change: impl FnOnce(&mut Orders)) {
        {
            let mut orders = self.shared.orders();
            change(&mut orders);
            if !orders.are_nothing() {
                self.shared.looks.store(true, Ordering::Release);
            }
            self.shared.version.fetch_add(1, Ordering::Release);
        }
        self.wake();
    }

    fn wake(&self) {
        for wake in &self.shared.wake {
            let _ = wake.write(1);
        }
    }

    /// Sets what happens to the frames of a direction, from now on.
    pub fn set(&self, direction: usize, impairments: Impairments) {
        self.change(|orders| orders.impairments[direction] = impairments);
    }

    /// What happens to the frames of a direction.
    pub fn impairments(&self, direction: usize) -> Impairments {
        self.shared.orders().impairments[direction].clone()
    }

    /// Adds a script.
    pub fn add_script(&self, script: Script) {
        self.change(|orders| orders.scripts.push((script, Arc::default())));
    }

    /// Removes all scripts; connections they have ended stay ended.
    pub fn clear_scripts(&self) {
        self.change(|orders| orders.scripts.clear());
    }

    /// Sets the function that sees every frame.
    pub fn set_hook(&self, hook: Option<Hook>) {
        self.change(|orders| orders.hook = hook);
    }

    /// Cuts the link, for a time or until it is restored: all frames are lost.
    pub fn cut(&self, time: Option<Duration>) {
        self.change(|orders| {
            orders.cut = time.is_none();
            orders.cut_until = time.map(|time| Instant::now() + time);
        });
    }

    /// Ends a cut.
    pub fn restore(&self) {
        self.change(|orders| {
            orders.cut = false;
            orders.cut_until = None;
        });
    }

    /// Whether the link is cut.
    pub fn is_cut(&self) -> bool {
        let orders = self.shared.orders();
        orders.cut || orders.cut_until.is_some_and(|until| Instant::now() < until)
    }

    /// Begins to record fates, or stops; what was recorded before is forgotten when it begins.
    pub fn record(&self, on: bool) {
        if on {
            self.shared.fates().clear();
        }
        self.change(|orders| orders.record = on);
    }

    /// The recorded fates, oldest first: those of a direction in the order in which its frames came.
    pub fn fates(&self) -> Vec<Recorded> {
        self.shared.fates().iter().copied().collect()
    }

    /// The counters of a direction, in the order of [`COUNTER_NAMES`].
    pub fn counters(&self, direction: usize) -> [u64; COUNTER_NAMES.len()] {
        std::array::from_fn(|index| self.shared.counters[direction][index].load(Ordering::Relaxed))
    }

    /// Tells the forwarder to end, without waiting for it.
    pub fn end(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Ends the forwarder; the link carries nothing from then on.
    pub fn stop(&mut self) {
        self.end();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where the two threads of a link wait for each other's ring: a socket takes frames to send when its own thread has bound it.
#[derive(Default)]
struct Meeting {
    open: Mutex<u32>,
    changed: Condvar,
}

impl Meeting {
    fn wait(&self, shared: &Shared) {
        let mut open = lock(&self.open);
        *open += 1;
        self.changed.notify_all();
        // One that was told to end waits no longer: the other thread may never come.
        while *open < 2 && !shared.stop.load(Ordering::Acquire) {
            open = self
                .changed
                .wait_timeout(open, MEETING_INTERVAL)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// The life of a link's thread.
fn carry_one_way(
    shared: Arc<Shared>,
    direction: usize,
    open: impl FnOnce() -> io::Result<FrameRing>,
    out: OwnedFd,
    both: &Meeting,
    report: &Sender<io::Result<()>>,
) {
    // Signals are for the threads of the program that has the lab.
    let _ = SigSet::all().thread_block();
    // The default lets a timer be 50 µs late.
    let _ = nix::sys::prctl::set_timerslack(1);
    // On a busy machine a frame waits for the processor, not for its delay: these help, and it works without.
    let _ = request_short_slices();
    match open() {
        Ok(ring) => {
            both.wait(&shared);
            let _ = report.send(Ok(()));
            Path::new(shared, direction, ring, out).run();
        }
        Err(error) => {
            shared.stop.store(true, Ordering::Release);
            let _ = report.send(Err(error));
        }
    }
}

/// A frame that waits to be overtaken.
struct Held {
    flow: u64,
    left: u32,
    until: Instant,
    bytes: Vec<u8>,
}

/// One direction.
struct Lane {
    /// Frames with the time at which they leave, in that order.
    queue: VecDeque<(Instant, Vec<u8>)>,
    held: Vec<Held>,
    /// When the last frame that waits for the rate begins to be sent, for each.
    waiting: VecDeque<Instant>,
    /// When the rate is free again.
    free: Instant,
    /// When the last frame leaves: later ones do not overtake it.
    last: Instant,
}

/// What a frame of a batch becomes.
enum Outgoing {
    /// The ring's frame as it is.
    Ring(usize),
    /// Another one.
    Bytes(Vec<u8>),
}

/// One direction at work.
struct Path {
    shared: Arc<Shared>,
    direction: usize,
    /// Where frames come from.
    ring: FrameRing,
    /// The socket at the other end.
    out: OwnedFd,
    lane: Lane,
    orders: Orders,
    version: u64,
    plain: bool,
    /// Frames taken since the ring was last seen empty.
    unpaused: usize,
}

impl Path {
    fn new(shared: Arc<Shared>, direction: usize, ring: FrameRing, out: OwnedFd) -> Self {
        let now = Instant::now();
        let lane = Lane {
            queue: VecDeque::new(),
            held: Vec::new(),
            waiting: VecDeque::new(),
            free: now,
            last: now,
        };
        Self {
            shared,
            direction,
            ring,
            out,
            lane,
            orders: Orders::default(),
            version: 0,
            plain: true,
            unpaused: 0,
        }
    }

    fn run(&mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.take_back();
            let received = self.receive();
            let sent = self.send_due();
            if !received && !sent {
                self.wait();
            }
        }
    }

    fn take_orders(&mut self) {
        let version = self.shared.version.load(Ordering::Acquire);
        if version == self.version {
            return;
        }
        let orders = self.shared.orders();
        self.version = self.shared.version.load(Ordering::Acquire);
        self.orders = orders.clone();
        self.plain = !self.shared.looks.load(Ordering::Acquire);
    }

    /// Queues resets that the other thread has made, behind what is on its way already: a reset that overtook data would take it
    /// from its receiver.
    fn take_back(&mut self) {
        if !self.shared.back_waits[self.direction].swap(false, Ordering::AcqRel) {
            return;
        }
        let frames = std::mem::take(&mut *lock(&self.shared.back[self.direction]));
        let time = self.lane.last.max(Instant::now());
        self.lane.last = time;
        self.lane
            .queue
            .extend(frames.into_iter().map(|bytes| (time, bytes)));
    }

    /// Hands resets to the thread of the other direction.
    fn give_back(&self, frames: Vec<Vec<u8>>) {
        let other = 1 - self.direction;
        lock(&self.shared.back[other]).extend(frames);
        self.shared.back_waits[other].store(true, Ordering::Release);
        let _ = self.shared.wake[other].write(1);
    }

    fn is_cut(&self, now: Instant) -> bool {
        self.orders.cut || self.orders.cut_until.is_some_and(|until| now < until)
    }

    /// Takes what has arrived; whether there was anything.
    fn receive(&mut self) -> bool {
        let arrived = (0..BATCH)
            .take_while(|&index| self.ring.peek(index).is_some())
            .count();
        if arrived == 0 {
            return false;
        }
        // Only now: an order that was given before a frame was sent holds for it.
        self.take_orders();
        let now = Instant::now();
        let direction = self.direction;
        let mut outgoing: Vec<Outgoing> = Vec::with_capacity(BATCH);
        let mut back: Vec<Vec<u8>> = Vec::new();
        let mut bytes_in = 0;
        let cut = self.is_cut(now);
        for index in 0..arrived {
            let Some(frame) = self.ring.peek(index) else {
                break;
            };
            bytes_in += frame.original_length as u64;
            if cut {
                self.shared.count(direction, Counter::Cut, 1);
                continue;
            }
            if frame.original_length > frame.bytes.len() {
                self.shared.count(direction, Counter::TooLarge, 1);
                continue;
            }
            if self.plain
                && frame.vlan.is_none()
                && !frame.checksum_pending
                && self.lane.queue.is_empty()
            {
                outgoing.push(Outgoing::Ring(index));
                continue;
            }
            // The frame as it would be on a wire; a copy only if it differs from what is in the ring.
            let mut changed = None;
            if let (Some((protocol, control)), Some((addresses, rest))) =
                (frame.vlan, frame.bytes.split_at_checked(12))
            {
                changed = Some(
                    [
                        addresses,
                        &protocol.to_be_bytes(),
                        &control.to_be_bytes(),
                        rest,
                    ]
                    .concat(),
                );
            }
            if frame.checksum_pending {
                alter::finish_checksum(changed.get_or_insert_with(|| frame.bytes.to_vec()));
            }
            let decision = match &self.orders.hook {
                Some(hook) => hook(direction, changed.as_deref().unwrap_or(frame.bytes)),
                None => Decision::Pass,
            };
            let mut work = Work {
                shared: &self.shared,
                orders: &self.orders,
                lane: &mut self.lane,
                direction,
                now,
                outgoing: &mut outgoing,
                back: &mut back,
            };
            match decision {
                Decision::Drop => self.shared.count(direction, Counter::Hooked, 1),
                Decision::Replace(frames) => frames
                    .into_iter()
                    .for_each(|bytes| work.carry(Source::Bytes(bytes))),
                Decision::Pass => {
                    work.carry(changed.map_or(Source::Ring(index, frame.bytes), Source::Bytes));
                }
            }
        }
        self.shared
            .count(direction, Counter::Received, arrived as u64);
        self.shared
            .count(direction, Counter::ReceivedBytes, bytes_in);
        for part in outgoing.chunks(BATCH) {
            let frames: Vec<&[u8]> = part
                .iter()
                .map(|frame| match frame {
                    Outgoing::Ring(index) => {
                        self.ring.peek(*index).map_or(&[][..], |frame| frame.bytes)
                    }
                    Outgoing::Bytes(bytes) => bytes,
                })
                .collect();
            send(&self.shared, self.out.as_fd(), direction, &frames);
        }
        self.ring.release(arrived);
        self.unpaused += arrived;
        if !back.is_empty() {
            self.give_back(back);
        }
        true
    }

    /// Sends what is due at the other end; whether there was anything.
    fn send_due(&mut self) -> bool {
        let lane = &mut self.lane;
        if lane.queue.is_empty() && lane.held.is_empty() {
            return false;
        }
        let now = Instant::now();
        let mut index = 0;
        while index < lane.held.len() {
            if lane.held[index].until <= now {
                let held = lane.held.remove(index);
                let time = lane.last.max(now);
                lane.queue.push_back((time, held.bytes));
                lane.last = time;
            } else {
                index += 1;
            }
        }
        let due = lane
            .queue
            .iter()
            .take(BATCH)
            .take_while(|(time, _)| *time <= now)
            .count();
        if due == 0 {
            return false;
        }
        let frames: Vec<Vec<u8>> = lane.queue.drain(..due).map(|(_, bytes)| bytes).collect();
        let slices: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        send(&self.shared, self.out.as_fd(), self.direction, &slices);
        true
    }

    /// Counts frames that found no room in the ring. That it was full shows in as many frames taken without a pause; the question
    /// costs a system call.
    fn count_overrun(&mut self) {
        if std::mem::take(&mut self.unpaused) < self.ring.slots() {
            return;
        }
        if let Ok(lost @ 1..) = self.ring.lost() {
            self.shared
                .count(self.direction, Counter::Received, lost.into());
            self.shared
                .count(self.direction, Counter::Overrun, lost.into());
        }
    }

    /// Waits for frames, orders, or the time of the next frame.
    fn wait(&mut self) {
        self.count_overrun();
        let next = self
            .lane
            .queue
            .front()
            .map(|entry| entry.0)
            .into_iter()
            .chain(self.lane.held.iter().map(|held| held.until))
            .min();
        let timeout =
            next.map(|time| TimeSpec::from(time.saturating_duration_since(Instant::now())));
        let wake = &self.shared.wake[self.direction];
        let mut waiting = [
            PollFd::new(self.ring.socket(), PollFlags::POLLIN),
            PollFd::new(wake.as_fd(), PollFlags::POLLIN),
        ];
        let _ = ppoll(&mut waiting, timeout, None);
        if waiting[1].any() == Some(true) {
            let _ = wake.read();
        }
        // A socket reports that its interface went down as an error, which must be read or ppoll returns at once for ever.
        if waiting[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLERR))
        {
            let _ = wallsocket_sys::socket::get_option(
                self.ring.socket(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                &mut [0; 4],
            );
        }
    }
}

/// A frame on its way in.
enum Source<'ring> {
    /// In the ring, at this place of the batch.
    Ring(usize, &'ring [u8]),
    /// A copy that differs from it.
    Bytes(Vec<u8>),
}

impl Source<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Ring(_, bytes) => bytes,
            Self::Bytes(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Ring(_, bytes) => bytes.to_vec(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// What the fate of one frame takes part in.
struct Work<'path> {
    shared: &'path Shared,
    orders: &'path Orders,
    lane: &'path mut Lane,
    direction: usize,
    now: Instant,
    outgoing: &'path mut Vec<Outgoing>,
    back: &'path mut Vec<Vec<u8>>,
}

impl Work<'_> {
    fn count(&self, counter: Counter) {
        self.shared.count(self.direction, counter, 1);
    }

    /// Decides what becomes of a frame and does it, as far as it is for now.
    fn carry(&mut self, source: Source<'_>) {
        let orders = self.orders;
        let impairments = &orders.impairments[self.direction];
        let (direction, now) = (self.direction, self.now);
        let frame = alter::read(source.bytes());
        // The IP packet begins after Ethernet's 14 bytes and 4 for each tag.
        let packet = frame
            .bytes
            .len()
            .saturating_sub(14 + 4 * frame.vlans().len());
        let mut flows = lock(&self.shared.flows);
        let flow = flows.of(&frame, now);
        flow.numbers[direction] += 1;
        let number = flow.numbers[direction];
        let fate = impairments.fate(
            self.shared.seed,
            direction,
            flow.hash,
            number,
            &mut flow.bad[direction],
        );
        let (hash, name) = (flow.hash, flow.name);
        if orders.record {
            let mut fates = self.shared.fates();
            if fates.len() == MOST_FATES {
                fates.pop_front();
            }
            fates.push_back(Recorded {
                direction,
                flow: name,
                number,
                fate,
            });
        }
        let taken = script(orders, flow, &frame, direction, now);
        drop(flows);
        if let Some((forth, back)) = taken {
            self.count(Counter::Scripted);
            self.back.extend(back);
            for bytes in forth {
                self.release(Source::Bytes(bytes), Fate::default(), hash);
            }
            return;
        }
        if fate.lost {
            self.count(Counter::Lost);
        } else if impairments.largest.is_some_and(|largest| packet > largest) {
            self.count(Counter::TooLarge);
        } else {
            self.release(source, fate, hash);
        }
    }

    /// Puts a frame on its way: delays, repeats, corrupts and holds it.
    fn release(&mut self, mut source: Source<'_>, fate: Fate, flow: u64) {
        let impairments = &self.orders.impairments[self.direction];
        let now = self.now;
        let mut time = now;
        if let Some(rate) = impairments.rate {
            while self.lane.waiting.front().is_some_and(|begin| *begin <= now) {
                self.lane.waiting.pop_front();
            }
            if self.lane.waiting.len() >= impairments.queue {
                return self.count(Counter::QueueFull);
            }
            let begin = self.lane.free.max(now);
            #[expect(clippy::cast_precision_loss, reason = "a frame's length is small")]
            let bits = (source.bytes().len() * 8) as f64;
            self.lane.waiting.push_back(begin);
            self.lane.free = begin + Duration::from_secs_f64(bits / rate);
            time = self.lane.free;
        }
        time += impairments.delay;
        if !impairments.jitter.is_zero() {
            let jitter = impairments.jitter.mul_f64(fate.jitter.abs());
            time = if fate.jitter < 0.0 {
                time.checked_sub(jitter).unwrap_or(now)
            } else {
                time + jitter
            };
        }
        if let Some(choice) = fate.corrupted {
            let mut bytes = source.into_bytes();
            if alter::corrupt(&mut bytes, choice, impairments.mend_checksum) {
                self.count(Counter::Corrupted);
            }
            source = Source::Bytes(bytes);
        }
        if fate.held {
            self.count(Counter::Reordered);
            let until = time.max(now) + HOLD_LIMIT;
            self.lane.held.push(Held {
                flow,
                left: impairments.reorder_gap.max(1),
                until,
                bytes: source.into_bytes(),
            });
            return;
        }
        let repeated = fate.duplicated.then(|| {
            self.count(Counter::Duplicated);
            source.bytes().to_vec()
        });
        self.put(time, source);
        if let Some(bytes) = repeated {
            self.put(time, Source::Bytes(bytes));
        }
        // Those that this frame has overtaken as the last one follow it.
        let mut index = 0;
        while index < self.lane.held.len() {
            let held = &mut self.lane.held[index];
            held.left -= u32::from(held.flow == flow);
            if held.left == 0 {
                let held = self.lane.held.remove(index);
                self.put(time, Source::Bytes(held.bytes));
            } else {
                index += 1;
            }
        }
    }

    /// Sends a frame with this batch, or queues it for its time.
    fn put(&mut self, time: Instant, source: Source<'_>) {
        let time = time.max(self.lane.last);
        if time <= self.now && self.lane.queue.is_empty() {
            self.outgoing.push(match source {
                Source::Ring(index, _) => Outgoing::Ring(index),
                Source::Bytes(bytes) => Outgoing::Bytes(bytes),
            });
            return;
        }
        self.lane.last = time;
        self.lane.queue.push_back((time, source.into_bytes()));
    }
}

/// What goes on in place of a frame, and what back to its sender, when a script takes it.
type Taken = (Vec<Vec<u8>>, Vec<Vec<u8>>);

/// Applies the scripts to a TCP segment (black holes: to any flow).
fn script(
    orders: &Orders,
    flow: &mut Flow,
    frame: &Frame<'_>,
    direction: usize,
    now: Instant,
) -> Option<Taken> {
    if flow.verdict == Verdict::Open && orders.scripts.is_empty() {
        return None;
    }
    let Name::Ip { service, .. } = flow.name else {
        return None;
    };
    let tcp = frame.tcp().filter(|tcp| tcp.is_complete());
    let length = frame.payload().len() as u32;
    let mut fits = length;
    if let (Some(tcp), Verdict::Open) = (tcp, flow.verdict) {
        if tcp.flags & tcp_flag::SYN != 0 {
            flow.first_byte[direction] = Some(tcp.sequence_number.wrapping_add(1));
        }
        let first = *flow.first_byte[direction].get_or_insert(tcp.sequence_number);
        let begin = tcp.sequence_number.wrapping_sub(first);
        let end = begin.wrapping_add(length);
        // Offsets of half the sequence space and more are from before the first byte: repeated SYNs, keep-alives.
        let sound = begin < 1 << 31 && end < 1 << 31;
        let opening = tcp.flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN;
        for (script, count) in &orders.scripts {
            if script.port.is_some_and(|port| port != service) {
                continue;
            }
            match script.action {
                // Under the lock of the flows: nobody else counts meanwhile.
                Action::Refuse(most)
                    if opening && !flow.counted && count.load(Ordering::Relaxed) < most =>
                {
                    count.fetch_add(1, Ordering::Relaxed);
                    flow.verdict = Verdict::Refused;
                }
                Action::ResetAfter(limit) if sound && length > 0 && end > limit => {
                    fits = limit.saturating_sub(begin);
                    flow.verdict = Verdict::Reset;
                }
                Action::BlackHoleAfterBytes(limit) if sound && length > 0 && end > limit => {
                    fits = limit.saturating_sub(begin);
                    flow.verdict = Verdict::Swallowed;
                }
                _ => {}
            }
        }
        flow.counted |= opening;
        if sound {
            flow.carried[direction] = flow.carried[direction].max(begin + fits);
        }
    }
    for (script, _) in &orders.scripts {
        if let Action::BlackHoleAfter(after) = script.action
            && script.port.is_none_or(|port| port == service)
            && now.duration_since(flow.started) >= after
        {
            flow.verdict = Verdict::Swallowed;
            fits = 0;
        }
    }
    let first_part = || {
        (fits > 0 && fits < length)
            .then(|| alter::shorten(frame, fits as usize))
            .flatten()
    };
    match (flow.verdict, tcp) {
        (Verdict::Open, _) | (Verdict::Refused | Verdict::Reset, None) => None,
        (Verdict::Swallowed, _) => Some((first_part().into_iter().collect(), vec![])),
        (Verdict::Refused | Verdict::Reset, Some(tcp)) => {
            if tcp.flags & tcp_flag::RST != 0 {
                // A reset is not answered (RFC 9293, section 3.10.7.1).
                return Some((vec![], vec![]));
            }
            let syn = u32::from(tcp.flags & tcp_flag::SYN != 0);
            let end = tcp.sequence_number.wrapping_add(length + syn);
            let back = alter::reset(frame, true, tcp.acknowledgement_number, end);
            let mut forth: Vec<Vec<u8>> = first_part().into_iter().collect();
            if flow.verdict == Verdict::Reset && fits < length {
                let after = tcp.sequence_number.wrapping_add(fits);
                forth.extend(alter::reset(
                    frame,
                    false,
                    after,
                    tcp.acknowledgement_number,
                ));
            }
            Some((forth, back.into_iter().collect()))
        }
    }
}

/// Sends frames to one end; what it does not take is lost, and counted.
fn send(shared: &Shared, socket: BorrowedFd<'_>, direction: usize, mut frames: &[&[u8]]) {
    while !frames.is_empty() {
        let sent = send_frames(socket, frames).unwrap_or(0);
        shared.count(direction, Counter::Sent, sent as u64);
        shared.count(
            direction,
            Counter::SentBytes,
            frames[..sent].iter().map(|frame| frame.len() as u64).sum(),
        );
        frames = &frames[sent..];
        if sent == 0 {
            shared.count(direction, Counter::Overrun, 1);
            frames = &frames[1..];
        }
    }
}
