"""Datagrams that are longer than an Ethernet frame takes, and so travel in fragments."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, returned
from ..vocabulary import WRITES

__all__ = ["LargeSends"]

#: 1,500 bytes less the headers of IPv4 and UDP.
_LEAST = 1_473
_KEPT = 64


class LargeSends(Tracker):
    """Keeps the first of them, and how many there were."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.first: list[CallFacts] = []
        self.count = 0

    @returned(*WRITES, of="udp", moved=True)
    def sent(self, call: CallFacts) -> None:
        """A datagram went out."""
        if call.moved >= _LEAST:
            self.count += 1
            if len(self.first) < _KEPT:
                self.first.append(call)
