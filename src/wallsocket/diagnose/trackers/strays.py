"""Datagrams on the wire by the end that they were sent to, and who sent them."""

from __future__ import annotations

from ...events import Packet
from ...trace.wire import UDP, Segment
from ..address import Address
from ..facts import Facts
from ..finding import Proof
from ..tracker import Tracker, on_packet

__all__ = ["Strays"]

#: Pairs of ports that are told apart, and pairs of ends of each.
_PORTS = 10_000
_PAIRS = 16


class Strays(Tracker):
    """Keeps the first datagram between any two ends, by their ports."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[tuple[int, int], dict[tuple[Address, Address], Packet]] = {}
        self._senders: dict[int, list[int]] = {}  # port of the receiver -> ports of the senders

    @on_packet
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if segment is None or segment.protocol != UDP:
            return
        ports = (segment.source.port, segment.destination.port)
        known = self._of.get(ports)
        if known is None:
            if len(self._of) >= _PORTS:
                return
            known = self._of[ports] = {}
            senders = self._senders.setdefault(segment.destination.port, [])
            if len(senders) < _PAIRS:
                senders.append(segment.source.port)
        if len(known) < _PAIRS:
            source = Address.of(segment.source.address, segment.source.port)
            destination = Address.of(segment.destination.address, segment.destination.port)
            if source is not None and destination is not None:
                known.setdefault((source, destination), packet)

    def from_elsewhere(self, asked: Address, asker: Address, since_ns: int) -> tuple[Address, Proof] | None:
        """A datagram that came to who asked from the port that was asked, on another host: its source, and the row."""
        for (source, destination), packet in self._of.get((asked.port, asker.port), {}).items():
            to_asker = asker.wildcard or destination.host == asker.host
            if to_asker and source.host != asked.host and packet.at_ns >= since_ns and source.family == asked.family:
                text = f"wire: the answer came from {source}, {asked} was asked"
                return source, Proof("wire", "packet", packet.id, packet.at_ns, text)
        return None

    def from_other_port(self, asked: Address, asker: Address, since_ns: int) -> tuple[Address, Proof] | None:
        """The same from the host that was asked, from another of its ports."""
        for port in self._senders.get(asker.port, ()):
            if port == asked.port:
                continue
            for (source, destination), packet in self._of[port, asker.port].items():
                to_asker = asker.wildcard or destination.host == asker.host
                if to_asker and source.host == asked.host and packet.at_ns >= since_ns:
                    text = f"wire: the answer came from {source}, {asked} was asked"
                    return source, Proof("wire", "packet", packet.id, packet.at_ns, text)
        return None
