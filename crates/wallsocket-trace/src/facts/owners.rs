//! Which processes hold a socket.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long the search for owners may take.
pub const OWNERS_DEADLINE: Duration = Duration::from_millis(20);

/// The processes that hold some sockets.
#[derive(Debug, Default)]
pub struct Owners {
    /// Number and name of the holders, never arguments.
    by_inode: HashMap<u64, Vec<(i32, String)>>,
    /// Why there may be others: `time`: not all processes were looked at in time; `permission`: not all may be looked
    /// at by this user.
    pub unknown: Option<&'static str>,
}

impl Owners {
    /// The holders of one socket.
    pub fn of(&self, inode: u32) -> Vec<Value> {
        self.by_inode
            .get(&u64::from(inode))
            .map(|holders| {
                holders
                    .iter()
                    .map(|(pid, command)| json!({"pid": pid, "command": command}))
                    .collect()
            })
            .unwrap_or_default()
    }
}

/// The processes that hold these socket inodes.
pub fn owners(inodes: &[u64], deadline: Instant) -> Owners {
    let wanted: HashSet<u64> = inodes.iter().copied().collect();
    let mut owners = Owners::default();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        owners.unknown = Some("permission");
        return owners;
    };
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        if Instant::now() >= deadline {
            owners.unknown = Some("time");
            break;
        }
        if std::fs::read_dir(format!("/proc/{pid}/fd"))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
        {
            owners.unknown = Some("permission");
            continue;
        }
        for (_, inode) in crate::descriptors::all_of(pid) {
            if wanted.contains(&inode) {
                let command = program_of(pid);
                let holders = owners.by_inode.entry(inode).or_default();
                if !holders.iter().any(|(holder, _)| *holder == pid) {
                    holders.push((pid, command));
                }
            }
        }
    }
    owners
}

/// What people call a process, never its arguments.
fn program_of(pid: i32) -> String {
    let mut line = Vec::new();
    if let Ok(file) = std::fs::File::open(format!("/proc/{pid}/cmdline")) {
        // A line may have megabytes (execve(2)); no program has so many options before its script.
        let _ = file.take(65_536).read_to_end(&mut line);
    }
    let text = String::from_utf8_lossy(&line);
    let words: Vec<&str> = text.split_terminator('\0').collect();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let comm = comm.trim_end();
    let name = wallsocket_kernel::program::program(&words, Some(comm)).name;
    if name.is_empty() {
        return comm.to_owned();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_search_that_ran_out_of_time_says_so() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd()))
            .expect("a descriptor");
        let name = link.to_string_lossy();
        let inode: u64 = name
            .trim_start_matches("socket:[")
            .trim_end_matches(']')
            .parse()
            .expect("an inode");
        let late = owners(&[inode], Instant::now());
        assert_eq!(late.unknown, Some("time"));
        assert!(late.by_inode.is_empty());
        let found = owners(&[inode], Instant::now() + Duration::from_mins(1));
        assert_ne!(found.unknown, Some("time"));
        let holders = &found.by_inode[&inode];
        assert!(
            holders
                .iter()
                .any(|(pid, _)| *pid as u32 == std::process::id())
        );
    }
}
