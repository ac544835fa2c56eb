//! Which frame of a native stack is the user's own code, and what its line is.
//!
//! As with Python, the innermost line of the user's own code counts. Code is the user's own by where its file is: the program itself, and
//! libraries outside the folders of the distribution; of these, functions whose source belongs to the user, and not to the language's
//! standard library or to a package. Without such a line the function is named by the symbol table.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_bytes::ByteBuf;
use wallsocket_kernel::syscalls;

use super::FRAME;
use super::perf_map::Function;
use super::symbols::{Question, Spot, Spots, Symbols};
use crate::python::{Chosen, Place};
use crate::rows::{self, Role, Row};

/// Values of `call.known`.
const UNKNOWN: u8 = 0;
const DIRECT: u8 = 1;
const CREATOR: u8 = 2;
const LIBRARY: u8 = 4;

/// Addresses of which the answer is remembered.
const KNOWN_MAX: usize = 100_000;

/// Folders of libraries that a distribution or a package manager has put there.
const SYSTEM: [&str; 10] = [
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/usr/lib/",
    "/usr/lib32/",
    "/usr/lib64/",
    "/usr/libexec/",
    "/nix/store/",
    "/gnu/store/",
    "/snap/",
];
/// Parts of paths of libraries that an interpreter's package manager has put there.
const PACKAGES: [&str; 3] = ["/site-packages/", "/dist-packages/", "/node_modules/"];
/// Begins of paths of source code that came with a compiler or a library.
const FOREIGN: [&str; 6] = [
    "/rustc/",
    "/usr/include/",
    "/usr/local/include/",
    "/usr/lib/",
    "/usr/src/",
    "library/std/src/",
];
/// Parts of such paths: Cargo's downloads, rustup's standard library, Go's modules.
const FOREIGN_PARTS: [&str; 4] = [
    "/.cargo/registry/",
    "/.cargo/git/",
    "/lib/rustlib/src/",
    "/pkg/mod/",
];
/// Packages of Go's own that make system calls: what is above theirs is `GOROOT/src`.
const GO_CALLERS: [&str; 4] = [
    "internal/runtime/syscall",
    "runtime/internal/syscall",
    "syscall",
    "runtime",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    file: Option<String>,
    number: Option<u32>,
    function: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Verdict {
    source: Option<u32>,
    known: u8,
}

/// The stacks of a recording.
#[derive(Debug)]
pub struct Verdicts {
    symbols: Symbols,
    chosen: Chosen,
    binaries: HashMap<u32, rows::Binary>,
    spots: HashMap<(u32, u64), Spots>,
    lines: HashMap<Line, u32>,
    /// By the number that the tracer has given the stack's line.
    judged: HashMap<u32, Verdict>,
    /// The lines that made sockets.
    creators: HashMap<u32, u32>,
}

impl Verdicts {
    /// None yet. `guardian` is its program; `chosen` says what is the user's own code and what is not.
    pub fn new(guardian: PathBuf, chosen: Chosen) -> Self {
        Self {
            symbols: Symbols::new(guardian),
            chosen,
            binaries: HashMap::new(),
            spots: HashMap::new(),
            lines: HashMap::new(),
            judged: HashMap::new(),
            creators: HashMap::new(),
        }
    }

    /// Starts the process that looks up debug information.
    pub fn prepare(&mut self) {
        self.symbols.prepare();
    }

    /// Puts lines into a row that the tracer has sent; a line that is new to the recording comes before it.
    pub fn apply(&mut self, row: &mut Row) -> Option<rows::Source> {
        match row {
            Row::Binary(binary) => {
                self.binaries.insert(binary.id, binary.clone());
            }
            Row::Stack(stack) => return self.meet(stack),
            Row::Call(call) if call.stack.is_none() => {
                // Python's; but a native line may have made the socket.
                call.source = self.settled(call.source);
                if call.source.is_none() {
                    call.known = UNKNOWN;
                }
            }
            Row::Call(call) => {
                if let Some(verdict) = call.source.and_then(|source| self.judged.get(&source)) {
                    let creator = call.socket.and_then(|socket| self.creators.get(&socket));
                    (call.source, call.known) = match (verdict.known, creator) {
                        (LIBRARY, Some(creator)) => (Some(*creator), CREATOR),
                        _ => (verdict.source, verdict.known),
                    };
                }
            }
            Row::Socket(socket) => {
                socket.source = self.settled(socket.source);
                if let Some(source) = socket.source {
                    self.creators.insert(socket.id, source);
                }
            }
            Row::Process(process) => process.source = self.settled(process.source),
            _ => {}
        }
        None
    }

    /// The line of a stack, by the number that its row has for it, and how it is known.
    pub fn of(&self, source: u32) -> Option<(Option<u32>, u8)> {
        let verdict = self.judged.get(&source)?;
        Some((verdict.source, verdict.known))
    }

    /// What is known of each frame of a stack, whosever code it is, innermost first, inlined functions before the one that they are in.
    pub fn frames(&mut self, frames: &[u8]) -> Vec<Spot> {
        let mut found = Vec::new();
        for (binary, address) in places(frames) {
            let spots = self.spots_at(binary, address);
            if !spots.lines.is_empty() {
                found.extend(spots.lines);
                continue;
            }
            let path = self.place_of_binary(binary).map(|(_, path)| path);
            let path = path.unwrap_or_default();
            let function = match spots.symbol {
                Some((name, distance)) => by_symbol(&path, &name, distance).function,
                None => Some(format!("{}+{address:#x}", base_name(&path))),
            };
            found.push(Spot {
                function,
                ..Spot::default()
            });
        }
        found
    }

    fn settled(&self, source: Option<u32>) -> Option<u32> {
        match source.and_then(|source| self.judged.get(&source)) {
            Some(verdict) => verdict.source,
            None => source,
        }
    }

    fn meet(&mut self, stack: &rows::Stack) -> Option<rows::Source> {
        let (line, known) = self.judge(&stack.frames);
        let Some(line) = line else {
            let verdict = Verdict {
                source: None,
                known: UNKNOWN,
            };
            self.judged.insert(stack.source, verdict);
            return None;
        };
        let first = self.lines.get(&line).copied();
        let source = first.unwrap_or(stack.source);
        let verdict = Verdict {
            source: Some(source),
            known,
        };
        self.judged.insert(stack.source, verdict);
        if first.is_some() {
            return None;
        }
        self.lines.insert(line.clone(), source);
        Some(rows::Source {
            id: source,
            file: line.file,
            line: line.number,
            function: line.function,
        })
    }

    /// The line of a stack, and how it is known.
    fn judge(&mut self, frames: &ByteBuf) -> (Option<Line>, u8) {
        let frames = places(frames);
        let mut symbol = None;
        let mut library = None;
        let mut go_root = None;
        for (binary, address) in frames.iter().copied() {
            if let Some(function) = self.made(binary) {
                let is_own = self.is_own(&function);
                let line = by_map(function);
                if !is_own {
                    library = library.or(Some(line));
                } else if symbol.is_none() {
                    return (Some(line), DIRECT);
                }
                continue;
            }
            let Some((place, path)) = self.place_of_binary(binary) else {
                continue;
            };
            if place == Place::Library {
                continue;
            }
            let spots = self.spots_at(binary, address);
            for spot in &spots.lines {
                let (Some(file), Some(_)) = (&spot.file, spot.line) else {
                    continue;
                };
                if go_root.is_none() {
                    go_root = go_root_of(spot.function.as_deref(), file);
                }
                // A method that the compiler made, or what hands a call on to the kernel: neither is a place that anybody wrote.
                if file.starts_with('<') || spot.function.as_deref().is_some_and(hands_on_in_go) {
                    continue;
                }
                let line = Line {
                    file: Some(file.clone()),
                    number: spot.line,
                    function: spot.function.clone(),
                };
                match self.place_of_source(file, go_root.as_deref()) {
                    Place::Library => library = library.or(Some(line)),
                    _ => return (Some(line), DIRECT),
                }
            }
            if symbol.is_none() && spots.lines.is_empty() {
                symbol = spots
                    .symbol
                    .as_ref()
                    .filter(|(name, _)| !is_wrapper(name))
                    .map(|(name, offset)| by_symbol(&path, name, *offset));
            }
        }
        if symbol.is_some() {
            return (symbol, DIRECT);
        }
        let library = library.or_else(|| self.innermost_library(&frames));
        let known = if library.is_some() { LIBRARY } else { UNKNOWN };
        (library, known)
    }

    /// The innermost frame that can be named, above all code of the user's own; mere wrappers of system calls say nothing.
    fn innermost_library(&mut self, frames: &[(u32, u64)]) -> Option<Line> {
        for (binary, address) in frames.iter().copied() {
            let (place, path) = self.place_of_binary(binary)?;
            // What an interpreter does says nothing of the program that it runs.
            let is_interpreter = self
                .binaries
                .get(&binary)
                .is_some_and(|binary| binary.role == Role::Interpreter)
                || path.contains("/libpython");
            if place != Place::Library || is_interpreter {
                return None;
            }
            let spots = self.spots_at(binary, address);
            let name = spots.symbol.as_ref();
            if name.is_some_and(|(name, _)| is_wrapper(name)) {
                continue;
            }
            let line = spots.lines.iter().find_map(|spot| {
                Some(Line {
                    file: Some(spot.file.clone()?),
                    number: Some(spot.line?),
                    function: spot.function.clone(),
                })
            });
            let line = line.or_else(|| name.map(|(name, at)| by_symbol(&path, name, *at)));
            if line.is_some() {
                return line;
            }
        }
        None
    }

    /// The function that was made while the program ran and has this number.
    fn made(&self, binary: u32) -> Option<Function> {
        let binary = self.binaries.get(&binary)?;
        (binary.role == Role::Made)
            .then(|| Function::parse(binary.path.as_deref()?))
            .flatten()
    }

    fn is_own(&self, function: &Function) -> bool {
        let file = function.place.as_ref().map(|(file, _)| file);
        let chosen = file.and_then(|file| self.chosen.place(file));
        chosen.map_or(!function.is_library, |place| place == Place::User)
    }

    fn place_of_binary(&self, binary: u32) -> Option<(Place, String)> {
        let binary = self.binaries.get(&binary)?;
        let path = binary.path.clone().unwrap_or_default();
        let is_system = SYSTEM.iter().any(|folder| path.starts_with(folder))
            || PACKAGES.iter().any(|folder| path.contains(folder));
        let place = self.chosen.place(&path).unwrap_or(match binary.role {
            Role::Program => Place::User,
            Role::Library if !is_system => Place::User,
            Role::Interpreter | Role::Library | Role::Made => Place::Library,
        });
        Some((place, path))
    }

    fn place_of_source(&self, file: &str, go_root: Option<&str>) -> Place {
        if let Some(place) = self.chosen.place(file) {
            return place;
        }
        let is_foreign = FOREIGN.iter().any(|folder| file.starts_with(folder))
            || FOREIGN_PARTS.iter().any(|part| file.contains(part))
            || go_root.is_some_and(|root| file.starts_with(root));
        if is_foreign {
            Place::Library
        } else {
            Place::User
        }
    }

    fn spots_at(&mut self, binary: u32, address: u64) -> Spots {
        if let Some(known) = self.spots.get(&(binary, address)) {
            return known.clone();
        }
        let Some(row) = self.binaries.get(&binary) else {
            return Spots::default();
        };
        let question = Question::about(row, vec![address]);
        let spots = self.symbols.ask(&question).pop().unwrap_or_default();
        if self.spots.len() < KNOWN_MAX {
            self.spots.insert((binary, address), spots.clone());
        }
        spots
    }
}

/// The frames of `stack.frames`: number of the binary, address in it.
fn places(frames: &[u8]) -> Vec<(u32, u64)> {
    frames
        .chunks_exact(FRAME)
        .filter_map(|frame| {
            let (binary, address) = frame.split_at(4);
            Some((
                u32::from_le_bytes(binary.try_into().ok()?),
                u64::from_le_bytes(address.try_into().ok()?),
            ))
        })
        .collect()
}

/// The function, as the symbol table has it, in the file that has the table: ``server`handle+0x1d``.
fn by_symbol(path: &str, name: &str, offset: u64) -> Line {
    Line {
        file: None,
        number: None,
        function: Some(format!("{}`{name}+{offset:#x}", base_name(path))),
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The function, as the program's perf map has it: the line is that on which it begins.
fn by_map(function: Function) -> Line {
    let (file, number) = function.place.unzip();
    Line {
        file,
        number: number.flatten(),
        function: Some(format!("perf map`{}", function.name)),
    }
}

/// Whether a function of this name only makes a system call: a static program has the C library's own.
fn is_wrapper(name: &str) -> bool {
    let bare = name.trim_start_matches('_');
    let bare = bare.strip_prefix("libc_").unwrap_or(bare);
    let bare = bare
        .strip_prefix("GI_")
        .unwrap_or(bare)
        .trim_start_matches('_');
    bare.starts_with("syscall")
        || matches!(bare, "send" | "recv" | "select" | "accept" | "poll")
        || syscalls::SYSCALLS.iter().any(|call| call.name == bare)
}

/// Whether a function is of a package of Go's own through which all system calls go.
fn hands_on_in_go(function: &str) -> bool {
    GO_CALLERS.iter().chain(&["internal/poll"]).any(|package| {
        function
            .strip_prefix(package)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// `GOROOT/src/`, when the function is of a package that makes Go's system calls.
fn go_root_of(function: Option<&str>, file: &str) -> Option<String> {
    let function = function?;
    GO_CALLERS.iter().find_map(|package| {
        function.strip_prefix(package)?.strip_prefix('.')?;
        let (root, _) = file.rsplit_once('/')?;
        root.strip_suffix(package)
            .filter(|root| root.ends_with("/src/"))
            .map(str::to_owned)
    })
}
