"""Drives operations on asyncio and trio, by anyio.

An operation that does not have to wait does not yield to the event loop each time: that would cost more than the system
call. Every `TURN` such operations of an endpoint it does, so that others get their turn and cancellations arrive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from ..steps import READABLE, AnyReady, Await, Call, Pause, Steps, Wait

__all__ = ["TURN", "closing", "drive"]

T = TypeVar("T")

#: Operations in a row that may be done without yielding to the event loop.
TURN: Final = 64


class _Holder(Protocol):
    #: Operations in a row that did not wait.
    _in_a_row: int

    def fileno(self) -> int: ...


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
                    descriptor = holder.fileno()
                    await (anyio.wait_readable(descriptor) if wait == READABLE else anyio.wait_writable(descriptor))
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


def closing(descriptor: int) -> None:
    """Wake tasks that wait on ``descriptor``, which is about to be closed."""
    if descriptor >= 0 and hasattr(anyio, "notify_closing"):
        with contextlib.suppress(Exception):  # no event loop runs: nobody waits
            anyio.notify_closing(descriptor)
