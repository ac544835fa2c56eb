//! Which flow a frame belongs to, and its number in it.
//!
//! A flow is named by what does not change from run to run: its hosts' addresses, protocol, service port, and which connection
//! of that kind it is, counted from 1. The client's port, which the kernel chooses, only tells connections apart.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use wallsocket_wire::decode::{Frame, Network, Transport, tcp_flag};

use crate::fate::absorb;

/// Flows that are remembered; when there are more, the half that was quiet for longest is forgotten.
const MOST_FLOWS: usize = 1 << 16;

/// What a flow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// IP: client, server, protocol, service port (0 where there is none), ordinal of the connection.
    Ip {
        /// Who began.
        client: IpAddr,
        /// Whom it called.
        server: IpAddr,
        /// IP protocol.
        protocol: u8,
        /// Port of the server.
        service: u16,
        /// Which of these connections, from 1.
        ordinal: u32,
    },
    /// All frames of a protocol other than IP; 0 without one (IEEE 802.2).
    Other {
        /// EtherType.
        ether_type: u16,
    },
}

impl Name {
    fn hash(&self) -> u64 {
        let address = |hash: u64, address: IpAddr| match address {
            IpAddr::V4(v4) => absorb(hash, u32::from(v4).into()),
            IpAddr::V6(v6) => {
                let bits = u128::from(v6);
                absorb(absorb(hash, (bits >> 64) as u64), bits as u64)
            }
        };
        match *self {
            Self::Ip {
                client,
                server,
                protocol,
                service,
                ordinal,
            } => {
                let hash = address(address(1, client), server);
                absorb(
                    absorb(absorb(hash, protocol.into()), service.into()),
                    ordinal.into(),
                )
            }
            Self::Other { ether_type } => absorb(2, ether_type.into()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip {
                client,
                server,
                protocol,
                service,
                ordinal,
            } => {
                let port = if *service == 0 {
                    String::new()
                } else {
                    format!(" port {service}")
                };
                match protocol {
                    1 | 58 => write!(formatter, "icmp")?,
                    2 => write!(formatter, "igmp")?,
                    6 => write!(formatter, "tcp")?,
                    17 => write!(formatter, "udp")?,
                    other => write!(formatter, "protocol {other}")?,
                }
                write!(formatter, "{port} {client} > {server} #{ordinal}")
            }
            Self::Other { ether_type: 0x0806 } => write!(formatter, "arp"),
            Self::Other { ether_type } => write!(formatter, "ethertype 0x{ether_type:04x}"),
        }
    }
}

/// What a script has decided about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// Nothing yet.
    #[default]
    Open,
    /// It is refused: every SYN is answered by a reset.
    Refused,
    /// It was reset: everything is answered by a reset.
    Reset,
    /// It has fallen into a black hole.
    Swallowed,
}

/// One flow.
#[derive(Debug)]
pub struct Flow {
    /// What it is.
    pub name: Name,
    /// Hash of the name.
    pub hash: u64,
    /// Frames so far, by direction.
    pub numbers: [u64; 2],
    /// Burst state, by direction.
    pub bad: [bool; 2],
    /// When its first frame came.
    pub started: Instant,
    /// When its last frame came.
    pub seen: Instant,
    /// What the scripts decided.
    pub verdict: Verdict,
    /// Whether the scripts that count connections have counted it.
    pub counted: bool,
    /// Sequence number of the first payload byte of TCP, by direction.
    pub first_byte: [Option<u32>; 2],
    /// Payload bytes of TCP up to the highest one that passed, by direction: repeated ones count once.
    pub carried: [u32; 2],
    /// Sequence number of the client's SYN.
    opening: Option<u32>,
}

/// The two ends of a flow in a fixed order, with what stands for ports.
type Key = (u16, [(IpAddr, u16); 2]);

/// The flows of a link.
#[derive(Debug, Default)]
pub struct Flows {
    flows: HashMap<Key, Flow>,
    ordinals: HashMap<(IpAddr, IpAddr, u8, u16), u32>,
}

const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

