//! Looking addresses up in debug information, in a process of its own: `wallsocket-guardian symbols`.
//!
//! Debug information may be large, broken or made to do harm. This process has nothing to lose: it may use so much memory and time,
//! and when it ends by that, or by a fault, what it was asked is unknown.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use addr2line::Loader;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::rows::{self, Stamp};

/// First argument of the guardian's program that makes it this one.
pub const ARGUMENT: &str = "symbols";

/// Bytes of memory that the process may use.
const MEMORY: u64 = 3 << 30;
/// Seconds for one file's answers. Reading the debug information of a browser takes some ten.
const SECONDS: u32 = 60;
/// Files that are held.
const FILES_MAX: usize = 64;
/// Longest message that can be meant.
const MESSAGE_MAX: usize = 16 << 20;
/// Longest name and path that are kept.
const TEXT_MAX: usize = 4096;
/// Functions that were inlined into each other at one address.
const INLINED_MAX: usize = 64;

/// What is asked: addresses in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Where the file may be.
    pub places: Vec<String>,
    /// Which it must be.
    pub stamp: Stamp,
    /// Of its ELF note.
    pub build_id: Vec<u8>,
    /// In the file's own numbers.
    pub addresses: Vec<u64>,
}

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spots {
    /// By debug information: the innermost inlined function first, the function that it is in last.
    pub lines: Vec<Spot>,
    /// By the symbol table: function, and distance from its begin.
    pub symbol: Option<(String, u64)>,
}

/// A place in source code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// Path, as the compiler was given it.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// Name, with its namespaces or modules.
    pub function: Option<String>,
}

/// The process that answers.
#[derive(Debug)]
pub struct Symbols {
    program: PathBuf,
    child: Option<(Child, ChildStdin, ChildStdout)>,
    /// Times that it has ended before it answered.
    failures: u32,
}

/// It is not started again after so many failures.
const FAILURES_MAX: u32 = 16;

impl Symbols {
    /// Runs `program`, the guardian's, when there is something to ask.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            child: None,
            failures: 0,
        }
    }

    /// What is known of each address; nothing when there is no answer.
    pub fn ask(&mut self, question: &Question) -> Vec<Spots> {
        if self.failures >= FAILURES_MAX {
            return Vec::new();
        }
        let answer = self.exchange(question);
        match answer {
            Ok(answer) if answer.len() == question.addresses.len() => answer,
            _ => {
                self.end();
                self.failures += 1;
                Vec::new()
            }
        }
    }

    /// Runs it now. If that fails, the first question tries again.
    pub fn prepare(&mut self) {
        let _ = self.start();
    }

    fn start(&mut self) -> io::Result<()> {
        if self.child.is_none() {
            let mut child = Command::new(&self.program)
                .arg(ARGUMENT)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let pipes = child.stdin.take().zip(child.stdout.take());
            let (input, output) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
            self.child = Some((child, input, output));
        }
        Ok(())
    }

    fn exchange(&mut self, question: &Question) -> io::Result<Vec<Spots>> {
        self.start()?;
        let (_, input, output) = self.child.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        send(input, question)?;
        receive(output)
    }

    fn end(&mut self) {
        if let Some((mut child, input, output)) = self.child.take() {
            drop((input, output));
            // It ends when its input does; if it is busy, or broken, it is not waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Symbols {
    fn drop(&mut self) {
        self.end();
    }
}

fn send(mut output: impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    output.write_all(&(bytes.len() as u32).to_le_bytes())?;
    output.write_all(&bytes)?;
    output.flush()
}

fn receive<T: for<'de> Deserialize<'de>>(mut input: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MESSAGE_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}

/// The process's own program.
pub fn serve() -> ExitCode {
    for signal in [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
        Signal::SIGHUP,
        Signal::SIGTERM,
    ] {
        // They are for the recorder, which has more to ask at its end.
        let _ = wallsocket_sys::ptrace::ignore(signal);
    }
    let _ = setrlimit(Resource::RLIMIT_DATA, MEMORY, MEMORY);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let mut files: HashMap<Stamp, Option<Files>> = HashMap::new();
    while let Ok(question) = receive::<Question>(io::stdin().lock()) {
        // Its signal ends the process.
        nix::unistd::alarm::set(SECONDS);
        if files.len() >= FILES_MAX {
            files.clear();
        }
        let found = files
            .entry(question.stamp)
            .or_insert_with(|| Files::open(&question));
        let answer: Vec<Spots> = question
            .addresses
            .iter()
            .map(|address| {
                found
                    .as_ref()
                    .map_or_else(Spots::default, |found| found.at(*address))
            })
            .collect();
        nix::unistd::alarm::cancel();
        if send(io::stdout().lock(), &answer).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// A program file or library, and the file that has its debug information if that is another one.
struct Files {
    own: Loader,
    separate: Option<Loader>,
}

impl Files {
    fn open(question: &Question) -> Option<Self> {
        let place = question.places.iter().find(|place| {
            let stamp = fs::metadata(place).ok().filter(fs::Metadata::is_file);
            stamp.is_some_and(|metadata| Stamp::of(&metadata) == question.stamp)
        })?;
        let own = Loader::new(place).ok()?;
        let path = question.places.first().map_or("", String::as_str);
        let root = place.strip_suffix(path).unwrap_or_default();
        let has_lines = own.get_section_range(b".debug_info").is_some();
        let separate = separate(root, &question.build_id)
            .filter(|_| !has_lines)
            .and_then(|path| Loader::new(path).ok());
        Some(Self { own, separate })
    }

    fn at(&self, address: u64) -> Spots {
        let mut spots = Spots::default();
        let debug = self.separate.as_ref().unwrap_or(&self.own);
        if let Ok(mut frames) = debug.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let location = frame.location.as_ref();
                spots.lines.push(Spot {
                    file: location.and_then(|location| location.file).map(tidy),
                    line: location
                        .and_then(|location| location.line)
                        .filter(|line| *line > 0),
                    function: frame
                        .function
                        .and_then(|name| name.raw_name().map(|name| readable(&name)).ok()),
                });
                if spots.lines.len() >= INLINED_MAX {
                    break;
                }
            }
        }
        let symbols = [Some(&self.own), self.separate.as_ref()];
        spots.symbol = symbols.into_iter().flatten().find_map(|file| {
            let symbol = file.find_symbol_info(address)?;
            let offset = address.checked_sub(symbol.address())?;
            Some((readable(symbol.name()), offset))
        });
        spots
    }
}

/// Where distributions put debug information (GDB manual, "Debugging Information in Separate Files").
fn separate(root: &str, build_id: &[u8]) -> Option<String> {
    use std::fmt::Write as _;

    let (first, rest) = build_id.split_first()?;
    let mut path = format!("{root}/usr/lib/debug/.build-id/{first:02x}/");
    for byte in rest {
        let _ = write!(path, "{byte:02x}");
    }
    path += ".debug";
    File::open(&path)
        .is_ok_and(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()))
        .then_some(path)
}

