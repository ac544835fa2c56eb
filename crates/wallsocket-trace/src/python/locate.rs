//! Finding the interpreter inside a process: which mapped file holds `_PyRuntime`, and which version it is.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::Unknown;
use super::elf::{Loaded, load_address, section_in_file, symbols_in_file};
use super::memory::ReadMemory;

/// Addresses from which everything else is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchors {
    /// Of `_PyRuntime`.
    pub runtime: u64,
    /// `PY_VERSION_HEX` of the interpreter.
    pub version: u32,
    /// Of `PyCode_Type`.
    pub code_type: u64,
    /// The mapped file that holds them, as the target names it.
    pub object: PathBuf,
}

/// A file mapped from its first byte.
struct Mapped {
    start: u64,
    end: u64,
    /// Device (as in `/proc/PID/maps`) and inode.
    identity: (String, u64),
    path: PathBuf,
}

/// Static programs that were searched: where the symbols are, relative to the first byte, or that there are none.
type Searched = HashMap<(String, u64), Option<[Option<u64>; 3]>>;
static SEARCHED: LazyLock<Mutex<Searched>> = LazyLock::new(Mutex::default);
const SEARCHED_MAX: usize = 1024;

const NAMES: [&str; 3] = ["_PyRuntime", "Py_Version", "PyCode_Type"];

