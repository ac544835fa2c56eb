"""What a person would notice: calls that failed, bytes that nobody read, what the kernel dropped, sockets that pile up.

Threads that wait are in ``waits.Waits``.
"""

from __future__ import annotations

import errno
from typing import Literal, NamedTuple

from ...events import Process
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, failed, on_end, on_retire, returned
from ..vocabulary import LISTEN
from .closing import Closing
from .drops import Drops
from .options import Options
from .polls import Polls
from .reads import Reads
from .servers import Servers
from .sockets import Sockets
from .waits import Waits
from .writes import Writes

__all__ = ["FailedCalls", "Loss", "LossKind", "LostBy", "Symptoms"]

LossKind = Literal["unread bytes", "drops", "growth"]

#: No failures: the program is to wait, to try again, or is told that it has begun.
_NO_FAILURES = frozenset({errno.EAGAIN, errno.EINTR, errno.EINPROGRESS, errno.EALREADY, 512, 513, 514, 516})
#: Groups that are told apart, and calls of one group that are kept.
_GROUPS = 10_000
_CALLS = 256
#: Sockets made at one line that are alive at the end: fewer are a pool, or the clients of the moment.
_MANY = 200


class FailedCalls:
    """Calls of one kind that failed in one way at one line of one process."""

    __slots__ = ("calls", "count", "errno", "first", "name", "process", "source")

    def __init__(self, call: CallFacts, error: int) -> None:
        self.name = call.name
        self.errno = error
        self.process = call.call.process
        self.source = call.call.source
        self.first = call
        self.count = 0
        self.calls: list[tuple[int, int | None, int]] = []  #: (id, socket, when it returned) of the first ones


def _asks_for_name_cache(call: CallFacts) -> bool:
    where = call.address if call.name == "connect" else None
    return where is not None and where.name_cache


class LostBy(NamedTuple):
    """A socket that lost something; it may be gone when that is asked."""

    id: int
    name: str  #: its ends in words
    origin: str
    stream: bool
    ended_by: Process | None  #: the process whose end closed it


class Loss:
    """What happened to the sockets that one line of one process made."""

    __slots__ = ("at_ns", "count", "kind", "process", "sockets")

    def __init__(self, kind: LossKind, socket: SocketFacts, at_ns: int) -> None:
        self.kind = kind
        self.process = socket.process
        self.at_ns = at_ns  #: when it was first seen
        self.count = 0  #: bytes, datagrams and connections, or sockets
        self.sockets: list[LostBy] = []  #: the first ones


class Symptoms(Tracker):
    """Keeps what is noticed, grouped as findings are."""

    #: ``Waits`` and what tells whether a wait is as it should be (``waiting.lasting``) are read when all is over.
    needs = (Sockets, Waits, Reads, Writes, Polls, Options, Servers, Closing, Drops)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.failed: dict[tuple[int, str, int, int | None], FailedCalls] = {}
        self.losses: dict[tuple[LossKind, int, int | None], Loss] = {}
        self.beyond = 0  #: failed calls of groups that were too many to be kept
        self._closing = facts[Closing]
        self._drops = facts[Drops]

    @failed
    def fails(self, call: CallFacts) -> None:
        """A call failed."""
        if call.errno not in _NO_FAILURES and not _asks_for_name_cache(call):
            self._add(call, call.errno or 0)

    @returned("getsockopt")
    def asked(self, call: CallFacts) -> None:
        """A pending error that the program asked for counts as a call that failed."""
        if call.succeeded and call.option == (1, 4) and call.option_number:
            self._add(call, call.option_number)

    def _add(self, call: CallFacts, error: int) -> None:
        row = call.call
        key = (row.process, call.name, error, row.source)
        group = self.failed.get(key)
        if group is None:
            if len(self.failed) >= _GROUPS:
                self.beyond += 1
                return
            group = self.failed[key] = FailedCalls(call, error)
        group.count += 1
        if len(group.calls) < _CALLS:
            group.calls.append((row.id, row.socket, call.end_ns))

    @on_retire
    def ends(self, socket: SocketFacts) -> None:
        """A socket has been judged and is about to be forgotten."""
        unread = self._closing.unread(socket)
        if unread is not None and unread.state != LISTEN:  # of a listener the queue holds connections
            self._lose("unread bytes", socket, unread.receive_queue or 0, unread.at_ns)
        drops = self._drops.of(socket)
        # A TCP connection counts segments that are of no use, such as old ones (tcp_drop_reason in net/ipv4/tcp_input.c).
        counts = not socket.tcp or (socket.last is not None and socket.last.state == LISTEN)
        if counts and drops.last is not None and drops.count > 0:
            self._lose("drops", socket, drops.count, drops.last.at_ns)

    @on_end
    def lives(self) -> None:
        """What is still there when the recording ends."""
        made: dict[tuple[int, int | None], list[SocketFacts]] = {}
        for socket in self.facts[Sockets].alive.values():
            self.ends(socket)
            if socket.ended_ns is None and socket.made_at is not None:
                made.setdefault((socket.process, socket.made_at), []).append(socket)
        for sockets in made.values():
            if len(sockets) >= _MANY:
                for socket in sockets:
                    self._lose("growth", socket, 1, sockets[0].created_ns)

    def _lose(self, kind: LossKind, socket: SocketFacts, count: int, at_ns: int) -> None:
        key = (kind, socket.process, socket.made_at)
        loss = self.losses.get(key)
        if loss is None:
            if len(self.losses) >= _GROUPS:
                return
            loss = self.losses[key] = Loss(kind, socket, at_ns)
        loss.count += count
        if len(loss.sockets) < _CALLS:
            ended_by = self._closing.ended_by(socket)
            loss.sockets.append(LostBy(socket.id, socket.name(), socket.origin, socket.stream, ended_by))
