"""Calls that move little or nothing: single bytes, and tries in vain on a socket that does not block."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, READS, WRITES

__all__ = ["Run", "StepFacts", "Steps"]

#: Calls that follow each other like this belong to one run.
_CLOSE_NS = 5_000_000
#: A thread that did something else for so long did not try all the time.
_PAUSE_NS = 50_000_000
#: Threads that are told apart.
_THREADS = 10_000


class Run:
    """Calls in a row on one socket by one thread."""

    __slots__ = ("count", "first", "last")

    def __init__(self, first: CallFacts) -> None:
        self.first = first
        self.last = first
        self.count = 1

    @property
    def took_ns(self) -> int:
        """From the first to the last."""
        return self.last.end_ns - self.first.entry_ns


class StepFacts:
    """The small steps of one socket."""

    __slots__ = ("in_vain", "in_vain_now", "reads", "writes")

    def __init__(self) -> None:
        self.reads: Run | None = None  #: reads of one byte that asked for one, each right after the one before
        self.writes: Run | None = None  #: writes of one byte, each right after the one before
        self.in_vain_now: Run | None = None
        self.in_vain: Run | None = None  #: the longest run of tries that ended in EAGAIN, without a wait between them


class Steps(SocketTracker[StepFacts]):
    """Counts them."""

    kept = StepFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._latest: dict[tuple[int, int], CallFacts] = {}  # thread -> its latest read, write or wait

    @returned(*EPOLL_WAITS, *POLL_CALLS)
    def waited(self, call: CallFacts) -> None:
        """A wait: what was tried before it was tried once."""
        one = call.socket is not None and call.call.a == 1
        if not one or (call.call.took_ns or 0) > _CLOSE_NS:
            # Asking for this one socket before each read (a time limit of the library's) makes the read no less small.
            self._did(call)

    @returned(*READS)
    def read(self, call: CallFacts) -> None:
        """A read returned."""
        socket = call.socket
        if socket is not None and call.result is not None and socket.stream:
            if call.errno == errno.EAGAIN:
                self._vain(self.keep(socket), call)
            elif call.result == 1 and call.length == 1:
                facts = self.keep(socket)
                facts.reads = self._next(facts.reads, call)
                facts.in_vain_now = None
            else:
                self._moved(call)
        self._did(call)

    @returned(*WRITES)
    def wrote(self, call: CallFacts) -> None:
        """A write returned."""
        socket = call.socket
        if socket is not None and call.result is not None and socket.stream:
            if call.errno == errno.EAGAIN:
                self._vain(self.keep(socket), call)
            elif call.result == 1 and call.length == 1 and socket.origin != "socketpair":  # that wakes somebody up
                facts = self.keep(socket)
                facts.writes = self._next(facts.writes, call)
                facts.in_vain_now = None
            else:
                self._moved(call)
        self._did(call)

    def _did(self, call: CallFacts) -> None:
        if call.thread in self._latest or len(self._latest) < _THREADS:
            self._latest[call.thread] = call

    def _moved(self, call: CallFacts) -> None:
        facts = call.socket.kept.get(self.place) if call.socket is not None else None
        if facts is not None:
            facts.in_vain_now = None

    def _next(self, run: Run | None, call: CallFacts) -> Run:
        """A run with one more call; what waited, or came after something else, moved all that there was to be moved."""
        if run is None:
            return Run(call)
        at_once = (call.call.took_ns or 0) <= _CLOSE_NS and call.entry_ns - run.last.end_ns <= _CLOSE_NS
        if at_once and self._latest.get(call.thread) is run.last:
            run.count += 1
        run.last = call
        return run

    def _vain(self, facts: StepFacts, call: CallFacts) -> None:
        run = facts.in_vain_now
        if run is None or self._latest.get(call.thread) is not run.last or call.entry_ns - run.last.end_ns > _PAUSE_NS:
            facts.in_vain_now = Run(call)
            return
        run.count += 1
        run.last = call
        if facts.in_vain is None or run.count > facts.in_vain.count:
            facts.in_vain = run
