import asyncio
import sys


async def serve(reader, writer):
    try:
        while True:
            line = await reader.readuntil(b"\n")
            writer.write(line.upper())
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    async with await asyncio.start_server(serve, None, int(sys.argv[1]), limit=4096) as server:
        await server.serve_forever()


asyncio.run(main())
