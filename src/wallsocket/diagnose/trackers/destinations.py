"""Where programs connect to, and what came of it: sums that outlive the sockets."""

from __future__ import annotations

import errno

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..subjects import Destination, SocketFacts
from ..tracker import Latest, Recent, SocketTracker, failed, returned
from ..vocabulary import READS, SO_ERROR, SOL_SOCKET, WRITES
from .set_up import SetUp
from .sockets import Sockets

__all__ = ["DestinationFacts", "Destinations", "Refusal"]

#: Destinations that are told apart.
_KEPT = 50_000
#: Refusals of one destination that are kept as they were, by the line that connected, and ids of calls of one.
_REFUSALS = 16
_CALLS = 64
#: Who was refused at so many ports of one host, or by so many hosts at one port, at each of them once or twice, is looking
#: which are open: nobody is configured for that many servers that are all down. A scan of a few ports has as many.
_SEARCH = 16
_ONCE_OR_TWICE = 2


class Refusal:
    """TCP connections that were refused: the first of those that one line made, and how many more."""

    __slots__ = ("at_ns", "calls", "connect", "count", "last_ns", "local", "network", "seen", "socket", "where")

    def __init__(self, seen: CallFacts, connect: CallFacts, where: Address, socket: SocketFacts) -> None:
        #: The call that told the program: connect, getsockopt of SO_ERROR, or the first use.
        self.seen = seen.without_samples()
        self.connect = connect.without_samples() if connect is not seen else self.seen
        self.where = where
        self.socket = socket.id
        self.local = socket.local
        self.network = socket.network
        self.at_ns = seen.end_ns
        self.last_ns = seen.end_ns
        self.count = 1
        self.calls: Latest[int] = Latest(_CALLS)  #: ids of the calls, the latest
        self.told(seen, connect)

    def told(self, seen: CallFacts, connect: CallFacts) -> None:
        """Note the ids of calls that say so."""
        self.calls.append(seen.call.id)
        self.calls.append(connect.call.id)

    @property
    def process(self) -> int:
        """The process that was refused."""
        return self.connect.call.process

    def how_seen(self) -> str:
        """How the program was told, as proof text."""
        if self.seen.name == "getsockopt":
            return f"call {self.seen.call.id} getsockopt(SO_ERROR) gave ECONNREFUSED"
        return self.seen.text()


class DestinationFacts:
    """What happened at one destination."""

    __slots__ = ("reached_ns", "refusals", "tried")

    def __init__(self) -> None:
        self.tried = 0  #: connects
        self.reached_ns = -1  #: when anybody's connect last succeeded
        self.refusals: list[Refusal] = []  #: by process and source line

    def by(self, process: int, source: int | None) -> Refusal | None:
        """The refusal of connects that a line of a process made."""
        return next(
            (one for one in self.refusals if one.connect.call.source == source and one.process == process), None
        )


class _Attempt:
    __slots__ = ("reached", "told")

    def __init__(self) -> None:
        self.told: CallFacts | None = None  # the connect whose refusal is counted
        self.reached: CallFacts | None = None  # the connect whose success is counted


