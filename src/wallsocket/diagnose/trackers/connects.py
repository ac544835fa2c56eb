"""Connects of one process to one port, in order: how a program goes through the addresses of a name."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Latest, Recent, Tracker, returned
from ..vocabulary import AF_INET

__all__ = ["Connects"]

#: Pairs of process and port, and connects of one that are kept, the latest.
_PAIRS = 10_000
_OF_ONE = 64


class Connects(Tracker):
    """Keeps the latest ones."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: Recent[tuple[int, int], Latest[CallFacts]] = Recent(_PAIRS)

    @returned("connect")
    def connected(self, call: CallFacts) -> None:
        """A connect returned."""
        where = call.address
        if where is None or call.socket is None or not call.socket.tcp:
            return
        key = (call.call.process, where.port)
        known = self._of.get(key) or Latest(_OF_ONE)
        known.append(call.without_samples())
        self._of[key] = known

    def by_ipv4(self, process: int, port: int) -> bool:
        """Whether the process tried that port at an IPv4 address, with whatever success."""
        return any(
            call.address is not None and call.address.family == AF_INET for call in self._of.get((process, port), ())
        )

    def next_after(self, call: CallFacts) -> CallFacts | None:
        """The next connect of the same process to the same port, at another address."""
        where = call.address
        if where is None:
            return None
        for other in self._of.get((call.call.process, where.port), ()):
            if other.entry_ns > call.entry_ns and other.address != where:
                return other
        return None
