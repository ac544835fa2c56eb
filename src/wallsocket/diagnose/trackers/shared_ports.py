"""Two datagram sockets with one address: which of them got what."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import READS, SO_REUSEPORT, SOCK_DGRAM, SOL_SOCKET
from .bound import Bound, BoundSocket
from .options import Options

__all__ = ["PortShare", "SharedPorts"]

#: Pairs of sockets that are kept.
_KEPT = 1024


class PortShare:
    """A socket that was bound while another one had the same address and port."""

    __slots__ = ("by_hash", "newer", "newer_last", "newer_reads", "older", "older_last", "older_reads")

    def __init__(self, older: BoundSocket, newer: BoundSocket, *, by_hash: bool) -> None:
        self.older = older
        self.newer = newer
        self.by_hash = by_hash  #: both asked for SO_REUSEPORT: the kernel spreads datagrams over them
        self.older_reads = 0  #: datagrams that the older one read since the newer was bound
        self.newer_reads = 0
        self.older_last: CallFacts | None = None
        self.newer_last: CallFacts | None = None


class _Sides:
    __slots__ = ("newer", "older")

    def __init__(self) -> None:
        self.older: list[PortShare] = []
        self.newer: list[PortShare] = []


class SharedPorts(SocketTracker[_Sides]):
    """Finds them at bind, and counts what each reads from then on."""

    needs = (Bound, Options)
    kept = _Sides

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.all: list[PortShare] = []

    @returned("bind")
    def bound(self, call: CallFacts) -> None:
        """A datagram socket got a port: who has it already?"""
        socket, where = call.socket, call.address
        if socket is None or not socket.udp or not call.succeeded or where is None or not where.port:
            return
        entries = list(self.facts[Bound].on(where.port, SOCK_DGRAM, socket.network))
        newer = next((entry for entry in entries if entry.id == socket.id), None)
        for entry in entries:
            older = entry.socket
            if newer is None or entry is newer or older.retired or not entry.had_it(call.end_ns):
                continue
            if entry.local.host == where.host and len(self.all) < _KEPT:
                both = all(self.facts[Options].on(one, SOL_SOCKET, SO_REUSEPORT) for one in (older, socket))
                share = PortShare(entry, newer, by_hash=both)
                self.all.append(share)
                self.keep(older).older.append(share)
                self.keep(socket).newer.append(share)

    @returned(*READS, given=True)
    def read(self, call: CallFacts) -> None:
        """Who gets a datagram."""
        socket = call.socket
        sides: _Sides | None = socket.kept.get(self.place) if socket is not None else None
        if sides is None or not call.succeeded:
            return
        for share in sides.older:
            share.older_reads += 1
            share.older_last = call
        for share in sides.newer:
            share.newer_reads += 1
            share.newer_last = call
