"""What a program read from a socket, and in which turns."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Latest, SocketTracker, entered, returned
from ..vocabulary import MSG_PEEK, MSG_TRUNC, POLL_CALLS, POLLIN, READS, WRITES
from .polls import Polls

__all__ = ["ReadFacts", "Reads", "Turn"]

#: Reads of one socket that are kept as they were, and those that took all there was room for.
_RECENT = 64
_FULL = 8


class Turn:
    """A run of reads with no write between them, and what followed."""

    __slots__ = ("answered", "before_last", "bytes", "filled", "first", "last", "looked_again", "reads", "whole")

    def __init__(self, *, whole: bool = True) -> None:
        self.whole = whole  #: no read before the first one is missing
        self.reads = 0
        self.bytes = 0
        self.filled = 0  #: reads that returned as many bytes as they asked for
        self.first: CallFacts | None = None
        self.last: CallFacts | None = None
        self.before_last: CallFacts | None = None
        self.answered: CallFacts | None = None  #: the first write after the reads
        self.looked_again = False  #: after its last bytes the program asked for more and got none


class ReadFacts:
    """What one socket gave to the program."""

    __slots__ = ("bytes", "calls", "first", "full", "last", "recent", "turn", "zero_first", "zero_last", "zero_run")

    def __init__(self) -> None:
        self.calls = 0  #: reads that moved bytes; of datagrams every one
        self.bytes = 0
        self.first: CallFacts | None = None
        self.last: CallFacts | None = None
        self.recent: Latest[CallFacts] = Latest(_RECENT)  #: the latest reads that moved bytes
        self.zero_run = 0  #: reads in a row that returned 0 (the end of a stream), up to now
        self.zero_first: CallFacts | None = None  #: the first of the run
        self.zero_last: CallFacts | None = None  #: the latest read of 0 ever
        self.turn = Turn()
        self.full: Latest[CallFacts] | tuple[()] = ()  #: datagram reads that filled the whole buffer or were cut


class Reads(SocketTracker[ReadFacts]):
    """Counts reads and keeps the first, the latest and the current turn."""

    needs = (Polls,)
    kept = ReadFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._polls = facts[Polls]

    def keep(self, socket: SocketFacts) -> ReadFacts:
        """What is known of a socket, to be written."""
        found = socket.kept.get(self.place)
        if found is None:
            found = super().keep(socket)
            found.turn.whole = not socket.late
        return found

    @returned(*READS)
    def read(self, call: CallFacts) -> None:
        """A read returned."""
        socket, result = call.socket, call.result
        if socket is None or result is None:
            return
        facts = self.keep(socket)
        if result < 0:
            if call.errno in (errno.EAGAIN, errno.EINTR) or facts.turn.answered is None:
                facts.turn.looked_again = True
            return
        if call.flags & MSG_PEEK:
            return
        if not socket.stream:
            self._datagram(facts, call)
            return
        if result == 0:
            if call.length == 0:
                return
            facts.zero_run += 1
            facts.zero_first = facts.zero_first or call
            facts.zero_last = call
            facts.turn.looked_again = True
            return
        if facts.zero_run:
            facts.zero_run, facts.zero_first = 0, None
        facts.calls += 1
        facts.bytes += result
        if facts.first is None:
            facts.first = call
        facts.last = call
        facts.recent.append(call)
        turn = facts.turn
        if turn.answered is not None:
            turn = facts.turn = Turn()
        turn.reads += 1
        turn.bytes += result
        if turn.first is None:
            turn.first = call
        turn.before_last, turn.last = turn.last, call
        turn.filled += result == call.call.length
        turn.looked_again = False

    def _datagram(self, facts: ReadFacts, call: CallFacts) -> None:
        before = call.before
        if call.entry is None and before is not None and (facts.last is None or before.at_ns >= facts.last.end_ns):
            # No read came between: what was at the head of the queue then is what this read took.
            call.entry = before
        facts.calls += 1
        facts.bytes += call.moved
        facts.first = facts.first or call
        facts.last = call
        facts.recent.append(call)
        length = call.length
        cut = call.name != "recvmmsg" and length > 0 and call.result is not None
        if cut and (call.moved >= length or call.returned_flags & MSG_TRUNC):
            facts.full = facts.full or Latest(_FULL)
            facts.full.append(call)

    @returned(*WRITES, given=True)
    def wrote(self, call: CallFacts) -> None:
        """A write ends a turn."""
        if call.socket is None or call.result is None or call.result < 0:
            return
        found = call.socket.kept.get(self.place)
        if found is not None and found.turn.reads and found.turn.answered is None:
            found.turn.answered = call

    @entered(*POLL_CALLS)
    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """The program asked whether there is more."""
        for socket, entry in self._polls.watched(call):
            if entry.events & POLLIN:
                self.keep(socket).turn.looked_again = True
