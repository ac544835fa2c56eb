"""How full the receive and accept queues of a socket have been."""

from __future__ import annotations

from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_sample

__all__ = ["Fullest", "FullestFacts"]

#: ``idiag_timer`` of a TCP socket that probes a window of zero (net/ipv4/inet_diag.c).
_PROBES = 4


class FullestFacts:
    """The extremes of one socket."""

    __slots__ = ("probing", "received")

    def __init__(self) -> None:
        self.received: Sample | None = None  #: the sample with the fullest receive or accept queue
        self.probing: Sample | None = None  #: the first one in which the peer's window was closed and was probed


class Fullest(SocketTracker[FullestFacts]):
    """Keeps the sample with the most in the queue."""

    kept = FullestFacts

    @on_sample(of="stream", queued=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """Something is in the queue."""
        if not sample.destroyed:
            facts = self.keep(socket)
            if facts.received is None or (sample.receive_queue or 0) > (facts.received.receive_queue or 0):
                facts.received = sample

    @on_sample(more=True)
    def probes(self, socket: SocketFacts, sample: Sample) -> None:
        """A timer may run."""
        if sample.row.timer == _PROBES:
            facts = self.keep(socket)
            facts.probing = facts.probing or sample
