//! Calls that the preloaded library has recorded: which processes and threads it serves, and how its records become rows.
//!
//! The library takes calls over only where it was told to, and leaves to the tracer what it cannot do itself. So it may be told
//! to stop at any time, and what matters is one order of all calls. A record is taken when its time has come: before a stop is
//! handled, the beginnings and ends of all recorded calls up to that moment are. Calls are numbered by their beginnings; a call
//! that was not to be seen yet when records were last taken began after that, whatever time it had read before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nix::unistd::Pid;
use wallsocket_ring::{
    CONTROL, GATE, GATE_RETURN, GENERATION, Head, MODE, Record, SIGNATURE, SIGNATURE_AT, answer,
    look, mode, python, request, ring, stage, table,
};
use wallsocket_sys::ptrace;
use wallsocket_sys::shared::Shared;

use super::following::Seen;
use super::{Next, Tracer, guards, samples};
use crate::calls::Entry;
use crate::interrupted;
use crate::lines::Site;
use crate::memory::{self, Memory, Recorded};
use crate::rows::{self, Row};
use crate::{sample, unread};

/// What the library does in a process.
#[derive(Debug, Default)]
pub(super) struct Preload {
    state: State,
    /// What it reads of the process's descriptors, and where that is in its memory.
    table: Option<(Rc<Shared>, u64)>,
    /// Rings of threads that have ended.
    free: Vec<Ring>,
    /// Children between vfork and exec, which use the memory of this process.
    borrowers: u32,
    /// Calls that stopped because the library did not have them, of those that it might have.
    pub(super) missed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It was not met yet.
    #[default]
    Unmet,
    /// It records.
    Recording,
    /// It does nothing, for ever, because of this.
    Passive(&'static str),
}

/// A thread's ring.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Shared,
    /// Where it is in the thread's memory.
    address: u64,
    /// Where the first record stands that was not taken.
    taken: u64,
    /// The beginning of that record's call was seen.
    begun: bool,
    /// That record, to its end if the call has ended.
    bytes: Vec<u8>,
    /// See `bytes`.
    whole: bool,
}

/// What of a record comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Begin,
    End,
}

/// The ring holds what the library does not write.
struct Broken;

impl Ring {
    /// What comes next in it, and when that was; `stopped`: its thread waits for a look at its socket.
    fn next(&mut self, stopped: bool) -> Result<Option<(i64, Part)>, Broken> {
        let progress = self.memory.load(ring::PROGRESS);
        let head = progress & !stage::MASK;
        let waiting = head.wrapping_sub(self.taken);
        if waiting > ring::CAPACITY {
            return Err(Broken);
        }
        let in_call = waiting == 0;
        if in_call && (self.begun || progress & stage::MASK != stage::IN_CALL) {
            return Ok(None);
        }
        if self.begun && self.whole {
            return Ok(self.end(stopped));
        }
        let at = ring::RECORDS + (self.taken % ring::CAPACITY) as usize;
        let sizes = self.memory.load(at);
        let size = if in_call {
            sizes >> 32
        } else {
            sizes & 0xFFFF_FFFF
        };
        if size > ring::RECORD {
            return Err(Broken);
        }
        self.bytes.clear();
        self.memory.copy(at, &mut self.bytes, size as usize);
        let head = Record::parse(&self.bytes, in_call).ok_or(Broken)?.head;
        self.whole = !in_call;
        Ok(if self.begun {
            self.end(stopped)
        } else {
            Some((head.entry_ns, Part::Begin))
        })
    }

    /// The end of the record in `bytes`.
    fn end(&self, stopped: bool) -> Option<(i64, Part)> {
        let head = Record::parse(&self.bytes, false)?.head;
        // If its socket is to be looked at, its thread stops for us at once, and then is the time.
        (head.flags & Head::LOOK == 0 || stopped).then_some((head.exit_ns, Part::End))
    }

    /// Gives the room of the first record back.
    fn release(&mut self, size: u32) {
        self.taken = ring::next(self.taken + u64::from(size));
        (self.begun, self.whole) = (false, false);
        self.memory.store(ring::TAKEN, self.taken);
    }
}

