"""Resets that were seen on the wire."""

from __future__ import annotations

from ...events import Packet
from ...trace.wire import RST, Segment
from ..address import Address
from ..facts import Facts
from ..finding import Proof
from ..tracker import Tracker, on_packet

__all__ = ["Resets"]

#: Pairs of ends whose resets are kept, and resets of one pair.
_PAIRS = 10_000
_RESETS = 8


class Resets(Tracker):
    """Keeps the first resets between two ends."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[tuple[Address, Address], list[Packet]] = {}

    @on_packet
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if segment is None or segment.protocol != 6 or not segment.flags & RST:
            return
        source = Address.of(segment.source.address, segment.source.port)
        destination = Address.of(segment.destination.address, segment.destination.port)
        if source is None or destination is None:
            return
        kept = self._of.get((source, destination))
        if kept is None:
            if len(self._of) < _PAIRS:
                self._of[source, destination] = [packet]
        elif len(kept) < _RESETS:
            kept.append(packet)

    def first(self, source: Address | None, destination: Address | None, since_ns: int) -> Proof | None:
        """The first RST that travelled from ``source`` to ``destination`` since a time, as a proof row."""
        if source is None or destination is None:
            return None
        for packet in self._of.get((source, destination), ()):
            if packet.at_ns >= since_ns:
                late_us = (packet.at_ns - since_ns) / 1000
                text = f"wire: RST from {source} to {destination}" + (f", {late_us:.0f} µs later" if since_ns else "")
                return Proof("wire", "packet", packet.id, packet.at_ns, text)
        return None
