"""Interfaces and sockets of the host that a capture or a probe belongs to.

Everything is asked of a socket of that host, so it works across network namespaces. Sources: netdevice(7), packet(7).
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from typing import Any, Protocol

from ..errors import NotPermitted, UsageError

__all__ = ["HasSockets", "Interface", "interface", "interfaces", "packet_socket", "resolve", "route"]

ETH_P_ALL = 0x0003
_SIOCGIFCONF = 0x8912
_SIOCGIFFLAGS = 0x8913
_SIOCGIFADDR = 0x8915
_SIOCGIFMTU = 0x8921
_SIOCGIFHWADDR = 0x8927
_SIOCGIFNAME = 0x8910
_SIOCGIFINDEX = 0x8933
_IFF_UP = 0x1


class HasSockets(Protocol):
    """A host: something that makes sockets in its network namespace, such as :class:`wallsocket.kernel.Host`."""

    def socket(self, family: int = ..., kind: int = ..., proto: int = ..., /) -> socket.socket:
        """Make a socket, as ``socket.socket`` does."""
        ...


def host_or_here(host: HasSockets | None) -> HasSockets:
    """The host, or the caller's own network when there is none."""
    if host is None:
        from ..kernel import here

        return here
    return host


class Interface:
    """A network interface of a host, as it was when it was looked up.

    Attributes:
        name: its name.
        index: its number in the host's namespace.
        hardware_type: ``ARPHRD_*``: 1 Ethernet, 772 loopback, 65534 none.
        mac: link-layer address as text; ``None`` where there is none.
        mtu: largest packet, bytes.
        is_up: whether it is administratively up.
        address: its first IPv4 address; ``None`` without one.
    """

    __slots__ = ("address", "hardware_type", "index", "is_up", "mac", "mtu", "name")

    def __init__(
        self, name: str, index: int, hardware_type: int, mac: str | None, mtu: int, is_up: bool, address: str | None
    ) -> None:
        self.name = name
        self.index = index
        self.hardware_type = hardware_type
        self.mac = mac
        self.mtu = mtu
        self.is_up = is_up
        self.address = address

    def __repr__(self) -> str:
        return f"<Interface {self.name} index {self.index}>"


def _request(sock: socket.socket, code: int, name: bytes, value: bytes = b"") -> bytes:
    """One ``ioctl`` with a ``struct ifreq``; the 24 bytes after the name."""
    return fcntl.ioctl(sock.fileno(), code, struct.pack("16s24s", name, value))[16:]


def interface(name: str | int, host: HasSockets | None = None) -> Interface:
    """Look an interface up by name or index.

    Raises:
        UsageError: the host has no such interface; the text lists those it has.

    """
    with host_or_here(host).socket(socket.AF_INET, socket.SOCK_DGRAM, 0) as sock:
        try:
            if isinstance(name, int):
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFNAME, struct.pack("16si20x", b"", name))
                encoded = answer[:16].rstrip(b"\0")
            else:
                encoded = name.encode()
                if not 0 < len(encoded) < 16:
                    raise OSError(errno.ENODEV, "no such device")
            index = struct.unpack_from("i", _request(sock, _SIOCGIFINDEX, encoded))[0]
        except OSError as error:
            if error.errno != errno.ENODEV and error.errno != errno.ENXIO:
                raise
            known = ", ".join(sorted(found.name for found in interfaces(host))) or "none with an IPv4 address"
            raise UsageError(f"no interface {name!r} (there is: {known})") from error
        flags = struct.unpack_from("h", _request(sock, _SIOCGIFFLAGS, encoded))[0]
        hardware = _request(sock, _SIOCGIFHWADDR, encoded)
        hardware_type = struct.unpack_from("H", hardware)[0]
        mtu = struct.unpack_from("i", _request(sock, _SIOCGIFMTU, encoded))[0]
        try:
            address = socket.inet_ntoa(_request(sock, _SIOCGIFADDR, encoded)[4:8])
        except OSError:
            address = None
        mac = ":".join(f"{byte:02x}" for byte in hardware[2:8]) if hardware_type in (1, 772) else None
        return Interface(os.fsdecode(encoded), index, hardware_type, mac, mtu, bool(flags & _IFF_UP), address)


def interfaces(host: HasSockets | None = None) -> list[Interface]:
    """Every interface of the host, by index.

    The kernel has no question "which indices are there" outside netlink, so the indices are tried in turn: namespaces
    number from 1 and leave few gaps.
    """
    found = []
    with host_or_here(host).socket(socket.AF_INET, socket.SOCK_DGRAM, 0) as sock:
        gap = 0
        index = 0
        while gap < 256:
            index += 1
            try:
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFNAME, struct.pack("16si20x", b"", index))
            except OSError:
                gap += 1
                continue
            gap = 0
            found.append(os.fsdecode(answer[:16].rstrip(b"\0")))
    return [interface(name, host) for name in found]


def packet_socket(host: HasSockets | None = None) -> socket.socket:
    """A packet socket that receives nothing yet.

    Raises:
        NotPermitted: without CAP_NET_RAW.

    """
    try:
        return host_or_here(host).socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError as error:
        from ..kernel import refusal

        raise NotPermitted(
            f"{refusal.frames(error.errno or 0)}; or use a lab, which needs no privilege (wallsocket lab run, wallsocket.lab)"
        ) from error


def resolve(name: str, host: HasSockets | None = None, family: int = socket.AF_UNSPEC) -> tuple[int, str]:
    """The first address of a name, as (family, text).

    Raises:
        UsageError: the name has no address of that family.

    """
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        pass
    else:
        found_family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        if family not in (socket.AF_UNSPEC, found_family):
            wanted = "IPv4" if family == socket.AF_INET else "IPv6"
            raise UsageError(f"{name} is not an {wanted} address")
        return found_family, name
    asked: Any = getattr(host, "resolve", None)
    try:
        if asked is None:
            found = socket.getaddrinfo(name, 0, family, socket.SOCK_DGRAM)
        else:
            found = asked(name, 0, family=family, kind=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise UsageError(f"no address for {name!r}: {error.strerror}") from error
    if not found:
        raise UsageError(f"no address for {name!r}")
    return int(found[0][0]), str(found[0][-1][0])


def route(destination: str, host: HasSockets | None = None) -> tuple[str, Interface | None]:
    """The source address that the host would use towards an address, and the interface that has it when it is IPv4.

    Raises:
        OSError: no route (ENETUNREACH).

    """
    family, address = resolve(destination, host)
    with host_or_here(host).socket(family, socket.SOCK_DGRAM, 0) as sock:
        if family == socket.AF_INET6:
            sock.connect(socket.getaddrinfo(address, 9, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4])
        else:
            # Port 9 (discard); connecting a UDP socket sends nothing.
            sock.connect((address, 9))
        source = str(sock.getsockname()[0])
    if family == socket.AF_INET:
        for found in interfaces(host):
            if found.address == source:
                return source, found
    return source, None
