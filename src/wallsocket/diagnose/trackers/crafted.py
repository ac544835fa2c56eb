"""Handshakes on the wire that the opener's own host ended with a reset."""

from __future__ import annotations

from ...events import Packet
from ...trace.wire import ACK, RST, SYN, TCP, Segment
from ..address import Address
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, on_each_packet, on_retire

__all__ = ["Crafted", "CraftedHandshakes"]

#: Openings that are followed, and resets that are kept.
_PAIRS = 10_000
_KEPT = 256


class Crafted:
    """SYN, SYN-ACK, and RST from who had sent the SYN."""

    __slots__ = ("answer", "far", "more", "own", "reset", "syn")

    def __init__(self, own: Address, far: Address, syn: Packet) -> None:
        self.own = own
        self.far = far
        self.syn = syn
        self.answer: Packet | None = None
        self.reset: Packet | None = None
        self.more: Packet | None = None  #: a segment without RST that followed from the opener's side: it went on


class CraftedHandshakes(Tracker):
    """Follows each opening to its reset."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[tuple[Address, Address], Crafted] = {}
        self.reset: list[Crafted] = []

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """A connection of the kernel's own is over."""
        if socket.local is not None and socket.remote is not None:
            self._of.pop((socket.local, socket.remote), None)

    @on_each_packet("reset")
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if segment is None or segment.protocol != TCP:
            return
        flags = segment.flags
        if not flags & (SYN | RST) and not self.reset:
            return
        source = Address.of(segment.source.address, segment.source.port)
        destination = Address.of(segment.destination.address, segment.destination.port)
        if source is None or destination is None:
            return
        if flags & SYN and flags & ACK:
            back = self._of.get((destination, source))
            if back is not None and back.answer is None:
                back.answer = packet
            return
        known = self._of.get((source, destination))
        if flags & SYN:
            if known is None and len(self._of) < _PAIRS:
                self._of[source, destination] = Crafted(source, destination, packet)
        elif known is None or known.answer is None:
            return
        elif flags & RST:
            # The kernel's answer to what it knows nothing of carries no ACK (RFC 9293, 3.10.7.1).
            if known.reset is None and not flags & ACK and known.more is None and len(self.reset) < _KEPT:
                known.reset = packet
                self.reset.append(known)
        elif known.more is None:
            known.more = packet
