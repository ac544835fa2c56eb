//! What the kernel says about the host when a call has failed: rules need it to name the cause.
//!
//! It is asked in the network namespace of the socket that failed. What is asked for which error is one table
//! ([`wanted`]); [`host`] asks a namespace, [`process`] a process.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wallsocket_kernel::address::Address;

use crate::networks::{Networks, OWN};
use crate::rows::{self, Row};
use crate::sink::Sink;
use crate::tally::Tally;

pub mod host;
pub mod owners;
pub mod process;
pub mod wanted;

use host::Host;
use wanted::{Kind, wanted};

/// Looking up the same thing again within this time would tell nothing new, and the program waits meanwhile.
const INTERVAL: Duration = Duration::from_secs(1);
/// Other namespaces that are kept open to be asked again. What is kept open, the kernel keeps alive: not for long.
const MAXIMUM_HOSTS: usize = 8;

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
    /// Id of the caller's process.
    pub process: u32,
    /// Thread that made the call.
    pub tid: i32,
    /// Id of the socket, where it was one.
    pub socket: Option<u32>,
    /// Its address family; `AF_UNSPEC` where it is not known.
    pub family: i32,
    /// The network namespace that the socket is in, or, without a socket, the caller.
    pub network: Option<u32>,
}

/// Asks and sends facts, not too often.
pub struct Facts {
    sink: Sink,
    networks: Networks,
    tally: Arc<Tally>,
    hosts: HashMap<u32, Host>,
    /// Namespaces that could not be asked, and when and why.
    refused: HashMap<u32, (Instant, String)>,
    asked: HashMap<(i32, u32, u32), Instant>,
    /// Namespaces whose first facts were sent.
    met: HashSet<u32>,
}

impl Facts {
    /// Sends to `sink`.
    pub fn new(sink: Sink, networks: Networks, tally: Arc<Tally>) -> Self {
        Self {
            sink,
            networks,
            tally,
            hosts: HashMap::new(),
            refused: HashMap::new(),
            asked: HashMap::new(),
            met: HashSet::new(),
        }
    }

    /// Lets go of namespaces that were not asked for a while.
    pub fn tidy(&mut self) {
        let now = Instant::now();
        self.hosts
            .retain(|id, host| *id == OWN || now.duration_since(host.used) < INTERVAL);
    }

    /// Reads the counters of a namespace in which a followed program makes its first socket of whatever kind: one of netlink
    /// comes before interfaces are up, which then send and receive by themselves.
    pub fn begin(&self, network: u32, tid: i32) {
        if network != OWN {
            self.tally.begin(network, tid);
        }
    }

    /// Sends what is worth knowing of a namespace in which a followed program makes its first socket of the Internet families.
    pub fn meet(&mut self, now_ns: i64, network: u32, tid: i32) {
        if !self.met.insert(network) {
            return;
        }
        let Ok(host) = self.host(network, tid) else {
            return;
        };
        let found = [
            ("addresses", host.addresses()),
            ("links", host.links()),
            ("routes", host.routes()),
            ("sysctls", Some(host.sysctls())),
        ];
        for (kind, value) in found {
            if let Some(value) = value {
                self.sink.send(&Row::Fact(rows::Fact {
                    at_ns: now_ns,
                    kind: kind.into(),
                    value: value.to_string(),
                    occasion: Some("start".into()),
                    network: Some(network),
                    ..rows::Fact::default()
                }));
            }
        }
    }

    /// The last look at the counters of a namespace that a process was in, before it ends.
    pub fn leave(&self, network: Option<u32>, tid: i32) {
        if let Some(network) = network.filter(|network| *network != OWN) {
            self.tally.count(network, tid);
        }
    }

    /// Sends what is worth knowing after `failure`.
    pub fn after(&mut self, now_ns: i64, failure: &Failure) {
        let address = failure.address.as_ref().map(|bytes| Address::decode(bytes));
        let port = address
            .as_ref()
            .and_then(Address::port)
            .map_or(0, |port| port as u16);
        let destination = address.as_ref().and_then(internet);
        let unix = failure.family == libc::AF_UNIX;
        let kinds = wanted(failure.errno, failure.number, unix);
        if kinds.is_empty() {
            return;
        }
        let sink = self.sink.clone();
        let send = |kind: &str, value: &Value, network: Option<u32>| {
            sink.send(&Row::Fact(rows::Fact {
                at_ns: now_ns,
                call: Some(failure.call),
                kind: kind.into(),
                value: value.to_string(),
                occasion: Some("failure".into()),
                network,
                process: Some(failure.process),
                socket: failure.socket,
            }));
        };
        let now = Instant::now();
        self.asked
            .retain(|_, when| now.duration_since(*when) < INTERVAL);
        let key = (
            failure.errno,
            u32::from(port),
            failure.network.unwrap_or_default(),
        );
        if self.asked.contains_key(&key) {
            send("not looked up", &json!("limit"), failure.network);
            return;
        }
        self.asked.insert(key, now);
        for kind in kinds {
            match self.ask(*kind, failure, address.as_ref(), port, destination) {
                Ok((name, Some(value), network)) => send(name, &value, network),
                Ok((name, None, network)) => send(
                    "not looked up",
                    &json!(format!("{name}: the kernel did not answer")),
                    network,
                ),
                Err(Some(reason)) => {
                    send("not looked up", &json!(reason), failure.network);
                    // The same answer for all that is left to ask there.
                    return;
                }
                Err(None) => {}
            }
        }
    }

