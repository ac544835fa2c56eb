//! Interfaces, addresses, routes and neighbours: reading them, and making what a lab needs.
//!
//! All by rtnetlink(7) on one socket, which decides the network namespace. Numbers and layouts: linux/rtnetlink.h, linux/if_link.h,
//! linux/if_addr.h, linux/neighbour.h, linux/veth.h. What is there is read by `reading`, and changed by `changing`.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use crate::netlink::Netlink;

mod changing;
mod reading;

pub use changing::{ADDRESS_NO_DUPLICATE_DETECTION, LinkChange, RouteChange, VethEnd};
pub use reading::{Hop, InterfaceAddress, Link, LinkCounters, Neighbour, Route, RouteQuestion};

const INFO_KIND: u16 = 1;
const METRIC_MTU: u16 = 2;
const RTA_VIA: u16 = 18;

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

/// `struct ifinfomsg`.
fn link_body(index: u32, flags: u32, changed: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(changed.to_ne_bytes());
    body
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::IpAddr;

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
}
