"""What each framing says about itself, refuses, and reports."""

from __future__ import annotations

import doctest
import importlib

import pytest

from wallsocket import framing


@pytest.mark.parametrize(
    "name", ["", ".protocol", ".delimited", ".length_prefixed", ".custom", ".text", ".fixed_length", ".until_close"]
)
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(f"wallsocket.framing{name}")).failed == 0


WIRE = [
    (framing.FixedLength(3), b"abc", b"abc"),
    (framing.UntilClose(), b"abc", b"abc"),
    (framing.UntilClose(), b"", b""),
    (framing.Delimited(), b"abc", b"abc\n"),
    (framing.Delimited(b"\r\n"), b"a\rb\nc", b"a\rb\nc\r\n"),
    (framing.Delimited(b"ab", escape=b"!"), b"!xab", b"!!x!abab"),
    (framing.LengthPrefixed(1), b"abc", b"\x03abc"),
    (framing.LengthPrefixed(2), b"abc", b"\x00\x03abc"),
    (framing.LengthPrefixed(4, order="little"), b"abc", b"\x03\x00\x00\x00abc"),
    (framing.LengthPrefixed(8, includes_header=True), b"abc", b"\0\0\0\0\0\0\0\x0babc"),
    (framing.LengthPrefixed("varint"), b"x" * 300, b"\xac\x02" + b"x" * 300),
    # 126 + 1 = 127 still fits in a header of one byte, 127 + 1 does not and the second byte counts too.
    (framing.LengthPrefixed("varint", includes_header=True), b"x" * 126, b"\x7f" + b"x" * 126),
    (framing.LengthPrefixed("varint", includes_header=True), b"x" * 127, b"\x81\x01" + b"x" * 127),
]


@pytest.mark.parametrize(("codec", "message", "wire"), WIRE, ids=lambda value: repr(value)[:40])
def test_wire_form(codec, message, wire):
    assert codec.encode(message) == wire
    assert codec.encode(bytearray(message)) == codec.encode(memoryview(message)) == wire
    decoder = codec.decoder()
    assert decoder.feed(memoryview(wire)) + decoder.finish() == [message]


@pytest.mark.parametrize(
    ("codec", "message", "why"),
    [
        (framing.FixedLength(3), b"ab", "2 bytes, this framing carries exactly 3"),
        (framing.UntilClose(max_message=1), b"ab", "2 bytes, the limit (max_message) is 1"),
        (framing.Delimited(), b"a\nb", "holds the delimiter at byte 1"),
        (framing.Delimited(b"aa"), b"xa", "holds the delimiter at byte 1"),
        (framing.LengthPrefixed(1), b"x" * 256, "256 bytes, the limit (max_message) is 255"),
        (framing.LengthPrefixed(1, includes_header=True), b"x" * 255, "the limit (max_message) is 254"),
        (framing.LengthPrefixed(4, max_message=3), b"abcd", "the limit (max_message) is 3"),
    ],
    ids=repr,
)
def test_unsendable_messages(codec, message, why):
    with pytest.raises(framing.UnsendableMessage, match=r".") as caught:
        codec.encode(message)
    assert why in str(caught.value)
    with pytest.raises(framing.UnsendableMessage):
        codec.encode_many([message])


def test_one_message_per_connection_is_one():
    with pytest.raises(framing.UnsendableMessage, match="one message per connection"):
        framing.UntilClose().encode_many([b"a", b"b"])


