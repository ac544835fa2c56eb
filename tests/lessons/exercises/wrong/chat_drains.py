"""Who does not read is waited for with drain(), and the sender with it."""

import asyncio
import sys

ws = set()


async def h(r, w):
    ws.add(w)
    try:
        while (line := await r.readline()).endswith(b"\n"):
            for o in list(ws):
                if o is not w:
                    try:
                        o.write(line)  # HERE
                        await o.drain()
                    except ConnectionError:
                        pass
    except ConnectionError:
        pass
    ws.discard(w)
    w.close()


async def main():
    async with await asyncio.start_server(h, "", int(sys.argv[1])) as s:
        await s.serve_forever()


asyncio.run(main())
