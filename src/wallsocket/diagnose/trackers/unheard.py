"""Datagrams that met no socket: what was sent, what the kernel answered, and who was asked with success later."""

from __future__ import annotations

import errno
from collections import deque

from ...events import Packet
from ...trace.wire import ICMP, Segment
from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..subjects import Destination, SocketFacts
from ..tracker import Recent, Tracker, failed, on_packet, returned
from ..vocabulary import AF_INET, MSG_ERRQUEUE, READS, SO_ERROR, SOCK_DGRAM, SOL_SOCKET, WRITES
from .bound import Bound, BoundSocket
from .counters import Counters
from .questions import Questions

__all__ = ["Unheard", "UnheardFacts"]

#: Destinations that are told apart, and events of each that are kept.
_KEPT = 4096
_SENDS = 32
_EVENTS = 16
#: Ports of one host without a receiver from which on a process is taken to look for open ones.
_SCANNED = 4


class UnheardFacts:
    """Datagrams to one destination that were no answers."""

    __slots__ = ("answered_ns", "count", "first", "processes", "read_errors", "refused", "sends", "sockets")

    def __init__(self, call: CallFacts) -> None:
        self.first = call
        self.count = 0
        self.sends: deque[CallFacts] = deque(maxlen=_SENDS)  #: the latest
        self.sockets: dict[int, None] = {}  #: ids of those that sent
        self.processes: dict[int, None] = {}
        self.refused: list[CallFacts] = []  #: calls that told of an ICMP error
        self.answered_ns = -1
        self.read_errors = False  #: the error queue of a socket was read

    def lost_before(self, bound_ns: int) -> list[CallFacts]:
        """Datagrams that went out before a time and were not sent once more, with the same bytes, after it."""
        later = [call for call in self.sends if call.entry_ns >= bound_ns]
        return [
            call
            for call in self.sends
            if call.end_ns < bound_ns
            and not any(one.length == call.length and one.payload == call.payload for one in later)
        ]


