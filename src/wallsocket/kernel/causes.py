"""Why a socket call failed: from facts to a sentence.

Pure functions: the live reasons give them the facts of now, the diagnosis of a recording those of then, and both say
the same words. Each returns `None` where its facts do not prove anything: unknown stays unknown.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from .limits import Limits
from .routes import InterfaceAddress, Link, Neighbour, Route
from .sockets import InetSocket, Owner

__all__ = [
    "RULES",
    "Cause",
    "Listening",
    "accept_queue_full",
    "address_in_use",
    "address_not_local",
    "broadcast_not_allowed",
    "buffer_clamped",
    "meant",
    "message_too_long",
    "neighbour_silent",
    "no_descriptors",
    "no_free_port",
    "no_route",
    "nobody_listens",
    "port_not_permitted",
    "refused",
    "swapped_port",
    "told_by_router",
]

Owning = Mapping[int, Sequence[Owner]]

#: How many other listeners a sentence names.
_NEARBY = 3


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A likely reason.

    Attributes:
        name: stable word for programs.
        sentence: what is the case, without the usual remedy.
        fix: the usual remedy.
        certainty: ``"certain"``: the facts leave no other reason; ``"strong"``; ``"hint"``.

    """

    name: str
    sentence: str
    fix: str
    certainty: Literal["certain", "strong", "hint"]


def swapped_port(port: int) -> int:
    """Return the port whose two bytes stand the other way round."""
    return (port & 0xFF) << 8 | port >> 8


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _who(sock: InetSocket, owners: Owning) -> str:
    held = owners.get(sock.inode, ())
    return ", ".join(str(owner) for owner in held) if held else ""


def _is_loopback(host: str | None) -> bool:
    return host is not None and ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _plain(host: str) -> str:
    """Return an address without zone, and IPv4 also where it is written as mapped into IPv6."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP listener or an unconnected UDP socket of the host, as live sockets and recordings both know it.

    Attributes:
        protocol: ``"tcp"`` or ``"udp"``.
        host: its own address, without zone; ``0.0.0.0`` and ``::`` are every address.
        port: its own port.
        only_inet6: of an IPv6 socket: whether it refuses IPv4; ``None`` when that is not known.
        who: its holders in words, empty when they are not known.
        own: whether it belongs to the program that is looked at.

    """

    protocol: str
    host: str
    port: int
    only_inet6: bool | None = None
    who: str = ""
    own: bool = False

    def takes(self, host: str) -> bool:
        """Whether what is sent to an address of its protocol and port reaches it."""
        if self.host == host:
            return True
        inet6 = ":" in host
        if self.host == "::":
            return inet6 or self.only_inet6 is False
        return self.host == "0.0.0.0" and not inet6  # noqa: S104

    def __str__(self) -> str:
        where = _where(self.host, self.port)
        return f"{self.who} listens on {where}" if self.who else f"something listens on {where}"


