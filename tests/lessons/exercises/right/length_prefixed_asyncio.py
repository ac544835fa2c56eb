import asyncio
import sys


async def serve(reader, writer):
    try:
        while True:
            length = int.from_bytes(await reader.readexactly(4), "big")
            if length > 100_000:
                break
            text = await reader.readexactly(length)
            writer.write(length.to_bytes(4, "big") + text.upper())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, port=int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
