"""Runs of small writes and the read that ended them: what Nagle's algorithm slows down."""

from __future__ import annotations

from collections import deque

from ..call import CallFacts
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_sample, returned
from ..vocabulary import MSG_PEEK, READS, WRITES

__all__ = ["Exchange", "ExchangeFacts", "Exchanges"]

#: Runs of one socket that are kept.
_RUNS = 16


class Exchange:
    """Writes without a read between them, and the read that returned the reply."""

    __slots__ = ("before_last", "bytes", "first", "held", "last", "reply", "writes")

    def __init__(self, first: CallFacts) -> None:
        self.first = first
        self.before_last: CallFacts | None = None
        self.last = first
        self.writes = 1
        self.bytes = first.moved
        self.held: Sample | None = None  #: a sample after a later write whose bytes the kernel had not yet sent
        self.reply: CallFacts | None = None  #: the first read after them that brought something, or the end


class ExchangeFacts:
    """The exchanges of one socket."""

    __slots__ = ("now", "runs")

    def __init__(self) -> None:
        self.now: Exchange | None = None  #: writes since the last read
        self.runs: deque[Exchange] = deque(maxlen=_RUNS)  #: those of more than one write that were answered


class Exchanges(SocketTracker[ExchangeFacts]):
    """Follows writes of TCP sockets until they are answered."""

    kept = ExchangeFacts

    @returned(*WRITES)
    def wrote(self, call: CallFacts) -> None:
        """A write returned."""
        socket = call.socket
        if socket is None or not call.moved or not socket.tcp:
            return
        facts = self.keep(socket)
        run = facts.now
        if run is None:
            facts.now = Exchange(call)
            return
        run.before_last, run.last = run.last, call
        run.writes += 1
        run.bytes += call.moved
        if call.exit is not None and _unsent(call.exit):
            run.held = call.exit

    @returned(*READS)
    def read(self, call: CallFacts) -> None:
        """A read ends the run."""
        socket = call.socket
        if socket is None or call.result is None or call.result < 0 or call.flags & MSG_PEEK:
            return
        facts = socket.kept.get(self.place)
        if facts is None or facts.now is None:
            return
        run, facts.now = facts.now, None
        if run.writes > 1:
            run.reply = call
            facts.runs.append(run)

    @on_sample
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """A sample between the writes and the reply may show what the kernel holds back."""
        facts = socket.kept.get(self.place)
        if facts is None or facts.now is None:
            return
        run = facts.now
        if run.writes > 1 and run.held is None and _unsent(sample):
            run.held = sample


def _unsent(sample: Sample) -> bool:
    info = sample.info
    return info is not None and bool(info.not_sent_bytes)