class Destinations(SocketTracker[_Attempt]):
    """Counts attempts per destination."""

    needs = (Sockets, SetUp)
    kept = _Attempt

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._set_up = facts[SetUp]
        self.all: dict[Destination, DestinationFacts] = {}
        #: (process, port) -> when a connect to it last succeeded
        self.got_port: Recent[tuple[int, int], int] = Recent(_KEPT)
        # (process, host or port) -> ports or hosts that refused it
        self._search: dict[tuple[int, str | int], set[str | int]] = {}

    def known(self, destination: Destination) -> DestinationFacts:
        """What is known of a destination; empty when nothing is."""
        found = self.all.get(destination)
        if found is None:
            found = DestinationFacts()
            if len(self.all) < _KEPT:
                self.all[destination] = found
        return found

    @returned("connect")
    def connected(self, call: CallFacts) -> None:
        """A connect returned."""
        socket, where = call.socket, call.address
        if socket is None or where is None or not socket.tcp or not where.port:
            return
        facts = self.known(Destination("tcp", where, socket.network))
        facts.tried += 1
        if call.succeeded:
            self._reached(socket, call)

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A datagram went somewhere."""
        socket = call.socket
        if socket is None or not call.succeeded:
            return
        where = call.address or socket.remote
        if where is not None and where.port:
            self.known(Destination("udp", where, socket.network)).tried += 1

    @failed
    def fails(self, call: CallFacts) -> None:
        """ECONNREFUSED of whatever call."""
        if call.errno == errno.ECONNREFUSED and call.socket is not None:
            self._refused(call.socket, call)

    @returned("getsockopt")
    def asked(self, call: CallFacts) -> None:
        """SO_ERROR says what became of a connect that did not block."""
        if not call.succeeded or call.socket is None or call.option != (SOL_SOCKET, SO_ERROR):
            return
        error = call.option_number
        if error == errno.ECONNREFUSED:
            self._refused(call.socket, call)
        elif error == 0:
            self._reached(call.socket, call)

    @returned(*READS, *WRITES, moved=True)
    def used(self, call: CallFacts) -> None:
        """The first byte shows that the connection came about."""
        socket = call.socket
        if socket is None:
            return
        attempt = socket.kept.get(self.place)
        if attempt is None or attempt.reached is None:
            self._reached(socket, call)

    def _reached(self, socket: SocketFacts, call: CallFacts) -> None:
        attempt = self.keep(socket)
        connect = self._set_up.of(socket).connect
        where = connect.address if connect is not None else None
        attempt.reached = connect or call
        if where is not None and socket.tcp:
            self.known(Destination("tcp", where, socket.network)).reached_ns = call.end_ns
            self.got_port[call.call.process, where.port] = call.end_ns

    def _refused(self, socket: SocketFacts, call: CallFacts) -> None:
        connect = self._set_up.of(socket).connect
        if not socket.tcp or connect is None:
            return
        attempt = self.keep(socket)
        where = connect.address or socket.remote
        if attempt.told is connect or where is None or where.port == 0:
            return
        attempt.told = connect
        facts = self.known(Destination("tcp", where, socket.network))
        known = facts.by(connect.call.process, connect.call.source)
        if known is not None:
            known.count += 1
            known.last_ns = call.end_ns
            known.told(call, connect)
        elif len(facts.refusals) < _REFUSALS:
            for one, other in ((where.host, where.port), (where.port, where.host)):
                tried = self._search.get((connect.call.process, one))
                if tried is None and len(self._search) < _KEPT:
                    tried = self._search[connect.call.process, one] = set()
                if tried is not None and len(tried) < _SEARCH:
                    tried.add(other)
            facts.refusals.append(Refusal(call, connect, where, socket))

    # -- questions

    def refused(self, destination: Destination) -> list[Refusal]:
        """Connections that were refused and that nobody got later.

        A retry until the server is up and the next address of a name are ways to cope; for who looks for open ports a
        refusal is an answer.
        """
        facts = self.all.get(destination)
        if facts is None:
            return []
        return [refusal for refusal in facts.refusals if not self.coped(destination, refusal)]

    def coped_with(self, destination: Destination) -> list[Refusal]:
        """Connections that were refused and that somebody got later."""
        facts = self.all.get(destination)
        if facts is None:
            return []
        return [refusal for refusal in facts.refusals if self.coped(destination, refusal)]

    def reached_after(self, socket: SocketFacts, after_ns: int) -> bool:
        """Whether somebody got what this socket is connected to again, later."""
        if socket.remote is None:
            return False
        facts = self.all.get(Destination("tcp", socket.remote, socket.network))
        return facts is not None and facts.reached_ns > after_ns

    def looked_around(self, refusal: Refusal) -> bool:
        """Whether it is one of many that a program met which looks for open ports."""
        where = refusal.where
        return refusal.count <= _ONCE_OR_TWICE and any(
            len(self._search.get((refusal.process, one), ())) >= _SEARCH for one in (where.host, where.port)
        )

    def coped(self, destination: Destination, refusal: Refusal) -> bool:
        """Whether somebody got the destination later, the program got its port elsewhere, or only looked around."""
        if self.looked_around(refusal):
            return True
        facts = self.known(destination)
        if facts.reached_ns > refusal.last_ns:
            return True
        return self.got_port.get((refusal.process, destination.where.port), -1) > refusal.last_ns
