"""Sockets that the interpreter of Python closed, since nothing held them any more."""

from __future__ import annotations

from typing import NamedTuple

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from .set_up import SetUp

__all__ = ["Dropped", "Finalised"]

#: Sockets of one process that are kept, and in all.
_KEPT = 256
_ALL = 10_000


class Dropped(NamedTuple):
    """One such socket."""

    socket: SocketFacts
    asked: CallFacts  #: the first of the two questions
    closed: CallFacts
    local: Address | None
    listened: bool


class Naming:
    """The latest questions for the names of one socket."""

    __slots__ = ("local", "remote")

    def __init__(self) -> None:
        self.local: CallFacts | None = None
        self.remote: CallFacts | None = None


class Finalised(SocketTracker[Naming]):
    """Knows the finaliser by what it does (``sock_finalize`` in Modules/socketmodule.c).

    It writes a ResourceWarning, whether anybody sees it or not, with both addresses of the socket: getsockname, getpeername
    and close follow each other at one line. ``close()`` asks for neither.
    """

    needs = (SetUp,)
    kept = Naming

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.of_process: dict[int, list[Dropped]] = {}
        self._count = 0

    @returned("getsockname")
    def named(self, call: CallFacts) -> None:
        """Its own address was asked for."""
        if call.socket is not None and call.succeeded:
            found = self.keep(call.socket)
            found.local, found.remote = call, None

    @returned("getpeername", given=True)
    def peer_named(self, call: CallFacts) -> None:
        """The peer's address was asked for."""
        found = call.socket.kept.get(self.place) if call.socket is not None else None
        if found is not None:
            found.remote = call

    @returned("close", given=True)
    def closed(self, call: CallFacts) -> None:
        """It was closed."""
        socket = call.socket
        found = socket.kept.get(self.place) if socket is not None else None
        if socket is None or found is None or found.local is None or found.remote is None or call.result != 0:
            return
        calls = (found.local, found.remote, call)
        process = self.facts.process(call.call.process)
        python = process is not None and "python" in (process.language or "").lower()
        # At the end of the interpreter no line is run any more.
        if not python or call.call.known != 1 or len({(one.thread, one.call.source) for one in calls}) != 1:
            return
        # Nothing else was done with it in between: calls of one thread have ascending numbers.
        if call.entry_ns - found.local.end_ns > _AT_ONCE_NS:
            return
        if self._count >= _ALL:
            return
        known = self.of_process.setdefault(call.call.process, [])
        if len(known) < _KEPT:
            self._count += 1
            listened = self.facts[SetUp].of(socket).listen is not None
            known.append(Dropped(socket, found.local, call, socket.local, listened))


#: The three calls follow each other at once; a tracer and a busy machine take their time.
_AT_ONCE_NS = 50_000_000
