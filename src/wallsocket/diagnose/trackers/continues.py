"""Pauses between the head of a request that expects 100 Continue and its body."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import READS, WRITES
from .messages import Messages

__all__ = ["ContinueFacts", "Continues"]

#: The shortest pause that is one.
_PAUSE_NS = 500_000_000


class ContinueFacts:
    """The pauses of one socket."""

    __slots__ = ("head", "pause")

    def __init__(self) -> None:
        self.head: CallFacts | None = None  #: to which nothing has been answered
        self.pause: tuple[CallFacts, CallFacts] | None = None  #: the first: the head, and the write after it


class Continues(SocketTracker[ContinueFacts]):
    """Waits for what follows such a head: an answer or the body."""

    needs = (Messages,)
    kept = ContinueFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._messages = facts[Messages]

    @returned(*WRITES, moved=True)
    def wrote(self, call: CallFacts) -> None:
        """A head, or what comes after it."""
        socket = call.socket
        if socket is None:
            return
        found = socket.kept.get(self.place)
        if found is not None and found.head is not None:
            if found.pause is None and call.entry_ns - found.head.end_ns >= _PAUSE_NS:
                found.pause = (found.head, call)
            found.head = None
        latest = self._messages.of(socket).sent.latest
        whole = latest is not None and latest.head_end == (call.offset or 0) + call.moved
        if latest is not None and latest.call is call and latest.expects_continue and whole:
            self.keep(socket).head = call

    @returned(*READS, given=True, moved=True)
    def read(self, call: CallFacts) -> None:
        """An answer."""
        if call.socket is not None:
            found = call.socket.kept.get(self.place)
            if found is not None:
                found.head = None
