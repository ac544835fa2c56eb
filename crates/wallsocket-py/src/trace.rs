//! `wallsocket._core.trace`: the guardian's rows as tuples for `sqlite3`.

use std::collections::HashMap;
use std::path::PathBuf;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use wallsocket_kernel::syscalls::{NONE, SYSCALLS};
use wallsocket_trace::native::{Stack, Stacks, Verdicts};
use wallsocket_trace::python::Chosen;
use wallsocket_trace::rows::{End, Row, Source};
use wallsocket_trace::unread;

/// Turns the guardian's stream of bytes into rows.
///
/// Ids of tables that the guardian does not number are given here, in the order of arrival.
#[pyclass(module = "wallsocket._core.trace")]
struct Rows {
    verdicts: Verdicts,
    rest: Vec<u8>,
    /// Rows that came, without those that are added here.
    #[pyo3(get)]
    received: u64,
    states: u64,
    packets: u64,
    facts: u64,
    marks: u64,
}

/// Longest row that can be meant: a call with all of its payload. A longer one means that the stream is not the guardian's.
const LONGEST: usize = 1 << 30;

type Bytes = Option<serde_bytes::ByteBuf>;

fn bytes<'py>(py: Python<'py>, value: &Bytes) -> Option<Bound<'py, PyBytes>> {
    value.as_ref().map(|value| PyBytes::new(py, value))
}

macro_rules! tuple {
    ($py:expr, $($value:expr),+ $(,)?) => {
        PyTuple::new($py, [$($value.into_bound_py_any($py)?),+])?
    };
}

#[pymethods]
impl Rows {
    /// `guardian` is its program, which also looks up native lines; `user` and `libraries` are paths whose code is the user's own, or is not.
    #[new]
    fn new(guardian: PathBuf, user: Vec<String>, libraries: Vec<String>) -> Self {
        Self {
            verdicts: Verdicts::new(guardian, Chosen { user, libraries }),
            rest: Vec::new(),
            received: 0,
            states: 0,
            packets: 0,
            facts: 0,
            marks: 0,
        }
    }

    /// Starts now what would be started when it is needed first, by whatever thread that is: it is given that thread's priority.
    fn prepare(&mut self) {
        self.verdicts.prepare();
    }

    /// Takes the next bytes of the stream; returns the complete rows in them: a list per table, a tuple per row.
    ///
    /// Key `end` holds what the guardian says of the run: `("not started", step, errno)`, `("main", status, left)`, `("all",)`.
    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyDict>> {
        self.rest.extend_from_slice(data);
        let tables = PyDict::new(py);
        let mut used = 0;
        while used < self.rest.len() {
            match postcard::take_from_bytes::<Row>(&self.rest[used..]) {
                Ok((row, remaining)) => {
                    used = self.rest.len() - remaining.len();
                    self.received += 1;
                    let mut row = match row {
                        Row::Unread(unread) => {
                            let (fact, call) = unread::read(unread);
                            if let Some(fact) = fact {
                                self.add(py, &tables, Row::Fact(fact))?;
                            }
                            Row::Call(call)
                        }
                        row => row,
                    };
                    let verdicts = &mut self.verdicts;
                    let line = if matches!(row, Row::Stack(_)) {
                        py.detach(|| verdicts.apply(&mut row))
                    } else {
                        verdicts.apply(&mut row)
                    };
                    if let Some(line) = line {
                        self.add(py, &tables, Row::Source(line))?;
                    }
                    self.add(py, &tables, row)?;
                }
                Err(postcard::Error::DeserializeUnexpectedEnd)
                    if self.rest.len() - used < LONGEST =>
                {
                    break;
                }
                Err(error) => {
                    return Err(PyValueError::new_err(format!(
                        "not a stream of rows: {error}"
                    )));
                }
            }
        }
        self.rest.drain(..used);
        Ok(tables)
    }
}

