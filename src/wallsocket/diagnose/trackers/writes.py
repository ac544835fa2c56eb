"""What a program wrote to a socket."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Latest, SocketTracker, returned
from ..vocabulary import WRITES
from .peers import Peers
from .reads import Reads

__all__ = ["WriteFacts", "Writes"]

#: Writes of one socket that are kept to find out where a reader's cut fell. Loopback holds a few MiB between two
#: programs (tcp(7), tcp_rmem and tcp_wmem): more small writes than these can be on the way only when nobody reads.
_RECENT = 1024
#: Of those whose bytes the reader has taken long ago.
_FEW = 64


class WriteFacts:
    """What one socket took from the program."""

    __slots__ = ("bytes", "calls", "first", "last", "recent")

    def __init__(self) -> None:
        self.calls = 0
        self.bytes = 0
        self.first: CallFacts | None = None
        self.last: CallFacts | None = None
        self.recent: Latest[CallFacts] = Latest(_RECENT)


class Writes(SocketTracker[WriteFacts]):
    """Counts writes that were taken, whole or in part, and keeps the latest.

    More than :data:`_FEW` are kept only as long as their bytes may lie in one of the peer's reads that are kept, or be unread.
    """

    needs = (Peers, Reads)
    kept = WriteFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._peers = facts[Peers]
        self._reads = facts[Reads]

    @returned(*WRITES)
    def wrote(self, call: CallFacts) -> None:
        """A write returned."""
        if call.socket is None or call.result is None or call.result < 0:
            return
        facts = self.keep(call.socket)
        facts.calls += 1
        facts.bytes += call.moved
        if facts.first is None:
            facts.first = call
        facts.last = call
        facts.recent.append(call)
        if len(facts.recent) >= 2 * _FEW and facts.calls % _FEW == 0:
            self._let_go(call.socket, facts.recent)

    def _let_go(self, socket: SocketFacts, recent: list[CallFacts]) -> None:
        peer = self._peers.of(socket)
        if peer is not None:
            reads = self._reads.of(peer).recent
            begin = (reads[0].offset if reads else 0) or 0
            kept = next((place for place, call in enumerate(recent) if (call.offset or 0) + call.moved > begin), 0)
            del recent[: min(kept, len(recent) - _FEW)]
        elif socket.origin == "accept":
            # Its client was there before it: who is not known by now is not traced.
            del recent[:-_FEW]
