//! The asyncio tasks of a process: who they are, where they wait, and for what.

use std::sync::Arc;

use super::Unknown;
use super::classifier::Place;
use super::code::Target;
use super::frames::{Frame, Interpreter};
use super::layout::StackTop;
use super::locate::section_of;
use super::memory::{ReadMemory, Window, half_in, word_in};
use super::objects::Objects;

/// Coroutines that await one another, followed at most.
const CHAIN_MAX: usize = 1000;
/// Objects followed from a local variable to its descriptor.
const DESCRIPTOR_DEPTH: usize = 5;

/// An asyncio task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name, as `Task-3`.
    pub name: String,
    /// How far it is.
    pub state: TaskState,
    /// The coroutines that await one another, innermost first. Of a running task the outermost only: the rest is on
    /// the stack of its thread.
    pub frames: Vec<Frame>,
    /// What the innermost coroutine awaits, such as `future` or `task Task-2`.
    pub awaits: Option<String>,
    /// The socket descriptor it waits on, where a local variable of the library's frames tells.
    pub descriptor: Option<i32>,
    /// Of a ready task: the epoll descriptor in which its loop waits.
    pub epoll: Option<i32>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Its code is running now, on the thread of its loop.
    Running,
    /// It has not started, or its next step is due.
    Ready,
    /// It waits for a future, a task or a socket.
    Waiting,
    /// It returned, raised or was cancelled.
    Done,
}

impl Task {
    /// The innermost frame in the user's own code, else of the program that was started, else of all.
    pub fn top_user_frame(&self) -> Option<&Frame> {
        let of = |place| self.frames.iter().find(|frame| frame.code.place == place);
        of(Place::User)
            .or_else(|| of(Place::Program))
            .or_else(|| self.frames.first())
    }
}

/// Offsets in `TaskObj` (Modules/_asynciomodule.c).
#[derive(Debug, Clone, Copy)]
struct TaskLayout {
    state: u64,
    waiter: u64,
    coroutine: u64,
    name: u64,
}

/// `Py_AsyncioModuleDebugOffsets`, from 3.14, in the section of that name of asyncio's library: where its tasks are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsyncioTable {
    task: TaskLayout,
    /// Of a list's node in a task.
    node: u64,
    /// The list of an interpreter, of tasks whose threads have ended.
    of_interpreter: u64,
    /// The list of a thread, and the task that it runs.
    of_thread: u64,
    running: u64,
}

/// Numbers of 64 bits in the table: seven of a task, two of an interpreter, four of a thread.
const TABLE_NUMBERS: usize = 13;
/// Tasks in one list.
const TASKS_MAX: usize = 100_000;
/// How often a list that changes is read again.
const LIST_TRIES: usize = 8;

impl AsyncioTable {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let slot = |index: usize| word_in(bytes, index * 8).filter(|offset| *offset < 1 << 24);
        let (name, awaited_by, coroutine) = (slot(1)?, slot(2)?, slot(5)?);
        Some(Self {
            task: TaskLayout {
                // Not in the table: their distance from what is there, as declared.
                state: awaited_by + 8,
                waiter: coroutine.checked_sub(8)?,
                coroutine,
                name,
            },
            node: slot(6)?,
            of_interpreter: slot(8)?,
            running: slot(11)?,
            of_thread: slot(12)?,
        })
    }
}

/// The object that each of these stands for is its first field.
const WRAPPERS: [&str; 6] = [
    "_asyncio.FutureIter",
    "coroutine_wrapper",
    "async_generator_asend",
    "async_generator_athrow",
    "anext_awaitable",
    "weakref.ReferenceType",
];
const FIRST_FIELD: u64 = 16;

/// Local variables of library code that lead to a socket, best first.
const SOCKET_VARIABLES: [&str; 6] = ["sock", "conn", "transport", "self", "reader", "writer"];
/// Attributes that lead to a socket, best first.
const SOCKET_ATTRIBUTES: [&str; 8] = [
    "_sock_fd",
    "_sock",
    "_transport",
    "_ssl_protocol",
    "_sockets",
    "_raw_socket",
    "_protocol",
    "_reader",
];

