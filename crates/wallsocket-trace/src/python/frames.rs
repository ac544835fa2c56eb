//! The stack of each thread.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use super::Unknown;
use super::classifier::{Chosen, Classifier, Place};
use super::code::{Cached, Code, CodeCache, Target};
use super::layout::{CurrentFrame, Gil, Layout, version_text};
use super::locate::{Anchors, locate};
use super::memory::{ProcessMemory, ReadMemory, Window, word_in};
use super::objects::{self, Objects};
use super::published::Published;
use super::tasks::AsyncioTable;

/// Interpreters, threads and frames followed at most, so that a torn list ends.
const INTERPRETERS_MAX: usize = 256;
const THREADS_MAX: usize = 65_536;
const FRAMES_MAX: usize = 1_000_000;
/// How often a thread that runs on is read again.
const SAMPLE_TRIES: usize = 8;
/// How often the interpreter is asked where its library is, before it has said it.
const QUESTIONS_MAX: u8 = 100;
/// Threads whose stacks are remembered for speed.
const WINDOWS_MAX: usize = 4096;

/// One call on a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What is running.
    pub code: Arc<Code>,
    /// The line it is at; `None` when the compiler noted none for this instruction.
    pub line: Option<u32>,
}

/// The frame a call is attributed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopFrame {
    /// The innermost frame in the user's own code; without any, the innermost of the program that was started.
    User(Frame),
    /// No frame is the user's own: the innermost of all.
    Library(Frame),
    /// An event loop made the call on its own account; the frame is the innermost of all.
    Loop(Frame),
    /// The thread runs no Python code.
    None,
}

impl TopFrame {
    /// What a call made by the innermost of `frames` is attributed to.
    pub fn of(frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut search = Search::default();
        for frame in frames {
            if !search.goes_on_after(frame) {
                break;
            }
        }
        search.end()
    }
}

/// Looks for the frame that a call is attributed to, from the innermost outwards.
#[derive(Default)]
struct Search {
    innermost: Option<Frame>,
    program: Option<Frame>,
    found: Option<TopFrame>,
}

impl Search {
    fn goes_on_after(&mut self, frame: Frame) -> bool {
        self.found = match frame.code.place {
            Place::User => Some(TopFrame::User(frame)),
            Place::Loop => Some(match self.program.take() {
                Some(program) => TopFrame::User(program),
                None => TopFrame::Loop(self.innermost.take().unwrap_or(frame)),
            }),
            Place::Program => {
                self.program.get_or_insert(frame);
                None
            }
            Place::Library => {
                self.innermost.get_or_insert(frame);
                None
            }
        };
        self.found.is_none()
    }

    fn end(self) -> TopFrame {
        self.found
            .or(self.program.map(TopFrame::User))
            .unwrap_or_else(|| self.innermost.map_or(TopFrame::None, TopFrame::Library))
    }
}

/// What [`Interpreter::sample`] saw of a thread that nobody stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    /// The thread waited in the kernel all the time: its whole stack, innermost first.
    Waiting(Vec<Frame>),
    /// It ran: the innermost frame at one moment. The frames below it may have changed while they were read.
    Running(Option<Frame>),
}

/// A thread that runs Python code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Its id as the interpreter knows it: `gettid()` inside the target's pid namespace.
    pub native_id: u64,
    /// Address of its `PyThreadState`.
    pub(crate) state: u64,
    /// Which interpreter it belongs to: 0 is the main one.
    pub interpreter: usize,
    /// Whether it holds the global interpreter lock.
    pub holds_gil: bool,
}

/// What is remembered of a thread between two walks.
#[derive(Debug, Default)]
struct Remembered {
    state: u64,
    interpreter: u64,
    native_id: u64,
    /// The newest interpreter at that time. Another one may have taken the thread over since.
    newest: u64,
    window: Window,
}

