//! What the kernel says about the host when a call has failed: rules need it to name the cause.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wallsocket_kernel::address::Address;
use wallsocket_kernel::diag::{ALL_STATES, DiagSocket, InetQuery, InetSocket};
use wallsocket_kernel::route::RouteSocket;

use crate::rows::{self, Row};
use crate::sink::Sink;

/// Looking up the same thing again within this time would tell nothing new, and the program waits meanwhile.
const INTERVAL: Duration = Duration::from_secs(1);
/// Sockets that one fact may hold.
const MAXIMUM_SOCKETS: usize = 200;
/// How long the search for owners may take.
const OWNERS_DEADLINE: Duration = Duration::from_millis(20);

/// A call that has failed.
#[derive(Debug)]
pub struct Failure {
    /// Its id.
    pub call: u64,
    /// Its system-call number.
    pub number: i64,
    /// The error number: its own, or the one that it read from SO_ERROR.
    pub errno: i32,
    /// The address that it was about.
    pub address: Option<ByteBuf>,
    /// Process id of the caller.
    pub pid: i32,
}

/// Asks and sends facts, not too often.
#[derive(Debug)]
pub struct Facts {
    diag: Option<DiagSocket>,
    asked: HashMap<(i32, u32), Instant>,
}

impl Facts {
    /// Asks in the network namespace of the caller.
    pub fn new() -> Self {
        Self {
            diag: DiagSocket::open().ok(),
            asked: HashMap::new(),
        }
    }

    /// Sends what is worth knowing after `failure`.
    pub fn after(&mut self, sink: &Sink, now_ns: i64, failure: &Failure) {
        let port = failure
            .address
            .as_ref()
            .and_then(|address| Address::decode(address).port())
            .unwrap_or(0);
        let connecting = failure.number != libc::SYS_bind && failure.number != libc::SYS_listen;
        let kinds: &[&str] = match failure.errno {
            libc::ECONNREFUSED | libc::ETIMEDOUT => &["sockets", "addresses"],
            libc::EADDRINUSE => &["sockets", "sysctls"],
            libc::EADDRNOTAVAIL if connecting => &["sockets", "sysctls"],
            libc::EADDRNOTAVAIL => &["addresses"],
            libc::EHOSTUNREACH | libc::ENETUNREACH => &["addresses", "routes"],
            libc::EACCES | libc::EPERM => &["sysctls"],
            libc::EMFILE | libc::ENFILE => &["limits"],
            _ => return,
        };
        let send = |kind: &str, value: &Value| {
            sink.send(&Row::Fact(rows::Fact {
                at_ns: now_ns,
                call: Some(failure.call),
                kind: kind.into(),
                value: value.to_string(),
                occasion: Some("failure".into()),
                ..rows::Fact::default()
            }));
        };
        let now = Instant::now();
        self.asked
            .retain(|_, when| now.duration_since(*when) < INTERVAL);
        if self.asked.contains_key(&(failure.errno, port)) {
            send("not looked up", &json!("limit"));
            return;
        }
        self.asked.insert((failure.errno, port), now);
        for kind in kinds {
            let value = match *kind {
                "sockets" => self.sockets(port),
                "addresses" => addresses(),
                "routes" => routes(),
                "limits" => limits(failure.pid),
                _ => Some(sysctls()),
            };
            match value {
                Some(value) => send(kind, &value),
                None => send(
                    "not looked up",
                    &json!(format!("{kind}: the kernel did not answer")),
                ),
            }
        }
    }

    /// The sockets that concern a port, also with its bytes swapped, and every listener.
    fn sockets(&mut self, port: u32) -> Option<Value> {
        let diag = self.diag.as_mut()?;
        let port = port as u16;
        let concerns = |socket: &InetSocket| {
            [socket.local.port(), socket.peer.port()]
                .iter()
                .any(|p| *p == port || *p == port.swap_bytes())
        };
        let mut near = Vec::new();
        let mut listeners = Vec::new();
        for (inet6, protocol) in [(false, 6), (true, 6), (false, 17), (true, 17)] {
            let query = InetQuery {
                inet6,
                protocol,
                states: ALL_STATES,
                local_port: 0,
                peer_port: 0,
            };
            for socket in diag.inet(&query).unwrap_or_default() {
                if concerns(&socket) {
                    near.push(socket);
                } else if socket.state == 10 || (protocol == 17 && socket.peer.port() == 0) {
                    listeners.push(socket);
                }
            }
        }
        near.extend(listeners);
        near.truncate(MAXIMUM_SOCKETS);
        let inodes: Vec<u64> = near
            .iter()
            .map(|socket| u64::from(socket.inode))
            .filter(|inode| *inode != 0)
            .collect();
        let owners = owners(&inodes, Instant::now() + OWNERS_DEADLINE);
        Some(
            near.iter()
                .map(|socket| describe(socket, &owners))
                .collect(),
        )
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self::new()
    }
}