impl TaskLayout {
    /// Up to 3.13.
    fn of(minor: u32) -> Self {
        match minor {
            ..13 => Self {
                state: 88,
                waiter: 128,
                coroutine: 136,
                name: 144,
            },
            13.. => Self {
                state: 96,
                waiter: 112,
                coroutine: 120,
                name: 128,
            },
        }
    }
}

impl<M: ReadMemory> Interpreter<M> {
    /// The asyncio tasks that are not done, of all loops and threads of the main interpreter.
    ///
    /// The process need not stand still: a task that changes while it is read is left out or shown with less.
    ///
    /// # Errors
    /// [`Unknown`], with the reason.
    pub fn tasks(&mut self) -> Result<Vec<Task>, Unknown> {
        self.learn_libraries();
        let interpreter = self.main_interpreter()?;
        let modules = self
            .memory
            .word(interpreter.wrapping_add(self.layout.interpreter_modules))?;
        let objects = self.objects();
        let Some(module) = objects.get(modules, "asyncio.tasks") else {
            return Ok(Vec::new());
        };
        let mut addresses = Vec::new();
        for name in ["_all_tasks", "_scheduled_tasks"] {
            let weak = objects
                .attribute(module, name)
                .and_then(|set| objects.attribute(set, "data"));
            let references = weak
                .and_then(|set| objects.members(set))
                .unwrap_or_default();
            addresses.extend(
                references
                    .iter()
                    .filter_map(|reference| objects.field(*reference, FIRST_FIELD)),
            );
        }
        let eager = objects
            .attribute(module, "_eager_tasks")
            .and_then(|set| objects.members(set));
        addresses.extend(eager.unwrap_or_default());
        let running = objects
            .attribute(module, "_current_tasks")
            .and_then(|dict| objects.items(dict));
        let mut running: Vec<u64> = running
            .unwrap_or_default()
            .into_iter()
            .map(|(_, task)| task)
            .collect();
        let mut layout = TaskLayout::of(self.minor());
        if self.minor() >= 14 {
            let table = self.asyncio_table()?;
            layout = table.task;
            let threads = self.threads()?;
            let threads = threads.iter().filter(|thread| thread.interpreter == 0);
            let mut heads = vec![interpreter.wrapping_add(table.of_interpreter)];
            for thread in threads {
                heads.push(thread.state.wrapping_add(table.of_thread));
                running.extend(self.objects().field(thread.state, table.running));
            }
            for head in heads {
                addresses.extend(self.linked(head)?.iter().map(|node| node - table.node));
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        let mut tasks: Vec<Task> = Vec::new();
        for address in addresses {
            if self.objects().is_instance(address, "_asyncio.Task")
                && let Some(task) = self.task(&layout, address, running.contains(&address))
                && task.state != TaskState::Done
            {
                tasks.push(task);
            }
        }
        // "Task-10" after "Task-9".
        tasks.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
        Ok(tasks)
    }

    fn asyncio_table(&mut self) -> Result<AsyncioTable, Unknown> {
        let find = |pid| {
            let bytes = section_of(
                pid,
                &self.anchors,
                "_asyncio",
                ".AsyncioDebug",
                8 * TABLE_NUMBERS,
            )?;
            AsyncioTable::parse(&bytes)
        };
        let table = self.asyncio.or_else(|| self.pid().and_then(find));
        self.asyncio = table;
        table.ok_or(Unknown::Inconsistent(
            "asyncio's library does not say where its tasks are",
        ))
    }

    /// The nodes of a list that goes around (`struct llist_node`: next, previous).
    fn linked(&self, head: u64) -> Result<Vec<u64>, Unknown> {
        let mut nodes = Vec::new();
        'again: for _ in 0..LIST_TRIES {
            nodes.clear();
            let mut from = head;
            let mut node = self.memory.word(head)?;
            // A list that was never used is empty, and so is one of a thread that is about to be made.
            while node != head && node != 0 {
                let Ok([next, previous]) = self
                    .memory
                    .array::<16>(node)
                    .map(|bytes| [0, 8].map(|at| word_in(&bytes, at).unwrap_or_default()))
                else {
                    continue 'again;
                };
                if previous != from || nodes.len() >= TASKS_MAX {
                    continue 'again;
                }
                nodes.push(node);
                (from, node) = (node, next);
            }
            return Ok(nodes);
        }
        Err(Unknown::Inconsistent(
            "the list of tasks changed while it was read",
        ))
    }

    fn task(&mut self, layout: &TaskLayout, address: u64, running: bool) -> Option<Task> {
        let objects = self.objects();
        let done = objects.signed(address, layout.state)? != 0;
        let name = task_name(objects, layout, address)?;
        let waiter = objects
            .field(address, layout.waiter)
            .filter(|waiter| objects.type_name(*waiter).is_some());
        let coroutine = objects.field(address, layout.coroutine)?;
        let state = match (done, running, waiter) {
            (true, ..) => TaskState::Done,
            (_, true, _) => TaskState::Running,
            (.., Some(waiter)) if !is_done(objects, layout, waiter) => TaskState::Waiting,
            _ => TaskState::Ready,
        };
        let (chain, end) = self.chain(coroutine);
        let objects = self.objects();
        let awaited = end.or(waiter).filter(|_| state == TaskState::Waiting);
        let awaits = awaited.and_then(|object| describe(objects, layout, object));
        let library = chain
            .iter()
            .take_while(|link| link.frame.code.place != Place::User);
        let descriptor = library
            .filter(|_| state == TaskState::Waiting)
            .find_map(|link| link.descriptor(objects));
        let epoll = objects
            .field(address, FIRST_FIELD)
            .filter(|_| state == TaskState::Ready)
            .and_then(|event_loop| objects.attribute(event_loop, "_selector"))
            .and_then(|selector| objects.attribute(selector, "_selector"))
            .filter(|selector| objects.type_name(*selector).as_deref() == Some("select.epoll"))
            .and_then(|selector| objects.signed(selector, FIRST_FIELD));
        Some(Task {
            name,
            state,
            frames: chain.into_iter().map(|link| link.frame).collect(),
            awaits,
            descriptor,
            epoll,
        })
    }

    /// The coroutines that await one another from `outermost` on, innermost first, and what the innermost awaits.
    fn chain(&mut self, outermost: u64) -> (Vec<Link>, Option<u64>) {
        let mut chain = Vec::new();
        let mut object = Some(outermost);
        for _ in 0..CHAIN_MAX {
            let Some(here) = object else { break };
            let objects = self.objects();
            let Some(kind) = objects.type_name(here) else {
                break;
            };
            if WRAPPERS.contains(&kind.as_str()) {
                object = objects.field(here, FIRST_FIELD);
            } else if matches!(kind.as_str(), "coroutine" | "generator" | "async_generator") {
                let Some((link, next)) = self.suspended(here) else {
                    object = None;
                    break;
                };
                chain.push(link);
                object = next;
            } else {
                break;
            }
        }
        chain.reverse();
        (chain, object)
    }

    /// The frame of a generator or coroutine, and what it awaits.
    fn suspended(&mut self, generator: u64) -> Option<(Link, Option<u64>)> {
        let layout = self.layout.generator;
        let [state] = self
            .memory
            .array(generator.checked_add(layout.state)?)
            .ok()?;
        let state = i8::from_ne_bytes([state]);
        if state > layout.running {
            return None;
        }
        let address = generator.checked_add(layout.frame)?;
        let mut header = vec![0; self.layout.frame_locals];
        self.memory.read(address, &mut header).ok()?;
        let code = word_in(&header, self.layout.frame_code)? & !self.layout.frame_tag;
        let instruction = word_in(&header, self.layout.frame_instruction)?;
        let target = Target {
            memory: &self.memory,
            layout: &self.layout,
            code_type: self.anchors.code_type,
            classifier: &self.classifier,
        };
        let (looked_up, line) = self
            .codes
            .look_up(&target, &mut Window::default(), code, instruction)
            .ok()?;
        let locals = address + self.layout.frame_locals as u64;
        let top = match layout.stack {
            StackTop::Count(at) => {
                let count = half_in(&header, at)?.cast_signed();
                u64::try_from(count)
                    .ok()
                    .and_then(|count| locals.checked_add(count.checked_mul(8)?))
            }
            StackTop::Address(at) => word_in(&header, at),
        };
        let objects = self.objects();
        let names = objects.field(code, self.layout.code.variable_names as u64)?;
        let awaited = top
            .filter(|top| state < layout.running && *top > locals)
            .and_then(|top| top.checked_sub(8 * layout.awaited))
            .filter(|place| *place >= locals)
            .and_then(|place| objects.referred(place));
        Some((
            Link {
                frame: Frame {
                    code: Arc::clone(&looked_up.code),
                    line,
                },
                locals,
                names,
            },
            awaited,
        ))
    }
}

/// A coroutine in a chain, with what is needed to look at its local variables.
struct Link {
    frame: Frame,
    /// Address of the first local variable.
    locals: u64,
    /// Address of the tuple of their names.
    names: u64,
}

impl Link {
    /// The descriptor of the socket that a local variable leads to.
    fn descriptor<M: ReadMemory>(&self, objects: Objects<'_, M>) -> Option<i32> {
        let count = objects
            .memory
            .word(self.names.wrapping_add(objects.layout.object_size as u64))
            .ok()?
            .min(64);
        let items = self.names.checked_add(objects.layout.tuple_items)?;
        let names: Vec<Option<String>> = (0..count)
            .map(|index| objects.text(objects.field(items, index * 8)?))
            .collect();
        SOCKET_VARIABLES.iter().find_map(|wanted| {
            let index = names
                .iter()
                .position(|name| name.as_deref() == Some(wanted))?;
            let mut variable = objects.referred(self.locals.checked_add(index as u64 * 8)?)?;
            // A variable that an inner function uses lives in a cell.
            if objects.type_name(variable)? == "cell" {
                variable = objects.field(variable, FIRST_FIELD)?;
            }
            descriptor_of(objects, variable, DESCRIPTOR_DEPTH)
        })
    }
}

/// The descriptor of a socket, transport, stream, server or what has one of them.
fn descriptor_of<M: ReadMemory>(objects: Objects<'_, M>, object: u64, depth: usize) -> Option<i32> {
    if let Some(number) = objects.number(object) {
        return i32::try_from(number)
            .ok()
            .filter(|descriptor| *descriptor >= 0);
    }
    if objects.is_instance(object, "_socket.socket") {
        return objects
            .signed(object, FIRST_FIELD)
            .filter(|descriptor| *descriptor >= 0);
    }
    if objects.type_name(object)? == "TransportSocket" {
        return descriptor_of(
            objects,
            objects.field(object, FIRST_FIELD)?,
            depth.checked_sub(1)?,
        );
    }
    if let Some(first) = objects.first(object) {
        return descriptor_of(objects, first, depth.checked_sub(1)?);
    }
    let depth = depth.checked_sub(1)?;
    SOCKET_ATTRIBUTES
        .iter()
        .find_map(|name| descriptor_of(objects, objects.attribute(object, name)?, depth))
}

/// Whether a future, or a task, has its result: who awaits it is due.
fn is_done<M: ReadMemory>(objects: Objects<'_, M>, layout: &TaskLayout, future: u64) -> bool {
    ["_asyncio.Future", "_asyncio.Task"]
        .iter()
        .any(|name| objects.is_instance(future, name))
        && objects
            .signed(future, layout.state)
            .is_some_and(|state| state != 0)
}

fn task_name<M: ReadMemory>(
    objects: Objects<'_, M>,
    layout: &TaskLayout,
    task: u64,
) -> Option<String> {
    let name = objects.field(task, layout.name)?;
    // A default name is only a number until somebody asks for it.
    objects
        .text(name)
        .or_else(|| objects.number(name).map(|number| format!("Task-{number}")))
}

/// What is awaited, in words.
fn describe<M: ReadMemory>(
    objects: Objects<'_, M>,
    layout: &TaskLayout,
    object: u64,
) -> Option<String> {
    if objects.is_instance(object, "_asyncio.Task") {
        return Some(format!("task {}", task_name(objects, layout, object)?));
    }
    if objects.is_instance(object, "_GatheringFuture") {
        return Some("gather".to_owned());
    }
    if objects.is_instance(object, "_asyncio.Future") {
        return Some("future".to_owned());
    }
    objects.type_name(object)
}
