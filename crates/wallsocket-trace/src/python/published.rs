//! What the preloaded library is told of an interpreter, and the stacks that it notes: see `wallsocket_ring::python`.

use std::collections::HashMap;
use std::sync::Arc;

use wallsocket_ring::python::{CODES, PROBES, SLOT, SLOTS, WORDS, Words, slot};
use wallsocket_sys::shared::Shared;

use super::classifier::Place;
use super::code::{Cached, identity_length};
use super::frames::{Frame, Interpreter, TopFrame};
use super::layout::CurrentFrame;
use super::memory::ReadMemory;

/// Code objects that are numbered in one process; a program that makes more has the calls from them stop.
const NUMBERED_MAX: usize = 1 << 16;

/// The code objects that the library of a process knows.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// By number.
    codes: Vec<Arc<Cached>>,
    numbers: HashMap<u64, usize>,
    /// Whose code they are is to be looked at again: the library must forget all of them.
    stale: bool,
    /// Which place is taken next where all are taken.
    next: usize,
}

impl Published {
    /// Places of code were learned: what is known of earlier ones may be wrong.
    pub(crate) fn outdate(&mut self) {
        self.stale = !self.codes.is_empty();
    }
}

impl<M: ReadMemory> Interpreter<M> {
    /// Tells the library of the process, through its table, how to read a stack; false: that cannot be told.
    pub(crate) fn introduce(&self, table: &Shared) -> bool {
        let layout = &self.layout;
        let code = &layout.code;
        let (from, to) = (layout.object_type, identity_length(code));
        // One word of a code object may change in part.
        let (start, end) = code.mutable.unwrap_or((0, 0));
        if !from.is_multiple_of(8)
            || !to.is_multiple_of(8)
            || (end > 0 && start / 8 != (end - 1) / 8)
        {
            return false;
        }
        let mut bytes = [0xFF; 8];
        bytes[start % 8..start % 8 + (end - start)].fill(0);
        let (thread_frame, indirect) = match layout.current_frame {
            CurrentFrame::Direct(offset) => (offset, u64::MAX),
            CurrentFrame::ByCFrame { cframe, frame } => (cframe, frame),
        };
        let words = Words {
            enabled: 1,
            thread_frame: thread_frame as u64,
            indirect,
            thread_native_id: layout.thread_native_id as u64,
            thread_interpreter: layout.thread_interpreter as u64,
            frame_code: layout.frame_code as u64,
            frame_previous: layout.frame_previous as u64,
            frame_instruction: layout.frame_instruction as u64,
            frame_owner: layout.frame_owner as u64,
            owner_c_from: layout.owner_c_from.into(),
            code_tag: layout.frame_tag,
            identity_from: from as u64,
            identity_to: to as u64,
            masked_at: if end > 0 {
                start as u64 / 8 * 8
            } else {
                u64::MAX
            },
            mask: u64::from_ne_bytes(bytes),
        };
        for (index, word) in words.all().into_iter().enumerate() {
            table.store(WORDS + index * 8, word);
        }
        true
    }

    /// Tells the library the code objects that the latest walk has met, and gives the words for the thread's ring.
    pub(crate) fn publish(&mut self, table: &Shared) -> [u64; 3] {
        if std::mem::take(&mut self.published.stale) {
            for index in 0..SLOTS {
                table.store(CODES + index * SLOT, 0);
            }
            self.published.numbers.clear();
        }
        if !self.knows_libraries() {
            return [0; 3];
        }
        for (address, cached) in std::mem::take(&mut self.walked.codes) {
            let known = self.published.numbers.get(&address);
            if known.is_some_and(|number| Arc::ptr_eq(&self.published.codes[*number], &cached))
                && is_shown(table, address)
            {
                continue;
            }
            let Some(words) = cached.fingerprints(self.layout.object_type) else {
                continue;
            };
            let number = self.published.codes.len();
            if number >= NUMBERED_MAX {
                return [0; 3];
            }
            let ends = matches!(cached.code.place, Place::User | Place::Loop);
            self.published.codes.push(cached);
            self.published.numbers.insert(address, number);
            let at = self.place_for(table, address);
            // The address last: another thread may be looking.
            table.store(at, 0);
            let [identity, contents, places @ ..] = words;
            table.store(at + 8, identity);
            table.store(at + 16, contents);
            table.store(at + 24, (number as u64) << 1 | u64::from(ends));
            for (index, word) in places.into_iter().enumerate() {
                table.store(at + 32 + index * 8, word);
            }
            table.store(at, address);
        }
        self.walked.thread
    }

    fn place_for(&mut self, table: &Shared, address: u64) -> usize {
        let mut of_address = slots(address);
        let found = of_address
            .clone()
            .find(|at| table.load(*at) == address)
            .or_else(|| of_address.clone().find(|at| table.load(*at) == 0));
        self.published.next = (self.published.next + 1) % PROBES;
        found
            .or_else(|| of_address.nth(self.published.next))
            .unwrap_or(CODES)
    }

    /// What a call is attributed to whose stack the library has noted: pairs of a number and an instruction.
    pub(crate) fn noted(&self, stack: &[u8]) -> TopFrame {
        let (words, _) = stack.as_chunks::<8>();
        let (pairs, _) = words.as_chunks::<2>();
        TopFrame::of(pairs.iter().map_while(|[number, instruction]| {
            let number = usize::try_from(u64::from_ne_bytes(*number)).ok()?;
            let cached = self.published.codes.get(number)?;
            Some(Frame {
                code: Arc::clone(&cached.code),
                line: cached.line(u64::from_ne_bytes(*instruction)).ok()?,
            })
        }))
    }
}

fn is_shown(table: &Shared, address: u64) -> bool {
    slots(address).any(|at| table.load(at) == address)
}

/// Where in the table a code object may be.
fn slots(address: u64) -> impl Iterator<Item = usize> + Clone {
    let first = slot(address);
    (0..PROBES).map(move |probe| CODES + (first + probe) % SLOTS * SLOT)
}
