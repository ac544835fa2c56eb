import asyncio
import sys


async def serve(reader, writer):
    try:
        while (line := await reader.readline()).endswith(b"\n"):
            writer.write(line.upper())
            await writer.drain()
    except (ValueError, OSError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