    /// Asks for one thing: its name, what the kernel said, and about which namespace. An error is why it cannot be
    /// asked there; without a reason there is nothing to ask.
    #[allow(clippy::type_complexity, reason = "used once")]
    fn ask(
        &mut self,
        kind: Kind,
        failure: &Failure,
        address: Option<&Address>,
        port: u16,
        destination: Option<IpAddr>,
    ) -> Result<(&'static str, Option<Value>, Option<u32>), Option<String>> {
        match kind {
            Kind::Limits => return Ok(("limits", process::limits(failure.pid), None)),
            Kind::Credentials => {
                return Ok(("credentials", process::credentials(failure.pid), None));
            }
            Kind::Proxies => {
                return match process::proxies(failure.pid) {
                    Some(found) => Ok(("proxies", Some(found), None)),
                    // None is named: there is nothing to say.
                    None => Err(None),
                };
            }
            Kind::Path => return self.path(failure, address),
            Kind::Groups => {
                return Ok(("groups", host::groups(failure.tid), failure.network));
            }
            _ => {}
        }
        let network = failure
            .network
            .ok_or_else(|| Some("its network namespace is not known".to_owned()))?;
        let host = self
            .host(network, failure.tid)
            .map_err(|reason| Some(format!("it is in another network namespace: {reason}")))?;
        let (name, value) = match kind {
            Kind::Sockets => ("sockets", host.sockets(port)),
            Kind::Addresses => ("addresses", host.addresses()),
            Kind::Routes => ("routes", host.routes()),
            Kind::Route => ("route", host.route_to(destination.ok_or(None)?)),
            Kind::Neighbours => ("neighbours", host.neighbours(destination.ok_or(None)?)),
            Kind::Links => ("links", host.links()),
            _ => ("sysctls", Some(host.sysctls())),
        };
        Ok((name, value, Some(network)))
    }

    #[allow(clippy::type_complexity, reason = "as `ask`")]
    fn path(
        &mut self,
        failure: &Failure,
        address: Option<&Address>,
    ) -> Result<(&'static str, Option<Value>, Option<u32>), Option<String>> {
        let Some(address) = address else {
            return Err(None);
        };
        let name = address.to_string();
        let mut value = match address {
            Address::UnixPath(path) => process::file(failure.pid, &String::from_utf8_lossy(path)),
            _ => json!({"path": name}),
        };
        if let Some(network) = failure.network
            && let Ok(host) = self.host(network, failure.tid)
        {
            value["listeners"] = host.unix_listeners(&name);
        }
        Ok(("path", Some(value), failure.network))
    }

    /// A namespace, to be asked.
    fn host(&mut self, network: u32, tid: i32) -> Result<&mut Host, String> {
        let now = Instant::now();
        if let Some((when, reason)) = self.refused.get(&network)
            && now.duration_since(*when) < INTERVAL
        {
            return Err(reason.clone());
        }
        if !self.hosts.contains_key(&network) {
            let opened = if network == OWN {
                Host::here().map_err(|error| error.to_string())
            } else {
                self.networks
                    .enter(network, tid)
                    .and_then(|entered| Host::of(entered).map_err(|error| error.to_string()))
            };
            let host = match opened {
                Ok(host) => host,
                Err(reason) => {
                    self.refused.insert(network, (now, reason.clone()));
                    return Err(reason);
                }
            };
            if self.hosts.len() >= MAXIMUM_HOSTS {
                self.hosts.retain(|id, _| *id == OWN);
            }
            self.hosts.insert(network, host);
        }
        let host = self
            .hosts
            .get_mut(&network)
            .ok_or_else(|| "it is gone".to_owned())?;
        host.used = now;
        Ok(host)
    }

    /// Inode of the socket at the other end of a Unix socket.
    pub fn unix_peer(&mut self, network: u32, tid: i32, inode: u32) -> Option<u32> {
        self.host(network, tid).ok()?.unix_peer(inode)
    }
}

fn internet(address: &Address) -> Option<IpAddr> {
    match address {
        Address::Inet { address, .. } => Some((*address).into()),
        Address::Inet6 { address, .. } => Some(
            address
                .to_ipv4_mapped()
                .map_or_else(|| (*address).into(), Into::into),
        ),
        _ => None,
    }
}
