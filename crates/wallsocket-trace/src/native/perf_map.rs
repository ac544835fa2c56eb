//! Functions that were made while a program ran, by the file in which it names them: `/tmp/perf-PID.map`.
//!
//! The format is perf's (tools/perf/Documentation/jit-interface.txt): a line for each piece of code, `START SIZE NAME`, both numbers in
//! hexadecimal. The file grows while the program runs, and is the program's to write: what is read of it at one stop is bounded, only
//! new lines are read, a later line replaces earlier ones at its addresses, and as long as not all of it was read nothing is known.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes that are read at one stop. V8 writes some 150 KB until its program begins.
const READ_MAX: u64 = 4 << 20;
/// A larger file, or one with more pieces of code, is not used.
const FILE_MAX: u64 = 256 << 20;
const ENTRIES_MAX: usize = 1 << 18;
/// Longest name that is kept.
const NAME_MAX: usize = 1024;
/// A longer line is no line.
const LINE_MAX: usize = 64 << 10;
/// Bytes before the place where reading goes on that must still be the same.
const TAIL: usize = 64;

/// Where a piece of code ends, and where its name stands in the file.
#[derive(Clone, Copy, Debug)]
struct Entry {
    end: u64,
    name: u64,
    length: u32,
}

/// What the file has said so far.
#[derive(Debug)]
pub(super) struct PerfMap {
    file: File,
    inode: (u64, u64),
    entries: BTreeMap<u64, Entry>,
    /// Bytes of whole lines that were read, and the last of them.
    read: u64,
    tail: Vec<u8>,
    /// Everything there was has been read.
    whole: bool,
    /// Times that something new was read.
    pub(super) changes: u64,
}

/// How the map names a process: by the number that it has in its own namespace, in its own `/tmp`.
fn path(pid: i32) -> Option<PathBuf> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    let inside: i32 = line.split_whitespace().last()?.parse().ok()?;
    Some(Path::new(&format!("/proc/{pid}/root")).join(format!("tmp/perf-{inside}.map")))
}

/// A file that the process itself wrote: what others say of its code is not believed.
fn is_own(pid: i32, metadata: &Metadata) -> bool {
    let owner = fs::metadata(format!("/proc/{pid}")).map(|process| process.uid());
    metadata.is_file() && owner.is_ok_and(|owner| owner == metadata.uid())
}

