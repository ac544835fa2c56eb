"""Which sockets talk with each other. Rules of precedence: the top of :mod:`wallsocket.trace.joins`."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from ..events import Socket
from ..kernel.address import End, end_of, place_of

__all__ = ["SLACK_NS", "Basis", "Peer", "Peers", "SocketTable"]

#: Two clocks are read for one moment (the recorder's for a call, the kernel's for a frame), and a call's return is seen
#: after it happened: times closer than this do not contradict each other.
SLACK_NS: Final = 5_000_000

_AF_UNIX: Final = 1
_AF_INET: Final = 2
_AF_INET6: Final = 10
_SOCK_STREAM: Final = 1
_SOCK_DGRAM: Final = 2
_SOCK_SEQPACKET: Final = 5

#: Of many sockets with the same addresses the nearest in time are looked at, on either side.
_NEAREST: Final = 8
#: Sockets with the same addresses that are remembered without a peer: a connection's two addresses are in use once.
_MAX_ALIKE: Final = 1024
#: Correspondents of one datagram socket that are remembered.
_MAX_CORRESPONDENTS: Final = 64
#: Connects and accepts of one Unix listener that wait for their other half.
_MAX_WAITING: Final = 4096


class Basis(StrEnum):
    """How it is known that two sockets talk."""

    KERNEL = "kernel"  #: the kernel made them as a pair, or names the one as the peer of the other
    ADDRESSES = "addresses"  #: each has the other's address, and no other socket of that time has
    INFERRED = "inferred"  #: by order or nearness in time, where more than one socket could be meant


class Peer(NamedTuple):
    """The socket at the other end."""

    socket: int  #: socket.id
    basis: Basis

    @property
    def inferred(self) -> bool:
        """Whether it is a conclusion rather than a fact."""
        return self.basis is Basis.INFERRED


class SocketTable(Protocol):
    """What has a recording's table of sockets, whole or growing."""

    @property
    def sockets(self) -> Mapping[int, Socket]:
        """By id."""


_Key = tuple[object, ...]
_NOW: Final = 1 << 62


@dataclass(slots=True)
class _Known:
    """What is known of one socket."""

    row: Socket
    local: End | None = None
    remote: End | None = None
    name: bytes = b""  #: of a Unix socket, without the family
    key: _Key | None = None  #: where it stands in the index by both ends
    bound: _Key | None = None  #: where it stands in the index by its own end
    peer: int | None = None
    basis: Basis = Basis.INFERRED
    firm: bool = False  #: no later socket can be a better peer
    asked_ns: int | None = None  #: of an accepted one: when the accept that returned it was entered
    talks: dict[End | bytes, int] | None = None  #: when it first spoke with each

    @property
    def correspondents(self) -> dict[End | bytes, int]:
        """When it first spoke with each; made when it is first asked for, because most sockets need none."""
        if self.talks is None:
            self.talks = {}
        return self.talks

    @property
    def begin_ns(self) -> int:
        """The earliest time at which it can have lived; of an accepted one the time from which it was waited for."""
        if self.row.met_late:
            return 0
        return self.row.created_ns if self.asked_ns is None else self.asked_ns

    @property
    def end_ns(self) -> int:
        """When its last descriptor was closed."""
        return self.row.ended_ns if self.row.ended_ns is not None else _NOW


class _Queue:
    """Connects to a Unix listener and accepts on it, which meet in the order of both (unix_accept in net/unix/af_unix.c)."""

    __slots__ = ("accepts", "connects")

    def __init__(self) -> None:
        self.connects: deque[tuple[int, int]] = deque(maxlen=_MAX_WAITING)  #: (entered at, socket)
        self.accepts: deque[tuple[int, int]] = deque(maxlen=_MAX_WAITING)  #: (returned at, socket)

    def meet(self) -> Iterator[tuple[int, int]]:
        """Pairs of a connected and an accepted socket."""
        while self.connects and self.accepts:
            if self.accepts[0][0] + SLACK_NS < self.connects[0][0]:
                # It was returned before anybody who is left had asked: its client is not traced.
                self.accepts.popleft()
                continue
            yield self.connects.popleft()[1], self.accepts.popleft()[1]


