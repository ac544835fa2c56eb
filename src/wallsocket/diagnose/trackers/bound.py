"""Who has which port: traced sockets that were bound by name or that listen, also after they are gone."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import Recent, Tracker, on_met, on_sample, returned
from ..vocabulary import IPPROTO_IPV6, IPV6_V6ONLY, LISTEN, READS, SOCK_STREAM
from .host_answers import HostAnswers
from .options import Options
from .set_up import SetUp
from .sockets import Sockets

__all__ = ["Bound", "BoundSocket", "Listener"]

#: Bound sockets that are remembered; of more than these the first ones go.
_KEPT = 50_000
#: Of one port: each question about it looks at all of these.
_KEPT_OF_PORT = 64


class BoundSocket:
    """A traced socket with a name of its own; it outlives the socket's other facts."""

    __slots__ = (
        "_socket",
        "bind",
        "connected",
        "id",
        "listen",
        "listening",
        "local",
        "only_inet6",
        "process",
        "received",
        "type",
    )

    def __init__(self, socket: SocketFacts, local: Address) -> None:
        self._socket = socket
        self.id = socket.id
        self.process = socket.process
        self.type = socket.type
        self.local = local
        self.bind: CallFacts | None = None
        self.listen: CallFacts | None = None
        self.listening: Sample | None = None  #: the first sample that shows it listening
        self.connected = False  #: it was given to connect: it is the client's
        self.only_inet6 = False  #: IPV6_V6ONLY was set
        self.received = False  #: a read brought something, also 0 bytes

    @property
    def socket(self) -> SocketFacts:
        """The socket; it may be retired."""
        return self._socket

    @property
    def tcp(self) -> bool:
        """Whether it is TCP."""
        return self._socket.tcp

    @property
    def listens(self) -> bool:
        """Whether it was given to listen, or was seen listening."""
        return self.listen is not None or self.listening is not None

    @property
    def ended_ns(self) -> int | None:
        """When its last descriptor was closed."""
        return self._socket.ended_ns

    def is_in(self, network: int | None) -> bool:
        """Whether it may be in a network namespace: the same one, or either is not known."""
        own = self._socket.network
        return own is None or network is None or own == network

    def had_it(self, at_ns: int) -> bool:
        """Whether it had its name at a time."""
        ended = self.ended_ns
        since = self.bind.end_ns if self.bind is not None else 0
        return since <= at_ns and (ended is None or ended > at_ns)

    def listened_at(self, at_ns: int) -> bool:
        """Whether it listened at a time."""
        since = self.listen.entry_ns if self.listen is not None else 0
        ended = self.ended_ns
        return self.listens and since <= at_ns and (ended is None or ended > at_ns)

    def takes(self, where: Address) -> bool:
        """Whether it gets what is sent to an address."""
        return self.local.covers(where, only_inet6=self.only_inet6)


class Listener(NamedTuple):
    """A TCP socket that listened."""

    local: Address
    owner: str  #: who, in words; empty where nobody is known
    bound: BoundSocket | None  #: when it was traced
    only_inet6: bool = False  #: IPV6_V6ONLY was set, or the kernel says that it is in force

    def takes(self, where: Address) -> bool:
        """Whether it gets what is sent to an address."""
        return self.local.covers(where, only_inet6=self.only_inet6)

    @property
    def bind(self) -> CallFacts | None:
        """Its bind call, if it was traced."""
        return self.bound.bind if self.bound is not None else None

    @property
    def subjects(self) -> frozenset[int]:
        """Its socket, if it was traced."""
        return frozenset({self.bound.id} if self.bound is not None else ())

    def proof(self) -> list[Proof]:
        """Its listen call as a proof row, if it was traced."""
        listen = self.bound.listen if self.bound is not None else None
        return [listen.proof(f"{listen.text()} on {self.local}")] if listen is not None else []


