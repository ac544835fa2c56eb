"""What every endpoint must do, as test classes: one per interface.

Subclass a suite in a test module and give it `make_pair`; pytest collects the rest. The suites are written once, for
asyncio and trio; a blocking endpoint is wrapped in `Threaded`, which runs each call on a thread of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, ClassVar, TypeVar

import anyio
import anyio.to_thread

from ..errors import EndOfStream, WrongState

__all__ = [
    "ByteStreamSuite",
    "DatagramSuite",
    "ListenerSuite",
    "MessageStreamSuite",
    "PacketSuite",
    "Suite",
    "Threaded",
]

T = TypeVar("T")

#: Seconds after which a step of a suite counts as hung.
PATIENCE_S = 30


class Threaded:
    """A blocking endpoint with an async face: each call runs on a thread, with a deadline instead of a cancel scope."""

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.endpoint, name)
        if not callable(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            result = await anyio.to_thread.run_sync(lambda: found(*arguments, **named), abandon_on_cancel=True)
            return Threaded(result) if name == "accept" else result

        return call


class Suite:
    """Base: runs async checks on one backend.

    Attributes:
        backend: ``"asyncio"`` or ``"trio"``.
    """

    backend: ClassVar[str] = "asyncio"

    async def make_pair(self) -> tuple[Any, Any]:
        """Return two endpoints that are connected with each other."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def pair(self) -> AsyncIterator[tuple[Any, Any]]:
        """Have a pair, and close it."""
        a, b = await self.make_pair()
        try:
            yield a, b
        finally:
            for each in (a, b):
                closing = each.close()
                if isinstance(closing, Awaitable):
                    await closing

    def run(self, check: Callable[[], Awaitable[T]]) -> T:
        """Run ``check`` on the backend, but not for ever."""

        async def limited() -> T:
            with anyio.fail_after(PATIENCE_S):
                return await check()

        return anyio.run(limited, backend=self.backend)


async def together(*jobs: Callable[[], Awaitable[object]]) -> None:
    """Run jobs at the same time until all are done."""

    async def do(job: Callable[[], Awaitable[object]]) -> None:
        await job()

    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(do, job)


