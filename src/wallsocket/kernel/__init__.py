"""What the kernel says about a host: sockets, options, addresses, routes, limits, counters, names of numbers."""

from __future__ import annotations

import importlib as _importlib
import socket as _socket
from typing import TYPE_CHECKING
from typing import Any as _Any

from .._core.kernel import Address
from .._core.kernel import disconnect as _disconnect
from .host import Here, Host, here

if TYPE_CHECKING:
    from . import address, causes, counters, limits, names, options, refusal
    from .facts import Facts
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
    "refusal",
]

#: Where names are that are imported when they are first used; a module is under its own name.
_PLACES = {
    "Facts": "facts",
    "InetSocket": "sockets",
    "InterfaceAddress": "routes",
    "Limits": "limits",
    "Link": "routes",
    "Neighbour": "routes",
    "Owner": "sockets",
    "Owners": "sockets",
    "Route": "routes",
    "SocketMemory": "tcp_info",
    "TcpInfo": "tcp_info",
    "UnixSocket": "sockets",
}
_MODULES = frozenset(
    {"address", "causes", "counters", "limits", "names", "options", "refusal", "routes", "sockets", "tcp_info"}
)


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    if name in _PLACES:
        return getattr(_importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def disconnect(sock: _socket.socket | int) -> None:
    """Dissolve the association of a socket: ``connect()`` to AF_UNSPEC, which Python's ``socket`` cannot say.

    Args:
        sock: a socket or its descriptor. A UDP socket can be connected anew; a TCP connection is reset.

    Raises:
        OSError: the kernel's refusal.

    """
    _disconnect(sock if isinstance(sock, int) else sock.fileno())
