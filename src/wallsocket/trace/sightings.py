"""Frames that were captured more than once on their way: where they left one host, and where they came to another."""

from __future__ import annotations

from collections import deque
from typing import Final

from ..events import Packet

__all__ = ["Sightings", "for_many"]

#: Frames that are remembered until they are seen again; the oldest are forgotten first.
_REMEMBERED: Final = 1 << 13
#: Equal ones among them.
_ALIKE: Final = 64
_ETHERNET: Final = 1  #: link type (tcpdump.org/linktypes.html)
_ETHERNET_HEADER: Final = 14


class Sightings:
    """Says of each frame whether it was seen before, in another network namespace.

    A frame is known by its IP packet without what routers change: the hops left, and IPv4's checksum over them. Two equal
    packets on the way at once are taken in their order.
    """

    def __init__(self) -> None:
        #: As long as all frames are of one network nothing was seen twice: then they only wait here.
        self._waiting: deque[Packet] | None = deque(maxlen=_REMEMBERED)
        self._seen: dict[bytes, list[tuple[int, int]]] = {}  #: a list has room for one, a deque for 64

    def first(self, packet: Packet) -> int | None:
        """packet.id of the earlier sighting that this one belongs to; ``None``: it is seen for the first time."""
        if packet.network is None:
            return None
        waiting = self._waiting
        if waiting is not None:
            if not waiting or waiting[0].network == packet.network:
                waiting.append(packet)
                return None
            self._waiting = None
            for earlier in waiting:
                self._look(earlier)
        return self._look(packet)

    def _look(self, packet: Packet) -> int | None:
        assert packet.network is not None
        key = _unchanged(packet)
        earlier = self._seen.get(key)
        if earlier is not None:
            for place, (number, network) in enumerate(earlier):
                if network != packet.network:
                    del earlier[place]
                    if not earlier:
                        del self._seen[key]
                    return number
        else:
            if len(self._seen) >= _REMEMBERED:
                del self._seen[next(iter(self._seen))]
            earlier = self._seen[key] = []
        earlier.append((packet.id, packet.network))
        del earlier[:-_ALIKE]
        return None


def for_many(packet: Packet) -> bool:
    """Whether a frame goes to a group of hosts or to all of a network: the group bit of its address (IEEE 802, 8.2.2)."""
    return packet.link_type == _ETHERNET and packet.frame[:1] != b"" and bool(packet.frame[0] & 1)


def _unchanged(packet: Packet) -> bytes:
    ip = packet.frame[_ETHERNET_HEADER:] if packet.link_type == _ETHERNET else packet.frame
    if ip[:1] and ip[0] >> 4 == 4:
        return ip[:8] + ip[9:10] + ip[12:]  # RFC 791, 3.1
    return ip[:7] + ip[8:]  # RFC 8200, 3