impl PerfMap {
    /// The map of a process, if it has written one.
    pub(super) fn open(pid: i32) -> Option<Self> {
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW)
            .open(path(pid)?)
            .ok()?;
        let metadata = file.metadata().ok()?;
        is_own(pid, &metadata).then(|| Self::of(file, &metadata))
    }

    fn of(file: File, metadata: &Metadata) -> Self {
        Self {
            file,
            inode: (metadata.dev(), metadata.ino()),
            entries: BTreeMap::new(),
            read: 0,
            tail: Vec::new(),
            whole: false,
            changes: 0,
        }
    }

    /// Whether the process has another file under that name by now.
    pub(super) fn is_replaced(&self, pid: i32) -> bool {
        let now = path(pid).and_then(|path| fs::symlink_metadata(path).ok());
        now.is_some_and(|now| (now.dev(), now.ino()) != self.inode)
    }

    /// Reads what is new.
    pub(super) fn update(&mut self) {
        let Ok(size) = self.file.metadata().map(|metadata| metadata.len()) else {
            self.whole = false;
            return;
        };
        if size == self.read && self.whole {
            return;
        }
        if size < self.read || !self.continues() {
            // Written anew.
            self.entries.clear();
            self.tail.clear();
            self.read = 0;
        }
        self.changes += 1;
        self.whole = false;
        if size > FILE_MAX {
            return;
        }
        let mut bytes = vec![0; (size - self.read).min(READ_MAX) as usize];
        let Ok(count) = self.file.read_at(&mut bytes, self.read) else {
            return;
        };
        bytes.truncate(count);
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            // A line that is being written, or no text.
            self.whole = count < LINE_MAX;
            return;
        };
        let rest = count - end - 1;
        let mut at = self.read;
        for line in bytes[..=end].split_inclusive(|byte| *byte == b'\n') {
            self.take(line, at);
            at += line.len() as u64;
        }
        self.read = at;
        self.tail = bytes[..=end][(end + 1).saturating_sub(TAIL)..].to_vec();
        self.whole =
            at + rest as u64 == size && rest < LINE_MAX && self.entries.len() < ENTRIES_MAX;
    }

    /// What was read last still stands there.
    fn continues(&self) -> bool {
        let mut bytes = vec![0; self.tail.len()];
        let from = self.read.saturating_sub(bytes.len() as u64);
        self.file.read_exact_at(&mut bytes, from).is_ok() && bytes == self.tail
    }

    fn take(&mut self, line: &[u8], at: u64) {
        let Some((start, end, name)) = parse(line) else {
            return;
        };
        if self.entries.len() >= ENTRIES_MAX {
            return;
        }
        while let Some((begin, entry)) = self.entries.range(..end).next_back()
            && entry.end > start
        {
            let begin = *begin;
            self.entries.remove(&begin);
        }
        let entry = Entry {
            end,
            name: at + name.start as u64,
            length: name.len().min(NAME_MAX) as u32,
        };
        self.entries.insert(start, entry);
    }

    /// The name of the code at `address`; nothing while the file was not read to its end.
    pub(super) fn name(&self, address: u64) -> Option<String> {
        if !self.whole {
            return None;
        }
        let (_, entry) = self.entries.range(..=address).next_back()?;
        if address >= entry.end {
            return None;
        }
        let mut bytes = vec![0; entry.length as usize];
        self.file.read_exact_at(&mut bytes, entry.name).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Begin and end of the code that a line is about, and where in the line its name stands.
fn parse(line: &[u8]) -> Option<(u64, u64, std::ops::Range<usize>)> {
    let length = line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len);
    let line = &line[..length];
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let mut number = || {
        let text = std::str::from_utf8(parts.next()?).ok()?;
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    };
    let (start, size) = (number()?, number()?);
    let name = parts.next()?;
    let end = start.checked_add(size)?;
    (end > start && !name.is_empty()).then(|| (start, end, length - name.len()..length))
}

/// Whether code of that name keeps a frame pointer, so that the frame that called it can be found. All of V8's that calls anything does,
/// and the interpreter of HotSpot; what HotSpot compiles when it is told to.
pub(super) fn keeps_frame_pointer(name: &str, told_to: bool) -> bool {
    told_to || name == "Interpreter" || is_v8(name)
}

/// Whether V8 has written that name (`LogEventListener::CodeTag` in its src/logging).
fn is_v8(name: &str) -> bool {
    const TAGS: [&str; 10] = [
        "Builtin",
        "BytecodeHandler",
        "Callback",
        "Eval",
        "Function",
        "Handler",
        "JS",
        "LazyCompile",
        "RegExp",
        "Script",
    ];
    name.split_once(':')
        .is_some_and(|(tag, _)| TAGS.contains(&tag))
}

/// Whether the process was started with HotSpot's option to keep frame pointers.
pub(super) fn is_told_to_keep(pid: i32) -> bool {
    use std::io::Read;

    const OPTION: &[u8] = b"-XX:+PreserveFramePointer";
    const BYTES_MAX: u64 = 1 << 20;
    ["cmdline", "environ"].iter().any(|name| {
        let mut bytes = Vec::new();
        let read = File::open(format!("/proc/{pid}/{name}"))
            .and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
        read.is_ok() && bytes.windows(OPTION.len()).any(|part| part == OPTION)
    })
}

