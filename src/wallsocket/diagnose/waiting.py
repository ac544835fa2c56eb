"""Threads that still waited when the recording or their process ended: where, for how long, and whether that is as it should be.

A server that waits for clients, a worker that waits for its next task and a wait with a time limit are healthy. So is a
thread in the background of a program that ended by itself. What is left is what a person would call "it hangs", unless a
rule has found why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..events import Known
from ..trace.verdict import duration
from .call import CallFacts
from .facts import Facts
from .subjects import SocketFacts
from .trackers.options import Options
from .trackers.polls import Polls
from .trackers.reads import Reads
from .trackers.servers import Servers
from .trackers.sockets import Sockets
from .trackers.waits import LONG_WAIT_NS, Waits
from .trackers.writes import Writes
from .vocabulary import (
    ACCEPTS,
    CONNECTS,
    EPOLL_WAITS,
    POLL_CALLS,
    READS,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    WRITES,
)

__all__ = ["Wait", "lasting"]

#: Causes of ``docs/causes.md`` that may be behind a wait in a call.
_ROWS_OF_READS = (36, 43, 46, 60, 64)
_ROWS_OF_WRITES = (44, 111)
_ROWS_OF_CONNECTS = (13, 18)
#: How soon after a signal a program ends that the signal was to end.
_SOON_NS = 2_000_000_000


class Wait(NamedTuple):
    """A call that had not returned after a second or more."""

    call: CallFacts
    sockets: tuple[SocketFacts, ...]  #: that it waits for, as far as that is known
    healthy: str | None  #: why it is as it should be
    text: str  #: who waited, for how long, where
    rows: tuple[int, ...]  #: numbers of docs/causes.md that may be behind it


class _ByEpoll:
    """The sockets that each process watches by epoll; looked for once, and only when somebody asks."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._found: dict[int, list[SocketFacts]] | None = None

    def of(self, process: int) -> list[SocketFacts]:
        """Those of a process."""
        if self._found is None:
            self._found = {}
            polls = self._facts[Polls]
            for socket in self._facts[Sockets].alive.values():
                if polls.of(socket).epoll_events:
                    self._found.setdefault(socket.process, []).append(socket)
        return self._found.get(process, [])


def lasting(facts: Facts) -> Iterator[Wait]:
    """The waits of at least a second that nothing had ended, in the order in which they began."""
    if facts.pictures:
        # There every wait is shown by itself.
        return
    waits = facts[Waits]
    by_epoll = _ByEpoll(facts)
    everything = [*waits.waiting.values(), *_interrupted(facts)]
    for call in sorted(everything, key=lambda wait: (wait.entry_ns, wait.call.id)):
        waited_ns = waits.until_ns(call) - call.entry_ns
        if waited_ns < LONG_WAIT_NS:
            continue
        sockets, healthy = _judged(facts, call, by_epoll)
        process = facts.process(call.call.process)
        ended = "its process" if process is not None and process.ended_ns is not None else "the recording"
        until = f"when {ended} ended" if call.unfinished else "when a signal ended it"
        line = facts.line(call.call)
        where = "".join(f", {socket.name()}" for socket in sockets[:1])
        text = (
            f"{facts.who(call.call.process)} had waited for {duration(waited_ns)} in {call.name}"
            f"{f' ({line})' if line else ''}{where} {until}"
        )
        yield Wait(call, sockets, healthy, text, _rows(call))


def _interrupted(facts: Facts) -> Iterator[CallFacts]:
    """Waits that a signal ended, and the program soon after: somebody pressed Ctrl-C."""
    for call in facts[Waits].interrupted.values():
        process = facts.process(call.call.process)
        ended = process.ended_ns if process is not None else None
        if (facts.now_ns if ended is None else ended) - call.end_ns < _SOON_NS:
            yield call


def _rows(call: CallFacts) -> tuple[int, ...]:
    if call.name in WRITES:
        return _ROWS_OF_WRITES
    return _ROWS_OF_CONNECTS if call.name in CONNECTS else _ROWS_OF_READS


def _judged(facts: Facts, call: CallFacts, by_epoll: _ByEpoll) -> tuple[tuple[SocketFacts, ...], str | None]:
    """What a call waits for, and why it may."""
    socket = call.socket
    sockets = (socket,) if socket is not None else ()
    process = facts.process(call.call.process)
    if call.unfinished and process is not None and process.exit_code is not None:
        return sockets, "its program ended by itself meanwhile"
    if call.name in ACCEPTS:
        return sockets, "a server waits for its clients"
    if call.name in POLL_CALLS or call.name in EPOLL_WAITS:
        return _looping(facts, call, by_epoll)
    if socket is None:
        return (), None
    limit = SO_RCVTIMEO if call.name in READS else SO_SNDTIMEO
    if facts[Options].limited(socket, limit):
        return sockets, "it waits with a time limit"
    if call.name in READS:
        return sockets, _reading(facts, socket)
    return sockets, None


def _looping(facts: Facts, call: CallFacts, by_epoll: _ByEpoll) -> tuple[tuple[SocketFacts, ...], str | None]:
    """A wait for one of several events."""
    if (call.timeout_ms if call.timeout_ms is not None else -1) >= 0:
        return (), "it waits with a time limit"
    process = call.call.process
    if call.name in EPOLL_WAITS:
        awaited = call.socket if call.call.known == Known.AWAITING else None
        watched: Iterable[SocketFacts] = (awaited,) if awaited is not None else by_epoll.of(process)
    else:
        watched = [socket for socket, _ in facts[Polls].watched(call)]
    if facts[Servers].listened(process):
        return (), "the event loop of a server waits for its clients"
    waiting = [socket for socket in watched if _asked(facts, socket)]
    if waiting:
        return tuple(waiting), None
    return (), "an event loop waits, and no question of it is unanswered"


def _reading(facts: Facts, socket: SocketFacts) -> str | None:
    """Why a thread may wait for bytes, without a limit of time."""
    read, wrote = _last_read(facts, socket), facts[Writes].of(socket).last
    idle = read is None or (wrote is not None and wrote.entry_ns >= read.entry_ns)
    if not socket.stream:
        return None if wrote is not None and idle else "it waits for datagrams"
    if socket.origin in ("accept", "socketpair") and idle:
        return "a server waits for the next request"
    return None


def _asked(facts: Facts, socket: SocketFacts) -> bool:
    """Whether the program wrote last on a connection that it began: a question without an answer."""
    if not socket.stream or socket.origin in ("accept", "socketpair"):
        return False
    read, wrote = _last_read(facts, socket), facts[Writes].of(socket).last
    return wrote is not None and (read is None or read.end_ns <= wrote.entry_ns)


def _last_read(facts: Facts, socket: SocketFacts) -> CallFacts | None:
    reads = facts[Reads].of(socket)
    return reads.zero_last if reads.last is None else reads.last
