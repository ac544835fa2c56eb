"""States of a socket over time."""

from __future__ import annotations

from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import Latest, SocketTracker, on_sample
from ..vocabulary import CLOSE_WAIT, LISTEN

__all__ = ["SampleFacts", "Samples"]

#: Changes of state that are kept.
_TRANSITIONS = 32


class SampleFacts:
    """What the samples of one socket tell."""

    __slots__ = ("close_wait_since", "destroyed", "listening", "measured", "queued", "quiet_since_ns", "transitions")

    def __init__(self) -> None:
        self.transitions: Latest[Sample] = Latest(_TRANSITIONS)  #: the first sample in each state
        self.destroyed: Sample | None = None  #: what the kernel said when it was gone
        self.close_wait_since: Sample | None = None
        self.listening: Sample | None = None  #: the first sample that shows it listening
        self.measured: Sample | None = None  #: the latest one with TCP_INFO, the one at its end included
        self.queued: Sample | None = None  #: of a listener: the first sample with a connection in its queue
        self.quiet_since_ns = 0  #: when its state or queues last changed


class Samples(SocketTracker[SampleFacts]):
    """Keeps changes, not samples. The latest sample is ``socket.last``."""

    kept = SampleFacts

    @on_sample()
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """The next sample."""
        facts = self.keep(socket)
        if sample.row.tcp_info is not None:
            facts.measured = sample
        if sample.destroyed:
            facts.destroyed = sample
            return
        if sample.state == LISTEN and sample.receive_queue:
            facts.queued = facts.queued or sample
        last = socket.last
        if last is None or last.state != sample.state:
            facts.transitions.append(sample)
            facts.quiet_since_ns = sample.at_ns
            if sample.state == CLOSE_WAIT and socket.tcp:
                facts.close_wait_since = facts.close_wait_since or sample
            elif sample.state == LISTEN:
                facts.listening = facts.listening or sample
        elif last.receive_queue != sample.receive_queue or last.send_queue != sample.send_queue:
            facts.quiet_since_ns = sample.at_ns
