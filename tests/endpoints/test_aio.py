"""Endpoints on asyncio and trio: cancellation loses nothing, closing wakes, servers go on."""

from __future__ import annotations

import random
import socket

import anyio
import anyio.lowlevel
import pytest

from wallsocket import aio, framing
from wallsocket.errors import DeadlinePassed, PortUnreachable

FRAMES = framing.LengthPrefixed(4)


async def tcp_pair():
    async with await aio.tcp.listen("127.0.0.1:0") as listener:
        a = await aio.tcp.connect(listener.local)
        return a, await listener.accept()


def test_cancelled_receives_lose_no_byte(run):
    data = random.Random(1).randbytes(200_000)

    async def check():
        a, b = await tcp_pair()
        chance = random.Random(2)

        async def send():
            for at in range(0, len(data), 1000):
                await a.send_all(data[at : at + 1000])
                await anyio.lowlevel.checkpoint()
            a.finish_sending()

        received = bytearray()
        cancelled = 0
        async with a, b, anyio.create_task_group() as group:
            group.start_soon(send)
            while len(received) < len(data):
                size = min(chance.randint(1, 5000), len(data) - len(received))
                with anyio.move_on_after(chance.choice([0, 0.0001, 0.001])) as scope:
                    if chance.random() < 0.5:
                        received += await b.receive_exactly(size)
                    else:
                        received += await b.receive(size)
                cancelled += scope.cancelled_caught
        assert received == data
        assert cancelled

    run(check)


def test_a_cancelled_send_says_how_much_went(run):
    data = bytes(range(256)) * 100_000

    async def check():
        a, b = await tcp_pair()
        async with a, b:
            with anyio.move_on_after(0.2) as scope:
                await a.send_all(data)
            assert scope.cancelled_caught
            assert 0 < a.bytes_sent < len(data)
            a.finish_sending()
            received = bytearray()
            while piece := await b.receive(1 << 20):
                received += piece
            assert received == data[: a.bytes_sent]

    run(check)


def test_cancelled_message_sends_go_on_later(run):
    codec = framing.LengthPrefixed(4, max_message=1 << 30)
    big = bytes(range(256)) * 100_000

    async def check():
        a, b = await tcp_pair()
        async with a, b, anyio.create_task_group() as group:
            stream = a.messages(codec)
            with anyio.move_on_after(0.2) as scope:
                await stream.send(big)
            assert scope.cancelled_caught
            assert stream.unsent
            received = []

            async def receive():
                async for message in b.messages(codec):
                    received.append(message)

            group.start_soon(receive)
            await stream.flush()
            await stream.send(b"next")
            await stream.finish_sending()
        assert received == [big, b"next"]

    run(check)


def test_udp(run):
    async def check():
        async with await aio.udp.bind("127.0.0.1:0") as server, await aio.udp.connect(server.local) as client:
            await client.send_many([b"x" * 100] * 20 + [b""])
            found = []
            while len(found) < 21:
                found += await server.receive_many()
            assert [each.data for each in found] == [b"x" * 100] * 20 + [b""]
            await server.reply(found[0], b"back")
            assert (await client.receive()).data == b"back"
            with anyio.move_on_after(0.01) as scope:
                await client.receive()
            assert scope.cancelled_caught
            server.close()
            await client.send(b"lost")
            with pytest.raises(PortUnreachable):
                await client.receive()

    run(check)


def test_names_are_resolved_off_the_loop(run):
    async def check():
        async with await aio.tcp.listen("localhost:0") as listener:
            async with await aio.tcp.connect(f"localhost:{listener.local[1]}") as client:
                assert client.state == "established"
            with pytest.raises(socket.gaierror) as caught:
                await aio.tcp.connect("no.such.name.invalid:1")
            assert any("looked up on host here" in note for note in caught.value.__notes__)

    run(check)


