//! Where in a Python program a call is made: the frames of the calling thread, whose stack stands still meanwhile.
//!
//! The thread's state was found by the tracer; it lives as long as its thread runs Python code. What it leads to is alive as
//! long as the thread is in this call: a frame holds its code object, which holds its names.

use core::sync::atomic::{AtomicU64, Ordering};

use wallsocket_ring::python::{
    CODES, CONTENT, CONTENTS, FRAMES, PROBES, SLOT, SLOTS, WORDS, Words, mix, slot,
};
use wallsocket_ring::ring;

use crate::recording::is_readable;
use crate::system::Thread;

/// The stack: number and instruction of each frame, innermost first.
pub(crate) struct Stack {
    /// Pairs.
    pub(crate) frames: [[u64; 2]; FRAMES],
    /// How many there are.
    pub(crate) count: usize,
}

/// Reads a word of the program.
///
/// # Safety
/// It must be readable.
#[inline(always)]
unsafe fn word(address: u64) -> u64 {
    // SAFETY: as promised by the caller; aligned or not.
    unsafe { (address as *const u64).read_unaligned() }
}

/// A word that the tracer writes.
///
/// # Safety
/// The address must be of a word in the table or the ring.
#[inline(always)]
unsafe fn shared(address: u64) -> u64 {
    // SAFETY: as promised by the caller: mapped for ever, and aligned.
    unsafe { &*(address as *const AtomicU64) }.load(Ordering::Acquire)
}

/// Whether lines are wanted of this program.
#[inline(always)]
pub(crate) fn is_wanted(thread: &Thread) -> bool {
    // SAFETY: in the table.
    unsafe { shared(thread.shared.table + WORDS as u64) != 0 }
}

/// The stack of the calling thread; `None`: it is left to the tracer.
pub(crate) fn stack(thread: &mut Thread) -> Option<Stack> {
    let table = thread.shared.table;
    // SAFETY: in the table; the tracer has written them before it said that they are there.
    let words = unsafe { ((table + WORDS as u64) as *const Words).read() };
    let ring = thread.shared.ring + ring::PYTHON as u64;
    // SAFETY: in the ring.
    let (state, interpreter, native_id) =
        unsafe { (shared(ring), shared(ring + 8), shared(ring + 16)) };
    if state == 0 || !is_readable(thread, state as usize, 512) {
        return None;
    }
    // SAFETY: the kernel has read this memory. Each step leads to what the thread's state holds.
    unsafe {
        if word(state + words.thread_native_id) != native_id
            || word(state + words.thread_interpreter) != interpreter
        {
            return None;
        }
        let mut frame = word(state + words.thread_frame);
        if words.indirect != u64::MAX {
            if frame == 0 {
                return None;
            }
            frame = word(frame + words.indirect);
        }
        let mut stack = Stack {
            frames: [[0; 2]; FRAMES],
            count: 0,
        };
        for _ in 0..4 * FRAMES {
            if frame == 0 {
                return Some(stack);
            }
            let owner = u64::from(((frame + words.frame_owner) as *const u8).read());
            let previous = word(frame + words.frame_previous);
            if owner > 8 || previous == frame {
                return None;
            }
            if owner < words.owner_c_from {
                let code = word(frame + words.frame_code) & !words.code_tag;
                let known = known(table, &words, code)?;
                let place = stack.frames.get_mut(stack.count)?;
                *place = [known >> 1, word(frame + words.frame_instruction)];
                stack.count += 1;
                if known & 1 != 0 {
                    return Some(stack);
                }
            }
            frame = previous;
        }
        None
    }
}

/// The number of a code object that the tracer knows, with the low bit.
///
/// # Safety
/// There must be a code object at `code`.
unsafe fn known(table: u64, words: &Words, code: u64) -> Option<u64> {
    let first = slot(code);
    for probe in 0..PROBES {
        let at = table + (CODES + (first + probe) % SLOTS * SLOT) as u64;
        // SAFETY: in the table; what is compared of the code object and, once that is the same, of what it points to, was there
        // when the tracer read it, and is held by the frame.
        unsafe {
            if shared(at) != code {
                continue;
            }
            let mut fingerprint = 0;
            let mut offset = words.identity_from;
            while offset < words.identity_to {
                let mut part = word(code + offset);
                if offset == words.masked_at {
                    part &= words.mask;
                }
                fingerprint = mix(fingerprint, part);
                offset += 8;
            }
            if fingerprint != shared(at + 8) {
                return None;
            }
            let mut contents = 0;
            for content in 0..CONTENTS as u64 {
                let start = shared(at + 32 + content * 16);
                let length = shared(at + 40 + content * 16).min(CONTENT as u64);
                let mut done = 0;
                while done + 8 <= length {
                    contents = mix(contents, word(start + done));
                    done += 8;
                }
                let mut last = 0;
                while done < length {
                    last = last << 8 | u64::from(((start + done) as *const u8).read());
                    done += 1;
                }
                contents = mix(contents, last);
            }
            let number = shared(at + 24);
            return (contents == shared(at + 16) && shared(at) == code).then_some(number);
        }
    }
    None
}