def meant(host: str) -> str:
    """Where a connection to an address leads: one to 0.0.0.0 or :: to the loopback (net/ipv4/route.c, net/ipv6/tcp_ipv6.c)."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _nearby(listening: Sequence[Listening]) -> str:
    """Who listens, in words; of those whose program is not known only where."""
    known = [str(one) for one in listening if one.who]
    unknown = [_where(one.host, one.port) for one in listening if not one.who]
    if unknown:
        *most, last = unknown
        known.append(f"something listens on {', '.join(most)}{' and ' if most else ''}{last}")
    return ", ".join(known)


#: Why a connection is refused -> the rule that finds the same in a recording (``wallsocket rule ID``).
RULES: Final[Mapping[str, str]] = {
    "loopback_only": "loopback-only",
    "other_address": "loopback-only",
    "other_ip_version": "other-ip-version",
    "only_inet6": "only-inet6",
    "byte_swapped_port": "swapped-port",
    "nobody_listens": "nobody-listens",
    "refused_by_peer": "nobody-listens",
}


def nobody_listens(
    host: str,
    port: int,
    protocol: Literal["tcp", "udp"],
    listeners: Iterable[InetSocket],
    local_addresses: Collection[str],
    owners: Owning | None = None,
    own: Collection[int] = (),
) -> Cause | None:
    """Why a connection was refused, or a datagram answered with "port unreachable".

    Args:
        host: destination address, a number.
        port: destination port.
        protocol: of the call.
        listeners: TCP listeners and unconnected UDP sockets of this host.
        local_addresses: the addresses of this host.
        owners: holders of the listeners' inodes, as far as they are known.
        own: process ids of the program itself.

    Returns:
        ``None`` when something does listen there: it began since, or a firewall refused.

    """
    owners = owners or {}
    host = _plain(host)
    here = _is_loopback(host) or host in {_plain(address) for address in local_addresses}
    found = refused(host, port, protocol, [_listening(sock, owners, own) for sock in listeners], here=here)
    return found[0] if found is not None else None


def _listening(sock: InetSocket, owners: Owning, own: Collection[int]) -> Listening:
    held = owners.get(sock.inode, ())
    return Listening(
        protocol=sock.protocol,
        host=_plain(sock.local.host or ""),
        port=sock.local.port or 0,
        only_inet6=sock.only_inet6,
        who=_who(sock, owners),
        own=any(owner.pid in own for owner in held),
    )


def refused(
    host: str, port: int, protocol: Literal["tcp", "udp"], listening: Iterable[Listening], *, here: bool | None
) -> tuple[Cause, Listening | None] | None:
    """Why a destination refuses: the one decision, for sockets of now and of a recording.

    Args:
        host: destination address, a number without zone.
        port: destination port.
        protocol: of the call.
        listening: who listened on the host at that moment.
        here: whether the address is one of this host; ``None``: not known.

    Returns:
        The cause, and the listener that it is about; ``None`` when something does listen there.

    """
    asked, host = host, meant(host)
    target = _where(host, port) + (f" (where {asked} leads)" if host != asked else "")
    here = here or host != asked
    everything = list(listening)
    same = [one for one in everything if one.protocol == protocol]
    swapped = swapped_port(port)
    on_swapped = next((one for one in same if one.port == swapped and one.takes(host)), None)
    if not here and not (on_swapped is not None and on_swapped.own and swapped != port):
        return (
            Cause(
                name="refused_by_peer",
                sentence=f"the host {host} answered that nobody listens on port {port}, or a firewall there refuses it",
                fix="check there that the service runs, on which address and port it listens, and the firewall",
                certainty="strong",
            ),
            None,
        )
    on_port = [one for one in same if one.port == port]
    if any(one.takes(host) for one in on_port):
        return None
    if on_port:
        return _elsewhere(target, host, on_port)
    other = next((one for one in everything if one.protocol != protocol and one.port == port), None)
    if on_swapped is not None and swapped != port:
        return (
            Cause(
                name="byte_swapped_port",
                sentence=f"nobody listens on {target}; {port} is {swapped} with its bytes swapped, and {on_swapped}",
                fix="convert the port to network order exactly once (htons)",
                # A stranger may have that port by chance; of the program itself it is no chance.
                certainty="certain" if on_swapped.own else "strong",
            ),
            on_swapped,
        )
    if other is not None:
        return (
            Cause(
                name="other_protocol",
                sentence=f"no {protocol.upper()} socket listens on {target}; {other.who or 'something'} uses that port for "
                f"{other.protocol.upper()}",
                fix=f"use {other.protocol.upper()}, or start the {protocol.upper()} service",
                certainty="strong",
            ),
            other,
        )
    reachable = [one for one in same if one.takes(host)]
    nearby = sorted(reachable, key=lambda one: abs(one.port - port))[:_NEARBY]
    sentence = f"nobody listens on {target}"
    if protocol == "tcp" and nearby:
        sentence += "; " + _nearby(nearby)
    elif protocol == "tcp":
        sentence += ", nor on any other port of that address"
    return (
        Cause(
            name="nobody_listens",
            sentence=sentence,
            fix="start the service, wait until it listens, or use its port",
            certainty="certain",
        ),
        None,
    )


def told_by_router(reporter: str, host: str, port: int, icmp: tuple[int, int]) -> Cause | None:
    """Why a datagram came back with an ICMP error that its destination did not send.

    Args:
        reporter: who sent the error.
        host: destination address, a number.
        port: destination port.
        icmp: type and code (RFC 792 and 1812, RFC 4443).

    Returns:
        ``None`` when the destination itself answered, or the error has no sentence here.

    """
    if _plain(reporter) == _plain(host):
        return None
    target = _where(host, port)
    told = (6 if ":" in host else 4, *icmp)
    if told[:2] in ((4, 11), (6, 3)):
        return Cause(
            name="hops_used_up",
            sentence=f"the datagram had used up its hops (TTL) at {reporter}, before it reached {host}",
            fix="send it with a larger TTL; if that was large enough, look for a routing loop with traceroute",
            certainty="certain",
        )
    if told in ((4, 3, 3), (6, 1, 4)):
        return Cause(
            name="rejected_on_the_way",
            sentence=f"{reporter}, which is not {host}, answered that the port is closed: a firewall there refuses {target}",
            fix="allow the port there, or use one that is allowed",
            certainty="strong",
        )
    if told in ((4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1), (6, 1, 5)):
        return Cause(
            name="prohibited_on_the_way",
            sentence=f"the router or firewall {reporter} forbids datagrams to {target}",
            fix="have them allowed there",
            certainty="certain",
        )
    if told[:2] in ((4, 3), (6, 1)):
        return Cause(
            name="router_has_no_way",
            sentence=f"the router {reporter} has no way to {host}: no route, or nobody there answers for the address",
            fix=f"check the address, whether that host is up, and the routes of {reporter}",
            certainty="certain",
        )
    return None


def _elsewhere(target: str, host: str, on_port: Sequence[Listening]) -> tuple[Cause, Listening]:
    """Somebody has the port, but not for this address."""
    only = on_port[0]
    refuses = next((one for one in on_port if one.host == "::" and one.only_inet6 is not False), None)
    if all(_is_loopback(one.host) for one in on_port) and not _is_loopback(host):
        cause = Cause(
            name="loopback_only",
            sentence=f"{only}, which only this machine reaches; nobody listens on {target}",
            fix="bind the service to the address that is asked for, or to 0.0.0.0 or [::] for every address",
            certainty="certain",
        )
    elif ":" not in host and refuses is not None and refuses.only_inet6:
        only = refuses
        cause = Cause(
            name="only_inet6",
            sentence=f"{only} with IPV6_V6ONLY, so IPv4 does not reach it; nobody listens on {target}",
            fix="turn IPV6_V6ONLY off before bind, or have the service listen on 0.0.0.0 as well",
            certainty="certain",
        )
    elif (":" in host) != (":" in only.host):
        versions = ("IPv6", "IPv4") if ":" in host else ("IPv4", "IPv6")
        cause = Cause(
            name="other_ip_version",
            sentence=f"{only}, that is {versions[1]}; nobody listens on {target}",
            fix=f"connect to the {versions[1]} address, or have the service listen on {versions[0]} too",
            certainty="certain",
        )
    else:
        cause = Cause(
            name="other_address",
            sentence=f"{only}, not on {target}",
            fix="use that address, or bind the service to this one",
            certainty="certain",
        )
    return cause, only


def address_in_use(
    host: str,
    port: int,
    protocol: Literal["tcp", "udp"],
    sockets: Iterable[InetSocket],
    *,
    reuse_address: bool,
    owners: Owning | None = None,
) -> Cause | None:
    """Why bind (or listen) said EADDRINUSE.

    Args:
        host: the address asked for, a number; ``0.0.0.0`` and ``::`` are every address.
        port: the port asked for.
        protocol: of the socket.
        sockets: sockets of this host with that local port, in any state.
        reuse_address: whether the socket had SO_REUSEADDR before bind.
        owners: holders of the sockets' inodes, as far as they are known.

    Returns:
        ``None`` when no socket has that address: a bound TCP socket that neither listens nor is connected is not listed
        by most kernels.

    """
    owners = owners or {}
    found = taken(
        host,
        port,
        protocol,
        [
            Holding(
                protocol=sock.protocol,
                host="" if sock.takes_any else _plain(sock.local.host or ""),
                port=sock.local.port or 0,
                state=sock.state,
                local=str(sock.local),
                who=_who(sock, owners),
            )
            for sock in sockets
        ],
        reuse_address=reuse_address,
    )
    return found[0] if found is not None else None


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A socket of the host that has a port, as live sockets and recordings both know it.

    Attributes:
        protocol: ``"tcp"`` or ``"udp"``.
        host: its own address, without zone; empty: every address.
        port: its own port.
        state: name of its TCP state.
        local: its address and port in words.
        who: its holders in words, empty when they are not known.
        bound: it is known to have been bound, whatever its state.

    """

    protocol: str
    host: str
    port: int
    state: str
    local: str
    who: str = ""
    bound: bool = False