def test_a_server_survives_its_clients(run):
    async def handler(connection):
        async for message in connection.messages(FRAMES):
            await connection.messages(FRAMES).send(message.upper())

    async def check():
        async with await aio.tcp.listen("127.0.0.1:0") as listener, anyio.create_task_group() as group:
            serve = lambda: listener.serve(handler, max_connections=2)  # noqa: E731
            group.start_soon(serve)
            for bad in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\5ab", b""):
                client = await aio.tcp.connect(listener.local)
                await client.send_all(bad)
                client.abort() if not bad else client.finish_sending()
                if bad:
                    try:
                        assert await client.receive() == b""
                    except ConnectionResetError:
                        pass  # it closed with bytes of ours unread
                    await client.close()
            async with await aio.tcp.connect(listener.local) as client:
                stream = client.messages(FRAMES)
                await stream.send(b"still here")
                assert await stream.receive() == b"STILL HERE"
            group.cancel_scope.cancel()

    run(check)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_closing_a_listener_ends_what_serves_and_iterates(run, kind, tmp_path):
    async def check():
        make, connect = (aio.tcp.listen, aio.tcp.connect) if kind == "tcp" else (aio.unix.listen, aio.unix.connect)
        served = []

        async def handler(connection):
            served.append(await connection.receive())
            await connection.send_all(b"served")

        async def iterate(listener):
            async for connection in listener:
                await connection.close()

        first = await make("127.0.0.1:0" if kind == "tcp" else tmp_path / "first")
        second = await make("127.0.0.1:0" if kind == "tcp" else tmp_path / "second")
        async with anyio.create_task_group() as group:
            group.start_soon(first.serve, handler)
            group.start_soon(iterate, second)
            async with await connect(first.local) as client:
                await client.send_all(b"hello")
                assert await client.receive() == b"served"
            await anyio.wait_all_tasks_blocked()
            first.close()
            second.close()
        assert served == [b"hello"]

    run(check)


def test_no_more_connections_than_allowed_are_served_at_once(run):
    async def check():
        at_once, most = 0, 0

        async def handler(connection):
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await connection.receive()
            at_once -= 1

        async with await aio.tcp.listen("127.0.0.1:0") as listener, anyio.create_task_group() as group:
            serve = lambda: listener.serve(handler, max_connections=2)  # noqa: E731
            group.start_soon(serve)
            clients = [await aio.tcp.connect(listener.local) for _ in range(5)]
            for client in clients:
                await anyio.wait_all_tasks_blocked()
                assert at_once <= 2
                await client.close()
            group.cancel_scope.cancel()
        assert most == 2

    run(check)


def test_a_busy_endpoint_lets_others_run(run):
    """Operations that never wait yield now and then: a cancellation arrives although data is always there."""

    async def check():
        async with await aio.udp.bind("127.0.0.1:0") as endpoint:
            with anyio.move_on_after(0.2) as scope:
                while True:
                    await endpoint.send(b"x", endpoint.local)
                    await endpoint.receive()
            assert scope.cancelled_caught

    run(check)


def test_graceful_close_has_a_limit(run):
    async def check():
        a, b = await tcp_pair()
        async with b:
            await a.close(graceful=True, timeout_s=0.1)
            assert a.closed
            assert await b.receive() == b""

    run(check)


def test_unix_and_raw(run, tmp_path):
    async def check():
        async with await aio.unix.listen(tmp_path / "s") as listener:
            client = await aio.unix.connect(tmp_path / "s")
            server = await listener.accept()
            async with client, server:
                await client.send_all(b"hello")
                assert await server.receive_exactly(5) == b"hello"
        a, b = aio.unix.pair("seqpacket")
        async with a, b:
            await a.send(b"message")
            assert await b.receive() == b"message"
        async with await aio.unix.bind(tmp_path / "d") as endpoint:
            await endpoint.send(b"self", tmp_path / "d")
            assert (await endpoint.receive()).data == b"self"

    run(check)


def test_connect_gives_up_when_cancelled(run):
    async def check():
        with socket.socket() as full:
            # A listener whose queue is full does not answer further SYNs.
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fillers = []
            with anyio.move_on_after(1) as scope:
                while True:
                    fillers.append(await aio.tcp.connect(full.getsockname()))
            assert scope.cancelled_caught
            connection = aio.tcp.Connection()
            with anyio.move_on_after(0.1):
                await connection.connect(full.getsockname())
            assert connection.state in ("created", "bound")
            await connection.close()
            for filler in fillers:
                await filler.close()

    run(check)


def test_deadlines_are_not_for_async_endpoints(run):
    async def check():
        a, b = await tcp_pair()
        async with a, b:
            with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.05):
                await a.receive()
            assert not isinstance(caught.value, DeadlinePassed)

    run(check)
