"""Reports of the peer's end by poll and epoll, as long as nothing was read after them."""

from __future__ import annotations

import struct

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, POLLHUP, POLLRDHUP, READS
from .polls import Polls
from .sockets import Sockets

__all__ = ["HangupFacts", "Hangups"]


class HangupFacts:
    """The latest report about one socket."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told: CallFacts | None = None


class Hangups(SocketTracker[HangupFacts]):
    """Notes POLLHUP and POLLRDHUP (poll(2), epoll_ctl(2)), also of sockets in epoll sets."""

    needs = (Polls, Sockets)
    kept = HangupFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._polls = facts[Polls]
        self._sockets = facts[Sockets]

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A poll returned."""
        if (call.result or 0) > 0:
            for socket, entry in self._polls.reported(call):
                if entry.returned & (POLLHUP | POLLRDHUP):
                    self.keep(socket).told = call

    @returned(*EPOLL_WAITS)
    def awaited(self, call: CallFacts) -> None:
        """An event loop woke up."""
        if (call.result or 0) <= 0:
            return
        value = call.value
        events = struct.iter_unpack("<IQ", value[: len(value) // 12 * 12])
        for number, (bits, _) in zip(call.call.entry_sockets, events, strict=False):
            if number and bits & (POLLHUP | POLLRDHUP):
                socket = self._sockets.get(number)
                if socket is not None:
                    self.keep(socket).told = call

    @returned(*READS, given=True)
    def read(self, call: CallFacts) -> None:
        """The program read after the report."""
        if call.socket is not None and call.result is not None:
            found = call.socket.kept.get(self.place)
            if found is not None:
                found.told = None
