//! A lab as its owner sees it: starts the holder, asks it for namespaces and sockets, and wires the hosts together.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use wallsocket_kernel::netlink;
use wallsocket_kernel::route::{LinkChange, Route, RouteChange, RouteSocket, VethEnd};
use wallsocket_sys::link::{disable_offloads, has_carrier};
use wallsocket_sys::namespace::{receive_message, send_message};

use crate::protocol::{HOSTS_PER_REQUEST, LARGEST, Reply, Request};
use crate::sentence;

/// Number of the loopback interface in every network namespace (LOOPBACK_IFINDEX, include/net/flow.h).
const LOOPBACK: u32 = 1;

/// How long the two ends of a new link may take to see each other; it takes well under a millisecond.
const CARRIER_LIMIT: Duration = Duration::from_secs(5);

/// Why a lab could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The holder's program could not be started.
    #[error("cannot start {program}: {}", sentence(error))]
    Start {
        /// Path of the program.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// The kernel refused something that the holder tried.
    #[error("cannot {what}: {}", sentence(error))]
    Holder {
        /// What it tried.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// The kernel refused a change of interfaces, addresses or routes.
    #[error("cannot {what}: {error}")]
    Refused {
        /// What was asked.
        what: String,
        /// The kernel's answer.
        error: netlink::Error,
    },
    /// The lab was closed, or its holder is gone.
    #[error("the lab is closed")]
    Closed,
}

impl Error {
    /// The kernel's error number, if one is the reason.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Start { error, .. } | Self::Holder { error, .. } => error.raw_os_error(),
            Self::Refused { error, .. } => error.number(),
            Self::Closed => None,
        }
    }
}

type Result<T> = std::result::Result<T, Error>;

/// One end of a link that is to be made.
#[derive(Debug, Clone)]
pub struct End {
    /// Number of the host.
    pub host: u32,
    /// Name of the interface, at most 15 bytes.
    pub name: String,
    /// Number of the interface, free in its host.
    pub index: u32,
    /// MAC address.
    pub mac: [u8; 6],
    /// Largest IP packet.
    pub mtu: u32,
    /// Its addresses.
    pub addresses: Vec<(IpAddr, u8)>,
}

#[derive(Debug)]
struct Host {
    network: OwnedFd,
    route: RouteSocket,
    /// The same socket, for ioctls.
    socket: OwnedFd,
}

impl Host {
    fn new(network: OwnedFd, socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            network,
            route: RouteSocket::from_socket(socket.try_clone()?)?,
            socket,
        })
    }
}

#[derive(Debug)]
struct Open {
    control: OwnedFd,
    holder: Child,
    hosts: Vec<Host>,
}

/// A running lab. All methods may be called from any thread.
#[derive(Debug)]
pub struct Lab {
    open: Mutex<Option<Open>>,
}

fn exchange(control: BorrowedFd<'_>, request: Option<&Request>) -> Result<(Reply, Vec<OwnedFd>)> {
    if let Some(request) = request {
        let bytes = postcard::to_stdvec(request).map_err(|_| Error::Closed)?;
        if bytes.len() > LARGEST {
            return Err(Error::Holder {
                what: "send the request".into(),
                error: io::Error::from_raw_os_error(libc::E2BIG),
            });
        }
        send_message(control, &bytes, &[]).map_err(|_| Error::Closed)?;
    }
    let mut buffer = vec![0; LARGEST];
    let received = receive_message(control, &mut buffer);
    let (length, descriptors) = received.map_err(|error| match error.raw_os_error() {
        // The message itself has come, so the two stay in step.
        Some(libc::EMFILE) => Error::Holder {
            what: "take over the descriptors of the lab".into(),
            error,
        },
        _ => Error::Closed,
    })?;
    if length == 0 {
        return Err(Error::Closed);
    }
    match postcard::from_bytes(&buffer[..length]) {
        Ok(Reply::Failed { what, errno }) => Err(Error::Holder {
            what,
            error: io::Error::from_raw_os_error(errno),
        }),
        Ok(reply) => Ok((reply, descriptors)),
        Err(_) => Err(Error::Closed),
    }
}

