//! Which facts a failed call asks for: error number by call.

use libc::c_int;

/// Something that the kernel can be asked about the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sockets of the namespace that concern the port, and every listener.
    Sockets,
    /// Addresses of the interfaces, with their flags.
    Addresses,
    /// All routes.
    Routes,
    /// The route that a packet to the destination takes, or the error in its place.
    Route,
    /// The neighbour table's entries for the destination's next hop.
    Neighbours,
    /// Interfaces: flags, MTU, drops.
    Links,
    /// Multicast groups that the interfaces take.
    Groups,
    /// Settings that decide about ports, buffers and connections.
    Sysctls,
    /// The descriptor limit of the process, and how many are open.
    Limits,
    /// Who the process is, and what it may.
    Credentials,
    /// The file of a Unix socket, and who listens there.
    Path,
    /// Proxies that the environment of the process names.
    Proxies,
}

/// Calls that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calls {
    Any,
    /// bind and listen.
    Naming,
    /// Those that reach for somebody: everything else.
    Reaching,
    /// setsockopt.
    Setting,
}

use Kind::{
    Addresses, Credentials, Groups, Limits, Links, Neighbours, Path, Proxies, Route, Routes,
    Sockets, Sysctls,
};

/// For sockets of the Internet families.
const INTERNET: [(c_int, Calls, &[Kind]); 17] = [
    (
        libc::ECONNREFUSED,
        Calls::Any,
        &[Sockets, Addresses, Proxies],
    ),
    (
        libc::ETIMEDOUT,
        Calls::Any,
        &[Sockets, Addresses, Route, Neighbours, Links, Proxies],
    ),
    (libc::EADDRINUSE, Calls::Any, &[Sockets, Sysctls]),
    (libc::EADDRNOTAVAIL, Calls::Naming, &[Addresses, Sysctls]),
    (
        libc::EADDRNOTAVAIL,
        Calls::Setting,
        &[Addresses, Links, Groups],
    ),
    (
        libc::EADDRNOTAVAIL,
        Calls::Reaching,
        &[Sockets, Sysctls, Addresses],
    ),
    (
        libc::EHOSTUNREACH,
        Calls::Any,
        &[Addresses, Routes, Route, Neighbours, Links, Proxies],
    ),
    (
        libc::ENETUNREACH,
        Calls::Any,
        &[Addresses, Routes, Route, Links, Sysctls],
    ),
    (libc::ENETDOWN, Calls::Any, &[Addresses, Links]),
    (libc::EACCES, Calls::Any, &[Sysctls, Credentials, Route]),
    (libc::EPERM, Calls::Any, &[Sysctls, Credentials, Route]),
    (libc::EMFILE, Calls::Any, &[Limits]),
    (libc::ENFILE, Calls::Any, &[Limits]),
    (libc::ENOBUFS, Calls::Any, &[Limits, Sysctls, Links]),
    (libc::EMSGSIZE, Calls::Any, &[Route, Links]),
    (libc::ENODEV, Calls::Any, &[Addresses, Links, Groups]),
    (libc::EINVAL, Calls::Naming, &[Addresses]),
];

/// For sockets of the Unix family.
const UNIX: [(c_int, Calls, &[Kind]); 8] = [
    (libc::ECONNREFUSED, Calls::Any, &[Path]),
    (libc::EADDRINUSE, Calls::Any, &[Path]),
    (libc::ENOENT, Calls::Any, &[Path]),
    (libc::ENOTDIR, Calls::Any, &[Path]),
    (libc::EACCES, Calls::Any, &[Path, Credentials]),
    (libc::EPERM, Calls::Any, &[Path, Credentials]),
    (libc::EMFILE, Calls::Any, &[Limits]),
    (libc::ENFILE, Calls::Any, &[Limits]),
];

/// What to ask after call `number` has failed with `errno`; empty: nothing that would explain it.
pub fn wanted(errno: c_int, number: i64, unix: bool) -> &'static [Kind] {
    let rows: &[(c_int, Calls, &[Kind])] = if unix { &UNIX } else { &INTERNET };
    let calls = match number {
        libc::SYS_bind | libc::SYS_listen => Calls::Naming,
        libc::SYS_setsockopt => Calls::Setting,
        _ => Calls::Reaching,
    };
    rows.iter()
        .find(|row| row.0 == errno && (row.1 == Calls::Any || row.1 == calls))
        .map_or(&[], |row| row.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_decides_where_the_error_does_not() {
        assert_eq!(
            wanted(libc::EADDRNOTAVAIL, libc::SYS_bind, false),
            [Addresses, Sysctls]
        );
        assert_eq!(
            wanted(libc::EADDRNOTAVAIL, libc::SYS_connect, false),
            [Sockets, Sysctls, Addresses]
        );
        assert_eq!(wanted(libc::ENOENT, libc::SYS_connect, true), [Path]);
        assert!(wanted(libc::EAGAIN, libc::SYS_recvfrom, false).is_empty());
    }
}