def taken(
    host: str,
    port: int,
    protocol: Literal["tcp", "udp"],
    holding: Iterable[Holding],
    *,
    reuse_address: bool,
) -> tuple[Cause, list[Holding]] | None:
    """Why bind (or listen) said EADDRINUSE: the one decision, for sockets of now and of a recording.

    Args:
        host: the address asked for, a number; ``0.0.0.0`` and ``::`` are every address.
        port: the port asked for.
        protocol: of the socket.
        holding: sockets of the host, in any state; those of other ports are passed over.
        reuse_address: whether the socket had SO_REUSEADDR before bind.

    Returns:
        The cause and the sockets that it is about; ``None`` when none of them has that address, or only connections in
        TIME_WAIT have it, which SO_REUSEADDR would have got past.

    """
    host = _plain(host)
    wide = host in ("0.0.0.0", "::")  # noqa: S104
    held = [
        one
        for one in holding
        if one.protocol == protocol and one.port == port and (wide or not one.host or one.host == host)
    ]
    target = _where(host, port)
    listener = next((one for one in held if one.bound or one.state == "LISTEN" or protocol == "udp"), None)
    if listener is not None:
        verb = "listens on" if listener.state == "LISTEN" else "is bound to"
        cause = Cause(
            name="in_use",
            sentence=f"{listener.who or 'another socket'} {verb} {listener.local}, so {target} is taken",
            fix="end the other program, use another port, or share the port with SO_REUSEPORT in both",
            certainty="certain",
        )
        return cause, [listener]
    waiting = [one for one in held if one.state == "TIME_WAIT"]
    live = [one for one in held if one.state != "TIME_WAIT"]
    if live:
        who = next((one.who for one in live if one.who), "")
        states = ", ".join(sorted({one.state for one in live}))
        many = f"{len(live)} connections" if len(live) > 1 else "a connection"
        still = "still use" if len(live) > 1 else "still uses"
        cause = Cause(
            name="connections_left",
            sentence=f"nobody listens on {target}, but {many} of an earlier listener {still} the port ({states}"
            f"{'; ' + who if who else ''})",
            fix="set SO_REUSEADDR before bind, in both programs, or end the one that holds the connections",
            certainty="strong" if reuse_address else "certain",
        )
        return cause, live
    if waiting and not reuse_address:
        one_or_many = (
            f"{len(waiting)} closed connections of it wait" if len(waiting) > 1 else ("a closed connection of it waits")
        )
        cause = Cause(
            name="time_wait",
            sentence=f"nobody listens on {target}, but {one_or_many} out TIME_WAIT (60 s), and SO_REUSEADDR was not set",
            fix="set SO_REUSEADDR before bind",
            certainty="certain",
        )
        return cause, waiting
    return None


