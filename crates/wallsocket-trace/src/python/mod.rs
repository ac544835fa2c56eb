//! What a CPython process is doing, read from its memory: no stop, no code in the target, no change of its environment.
//!
//! CPython 3.11 and 3.12; 3.13, 3.14 and 3.15 by their own tables of offsets. Everything read is checked, because a
//! running target changes it meanwhile and a new version may lay it out anew: the answer is right or [`Unknown`].
//!
//! ```no_run
//! use wallsocket_trace::python::{Interpreter, TopFrame};
//! if let Some(mut interpreter) = Interpreter::find(4711)? {
//!     // Of a thread that stands still: stopped by the tracer, or blocked in a call.
//!     if let TopFrame::User(frame) = interpreter.top_user_frame(4711)? {
//!         let _where = (frame.code.file.clone(), frame.line);
//!     }
//! }
//! # Ok::<(), wallsocket_trace::python::Unknown>(())
//! ```

mod classifier;
mod code;
mod elf;
mod frames;
mod layout;
mod locate;
mod memory;
mod objects;
mod packages;
mod published;
mod tasks;

pub use classifier::{Chosen, Classifier, Place};
pub use code::{Code, Kind};
pub use frames::{Frame, Interpreter, Sample, Thread, TopFrame};
pub use locate::Anchors;
pub use memory::{ProcessMemory, Range, ReadMemory};
pub use tasks::{Task, TaskState};

/// Why an answer is not known. The text completes "unknown: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The kernel refuses to let us read it.
    #[error(
        "no permission to read the memory of this process (needs the same user and no ptrace restriction)"
    )]
    NotPermitted,
    /// It ended.
    #[error("the process or thread is gone")]
    Gone,
    /// A page was not mapped: the pointer to it was stale or torn.
    #[error("memory at {0:#x} could not be read")]
    Unreadable(u64),
    /// What was read contradicts itself: the target ran meanwhile, or lays things out in another way.
    #[error("{0}")]
    Inconsistent(&'static str),
    /// A CPython without a table of offsets.
    #[error("CPython {0} is not supported (3.11 to 3.15 are)")]
    Version(String),
    /// A CPython that was built without the interpreter lock.
    #[error("CPython {0} without the interpreter lock (a free-threaded build) is not supported")]
    FreeThreaded(String),
    /// Another implementation of Python.
    #[error("{0} is not supported (only CPython is)")]
    Implementation(String),
    /// A thread that has never run Python code, or that ended it.
    #[error("thread {0} has no Python state")]
    NoPythonThread(i32),
    /// It ran while it was read, so its frames do not belong together.
    #[error("the thread was running")]
    Running,
    /// The interpreter is still starting, or already ending.
    #[error("the interpreter is not running yet, or no more")]
    NotRunning,
}
