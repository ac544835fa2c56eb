"""asyncio does not block: it reads the refusal from SO_ERROR when the event loop says that the socket is writable."""

import asyncio
import socket

with socket.create_server(("127.0.0.1", 0)) as listener:
    address = listener.getsockname()


async def main():
    try:
        await asyncio.open_connection(*address)
    except OSError as error:
        print(error)


asyncio.run(main())
