"""Hypothesis strategies for framings, their messages and cut streams; shared by all tests that need them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from hypothesis import strategies as st

from wallsocket import framing


class NetString(framing.Custom[bytes]):
    """``5:hello,``: a framing written in Python, for tests."""

    def __init__(self, max_message: int) -> None:
        self.max_message = max_message

    def encode(self, message: bytes, /) -> bytes:
        if len(message) > self.max_message - 12:
            raise framing.UnsendableMessage(f"{len(message)} bytes are too many")
        return b"%d:%b," % (len(message), message)

    def read(self, stream: framing.Reader, /) -> Generator[int, None, bytes]:
        length = yield from stream.until(b":")
        if not length.isdigit():
            raise ValueError(f"{length!r} is no length")
        message = yield from stream.exactly(int(length))
        if (yield from stream.exactly(1)) != b",":
            raise ValueError("no comma behind the string")
        return message


#: A small alphabet, so that delimiters, their beginnings, escapes and lengths are met often.
ALPHABET = b"ab\\\n:,\x00\x01\x02\x03"
letters = st.lists(st.sampled_from(ALPHABET)).map(bytes)


def framings(max_message: int = 64) -> st.SearchStrategy[framing.Framing[bytes]]:
    """Every kind of framing with every parameter."""
    limit = st.integers(0, max_message)
    return st.one_of(
        st.builds(framing.FixedLength, st.integers(1, 12)),
        st.builds(lambda n: framing.UntilClose(max_message=n), limit),
        st.builds(
            lambda delimiter, escape, strict, n: framing.Delimited(
                delimiter, escape=escape, strict=strict, max_message=n
            ),
            st.lists(st.sampled_from(b"ab\n"), min_size=1, max_size=3).map(bytes),
            st.sampled_from([None, b"\\"]),
            st.booleans(),
            limit,
        ),
        st.builds(
            lambda header, order, includes, n: framing.LengthPrefixed(
                header, order=order, includes_header=includes, max_message=n
            ),
            st.sampled_from([1, 2, 4, 8, "varint"]),
            st.sampled_from(["big", "little"]),
            st.booleans(),
            limit,
        ),
        st.builds(NetString, st.integers(12, max_message + 12)),
    )


def messages_of(codec: framing.Framing[bytes]) -> st.SearchStrategy[list[bytes]]:
    """Messages that ``codec`` can carry."""

    def carried(message: bytes) -> bool:
        try:
            codec.encode(message)
        except framing.UnsendableMessage:
            return False
        return True

    if isinstance(codec, framing.FixedLength):
        one = st.binary(min_size=codec.length, max_size=codec.length)
    else:
        size = codec.max_message - (12 if isinstance(codec, NetString) else 0)
        one = st.one_of(st.binary(max_size=size), letters.map(lambda text: text[:size])).filter(carried)
    count = 1 if codec.ends_with_stream else None
    return st.lists(one, min_size=count or 0, max_size=count or 6)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut ``stream`` at ``places``, taken modulo its length; equal places give empty pieces."""
    ordered = sorted(place % (len(stream) + 1) for place in places)
    return [stream[start:end] for start, end in zip([0, *ordered], [*ordered, len(stream)], strict=True)]


places = st.lists(st.integers(0, 1 << 30), max_size=8)


def outcome(codec: framing.Framing[Any], pieces: list[bytes]) -> tuple[list[Any], str | None]:
    """Return the messages of a stream, and the text of its fault."""
    found = []
    try:
        for message in framing.messages(pieces, codec):
            found.append(message)  # what came before a fault must stay
    except framing.FramingError as fault:
        return found, f"{type(fault).__name__}: {fault}"
    return found, None
