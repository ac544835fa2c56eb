"""UDP endpoints; `wallsocket.aio` has them for asyncio and trio."""

from __future__ import annotations

from .endpoints.udp import Datagram, Endpoint, bind, connect

__all__ = ["Datagram", "Endpoint", "bind", "connect"]
