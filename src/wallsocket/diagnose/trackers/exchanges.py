"""Runs of small writes and the read that ended them: what Nagle's algorithm slows down."""

from __future__ import annotations

from ..call import CallFacts
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import Latest, SocketTracker, on_sample, returned
from ..vocabulary import MSG_PEEK, READS, WRITES

__all__ = ["LATE_NS", "Exchange", "ExchangeFacts", "Exchanges"]

#: Runs of one socket that are kept.
_RUNS = 16
#: Linux delays an acknowledgement by at least 40 ms (include/net/tcp.h, TCP_DELACK_MIN), less what the answer has taken.
LATE_NS = 30_000_000


class Exchange:
    """Writes without a read between them, and the read that returned the reply."""

    __slots__ = ("bytes", "first", "held", "last", "reply", "second", "writes")

    def __init__(self, first: CallFacts) -> None:
        self.first = first
        self.second = first  #: the first write that the kernel may hold back
        self.last = first
        self.writes = 1
        self.bytes = first.moved
        self.held: Sample | None = None  #: a sample after a later write whose bytes the kernel had not yet sent
        self.reply: CallFacts | None = None  #: the first read after them that brought something, or the end


class ExchangeFacts:
    """The exchanges of one socket."""

    __slots__ = ("late", "now", "part", "runs")

    def __init__(self) -> None:
        self.now: Exchange | None = None  #: writes since the last read
        self.runs: Latest[Exchange] | tuple[()] = ()  #: those of more than one write that were answered
        self.part: CallFacts | None = None  #: the latest read since the last write
        #: Reads of one turn, of which the second waited: (the one before, the one that waited).
        self.late: Latest[tuple[CallFacts, CallFacts]] | tuple[()] = ()


class Exchanges(SocketTracker[ExchangeFacts]):
    """Follows writes of TCP sockets until they are answered."""

    kept = ExchangeFacts

    @returned(*WRITES, of="tcp", moved=True)
    def wrote(self, call: CallFacts) -> None:
        """A write returned."""
        socket = call.socket
        if socket is None:
            return
        facts = self.keep(socket)
        facts.part = None
        run = facts.now
        if run is None:
            facts.now = Exchange(call)
            return
        run.last = call
        run.writes += 1
        if run.writes == 2:
            run.second = call
        run.bytes += call.moved
        if call.exit is not None and _unsent(call.exit):
            run.held = call.exit

    @returned(*READS, of="tcp", moved=True)
    def read(self, call: CallFacts) -> None:
        """A read ends the run."""
        socket = call.socket
        if socket is None or call.flags & MSG_PEEK:
            return
        facts = self.keep(socket)
        if facts.part is not None and call.end_ns - facts.part.end_ns >= LATE_NS:
            facts.late = facts.late or Latest(_RUNS)
            facts.late.append((facts.part, call))
        facts.part = call
        if facts.now is None:
            return
        run, facts.now = facts.now, None
        if run.writes > 1:
            run.reply = call
            facts.runs = facts.runs or Latest(_RUNS)
            facts.runs.append(run)

    @on_sample(given=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """A sample between the writes and the reply may show what the kernel holds back."""
        facts = socket.kept.get(self.place)
        if facts is None or facts.now is None:
            return
        run = facts.now
        if run.writes > 1 and run.held is None and _unsent(sample):
            run.held = sample


def _unsent(sample: Sample) -> bool:
    return bool(sample.measure("not_sent_bytes"))
