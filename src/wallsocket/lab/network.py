"""The lab itself: makes hosts, switches and links, gives out addresses, computes routes, and ends everything."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import markup
from .._core import lab as _core
from ..errors import UsageError
from .host import Host, Interface
from .link import Link
from .program import Process, helper
from .refusal import explain

if TYPE_CHECKING:
    from .publish import Protocol, Published

__all__ = ["Lab", "Switch"]

Network = IPv4Network | IPv6Network

#: What a name in a lab looks like: a label of a host name (RFC 1123, section 2.1).
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
#: Least MTU of IPv4 (RFC 791) and of IPv6 (RFC 8200); most that a virtual interface takes (ETH_MAX_MTU).
_MTU_RANGE = range(68, 65536)
_MTU_IPV6 = 1280
#: How long an IPv6 address may take until it is in use; it takes milliseconds on a busy machine.
_IPV6_LIMIT_S = 5.0
#: Number of the first interface that is made where the forwarders work. Interfaces of hosts and switches that move there keep
#: their numbers, which are small.
_FIRST_WIRE = 1 << 16
#: As many bytes as one TCP connection may have on its way (tcp_rmem(5) allows 6 MiB), so that a link whose thread does not get
#: the processor loses none; what a link beyond the first ones of a lab gets.
_RING_BYTES, _LARGE_RINGS, _SMALL_RING_BYTES = 6 << 20, 16, 1 << 20


class Switch:
    """A learning switch: everything plugged into it is one network. Made by :meth:`Lab.switch`."""

    def __init__(self, lab: Lab, name: str, number: int, bridge: int, mtu: int) -> None:
        self.lab = lab
        self.name = name
        self.mtu = mtu
        self.subnets: tuple[Network, ...] = ()
        self.links: list[Link] = []
        self._number = number
        self._bridge = bridge
        self._next_index = bridge + 1

    def __repr__(self) -> str:
        return f"<Switch {self.name} {', '.join(map(str, self.subnets))}>"


class Lab:
    """A network of hosts on this machine, in namespaces of its own, without privileges. Use it with ``with``, or close it.

    Iterating gives the hosts in the order they were made, so ``with lab.hosts("a", "b") as (a, b)`` names them.
    """

    def __init__(self, *, seed: int = 0, ipv6: bool = False, offloads: bool = False) -> None:
        """Start an empty lab.

        Args:
            seed: decides every frame's fate on links that lose, delay, repeat or corrupt frames.
            ipv6: give hosts IPv6 addresses as well. Without it lab interfaces do not speak IPv6, and so stay silent.
            offloads: leave segmentation and checksums to the virtual hardware on links without impairments: faster, but
                captures then show frames that no wire carries (above the MTU, with unfinished checksums).

        Raises:
            UsageError: the seed is no number of 64 bits.
            NotPermitted: the kernel allows no namespaces; the text says which setting and what allows them.
            NotAvailable: the helper program is not installed.

        """
        if not (isinstance(seed, int) and 0 <= seed < 1 << 64):
            raise UsageError(f"the seed {seed!r} is not a whole number from 0 to 2**64 - 1")
        self.seed = seed
        self.ipv6 = ipv6
        self.offloads = offloads
        self.links: list[Link] = []
        self._hosts: dict[str, Host] = {}
        self._switches: dict[str, Switch] = {}
        self._programs: set[Process] = set()
        #: What sees each program before it runs: its host's name and its process id.
        self._sees: Callable[[str, int], None] | None = None
        self._next_subnet = 1
        self._next_mac = 1
        self._used: list[Network] = []
        self._routes: dict[Host, dict[Network, str]] = {}
        self._hidden: dict[Network, Host] = {}
        self._wires: int | None = None
        self._next_wire = _FIRST_WIRE
        self._closing: contextlib.ExitStack = contextlib.ExitStack()
        with explain():
            self._namespaces = _core.Namespaces(helper())

    def __repr__(self) -> str:
        names = ", ".join(host.name for host in self)
        return f"<Lab of {names or 'no hosts'}; links {', '.join(map(str, self.links)) or 'none'}>"

    def trace(self, **options: Any) -> Any:
        """Record the programs that are started in this lab from now on; see :func:`wallsocket.trace.lab`, which this calls.

        >>> with hosts("server", "client") as net, net.trace() as t:  # doctest: +SKIP
        ...     service = net["server"].popen("redis-server --protected-mode no")
        ...     net["client"].run("redis-cli -h server ping")
        """
        # From above: a trace knows labs, and a lab knows nothing of traces.
        return importlib.import_module("wallsocket.trace").lab(self, **options)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return markup.lines(self.draw())

    def draw(self) -> str:
        """The network as text: each host with its addresses, and below it the links that leave it, with their impairments."""
        from .drawing import draw

        return draw(self)

    # Life

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def holder(self) -> int | None:
        """Process id of the program that holds the namespaces: when it is killed, the networks are gone."""
        return self._namespaces.holder

    def close(self) -> None:
        """End every program and remove every host and link; when this returns they are gone. Again is nothing."""
        self._closing.close()
        for link in self.links:
            link._end()
        for link in self.links:
            link._close()
        for process in self._programs:
            if process.poll() is None:
                process.kill()
        for process in self._programs:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        self._programs.clear()
        for host in self._hosts.values():
            host._leave()
        self._namespaces.close()

    # Parts

    def __iter__(self) -> Iterator[Host]:
        return iter(list(self._hosts.values()))

    def __len__(self) -> int:
        return len(self._hosts)

    def __getitem__(self, name: str) -> Host:
        try:
            return self._hosts[name]
        except KeyError:
            known = ", ".join(self._hosts) or "none"
            raise UsageError(f"there is no host {name!r} in this lab (there are: {known})") from None

    def node(self, name: str) -> Host | Switch:
        """The host or switch of that name.

        Raises:
            UsageError: there is none.

        """
        return self._switches[name] if name in self._switches else self[name]

    def link_between(self, one: str | Host | Switch, other: str | Host | Switch) -> Link:
        """The link between two hosts, or a host and a switch.

        Raises:
            UsageError: there is none.

        """
        ends = {node if isinstance(node, str) else node.name for node in (one, other)}
        for link in self.links:
            if {link.a.name, link.b.name} == ends:
                return link
        known = ", ".join(map(str, self.links)) or "none"
        raise UsageError(f"there is no link {'-'.join(sorted(ends))} in this lab (there are: {known})")

    def host(self, name: str, *, forward: bool = False) -> Host:
        """Add a host; ``forward`` makes it a router.

        Raises:
            UsageError: the name is taken or not one of a host.

        """
        (made,) = self._add_hosts([name], forward=forward)
        return made

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a host name: letters, digits and inner hyphens, at most 63")
        # Names of hosts are the same in capitals (RFC 4343).
        if name.lower() in {"localhost", *map(str.lower, self._hosts), *map(str.lower, self._switches)}:
            raise UsageError(f"the name {name!r} is taken")

    def _add_hosts(self, names: list[str], *, forward: bool = False) -> list[Host]:
        for position, name in enumerate(names):
            self._check_name(name)
            if name.lower() in map(str.lower, names[:position]):
                raise UsageError(f"the name {name!r} is taken")
        first = self._new_namespaces(len(names), ipv6=self.ipv6, forward=forward)
        made = [Host(self, name, first + offset, forward=forward) for offset, name in enumerate(names)]
        self._hosts.update({host.name: host for host in made})
        return made

    def _new_namespaces(self, count: int, *, ipv6: bool = False, forward: bool = False) -> int:
        """Make network namespaces; the number of the first one."""
        with explain():
            return self._namespaces.add_hosts(count, _sysctls(ipv6=ipv6, forward=forward))

    def switch(
        self, name: str, *hosts: Host | str, subnet: str | None = None, mtu: int = 1500, **impairments: Any
    ) -> Switch:
        """Add a switch and plug hosts into it; ``impairments`` apply to each of these links.

        Raises:
            UsageError: the name is taken, a host does not exist, or the subnet cannot hold the hosts.

        """
        self._check_name(name)
        _check_mtu(mtu, self.ipv6)
        members = [self[host] if isinstance(host, str) else host for host in hosts]
        subnets = self._subnets(subnet, max(len(members), 1))
        number = self._new_namespaces(1)
        bridge = self._namespaces.bridge(number, "switch", mtu)
        made = Switch(self, name, number, bridge, mtu)
        made.subnets = subnets
        self._switches[name] = made
        for host in members:
            self._connect(host, made, None, None, impairments)
        for link in made.links:
            link._wait()
            wait_for_ipv6(link._interfaces)
        self._changed()
        return made

    def link(
        self,
        a: Host | Switch | str,
        b: Host | Switch | str,
        *,
        subnet: str | None = None,
        mtu: int | None = None,
        **impairments: Any,
    ) -> Link:
        """Connect two hosts, or a host and a switch.

        Args:
            a: one end.
            b: the other end.
            subnet: the network of the link, ``192.0.2.0/24``; without it the next free one of ``10.0.0.0/8``.
                The hosts get its addresses in order.
            mtu: largest IP packet of the link's interfaces; 1500 without it.
            impairments: what :meth:`Link.set` takes. Without any the link is a plain virtual cable of the kernel.

        Raises:
            UsageError: an end does not exist, both are the same, two switches, or the subnet is no subnet or in use.

        """
        made = self._connect(a, b, subnet, mtu, impairments)
        made._wait()
        wait_for_ipv6(made._interfaces)
        self._changed()
        return made

    def _connect(
        self,
        a: Host | Switch | str,
        b: Host | Switch | str,
        subnet: str | None,
        mtu: int | None,
        impairments: dict[str, Any],
    ) -> Link:
        """A link whose forwarder may not be at work yet, and of which routes and names know nothing yet."""
        ends = [self.node(end) if isinstance(end, str) else end for end in (a, b)]
        one, other = ends
        if one is other:
            raise UsageError(f"{one.name!r} cannot be linked to itself")
        if any(end.lab is not self for end in ends):
            raise UsageError("both ends of a link must be of the same lab")
        if isinstance(one, Switch) and isinstance(other, Switch):
            raise UsageError("a link between two switches is not offered; plug all hosts into one switch")
        switch = next((end for end in ends if isinstance(end, Switch)), None)
        if switch is not None and subnet is not None:
            raise UsageError(f"the subnet is that of the switch {switch.name!r}, {switch.subnets[0]}")
        size = mtu if mtu is not None else switch.mtu if switch is not None else 1500
        _check_mtu(size, self.ipv6)
        made = Link(self, one, other, size, impairments)
        subnets = switch.subnets if switch is not None else self._subnets(subnet, 2)
        interfaces = [self._new_interface(end, subnets, size) for end in ends]
        made._plug(interfaces[0], interfaces[1])
        for end, interface in zip(ends, interfaces, strict=True):
            interface.link = made
            if isinstance(end, Host):
                end.interfaces.append(interface)
                end._next_index += 1
            else:
                end.links.append(made)
                end._next_index += 1
        self.links.append(made)
        return made

    def _new_interface(self, end: Host | Switch, subnets: tuple[Network, ...], mtu: int) -> Interface:
        if isinstance(end, Switch):
            # A port has no addresses; an Interface wants a host, and a switch is none.
            return Interface(end, f"port{len(end.links)}", end._next_index, self._mac(), mtu)  # type: ignore[arg-type]
        interface = Interface(end, f"eth{end._next_index - 2}", end._next_index, self._mac(), mtu)
        interface.addresses = [ip_interface(f"{self._free_address(net)}/{net.prefixlen}") for net in subnets]
        return interface

    def _free_address(self, network: Network) -> str:
        taken = {
            address.ip
            for host in self
            for interface in host.interfaces
            for address in interface.addresses
            if address.network == network
        } | self._promised
        for address in network.hosts():
            if address not in taken:
                self._promised.add(address)
                return str(address)
        raise UsageError(f"the subnet {network} has no address left")

    def hide(self, inside: Host, *, behind: Host) -> None:
        """Put the networks that two hosts share behind a translation of addresses (source NAT) at the second.

        Hosts beyond it see only its address, and have no way to begin a connection to those behind it.

        Raises:
            UsageError: the two share no network, or ``behind`` is no router.
            NotAvailable: the program ``nft`` is not installed.
        """
        if not behind.forward:
            raise UsageError(f"{behind.name!r} is no router: make it with forward=True")
        shared = [
            (face.name, address.network)
            for face in behind.interfaces
            for address in face.addresses
            if any(address.network == own.network for its in inside.interfaces for own in its.addresses)
        ]
        if not shared:
            raise UsageError(f"{inside.name!r} and {behind.name!r} share no network")
        names = ", ".join(f'"{name}"' for name in dict.fromkeys(name for name, _ in shared))
        sources = [f"{'ip' if network.version == 4 else 'ip6'} saddr {network}" for _, network in shared]
        behind.nft(
            "table inet nat {\nchain postrouting {\ntype nat hook postrouting priority srcnat;\n"
            + "".join(f"{source} oifname != {{ {names} }} masquerade\n" for source in sources)
            + "}\n}\n"
        )
        self._hidden.update({network: behind for _, network in shared})
        self._changed()

    def publish(
        self,
        host: Host | str,
        host_port: int,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        protocol: Protocol = "tcp",
    ) -> Published:
        """Lead a port of this machine to a port of a host, until the lab is closed.

        What comes from outside enters at another host of the lab, the first that is no router, and crosses the links from
        there, with their impairments.

        Args:
            host: where connections go.
            host_port: port of that host.
            address: address of this machine to listen on.
            port: port of this machine; the kernel chooses one when it is 0, see :attr:`Published.port`.
            protocol: ``tcp`` or ``udp``, of both ports.

        Raises:
            UsageError: there is no such host, or another protocol.
            OSError: the port cannot be had, or the address is not one of this machine.
        """
        from .publish import Published, PublishedDatagrams

        there = self[host] if isinstance(host, str) else host
        if protocol not in ("tcp", "udp"):
            raise UsageError(f"a port is published for tcp or udp, not {protocol!r}")
        made = (Published if protocol == "tcp" else PublishedDatagrams)(there, host_port, address, port)
        self._closing.callback(made.close)
        return made

    # Addresses and routes

    def _mac(self) -> bytes:
        # 02 in the first byte: locally administered, not assigned by a manufacturer (IEEE 802).
        self._next_mac += 1
        return bytes([2, 0]) + (self._next_mac - 1).to_bytes(4, "big")

    def _subnets(self, subnet: str | None, hosts: int) -> tuple[Network, ...]:
        """The network of a link or switch: the one that is asked for, or the next free one; with IPv6 one of that as well."""
        self._promised: set[Any] = set()
        found = self._free_subnets(hosts) if subnet is None else self._given_subnets(subnet, hosts)
        self._used.extend(found)
        return found

    def _free_subnets(self, hosts: int) -> tuple[Network, ...]:
        # Steps of a /24 keep the numbers readable; a larger network takes as many of them as it needs.
        prefix = 24
        while (1 << (32 - prefix)) - 2 < hosts:
            prefix -= 1
        step = 1 << max(24 - prefix, 0)
        number = self._next_subnet
        while (number := -(-number // step) * step) + step <= 1 << 16:
            found = self._with_ipv6(ip_network(f"10.{number >> 8}.{number & 255}.0/{prefix}"), number)
            used = self._overlapped(found)
            if used is None:
                self._next_subnet = number + step
                return found
            # Behind what is in the way; of IPv6, that is one number.
            last = int(used.broadcast_address) >> 8 & 0xFFFF if used.version == 4 else number
            number = max(last, number) + 1
        raise UsageError("there is no subnet of 10.0.0.0/8 left for this lab: give it one with subnet=")

    def _given_subnets(self, subnet: str, hosts: int) -> tuple[Network, ...]:
        try:
            network = ip_network(subnet)
        except ValueError as error:
            raise UsageError(f"subnet {subnet!r}: {error}") from None
        first = network.network_address
        if (
            first.is_loopback
            or first.is_multicast
            or first.is_unspecified
            or (network.version == 4 and first.is_reserved)
        ):
            raise UsageError(f"the subnet {network} holds no addresses that a host may have")
        if network.version == 6 and not self.ipv6:
            raise UsageError(f"the subnet {network} is one of IPv6: make the lab with ipv6 = true")
        if network.num_addresses < hosts + (2 if network.version == 4 and network.prefixlen < 31 else 0):
            raise UsageError(f"the subnet {network} is too small for {hosts} hosts")
        found = self._with_ipv6(network, self._next_subnet)
        overlapped = self._overlapped(found)
        if overlapped is not None:
            raise UsageError(f"the subnet {network} overlaps {overlapped}, which is in use")
        self._next_subnet += 1
        return found

    def _with_ipv6(self, network: Network, number: int) -> tuple[Network, ...]:
        if self.ipv6 and network.version == 4:
            return network, ip_network(f"fd00:0:0:{number:x}::/64")
        return (network,)

    def _overlapped(self, networks: tuple[Network, ...]) -> Network | None:
        return next((used for used in self._used for network in networks if used.overlaps(network)), None)

    def _changed(self) -> None:
        """Bring routes and names up to date after hosts, links or addresses changed."""
        if any(host.forward for host in self):
            for host in self:
                self._update_routes(host)
        for host in self:
            if host._entered:
                self._push_names(host)

    def _neighbours(self, host: Host) -> Iterator[tuple[Host, Network, str]]:
        """Hosts that share a network with ``host``, with the network and their address on it."""
        networks = {address.network for interface in host.interfaces for address in interface.addresses}
        for other in self:
            if other is host:
                continue
            for interface in other.interfaces:
                for address in interface.addresses:
                    if address.network in networks:
                        yield other, address.network, str(address.ip)

    def _update_routes(self, host: Host) -> None:
        """Routes to every network behind a router: the way with the fewest routers."""
        direct = {address.network for interface in host.interfaces for address in interface.addresses}
        found: dict[Network, str] = {}
        seen = {host}
        # Each entry: a router that can be reached, and by IP version the first hop that leads there.
        queue: deque[tuple[Host, dict[int, str]]] = deque()
        for other, network, address in self._neighbours(host):
            if other.forward and other not in seen:
                hops: dict[int, str] = {network.version: address}
                for third, again, more in self._neighbours(host):
                    if third is other:
                        hops.setdefault(again.version, more)
                seen.add(other)
                queue.append((other, hops))
        while queue:
            router, hops = queue.popleft()
            for interface in router.interfaces:
                for own in interface.addresses:
                    net = own.network
                    if (
                        net not in direct
                        and net not in found
                        and own.version in hops
                        and self._hidden.get(net) is not router
                    ):
                        found[net] = hops[own.version]
            for other, _, _ in self._neighbours(router):
                if other.forward and other not in seen:
                    seen.add(other)
                    queue.append((other, hops))
        known = self._routes.setdefault(host, {})
        for net, gateway in found.items():
            if known.get(net) != gateway:
                self._namespaces.route(host._number, str(net[0]), net.prefixlen, gateway, None, 1, True)
        for net in known.keys() - found.keys():
            # The kernel has removed it already when the way to its router was removed.
            with contextlib.suppress(OSError):
                self._namespaces.route(host._number, str(net[0]), net.prefixlen, known[net], None, 1, False)
        self._routes[host] = found

    def _ring_bytes(self) -> int:
        """Memory for frames in each direction of the next forwarder: the kernel takes it at once, so many links get less each."""
        return _RING_BYTES if sum(link.counts for link in self.links) < _LARGE_RINGS else _SMALL_RING_BYTES

    def _wires_host(self) -> int:
        """The namespace in which the links' forwarders work; no program ever runs in it."""
        if self._wires is None:
            self._wires = self._new_namespaces(1)
        return self._wires

    def _next_wire_end(self) -> tuple[int, int, str]:
        """Host, free number and name for an interface of a forwarder."""
        host, index = self._wires_host(), self._next_wire
        self._next_wire += 1
        return host, index, f"wire{index}"

    def _push_names(self, host: Host) -> None:
        lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
        for other in self:
            for version in (4, 6):
                with contextlib.suppress(UsageError):
                    lines.append(f"{other.address_on(host, version)} {other.name}")
        resolver = f"nameserver {host.nameserver}\n" if host.nameserver else ""
        self._namespaces.set_names(host._number, "\n".join(lines) + "\n", resolver)


