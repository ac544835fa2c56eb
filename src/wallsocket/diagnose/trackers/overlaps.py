"""Calls of two threads on one stream at the same time."""

from __future__ import annotations

from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import POLL_CALLS, POLLIN, READS, WRITES

__all__ = ["OverlapFacts", "Overlaps"]

Pair = tuple[CallFacts, CallFacts]


class OverlapFacts:
    """The overlaps of one socket."""

    __slots__ = ("read", "readers", "reads", "writers", "writes", "wrote")

    def __init__(self) -> None:
        self.read: CallFacts | None = None  #: the latest read, or wait for something to read
        self.wrote: CallFacts | None = None
        self.reads: list[Pair] = []  #: two threads that read, or waited to, at the same time
        self.writes: list[Pair] = []  #: two that wrote at the same time
        self.readers: dict[int, int] = {}  #: bytes by thread
        self.writers: dict[int, int] = {}


class Overlaps(SocketTracker[OverlapFacts]):
    """Finds them: the later one was entered before the earlier one had returned."""

    kept = OverlapFacts

    PAIRS = 64  #: of one socket that are kept

    @returned(*READS, of="stream")
    def did_read(self, call: CallFacts) -> None:
        """A read returned."""
        self._read(call, call.moved)

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A wait for one socket returned."""
        if call.socket is not None and call.call.a == 1 and any(entry.events & POLLIN for entry in call.watched):
            self._read(call, 0)

    @returned(*WRITES, of="stream")
    def did_write(self, call: CallFacts) -> None:
        """A write returned."""
        socket = call.socket
        if socket is None or not _one_stream(socket):
            return
        facts = self.keep(socket)
        _count(facts.writers, call, call.moved)
        before, facts.wrote = facts.wrote, call
        if before is not None and _overlap(before, call) and len(facts.writes) < self.PAIRS:
            facts.writes.append((before, call))

    def _read(self, call: CallFacts, moved: int) -> None:
        socket = call.socket
        if socket is None or not _one_stream(socket):
            return
        facts = self.keep(socket)
        if moved:
            _count(facts.readers, call, moved)
        before = facts.read
        if before is None or call.end_ns >= before.end_ns:
            facts.read = call
        if before is not None and _overlap(before, call) and len(facts.reads) < self.PAIRS:
            facts.reads.append((before, call))


def _one_stream(socket: SocketFacts) -> bool:
    """Whether it is one stream of bytes; halves of a pair are used to wake each other, too."""
    return socket.stream and socket.origin != "socketpair"


def _count(by_thread: dict[int, int], call: CallFacts, moved: int) -> None:
    tid = call.call.tid
    if tid in by_thread or len(by_thread) < 64:
        by_thread[tid] = by_thread.get(tid, 0) + moved


def _overlap(one: CallFacts, other: CallFacts) -> bool:
    same = one.call.process == other.call.process and one.call.tid != other.call.tid
    return same and other.entry_ns < one.end_ns and one.entry_ns < other.end_ns
