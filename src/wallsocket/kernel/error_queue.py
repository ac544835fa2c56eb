"""The error queue of a socket: what routers, destinations and this host say of packets that were sent (ip(7), ipv6(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from .._core.kernel import Address

__all__ = ["QueuedError", "collect", "queued_error"]

#: include/uapi/linux/in.h, in6.h; Python's socket module lacks them.
_RECVERR: Final = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
#: Origins that are messages of the network: SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6 (include/uapi/linux/errqueue.h).
_ICMP: Final = (2, 3)
#: ``struct sock_extended_err``; the address of who reports follows.
_ENTRY: Final = struct.Struct("=IBBBxI4x")


class QueuedError(NamedTuple):
    """One entry.

    Attributes:
        number: the errno.
        icmp: type and code of the ICMP message that told it; ``None`` when this host knew by itself.
        info: of EMSGSIZE the MTU; 0 is unknown.
        reporter: address of who told it; ``None`` is unknown.
    """

    number: int
    icmp: tuple[int, int] | None
    info: int
    reporter: str | None


def collect(sock: socket.socket, on: bool = True) -> None:
    """Have errors of earlier packets put into the queue, or no more (IP_RECVERR, IPV6_RECVERR)."""
    sock.setsockopt(*_RECVERR[socket.AddressFamily(sock.family)], int(on))


def queued_error(control: Iterable[tuple[int, int, bytes]]) -> QueuedError | None:
    """The entry among the control messages that ``recvmsg`` with MSG_ERRQUEUE returned."""
    for level, kind, value in control:
        if (level, kind) in _RECVERR.values() and len(value) >= _ENTRY.size:
            number, origin, icmp_type, code, info = _ENTRY.unpack_from(value)
            icmp = (icmp_type, code) if origin in _ICMP else None
            return QueuedError(number, icmp, info, Address.decode(value[_ENTRY.size :]).host)
    return None
