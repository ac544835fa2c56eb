"""Messages with their length in front."""

from __future__ import annotations

import struct

from ..exercise import Exercise, Scenario
from ..stage import Mismatch, Stage
from .framed import Framed

__all__ = ["EXERCISE"]

_TASK = """\
Write a service for messages with their length in front, over TCP.

Your program is started with a port number. It listens on that TCP port, on all addresses of the host, and serves one
client after another, for ever. A message is four bytes with the length of the text, an unsigned number in network
byte order (the most significant byte first), and then the text: so many bytes of any value. Your program answers each
message with a message: the same text with a to z turned into A to Z. An answer is sent as soon as its message is
complete, without waiting for the next one. A text may be empty.

A text has at most 100,000 bytes. When a client announces more, which may be as much as four bytes can say, your
program takes nothing more from it: it closes the connection without an answer, and serves the next one. When a client
has finished sending, your program closes the connection; half a message has no answer. TCP carries the bytes in pieces
of any size. Some clients vanish in the middle; the next one is served all the same. Your program can be stopped and
started again at once.
"""


def _encode(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _tell(came: bytes, wanted: bytes) -> str | None:
    if not wanted:
        # Half a length was sent, three zeros.
        return "length-size" if came == b"\0\0" else None
    if len(came) < 4 or came[:4] == wanted[:4]:
        return None
    if came[:4] == wanted[:4][::-1]:
        return "length-order"
    if came[:4] == wanted[4:8]:
        return "length-missing"
    had, right = int.from_bytes(came[:4], "big"), int.from_bytes(wanted[:4], "big")
    if had in (right - 4, right + 4):
        return "length-counts-itself"
    return "length-wrong" if came[4:] == wanted[4:] else None


_FRAMED = Framed(_encode, (b"first message", b"the second", b"and a third one"), _tell)


def _empty(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    try:
        _FRAMED.ask(client, b"")
    except Mismatch as mismatch:
        if mismatch.kind == "ended early" and not client.came:
            mismatch.mistake = "empty-message"
        raise
    _FRAMED.ask(client, b"not empty")


def _bytes(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    _FRAMED.ask(client, bytes(range(256)))
    _FRAMED.ask(client, b"line feeds\n\nand zeros\0\0\0\0, also at the end\n\0")


def _long(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    try:
        _FRAMED.ask(client, b"long text " * 10_000)
    except Mismatch as mismatch:
        if mismatch.kind in ("ended early", "reset") and not client.came:
            mismatch.mistake = "limit-too-low"
        raise
    texts = [b"text %d" % number for number in range(300)]
    client.send(b"".join(map(_encode, texts)), "(300 messages)")
    _FRAMED.answer(client, *texts)


def _too_large(stage: Stage) -> None:
    stage.start()
    client = stage.connect("client 1")
    try:
        client.send(struct.pack(">I", 2_000_000_000) + b"x" * 1000, "(2,000,000,000 bytes are announced)")
    except Mismatch as mismatch:
        if mismatch.kind != "ended early":
            raise
    client.expect_closed("a connection that is closed: too much is announced")
    _FRAMED.ask(stage.connect("client 2"), b"next")


def _largest(stage: Stage) -> None:
    stage.start()
    client = stage.connect("client 1")
    client.send(b"\xff\xff\xff\xff", "(4,294,967,295 bytes are announced)")
    try:
        client.expect_closed("a connection that is closed without an answer: too much is announced", silently=True)
    except Mismatch as mismatch:
        # Two thousand million were too much for it.
        mismatch.mistake = "length-sign" if mismatch.kind in ("too much", "not ended") else None
        raise
    _FRAMED.ask(stage.connect("client 2"), b"next")


EXERCISE = Exercise(
    name="length-prefixed",
    title="messages with their length in front",
    level=2,
    protocol="tcp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    lessons=("tcp-streams", "framing"),
    scenarios=(
        *_FRAMED.common(),
        Scenario("empty", "an empty message", _empty),
        Scenario("bytes", "bytes that are no text", _bytes, "bytes-as-text"),
        Scenario("long", "a text of 100,000 bytes, and many short ones", _long, beside=("length-prefix-order",)),
        Scenario(
            "too-large",
            "a client that announces 2,000,000,000 bytes",
            _too_large,
            "no-limit",
            beside=("one-recv-per-message", "close-with-unread-data", "length-prefix-order"),
        ),
        Scenario(
            "largest",
            "a client that announces 4,294,967,295 bytes",
            _largest,
            "no-limit",
            beside=("length-prefix-order",),
        ),
    ),
)
