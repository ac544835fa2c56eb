"""The calls that async connections of TCP and Unix sockets share."""

from __future__ import annotations

from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import anyio

from .. import flags as msg
from ..stream import RECEIVE_SIZE, Progress, StreamSteps, check_size
from .driver import TURN, Async, arrival, drive

if TYPE_CHECKING:
    from ...framing import Framing
    from .messages import MessageStream

__all__ = ["RECEIVE", "SEND", "AsyncStream"]

MessageT = TypeVar("MessageT")

RECEIVE: Final = msg.DONTWAIT
SEND: Final = msg.SEND_NOW


class AsyncStream(StreamSteps, Async):
    """A connection on asyncio or trio."""

    async def receive(self, max_bytes: int = RECEIVE_SIZE, *, peek: bool = False) -> bytes:
        """Return the bytes that are there (of a seqpacket: the next message); ``b""`` when the peer has finished.

        Args:
            max_bytes: at least 1.
            peek: leave the bytes where they are (MSG_PEEK).
        """
        if max_bytes < 1:
            check_size(max_bytes)
        if peek:
            return await drive(self._receive(max_bytes, RECEIVE | msg.PEEK), self)
        return await self._arriving(max_bytes)

    async def _arriving(self, max_bytes: int) -> bytes:
        self._in_a_row += 1
        if self._in_a_row < TURN and (data := self._now_receive(max_bytes, RECEIVE)) is not None:
            return data
        return await arrival(self, partial(self._now_receive, max_bytes, RECEIVE), self._put_back)

    async def receive_into(self, buffer: Any) -> int:
        """Receive into a writable buffer; return the count, 0 when the peer has finished sending."""
        return await drive(self._receive_into(memoryview(buffer).cast("B"), RECEIVE), self)

    async def receive_exactly(self, count: int) -> bytes:
        """Return exactly ``count`` bytes. What came before a cancellation is kept for the next call.

        Raises:
            EndOfStream: the peer finished before; it has what came.
        """
        return await drive(self._receive_exactly(count, RECEIVE), self)

    async def send_all(self, data: Any, *, progress: Progress | None = None) -> None:
        """Hand all bytes to the kernel; after a cancellation `bytes_sent` says how many it took."""
        await drive(self._send_all(data, SEND, progress), self)

    async def send_file(
        self, file: IO[bytes], *, offset: int = 0, count: int | None = None, progress: Progress | None = None
    ) -> int:
        """Send an open file by sendfile(2); return the bytes sent."""
        return await drive(self._send_file(file, offset, count, progress), self)

    async def close(self, *, graceful: bool = False, timeout_s: float = 5.0) -> None:
        """Close; ``graceful`` cannot reset the peer, and waits for it at most ``timeout_s`` seconds."""
        if graceful:
            with anyio.move_on_after(timeout_s):
                await drive(self._close_gracefully(), self)
        self._close()

    def messages(self, framing: Framing[MessageT]) -> MessageStream[MessageT]:
        """Return the connection as a stream of messages."""
        from .messages import MessageStream

        return MessageStream(self, framing)