class Peers:
    """Pairs sockets as they become known; every question is answered from an index."""

    def __init__(self, tables: SocketTable) -> None:
        self._tables = tables
        self._known: dict[int, _Known] = {}
        self._by_ends: dict[
            _Key, list[tuple[int, int]]
        ] = {}  #: both ends -> (created at, socket) of those without a firm peer
        self._bound: dict[_Key, list[tuple[int, int]]] = {}  #: own end -> (created at, socket)
        self._inodes: dict[int, int] = {}
        self._queues: dict[int, _Queue] = {}
        self._speakers: dict[bytes | int, dict[int, None]] = {}  #: name or port -> sockets that sent datagrams there

    # -- questions

    def peer(self, socket: int) -> Peer | None:
        """The traced socket at the other end; ``None``: not traced, none, or nobody can tell which."""
        known = self.learn(socket)
        if known is None:
            return None
        if known.peer is None and known.row.type == _SOCK_DGRAM:
            self._pair_datagrams(known)
        return Peer(known.peer, known.basis) if known.peer is not None else None

    def row(self, socket: int) -> Socket | None:
        """The socket's row."""
        known = self.learn(socket)
        return known.row if known is not None else None

    def ends(self, socket: int) -> tuple[End | None, End | None]:
        """Local and remote end of an Internet socket: the last ones that were in use."""
        known = self.learn(socket)
        return (known.local, known.remote) if known is not None else (None, None)

    def correspondents(self, socket: int) -> Mapping[End | bytes, int]:
        """With whom a datagram socket talked, by address, and since when; in the order of the first word, at most 64."""
        known = self._known.get(socket)
        return known.correspondents if known is not None else {}

    def at(self, place: End | bytes, asking: int, at_ns: int) -> list[int]:
        """Sockets that a datagram sent to ``place`` by ``asking`` reaches, or that it came from; the youngest first.

        As the kernel looks them up (``udp4_lib_lookup2``): one that is connected to the asking one, else one bound to
        this address, else one bound to all of them. Several are alike to everything that was recorded.
        """
        known = self.learn(asking)
        if known is None:
            return []
        kind = known.row.type
        network = known.row.network
        if isinstance(place, bytes):
            return self._living(self._bound.get((_AF_UNIX, kind, place)), at_ns, asking)
        scope = network if place.loopback else None
        keys: list[_Key] = []
        if known.local is not None:
            owns = (known.local, End(place.address, known.local.port)) if known.local.any else (known.local,)
            keys += [(kind, place, own, scope) for own in owns]
        keys.append((kind, place, scope))
        for key in keys:
            index = self._by_ends if len(key) == 4 else self._bound
            if found := self._living(index.get(key), at_ns, asking):
                return found
        return [
            other
            for address in _ANY_ADDRESSES
            for other in self._living(self._bound.get((kind, End(address, place.port), None)), at_ns, asking)
            if scope is None or self._known[other].row.network in (None, scope)
        ]

    def speakers(self, socket: int) -> list[int] | None:
        """Sockets that sent datagrams to where a socket is: its name, its port; ``None``: more than are remembered."""
        known = self._known.get(socket)
        key = None if known is None else known.name or (known.local.port if known.local is not None else None)
        found = self._speakers.get(key, {}) if key else {}
        return None if len(found) >= _MAX_CORRESPONDENTS else list(found)

    # -- facts

    def learn(self, socket: int, local: bytes | None = None, remote: bytes | None = None) -> _Known | None:
        """Take a socket's row, and addresses that were seen of it; cheap when there is nothing new."""
        row = self._tables.sockets.get(socket)
        if row is None:
            return None
        known = self._known.get(socket)
        if known is None:
            known = self._known[socket] = _Known(row)
            if row.inode is not None:
                self._inodes[row.inode] = socket
            self._take_row(known)
        elif known.row is not row and known.row != row:
            known.row = row
            self._take_row(known)
        if local is not None or remote is not None:
            self._take_ends(known, local, remote)
        return known

    def connected(self, socket: int, address: bytes | None, entry_ns: int, *, done: bool) -> None:
        """A connect returned: done, or in progress."""
        known = self.learn(socket, None, address)
        if known is None or known.row.family != _AF_UNIX or not done or not address:
            return
        if known.row.type == _SOCK_DGRAM:
            self.spoke(socket, address, entry_ns, sends=True)
            return
        found = self._living(self._bound.get((_AF_UNIX, known.row.type, place_of(address))), entry_ns, socket)
        if found:
            self._queue(found[0]).connects.append((entry_ns, socket))
            self._meet(found[0])

    def accepted(self, listener: int, made: int, address: bytes | None, entry_ns: int, exit_ns: int) -> None:
        """An accept returned a socket."""
        known = self.learn(made, None, address)
        if known is None:
            return
        if known.row.family != _AF_UNIX:
            known.asked_ns = entry_ns
            if not known.firm and known.key is not None:
                kind, local, remote, scope = known.key
                self._pair_streams(known, (kind, remote, local, scope))
            return
        name = place_of(address)
        if known.peer is None and name is not None:
            # The client is bound to a name of its own.
            found = self._living(self._bound.get((_AF_UNIX, known.row.type, name)), exit_ns, made)
            if found and (client := self._known.get(found[0])) is not None and client.peer is None:
                self._pair(known, client, Basis.ADDRESSES, firm=True)
        self._queue(listener).accepts.append((exit_ns, made))
        self._meet(listener)

    def spoke(self, socket: int, address: bytes, at_ns: int, *, sends: bool) -> None:
        """A datagram went to an address (``sends``) or came from it."""
        known = self._known.get(socket)
        if known is None:
            return
        place = place_of(address)
        if place is not None and place not in known.correspondents and len(known.correspondents) < _MAX_CORRESPONDENTS:
            known.correspondents[place] = at_ns
        if place is not None and sends:
            speakers = self._speakers.setdefault(_spot(place), {})
            if len(speakers) < _MAX_CORRESPONDENTS:
                speakers[socket] = None

    def forget(self, sockets: Iterable[int]) -> None:
        """Sockets that nobody will ask about again."""
        for socket in sockets:
            known = self._known.pop(socket, None)
            self._queues.pop(socket, None)
            if known is None:
                continue
            self._unindex(self._by_ends, known.key, known)
            self._unindex(self._bound, known.bound, known)
            for place in known.talks or ():
                speakers = self._speakers.get(_spot(place), {})
                speakers.pop(socket, None)
                if not speakers:
                    self._speakers.pop(_spot(place), None)
            if known.row.inode is not None and self._inodes.get(known.row.inode) == socket:
                del self._inodes[known.row.inode]

    def __len__(self) -> int:
        return len(self._known)

    # -- indexes

    def _take_row(self, known: _Known) -> None:
        row = known.row
        if row.family == _AF_UNIX:
            self._take_unix(known, row.local)
        self._take_ends(known, row.local, row.remote)
        if row.origin == "socketpair":
            # The second half names the first, and was met right after it.
            half = row.parent if row.parent is not None else row.id + 1
            other_row = self._tables.sockets.get(half)
            if other_row is not None and (row.parent is not None or other_row.parent == row.id):
                other = self._known.get(half) or self.learn(half)
                if other is not None and other_row.origin == "socketpair":
                    self._pair(known, other, Basis.KERNEL, firm=True)
        inode = row.peer_inode
        if inode is not None and (other := self._known.get(self._inodes.get(inode, -1))) is not None:
            self._pair(known, other, Basis.KERNEL, firm=True)

    def _take_unix(self, known: _Known, local: bytes | None) -> None:
        # An accepted socket has the listener's name, and is not reached by it.
        name = place_of(local)
        if not isinstance(name, bytes) or known.row.origin == "accept" or known.name == name:
            return
        known.name = name
        self._unindex(self._bound, known.bound, known)
        known.bound = (_AF_UNIX, known.row.type, known.name)
        self._index(self._bound, known.bound, known)

    def _take_ends(self, known: _Known, local: bytes | None, remote: bytes | None) -> None:
        row = known.row
        if row.family == _AF_UNIX:
            self._take_unix(known, local)
            return
        if row.family not in (_AF_INET, _AF_INET6):
            return
        new_local, new_remote = end_of(local), end_of(remote)
        changed = False
        # Once closed, the kernel may report the unspecified address again: what was in use stays.
        if (
            new_local is not None
            and new_local.port
            and new_local != known.local
            and (known.local is None or not new_local.any or new_local.port != known.local.port)
        ):
            known.local, changed = new_local, True
        if new_remote is not None and new_remote.port and new_remote != known.remote:
            known.remote, changed = new_remote, True
        if not changed:
            return
        network = row.network
        if row.type == _SOCK_DGRAM and known.local is not None:
            self._unindex(self._bound, known.bound, known)
            known.bound = None
            if known.remote is None:
                # A connected one hears its correspondent alone, and is found by both ends.
                known.bound = (row.type, known.local, network if known.local.loopback else None)
                self._index(self._bound, known.bound, known)
        self._unindex(self._by_ends, known.key, known)
        known.key = None
        if known.local is None or known.remote is None or known.local == known.remote:
            return
        # One host's 127.0.0.1 is not another's.
        scope = network if known.remote.loopback else None
        known.key = (row.type, known.local, known.remote, scope)
        if not known.firm:
            self._index(self._by_ends, known.key, known)
            if row.type == _SOCK_STREAM:
                self._pair_streams(known, (row.type, known.remote, known.local, scope))

    @staticmethod
    def _index(index: dict[_Key, list[tuple[int, int]]], key: _Key, known: _Known) -> None:
        bucket = index.setdefault(key, [])
        insort(bucket, (known.row.created_ns, known.row.id))
        if len(bucket) > _MAX_ALIKE:
            del bucket[0]

    @staticmethod
    def _unindex(index: dict[_Key, list[tuple[int, int]]], key: _Key | None, known: _Known) -> None:
        bucket = index.get(key) if key is not None else None
        if bucket is None or key is None:
            return
        entry = (known.row.created_ns, known.row.id)
        position = bisect_left(bucket, entry)
        if position < len(bucket) and bucket[position] == entry:
            del bucket[position]
            if not bucket:
                del index[key]

    def _nearest(self, bucket: list[tuple[int, int]] | None, at_ns: int) -> list[_Known]:
        if not bucket:
            return []
        middle = bisect_right(bucket, (at_ns, 1 << 62))
        near = bucket[max(0, middle - _NEAREST) : middle + _NEAREST]
        return [self._known[socket] for _, socket in near if socket in self._known]

    def _living(self, bucket: list[tuple[int, int]] | None, at_ns: int, asking: int) -> list[int]:
        """Of the sockets in a bucket those that lived at a time, the youngest first."""
        found = [
            known
            for known in self._nearest(bucket, at_ns + SLACK_NS)
            if known.row.id != asking
            and (known.begin_ns <= at_ns + SLACK_NS)
            and (self._row(known).ended_ns is None or at_ns <= known.end_ns + SLACK_NS)
        ]
        found.sort(key=lambda known: known.row.created_ns, reverse=True)
        return [known.row.id for known in found]

    def _row(self, known: _Known) -> Socket:
        row = self._tables.sockets.get(known.row.id)
        if row is not None and row is not known.row:
            known.row = row
        return known.row

    # -- pairs

    def _pair(self, one: _Known, other: _Known, basis: Basis, *, firm: bool) -> None:
        if one.row.id == other.row.id or (one.peer == other.row.id and one.firm):
            return
        for known, new in ((one, other), (other, one)):
            if known.peer is not None and known.peer != new.row.id:
                old = self._known.get(known.peer)
                if old is not None and old.peer == known.row.id:
                    old.peer = None
            known.peer, known.basis, known.firm = new.row.id, basis, firm
            if firm:
                self._unindex(self._by_ends, known.key, known)

    def _pair_streams(self, known: _Known, mirror: _Key) -> None:
        """Find the other end of a TCP connection among the sockets with the same two addresses."""
        able = []
        for other in self._nearest(self._by_ends.get(mirror), known.row.created_ns):
            self._row(other)
            if other.firm or other.row.id == known.row.id:
                continue
            firm = _together(known, other)
            if other.peer is not None and not firm:
                continue
            if firm or self._may_have_met(known, other):
                able.append((not firm, abs(other.row.created_ns - known.row.created_ns), other.row.id, other))
        if not able:
            return
        able.sort(key=lambda entry: entry[:3])
        apart, _, _, best = able[0]
        # Who did not live while the other was waited for may as well belong to somebody who was not traced.
        firm = not apart and (len(able) == 1 or able[1][0])
        self._pair(known, best, Basis.ADDRESSES if firm else Basis.INFERRED, firm=firm)

    def _may_have_met(self, one: _Known, other: _Known) -> bool:
        """Whether two sockets can have been ends of one connection though their lives in the programs do not overlap.

        An accepted socket lived in its listener's queue before the program got it; its client may have ended meanwhile.
        """
        if one.row.origin == "accept" and other.row.origin == "accept":
            return False
        for accepted, client in ((one, other), (other, one)):
            if accepted.row.origin == "accept" and client.begin_ns <= accepted.row.created_ns + SLACK_NS:
                parent = accepted.row.parent
                listener = self._tables.sockets.get(parent) if parent is not None else None
                since_ns = listener.created_ns if listener is not None else 0
                if client.end_ns + SLACK_NS >= since_ns:
                    return True
        return False

    def _pair_datagrams(self, known: _Known) -> None:
        """A datagram socket has a peer when it is connected to one, or only ever talked with one."""
        talks = known.correspondents
        place: End | bytes | None = known.remote
        if place is None:
            if len(talks) != 1:
                return
            place = next(iter(talks))
        times = dict.fromkeys((talks.get(place, known.row.created_ns), min(known.end_ns, _NOW), known.row.created_ns))
        found = next((found for at_ns in times if (found := self.at(place, known.row.id, at_ns))), None)
        if found:
            known.peer = found[0]
            known.basis = Basis.ADDRESSES if len(found) == 1 else Basis.INFERRED

    def _queue(self, listener: int) -> _Queue:
        queue = self._queues.get(listener)
        if queue is None:
            queue = self._queues[listener] = _Queue()
        return queue

    def _meet(self, listener: int) -> None:
        for connecting, made in self._queues[listener].meet():
            client, server = self._known.get(connecting), self._known.get(made)
            if client is not None and server is not None and client.peer is None and server.peer is None:
                self._pair(client, server, Basis.INFERRED, firm=False)


_ANY_ADDRESSES: Final = (bytes(10) + b"\xff\xff" + bytes(4), bytes(16))


def _together(one: _Known, other: _Known) -> bool:
    """Whether two sockets lived at the same time, and can have been the two ends of a connection."""
    if one.row.origin == "accept" and other.row.origin == "accept":
        return False
    return one.begin_ns <= other.end_ns + SLACK_NS and other.begin_ns <= one.end_ns + SLACK_NS


def _spot(place: End | bytes) -> bytes | int:
    return place if isinstance(place, bytes) else place.port
