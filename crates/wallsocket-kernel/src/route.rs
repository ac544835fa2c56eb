//! Interfaces, addresses, routes and neighbours: reading them, and making what a lab needs.
//!
//! All by rtnetlink(7) on one socket, which decides the network namespace. Numbers and layouts: linux/rtnetlink.h, linux/if_link.h,
//! linux/if_addr.h, linux/neighbour.h, linux/veth.h.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::netlink::{
    ACK, CREATE, DUMP, EXCLUSIVE, Error, Message, Netlink, REPLACE, Request, attributes,
};

const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const BRIDGE_FORWARD_DELAY: u16 = 1;
const BRIDGE_STP_STATE: u16 = 5;
const BRIDGE_MULTICAST_SNOOPING: u16 = 23;
const METRIC_MTU: u16 = 2;
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;
const ROUTE_TABLE_MAIN: u32 = 254;
const PROTOCOL_STATIC: u8 = 4;
const RTNH_F_ONLINK: u32 = 4;

/// An address that was given by the user, not made by duplicate detection: usable at once (linux/if_addr.h).
pub const ADDRESS_NO_DUPLICATE_DETECTION: u32 = 0x02;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Driver kind such as `veth` or `bridge`, for virtual ones.
    pub kind: Option<String>,
    /// `IFF_` bits.
    pub flags: u32,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// ARP hardware type: 1 Ethernet, 772 loopback.
    pub hardware_type: u16,
    /// Link-layer address.
    pub hardware_address: Vec<u8>,
    /// The bridge or bond that it belongs to.
    pub master: Option<u32>,
    /// The interface at the other end of a veth, or below a virtual one.
    pub peer: Option<u32>,
    /// Number that the peer's network namespace has here.
    pub peer_namespace: Option<i32>,
    /// Operational state: 0 unknown, 2 down, 3 lower layer down, 6 up (RFC 2863).
    pub operational_state: u8,
    /// Whether the driver has a carrier.
    pub carrier: Option<bool>,
    /// Packets its queue may hold.
    pub queue_length: u32,
    /// Packets, bytes, errors and drops since it was made.
    pub counters: LinkCounters,
}

impl Link {
    /// Whether it is switched on.
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether it is switched on and has a carrier.
    pub fn is_running(&self) -> bool {
        self.is_up() && self.flags & libc::IFF_RUNNING as u32 != 0
    }
}

/// The first counters of `struct rtnl_link_stats64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Packets received.
    pub received_packets: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bad packets received.
    pub receive_errors: u64,
    /// Packets that could not be sent.
    pub send_errors: u64,
    /// Received packets dropped for want of room or of a taker.
    pub receive_drops: u64,
    /// Packets dropped on their way out.
    pub send_drops: u64,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Number of the interface.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of the network's prefix, in bits.
    pub prefix_length: u8,
    /// The other end, of a point-to-point interface.
    pub peer: Option<IpAddr>,
    /// The broadcast address.
    pub broadcast: Option<IpAddr>,
    /// Label, of IPv4.
    pub label: Option<String>,
    /// How far it is valid: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// `IFA_F_` bits.
    pub flags: u32,
}

/// One way of a route with several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Number of the interface.
    pub interface: u32,
    /// Gateway.
    pub gateway: Option<IpAddr>,
    /// Share of the traffic.
    pub weight: u16,
}

/// A route, in a table or as the answer to "how would a packet go".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// True for IPv6.
    pub inet6: bool,
    /// Destination; none is every address.
    pub destination: Option<IpAddr>,
    /// Length of the destination's prefix, in bits.
    pub prefix_length: u8,
    /// Next router.
    pub gateway: Option<IpAddr>,
    /// Number of the interface.
    pub interface: Option<u32>,
    /// Source address that packets get when the program chose none.
    pub preferred_source: Option<IpAddr>,
    /// Smaller is preferred.
    pub metric: u32,
    /// Table: 254 main, 255 local, 253 default.
    pub table: u32,
    /// Who made it (`RTPROT_`).
    pub origin: u8,
    /// How far the destination is.
    pub scope: u8,
    /// Kind: 1 unicast, 2 local, 3 broadcast, 6 blackhole, 7 unreachable, 8 prohibit …
    pub kind: u8,
    /// MTU that the route sets or that was learned for the destination.
    pub mtu: Option<u32>,
    /// All ways, where there are several.
    pub hops: Vec<Hop>,
}

