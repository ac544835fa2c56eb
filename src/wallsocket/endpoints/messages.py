"""Messages over byte streams: a framing at work on a connection."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Generic, Protocol, Self

from ..errors import DeadlinePassed, EndOfStream, UsageError, WouldBlock
from ..framing import Framing
from ..framing.protocol import MessageT
from .steps import Steps, run
from .stream import RECEIVE_SIZE, Progress

__all__ = ["MessageSteps", "MessageStream", "StreamOfBytes"]


class StreamOfBytes(Protocol):
    """What messages need of a stream of bytes, as steps."""

    def _receive(self, max_bytes: int, flags: int) -> Steps[bytes]: ...

    def _send(self, data: bytes | memoryview, flags: int) -> Steps[int]: ...

    def _finish_sending(self) -> Steps[None]: ...

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        ...

    def _close(self) -> object: ...


class MessageSteps(Generic[MessageT]):
    """The operations of a message stream, as steps.

    Nothing is lost by a cancellation: messages that came stay queued, and the rest of a message that went out in part
    is kept and sent before the next one.
    """

    def __init__(self, stream: StreamOfBytes, framing: Framing[MessageT]) -> None:
        self._stream: Final = stream
        self._framing: Final = framing
        self._decoder: Final = framing.decoder()
        self._queue: deque[MessageT] = deque()
        self._unsent: bytes | memoryview = b""
        self._ended = False
        self._finished = False

    @property
    def framing(self) -> Framing[MessageT]:
        """The framing in use."""
        return self._framing

    @property
    def unsent(self) -> int:
        """Bytes of encoded messages that a cancelled send left over; the next send or `flush` sends them first."""
        return len(self._unsent)

    @property
    def waiting(self) -> int:
        """Messages that have come and were not taken yet."""
        return len(self._queue)

    def _receive_many(self, flags: int) -> Steps[list[MessageT]]:
        """Return all messages that are there, at least one; an empty list at the end."""
        if self._queue:
            found = list(self._queue)
            self._queue.clear()
            return found
        decoder = self._decoder
        while not self._ended:
            if decoder.fault is not None:
                raise decoder.fault
            data = yield from self._stream._receive(RECEIVE_SIZE, flags)
            if data:
                found = decoder.feed(data)
            else:
                self._ended = True
                found = decoder.finish()
            if found:
                return found
        if decoder.fault is not None:
            raise decoder.fault
        return []

    def _receive_one(self, flags: int) -> Steps[MessageT]:
        queue = self._queue
        if not queue:
            found = yield from self._receive_many(flags)
            if not found:
                raise EndOfStream("the peer has finished sending, after a whole message")
            if len(found) == 1:
                return found[0]
            queue.extend(found)
        return queue.popleft()

    def _send_encoded(self, wire: bytes, flags: int, progress: Progress | None = None) -> Steps[None]:
        if self._finished:
            raise UsageError("finish_sending() was called, or the one message of the connection was sent")
        data: bytes | memoryview = bytes(self._unsent) + wire if self._unsent else wire
        total = len(data)
        sent = 0
        try:
            while sent < total:
                sent += yield from self._stream._send(data if not sent else memoryview(data)[sent:], flags)
                if progress is not None:
                    progress(sent, total)
        except (DeadlinePassed, WouldBlock) as error:
            error.done = sent
            error.strerror = f"{error.strerror} ({sent} of {total} bytes went out, the rest is kept)"
            raise
        finally:
            self._unsent = data[sent:]
        if self._framing.ends_with_stream:
            self._finished = True
            yield from self._stream._finish_sending()

    def _flush(self, flags: int) -> Steps[None]:
        if self._unsent:
            yield from self._send_encoded(b"", flags)

    def _finish(self) -> Steps[None]:
        if self._unsent:
            raise UsageError(f"{len(self._unsent)} bytes of a message are unsent; flush() first")
        if not self._finished:
            self._finished = True
            yield from self._stream._finish_sending()


class MessageStream(MessageSteps[MessageT]):
    """A connection as a stream of messages. Iterating receives until the peer has finished.

    ``timeout_s`` means what it means for connections.
    """

    def receive(self, *, timeout_s: float | None = None) -> MessageT:
        """Return the next message.

        Raises:
            EndOfStream: the peer has finished, between two messages.
            FramingError: what came is no message; `CutMessage` when the stream ended inside one.
        """
        flags = 0 if timeout_s is None else socket.MSG_DONTWAIT
        return run(self._receive_one(flags), self._stream, timeout_s, "receive")

    def receive_many(self, *, timeout_s: float | None = None) -> list[MessageT]:
        """Return all messages that are there, waiting for the first; an empty list when the peer has finished.

        Takes one system call for as many messages as came together.
        """
        flags = 0 if timeout_s is None else socket.MSG_DONTWAIT
        return run(self._receive_many(flags), self._stream, timeout_s, "receive")

    def send(self, message: MessageT, *, timeout_s: float | None = None, progress: Progress | None = None) -> None:
        """Send one message.

        Raises:
            UnsendableMessage: the framing cannot carry it; nothing was sent.
            DeadlinePassed: the rest is kept; call `flush`, or send the next message.
        """
        flags = socket.MSG_NOSIGNAL if timeout_s is None else socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
        steps = self._send_encoded(self._framing.encode(message), flags, progress)
        run(steps, self._stream, timeout_s, "send")

    def send_many(self, messages: Iterable[MessageT], *, timeout_s: float | None = None) -> None:
        """Send messages in as few system calls as possible."""
        flags = socket.MSG_NOSIGNAL if timeout_s is None else socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
        steps = self._send_encoded(self._framing.encode_many(messages), flags)
        run(steps, self._stream, timeout_s, "send")

    def flush(self, *, timeout_s: float | None = None) -> None:
        """Send what a send that ran out of time left over."""
        flags = socket.MSG_NOSIGNAL if timeout_s is None else socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
        run(self._flush(flags), self._stream, timeout_s, "send")

    def finish_sending(self) -> None:
        """Say that no more messages will come.

        Raises:
            UsageError: a message went out in part; `flush` it first, or close.
        """
        run(self._finish(), self._stream, None, "finish_sending")

    def close(self) -> None:
        """Close the connection."""
        self._stream._close()

    def __iter__(self) -> Iterator[MessageT]:
        while True:
            try:
                yield self.receive()
            except EndOfStream:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream._close()
