"""What every framing is, compiled or written in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

from ..errors import FramingError

__all__ = ["DEFAULT_MAX_MESSAGE", "Decoder", "Framing", "messages"]

#: Bytes. Larger than the messages of ordinary protocols; a thousand hostile peers can make us keep one GiB.
DEFAULT_MAX_MESSAGE: Final = 1 << 20

MessageT = TypeVar("MessageT")


class Decoder(Protocol[MessageT]):
    """One stream's way from bytes to messages; made by `Framing.decoder`, used for one stream."""

    def feed(self, data: bytes, /) -> list[MessageT]:
        """Return the messages that ``data`` completes.

        Messages before a fault are always delivered: the fault is raised by the first call that has no message to
        return, and by each one after it.

        Raises:
            FramingError: the bytes are not messages of this framing.
        """
        ...

    def finish(self) -> list[MessageT]:
        """Say that the stream has ended; return the message that the end completes, if any.

        Raises:
            CutMessage: the stream ended inside a message.
        """
        ...

    @property
    def fault(self) -> FramingError | None:
        """What the next call will raise."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes of the unfinished message that are kept."""
        ...


class Framing(Protocol[MessageT]):
    """How messages look on the wire. Immutable; serves any number of streams at once."""

    @property
    def max_message(self) -> int:
        """Bytes that a message may have."""
        ...

    @property
    def ends_with_stream(self) -> bool:
        """Whether only the end of the stream ends a message: one message per connection."""
        ...

    def encode(self, message: MessageT, /) -> bytes:
        """Return the wire form.

        Raises:
            UnsendableMessage: this framing cannot carry the message.
        """
        ...

    def encode_many(self, messages: Iterable[MessageT], /) -> bytes:
        """Return the wire forms, joined."""
        ...

    def decoder(self) -> Decoder[MessageT]:
        """Return a decoder at the start of a stream."""
        ...


def messages(pieces: Iterable[bytes], framing: Framing[MessageT]) -> Iterator[MessageT]:
    r"""Yield the messages of recorded bytes, given in pieces of any size.

    >>> from wallsocket.framing import LengthPrefixed
    >>> list(messages([b"\x00\x02h", b"i\x00", b"\x00"], LengthPrefixed(2)))
    [b'hi', b'']

    Raises:
        FramingError: after the messages before the fault.
    """
    decoder = framing.decoder()
    for piece in pieces:
        yield from decoder.feed(piece)
    yield from decoder.finish()
