"""The thread asks the loop to set the future, which wakes it."""

import asyncio
import socket
import threading
import time


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    question = await reader.readline()
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    def compute() -> None:
        time.sleep(0.2)
        loop.call_soon_threadsafe(answer.set_result, question.upper())

    threading.Thread(target=compute, daemon=True).start()
    writer.write(await answer)
    await writer.drain()


async def main(listener: socket.socket) -> None:
    server = await asyncio.start_server(handle, sock=listener)
    await server.serve_forever()


def ask() -> None:
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"question\n")
        client.recv(100)
        print("ready", flush=True)
        time.sleep(20)


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=ask, daemon=True).start()
asyncio.run(main(listener))
