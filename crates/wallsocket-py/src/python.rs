//! `wallsocket._core.python`: what a CPython process is doing, read from its memory.

use std::path::PathBuf;

use pyo3::exceptions::PyProcessLookupError;
use pyo3::prelude::*;
use wallsocket_trace::python::{
    self, Interpreter, Kind, Place, Sample, TaskState, TopFrame, Unknown,
};

/// One call on a stack, or one coroutine of a chain.
#[pyclass(frozen, get_all, eq, module = "wallsocket._core.python")]
#[derive(Clone, PartialEq)]
struct Frame {
    /// `co_filename`: a path, or a name such as `<string>`.
    file: String,
    /// Line it is at; None when the compiler noted none.
    line: Option<u32>,
    /// Qualified name.
    function: String,
    /// Line of its `def`.
    first_line: u32,
    /// `function`, `generator`, `coroutine` or `async_generator`.
    kind: &'static str,
    /// Whose code it is: `user`, `library` or `loop`.
    place: &'static str,
}

#[pymethods]
impl Frame {
    fn __repr__(&self) -> String {
        let line = self
            .line
            .map_or_else(|| "?".to_owned(), |line| line.to_string());
        format!("<Frame {}:{line} {}>", self.file, self.function)
    }
}

impl From<&python::Frame> for Frame {
    fn from(frame: &python::Frame) -> Self {
        Self {
            file: frame.code.file.to_string(),
            line: frame.line,
            function: frame.code.function.to_string(),
            first_line: frame.code.first_line,
            kind: match frame.code.kind {
                Kind::Function => "function",
                Kind::Generator => "generator",
                Kind::Coroutine => "coroutine",
                Kind::AsyncGenerator => "async_generator",
            },
            place: match frame.code.place {
                Place::User => "user",
                Place::Library => "library",
                Place::Loop => "loop",
            },
        }
    }
}

/// The stack of a thread.
#[pyclass(frozen, get_all, module = "wallsocket._core.python")]
#[derive(Clone)]
struct Stack {
    /// Whether the thread waited in the kernel while it was read. If not, `frames` holds the innermost frame only.
    waiting: bool,
    /// Innermost first.
    frames: Vec<Frame>,
    /// The frame a call is attributed to; None when none of `frames` can be.
    top: Option<Frame>,
    /// Whose code `top` is: `user`; `library`, when no frame is the user's; `loop`, when an event loop made the call on
    /// its own account.
    place: Option<&'static str>,
}

/// A thread that runs Python code.
#[pyclass(frozen, get_all, module = "wallsocket._core.python")]
#[derive(Clone)]
struct Thread {
    /// Its id, as `gettid()` gives it inside the process's pid namespace.
    native_id: u64,
    /// 0 is the main interpreter.
    interpreter: usize,
    /// Whether it holds the global interpreter lock.
    holds_gil: bool,
}

/// An asyncio task that is not done.
#[pyclass(frozen, get_all, module = "wallsocket._core.python")]
#[derive(Clone)]
struct Task {
    name: String,
    /// `running`, `ready` or `waiting`.
    state: &'static str,
    /// Coroutines that await one another, innermost first.
    frames: Vec<Frame>,
    /// What the innermost awaits, such as `future` or `task Task-2`.
    awaits: Option<String>,
    /// Descriptor of the socket it waits on.
    descriptor: Option<i32>,
}

/// What is known of the interpreter.
#[pyclass(frozen, get_all, module = "wallsocket._core.python")]
#[derive(Clone)]
struct Description {
    /// As `3.11.7`.
    version: String,
    /// The mapped file that holds the interpreter, as the process names it.
    object: PathBuf,
}

fn error(py: Python<'_>, unknown: &Unknown) -> PyErr {
    let name = match unknown {
        Unknown::Gone => return PyProcessLookupError::new_err(unknown.to_string()),
        Unknown::NotPermitted => "NotPermitted",
        _ => "NotAvailable",
    };
    let make = || {
        let kind = py.import("wallsocket.errors")?.getattr(name)?;
        kind.call1((unknown.to_string(),))
    };
    make().map_or_else(|failed| failed, PyErr::from_value)
}

/// Finds the interpreter of `pid` and asks it `question`, without the lock.
fn ask<T: Send>(
    py: Python<'_>,
    pid: i32,
    question: impl FnOnce(&mut Interpreter) -> Result<T, Unknown> + Send,
) -> PyResult<Option<T>> {
    py.detach(|| Interpreter::find(pid)?.as_mut().map(question).transpose())
        .map_err(|unknown| error(py, &unknown))
}

/// The interpreter of process `pid`, or None when it runs no Python.
#[pyfunction]
fn describe(py: Python<'_>, pid: i32) -> PyResult<Option<Description>> {
    ask(py, pid, |interpreter| {
        Ok(Description {
            version: interpreter.version(),
            object: interpreter.anchors().object.clone(),
        })
    })
}

/// The threads of process `pid` that run Python code.
#[pyfunction]
fn threads(py: Python<'_>, pid: i32) -> PyResult<Vec<Thread>> {
    let threads = ask(py, pid, |interpreter| interpreter.threads())?.unwrap_or_default();
    Ok(threads
        .into_iter()
        .map(|thread| Thread {
            native_id: thread.native_id,
            interpreter: thread.interpreter,
            holds_gil: thread.holds_gil,
        })
        .collect())
}

/// The stack of thread `tid` of process `pid`, or None when the process runs no Python.
#[pyfunction]
fn frames(py: Python<'_>, pid: i32, tid: i32) -> PyResult<Option<Stack>> {
    let sample = ask(py, pid, |interpreter| interpreter.sample(tid))?;
    Ok(sample.map(|sample| {
        let (waiting, frames) = match sample {
            Sample::Waiting(frames) => (true, frames),
            Sample::Running(frame) => (false, frame.into_iter().collect()),
        };
        let (top, place) = match TopFrame::of(frames.iter().cloned()) {
            TopFrame::User(frame) => (Some(frame), Some("user")),
            // What called it is not known, so neither is whether that is the user's own code.
            TopFrame::Library(_) | TopFrame::Loop(_) if !waiting => (None, None),
            TopFrame::Library(frame) => (Some(frame), Some("library")),
            TopFrame::Loop(frame) => (Some(frame), Some("loop")),
            TopFrame::None => (None, None),
        };
        Stack {
            waiting,
            frames: frames.iter().map(Frame::from).collect(),
            top: top.as_ref().map(Frame::from),
            place,
        }
    }))
}

/// The asyncio tasks of process `pid` that are not done.
#[pyfunction]
fn tasks(py: Python<'_>, pid: i32) -> PyResult<Vec<Task>> {
    let tasks = ask(py, pid, |interpreter| interpreter.tasks())?.unwrap_or_default();
    Ok(tasks
        .into_iter()
        .map(|task| Task {
            state: match task.state {
                TaskState::Running => "running",
                TaskState::Ready => "ready",
                TaskState::Waiting => "waiting",
                TaskState::Done => "done",
            },
            frames: task.frames.iter().map(Frame::from).collect(),
            name: task.name,
            awaits: task.awaits,
            descriptor: task.descriptor,
        })
        .collect())
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Description>()?;
    module.add_class::<Frame>()?;
    module.add_class::<Stack>()?;
    module.add_class::<Task>()?;
    module.add_class::<Thread>()?;
    module.add_function(wrap_pyfunction!(describe, module)?)?;
    module.add_function(wrap_pyfunction!(frames, module)?)?;
    module.add_function(wrap_pyfunction!(tasks, module)?)?;
    module.add_function(wrap_pyfunction!(threads, module)?)
}
