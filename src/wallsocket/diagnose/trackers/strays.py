"""Datagrams on the wire by the end that they were sent to, and who sent them."""

from __future__ import annotations

from typing import NamedTuple

from ...events import Packet
from ...trace.wire import UDP, Segment
from ..address import Address
from ..facts import Facts
from ..finding import Proof
from ..tracker import Tracker, on_packet

__all__ = ["Strays"]

#: Datagrams that are kept, and those between two ports.
_KEPT = 10_000
_OF_PORTS = 16


class _Datagram(NamedTuple):
    """The first between two ends."""

    id: int  #: row of the packet
    at_ns: int
    source: Address
    destination: Address

    def proof(self, asked: Address) -> Proof:
        text = f"wire: the answer came from {self.source}, {asked} was asked"
        return Proof("wire", "packet", self.id, self.at_ns, text)


class Strays(Tracker):
    """Keeps the first datagram between any two ends, by their ports."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._left = _KEPT
        # port of the receiver -> port of the sender -> ends -> datagram: none without a datagram
        self._of: dict[int, dict[int, dict[tuple[bytes, bytes], _Datagram]]] = {}

    @on_packet
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if segment is None or segment.protocol != UDP or not self._left:
            return
        there, here = segment.source, segment.destination
        ends = there.address, here.address
        known = self._of.get(here.port, {}).get(there.port, {})
        if len(known) == _OF_PORTS or ends in known:
            return
        source, destination = Address.of(there.address, there.port), Address.of(here.address, here.port)
        if source is not None and destination is not None:
            self._left -= 1
            first = _Datagram(packet.id, packet.at_ns, source, destination)
            self._of.setdefault(here.port, {}).setdefault(there.port, {})[ends] = first

    def from_elsewhere(self, asked: Address, asker: Address, since_ns: int) -> tuple[Address, Proof] | None:
        """A datagram that came to who asked from the port that was asked, on another host: its source, and the row."""
        for one in self._of.get(asker.port, {}).get(asked.port, {}).values():
            to_asker = asker.wildcard or one.destination.host == asker.host
            elsewhere = one.source.host != asked.host and one.source.family == asked.family
            if to_asker and elsewhere and one.at_ns >= since_ns:
                return one.source, one.proof(asked)
        return None

    def from_other_port(self, asked: Address, asker: Address, since_ns: int) -> tuple[Address, Proof] | None:
        """The same from the host that was asked, from another of its ports."""
        senders = self._of.get(asker.port, {})
        for port in list(senders)[:_OF_PORTS]:
            if port == asked.port:
                continue
            for one in senders[port].values():
                to_asker = asker.wildcard or one.destination.host == asker.host
                if to_asker and one.source.host == asked.host and one.at_ns >= since_ns:
                    return one.source, one.proof(asked)
        return None
