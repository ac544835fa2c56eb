//! One direction of a link: the thread that takes frames at one end and sends them at the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use wallsocket_sys::link::{BATCH, FrameRing, request_short_slices, send_frames};

use super::work::{Lane, Outgoing, Source, Work};
use super::{Counter, Decision, Orders, Shared, lock};
use crate::alter;

/// How often a thread that waits for the other one looks whether it is to end.
const MEETING_INTERVAL: Duration = Duration::from_millis(50);

/// Where the two threads of a link wait for each other's ring: a socket takes frames to send when its own thread has bound it.
#[derive(Default)]
pub(super) struct Meeting {
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
pub(super) fn carry_one_way(
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
        Self {
            shared,
            direction,
            ring,
            out,
            lane: Lane::new(Instant::now()),
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