class Unheard(Tracker):
    """Keeps them by destination, also when their sockets are gone."""

    needs = (Bound, Counters, Questions)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._questions = facts[Questions]
        self._of: dict[Destination, UnheardFacts] = {}
        self._icmp: dict[Address, list[Packet]] = {}
        #: (process, port) -> when an answer from that port last came
        self._got: Recent[tuple[int, int], int] = Recent(_KEPT)
        self._asked: dict[tuple[int, str], set[int]] = {}  # (process, host) -> ports

    # -- filling

    def _destination(self, socket: SocketFacts, where: Address | None) -> Destination | None:
        return Destination("udp", where, socket.network) if where is not None and where.port else None

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A datagram went out."""
        socket = call.socket
        if socket is None or not call.succeeded:
            return
        where = call.address or socket.remote
        destination = self._destination(socket, where)
        if destination is None or where is None or where.many or where not in self._questions.of(socket).asked:
            return
        found = self._of.get(destination)
        if found is None:
            if len(self._of) >= _KEPT:
                return
            found = self._of[destination] = UnheardFacts(call)
            ports = self._asked.setdefault((call.call.process, where.host), set())
            ports.add(where.port)
        found.count += 1
        found.sends.append(call)
        if len(found.sockets) < _SENDS:
            found.sockets[socket.id] = None
            found.processes[call.call.process] = None

    @returned(*READS, of="udp")
    def read(self, call: CallFacts) -> None:
        """An answer came."""
        socket = call.socket
        if socket is None or not call.succeeded:
            return
        where = call.address or socket.remote
        if where is None:
            latest = self._questions.of(socket).latest
            where = latest.where if latest is not None else None
        destination = self._destination(socket, where)
        found = self._of.get(destination) if destination is not None else None
        if call.flags & MSG_ERRQUEUE:
            if found is not None:
                found.read_errors = True
            return
        if found is not None:
            found.answered_ns = call.end_ns
        if where is not None:
            self._got[call.call.process, where.port] = call.end_ns

    @failed
    def fails(self, call: CallFacts) -> None:
        """ECONNREFUSED of whatever call."""
        if call.errno == errno.ECONNREFUSED:
            self._told(call)

    @returned("getsockopt")
    def asked(self, call: CallFacts) -> None:
        """SO_ERROR tells as well."""
        if call.succeeded and call.option == (SOL_SOCKET, SO_ERROR) and call.option_number == errno.ECONNREFUSED:
            self._told(call)

    def _told(self, call: CallFacts) -> None:
        socket = call.socket
        if socket is None or not socket.udp:
            return
        destination = self._destination(socket, socket.remote)
        found = self._of.get(destination) if destination is not None else None
        if found is not None and len(found.refused) < _EVENTS:
            found.refused.append(call)

    @on_packet
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """An ICMP error says that a port is closed."""
        if segment is None or segment.protocol != ICMP or "port" not in (segment.label or ""):
            return
        where = Address.of(segment.destination.address, segment.destination.port)
        if where is None or "unreachable" not in (segment.label or ""):
            return
        known = self._icmp.get(where)
        if known is None:
            if len(self._icmp) < _KEPT:
                self._icmp[where] = [packet]
        elif len(known) < _EVENTS:
            known.append(packet)

    # -- questions

    def of(self, destination: Destination) -> UnheardFacts | None:
        """What is known of a destination; ``None``: nothing was asked there."""
        return self._of.get(destination)

    def coped(self, destination: Destination, found: UnheardFacts) -> bool:
        """Whether an answer came after all, from there or from the same port elsewhere, or ports were looked for."""
        since_ns = found.first.entry_ns
        port = destination.where.port
        return (
            found.answered_ns > since_ns
            or any(self._got.get((process, port), -1) > since_ns for process in found.processes)
            or self._looks_for_ports(destination, found)
        )

    def _looks_for_ports(self, destination: Destination, found: UnheardFacts) -> bool:
        host = destination.where.host
        return any(len(self._asked.get((process, host), ())) >= _SCANNED for process in found.processes)

    def proof(self, destination: Destination, found: UnheardFacts) -> list[Proof]:
        """The ICMP error that says so, else the count of datagrams for which there was no port."""
        for packet in self._icmp.get(destination.where, ()):
            if packet.at_ns >= found.first.entry_ns:
                text = f"wire: ICMP port unreachable for {destination.where}"
                return [Proof("wire", "packet", packet.id, packet.at_ns, text)]
        if not self.facts[Counters].private(destination.network):
            return []
        prefix = "Udp" if destination.where.family == AF_INET else "Udp6"
        _, counter = self.facts[Counters].risen_in(destination.network, f"{prefix}NoPorts")
        return [counter] if counter is not None else []

    def on_wire(self, destination: Destination) -> bool:
        """Whether an ICMP error about the destination was seen."""
        return destination.where in self._icmp

    def bound_later(self, destination: Destination, found: UnheardFacts) -> BoundSocket | None:
        """A traced socket that took the destination after the first datagram had gone there."""
        later = [
            entry
            for entry in self._takers(destination)
            if entry.bind is not None and entry.bind.end_ns > found.first.entry_ns and not entry.connected
        ]
        return min(later, key=lambda entry: entry.bind.end_ns if entry.bind is not None else 0, default=None)

    def had_it(self, destination: Destination, at_ns: int) -> list[BoundSocket]:
        """Traced sockets that took the destination at a time."""
        return [entry for entry in self._takers(destination) if entry.had_it(at_ns)]

    def gone(self, destination: Destination, at_ns: int) -> list[BoundSocket]:
        """Traced sockets that took the destination and were closed before a time."""
        return [entry for entry in self._takers(destination) if entry.ended_ns is not None and entry.ended_ns <= at_ns]

    def _takers(self, destination: Destination) -> list[BoundSocket]:
        where = destination.where
        network = destination.network if where.loopback else None
        return [entry for entry in self.facts[Bound].on(where.port, SOCK_DGRAM, network) if entry.takes(where)]
