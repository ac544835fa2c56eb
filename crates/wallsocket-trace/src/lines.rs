//! The source lines that calls were made from.

use std::collections::HashMap;
use std::sync::Arc;

use wallsocket_sys::shared::Shared;

use crate::ids::Ids;
use crate::native::{Stack, Stacks};
use crate::python::{Chosen, Interpreter, TopFrame};
use crate::rows::{self, Row};
use crate::sink::Sink;

/// A line of source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// Path as the interpreter has it.
    pub file: Arc<str>,
    /// Line number, from 1; unknown when the compiler noted none.
    pub number: Option<u32>,
    /// Qualified name of the function.
    pub function: Arc<str>,
}

/// Where a call was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// In the user's own code.
    Direct(Line),
    /// No frame of the user's own code on the stack; the innermost library frame.
    Library(Line),
    /// By an event loop.
    Loop,
    /// On a native stack: the recorder finds whose code that is, and its line.
    Native(Stack),
    /// Not known.
    Unknown,
}

fn site(frame: TopFrame) -> Site {
    let line = |frame: crate::python::Frame| Line {
        file: Arc::clone(&frame.code.file),
        number: frame.line,
        function: Arc::clone(&frame.code.function),
    };
    match frame {
        TopFrame::User(frame) => Site::Direct(line(frame)),
        TopFrame::Library(frame) => Site::Library(line(frame)),
        TopFrame::Loop(_) => Site::Loop,
        TopFrame::None => Site::Unknown,
    }
}

/// Finds source lines, and numbers them.
#[derive(Debug, Default)]
pub struct Lines {
    wanted: bool,
    chosen: Chosen,
    /// Of each process; `None`: looked at, and no interpreter that can be read.
    interpreters: Ids<i32, Option<Interpreter>>,
    numbers: HashMap<Line, u32>,
    /// The last number of a line.
    last: u32,
    stacks: Stacks,
    /// It was told how a program in JavaScript is asked for its lines.
    is_advised: bool,
}

impl Lines {
    /// With `wanted` false every site is unknown; `chosen` says what is the user's own code and what is not.
    pub fn new(wanted: bool, chosen: Chosen) -> Self {
        Self {
            wanted,
            chosen,
            ..Self::default()
        }
    }

    /// The interpreter of a process, looked for at its first call of interest. A reason why there is none that should
    /// be told goes to `tell`.
    fn interpreter(&mut self, pid: i32, tell: &mut dyn FnMut(String)) -> Option<&mut Interpreter> {
        let chosen = &self.chosen;
        self.interpreters
            .entry(pid)
            .or_insert_with(|| match Interpreter::find(pid) {
                Ok(found) => found.map(|mut interpreter| {
                    interpreter.choose(chosen.clone());
                    interpreter
                }),
                Err(unknown) => {
                    tell(unknown.to_string());
                    None
                }
            })
            .as_mut()
    }

    /// Where the stopped thread `tid` of process `pid` stands: in Python, else on its native stack, of which a new one is sent first.
    pub fn at(&mut self, sink: &Sink, pid: i32, tid: i32, mut tell: impl FnMut(String)) -> Site {
        if !self.wanted {
            return Site::Unknown;
        }
        let python = self
            .interpreter(pid, &mut tell)
            .and_then(|interpreter| interpreter.top_user_frame(tid).ok())
            .map_or(Site::Unknown, site);
        if python != Site::Unknown {
            return python;
        }
        let last = &mut self.last;
        let site = self
            .stacks
            .of_thread(&mut |row| sink.send(row), pid, tid, || next(last))
            .map_or(Site::Unknown, Site::Native);
        if !self.is_advised && self.stacks.misses_map(pid) && is_node(pid) {
            self.is_advised = true;
            tell(
                "JavaScript has them with node --perf-basic-prof --interpreted-frames-native-stack"
                    .to_owned(),
            );
        }
        site
    }

    /// Where a call of process `pid` was made that returns to `address`, as the preloaded library has noted it.
    pub fn called_from(&mut self, sink: &Sink, pid: i32, address: u64) -> Site {
        if !self.wanted {
            return Site::Unknown;
        }
        let last = &mut self.last;
        self.stacks
            .of_caller(&mut |row| sink.send(row), pid, address, || next(last))
            .map_or(Site::Unknown, Site::Native)
    }

    /// Where a call of process `pid` was made, of which the preloaded library has noted the stack.
    pub fn noted(&self, pid: i32, stack: &[u8]) -> Site {
        let interpreter = self.interpreters.get(&pid).and_then(Option::as_ref);
        interpreter.map_or(Site::Unknown, |interpreter| site(interpreter.noted(stack)))
    }

    /// Tells the preloaded library of process `pid` how to note stacks; false: that cannot be told. Nothing where there are none.
    pub fn introduce(&self, pid: i32, table: &Shared) -> bool {
        let interpreter = self.interpreters.get(&pid).and_then(Option::as_ref);
        interpreter.is_none_or(|interpreter| interpreter.introduce(table))
    }

    /// Tells it what the latest stack of the process has shown: the words for the ring of the thread.
    pub fn publish(&mut self, pid: i32, table: &Shared) -> Option<[u64; 3]> {
        let interpreter = self.interpreters.get_mut(&pid).and_then(Option::as_mut)?;
        Some(interpreter.publish(table))
    }

    /// The language of a process that [`Lines::at`] has looked at, when its memory shows one.
    pub fn language(&self, pid: i32) -> Option<String> {
        self.interpreters
            .get(&pid)?
            .as_ref()
            .map(|interpreter| format!("python {}", interpreter.version()))
    }

    /// Whether the process was looked at.
    pub fn has_looked_at(&self, pid: i32) -> bool {
        !self.wanted || self.interpreters.contains_key(&pid)
    }

    /// The process has ended or runs another program.
    pub fn forget(&mut self, pid: i32) {
        self.interpreters.remove(&pid);
        self.stacks.forget(pid);
    }

    /// The number of a line; a new one is sent first.
    pub fn source(&mut self, sink: &Sink, line: Line) -> u32 {
        if let Some(number) = self.numbers.get(&line) {
            return *number;
        }
        let number = next(&mut self.last);
        sink.send(&Row::Source(rows::Source {
            id: number,
            file: Some(line.file.to_string()),
            line: line.number,
            function: Some(line.function.to_string()),
        }));
        self.numbers.insert(line, number);
        number
    }
}

/// Whether the process runs Node.js.
fn is_node(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| {
        path.file_name()
            .is_some_and(|name| name == "node" || name == "nodejs")
    })
}

fn next(last: &mut u32) -> u32 {
    *last += 1;
    *last
}