/// The CPython interpreter inside a process.
#[derive(Debug)]
pub struct Interpreter<M = ProcessMemory> {
    pub(crate) memory: M,
    /// `None` for a recording, which has no `/proc`.
    pid: Option<i32>,
    pub(crate) anchors: Anchors,
    pub(crate) layout: Layout,
    pub(crate) codes: CodeCache,
    pub(crate) classifier: Classifier,
    threads: HashMap<i32, Remembered>,
    /// The threads by the id that the interpreter knows them by, while many are looked at: see [`Interpreter::samples`].
    listing: Option<HashMap<u64, Vec<Thread>>>,
    /// How often the interpreter may still be asked where its standard library is.
    questions: u8,
    /// What the latest walk has seen.
    pub(crate) walked: Walked,
    /// What the preloaded library of the process was told.
    pub(crate) published: Published,
    /// Where asyncio keeps its tasks, once its library has said so.
    pub(crate) asyncio: Option<AsyncioTable>,
}

/// A thread and the code objects on its stack.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Its state, its interpreter, its id.
    pub(crate) thread: [u64; 3],
    /// Address and what was read there.
    pub(crate) codes: Vec<(u64, Arc<Cached>)>,
}

impl Interpreter {
    /// Finds the interpreter of process `pid`; `None` when it runs no Python.
    ///
    /// A program that loads the interpreter as a library has none until its loader is done: look at the first call of
    /// interest, not at exec. After an exec look again.
    ///
    /// # Errors
    /// [`Unknown`] when it is a Python that cannot be read: the text says why.
    pub fn find(pid: i32) -> Result<Option<Self>, Unknown> {
        let memory = ProcessMemory::new(pid);
        let Some(anchors) = locate(pid, &memory)? else {
            return Ok(None);
        };
        Self::new(memory, Some(pid), anchors).map(Some)
    }
}

impl<M: ReadMemory> Interpreter<M> {
    /// An interpreter in any memory, such as a recording of one.
    ///
    /// # Errors
    /// [`Unknown`] when its version has no table of offsets.
    pub fn new(memory: M, pid: Option<i32>, anchors: Anchors) -> Result<Self, Unknown> {
        let layout = Layout::of(&memory, anchors.runtime, anchors.version)?;
        let mut classifier = pid.map_or_else(Classifier::new, |pid| {
            Classifier::of(pid, directory_name(anchors.version))
        });
        for directory in library_directories(&anchors) {
            classifier.add_standard_library(&directory);
        }
        let codes = CodeCache::default();
        let threads = HashMap::new();
        let questions = QUESTIONS_MAX;
        Ok(Self {
            memory,
            pid,
            anchors,
            layout,
            codes,
            classifier,
            threads,
            listing: None,
            questions,
            walked: Walked::default(),
            published: Published::default(),
            asyncio: None,
        })
    }

    /// The interpreter's version, as "3.11.7".
    pub fn version(&self) -> String {
        version_text(self.anchors.version)
    }

    /// Addresses from which everything is reached.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// How it tells the user's own code from libraries.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Goes by these names first when it tells the user's own code from libraries.
    pub fn choose(&mut self, chosen: Chosen) {
        self.classifier.choose(chosen);
        self.codes.clear();
        self.published.outdate();
    }

    /// The stack of thread `tid`, innermost first. The thread must stand still: stopped, or blocked in a call.
    ///
    /// # Errors
    /// [`Unknown`], with the reason.
    pub fn frames(&mut self, tid: i32) -> Result<Vec<Frame>, Unknown> {
        let mut frames = Vec::new();
        self.walk(tid, |frame| {
            frames.push(frame);
            true
        })?;
        Ok(frames)
    }

    /// The frame that a call of thread `tid` is attributed to. The thread must stand still.
    ///
    /// # Errors
    /// [`Unknown`], with the reason.
    pub fn top_user_frame(&mut self, tid: i32) -> Result<TopFrame, Unknown> {
        let mut search = Search::default();
        self.walk(tid, |frame| search.goes_on_after(frame))?;
        Ok(search.end())
    }