@pytest.mark.parametrize(
    ("codec", "stream", "error", "text"),
    [
        (framing.LengthPrefixed(4), b"\0\0\0\x08hello", framing.CutMessage, "9 bytes of it came, 3 missing"),
        (framing.LengthPrefixed(4), b"\0\0", framing.CutMessage, "2 bytes of it came, at least 2 missing"),
        (framing.FixedLength(8), b"hello", framing.CutMessage, "5 bytes of it came, 3 missing"),
        (framing.Delimited(b"\r\n"), b"hello\r", framing.CutMessage, "6 bytes of it came, at least 1 missing"),
        (framing.LengthPrefixed(4), b"GET / HTTP/1.1", framing.MessageTooLong, "is 1195725856 bytes long, the limit"),
        (framing.Delimited(max_message=4), b"hello", framing.MessageTooLong, "at least 5 bytes long, the limit"),
        (framing.LengthPrefixed("varint"), b"\xff" * 10, framing.MalformedMessage, "does not fit in 64 bits"),
        (framing.LengthPrefixed(2, includes_header=True), b"\0\x01", framing.MalformedMessage, "shorter than it"),
        (framing.Delimited(escape=b"\\"), b"a\\b\n", framing.MalformedMessage, "an escape precedes"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_faults(codec, stream, error, text):
    with pytest.raises(error) as caught:
        list(framing.messages([stream], codec))
    assert type(caught.value) is error
    assert text in str(caught.value)
    assert caught.value.at == 0


def test_not_strict_takes_what_is_there():
    lines = framing.Delimited(strict=False, escape=b"\\")
    assert list(framing.messages([b"a\\b\nlast"], lines)) == [b"ab", b"last"]


def test_bytes_after_the_end_are_the_callers_mistake():
    decoder = framing.FixedLength(1).decoder()
    assert decoder.finish() == decoder.finish() == []
    with pytest.raises(ValueError, match="after the end"):
        decoder.feed(b"x")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: framing.FixedLength(0), "at least 1"),
        (lambda: framing.Delimited(b""), "at least 1"),
        (lambda: framing.Delimited(b"ab", escape=b"a"), "must not be part"),
        (lambda: framing.Delimited(escape=b"ab"), "single byte"),
        (lambda: framing.LengthPrefixed(3), "1, 2, 4 or 8"),
        (lambda: framing.LengthPrefixed("int"), "1, 2, 4 or 8"),
        (lambda: framing.LengthPrefixed(4, order="middle"), "big"),
    ],
)
def test_impossible_framings(make, why):
    with pytest.raises(ValueError, match=why):
        make()


def test_text_instead_of_bytes_is_a_type_error():
    with pytest.raises(TypeError):
        framing.Delimited().encode("text")
    with pytest.raises(TypeError):
        framing.Delimited().decoder().feed("text")


def test_framings_are_values():
    a, b = framing.Delimited(b"\r\n", escape=b"!"), framing.Delimited(b"\r\n", escape=b"!")
    assert a == b
    assert hash(a) == hash(b)
    assert a != framing.Delimited(b"\r\n")
    for codec, *_ in WIRE:
        assert eval(repr(codec), vars(framing)) == codec


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("lines", framing.Delimited(strict=False)),
        ("fixed:8", framing.FixedLength(8)),
        ("until-close", framing.UntilClose()),
        (r"delimited:\r\n", framing.Delimited(b"\r\n")),
        (r"delimited:\x00\::!", framing.Delimited(b"\0:", escape=b"!")),
        ("prefixed:4", framing.LengthPrefixed(4)),
        ("prefixed:2le+header", framing.LengthPrefixed(2, order="little", includes_header=True)),
        ("varint", framing.LengthPrefixed("varint")),
        ("varint+header", framing.LengthPrefixed("varint", includes_header=True)),
    ],
)
def test_framings_named_in_text(text, codec):
    assert framing.from_text(text) == codec


@pytest.mark.parametrize(
    "text", ["", "line", "fixed", "fixed:-1", "prefixed:3", "delimited:", r"delimited:\q", "varint:4", "a:b:c"]
)
def test_unknown_text(text):
    with pytest.raises(ValueError, match="known escape" if "q" in text else "no framing is named"):
        framing.from_text(text)


class Endless(framing.Custom[bytes]):
    def encode(self, message, /):
        return message

    def read(self, stream, /):
        yield from stream.exactly(0)
        return b""


class Deep(framing.Custom[bytes]):
    def encode(self, message, /):
        return message

    def read(self, stream, /):
        if (yield from stream.exactly(1)) == b"[":
            return (yield from self.read(stream))
        return b""


def test_a_python_framing_that_reads_nothing_is_told_so():
    with pytest.raises(TypeError, match="without reading a byte"):
        Endless().decoder().feed(b"x")


def test_hostile_nesting_is_malformed():
    with pytest.raises(framing.MalformedMessage, match="recursion"):
        Deep().decoder().feed(b"[" * 100_000)
