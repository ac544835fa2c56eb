//! What people call a program: its script, module or main class where an interpreter runs it, else its own name.
//!
//! Only the words before a script are looked at: what follows are the script's arguments, which may be secrets.

use std::ffi::OsStr;
use std::path::Path;

/// How an interpreter finds what it runs among its arguments.
struct Family {
    names: &'static [&'static str],
    /// Whether one-letter options can share a word, and an option's value can follow it in the same word.
    clusters: bool,
    /// Options behind which the program itself stands, or that read it from a terminal: it has no name.
    code: &'static [&'static str],
    /// Options whose value is what is run: a module, an archive, a file.
    runs: &'static [&'static str],
    /// Options with a value of their own, in the next word unless it follows in the same one.
    value: &'static [&'static str],
    /// Letters that take the rest of their word and nothing else.
    rest: &'static str,
    /// Words that stand before what is run.
    verbs: &'static [&'static str],
    /// Whether nothing is run without one of the verbs, unless the word looks like a file.
    needs_verb: bool,
}

const NONE: Family = Family {
    names: &[],
    clusters: false,
    code: &[],
    runs: &[],
    value: &[],
    rest: "",
    verbs: &[],
    needs_verb: false,
};

/// Sources: the manual page of each, or its `--help`.
#[rustfmt::skip]
const FAMILIES: &[Family] = &[
    Family { names: &["python", "pypy"], clusters: true, code: &["-c"], runs: &["-m"],
             value: &["-W", "-X", "-Q", "--check-hash-based-pycs"], ..NONE },
    Family { names: &["node", "nodejs"], code: &["-e", "--eval", "-p", "--print", "-pe", "-i", "--interactive"],
             value: &["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"],
             verbs: &["inspect"], ..NONE },
    Family { names: &["deno"], code: &["eval", "repl"], verbs: &["run", "serve"], needs_verb: true,
             value: &["-c", "--config", "--import-map", "--cert", "--lock", "-L", "--log-level", "--location", "--seed"], ..NONE },
    Family { names: &["bun"], code: &["-e", "--eval", "-p", "--print"], verbs: &["run"], needs_verb: true,
             value: &["-r", "--preload", "--cwd", "-c", "--config", "--port", "--env-file"], ..NONE },
    Family { names: &["java"], runs: &["-jar", "-m", "--module"],
             value: &["-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--add-modules",
                      "--add-exports", "--add-opens", "--add-reads", "--limit-modules", "--patch-module", "--source",
                      "--enable-native-access"], ..NONE },
    Family { names: &["ruby", "jruby"], clusters: true, code: &["-e"], value: &["-I", "-r", "-C", "-E"], rest: "FKTWxi", ..NONE },
    Family { names: &["perl"], clusters: true, code: &["-e", "-E"], value: &["-I"], rest: "MmCDdFVix", ..NONE },
    Family { names: &["php"], clusters: true, code: &["-r", "-B", "-R", "-a"], runs: &["-f"],
             value: &["-c", "-d", "-z", "-t", "-S"], ..NONE },
    Family { names: &["sh", "bash", "dash", "zsh", "ksh", "ash", "mksh"], clusters: true, code: &["-c", "-s"],
             value: &["-o", "-O", "+o", "+O", "--rcfile", "--init-file"], ..NONE },
    Family { names: &["go"], verbs: &["run"], needs_verb: true,
             value: &["-C", "-p", "-asmflags", "-buildmode", "-compiler", "-exec", "-gccgoflags", "-gcflags", "-ldflags", "-mod",
                      "-modfile", "-overlay", "-pgo", "-pkgdir", "-tags", "-toolexec"], ..NONE },
    Family { names: &["dotnet"], verbs: &["exec"], needs_verb: true,
             value: &["--depsfile", "--runtimeconfig", "--additionalprobingpath", "--fx-version", "--roll-forward"], ..NONE },
    Family { names: &["lua", "luajit"], code: &["-e", "-i"], value: &["-l"], ..NONE },
    Family { names: &["Rscript"], code: &["-e"], ..NONE },
    Family { names: &["julia"], code: &["-e", "-E", "--eval"], value: &["-p", "-t", "-J", "-L", "-C"], ..NONE },
    Family { names: &["tclsh", "wish", "expect", "escript", "busybox", "toybox"], ..NONE },
];

