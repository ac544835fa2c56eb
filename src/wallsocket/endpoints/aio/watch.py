"""Waits for one socket on the event loop that runs.

On asyncio the socket stays registered with the loop from one wait to the next, which saves two system calls a message;
a loop that reports it while nobody waits gives it up again. trio arms a socket anew for each wait by itself.

Rules of this file: a watch belongs to one thread at a time, as everything of an event loop does; it never keeps its
endpoint alive; and what was taken from the kernel reaches its reader or is put back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import anyio

from ...errors import WrongState

__all__ = ["Watch", "asyncio_loop"]

T = TypeVar("T")

#: Changes in the child of a fork, which shares the epoll descriptor of the parent's loop: nothing may be taken out.
_generation = 0


def _forked() -> None:
    global _generation
    _generation += 1


os.register_at_fork(after_in_child=_forked)


def asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop of the asyncio task that runs, if one does (trio may run as a guest of asyncio's loop)."""
    loop = asyncio._get_running_loop()
    return loop if loop is not None and asyncio.current_task(loop) is not None else None


class _Registration:
    """What a loop calls when the socket is readable. The loop alone keeps it alive, and so shows that it is in force."""

    __slots__ = ("__weakref__", "descriptor", "generation", "loop", "watch")

    def __init__(self, watch: Watch, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self.watch = watch
        self.loop = loop
        self.descriptor = descriptor
        self.generation = _generation
        # Somebody may have closed a socket of this number without telling the loop.
        loop.remove_reader(descriptor)
        loop.add_reader(descriptor, self)

    def __call__(self) -> None:
        watch = self.watch
        waiter = watch._waiter
        if watch._registration is None or watch._registration() is not self or waiter is None or waiter.done():
            self.remove()
            return
        take = watch._take
        if take is None:
            # Its task reads later, and until then the loop would report the socket again and again.
            self.remove()
            waiter.set_result(None)
            return
        try:
            found = take()
        except Exception as error:  # the task's
            waiter.set_exception(error)
        else:
            if found is not None:
                waiter.set_result(found)

    def remove(self) -> None:
        if self.generation != _generation or self.loop.is_closed():
            return
        if self.loop.is_running() and asyncio._get_running_loop() is not self.loop:
            self.loop.call_soon_threadsafe(_remove, weakref.ref(self))
        else:
            self.loop.remove_reader(self.descriptor)


def _remove(registration: weakref.ref[_Registration]) -> None:
    found = registration()
    if found is not None:  # still in force
        found.loop.remove_reader(found.descriptor)


class Watch:
    """The waits of one socket."""

    __slots__ = ("_name", "_registration", "_take", "_waiter", "_writer")

    def __init__(self, name: str) -> None:
        self._name = name
        self._registration: weakref.ref[_Registration] | None = None
        self._take: Callable[[], Any] | None = None
        self._waiter: asyncio.Future[Any] | None = None
        self._writer: asyncio.Future[None] | None = None

    async def readable(self, descriptor: int) -> None:
        """Wait until a receive would not have to.

        Raises:
            BusyResourceError: another task waits for the same (anyio's).
            WrongState: the socket was closed meanwhile.
        """
        loop = asyncio_loop()
        if loop is not None:
            await self._arrival(loop, descriptor, None)
        else:
            await self._elsewhere(anyio.wait_readable, descriptor)

    async def writable(self, descriptor: int) -> None:
        """Wait until a send would not have to; raises as `readable` does."""
        loop = asyncio_loop()
        if loop is None:
            await self._elsewhere(anyio.wait_writable, descriptor)
            return
        if self._writer is not None:
            raise anyio.BusyResourceError("sending to")
        waiter = self._writer = loop.create_future()
        loop.add_writer(descriptor, _set, waiter)
        try:
            await waiter
        finally:
            self._writer = None
            if not waiter.done() or waiter.cancelled() or waiter.exception() is None:
                loop.remove_writer(descriptor)

    async def arrival(
        self,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        take: Callable[[], T | None],
        put_back: Callable[[T], object],
    ) -> T:
        """Return what ``take`` returns as soon as that is not ``None``; raises as `readable` and ``take`` do.

        ``take`` is called by the loop when something has come, before the task runs. If the task is cancelled just
        then, what was taken is handed to ``put_back``.
        """
        try:
            return await self._arrival(loop, descriptor, take)  # type: ignore[no-any-return]
        except _Late as late:
            put_back(late.found)
            raise late.cancellation from None

    async def _arrival(self, loop: asyncio.AbstractEventLoop, descriptor: int, take: Callable[[], Any] | None) -> Any:
        registration = None if self._registration is None else self._registration()
        if registration is None or registration.loop is not loop or registration.generation != _generation:
            if registration is not None:
                if (
                    self._waiter is not None
                    and registration.generation == _generation
                    and registration.loop.is_running()
                ):
                    raise anyio.BusyResourceError("receiving from")
                registration.remove()
            self._waiter = None
            self._registration = weakref.ref(_Registration(self, loop, descriptor))
        elif self._waiter is not None:
            raise anyio.BusyResourceError("receiving from")
        waiter = self._waiter = loop.create_future()
        self._take = take
        try:
            return await waiter
        except asyncio.CancelledError as cancellation:
            if waiter.cancelled() or take is None:
                raise
            if (failed := waiter.exception()) is not None:
                raise failed from None  # the kernel tells it once: it must not be lost
            raise _Late(waiter.result(), cancellation) from None
        finally:
            if self._waiter is waiter:
                self._waiter = self._take = None

    async def _elsewhere(self, wait: Callable[[int], Any], descriptor: int) -> None:
        try:
            await wait(descriptor)
        except Exception as error:
            if type(error).__name__ == "ClosedResourceError":  # anyio's or trio's
                raise self._closed() from None
            raise

    def _closed(self) -> WrongState:
        return WrongState(f"{self._name}: close() was called while a task waited")

    def release(self, descriptor: int) -> None:
        """Forget the socket, which is about to be closed or given away; tasks that wait for it get `WrongState`."""
        registration = None if self._registration is None else self._registration()
        self._registration = None
        if registration is not None:
            registration.remove()
        for waiter in (self._waiter, self._writer):
            if waiter is None or waiter.done() or waiter.get_loop().is_closed():
                continue
            if waiter is self._writer:
                waiter.get_loop().remove_writer(descriptor)
            waiter.set_exception(self._closed())
        if "trio" in sys.modules:
            import trio

            with contextlib.suppress(RuntimeError):  # no trio runs: nobody waits
                trio.lowlevel.notify_closing(descriptor)


class _Late(Exception):
    """Something was taken for a task that was cancelled in the same moment."""

    def __init__(self, found: Any, cancellation: asyncio.CancelledError) -> None:
        super().__init__()
        self.found = found
        self.cancellation = cancellation


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
