"""Endpoints for asyncio and trio: ``aio.tcp``, ``aio.udp``, ``aio.unix``, ``aio.raw``, and ``aio.messages``.

>>> from wallsocket import aio
>>> async def hello():
...     async with await aio.tcp.listen("127.0.0.1:0") as listener:
...         client = await aio.tcp.connect(listener.local)
...         server = await listener.accept()
...         await client.send_all(b"hello")
...         print(await server.receive())
...         await client.close()
...         await server.close()
>>> import asyncio
>>> asyncio.run(hello())
b'hello'
"""

from __future__ import annotations

from .endpoints.aio import raw, tcp, udp, unix
from .endpoints.aio.messages import MessageStream, messages

__all__ = ["MessageStream", "messages", "raw", "tcp", "udp", "unix"]
