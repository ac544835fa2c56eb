//! sock_diag: the sockets of a whole network namespace, one exact socket, and the last words of dying ones.
//!
//! Works without privileges. Layouts and numbers: sock_diag(7), linux/inet_diag.h, linux/unix_diag.h, linux/sock_diag.h.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{BorrowedFd, OwnedFd};

use wallsocket_sys::socket;

use crate::address::Address;
use crate::memory::SocketMemory;
use crate::names::Table;
use crate::netlink::{DUMP, Error, Message, Netlink, Request, attributes};
use crate::tcp_info::TcpInfo;
use crate::words::{array, uint32};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_msg` and `struct unix_diag_msg`.
const INET_MESSAGE: usize = 72;
const UNIX_MESSAGE: usize = 16;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const ESTABLISHED: u8 = 1;
const NO_COOKIE: [u8; 8] = [0xff; 8];

const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_CONG: u16 = 4;
const INET_DIAG_TOS: u16 = 5;
const INET_DIAG_TCLASS: u16 = 6;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_SHUTDOWN: u16 = 8;
const INET_DIAG_PROTOCOL: u16 = 10;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_MARK: u16 = 15;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// Attributes to ask for, as bits; the others come by themselves.
const INET_EXTENSIONS: u8 = {
    let mut bits = 0;
    let wanted = [
        INET_DIAG_INFO,
        INET_DIAG_CONG,
        INET_DIAG_TOS,
        INET_DIAG_TCLASS,
        INET_DIAG_SKMEMINFO,
        INET_DIAG_SHUTDOWN,
    ];
    let mut index = 0;
    while index < wanted.len() {
        bits |= 1 << (wanted[index] - 1);
        index += 1;
    }
    bits
};

const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_ICONS: u16 = 3;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_MEMINFO: u16 = 5;
const UNIX_DIAG_SHUTDOWN: u16 = 6;
const UNIX_DIAG_UID: u16 = 7;
/// Everything: name, file, peer, waiting connections, queues, memory, user.
const UNIX_SHOW: u32 = 0x7f;

/// Every state.
pub const ALL_STATES: u32 = 0xffff_ffff;
/// Listeners only.
pub const LISTENING: u32 = 1 << 10;
/// TIME_WAIT only.
pub const TIME_WAIT: u32 = 1 << 6;

/// Multicast groups that report dying sockets.
const DESTROY_GROUPS: [u32; 4] = [1, 2, 3, 4];

/// Room for the reports of about two thousand deaths at once; the kernel caps it for the unprivileged.
const MONITOR_ROOM: i32 = 4 << 20;

/// What a socket's timer waits for (`idiag_timer`).
pub static TIMERS: Table = Table::new(&[
    (0, "none"),
    (1, "retransmit"),
    (2, "keepalive"),
    (3, "time_wait"),
    (4, "zero_window_probe"),
]);

/// A socket of TCP, UDP or raw IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InetSocket {
    /// Protocol number: 6 TCP, 17 UDP; of a raw socket the one it was made with.
    pub protocol: u8,
    /// State, numbered as in net/tcp_states.h; UDP is 1 when connected, else 7.
    pub state: u8,
    /// Local address; its family is that of the socket.
    pub local: SocketAddr,
    /// Address of the peer; all zero when there is none.
    pub peer: SocketAddr,
    /// Interface that it is bound to, or 0.
    pub interface: u32,
    /// The socket's number, as SO_COOKIE returns it.
    pub cookie: u64,
    /// Number of its inode, as in `socket:[N]`; 0 when no descriptor points to it: not yet accepted, or closed.
    pub inode: u32,
    /// Owner.
    pub uid: u32,
    /// Bytes that wait to be read; of a listener connections that wait for accept().
    pub receive_queue: u32,
    /// Bytes not yet acknowledged; of a listener the limit of its accept queue.
    pub send_queue: u32,
    /// What its timer waits for: see [`TIMERS`].
    pub timer: u8,
    /// Milliseconds until the timer ends.
    pub timer_expires_ms: u32,
    /// Retransmissions or probes in a row.
    pub retransmits: u8,
    /// TCP_INFO.
    pub info: Option<TcpInfo>,
    /// SO_MEMINFO.
    pub memory: Option<SocketMemory>,
    /// Congestion-control algorithm.
    pub congestion: Option<String>,
    /// Firewall mark; only told to CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// Type of service, or traffic class for IPv6.
    pub type_of_service: Option<u8>,
    /// Directions that were shut down: 1 receive, 2 send.
    pub shutdown: Option<u8>,
    /// Whether an IPv6 socket refuses IPv4.
    pub only_inet6: Option<bool>,
    /// Number of its control group.
    pub control_group: Option<u64>,
}

/// A socket of AF_UNIX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    /// Type: 1 stream, 2 datagram, 5 sequenced packets.
    pub kind: u8,
    /// State: 1 connected, 7 not, 10 listening.
    pub state: u8,
    /// Number of its inode.
    pub inode: u32,
    /// The socket's number, as SO_COOKIE returns it.
    pub cookie: u64,
    /// Its name.
    pub name: Address,
    /// Inode number of the socket file that it was bound to.
    pub file_inode: Option<u32>,
    /// Inode number of the peer.
    pub peer_inode: Option<u32>,
    /// Inode numbers of the connections that wait for accept(); 0 for those without one.
    pub waiting: Vec<u32>,
    /// Bytes or datagrams to be read; of a listener connections that wait for accept().
    pub receive_queue: Option<u32>,
    /// Bytes on their way to the peer; of a listener the limit of its accept queue.
    pub send_queue: Option<u32>,
    /// SO_MEMINFO.
    pub memory: Option<SocketMemory>,
    /// Directions that were shut down: 1 receive, 2 send.
    pub shutdown: Option<u8>,
    /// Owner.
    pub uid: Option<u32>,
}

/// Which sockets of one family and protocol to list.
#[derive(Debug, Clone, Copy)]
pub struct InetQuery {
    /// True for IPv6 sockets.
    pub inet6: bool,
    /// 6 TCP, 17 UDP, 255 raw.
    pub protocol: u8,
    /// States, as bits of their numbers.
    pub states: u32,
    /// Only those of this local port; 0 is any.
    pub local_port: u16,
    /// Only those of this peer port; 0 is any.
    pub peer_port: u16,
}

impl InetQuery {
    /// All sockets of TCP and of UDP, over IPv4 and over IPv6.
    pub fn all() -> [Self; 4] {
        [(false, 6), (true, 6), (false, 17), (true, 17)].map(|(inet6, protocol)| Self {
            inet6,
            protocol,
            states: ALL_STATES,
            local_port: 0,
            peer_port: 0,
        })
    }
}

/// One end's address of `struct inet_diag_sockid`.
fn end(inet6: bool, port: u16, address: [u8; 16], interface: u32) -> SocketAddr {
    if inet6 {
        let address = Ipv6Addr::from(address);
        // The kernel keeps the zone of link-local addresses only as the interface the socket is bound to.
        let zone = if address.is_unicast_link_local() {
            interface
        } else {
            0
        };
        SocketAddrV6::new(address, port, 0, zone).into()
    } else {
        SocketAddrV4::new(
            Ipv4Addr::new(address[0], address[1], address[2], address[3]),
            port,
        )
        .into()
    }
}

/// An end without its zone, IPv4 inside IPv6 as IPv4: as the other end of a connection has it.
fn plain(end: SocketAddr) -> (IpAddr, u16) {
    (end.ip().to_canonical(), end.port())
}

/// A dump whose diag module is missing, or of a family that the kernel lacks.
fn cannot_list(number: i32) -> bool {
    [libc::ENOENT, libc::EINVAL, libc::EOPNOTSUPP].contains(&number)
}

/// Parses what follows the netlink header: a dump's row, an answer, or a destroy notification.
pub fn parse_inet(payload: &[u8], protocol: u8) -> Option<InetSocket> {
    let inet6 = match i32::from(*payload.first()?) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let interface = uint32(payload, 40)?;
    let mut found = InetSocket {
        protocol,
        state: payload[1],
        timer: *payload.get(2)?,
        retransmits: *payload.get(3)?,
        local: end(
            inet6,
            u16::from_be_bytes(array(payload, 4)?),
            array(payload, 8)?,
            interface,
        ),
        peer: end(
            inet6,
            u16::from_be_bytes(array(payload, 6)?),
            array(payload, 24)?,
            interface,
        ),
        interface,
        // Two words, the low one first, on every machine.
        cookie: u64::from(uint32(payload, 44)?) | u64::from(uint32(payload, 48)?) << 32,
        timer_expires_ms: uint32(payload, 52)?,
        receive_queue: uint32(payload, 56)?,
        send_queue: uint32(payload, 60)?,
        uid: uint32(payload, 64)?,
        inode: uint32(payload, 68)?,
        info: None,
        memory: None,
        congestion: None,
        mark: None,
        type_of_service: None,
        shutdown: None,
        only_inet6: None,
        control_group: None,
    };
    for (kind, data) in attributes(payload.get(INET_MESSAGE..)?) {
        let byte = data.first().copied();
        match kind {
            INET_DIAG_INFO => found.info = TcpInfo::parse(data),
            INET_DIAG_SKMEMINFO => found.memory = Some(SocketMemory::parse(data)),
            INET_DIAG_CONG => {
                found.congestion = Some(crate::address::escape(
                    data.strip_suffix(&[0]).unwrap_or(data),
                ));
            }
            INET_DIAG_MARK => found.mark = uint32(data, 0),
            INET_DIAG_TOS if !inet6 => found.type_of_service = byte,
            INET_DIAG_TCLASS if inet6 => found.type_of_service = byte,
            INET_DIAG_SHUTDOWN => found.shutdown = byte,
            INET_DIAG_PROTOCOL => found.protocol = byte.unwrap_or(protocol),
            INET_DIAG_SKV6ONLY => found.only_inet6 = byte.map(|value| value != 0),
            INET_DIAG_CGROUP_ID => found.control_group = array(data, 0).map(u64::from_ne_bytes),
            _ => {}
        }
    }
    Some(found)
}

fn parse_unix(payload: &[u8]) -> Option<UnixSocket> {
    let mut found = UnixSocket {
        kind: *payload.get(1)?,
        state: *payload.get(2)?,
        inode: uint32(payload, 4)?,
        cookie: u64::from(uint32(payload, 8)?) | u64::from(uint32(payload, 12)?) << 32,
        name: Address::UnixUnnamed,
        file_inode: None,
        peer_inode: None,
        waiting: Vec::new(),
        receive_queue: None,
        send_queue: None,
        memory: None,
        shutdown: None,
        uid: None,
    };
    for (kind, data) in attributes(payload.get(UNIX_MESSAGE..)?) {
        match kind {
            UNIX_DIAG_NAME => {
                let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
                address.extend(data);
                found.name = Address::decode(&address);
            }
            UNIX_DIAG_VFS => found.file_inode = uint32(data, 0),
            UNIX_DIAG_PEER => found.peer_inode = uint32(data, 0),
            UNIX_DIAG_ICONS => {
                found.waiting = data
                    .chunks_exact(4)
                    .filter_map(|chunk| uint32(chunk, 0))
                    .collect();
            }
            UNIX_DIAG_RQLEN => {
                found.receive_queue = uint32(data, 0);
                found.send_queue = uint32(data, 4);
            }
            UNIX_DIAG_MEMINFO => found.memory = Some(SocketMemory::parse(data)),
            UNIX_DIAG_SHUTDOWN => found.shutdown = data.first().copied(),
            UNIX_DIAG_UID => found.uid = uint32(data, 0),
            _ => {}
        }
    }
    Some(found)
}

fn inet_request(
    query: &InetQuery,
    addresses: Option<(IpAddr, IpAddr)>,
    interface: u32,
    cookie: [u8; 8],
) -> Vec<u8> {
    let mut body = vec![
        (if query.inet6 {
            libc::AF_INET6
        } else {
            libc::AF_INET
        }) as u8,
        query.protocol,
        INET_EXTENSIONS,
        0,
    ];
    body.extend(query.states.to_ne_bytes());
    body.extend(query.local_port.to_be_bytes());
    body.extend(query.peer_port.to_be_bytes());
    for address in [addresses.map(|pair| pair.0), addresses.map(|pair| pair.1)] {
        let mut field = [0; 16];
        match address {
            Some(IpAddr::V4(v4)) => field[..4].copy_from_slice(&v4.octets()),
            Some(IpAddr::V6(v6)) => field = v6.octets(),
            None => {}
        }
        body.extend(field);
    }
    body.extend(interface.to_ne_bytes());
    body.extend(cookie);
    body
}

/// A sock_diag socket: reads the sockets of the namespace that it was made in.
#[derive(Debug)]
pub struct DiagSocket {
    netlink: Netlink,
}

impl DiagSocket {
    /// Makes a socket in the caller's network namespace.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open(libc::NETLINK_SOCK_DIAG)?,
        })
    }

    /// Takes a socket of `NETLINK_SOCK_DIAG` that was made elsewhere.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::from_socket(socket)?,
        })
    }

    /// The sockets that fit. An error ENOENT says that this kernel cannot list that protocol (its diag module is missing).
    pub fn inet(&mut self, query: &InetQuery) -> Result<Vec<InetSocket>, Error> {
        let body = inet_request(query, None, 0, NO_COOKIE);
        let mut rows = Vec::new();
        let take = |message: Message<'_>| {
            let row = parse_inet(message.payload, query.protocol);
            // UDP and raw dumps do not filter by port in every kernel.
            rows.extend(row.filter(|row| {
                (query.local_port == 0 || row.local.port() == query.local_port)
                    && (query.peer_port == 0 || row.peer.port() == query.peer_port)
            }));
        };
        self.netlink
            .ask(Request::new(SOCK_DIAG_BY_FAMILY, DUMP, &body), take)?;
        Ok(rows)
    }

    /// What is needed to tell who talks with the sockets of these inodes, or of this local port (0: none): all but the established
    /// connections of others, which are most of a busy host.
    ///
    /// The kernel finds no socket by its inode: it lists them all, once, and those are dropped here.
    pub fn around(
        &mut self,
        protocol: u8,
        states: u32,
        inodes: &HashSet<u32>,
        port: u16,
    ) -> Result<Vec<InetSocket>, Error> {
        let mut rows = Vec::new();
        for inet6 in [false, true] {
            let query = InetQuery {
                inet6,
                protocol,
                states,
                local_port: 0,
                peer_port: 0,
            };
            match self.inet(&query) {
                Ok(found) => rows.extend(found),
                // Where the kernel has no IPv6 there is nothing of it to list.
                Err(error) if inet6 && error.number().is_some_and(cannot_list) => {}
                Err(error) => return Err(error),
            }
        }
        let wanted = |row: &InetSocket| {
            inodes.contains(&row.inode) || (port != 0 && row.local.port() == port)
        };
        // Whose connection nobody has accepted is asked of the listener.
        let others: HashSet<_> = rows
            .iter()
            .filter(|row| row.inode == 0 || wanted(row))
            .map(|row| (plain(row.peer), plain(row.local)))
            .collect();
        rows.retain(|row| {
            wanted(row)
                || protocol != PROTOCOL_TCP
                || row.inode == 0
                || row.state != ESTABLISHED
                || others.contains(&(plain(row.local), plain(row.peer)))
        });
        Ok(rows)
    }

    /// The one socket with these ends (the peer all zero for a listener), and with this cookie when one is given.
    ///
    /// Errors: ENOENT when there is none, ESTALE when the cookie is another one's.
    pub fn inet_exact(
        &mut self,
        protocol: u8,
        local: SocketAddr,
        peer: SocketAddr,
        interface: u32,
        cookie: Option<u64>,
    ) -> Result<InetSocket, Error> {
        let query = InetQuery {
            inet6: local.is_ipv6(),
            protocol,
            states: ALL_STATES,
            local_port: local.port(),
            peer_port: peer.port(),
        };
        let mut words = NO_COOKIE;
        if let Some(cookie) = cookie {
            words[..4].copy_from_slice(&(cookie as u32).to_ne_bytes());
            words[4..].copy_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
        }
        // UDP looks a socket up as an arriving packet would: from the peer's side (net/ipv4/udp_diag.c), but answers as it is.
        let ends = (local.ip(), peer.ip());
        let body = inet_request(&query, Some(ends), interface, words);
        let mut found = None;
        self.netlink
            .ask(Request::new(SOCK_DIAG_BY_FAMILY, 0, &body), |message| {
                found = parse_inet(message.payload, protocol);
            })?;
        found.ok_or(Error::CutOff)
    }

    /// The AF_UNIX sockets in these states.
    pub fn unix(&mut self, states: u32) -> Result<Vec<UnixSocket>, Error> {
        let mut rows = Vec::new();
        let take = |message: Message<'_>| rows.extend(parse_unix(message.payload));
        self.netlink.ask(
            Request::new(SOCK_DIAG_BY_FAMILY, DUMP, &unix_request(states, 0)),
            take,
        )?;
        Ok(rows)
    }

    /// The AF_UNIX socket of that inode; an error ENOENT when there is none.
    pub fn unix_exact(&mut self, inode: u32) -> Result<UnixSocket, Error> {
        let mut found = None;
        let request = Request::new(SOCK_DIAG_BY_FAMILY, 0, &unix_request(ALL_STATES, inode));
        self.netlink
            .ask(request, |message| found = parse_unix(message.payload))?;
        found.ok_or(Error::CutOff)
    }
}

fn unix_request(states: u32, inode: u32) -> Vec<u8> {
    let mut body = vec![libc::AF_UNIX as u8, 0, 0, 0];
    body.extend(states.to_ne_bytes());
    body.extend(inode.to_ne_bytes());
    body.extend(UNIX_SHOW.to_ne_bytes());
    body.extend(NO_COOKIE);
    body
}

/// Hears of every TCP and UDP socket of a network namespace that dies, with its final TCP_INFO.
///
/// A socket is not dead while any descriptor, in any process, still points to it. Connections that end in TIME_WAIT are reported
/// when the program's socket goes, not when TIME_WAIT ends.
#[derive(Debug)]
pub struct DestroyMonitor {
    netlink: Netlink,
    lost: u64,
}

impl DestroyMonitor {
    /// Listens in the caller's network namespace.
    pub fn open() -> io::Result<Self> {
        Self::from_socket(socket::open(
            libc::AF_NETLINK,
            libc::SOCK_RAW,
            libc::NETLINK_SOCK_DIAG,
        )?)
    }

    /// Listens on a socket of `NETLINK_SOCK_DIAG` that was made elsewhere, in that namespace.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        let netlink = Netlink::from_socket(socket)?;
        let room = MONITOR_ROOM.to_ne_bytes();
        if socket::set_option(
            netlink.socket(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            &room,
        )
        .is_err()
        {
            socket::set_option(netlink.socket(), libc::SOL_SOCKET, libc::SO_RCVBUF, &room)?;
        }
        // Without a port number of its own the socket would be taken for the kernel's, which is the sender, and skipped.
        netlink.bind()?;
        for group in DESTROY_GROUPS {
            netlink.join(group)?;
        }
        Ok(Self { netlink, lost: 0 })
    }

    /// The socket to wait on.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.netlink.socket()
    }

    /// Hands over every death that was reported and returns without blocking.
    pub fn poll(&mut self, mut take: impl FnMut(InetSocket)) -> io::Result<()> {
        loop {
            let result = self.netlink.notifications(|message| {
                if message.kind == SOCK_DIAG_BY_FAMILY
                    && let Some(mut row) = parse_inet(message.payload, PROTOCOL_UDP)
                {
                    // The report does not name the protocol; only TCP has TCP_INFO.
                    if row.info.is_some() {
                        row.protocol = PROTOCOL_TCP;
                    }
                    take(row);
                }
            });
            match result {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.lost += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// How often the kernel had to drop reports; how many each time it does not say.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, Instant};

    fn cookie(socket: BorrowedFd<'_>) -> u64 {
        let mut value = [0; 8];
        socket::get_option(socket, libc::SOL_SOCKET, 57, &mut value).unwrap();
        u64::from_ne_bytes(value)
    }

    fn tcp(states: u32) -> InetQuery {
        InetQuery {
            inet6: false,
            protocol: 6,
            states,
            local_port: 0,
            peer_port: 0,
        }
    }

    #[test]
    fn a_listener_and_its_waiting_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let mut diag = DiagSocket::open().unwrap();
        let rows = diag
            .inet(&InetQuery {
                local_port: local.port(),
                ..tcp(LISTENING)
            })
            .unwrap();
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.local, row.state, row.receive_queue), (local, 10, 1));
        assert_eq!(row.cookie, cookie(listener.as_fd()));
        assert_eq!(row.info.unwrap().unacked_segments(), Some(1));
        assert_eq!(
            row.info.unwrap().sacked_segments(),
            Some(u64::from(row.send_queue))
        );
        // The connection that nobody accepted has no inode yet.
        let waiting = diag
            .inet_exact(6, local, client.local_addr().unwrap(), 0, None)
            .unwrap();
        assert_eq!((waiting.state, waiting.inode), (1, 0));
        let near = diag
            .inet_exact(
                6,
                client.local_addr().unwrap(),
                local,
                0,
                Some(cookie(client.as_fd())),
            )
            .unwrap();
        assert_eq!(near.cookie, cookie(client.as_fd()));
        assert!(near.memory.unwrap().drops.is_some());
        assert!(near.congestion.is_some());
        let stale = diag
            .inet_exact(6, client.local_addr().unwrap(), local, 0, Some(1))
            .unwrap_err();
        assert_eq!(stale.number(), Some(libc::ENOENT), "{stale}");
    }

    #[test]
    fn udp_shows_its_queue() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = receiver.local_addr().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"hello", local).unwrap();
        let mut diag = DiagSocket::open().unwrap();
        let query = InetQuery {
            protocol: 17,
            local_port: local.port(),
            ..tcp(ALL_STATES)
        };
        let rows = diag.inet(&query).unwrap();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].receive_queue > 0);
        assert_eq!(
            rows[0].memory.unwrap().receive_allocated,
            Some(rows[0].receive_queue)
        );
    }

    #[test]
    fn unix_listeners_have_names_and_queues() {
        let name = format!("wallsocket-test-{}", std::process::id());
        let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let _client = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        let mut diag = DiagSocket::open().unwrap();
        let rows = diag.unix(LISTENING).unwrap();
        let row = rows
            .iter()
            .find(|row| row.name.to_string() == format!("unix:@{name}"))
            .unwrap();
        assert_eq!((row.receive_queue, row.waiting.len()), (Some(1), 1));
        assert_eq!(row.cookie, cookie(listener.as_fd()));
        assert_eq!(diag.unix_exact(row.inode).unwrap().name, row.name);
    }

    #[test]
    fn a_dying_socket_is_reported() {
        let mut monitor = DestroyMonitor::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = cookie(listener.as_fd());
        drop(listener);
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut found = false;
        while !found {
            assert!(
                Instant::now() < deadline,
                "no report of socket {number} in 20 s, {} losses",
                monitor.lost()
            );
            monitor
                .poll(|row| found |= row.cookie == number && row.protocol == PROTOCOL_TCP)
                .unwrap();
            std::thread::yield_now();
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), family in prop_oneof![Just(2_u8), Just(10), any::<u8>()]) {
            if let Some(first) = bytes.first_mut() {
                *first = family;
            }
            for cut in 0..=bytes.len() {
                let _ = parse_inet(&bytes[..cut], 6);
                let _ = parse_unix(&bytes[..cut]);
            }
        }
    }
}
