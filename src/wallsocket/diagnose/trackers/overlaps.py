"""Calls of two threads on one stream at the same time, or between two that belong together."""

from __future__ import annotations

from typing import Final, Literal

from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import POLL_CALLS, POLLIN, READS, WRITES

__all__ = ["OverlapFacts", "Overlaps"]

Pair = tuple[CallFacts, CallFacts]
_ORDERS: Final[tuple[Literal["big", "little"], ...]] = ("big", "little")


class OverlapFacts:
    """The overlaps of one socket."""

    __slots__ = ("by_thread", "first_wrote", "got", "read", "reads", "several_read", "torn", "writes", "wrote")

    def __init__(self) -> None:
        self.read: CallFacts | None = None  #: the latest read, or wait for something to read
        self.wrote: CallFacts | None = None
        self.reads: list[Pair] | tuple[()] = ()  #: two threads that read, or waited to, at the same time
        self.writes: list[Pair] | tuple[()] = ()  #: two that wrote at the same time
        #: The first bytes of a message, another thread's write after them, and the rest of the message.
        self.torn: tuple[CallFacts, CallFacts, CallFacts] | None = None
        self.first_wrote: CallFacts | None = None
        self.by_thread: dict[int, CallFacts] | None = None  #: the latest write of each, where several write
        self.got: int | None = None  #: the first thread that got bytes
        self.several_read = False  #: another one got bytes, too


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
        tid = call.call.tid
        before, facts.wrote = facts.wrote, call
        first = facts.first_wrote
        if first is None:
            facts.first_wrote = call
        elif facts.by_thread is None and tid != first.call.tid:
            facts.by_thread = {first.call.tid: first}
        if facts.torn is None and facts.by_thread is not None:
            mine = facts.by_thread.get(tid)
            if mine is not None and before is not None and _between(mine, before, call) and _belong(mine, call):
                facts.torn = mine, before, call
            if mine is not None or len(facts.by_thread) < 64:
                facts.by_thread[tid] = call
        if before is not None and _overlap(before, call) and len(facts.writes) < self.PAIRS:
            facts.writes = facts.writes or []
            facts.writes.append((before, call))

    def _read(self, call: CallFacts, moved: int) -> None:
        socket = call.socket
        if socket is None or not _one_stream(socket):
            return
        facts = self.keep(socket)
        if moved:
            if facts.got is None:
                facts.got = call.call.tid
            elif facts.got != call.call.tid:
                facts.several_read = True
        before = facts.read
        if before is None or call.end_ns >= before.end_ns:
            facts.read = call
        if before is not None and _overlap(before, call) and len(facts.reads) < self.PAIRS:
            facts.reads = facts.reads or []
            facts.reads.append((before, call))


def _one_stream(socket: SocketFacts) -> bool:
    """Whether it is one stream of bytes; halves of a pair are used to wake each other, too."""
    return socket.stream and socket.origin != "socketpair"


def _between(one: CallFacts, other: CallFacts, rest: CallFacts) -> bool:
    """Whether another thread's write began after one had ended, and was over before the rest began."""
    foreign = other.call.tid != one.call.tid and other.call.process == one.call.process == rest.call.process
    return foreign and bool(other.moved) and one.end_ns <= other.entry_ns and other.end_ns <= rest.entry_ns


def _belong(one: CallFacts, rest: CallFacts) -> bool:
    """Whether two writes are one message: a length and as many bytes, or the two parts of a line of text."""
    head, tail = one.payload, rest.payload
    if len(head) != one.moved or not rest.moved:
        return False
    if len(head) in (2, 4, 8) and any(int.from_bytes(head, order) == rest.length for order in _ORDERS):
        return True
    text = head.isascii() and tail.isascii() and len(tail) == rest.moved
    return (
        text and b"\n" not in head and tail.count(b"\n") == 1 and tail.endswith(b"\n") and head.decode().isprintable()
    )


def _overlap(one: CallFacts, other: CallFacts) -> bool:
    same = one.call.process == other.call.process and one.call.tid != other.call.tid
    return same and other.entry_ns < one.end_ns and one.entry_ns < other.end_ns
