//! The stacks of native programs: where in C, C++, Rust or Go a call is made, and in code that was made while the program ran.
//!
//! Three processes have a part in it, because debug information is large, slow to read and the target's to make:
//!
//! - the tracer walks the stack of a stopped thread ([`Stacks`]) by the call frame information of the files on it. It only reads, a bounded
//!   amount, and hands on addresses;
//! - the recorder decides which frame is the user's own code ([`Verdicts`]);
//! - a process of its own looks addresses up in debug information ([`symbols`]). If that takes too long, too much memory or ends
//!   the process, the line is unknown, and nobody else notices.

mod frame_pointers;
mod go;
mod perf_map;
mod stacks;
pub mod symbols;
mod tables;
mod verdicts;

pub use stacks::{Stack, Stacks, Tell};
pub use verdicts::Verdicts;

/// Bytes of a frame in `stack.frames`: number of the binary, address.
pub(crate) const FRAME: usize = 12;
