"""Counters of network namespaces."""

from __future__ import annotations

from collections import deque

from ...events import Counter
from ..facts import Facts
from ..finding import Proof
from ..subjects import SocketFacts
from ..tracker import Tracker, on_counter

__all__ = ["CounterFacts", "Counters"]

#: Changes of one counter that are kept.
_CHANGES = 256
#: Counters that are told apart; Linux has about 500 in each namespace.
_COUNTERS = 32_768


class CounterFacts:
    """One counter: its value at the start, now, and when it changed."""

    __slots__ = ("changes", "first", "last")

    def __init__(self, value: int) -> None:
        self.first = value
        self.last = value
        self.changes: deque[tuple[int, int, int, int]] = deque(maxlen=_CHANGES)  #: (at_ns, row, value, by how much)

    @property
    def risen(self) -> int:
        """By how much it rose during the recording."""
        return self.last - self.first


#: The namespace of the tracer, which recordings of schema version 1 mean.
_OWN = 1


class Counters(Tracker):
    """Keeps each counter of each network namespace by its name as nstat(8) writes it: ``TcpExtListenDrops``."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._all: dict[tuple[int, str], CounterFacts] = {}

    @on_counter
    def see(self, counter: Counter, row: int) -> None:
        """A new value."""
        # `TcpExt.ListenDrops` and `TcpExtListenDrops` are one counter.
        key = (counter.network or _OWN, counter.name.replace(".", ""))
        found = self._all.get(key)
        if found is None:
            if len(self._all) < _COUNTERS:
                self._all[key] = CounterFacts(counter.value)
        else:
            by = counter.value - found.last
            found.last = counter.value
            found.changes.append((counter.at_ns, row, counter.value, by))

    def _network(self, socket: SocketFacts) -> int:
        row = self.facts.tables.sockets.get(socket.id)
        return (row.network if row is not None else None) or _OWN

    def private(self, network: int | None) -> bool:
        """Whether the counters of a network namespace count what the recorded programs did, and nothing else.

        That is so in a lab, and where nothing had arrived when the namespace was met: a program, or a container, had just
        made it. ``None``: that of the tracer.
        """
        if self.facts.private:
            return True
        if network in (None, _OWN) or "attached" in self.facts.tables.meta:
            return False
        arrived = [self._all.get((network, name)) for name in ("IpInReceives", "Ip6InReceives")]
        return arrived[0] is not None and all(counter is None or counter.first == 0 for counter in arrived)

    def risen(self, socket: SocketFacts, *names: str) -> tuple[int, Proof | None]:
        """By how much counters of a socket's namespace rose together, and the proof row of the last change."""
        return self.risen_in(self._network(socket), *names)

    def risen_in(self, network: int | None, *names: str) -> tuple[int, Proof | None]:
        """The same of a network namespace; ``None``: that of the tracer."""
        network = network or _OWN
        total, last = 0, None
        for name in names:
            counter = self._all.get((network, name))
            if counter is not None and counter.risen > 0:
                total += counter.risen
                at_ns, row, _, _ = counter.changes[-1]
                text = f"kernel counter {name.removeprefix('TcpExt')} +{counter.risen}"
                last = Proof("kernel", "counter", row, at_ns, text)
        return total, last

    def networks(self, name: str) -> list[int]:
        """The network namespaces in which a counter rose by what the recorded programs did."""
        rose = [network for (network, one), counter in self._all.items() if one == name and counter.risen > 0]
        return [network for network in rose if self.private(network)]

    def risen_between(self, socket: SocketFacts, name: str, since_ns: int, until_ns: int) -> tuple[int, Proof | None]:
        """By how much a counter of a socket's namespace rose in a span of time, and its proof row."""
        counter = self._all.get((self._network(socket), name))
        total, proof = 0, None
        for at_ns, row, _, by in counter.changes if counter is not None else ():
            if since_ns <= at_ns <= until_ns:
                total += by
                text = f"kernel counter {name.removeprefix('TcpExt')} +{total}"
                proof = Proof("kernel", "counter", row, at_ns, text)
        return total, proof
