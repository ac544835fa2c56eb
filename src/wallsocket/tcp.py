"""TCP connections and listeners; `wallsocket.aio` has them for asyncio and trio."""

from __future__ import annotations

from .endpoints.tcp import Backlog, Connection, Listener, adopt, connect, listen, messages

__all__ = ["Backlog", "Connection", "Listener", "adopt", "connect", "listen", "messages"]
