"""Unix sockets for asyncio and trio; the operations, states and errors are those of `wallsocket.unix`."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .. import flags as msg
from .. import unix as semantics
from ..addresses import Address
from ..base import default_host, positive
from ..stream import RECEIVE_SIZE
from ..udp import Datagram
from ..unix import DATAGRAM_SIZE, Kind
from .driver import TURN, AsyncClosing, arrival, drive
from .listener import AsyncListener
from .stream import RECEIVE, SEND, AsyncStream

if TYPE_CHECKING:
    from ...kernel import Host

__all__ = ["Connection", "Endpoint", "Listener", "bind", "connect", "listen", "pair"]

MessageT = TypeVar("MessageT")


class Connection(semantics.ConnectionSteps, AsyncStream):
    """A connected Unix socket; see `wallsocket.unix.Connection`."""

    def __init__(self, sock: socket.socket, host: Host | None = None, state: str = "created") -> None:
        sock.setblocking(False)
        super().__init__(sock, default_host(host), state)

    async def send(self, data: Any) -> int:
        """Hand bytes or one message to the kernel; return how many bytes it took."""
        return await drive(self._send(data, SEND), self)

    async def send_descriptors(self, data: Any, descriptors: Sequence[int]) -> int:
        """Send bytes, and copies of open descriptors with them; return how many bytes went."""
        return await drive(self._send_descriptors(data, descriptors, SEND), self)

    async def receive_descriptors(
        self, max_bytes: int = RECEIVE_SIZE, *, max_descriptors: int = 16
    ) -> tuple[bytes, list[int]]:
        """Return bytes, and the descriptors that came with them (the caller closes them)."""
        positive(max_descriptors, "max_descriptors")
        return await drive(self._receive_descriptors(max_bytes, max_descriptors, RECEIVE), self)


class Listener(semantics.ListenerSteps, AsyncListener[Connection]):
    """A listening Unix socket; see `wallsocket.unix.Listener`."""

    _kind = Connection


class Endpoint(semantics.EndpointSteps, AsyncClosing):
    """A Unix datagram socket; see `wallsocket.unix.Endpoint`."""

    async def receive(self, max_bytes: int = DATAGRAM_SIZE, *, peek: bool = False) -> Datagram:
        """Return the next datagram."""
        positive(max_bytes, "max_bytes")
        if peek:
            return await drive(self._receive(max_bytes, RECEIVE | msg.PEEK), self)
        self._in_a_row += 1
        take = partial(self._now_receive, max_bytes, RECEIVE)
        if self._in_a_row < TURN and (found := take()) is not None:
            return found
        return await arrival(self, take, self._kept.appendleft)

    async def receive_many(self, limit: int = 64) -> list[Datagram]:
        """Return the datagrams that are there, at most ``limit``, waiting for the first."""
        self._in_a_row += 1
        take = partial(self._now_many, positive(limit, "limit"), RECEIVE)
        if self._in_a_row < TURN and (found := take()) is not None:
            return found
        return await arrival(self, take, self._put_back)

    async def send_many(self, datagrams: Iterable[Any], to: Address | None = None) -> int:
        """Send datagrams to one receiver; return how many."""
        return await drive(self._send_many(list(datagrams), to, SEND), self)

    async def send(self, data: Any, to: Address | None = None) -> None:
        """Send one datagram; waits while the receiver's queue is full."""
        await drive(self._send(data, to, SEND), self)


async def connect(address: Address, *, kind: Kind = "stream", host: Host | None = None) -> Connection:
    """Connect to a Unix listener; see `wallsocket.unix.connect`."""
    return await drive(semantics.connect_steps(Connection, address, kind, host), None)


async def listen(
    address: Address,
    *,
    kind: Kind = "stream",
    host: Host | None = None,
    backlog: int = 128,
    replace_stale: bool = True,
    mode: int | None = None,
) -> Listener:
    """Create a Unix listener; see `wallsocket.unix.listen`."""
    return semantics.listening(Listener(None, host, kind=kind), address, backlog, replace_stale, mode)


async def bind(
    address: Address, *, host: Host | None = None, replace_stale: bool = True, mode: int | None = None
) -> Endpoint:
    """Create a Unix datagram endpoint; see `wallsocket.unix.bind`."""
    return semantics.bound(Endpoint(None, host), address, replace_stale, mode)


def pair(kind: Kind = "stream") -> tuple[Connection, Connection]:
    """Return two connections that are connected with each other (socketpair)."""
    a, b = socket.socketpair(socket.AF_UNIX, semantics.kind_number(kind))
    return Connection(a, None, "established"), Connection(b, None, "established")
