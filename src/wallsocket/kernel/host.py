"""The seam between everything that needs a socket or a fact and the network namespace that it comes from.

`here` is the host of the calling process. Another host (a lab's) implements `Host.socket` and `Host.read_proc`, and for
names `Host.lookup`; everything else follows from these.

The records that methods return are imported by the methods: most programs need sockets and names only, and at once.
"""

from __future__ import annotations

import abc
import contextlib
import ipaddress
import socket as _socket
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from .._core import kernel as _core

if TYPE_CHECKING:
    from .facts import Facts
    from .limits import Limits
    from .routes import InterfaceAddress, Link, Neighbour, Route
    from .sockets import InetSocket, Owners, UnixSocket

__all__ = ["Here", "Host", "Resolved", "here"]

#: One entry of ``getaddrinfo``: family, type, protocol, canonical name, address.
Resolved = tuple[int, int, int, str, tuple[Any, ...]]

_NETLINK_ROUTE = 0
_NETLINK_SOCK_DIAG = 4

#: A dump whose diag module is missing (ENOENT), or of a family that the kernel lacks (EINVAL, EOPNOTSUPP).
_CANNOT_LIST = frozenset({2, 22, 95})


class Host(abc.ABC):
    """A network namespace: makes its sockets, resolves names in it, and says what its kernel knows.

    Every method opens what it needs and closes it again, so a host can be used from several threads and after a fork.

    Attributes:
        name: for people: ``"here"``, or the name in a lab.

    """

    name: str

    @abc.abstractmethod
    def socket(
        self, family: int = _socket.AF_INET, kind: int = _socket.SOCK_STREAM, proto: int = 0, /
    ) -> _socket.socket:
        """Return a socket of this host, in the calling process; closed on exec.

        Raises:
            OSError: the kernel has no such socket, or does not permit it.

        """

    @abc.abstractmethod
    def read_proc(self, path: str) -> str:
        """Return the text of a file under ``/proc`` as a process of this host sees it, such as ``net/snmp``.

        Raises:
            OSError: there is none, or it cannot be read.

        """

    # Names

    def lookup(self, name: str, family: int) -> list[str]:
        """Return the addresses of a host name, as numbers; used by `resolve` for what is no number itself.

        Raises:
            _socket.gaierror: the name has no address, or this host cannot ask.

        """
        raise _socket.gaierror(
            _socket.EAI_NONAME, f"host {self.name} looks up no names: {name!r} must be a number or a name of the lab"
        )

    def resolve(
        self,
        host: str | None,
        port: int | str | None,
        *,
        family: int = _socket.AF_UNSPEC,
        kind: int = 0,
        protocol: int = 0,
        passive: bool = False,
    ) -> list[Resolved]:
        """All addresses of ``host`` and ``port``, in the order to try them, as ``getaddrinfo`` gives them.

        Args:
            host: name or number; a zone may follow an IPv6 address (``fe80::1%eth0``). ``None`` is the loopback, or
                every address with ``passive``.
            port: number or the name of a service.
            family: only these addresses, or ``AF_UNSPEC`` for all.
            kind: only for sockets of this type, or 0.
            protocol: only for this protocol, or 0.
            passive: the address is for ``bind()``.

        Raises:
            _socket.gaierror: the name has no address.
            OSError: ENODEV: this host has no interface of the zone's name.

        """
        flags = _socket.AI_NUMERICHOST | (_socket.AI_PASSIVE if passive else 0)
        zone = 0
        numbers: list[str | None] = [host]
        if host is not None:
            number, percent, zone_name = host.partition("%")
            if percent:
                zone = int(zone_name) if zone_name.isdigit() else self.interface_index(zone_name)
                numbers = [number]
            elif not _is_number(host):
                numbers = list(self.lookup(host, family))
        found: list[Resolved] = []
        for each in numbers:
            for entry in _socket.getaddrinfo(each, port, family, kind, protocol, flags):
                address: tuple[Any, ...] = entry[4]
                if zone and entry[0] == _socket.AF_INET6:
                    address = (*address[:3], zone)
                found.append((entry[0], entry[1], entry[2], entry[3], address))
        return found

    def interface(self, name_or_index: str | int) -> Link:
        """Return the interface of that name or number.

        Raises:
            OSError: ENODEV: there is none.

        """
        from .routes import Link

        if isinstance(name_or_index, str):
            with self._routing() as routing:
                return Link.from_row(routing.link(name_or_index))
        for link in self.links():
            if link.index == name_or_index:
                return link
        raise OSError(19, f"host {self.name} has no interface number {name_or_index}")

    def interface_index(self, name: str) -> int:
        """Return the number of the interface of that name.

        Raises:
            OSError: ENODEV: there is none.

        """
        try:
            return self.interface(name).index
        except OSError as error:
            if error.errno != 19:
                raise
            known = ", ".join(link.name for link in self.links())
            raise OSError(19, f"host {self.name} has no interface {name!r} (it has: {known})") from None

    # Netlink

    def netlink(self, protocol: int) -> _socket.socket:
        """Return a netlink socket of this host, such as ``NETLINK_ROUTE`` (0) or ``NETLINK_SOCK_DIAG`` (4)."""
        return self.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, protocol)

    @contextlib.contextmanager
    def _routing(self) -> Iterator[_core.Routing]:
        with self.netlink(_NETLINK_ROUTE) as sock:
            asking = _core.Routing(sock.fileno())
        try:
            yield asking
        finally:
            # Not left to the collector: a traceback may hold it for long.
            asking.close()

    @contextlib.contextmanager
    def diag(self) -> Iterator[_core.Diag]:
        """A netlink socket to ask sock_diag of this host, whose rows are as the kernel gives them; it is closed afterwards.

        Raises:
            OSError: EPERM: this user may not ask there, or a policy refuses netlink.

        """
        with self.netlink(_NETLINK_SOCK_DIAG) as sock:
            asking = _core.Diag(sock.fileno())
        try:
            yield asking
        finally:
            # Not left to the collector: a traceback may hold it for long.
            asking.close()

    # Sockets

    def sockets(
        self,
        protocol: str,
        *,
        states: Collection[str] | None = None,
        local_port: int = 0,
        peer_port: int = 0,
    ) -> list[InetSocket]:
        """Return the sockets of one protocol, IPv4 then IPv6.

        Args:
            protocol: ``"tcp"``, ``"udp"`` or ``"raw"``.
            states: only those in these states (``"LISTEN"``, ``"TIME_WAIT"`` …).
            local_port: only those of this port, or 0.
            peer_port: only those whose peer has this port, or 0.

        Raises:
            OSError: ENOENT: this kernel cannot list that protocol.
            ValueError: no such protocol or state.

        """
        from .sockets import PROTOCOLS, InetSocket, state_bits

        number = PROTOCOLS.get(protocol)
        if number is None:
            raise ValueError(f"no protocol is called {protocol!r} here (there are: {', '.join(PROTOCOLS)})")
        bits = state_bits(states)
        found: list[InetSocket] = []
        with self.diag() as diag:
            for inet6 in (False, True):
                try:
                    rows = diag.inet(inet6, number, bits, local_port, peer_port)
                except OSError as error:
                    # Where the kernel has no IPv6 there is nothing of it to list.
                    if inet6 and error.errno in _CANNOT_LIST:
                        continue
                    raise
                found += [InetSocket.from_row(row, protocol) for row in rows]
        return found

    def listeners(self, port: int = 0) -> list[InetSocket]:
        """TCP listeners, then unconnected UDP sockets; of all ports or of one."""
        udp = self.sockets("udp", states=["CLOSE"], local_port=port)
        return self.sockets("tcp", states=["LISTEN"], local_port=port) + udp

    def unix_sockets(self, *, states: Collection[str] | None = None) -> list[UnixSocket]:
        """Return the sockets of AF_UNIX.

        Raises:
            OSError: ENOENT: this kernel cannot list them.

        """
        from .sockets import UnixSocket, state_bits

        with self.diag() as diag:
            return [UnixSocket.from_row(row) for row in diag.unix(state_bits(states))]

    def owners(self, inodes: Collection[int], *, timeout_s: float | None = None) -> Owners:
        """Return the processes that hold sockets of these inodes, by number and name; see `sockets.owners`."""
        from .sockets import owners

        return owners(inodes, timeout_s=timeout_s)

    # Routing

    def links(self) -> list[Link]:
        """All interfaces."""
        from .routes import Link

        with self._routing() as routing:
            return [Link.from_row(row) for row in routing.links()]

    def addresses(self) -> list[InterfaceAddress]:
        """All addresses of all interfaces."""
        from .routes import InterfaceAddress

        with self._routing() as routing:
            return [InterfaceAddress(**row) for row in routing.addresses()]

    def routes(self) -> list[Route]:
        """All routes of all tables."""
        from .routes import Route

        with self._routing() as routing:
            return [Route.from_row(row) for row in routing.routes()]

    def route_to(
        self, address: str, *, source: str | None = None, interface: int | None = None, mark: int = 0
    ) -> Route:
        """How a packet to ``address`` would go, as the kernel decides it.

        Args:
            address: an IPv4 or IPv6 address.
            source: the source address, if the program chose one.
            interface: number of the interface, if the program chose one.
            mark: firewall mark (SO_MARK).

        Raises:
            OSError: the kernel's refusal: ENETUNREACH no route; EHOSTUNREACH, EACCES, EINVAL a route that refuses.
            ValueError: ``address`` is no address.

        """
        from .routes import Route

        target = ipaddress.ip_address(address.partition("%")[0])
        from_address = None if source is None else ipaddress.ip_address(source)
        with self._routing() as routing:
            return Route.from_row(routing.route_to(target, from_address, interface, mark))

    def neighbours(self) -> list[Neighbour]:
        """Return the neighbour tables of IPv4 and IPv6."""
        from .routes import Neighbour

        with self._routing() as routing:
            return [Neighbour(**row) for row in routing.neighbours()]

    # Limits and counters

    def sysctl(self, name: str) -> str | None:
        """Return a kernel setting such as ``net.core.somaxconn``; ``None`` where there is none or it cannot be read.

        A name with slashes (``net/ipv4/conf/eth0.5/rp_filter``) is taken as a path: interface names hold dots.
        """
        path = name if "/" in name else name.replace(".", "/")
        if ".." in path.split("/"):
            raise ValueError(f"no kernel setting is called {name!r}")
        try:
            return self.read_proc(f"sys/{path}").strip()
        except OSError:
            return None

    def limits(self) -> Limits:
        """Limits of this host and of the calling process."""
        from .limits import read

        return read(self.sysctl)

    def counters(self) -> dict[str, int]:
        """All protocol counters of this host; see `counters.difference`."""
        from .counters import read

        return read(self.read_proc)

    def facts(self) -> Facts:
        """Return a picture of the whole host; costs a few milliseconds, more on a host with many sockets."""
        from .facts import Facts

        unknown: dict[str, str] = {}

        def part(name: str) -> Any:
            try:
                return tuple(getattr(self, name)())
            except OSError as error:
                unknown[name] = str(error)
                return None

        routes = part("routes")
        return Facts(
            listeners=part("listeners"),
            links=part("links"),
            addresses=part("addresses"),
            routes=None if routes is None else tuple(route for route in routes if route.table != 255),
            neighbours=part("neighbours"),
            limits=self.limits(),
            unknown=unknown,
        )


