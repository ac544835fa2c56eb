"""A host of a lab: a network namespace with its own interfaces, addresses, routes, firewall, names and programs."""

from __future__ import annotations

import contextlib
import functools
import os
import socket as _socket
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any

from .. import kernel
from ..errors import NotAvailable, UsageError
from . import program
from .program import Command, Process
from .refusal import explain

if TYPE_CHECKING:
    from ..wire.capture import Capture, Direction
    from . import bound
    from .link import Link
    from .network import Lab

__all__ = ["Host", "Interface"]

#: Settings that can be written in every network namespace but are one for all of them (net/netfilter/core.c); found by
#: writing each of those that a new namespace shows. The kernel makes all others that are shared read-only there.
_OF_ALL_NETWORKS = frozenset({"net.netfilter.nf_hooks_lwtunnel"})

_ROUTE_KINDS = {"unicast": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8}


class Interface:
    """One network interface of a host."""

    __slots__ = ("addresses", "host", "index", "link", "mac", "mtu", "name")

    def __init__(self, host: Host, name: str, index: int, mac: bytes, mtu: int) -> None:
        self.host = host
        self.name = name
        self.index = index
        self.mac = mac
        self.mtu = mtu
        self.addresses: list[IPv4Interface | IPv6Interface] = []
        self.link: Link | None = None

    def __repr__(self) -> str:
        addresses = " ".join(map(str, self.addresses))
        return f"<Interface {self.name} of {self.host.name} {addresses}>"


