import asyncio
import sys

clients = set()


async def serve(reader, writer):
    clients.add(writer)
    try:
        while True:
            line = await reader.readuntil(b"\n")
            for other in clients - {writer}:
                # Who does not read loses lines, not the others.
                if other.transport.get_write_buffer_size() < 1_000_000:
                    other.write(line)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        pass
    finally:
        clients.discard(writer)
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
