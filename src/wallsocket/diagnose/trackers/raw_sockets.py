"""Raw and packet sockets: what they were made for, what went out through them, and those that were refused."""

from __future__ import annotations

import errno
from collections import deque

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import AF_INET, AF_INET6, AF_PACKET, IPPROTO_ICMP, IPPROTO_ICMPV6, READS, SOCK_DGRAM, SOCK_RAW, WRITES
from .sockets import Sockets

__all__ = ["RawFacts", "RawSockets", "is_echo", "is_raw"]

#: Sends of one socket that are kept, and refusals in all.
_SENDS = 64
_REFUSED = 256
_PROCESSES = 4096
_TYPES = 64
_LENGTHS = 0x5FF  # up to here the field of an Ethernet frame is its length (IEEE 802.3)


def is_raw(family: int, type: int) -> bool:
    """Whether a socket is made for whole packets: it needs CAP_NET_RAW (raw(7), packet(7))."""
    return family == AF_PACKET or (family in (AF_INET, AF_INET6) and type == SOCK_RAW)


def is_echo(family: int, type: int, protocol: int) -> bool:
    """Whether a socket is one for echo requests without privilege (icmp(7), ``ping_group_range``)."""
    return type == SOCK_DGRAM and (family, protocol) in ((AF_INET, IPPROTO_ICMP), (AF_INET6, IPPROTO_ICMPV6))


class RawFacts:
    """One raw or packet socket."""

    __slots__ = ("bind", "made", "reads", "sends")

    def __init__(self) -> None:
        self.made: CallFacts | None = None
        self.bind: CallFacts | None = None  #: the latest that succeeded
        self.reads = 0  #: that brought a packet
        self.sends: deque[CallFacts] = deque(maxlen=_SENDS)  #: the latest that succeeded

    @property
    def protocol(self) -> int | None:
        """Of a packet socket the protocol that it hears, as the program gave it; ``None``: not recorded."""
        address = self.bind.call.address if self.bind is not None else None
        if address is not None and len(address) >= 4 and any(address[2:4]):
            return int.from_bytes(address[2:4], "little")  # sll_protocol, packet(7)
        return (self.made.call.c or 0) & 0xFFFF if self.made is not None else None


class RawSockets(SocketTracker[RawFacts]):
    """Keeps what raw and packet sockets did, and the calls that were to make one and failed."""

    needs = (Sockets,)
    kept = RawFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.refused: dict[int, list[CallFacts]] = {}  #: process -> socket calls that failed
        self._refusals = 0
        #: process -> its first packet through a raw or packet socket, and how many there were: the sockets may be gone by now
        self.first_sent: dict[int, tuple[CallFacts, int]] = {}
        self.frame_types: dict[int, CallFacts] = {}  #: EtherType -> the first send of a frame of that type
        self.got_ns: dict[int, int] = {}  #: process -> when it last got a raw, packet or echo socket

    @returned("socket")
    def made(self, call: CallFacts) -> None:
        """A socket was made, or not."""
        row = call.call
        family, kind, protocol = row.a or 0, (row.b or 0) & 0xF, row.c or 0
        raw = is_raw(family, kind)
        if not raw and not is_echo(family, kind, protocol):
            return
        if call.errno in (errno.EPERM, errno.EACCES):
            if self._refusals < _REFUSED:
                self._refusals += 1
                self.refused.setdefault(row.process, []).append(call)
        elif call.succeeded:
            if row.process in self.got_ns or len(self.got_ns) < _PROCESSES:
                self.got_ns[row.process] = call.end_ns
            socket = self.facts[Sockets].get(row.made)
            if socket is not None and raw:
                self.keep(socket).made = call

    def _of(self, socket: SocketFacts | None) -> RawFacts | None:
        if socket is None or not is_raw(socket.family, socket.type):
            return None
        return self.keep(socket)

    @returned("bind", of="raw")
    def bound(self, call: CallFacts) -> None:
        """A packet socket was bound to an interface or protocol."""
        facts = self._of(call.socket) if call.succeeded else None
        if facts is not None:
            facts.bind = call

    @returned(*WRITES, of="raw")
    def sent(self, call: CallFacts) -> None:
        """A packet went out."""
        facts = self._of(call.socket) if call.succeeded else None
        if facts is not None:
            facts.sends.append(call)
            process = call.call.process
            first, count = self.first_sent.get(process, (call, 0))
            if count or len(self.first_sent) < _PROCESSES:
                self.first_sent[process] = first, count + 1
            kind = _frame_type(call)
            if kind is not None and len(self.frame_types) < _TYPES:
                self.frame_types.setdefault(kind, call)

    @returned(*READS, of="raw")
    def read(self, call: CallFacts) -> None:
        """A packet came."""
        facts = self._of(call.socket) if call.succeeded else None
        if facts is not None:
            facts.reads += 1


def _frame_type(call: CallFacts) -> int | None:
    """The EtherType of a frame that was sent through a packet socket; ``None``: it has none, or it was not recorded."""
    socket = call.socket
    if socket is None or socket.family != AF_PACKET or socket.type != SOCK_RAW or len(call.payload) < 14:
        return None
    kind = int.from_bytes(call.payload[12:14], "big")
    return kind if kind > _LENGTHS else None
