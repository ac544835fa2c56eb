"""Addresses as rules compare them: a host and a port, or the name of a Unix socket.

The bytes are read by the one decoder, ``wallsocket.kernel.address``; here stands only what two addresses are to each
other: which listener gets what is sent where.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from ..kernel.address import Address as KernelAddress
from .vocabulary import AF_INET, AF_INET6, AF_UNIX

__all__ = ["Address", "address_of", "swapped"]

#: Where the C library asks for a cache of names that few hosts have (nscd/nscd-client.h of glibc).
_NAME_CACHES = frozenset({"/var/run/nscd/socket", "/run/nscd/socket"})


class Address(NamedTuple):
    """Where a socket is: a host and a port, or a path with port 0. IPv4 written as IPv6 (``::ffff:…``) is IPv4."""

    host: str
    port: int
    family: int = AF_INET

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every address."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 (recognised, not bound)

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach it."""
        return self.host.startswith("127.") or self.host == "::1"

    @property
    def group(self) -> bool:
        """Whether it is a multicast group."""
        if self.family == AF_INET6:
            return self.host.startswith("ff")
        return self.family == AF_INET and 224 <= int(self.host.partition(".")[0]) <= 239

    @property
    def many(self) -> bool:
        """Whether it may stand for more than one host: a group, or an address that ends as broadcasts do."""
        return self.group or (self.family == AF_INET and self.host.endswith(".255"))

    @property
    def name_cache(self) -> bool:
        """Whether it is where the C library asks for a name, whatever the program wants with that."""
        return self.family == AF_UNIX and self.host in _NAME_CACHES

    def __str__(self) -> str:
        if self.family == AF_UNIX:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: object) -> Address | None:
        """Read ``host:port`` as recordings hold it; ``None`` for anything else."""
        if not isinstance(text, str):
            return None
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]").split("%")[0]
        if host == "*":
            host = "0.0.0.0"  # noqa: S104
        if not port.isdecimal() or len(port) > 5:
            return None
        return _internet(host, int(port))

    @classmethod
    def of(cls, address: bytes, port: int) -> Address | None:
        """From the 16 bytes of an IPv6 address and a port."""
        return _internet(address, port) if len(address) == 16 else None

    def covers(self, other: Address, *, only_inet6: bool = False) -> bool:
        """Whether a socket bound here gets what is sent to ``other``.

        Args:
            other: the destination.
            only_inet6: IPV6_V6ONLY of the bound socket: then ``::`` does not take IPv4.

        """
        if self.port != other.port:
            return False
        if self.host == other.host:
            return True
        if self.host == "::":
            return not (only_inet6 and other.family == AF_INET)
        return self.host == "0.0.0.0" and other.family == AF_INET  # noqa: S104

    def clashes(self, other: Address) -> bool:
        """Whether two sockets of one protocol cannot both have these addresses."""
        return self.port == other.port and (self.host == other.host or self.wildcard or other.wildcard)


def _internet(host: str | bytes, port: int) -> Address | None:
    found = _host(host)
    return Address(found[0], port, found[1]) if found is not None else None


@lru_cache(4096)
def _host(host: str | bytes) -> tuple[str, int] | None:
    """An address as it is written, and its family: what stands for an IPv4 address is one."""
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(parsed), AF_INET if parsed.version == 4 else AF_INET6


@lru_cache(4096)
def address_of(raw: bytes | None) -> Address | None:
    """Read a ``struct sockaddr`` of the Internet or Unix families; ``None`` for others and for cut ones."""
    if raw is None:
        return None
    decoded = KernelAddress.decode(raw)
    if decoded.family == AF_UNIX:
        if decoded.abstract_name is not None:
            return Address("@" + decoded.abstract_name.decode("utf-8", "backslashreplace"), 0, AF_UNIX)
        return Address(decoded.path.decode("utf-8", "backslashreplace"), 0, AF_UNIX) if decoded.path else None
    if decoded.host is None or decoded.port is None:
        return None
    if decoded.family == AF_INET:
        return Address(decoded.host, decoded.port, AF_INET)
    return _internet(decoded.host.partition("%")[0], decoded.port)


def swapped(port: int) -> int:
    """A port with its two bytes exchanged."""
    return (port & 0xFF) << 8 | port >> 8
