"""Messages of a fixed length."""

from __future__ import annotations

from ..exercise import Exercise, Scenario
from ..stage import Stage
from .framed import Framed

__all__ = ["EXERCISE"]

_TASK = """\
Write a service for messages of a fixed length, over TCP.

Your program is started with a port number. It listens on that TCP port, on all addresses of the host, and serves one
client after another, for ever. A client sends messages of exactly 16 bytes each, as many as it likes, one behind the
other. Your program answers each one with 16 bytes: the same with the letters a to z turned into A to Z. An answer is
sent as soon as its message is complete, without waiting for the next one.

When the client has finished sending, your program closes the connection; half a message has no answer. TCP carries
the bytes in pieces of any size. Some clients vanish in the middle; the next one is served all the same. Your program
can be stopped and started again at once.
"""


def _encode(text: bytes) -> bytes:
    return text.ljust(16, b".")


def _tell(came: bytes, wanted: bytes) -> str | None:
    return None


_FRAMED = Framed(_encode, (b"first message", b"the second", b"a third one"), _tell)


def _bytes(stage: Stage) -> None:
    stage.start()
    client = stage.connect()
    _FRAMED.ask(client, b" \t between \r\n  ")
    _FRAMED.ask(client, bytes(16))
    texts = [bytes(range(first, first + 16)) for first in range(0, 256, 16)]
    client.send(b"".join(texts), "(all values of a byte)")
    _FRAMED.answer(client, *texts)


EXERCISE = Exercise(
    name="fixed",
    title="messages of a fixed length",
    level=2,
    protocol="tcp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    lessons=("tcp-streams", "framing"),
    scenarios=(
        *_FRAMED.common(),
        Scenario("bytes", "bytes that are no text", _bytes, "bytes-as-text"),
    ),
)