def payload(size: int) -> bytes:
    """Return bytes in which each position can be told from its neighbours."""
    return bytes((at * 31 + at // 251) % 256 for at in range(size))


class ByteStreamSuite(Suite):
    """What a connected stream of bytes must do."""

    #: Bytes of the larger transfers; small for awkward sockets, which move one at a time.
    size: ClassVar[int] = 300_000

    def test_bytes_arrive_in_order_and_end(self) -> None:
        """Every byte arrives, then the end, again and again."""
        data = payload(self.size)

        async def check() -> None:
            async with self.pair() as (a, b):
                received = bytearray()

                async def send() -> None:
                    await a.send_all(data)
                    await _maybe(a.finish_sending())

                async def receive() -> None:
                    while piece := await b.receive(4096):
                        received.extend(piece)

                await together(send, receive)
                assert received == data
                assert await b.receive() == b""
                assert await b.receive() == b""
                assert b.state == "receiving finished"
                assert a.bytes_sent == b.bytes_received == len(data)

        self.run(check)

    def test_both_directions_at_once(self) -> None:
        """A full send buffer in one direction does not stop the other."""
        data = payload(self.size)

        async def check() -> None:
            async with self.pair() as (a, b):
                got: dict[str, bytes] = {}

                async def receive(name: str, end: Any) -> None:
                    got[name] = await end.receive_exactly(len(data))

                await together(
                    lambda: a.send_all(data),
                    lambda: b.send_all(data[::-1]),
                    lambda: receive("a", a),
                    lambda: receive("b", b),
                )
                assert got == {"a": data[::-1], "b": data}

        self.run(check)

    def test_half_close(self) -> None:
        """After finishing, a stream still receives; sending again is told apart as the caller's mistake."""

        async def check() -> None:
            async with self.pair() as (a, b):
                await a.send_all(b"question")
                await _maybe(a.finish_sending())
                assert a.state == "sending finished"
                assert await b.receive_exactly(8) == b"question"
                assert await b.receive() == b""
                await b.send_all(b"answer")
                assert await a.receive_exactly(6) == b"answer"
                with _raises(WrongState, "finish_sending() was called"):
                    await a.send(b"more")
                await _maybe(b.finish_sending())
                assert await a.receive() == b""
                assert a.state == b.state == "both finished"

        self.run(check)

    def test_exactly_tells_what_came(self) -> None:
        """An early end is an error that has the bytes."""

        async def check() -> None:
            async with self.pair() as (a, b):
                await a.send_all(b"half")
                await _maybe(a.finish_sending())
                with _raises(EndOfStream, "4 of 8 bytes") as caught:
                    await b.receive_exactly(8)
                assert caught[0].received == b"half"
                assert await b.receive_exactly(0) == b""

        self.run(check)

    def test_closed_is_closed(self) -> None:
        """Every call after close is the caller's mistake; closing again is none."""

        async def check() -> None:
            async with self.pair() as (a, _):
                await _maybe(a.close())
                await _maybe(a.close())
                assert a.state == "closed"
                assert a.kernel_state == "none"
                calls: list[Callable[[], Any]] = [
                    lambda: a.receive(),
                    lambda: a.send(b"x"),
                    lambda: a.receive_exactly(1),
                ]
                for call in calls:
                    with _raises(WrongState, "close() was called"):
                        await call()

        self.run(check)

    def test_graceful_close_loses_nothing(self) -> None:
        """The last answer arrives although the peer's last bytes were never read."""
        data = payload(self.size)

        async def check() -> None:
            async with self.pair() as (a, b):
                await b.send_all(b"never read")
                await a.send_all(data[:100])

                async def read() -> None:
                    assert await b.receive_exactly(100) == data[:100]
                    assert await b.receive() == b""
                    await _maybe(b.close())

                await together(lambda: _maybe(a.close(graceful=True)), read)

        self.run(check)


class MessageStreamSuite(Suite):
    """What a stream of messages must do; `make_pair` gives message streams, of a framing that carries any bytes."""

    #: Bytes of the longest message.
    size: ClassVar[int] = 200_000

    def test_messages_keep_their_limits(self) -> None:
        """What was sent as messages is received as messages, empty ones too."""
        sent = [b"", b"a", payload(self.size), b"", payload(1000), b"\n\0\\"]

        async def check() -> None:
            async with self.pair() as (a, b):
                received = []

                async def send() -> None:
                    for message in sent[:3]:
                        await a.send(message)
                    await a.send_many(sent[3:])
                    await _maybe(a.finish_sending())

                async def receive() -> None:
                    received.append(await b.receive())
                    while found := await b.receive_many():
                        received.extend(found)

                await together(send, receive)
                assert received == sent
                with _raises(EndOfStream, "after a whole message"):
                    await b.receive()

        self.run(check)

    def test_question_and_answer(self) -> None:
        """Each message can be answered before the next is sent."""

        async def check() -> None:
            async with self.pair() as (a, b):

                async def answer() -> None:
                    for _ in range(20):
                        await b.send((await b.receive()).upper())

                async def ask() -> None:
                    for number in range(20):
                        await a.send(b"question %d" % number)
                        assert await a.receive() == b"QUESTION %d" % number

                await together(ask, answer)

        self.run(check)


class PacketSuite(Suite):
    """What endpoints of whole packets must do; `make_pair` gives two that have each other as peers.

    Attributes:
        content: the attribute of what is received that holds what was sent.
    """

    content: ClassVar[str] = "payload"

    def test_packets_keep_their_limits(self) -> None:
        """One send is one receive, also of nothing, in either direction."""

        async def check() -> None:
            async with self.pair() as (a, b):
                for data in (b"one", b"", payload(1400), b"last"):
                    for sender, receiver in ((a, b), (b, a)):
                        await sender.send(data)
                        assert getattr(await receiver.receive(), self.content) == data

        self.run(check)

    def test_closed_is_closed(self) -> None:
        """Every call after close is the caller's mistake; closing again is none."""

        async def check() -> None:
            async with self.pair() as (a, _):
                await _maybe(a.close())
                await _maybe(a.close())
                assert a.state == "closed"
                with _raises(WrongState, "close() was called"):
                    await a.send(b"x")
                with _raises(WrongState, "close() was called"):
                    await a.receive()

        self.run(check)


class DatagramSuite(PacketSuite):
    """What datagram endpoints must do; `make_pair` gives two that have each other as peers."""

    content = "data"

    def test_truncation_is_told(self) -> None:
        """A datagram that does not fit is an error with the true length."""
        from ..errors import TruncatedDatagram

        async def check() -> None:
            async with self.pair() as (a, b):
                await a.send(b"0123456789")
                await a.send(b"next")
                with _raises(TruncatedDatagram, "10 bytes") as caught:
                    await b.receive(4)
                assert caught[0].data == b"0123"
                assert caught[0].length == 10
                assert (await b.receive(4)).data == b"next"

        self.run(check)

    def test_peek_takes_nothing(self) -> None:
        """A peeked datagram is still there."""

        async def check() -> None:
            async with self.pair() as (a, b):
                await a.send(b"look")
                assert (await b.receive(peek=True)).data == b"look"
                assert (await b.receive()).data == b"look"

        self.run(check)


class ListenerSuite(Suite):
    """What a listener must do; its connections have a suite of their own."""

    async def make_listener(self) -> tuple[Any, Callable[[], Awaitable[Any]]]:
        """Return a listener, and how to connect to it."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def listener(self) -> AsyncIterator[tuple[Any, Callable[[], Awaitable[Any]]]]:
        """Have a listener, and close it."""
        listener, connect = await self.make_listener()
        try:
            yield listener, connect
        finally:
            await _maybe(listener.close())

    def test_connections_come_in_order(self) -> None:
        """Those that connected before anybody accepted are there, first come first served."""

        async def check() -> None:
            async with self.listener() as (listener, connect):
                clients = [await connect() for _ in range(5)]
                for number, client in enumerate(clients):
                    await client.send_all(b"%d" % number)
                for number in range(5):
                    accepted = await listener.accept()
                    assert await accepted.receive(10) == b"%d" % number
                    await _maybe(accepted.close())
                for client in clients:
                    await _maybe(client.close())
                assert listener.accepted == 5

        self.run(check)

    def test_a_connection_that_is_gone_is_not_the_listeners_end(self) -> None:
        """A client that left before it was accepted does not disturb the next one."""

        async def check() -> None:
            async with self.listener() as (listener, connect):
                await _maybe((await connect()).close())
                client = await connect()
                await client.send_all(b"here")
                while True:
                    accepted = await listener.accept()
                    data = await accepted.receive(10)
                    await _maybe(accepted.close())
                    if data:
                        break
                assert data == b"here"
                await _maybe(client.close())

        self.run(check)

    def test_a_waiting_accept_gets_the_next_connection(self) -> None:
        """Waiting first and connecting later is the same."""

        async def check() -> None:
            async with self.listener() as (listener, connect):
                ends: list[Any] = []

                async def accept() -> None:
                    ends.append(await listener.accept())

                async def come() -> None:
                    ends.append(await connect())

                await together(accept, come)
                for end in ends:
                    await _maybe(end.close())

        self.run(check)

    def test_closed_is_closed(self) -> None:
        """Every call after close is the caller's mistake; closing again is none."""

        async def check() -> None:
            async with self.listener() as (listener, _):
                await _maybe(listener.close())
                await _maybe(listener.close())
                assert listener.state == "closed"
                with _raises(WrongState, "close() was called"):
                    await listener.accept()

        self.run(check)


async def _maybe(result: Any) -> Any:
    return await result if isinstance(result, Awaitable) else result


@contextlib.contextmanager
def _raises(kind: type[BaseException], text: str) -> Iterator[list[Any]]:
    """Expect an exception; yields a list that will hold it."""
    caught: list[Any] = []
    try:
        yield caught
    except kind as error:
        caught.append(error)
    else:
        raise AssertionError(f"{kind.__name__} was not raised")
    assert text in str(caught[0]), f"{str(caught[0])!r} does not say {text!r}"
