"""Programs that pass bytes on from one connection to another, and how long they keep them."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import READS, WRITES
from .peers import Peers
from .sockets import Sockets

__all__ = ["Held", "RelayFacts", "Relays"]

#: Bytes by which what is written is known again.
_PREFIX = 16
_LEAST_PREFIX = 4
#: Threads that are told apart, and connections of one that are compared.
_THREADS = 10_000
_SOURCES = 8


class Held:
    """Reads whose bytes were passed on by one write."""

    __slots__ = ("bytes", "changed", "count", "first", "last", "write")

    def __init__(self, first: CallFacts) -> None:
        self.changed = False  #: what was written are other bytes: compressed, or with more around them
        self.first = first
        self.last = first
        self.count = 1
        self.bytes = first.moved
        self.write: CallFacts | None = None

    @property
    def kept_ns(self) -> int:
        """How long the first of them was kept."""
        return self.write.entry_ns - self.first.end_ns if self.write is not None else 0


class RelayFacts:
    """What one connection brought."""

    __slots__ = ("at_once", "now", "worst")

    def __init__(self) -> None:
        self.now: Held | None = None
        self.worst: Held | None = None
        self.at_once = 0  #: reads that were passed on by themselves


class Relays(SocketTracker[RelayFacts]):
    """Knows bytes again by their first ones."""

    needs = (Peers, Sockets)
    kept = RelayFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._sources: dict[tuple[int, int], dict[int, SocketFacts]] = {}

    @returned(*READS, of="stream", moved=True)
    def read(self, call: CallFacts) -> None:
        """Bytes came."""
        socket = call.socket
        if socket is None or len(call.payload) < _LEAST_PREFIX:
            return
        facts = self.keep(socket)
        held = facts.now
        if held is None:
            facts.now = Held(call)
            sources = self._sources.get(call.thread)
            if sources is None:
                if len(self._sources) >= _THREADS:
                    return
                sources = self._sources[call.thread] = {}
            sources.pop(socket.id, None)
            sources[socket.id] = socket
            if len(sources) > _SOURCES:
                del sources[next(iter(sources))]
            return
        held.count += 1
        held.bytes += call.moved
        held.last = call

    @returned(*WRITES, of="stream", moved=True)
    def wrote(self, call: CallFacts) -> None:
        """Bytes went."""
        socket = call.socket
        if socket is None:
            return
        own = socket.kept.get(self.place)
        sources = self._sources.get(call.thread)
        if own is not None and own.now is not None:
            own.now = None  # an answer to what came
            if sources is not None:
                sources.pop(socket.id, None)
        if not sources:
            return
        self._changed(call, socket, sources)
        for source in sources.values():
            facts = source.kept.get(self.place)
            held = facts.now if facts is not None else None
            if (
                facts is None
                or held is None
                or source is socket
                or not call.payload.startswith(held.first.payload[:_PREFIX])
            ):
                continue
            if held.count == 1:
                facts.at_once += 1
            elif call.length * 10 >= held.bytes * 8:
                held.write = call
                if facts.worst is None or held.kept_ns > facts.worst.kept_ns:
                    facts.worst = held
            facts.now = None
            del sources[source.id]
            return

    def _changed(self, call: CallFacts, socket: SocketFacts, sources: dict[int, SocketFacts]) -> None:
        """A client was written to by a thread that reads from one connection of its own only, and writes other bytes than those."""
        ours = [source for source in sources.values() if source.origin == "socket"]
        if socket.origin != "accept" or len(ours) != 1 or ours[0].process != socket.process:
            return
        if self.facts[Peers].of(ours[0]) is socket:
            return
        facts = self.of(ours[0])
        held = facts.now
        if held is None or call.payload.startswith(held.first.payload[:_PREFIX]):
            return
        if held.count > 1 and (facts.worst is None or facts.worst.changed):
            held.write, held.changed = call, True
            if facts.worst is None or held.kept_ns > facts.worst.kept_ns:
                facts.worst = held
        facts.now = None
        del sources[ours[0].id]
