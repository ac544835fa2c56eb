//! Whose code a frame is: the user's own, a library's, or the heart of an event loop.

/// Whose code a frame runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The user's own.
    User,
    /// The standard library, an installed package, or the interpreter's frozen modules.
    Library,
    /// The part of an event loop that calls everything else. What is below it on the stack started the loop, and did
    /// not ask for the call at hand.
    Loop,
}

/// Tells the user's own code from libraries by where files are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classifier {
    /// Directories of library code, each with a trailing slash.
    directories: Vec<String>,
}

/// Event loops written in Python: end of the file's path, function.
const LOOPS: [(&str, &str); 12] = [
    ("/asyncio/base_events.py", "BaseEventLoop._run_once"),
    ("/asyncio/base_events.py", "BaseEventLoop.run_forever"),
    ("/asyncio/events.py", "Handle._run"),
    ("/trio/_core/_run.py", "unrolled_run"),
    ("/trio/_core/_run.py", "GuestState.guest_tick"),
    (
        "/curio/kernel.py",
        "Kernel._make_kernel_runtime.<locals>._kernel_task",
    ),
    ("/gevent/hub.py", "Hub.run"),
    ("/eventlet/hubs/hub.py", "BaseHub.run"),
    ("/twisted/internet/base.py", "_SignalReactorMixin.mainLoop"),
    ("/twisted/internet/base.py", "ReactorBase.mainLoop"),
    ("/twisted/internet/base.py", "ReactorBase.runUntilCurrent"),
    (
        "/twisted/internet/asyncioreactor.py",
        "AsyncioSelectorReactor.run",
    ),
];

/// Directories that installers put packages into.
const PACKAGES: [&str; 2] = ["/site-packages/", "/dist-packages/"];

/// Names in angle brackets that stand for library code.
const SYNTHETIC: [&str; 3] = ["<frozen ", "<attrs generated ", "<__array_function__"];

impl Classifier {
    /// Knows only what holds everywhere: frozen modules and the directories of installed packages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `directory` and all below it for library code.
    pub fn add_library(&mut self, directory: &str) {
        let directory = format!("{}/", directory.trim_end_matches('/'));
        if directory.len() > 1 && !self.directories.contains(&directory) {
            self.directories.push(directory);
        }
    }

    /// Whose code `function` (a qualified name) in `file` is.
    pub fn place(&self, file: &str, function: &str) -> Place {
        if SYNTHETIC.iter().any(|start| file.starts_with(start)) {
            return Place::Library;
        }
        let packaged = PACKAGES.iter().any(|part| file.contains(part));
        if !packaged
            && !self
                .directories
                .iter()
                .any(|directory| file.starts_with(directory.as_str()))
        {
            return Place::User;
        }
        if LOOPS
            .iter()
            .any(|(path, name)| *name == function && file.ends_with(path))
        {
            Place::Loop
        } else {
            Place::Library
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classifier() -> Classifier {
        let mut classifier = Classifier::new();
        classifier.add_library("/usr/lib/python3.11");
        classifier.add_library("/usr/lib/python3.11/");
        classifier.add_library("");
        classifier
    }

    #[test]
    fn users_code_is_what_is_in_no_library() {
        let place = |file: &str| classifier().place(file, "f");
        assert_eq!(place("/home/ann/server.py"), Place::User);
        assert_eq!(place("server.py"), Place::User);
        assert_eq!(place("<string>"), Place::User);
        assert_eq!(place("<stdin>"), Place::User);
        assert_eq!(place("/usr/lib/python3.110/x.py"), Place::User);
        assert_eq!(place("/usr/lib/python3.11/socket.py"), Place::Library);
        assert_eq!(
            place("/usr/lib/python3/dist-packages/requests/api.py"),
            Place::Library
        );
        assert_eq!(
            place("/home/ann/.venv/lib/python3.12/site-packages/httpx/_api.py"),
            Place::Library
        );
        assert_eq!(place("<frozen runpy>"), Place::Library);
    }

    #[test]
    fn loops_are_known_by_file_and_function() {
        let classifier = classifier();
        let base = "/usr/lib/python3.11/asyncio/base_events.py";
        assert_eq!(
            classifier.place(base, "BaseEventLoop._run_once"),
            Place::Loop
        );
        assert_eq!(
            classifier.place(base, "BaseEventLoop.sock_connect"),
            Place::Library
        );
        assert_eq!(
            classifier.place(
                "/home/ann/asyncio/base_events.py",
                "BaseEventLoop._run_once"
            ),
            Place::User
        );
        let trio = "/x/lib/python3.13/site-packages/trio/_core/_run.py";
        assert_eq!(classifier.place(trio, "unrolled_run"), Place::Loop);
    }
}