/// Finds the interpreter in process `pid`; `None` when it runs no Python.
///
/// # Errors
/// [`Unknown::Version`] and [`Unknown::Implementation`] for a Python that cannot be read, and what reading it gives.
pub(crate) fn locate(pid: i32, memory: &impl ReadMemory) -> Result<Option<Anchors>, Unknown> {
    let maps =
        fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Unknown::NotPermitted,
            _ => Unknown::Gone,
        })?;
    if maps.is_empty() && is_dead(pid) {
        return Err(Unknown::Gone);
    }
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let mut candidates: Vec<(Mapped, bool)> = maps
        .lines()
        .filter_map(mapped)
        .filter_map(|mapped| {
            let is_program = program.as_deref() == Some(mapped.path.as_path());
            (is_program || is_library(&mapped.path)).then_some((mapped, is_program))
        })
        .collect();
    // The library first: a program that has both only calls it.
    candidates.sort_by_key(|(_, is_program)| *is_program);
    let mut refused = None;
    for (mapped, is_program) in candidates {
        match anchors(pid, memory, &mapped, is_program) {
            Ok(Some(anchors)) => return Ok(Some(anchors)),
            Ok(None) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// The section `name` of the module of C that process `pid` has loaded as `module`, or of its interpreter, which may have it built in.
pub(crate) fn section_of(
    pid: i32,
    anchors: &Anchors,
    module: &str,
    name: &str,
    size: usize,
) -> Option<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let files: Vec<Mapped> = maps.lines().filter_map(mapped).collect();
    let is_module = |mapped: &&Mapped| {
        let rest = file_name(&mapped.path).strip_prefix(module);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let interpreter = files.iter().filter(|mapped| mapped.path == anchors.object);
    files
        .iter()
        .filter(is_module)
        .chain(interpreter)
        .find_map(|mapped| section_in_file(&open(pid, mapped)?, name, size))
}

/// Whether the process has ended and only waits for its parent to notice. (Kernel threads map nothing either.)
fn is_dead(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which is in parentheses and may contain any, comes the state.
    stat.rsplit(") ")
        .next()
        .is_none_or(|rest| rest.starts_with(['Z', 'X']) || rest.is_empty())
}

/// Reads one line of `/proc/PID/maps`.
fn mapped(line: &str) -> Option<Mapped> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let _permissions = fields.next()?;
    let offset = fields.next()?;
    let device = fields.next()?;
    let inode: u64 = fields.next()?.parse().ok()?;
    let path = fields.next()?.trim_start();
    let from_first_byte = offset.bytes().all(|digit| digit == b'0');
    (from_first_byte && inode != 0 && path.starts_with('/')).then_some(())?;
    Some(Mapped {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        identity: (device.to_owned(), inode),
        path: PathBuf::from(path),
    })
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn is_library(path: &Path) -> bool {
    let name = file_name(path);
    name.starts_with("libpython") || name.starts_with("libpypy")
}

fn anchors(
    pid: i32,
    memory: &impl ReadMemory,
    mapped: &Mapped,
    is_program: bool,
) -> Result<Option<Anchors>, Unknown> {
    let name = file_name(&mapped.path);
    if name.starts_with("libpypy") || (is_program && name.starts_with("pypy")) {
        return Err(Unknown::Implementation("PyPy".to_owned()));
    }
    let loaded = Loaded::open(memory, mapped.start);
    let exported = loaded
        .as_ref()
        .map(|loaded| NAMES.map(|name| loaded.symbol(name)));
    let found = match exported {
        Some(found) if found[0].is_some() => Some(found),
        _ if is_program => in_file(pid, mapped),
        _ => None,
    };
    let older = || Unknown::Version(older_version(name).unwrap_or("before 3.11").to_owned());
    match found {
        Some([Some(runtime), Some(version), Some(code_type)]) => {
            let version = u32::from_le_bytes(memory.array(version)?);
            let object = mapped.path.clone();
            Ok(Some(Anchors {
                runtime,
                version,
                code_type,
                object,
            }))
        }
        // `Py_Version` came with 3.11.
        Some([Some(_), None, _]) => Err(older()),
        // `_PyRuntime` came with 3.7; all before it export this.
        _ if loaded.is_some_and(|loaded| loaded.symbol("Py_Initialize").is_some()) => Err(older()),
        _ => Ok(None),
    }
}

/// "3.10" of `libpython3.10.so.1.0` and `python3.10`.
fn older_version(name: &str) -> Option<&str> {
    let text = name
        .strip_prefix("lib")
        .unwrap_or(name)
        .strip_prefix("python")?;
    let end = text
        .match_indices('.')
        .nth(1)
        .map_or(text.len(), |(at, _)| at);
    let version = text[..end].trim_end_matches(|letter: char| !letter.is_ascii_digit());
    (!version.is_empty()).then_some(version)
}

/// Looks the symbols up in the program's file, for programs that export none.
fn in_file(pid: i32, mapped: &Mapped) -> Option<[Option<u64>; 3]> {
    let mut searched = SEARCHED.lock().unwrap_or_else(PoisonError::into_inner);
    let relative = if let Some(known) = searched.get(&mapped.identity) {
        *known
    } else {
        let found = open(pid, mapped).and_then(|file| {
            let symbols = symbols_in_file(&file, NAMES)?;
            let load = load_address(&file)?;
            symbols[0]?;
            Some(symbols.map(|symbol| symbol.map(|address| address.wrapping_sub(load))))
        });
        if searched.len() >= SEARCHED_MAX {
            searched.clear();
        }
        searched.insert(mapped.identity.clone(), found);
        found
    };
    Some(relative?.map(|address| address.map(|address| mapped.start.wrapping_add(address))))
}

/// Opens the very file that is mapped, also when it was deleted or lies in another mount namespace.
fn open(pid: i32, mapped: &Mapped) -> Option<File> {
    let inside = mapped.path.strip_prefix("/").ok()?;
    let names = [
        PathBuf::from(format!("/proc/{pid}/exe")),
        PathBuf::from(format!(
            "/proc/{pid}/map_files/{:x}-{:x}",
            mapped.start, mapped.end
        )),
        Path::new(&format!("/proc/{pid}/root")).join(inside),
    ];
    names
        .iter()
        .filter_map(|name| File::open(name).ok())
        .find(|file| {
            file.metadata()
                .is_ok_and(|metadata| metadata.ino() == mapped.identity.1)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f1c00000000-7f1c00010000 r--p 00000000 fe:00 4711                       /opt/a b/libpython3.12.so.1.0";
        let read = mapped(line).expect("a mapped file");
        assert_eq!((read.start, read.end), (0x7f1c_0000_0000, 0x7f1c_0001_0000));
        assert_eq!(read.identity, ("fe:00".to_owned(), 4711));
        assert_eq!(read.path, Path::new("/opt/a b/libpython3.12.so.1.0"));
        assert!(mapped("7f1c00000000-7f1c00010000 r-xp 00001000 fe:00 4711 /usr/bin/x").is_none());
        assert!(mapped("7ffd0000-7ffe0000 rw-p 00000000 00:00 0 [stack]").is_none());
        assert!(mapped("nonsense").is_none());
    }

    #[test]
    fn versions_are_read_from_file_names() {
        assert_eq!(older_version("libpython3.10.so.1.0"), Some("3.10"));
        assert_eq!(older_version("libpython3.7m.so.1.0"), Some("3.7"));
        assert_eq!(older_version("python2.7"), Some("2.7"));
        assert_eq!(older_version("python3"), Some("3"));
        assert_eq!(older_version("blender"), None);
    }

    #[test]
    fn a_process_without_python_has_none() {
        let pid = i32::try_from(std::process::id()).expect("a pid fits");
        let memory = super::super::ProcessMemory::new(pid);
        assert_eq!(locate(pid, &memory), Ok(None));
    }
}