impl Flows {
    /// The flow of a frame, made when this is its first.
    pub fn of(&mut self, frame: &Frame<'_>, now: Instant) -> &mut Flow {
        let (key, name, opening) = identify(frame);
        if self.flows.len() >= MOST_FLOWS && !self.flows.contains_key(&key) {
            self.forget();
        }
        let ordinals = &mut self.ordinals;
        let flow = match self.flows.entry(key) {
            Entry::Vacant(entry) => entry.insert(Flow::new(count(ordinals, name), opening, now)),
            Entry::Occupied(entry) => {
                let flow = entry.into_mut();
                // The same ports, but another first sequence number: a new connection. A repeated SYN has the same.
                if opening.is_some() && flow.opening != opening {
                    *flow = Flow::new(count(ordinals, name), opening, now);
                }
                flow
            }
        };
        flow.seen = now;
        flow
    }

    fn forget(&mut self) {
        let mut times: Vec<Instant> = self.flows.values().map(|flow| flow.seen).collect();
        times.sort_unstable();
        let median = times[times.len() / 2];
        self.flows.retain(|_, flow| flow.seen >= median);
    }
}

impl Flow {
    fn new(name: Name, opening: Option<u32>, now: Instant) -> Self {
        Self {
            name,
            hash: name.hash(),
            numbers: [0; 2],
            bad: [false; 2],
            started: now,
            seen: now,
            verdict: Verdict::Open,
            counted: false,
            first_byte: [None; 2],
            carried: [0; 2],
            opening,
        }
    }
}

/// Counts a connection, where connections are counted.
fn count(ordinals: &mut HashMap<(IpAddr, IpAddr, u8, u16), u32>, name: Name) -> Name {
    let Name::Ip {
        client,
        server,
        protocol,
        service,
        ordinal: 0,
    } = name
    else {
        return name;
    };
    let ordinal = ordinals
        .entry((client, server, protocol, service))
        .or_insert(0);
    *ordinal += 1;
    Name::Ip {
        client,
        server,
        protocol,
        service,
        ordinal: *ordinal,
    }
}

/// Key, name (with ordinal 0 where connections are counted) and, of a SYN, its sequence number.
fn identify(frame: &Frame<'_>) -> (Key, Name, Option<u32>) {
    let Some((source, destination)) = frame.addresses() else {
        let ether_type = match frame.network {
            Network::Arp(_) => 0x0806,
            _ => frame.ether_type.unwrap_or(0),
        };
        return (
            (ether_type, [(NOBODY, 0); 2]),
            Name::Other { ether_type },
            None,
        );
    };
    let protocol = frame.protocol.unwrap_or(255);
    let (mut forward, mut opening, mut counted, mut service) = (true, None, true, 0);
    let ports = match &frame.transport {
        Transport::Tcp(tcp) => {
            match tcp.flags & (tcp_flag::SYN | tcp_flag::ACK) {
                tcp_flag::SYN => opening = Some(tcp.sequence_number),
                flags if flags & tcp_flag::SYN != 0 => forward = false,
                // Seen from the middle on: services have the smaller numbers, as a rule.
                _ => forward = tcp.destination_port <= tcp.source_port,
            }
            service = if forward {
                tcp.destination_port
            } else {
                tcp.source_port
            };
            (tcp.source_port, tcp.destination_port)
        }
        Transport::Udp(udp) => {
            service = udp.destination_port;
            (udp.source_port, udp.destination_port)
        }
        Transport::Icmp(icmp) if icmp.is_echo() => {
            forward = matches!(icmp.kind, 8 | 128);
            let identifier = icmp.identifier().unwrap_or(0);
            (identifier, identifier)
        }
        _ => {
            counted = false;
            (0, 0)
        }
    };
    let (client, server) = if forward {
        (source, destination)
    } else {
        (destination, source)
    };
    let mut ends = [(source, ports.0), (destination, ports.1)];
    // What is not a conversation is a flow of its own each way.
    if counted {
        ends.sort_unstable();
    }
    let name = Name::Ip {
        client,
        server,
        protocol,
        service,
        ordinal: u32::from(!counted),
    };
    ((u16::from(protocol), ends), name, opening)
}
