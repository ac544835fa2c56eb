"""Drives operations on asyncio and trio, by anyio.

An operation that does not have to wait does not yield to the event loop each time: that would cost more than the system
call. Every `TURN` such operations of an endpoint it does, so that others get their turn and cancellations arrive.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from ..base import Base
from ..steps import READABLE, AnyReady, Await, Call, Pause, Steps, Wait
from .watch import Watch, asyncio_loop

__all__ = ["TURN", "Async", "AsyncClosing", "arrival", "drive"]

T = TypeVar("T")

#: Operations in a row that may be done without yielding to the event loop.
TURN: Final = 64


class _Holder(Protocol):
    #: Operations in a row that did not wait.
    _in_a_row: int

    def fileno(self) -> int: ...

    def _watched(self) -> Watch: ...


class Async(Base):
    """What all endpoints on event loops share."""

    blocking = False
    _in_a_row = 0
    _watch: Watch | None = None

    def _watched(self) -> Watch:
        watch = self._watch
        if watch is None:
            watch = self._watch = Watch(self._name())
        return watch

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.release(self._socket.fileno())

    def __del__(self) -> None:
        # The loop must not go on watching a descriptor whose number another socket will get.
        if self._watch is not None and self._socket.fileno() >= 0:
            self._watch.release(self._socket.fileno())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


class AsyncClosing(Async):
    """Endpoints whose close() has nothing to wait for."""

    def close(self) -> None:
        """Close. Harmless when repeated; tasks that wait get `WrongState`."""
        self._close()


async def arrival(holder: _Holder, take: Callable[[], T | None], put_back: Callable[[T], object]) -> T:
    """Return what ``take`` finds, which returns ``None`` while it would have to wait.

    Args:
        holder: whose socket it is.
        take: receives without waiting.
        put_back: keeps for the next receive what was taken for a task that was cancelled.
    """
    if holder._in_a_row >= TURN:
        holder._in_a_row = 0
        await anyio.lowlevel.checkpoint()
        if (found := take()) is not None:
            return found
    holder._in_a_row = 0
    loop = asyncio_loop()
    if loop is not None:
        return await holder._watched().arrival(loop, holder.fileno(), take, put_back)
    while True:
        await holder._watched().readable(holder.fileno())
        if (found := take()) is not None:
            return found


async def drive(steps: Steps[T], holder: _Holder | None) -> T:
    """Run ``steps`` on the event loop.

    A cancellation is thrown into the operation, which puts itself in order and lets it pass.
    """
    if holder is not None:
        holder._in_a_row += 1
        if holder._in_a_row >= TURN:
            holder._in_a_row = 0
            # Before the operation, not after it: a cancellation must not take its result away.
            await anyio.lowlevel.checkpoint()
    try:
        wait = next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    if holder is not None:
        holder._in_a_row = 0
    try:
        while True:
            try:
                if wait.__class__ is int and holder is not None:
                    watch, descriptor = holder._watched(), holder.fileno()
                    await (watch.readable(descriptor) if wait == READABLE else watch.writable(descriptor))
                    result = None
                else:
                    result = await _other(wait)
            except BaseException as error:
                wait = steps.throw(error)
            else:
                wait = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


async def _other(wait: Wait) -> Any:
    if isinstance(wait, Await):
        return await wait.function()
    if isinstance(wait, Pause):
        return await anyio.sleep(wait.seconds)
    if isinstance(wait, Call):
        return await anyio.to_thread.run_sync(wait.function, abandon_on_cancel=True)
    if isinstance(wait, AnyReady):
        return await _any_ready(wait)
    raise TypeError(f"an operation waits for {wait!r} without a socket")


async def _any_ready(wait: AnyReady) -> list[Any]:
    ready: list[Any] = []
    one = anyio.wait_readable if wait.events == READABLE else anyio.wait_writable

    async def watch(sock: Any, waiting: Callable[[Any], Awaitable[None]]) -> None:
        await waiting(sock)
        ready.append(sock)
        group.cancel_scope.cancel()

    with anyio.move_on_after(wait.timeout_s):
        async with anyio.create_task_group() as group:
            for sock in wait.sockets:
                group.start_soon(watch, sock, one)
    return ready
