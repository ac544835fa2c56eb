//! What one network namespace is asked: sockets, addresses, routes, neighbours, interfaces, settings.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Instant;

use serde_json::{Value, json};
use wallsocket_kernel::diag::{DiagSocket, InetQuery, InetSocket, LISTENING};
use wallsocket_kernel::netlink::Error;
use wallsocket_kernel::route::{Link, RouteQuestion, RouteSocket};

use super::owners::{OWNERS_DEADLINE, Owners, owners};
use crate::networks::Entered;

/// Rows that one fact may hold.
const MAXIMUM_ROWS: usize = 200;

/// Settings that decide about ports, buffers and connections, below `/proc/sys/net` (ip-sysctl, Documentation/admin-guide).
const SYSCTLS: [&str; 26] = [
    "core/somaxconn",
    "core/rmem_max",
    "core/rmem_default",
    "core/wmem_max",
    "core/wmem_default",
    "core/optmem_max",
    "ipv4/ip_unprivileged_port_start",
    "ipv4/ip_local_port_range",
    "ipv4/ip_local_reserved_ports",
    "ipv4/ip_nonlocal_bind",
    "ipv4/ip_no_pmtu_disc",
    "ipv4/ping_group_range",
    "ipv4/igmp_max_memberships",
    "ipv4/tcp_tw_reuse",
    "ipv4/tcp_rmem",
    "ipv4/tcp_wmem",
    "ipv4/tcp_syn_retries",
    "ipv4/tcp_synack_retries",
    "ipv4/tcp_retries2",
    "ipv4/tcp_syncookies",
    "ipv4/tcp_max_syn_backlog",
    "ipv4/tcp_abort_on_overflow",
    "ipv4/tcp_fin_timeout",
    "ipv4/conf/all/rp_filter",
    "ipv6/bindv6only",
    "ipv6/conf/all/disable_ipv6",
];

/// The settings of the caller's network namespace, by name with dots; those that it does not have are left out.
pub fn sysctls() -> BTreeMap<String, String> {
    SYSCTLS
        .iter()
        .filter_map(|name| {
            let value = std::fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?;
            Some((
                format!("net.{}", name.replace('/', ".")),
                value.split_whitespace().collect::<Vec<_>>().join(" "),
            ))
        })
        .collect()
}

/// A network namespace that can be asked.
#[derive(Debug)]
pub struct Host {
    diag: DiagSocket,
    route: RouteSocket,
    /// Read when the namespace was entered; `None`: the namespace of this process, where they are read when asked for.
    sysctls: Option<BTreeMap<String, String>>,
    /// When it was last asked.
    pub used: Instant,
}

impl Host {
    /// The namespace of the caller.
    pub fn here() -> std::io::Result<Self> {
        Ok(Self {
            diag: DiagSocket::open()?,
            route: RouteSocket::open()?,
            sysctls: None,
            used: Instant::now(),
        })
    }

    /// A namespace that was entered.
    pub fn of(entered: Entered) -> std::io::Result<Self> {
        Ok(Self {
            diag: DiagSocket::from_socket(entered.diag)?,
            route: RouteSocket::from_socket(entered.route)?,
            sysctls: Some(entered.sysctls),
            used: Instant::now(),
        })
    }