    /// The stack of thread `tid`, which nobody stopped.
    ///
    /// A thread that waits in the kernel (for data, a lock, the interpreter lock) changes nothing and is read whole. Of
    /// one that runs only the innermost frame can be known.
    ///
    /// # Errors
    /// [`Unknown`], with the reason.
    pub fn sample(&mut self, tid: i32) -> Result<Sample, Unknown> {
        let Some(pid) = self.pid else {
            return self.frames(tid).map(Sample::Waiting);
        };
        for _ in 0..SAMPLE_TRIES {
            let Some(before) = Wait::of(pid, tid)? else {
                break;
            };
            let frames = self.frames(tid);
            if Wait::of(pid, tid)? == Some(before) {
                return frames.map(Sample::Waiting);
            }
        }
        let mut refused = Unknown::Running;
        for _ in 0..SAMPLE_TRIES {
            let mut innermost = None;
            let result = self.walk(tid, |frame| {
                innermost = Some(frame);
                false
            });
            match result {
                Ok(()) => return Ok(Sample::Running(innermost)),
                // What was read contradicts itself because the thread ran on: another moment may do.
                Err(Unknown::Inconsistent(_) | Unknown::Unreadable(_)) => {}
                Err(other) => refused = other,
            }
        }
        Err(refused)
    }

    /// The stacks of several threads, which nobody stopped, without those that cannot be read. The threads are listed once for all of them: what one costs
    /// does not grow with how many there are.
    ///
    /// # Errors
    /// [`Unknown`], with the reason why the threads cannot be listed.
    pub fn samples(
        &mut self,
        tids: impl IntoIterator<Item = i32>,
    ) -> Result<HashMap<i32, Sample>, Unknown> {
        let mut threads = self.threads();
        for _ in 1..SAMPLE_TRIES {
            match threads {
                Err(Unknown::Inconsistent(_) | Unknown::Unreadable(_)) => threads = self.threads(),
                _ => break,
            }
        }
        let mut listing: HashMap<u64, Vec<Thread>> = HashMap::new();
        for thread in threads? {
            listing.entry(thread.native_id).or_default().push(thread);
        }
        self.listing = Some(listing);
        let samples = tids
            .into_iter()
            .filter_map(|tid| Some((tid, self.sample(tid).ok()?)))
            .collect();
        self.listing = None;
        Ok(samples)
    }

    /// The threads that run Python code, in all interpreters of the process.
    ///
    /// # Errors
    /// [`Unknown`], with the reason.
    pub fn threads(&self) -> Result<Vec<Thread>, Unknown> {
        let mut threads = Vec::new();
        let layout = &self.layout;
        let head = self
            .memory
            .word(self.anchors.runtime + layout.runtime_interpreters)?;
        if head == 0 {
            return Err(Unknown::NotRunning);
        }
        let mut chain = Vec::new();
        let mut interpreter = head;
        while interpreter != 0 {
            if chain.len() >= INTERPRETERS_MAX || chain.contains(&interpreter) {
                return Err(Unknown::Inconsistent("the list of interpreters has no end"));
            }
            chain.push(interpreter);
            interpreter = self
                .memory
                .word(interpreter.wrapping_add(layout.interpreter_next))?;
        }
        // New interpreters are put first: the last is the main one.
        for (index, interpreter) in chain.iter().rev().enumerate() {
            let holder = self.gil_holder(*interpreter).unwrap_or(None);
            let mut state = self
                .memory
                .word(interpreter.wrapping_add(layout.interpreter_threads))?;
            let mut seen = 0;
            while state != 0 {
                let header = self.thread_header(state)?;
                if header.interpreter != *interpreter || seen >= THREADS_MAX {
                    return Err(Unknown::Inconsistent(
                        "the list of threads changed while it was read",
                    ));
                }
                threads.push(Thread {
                    native_id: header.native_id,
                    state,
                    interpreter: index,
                    holds_gil: holder == Some(state),
                });
                state = header.next;
                seen += 1;
            }
        }
        Ok(threads)
    }