/// A function that a map names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// File, and the line on which the function begins.
    pub(super) place: Option<(String, Option<u32>)>,
    /// It belongs to the language, not to the program.
    pub(super) is_library: bool,
}

/// Packages of Java that come with it.
const JAVA: [&str; 6] = [
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "com.sun.",
    "org.graalvm.",
];

impl Function {
    /// What the name in a map says of a function in source code; nothing of stubs, trampolines and built-in code.
    pub(super) fn parse(entry: &str) -> Option<Self> {
        if let Some(rest) = entry.strip_prefix("py::") {
            // CPython's, with -X perf: py::NAME:FILE.
            let (name, file) = rest
                .split_once(":/")
                .map(|(name, file)| (name, format!("/{file}")))?;
            let is_library = file.contains("/lib/python");
            return Some(Self {
                name: name.to_owned(),
                place: Some((file, None)),
                is_library,
            });
        }
        match entry.split_once(':') {
            Some(("JS" | "LazyCompile" | "Function" | "Script" | "Eval", rest))
                if !rest.starts_with(':') =>
            {
                Self::javascript(rest)
            }
            _ => Self::java(entry),
        }
    }

    /// V8's: how it was compiled, NAME FILE:LINE:COLUMN; of a script's own code the name is empty.
    fn javascript(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(['~', '^', '*', '+', '\'']);
        let (rest, column) = text.rsplit_once(':')?;
        let (rest, line) = rest.rsplit_once(':')?;
        let line: u32 = line.parse().ok()?;
        column.parse::<u32>().ok()?;
        // A name may have spaces (`get size`), and so may a path.
        let at = [" /", " file://", " node:"]
            .iter()
            .filter_map(|begin| rest.find(begin))
            .min()
            .or_else(|| rest.rfind(' '))?;
        let (name, file) = (&rest[..at], &rest[at + 1..]);
        let file = file.strip_prefix("file://").unwrap_or(file);
        if file.is_empty() {
            return None;
        }
        let name = if name.is_empty() { "(anonymous)" } else { name };
        Some(Self {
            name: name.to_owned(),
            place: Some((file.to_owned(), Some(line).filter(|line| *line > 0))),
            is_library: file.starts_with("node:") || file.contains("/node_modules/"),
        })
    }

