"""Writes that took less than they were given, and what became of the rest."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, entered, on_retire, returned
from ..vocabulary import EPOLL_WAITS, EPOLLOUT, POLL_CALLS, POLLOUT, WRITES
from .polls import Polls

__all__ = ["ShortWrite", "ShortWriteFacts", "ShortWrites"]


class ShortWrite:
    """A write that took less than was offered, and what was offered after it."""

    __slots__ = ("call", "in_vain", "offered", "owed", "waited")

    def __init__(self, call: CallFacts, owed: int) -> None:
        self.call = call
        self.owed = owed  #: bytes that were not taken
        self.offered = 0  #: bytes offered by later writes
        self.in_vain = False  #: it waited until its time limit, and was not told to go on
        self.waited = False  #: the program asked the kernel when it may write again, and did not write since


class ShortWriteFacts:
    """The short write of one socket whose rest is still owed."""

    __slots__ = ("short",)

    def __init__(self) -> None:
        self.short: ShortWrite | None = None


class ShortWrites(SocketTracker[ShortWriteFacts]):
    """Follows the bytes that a short write left over until they are offered again."""

    needs = (Polls,)
    kept = ShortWriteFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._polls = facts[Polls]
        self._owing: dict[int, dict[int, SocketFacts]] = {}  # process -> sockets whose program has not asked to go on

    @returned(*WRITES)
    def wrote(self, call: CallFacts) -> None:
        """A write returned."""
        socket, result = call.socket, call.result
        if socket is None or result is None or not socket.stream:
            return
        length = call.call.length
        if length == result and self.place not in socket.kept:
            return
        facts = self.keep(socket)
        if result < 0:
            if call.errno == errno.EAGAIN and facts.short is not None:
                # It tried to send the rest and was told to wait.
                facts.short.waited = True
            return
        if call.name in ("sendfile", "splice", "sendmmsg") or length is None:
            # A file may end before the count does: no number here says what was meant to be sent.
            facts.short = None
            return
        owed = length - result
        short = facts.short
        if short is not None:
            if length == short.owed or _continues(short.call, call) or short.offered + length >= short.owed:
                facts.short = short = None
            else:
                short.offered += length
                short.waited = short.in_vain = False
        if short is None and owed > 0:
            facts.short = ShortWrite(call, owed)
        if facts.short is not None:
            self._owing.setdefault(socket.process, {})[socket.id] = socket

    @entered(*POLL_CALLS)
    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """The program asked whether it may write."""
        for socket, entry in self._polls.watched(call):
            if entry.events & POLLOUT:
                found = socket.kept.get(self.place)
                if found is not None and found.short is not None:
                    found.short.waited = True
                    found.short.in_vain = call.result == 0 and bool(call.timeout_ms)

    @returned(*EPOLL_WAITS)
    def awaited(self, call: CallFacts) -> None:
        """An event loop asked for all its sockets."""
        owing = self._owing.pop(call.call.process, None)
        if owing is None:
            return
        for socket in owing.values():
            short = self.of(socket).short
            if short is None:
                continue
            if self._polls.of(socket).epoll_events & EPOLLOUT and short.call.end_ns <= call.entry_ns:
                short.waited = True
            elif self._polls.of(socket).event_loop and short.call.end_ns > call.entry_ns:
                self._owing.setdefault(socket.process, {})[socket.id] = socket

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """The rest will not be sent any more."""
        owing = self._owing.get(socket.process)
        if owing is not None and owing.pop(socket.id, None) is not None and not owing:
            del self._owing[socket.process]


def _continues(short: CallFacts, later: CallFacts) -> bool:
    """Whether a write begins with the bytes that a short one left over, as far as the recorded payload shows."""
    left = short.payload[short.result or 0 :]
    begin = later.payload
    compared = min(len(left), len(begin))
    return compared > 0 and left[:compared] == begin[:compared]
