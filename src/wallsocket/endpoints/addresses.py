"""Addresses as people write them, and what they mean on a host.

Accepted: ``"host:port"``, ``"host:service"``, ``":port"`` (all addresses of this host), ``"[::1]:53"``,
``"[fe80::1%eth0]:53"``, ``"unix:/path"``, ``"unix:@abstract"``, ``(host, port)`` with a name, text or `ipaddress` host,
and the kernel's own tuples.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import UsageError
from .steps import Call, Steps

if TYPE_CHECKING:
    from ..kernel import Host

__all__ = ["Address", "Inet", "Target", "parse", "parse_unix", "shown", "targets"]

Address: TypeAlias = "str | tuple[Any, ...] | bytes | os.PathLike[str] | ipaddress.IPv4Address | ipaddress.IPv6Address"


@dataclass(frozen=True, slots=True)
class Inet:
    """A host (name or number; ``None``: all addresses of this host) and a port."""

    host: str | None
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """Something the kernel takes: an address family and its sockaddr."""

    family: int
    sockaddr: Any


def parse(address: Address, protocol: str) -> Inet:
    """Return host and port of ``address``; ``protocol`` (``"tcp"`` or ``"udp"``) names services.

    Raises:
        UsageError: no such address, port or service; says which part and why.
    """
    if isinstance(address, tuple):
        if len(address) not in (2, 4):
            raise UsageError(f"address {address!r}: a tuple needs host and port")
        host = address[0]
        if len(address) == 4 and address[3] and isinstance(host, str) and "%" not in host:
            host = f"{host}%{address[3]}"
        return Inet(_host(host), _port(address[1], protocol, address))
    if not isinstance(address, str):
        raise UsageError(f"address {address!r}: expected 'host:port' or (host, port), got {type(address).__name__}")
    if address.startswith("unix:"):
        raise UsageError(f"address {address!r} is a Unix one; {protocol} needs 'host:port'")
    if address.startswith("["):
        host, closed, port = address[1:].partition("]")
        if not closed or not port.startswith(":"):
            raise UsageError(f"address {address!r}: expected '[IPv6 address]:port'")
        return Inet(_host(host), _port(port[1:], protocol, address))
    host, colon, port = address.rpartition(":")
    if not colon:
        raise UsageError(f"address {address!r} has no port; write '{address}:PORT'")
    if ":" in host:
        raise UsageError(f"address {address!r}: write an IPv6 address in brackets, '[{host}]:{port}'")
    return Inet(_host(host), _port(port, protocol, address))


def _host(host: object) -> str | None:
    if host is None or host in ("", "*"):
        return None
    if isinstance(host, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return str(host)
    if not isinstance(host, str):
        raise UsageError(f"host {host!r}: expected text or an ipaddress object, got {type(host).__name__}")
    if "\0" in host or host.strip() != host:
        raise UsageError(f"host {host!r} is no host name")
    return host


def _port(port: object, protocol: str, address: object) -> int:
    if isinstance(port, str):
        if port.isascii() and port.isdigit():
            port = int(port)
        else:
            try:
                port = socket.getservbyname(port, protocol)
            except OSError:
                raise UsageError(f"address {address!r}: {port!r} is neither a port nor a {protocol} service") from None
    if isinstance(port, bool) or not isinstance(port, int):
        raise UsageError(f"address {address!r}: the port must be a number, got {type(port).__name__}")
    if not 0 <= port <= 65535:
        raise UsageError(f"address {address!r}: ports are 0 to 65535, got {port}")
    return port


def parse_unix(address: Address) -> str | bytes:
    """Return what the kernel takes for a Unix socket: a path, or bytes that begin with 0 for an abstract name.

    Raises:
        UsageError: not a Unix address, or longer than the 107 bytes of ``sun_path`` (unix(7)).
    """
    if isinstance(address, os.PathLike):
        address = os.fspath(address)
    if isinstance(address, bytes):
        name: str | bytes = address
    elif isinstance(address, str):
        path = address.removeprefix("unix:")
        name = b"\0" + path[1:].encode() if path.startswith("@") else path
    else:
        raise UsageError(f"address {address!r}: expected a path, 'unix:/path' or 'unix:@name'")
    encoded = os.fsencode(name)
    if not encoded:
        raise UsageError("an empty path is no Unix address")
    # An abstract name has no zero at its end and may use all 108 bytes.
    limit = 108 if encoded.startswith(b"\0") else 107
    if len(encoded) > limit:
        raise UsageError(
            f"Unix address of {len(encoded)} bytes: the kernel takes {limit}; use a shorter path, or one relative to "
            "the working directory"
        )
    if not encoded.startswith(b"\0") and b"\0" in encoded:
        raise UsageError(f"address {address!r}: a path cannot hold a zero byte")
    return name


def targets(
    host: Host, address: Inet, kind: int, *, passive: bool = False, family: int = socket.AF_UNSPEC
) -> Steps[Sequence[Target]]:
    """Return what ``address`` means on ``host``: in the order of RFC 6724, families alternating (RFC 8305)."""
    numeric = _numeric(host, address, passive, family)
    if numeric is not None:
        return [numeric]
    try:
        found: Sequence[tuple[Any, ...]] = yield Call(
            lambda: host.resolve(address.host, address.port, family=family, kind=kind, passive=passive)
        )
    except socket.gaierror as error:
        error.add_note(f"the name {address.host!r} was looked up on host {host.name}")
        raise
    by_family: dict[int, list[Target]] = {}
    for entry in found:
        each = by_family.setdefault(entry[0], [])
        if (target := Target(entry[0], entry[-1])) not in each:
            each.append(target)
    mixed = []
    queues = list(by_family.values())
    while queues:
        mixed += [queue.pop(0) for queue in queues]
        queues = [queue for queue in queues if queue]
    return mixed


def _numeric(host: Host, address: Inet, passive: bool, family: int) -> Target | None:
    """Return the target of an address in numbers, which needs no resolver."""
    if address.host is None:
        if passive and family in (socket.AF_UNSPEC, socket.AF_INET):
            return Target(socket.AF_INET, ("0.0.0.0", address.port))  # noqa: S104  the caller asked for all addresses
        if passive:
            return Target(socket.AF_INET6, ("::", address.port, 0, 0))
        if family == socket.AF_INET6:
            return Target(socket.AF_INET6, ("::1", address.port, 0, 0))
        return Target(socket.AF_INET, ("127.0.0.1", address.port))
    name, _, zone = address.host.partition("%")
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        return None
    if number.version == 4:
        if family == socket.AF_INET6:
            return Target(socket.AF_INET6, (f"::ffff:{name}", address.port, 0, 0))
        return Target(socket.AF_INET, (name, address.port))
    if family == socket.AF_INET:
        raise UsageError(f"{address.host} is an IPv6 address, but this endpoint is IPv4")
    if zone:
        scope = int(zone) if zone.isdigit() else host.interface_index(zone)
    else:
        scope = 0
        if number.is_link_local:
            raise UsageError(f"{address.host} is link-local: name the interface, '{address.host}%eth0'")
    return Target(socket.AF_INET6, (name, address.port, 0, scope))


def shown(sockaddr: Any) -> str:
    """Return a sockaddr of Python's as people write it."""
    if isinstance(sockaddr, tuple) and len(sockaddr) in (2, 4):
        host, port = sockaddr[0], sockaddr[1]
        if ":" in str(host):
            zone = f"%{sockaddr[3]}" if len(sockaddr) == 4 and sockaddr[3] and "%" not in host else ""
            return f"[{host}{zone}]:{port}"
        return f"{host}:{port}"
    if isinstance(sockaddr, bytes):
        return f"unix:@{sockaddr[1:].decode(errors='replace')}" if sockaddr.startswith(b"\0") else "unix:(unnamed)"
    if sockaddr == "":
        return "unix:(unnamed)"
    return f"unix:{sockaddr}" if isinstance(sockaddr, str) else repr(sockaddr)
