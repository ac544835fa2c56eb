"""Requests that were given up after a time limit, and the answer that came when the next one had been asked."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import EPOLL_WAITS, INTERRUPTED, MSG_PEEK, POLL_CALLS, POLLIN, READS, WRITES
from .polls import Polls

__all__ = ["LateAnswer", "LateAnswerFacts", "LateAnswers"]

#: A wait that is shorter is a look.
_WAIT_NS = 20_000_000
#: Event loops whose timers are watched.
_PROCESSES = 10_000


class LateAnswer:
    """A request, the wait that ended without its answer, the next request, and what was read then."""

    __slots__ = ("again", "asked", "loop", "read", "wait")

    def __init__(self, asked: CallFacts, wait: CallFacts, again: CallFacts) -> None:
        self.asked = asked
        self.wait = wait
        self.again = again
        self.read: CallFacts | None = None
        self.loop = wait.name in EPOLL_WAITS  #: a timer of an event loop went off: for what, its calls do not say


class LateAnswerFacts:
    """What one socket waits for."""

    __slots__ = ("asked", "now", "taken", "wait")

    def __init__(self) -> None:
        self.asked: CallFacts | None = None  #: the latest write, as long as nothing was read
        self.wait: CallFacts | None = None  #: that ended in vain after it
        self.now: LateAnswer | None = None  #: the read after the second request may be the first one's answer
        self.taken: LateAnswer | None = None  #: the first that the program did not read on after


class LateAnswers(SocketTracker[LateAnswerFacts]):
    """Follows request, timeout, request, read."""

    needs = (Polls,)
    kept = LateAnswerFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._polls = facts[Polls]
        self._timers: dict[int, CallFacts] = {}  # process -> the latest wait of its event loop that ended at a timer

    @returned(*WRITES, of="stream", moved=True)
    def wrote(self, call: CallFacts) -> None:
        """A request, or a part of one."""
        socket = call.socket
        if socket is None:
            return
        facts = self.keep(socket)
        if facts.now is not None and facts.now.read is not None:
            # It did not look for another answer: what it read was taken for the answer to the second request.
            facts.taken = facts.taken or facts.now
            facts.now = None
        asked, wait = facts.asked, facts.wait
        if asked is not None and facts.now is None:
            timer = self._timers.get(socket.process) if self._polls.of(socket).event_loop else None
            if wait is None and timer is not None and timer.entry_ns >= asked.end_ns:
                wait = timer
            if wait is not None:
                facts.now = LateAnswer(asked, wait, call)
        facts.asked, facts.wait = call, None

    @returned(*READS, of="stream", given=True)
    def read(self, call: CallFacts) -> None:
        """An answer, or a wait that ended."""
        socket = call.socket
        if socket is None or call.flags & MSG_PEEK or call.result is None:
            return
        facts = self.keep(socket)
        if not call.moved:
            if call.result < 0:
                self._waited(facts, call)
            return
        if facts.now is not None:
            if facts.now.read is None:
                facts.now.read = call
            else:
                facts.now = None
        facts.asked = facts.wait = None

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A wait that ended: at its own time limit, or at that of a timer which sent a signal."""
        if call.result != 0 and call.errno not in INTERRUPTED:
            return
        for socket, entry in self._polls.watched(call):
            if entry.events & POLLIN and self.place in socket.kept:
                self._waited(self.keep(socket), call)

    @returned(*EPOLL_WAITS)
    def timer(self, call: CallFacts) -> None:
        """An event loop was woken by none of its descriptors."""
        process = call.call.process
        known = process in self._timers or len(self._timers) < _PROCESSES
        if known and call.result == 0 and (call.call.took_ns or 0) >= _WAIT_NS:
            self._timers[process] = call

    @staticmethod
    def _waited(facts: LateAnswerFacts, call: CallFacts) -> None:
        if facts.asked is not None and (call.call.took_ns or 0) >= _WAIT_NS:
            facts.wait = call

    def taken(self, socket: SocketFacts) -> LateAnswer | None:
        """The late answer that was taken for the next one's; also when the socket's life ended after it."""
        facts = self.of(socket)
        if facts.taken is not None:
            return facts.taken
        return facts.now if facts.now is not None and facts.now.read is not None else None
