//! Decoded frames as Arrow columns.
//!
//! A column is one entry of [`COLUMNS`]: name, meaning, and how it is filled. Frames are decoded in groups of [`GROUP`], and then
//! every column takes the group in one loop. The fields that most callers want are put into [`Headers`] as each frame is decoded,
//! where the processor has just found out what the frame is; their columns copy whole arrays and never look at a frame. The
//! others are made from the decoded frames, so a column that was not asked for costs nothing.

use crate::decode::Frame;
use crate::file::{Chunk, Record};

mod batches;
mod builder;
mod headers;
mod kinds;
mod parallel;
mod table;

pub use batches::{Batches, Plan, Report};
pub use builder::{Builder, Group};
pub use parallel::ParallelBatches;
pub use table::{COLUMNS, DEFAULT};

use headers::{Headers, Values};
use kinds::Column;

/// Rows decoded before the columns take them. One word of validity bits; the frames stay in the first-level cache.
pub const GROUP: usize = 64;

/// What is known of a frame beside its decoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// Number in its capture, from 1.
    pub number: u64,
    /// Nanoseconds since 1970.
    pub timestamp_ns: Option<i64>,
    /// Interface: its number in a file, its index on a live system.
    pub interface: u32,
    /// Whether it was received (true) or sent.
    pub inbound: Option<bool>,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Beside it.
    pub meta: Meta,
    /// Where it comes from, for what only a file knows.
    pub file: Option<(&'a Chunk, &'a Record)>,
}

/// A column of [`COLUMNS`].
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// What it holds, with unit.
    pub meaning: &'static str,
    kind: Kind,
    /// Of the innermost packet that a tunnel carries.
    inner: bool,
}

enum Kind {
    /// Copied from an array of [`Headers`]; the word says which frames have a value.
    Header(fn(&Headers) -> (Values<'_>, u64)),
    /// Made from the decoded frames.
    Made(fn() -> Box<dyn Column>),
}

/// Every frame of a group.
const ALL: u64 = u64::MAX;

impl std::fmt::Debug for Definition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

#[cfg(test)]
mod tests;
