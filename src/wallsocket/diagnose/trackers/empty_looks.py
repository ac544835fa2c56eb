"""Looks at a socket that found nothing at that moment, and what the program did next."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Recent, SocketTracker, entered, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, READS
from .polls import Polls
from .waits import Waits

__all__ = ["EmptyLookFacts", "EmptyLooks"]

#: ioctl that says how many bytes can be read (ioctl_list(2)).
FIONREAD = 0x541B
#: A read that took longer has waited until a time limit (SO_RCVTIMEO).
_AT_ONCE_NS = 20_000_000
#: Processes whose event loops are known, the latest.
_PROCESSES = 10_000


class EmptyLookFacts:
    """The latest look of one socket that found nothing."""

    __slots__ = ("first", "look", "went_on")

    def __init__(self) -> None:
        self.look: CallFacts | None = None  #: not followed by another look so far
        self.first: CallFacts | None = None  #: of those in a row
        self.went_on = False  #: after an empty look the program looked again, at some time


class EmptyLooks(SocketTracker[EmptyLookFacts]):
    """Follows reads that would block, and FIONREAD that says 0."""

    needs = (Polls, Waits)
    kept = EmptyLookFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._polls = facts[Polls]
        #: process -> when it last entered a wait of an event loop
        self._loops: Recent[int, int] = Recent(_PROCESSES)

    def _again(self, socket: SocketFacts) -> None:
        found = socket.kept.get(self.place)
        if found is not None and found.look is not None:
            found.look = None
            found.went_on = True

    @returned(*READS)
    def read(self, call: CallFacts) -> None:
        """A read returned."""
        socket = call.socket
        if socket is None or not socket.stream:
            return
        self._again(socket)
        if call.errno == errno.EAGAIN and (call.call.took_ns or 0) < _AT_ONCE_NS:
            self.keep(socket).look = call

    @returned("ioctl")
    def asked(self, call: CallFacts) -> None:
        """How many bytes are there?"""
        socket = call.socket
        if socket is None or not socket.stream or call.call.a != FIONREAD or not call.succeeded:
            return
        self._again(socket)
        if call.call.b == 0:
            self.keep(socket).look = call

    @entered(*POLL_CALLS)
    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """The program waits for more."""
        for socket, _ in self._polls.watched(call):
            self._again(socket)

    @entered(*EPOLL_WAITS)
    def awaits(self, call: CallFacts) -> None:
        """An event loop waits."""
        self._loops[call.call.process] = call.entry_ns

    def waited_since(self, socket: SocketFacts, look: CallFacts) -> bool:
        """Whether an event loop that watches the socket has waited after the look, or may have in another thread."""
        entered_ns = self._loops.get(socket.process)
        if not self._polls.of(socket).event_loop or entered_ns is None:
            return False
        return entered_ns > look.entry_ns or len(self.facts[Waits].known_threads(socket.process)) > 1
