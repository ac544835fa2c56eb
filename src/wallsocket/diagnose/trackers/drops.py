"""What the kernel dropped at a socket: datagrams that found no room, connections that found no place in the queue."""

from __future__ import annotations

from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_sample
from ..vocabulary import LISTEN

__all__ = ["DropFacts", "Drops"]


class DropFacts:
    """Drops of one socket, as its samples count them."""

    __slots__ = ("first", "fullest", "last")

    def __init__(self) -> None:
        self.first: Sample | None = None  #: the first sample that told the count
        self.last: Sample | None = None  #: the one in which it last rose
        self.fullest: Sample | None = None  #: of a listener: the fullest accept queue, once it was over its limit

    @property
    def count(self) -> int:
        """By how much it rose."""
        if self.first is None or self.last is None:
            return 0
        return (self.last.drops or 0) - (self.first.drops or 0)


class Drops(SocketTracker[DropFacts]):
    """Follows SO_MEMINFO's count of drops, and accept queues that are longer than their limit."""

    kept = DropFacts

    @on_sample(changed=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """The count may have risen."""
        if sample.drops is not None:
            facts = self.keep(socket)
            if facts.last is None or sample.drops != facts.last.drops:
                facts.first = facts.first or sample
                facts.last = sample

    @on_sample(LISTEN)
    def queue(self, socket: SocketFacts, sample: Sample) -> None:
        """A listener and its accept queue."""
        if not sample.destroyed:
            waiting, limit = sample.receive_queue, sample.send_queue
            if waiting is not None and limit is not None and waiting > limit:
                facts = self.keep(socket)
                if facts.fullest is None or waiting > (facts.fullest.receive_queue or 0):
                    facts.fullest = sample