/// An entry of the neighbour table: ARP or neighbour discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Number of the interface.
    pub interface: u32,
    /// Address.
    pub address: IpAddr,
    /// Link-layer address; empty while unknown.
    pub hardware_address: Vec<u8>,
    /// `NUD_` bits: reachable, stale, incomplete, failed …
    pub state: u16,
    /// `NTF_` bits.
    pub flags: u8,
}

/// A question to the routing of a host.
#[derive(Debug, Clone, Copy, Default)]
pub struct RouteQuestion {
    /// Source address, if the program chose one.
    pub source: Option<IpAddr>,
    /// Interface, if the program chose one.
    pub interface: Option<u32>,
    /// Firewall mark, or 0.
    pub mark: u32,
}

/// One end of a veth pair to be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct VethEnd<'a> {
    /// Name.
    pub name: &'a str,
    /// Number, free in its namespace; none is one of the kernel's choice.
    pub index: Option<u32>,
    /// Network namespace to put it into; none is that of the socket.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Largest packet in bytes; none is 1500.
    pub mtu: Option<u32>,
    /// Link-layer address; none is a random one.
    pub hardware_address: Option<[u8; 6]>,
    /// Switch the near end on at once; see [`RouteSocket::create_veth`] for the far one.
    pub up: bool,
}

/// What to change of an interface; `None` leaves a thing as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkChange<'a> {
    /// Switch on or off.
    pub up: Option<bool>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// New name; the interface must be off on kernels before 6.2.
    pub name: Option<&'a str>,
    /// Link-layer address.
    pub hardware_address: Option<[u8; 6]>,
    /// Bridge or bond to join; 0 leaves it.
    pub master: Option<u32>,
    /// Network namespace to move to.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Packets its queue may hold.
    pub queue_length: Option<u32>,
    /// Answer for no address and ask for none.
    pub no_arp: Option<bool>,
    /// Take in every frame.
    pub promiscuous: Option<bool>,
}

