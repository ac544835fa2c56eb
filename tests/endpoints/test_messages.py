"""Messages over any stream: plain sockets, asyncio, anyio, trio; nothing lost by deadlines and cancellations."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading

import anyio
import pytest
import trio

from wallsocket import aio, framing, tcp
from wallsocket.errors import CutMessage, DeadlinePassed, EndOfStream, EndpointError, UsageError, WouldBlock

FRAMES = framing.LengthPrefixed(4)


@pytest.fixture
def pair():
    with tcp.listen("127.0.0.1:0") as listener, tcp.connect(listener.local) as a, listener.accept(timeout_s=10) as b:
        yield a, b


def test_many_at_once_and_one_at_a_time(pair):
    a, b = (each.messages(FRAMES) for each in pair)
    a.send_many([b"one", b"two", b"three"])
    assert a.unsent == 0
    first = b.receive(timeout_s=10)
    rest = b.receive_many(timeout_s=10)
    while len(rest) < 2:
        rest += b.receive_many(timeout_s=10)
    assert [first, *rest] == [b"one", b"two", b"three"]
    a.finish_sending()
    assert b.receive_many(timeout_s=10) == []
    with pytest.raises(EndOfStream):
        b.receive(timeout_s=10)
    assert list(b) == []


def test_a_cut_message_is_told_after_the_whole_ones(pair):
    a, b = pair
    a.send_all(FRAMES.encode(b"whole") + FRAMES.encode(b"half")[:-2])
    a.finish_sending()
    stream = b.messages(FRAMES)
    assert stream.receive(timeout_s=10) == b"whole"
    for _ in range(2):
        with pytest.raises(CutMessage, match="2 missing"):
            stream.receive(timeout_s=10)


def test_garbage_is_told_at_once(pair):
    a, b = pair
    a.send_all(FRAMES.encode(b"good") + b"GET / HTTP/1.1\r\n\r\n")
    stream = b.messages(FRAMES)
    assert stream.receive(timeout_s=10) == b"good"
    with pytest.raises(framing.MessageTooLong, match="1195725856 bytes"):
        stream.receive(timeout_s=10)


def test_one_message_per_connection(pair):
    a, b = (each.messages(framing.UntilClose()) for each in pair)
    a.send(b"question")
    with pytest.raises(UsageError, match="one message"):
        a.send(b"another")
    assert b.receive(timeout_s=10) == b"question"
    b.send(b"answer")
    assert a.receive(timeout_s=10) == b"answer"


def test_a_send_out_of_time_goes_on_later(pair):
    big = bytes(range(256)) * 200_000
    a, b = pair[0].messages(framing.LengthPrefixed(4, max_message=1 << 30)), pair[1]
    with pytest.raises(DeadlinePassed, match="the rest is kept") as caught:
        a.send(big, timeout_s=0.2)
    assert a.unsent == len(big) + 4 - caught.value.done
    with pytest.raises(UsageError, match="flush"):
        a.finish_sending()
    received = []
    stream = b.messages(framing.LengthPrefixed(4, max_message=1 << 30))
    reader = threading.Thread(target=lambda: received.extend(stream))
    reader.start()
    a.send(b"next", timeout_s=60)
    a.finish_sending()
    reader.join(60)
    assert received == [big, b"next"]


def test_plain_sockets():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = tcp.messages(ours, framing.Delimited())
        theirs.sendall(b"one\ntw")
        assert stream.receive() == b"one"
        theirs.sendall(b"o\n")
        assert stream.receive() == b"two"
        stream.send(b"back")
        assert theirs.recv(10) == b"back\n"


async def asyncio_streams(port):
    return await asyncio.open_connection("127.0.0.1", port)


async def anyio_streams(port):
    return await anyio.connect_tcp("127.0.0.1", port)


async def trio_streams(port):
    return await trio.open_tcp_stream("127.0.0.1", port)


async def own_connection(port):
    return await aio.tcp.connect(("127.0.0.1", port))


STREAMS = [
    pytest.param("asyncio", asyncio_streams, id="asyncio"),
    pytest.param("asyncio", anyio_streams, id="anyio on asyncio"),
    pytest.param("trio", anyio_streams, id="anyio on trio"),
    pytest.param("trio", trio_streams, id="trio"),
    pytest.param("asyncio", own_connection, id="own on asyncio"),
    pytest.param("trio", own_connection, id="own on trio"),
]


@pytest.mark.parametrize(("backend", "connect"), STREAMS)
def test_streams_that_people_have(backend, connect):
    """A service of ours; the client uses the stream of another library."""

    async def serve(connection):
        async for message in connection.messages(FRAMES):
            await connection.messages(FRAMES).send(message.upper())

    async def main():
        with anyio.fail_after(60):
            async with await aio.tcp.listen("127.0.0.1:0") as listener, anyio.create_task_group() as group:
                group.start_soon(listener.serve, serve)
                async with aio.messages(await connect(listener.local[1]), FRAMES) as stream:
                    for size in (0, 5, 100_000):
                        await stream.send(b"a" * size)
                        assert await stream.receive() == b"A" * size
                    await stream.send_many([b"x", b"y"])
                    assert [await stream.receive(), await stream.receive()] == [b"X", b"Y"]
                    await stream.finish_sending()
                    with pytest.raises(EndOfStream):
                        await stream.receive()
                    assert [message async for message in stream] == []
                group.cancel_scope.cancel()

    anyio.run(main, backend=backend)


def test_things_that_are_no_streams():
    with pytest.raises(UsageError, match="no stream of bytes"):
        aio.messages(object(), FRAMES)
    with tcp.Connection() as blocking, pytest.raises(UsageError, match="blocks"):
        aio.messages(blocking, FRAMES)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_send_on_a_foreign_stream_is_not_repeated(backend):
    async def main():
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            stream = aio.messages(client, framing.LengthPrefixed(4, max_message=1 << 30))
            with anyio.move_on_after(0.3):
                await stream.send(b"x" * (1 << 26))
            with pytest.raises(EndpointError, match="unknown part"):
                await stream.send(b"y")
        await listener.aclose()

    anyio.run(main, backend=backend)


class _Struck(Exception):
    """Raised by a signal handler."""


@pytest.mark.parametrize("raises", [False, True])
def test_a_signal_does_not_end_a_receive_unless_its_handler_does(pair, raises):
    a, b = pair
    struck = []

    def handler(*_):
        struck.append(True)
        if raises:
            raise _Struck
        if len(struck) == 3:
            b.send_all(FRAMES.encode(b"after three signals"))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        stream = a.messages(FRAMES)
        if raises:
            with pytest.raises(_Struck):
                stream.receive()
        else:
            assert stream.receive() == b"after three signals"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    b.send_all(FRAMES.encode(b"goes on"))
    assert stream.receive(timeout_s=30) == b"goes on"
    assert a.bytes_received == b.bytes_sent


def test_one_byte_at_a_time_and_kept_bytes_first(pair):
    a, b = pair
    wire = FRAMES.encode_many([b"one", b"", b"three"])
    stream = b.messages(FRAMES)
    received = []
    for at in range(len(wire)):
        a.send_all(wire[at : at + 1])
        try:
            received += stream.receive_many(timeout_s=0)
        except WouldBlock:
            pass
    while len(received) < 3:
        received += stream.receive_many(timeout_s=30)
    assert received == [b"one", b"", b"three"]
    # What a receive_exactly() out of time has kept comes before what the kernel has.
    a.send_all(wire[:2])
    with pytest.raises(DeadlinePassed):
        b.receive_exactly(4, timeout_s=0.05)
    a.send_all(wire[2:])
    assert [stream.receive(timeout_s=30) for _ in range(3)] == received


def test_slow_peers_and_floods_cost_bounded_memory(pair):
    a, b = pair
    stream = b.messages(framing.LengthPrefixed(4, max_message=1 << 30))
    # A length announced reserves nothing: only what came is kept.
    a.send_all((1 << 30).to_bytes(4) + b"slow")
    with pytest.raises(DeadlinePassed):
        stream.receive(timeout_s=0.05)
    assert stream._decoder.buffered == 8
    stream = b.messages(framing.LengthPrefixed(1))
    with pytest.raises(DeadlinePassed):
        a.send_all(bytes(100_000_000), timeout_s=0.2)
    # One receive takes 64 KiB at most, however much waits; an empty message is one byte of it.
    for _ in range(3):
        assert stream.receive() == b""
        assert stream.waiting < 65536
