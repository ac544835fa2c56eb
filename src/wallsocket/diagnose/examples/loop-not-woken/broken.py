"""A thread computes an answer and sets the loop's future itself: the loop sleeps on."""

import asyncio
import socket
import threading
import time


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    question = await reader.readline()
    answer = asyncio.get_running_loop().create_future()

    def compute() -> None:
        time.sleep(0.2)
        answer.set_result(question.upper())
        print("ready", flush=True)

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


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=ask, daemon=True).start()
asyncio.run(main(listener))
