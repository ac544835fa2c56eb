"""Connections by the line and destination that they were made for: how many, how long, and how often each was used."""

from __future__ import annotations

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_end, on_retire, returned
from ..vocabulary import READS, WRITES
from .closing import Closing
from .descriptors import Descriptors
from .sockets import Sockets

__all__ = ["ConnectionGroup", "Connections", "UseFacts"]

#: Groups that are told apart, and sockets of one that are kept by id.
_GROUPS = 10_000
_KEPT = 64
_FINAL_NS = 500_000_000

Key = tuple[int, "int | None", Address]


class UseFacts:
    """What one client socket was used for."""

    __slots__ = ("began", "last", "made", "turns", "writing")

    def __init__(self) -> None:
        self.made: CallFacts | None = None  #: the call that made it
        self.began: CallFacts | None = None  #: its connect, or the first datagram that it sent
        self.last: CallFacts | None = None  #: the last call that moved bytes
        self.turns = 0  #: times that an answer came after something was written
        self.writing = False


class ConnectionGroup:
    """The connections, or datagram sockets, that one line of a process made to one destination."""

    __slots__ = (
        "abandoned",
        "closed",
        "first",
        "idle_ns",
        "last",
        "most_open",
        "once",
        "open",
        "overlaps",
        "total",
        "turns",
    )

    def __init__(self) -> None:
        self.total = 0
        self.open = 0
        self.most_open = 0  #: at one time
        self.overlaps = 0  #: times that one was made while an earlier one had not had its answer
        self.turns = 0  #: answers in all
        self.once = 0  #: closed after one answer at most
        self.closed = 0  #: closed by the program, not at its end
        self.abandoned: dict[int, SocketFacts] = {}  #: never closed by the program, used up to once, by id
        self.first: CallFacts | None = None
        self.last: CallFacts | None = None  #: the latest connect
        self.idle_ns = 0  #: for how long one of the abandoned was not used, at most

    @property
    def took_ns(self) -> int:
        """From the first connect to the last."""
        return self.last.entry_ns - self.first.entry_ns if self.first is not None and self.last is not None else 0


class Connections(SocketTracker[UseFacts]):
    """Sums that outlive the sockets."""

    needs = (Sockets, Closing, Descriptors)
    kept = UseFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.all: dict[Key, ConnectionGroup] = {}
        self._busy: dict[Key, tuple[SocketFacts, UseFacts]] = {}  # the latest of each group

    @returned("socket")
    def made(self, call: CallFacts) -> None:
        """A socket was made."""
        socket = self.facts[Sockets].get(call.call.made)
        if socket is not None and (socket.tcp or socket.udp):
            self.keep(socket).made = call

    @returned("connect")
    def connected(self, call: CallFacts) -> None:
        """A connection was begun."""
        socket, where = call.socket, call.address
        if socket is None or where is None or not where.port or not (socket.tcp or socket.udp):
            return
        if call.errno is not None and call.errno != 115:  # EINPROGRESS
            return
        self._begin(socket, call, where)

    def _begin(self, socket: SocketFacts, call: CallFacts, where: Address) -> None:
        facts = self.keep(socket)
        if facts.began is not None:
            return
        facts.began = call
        key = (call.call.process, socket.made_at, where)
        group = self.all.get(key)
        if group is None:
            if len(self.all) >= _GROUPS:
                return
            group = self.all[key] = ConnectionGroup()
            group.first = call
        group.total += 1
        group.open += 1
        group.most_open = max(group.most_open, group.open)
        group.last = call
        before, used = self._busy.get(key, (None, None))
        if before is not None and (before.ended_ns is None or before.ended_ns > call.entry_ns):
            assert used is not None
            if used.turns == 0 and not (socket.udp and used.last is not None):
                group.overlaps += 1
        self._busy[key] = socket, facts

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A datagram to an address begins the use of a socket."""
        socket, where = call.socket, call.address
        if socket is not None and call.succeeded and where is not None and where.port:
            self._begin(socket, call, where)
            self.wrote(call)

    @returned(*WRITES, given=True)
    def wrote(self, call: CallFacts) -> None:
        """Something was asked."""
        if call.socket is not None and call.succeeded:
            facts = self.keep(call.socket)
            facts.writing = True
            facts.last = call

    @returned(*READS, given=True, moved=True)
    def read(self, call: CallFacts) -> None:
        """Something was answered."""
        socket = call.socket
        if socket is None:
            return
        facts = socket.kept.get(self.place)
        if facts is None or facts.began is None:
            return
        facts.last = call
        if facts.writing or not facts.turns:
            facts.writing = False
            facts.turns += 1
            group = self._group(socket, facts)
            if group is not None:
                group.turns += 1

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """One less is open."""
        socket = call.socket
        if socket is None:
            return
        facts = socket.kept.get(self.place)
        if facts is not None and facts.began is not None and self.facts[Closing].for_good(socket):
            group = self._group(socket, facts)
            if group is not None:
                group.open -= 1

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """It has ended."""
        self._ended(socket)

    @on_end
    def finish(self) -> None:
        """What has not been judged yet."""
        for socket in list(self.facts[Sockets].alive.values()):
            self._ended(socket)

    def _ended(self, socket: SocketFacts) -> None:
        facts = socket.kept.get(self.place)
        group = self._group(socket, facts) if facts is not None else None
        if facts is None or group is None:
            return
        close = self.facts[Closing].last_close(socket)
        process = self.facts.process(socket.process)
        ended_ns = process.ended_ns if process is not None else None
        # What an interpreter closes so shortly before its end is closed by its end.
        if close is not None and (ended_ns is None or ended_ns - close.end_ns > _FINAL_NS):
            group.closed += 1
            group.once += facts.turns <= 1
            return
        if close is not None:
            group.once += facts.turns <= 1
        if facts.turns <= 1 and facts.last is not None:
            until_ns = close.end_ns if close is not None else (socket.ended_ns or self.facts.now_ns)
            group.idle_ns = max(group.idle_ns, until_ns - facts.last.end_ns)
            if len(group.abandoned) < _KEPT:
                group.abandoned[socket.id] = socket
                socket.whole += 1

    def _group(self, socket: SocketFacts, facts: UseFacts) -> ConnectionGroup | None:
        call = facts.began
        where = (call.address or socket.remote) if call is not None else None
        if call is None or where is None:
            return None
        return self.all.get((call.call.process, socket.made_at, where))
