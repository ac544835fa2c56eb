"""Reports of the peer's end by poll and epoll, as long as nothing was read after them."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, POLLHUP, POLLRDHUP, READS
from .readiness import Readiness

__all__ = ["HangupFacts", "Hangups"]


class HangupFacts:
    """The latest report about one socket."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: CallFacts | None = None


class Hangups(SocketTracker[HangupFacts]):
    """Notes POLLHUP and POLLRDHUP (poll(2), epoll_ctl(2)), also of sockets in epoll sets."""

    needs = (Readiness,)
    kept = HangupFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._readiness = facts[Readiness]

    @returned(*POLL_CALLS, *EPOLL_WAITS)
    def waited(self, call: CallFacts) -> None:
        """A wait returned."""
        if (call.result or 0) > 0:
            for socket, events in self._readiness.reported(call):
                if events & (POLLHUP | POLLRDHUP):
                    self.keep(socket).told = call

    @returned(*READS, given=True)
    def read(self, call: CallFacts) -> None:
        """The program read after the report."""
        if call.socket is not None and call.result is not None:
            found = call.socket.kept.get(self.place)
            if found is not None:
                found.told = None