impl Open {
    fn ask(&self, request: &Request) -> Result<(Reply, Vec<OwnedFd>)> {
        exchange(self.control.as_fd(), Some(request))
    }

    fn host(&mut self, number: u32) -> Result<&mut Host> {
        self.hosts
            .get_mut(number as usize)
            .ok_or_else(|| Error::Holder {
                what: format!("find host {number}"),
                error: io::Error::from_raw_os_error(libc::ENOENT),
            })
    }
}

impl Lab {
    /// Starts the holder, `program`, and with it the user namespace of the lab.
    pub fn start(program: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::Start {
            program: program.display().to_string(),
            error,
        };
        let (control, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|error| failed(error.into()))?;
        let holder = Command::new(program)
            .arg("hold")
            .arg(std::process::id().to_string())
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let lab = Self {
            open: Mutex::new(Some(Open {
                control,
                holder,
                hosts: Vec::new(),
            })),
        };
        let ready = lab.with(|open| exchange(open.control.as_fd(), None));
        match ready {
            Ok(_) => Ok(lab),
            Err(error) => {
                lab.close();
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        work(self.lock().as_mut().ok_or(Error::Closed)?)
    }

    /// Process id of the holder, while the lab is open.
    pub fn holder(&self) -> Option<u32> {
        self.lock().as_ref().map(|open| open.holder.id())
    }

    /// Makes hosts whose networks have these sysctls; returns the number of the first.
    pub fn add_hosts(&self, count: u32, sysctls: &[(String, Vec<String>)]) -> Result<u32> {
        self.with(|open| {
            let first = open.hosts.len() as u32;
            let mut open_count = count;
            while open_count > 0 {
                let count = open_count.min(HOSTS_PER_REQUEST);
                let (_, descriptors) = open.ask(&Request::Hosts {
                    first: open.hosts.len() as u32,
                    count,
                    sysctls: sysctls.to_vec(),
                })?;
                let mut descriptors = descriptors.into_iter();
                while let (Some(network), Some(socket)) = (descriptors.next(), descriptors.next()) {
                    let mut host = Host::new(network, socket).map_err(copying)?;
                    let up = LinkChange {
                        up: Some(true),
                        ..LinkChange::default()
                    };
                    host.route
                        .change_link(LOOPBACK, &up)
                        .map_err(refused("bring the loopback interface up"))?;
                    open.hosts.push(host);
                }
                open_count -= count;
            }
            Ok(first)
        })
    }

    /// A socket in a host.
    pub fn socket(&self, host: u32, domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
        self.with(|open| {
            let (_, descriptors) = open.ask(&Request::Socket {
                host,
                domain,
                kind,
                protocol,
            })?;
            descriptors.into_iter().next().ok_or_else(|| Error::Holder {
                what: "take over a socket".into(),
                error: io::Error::from_raw_os_error(libc::EMFILE),
            })
        })
    }

    /// Reads a sysctl of a host, or sets it.
    pub fn sysctl(&self, host: u32, name: &str, value: Option<&str>) -> Result<String> {
        let request = Request::Sysctl {
            host,
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        match self.with(|open| open.ask(&request))? {
            (Reply::Text(text), _) => Ok(text),
            _ => Ok(String::new()),
        }
    }

    /// A file below /proc/net or /proc/sys/net, open for reading, as a process of the host sees it.
    pub fn open_proc(&self, host: u32, path: &str) -> Result<OwnedFd> {
        self.with(|open| {
            let (_, descriptors) = open.ask(&Request::OpenProc {
                host,
                path: path.to_owned(),
            })?;
            descriptors.into_iter().next().ok_or_else(|| Error::Holder {
                what: "take over a file".into(),
                error: io::Error::from_raw_os_error(libc::EMFILE),
            })
        })
    }

    /// Sets what programs of a host read in /etc/hosts and, unless empty, /etc/resolv.conf.
    pub fn set_names(&self, host: u32, hosts: &str, resolver: &str) -> Result<()> {
        let request = Request::Names {
            host,
            hosts: hosts.to_owned(),
            resolver: resolver.to_owned(),
        };
        self.with(|open| open.ask(&request)).map(drop)
    }

    /// Descriptors of a host's network, mount, process and (unless plain) user namespace.
    pub fn enter(&self, host: u32) -> Result<Vec<OwnedFd>> {
        self.with(|open| open.ask(&Request::Enter { host }))
            .map(|(_, descriptors)| descriptors)
    }

    /// Reads or changes the interfaces, addresses and routes of a host; `what` says what for the error text.
    pub fn route<T>(
        &self,
        host: u32,
        what: impl Into<String>,
        work: impl FnOnce(&mut RouteSocket) -> std::result::Result<T, netlink::Error>,
    ) -> Result<T> {
        self.with(|open| work(&mut open.host(host)?.route).map_err(refused(what)))
    }

    /// Makes a link: a pair of interfaces, with their addresses, up, and ready to transmit when this returns.
    pub fn connect(&self, near: &End, far: &End, keep_offloads: bool) -> Result<()> {
        self.with(|open| {
            let network = open.host(far.host)?.network.try_clone().map_err(copying)?;
            let describe = |end| veth_end(end, None);
            let what = format!("make the interface pair {} and {}", near.name, far.name);
            let ends = (describe(near), veth_end(far, Some(network.as_fd())));
            open.host(near.host)?
                .route
                .create_veth(&ends.0, &ends.1)
                .map_err(refused(what))?;
            let made = [near, far]
                .into_iter()
                .try_for_each(|end| prepare(open.host(end.host)?, end, keep_offloads));
            let made = made.and_then(|()| {
                [near, far]
                    .into_iter()
                    .try_for_each(|end| wait_for_carrier(open.host(end.host)?, end))
            });
            if made.is_err() {
                let _ = open.host(near.host)?.route.delete_link(near.index);
            }
            made
        })
    }

    /// Opens a plain link to put a forwarder in: the interface of `end` moves to the host `wires`, as `name`, and `end` gets a new one
    /// with the same name, number, addresses and routes, whose other side is `far` in `wires`. Returns the moved interface's number;
    /// when it fails, everything is as it was.
    pub fn splice(&self, end: &End, wires: u32, name: &str, far: &End) -> Result<u32> {
        let what = |what: &str| refused(format!("{what} {}", end.name));
        let routes = self.with(|open| {
            let network = open.host(wires)?.network.try_clone().map_err(copying)?;
            let route = &mut open.host(end.host)?.route;
            let routes = route.routes().map_err(what("read the routes of"))?;
            route
                .change_link(end.index, &into(&network, name))
                .map_err(what("move"))?;
            Ok(routes)
        })?;
        let replaced = self
            .with(|open| {
                let host = open.host(wires)?;
                let index = host.route.link(name).map_err(what("find"))?.index;
                let there = End {
                    name: name.to_owned(),
                    index,
                    addresses: Vec::new(),
                    ..end.clone()
                };
                prepare(host, &there, false)?;
                wait_for_carrier(host, &there)?;
                Ok(index)
            })
            .and_then(|index| self.connect(end, far, false).map(|()| index));
        self.with(|open| {
            if replaced.is_err() {
                // The link stays the cable that it was.
                let network = open.host(end.host)?.network.try_clone().map_err(copying)?;
                let route = &mut open.host(wires)?.route;
                let index = route.link(name).map_err(what("find"))?.index;
                route
                    .change_link(index, &into(&network, &end.name))
                    .map_err(what("move back"))?;
                prepare(open.host(end.host)?, end, false)?;
            }
            let host = open.host(end.host)?;
            for route in routes.iter().filter(|route| is_ours(route, end.index)) {
                let change = RouteChange {
                    destination: route
                        .destination
                        .map(|destination| (destination, route.prefix_length)),
                    gateway: route.gateway,
                    interface: route.interface,
                    preferred_source: route.preferred_source,
                    metric: (route.metric != 0).then_some(route.metric),
                    table: Some(route.table),
                    kind: Some(route.kind),
                    mtu: route.mtu,
                    inet6: route.inet6,
                    replace: true,
                    on_link: false,
                };
                host.route
                    .add_route(&change)
                    .map_err(refused("bring a route back"))?;
            }
            Ok(())
        })?;
        replaced
    }

    /// Descriptor of a host's network namespace, open as long as the copy is.
    pub fn network(&self, host: u32) -> Result<OwnedFd> {
        self.with(|open| open.host(host)?.network.try_clone().map_err(copying))
    }

    /// Ends the lab and every program in it; returns when they are gone. Again is nothing.
    pub fn close(&self) {
        let Some(mut open) = self.lock().take() else {
            return;
        };
        let _ =
            nix::sys::socket::shutdown(open.control.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        let _ = open.holder.wait();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.close();
    }
}

/// The change that moves an interface into a network namespace, under another name.
fn into<'a>(network: &'a OwnedFd, name: &'a str) -> LinkChange<'a> {
    LinkChange {
        name: Some(name),
        namespace: Some(network.as_fd()),
        ..LinkChange::default()
    }
}

/// Whether somebody made this route by way of an interface; the kernel makes its own again (RTPROT_KERNEL) with the addresses.
fn is_ours(route: &Route, index: u32) -> bool {
    route.interface == Some(index)
        && route.origin != libc::RTPROT_KERNEL
        && route.kind != libc::RTN_LOCAL
}

fn copying(error: io::Error) -> Error {
    Error::Holder {
        what: "copy a descriptor".into(),
        error,
    }
}

fn refused(what: impl Into<String>) -> impl FnOnce(netlink::Error) -> Error {
    let what = what.into();
    |error| Error::Refused { what, error }
}

fn veth_end<'a>(end: &'a End, namespace: Option<BorrowedFd<'a>>) -> VethEnd<'a> {
    VethEnd {
        name: &end.name,
        index: Some(end.index),
        namespace,
        mtu: Some(end.mtu),
        hardware_address: Some(end.mac),
        up: false,
    }
}

fn prepare(host: &mut Host, end: &End, keep_offloads: bool) -> Result<()> {
    if !keep_offloads {
        disable_offloads(host.socket.as_fd(), &end.name).map_err(|error| Error::Holder {
            what: format!("turn the offloads of {} off", end.name),
            error,
        })?;
    }
    for (address, prefix) in &end.addresses {
        host.route
            .add_address(end.index, *address, *prefix)
            .map_err(refused(format!(
                "add address {address}/{prefix} to {}",
                end.name
            )))?;
    }
    let up = LinkChange {
        up: Some(true),
        ..LinkChange::default()
    };
    host.route
        .change_link(end.index, &up)
        .map_err(refused(format!("bring {} up", end.name)))
}

/// Waits until the kernel sends what a host sends: the first frames after that are lost no more.
fn wait_for_carrier(host: &mut Host, end: &End) -> Result<()> {
    let deadline = Instant::now() + CARRIER_LIMIT;
    let what = || format!("wait until {} can transmit", end.name);
    loop {
        let carrier =
            has_carrier(host.socket.as_fd(), &end.name).map_err(|error| Error::Holder {
                what: what(),
                error,
            })?;
        if carrier
            && host
                .route
                .link(&end.name)
                .map_err(refused(what()))?
                .is_running()
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Holder {
                what: what(),
                error: io::Error::from_raw_os_error(libc::ETIMEDOUT),
            });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
