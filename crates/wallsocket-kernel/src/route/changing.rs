//! What a lab makes: interfaces, and their addresses, routes and neighbours.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{INFO_KIND, METRIC_MTU, RTA_VIA, RouteSocket, family, link_body, octets};
use crate::netlink::{ACK, CREATE, EXCLUSIVE, Error, REPLACE, Request};

const INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const BRIDGE_FORWARD_DELAY: u16 = 1;
const BRIDGE_STP_STATE: u16 = 5;
const BRIDGE_MULTICAST_SNOOPING: u16 = 23;
const ROUTE_TABLE_MAIN: u32 = 254;
const PROTOCOL_STATIC: u8 = 4;
const RTNH_F_ONLINK: u32 = 4;

/// An address that was given by the user, not made by duplicate detection: usable at once (linux/if_addr.h).
pub const ADDRESS_NO_DUPLICATE_DETECTION: u32 = 0x02;

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

impl RouteSocket {
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
        let mut request = Request::new(libc::RTM_NEWLINK, 0, &link_body(index, flags, changed))
            .numbers(&[
                (libc::IFLA_MTU, change.mtu),
                (libc::IFLA_MASTER, change.master),
                (libc::IFLA_TXQLEN, change.queue_length),
            ]);
        if let Some(name) = change.name {
            request = request.text(libc::IFLA_IFNAME, name);
        }
        self.netlink
            .command(placed(request, change.hardware_address, change.namespace))
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

fn veth_end(request: Request, end: &VethEnd<'_>) -> Request {
    let mut request = request.text(libc::IFLA_IFNAME, end.name);
    if let Some(mtu) = end.mtu {
        request = request.number(libc::IFLA_MTU, mtu);
    }
    placed(request, end.hardware_address, end.namespace)
}

/// Which address an interface has, and the namespace it goes to, where they are told.
fn placed(
    mut request: Request,
    address: Option<[u8; 6]>,
    namespace: Option<BorrowedFd<'_>>,
) -> Request {
    if let Some(address) = address {
        request = request.attribute(libc::IFLA_ADDRESS, &address);
    }
    if let Some(namespace) = namespace {
        request = request.number(libc::IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
    }
    request
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
    request = request.numbers(&[
        (libc::RTA_OIF, route.interface),
        (libc::RTA_PRIORITY, route.metric),
    ]);
    if let Some(source) = route.preferred_source {
        request = request.attribute(libc::RTA_PREFSRC, &octets(source));
    }
    if let Some(mtu) = route.mtu {
        request = request.nested(libc::RTA_METRICS, |metrics| metrics.number(METRIC_MTU, mtu));
    }
    request
}