    /// The thread state that holds the global interpreter lock of `interpreter`.
    fn gil_holder(&self, interpreter: u64) -> Result<Option<u64>, Unknown> {
        let (holder, locked) = match self.layout.gil {
            Gil::Runtime { holder, locked } => {
                (self.anchors.runtime + holder, self.anchors.runtime + locked)
            }
            Gil::Pointer {
                gil,
                holder,
                locked,
            } => {
                let gil = self.memory.word(interpreter.wrapping_add(gil))?;
                (gil.wrapping_add(holder), gil.wrapping_add(locked))
            }
        };
        let locked = i32::from_le_bytes(self.memory.array(locked)?) == 1;
        Ok(if locked {
            Some(self.memory.word(holder)?)
        } else {
            None
        })
    }

    fn thread_header(&self, state: u64) -> Result<ThreadHeader, Unknown> {
        let mut bytes = vec![0; self.layout.thread_header()];
        self.memory.read(state, &mut bytes)?;
        ThreadHeader::parse(&bytes, &self.layout).ok_or(Unknown::Unreadable(state))
    }

    /// The id that the interpreter knows the thread `tid` by.
    fn native_id(&self, tid: i32) -> u64 {
        let inside = self.pid.and_then(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("NSpid:"))?;
            line.split_whitespace().last()?.parse().ok()
        });
        inside.unwrap_or(tid as u64)
    }

    /// Finds the thread state of `tid`: the one it runs with, of those it has in several interpreters.
    fn find_thread(&self, tid: i32) -> Result<Thread, Unknown> {
        let native_id = self.native_id(tid);
        let (states, only) = if let Some(listing) = &self.listing {
            let states = listing.get(&native_id).cloned().unwrap_or_default();
            let mut all = listing.values().flatten();
            (states, all.next().copied().filter(|_| all.next().is_none()))
        } else {
            let threads = self.threads()?;
            let only = if let [only] = threads.as_slice() {
                Some(*only)
            } else {
                None
            };
            let mut states = threads;
            states.retain(|thread| thread.native_id == native_id);
            (states, only)
        };
        if states.is_empty() {
            // A forked child can keep the id that its thread had in the parent.
            return self
                .pid
                .filter(|pid| *pid == tid)
                .and_then(|pid| {
                    only.filter(|only| {
                        !fs::exists(format!("/proc/{pid}/task/{}", only.native_id)).unwrap_or(true)
                    })
                })
                .ok_or(Unknown::NoPythonThread(tid));
        }
        if let [only] = states.as_slice() {
            return Ok(*only);
        }
        // The main interpreter runs another one, never the other way round.
        let mut running = Vec::new();
        for thread in &states {
            if self.current_frame(thread.state)? != 0 {
                running.push(*thread);
            }
        }
        match running.as_slice() {
            [] => Ok(states[0]),
            [only] => Ok(*only),
            [main, other] if main.interpreter == 0 && other.interpreter != 0 => Ok(*other),
            _ => Err(Unknown::Inconsistent(
                "the thread runs in several interpreters",
            )),
        }
    }

    /// Address of the innermost frame of a thread state, 0 when it runs nothing.
    fn current_frame(&self, state: u64) -> Result<u64, Unknown> {
        let frame = self.thread_header(state)?.frame;
        match self.layout.current_frame {
            CurrentFrame::Direct(_) => Ok(frame),
            CurrentFrame::ByCFrame { frame: at, .. } => self.memory.word(frame.wrapping_add(at)),
        }
    }

    /// The process, where this is no recording of one.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.pid
    }

    pub(crate) fn minor(&self) -> u32 {
        self.anchors.version >> 16 & 0xff
    }

    pub(crate) fn objects(&self) -> Objects<'_, M> {
        Objects {
            memory: &self.memory,
            layout: &self.layout,
            minor: self.minor(),
        }
    }

    /// Address of the main interpreter.
    pub(crate) fn main_interpreter(&self) -> Result<u64, Unknown> {
        let mut interpreter = self
            .memory
            .word(self.anchors.runtime + self.layout.runtime_interpreters)?;
        for _ in 0..INTERPRETERS_MAX {
            if interpreter == 0 {
                return Err(Unknown::NotRunning);
            }
            match self
                .memory
                .word(interpreter.wrapping_add(self.layout.interpreter_next))?
            {
                0 => return Ok(interpreter),
                next => interpreter = next,
            }
        }
        Err(Unknown::Inconsistent("the list of interpreters has no end"))
    }

    /// Learns the place of the standard library from the interpreter itself, once it has worked it out.
    pub(crate) fn learn_libraries(&mut self) {
        if self.questions == 0 {
            return;
        }
        self.questions -= 1;
        let Ok(interpreter) = self.main_interpreter() else {
            return;
        };
        let Ok(directories) = objects::library_directories(self.objects(), interpreter) else {
            return;
        };
        self.questions = 0;
        for directory in directories {
            self.classifier.add_standard_library(&directory);
        }
        self.codes.clear();
        self.published.outdate();
    }

    /// Whether the interpreter has said where its libraries are, or never will.
    pub(crate) fn knows_libraries(&self) -> bool {
        self.questions == 0
    }

    /// Calls `visit` with each frame of thread `tid`, innermost first, until it returns false.
    fn walk(&mut self, tid: i32, visit: impl FnMut(Frame) -> bool) -> Result<(), Unknown> {
        self.learn_libraries();
        let mut thread = self.threads.remove(&tid).unwrap_or_default();
        let result = self.walk_thread(tid, &mut thread, visit);
        thread.window.finish();
        if result.is_err() {
            thread.window = Window::default();
        }
        if self.threads.len() >= WINDOWS_MAX {
            self.threads.clear();
        }
        self.threads.insert(tid, thread);
        result
    }

    fn walk_thread(
        &mut self,
        tid: i32,
        thread: &mut Remembered,
        mut visit: impl FnMut(Frame) -> bool,
    ) -> Result<(), Unknown> {
        let (memory, layout) = (&self.memory, &self.layout);
        let window = &mut thread.window;
        window.begin(memory)?;
        let header_length = layout.thread_header();
        let newest = window.word(memory, self.anchors.runtime + layout.runtime_interpreters)?;
        let mut header = None;
        // Where there is more than one interpreter, any of them may run the thread by now.
        if thread.state != 0 && thread.newest == newest && thread.interpreter == newest {
            let bytes = window.bytes(memory, thread.state, header_length).ok();
            header = bytes
                .and_then(|bytes| ThreadHeader::parse(bytes, layout))
                .filter(|header| {
                    header.interpreter == thread.interpreter && header.native_id == thread.native_id
                });
        }
        let header = if let Some(header) = header {
            header
        } else {
            thread.state = self.find_thread(tid)?.state;
            *window = Window::default();
            let bytes = window.bytes(memory, thread.state, header_length)?;
            let header =
                ThreadHeader::parse(bytes, layout).ok_or(Unknown::Unreadable(thread.state))?;
            (thread.interpreter, thread.native_id, thread.newest) =
                (header.interpreter, header.native_id, newest);
            header
        };
        self.walked.codes.clear();
        self.walked.thread = [thread.state, thread.interpreter, thread.native_id];
        let mut frame = match layout.current_frame {
            CurrentFrame::Direct(_) => header.frame,
            CurrentFrame::ByCFrame { frame, .. } => {
                window.word(memory, header.frame.wrapping_add(frame))?
            }
        };
        let target = Target {
            memory,
            layout,
            code_type: self.anchors.code_type,
            classifier: &self.classifier,
        };
        let frame_header = layout.frame_locals;
        for _ in 0..FRAMES_MAX {
            if frame == 0 {
                return Ok(());
            }
            let bytes = window.bytes(memory, frame, frame_header)?;
            let word = |offset| word_in(bytes, offset).ok_or(Unknown::Unreadable(frame));
            let owner = bytes.get(layout.frame_owner).copied().unwrap_or(u8::MAX);
            let code = word(layout.frame_code)? & !layout.frame_tag;
            let instruction = word(layout.frame_instruction)?;
            let previous = word(layout.frame_previous)?;
            if previous == frame || owner > 8 {
                return Err(Unknown::Inconsistent("a frame is not a frame"));
            }
            if owner < layout.owner_c_from {
                let (cached, line) = self.codes.look_up(&target, window, code, instruction)?;
                let found = Frame {
                    code: Arc::clone(&cached.code),
                    line,
                };
                self.walked.codes.push((code, cached));
                if !visit(found) {
                    return Ok(());
                }
            }
            frame = previous;
        }
        Err(Unknown::Inconsistent("the stack has no end"))
    }
}

