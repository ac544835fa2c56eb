//! Installed packages: which distribution a file under `site-packages` came with, and whether that is the program that
//! was started.
//!
//! Sources: `python --help`; the Python Packaging User Guide on "Recording installed projects" (`*.dist-info`, `RECORD`)
//! and "Entry points specification"; `*.egg-info` and `top_level.txt` of setuptools.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

/// Directories that installers put packages into.
const DIRECTORIES: [&str; 2] = ["/site-packages/", "/dist-packages/"];
/// Where only the system's own package manager installs.
const SYSTEM: [&str; 2] = ["/usr/lib/", "/usr/lib64/"];
/// Entries of a directory of packages that are looked at, and bytes of all their lists of files together.
const ENTRIES_MAX: usize = 20_000;
const BYTES_MAX: u64 = 64 << 20;
/// Bytes of one list of files.
const LIST_MAX: u64 = 16 << 20;
/// Bytes of a command line and of a script that are looked at.
const TEXT_MAX: u64 = 64 << 10;
/// Processes that are asked on the way from a worker of multiprocessing to the program that it belongs to.
const PARENTS_MAX: usize = 8;

/// Whose a file under `site-packages` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// No distribution brought it: somebody put it there by hand.
    Nobody,
    /// The distribution whose program was started.
    Started,
    /// Another distribution.
    Other,
}

/// What Python was told to run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Program {
    /// A file, as an absolute path.
    Script(String),
    /// `-m NAME`.
    Module(String),
    /// `-c`, standard input, or not known.
    Other,
}

/// The installed packages that a process can use.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    /// `None`: a recording, of which only the names of files are known.
    pid: Option<i32>,
    /// Such as `python3.11`.
    version: String,
    program: OnceLock<Program>,
    sites: Mutex<HashMap<String, Arc<Site>>>,
}

/// One directory of packages.
#[derive(Debug)]
struct Site {
    names: Arc<Names>,
    started: Started,
}

/// Name of a package or module at the top of a directory of packages -> metadata directories of distributions with it.
type Names = HashMap<String, Vec<String>>;

/// What belongs to the program that was started.
#[derive(Debug, Default)]
struct Started {
    /// Files, relative to the directory of packages.
    files: HashSet<String>,
    /// Packages and modules at its top, where no list of files is kept.
    names: HashSet<String>,
}

impl Packages {
    /// Those of process `pid`, whose interpreter calls its directories `version` (`python3.11`).
    pub(crate) fn of(pid: i32, version: String) -> Self {
        Self {
            pid: Some(pid),
            version,
            ..Self::default()
        }
    }

    /// Whose `file` is; `None` when it is not in a directory of packages.
    pub(crate) fn owner(&self, file: &str) -> Option<Owner> {
        let at = DIRECTORIES
            .iter()
            .filter_map(|part| file.rfind(part).map(|at| at + part.len()))
            .max()?;
        let (directory, inside) = file.split_at(at);
        if self.pid.is_none() {
            return Some(Owner::Other);
        }
        let site = self.site(directory);
        let name = top_name(inside);
        Some(
            if site.started.files.contains(inside) || site.started.names.contains(name) {
                Owner::Started
            } else if site.names.contains_key(name)
                || Path::new(name).extension().is_some_and(|end| end == "egg")
                || SYSTEM.iter().any(|system| directory.starts_with(system))
            {
                Owner::Other
            } else {
                Owner::Nobody
            },
        )
    }

    /// Whether `file` is the script that an installer made to start a distribution's program.
    pub(crate) fn is_started_script(&self, file: &str) -> bool {
        if self.pid.is_none() || !matches!(self.program(), Program::Script(path) if path == file) {
            return false;
        }
        let Some(prefix) = self.prefix_of_script(file) else {
            return false;
        };
        ["lib", "lib64"].iter().any(|lib| {
            let lib = prefix.join(lib);
            [
                lib.join(&self.version).join("site-packages"),
                lib.join(&self.version).join("dist-packages"),
                lib.join("python3").join("dist-packages"),
            ]
            .iter()
            .filter_map(|directory| directory.to_str())
            .any(|directory| {
                let started = &self.site(&format!("{directory}/")).started;
                !started.files.is_empty() || !started.names.is_empty()
            })
        })
    }

