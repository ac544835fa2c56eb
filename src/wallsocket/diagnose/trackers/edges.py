"""Edge-triggered epoll: what was left in a queue after the event had been taken."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_sample, returned
from ..vocabulary import ACCEPTS, EPOLL_WAITS, EPOLLET, POLLIN, READS
from .readiness import Readiness
from .waits import Waits

__all__ = ["EdgeFacts", "Edges", "Left"]

_DELETE = 2
#: Sockets of one thread that are looked at after each of its waits.
_PENDING = 256
_THREADS = 10_000
_CASES = 8


class Left:
    """Bytes or connections that stayed in a queue while the thread slept in epoll_wait."""

    __slots__ = ("again", "event", "sample", "slept_ns", "taken")

    def __init__(self, event: CallFacts | None, taken: CallFacts) -> None:
        self.event = event  #: the wait that reported the socket
        self.taken = taken  #: the read or accept that left something
        self.sample: Sample | None = None  #: what the kernel showed in the queue afterwards
        self.slept_ns = 0  #: in epoll_wait since
        self.again: CallFacts | None = None  #: the next wait that reported the socket


class EdgeFacts:
    """One socket under edge-triggered epoll."""

    __slots__ = ("by_itself", "cases", "edge", "event", "left")

    def __init__(self) -> None:
        self.edge = False
        self.event: CallFacts | None = None  #: the latest wait that reported it, until it was drained
        self.left: Left | None = None
        self.by_itself = False  #: the program has read on without an event: it knows what it left
        self.cases: list[Left] = []


class Edges(SocketTracker[EdgeFacts]):
    """Follows each socket from its event to EAGAIN, or to the next wait."""

    needs = (Readiness, Waits)
    kept = EdgeFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._pending: dict[tuple[int, int], dict[int, Left]] = {}

    @returned("epoll_ctl")
    def asked(self, call: CallFacts) -> None:
        """A socket was put into an epoll set, or armed again: then what is in the queue is reported again."""
        if call.succeeded and call.socket is not None:
            edge = bool((call.call.c or 0) & EPOLLET) and call.call.a != _DELETE
            facts = self.keep(call.socket) if edge else call.socket.kept.get(self.place)
            if facts is not None:
                facts.edge = edge
                facts.left = None

    @returned(*EPOLL_WAITS)
    def waited(self, call: CallFacts) -> None:
        """A wait returned."""
        pending = self._pending.get(call.thread)
        if pending:
            for left in pending.values():
                if left.taken.end_ns <= call.entry_ns:
                    left.slept_ns += call.call.took_ns or 0
        if not call.result or call.result < 0:
            return
        for socket, events in self.facts[Readiness].reported(call):
            facts = socket.kept.get(self.place)
            if facts is None or not facts.edge or not events & POLLIN:
                continue
            left, facts.left = facts.left, None
            if left is not None and left.sample is not None:
                left.again = call
                if len(facts.cases) < _CASES:
                    facts.cases.append(left)
            if pending:
                pending.pop(socket.id, None)
            facts.event = call

    @returned(*READS, *ACCEPTS, given=True)
    def took(self, call: CallFacts) -> None:
        """Something was taken, or there was nothing more."""
        socket = call.socket
        facts = socket.kept.get(self.place) if socket is not None else None
        if socket is None or facts is None or not facts.edge or call.result is None:
            return
        if facts.event is None and facts.left is not None:
            facts.by_itself = True
        event = facts.event
        if facts.left is not None and facts.left.slept_ns > 0:
            facts.by_itself = True
        more = call.result >= 0 and (call.name in ACCEPTS or (call.result > 0 and call.result == call.length))
        if not more or call.errno == errno.EAGAIN:
            facts.left = facts.event = None
            self._forget(call.thread, socket)
            return
        left = facts.left = Left(event, call)
        pending = self._pending.get(call.thread)
        if pending is None:
            if len(self._pending) >= _THREADS:
                return
            pending = self._pending[call.thread] = {}
        if socket.id in pending or len(pending) < _PENDING:
            pending[socket.id] = left

    @on_sample(given=True, queued=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """What the kernel shows in the queue after that."""
        facts = socket.kept.get(self.place)
        if facts is None or facts.left is None or sample.destroyed:
            return
        if facts.left.sample is None and sample.at_ns >= facts.left.taken.end_ns:
            facts.left.sample = sample

    def unfinished(self, socket: SocketFacts) -> Left | None:
        """What is left now, with the wait that has not ended counted in."""
        left = self.of(socket).left
        if left is None or left.sample is None:
            return None
        wait = self.facts[Waits].waiting.get(left.taken.thread)
        if wait is not None and wait.name in EPOLL_WAITS:
            left.slept_ns += max(0, self.facts[Waits].until_ns(wait) - max(wait.entry_ns, left.taken.end_ns))
        return left

    def _forget(self, thread: tuple[int, int], socket: SocketFacts) -> None:
        pending = self._pending.get(thread)
        if pending:
            pending.pop(socket.id, None)
