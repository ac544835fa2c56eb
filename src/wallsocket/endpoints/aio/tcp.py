"""TCP for asyncio and trio.

The operations, states, errors and parameters are those of `wallsocket.tcp`; time limits are cancel scopes
(``with anyio.fail_after(5):``, ``asyncio.timeout``). A cancelled receive loses no byte; after a cancelled send
`Connection.bytes_sent` says how much went out.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .. import flags as msg
from .. import tcp as semantics
from ..addresses import Address
from ..base import Inet
from ..stream import RECEIVE_SIZE, check_size
from .driver import drive
from .listener import AsyncListener
from .stream import RECEIVE, SEND, AsyncStream

if TYPE_CHECKING:
    from ...kernel import Host

__all__ = ["Connection", "Listener", "connect", "listen"]

MessageT = TypeVar("MessageT")


class Connection(Inet, semantics.ConnectionSteps, AsyncStream):
    """A TCP connection; see `wallsocket.tcp.Connection`."""

    async def connect(self, address: Address) -> None:
        """Connect to ``address``; a cancelled attempt is given up and may be made again."""
        await drive(self._connect(address), self)

    async def receive(self, max_bytes: int = RECEIVE_SIZE, *, peek: bool = False, urgent: bool = False) -> bytes:
        """Return the bytes that are there, at most ``max_bytes``; ``b""`` when the peer has finished sending."""
        if urgent:
            return await drive(self._receive(check_size(max_bytes), RECEIVE | msg.OOB), self)
        return await super().receive(max_bytes, peek=peek)

    async def send(self, data: Any, *, more: bool = False, urgent: bool = False) -> int:
        """Hand bytes to the kernel; return how many it took, which may be fewer."""
        flags = SEND | (msg.MORE if more else 0) | (msg.OOB if urgent else 0)
        return await drive(self._send(data, flags), self)


class Listener(Inet, semantics.ListenerSteps, AsyncListener[Connection]):
    """A listening TCP socket; see `wallsocket.tcp.Listener`."""

    _kind = Connection


async def connect(
    address: Address,
    *,
    host: Host | None = None,
    source: Address | None = None,
    stagger_s: float = semantics.STAGGER_S,
    setup: Callable[[socket.socket], object] | None = None,
) -> Connection:
    """Connect to ``address``; see `wallsocket.tcp.connect`."""
    return await drive(semantics.connect_steps(Connection, address, host, source, setup, stagger_s), None)


async def listen(
    address: Address,
    *,
    host: Host | None = None,
    backlog: int = 128,
    reuse_address: bool = True,
    reuse_port: bool = False,
    ipv6_only: bool | None = None,
) -> Listener:
    """Create a listener on ``address``; see `wallsocket.tcp.listen`."""
    steps = semantics.listen_steps(Listener, address, host, backlog, reuse_address, reuse_port, ipv6_only)
    return await drive(steps, None)