/// A route to add or delete.
#[derive(Debug, Clone, Copy, Default)]
pub struct RouteChange {
    /// Destination and length of its prefix; none is the default route.
    pub destination: Option<(IpAddr, u8)>,
    /// Next router.
    pub gateway: Option<IpAddr>,
    /// Number of the interface.
    pub interface: Option<u32>,
    /// Source address that packets get when the program chose none.
    pub preferred_source: Option<IpAddr>,
    /// Smaller is preferred.
    pub metric: Option<u32>,
    /// Table; none is main.
    pub table: Option<u32>,
    /// Kind (`RTN_`); none is unicast. 6 blackhole, 7 unreachable, 8 prohibit need no gateway.
    pub kind: Option<u8>,
    /// Largest packet on this route, in bytes.
    pub mtu: Option<u32>,
    /// IPv6 default routes have no address to tell the family by.
    pub inet6: bool,
    /// The gateway is on the link although no address says so.
    pub on_link: bool,
    /// Replace an existing route instead of failing.
    pub replace: bool,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn uint32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => array::<4>(bytes, 0).map(|octets| Ipv4Addr::from(octets).into()),
        16 => array::<16>(bytes, 0).map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn family(address: IpAddr) -> u8 {
    (if address.is_ipv6() {
        libc::AF_INET6
    } else {
        libc::AF_INET
    }) as u8
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    let mut link = Link {
        hardware_type: array(payload, 2).map(u16::from_ne_bytes)?,
        index: uint32(payload, 4)?,
        flags: uint32(payload, 8)?,
        ..Link::default()
    };
    for (kind, data) in attributes(payload.get(16..)?) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(data),
            libc::IFLA_ADDRESS => link.hardware_address = data.to_vec(),
            libc::IFLA_MTU => link.mtu = uint32(data, 0)?,
            libc::IFLA_LINK => link.peer = uint32(data, 0),
            libc::IFLA_LINK_NETNSID => link.peer_namespace = uint32(data, 0).map(u32::cast_signed),
            libc::IFLA_MASTER => link.master = uint32(data, 0),
            libc::IFLA_TXQLEN => link.queue_length = uint32(data, 0)?,
            libc::IFLA_OPERSTATE => link.operational_state = *data.first()?,
            libc::IFLA_CARRIER => link.carrier = data.first().map(|carrier| *carrier != 0),
            libc::IFLA_LINKINFO => {
                link.kind = attributes(data)
                    .find(|attribute| attribute.0 == INFO_KIND)
                    .map(|attribute| text(attribute.1));
            }
            libc::IFLA_STATS64 => {
                let counter = |index: usize| array(data, 8 * index).map_or(0, u64::from_ne_bytes);
                link.counters = LinkCounters {
                    received_packets: counter(0),
                    sent_packets: counter(1),
                    received_bytes: counter(2),
                    sent_bytes: counter(3),
                    receive_errors: counter(4),
                    send_errors: counter(5),
                    receive_drops: counter(6),
                    send_drops: counter(7),
                };
            }
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(payload: &[u8]) -> Option<InterfaceAddress> {
    let mut local = None;
    let mut remote = None;
    let mut broadcast = None;
    let mut label = None;
    let mut flags = u32::from(*payload.get(2)?);
    for (kind, data) in attributes(payload.get(8..)?) {
        match kind {
            libc::IFA_LOCAL => local = ip(data),
            libc::IFA_ADDRESS => remote = ip(data),
            libc::IFA_BROADCAST => broadcast = ip(data),
            libc::IFA_LABEL => label = Some(text(data)),
            libc::IFA_FLAGS => flags = uint32(data, 0)?,
            _ => {}
        }
    }
    // IFA_LOCAL is the own address where both are there; then IFA_ADDRESS is the other end, or the same again.
    let address = local.or(remote)?;
    let peer = remote.filter(|remote| *remote != address);
    let interface = uint32(payload, 4)?;
    Some(InterfaceAddress {
        interface,
        address,
        prefix_length: payload[1],
        peer,
        broadcast,
        label,
        scope: payload[3],
        flags,
    })
}

fn parse_hops(mut bytes: &[u8]) -> Vec<Hop> {
    let mut hops = Vec::new();
    while let (Some(length), Some(interface), Some(weight)) = (
        array(bytes, 0).map(u16::from_ne_bytes),
        uint32(bytes, 4),
        bytes.get(3),
    ) {
        let Some(inner) = bytes.get(8..usize::from(length)) else {
            break;
        };
        let gateway = attributes(inner).find_map(|(kind, data)| gateway_attribute(kind, data));
        hops.push(Hop {
            interface,
            gateway,
            weight: u16::from(*weight) + 1,
        });
        bytes = bytes
            .get(usize::from(length).next_multiple_of(4)..)
            .unwrap_or(&[]);
    }
    hops
}

/// A gateway stands in RTA_GATEWAY, or with its family in front in RTA_VIA when it is of the other family.
fn gateway_attribute(kind: u16, data: &[u8]) -> Option<IpAddr> {
    match kind {
        libc::RTA_GATEWAY => ip(data),
        RTA_VIA => ip(data.get(2..)?),
        _ => None,
    }
}

const RTA_VIA: u16 = 18;

fn parse_route(payload: &[u8]) -> Option<Route> {
    let mut route = Route {
        inet6: i32::from(*payload.first()?) == libc::AF_INET6,
        prefix_length: *payload.get(1)?,
        table: u32::from(*payload.get(4)?),
        origin: *payload.get(5)?,
        scope: *payload.get(6)?,
        kind: *payload.get(7)?,
        ..Route::default()
    };
    for (kind, data) in attributes(payload.get(12..)?) {
        match kind {
            libc::RTA_DST => route.destination = ip(data),
            libc::RTA_GATEWAY | RTA_VIA => route.gateway = gateway_attribute(kind, data),
            libc::RTA_OIF => route.interface = uint32(data, 0),
            libc::RTA_PREFSRC => route.preferred_source = ip(data),
            libc::RTA_PRIORITY => route.metric = uint32(data, 0)?,
            libc::RTA_TABLE => route.table = uint32(data, 0)?,
            libc::RTA_METRICS => {
                let mtu = attributes(data).find(|attribute| attribute.0 == METRIC_MTU);
                route.mtu = mtu.and_then(|attribute| uint32(attribute.1, 0));
            }
            libc::RTA_MULTIPATH => route.hops = parse_hops(data),
            _ => {}
        }
    }
    Some(route)
}

fn parse_neighbour(payload: &[u8]) -> Option<Neighbour> {
    let mut address = None;
    let mut hardware_address = Vec::new();
    for (kind, data) in attributes(payload.get(12..)?) {
        match kind {
            libc::NDA_DST => address = ip(data),
            libc::NDA_LLADDR => hardware_address = data.to_vec(),
            _ => {}
        }
    }
    Some(Neighbour {
        interface: uint32(payload, 4)?,
        address: address?,
        hardware_address,
        state: array(payload, 8).map(u16::from_ne_bytes)?,
        flags: *payload.get(10)?,
    })
}

fn link_body(index: u32, flags: u32, changed: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(changed.to_ne_bytes());
    body
}

fn veth_end(request: Request, end: &VethEnd<'_>) -> Request {
    let mut request = request.text(libc::IFLA_IFNAME, end.name);
    if let Some(mtu) = end.mtu {
        request = request.number(libc::IFLA_MTU, mtu);
    }
    if let Some(address) = end.hardware_address {
        request = request.attribute(libc::IFLA_ADDRESS, &address);
    }
    if let Some(namespace) = end.namespace {
        request = request.number(libc::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
    }
    request
}

/// An rtnetlink socket: reads and changes the network of the namespace that the socket was made in.
#[derive(Debug)]
pub struct RouteSocket {
    netlink: Netlink,
}

impl RouteSocket {
    /// Makes a socket in the caller's network namespace.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::open(libc::NETLINK_ROUTE)?,
        })
    }