/// A program's name, and the words that tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// `server.py`, `http.server`, `Shop`, `nginx`; empty when the words say nothing.
    pub name: String,
    /// Positions of the words that the name follows from: the first, an option, its value.
    pub telling: Vec<usize>,
}

/// Bytes of a name that the kernel keeps (TASK_COMM_LEN without its end, include/linux/sched.h).
const COMM: usize = 15;

/// What people call the program that has these words as its argument vector.
///
/// `file` is the path of its file, or the name that the kernel has for it (proc_pid_comm(5)); it tells whether one word with a
/// space is a name, or a text that the program has written over its arguments.
pub fn program(words: &[&str], file: Option<&str>) -> Program {
    let mut first = words.first().copied().unwrap_or_default();
    // What is left of the arguments behind such a text is zero bytes.
    if let Some(file) = file.filter(|file| !file.is_empty())
        && words.iter().skip(1).all(|word| word.is_empty())
    {
        first = without_title(first, base(file));
    }
    let own = own_name(first);
    let mut telling: Vec<usize> = (0..words.len().min(1)).collect();
    let name = FAMILIES
        .iter()
        .find(|family| family.names.iter().any(|name| is_version_of(&own, name)))
        .and_then(|family| family.find(words, &mut telling))
        .filter(|name| !name.is_empty());
    Program {
        name: name.unwrap_or(own),
        telling,
    }
}

/// Whether the program file at `path` runs programs in a language of their own.
pub fn is_interpreter(path: &str) -> bool {
    let own = base(path);
    FAMILIES
        .iter()
        .any(|family| family.names.iter().any(|name| is_version_of(own, name)))
}

/// The first word of a text that a program has written over its arguments; a name with a space as it is.
fn without_title<'a>(text: &'a str, file: &str) -> &'a str {
    let own = base(text);
    let cut = file.len() == COMM && file.contains(' ') && own.starts_with(file);
    match text.split_once(' ') {
        Some((first, _)) if !first.is_empty() && own != file && !cut && !text.contains(": ") => {
            first
        }
        _ => text,
    }
}

/// The last part of a path, or the name before the text that a program writes over its arguments (setproctitle).
fn own_name(word: &str) -> String {
    // A login shell's name begins with a dash (login(1)).
    let word = word.strip_prefix('-').unwrap_or(word);
    if let Some((title, _)) = word.split_once(": ")
        && !title.is_empty()
        && !title.contains([' ', '/'])
    {
        return title.to_owned();
    }
    base(word).to_owned()
}

fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// `python3.11` is a `python`, `node22` a `node`.
fn is_version_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|version| {
        version.is_empty()
            || (version.starts_with(|first: char| first.is_ascii_digit() || "-.".contains(first))
                && version.contains(|digit: char| digit.is_ascii_digit())
                && version
                    .chars()
                    .all(|part| part.is_ascii_digit() || ".-t".contains(part)))
    })
}

