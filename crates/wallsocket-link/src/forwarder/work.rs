//! What becomes of one frame: lost, repeated, corrupted, held back, or sent at its time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::script::script;
use super::{Counter, MOST_FATES, Orders, Recorded, Shared, lock};
use crate::alter;
use crate::fate::Fate;

/// A held frame is let go after this time when nothing has overtaken it: no later frame may come.
const HOLD_LIMIT: Duration = Duration::from_millis(200);

/// A frame that waits to be overtaken.
pub(super) struct Held {
    flow: u64,
    left: u32,
    pub(super) until: Instant,
    pub(super) bytes: Vec<u8>,
}

/// One direction.
pub(super) struct Lane {
    /// Frames with the time at which they leave, in that order.
    pub(super) queue: VecDeque<(Instant, Vec<u8>)>,
    pub(super) held: Vec<Held>,
    /// When the last frame that waits for the rate begins to be sent, for each.
    waiting: VecDeque<Instant>,
    /// When the rate is free again.
    free: Instant,
    /// When the last frame leaves: later ones do not overtake it.
    pub(super) last: Instant,
}

impl Lane {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            held: Vec::new(),
            waiting: VecDeque::new(),
            free: now,
            last: now,
        }
    }
}

/// What a frame of a batch becomes.
pub(super) enum Outgoing {
    /// The ring's frame as it is.
    Ring(usize),
    /// Another one.
    Bytes(Vec<u8>),
}

/// A frame on its way in.
pub(super) enum Source<'ring> {
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
pub(super) struct Work<'path> {
    pub(super) shared: &'path Shared,
    pub(super) orders: &'path Orders,
    pub(super) lane: &'path mut Lane,
    pub(super) direction: usize,
    pub(super) now: Instant,
    pub(super) outgoing: &'path mut Vec<Outgoing>,
    pub(super) back: &'path mut Vec<Vec<u8>>,
}

impl Work<'_> {
    fn count(&self, counter: Counter) {
        self.shared.count(self.direction, counter, 1);
    }

    /// Decides what becomes of a frame, and does what is due at once; what is due later waits in its queue.
    pub(super) fn carry(&mut self, source: Source<'_>) {
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
