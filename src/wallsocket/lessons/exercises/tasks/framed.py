"""What happens to every service that answers messages on a stream, however they are framed."""

from __future__ import annotations

from collections.abc import Callable

from ..exercise import Scenario
from ..stage import Client, Mismatch, Stage
from . import capitals

__all__ = ["Framed"]

#: Makes a message of a text, as it travels.
Encode = Callable[[bytes], bytes]


class Framed:
    """Scenarios for a service that answers each message with the same in capital letters.

    Args:
        encode: makes a message of a text.
        texts: three texts that can be messages, of different length where the framing allows it.
        tell: names the mistake in an answer of which this much came where that much was expected, nothing for half a message;
            ``None``: no name.

    """

    def __init__(
        self, encode: Encode, texts: tuple[bytes, bytes, bytes], tell: Callable[[bytes, bytes], str | None]
    ) -> None:
        self._encode = encode
        self._texts = texts
        self._tell = tell

    # -- what a client does

    def ask(self, client: Client, text: bytes) -> None:
        """Send a message and expect its answer."""
        client.send(self._encode(text))
        self.answer(client, text)

    def answer(self, client: Client, *texts: bytes) -> None:
        """Expect the answers to these texts, in order."""
        wanted = b"".join(self._encode(text.upper()) for text in texts)
        try:
            capitals.expect(client, wanted)
        except Mismatch as mismatch:
            mismatch.mistake = self._tell(client.came, wanted) or mismatch.mistake
            raise

    # -- scenarios

    def one(self, stage: Stage) -> None:
        """One message, and a second one when its answer has come."""
        stage.start()
        client = stage.connect()
        for text in self._texts[:2]:
            self.ask(client, text)
        client.half_close()
        client.expect_end()

    def parts(self, stage: Stage) -> None:
        """A message of which each byte, or each third, comes alone."""
        stage.start()
        client = stage.connect()
        message = self._encode(self._texts[0])
        third = max(1, len(message) // 3)
        client.send_parts(message[:2], message[2:third], message[third : third * 2], message[third * 2 :])
        self.answer(client, self._texts[0])

    def glued(self, stage: Stage) -> None:
        """Three messages in one segment, the last of them in two parts."""
        stage.start()
        client = stage.connect()
        messages = b"".join(map(self._encode, self._texts))
        cut = len(messages) - 3
        client.send(messages[:cut], "(two messages and the beginning of a third one)")
        try:
            self.answer(client, *self._texts[:2])
        except Mismatch as mismatch:
            first = self._encode(self._texts[0].upper())
            if mismatch.kind == "no answer" and client.came == first and mismatch.mistake is None:
                mismatch.mistake = "glued"
            raise
        client.send(messages[cut:])
        self.answer(client, self._texts[2])

    def half_close(self, stage: Stage) -> None:
        """A client that has finished sending before it reads its answers."""
        stage.start()
        client = stage.connect()
        client.send(b"".join(map(self._encode, self._texts)))
        client.half_close()
        self.answer(client, *self._texts)
        client.expect_end()

    def cut(self, stage: Stage) -> None:
        """A client that ends in the middle of a message; then another one."""
        stage.start()
        client = stage.connect("client 1")
        self.ask(client, self._texts[0])
        client.send(self._encode(self._texts[1])[:3], "(the beginning of a message)")
        client.half_close()
        try:
            client.expect_end("the end of the stream: half a message has no answer")
        except Mismatch as mismatch:
            if mismatch.kind == "too much":
                mismatch.mistake = self._tell(client.came, b"") or "half-answered"
            raise
        self.ask(stage.connect("client 2"), self._texts[2])
        stage.expect_alive()

    def vanish(self, stage: Stage) -> None:
        """Clients that reset their connections; then another one."""
        stage.start()
        gone = stage.connect("client 1")
        self.ask(gone, self._texts[0])
        gone.reset()
        stage.student.settle(0.06)
        gone = stage.connect("client 2")
        gone.send(self._encode(self._texts[0])[:3], "(the beginning of a message)")
        stage.student.settle(0.06)
        gone.reset()
        stage.student.settle(0.06)
        self.ask(stage.connect("client 3"), self._texts[1])
        stage.expect_alive()

    def again(self, stage: Stage) -> None:
        """The program is stopped while a client is connected, and started again at once."""
        stage.start()
        self.ask(stage.connect("client 1"), self._texts[0])
        stage.stop()
        stage.start()
        self.ask(stage.connect("client 2"), self._texts[1])

    def slow(self, stage: Stage) -> None:
        """A client on the same host that takes its time."""
        stage.start()
        client = stage.connect(address="127.0.0.1")
        message = self._encode(self._texts[2])
        client.send(message[:-2])
        stage.expect_rest()
        client.send(message[-2:])
        self.answer(client, self._texts[2])

    def common(self) -> tuple[Scenario, ...]:
        """Those that every such service must survive, the simplest first."""
        return (
            Scenario("one", "one message after another", self.one),
            Scenario("parts", "a message that comes in parts", self.parts, "part-answered"),
            Scenario("glued", "several messages in one segment", self.glued),
            Scenario("half-close", "a client that finishes sending before it reads", self.half_close),
            Scenario("cut", "a client that ends in the middle of a message", self.cut),
            Scenario("vanish", "clients that vanish, then another one", self.vanish),
            Scenario("again", "the program is stopped and started again", self.again),
            Scenario("slow", "a slow client on the same host", self.slow),
        )
