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
from typing import Literal, NamedTuple, Protocol

from ..events import Call, Counter, Fact, Mark, Packet, Socket, State
from ..kernel.address import End
from .peers import SLACK_NS, Basis, Peer, Peers
from .syscalls import Role, names, role

__all__ = ["SLACK_NS", "Basis", "Connection", "Joins", "Kind", "Peer", "Tables"]

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
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._peers = Peers(tables)
        self._names = names(tables.meta.get("machine", ""))
        self._roles: dict[int, Role | None] = {}
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

    def finish(self) -> None:
        """No more events will come."""
        self._settle(None)

    def learn(self, socket: int) -> None:
        """Take what the tables say of a socket of which no event tells."""
        self._peers.learn(socket)

    def forget(self, sockets: Iterable[int]) -> None:
        """Sockets that nobody will ask about again; their memory is freed."""
        self._peers.forget(sockets)

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
        what = self._roles.get(call.number)
        if what is None and call.number not in self._roles:
            name = self._names.get(call.number)
            what = self._roles[call.number] = role(name) if name is not None else None
        socket = call.socket
        if socket is not None:
            self._peers.learn(socket)
        if call.made is not None and what is not Role.ACCEPT:
            self._peers.learn(call.made)
        if what is Role.CONNECT or what is Role.ACCEPT:
            if call.took_ns is not None:
                heapq.heappush(self._pending, (call.entry_ns + call.took_ns, call.id, call))
        elif (
            (what is Role.SEND or what is Role.RECEIVE)
            and socket is not None
            and call.address is not None
            and call.result is not None
            and call.result >= 0
        ):
            self._peers.spoke(socket, call.address, call.entry_ns)

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
