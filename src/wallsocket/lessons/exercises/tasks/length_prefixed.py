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

A text has at most 100,000 bytes. When a client announces more, your program takes nothing more from it: it closes the
connection, and serves the next one. When a client has finished sending, your program closes the connection; half a
message has no answer. TCP carries the bytes in pieces of any size. Some clients vanish in the middle; the next one is
served all the same. Your program can be stopped and started again at once.
"""


def _encode(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _tell(came: bytes, wanted: bytes) -> str | None:
    if len(came) < 4 or came[:4] == wanted[:4]:
        return None
    if came[:4] == wanted[:4][::-1]:
        return "length-order"
    return "length-missing" if came[:4] == wanted[4:8] else None


_FRAMED = Framed(_encode, (b"first message", b"the second", b"and a third one"), _tell)


def _empty(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    _FRAMED.ask(client, b"")
    _FRAMED.ask(client, b"not empty")


def _bytes(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    _FRAMED.ask(client, bytes(range(256)))
    _FRAMED.ask(client, b"line feeds\n\nand zeros\0\0\0\0, also at the end\n\0")


def _long(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    _FRAMED.ask(client, b"long text " * 10_000)
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


EXERCISE = Exercise(
    name="length-prefixed",
    title="messages with their length in front",
    level=2,
    protocol="tcp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    scenarios=(
        *_FRAMED.common(),
        Scenario("empty", "an empty message", _empty),
        Scenario("bytes", "bytes that are no text", _bytes, "bytes-as-text"),
        Scenario("long", "a text of 100,000 bytes, and many short ones", _long),
        Scenario(
            "too-large",
            "a client that announces 2,000,000,000 bytes",
            _too_large,
            "no-limit",
            beside=("one-recv-per-message", "close-with-unread-data"),
        ),
    ),
)
