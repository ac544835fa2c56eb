"""Chat without a server: UDP multicast finds the others, TCP carries the talk. Start it by chat.py NAME [INTERFACE]."""

import contextlib
import sys

import anyio

from wallsocket import aio, framing
from wallsocket.errors import EndpointError, FramingError

GROUP = ("239.255.45.67", 45678)
LINES = framing.Delimited(strict=False, max_message=4096)
BROKEN = (OSError, EndpointError, FramingError)


async def main(me: str, interface: str = "lo") -> None:
    others: dict[str, aio.MessageStream[bytes] | None] = {}

    async def find(port: int, group: anyio.abc.TaskGroup) -> None:
        async with await aio.udp.bind(GROUP, reuse_address=True) as endpoint:
            endpoint.join(GROUP[0], interface=interface)
            endpoint.send_multicast(interface=interface)
            while True:
                await endpoint.send(f"{me} {port}".encode(), GROUP)
                with anyio.move_on_after(0.5):  # a receive that is cancelled loses nothing
                    async for found in endpoint:
                        name, _, there = found.data.decode(errors="replace").partition(" ")
                        if me < name and name not in others and there.isdigit():  # the smaller name calls
                            others[name] = None
                            group.start_soon(call, name, (found.peer[0], int(there)))

    async def call(name: str, address: tuple[str, int]) -> None:
        with contextlib.suppress(*BROKEN):
            await meet(await aio.tcp.connect(address))
        others.pop(name, None)  # to be called again when it is heard of again

    async def meet(connection: aio.tcp.Connection) -> None:
        async with connection.messages(LINES) as stream:
            await stream.send(me.encode())
            others[name := (await stream.receive()).decode(errors="replace")] = stream
            print(f"* {name} is here", flush=True)
            with contextlib.suppress(*BROKEN):
                async for message in stream:
                    print(f"{name}: {message.decode(errors='replace')}", flush=True)
            others.pop(name, None)
            print(f"* {name} left", flush=True)

    async with await aio.tcp.listen(":0") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, meet)
        group.start_soon(find, listener.local[1], group)
        async for line in anyio.wrap_file(sys.stdin):
            for stream in filter(None, list(others.values())):
                with contextlib.suppress(*BROKEN):  # meet() ends as well, and says so
                    await stream.send(line.rstrip("\n").encode())
        group.cancel_scope.cancel()


anyio.run(main, *sys.argv[1:]) if len(sys.argv) in (2, 3) else sys.exit(__doc__)
