"""A service on a stream, until the client has finished."""

from __future__ import annotations

from ..exercise import Exercise, Scenario
from ..stage import Mismatch, Stage
from .capitals import expect

__all__ = ["EXERCISE"]

_TASK = """\
Write a service that answers a text with the same text in capital letters, over TCP.

Your program is started with a port number. It listens on that TCP port, on all addresses of the host, and serves one
client after another, for ever: a client sends bytes and finishes sending (it half-closes: your program then reads the
end of the stream). Your program sends all of them back, with the letters a to z turned into A to Z and every other
byte as it was, and closes the connection. That is the simplest framing: until close.

A text may be empty and as long as 200,000 bytes; TCP carries it in pieces of any size. Some clients vanish in the
middle; the next one is served all the same. Your program can be stopped and started again at once.
"""


def _ask(stage: Stage, text: bytes, name: str = "") -> None:
    client = stage.connect(name)
    client.send(text)
    client.half_close()
    expect(client, text.upper())
    client.expect_end()


def _short(stage: Stage) -> None:
    stage.start()
    _ask(stage, b"hello, world\n")


def _parts(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    client.send_parts(b"a mess", b"age in ", b"parts")
    client.half_close()
    expect(client, b"A MESSAGE IN PARTS")
    client.expect_end()


def _long(stage: Stage) -> None:
    stage.start()
    text = b"all the letters " * 12_500
    client = stage.connect(receive_buffer=16_384, segment=1400)
    client.send(text)
    client.half_close()
    # The buffers are full before the client reads: one send() that does not wait takes only a part.
    stage.student.settle()
    expect(client, text.upper())
    client.expect_end()


def _bytes(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    text = bytes(range(256)) * 2
    client.send(text)
    client.half_close()
    try:
        expect(client, text.upper())
    except Mismatch as mismatch:
        if mismatch.kind == "ended early" and client.came.endswith(b"\n"):
            mismatch.mistake = "line-feed-is-end"
        raise
    client.expect_end()


def _empty(stage: Stage) -> None:
    stage.start()
    _ask(stage, b"", "client 1")
    _ask(stage, b"still there?", "client 2")


def _vanish(stage: Stage) -> None:
    stage.start()
    gone = stage.connect("client 1")
    gone.send(b"half a te")
    stage.student.settle(0.06)
    gone.reset()
    gone = stage.connect("client 2", receive_buffer=16_384, segment=1400)
    gone.send_some(b"a long text " * 10_000)
    gone.half_close()
    stage.student.settle(0.06)
    gone.reset()
    stage.student.settle(0.06)
    _ask(stage, b"next", "client 3")
    stage.expect_alive()


def _again(stage: Stage) -> None:
    stage.start()
    _ask(stage, b"first", "client 1")
    stage.connect("client 2")
    stage.student.settle(0.06)
    stage.stop()
    stage.start()
    _ask(stage, b"second", "client 3")


def _loopback(stage: Stage) -> None:
    stage.start()
    client = stage.connect(address="127.0.0.1")
    client.send(b"slow ")
    stage.expect_rest()
    client.send(b"client")
    client.half_close()
    expect(client, b"SLOW CLIENT")
    client.expect_end()


EXERCISE = Exercise(
    name="uppercase-tcp",
    title="capital letters by a stream",
    level=1,
    protocol="tcp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    lessons=("tcp-listening", "tcp-streams"),
    scenarios=(
        Scenario("short", "a short text", _short),
        Scenario("parts", "a text that comes in parts", _parts, "part-answered"),
        Scenario("long", "a text of 200,000 bytes", _long),
        Scenario("bytes", "bytes that are no text", _bytes, "bytes-as-text"),
        Scenario("empty", "an empty text, then another client", _empty),
        Scenario("vanish", "clients that vanish, then another one", _vanish),
        Scenario("again", "the program is stopped while a client is connected, and started again", _again),
        Scenario("slow", "a slow client on the same host", _loopback),
    ),
)
