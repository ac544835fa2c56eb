"""Messages over byte streams: a framing at work on a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Final, Generic, Protocol, Self

from ..errors import DeadlinePassed, EndOfStream, UsageError, WouldBlock
from ..framing import Framing
from ..framing.protocol import MessageT
from . import flags as msg
from .steps import READABLE, Steps, run
from .stream import RECEIVE_SIZE, Progress, Receive, StreamSteps

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
        # Streams of ours can also be asked without a generator, which is what the hot paths do.
        self._now_receive: Callable[[int, int], bytes | None] | None = getattr(stream, "_now_receive", None)
        self._now_send: Callable[[bytes, int], int | None] | None = getattr(stream, "_now_send", None)
        self._simple = self._now_send is not None and not framing.ends_with_stream
        # A compiled decoder receives by itself: the bytes on their way never become a Python object.
        self._direct: Receive[MessageT] | None = getattr(self._decoder, "receive", None)
        self._plain = stream if isinstance(stream, StreamSteps) and stream._plain and self._direct is not None else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._framing!r} on {self._stream!r}>"

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

    def _now_many(self, flags: int) -> list[MessageT] | None:
        """Return all messages that are there, an empty list at the end, or ``None``: it would have to wait."""
        if self._queue:
            found = list(self._queue)
            self._queue.clear()
            return found
        plain = self._plain
        if plain is not None and not plain._kept:
            assert self._direct is not None
            while not self._ended:
                got = plain._now_decoded(self._direct, flags)
                if got is None:
                    if flags & msg.DONTWAIT:
                        return None
                    break  # an adopted socket with a time limit of its own: recv() below keeps it
                count, found = got
                if found:
                    return found
                if not count:
                    self._ended = True
                    return self._decoder.finish()
        if (fault := self._decoder.fault) is not None:
            raise fault
        receive = self._now_receive
        while not self._ended:
            if receive is None or (data := receive(RECEIVE_SIZE, flags)) is None:
                return None
            if found := self._taken(data):
                return found
        return []

    def _taken(self, data: bytes) -> list[MessageT]:
        if data:
            return self._decoder.feed(data)
        self._ended = True
        return self._decoder.finish()

    def _receive_many(self, flags: int) -> Steps[list[MessageT]]:
        """Return all messages that are there, at least one; an empty list at the end."""
        while (found := self._now_many(flags)) is None:
            if self._now_receive is not None:
                yield READABLE
            elif taken := self._taken((yield from self._stream._receive(RECEIVE_SIZE, flags))):
                return taken
        return found

    def _first(self, found: list[MessageT]) -> MessageT:
        if len(found) > 1:
            self._queue.extend(found[1:])
        return found[0]

    def _receive_one(self, flags: int) -> Steps[MessageT]:
        queue = self._queue
        if not queue:
            found = yield from self._receive_many(flags)
            if not found:
                raise EndOfStream("the peer has finished sending, after a whole message")
            return self._first(found)
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

    def _now_encoded(self, wire: bytes, flags: int) -> bool:
        """Send what goes without waiting; keep the rest as unsent and say so by ``False``."""
        if not self._simple or self._unsent or self._finished:
            return False
        assert self._now_send is not None
        sent = self._now_send(wire, flags)
        return sent == len(wire) or self._keep(wire, sent or 0)

    def _keep(self, wire: bytes, sent: int) -> bool:
        self._unsent = memoryview(wire)[sent:]
        return False

    def _send_rest(self, wire: bytes, flags: int) -> Steps[None]:
        """Send ``wire`` where `_now_encoded` did not."""
        if self._simple and not self._finished and self._unsent and self._is_rest_of(wire):
            wire = b""
        yield from self._send_encoded(wire, flags)

    def _is_rest_of(self, wire: bytes) -> bool:
        return isinstance(self._unsent, memoryview) and self._unsent.obj is wire

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
        if self._queue:
            return self._queue.popleft()
        flags = 0 if timeout_s is None else msg.DONTWAIT
        if found := self._now_many(flags):
            return self._first(found)
        return run(self._receive_one(flags), self._stream, timeout_s, "receive")

    def receive_many(self, *, timeout_s: float | None = None) -> list[MessageT]:
        """Return all messages that are there, waiting for the first; an empty list when the peer has finished.

        Takes one system call for as many messages as came together.
        """
        flags = 0 if timeout_s is None else msg.DONTWAIT
        if (found := self._now_many(flags)) is not None:
            return found
        return run(self._receive_many(flags), self._stream, timeout_s, "receive")

    def send(self, message: MessageT, *, timeout_s: float | None = None, progress: Progress | None = None) -> None:
        """Send one message.

        Raises:
            UnsendableMessage: the framing cannot carry it; nothing was sent.
            DeadlinePassed: the rest is kept; call `flush`, or send the next message.
        """
        wire = self._framing.encode(message)
        if timeout_s is not None or progress is not None:
            flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
            run(self._send_encoded(wire, flags, progress), self._stream, timeout_s, "send")
        elif not self._now_encoded(wire, msg.NOSIGNAL):
            run(self._send_rest(wire, msg.NOSIGNAL), self._stream, None, "send")

    def send_many(self, messages: Iterable[MessageT], *, timeout_s: float | None = None) -> None:
        """Send messages in as few system calls as possible."""
        wire = self._framing.encode_many(messages)
        if timeout_s is not None:
            run(self._send_encoded(wire, msg.SEND_NOW), self._stream, timeout_s, "send")
        elif not self._now_encoded(wire, msg.NOSIGNAL):
            run(self._send_rest(wire, msg.NOSIGNAL), self._stream, None, "send")

    def flush(self, *, timeout_s: float | None = None) -> None:
        """Send what a send that ran out of time left over."""
        flags = msg.NOSIGNAL if timeout_s is None else msg.SEND_NOW
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
