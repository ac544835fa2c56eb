"""The asyncio tasks of a process: names, chains of coroutines and sockets are what the program itself says."""

from __future__ import annotations

import textwrap

from tests.stacks.programs import Start, eventually, places
from wallsocket import _core

python = _core.python

SOURCE = """
import asyncio, contextlib, oracle, socket

descriptors = {}

def note(name, sock):
    descriptors[name] = sock.fileno()

async def serve_one(reader, writer):
    asyncio.current_task().set_name("server side")
    note("server side", writer.get_extra_info("socket"))
    await reader.readline()

async def read(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    note("stream read", writer.get_extra_info("socket"))
    await reader.readexactly(
        10
    )

async def drain(sock):
    reader, writer = await asyncio.open_connection(sock=sock)
    note("stream drain", sock)
    writer.write(bytes(10_000_000))
    await writer.drain()

async def low_recv(sock):
    note("sock_recv", sock)
    await asyncio.get_running_loop().sock_recv(sock, 10)

async def low_accept(sock):
    note("sock_accept", sock)
    await asyncio.get_running_loop().sock_accept(sock)

async def low_send(sock):
    note("sock_sendall", sock)
    await asyncio.get_running_loop().sock_sendall(sock, bytes(10_000_000))

async def sleep():
    await asyncio.sleep(1000)

async def wait_for_task(task):
    await task

async def numbers():
    yield 1
    await asyncio.sleep(1000)
    yield 2

async def iterate():
    async for _ in numbers():
        pass

@contextlib.asynccontextmanager
async def manager():
    await asyncio.Event().wait()
    yield

async def enter():
    async with manager():
        pass

async def gather():
    await asyncio.gather(asyncio.sleep(1000), asyncio.sleep(1000))

async def timeout():
    await asyncio.wait_for(asyncio.Queue().get(), 1000)

async def group():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.sleep(1000), name="in the group")

class Awaitable:
    def __await__(self):
        yield from asyncio.sleep(1000).__await__()

async def own_awaitable():
    await Awaitable()

async def main():
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    note("server", server.sockets[0])
    port = server.sockets[0].getsockname()[1]
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    pairs = [socket.socketpair() for _ in range(3)]
    for pair in pairs:
        pair[0].setblocking(False)
    sleeping = asyncio.create_task(sleep(), name="sleep")
    chosen = {
        "stream read": read(port),
        "stream drain": drain(pairs[0][0]),
        "sock_recv": low_recv(pairs[1][0]),
        "sock_accept": low_accept(listener),
        "sock_sendall": low_send(pairs[2][0]),
        "task": wait_for_task(sleeping),
        "asynchronous generator": iterate(),
        "asynchronous manager": enter(),
        "gather": gather(),
        "timeout": timeout(),
        "group": group(),
        "awaitable": own_awaitable(),
        "server": server.serve_forever(),
    }
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in chosen.items()]
    while "server side" not in descriptors or "stream drain" not in descriptors:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    unnamed = asyncio.create_task(sleep())
    # Not before the task above waits, too.
    loop.call_soon(lambda: loop.call_soon(lambda: oracle.start(loop, descriptors=descriptors)))
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def test_tasks_are_what_the_program_says(interpreter: str, start: Start) -> None:
    program = start(interpreter, SOURCE)
    eventually(lambda: python.frames(program.pid, program.main).waiting, "the loop waits")
    told = program.answer()["tasks"]
    tasks = {task.name: task for task in python.tasks(program.pid)}
    assert len(told) > 15
    assert tasks.keys() == told.keys()
    wrong = {}
    for name, task in tasks.items():
        if places(task.frames) != told[name]:
            wrong[name] = (places(task.frames), told[name])
    assert not wrong
    assert {task.state for task in tasks.values()} == {"waiting"}
    assert {name: task.descriptor for name, task in tasks.items() if task.descriptor is not None} == program.facts[
        "descriptors"
    ]
    assert tasks["task"].awaits == "task sleep"
    assert tasks["gather"].awaits == "gather"
    assert tasks["sock_recv"].awaits == "future"


def test_a_call_of_the_loop_itself_is_the_loops(interpreter: str, start: Start) -> None:
    program = start(interpreter, SOURCE)
    stack = eventually(
        lambda: (stack := python.frames(program.pid, program.main)).waiting and stack.place == "loop" and stack,
        "the loop waits for events",
    )
    assert stack.top.file.endswith("/selectors.py")
    assert stack.frames[-1].function == "<module>"


RUNNING = """
import asyncio, oracle, os, threading

def step():
    os.read(reader, 1)

async def busy():
    step()

async def main():
    tasks = [asyncio.create_task(busy(), name=name) for name in ("running", "ready")]
    oracle.start()
    await asyncio.gather(*tasks)

reader, writer = os.pipe()
asyncio.run(main())
"""


def test_a_running_task_and_one_that_is_due(interpreter: str, start: Start) -> None:
    program = start(interpreter, textwrap.dedent(RUNNING))
    stack = eventually(
        lambda: (
            (stack := python.frames(program.pid, program.main)).waiting and stack.frames[0].function == "step" and stack
        ),
        "the task blocks in read()",
    )
    # Called by a task, not by the loop on its own account.
    assert (stack.place, stack.top.function) == ("user", "step")
    tasks = {task.name: task for task in python.tasks(program.pid)}
    assert tasks["running"].state == "running"
    assert tasks["ready"].state == "ready"
    assert [frame.function for frame in tasks["ready"].frames] == ["busy"]
    assert tasks["Task-1"].state == "waiting"


def test_a_program_without_asyncio_has_no_tasks(interpreter: str, start: Start) -> None:
    program = start.command(  # type: ignore[attr-defined]
        [interpreter, "-c", "import os; print('{\"pid\": %d}' % os.getpid(), flush=True); input()"]
    )
    assert python.tasks(program.pid) == []