impl Tracer {
    /// Handles what has been recorded up to `until_ns`. `stopped`: a thread that waits for a look at the socket of its latest call.
    pub(super) fn take_records(&mut self, until_ns: i64, stopped: Option<i32>) {
        if self.ringed.is_empty() {
            return;
        }
        let mut next = BinaryHeap::with_capacity(self.ringed.len());
        for tid in self.ringed.clone() {
            self.queue_record(&mut next, tid, stopped);
        }
        while let Some(Reverse((at_ns, part, tid))) = next.pop() {
            if at_ns > until_ns {
                break;
            }
            self.take_part(tid, part, at_ns, until_ns, stopped == Some(tid));
            self.queue_record(&mut next, tid, stopped);
        }
        self.horizon_ns = self.horizon_ns.max(until_ns);
    }

    fn queue_record(
        &mut self,
        next: &mut BinaryHeap<Reverse<(i64, Part, i32)>>,
        tid: i32,
        stopped: Option<i32>,
    ) {
        let Some(ring) = self.threads.get_mut(&tid).and_then(|t| t.ring.as_mut()) else {
            self.ringed.remove(&tid);
            return;
        };
        match ring.next(stopped == Some(tid)) {
            Ok(Some((monotonic_ns, part))) => {
                next.push(Reverse((self.clock.at(monotonic_ns), part, tid)));
            }
            Ok(None) => {}
            Err(Broken) => {
                let process = self.threads.get_mut(&tid).map(|thread| {
                    thread.ring = None;
                    thread.process
                });
                self.ringed.remove(&tid);
                if let Some(id) = process {
                    self.leave_alone(id, "its shared memory was overwritten");
                }
                self.sink.gap(
                    self.clock.now(),
                    crate::sink::Layer::Calls,
                    "a program has overwritten the memory that its calls were recorded in",
                );
            }
        }
    }

    /// The beginning or the end of a recorded call.
    fn take_part(&mut self, tid: i32, part: Part, at_ns: i64, until_ns: i64, stopped: bool) {
        let Some(ring) = self.threads.get_mut(&tid).and_then(|t| t.ring.as_mut()) else {
            return;
        };
        let mut bytes = std::mem::take(&mut ring.bytes);
        let Some(record) = Record::parse(&bytes, part == Part::Begin) else {
            return;
        };
        let head = record.head;
        let entry = Entry {
            number: i64::from(head.number),
            arguments: head.arguments,
        };
        match part {
            Part::Begin => {
                ring.begun = true;
                let ends_by_then = ring.whole
                    && head.flags & Head::LOOK == 0
                    && self.clock.at(head.exit_ns) <= until_ns;
                let began = at_ns.clamp(self.horizon_ns.min(until_ns), until_ns);
                let memory = Recorded {
                    first: record.at_entry(),
                    then: record.at_exit(),
                };
                let seen = if ends_by_then && unread::may_wait(&entry) {
                    Seen::ForLater
                } else {
                    Seen::Recorded
                };
                let mut pending = if self.recording {
                    self.begin_call(tid, &entry, head.stack_pointer, began, &memory, seen)
                } else {
                    None
                };
                if let Some(pending) = &mut pending {
                    pending.call.via = rows::VIA_LIBRARY;
                    if let Some(process) = self.processes.get(&pending.call.process) {
                        let pid = process.row.pid;
                        let site = record
                            .at_entry()
                            .find(python::STACK)
                            .map(|stack| self.lines.noted(pid, stack))
                            .filter(|site| *site != Site::Unknown)
                            .unwrap_or_else(|| {
                                self.lines.called_from(&self.sink, pid, head.caller)
                            });
                        self.attribute(site, pending.call.socket, &mut pending.call);
                    }
                    if let Some(piece) = record.at_entry().find(look::BEFORE)
                        && let Some(socket) = pending.call.socket
                    {
                        self.noted_sample(socket, pending.call.id, 0, piece);
                    }
                }
                if let Some(thread) = self.threads.get_mut(&tid) {
                    thread.recorded = pending;
                    thread.entered_ns = began;
                    thread.number = entry.number;
                }
            }
            Part::End => {
                ring.release(head.size);
                let pending = self.threads.get_mut(&tid).and_then(|t| t.recorded.take());
                if let Some(pending) = pending {
                    if head.flags & Head::LOOK != 0 && stopped {
                        let memory = Pid::from_raw(tid);
                        self.finish_call(tid, pending, at_ns, head.result, &memory, true);
                    } else {
                        let memory = Recorded {
                            first: record.at_exit(),
                            then: record.at_entry(),
                        };
                        let (socket, call) = (pending.call.socket, pending.call.id);
                        let looked = record.at_exit().find(look::AFTER).map(<[u8]>::to_vec);
                        if pending.unread {
                            bytes = self.finish_unread(tid, pending, at_ns, &head, bytes);
                        } else {
                            self.finish_call(tid, pending, at_ns, head.result, &memory, false);
                        }
                        if let Some(piece) = looked
                            && let Some(socket) = socket
                        {
                            self.noted_sample(socket, call, 1, &piece);
                        }
                    }
                }
            }
        }
        if let Some(ring) = self.threads.get_mut(&tid).and_then(|t| t.ring.as_mut()) {
            ring.bytes = bytes;
        }
    }