def wait_for_ipv6(interfaces: list[Interface]) -> None:
    """Return when the IPv6 addresses of interfaces are their hosts' own.

    The kernel makes the route of an address later than the address, in a queue of its own (addrconf_dad_work,
    net/ipv6/addrconf.c): until then the host takes packets to it for somebody else's.
    """
    for face in interfaces:
        for address in face.addresses:
            deadline = time.monotonic() + _IPV6_LIMIT_S
            while address.version == 6 and not _is_own(face.host, str(address.ip)) and time.monotonic() < deadline:
                time.sleep(0.0005)


def _is_own(host: Host, address: str) -> bool:
    try:
        return host.route_to(address).type == "local"
    except OSError:
        return False


def _check_mtu(mtu: int, ipv6: bool) -> None:
    if mtu not in _MTU_RANGE:
        raise UsageError(f"an MTU of {mtu} is not between {_MTU_RANGE.start} and {_MTU_RANGE.stop - 1}")
    if ipv6 and mtu < _MTU_IPV6:
        raise UsageError(f"IPv6 needs an MTU of at least {_MTU_IPV6} (RFC 8200), not {mtu}")


def _sysctls(*, ipv6: bool, forward: bool) -> list[tuple[str, list[str]]]:
    group = os.getegid()
    settings = [
        # Programs keep the caller's user id and may use every port and ping all the same.
        ("net.ipv4.ip_unprivileged_port_start", ["0"]),
        ("net.ipv4.ping_group_range", ["0 2147483647", f"{group} {group}"]),
        # The machine's default may be anything; a lab behaves the same everywhere. Reno is in every kernel.
        ("net.ipv4.tcp_congestion_control", ["cubic", "reno"]),
        # A new network copies these from the machine's own (net/ipv4/devinet.c, devinet_init_net()), and they differ:
        # systemd sets rp_filter, container engines set ip_forward.
        *((f"net.ipv4.conf.{interface}.rp_filter", ["0"]) for interface in ("all", "default", "lo")),
        ("net.ipv4.ip_forward", ["1" if forward else "0"]),
        ("net.ipv6.conf.default.disable_ipv6", ["0" if ipv6 else "1"]),
    ]
    if ipv6:
        settings += [
            # Duplicate address detection would keep addresses unusable for a second (RFC 4862, section 5.4).
            ("net.ipv6.conf.default.accept_dad", ["0"]),
            ("net.ipv6.conf.default.router_solicitations", ["0"]),
        ]
    if forward and ipv6:
        settings.append(("net.ipv6.conf.all.forwarding", ["1"]))
    return settings