    /// The sockets that concern a port, also with its bytes swapped, and every listener.
    pub fn sockets(&mut self, port: u16) -> Option<Value> {
        let concerns = |socket: &InetSocket| {
            [socket.local.port(), socket.peer.port()]
                .iter()
                .any(|p| *p == port || *p == port.swap_bytes())
        };
        let mut near = Vec::new();
        let mut listeners = Vec::new();
        for query in InetQuery::all() {
            for socket in self.diag.inet(&query).unwrap_or_default() {
                if concerns(&socket) {
                    near.push(socket);
                } else if socket.state == 10 || (query.protocol == 17 && socket.peer.port() == 0) {
                    listeners.push(socket);
                }
            }
        }
        near.extend(listeners);
        near.truncate(MAXIMUM_ROWS);
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

    /// Unix sockets that listen under this name.
    pub fn unix_listeners(&mut self, name: &str) -> Value {
        let found = self.diag.unix(LISTENING).unwrap_or_default();
        let here: Vec<_> = found
            .into_iter()
            .filter(|socket| socket.name.to_string() == name)
            .take(MAXIMUM_ROWS)
            .collect();
        let inodes: Vec<u64> = here.iter().map(|socket| u64::from(socket.inode)).collect();
        let owners = owners(&inodes, Instant::now() + OWNERS_DEADLINE);
        here.iter()
            .map(|socket| {
                json!({
                    "inode": socket.inode,
                    "type": socket.kind,
                    "file_inode": socket.file_inode,
                    "receive_queue": socket.receive_queue,
                    "send_queue": socket.send_queue,
                    "pids": owners.of(socket.inode),
                    "pids_unknown": owners.unknown,
                })
            })
            .collect()
    }

    /// Peer of a connected Unix socket: its inode.
    pub fn unix_peer(&mut self, inode: u32) -> Option<u32> {
        self.diag.unix_exact(inode).ok()?.peer_inode
    }

    fn links_by_number(&mut self) -> Option<HashMap<u32, Link>> {
        let links = self.route.links().ok()?;
        Some(links.into_iter().map(|link| (link.index, link)).collect())
    }

    /// Addresses of the interfaces. Flags: linux/if_addr.h.
    pub fn addresses(&mut self) -> Option<Value> {
        const FLAGS: [(u32, &str); 6] = [
            (0x01, "secondary"),
            (0x08, "dadfailed"),
            (0x10, "homeaddress"),
            (0x20, "deprecated"),
            (0x40, "tentative"),
            (0x400, "optimistic"),
        ];
        let links = self.links_by_number()?;
        let addresses = self.route.addresses().ok()?;
        Some(
            addresses
                .iter()
                .take(MAXIMUM_ROWS)
                .map(|found| {
                    let flags: Vec<&str> = FLAGS
                        .iter()
                        .filter(|(bit, _)| found.flags & bit != 0)
                        .map(|(_, name)| *name)
                        .collect();
                    json!({
                        "interface": links.get(&found.interface).map(|link| &link.name),
                        "address": found.address.to_string(),
                        "prefix": found.prefix_length,
                        "flags": flags,
                    })
                })
                .collect(),
        )
    }

    /// The routing tables.
    pub fn routes(&mut self) -> Option<Value> {
        let links = self.links_by_number()?;
        Some(
            self.route
                .routes()
                .ok()?
                .iter()
                .take(MAXIMUM_ROWS)
                .map(|found| {
                    json!({
                        "destination": found.destination.map(|destination| destination.to_string()),
                        "prefix": found.prefix_length,
                        "gateway": found.gateway.map(|gateway| gateway.to_string()),
                        "interface": name(&links, found.interface),
                        "kind": found.kind,
                        "table": found.table,
                    })
                })
                .collect(),
        )
    }

    /// How a packet to `destination` goes: the route, or the error that the kernel has in its place.
    pub fn route_to(&mut self, destination: IpAddr) -> Option<Value> {
        let links = self.links_by_number()?;
        match self.route.route_to(destination, &RouteQuestion::default()) {
            Ok(found) => Some(json!({
                "to": destination.to_string(),
                "gateway": found.gateway.map(|gateway| gateway.to_string()),
                "interface": name(&links, found.interface),
                "source": found.preferred_source.map(|source| source.to_string()),
                "kind": found.kind,
                "mtu": found
                    .mtu
                    .or_else(|| links.get(&found.interface?).map(|link| link.mtu)),
            })),
            Err(Error::Refused { number, .. }) => {
                Some(json!({"to": destination.to_string(), "errno": number}))
            }
            Err(_) => None,
        }
    }

    /// The neighbour table's entries for the next hop on the way to `destination`. States: NUD_* of linux/neighbour.h.
    pub fn neighbours(&mut self, destination: IpAddr) -> Option<Value> {
        const STATES: [(u16, &str); 8] = [
            (0x01, "incomplete"),
            (0x02, "reachable"),
            (0x04, "stale"),
            (0x08, "delay"),
            (0x10, "probe"),
            (0x20, "failed"),
            (0x40, "noarp"),
            (0x80, "permanent"),
        ];
        let next = self
            .route
            .route_to(destination, &RouteQuestion::default())
            .ok()
            .and_then(|route| route.gateway)
            .unwrap_or(destination);
        let links = self.links_by_number()?;
        Some(
            self.route
                .neighbours()
                .ok()?
                .iter()
                .filter(|entry| entry.address == next)
                .take(MAXIMUM_ROWS)
                .map(|entry| {
                    json!({
                        "address": entry.address.to_string(),
                        "interface": name(&links, Some(entry.interface)),
                        "state": STATES
                            .iter()
                            .find(|(bit, _)| entry.state & bit != 0)
                            .map(|(_, name)| *name),
                        "resolved": !entry.hardware_address.is_empty(),
                    })
                })
                .collect(),
        )
    }

    /// The interfaces.
    pub fn links(&mut self) -> Option<Value> {
        Some(
            self.route
                .links()
                .ok()?
                .iter()
                .take(MAXIMUM_ROWS)
                .map(|link| {
                    json!({
                        "interface": link.name,
                        "index": link.index,
                        "kind": link.kind,
                        "up": link.is_up(),
                        "running": link.is_running(),
                        "flags": link.flags,
                        "mtu": link.mtu,
                        "queue_length": link.queue_length,
                        "receive_drops": link.counters.receive_drops,
                        "send_drops": link.counters.send_drops,
                        "receive_errors": link.counters.receive_errors,
                        "send_errors": link.counters.send_errors,
                    })
                })
                .collect(),
        )
    }

    /// Settings that decide about ports, buffers and connections.
    pub fn sysctls(&self) -> Value {
        match &self.sysctls {
            Some(sysctls) => json!(sysctls),
            None => json!(sysctls()),
        }
    }
}

fn name(links: &HashMap<u32, Link>, number: Option<u32>) -> Option<String> {
    links.get(&number?).map(|link| link.name.clone())
}

fn describe(socket: &InetSocket, owners: &Owners) -> Value {
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
        "pids": owners.of(socket.inode),
    })
}

