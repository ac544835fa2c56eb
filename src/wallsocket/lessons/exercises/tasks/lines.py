"""Messages that end with a line feed."""

from __future__ import annotations

from ..exercise import Exercise, Scenario
from ..stage import Mismatch, Stage
from .framed import Framed

__all__ = ["EXERCISE", "FRAMED", "encode"]

_TASK = """\
Write a service for lines, over TCP.

Your program is started with a port number. It listens on that TCP port, on all addresses of the host, and serves one
client after another, for ever. A client sends lines: any bytes, with a line feed (byte 10) at the end. Your program
answers each line with the same line in capital letters: a to z become A to Z, all other bytes stay, the line feed,
too. An answer is sent as soon as its line is complete, without waiting for the next one. A line may be empty.

A line has at most 4096 bytes. From a client that sends more without a line feed your program takes nothing more: it
closes the connection, and serves the next one. When a client has finished sending, your program closes the
connection; a line without its end has no answer. TCP carries the bytes in pieces of any size. Some clients vanish in
the middle; the next one is served all the same. Your program can be stopped and started again at once.
"""


def encode(text: bytes) -> bytes:
    """A line."""
    return text + b"\n"


def _tell(came: bytes, wanted: bytes) -> str | None:
    text = wanted.removesuffix(b"\n")
    if came and came == text:
        return "delimiter-missing"
    stripped = came.endswith(b"\n") and came != wanted and came[:-1] in (text.strip(), text.lstrip(), text.rstrip())
    return "stripped" if stripped else None


FRAMED = Framed(encode, (b"first line", b"second", b"and a third one"), _tell)


def _empty(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    try:
        FRAMED.ask(client, b"")
        FRAMED.ask(client, b"")
    except Mismatch as mismatch:
        if not client.came and mismatch.kind in ("no answer", "ended early"):
            mismatch.mistake = "empty-line"
        raise
    FRAMED.ask(client, b"not empty")


def _bytes(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    FRAMED.ask(client, bytes(byte for byte in range(256) if byte != 10))
    FRAMED.ask(client, b"with a carriage return\r")
    FRAMED.ask(client, b" \t spaces at both ends ")


def _long(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    FRAMED.ask(client, b"long " * 800)
    lines = [b"line %d" % number for number in range(400)]
    client.send(b"".join(map(encode, lines)), "(400 lines)")
    FRAMED.answer(client, *lines)


def _too_long(stage: Stage) -> None:
    stage.start()
    client = stage.connect("client 1")
    try:
        client.send(b"x" * 200_000, "without a line feed")
    except Mismatch as mismatch:
        # It may have closed before all was sent, as it should.
        if mismatch.kind != "ended early":
            raise
    client.expect_closed("a connection that is closed: the line is too long")
    FRAMED.ask(stage.connect("client 2"), b"next")


EXERCISE = Exercise(
    name="lines",
    title="messages that end with a line feed",
    level=2,
    protocol="tcp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    lessons=("tcp-streams", "framing"),
    scenarios=(
        *FRAMED.common(),
        Scenario("empty", "empty lines", _empty),
        Scenario("bytes", "bytes that are no text", _bytes, "bytes-as-text"),
        Scenario("long", "a long line, and many short ones", _long),
        Scenario(
            "too-long",
            "a client that sends 200,000 bytes without a line feed",
            _too_long,
            "no-limit",
            beside=("one-recv-per-message", "close-with-unread-data"),
        ),
    ),
)
