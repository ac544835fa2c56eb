"""A framing written in Python: one generator that reads a message.

The generator asks its `Reader` for bytes and is suspended until they have come, so a message may arrive in any pieces
and no byte is parsed twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from typing import Final, Generic, TypeAlias

from ..errors import CutMessage, FramingError, MalformedMessage, MessageTooLong
from .protocol import DEFAULT_MAX_MESSAGE, MessageT

__all__ = ["Custom", "Reader"]

#: What a reading generator yields: how many more bytes it needs at least.
Need: TypeAlias = Generator[int, None, MessageT]


class Reader:
    """What has come of one stream; its methods are used with ``yield from``."""

    __slots__ = ("_at", "_buffer", "_limit", "_start")

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._buffer = bytearray()
        #: Offset in the stream of the buffer's first byte.
        self._at = 0
        #: Offset in the stream where the message begins.
        self._start = 0

    def exactly(self, count: int) -> Need[bytes]:
        """Return the next ``count`` bytes."""
        if count < 0:
            raise ValueError(f"a message cannot have {count} bytes")
        self._check(count, exact=True)
        while len(self._buffer) < count:
            yield count - len(self._buffer)
        return self._take(count, 0)

    def until(self, delimiter: bytes) -> Need[bytes]:
        """Return the bytes before the next ``delimiter``, which is consumed too."""
        searched = 0
        while True:
            found = self._buffer.find(delimiter, searched)
            if found >= 0:
                self._check(found, exact=True)
                return self._take(found, len(delimiter))
            # A delimiter may have begun in the last bytes.
            searched = max(searched, len(self._buffer) + 1 - len(delimiter))
            self._check(searched, exact=False)
            yield 1

    def _check(self, count: int, *, exact: bool) -> None:
        length = self._at - self._start + count
        if length > self._limit:
            known = length if exact else self._limit + 1
            raise MessageTooLong(
                f"message at byte {self._start} of the stream is at least {known} bytes long, the limit (max_message) "
                f"is {self._limit}",
                self._start,
                known,
                False,
                self._limit,
            )

    def _take(self, count: int, skipped: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[: count + skipped]  # moves a pointer, not the rest
        self._at += count + skipped
        return taken


class Custom(ABC, Generic[MessageT]):
    r"""Base of framings written in Python. Messages may be of any type.

    >>> class NetString(Custom[bytes]):
    ...     def encode(self, message):
    ...         return b"%d:%b," % (len(message), message)
    ...     def read(self, stream):
    ...         length = yield from stream.until(b":")
    ...         message = yield from stream.exactly(int(length))
    ...         if (yield from stream.exactly(1)) != b",":
    ...             raise ValueError("no comma behind the string")
    ...         return message
    >>> decoder = NetString().decoder()
    >>> decoder.feed(b"5:hel"), decoder.feed(b"lo,2:hi,")
    ([], [b'hello', b'hi'])
    """

    #: Bytes of the wire form that a message may have.
    max_message: int = DEFAULT_MAX_MESSAGE
    #: Whether only the end of the stream ends a message.
    ends_with_stream: bool = False

    @abstractmethod
    def encode(self, message: MessageT, /) -> bytes:
        """Return the wire form; raise `UnsendableMessage` for a message that has none."""

    @abstractmethod
    def read(self, stream: Reader, /) -> Need[MessageT]:
        """Read one message; raise `ValueError` for bytes that are none."""

    def encode_many(self, messages: Iterable[MessageT], /) -> bytes:
        """Return the wire forms, joined."""
        return b"".join(map(self.encode, messages))

    def decoder(self) -> CustomDecoder[MessageT]:
        """Return a decoder at the start of a stream."""
        return CustomDecoder(self)


class CustomDecoder(Generic[MessageT]):
    """A `Custom` framing at work on one stream."""

    __slots__ = ("_fault", "_framing", "_missing", "_reader", "_reading")

    def __init__(self, framing: Custom[MessageT]) -> None:
        self._framing: Final = framing
        self._reader: Final = Reader(framing.max_message)
        self._reading: Need[MessageT] | None = None
        self._missing = 0
        self._fault: FramingError | None = None

    @property
    def fault(self) -> FramingError | None:
        """What the next call will raise."""
        return self._fault

    @property
    def buffered(self) -> int:
        """Bytes that wait for more."""
        return len(self._reader._buffer)

    def feed(self, data: bytes, /) -> list[MessageT]:
        """Return the messages that ``data`` completes; see `Decoder.feed`."""
        if self._fault is not None:
            raise self._fault
        reader = self._reader
        reader._buffer += data
        messages: list[MessageT] = []
        while True:
            if self._reading is None:
                if not reader._buffer:
                    return messages
                reader._start = reader._at
                self._reading = self._framing.read(reader)
            try:
                self._missing = next(self._reading)
            except StopIteration as end:
                messages.append(end.value)
                self._reading = None
                if reader._at == reader._start:
                    raise TypeError(f"{type(self._framing).__name__}.read returned without reading a byte") from None
            except FramingError as fault:
                return self._fail(fault, messages)
            except (ValueError, RecursionError) as reason:
                text = f"malformed message at byte {reader._start} of the stream: {reason or type(reason).__name__}"
                malformed = MalformedMessage(text, reader._start)
                malformed.__cause__ = reason
                return self._fail(malformed, messages)
            else:
                return messages

    def _fail(self, fault: FramingError, messages: list[MessageT]) -> list[MessageT]:
        self._fault = fault
        self._reading = None
        self._reader._buffer.clear()
        if not messages:
            raise fault
        return messages

    def finish(self) -> list[MessageT]:
        """Say that the stream has ended; see `Decoder.finish`."""
        if self._fault is not None:
            raise self._fault
        if self._reading is not None:
            reader, missing = self._reader, self._missing
            received = reader._at + len(reader._buffer) - reader._start
            text = (
                f"the stream ended inside a message: {received} bytes of it came, at least {missing} missing "
                f"(it began at byte {reader._start})"
            )
            self._fault = CutMessage(text, reader._start, received, missing, False)
            raise self._fault
        return []
