//! Carries the frames of one link between its two ends, and does to them what the link was told to.
//!
//! Two threads a link, one for each direction, which share what is known of its flows. Frames that pass at once and unchanged go
//! from the receive ring of one end to the other with one call for a batch and no copy here; all others are copied and wait for
//! their time.
//!
//! What a link is told and what its threads share stands here; `path` is one thread, `work` what becomes of one frame, and
//! `script` what is done to connections.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use wallsocket_sys::link::{BATCH, FrameRing};

use crate::fate::{Fate, Impairments};
use crate::flow::{Flows, Name};

mod path;
mod script;
mod work;

pub use script::{Action, Script};

use path::{Meeting, carry_one_way};

/// Fates that are kept when they are recorded; older ones are forgotten.
const MOST_FATES: usize = 1 << 20;

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
