//! What there is: interfaces, addresses, routes and neighbours, as the kernel tells them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{INFO_KIND, METRIC_MTU, RTA_VIA, RouteSocket, family, link_body, octets};
use crate::netlink::{DUMP, Error, Message, Request, attributes};
use crate::words::{array, uint16, uint32};

const RTM_F_LOOKUP_TABLE: u32 = 0x1000;

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

impl RouteSocket {
    /// All rows of a table.
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

    /// All rows of a table that IPv4 and IPv6 each have.
    fn dump_both<T>(
        &mut self,
        kind: u16,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut body = [0; 12];
            body[0] = family as u8;
            match self.dump(kind, &body, &parse) {
                Ok(rows) => all.extend(rows),
                // A kernel without IPv6.
                Err(error) if error.number() == Some(libc::EOPNOTSUPP) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
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
        self.dump_both(libc::RTM_GETROUTE, parse_route)
    }

    /// The neighbour tables of IPv4 and IPv6.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, Error> {
        self.dump_both(libc::RTM_GETNEIGH, parse_neighbour)
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

fn parse_link(payload: &[u8]) -> Option<Link> {
    let mut link = Link {
        hardware_type: uint16(payload, 2)?,
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
    while let (Some(length), Some(interface), Some(weight)) =
        (uint16(bytes, 0), uint32(bytes, 4), bytes.get(3))
    {
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
        state: uint16(payload, 8)?,
        flags: *payload.get(10)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
