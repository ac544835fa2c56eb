"""Who is told of a call or a sample: worked out once for all sockets that are alike, so that it costs only those who want it.

Two sockets are alike when they are of one sort (TCP, UDP, a byte stream …) and the same trackers keep something of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from ..events import Moment
from .sample import Sample
from .subjects import SocketFacts
from .tracker import SocketTracker, Tracker, Wish

__all__ = ["Audience", "Audiences", "Handler", "kind_of_sample"]

Handler: TypeAlias = Callable[..., None]

#: Sorts of sockets that are remembered, and events of one; trackers and calls that programs make are fewer.
_MOST = 10_000

#: Bits of :func:`kind_of_sample`; the state stands above them.
_BETWEEN: Final = 1
_QUEUED: Final = 2
_MORE: Final = 4
_CHANGED: Final = 8
_UNACKNOWLEDGED: Final = 16
_STATE: Final = 5


def kind_of_sample(sample: Sample, last: Sample | None) -> int:
    """Who wants to know of a sample depends on this alone, and on its socket; ``last`` is the sample before it."""
    row = sample.row
    kind = (sample.state or 0) << _STATE
    if sample.moment == Moment.SAMPLE:
        kind |= _BETWEEN
    if sample.receive_queue:
        kind |= _QUEUED
    if sample.send_queue:
        kind |= _UNACKNOWLEDGED
    if row.local is not None or row.timer is not None or row.options is not None or row.remote is not None:
        kind |= _MORE
    if last is None or last.state != sample.state or last.drops != sample.drops:
        kind |= _CHANGED
    return kind


class _Chosen(dict[int, tuple[Handler, ...]]):
    """The handlers by the kind of an event; made when they are asked for."""

    __slots__ = ("_choose",)

    def __init__(self, choose: Callable[[int], tuple[Handler, ...]]) -> None:
        super().__init__()
        self._choose = choose

    def __missing__(self, kind: int) -> tuple[Handler, ...]:
        if len(self) >= _MOST:
            self.clear()
        found = self[kind] = self._choose(kind)
        return found


class Audience:
    """The handlers of one sort of sockets.

    Of calls the key is the number, shifted by three bits, with the moment: 0 when it is entered, 2 when it has returned, 6
    when it moved something, and one more when it waited. Of samples it is :func:`kind_of_sample`.
    """

    __slots__ = ("_audiences", "_given", "_sorts", "calls", "samples")

    def __init__(self, audiences: Audiences, sorts: frozenset[str] | None, given: frozenset[int]) -> None:
        self._audiences = audiences
        self._sorts = sorts  # ``None``: of calls without a socket
        self._given = given
        self.calls = _Chosen(self._of_call)
        self.samples = _Chosen(self._of_sample)

    def _of_call(self, key: int) -> tuple[Handler, ...]:
        name, moment = self._audiences.names[key >> 3], key & 7
        kind, moved, waited = (
            ("entered", True, moment == 1) if moment < 2 else ("returned", moment >= 6, moment & 1 == 1)
        )
        return tuple(
            handler
            for wish, handler in self._wishes(kind)
            if (not wish.names or name in wish.names) and (not wish.moved or moved) and (not wish.waited or waited)
        )

    def _of_sample(self, kind: int) -> tuple[Handler, ...]:
        return tuple(
            handler
            for wish, handler in self._wishes("sample")
            if (not wish.states or kind >> _STATE in wish.states)
            and (not wish.between or kind & _BETWEEN)
            and (not wish.queued or kind & _QUEUED)
            and (not wish.unacknowledged or kind & _UNACKNOWLEDGED)
            and (not wish.more or kind & _MORE)
            and (not wish.changed or kind & _CHANGED)
        )

    def _wishes(self, kind: str) -> Iterable[tuple[Wish, Handler]]:
        """Those of one kind that these sockets meet."""
        for wish, handler, place in self._audiences.wishes[kind]:
            if (wish.of is None or (self._sorts is not None and wish.of in self._sorts)) and (
                not wish.given or place in self._given
            ):
                yield wish, handler


class _Names(dict[int, str]):
    """Names of system calls by number."""

    def __missing__(self, number: int) -> str:
        return f"syscall {number}"


class Audiences:
    """All of them, made of what trackers want."""

    def __init__(self, trackers: Iterable[Tracker], names: Mapping[int, str]) -> None:
        self.names = _Names(names)  #: of system calls
        #: by kind, in the order in which they are told, with the place of what the tracker keeps
        self.wishes: dict[str, list[tuple[Wish, Handler, int]]] = {"entered": [], "returned": [], "sample": []}
        for tracker in trackers:
            place = tracker.place if isinstance(tracker, SocketTracker) else 0
            for wish in tracker.wishes:
                if wish.kind in self.wishes:
                    self.wishes[wish.kind].append((wish, getattr(tracker, wish.method), place))
        every = [(wish, place) for wishes in self.wishes.values() for wish, _, place in wishes]
        self._sorts = sorted({wish.of for wish, _ in every if wish.of is not None})
        self._places = {place for wish, place in every if wish.given}
        self._alike: dict[tuple[frozenset[str], frozenset[int]], Audience] = {}
        self.nobody = Audience(self, None, frozenset())  #: of calls without a socket

    def of(self, socket: SocketFacts) -> Audience:
        """Who is told of a socket's calls and samples, until its row or what is kept of it changes."""
        given = frozenset(self._places.intersection(socket.kept))
        sorts = frozenset([sort for sort in self._sorts if getattr(socket, sort)])
        found = self._alike.get((sorts, given))
        if found is None:
            if len(self._alike) >= _MOST:
                self._alike.clear()
            found = self._alike[sorts, given] = Audience(self, sorts, given)
        socket.audience = found
        return found
