"""An asyncio service calls a blocking client inside a coroutine: everybody waits for one slow report."""

import asyncio
import socket
import threading
import time

asked = threading.Event()


def report_store(listener: socket.socket) -> None:
    """The store behind the service needs its time."""
    connection, _ = listener.accept()
    with connection:
        asked.set()
        time.sleep(1.8)
        connection.sendall(b"42 rows\n")


def fetch_report(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address) as store:
        return store.recv(100)


def ask(address: tuple[str, int], question: bytes) -> None:
    began = time.monotonic()
    with socket.create_connection(address) as client:
        client.sendall(question)
        print(client.recv(100), f"after {time.monotonic() - began:.1f} s")


def clients(address: tuple[str, int]) -> None:
    first = threading.Thread(target=ask, args=(address, b"report\n"))
    first.start()
    asked.wait(20)
    ask(address, b"ping\n")
    first.join()


async def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    store = threading.Thread(target=report_store, args=(listener,))
    store.start()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wanted = await reader.readline()
        writer.write(fetch_report(listener.getsockname()) if wanted == b"report\n" else b"pong\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as service:
        await asyncio.to_thread(clients, service.sockets[0].getsockname())
    store.join()
    listener.close()


asyncio.run(main())
