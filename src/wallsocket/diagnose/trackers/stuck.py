"""Connections whose segments are sent again and again without an acknowledgement."""

from __future__ import annotations

from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_sample
from ..vocabulary import ESTABLISHED

__all__ = ["Stuck", "StuckFacts"]

#: ``idiag_timer``: the retransmission timer runs (net/ipv4/inet_diag.c); a look at a call's entry or return does not tell.
_RETRANSMITS = 1


class StuckFacts:
    """One such connection."""

    __slots__ = ("acked", "again", "heard")

    def __init__(self) -> None:
        self.acked: Sample | None = None  #: the latest sample in which nothing was on its way
        self.again: Sample | None = None  #: the sample with the most retransmissions in a row
        self.heard: Sample | None = None  #: one in that time in which the peer's segments had arrived since


class Stuck(SocketTracker[StuckFacts]):
    """Looks at samples with the retransmission timer running."""

    kept = StuckFacts

    @on_sample(ESTABLISHED, of="tcp", given=True)
    def acknowledged(self, socket: SocketFacts, sample: Sample) -> None:
        """Nothing is on its way any more."""
        facts = socket.kept.get(self.place)
        if facts is not None and not sample.send_queue and not sample.destroyed:
            facts.acked = sample

    @on_sample(ESTABLISHED, of="tcp", unacknowledged=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """Something is."""
        if sample.destroyed:
            return
        facts = socket.kept.get(self.place)
        if sample.row.timer not in (None, _RETRANSMITS) or sample.row.tcp_info is None:
            return
        again = sample.measure("retransmits") or 0
        if again < 2:
            return
        facts = facts or self.keep(socket)
        before = facts.again
        if before is not None and (sample.measure("segments_in") or 0) > (before.measure("segments_in") or 0):
            facts.heard = sample
        if before is None or again > (before.measure("retransmits") or 0):
            facts.again = sample
