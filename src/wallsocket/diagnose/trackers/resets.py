"""Resets that were seen on the wire."""

from __future__ import annotations

from typing import NamedTuple

from ...events import Packet
from ...trace.wire import ACK, RST, Segment
from ..address import Address
from ..facts import Facts
from ..finding import Proof
from ..subjects import SocketFacts
from ..tracker import Tracker, on_packet

__all__ = ["Resets"]

#: Pairs of ends whose resets are kept, and resets of one pair.
_PAIRS = 10_000
_RESETS = 8


#: How far the time of a frame and that of a call may be apart.
_LAG_NS = 2_000_000


class _Reset(NamedTuple):
    packet: Packet
    acknowledges: bool


class Resets(Tracker):
    """Keeps the first resets between two ends."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[tuple[Address, Address], list[_Reset]] = {}

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
        reset = _Reset(packet, bool(segment.flags & ACK))
        if kept is None:
            if len(self._of) < _PAIRS:
                self._of[source, destination] = [reset]
        elif len(kept) < _RESETS:
            kept.append(reset)

    def first(self, source: Address | None, destination: Address | None, since_ns: int) -> Proof | None:
        """The first RST that travelled from ``source`` to ``destination`` since a time, as a proof row."""
        if source is None or destination is None:
            return None
        for packet, _ in self._of.get((source, destination), ()):
            if packet.at_ns >= since_ns:
                return _proof(packet, source, destination, since_ns)
        return None

    def of_its_own(self, socket: SocketFacts, since_ns: int, until_ns: int) -> Proof | None:
        """The RST by which the kernel ended a connection in a time, as a proof row; ``None``: none, or it answered with it.

        Of its own accord the kernel resets with an ACK (tcp_send_active_reset); what comes for a socket that is gone is
        answered by a RST without one (RFC 9293, 3.10.7.1).
        """
        source, destination = socket.local, socket.remote
        if source is None or destination is None:
            return None
        for packet, acknowledges in self._of.get((source, destination), ()):
            if acknowledges and since_ns - _LAG_NS <= packet.at_ns <= until_ns + _LAG_NS:
                return _proof(packet, source, destination, since_ns)
        return None


def _proof(packet: Packet, source: Address, destination: Address, since_ns: int) -> Proof:
    late_us = (packet.at_ns - since_ns) / 1000
    text = f"wire: RST from {source} to {destination}" + (f", {late_us:.0f} µs later" if since_ns else "")
    return Proof("wire", "packet", packet.id, packet.at_ns, text)