    /// A request of the library: handles it, and has the call return the answer.
    pub(super) fn requested(&mut self, tid: i32, at_ns: i64, entry: &Entry) -> Next {
        let [what, first, second, ..] = entry.arguments;
        if matches!(what, request::LOOK | request::UNWOUND) {
            self.take_records(at_ns, (what == request::LOOK).then_some(tid));
        }
        // The others begin no row: a thread that starts does not wait for what busy ones have recorded.
        let result = match what {
            request::JOIN => self.join(tid, first),
            request::GIVE_TABLE | request::GIVE_RING => self
                .receive(tid, what, first as i32, second)
                .map_or(-i64::from(libc::EINVAL), |()| 0),
            request::UNWOUND => {
                self.unwound(tid);
                0
            }
            request::LOOK => 0,
            _ => -i64::from(libc::ENOSYS),
        };
        guards::skip(tid, result);
        Next::Run
    }

    /// A thread asks for its ring.
    fn join(&mut self, tid: i32, address: u64) -> i64 {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return answer::NO;
        };
        let Some(process) = self.processes.get_mut(&thread.process) else {
            return answer::NO;
        };
        if process.preload.state != State::Recording {
            return answer::NO;
        }
        let Some((_, table)) = &process.preload.table else {
            return answer::TABLE;
        };
        if !thread.table.borrow().is_mirrored() {
            // Its descriptors are not those of its process.
            return answer::NO;
        }
        if thread.ring.is_none() {
            thread.ring = process.preload.free.pop();
        }
        let Some(ring) = &thread.ring else {
            return answer::RING;
        };
        let words = [process.row.id.into(), ring.address, *table];
        let bytes: Vec<u8> = words
            .iter()
            .flat_map(|word: &u64| word.to_ne_bytes())
            .collect();
        if !memory::write(Pid::from_raw(tid), address, &bytes) {
            return answer::NO;
        }
        self.ringed.insert(tid);
        0
    }

    /// A thread gives memory to share.
    fn receive(&mut self, tid: i32, what: u64, fd: i32, address: u64) -> Option<()> {
        let thread = self.threads.get_mut(&tid)?;
        let process = self.processes.get_mut(&thread.process)?;
        if process.preload.state != State::Recording {
            return None;
        }
        let file = sample::duplicate(process.pidfd.as_ref()?, fd).ok()?;
        if what == request::GIVE_RING {
            let memory = Shared::map(file.as_fd(), ring::SIZE).ok()?;
            thread.ring = Some(Ring {
                memory,
                address,
                taken: 0,
                begun: false,
                whole: false,
                bytes: Vec::new(),
            });
            return Some(());
        }
        if process.preload.table.is_some() || thread.table.borrow().is_mirrored() {
            // Two threads have asked at once: the second one takes what the first has given.
            return None;
        }
        let memory = Rc::new(Shared::map(file.as_fd(), table::SIZE).ok()?);
        memory.store(table::PAYLOAD, self.settings.payload as u64);
        if !self.lines.introduce(process.row.pid, &memory) {
            let id = thread.process;
            self.leave_alone(id, "its source lines can only be read at a stop");
            return None;
        }
        let mut table = thread.table.borrow_mut();
        table.mirror(Some(Rc::clone(&memory)));
        if self.settings.samples {
            // When each was last looked at is not asked: at its next call.
            for number in table.sockets.keys() {
                table.look_again(*number, 1);
            }
        }
        drop(table);
        process.preload.table = Some((memory, address));
        Some(())
    }

    /// Tells the library of a process what its latest stack has shown.
    pub(super) fn teach_library(&mut self, tid: i32, id: u32) {
        if let Some(process) = self.processes.get(&id)
            && process.preload.state == State::Recording
            && let Some((table, _)) = &process.preload.table
            && let Some(words) = self.lines.publish(process.row.pid, table)
            && let Some(ring) = self.threads.get_mut(&tid).and_then(|t| t.ring.as_mut())
        {
            for (index, word) in words.into_iter().enumerate() {
                ring.memory.store(ring::PYTHON + index * 8, word);
            }
        }
    }

    /// A thread dies: the call that the kernel has made, and of whose record only the end is missing, has returned.
    pub(super) fn finish_dying(&mut self, tid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        let Some(ring) = thread
            .ring
            .as_mut()
            .filter(|ring| ring.begun && !ring.whole)
        else {
            return;
        };
        let at = ring::RECORDS + (ring.taken % ring::CAPACITY) as usize;
        ring.bytes.clear();
        let size = (ring.memory.load(at) >> 32).min(ring::RECORD);
        ring.memory.copy(at, &mut ring.bytes, size as usize);
        let Some(head) = Record::parse(&ring.bytes, true).map(|record| record.head) else {
            return;
        };
        let (at_ns, result) = if head.exit_ns == 0 {
            match returned(tid) {
                Some(result) => (self.clock.now(), result),
                None => return,
            }
        } else {
            (self.clock.at(head.exit_ns), head.result)
        };
        if let Some(pending) = thread.recorded.take() {
            let memory = Pid::from_raw(tid);
            // As the library has those that failed looked at.
            let failed = (-4095..0).contains(&result) && result != -i64::from(libc::EAGAIN);
            self.finish_call(tid, pending, at_ns, result, &memory, failed);
        }
    }

    /// The stack of a thread was unwound past the call that it is in.
    fn unwound(&mut self, tid: i32) {
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        if let Some(ring) = &mut thread.ring {
            (ring.begun, ring.whole) = (false, false);
            ring.memory.store(ring::PROGRESS, ring.taken | stage::IDLE);
        }
        if let Some(mut over) = thread.recorded.take() {
            over.call.result = Some(-i64::from(libc::EINTR));
            over.call.took_ns = over
                .stopped_ns
                .map(|stopped| (stopped - over.call.entry_ns).max(0));
            self.sink.send(&Row::Call(over.call));
        }
    }

    /// A call has stopped that the library could have had: makes use of it where it is.
    pub(super) fn meet_library(&mut self, tid: i32, id: u32) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.preload.missed += 1;
        if !self.settings.preload || process.preload.state != State::Unmet {
            return;
        }
        if process.refuses_filters || process.own_filters {
            return self.leave_alone(id, "it has a filter of its own");
        }
        if !process.follows_sockets || process.every_call {
            return;
        }
        let pid = process.row.pid;
        if !self.lines.has_looked_at(pid) {
            return;
        }
        let memory = Pid::from_raw(tid);
        if memory.array(GATE + SIGNATURE_AT) != Some(SIGNATURE) {
            // It may still come: the dynamic linker's own calls stop, too.
            return;
        }
        let words = [u64::from(id), mode::RECORDING];
        if self.tell_library(id, GENERATION, &words)
            && let Some(process) = self.processes.get_mut(&id)
        {
            process.preload.state = State::Recording;
            self.control.taken_over.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes words into the page that the library of a process reads.
    fn tell_library(&self, id: u32, offset: u64, words: &[u64]) -> bool {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        // By any thread: its first may have ended.
        self.processes.get(&id).is_some_and(|process| {
            let mut threads = process.threads.iter();
            threads.any(|tid| memory::write(Pid::from_raw(*tid), CONTROL + offset, &bytes))
        })
    }

    /// Has the library of a process do nothing any more.
    pub(super) fn leave_alone(&mut self, id: u32, reason: &'static str) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let was = std::mem::replace(&mut process.preload.state, State::Passive(reason));
        if was == State::Recording {
            self.tell_library(id, MODE, &[mode::PASSIVE]);
        }
    }

    /// A child uses the memory of its parent until it runs another program (`vfork`), or for ever.
    pub(super) fn lend_memory(&mut self, parent: u32, child: u32, vfork: bool) {
        if let Some(child) = self.processes.get_mut(&child) {
            child.preload.state = State::Passive("it shares its parent's memory");
        }
        let Some(process) = self.processes.get_mut(&parent) else {
            return;
        };
        if !vfork {
            return self.leave_alone(parent, "another process shares its memory");
        }
        process.preload.borrowers += 1;
        if process.preload.state == State::Recording {
            self.tell_library(parent, MODE, &[mode::PASSIVE]);
        }
    }

    /// A child that used the memory of the process of `tid` has its own now, or has ended.
    pub(super) fn memory_returned(&mut self, tid: i32) {
        let Some(id) = self.threads.get(&tid).map(|thread| thread.process) else {
            return;
        };
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.preload.borrowers = process.preload.borrowers.saturating_sub(1);
        if process.preload.borrowers == 0 && process.preload.state == State::Recording {
            self.tell_library(id, MODE, &[mode::RECORDING]);
        }
    }

    /// A thread ends: its ring is for the next one.
    pub(super) fn return_ring(&mut self, tid: i32) {
        self.ringed.remove(&tid);
        let Some(thread) = self.threads.get_mut(&tid) else {
            return;
        };
        if let Some(mut ring) = thread.ring.take()
            && let Some(process) = self.processes.get_mut(&thread.process)
        {
            // It may have ended in a call. The next thread is another one to Python.
            ring.memory.store(ring::PYTHON, 0);
            (ring.begun, ring.whole) = (false, false);
            ring.taken = ring.memory.load(ring::PROGRESS) & !stage::MASK;
            ring.memory.store(ring::TAKEN, ring.taken);
            ring.memory.store(ring::PROGRESS, ring.taken | stage::IDLE);
            process.preload.free.push(ring);
        }
    }

    /// A process has memory of its own again, in which nothing is shared.
    pub(super) fn forget_library(&mut self, id: u32) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.preload = Preload::default();
        }
    }

    /// From here on, calls are only made.
    pub(super) fn let_through(&mut self) {
        for (id, process) in &self.processes {
            if process.preload.state == State::Recording && process.preload.borrowers == 0 {
                self.tell_library(*id, MODE, &[mode::THROUGH]);
            }
        }
    }

    /// The library may have the calls on a socket whose addresses are known, or are not to be known, and looks at it itself.
    pub(super) fn leave_to_library(
        &self,
        table: &crate::descriptors::SharedTable,
        fd: i32,
        socket: u32,
    ) {
        let Some(known) = self.registry.sockets.get(&socket) else {
            return;
        };
        let row = &known.row;
        let complete = row.local.is_some() && (!known.is_stream() || row.remote.is_some());
        if !complete && known.samples < samples::SAMPLED_CALLS {
            return;
        }
        let when = match samples::SAMPLED_CALLS.saturating_sub(known.samples) {
            0 => self
                .clock
                .monotonic_at(known.sampled_ns + samples::SAMPLE_INTERVAL_NS)
                as u64,
            soon => u64::from(soon).min(table::SOON),
        };
        let mut table = table.borrow_mut();
        if self.settings.samples {
            table.look_again(fd, when);
        }
        table.unwatch(fd);
    }

    /// Says why a process with sockets was followed by stops alone.
    pub(super) fn tell_way(&mut self, id: u32) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        if !self.settings.preload || process.preload.missed == 0 || !self.recording {
            return;
        }
        let reason = match process.preload.state {
            State::Recording => return,
            State::Passive(reason) => reason,
            State::Unmet => {
                "the library is not in it: a static or set-uid program, or one that was started without LD_PRELOAD"
            }
        };
        let row = rows::Mark {
            at_ns: self.clock.now(),
            process: Some(id),
            tid: None,
            kind: "via".into(),
            text: format!("ptrace: {reason}"),
        };
        self.control.stopped_alone.fetch_add(1, Ordering::Relaxed);
        self.sink.send(&Row::Mark(row));
    }
}

/// What the kernel returned to a thread that dies at the gate, right behind the call, as by SIGPIPE; `None`: the call was cut short.
fn returned(tid: i32) -> Option<i64> {
    let registers = ptrace::registers(tid).ok()?;
    let result = registers.rax as i64;
    let cut_short = interrupted::restarts(result)
        || result == -i64::from(libc::EINTR)
        || result == -i64::from(libc::ENOSYS);
    (registers.rip == GATE_RETURN && !cut_short).then_some(result)
}