/// Multicast groups that the interfaces of a process's namespace take (proc_pid_net(5): igmp and igmp6).
pub fn groups(pid: i32) -> Option<Value> {
    let igmp = std::fs::read_to_string(format!("/proc/{pid}/net/igmp")).ok()?;
    let igmp6 = std::fs::read_to_string(format!("/proc/{pid}/net/igmp6")).unwrap_or_default();
    let mut found: Vec<Value> = Vec::new();
    let mut interface = "";
    for line in igmp.lines().skip(1) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if line.starts_with(char::is_numeric) {
            interface = words.get(1).copied().unwrap_or_default();
        } else if let Some(address) = words
            .first()
            .and_then(|word| u32::from_str_radix(word, 16).ok())
        {
            // In the byte order of the machine.
            let address = std::net::Ipv4Addr::from(address.to_ne_bytes());
            found.push(json!({"interface": interface, "group": address.to_string()}));
        }
    }
    for line in igmp6.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let [_, interface, address, ..] = words[..]
            && let Ok(address) = u128::from_str_radix(address, 16)
        {
            let address = std::net::Ipv6Addr::from(address);
            found.push(json!({"interface": interface, "group": address.to_string()}));
        }
    }
    found.truncate(MAXIMUM_ROWS);
    Some(Value::from(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_namespace_answers() {
        let mut host = Host::here().expect("netlink");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let local = format!("127.0.0.1:{port}");
        let sockets = host.sockets(port).expect("sockets");
        assert!(
            sockets
                .as_array()
                .is_some_and(|rows| rows.iter().any(|row| row["local"] == local.as_str()))
        );
        let here = std::net::Ipv4Addr::LOCALHOST.into();
        let route = host.route_to(here).expect("a route");
        assert_eq!(route["interface"], "lo");
        assert!(host.neighbours(here).is_some());
        assert!(host.addresses().is_some() && host.links().is_some() && host.routes().is_some());
        assert!(host.sysctls()["net.core.somaxconn"].is_string());
    }
}