impl Rows {
    fn add<'py>(&mut self, py: Python<'py>, tables: &Bound<'py, PyDict>, row: Row) -> PyResult<()> {
        let (table, tuple) = match row {
            Row::Call(c) => (
                "call",
                tuple!(
                    py,
                    c.id,
                    c.process,
                    c.tid,
                    c.number,
                    c.entry_ns,
                    c.took_ns,
                    c.result,
                    c.fd,
                    c.socket,
                    c.made,
                    c.a,
                    c.b,
                    c.c,
                    bytes(py, &c.address),
                    bytes(py, &c.value),
                    c.length,
                    c.offset,
                    bytes(py, &c.payload),
                    c.flags,
                    c.source,
                    c.known,
                    bytes(py, &c.sockets),
                    c.stack,
                    c.via
                ),
            ),
            Row::State(s) => {
                self.states += 1;
                (
                    "state",
                    tuple!(
                        py,
                        self.states,
                        s.socket,
                        s.at_ns,
                        s.moment,
                        s.call,
                        s.state,
                        s.receive_queue,
                        s.send_queue,
                        s.drops,
                        bytes(py, &s.local),
                        bytes(py, &s.remote),
                        bytes(py, &s.tcp_info),
                        bytes(py, &s.memory),
                        bytes(py, &s.options),
                        s.timer,
                        s.timer_ms
                    ),
                )
            }
            Row::Packet(p) => {
                self.packets += 1;
                (
                    "packet",
                    tuple!(
                        py,
                        self.packets,
                        p.at_ns,
                        p.interface,
                        p.link_type,
                        p.length,
                        PyBytes::new(py, &p.frame),
                        p.network
                    ),
                )
            }
            // `feed` has read it.
            Row::Unread(_) => return Ok(()),
            Row::Process(p) => (
                "process",
                tuple!(
                    py,
                    p.id,
                    p.pid,
                    p.parent,
                    p.command,
                    p.executable,
                    p.language,
                    p.started_ns,
                    p.ended_ns,
                    p.exit_code,
                    p.signal,
                    p.network,
                    p.source
                ),
            ),
            Row::Socket(s) => (
                "socket",
                tuple!(
                    py,
                    s.id,
                    s.process,
                    s.family,
                    s.kind,
                    s.protocol,
                    s.cookie.map(|c| c as i64),
                    s.inode,
                    s.origin,
                    s.call,
                    s.parent,
                    bytes(py, &s.local),
                    bytes(py, &s.remote),
                    s.created_ns,
                    s.ended_ns,
                    s.source,
                    s.network,
                    s.peer_inode,
                    s.peer_pid
                ),
            ),
            Row::Descriptor(d) => (
                "descriptor",
                tuple!(
                    py,
                    d.id,
                    d.process,
                    d.number,
                    d.socket,
                    d.origin,
                    d.opened_ns,
                    d.closed_ns,
                    d.cloexec.map(u8::from)
                ),
            ),
            Row::Source(s) => ("source", tuple!(py, s.id, s.file, s.line, s.function)),
            Row::Network(n) => (
                "network",
                tuple!(
                    py,
                    n.id,
                    n.inode,
                    n.cookie.map(|c| c as i64),
                    n.name,
                    n.access
                ),
            ),
            Row::Binary(b) => ("binary", tuple!(py, b.id, b.path, bytes(py, &b.build_id))),
            Row::Stack(s) => ("stack", tuple!(py, s.id, PyBytes::new(py, &s.frames))),
            Row::Counter(c) => ("counter", tuple!(py, c.at_ns, c.name, c.value, c.network)),
            Row::Fact(f) => {
                self.facts += 1;
                (
                    "fact",
                    tuple!(
                        py, self.facts, f.at_ns, f.call, f.kind, f.value, f.occasion, f.network,
                        f.process, f.socket
                    ),
                )
            }
            Row::Mark(m) => {
                self.marks += 1;
                (
                    "mark",
                    tuple!(py, self.marks, m.at_ns, m.process, m.tid, m.kind, m.text),
                )
            }
            Row::Meta(m) => ("meta", tuple!(py, m.key, m.value)),
            Row::End(End::NotStarted { step, errno }) => {
                ("end", tuple!(py, "not started", step, errno))
            }
            Row::End(End::Main { status, left }) => ("end", tuple!(py, "main", status, left)),
            Row::End(End::All) => ("end", tuple!(py, "all")),
        };
        match tables.get_item(table)? {
            Some(list) => list.cast_into::<PyList>()?.append(tuple),
            None => tables.set_item(table, PyList::new(py, [tuple])?),
        }
    }
}

