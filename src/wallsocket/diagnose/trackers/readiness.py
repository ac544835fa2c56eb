"""What waits reported, and whether the program did anything about it."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ...events import Call
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS
from .closing import Closing
from .descriptors import Descriptors
from .polls import Polls
from .sockets import Sockets

__all__ = ["Readiness", "ReadinessFacts", "Spin"]

_EVENT = struct.Struct("<IQ")
#: A wait that took longer did wait; on average a spin's take less than the second.
_AT_ONCE_NS = 20_000_000
_EACH_NS = 2_000_000
_WAITS = (*EPOLL_WAITS, *POLL_CALLS)


class Spin:
    """Waits in a row that returned at once with the same event of one socket, which nobody touched meanwhile."""

    __slots__ = ("count", "events", "first", "last")

    def __init__(self, first: CallFacts, events: int) -> None:
        self.first = first
        self.last = first
        self.events = events  #: ``POLL*`` bits that each of them reported
        self.count = 1

    @property
    def took_ns(self) -> int:
        """From the first to the last."""
        return self.last.end_ns - self.first.end_ns

    @property
    def busy(self) -> bool:
        """Whether it left the thread no time to sleep."""
        return self.took_ns < self.count * _EACH_NS


class ReadinessFacts:
    """What was reported of one socket."""

    __slots__ = ("after_close", "first_after_close", "spin", "worst")

    def __init__(self) -> None:
        self.spin: Spin | None = None  #: the run that goes on
        self.worst: Spin | None = None  #: the longest run that has been
        self.after_close = 0  #: events that came after the process had closed its descriptor
        self.first_after_close: CallFacts | None = None


class Readiness(SocketTracker[ReadinessFacts]):
    """Ties the events that waits report to sockets and to what was done about them."""

    needs = (Sockets, Descriptors, Closing, Polls)
    kept = ReadinessFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._closing = facts[Closing]
        self._polls = facts[Polls]
        self._sockets = facts[Sockets]
        # Of the latest wait that was asked for: several trackers ask for each.
        self._row: Call | None = None
        self._at_ns = 0
        self._reported: Sequence[tuple[SocketFacts, int]] = ()

    def reported(self, call: CallFacts) -> Sequence[tuple[SocketFacts, int]]:
        """The sockets that a wait reported, with their events."""
        if call.call is not self._row or self.facts.now_ns != self._at_ns:
            self._row, self._at_ns = call.call, self.facts.now_ns
            self._reported = self._entries(call)
        return self._reported

    def _entries(self, call: CallFacts) -> Sequence[tuple[SocketFacts, int]]:
        if call.name in POLL_CALLS:
            return [(socket, entry.returned) for socket, entry in self._polls.reported(call)]
        alive = self._sockets.alive
        raw = call.value
        events = _EVENT.iter_unpack(raw[: len(raw) // _EVENT.size * _EVENT.size])
        entries = zip(events, call.call.entry_sockets, strict=False)
        return [(alive[number], mask) for (mask, _), number in entries if number in alive]

    @returned(*_WAITS)
    def waited(self, call: CallFacts) -> None:
        """A wait returned."""
        if not call.result or call.result < 0:
            return
        at_once = (call.call.took_ns or 0) <= _AT_ONCE_NS
        closing, epoll = self._closing, call.name in EPOLL_WAITS
        for socket, events in self.reported(call):
            facts = self.keep(socket)
            spin = facts.spin
            if spin is None or spin.events != events or not at_once:
                facts.spin = Spin(call, events)
            else:
                spin.count += 1
                spin.last = call
                if facts.worst is None or spin.count > facts.worst.count:
                    facts.worst = spin
            closed = closing.of(socket).closed if epoll else None
            if closed is not None and closed.end_ns < call.entry_ns:
                self._after_close(facts, socket, call)

    @returned(given=True)
    def touched(self, call: CallFacts) -> None:
        """Any other call on the socket: the program did something about it."""
        socket = call.socket
        if socket is not None and call.name not in POLL_CALLS:
            facts = socket.kept.get(self.place)
            if facts is not None:
                facts.spin = None

    def _after_close(self, facts: ReadinessFacts, socket: SocketFacts, call: CallFacts) -> None:
        process = call.call.process
        rows = [row for row in self.facts[Descriptors].of(socket) if row.process == process]
        if rows and all(row.closed_ns is not None and row.closed_ns < call.entry_ns for row in rows):
            facts.after_close += 1
            facts.first_after_close = facts.first_after_close or call
