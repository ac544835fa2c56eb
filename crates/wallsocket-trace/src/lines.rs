//! The source lines that calls were made from.

use std::collections::HashMap;

use crate::rows::{self, Row};
use crate::sink::Sink;

/// A line of source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Path as the interpreter has it.
    pub file: String,
    /// Line number, from 1.
    pub line: u32,
    /// Qualified name of the function.
    pub function: String,
}

/// Where a call was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// In the user's own code.
    Direct(Frame),
    /// No frame of the user's own code on the stack; the innermost library frame.
    Library(Frame),
    /// By an event loop.
    Loop,
    /// Not known.
    Unknown,
}

/// Finds source lines, and numbers them.
#[derive(Debug, Default)]
pub struct Lines {
    wanted: bool,
    numbers: HashMap<Frame, u32>,
}

impl Lines {
    /// With `wanted` false every site is unknown.
    pub fn new(wanted: bool) -> Self {
        Self {
            wanted,
            numbers: HashMap::new(),
        }
    }

    /// Where the stopped thread `tid` of process `pid` stands.
    pub fn at(&mut self, _pid: i32, _tid: i32) -> Site {
        let _ = self.wanted;
        Site::Unknown
    }

    /// The language of a process, when its memory shows one.
    pub fn language(&mut self, _pid: i32) -> Option<String> {
        None
    }

    /// The process has ended or runs another program.
    pub fn forget(&mut self, _pid: i32) {}

    /// The thread has ended.
    pub fn forget_thread(&mut self, _tid: i32) {}

    /// The number of a line; a new one is sent first.
    pub fn source(&mut self, sink: &Sink, frame: Frame) -> u32 {
        if let Some(number) = self.numbers.get(&frame) {
            return *number;
        }
        let number = self.numbers.len() as u32 + 1;
        sink.send(&Row::Source(rows::Source {
            id: number,
            file: Some(frame.file.clone()),
            line: Some(frame.line),
            function: Some(frame.function.clone()),
        }));
        self.numbers.insert(frame, number);
        number
    }
}