/// The lines of native threads that stand still, without a recording.
#[pyclass(module = "wallsocket._core.trace", unsendable)]
struct NativeLines {
    stacks: Stacks,
    verdicts: Verdicts,
    last: u32,
    lines: Vec<Source>,
    /// By the number of the stack.
    frames: HashMap<u32, Vec<u8>>,
}

impl NativeLines {
    /// The stack of a thread that stands still. What is new of it is judged.
    fn look(&mut self, pid: i32, instruction: u64, stack: u64) -> Option<Stack> {
        let mut rows = Vec::new();
        let last = &mut self.last;
        let place = [instruction, stack, 0];
        let found = self
            .stacks
            .at(&mut |row| rows.push(row.clone()), pid, place, || {
                *last += 1;
                *last
            });
        for mut row in rows {
            if let Row::Stack(stack) = &row {
                self.frames.insert(stack.id, stack.frames.to_vec());
            }
            self.lines.extend(self.verdicts.apply(&mut row));
        }
        found
    }
}

/// File, line, function, and how they are known.
type Place = (Option<String>, Option<u32>, Option<String>, u8);
/// File, line, function.
type Frame = (Option<String>, Option<u32>, Option<String>);

#[pymethods]
impl NativeLines {
    /// As of [`Rows`].
    #[new]
    fn new(guardian: PathBuf, user: Vec<String>, libraries: Vec<String>) -> Self {
        Self {
            stacks: Stacks::default(),
            verdicts: Verdicts::new(guardian, Chosen { user, libraries }),
            last: 0,
            lines: Vec::new(),
            frames: HashMap::new(),
        }
    }

    /// Where a thread of process `pid` stands: file, line, function, and `known` as of table `call`. `None`: not known.
    fn at(&mut self, py: Python<'_>, pid: i32, instruction: u64, stack: u64) -> Option<Place> {
        py.detach(|| {
            let found = self.look(pid, instruction, stack)?;
            let (source, known) = self.verdicts.of(found.source)?;
            let line = self.lines.iter().find(|line| Some(line.id) == source)?;
            Some((line.file.clone(), line.line, line.function.clone(), known))
        })
    }

    /// All frames of it, innermost first: file, line, function. `None`: not known.
    fn stack(
        &mut self,
        py: Python<'_>,
        pid: i32,
        instruction: u64,
        stack: u64,
    ) -> Option<Vec<Frame>> {
        py.detach(|| {
            let found = self.look(pid, instruction, stack)?;
            let spots = self.verdicts.frames(self.frames.get(&found.id)?);
            Some(
                spots
                    .into_iter()
                    .map(|spot| (spot.file, spot.line, spot.function))
                    .collect(),
            )
        })
    }
}

/// The table of system calls: name, number on x86-64 and on aarch64, subject, role, names of a, b and c, kind of `value`.
#[pyfunction]
fn syscalls(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyTuple>>> {
    let number = |number: u32| (number != NONE).then_some(number);
    SYSCALLS
        .iter()
        .map(|call| {
            (
                call.name,
                number(call.x86_64),
                number(call.aarch64),
                call.subject.word(),
                call.role.word(),
                call.arguments,
                call.value.word(),
            )
                .into_pyobject(py)
        })
        .collect()
}

/// Adds the submodule's classes and functions.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(syscalls, module)?)?;
    module.add_class::<NativeLines>()?;
    module.add_class::<Rows>()
}
