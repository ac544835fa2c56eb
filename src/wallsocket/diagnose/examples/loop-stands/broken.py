"""A handler sleeps in the loop's own thread: nobody else is served meanwhile."""

import asyncio
import os
import socket
import time


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    time.sleep(15)  # noqa: ASYNC251  until the report is there
    writer.write(b"report\n")
    await writer.drain()


async def main(listener: socket.socket) -> None:
    server = await asyncio.start_server(handle, sock=listener)
    await server.serve_forever()


listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    address = listener.getsockname()
    listener.close()
    clients = [socket.create_connection(address) for _ in range(2)]
    for client in clients:
        client.sendall(b"report\n")
        time.sleep(0.5)
    time.sleep(2.5)
    print("ready", flush=True)
    time.sleep(20)
    os._exit(0)
asyncio.run(main(listener))
