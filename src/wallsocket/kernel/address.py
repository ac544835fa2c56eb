"""Socket addresses: the kernel's bytes, one text form, and the tuples of Python's ``socket`` module.

Texts: ``127.0.0.1:80``, ``[fe80::1%2]:53``, ``unix:/run/x``, ``unix:@abstract``, ``packet:if3/0x0003``,
``netlink:123/0x1``, ``vsock:2:1234``. Names of hosts and interfaces are a host's affair: see `Host.resolve`.
"""

from __future__ import annotations

import socket
import sys
from functools import lru_cache
from typing import Final, NamedTuple

from .._core.kernel import Address

__all__ = ["Address", "End", "end_of", "from_python", "place_of", "to_python"]

_MAPPED: Final = bytes(10) + b"\xff\xff"  # IPv4-mapped IPv6 addresses, RFC 4291, 2.5.5.2
_ANY: Final = frozenset((bytes(16), _MAPPED + bytes(4)))
_LOOPBACK_6: Final = bytes(15) + b"\x01"


class End(NamedTuple):
    """One end of a flow, to compare and to look up: an IP address (IPv4 in its IPv6-mapped form) and a port."""

    address: bytes
    port: int

    @property
    def any(self) -> bool:
        """Whether the address stands for every address of the host: ``0.0.0.0`` or ``::``."""
        return self.address in _ANY

    @property
    def loopback(self) -> bool:
        """Whether only the host itself can reach it: 127.0.0.0/8 (RFC 1122, 3.2.1.3) or ``::1``."""
        return self.address == _LOOPBACK_6 or self.address.startswith(_MAPPED + b"\x7f")


@lru_cache(maxsize=4096)
def end_of(sockaddr: bytes | None) -> End | None:
    """Return the end in a ``struct sockaddr`` of AF_INET or AF_INET6; ``None`` for anything else and for a cut one."""
    if sockaddr is None:
        return None
    address = Address.decode(sockaddr)
    port = address.port
    if address.host is None or port is None:
        return None
    if address.family == socket.AF_INET:
        return End(_MAPPED + sockaddr[4:8], port)
    return End(sockaddr[8:24], port) if address.family == socket.AF_INET6 else None


@lru_cache(maxsize=4096)
def place_of(sockaddr: bytes | None) -> End | bytes | None:
    """Return where a ``struct sockaddr`` points to, to compare and to look up.

    Returns:
        An :class:`End`; of a Unix socket its path, or its abstract name behind a zero byte; ``None`` for a Unix socket
        without a name, for other families and for a cut one.
    """
    if sockaddr is None:
        return None
    address = Address.decode(sockaddr)
    if address.family == socket.AF_UNIX:
        name = address.abstract_name
        return b"\0" + name if name is not None else address.path or None
    return end_of(sockaddr)


def from_python(family: int, sockaddr: object) -> Address:
    """Return the address that Python's ``socket`` module writes as ``sockaddr``.

    Args:
        family: ``AF_INET``, ``AF_INET6``, ``AF_UNIX``, ``AF_NETLINK`` or ``AF_VSOCK``.
        sockaddr: what ``getsockname()`` returns and ``connect()`` takes; the host must be a number.

    Raises:
        ValueError: the tuple is no address of that family.

    """
    if family == socket.AF_UNIX and isinstance(sockaddr, str | bytes):
        path = sockaddr if isinstance(sockaddr, bytes) else sockaddr.encode("utf-8", "surrogateescape")
        return Address.decode(family.to_bytes(2, _BYTE_ORDER) + path)
    match family, sockaddr:
        case socket.AF_INET, (str(host), int(port)):
            return Address.parse(f"{host}:{port}")
        case socket.AF_INET6, (str(host), int(port), *rest):
            flow, zone = (*rest, 0, 0)[:2]
            host, _, named_zone = host.partition("%")
            zone = zone or (int(named_zone) if named_zone.isdigit() else 0)
            return Address.parse(f"[{host}%{zone}]:{port}?flow={flow}")
        case socket.AF_NETLINK, (int(port), int(groups)):
            return Address.parse(f"netlink:{port}/{groups}")
        case socket.AF_VSOCK, (int(cid), int(port)):
            return Address.parse(f"vsock:{cid}:{port}")
    raise ValueError(f"{sockaddr!r} is no address of family {family}")


def to_python(address: Address) -> tuple[str | int, ...] | bytes:
    """Return the address as Python's ``socket`` module takes it.

    Raises:
        ValueError: ``socket`` has no form for addresses of that family here.

    """
    family, host, port = address.family, address.host, address.port
    if host is not None and port is not None:
        return (host, port) if family == socket.AF_INET else (host, port, address.flow, address.zone)
    if family == socket.AF_UNIX:
        name = address.abstract_name
        return b"\0" + name if name is not None else address.path or b""
    if family == socket.AF_NETLINK and port is not None:
        return (port, int.from_bytes(address.encode()[8:12], _BYTE_ORDER))
    if family == socket.AF_VSOCK and port is not None:
        return (int.from_bytes(address.encode()[8:12], _BYTE_ORDER), port)
    raise ValueError(f"{address} has no form in Python's socket module")


#: The machine's own order, in which the kernel writes families and numbers that do not travel.
_BYTE_ORDER: Final = sys.byteorder
