"""What the wire showed of connections that did not come about: SYNs, and what answered them."""

from __future__ import annotations

from ...events import Packet
from ...trace.wire import RST, SYN, Segment
from ..address import Address
from ..facts import Facts
from ..finding import Proof
from ..subjects import SocketFacts
from ..tracker import Tracker, on_packet, on_retire

__all__ = ["FirstPackets", "Opening", "packet_proof"]

#: Pairs of ends that are kept.
_PAIRS = 10_000
_ACK = 0x10


class Opening:
    """The SYNs from one end to another, and the first answers."""

    __slots__ = ("answered", "first", "icmp", "icmp_label", "last", "reset", "syns")

    def __init__(self) -> None:
        self.syns = 0
        self.first: Packet | None = None  #: the first SYN
        self.last: Packet | None = None  #: the latest
        self.answered: Packet | None = None  #: the first SYN-ACK
        self.reset: Packet | None = None
        self.icmp: Packet | None = None  #: an ICMP error about it
        self.icmp_label = ""  #: what that says


class FirstPackets(Tracker):
    """Keeps them by pair of ends."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[tuple[Address, Address], Opening] = {}
        self._to: dict[Address, Opening] = {}
        self._answered: set[Address] = set()

    @on_packet
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if segment is None:
            return
        if segment.protocol == 6:
            if segment.flags & SYN and not segment.flags & _ACK:
                found = self._opening(segment, make=True)
                if found is not None and (found.last is None or packet.at_ns - found.last.at_ns > _SAME_NS):
                    found.syns += 1
                    found.first = found.first or packet
                    found.last = packet
            elif segment.flags & (SYN | RST):
                back = self._opening(segment, back=True)
                if back is not None and segment.flags & RST:
                    back.reset = back.reset or packet
                elif back is not None:
                    back.answered = back.answered or packet
                    place = Address.of(segment.source.address, segment.source.port)
                    if place is not None and len(self._answered) < _PAIRS:
                        self._answered.add(place)
        elif segment.protocol == 1:
            about = self._opening(segment, make=True)
            if about is not None and about.icmp is None:
                about.icmp, about.icmp_label = packet, segment.label or "ICMP"

    def _opening(self, segment: Segment, *, make: bool = False, back: bool = False) -> Opening | None:
        source = Address.of(segment.source.address, segment.source.port)
        destination = Address.of(segment.destination.address, segment.destination.port)
        if source is None or destination is None:
            return None
        key = (destination, source) if back else (source, destination)
        found = self._of.get(key)
        if found is None and make and len(self._of) < _PAIRS:
            found = self._of[key] = Opening()
            self._to[destination] = found
        return found

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """An opening that was answered, of a socket that is over: there is no question left."""
        if socket.local is not None and socket.remote is not None:
            key = (socket.local, socket.remote)
            found = self._of.get(key)
            if found is not None and found.answered and found.reset is None and found.icmp is None:
                del self._of[key]

    def answered(self, where: Address) -> bool:
        """Whether somebody's SYN to an address was ever answered."""
        return where in self._answered

    def unanswered(self, local: Address | None, remote: Address) -> bool:
        """Whether SYNs were seen from one end to another, and nothing that answered them."""
        found = self._of.get((local, remote)) if local is not None else None
        return found is not None and bool(found.syns) and not (found.answered or found.reset or found.icmp)

    def of(self, local: Address | None, remote: Address) -> Opening | None:
        """What was seen from one end to another; the latest to that destination when the own end is not known."""
        if local is None or not local.port or local.wildcard:
            return self._to.get(remote)
        return self._of.get((local, remote))


#: The loopback and bridges show one frame twice, at once.
_SAME_NS = 50_000_000


def packet_proof(packet: Packet, text: str) -> Proof:
    """A frame as a proof row."""
    return Proof("wire", "packet", packet.id, packet.at_ns, f"wire: {text}")
