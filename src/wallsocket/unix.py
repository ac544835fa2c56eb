"""Unix sockets; `wallsocket.aio` has them for asyncio and trio."""

from __future__ import annotations

from .endpoints.unix import Connection, Credentials, Endpoint, Kind, Listener, bind, connect, listen, pair

__all__ = ["Connection", "Credentials", "Endpoint", "Kind", "Listener", "bind", "connect", "listen", "pair"]
