"""Who asks on a link for whose address (ARP, neighbour discovery), and who answers, in an imported capture."""

from __future__ import annotations

import ipaddress
from typing import Final

from ...events import Packet
from ...trace.wire import ICMP, Segment
from ...wire.frame import decode
from ..facts import Facts
from ..tracker import Tracker, on_each_packet
from .flows import Flows, Seen

__all__ = ["Asked", "Neighbours"]

_MAX_ASKED: Final = 10_000
_REQUEST, _REPLY = 1, 2
#: ICMPv6 (RFC 4861, 4.3 and 4.4).
_SOLICITATION, _ADVERTISEMENT = 135, 136
_MASK: Final = 0xFFFFFFFF


class Asked:
    """Questions of one host for the address of another."""

    __slots__ = ("asker", "first", "last", "times", "who")

    def __init__(self, asker: str, who: str, seen: Seen) -> None:
        self.asker = asker
        self.who = who
        self.times = 0
        self.first = seen
        self.last = seen


class Neighbours(Tracker):
    """Keeps the questions that nobody answered."""

    needs = (Flows,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._active = facts.imported
        self._asked: dict[tuple[str, str], Asked] = {}
        self._there: set[bytes] = set()  # addresses that have spoken

    @on_each_packet("_active")
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if not self._active:
            return
        if segment is not None and segment.protocol != ICMP:
            if len(self._there) < _MAX_ASKED:
                self._there.add(segment.source.address)
            return
        frame = decode(packet.frame, packet.link_type & _MASK, original_length=packet.length & _MASK)
        seen = Seen(packet.id, packet.at_ns)
        arp, icmp = frame.arp, frame.icmp
        if arp is not None and arp.sender is not None and arp.target is not None:
            if len(self._there) < _MAX_ASKED:
                self._there.add(_packed(arp.sender))
            if arp.operation == _REQUEST and arp.sender not in ("0.0.0.0", arp.target):  # noqa: S104 (a probe's sender)
                self._asks(arp.sender, arp.target, seen)
            elif arp.operation == _REPLY:
                self._reached(arp.target)
        elif icmp is not None and frame.ip is not None:
            source = str(frame.ip.source)
            if len(self._there) < _MAX_ASKED:
                self._there.add(_packed(source))
            if icmp.type == _SOLICITATION and icmp.version == 6 and icmp.target is not None and source != "::":
                self._asks(source, str(icmp.target), seen)
            else:
                self._reached(str(frame.ip.destination))

    def silent(self) -> list[Asked]:
        """Questions that were asked three times or more, over a second, of hosts that the capture is next to, in vain."""
        flows = self.facts[Flows]
        return [
            one
            for one in self._asked.values()
            if one.times >= 3
            and one.last.at_ns - one.first.at_ns >= 1_000_000_000
            and _packed(one.who) not in self._there
            # Answers go to the asker alone: elsewhere on the link they are not seen.
            and _packed(one.asker) in flows.reached
        ]

    def _asks(self, asker: str, who: str, seen: Seen) -> None:
        found = self._asked.get((asker, who))
        if found is None:
            if len(self._asked) >= _MAX_ASKED:
                return
            found = self._asked[asker, who] = Asked(asker, who, seen)
        found.times += 1
        found.last = seen

    def _reached(self, address: str) -> None:
        flows = self.facts[Flows]
        if len(flows.reached) < _MAX_ASKED:
            flows.reached.add(_packed(address))


def _packed(text: str) -> bytes:
    address = ipaddress.ip_address(text.partition("%")[0])
    return bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed
