//! Whose code a frame is: the user's own, the started program's, a library's, or the heart of an event loop.

use serde::Deserialize;

use super::packages::{Owner, Packages};

/// Whose code a frame runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The user's own: in no library, or under `site-packages` without a distribution that brought it.
    User,
    /// Installed with the distribution whose program was started: the user's own, unless code that is not installed is
    /// on the stack as well (as the tests that a test runner calls).
    Program,
    /// The standard library, another installed distribution, or the interpreter's frozen modules.
    Library,
    /// The part of an event loop that calls everything else. What is below it on the stack started the loop, and did
    /// not ask for the call at hand.
    Loop,
}

/// Files and directories whose place was chosen by name; the longest that matches counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// The user's own code.
    #[serde(default)]
    pub user: Vec<String>,
    /// Library code.
    #[serde(default)]
    pub libraries: Vec<String>,
}

impl Chosen {
    /// Whose code the file was said to be.
    pub(crate) fn place(&self, file: &str) -> Option<Place> {
        let longest = |paths: &[String]| {
            paths
                .iter()
                .map(|path| path.trim_end_matches('/'))
                .filter(|path| {
                    file.strip_prefix(path)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
                .map(str::len)
                .max()
        };
        match (longest(&self.user), longest(&self.libraries)) {
            (None, None) => None,
            (user, library) if user >= library => Some(Place::User),
            _ => Some(Place::Library),
        }
    }
}

/// Tells the user's own code from libraries by where files are and what was installed.
#[derive(Debug, Default)]
pub struct Classifier {
    /// Directories of the standard library, each with a trailing slash.
    standard: Vec<String>,
    chosen: Chosen,
    packages: Packages,
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

/// Names in angle brackets that stand for library code.
const SYNTHETIC: [&str; 3] = ["<frozen ", "<attrs generated ", "<__array_function__"];

/// Parts of the standard library's own tests that only serve them.
const TEST_TOOLS: [&str; 2] = ["support/", "libregrtest/"];

impl Classifier {
    /// Knows only what holds everywhere: frozen modules and the directories of installed packages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows the packages of process `pid`, whose interpreter calls its directories `version` (`python3.11`).
    pub fn of(pid: i32, version: String) -> Self {
        Self {
            packages: Packages::of(pid, version),
            ..Self::default()
        }
    }

    /// Takes `directory` and all below it, but installed packages, for the standard library.
    pub fn add_standard_library(&mut self, directory: &str) {
        let directory = format!("{}/", directory.trim_end_matches('/'));
        if directory.len() > 1 && !self.standard.contains(&directory) {
            self.standard.push(directory);
        }
    }

    /// Goes by these names before all else.
    pub fn choose(&mut self, chosen: Chosen) {
        self.chosen = chosen;
    }

    /// Whose code `function` (a qualified name) in `file` is.
    pub fn place(&self, file: &str, function: &str) -> Place {
        if SYNTHETIC.iter().any(|start| file.starts_with(start)) {
            return Place::Library;
        }
        let owner = self.packages.owner(file);
        let standard = self
            .standard
            .iter()
            .find_map(|directory| file.strip_prefix(directory.as_str()))
            .filter(|_| owner.is_none());
        let is_loop = || {
            LOOPS
                .iter()
                .any(|(path, name)| *name == function && file.ends_with(path))
        };
        if (owner.is_some() || standard.is_some()) && is_loop() {
            return Place::Loop;
        }
        if let Some(place) = self.chosen.place(file) {
            return place;
        }
        match (owner, standard) {
            (Some(Owner::Nobody), _) => Place::User,
            (Some(Owner::Started), _) => Place::Program,
            (Some(Owner::Other), _) => Place::Library,
            // Nothing imports the tests of the standard library but who runs them.
            (None, Some(inside)) => match inside.strip_prefix("test/") {
                Some(test) if !TEST_TOOLS.iter().any(|tool| test.starts_with(tool)) => Place::User,
                _ => Place::Library,
            },
            (None, None) if self.packages.is_started_script(file) => Place::Program,
            (None, None) => Place::User,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classifier() -> Classifier {
        let mut classifier = Classifier::new();
        classifier.add_standard_library("/usr/lib/python3.11");
        classifier.add_standard_library("/usr/lib/python3.11/");
        classifier.add_standard_library("");
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
    fn tests_of_the_standard_library_are_users_code() {
        let place = |file: &str| classifier().place(file, "f");
        assert_eq!(
            place("/usr/lib/python3.11/test/test_socket.py"),
            Place::User
        );
        assert_eq!(
            place("/usr/lib/python3.11/test/support/socket_helper.py"),
            Place::Library
        );
        assert_eq!(
            place("/usr/lib/python3.11/unittest/test/x.py"),
            Place::Library
        );
    }

    #[test]
    fn what_was_chosen_by_name_goes_before() {
        let mut classifier = classifier();
        classifier.choose(Chosen {
            user: vec![
                "/v/lib/python3.11/site-packages/svc".to_owned(),
                "/usr/lib/python3.11/ftplib.py".to_owned(),
            ],
            libraries: vec![
                "/v/lib/python3.11/site-packages/svc/vendor/".to_owned(),
                "/srv/framework".to_owned(),
            ],
        });
        let place = |file: &str| classifier.place(file, "f");
        assert_eq!(
            place("/v/lib/python3.11/site-packages/svc/a.py"),
            Place::User
        );
        assert_eq!(
            place("/v/lib/python3.11/site-packages/svc2/a.py"),
            Place::Library
        );
        assert_eq!(
            place("/v/lib/python3.11/site-packages/svc/vendor/a.py"),
            Place::Library
        );
        assert_eq!(place("/usr/lib/python3.11/ftplib.py"), Place::User);
        assert_eq!(place("/srv/framework/a.py"), Place::Library);
        assert_eq!(place("/srv/frameworks/a.py"), Place::User);
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
