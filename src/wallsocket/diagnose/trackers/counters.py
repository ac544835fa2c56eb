"""Counters of network namespaces."""

from __future__ import annotations

from ...events import Counter, Fact
from ..facts import Facts, json_object
from ..finding import Proof
from ..subjects import SocketFacts
from ..tracker import LatestOf, Tracker, on_counter, on_fact, on_met

__all__ = ["CounterFacts", "Counters"]

#: Changes that are kept, and those of one counter.
_CHANGES = 65_536
_OF_ONE = 256
#: Counters that are told apart; Linux has about 500 in each namespace.
_COUNTERS = 32_768
#: Namespaces that are told apart, as the tracer does.
_NETWORKS = 4096


class CounterFacts:
    """One counter: its value when it was first read, now, and when it changed last."""

    __slots__ = ("at_ns", "first", "last", "row")

    def __init__(self, counter: Counter, row: int) -> None:
        self.first = counter.value
        self.take(counter, row)

    def take(self, counter: Counter, row: int) -> None:
        """A new value; ``row`` is its position in the table."""
        self.last, self.at_ns, self.row = counter.value, counter.at_ns, row

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
        # (when, row, by how much) of each change
        self._changes: LatestOf[tuple[int, str], tuple[int, int, int]] = LatestOf(_CHANGES, _OF_ONE)
        self._read: set[int] = set()  # namespaces whose counters are known
        self._used: set[int] = set()  # those of sockets
        self._before: set[int] = set()  # those that programs were in when they were attached to
        self._before_known: bool | None = None  # whether every program that was attached to said so

    @on_counter
    def see(self, counter: Counter, row: int) -> None:
        """A new value."""
        # `TcpExt.ListenDrops` and `TcpExtListenDrops` are one counter.
        key = (counter.network or _OWN, counter.name.replace(".", ""))
        if len(self._read) < _NETWORKS:
            self._read.add(key[0])
        found = self._all.get(key)
        if found is None:
            if len(self._all) < _COUNTERS:
                self._all[key] = CounterFacts(counter, row)
        else:
            self._changes.add(key, (counter.at_ns, row, counter.value - found.last))
            found.take(counter, row)

    def _network(self, socket: SocketFacts) -> int:
        row = self.facts.tables.sockets.get(socket.id)
        return (row.network if row is not None else None) or _OWN

    @on_fact
    def attached(self, fact: Fact) -> None:
        """Where a program was when it was attached to."""
        if fact.kind == "attached":
            networks = json_object(fact.value).get("networks")
            self._before_known = isinstance(networks, list) and self._before_known is not False
            for network in networks if isinstance(networks, list) else ():
                if isinstance(network, int) and len(self._before) < _NETWORKS:
                    self._before.add(network)

    @on_met
    def met(self, socket: SocketFacts) -> None:
        """A socket is in a namespace."""
        if len(self._used) < _NETWORKS:
            self._used.add(self._network(socket))

    def private(self, network: int | None) -> bool:
        """Whether the counters of a network namespace count what the recorded programs did, and nothing else.

        That is so in a lab, and where nothing had arrived when the namespace was met: a program, or a container, had just
        made it. Of one that a program was in when it was attached to nobody knows who else is there. ``None``: that of the
        tracer.
        """
        if self.facts.private:
            return True
        if network in (None, _OWN) or network in self._before:
            return False
        if "attached" in self.facts.tables.meta and not self._before_known:
            return False
        arrived = [self._all.get((network, name)) for name in ("IpInReceives", "Ip6InReceives")]
        return arrived[0] is not None and all(counter is None or counter.first == 0 for counter in arrived)

    def shared(self, network: int, name: str) -> str | None:
        """Why it is not known that a counter rose by what the recorded programs did; ``None``: it did."""
        if self.private(network):
            return None
        return f"{name.removeprefix('TcpExt')} rose in a network namespace that other programs may use as well"

    def risen(self, socket: SocketFacts, *names: str) -> tuple[int, Proof | None]:
        """By how much counters of a socket's namespace rose together, and the proof row of the last change."""
        return self.risen_in(self._network(socket), *names)

    def risen_in(self, network: int | None, *names: str) -> tuple[int, Proof | None]:
        """The same of a network namespace; ``None``: that of the tracer."""
        network = network or _OWN
        self._look(network)
        total, last = 0, None
        for name in names:
            counter = self._all.get((network, name))
            if counter is not None and counter.risen > 0:
                total += counter.risen
                text = f"kernel counter {name.removeprefix('TcpExt')} +{counter.risen}"
                last = Proof("kernel", "counter", counter.row, counter.at_ns, text)
        return total, last

    def networks(self, name: str) -> list[int]:
        """The network namespaces in which a counter rose."""
        for network in sorted(self._used - self._read):
            self._look(network)
        return [network for (network, one), counter in self._all.items() if one == name and counter.risen > 0]

    def _look(self, network: int) -> None:
        if network not in self._read:
            self.facts.miss(f"the counters of network namespace {network} were not read{self.facts.refusal(network)}")

    def risen_between(self, socket: SocketFacts, name: str, since_ns: int, until_ns: int) -> tuple[int, Proof | None]:
        """By how much a counter of a socket's namespace rose in a span of time, and its proof row."""
        network = self._network(socket)
        self._look(network)
        total, proof = 0, None
        for at_ns, row, by in self._changes.of((network, name)):
            if since_ns <= at_ns <= until_ns:
                total += by
                text = f"kernel counter {name.removeprefix('TcpExt')} +{total}"
                proof = Proof("kernel", "counter", row, at_ns, text)
        return total, proof
