import asyncio
import pathlib
import sys

FOLDER = pathlib.Path(sys.argv[2]).resolve()


async def serve(reader, writer):
    try:
        line = await reader.readuntil(b"\n")
        # Of what cannot be a name, such as one with a zero byte, there is no file.
        names = {path.name.encode(): path for path in FOLDER.iterdir() if path.is_file()}
        path = names.get(line[:-1])
        if path is not None:
            writer.write(b"OK %d\n" % path.stat().st_size)
            with path.open("rb") as file:
                while part := file.read(65536):
                    writer.write(part)
                    await writer.drain()
        else:
            writer.write(b"NO\n")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
