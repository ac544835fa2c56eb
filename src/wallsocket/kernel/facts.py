"""A picture of a host at one moment: what rules and reasons look at when something has failed."""

from __future__ import annotations

import msgspec

from .limits import Limits
from .routes import InterfaceAddress, Link, Neighbour, Route
from .sockets import InetSocket

__all__ = ["Facts"]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host looked like at one moment; a part that could not be read is ``None``, and `unknown` says why.

    Attributes:
        listeners: TCP listeners and unconnected UDP sockets.
        links: interfaces.
        addresses: their addresses.
        routes: routes of all tables but the local one.
        neighbours: the neighbour tables.
        limits: limits of the host and of this process.
        unknown: part -> reason.

    """

    listeners: tuple[InetSocket, ...] | None
    links: tuple[Link, ...] | None
    addresses: tuple[InterfaceAddress, ...] | None
    routes: tuple[Route, ...] | None
    neighbours: tuple[Neighbour, ...] | None
    limits: Limits
    unknown: dict[str, str]