    /// `/opt/x` of `/opt/x/bin/tool`, links followed where they mean the same here.
    fn prefix_of_script(&self, script: &str) -> Option<PathBuf> {
        let script = match self.other_root() {
            Some(_) => PathBuf::from(script),
            None => fs::canonicalize(script).ok()?,
        };
        let folder = script.parent()?;
        (folder.file_name()? == "bin").then(|| folder.parent().map(Path::to_path_buf))?
    }

    /// The path by which this process reaches what the other one calls `path`.
    fn reach(&self, path: &str) -> PathBuf {
        self.other_root().map_or_else(
            || PathBuf::from(path),
            |root| root.join(path.trim_start_matches('/')),
        )
    }

    /// The root directory of the other process, when it is another one than ours.
    fn other_root(&self) -> Option<PathBuf> {
        let identity = |path: &Path| fs::metadata(path).map(|root| (root.dev(), root.ino()));
        let root = PathBuf::from(format!("/proc/{}/root", self.pid?));
        let theirs = identity(&root).ok()?;
        (Some(theirs) != identity(Path::new("/")).ok()).then_some(root)
    }

    fn program(&self) -> &Program {
        self.program
            .get_or_init(|| self.pid.map_or(Program::Other, program_of))
    }

    /// `directory` with a slash at its end.
    fn site(&self, directory: &str) -> Arc<Site> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(site) = sites.get(directory) {
            return Arc::clone(site);
        }
        let folder = self.reach(directory);
        let names = names(&folder);
        let started = self.started(directory, &folder, &names);
        let site = Arc::new(Site { names, started });
        sites.insert(directory.to_owned(), Arc::clone(&site));
        site
    }

    /// What of a directory of packages belongs to the program that was started.
    fn started(&self, directory: &str, folder: &Path, names: &Names) -> Started {
        let none = Vec::new();
        let of = |name: &str| names.get(name).unwrap_or(&none).clone();
        // A package that several distributions share is the program's only as far as its list of files goes.
        let matching = |name: &str, is_meant: &dyn Fn(&str) -> bool| {
            let mut started = Started::default();
            for metadata in of(name) {
                let files = files_of(&folder.join(&metadata));
                if files.iter().any(|file| is_meant(file)) {
                    started.files.extend(files);
                } else if files.is_empty() {
                    started.names.insert(name.to_owned());
                }
            }
            started
        };
        match self.program() {
            Program::Module(module) => {
                let path = module.replace('.', "/");
                matching(top_name(&path), &|file| {
                    file.strip_prefix(path.as_str())
                        .is_some_and(|rest| rest.starts_with(['/', '.']))
                })
            }
            Program::Script(script) => {
                if let Some(inside) = script.strip_prefix(directory) {
                    return matching(top_name(inside), &|file| file == inside);
                }
                let Some(name) = Path::new(script).file_name().and_then(|name| name.to_str())
                else {
                    return Started::default();
                };
                let ending = format!("/bin/{name}");
                let mut started = Started::default();
                let mut seen = HashSet::new();
                for imported in imports(&text(&self.reach(script)).unwrap_or_default()) {
                    for metadata in of(&imported) {
                        let metadata = folder.join(metadata);
                        if !seen.insert(metadata.clone()) {
                            continue;
                        }
                        let files = files_of(&metadata);
                        if files.iter().any(|file| file.ends_with(&ending)) {
                            started.files.extend(files);
                        } else if files.is_empty() && has_entry_point(&metadata, name) {
                            started.names.insert(imported.clone());
                        }
                    }
                }
                started
            }
            Program::Other => Started::default(),
        }
    }
}

/// `yaml` of `yaml/reader.py`; `six` of `six.py`.
fn top_name(inside: &str) -> &str {
    let first = inside.split('/').next().unwrap_or(inside);
    if first.len() == inside.len() {
        first.split('.').next().unwrap_or(first)
    } else {
        first
    }
}