def _is_number(host: str) -> bool:
    """Whether ``getaddrinfo`` takes it without asking anybody, also in old forms such as ``127.1``."""
    try:
        _socket.getaddrinfo(host, None, flags=_socket.AI_NUMERICHOST)
    except _socket.gaierror:
        return False
    return True


class Here(Host):
    """The host of the calling process."""

    name = "here"

    def socket(
        self, family: int = _socket.AF_INET, kind: int = _socket.SOCK_STREAM, proto: int = 0, /
    ) -> _socket.socket:
        """Return a socket of the calling process's network namespace."""
        return _socket.socket(family, kind, proto)

    def read_proc(self, path: str) -> str:
        """Return the text of ``/proc/PATH``; what is under ``net`` is that of the calling thread's namespace."""
        # /proc/net is the main thread's; a thread that entered a namespace of its own must see that one.
        place = f"/proc/thread-self/{path}" if path.startswith("net/") else f"/proc/{path}"
        with open(place, encoding="utf-8", errors="replace") as file:
            return file.read()

    def resolve(
        self,
        host: str | None,
        port: int | str | None,
        *,
        family: int = _socket.AF_UNSPEC,
        kind: int = 0,
        protocol: int = 0,
        passive: bool = False,
    ) -> list[Resolved]:
        """All addresses, by the system's own resolver; see `Host.resolve`."""
        flags = _socket.AI_PASSIVE if passive else 0
        found = _socket.getaddrinfo(host, port, family, kind, protocol, flags)
        return [(entry[0], entry[1], entry[2], entry[3], entry[4]) for entry in found]

    def __repr__(self) -> str:
        return "<Host here>"


#: The host of the calling process.
here = Here()
