//! What is asked about a process: its limits, its rights, and the file of a Unix socket as it sees it.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

/// The descriptor limit of the process, and how many it has open.
pub fn limits(pid: i32) -> Option<Value> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    let mut words = line.split_whitespace().skip(3);
    let soft: Option<u64> = words.next()?.parse().ok();
    let hard: Option<u64> = words.next()?.parse().ok();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    Some(json!({"open_files_soft": soft, "open_files_hard": hard, "open_files": open}))
}

/// Effective user, groups and capabilities of a process (proc_pid_status(5)).
pub fn credentials(pid: i32) -> Option<Value> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let numbers = |text: &str| -> Vec<u32> {
        text.split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    // Real, effective, saved, file system.
    let uid = numbers(field("Uid")?).get(1).copied();
    let gid = numbers(field("Gid")?).get(1).copied();
    let capabilities = u64::from_str_radix(field("CapEff")?, 16).ok();
    Some(json!({
        "uid": uid,
        "gid": gid,
        "groups": numbers(field("Groups").unwrap_or_default()),
        "capabilities": capabilities,
        "seccomp": field("Seccomp").and_then(|mode| mode.parse::<u8>().ok()),
    }))
}

/// Names of variables that lead programs to a proxy (curl(1), ENVIRONMENT); in small letters.
const PROXY_VARIABLES: [&str; 5] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
];

/// Proxies that the environment names with which the process was started, without user and password; `None`: none.
pub fn proxies(pid: i32) -> Option<Value> {
    named_proxies(&std::fs::read(format!("/proc/{pid}/environ")).ok()?)
}

fn named_proxies(environment: &[u8]) -> Option<Value> {
    let found: serde_json::Map<String, Value> = environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .filter(|(name, value)| {
            PROXY_VARIABLES.contains(&name.to_ascii_lowercase().as_str()) && !value.is_empty()
        })
        .take(16)
        .map(|(name, value)| (name.to_owned(), json!(without_user(value))))
        .collect();
    (!found.is_empty()).then_some(Value::Object(found))
}

/// A URL without what stands before the `@` of its authority.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url
        .split_once("://")
        .map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{path}")
}

/// A file in the view of the process: its own root and working directory.
fn seen_by(pid: i32, path: &str) -> PathBuf {
    let start = if path.starts_with('/') { "root" } else { "cwd" };
    let mut whole = PathBuf::from(format!("/proc/{pid}/{start}"));
    // Not `join`, which an absolute path would replace.
    whole.extend(
        Path::new(path)
            .components()
            .filter(|part| !matches!(part, Component::RootDir)),
    );
    whole
}

/// The file at `path`, and the first directory on the way that the asker may not pass; links are not followed.
pub fn file(pid: i32, path: &str) -> Value {
    let whole = seen_by(pid, path);
    let describe = |found: &std::fs::Metadata| {
        let kind = found.file_type();
        json!({
            "type": if kind.is_socket() { "socket" } else if kind.is_dir() { "directory" } else { "other" },
            "mode": found.mode() & 0o7777,
            "uid": found.uid(),
            "gid": found.gid(),
            "inode": found.ino(),
        })
    };
    let folder = whole
        .parent()
        .and_then(|folder| std::fs::metadata(folder).ok())
        .map(|found| describe(&found));
    match std::fs::symlink_metadata(&whole) {
        Ok(found) => json!({"path": path, "file": describe(&found), "folder": folder}),
        Err(error) => json!({
            "path": path,
            "file": null,
            "errno": error.raw_os_error(),
            "folder": folder,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_looked_at_from_where_the_process_is() {
        let own = std::process::id() as i32;
        assert_eq!(seen_by(7, "/run/x"), Path::new("/proc/7/root/run/x"));
        assert_eq!(seen_by(7, "x"), Path::new("/proc/7/cwd/x"));
        let found = file(own, "/proc");
        assert_eq!(found["file"]["type"], "directory");
        let missing = file(own, "/nowhere/at/all");
        assert_eq!(missing["errno"], libc::ENOENT);
        assert!(missing["folder"].is_null());
    }

    #[test]
    fn proxies_are_named_without_their_passwords() {
        let environment = b"PATH=/bin\0http_proxy=http://me:secret@10.0.0.1:3128/\0NO_PROXY=localhost\0ALL_PROXY=\0";
        let found = named_proxies(environment).expect("two");
        assert_eq!(
            found,
            json!({"http_proxy": "http://10.0.0.1:3128/", "NO_PROXY": "localhost"})
        );
        assert!(named_proxies(b"PATH=/bin\0").is_none());
        assert_eq!(without_user("me:p@proxy:80"), "proxy:80");
    }

    #[test]
    fn a_process_has_credentials() {
        let own = credentials(std::process::id() as i32).expect("of this process");
        assert_eq!(own["uid"], nix::unistd::geteuid().as_raw());
    }
}
