"""Connections whose answers nobody reads, by the process that asked and where: what a pool looks like that is used up."""

from __future__ import annotations

from typing import NamedTuple

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, on_end, on_retire
from ..vocabulary import POLLIN
from .closing import Closing
from .polls import Polls
from .reads import Reads
from .sockets import Sockets
from .writes import Writes

__all__ = ["Member", "UnreadAnswers"]

#: Keys, members of one, and members in all that are kept.
_KEYS = 1_000
_MEMBERS = 64
_ALL = 10_000
#: A connection that a loop left aside for as long as this is not watched.
PAUSED_NS = 1_000_000_000


class Member(NamedTuple):
    """One connection, at its end or at the end of the recording."""

    socket: int
    asked: CallFacts  #: the latest request
    read: CallFacts | None  #: the latest read
    unread: int  #: bytes of the answer in the kernel's queue
    since_ns: int  #: the latest call on it that moved bytes
    until_ns: int
    watched: bool  #: by an event loop, until shortly before that


class UnreadAnswers(Tracker):
    """Keeps a line about each connection that a process made."""

    needs = (Closing, Polls, Reads, Sockets, Writes)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._pools: dict[int, dict[Address, list[Member]]] = {}
        self._count = 0

    def _member(self, socket: SocketFacts) -> tuple[tuple[int, Address], Member] | None:
        facts = self.facts
        asked = facts[Writes].of(socket).last
        if asked is None or socket.remote is None or socket.origin != "socket" or not socket.tcp or socket.late:
            return None
        left_ns = facts[Closing].left_ns(socket)
        read = next((call for call in reversed(facts[Reads].of(socket).recent) if call.end_ns <= left_ns), None)
        sample = facts[Closing].unread(socket) if socket.ended_ns is not None else socket.last
        unread = (sample.receive_queue or 0) if sample is not None else 0
        since_ns = max(asked.end_ns, read.end_ns if read is not None else 0)
        polls = facts[Polls].of(socket)
        # A loop that pauses a connection takes it out of its set; at the end of each connection it does so, too.
        paused = not polls.epoll_events & POLLIN and left_ns - polls.changed_ns >= PAUSED_NS
        watched = polls.event_loop and not paused
        read = read.without_samples() if read is not None else None
        member = Member(socket.id, asked.without_samples(), read, unread, since_ns, left_ns, watched)
        return (socket.process, socket.remote), member

    @on_retire
    def retired(self, socket: SocketFacts) -> None:
        """A connection has ended."""
        self._keep(socket)

    @on_end
    def finish(self) -> None:
        """What lives is a member too."""
        for socket in list(self.facts[Sockets].alive.values()):
            self._keep(socket)

    def _keep(self, socket: SocketFacts) -> None:
        found = self._member(socket)
        if found is None:
            return
        (process, where), member = found
        pools = self._pools.setdefault(process, {}) if len(self._pools) < _KEYS else self._pools.get(process, {})
        members = pools.setdefault(where, []) if len(pools) < _KEYS else pools.get(where, [])
        if len(members) < _MEMBERS and self._count < _ALL:
            self._count += 1
            members.append(member)

    def pools(self, process: int) -> dict[Address, list[Member]]:
        """The connections of a process by where they lead; to be asked at the end."""
        return self._pools.get(process, {})
