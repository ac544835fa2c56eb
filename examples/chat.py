"""Chat without a server: peers find each other by UDP multicast and talk over TCP.

chat.py NAME [INTERFACE]
"""

from __future__ import annotations

import sys

import anyio

from wallsocket import aio, framing
from wallsocket.framing import FramingError

GROUP, PORT = "239.255.45.67", 45678
LINES = framing.Delimited(strict=False, max_message=4096)


class Peer:
    """One person at the table."""

    def __init__(self, name: str, interface: str) -> None:
        self.name, self.interface = name, interface
        self.streams: dict[str, aio.MessageStream[bytes]] = {}

    async def run(self) -> None:
        """Find others, be found, and send what is typed."""
        async with await aio.tcp.listen(":0") as listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self.meet)
            group.start_soon(self.discover, listener.local[1], group)
            group.start_soon(self.announce, listener.local[1])
            async for line in anyio.wrap_file(sys.stdin):
                for stream in list(self.streams.values()):
                    await stream.send(line.rstrip("\n").encode())
            group.cancel_scope.cancel()

    async def announce(self, port: int) -> None:
        """Say twice a second who listens where."""
        async with aio.udp.Endpoint() as endpoint:
            endpoint.send_multicast(interface=self.interface)
            while True:
                await endpoint.send(f"{self.name} {port}".encode(), (GROUP, PORT))
                await anyio.sleep(0.5)

    async def discover(self, own_port: int, group: anyio.abc.TaskGroup) -> None:
        """Connect to whoever is announced."""
        async with await aio.udp.bind((GROUP, PORT), reuse_address=True) as endpoint:
            endpoint.join(GROUP, interface=self.interface)
            async for found in endpoint:
                name, _, port = found.data.decode(errors="replace").partition(" ")
                # Of two peers the one with the smaller name connects.
                if self.name < name and name not in self.streams and port.isdigit():
                    group.start_soon(self.meet, await aio.tcp.connect((found.peer[0], int(port))))

    async def meet(self, connection: aio.tcp.Connection) -> None:
        """Exchange names, then show what the other says."""
        async with connection.messages(LINES) as stream:
            await stream.send(self.name.encode())
            name = (await stream.receive()).decode(errors="replace")
            self.streams[name] = stream
            print(f"* {name} is here", flush=True)
            try:
                async for message in stream:
                    print(f"{name}: {message.decode(errors='replace')}", flush=True)
            except (OSError, FramingError) as error:
                print(f"* {name}: {error}", flush=True)
            del self.streams[name]
            print(f"* {name} left", flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    anyio.run(Peer(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "lo").run)