    /// Takes a socket of `NETLINK_ROUTE` that was made elsewhere.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            netlink: Netlink::from_socket(socket)?,
        })
    }

    fn dump<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        // A table that changed while it was read is read again; three tries are enough for a table that is not always changing.
        let mut rows = Vec::new();
        for _ in 0..3 {
            rows.clear();
            let take = |message: Message<'_>| rows.extend(parse(message.payload));
            if self.netlink.ask(Request::new(kind, DUMP, body), take)? {
                break;
            }
        }
        Ok(rows)
    }

    /// All interfaces.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.dump(libc::RTM_GETLINK, &link_body(0, 0, 0), parse_link)
    }

    /// The interface called `name`; an error ENODEV when there is none.
    pub fn link(&mut self, name: &str) -> Result<Link, Error> {
        let request =
            Request::new(libc::RTM_GETLINK, 0, &link_body(0, 0, 0)).text(libc::IFLA_IFNAME, name);
        let mut found = None;
        self.netlink
            .ask(request, |message| found = parse_link(message.payload))?;
        found.ok_or(Error::CutOff)
    }

    /// All addresses of all interfaces.
    pub fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, Error> {
        self.dump(libc::RTM_GETADDR, &[0; 8], parse_address)
    }

    /// All routes of all tables, IPv4 then IPv6.
    pub fn routes(&mut self) -> Result<Vec<Route>, Error> {
        let mut routes = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut body = [0; 12];
            body[0] = family as u8;
            match self.dump(libc::RTM_GETROUTE, &body, parse_route) {
                Ok(rows) => routes.extend(rows),
                // A kernel without IPv6.
                Err(error) if error.number() == Some(libc::EOPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(routes)
    }

    /// The neighbour tables of IPv4 and IPv6.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, Error> {
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut body = [0; 12];
            body[0] = family as u8;
            match self.dump(libc::RTM_GETNEIGH, &body, parse_neighbour) {
                Ok(rows) => all.extend(rows),
                Err(error) if error.number() == Some(libc::EOPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// How a packet to `address` would go; the kernel's refusal (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL for a black hole) is the error.
    pub fn route_to(&mut self, address: IpAddr, question: &RouteQuestion) -> Result<Route, Error> {
        let host_bits = if address.is_ipv6() { 128 } else { 32 };
        let mut body = [0; 12];
        body[0] = family(address);
        body[1] = host_bits;
        body[8..].copy_from_slice(&RTM_F_LOOKUP_TABLE.to_ne_bytes());
        if question.source.is_some() {
            body[2] = host_bits;
        }
        let mut request =
            Request::new(libc::RTM_GETROUTE, 0, &body).attribute(libc::RTA_DST, &octets(address));
        if let Some(source) = question.source {
            request = request.attribute(libc::RTA_SRC, &octets(source));
        }
        if let Some(interface) = question.interface {
            request = request.number(libc::RTA_OIF, interface);
        }
        if question.mark != 0 {
            request = request.number(libc::RTA_MARK, question.mark);
        }
        let mut found = None;
        self.netlink
            .ask(request, |message| found = parse_route(message.payload))?;
        found.ok_or(Error::CutOff)
    }

    /// Makes a veth pair; each end may be put into another network namespace.
    ///
    /// The far end stays off whatever its `up` says: the kernel refuses to open it before it has its peer (ENOTCONN).
    pub fn create_veth(&mut self, near: &VethEnd<'_>, far: &VethEnd<'_>) -> Result<(), Error> {
        let flags = if near.up { libc::IFF_UP as u32 } else { 0 };
        let body = link_body(near.index.unwrap_or(0), flags, flags);
        let far_body = link_body(far.index.unwrap_or(0), 0, 0);
        let request = Request::new(libc::RTM_NEWLINK, CREATE | EXCLUSIVE, &body);
        let request = veth_end(request, near).nested(libc::IFLA_LINKINFO, |info| {
            info.text(INFO_KIND, "veth").nested(INFO_DATA, |data| {
                data.nested_after(VETH_INFO_PEER, &far_body, |peer| veth_end(peer, far))
            })
        });
        self.netlink.command(request)
    }

    /// Makes a bridge that forwards at once: no spanning tree, no delay, multicast to every port.
    pub fn create_bridge(&mut self, name: &str) -> Result<(), Error> {
        let up = libc::IFF_UP as u32;
        let request = Request::new(libc::RTM_NEWLINK, CREATE | EXCLUSIVE, &link_body(0, up, up))
            .text(libc::IFLA_IFNAME, name)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.text(INFO_KIND, "bridge").nested(INFO_DATA, |data| {
                    data.number(BRIDGE_FORWARD_DELAY, 0)
                        .number(BRIDGE_STP_STATE, 0)
                        .attribute(BRIDGE_MULTICAST_SNOOPING, &[0])
                })
            });
        self.netlink.command(request)
    }

    /// Changes an interface.
    pub fn change_link(&mut self, index: u32, change: &LinkChange<'_>) -> Result<(), Error> {
        let mut flags = 0;
        let mut changed = 0;
        for (wish, bit) in [
            (change.up, libc::IFF_UP),
            (change.no_arp, libc::IFF_NOARP),
            (change.promiscuous, libc::IFF_PROMISC),
        ] {
            if let Some(on) = wish {
                changed |= bit as u32;
                flags |= if on { bit as u32 } else { 0 };
            }
        }
        let mut request = Request::new(libc::RTM_NEWLINK, 0, &link_body(index, flags, changed));
        let numbers = [
            (libc::IFLA_MTU, change.mtu),
            (libc::IFLA_MASTER, change.master),
            (libc::IFLA_TXQLEN, change.queue_length),
        ];
        for (kind, value) in numbers {
            if let Some(value) = value {
                request = request.number(kind, value);
            }
        }
        if let Some(name) = change.name {
            request = request.text(libc::IFLA_IFNAME, name);
        }
        if let Some(address) = change.hardware_address {
            request = request.attribute(libc::IFLA_ADDRESS, &address);
        }
        if let Some(namespace) = change.namespace {
            request = request.number(libc::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
        }
        self.netlink.command(request)
    }

    /// Removes an interface; the other end of a veth goes with it.
    pub fn delete_link(&mut self, index: u32) -> Result<(), Error> {
        self.netlink
            .command(Request::new(libc::RTM_DELLINK, 0, &link_body(index, 0, 0)))
    }

    /// Gives an interface an address, usable at once: duplicate detection, which would hold an IPv6 address back for a second, is left out.
    pub fn add_address(
        &mut self,
        interface: u32,
        address: IpAddr,
        prefix_length: u8,
    ) -> Result<(), Error> {
        self.netlink.command(address_request(
            libc::RTM_NEWADDR,
            CREATE | EXCLUSIVE,
            interface,
            address,
            prefix_length,
        ))
    }

    /// Takes an address away from an interface.
    pub fn delete_address(
        &mut self,
        interface: u32,
        address: IpAddr,
        prefix_length: u8,
    ) -> Result<(), Error> {
        self.netlink.command(address_request(
            libc::RTM_DELADDR,
            0,
            interface,
            address,
            prefix_length,
        ))
    }

    /// Adds a route.
    pub fn add_route(&mut self, route: &RouteChange) -> Result<(), Error> {
        let flags = CREATE | if route.replace { REPLACE } else { EXCLUSIVE };
        self.netlink
            .command(route_request(libc::RTM_NEWROUTE, flags, route))
    }

    /// Deletes the route that fits.
    pub fn delete_route(&mut self, route: &RouteChange) -> Result<(), Error> {
        self.netlink
            .command(route_request(libc::RTM_DELROUTE, 0, route))
    }

    /// Enters a neighbour for good, replacing what was known.
    pub fn add_neighbour(
        &mut self,
        interface: u32,
        address: IpAddr,
        hardware_address: &[u8],
    ) -> Result<(), Error> {
        let request = Request::new(
            libc::RTM_NEWNEIGH,
            CREATE | REPLACE,
            &neighbour_body(interface, address, libc::NUD_PERMANENT),
        )
        .attribute(libc::NDA_DST, &octets(address))
        .attribute(libc::NDA_LLADDR, hardware_address);
        self.netlink.command(request)
    }

    /// Removes a neighbour.
    pub fn delete_neighbour(&mut self, interface: u32, address: IpAddr) -> Result<(), Error> {
        let request = Request::new(
            libc::RTM_DELNEIGH,
            ACK,
            &neighbour_body(interface, address, 0),
        )
        .attribute(libc::NDA_DST, &octets(address));
        self.netlink.command(request)
    }
}

fn neighbour_body(interface: u32, address: IpAddr, state: u16) -> Vec<u8> {
    let mut body = vec![family(address), 0, 0, 0];
    body.extend(interface.to_ne_bytes());
    body.extend(state.to_ne_bytes());
    body.extend([0, 0]);
    body
}

fn address_request(
    kind: u16,
    flags: u16,
    interface: u32,
    address: IpAddr,
    prefix_length: u8,
) -> Request {
    let scope = if address.is_loopback() {
        libc::RT_SCOPE_HOST
    } else {
        libc::RT_SCOPE_UNIVERSE
    };
    let mut body = vec![family(address), prefix_length, 0, scope];
    body.extend(interface.to_ne_bytes());
    let bytes = octets(address);
    let mut request = Request::new(kind, flags, &body)
        .attribute(libc::IFA_LOCAL, &bytes)
        .attribute(libc::IFA_ADDRESS, &bytes);
    if kind == libc::RTM_NEWADDR {
        request = request.number(libc::IFA_FLAGS, ADDRESS_NO_DUPLICATE_DETECTION);
        // A network with room for a broadcast address gets one: its last address.
        if let IpAddr::V4(v4) = address
            && prefix_length < 31
            && !address.is_loopback()
        {
            let host_bits = u32::MAX.checked_shr(u32::from(prefix_length)).unwrap_or(0);
            request = request.attribute(
                libc::IFA_BROADCAST,
                &(u32::from(v4) | host_bits).to_be_bytes(),
            );
        }
    }
    request
}

fn route_request(kind: u16, flags: u16, route: &RouteChange) -> Request {
    let (destination, prefix_length) = route
        .destination
        .map_or((None, 0), |(address, length)| (Some(address), length));
    let inet6 = match destination {
        Some(address) => address.is_ipv6(),
        None => route.inet6 || route.gateway.is_some_and(|gateway| gateway.is_ipv6()),
    };
    let table = route.table.unwrap_or(ROUTE_TABLE_MAIN);
    // Networks on the link reach as far as the link, everything behind a router is global.
    let scope = if route.gateway.is_none() && route.interface.is_some() && !inet6 {
        libc::RT_SCOPE_LINK
    } else {
        libc::RT_SCOPE_UNIVERSE
    };
    let scope = if kind == libc::RTM_DELROUTE {
        libc::RT_SCOPE_NOWHERE
    } else {
        scope
    };
    let route_kind = match (kind, route.kind) {
        (_, Some(given)) => given,
        (libc::RTM_DELROUTE, None) => 0,
        (_, None) => 1,
    };
    let mut body = vec![
        (if inet6 { libc::AF_INET6 } else { libc::AF_INET }) as u8,
        prefix_length,
        0,
        0,
    ];
    body.extend([
        u8::try_from(table).unwrap_or(0),
        if kind == libc::RTM_DELROUTE {
            0
        } else {
            PROTOCOL_STATIC
        },
        scope,
        route_kind,
    ]);
    body.extend(if route.on_link { RTNH_F_ONLINK } else { 0 }.to_ne_bytes());
    let mut request = Request::new(kind, flags, &body).number(libc::RTA_TABLE, table);
    if let Some(address) = destination {
        request = request.attribute(libc::RTA_DST, &octets(address));
    }
    if let Some(gateway) = route.gateway {
        if gateway.is_ipv6() == inet6 {
            request = request.attribute(libc::RTA_GATEWAY, &octets(gateway));
        } else {
            let mut via = u16::from(family(gateway)).to_ne_bytes().to_vec();
            via.extend(octets(gateway));
            request = request.attribute(RTA_VIA, &via);
        }
    }
    let numbers = [
        (libc::RTA_OIF, route.interface),
        (libc::RTA_PRIORITY, route.metric),
    ];
    for (attribute, value) in numbers {
        if let Some(value) = value {
            request = request.number(attribute, value);
        }
    }
    if let Some(source) = route.preferred_source {
        request = request.attribute(libc::RTA_PREFSRC, &octets(source));
    }
    if let Some(mtu) = route.mtu {
        request = request.nested(libc::RTA_METRICS, |metrics| metrics.number(METRIC_MTU, mtu));
    }
    request
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_loopback_is_there() {
        let mut socket = RouteSocket::open().unwrap();
        let links = socket.links().unwrap();
        let loopback = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!(loopback.hardware_type, 772);
        assert_eq!(socket.link("lo").unwrap().index, loopback.index);
        assert_eq!(
            socket.link("no-such-if").unwrap_err().number(),
            Some(libc::ENODEV)
        );
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(
            socket
                .addresses()
                .unwrap()
                .iter()
                .any(|address| address.address == local && address.prefix_length == 8)
        );
        let route = socket.route_to(local, &RouteQuestion::default()).unwrap();
        // The table is not looked at: without policy rules the kernel keeps local and main in one.
        assert_eq!((route.kind, route.interface), (2, Some(loopback.index)));
    }

    #[test]
    fn a_wrong_change_is_refused_with_its_reason() {
        let mut socket = RouteSocket::open().unwrap();
        let error = socket
            .change_link(
                999_999,
                &LinkChange {
                    mtu: Some(1400),
                    ..LinkChange::default()
                },
            )
            .unwrap_err();
        assert!(
            matches!(error.number(), Some(libc::ENODEV | libc::EPERM)),
            "{error}"
        );
        let long = "x".repeat(70_000);
        let error = socket.create_bridge(&long).unwrap_err();
        assert!(error.to_string().contains("longer than 65531"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for cut in 0..=bytes.len() {
                let _ = parse_link(&bytes[..cut]);
                let _ = parse_address(&bytes[..cut]);
                let _ = parse_route(&bytes[..cut]);
                let _ = parse_neighbour(&bytes[..cut]);
                prop_assert!(parse_hops(&bytes[..cut]).len() <= bytes.len());
            }
        }
    }
}
