"""Messages over byte streams of asyncio and trio: ours, and the streams that people have already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from ...errors import EndOfStream, EndpointError, UsageError
from ...framing import Framing
from ..messages import MessageSteps, StreamOfBytes
from ..steps import Await, Steps
from ..stream import Progress, StreamSteps
from .driver import TURN, arrival, drive
from .stream import RECEIVE, SEND
from .watch import Watch

__all__ = ["MessageStream", "messages"]

MessageT = TypeVar("MessageT")


class MessageStream(MessageSteps[MessageT]):
    """A stream of messages. Iterating receives until the peer has finished.

    A cancelled receive loses no message. A cancelled send on a connection of ours keeps the rest of the message,
    which the next send or `flush` sends first.
    """

    _in_a_row = 0

    def fileno(self) -> int:
        """Return the descriptor of the stream underneath."""
        return self._stream.fileno()

    def _watched(self) -> Watch:
        watch: Watch = self._stream._watched()  # type: ignore[attr-defined]  # foreign streams wait by themselves
        return watch

    def _arrived(self) -> list[MessageT] | None:
        return self._now_many(RECEIVE)

    async def receive(self) -> MessageT:
        """Return the next message.

        Raises:
            EndOfStream: the peer has finished, between two messages.
            FramingError: what came is no message; `CutMessage` when the stream ended inside one.
        """
        self._in_a_row += 1
        if self._in_a_row < TURN:
            if self._queue:
                return self._queue.popleft()
            if found := self._now_many(RECEIVE):
                return self._first(found)
        if self._now_receive is None or self._ended:
            return await drive(self._receive_one(RECEIVE), self)
        if found := await arrival(self, self._arrived, self._queue.extend):
            return self._first(found)
        return await drive(self._receive_one(RECEIVE), self)  # the end

    async def receive_many(self) -> list[MessageT]:
        """Return all messages that are there, waiting for the first; an empty list when the peer has finished."""
        self._in_a_row += 1
        if self._in_a_row < TURN and (found := self._now_many(RECEIVE)) is not None:
            return found
        if self._now_receive is None:
            return await drive(self._receive_many(RECEIVE), self)
        return await arrival(self, self._arrived, self._queue.extend)

    async def send(self, message: MessageT, *, progress: Progress | None = None) -> None:
        """Send one message."""
        await self._send_wire(self._framing.encode(message), progress)

    async def send_many(self, messages: Iterable[MessageT]) -> None:
        """Send messages in as few system calls as possible."""
        await self._send_wire(self._framing.encode_many(messages), None)

    async def _send_wire(self, wire: bytes, progress: Progress | None) -> None:
        self._in_a_row += 1
        if progress is not None or self._in_a_row >= TURN:
            await drive(self._send_encoded(wire, SEND, progress), self)
        elif not self._now_encoded(wire, SEND):
            await drive(self._send_rest(wire, SEND), self)

    async def flush(self) -> None:
        """Send what a cancelled send left over."""
        await drive(self._flush(SEND), self)

    async def finish_sending(self) -> None:
        """Say that no more messages will come."""
        await drive(self._finish(), self)

    async def close(self) -> None:
        """Close the stream underneath."""
        closed = self._stream._close()
        if isinstance(closed, Awaitable):
            await closed

    async def __aiter__(self) -> AsyncIterator[MessageT]:
        while True:
            try:
                message = await self.receive()
            except EndOfStream:
                return
            yield message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Foreign:
    """A stream of another library, as steps."""

    def __init__(self) -> None:
        self._torn = False

    def fileno(self) -> int:
        return -1

    def _receive(self, max_bytes: int, flags: int) -> Steps[bytes]:
        data = yield Await(lambda: self.take(max_bytes))
        return bytes(data)

    def _send(self, data: bytes | memoryview, flags: int) -> Steps[int]:
        if self._torn:
            raise EndpointError("a cancelled send left an unknown part of a message on this stream; close it")
        self._torn = True
        yield Await(lambda: self.give(bytes(data)))
        self._torn = False
        return len(data)

    async def take(self, max_bytes: int) -> bytes:
        raise NotImplementedError

    async def give(self, data: bytes) -> None:
        raise NotImplementedError


class _Asyncio(_Foreign):
    """asyncio's pair of StreamReader and StreamWriter."""

    def __init__(self, reader: Any, writer: Any) -> None:
        super().__init__()
        self._reader: Final = reader
        self._writer: Final = writer

    async def take(self, max_bytes: int) -> bytes:
        return await self._reader.read(max_bytes)  # type: ignore[no-any-return]

    def _send(self, data: bytes | memoryview, flags: int) -> Steps[int]:
        # drain() before write(): what was written cannot be taken back, so nothing may be cancelled after it.
        yield Await(self._writer.drain)
        self._writer.write(data)
        return len(data)

    def _finish_sending(self) -> Steps[None]:
        yield Await(self._writer.drain)
        self._writer.write_eof()

    async def _close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


class _Anyio(_Foreign):
    """A byte stream of anyio."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream: Final = stream

    async def take(self, max_bytes: int) -> bytes:
        import anyio

        try:
            return await self._stream.receive(max_bytes)  # type: ignore[no-any-return]
        except anyio.EndOfStream:
            return b""

    async def give(self, data: bytes) -> None:
        await self._stream.send(data)

    def _finish_sending(self) -> Steps[None]:
        yield Await(self._stream.send_eof)

    async def _close(self) -> None:
        await self._stream.aclose()


class _Trio(_Foreign):
    """A stream of trio."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream: Final = stream

    async def take(self, max_bytes: int) -> bytes:
        return await self._stream.receive_some(max_bytes)  # type: ignore[no-any-return]

    async def give(self, data: bytes) -> None:
        await self._stream.send_all(data)

    def _finish_sending(self) -> Steps[None]:
        yield Await(self._stream.send_eof)

    async def _close(self) -> None:
        await self._stream.aclose()


def messages(stream: Any, framing: Framing[MessageT]) -> MessageStream[MessageT]:
    """Return ``stream`` as a stream of messages.

    Args:
        stream: an async connection of ours, asyncio's ``(reader, writer)``, a byte stream of anyio, or a stream of
            trio.
        framing: how the bytes are cut.

    Raises:
        UsageError: none of these.
    """
    return MessageStream(_adapted(stream), framing)


def _adapted(stream: Any) -> StreamOfBytes:
    if isinstance(stream, StreamSteps):
        if stream.blocking:
            raise UsageError(f"{stream!r} blocks; use its own messages(), or a connection of wallsocket.aio")
        return stream
    if isinstance(stream, tuple) and len(stream) == 2 and _has(stream[0], "read") and _has(stream[1], "drain"):
        return _Asyncio(*stream)
    if _has(stream, "receive_some") and _has(stream, "send_all"):
        return _Trio(stream)
    if _has(stream, "receive") and _has(stream, "send") and _has(stream, "send_eof"):
        return _Anyio(stream)
    raise UsageError(
        f"{type(stream).__name__} is no stream of bytes: expected a connection of wallsocket.aio, (reader, writer) of "
        "asyncio, a byte stream of anyio, or a stream of trio"
    )


def _has(thing: object, name: str) -> bool:
    return isinstance(getattr(thing, name, None), Callable)  # type: ignore[arg-type]
