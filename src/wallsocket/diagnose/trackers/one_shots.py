"""Sockets that epoll reports once (EPOLLONESHOT), and what came after that report."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_sample, returned
from ..vocabulary import EPOLL_WAITS, EPOLLONESHOT, POLLIN
from .readiness import Readiness
from .waits import Waits

__all__ = ["OneShotFacts", "OneShots"]

_MODIFY, _DELETE = 3, 2
#: Processes, and threads, that are told apart.
_KEPT = 10_000
#: Sockets of one thread that are followed through its waits.
_PENDING = 256


class OneShotFacts:
    """One socket that was armed for one report."""

    __slots__ = ("armed", "event", "kept", "slept_ns", "touched")

    def __init__(self) -> None:
        self.armed: CallFacts | None = None  #: the epoll_ctl after which one report was to come
        self.event: CallFacts | None = None  #: the wait that reported it: from then on it is not watched
        self.touched: CallFacts | None = None  #: the latest call on the socket since
        self.kept: Sample | None = None  #: the first picture since that call in which something is left to read
        self.slept_ns = 0  #: what the thread of the latest of these has slept in epoll_wait since that picture


class OneShots(SocketTracker[OneShotFacts]):
    """Follows each of them from its arming to the report, and on until it is armed again."""

    needs = (Readiness, Waits)
    kept = OneShotFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._again: set[int] = set()
        self._pending: dict[tuple[int, int], dict[int, OneShotFacts]] = {}

    def arms_again(self, process: int) -> bool:
        """Whether a process has ever armed a socket by EPOLL_CTL_MOD: after a report that is how it is done."""
        return process in self._again

    def slept_ns(self, socket: SocketFacts) -> int:
        """For how long the thread that had the socket last has slept in epoll_wait over what is left in it."""
        found = self.of(socket)
        wait = self.facts[Waits].waiting.get(found.touched.thread) if found.touched is not None else None
        if found.kept is None or wait is None or wait.name not in EPOLL_WAITS:
            return found.slept_ns
        return found.slept_ns + max(0, self.facts[Waits].until_ns(wait) - max(wait.entry_ns, found.kept.at_ns))

    @returned("epoll_ctl")
    def asked(self, call: CallFacts) -> None:
        """A socket was put into an epoll set, armed again, or taken out."""
        socket = call.socket
        if socket is None or not call.succeeded:
            return
        once = bool(call.epoll_events & EPOLLONESHOT)
        found = self.keep(socket) if once else socket.kept.get(self.place)
        if found is None:
            return
        if once and call.call.a == _MODIFY and len(self._again) < _KEPT:
            self._again.add(call.call.process)
        self._forget(found, socket)
        found.event = found.touched = found.kept = None
        found.slept_ns = 0
        found.armed = call if once else None

    @returned(*EPOLL_WAITS)
    def waited(self, call: CallFacts) -> None:
        """A wait returned."""
        for left in self._pending.get(call.thread, {}).values():
            if left.kept is not None:
                left.slept_ns += max(0, call.end_ns - max(call.entry_ns, left.kept.at_ns))
        if not call.result or call.result < 0:
            return
        for socket, events in self.facts[Readiness].reported(call):
            found = socket.kept.get(self.place)
            if found is not None and found.armed is not None and events & POLLIN:
                found.event = call
                self._follow(found, socket, call)

    @returned(given=True)
    def touched(self, call: CallFacts) -> None:
        """Something was done with a socket after its report."""
        socket = call.socket
        found = socket.kept.get(self.place) if socket is not None else None
        if socket is None or found is None or found.event is None or call.name in ("epoll_ctl", "close"):
            return
        self._forget(found, socket)
        self._follow(found, socket, call)

    @on_sample(given=True, queued=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """What is left in its queue."""
        found = socket.kept.get(self.place)
        if found is None or found.touched is None or found.kept is not None or sample.destroyed:
            return
        if sample.at_ns >= found.touched.end_ns:
            found.kept = sample

    def _follow(self, found: OneShotFacts, socket: SocketFacts, call: CallFacts) -> None:
        found.touched, found.kept, found.slept_ns = call, None, 0
        pending = self._pending.get(call.thread)
        if pending is None:
            if len(self._pending) >= _KEPT:
                return
            pending = self._pending[call.thread] = {}
        if len(pending) < _PENDING:
            pending[socket.id] = found

    def _forget(self, found: OneShotFacts, socket: SocketFacts) -> None:
        pending = self._pending.get(found.touched.thread) if found.touched is not None else None
        if pending:
            pending.pop(socket.id, None)
