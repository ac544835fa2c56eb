"""What bytes ask for, if they are a message of DNS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallsocket.trace.dns import asked_name

# Identifier, flags (recursion desired), one question, no records.
HEAD = b"\x12\x34\x01\0\0\1\0\0\0\0\0\0"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (HEAD + b"\3db1\7example\0\0\1\0\1", "db1.example"),
        (HEAD + b"\3DB1\7example\0\0\1\0\1", "DB1.example"),
        # The answer: no such name (RFC 1035, 4.1.1, RCODE 3).
        (b"\x12\x34\x81\x83\0\1\0\0\0\1\0\0\3db1\0\0\x1c\0\1\xc0\x0c", "db1"),
        (HEAD + b"\3db1\7exam", "db1.exam"),  # cut off
        (HEAD + b"\0\0\2\0\1", None),  # the root
        (HEAD, None),
        (b"\x12\x34\x01\0\0\2" + HEAD[6:] + b"\3db1\0\0\1\0\1", None),  # two questions
        (HEAD + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", None),  # a label has 63 bytes at most
        (HEAD + b"\3db1\0\0\1\0\7", None),  # no class that is in use
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
    ],
)
def test_the_name_of_a_question(message: bytes, name: str | None) -> None:
    assert asked_name(message) == name


@given(st.binary(max_size=80))
def test_any_bytes_are_judged(message: bytes) -> None:
    assert asked_name(message) is None or len(message) > 12
