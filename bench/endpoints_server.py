"""Upper-case services for `bench/endpoints.py`: ours, and hand-written ones that bench/peers lacks.

Usage: endpoints_server.py PORT KIND
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
import threading

import anyio

from wallsocket import aio, framing, tcp, udp

FRAMES = framing.LengthPrefixed(4)


def ready() -> None:
    print("ready", flush=True)


def tcp_sync(port: int, *, batches: bool) -> None:
    def handle(connection: tcp.Connection) -> None:
        # The load generator leaves by a reset.
        with contextlib.suppress(ConnectionError), connection.messages(FRAMES) as stream:
            if batches:
                while found := stream.receive_many():
                    stream.send_many([message.upper() for message in found])
            else:
                for message in stream:
                    stream.send(message.upper())

    listener = tcp.listen(("127.0.0.1", port), backlog=4096)
    ready()
    for connection in listener:
        threading.Thread(target=handle, args=(connection,), daemon=True).start()


async def tcp_async(port: int, *, batches: bool) -> None:
    async def handle(connection: aio.tcp.Connection) -> None:
        stream = connection.messages(FRAMES)
        if batches:
            while found := await stream.receive_many():
                await stream.send_many([message.upper() for message in found])
        else:
            async for message in stream:
                await stream.send(message.upper())

    listener = await aio.tcp.listen(("127.0.0.1", port), backlog=4096)
    ready()
    await listener.serve(handle)


async def tcp_anyio(port: int) -> None:
    """Do what anyio's documentation does: a BufferedByteStream, two receives and one send for each frame."""
    from anyio.streams.buffered import BufferedByteReceiveStream

    async def handle(stream: anyio.abc.SocketStream) -> None:
        buffered = BufferedByteReceiveStream(stream)
        try:
            while True:
                header = await buffered.receive_exactly(4)
                message = await buffered.receive_exactly(struct.unpack(">I", header)[0])
                await stream.send(header + message.upper())
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port, backlog=4096)
    ready()
    await listener.serve(handle)


def udp_sync(port: int, *, batches: bool) -> None:
    endpoint = udp.bind(("127.0.0.1", port))
    ready()
    if batches:
        while True:
            for datagram in endpoint.receive_many():
                endpoint.send(datagram.data.upper(), datagram.peer)
    for datagram in endpoint:
        endpoint.send(datagram.data.upper(), datagram.peer)


async def udp_async(port: int, *, batches: bool) -> None:
    endpoint = await aio.udp.bind(("127.0.0.1", port))
    ready()
    if batches:
        while True:
            for datagram in await endpoint.receive_many():
                await endpoint.send(datagram.data.upper(), datagram.peer)
    async for datagram in endpoint:
        await endpoint.send(datagram.data.upper(), datagram.peer)


async def udp_anyio(port: int) -> None:
    sock = await anyio.create_udp_socket(local_host="127.0.0.1", local_port=port)
    ready()
    async for data, peer in sock:
        await sock.sendto(data.upper(), *peer)


def main() -> None:
    port, kind = int(sys.argv[1]), sys.argv[2]
    transport, how, *rest = kind.split("-")
    batches = "each" not in rest
    if how == "sync":
        (tcp_sync if transport == "tcp" else udp_sync)(port, batches=batches)
    elif how == "anyio":
        anyio.run(tcp_anyio if transport == "tcp" else udp_anyio, port)
    else:
        options = {"use_uvloop": True} if how == "uvloop" else {}
        serve = tcp_async if transport == "tcp" else udp_async

        async def run() -> None:
            await serve(port, batches=batches)

        anyio.run(run, backend="trio" if how == "trio" else "asyncio", backend_options=options)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        main()