    /// HotSpot's `int Echo.serve(java.net.Socket)`, or an agent's `LEcho;::serve`.
    fn java(entry: &str) -> Option<Self> {
        let name = if let Some((class, method)) = entry.split_once(";::") {
            let class = class.strip_prefix('L')?.replace('/', ".");
            format!("{class}.{}", method.split('(').next()?)
        } else {
            let before = entry.split_once('(')?.0;
            before.rsplit_once(' ')?.1.to_owned()
        };
        let is_method = name.contains('.')
            && name
                .chars()
                .all(|letter| letter.is_alphanumeric() || "._$<>/".contains(letter));
        is_method.then(|| Self {
            is_library: JAVA.iter().any(|package| name.starts_with(package)),
            name,
            place: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use proptest::prelude::*;

    use super::*;

    fn map(bytes: &[u8]) -> (PerfMap, File) {
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .open(std::env::temp_dir())
            .expect("a file");
        file.write_all(bytes).expect("room");
        let metadata = file.metadata().expect("a file");
        let map = PerfMap::of(file.try_clone().expect("a descriptor"), &metadata);
        (map, file)
    }

    #[test]
    fn names_are_found_by_address_and_later_ones_win() {
        let (mut map, mut file) = map(b"1000 10 one\n0x1010 0x10 two b\n1008 4 inner\nhalf");
        map.update();
        assert_eq!(map.name(0x1010).as_deref(), Some("two b"));
        assert_eq!(map.name(0x1009).as_deref(), Some("inner"));
        // What it lies in is not known any more.
        assert_eq!(map.name(0x1000), None);
        assert_eq!(map.name(0x100c), None);
        assert_eq!(map.name(0x1020), None);
        file.write_all(b" line\n2000 8 three\n").expect("room");
        map.update();
        assert_eq!(map.name(0x2007).as_deref(), Some("three"));
        assert_eq!(map.name(0x1010).as_deref(), Some("two b"));
    }

    #[test]
    fn a_map_that_is_written_anew_is_read_anew() {
        let (mut map, mut file) = map(b"1000 10 one\n");
        map.update();
        for text in ["3000 10 x\n", "1000 10 another name for it, and longer\n"] {
            file.set_len(0).expect("cut");
            file.rewind().expect("begin");
            file.write_all(text.as_bytes()).expect("room");
            map.update();
            assert_ne!(map.name(0x1000).as_deref(), Some("one"));
        }
        assert_eq!(
            map.name(0x1000).as_deref(),
            Some("another name for it, and longer")
        );
    }

    #[test]
    fn functions_are_read_from_the_names_that_engines_write() {
        let found = |entry: &str| {
            Function::parse(entry)
                .map(|function| (function.name, function.place, function.is_library))
        };
        let at = |file: &str, line| Some((file.to_owned(), line));
        for (entry, name, place, is_library) in [
            (
                "JS:~answer /srv/a b/app.js:2:16",
                "answer",
                at("/srv/a b/app.js", Some(2)),
                false,
            ),
            (
                "JS:*get size file:///srv/x.mjs:7:3",
                "get size",
                at("/srv/x.mjs", Some(7)),
                false,
            ),
            (
                "LazyCompile:*Server.listen node:net:2006:35",
                "Server.listen",
                at("node:net", Some(2006)),
                true,
            ),
            (
                "JS:^ /srv/app.js:1:1",
                "(anonymous)",
                at("/srv/app.js", Some(1)),
                false,
            ),
            (
                "JS:+go /srv/node_modules/ws/a.js:3:1",
                "go",
                at("/srv/node_modules/ws/a.js", Some(3)),
                true,
            ),
            (
                "py::serve:/srv/app.py",
                "serve",
                at("/srv/app.py", None),
                false,
            ),
            ("int Echo.serve(java.net.Socket)", "Echo.serve", None, false),
            ("LEcho;::serve", "Echo.serve", None, false),
            (
                "int sun.nio.ch.Net.poll(java.io.FileDescriptor, int, long)",
                "sun.nio.ch.Net.poll",
                None,
                true,
            ),
        ] {
            assert_eq!(
                found(entry),
                Some((name.to_owned(), place, is_library)),
                "{entry}"
            );
        }
        for entry in [
            "Builtin:CallFunction",
            "Interpreter",
            "RegExp:a(b)",
            "StubRoutines (1)",
            "JS:",
            "JS:~x",
            "x",
            "",
        ] {
            assert_eq!(found(entry), None, "{entry}");
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read_to_an_end(
            pieces in proptest::collection::vec(
                prop_oneof![
                    any::<Vec<u8>>(),
                    "[0-9a-f]{1,17} [0-9a-f]{1,17} [ -~]{0,40}\n".prop_map(String::into_bytes),
                    "(JS|py::|L|Eval):[~*^]?[ -~]{0,40}".prop_map(String::into_bytes),
                ],
                0..40,
            ),
            address in any::<u64>(),
        ) {
            let (mut map, mut file) = map(b"");
            let mut starts = Vec::new();
            for piece in &pieces {
                file.write_all(piece).expect("room");
                map.update();
                starts.extend(map.entries.keys().copied());
                let mut last = 0;
                for (start, entry) in &map.entries {
                    prop_assert!(*start >= last && entry.end > *start);
                    last = entry.end;
                }
                let _ = Function::parse(&String::from_utf8_lossy(piece));
            }
            for address in starts.into_iter().chain([address]) {
                let _ = map.name(address).as_deref().and_then(Function::parse);
            }
        }
    }
}
