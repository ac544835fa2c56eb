"""How async endpoints wait: registered once, nothing lost in the moment of a cancellation, no loop or number mixed up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import textwrap

import anyio
import pytest

from wallsocket import aio, framing
from wallsocket.errors import WrongState

FRAMES = framing.LengthPrefixed(2)


@contextlib.contextmanager
def counted(loop, name):
    calls = []
    real = getattr(loop, name)

    def counting(descriptor, *arguments):
        calls.append(descriptor)
        return real(descriptor, *arguments)

    setattr(loop, name, counting)
    try:
        yield calls
    finally:
        delattr(loop, name)


async def tcp_pair():
    async with await aio.tcp.listen("127.0.0.1:0") as listener:
        a = await aio.tcp.connect(listener.local)
        return a, await listener.accept()


def test_a_conversation_registers_once():
    async def check():
        loop = asyncio.get_running_loop()
        a, b = await tcp_pair()
        async with a, b:
            with counted(loop, "add_reader") as added:

                async def echo():
                    async for message in b.messages(FRAMES):
                        await b.messages(FRAMES).send(message)

                other = asyncio.create_task(echo())
                stream = a.messages(FRAMES)
                for number in range(50):
                    await stream.send(b"%d" % number)
                    assert await stream.receive() == b"%d" % number
                assert added.count(a.fileno()) == 1
                assert added.count(b.fileno()) == 1
                await stream.finish_sending()
                await other

    asyncio.run(check())


def test_data_that_nobody_waits_for_does_not_keep_the_loop_busy():
    async def check():
        loop = asyncio.get_running_loop()
        a, b = await tcp_pair()
        async with a, b:
            waiting = asyncio.create_task(a.receive())
            await asyncio.sleep(0)
            await b.send_all(b"one")
            assert await waiting == b"one"
            with counted(loop, "remove_reader") as removed:
                await b.send_all(b"two")
                turns = 0
                while a.fileno() not in removed:
                    turns += 1
                    await asyncio.sleep(0)
                for _ in range(20):
                    await asyncio.sleep(0)
                assert removed.count(a.fileno()) == 1
            assert await a.receive() == b"two"

    asyncio.run(check())


async def caught_in_the_moment(endpoint, receive, arrive):
    """Cancel ``receive`` after the loop has taken what arrived, and before its task runs; return how it ended."""
    task = asyncio.create_task(receive())
    await asyncio.sleep(0)
    await arrive()
    registration = endpoint._watch._registration()
    while not endpoint._watch._waiter.done():
        registration()  # as the loop does; data on loopback is there at once, or nearly
    task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    return outcome


def test_what_was_taken_for_a_cancelled_task_is_kept():
    async def check():
        a, b = await tcp_pair()
        async with a, b:
            outcome = await caught_in_the_moment(a, lambda: a.receive(3), lambda: b.send_all(b"kept and more"))
            assert isinstance(outcome, asyncio.CancelledError)
            assert await a.receive() == b"kep"
            assert await a.receive_exactly(10) == b"t and more"

            stream = a.messages(FRAMES)
            wire = FRAMES.encode_many([b"one", b"two", b"three"])
            for receive in (stream.receive, stream.receive_many):
                outcome = await caught_in_the_moment(a, receive, lambda: b.send_all(wire[:-1]))
                assert isinstance(outcome, asyncio.CancelledError)
                await b.send_all(wire[-1:])
                assert [await stream.receive() for _ in range(3)] == [b"one", b"two", b"three"]

            async def abort():
                b.abort()

            outcome = await caught_in_the_moment(a, a.receive, abort)
            # The kernel tells a reset once: it goes before the cancellation.
            assert isinstance(outcome, ConnectionResetError)
            assert a.state == "reset"
        async with await aio.udp.bind("127.0.0.1:0") as server, await aio.udp.connect(server.local) as client:
            for receive in (server.receive, server.receive_many):
                outcome = await caught_in_the_moment(server, receive, lambda: client.send_many([b"kept", b"too"]))
                assert isinstance(outcome, asyncio.CancelledError)
                assert [(await server.receive()).data for _ in range(2)] == [b"kept", b"too"]

    asyncio.run(check())


def test_closing_wakes_whoever_waits(run):
    async def check():
        a, b = await tcp_pair()
        endpoint = await aio.udp.bind("127.0.0.1:0")
        listener = await aio.tcp.listen("127.0.0.1:0")
        one, two = await tcp_pair()
        woken = []

        async def wait(operation):
            with pytest.raises(WrongState, match=r"close\(\) was called while a task waited"):
                await operation()
            woken.append(operation)

        async def fill():
            while True:
                await one.send_all(b"x" * 100_000)

        operations = (a.receive, endpoint.receive, listener.accept, b.messages(FRAMES).receive, fill)
        async with two, anyio.create_task_group() as group:
            for operation in operations:
                group.start_soon(wait, operation)
            await anyio.wait_all_tasks_blocked()
            await a.close()
            endpoint.close()
            listener.close()
            await b.close()
            await one.close()
        assert len(woken) == len(operations)

    run(check)


def test_one_task_waits_at_a_time(run):
    async def check():
        a, b = await tcp_pair()
        async with a, b, anyio.create_task_group() as group:
            group.start_soon(a.receive)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Exception, match=r"(?i)another task is already|another task is using"):
                await a.receive()
            group.cancel_scope.cancel()

    run(check)


def test_an_endpoint_moves_from_loop_to_loop():
    made = []

    async def first():
        made.extend(await tcp_pair())
        await turn()

    async def turn():
        a, b = made
        waiting = asyncio.create_task(a.receive())
        await asyncio.sleep(0)
        await b.send_all(b"x")
        assert await waiting == b"x"
        waiting = asyncio.create_task(a.receive())
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(first())
    asyncio.run(turn())
    with asyncio.Runner() as one, asyncio.Runner() as two:
        for _ in range(3):
            one.run(turn())
            two.run(turn())

    async def close():
        for each in made:
            await each.close()

    asyncio.run(close())


@pytest.mark.parametrize("left", ["dropped", "in a cycle", "closed underneath", "detached"])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_descriptor_number_that_comes_back_is_watched_anew(left):
    async def check():
        async def one():
            a, b = aio.unix.pair()
            waiting = asyncio.create_task(a.receive())
            await asyncio.sleep(0)
            await b.send_all(b"x")
            assert await waiting == b"x"
            return a, b

        a, b = await one()
        number = a.fileno()
        if left == "in a cycle":
            a.itself = a
        elif left == "closed underneath":
            a.socket.close()
        elif left == "detached":
            import os

            os.close(a.detach())
        del a
        gc.collect()
        again, other = await one()
        assert again.fileno() == number
        for each in (again, other, b):
            await each.close()

    asyncio.run(check())


def test_others_may_wait_for_the_same_descriptor_in_between():
    async def check():
        a, b = await tcp_pair()
        async with a, b:
            for word in (b"one", b"two"):
                waiting = asyncio.create_task(a.receive())
                await asyncio.sleep(0)
                await b.send_all(word)
                assert await waiting == word
                await b.send_all(b"theirs")
                # Both take the reader of the loop for themselves, and leave none.
                await anyio.wait_readable(a.fileno())
                assert await asyncio.get_running_loop().sock_recv(a.socket, 100) == b"theirs"

    asyncio.run(check())


def test_a_child_of_fork_does_not_disturb_its_parent():
    program = """
        import asyncio, os
        from wallsocket import aio

        async def once(a, b, word):
            waiting = asyncio.create_task(a.receive())
            await asyncio.sleep(0)
            await b.send_all(word)
            assert await waiting == word

        async def parent():
            a, b = aio.unix.pair()
            await once(a, b, b"before")
            child = os.fork()
            if not child:
                try:
                    asyncio.run(once(a, b, b"in the child"))
                    a._close(), b._close()
                    os._exit(0)
                finally:
                    os._exit(1)
            status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status[1]) == 0
            await once(a, b, b"after")

        asyncio.run(asyncio.wait_for(parent(), 60))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=120)