def address_not_local(host: str, addresses: Iterable[InterfaceAddress], links: Iterable[Link]) -> Cause | None:
    """Why bind said EADDRNOTAVAIL; ``None`` when an interface has the address."""
    host = _plain(host)
    names = {link.index: link.name for link in links}
    everything = list(addresses)
    if any(address.address == host for address in everything):
        return None
    same = [address for address in everything if (":" in address.address) == (":" in host)]
    has = ", ".join(f"{address.address} ({names.get(address.interface, '?')})" for address in same)
    return Cause(
        name="not_my_address",
        sentence=f"no interface of this host has the address {host}" + (f"; it has {has}" if has else ""),
        fix="bind to an address of this host, or to 0.0.0.0 or [::] for all of them",
        certainty="certain",
    )


def no_free_port(host: str, port: int, limits: Limits, in_use: int) -> Cause | None:
    """Why connect or an automatic bind found no port (EADDRNOTAVAIL).

    Args:
        host: destination address.
        port: destination port.
        limits: of this host.
        in_use: local ports of the range that connections to this destination hold, TIME_WAIT included.

    """
    if limits.port_range is None:
        return None
    first, last = limits.port_range
    size = last - first + 1
    if in_use < size:
        return None
    return Cause(
        name="no_free_port",
        sentence=f"all {size} local ports from {first} to {last} are in use for connections to {_where(host, port)}",
        fix="keep connections open and use them again, or widen net.ipv4.ip_local_port_range",
        certainty="certain",
    )


