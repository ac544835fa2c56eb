"""The one join: which sockets talk with each other, and which bytes of a send became which segments and reads.

Ladder, facts and exports read it here and nowhere else. It is fed events in order, costs the same for each event
whatever lives, and forgets what its user forgets.

Rules of precedence, highest first:

1. What the kernel said: it made two sockets as a pair (socketpair), or named the one as the peer of the other.
2. Causality: a byte is given away before it travels, and travels before it is returned; a client asks before it is
   accepted; of two calls of which one returned before the other was entered, the first came first.
3. Addresses: two sockets with each other's addresses that lived at the same time, an accepted one from the moment at
   which it was waited for. One host's 127.0.0.1 is not another's.
4. Order: a Unix listener returns those who connected in their order, a queue of datagrams too. A client that was gone
   before the accept that can have returned its connection was entered: the connection may have waited in the queue.
5. The clock, for which moments closer than ``SLACK_NS`` are one.

What rests on rule 4 or 5, or on rule 3 where more than one socket fits, is marked as inferred. What no rule decides is
unknown: there is no answer rather than a likely one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Final, Literal, NamedTuple, Protocol

from ..events import Call, Counter, Fact, Mark, Packet, Socket, State
from ..kernel.address import End
from .peers import SLACK_NS, Basis, Peer, Peers
from .river import Carried, Move, River, Turn, Way
from .syscalls import Role, names, role
from .wire import TCP, Decoder, Segment, segment

__all__ = [
    "SLACK_NS", "Basis", "Carried", "Connection", "Joins", "Kind", "Move", "Peer", "Tables", "Turn", "Way", "kind_of",
]  # fmt: skip

#: Moves and segments that are remembered unless another number is asked for: about 25 MB.
KEPT: Final = 1 << 16
#: Marks of processes whose calls are not all seen (docs/recording.md).
_BLIND: Final = frozenset({"io_uring", "32-bit", "blind"})
_TCP_ULP: Final = 31
Kind = Literal["tcp", "udp", "unix", "other"]

_AF_UNIX = 1
_AF_INET = 2
_AF_INET6 = 10
_SOCK_STREAM = 1
_SOCK_DGRAM = 2
_EINPROGRESS = 115


class Tables(Protocol):
    """What is read of a recording beside its events; it may grow meanwhile."""

    @property
    def meta(self) -> Mapping[str, str]:
        """What is said of the whole recording."""

    @property
    def sockets(self) -> Mapping[int, Socket]:
        """By id."""


class Connection(NamedTuple):
    """Two ends that talk."""

    kind: Kind
    left: int  #: socket.id of who began it: the one that was not accepted, else the older
    right: int | None  #: socket.id of the other end; ``None``: not traced, or nobody can tell which
    basis: Basis | None  #: how the two are known to talk; ``None`` without a right end

    @property
    def sockets(self) -> tuple[int, ...]:
        """Its traced ends."""
        return (self.left,) if self.right is None else (self.left, self.right)


class _CallKind(NamedTuple):
    """What matters here of a system call."""

    name: str
    role: Role
    flagged: bool  #: its first number is the flags of send and recv
    many: bool  #: it moves several datagrams

    @classmethod
    def of(cls, name: str) -> _CallKind:
        flagged = name.startswith(("send", "recv")) and name != "sendfile"
        return cls(name, role(name), flagged, name.endswith("mmsg"))

    def sends(self, call: Call) -> bool:
        """Whether a call that moves bytes gives them away."""
        return self.role is Role.SEND if self.name != "splice" else call.c == 1


def kind_of(row: Socket) -> Kind:
    """What a socket speaks."""
    if row.family == _AF_UNIX:
        return "unix"
    if row.family in (_AF_INET, _AF_INET6) and row.type == _SOCK_STREAM:
        return "tcp"
    if row.family in (_AF_INET, _AF_INET6) and row.type == _SOCK_DGRAM:
        return "udp"
    return "other"


class Joins:
    """Sockets that talk with each other, from events in their order.

    Args:
        tables: the recording's tables; rows may be added and replaced while events come.
        decode: makes segments of frames; ``None`` leaves them out, or they are given to :meth:`travelled`.
        kept: moves and segments that are remembered for the ways of bytes, the youngest; ``None`` for all.
    """

    def __init__(self, tables: Tables, *, decode: Decoder | None = segment, kept: int | None = KEPT) -> None:
        self._tables = tables
        self._decode = decode
        self._peers = Peers(tables)
        self._river = River(self._peers, kept=kept)
        lost = tables.meta.get("lost", "0")
        if lost != "0":
            self._river.doubt = f"{lost} events could not be recorded"
        self._names = names(tables.meta.get("machine", ""))
        self._kinds: dict[int, _CallKind] = {}
        #: Connects and accepts under way: (when they return, call.id, call). Their order is that of their returns.
        self._pending: list[tuple[int, int, Call]] = []

    # -- events

    def see(self, event: Call | State | Packet | Counter | Fact | Mark) -> None:
        """Take the next event: calls by entry or by return, all else by its time.

        A call that had not returned may come again when it has.
        """
        if isinstance(event, Call):
            self._settle(event.entry_ns)
            self._call(event)
        elif isinstance(event, State):
            self._settle(event.at_ns)
            self._peers.learn(event.socket, event.local, event.remote)
        elif isinstance(event, Packet):
            if self._decode is not None and (found := self._decode(event)) is not None:
                self.travelled(found)
        elif isinstance(event, Mark) and event.kind in _BLIND:
            self._river.doubt = f"not all calls were seen ({event.kind})"

    def travelled(self, found: Segment) -> Carried | None:
        """Take a segment; returns where its bytes belong in their stream, ``None`` for one without."""
        return self._river.travelled(found)

    def finish(self) -> None:
        """No more events will come."""
        self._settle(None)

    def again(self, events: Iterable[Call | Segment]) -> Joins:
        """The same sockets, with the ways of the bytes of these events, all of them: when they were not remembered.

        Of a socket it needs all calls and segments, and what the threads that received there gave away elsewhere.
        """
        found = copy(self)
        found._river = River(self._peers, kept=None)
        found._river.doubt = self._river.doubt
        for event in events:
            if isinstance(event, Segment):
                found.travelled(event)
            else:
                found._move(event)
        return found

    def learn(self, socket: int) -> None:
        """Take what the tables say of a socket of which no event tells."""
        self._peers.learn(socket)

    def forget(self, sockets: Iterable[int]) -> None:
        """Sockets that nobody will ask about again; their memory is freed."""
        numbers = list(sockets)
        self._river.forget(numbers)
        self._peers.forget(numbers)

    # -- questions

    def peer(self, socket: int) -> Peer | None:
        """The traced socket at the other end; ``None``: not traced, none, or nobody can tell which."""
        return self._peers.peer(socket)

    def connection(self, socket: int) -> Connection | None:
        """The connection of a socket, whose right end may not be traced; ``None``: the socket is unknown."""
        row = self._peers.row(socket)
        if row is None:
            return None
        peer = self.peer(socket)
        kind = kind_of(row)
        if peer is None:
            return Connection(kind, socket, None, None)
        left, right = self.in_order(socket, peer.socket)
        return Connection(kind, left, right, peer.basis)

    def in_order(self, one: int, other: int) -> tuple[int, int]:
        """Two sockets, first who began: the one that was not accepted, else the older one."""
        first, second = self._tables.sockets.get(one), self._tables.sockets.get(other)
        if first is not None and second is not None and (first.origin == "accept") != (second.origin == "accept"):
            return (other, one) if first.origin == "accept" else (one, other)
        return min(one, other), max(one, other)

    def ways(self, socket: int) -> list[Way]:
        """What became of the bytes that a socket sent, in the order of the stream or of the datagrams."""
        return self._river.ways(socket, out=True)

    def ways_to(self, socket: int) -> list[Way]:
        """Where the bytes came from that a socket received or that travelled to it, in the same form."""
        return self._river.ways(socket, out=False)

    def ends(self, socket: int) -> tuple[End | None, End | None]:
        """Local and remote end of an Internet socket: the last ones that were in use."""
        return self._peers.ends(socket)

    def correspondents(self, socket: int) -> Mapping[End | bytes, int]:
        """Addresses (of Unix sockets: names) that a datagram socket talked with, and since when (ns); at most 64."""
        return self._peers.correspondents(socket)

    def at(self, place: End | bytes, asking: int, at_ns: int) -> list[int]:
        """Traced sockets that a datagram of ``asking`` to ``place`` reaches or comes from, the likeliest first."""
        return self._peers.at(place, asking, at_ns)

    @property
    def remembered(self) -> int:
        """How many sockets are remembered."""
        return len(self._peers)

    # -- calls

    def _call(self, call: Call) -> None:
        kind = self._kind(call)
        what = kind.role
        socket = call.socket
        row = self._peers.learn(socket) if socket is not None else None
        if call.made is not None and what is not Role.ACCEPT:
            self._peers.learn(call.made)
        if what is Role.CONNECT or what is Role.ACCEPT:
            if call.took_ns is not None:
                heapq.heappush(self._pending, (call.entry_ns + call.took_ns, call.id, call))
        elif row is not None and socket is not None and call.result is not None and call.result >= 0:
            if call.address is not None and row.row.type == _SOCK_DGRAM and what in (Role.SEND, Role.RECEIVE):
                self._peers.spoke(socket, call.address, call.entry_ns, sends=kind.sends(call))
            self._account(call, kind, row.row)

    def _account(self, call: Call, kind: _CallKind, row: Socket) -> None:
        """What a call that succeeded did to the bytes on their way."""
        if kind.role is Role.SEND or kind.role is Role.RECEIVE:
            flags = (call.a or 0) if kind.flagged else 0
            self._river.moved(call, row, sends=kind.sends(call), flags=flags, many=kind.many)
        elif kind.name == "setsockopt" and (call.a, call.b) == (TCP, _TCP_ULP):
            self._river.lose_count(row.id, "the kernel wraps what the program sends (TCP_ULP)")

    def _kind(self, call: Call) -> _CallKind:
        kind = self._kinds.get(call.number)
        if kind is None:
            kind = self._kinds[call.number] = _CallKind.of(self._names.get(call.number, ""))
        return kind

    def _move(self, call: Call) -> None:
        row = self._peers.row(call.socket) if call.socket is not None else None
        if row is not None and call.result is not None and call.result >= 0:
            self._account(call, self._kind(call), row)

    def _settle(self, now_ns: int | None) -> None:
        """Take connects and accepts that have returned, in the order of their returns."""
        pending = self._pending
        while pending and (now_ns is None or pending[0][0] <= now_ns):
            at_ns, _, call = heapq.heappop(pending)
            if call.socket is None or call.result is None:
                continue
            if call.made is not None:
                self._peers.accepted(call.socket, call.made, call.address, call.entry_ns, at_ns)
            elif call.result in (0, -_EINPROGRESS):
                self._peers.connected(call.socket, call.address, call.entry_ns, done=call.result == 0)
