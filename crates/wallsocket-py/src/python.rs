//! `wallsocket._core.python`: what a CPython process is doing, read from its memory.

use std::collections::HashMap;
use std::path::PathBuf;

use pyo3::exceptions::PyProcessLookupError;
use pyo3::prelude::*;
use wallsocket_trace::python::{self, Chosen, Kind, Place, Sample, TaskState, TopFrame, Unknown};

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
    /// Whose code it is: `user`, `program` (installed with the program that was started), `library` or `loop`.
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
                Place::Program => "program",
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

impl From<Sample> for Stack {
    fn from(sample: Sample) -> Self {
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
        Self {
            waiting,
            frames: frames.iter().map(Frame::from).collect(),
            top: top.as_ref().map(Frame::from),
            place,
        }
    }
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

impl From<&python::Thread> for Thread {
    fn from(thread: &python::Thread) -> Self {
        Self {
            native_id: thread.native_id,
            interpreter: thread.interpreter,
            holds_gil: thread.holds_gil,
        }
    }
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
    /// Of a ready task: the epoll descriptor in which its loop waits.
    epoll: Option<i32>,
    /// The frame that its wait is attributed to; None when it has none.
    top: Option<Frame>,
}

impl From<python::Task> for Task {
    fn from(task: python::Task) -> Self {
        Self {
            state: match task.state {
                TaskState::Running => "running",
                TaskState::Ready => "ready",
                TaskState::Waiting => "waiting",
                TaskState::Done => "done",
            },
            top: task.top_user_frame().map(Frame::from),
            frames: task.frames.iter().map(Frame::from).collect(),
            name: task.name,
            awaits: task.awaits,
            descriptor: task.descriptor,
            epoll: task.epoll,
        }
    }
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

/// The CPython interpreter of a process. Asked again, it remembers what it has seen, and is quicker.
#[pyclass(module = "wallsocket._core.python")]
struct Interpreter {
    inner: python::Interpreter,
    /// As `3.11.7`.
    #[pyo3(get)]
    version: String,
    /// The mapped file that holds it, as the process names it.
    #[pyo3(get)]
    object: PathBuf,
}

impl Interpreter {
    fn of(py: Python<'_>, pid: i32, chosen: Chosen) -> PyResult<Option<Self>> {
        let found = py
            .detach(|| python::Interpreter::find(pid))
            .map_err(|unknown| error(py, &unknown))?;
        Ok(found.map(|mut inner| {
            inner.choose(chosen);
            Self {
                version: inner.version(),
                object: inner.anchors().object.clone(),
                inner,
            }
        }))
    }
}

#[pymethods]
impl Interpreter {
    /// The threads that run Python code.
    fn threads(&self, py: Python<'_>) -> PyResult<Vec<Thread>> {
        let threads = py
            .detach(|| self.inner.threads())
            .map_err(|unknown| error(py, &unknown))?;
        Ok(threads.iter().map(Thread::from).collect())
    }

    /// The stack of thread `tid`.
    fn frames(&mut self, py: Python<'_>, tid: i32) -> PyResult<Stack> {
        let sample = py
            .detach(|| self.inner.sample(tid))
            .map_err(|unknown| error(py, &unknown))?;
        Ok(Stack::from(sample))
    }

    /// The stacks of the threads `tids`, without those that run no Python code or are gone.
    fn stacks(&mut self, py: Python<'_>, tids: Vec<i32>) -> PyResult<HashMap<i32, Stack>> {
        let samples = py
            .detach(|| self.inner.samples(tids))
            .map_err(|unknown| error(py, &unknown))?;
        Ok(samples
            .into_iter()
            .map(|(tid, sample)| (tid, Stack::from(sample)))
            .collect())
    }

    /// The asyncio tasks that are not done.
    fn tasks(&mut self, py: Python<'_>) -> PyResult<Vec<Task>> {
        let tasks = py
            .detach(|| self.inner.tasks())
            .map_err(|unknown| error(py, &unknown))?;
        Ok(tasks.into_iter().map(Task::from).collect())
    }

    fn __repr__(&self) -> String {
        format!(
            "<Interpreter CPython {} in {}>",
            self.version,
            self.object.display()
        )
    }
}

/// The interpreter of process `pid`, or None when it runs no Python. Files and directories in `user_code` and `library`
/// are the user's own code and library code, whatever else they look like.
#[pyfunction]
#[pyo3(signature = (pid, user_code = Vec::new(), library = Vec::new()))]
fn describe(
    py: Python<'_>,
    pid: i32,
    user_code: Vec<String>,
    library: Vec<String>,
) -> PyResult<Option<Interpreter>> {
    let chosen = Chosen {
        user: user_code,
        libraries: library,
    };
    Interpreter::of(py, pid, chosen)
}

/// The threads of process `pid` that run Python code.
#[pyfunction]
fn threads(py: Python<'_>, pid: i32) -> PyResult<Vec<Thread>> {
    Interpreter::of(py, pid, Chosen::default())?
        .map_or_else(|| Ok(Vec::new()), |found| found.threads(py))
}

/// The stack of thread `tid` of process `pid`, or None when the process runs no Python.
#[pyfunction]
fn frames(py: Python<'_>, pid: i32, tid: i32) -> PyResult<Option<Stack>> {
    Interpreter::of(py, pid, Chosen::default())?
        .map(|mut found| found.frames(py, tid))
        .transpose()
}

/// The asyncio tasks of process `pid` that are not done.
#[pyfunction]
fn tasks(py: Python<'_>, pid: i32) -> PyResult<Vec<Task>> {
    Interpreter::of(py, pid, Chosen::default())?
        .map_or_else(|| Ok(Vec::new()), |mut found| found.tasks(py))
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Frame>()?;
    module.add_class::<Interpreter>()?;
    module.add_class::<Stack>()?;
    module.add_class::<Task>()?;
    module.add_class::<Thread>()?;
    module.add_function(wrap_pyfunction!(describe, module)?)?;
    module.add_function(wrap_pyfunction!(frames, module)?)?;
    module.add_function(wrap_pyfunction!(tasks, module)?)?;
    module.add_function(wrap_pyfunction!(threads, module)?)
}