/// The beginning of a text file.
fn text(path: &Path) -> Option<String> {
    limited(path, TEXT_MAX)
}

fn limited(path: &Path, most: u64) -> Option<String> {
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Directories of packages that were read: (device, inode, time of last change in ns) -> their names.
type ReadDirectories = HashMap<(u64, u64, i64), Arc<Names>>;
static READ: LazyLock<Mutex<ReadDirectories>> = LazyLock::new(Mutex::default);
const READ_MAX: usize = 256;

/// What the distributions in a directory brought.
fn names(folder: &Path) -> Arc<Names> {
    let Ok(metadata) = fs::metadata(folder) else {
        return Arc::default();
    };
    let changed = metadata.mtime().wrapping_mul(1_000_000_000) + metadata.mtime_nsec();
    let key = (metadata.dev(), metadata.ino(), changed);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(names) = read.get(&key) {
        return Arc::clone(names);
    }
    let names = Arc::new(read_names(folder));
    if read.len() >= READ_MAX {
        read.clear();
    }
    read.insert(key, Arc::clone(&names));
    names
}

fn read_names(folder: &Path) -> Names {
    let mut found = Names::new();
    let mut left = BYTES_MAX;
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.take(ENTRIES_MAX).flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.ends_with(".dist-info") && !name.ends_with(".egg-info") {
            continue;
        }
        let path = folder.join(&name);
        let mut tops = HashSet::new();
        if let Some(listed) = text(&path.join("top_level.txt")) {
            tops.extend(listed.split_whitespace().map(str::to_owned));
        } else if left > 0
            && let Some(record) = limited(&path.join("RECORD"), LIST_MAX.min(left))
        {
            left = left.saturating_sub(record.len() as u64);
            tops.extend(
                record
                    .lines()
                    .map(|line| top_name(file_of_line(line)).to_owned()),
            );
        } else {
            // Nothing says what is in it: most carry their own name.
            let own = name.split('-').next().unwrap_or(&name);
            tops.insert(own.to_lowercase());
            tops.insert(own.to_owned());
        }
        for top in tops {
            // What lies outside, the metadata themselves, and compiled files of single modules.
            if !(top.is_empty() || top.starts_with('.') || top == "__pycache__" || top == name) {
                found.entry(top).or_default().push(name.clone());
            }
        }
    }
    found
}

/// The path in a line of a RECORD: the first field of comma-separated values.
fn file_of_line(line: &str) -> &str {
    line.strip_prefix('"').map_or_else(
        || line.split(',').next().unwrap_or(line),
        |rest| rest.split('"').next().unwrap_or(rest),
    )
}

/// The files of a distribution, as its RECORD has them; empty where it keeps none.
fn files_of(metadata: &Path) -> Vec<String> {
    limited(&metadata.join("RECORD"), LIST_MAX)
        .unwrap_or_default()
        .lines()
        .map(|line| file_of_line(line).to_owned())
        .filter(|file| !file.is_empty())
        .collect()
}

/// Whether a distribution installs a script of this name.
fn has_entry_point(metadata: &Path, name: &str) -> bool {
    text(&metadata.join("entry_points.txt"))
        .unwrap_or_default()
        .lines()
        .any(|line| {
            line.split_once('=')
                .is_some_and(|(script, _)| script.trim() == name)
        })
}

/// The top-level names that a script imports.
fn imports(script: &str) -> Vec<String> {
    let mut found: Vec<String> = script
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let rest = line
                .strip_prefix("from ")
                .or_else(|| line.strip_prefix("import "))?;
            let name = rest.trim_start().split([' ', '.', ',', ';']).next()?;
            (!name.is_empty()).then(|| name.to_owned())
        })
        .take(64)
        .collect();
    found.dedup();
    found
}

