"""The calls that async connections of TCP and Unix sockets share."""

from __future__ import annotations

from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self, TypeVar

import anyio

from .. import flags as msg
from ..stream import Progress, StreamSteps
from .driver import closing, drive

if TYPE_CHECKING:
    from ...framing import Framing
    from .messages import MessageStream

__all__ = ["RECEIVE", "SEND", "AsyncStream"]

MessageT = TypeVar("MessageT")

RECEIVE: Final = msg.DONTWAIT
SEND: Final = msg.SEND_NOW


class AsyncStream(StreamSteps):
    """A connection on asyncio or trio."""

    blocking = False
    _in_a_row = 0

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

    def _close(self) -> None:
        closing(self._socket.fileno())
        super()._close()

    def messages(self, framing: Framing[MessageT]) -> MessageStream[MessageT]:
        """Return the connection as a stream of messages."""
        from .messages import MessageStream

        return MessageStream(self, framing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
