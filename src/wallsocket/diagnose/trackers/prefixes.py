"""Reads of a length in front of a message, and what was asked for next."""

from __future__ import annotations

from ..call import CallFacts
from ..tracker import SocketTracker, entered, returned
from ..vocabulary import MSG_PEEK, READS

__all__ = ["Prefix", "Prefixes"]

#: Sizes of integers that programs put in front of messages.
SIZES = (2, 4, 8)


class Prefix:
    """A read of exactly as many bytes as an integer has, and the first read after it."""

    __slots__ = ("after", "read")

    def __init__(self, read: CallFacts) -> None:
        self.read = read
        self.after: CallFacts | None = None

    def values(self) -> tuple[int, int]:
        """The number in network byte order, and with its bytes reversed."""
        return int.from_bytes(self.read.payload, "big"), int.from_bytes(self.read.payload, "little")


class PrefixFacts:
    """The latest of one socket."""

    __slots__ = ("first", "latest")

    def __init__(self) -> None:
        self.first: Prefix | None = None
        self.latest: Prefix | None = None


class Prefixes(SocketTracker[PrefixFacts]):
    """Looks at reads that got exactly two, four or eight bytes, as many as they asked for."""

    kept = PrefixFacts

    @entered(*READS, given=True)
    def asks(self, call: CallFacts) -> None:
        """A read begins: it may be the one after a length."""
        socket = call.socket
        if socket is None or not call.length:
            return
        found = socket.kept.get(self.place)
        if found is not None and found.latest is not None and found.latest.after is None:
            found.latest.after = call

    @returned(*READS, of="stream", moved=True)
    def read(self, call: CallFacts) -> None:
        """A read returned."""
        socket = call.socket
        if socket is None or call.moved not in SIZES or call.flags & MSG_PEEK:
            return
        if call.call.length != call.moved or len(call.payload) != call.moved:
            return
        facts = self.keep(socket)
        latest = facts.latest
        if latest is not None and latest.after is call and call.length in latest.values():
            # It is the message of that length.
            return
        facts.latest = Prefix(call)
        facts.first = facts.first or facts.latest