def no_route(host: str, route: Route | None, routes: Iterable[Route], links: Iterable[Link]) -> Cause | None:
    """Why a destination is unreachable (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL).

    Args:
        host: destination address.
        route: what the kernel answered to "how would a packet go"; ``None`` when it refused.
        routes: all routes.
        links: all interfaces.

    Returns:
        ``None`` when there is a route after all.

    """
    if route is not None and route.type in ("unicast", "local", "broadcast", "multicast", "anycast"):
        return None
    target = ipaddress.ip_address(host.partition("%")[0])
    family = 10 if target.version == 6 else 2
    fitting = [
        each
        for each in routes
        if each.family == family
        and each.type in ("blackhole", "unreachable", "prohibit", "throw")
        and target
        in ipaddress.ip_network(f"{each.destination or ('::' if family == 10 else '0.0.0.0')}/{each.prefix_length}")  # noqa: S104
    ]
    everything = list(links)
    # The kernel's own unreachable default of IPv6 says no more than that there is none.
    fitting = [each for each in fitting if each.origin != "kernel" or each.prefix_length > 0]
    if fitting:
        best = max(fitting, key=lambda each: each.prefix_length)
        network = f"{best.destination}/{best.prefix_length}" if best.destination else "every address"
        return Cause(
            name="route_refuses",
            sentence=f"a route of type {best.type} for {network} refuses {host}",
            fix="remove or narrow that route (ip route)",
            certainty="certain",
        )
    up = [link.name for link in everything if link.is_up and not link.is_loopback]
    if not up:
        down = ", ".join(link.name for link in everything if not link.is_loopback)
        return Cause(
            name="no_interface_up",
            sentence=f"no route leads to {host}: no interface but the loopback is up"
            + (f" ({down} is down)" if down else ""),
            fix="bring an interface up and give it an address",
            certainty="certain",
        )
    version = f"IPv{target.version}"
    return Cause(
        name="no_route",
        sentence=f"no {version} route leads to {host}, and there is no {version} default route",
        fix=f"add a route or a default gateway, or use an address that is not {version}",
        certainty="certain",
    )


def neighbour_silent(route: Route, host: str, neighbours: Iterable[Neighbour], links: Iterable[Link]) -> Cause | None:
    """Why a host on the link, or the next router, does not answer (EHOSTUNREACH, timeouts)."""
    hop = route.gateway or host.partition("%")[0]
    entry = next((each for each in neighbours if each.address == hop and each.interface == route.interface), None)
    if entry is None or entry.state not in ("FAILED", "INCOMPLETE"):
        return None
    name = next((link.name for link in links if link.index == route.interface), "?")
    asked = "neighbour discovery" if ":" in hop else "ARP"
    who = f"the router {hop}" if route.gateway else f"{hop}"
    return Cause(
        name="neighbour_silent",
        sentence=f"{who} does not answer {asked} on {name}: it is off, not on this network, or the address is wrong",
        fix="check address, cable or virtual network, and whether the host is up",
        certainty="certain" if entry.state == "FAILED" else "strong",
    )


def port_not_permitted(port: int, limits: Limits) -> Cause | None:
    """Why bind said EACCES for a low port; ``None`` when the port is free for everybody."""
    first = limits.first_unprivileged_port
    if first is None or port == 0 or port >= first:
        return None
    return Cause(
        name="low_port",
        sentence=f"port {port} is below {first}, so binding it needs CAP_NET_BIND_SERVICE",
        fix="use a port from "
        f"{first}, give the program CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start",
        certainty="certain",
    )


def broadcast_not_allowed(host: str, broadcast_option: bool, addresses: Iterable[InterfaceAddress]) -> Cause | None:
    """Why sending or connecting to a broadcast address said EACCES."""
    everywhere = {address.broadcast for address in addresses if address.broadcast} | {"255.255.255.255"}
    if broadcast_option or host not in everywhere:
        return None
    return Cause(
        name="broadcast",
        sentence=f"{host} is a broadcast address and SO_BROADCAST is off",
        fix="set SO_BROADCAST before sending",
        certainty="certain",
    )


