"""Listening for connections on asyncio and trio: what TCP and Unix listeners share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from ...errors import EndpointError, FramingError, WrongState
from ..accepting import Accepting
from .driver import AsyncClosing, drive
from .stream import AsyncStream

__all__ = ["AsyncListener"]

ConnectionT = TypeVar("ConnectionT", bound=AsyncStream)

_log = logging.getLogger("wallsocket.aio")


class AsyncListener(Accepting, AsyncClosing, Generic[ConnectionT]):
    """A listening socket on asyncio or trio; iterating accepts until it is closed."""

    #: What `accept` returns.
    _kind: type[ConnectionT]

    async def accept(self) -> ConnectionT:
        """Return the next connection; survives lost connections and a lack of descriptors."""
        return await drive(self._accept(self._kind), self)

    async def _next(self) -> ConnectionT | None:
        """Return the next connection; ``None`` when the listener is closed, also while this waits."""
        try:
            return await self.accept() if self._state == "listening" else None
        except WrongState:
            if self._state != "closed":
                raise
            return None

    async def serve(
        self, handler: Callable[[ConnectionT], Awaitable[object]], *, max_connections: int | None = None
    ) -> None:
        """Accept until the listener is closed; run ``handler`` in a task for each connection, which is closed after it.

        Network and protocol errors of one connection are logged (``wallsocket.aio``) and end only that one. Others
        are bugs and end everything.

        Args:
            handler: takes the connection.
            max_connections: more than these wait in the backlog.
        """
        limiter = anyio.Semaphore(max_connections) if max_connections is not None else None

        async def run(connection: ConnectionT) -> None:
            try:
                async with connection:
                    await handler(connection)
            except (EndpointError, FramingError, OSError) as error:
                _log.info("%r ended: %s", connection, error)
            finally:
                if limiter is not None:
                    limiter.release()

        async with anyio.create_task_group() as group:
            while True:
                if limiter is not None:
                    await limiter.acquire()
                if (connection := await self._next()) is None:
                    return
                group.start_soon(run, connection)

    async def __aiter__(self) -> AsyncIterator[ConnectionT]:
        while (connection := await self._next()) is not None:
            yield connection
