"""Datagrams by their content: sent in which order, and read in which."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import MSG_PEEK, READS, WRITES

__all__ = ["ArrivalFacts", "Arrivals"]

#: Datagrams that are remembered, and reads of one socket.
_SENT = 20_000
_READ = 4096
#: Sockets that read one datagram.
_READERS = 8
#: First bytes by which a datagram is known again.
_BYTES = 64
#: Shorter ones are too alike.
_LEAST = 3


class _Sent:
    __slots__ = ("call", "count", "number", "readers")

    def __init__(self, number: int, call: CallFacts) -> None:
        self.number = number
        self.call = call
        self.count = 1  #: times that it was sent by who had not read it before
        self.readers: set[tuple[int, int]] = set()  #: (process, socket), the first ones

    def passed_on_by(self, call: CallFacts) -> bool:
        """Whether a send passes on what its socket, or another process than the first sender's, has read."""
        process, socket = call.call.process, call.call.socket
        other = process != self.call.call.process
        return any(through == socket or (other and reader == process) for reader, through in self.readers)


class ArrivalFacts:
    """What one socket read, against the order in which it was first sent."""

    __slots__ = ("doubled", "doubles", "highest", "latest", "read", "reordered", "swaps")

    def __init__(self) -> None:
        self.highest: dict[int | None, int] = {}  #: first sender's socket -> number of its latest datagram read
        self.latest: dict[int | None, CallFacts] = {}
        self.read: dict[tuple[int, bytes], int] = {}
        self.swaps = 0  #: reads of a datagram that was sent before one read earlier
        self.reordered: tuple[CallFacts, CallFacts, CallFacts] | None = None  #: its send, the earlier read, its read
        self.doubles = 0  #: reads of what was sent once and read before
        self.doubled: tuple[CallFacts, CallFacts] | None = None  #: its send, its second read


class Arrivals(SocketTracker[ArrivalFacts]):
    """Knows a datagram again by length and first bytes; those that were sent more than once are left out."""

    kept = ArrivalFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._sent: dict[tuple[int, bytes], _Sent] = {}
        self._number = 0

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A datagram went out, perhaps passed on."""
        socket = call.socket
        if socket is None or not call.succeeded or len(call.payload) < _LEAST:
            return
        self._number += 1
        key = (call.moved, call.payload[:_BYTES])
        known = self._sent.get(key)
        if known is None:
            if len(self._sent) < _SENT:
                self._sent[key] = _Sent(self._number, call)
        elif not known.passed_on_by(call):
            known.count += 1

    @returned(*READS, of="udp")
    def read(self, call: CallFacts) -> None:
        """A datagram was read."""
        socket = call.socket
        if socket is None or not call.succeeded or call.flags & MSG_PEEK:
            return
        key = (call.moved, call.payload[:_BYTES])
        sent = self._sent.get(key)
        if sent is not None and len(sent.readers) < _READERS:
            sent.readers.add((call.call.process, socket.id))
        if sent is None or sent.count > 1 or sent.call.call.socket == socket.id:
            return
        facts = self.keep(socket)
        times = facts.read.get(key, 0)
        if times or len(facts.read) < _READ:
            facts.read[key] = times + 1
        origin = sent.call.call.socket
        if times:
            facts.doubles += 1
            facts.doubled = facts.doubled or (sent.call, call)
        elif sent.number < facts.highest.get(origin, -1):
            facts.swaps += 1
            facts.reordered = facts.reordered or (sent.call, facts.latest[origin], call)
        else:
            facts.highest[origin] = sent.number
            facts.latest[origin] = call

    def sent_once(self, call: CallFacts) -> bool:
        """Whether what a call sent was not sent again until now: a send may be told after the read of it."""
        sent = self._sent.get((call.moved, call.payload[:_BYTES]))
        return sent is None or sent.count <= 1