/// A function's name as its source has it. Only what begins as mangled names do is one (Itanium C++ ABI 5.1.2, Rust RFC 2603):
/// the C function `rd` would be `double restrict` otherwise, which is how C++ writes that type.
fn readable(name: &str) -> String {
    if name.starts_with("_Z") || name.starts_with("_R") {
        short(&addr2line::demangle_auto(name.into(), None))
    } else {
        short(name)
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// A path without the steps that compilers leave in it.
fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, "" | "..")) => {
                parts.pop();
            }
            "" if !parts.is_empty() => {}
            part => parts.push(part),
        }
    }
    short(&parts.join("/"))
}

impl Stamp {
    /// Of a file.
    pub fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified_ns: metadata
                .mtime()
                .wrapping_mul(1_000_000_000)
                .wrapping_add(metadata.mtime_nsec()),
            size: metadata.len(),
        }
    }
}

impl Question {
    /// About addresses in `binary`.
    pub fn about(binary: &rows::Binary, addresses: Vec<u64>) -> Self {
        Self {
            places: binary.places.clone(),
            stamp: binary.stamp,
            build_id: binary
                .build_id
                .as_ref()
                .map_or_else(Vec::new, |id| id.to_vec()),
            addresses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{readable, tidy};

    #[test]
    fn paths_lose_their_detours() {
        for (given, wanted) in [
            ("/tmp/x/./server.c", "/tmp/x/server.c"),
            ("/tmp/x/../y/server.c", "/tmp/y/server.c"),
            ("/tmp//server.c", "/tmp/server.c"),
            ("../a/b.c", "../a/b.c"),
            ("/../b.c", "/../b.c"),
            ("server.c", "server.c"),
            ("", ""),
        ] {
            assert_eq!(tidy(given), wanted, "{given}");
        }
    }

    #[test]
    fn only_mangled_names_are_demangled() {
        for (given, wanted) in [
            ("_ZN6Server5serveEi", "Server::serve(int)"),
            (
                "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
                "core::fmt::Write::write_fmt",
            ),
            ("_RNvC6server5serve", "server::serve"),
            ("rd", "rd"),
            ("i", "i"),
            ("Pc", "Pc"),
            ("_Znonsense", "_Znonsense"),
            ("main", "main"),
        ] {
            assert_eq!(readable(given), wanted, "{given}");
        }
    }
}
