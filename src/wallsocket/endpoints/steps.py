"""How the semantics are written once and driven twice.

An operation is a generator of *steps*: it tries its system call, and where the kernel says "not yet" it yields what it
waits for. Nothing here or in the operations knows how waiting is done. `run` drives an operation by poll() with a
deadline; `wallsocket.endpoints.aio.driver` drives the same operation on asyncio and trio.

A driver resumes an operation when the wait is over, or throws into it: `DeadlinePassed`, or the cancellation of the
event loop. An operation that has changed anything says so in the exception or keeps it for the next call.
"""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from ..errors import DeadlinePassed, WouldBlock

__all__ = ["READABLE", "WRITABLE", "AnyReady", "Await", "Call", "Pause", "Steps", "Wait", "run"]

READABLE: Final = select.POLLIN
WRITABLE: Final = select.POLLOUT

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AnyReady:
    """Wait until one of ``sockets`` is ready or ``timeout_s`` is over; the operation gets the ready ones."""

    sockets: Sequence[socket.socket]
    events: int
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Run ``function``, which may block for long (name resolution), off the event loop; its result comes back."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Await:
    """Await what ``function`` returns (a stream of asyncio, anyio or trio); only async drivers can."""

    function: Callable[[], Awaitable[Any]]


#: What an operation may wait for: its own socket (a poll mask), or one of the classes above.
Wait: TypeAlias = int | AnyReady | Pause | Call | Await
Steps: TypeAlias = Generator[Wait, Any, T]


class HasDescriptor(Protocol):
    """Something with a descriptor to wait on."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


def run(steps: Steps[T], holder: HasDescriptor | None, timeout_s: float | None, doing: str) -> T:
    """Drive ``steps`` on the calling thread.

    Args:
        steps: the operation.
        holder: whose operation it is; ``None`` when it has no socket of its own to wait for.
        timeout_s: seconds for the whole operation; ``None`` waits for ever, 0 never waits.
        doing: what the operation does, for the text of errors: ``"receive"``.

    Raises:
        DeadlinePassed: the time is over.
        WouldBlock: ``timeout_s`` is 0 and the operation would have to wait.
    """
    try:
        wait = next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while True:
            if timeout_s == 0 and not (isinstance(wait, Call) or (isinstance(wait, AnyReady) and wait.timeout_s == 0)):
                wait = steps.throw(WouldBlock(errno.EAGAIN, f"{doing} would have to wait (timeout_s is 0)"))
                continue
            left = None if deadline is None or timeout_s == 0 else deadline - time.monotonic()
            try:
                result = _wait(wait, -1 if holder is None else holder.fileno(), left)
            except _TooLate:
                text = f"{doing} was not done within {timeout_s:g} s"
                wait = steps.throw(DeadlinePassed(errno.ETIMEDOUT, text))
                continue
            except OSError as error:  # what a Call raised
                wait = steps.throw(error)
                continue
            wait = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        steps.close()


class _TooLate(Exception):
    """The deadline came first."""


def _wait(wait: Wait, fileno: int, left_s: float | None) -> object:
    if left_s is not None and left_s < 0:
        raise _TooLate
    if isinstance(wait, int):
        poll = select.poll()
        poll.register(fileno, wait)
        if not poll.poll(None if left_s is None else left_s * 1000):
            raise _TooLate
        return None
    if isinstance(wait, AnyReady):
        poll = select.poll()
        by_descriptor = {each.fileno(): each for each in wait.sockets}
        for descriptor in by_descriptor:
            poll.register(descriptor, wait.events)
        limits = [limit for limit in (wait.timeout_s, left_s) if limit is not None]
        ready = [by_descriptor[descriptor] for descriptor, _ in poll.poll(min(limits) * 1000 if limits else None)]
        if not ready and left_s is not None and (wait.timeout_s is None or left_s <= wait.timeout_s):
            raise _TooLate
        return ready
    if isinstance(wait, Pause):
        time.sleep(wait.seconds if left_s is None else min(wait.seconds, left_s))
        return None
    if isinstance(wait, Await):
        raise TypeError("an async stream needs the async driver")
    return wait.function() if left_s is None else _call_within(wait.function, left_s)


def _call_within(function: Callable[[], Any], left_s: float) -> Any:
    """Call ``function`` on a thread of its own: getaddrinfo() cannot be told to stop, only to be forgotten."""
    outcome: list[Any] = []
    done = threading.Event()

    def target() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:  # handed to the caller
            outcome.append((None, error))
        done.set()

    threading.Thread(target=target, daemon=True, name="wallsocket resolve").start()
    if not done.wait(left_s):
        raise _TooLate
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