class Host(kernel.Host):
    """A host of a lab, and so a :class:`wallsocket.kernel.Host`: whatever takes ``host=`` works in it.

    Made by :meth:`Lab.host` and the functions of :mod:`wallsocket.lab`.
    """

    def __init__(self, lab: Lab, name: str, number: int, *, forward: bool) -> None:
        self.lab = lab
        self.name = name
        self.forward = forward
        self.interfaces: list[Interface] = []
        self.nameserver: str | None = None
        self._number = number
        self._next_index = 2
        self._entered: list[int] = []

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.address or 'without address'}>"

    # Sockets

    def socket(self, family: int = _socket.AF_INET, type: int = _socket.SOCK_STREAM, proto: int = 0) -> _socket.socket:
        """A socket of this host, in the calling process; used like one of ``socket.socket``.

        Raises:
            OSError: the kernel has no such socket, with its own error number.

        """
        descriptor = self.lab._namespaces.socket(self._number, family, type & ~_socket.SOCK_NONBLOCK, proto)
        made = _socket.socket(family, type & ~(_socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC), proto, fileno=descriptor)
        if type & _socket.SOCK_NONBLOCK:
            made.setblocking(False)
        return made

    @property
    def udp(self) -> bound.Udp:
        """:mod:`wallsocket.udp` in this host: ``a.udp.bind(":53")``."""
        from .bound import Udp

        return Udp(self)

    @property
    def tcp(self) -> bound.Tcp:
        """:mod:`wallsocket.tcp` in this host: ``a.tcp.connect("b:80")``."""
        from .bound import Tcp

        return Tcp(self)

    @property
    def unix(self) -> bound.Unix:
        """:mod:`wallsocket.unix` in this host: ``a.unix.listen("unix:@name")``; abstract names are each host's own."""
        from .bound import Unix

        return Unix(self)

    @property
    def raw(self) -> bound.Raw:
        """:mod:`wallsocket.raw` in this host, without privileges: ``a.raw.Endpoint("icmp")``."""
        from .bound import Raw

        return Raw(self)

    @property
    def aio(self) -> bound.Aio:
        """:mod:`wallsocket.aio` in this host: ``await a.aio.tcp.connect("b:80")``."""
        from .bound import Aio

        return Aio(self)

    @property
    def wire(self) -> bound.Wire:
        """What :mod:`wallsocket.wire` does on a network, in this host: ``a.wire.ping("b")``."""
        from .bound import Wire

        return Wire(self)

    def capture(
        self,
        interface: str | int | None = None,
        *,
        filter: str | None = None,
        direction: Direction = "both",
        promiscuous: bool = False,
        snap_length: int = 262_144,
        latency_s: float = 0.02,
    ) -> Capture:
        """Capture the frames of one interface, or of all; :func:`wallsocket.wire.capture` says what the options mean.

        Raises:
            UsageError: the host has no such interface, or the filter is wrong.
            NotAvailable: libpcap is not installed and a filter was given.

        """
        return self.wire.capture(
            interface,
            filter=filter,
            direction=direction,
            promiscuous=promiscuous,
            snap_length=snap_length,
            latency_s=latency_s,
        )

    # Programs

    def popen(self, command: Command, **options: Any) -> Process:
        """Start a program in this host; see :class:`Process`."""
        process = Process(self, command, **options)
        self.lab._programs.add(process)
        return process

    def run(
        self,
        command: Command,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        **options: Any,
    ) -> subprocess.CompletedProcess[Any]:
        """Run a program in this host to its end; like ``subprocess.run``, and a text is split as a shell would.

        Raises:
            UsageError: arguments that exclude each other.
            OSError: the program cannot be executed.
            subprocess.TimeoutExpired: it took longer than ``timeout`` seconds, and was killed.
            subprocess.CalledProcessError: with ``check``, its status is not 0.

        """
        return program.run(
            self, command, input=input, capture_output=capture_output, timeout=timeout, check=check, **options
        )

    def shell(self) -> int:
        """Run the user's shell in this host, on the caller's terminal; its exit status."""
        command, environment = program.shell(self.name)
        return self.run(command, env=environment).returncode

    @property
    def _sees(self) -> Callable[[int], None] | None:
        """What sees a program of this host before it runs."""
        sees = self.lab._sees
        return None if sees is None else functools.partial(sees, self.name)

    def _enter(self) -> list[int]:
        """Descriptors of the namespaces that a program of this host joins."""
        if not self._entered:
            self.lab._push_names(self)
            with explain():
                self._entered = self.lab._namespaces.enter(self._number)
        return self._entered

    # Addresses, names, routes

    @property
    def address(self) -> str | None:
        """The first IPv4 address, else the first IPv6 one, without prefix length; None before the host has a link."""
        every = [address for interface in self.interfaces for address in interface.addresses]
        every.sort(key=lambda address: address.version)
        return str(every[0].ip) if every else None

    def address_on(self, other: Host, version: int = 4) -> str:
        """The address of this host that ``other`` reaches most directly: on a network they share, else the first one.

        Raises:
            UsageError: this host has no address of that IP version.

        """
        own = [
            address for interface in self.interfaces for address in interface.addresses if address.version == version
        ]
        if not own:
            raise UsageError(f"host {self.name!r} has no IPv{version} address")
        networks = {address.network for interface in other.interfaces for address in interface.addresses}
        return str(next((address for address in own if address.network in networks), own[0]).ip)

    def _interface(self, name: str) -> Interface:
        for interface in self.interfaces:
            if interface.name == name:
                return interface
        known = ", ".join(interface.name for interface in self.interfaces) or "none"
        raise UsageError(f"host {self.name!r} has no interface {name!r} (it has: {known})")

    def add_address(self, interface: str, address: str) -> None:
        """Add an address with prefix length, such as ``192.0.2.7/24``, to an interface.

        Raises:
            UsageError: the address or the interface does not exist, or the host has it already.

        """
        there, parsed = self._interface(interface), _interface_address(address)
        if parsed in there.addresses:
            raise UsageError(f"{self.name!r} has the address {parsed} already")
        if parsed.version == 6:
            self.sysctl(f"net/ipv6/conf/{interface}/disable_ipv6", "0")
        self.lab._namespaces.address(self._number, there.index, str(parsed.ip), parsed.network.prefixlen, True)
        there.addresses.append(parsed)
        if parsed.version == 6:
            from .network import wait_for_ipv6

            wait_for_ipv6([there])
        self.lab._changed()

    def remove_address(self, interface: str, address: str) -> None:
        """Remove an address from an interface.

        Raises:
            UsageError: it is not there.

        """
        there, parsed = self._interface(interface), _interface_address(address)
        if parsed not in there.addresses:
            raise UsageError(f"{interface} of {self.name!r} does not have the address {parsed}")
        self.lab._namespaces.address(self._number, there.index, str(parsed.ip), parsed.network.prefixlen, False)
        there.addresses.remove(parsed)
        self.lab._changed()

    def add_route(
        self, destination: str, *, via: str | Host | None = None, interface: str | None = None, kind: str = "unicast"
    ) -> None:
        """Add or replace a route.

        Args:
            destination: a network such as ``192.0.2.0/24``, or ``default`` (IPv4) or ``::/0``.
            via: address, or host, of the next router.
            interface: name of the interface, when the destination is on the link.
            kind: ``unicast``, or ``blackhole`` (drops silently), ``unreachable``, ``prohibit`` (both answer by ICMP).

        Raises:
            UsageError: something is not an address, or does not exist.
            OSError: the kernel refuses it; its sentence is part of the text.

        """
        self._route(destination, via, interface, kind, True)

    def remove_route(self, destination: str, *, via: str | Host | None = None, interface: str | None = None) -> None:
        """Remove a route.

        Raises:
            UsageError: something is not an address, or does not exist.
            OSError: there is no such route.

        """
        self._route(destination, via, interface, "unicast", False)

    def _route(self, destination: str, via: str | Host | None, interface: str | None, kind: str, add: bool) -> None:
        try:
            network = ip_network("0.0.0.0/0" if destination == "default" else destination)
            gateway = via.address_on(self, network.version) if isinstance(via, Host) else via
            if gateway is not None and ip_address(gateway).version != network.version:
                raise UsageError(f"route to {destination}: the router {gateway} is of the other IP version")
        except ValueError as error:
            raise UsageError(f"route to {destination!r} via {via!r}: {error}") from None
        if kind not in _ROUTE_KINDS:
            raise UsageError(f"a route is {', '.join(_ROUTE_KINDS)}, not {kind!r}")
        index = self._interface(interface).index if interface is not None else None
        if gateway is None and index is None and kind == "unicast" and add:
            raise UsageError(f"route to {destination}: give via= or interface=")
        self.lab._namespaces.route(
            self._number, str(network.network_address), network.prefixlen, gateway, index, _ROUTE_KINDS[kind], add
        )

    def set_nameserver(self, address: str | Host | None) -> None:
        """Let programs of this host ask this DNS server (what /etc/resolv.conf says); None: the machine's file again.

        Programs that run already keep what they have read.
        """
        self.nameserver = address.address_on(self) if isinstance(address, Host) else address
        if self._entered:
            self.lab._push_names(self)
            self._leave()

    def _leave(self) -> None:
        for descriptor in self._entered:
            os.close(descriptor)
        self._entered = []

    # Settings

    def sysctl(self, name: str, value: str | int | None = None) -> str | None:
        """Read a kernel setting, or set one of this host's network: ``a.sysctl("net.ipv4.tcp_syncookies", 0)``.

        Reading gives ``None`` where there is no such setting; setting gives the new value.

        Raises:
            OSError: a setting that is to be set does not exist in a host, or does not take the value.

        """
        if value is not None:
            if name.replace("/", ".") in _OF_ALL_NETWORKS:
                raise UsageError(f"{name} is one setting for all networks of the machine, not of a host")
            self.lab._namespaces.sysctl(self._number, name, str(value))
        return super().sysctl(name)

    def read_proc(self, path: str) -> str:
        """Return the text of a file under ``/proc`` as a process of this host sees it, such as ``net/snmp``.

        Raises:
            OSError: there is none, or it cannot be read.

        """
        if path.startswith(("net/", "sys/net/")):
            file: int | str = self.lab._namespaces.open_proc(self._number, path)
        else:
            file = f"/proc/{path}"
        with open(file, encoding="utf-8", errors="surrogateescape") as text:
            return text.read()

    def lookup(self, name: str, family: int) -> list[str]:
        """Return the addresses of a host of the lab, those on a network that the two share first.

        Raises:
            socket.gaierror: the lab has no host of that name, or it has no address of that family.

        """
        if name == "localhost":
            found = ["127.0.0.1", "::1"]
        elif name in self.lab._hosts:
            other, found = self.lab._hosts[name], []
            for version in (4, 6):
                with contextlib.suppress(UsageError):
                    found.append(other.address_on(self, version))
        else:
            return super().lookup(name, family)
        families: dict[int, bool] = {_socket.AF_INET: False, _socket.AF_INET6: True}
        wanted = [text for text in found if families.get(family, ":" in text) == (":" in text)]
        if not wanted:
            raise _socket.gaierror(_socket.EAI_NODATA, f"host {name} of the lab has no address of that family")
        return wanted

    def nft(self, rules: str) -> str:
        """Load nftables rules (the language of nft(8)) in this host; what nft printed.

        Raises:
            NotAvailable: the program ``nft`` is not installed.
            UsageError: nft does not accept the rules; its sentence is in the text.

        """
        try:
            # Debian keeps it in a directory that is not on every user's path.
            path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
            done = self.run(
                ["nft", "-f", "-"], input=rules, text=True, capture_output=True, env={**os.environ, "PATH": path}
            )
        except FileNotFoundError:
            raise NotAvailable("firewall rules need the program nft: install the package nftables") from None
        if done.returncode:
            raise UsageError(f"nft in host {self.name!r}: {done.stderr.strip()}")
        return str(done.stdout)


def _interface_address(text: str) -> IPv4Interface | IPv6Interface:
    try:
        if "/" not in text:
            raise ValueError("the prefix length is missing")
        return ip_interface(text)
    except ValueError as error:
        raise UsageError(f"address {text!r}: {error}; write it like 192.0.2.7/24") from None