def no_descriptors(limits: Limits, open_now: int | None, *, whole_system: bool) -> Cause:
    """Why a call found no descriptor (EMFILE), or the machine none (ENFILE).

    Args:
        limits: of the process and the machine.
        open_now: open descriptors of the process, if they were counted.
        whole_system: True for ENFILE.

    """
    if whole_system:
        limit = limits.system_open_files_limit
        return Cause(
            name="no_descriptors_in_system",
            sentence="the machine has no free open file" + (f" of {limit}" if limit is not None else ""),
            fix="find the program that holds so many, or raise fs.file-max",
            certainty="certain",
        )
    counted = f"{open_now} of " if open_now is not None else ""
    more = (
        f"; it may raise its limit itself up to {limits.open_files_hard}"
        if limits.open_files_hard > limits.open_files
        else ""
    )
    return Cause(
        name="no_descriptors",
        sentence=f"the process has {counted}{limits.open_files} descriptors open{more}",
        fix="close what is no longer used, or raise the limit (ulimit -n, RLIMIT_NOFILE)",
        certainty="certain",
    )


def message_too_long(length: int, family: int, mtu: int | None, *, fragments_allowed: bool) -> Cause | None:
    """Why a datagram was too long (EMSGSIZE).

    Args:
        length: bytes of the datagram's data.
        family: ``AF_INET`` (2) or ``AF_INET6`` (10).
        mtu: the path's MTU, if known (IP_MTU, IPV6_MTU).
        fragments_allowed: False when IP_MTU_DISCOVER or IPV6_DONTFRAG forbids them.

    """
    # 65535 less the headers: IPv4 counts its own 20 bytes in the length, IPv6 does not (RFC 791, RFC 8200).
    most = 65507 if family == 2 else 65527
    if length > most:
        return Cause(
            name="datagram_too_long",
            sentence=f"a UDP datagram over IPv{4 if family == 2 else 6} carries at most {most} bytes, not {length}",
            fix="split the message, or use TCP",
            certainty="certain",
        )
    headers = 28 if family == 2 else 48
    if not fragments_allowed and mtu is not None and length > mtu - headers:
        return Cause(
            name="longer_than_path",
            sentence=f"{length} bytes do not fit the path's MTU of {mtu} ({mtu - headers} bytes of data), and "
            "fragments are forbidden",
            fix=f"send at most {mtu - headers} bytes, or allow fragments (IP_MTU_DISCOVER)",
            certainty="certain",
        )
    return None


def buffer_clamped(option: str, asked: int, in_force: int, limits: Limits) -> Cause | None:
    """Why SO_RCVBUF or SO_SNDBUF is smaller than asked; ``None`` when it is not: the kernel doubles what it grants."""
    receive = option == "SO_RCVBUF"
    most = limits.receive_buffer_max if receive else limits.send_buffer_max
    if most is None or asked <= most or in_force >= 2 * asked:
        return None
    setting = "net.core.rmem_max" if receive else "net.core.wmem_max"
    return Cause(
        name="buffer_clamped",
        sentence=f"{option} was asked for {asked} bytes but {setting} allows {most}; {in_force} are in force, the "
        "kernel's overhead included",
        fix=f"raise {setting}, or use {option}FORCE with CAP_NET_ADMIN",
        certainty="certain",
    )


def accept_queue_full(listener: InetSocket, overflows: int, limits: Limits) -> Cause | None:
    """Why connections time out although somebody listens.

    Args:
        listener: the listening socket, now.
        overflows: by how much the counter ``TcpExtListenOverflows`` grew; it counts for the whole host.
        limits: of this host.

    """
    waiting, backlog = listener.accept_queue, listener.backlog
    if waiting is None or backlog is None or waiting <= backlog:
        return None
    capped = f" (net.core.somaxconn allows {limits.accept_queue})" if limits.accept_queue == backlog else ""
    return Cause(
        name="accept_queue_full",
        sentence=f"{waiting} connections wait for accept on {listener.local}, whose backlog is {backlog}{capped}; the "
        f"kernel drops further ones" + (f", {overflows} so far on this host" if overflows else ""),
        fix="accept faster, or listen with a larger backlog",
        certainty="certain" if overflows else "strong",
    )