fn describe(socket: &InetSocket, owners: &Owners) -> Value {
    let pids: Vec<Value> = owners
        .by_inode
        .get(&u64::from(socket.inode))
        .map(|owners| {
            owners
                .iter()
                .map(|(pid, command)| json!({"pid": pid, "command": command}))
                .collect()
        })
        .unwrap_or_default();
    json!({
        "protocol": if socket.protocol == 6 { "tcp" } else { "udp" },
        "state": socket.state,
        "local": socket.local.to_string(),
        "remote": socket.peer.to_string(),
        "inode": socket.inode,
        "receive_queue": socket.receive_queue,
        "send_queue": socket.send_queue,
        "uid": socket.uid,
        "only_inet6": socket.only_inet6,
        // Who holds it may be missing among these, and why: null when every process was looked at.
        "pids_unknown": owners.unknown,
        "pids": pids,
    })
}

/// The processes that hold some sockets.
#[derive(Debug, Default)]
struct Owners {
    /// Number and name of the holders, never arguments.
    by_inode: HashMap<u64, Vec<(i32, String)>>,
    /// Why there may be others: `time`: not all processes were looked at in time; `permission`: not all may be looked
    /// at by this user.
    unknown: Option<&'static str>,
}

/// The processes that hold these socket inodes.
fn owners(inodes: &[u64], deadline: Instant) -> Owners {
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
    let name = wallsocket_kernel::program::program(&words).name;
    if name.is_empty() {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return comm.trim_end().to_owned();
    }
    name
}

fn addresses() -> Option<Value> {
    let mut route = RouteSocket::open().ok()?;
    let links: HashMap<u32, String> = route
        .links()
        .ok()?
        .into_iter()
        .map(|link| (link.index, link.name))
        .collect();
    let addresses = route.addresses().ok()?;
    Some(
        addresses
            .iter()
            .map(|found| {
                json!({
                    "interface": links.get(&found.interface),
                    "address": found.address.to_string(),
                    "prefix": found.prefix_length,
                })
            })
            .collect(),
    )
}

fn routes() -> Option<Value> {
    let mut route = RouteSocket::open().ok()?;
    let links = route.links().ok()?;
    let name = |index: Option<u32>| {
        index
            .and_then(|index| links.iter().find(|link| link.index == index))
            .map(|link| link.name.clone())
    };
    Some(
        route
            .routes()
            .ok()?
            .iter()
            .take(MAXIMUM_SOCKETS)
            .map(|found| {
                json!({
                    "destination": found.destination.map(|destination| destination.to_string()),
                    "prefix": found.prefix_length,
                    "gateway": found.gateway.map(|gateway| gateway.to_string()),
                    "interface": name(found.interface),
                })
            })
            .collect(),
    )
}

/// Settings that decide about ports and connections.
fn sysctls() -> Value {
    let names = [
        "net/ipv4/ip_unprivileged_port_start",
        "net/ipv4/ip_local_port_range",
        "net/ipv4/ip_local_reserved_ports",
        "net/ipv4/tcp_tw_reuse",
        "net/ipv6/bindv6only",
        "net/ipv6/conf/all/disable_ipv6",
        "net/core/somaxconn",
    ];
    let values: BTreeMap<String, String> = names
        .iter()
        .filter_map(|name| {
            let value = std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
            Some((
                name.replace('/', "."),
                value.split_whitespace().collect::<Vec<_>>().join(" "),
            ))
        })
        .collect();
    json!(values)
}

/// The descriptor limit of the process, and how many it has open.
fn limits(pid: i32) -> Option<Value> {
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
