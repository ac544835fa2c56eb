import asyncio
import sys


async def serve(reader, writer):
    try:
        writer.write((await reader.read()).upper())
        await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
