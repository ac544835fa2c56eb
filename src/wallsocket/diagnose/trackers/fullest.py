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

    @on_sample
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """The next sample."""
        queue = sample.receive_queue
        if queue and not sample.destroyed and socket.stream:
            facts = self.keep(socket)
            if facts.received is None or queue > (facts.received.receive_queue or 0):
                facts.received = sample
        if sample.row.timer == _PROBES:
            facts = self.keep(socket)
            facts.probing = facts.probing or sample