/// A wait of a thread in the kernel: equal before and after means that it did not run in between.
#[derive(Debug, PartialEq, Eq)]
struct Wait {
    /// Number, arguments, stack pointer and program counter of the call.
    call: String,
    /// How often the thread went to sleep so far.
    sleeps: u64,
}

impl Wait {
    /// `None` when the thread runs, or is ready to.
    fn of(pid: i32, tid: i32) -> Result<Option<Self>, Unknown> {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}")).map_err(
                |error| match error.kind() {
                    std::io::ErrorKind::PermissionDenied => Unknown::NotPermitted,
                    _ => Unknown::Gone,
                },
            )
        };
        // In this order: a thread that waits now and has slept no more often later has not run.
        let sleeps = read("status")?
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
            .and_then(|count| count.trim().parse().ok())
            .ok_or(Unknown::Inconsistent(
                "the kernel does not count context switches",
            ))?;
        let call = read("syscall")?;
        Ok((!call.starts_with("running")).then_some(Self { call, sleeps }))
    }
}

/// Fields of a `PyThreadState`.
struct ThreadHeader {
    next: u64,
    interpreter: u64,
    native_id: u64,
    /// The innermost frame, or the `_PyCFrame` that points to it.
    frame: u64,
}

impl Layout {
    /// Bytes of a thread state from its start to the last field used.
    fn thread_header(&self) -> usize {
        let frame = match self.current_frame {
            CurrentFrame::Direct(offset) | CurrentFrame::ByCFrame { cframe: offset, .. } => offset,
        };
        self.thread_next
            .max(self.thread_interpreter)
            .max(self.thread_native_id)
            .max(frame)
            + 8
    }
}

