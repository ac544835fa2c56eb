"""Raw IPv4 sockets for asyncio and trio; see `wallsocket.raw`."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .. import raw as semantics
from ..base import default_host, make_socket
from ..raw import Packet
from .driver import AsyncClosing, drive
from .stream import RECEIVE

if TYPE_CHECKING:
    from ...kernel import Host

__all__ = ["Endpoint", "Packet"]


class Endpoint(semantics.EndpointSteps, AsyncClosing):
    """A raw IPv4 socket; see `wallsocket.raw.Endpoint`."""

    def __init__(self, protocol: int | str, *, own_header: bool = False, host: Host | None = None) -> None:
        home = default_host(host)
        sock = make_socket(home, socket.AF_INET, socket.SOCK_RAW, semantics.protocol_number(protocol))
        sock.setblocking(False)
        super().__init__(sock, home, "created")
        if own_header:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)

    async def receive(self) -> Packet:
        """Return the next packet of the protocol, header parsed."""
        return await drive(self._receive(RECEIVE), self)

    async def receive_many(self, count: int = semantics.BATCH) -> list[Packet]:
        """Wait for a packet, and return it with those that are there behind it, at most ``count`` (1024)."""
        return await drive(self._receive_many(count), self)

    async def send_many(self, packets: Iterable[tuple[Any, str | None]]) -> None:
        """Send packets, each with its destination; an error says in ``sent`` how many were sent before it."""
        await drive(self._send_many(packets), self)

    async def send(self, data: Any, to: str | None = None) -> None:
        """Send one packet: a payload, or header and payload with ``own_header``."""
        await drive(self._send(data, to, RECEIVE), self)