/// What the process was told to run. A worker of multiprocessing belongs to the program of its parent.
fn program_of(pid: i32) -> Program {
    let mut pid = pid;
    for _ in 0..PARENTS_MAX {
        let Some(line) = limited_bytes(&format!("/proc/{pid}/cmdline")) else {
            break;
        };
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        if words.iter().any(|word| {
            word.starts_with("from multiprocessing.")
                && (word.contains("import spawn_main")
                    || word.contains(".forkserver")
                    || word.contains("import main;main("))
        }) {
            match parent_of(pid) {
                Some(parent) if parent > 1 => pid = parent,
                _ => break,
            }
            continue;
        }
        return match parsed(&words) {
            Program::Script(path) if !path.starts_with('/') => {
                fs::read_link(format!("/proc/{pid}/cwd")).map_or(Program::Other, |folder| {
                    let path = path.strip_prefix("./").unwrap_or(&path);
                    Program::Script(folder.join(path).to_string_lossy().into_owned())
                })
            }
            other => other,
        };
    }
    Program::Other
}

fn limited_bytes(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(TEXT_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn parent_of(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

/// Reads a command line of Python's.
fn parsed(words: &[String]) -> Program {
    let is_python = words.first().is_some_and(|first| {
        let name = first.rsplit('/').next().unwrap_or(first);
        name.starts_with("python") || name.starts_with("pypy")
    });
    if !is_python {
        return Program::Other;
    }
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        if word == "--check-hash-based-pycs" {
            rest.next();
        } else if word == "-" || word.is_empty() {
            return Program::Other;
        } else if word.starts_with("--") {
            // Without an argument of its own.
        } else if let Some(letters) = word.strip_prefix('-') {
            let Some(at) = letters.find(['c', 'm', 'W', 'X']) else {
                continue;
            };
            let (letter, attached) = (&letters[at..=at], &letters[at + 1..]);
            let argument = if attached.is_empty() {
                rest.next().cloned()
            } else {
                Some(attached.to_owned())
            };
            match (letter, argument) {
                ("m", Some(module)) => return Program::Module(module),
                ("c" | "m", _) => return Program::Other,
                _ => {}
            }
        } else {
            return Program::Script(word.clone());
        }
    }
    Program::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(line: &str) -> Program {
        parsed(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines_of_python_are_read() {
        let script = |path: &str| Program::Script(path.to_owned());
        let module = |name: &str| Program::Module(name.to_owned());
        assert_eq!(program("python3 app.py -m x"), script("app.py"));
        assert_eq!(
            program("/opt/bin/python3.12 -u -W ignore -X dev /srv/app.py"),
            script("/srv/app.py")
        );
        assert_eq!(program("python -m http.server 80"), module("http.server"));
        assert_eq!(program("python -Ium svc"), module("svc"));
        assert_eq!(program("python -Wignore -mpytest"), module("pytest"));
        assert_eq!(
            program("python --check-hash-based-pycs always a.py"),
            script("a.py")
        );
        for other in [
            "python -c 1 a.py",
            "python",
            "python -",
            "gunicorn: master",
            "",
        ] {
            assert_eq!(program(other), Program::Other, "{other}");
        }
    }

    #[test]
    fn records_and_scripts_are_read() {
        assert_eq!(file_of_line("svc/a.py,sha256=x,12"), "svc/a.py");
        assert_eq!(file_of_line("\"svc/a,b.py\",sha256=x,12"), "svc/a,b.py");
        assert_eq!(top_name("svc/sub/a.py"), "svc");
        assert_eq!(top_name("six.py"), "six");
        assert_eq!(
            imports(
                "#!/usr/bin/python3\nimport re\nimport sys\nfrom svc.cli import main\nif 1:\n    import x, y\n"
            ),
            ["re", "sys", "svc", "x"]
        );
    }

    #[test]
    fn of_a_recording_all_installed_code_is_a_librarys() {
        let packages = Packages::default();
        assert_eq!(
            packages.owner("/v/lib/python3.12/site-packages/a.py"),
            Some(Owner::Other)
        );
        assert_eq!(packages.owner("/srv/app.py"), None);
        assert!(!packages.is_started_script("/srv/bin/app"));
    }
}