impl ThreadHeader {
    fn parse(bytes: &[u8], layout: &Layout) -> Option<Self> {
        let frame = match layout.current_frame {
            CurrentFrame::Direct(offset) | CurrentFrame::ByCFrame { cframe: offset, .. } => offset,
        };
        Some(Self {
            next: word_in(bytes, layout.thread_next)?,
            interpreter: word_in(bytes, layout.thread_interpreter)?,
            native_id: word_in(bytes, layout.thread_native_id)?,
            frame: word_in(bytes, frame)?,
        })
    }
}

/// What an interpreter calls its directories, such as `python3.11`.
fn directory_name(version: u32) -> String {
    format!("python{}.{}", version >> 24, version >> 16 & 0xff)
}

/// Where the standard library is, as far as the place of the interpreter's file tells.
fn library_directories(anchors: &Anchors) -> Vec<String> {
    let version = directory_name(anchors.version);
    let mut directories = Vec::new();
    // /usr/bin/python3.11, /opt/python/lib/libpython3.11.so.1.0, /usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0
    for prefix in anchors.object.ancestors().skip(2).take(2) {
        for lib in ["lib", "lib64"] {
            directories.push(
                prefix
                    .join(lib)
                    .join(&version)
                    .to_string_lossy()
                    .into_owned(),
            );
        }
    }
    directories
}
