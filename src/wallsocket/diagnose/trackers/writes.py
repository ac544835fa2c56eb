"""What a program wrote to a socket."""

from __future__ import annotations

from ..call import CallFacts
from ..tracker import Latest, SocketTracker, returned
from ..vocabulary import WRITES

__all__ = ["WriteFacts", "Writes"]

#: Writes of one socket that are kept to find out where a reader's cut fell. Loopback holds a few MiB between two
#: programs (tcp(7), tcp_rmem and tcp_wmem): more small writes than these can be on the way only when nobody reads.
_RECENT = 1024


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
    """Counts writes that were taken, whole or in part, and keeps the latest."""

    kept = WriteFacts

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
