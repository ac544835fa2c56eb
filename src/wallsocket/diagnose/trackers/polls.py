"""What programs watch: poll sets by socket, and the sockets in epoll sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...events import Call, Fact
from ..call import CallFacts, Watched
from ..facts import Facts, json_object
from ..subjects import SocketFacts
from ..tracker import SocketTracker, on_fact, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, POLLERR, POLLHUP, POLLIN
from .descriptors import Descriptors
from .sockets import Sockets

__all__ = ["PollFacts", "Polls"]


class PollFacts:
    """How one socket is watched."""

    __slots__ = ("changed_ns", "epoll_events", "epolls", "event_loop", "hangup")

    def __init__(self) -> None:
        self.epoll_events = 0  #: asked for by the latest epoll_ctl, ``EPOLL*`` bits
        self.changed_ns = 0  #: when that was
        self.epolls: set[tuple[int, int]] = set()  #: (process, descriptor) of the epoll instances, when attached to
        self.event_loop = False  #: it was watched by epoll at some time
        self.hangup: CallFacts | None = None  #: the first poll that reported the peer's hang-up or an error


class Polls(SocketTracker[PollFacts]):
    """Ties entries of poll sets and epoll watches to sockets."""

    needs = (Sockets, Descriptors)
    kept = PollFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._descriptors = facts[Descriptors]
        self._sockets = facts[Sockets]
        # Of the latest set that was asked for: several trackers ask for each, and a set may be large.
        self._row: Call | None = None
        self._at_ns = 0
        self._watched: Sequence[tuple[SocketFacts, Watched]] = ()
        self._reported: Sequence[tuple[SocketFacts, Watched]] = ()

    def watched(self, call: CallFacts) -> Sequence[tuple[SocketFacts, Watched]]:
        """The sockets in a poll set, with their entries."""
        if call.call is not self._row or self.facts.now_ns != self._at_ns:
            self._row, self._at_ns = call.call, self.facts.now_ns
            self._watched = list(self._entries(call))
            self._reported = [one for one in self._watched if one[1].returned]
        return self._watched

    def reported(self, call: CallFacts) -> Sequence[tuple[SocketFacts, Watched]]:
        """Those of which the call reported something."""
        self.watched(call)
        return self._reported

    def _entries(self, call: CallFacts) -> Iterator[tuple[SocketFacts, Watched]]:
        entries = call.watched
        if call.socket is not None and len(entries) == 1:
            yield call.socket, entries[0]
            return
        if call.socket is not None and not entries and call.errno is not None:
            # What a failed call asked for is not recorded, but that it was this socket alone.
            yield call.socket, Watched(-1, POLLIN, 0)
            return
        numbers = call.call.entry_sockets
        alive = self._sockets.alive
        for index, entry in enumerate(entries):
            # What was recorded with the entry, else what the number named then.
            number = numbers[index] if index < len(numbers) else 0
            socket = alive.get(number) or self._descriptors.at(call.call.process, entry.number, call.entry_ns)
            if socket is not None:
                yield socket, entry

    def waits_for(self, socket: SocketFacts, call: CallFacts) -> bool:
        """Whether a call waits for events of an epoll instance that watches a socket, directly or by poll."""
        epolls = self.of(socket).epolls
        process = call.call.process
        if call.name in EPOLL_WAITS:
            return (process, call.call.fd) in epolls
        return (
            call.name in POLL_CALLS
            and bool(epolls)
            and any((process, entry.number) in epolls for entry in call.watched)
        )

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A poll returned."""
        if not call.result or call.result < 0:
            return
        for socket, entry in self.reported(call):
            if entry.returned & (POLLHUP | POLLERR):
                facts = self.keep(socket)
                facts.hangup = facts.hangup or call

    @returned("epoll_ctl")
    def watch(self, call: CallFacts) -> None:
        """A socket was put into an epoll set, changed or taken out."""
        if call.succeeded and call.socket is not None:
            facts = self.keep(call.socket)
            facts.epoll_events = call.epoll_events
            facts.changed_ns = call.end_ns
            facts.event_loop = True

    @on_fact
    def attached(self, fact: Fact) -> None:
        """What a process watched when it was attached to."""
        if fact.kind != "attached":
            return
        found = json_object(fact.value)
        process = found.get("process")
        if not isinstance(process, int) or process not in self.facts.tables.processes:
            return
        for epoll in _objects(found.get("epolls")):
            for watch in _objects(epoll.get("watches")):
                number, events = watch.get("fd"), watch.get("events")
                if not isinstance(number, int) or not isinstance(events, int):
                    continue
                row = self._descriptors.row_at(process, number, fact.at_ns)
                socket = self._sockets.met(row.socket, process) if row is not None else None
                if socket is not None:
                    facts = self.keep(socket)
                    facts.epoll_events, facts.event_loop = events, True
                    if isinstance(epoll.get("fd"), int):
                        facts.epolls.add((process, epoll["fd"]))


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value[:10_000] if isinstance(each, dict)] if isinstance(value, list) else []