class Bound(Tracker):
    """An index by port."""

    needs = (Sockets, SetUp, Options, HostAnswers)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._by_port: dict[int, list[BoundSocket]] = {}
        self._by_id: dict[int, BoundSocket] = {}
        self._order: deque[int] = deque()
        self._ports: list[int] | None = None  # in order, once they are asked for
        #: (process, type, port asked) -> when it last succeeded
        self.last_bound: Recent[tuple[int, int, int], int] = Recent(_KEPT)
        self.tcp_listeners = 0  #: sockets that were given to listen
        #: (process, type) -> when a bind last succeeded, to which port, and when one to another port did
        self._latest: Recent[tuple[int, int], tuple[int, int, int]] = Recent(_KEPT)

    # -- filling

    def _entry(self, socket: SocketFacts) -> BoundSocket | None:
        local = socket.local
        if local is None:
            return None
        found = self._by_id.get(socket.id)
        if found is None:
            found = self._by_id[socket.id] = BoundSocket(socket, local)
            self._order.append(socket.id)
            self._place(found)
            if len(self._by_id) > _KEPT:
                self._forget(self._by_id.pop(self._order.popleft()))
        elif found.local != local:
            self._forget(found)
            found.local = local
            self._place(found)
        return found

    def _place(self, entry: BoundSocket) -> None:
        alike = self._by_port.get(entry.local.port)
        if alike is None:
            self._by_port[entry.local.port] = [entry]
            self._ports = None
            return
        alike.append(entry)
        if len(alike) > _KEPT_OF_PORT:
            alike.remove(next((one for one in alike if one.ended_ns is not None), alike[0]))

    def _forget(self, entry: BoundSocket) -> None:
        alike = self._by_port.get(entry.local.port, [])
        if entry in alike:
            alike.remove(entry)
            if not alike:
                del self._by_port[entry.local.port]
                self._ports = None

    @returned("bind")
    def bound(self, call: CallFacts) -> None:
        """A bind returned."""
        asked = call.address
        if not call.succeeded or call.socket is None or asked is None:
            return
        self.last_bound[call.call.process, call.socket.type, asked.port] = call.end_ns
        key = (call.call.process, call.socket.type)
        latest_ns, latest_port, other_ns = self._latest.get(key, (-1, -1, -1))
        self._latest[key] = (call.end_ns, asked.port, other_ns if latest_port == asked.port else latest_ns)
        entry = self._entry(call.socket)
        if entry is not None:
            entry.bind = call.without_samples()
            entry.only_inet6 = self.facts[Options].on(call.socket, IPPROTO_IPV6, IPV6_V6ONLY)

    @returned("listen")
    def listened(self, call: CallFacts) -> None:
        """A listen returned."""
        if call.succeeded and call.socket is not None:
            entry = self._entry(call.socket)
            if entry is not None and entry.listen is None:
                entry.listen = call
                call.socket.whole += 1  # how full its queue was is asked when a client was refused
                self.tcp_listeners += entry.tcp

    @returned("connect")
    def connects(self, call: CallFacts) -> None:
        """A bound socket is a client's."""
        if call.socket is not None:
            entry = self._by_id.get(call.socket.id)
            if entry is not None:
                entry.connected = True

    @returned(*READS)
    def read(self, call: CallFacts) -> None:
        """A bound socket got something."""
        if call.socket is not None and call.result is not None and call.result >= 0:
            entry = self._by_id.get(call.socket.id)
            if entry is not None:
                entry.received = True

    @on_met
    def met(self, socket: SocketFacts) -> None:
        """Port 0 becomes a number."""
        entry = self._by_id.get(socket.id)
        if entry is not None and entry.local != socket.local and socket.local is not None and socket.local.port:
            self._entry(socket)

    @on_sample(more=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """The same."""
        self.met(socket)

    @on_sample(LISTEN)
    def listens(self, socket: SocketFacts, sample: Sample) -> None:
        """An inherited listener shows itself."""
        entry = self._by_id.get(socket.id)
        if entry is None and socket.tcp:
            entry = self._entry(socket)
        if entry is not None and entry.listening is None and not sample.destroyed:
            entry.listening = sample
            socket.whole += 1

    # -- questions

    def on(self, port: int, type: int = SOCK_STREAM, network: int | None = None) -> Iterator[BoundSocket]:
        """Traced sockets that had a port at any time, in a network namespace where it is known."""
        for entry in self._by_port.get(port, ()):
            if entry.type == type and entry.is_in(network):
                yield entry

    def taken_later(self, process: int, type: int, port: int, after_ns: int) -> bool:
        """Whether the process bound the same port afterwards."""
        return self.last_bound.get((process, type, port), -1) > after_ns

    def moved_on(self, process: int, type: int, port: int, after_ns: int) -> bool:
        """Whether the process took another port afterwards."""
        latest_ns, latest_port, other_ns = self._latest.get((process, type), (-1, -1, -1))
        return (latest_ns if latest_port != port else other_ns) > after_ns

    def listeners(self, call: CallFacts, port: int, at_ns: int) -> list[Listener] | None:
        """Who listened (TCP) on a port when ``call`` was refused: traced sockets, and the host's when it was asked.

        ``None`` when neither is known to be complete: the host was not asked and nothing traced listened.
        """
        found = [
            Listener(entry.local, self.facts.who(entry.process), entry, entry.only_inet6)
            for entry in self.on(port, network=_network(call))
            if entry.tcp and entry.listened_at(at_ns)
        ]
        host = self.facts[HostAnswers].sockets(call.call)
        if host is None:
            return found or None
        traced = {listener.local for listener in found}
        only = {entry.local for entry in host if entry.only_inet6}
        found = [one._replace(only_inet6=True) if one.local in only else one for one in found]
        for entry in host:
            if entry.listens and entry.local is not None and entry.local.port == port and entry.local not in traced:
                found.append(Listener(entry.local, entry.program(), None, entry.only_inet6))
        return found

    def near(self, call: CallFacts, where: Address, at_ns: int, count: int = 3) -> list[Listener]:
        """Listeners on other ports of an address, the nearest first."""
        if self._ports is None:
            self._ports = sorted(self._by_port)
        ports = self._ports
        place = bisect_left(ports, where.port)
        found = []
        for port in sorted(ports[max(0, place - 32) : place + 32], key=lambda port: abs(port - where.port)):
            for entry in self._by_port[port] if port != where.port else ():
                here = entry.tcp and entry.is_in(_network(call))
                if here and entry.listened_at(at_ns) and entry.takes(where._replace(port=port)):
                    found.append(Listener(entry.local, self.facts.who(entry.process), entry))
        known = {listener.local for listener in found}
        for answer in self.facts[HostAnswers].sockets(call.call) or ():
            local = answer.local
            listens = answer.listens and local is not None and local.port != where.port and local not in known
            if listens and local is not None and local.covers(where._replace(port=local.port)):
                found.append(Listener(local, answer.program(), None))
        return sorted(found, key=lambda one: abs(one.local.port - where.port))[:count]


def _network(call: CallFacts) -> int | None:
    return call.socket.network if call.socket is not None else None
