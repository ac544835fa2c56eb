"""Datagrams to groups and to all: who sent them, and on which interfaces they were seen."""

from __future__ import annotations

from ...events import Packet
from ...trace.wire import UDP, Segment
from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..tracker import Tracker, on_packet, returned
from ..vocabulary import (
    AF_INET6,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    WRITES,
)
from .options import Options

__all__ = ["GroupTraffic", "ToMany"]

#: Ports that are told apart; sends and sightings of each.
_PORTS = 4096
_KEPT = 64
#: Bytes by which a datagram is known again.
_BYTES = 32
_IPV6_MULTICAST_HOPS = 18  # linux/in6.h
_IPV6_MULTICAST_LOOP = 19


class ToMany:
    """A datagram to a group or a broadcast address: a send, or a frame."""

    __slots__ = (
        "at_ns",
        "bytes",
        "call",
        "interface",
        "length",
        "loop_off",
        "network",
        "packet",
        "source",
        "ttl",
        "where",
    )

    def __init__(self, where: Address, at_ns: int, network: int | None, length: int, payload: bytes) -> None:
        self.where = where
        self.at_ns = at_ns
        self.network = network
        self.length = length
        self.bytes = payload[:_BYTES]
        self.call: CallFacts | None = None  #: of a send
        self.loop_off: CallFacts | None = None  #: of a send: the setsockopt that had switched looping off
        self.ttl = 1  #: of a send: the limit of hops, as far as the program set it
        self.packet: Packet | None = None  #: of a frame
        self.interface: str | None = None  #: of a frame
        self.source: Address | None = None  #: of a frame

    def is_read(self, call: CallFacts) -> bool:
        """Whether a read may have taken it."""
        return call.moved == self.length and call.payload[: len(self.bytes)] == self.bytes[: len(call.payload)]

    def proof(self) -> Proof:
        """The send or the frame as a proof row."""
        if self.call is not None:
            return self.call.proof()
        assert self.packet is not None
        text = f"wire: a datagram to {self.where} on {self.interface}"
        return Proof("wire", "packet", self.packet.id, self.at_ns, text)


class GroupTraffic(Tracker):
    """Keeps the first of them by port."""

    needs = (Options,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._sends: dict[int, list[ToMany]] = {}
        self._frames: dict[int, list[ToMany]] = {}
        self._seen: set[tuple[Address, int | None, str | None, Address | None]] = set()

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A datagram went to many."""
        socket = call.socket
        where = (call.address or socket.remote) if socket is not None else None
        if socket is None or where is None or not call.succeeded or not where.many:
            return
        kept = self._kept(self._sends, where.port)
        if kept is None:
            return
        found = ToMany(where, call.entry_ns, socket.network, call.moved, call.payload)
        found.call = call
        options = self.facts[Options]
        six = where.family == AF_INET6
        level = IPPROTO_IPV6 if six else IPPROTO_IP
        loop = options.call(socket, level, _IPV6_MULTICAST_LOOP if six else IP_MULTICAST_LOOP)
        if loop is not None and loop.value[:4] and not any(loop.value[:4]):
            found.loop_off = loop
        hops = options.call(socket, level, _IPV6_MULTICAST_HOPS if six else IP_MULTICAST_TTL)
        if hops is not None and hops.value:
            # An int or, for IPv4, one byte (ip(7)).
            found.ttl = int.from_bytes(hops.value[:4], "little", signed=len(hops.value) >= 4)
        kept.append(found)

    @on_packet
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """A frame to many."""
        if segment is None or segment.protocol != UDP:
            return
        where = Address.of(segment.destination.address, segment.destination.port)
        if where is None or not where.many:
            return
        source = Address.of(segment.source.address, segment.source.port)
        key = (where, packet.network, packet.interface, source)
        if key in self._seen:
            return
        kept = self._kept(self._frames, where.port)
        if kept is None:
            return
        self._seen.add(key)
        found = ToMany(where, packet.at_ns, packet.network, segment.length, segment.payload)
        found.packet, found.interface, found.source = packet, packet.interface, source
        kept.append(found)

    @staticmethod
    def _kept(table: dict[int, list[ToMany]], port: int) -> list[ToMany] | None:
        kept = table.get(port)
        if kept is None:
            if len(table) >= _PORTS:
                return None
            kept = table[port] = []
        return kept if len(kept) < _KEPT else None

    def sends(self, port: int) -> list[ToMany]:
        """Traced sends to groups and all on a port, the first ones."""
        return self._sends.get(port, [])

    def frames(self, port: int) -> list[ToMany]:
        """The first frame to each group and address on a port, by source and interface."""
        return self._frames.get(port, [])

    def ports(self) -> list[int]:
        """Ports to which traced programs sent."""
        return list(self._sends)
