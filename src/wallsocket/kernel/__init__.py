"""What the kernel says about a host: sockets, options, addresses, routes, limits, counters, names of numbers."""

from __future__ import annotations

import socket as _socket

from .._core.kernel import Address
from .._core.kernel import disconnect as _disconnect
from . import address, causes, counters, limits, names, options
from .host import Facts, Here, Host, here
from .limits import Limits
from .routes import InterfaceAddress, Link, Neighbour, Route
from .sockets import InetSocket, Owner, Owners, UnixSocket
from .tcp_info import SocketMemory, TcpInfo

__all__ = [
    "Address",
    "Facts",
    "Here",
    "Host",
    "InetSocket",
    "InterfaceAddress",
    "Limits",
    "Link",
    "Neighbour",
    "Owner",
    "Owners",
    "Route",
    "SocketMemory",
    "TcpInfo",
    "UnixSocket",
    "address",
    "causes",
    "counters",
    "disconnect",
    "here",
    "limits",
    "names",
    "options",
]


def disconnect(sock: _socket.socket | int) -> None:
    """Dissolve the association of a socket: ``connect()`` to AF_UNSPEC, which Python's ``socket`` cannot say.

    Args:
        sock: a socket or its descriptor. A UDP socket can be connected anew; a TCP connection is reset.

    Raises:
        OSError: the kernel's refusal.

    """
    _disconnect(sock if isinstance(sock, int) else sock.fileno())