impl Family {
    /// What is run, and where the words that say so stand.
    fn find(&self, words: &[&str], telling: &mut Vec<usize>) -> Option<String> {
        let mut index = 1;
        let mut verb = false;
        while let Some(&word) = words.get(index) {
            index += 1;
            if word == "-" {
                return None;
            }
            if word == "--" {
                let script = words.get(index)?;
                telling.extend([index - 1, index]);
                return Some(self.shown(script));
            }
            if self.code.contains(&word) {
                telling.push(index - 1);
                return None;
            }
            if self.runs.contains(&word) {
                let what = words.get(index)?;
                telling.extend([index - 1, index]);
                return Some(self.shown_value(word, what));
            }
            if self.value.contains(&word) {
                index += 1;
                continue;
            }
            let is_option = word.starts_with('-')
                || (word.starts_with('+') && self.names.contains(&"sh"))
                || (word.starts_with('@') && self.names.contains(&"java"));
            if is_option {
                if self.clusters && !word.starts_with("--") {
                    match self.cluster(word) {
                        Cluster::Flags => {}
                        Cluster::Code => {
                            telling.push(index - 1);
                            return None;
                        }
                        Cluster::Value => index += 1,
                        Cluster::Runs(rest) if !rest.is_empty() => {
                            telling.push(index - 1);
                            return Some(rest.to_owned());
                        }
                        Cluster::Runs(_) => {
                            let what = words.get(index)?;
                            telling.extend([index - 1, index]);
                            return Some((*what).to_owned());
                        }
                    }
                }
                continue;
            }
            if !verb && self.verbs.contains(&word) {
                verb = true;
                telling.push(index - 1);
                continue;
            }
            telling.push(index - 1);
            if self.needs_verb && !verb && !(word.contains('.') || word.contains('/')) {
                return None;
            }
            return Some(self.shown(word));
        }
        None
    }

    fn cluster<'word>(&self, word: &'word str) -> Cluster<'word> {
        for (position, letter) in word.char_indices().skip(1) {
            let after = &word[position + letter.len_utf8()..];
            let has = |options: &[&str]| {
                options.iter().any(|option| {
                    option.len() == 2 && option.starts_with('-') && option.ends_with(letter)
                })
            };
            if has(self.code) {
                return Cluster::Code;
            }
            if has(self.runs) {
                return Cluster::Runs(after);
            }
            if self.rest.contains(letter) {
                return Cluster::Flags;
            }
            if has(self.value) {
                return if after.is_empty() {
                    Cluster::Value
                } else {
                    Cluster::Flags
                };
            }
        }
        Cluster::Flags
    }

    fn shown_value(&self, option: &str, what: &str) -> String {
        match option {
            // A module's name has no path: `python -m http.server`.
            "-m" if self.clusters => what.to_owned(),
            "-m" | "--module" => class(what.rsplit('/').next().unwrap_or(what)).to_owned(),
            _ => base(what).to_owned(),
        }
    }

    fn shown(&self, word: &str) -> String {
        let name = base(word);
        if self.names.contains(&"java")
            && Path::new(name).extension() != Some(OsStr::new("java"))
            && !word.contains('/')
        {
            return class(name).to_owned();
        }
        if name.trim_matches('.').is_empty() {
            // `go run .` runs what has no name here.
            return String::new();
        }
        name.to_owned()
    }
}

/// A Java class without its package.
fn class(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

enum Cluster<'word> {
    Flags,
    Code,
    Value,
    Runs(&'word str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_version_does_not_change_the_family() {
        for (name, family, is) in [
            ("python3.11", "python", true),
            ("python", "python", true),
            ("python3.13t", "python", true),
            ("node-22", "node", true),
            ("pythonic", "python", false),
            ("shellcheck", "sh", false),
            ("sh-t", "sh", false),
        ] {
            assert_eq!(is_version_of(name, family), is, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_words_have_a_name_and_the_words_that_tell_it_give_the_same_one(
            words in prop::collection::vec(
                prop_oneof![
                    "[-+@./a-z:]{0,6}", "\\PC{0,8}",
                    prop::sample::select(vec![
                        "python3", "java", "-cp", "-m", "-c", "--", "-", "go", "run", "deno", "bash", "perl", "-Ilib",
                    ]).prop_map(str::to_owned),
                ],
                0..6,
            )
        ) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let found = program(&words, None);
            prop_assert!(found.telling.iter().all(|&index| index < words.len()));
            let telling: Vec<&str> = found.telling.iter().map(|&index| words[index]).collect();
            prop_assert_eq!(program(&telling, None).name, found.name);
        }
    }
}
