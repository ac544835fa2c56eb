"""Raw IPv4 sockets; `wallsocket.aio` has them for asyncio and trio."""

from __future__ import annotations

from .endpoints.raw import Endpoint, Packet

__all__ = ["Endpoint", "Packet"]
