"""UDP for asyncio and trio; the operations, states and errors are those of `wallsocket.udp`."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import flags as msg
from .. import udp as semantics
from ..addresses import Address
from ..base import Inet, positive
from ..udp import BUFFER_SIZE, Datagram, reply_source
from .driver import TURN, AsyncClosing, arrival, drive
from .stream import RECEIVE, SEND

if TYPE_CHECKING:
    from ...kernel import Host

__all__ = ["Datagram", "Endpoint", "bind", "connect"]


class Endpoint(Inet, semantics.EndpointSteps, AsyncClosing):
    """A UDP socket; see `wallsocket.udp.Endpoint`. Iterating receives for ever."""

    socket_kind = socket.SOCK_DGRAM

    async def connect(self, address: Address) -> None:
        """Choose one peer; sends no packet."""
        await drive(self._connect(address), self)

    async def receive(self, max_bytes: int = BUFFER_SIZE, *, peek: bool = False) -> Datagram:
        """Return the next datagram; an empty one is a datagram, too."""
        if max_bytes < BUFFER_SIZE:
            positive(max_bytes, "max_bytes")
        if peek:
            return await drive(self._receive(max_bytes, RECEIVE | msg.PEEK), self)
        self._in_a_row += 1
        if self._in_a_row < TURN and (found := self._now_receive(max_bytes, RECEIVE)) is not None:
            return found
        return await arrival(self, partial(self._arrived, max_bytes, RECEIVE), self._queue.appendleft)

    async def receive_many(self, limit: int = 64) -> list[Datagram]:
        """Return the datagrams that are there, at most ``limit``, waiting for the first."""
        positive(limit, "limit")
        self._in_a_row += 1
        if self._in_a_row < TURN and (found := self._now_many(limit, RECEIVE)) is not None:
            return found
        return await arrival(self, partial(self._arrived_many, limit, RECEIVE), self._put_back)

    async def send(
        self, data: Any, to: Address | None = None, *, source: str | None = None, interface: str | int = 0
    ) -> None:
        """Send one datagram."""
        self._in_a_row += 1
        if self._in_a_row < TURN and source is None and not interface:
            known = self._known_peer(to)
            if known is not None and self._now_send(data, known, SEND, None, 0):
                return
        await drive(self._send(data, to, SEND, source, interface), self)

    async def send_many(self, datagrams: Iterable[Any], to: Address | None = None) -> int:
        """Send datagrams to one destination; return how many. Runs of equal length share a system call (GSO)."""
        return await drive(self._send_many(list(datagrams), to, SEND), self)

    async def reply(self, datagram: Datagram, data: Any) -> None:
        """Answer ``datagram`` from the very address that it was sent to."""
        await drive(self._send(data, datagram.peer, SEND, reply_source(datagram), 0), self)

    async def __aiter__(self) -> AsyncIterator[Datagram]:
        while True:
            yield await self.receive()


async def bind(
    address: Address,
    *,
    host: Host | None = None,
    reuse_address: bool = False,
    reuse_port: bool = False,
    ipv6_only: bool | None = None,
    details: bool | None = None,
) -> Endpoint:
    """Create an endpoint on ``address``; see `wallsocket.udp.bind`."""
    steps = semantics.bind_steps(Endpoint, address, host, reuse_address, reuse_port, ipv6_only, details)
    return await drive(steps, None)


async def connect(
    address: Address, *, host: Host | None = None, source: Address | None = None, icmp_errors: bool = True
) -> Endpoint:
    """Create an endpoint whose peer is ``address``; see `wallsocket.udp.connect`."""
    return await drive(semantics.connect_steps(Endpoint, address, host, source, icmp_errors), None)
