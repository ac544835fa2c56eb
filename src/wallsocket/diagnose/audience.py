"""Who is told of a call: worked out once for all sockets that are alike, so that a call costs only those who want it.

Two sockets are alike when they are of one sort (TCP, UDP, a byte stream …) and the same trackers keep something of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from .subjects import SocketFacts
from .tracker import SocketTracker, Tracker, Wish

__all__ = ["Audience", "Audiences", "Handler"]

Handler: TypeAlias = Callable[..., None]

#: Sorts of sockets that are remembered, and calls of one; trackers and calls that programs make are fewer.
_MOST = 10_000


class Audience(dict[int, tuple[Handler, ...]]):
    """The handlers of one sort of sockets, by call and moment; made when they are asked for.

    The key is the number of the call, shifted by three bits, with the moment: 0 when it is entered, 2 when it has returned, 6
    when it moved something, and one more when it waited.
    """

    __slots__ = ("_audiences", "_given", "_sorts")

    def __init__(self, audiences: Audiences, sorts: frozenset[str] | None, given: frozenset[int]) -> None:
        super().__init__()
        self._audiences = audiences
        self._sorts = sorts  # ``None``: of calls without a socket
        self._given = given

    def __missing__(self, key: int) -> tuple[Handler, ...]:
        if len(self) >= _MOST:
            self.clear()
        found = self[key] = self._audiences.choose(key, self._sorts, self._given)
        return found


class Audiences:
    """All of them, made of what trackers want."""

    def __init__(self, trackers: Iterable[Tracker], names: Mapping[int, str]) -> None:
        self._names = dict(names)
        self._wishes: list[tuple[Wish, Handler, int]] = []  # in the order in which they are told
        for tracker in trackers:
            place = tracker.place if isinstance(tracker, SocketTracker) else 0
            for wish in tracker.wishes:
                if wish.kind in ("entered", "returned"):
                    self._wishes.append((wish, getattr(tracker, wish.method), place))
        self._sorts = sorted({wish.of for wish, _, _ in self._wishes if wish.of is not None})
        self._places = {place for wish, _, place in self._wishes if wish.given}
        self._alike: dict[tuple[frozenset[str], frozenset[int]], Audience] = {}
        self.nobody = Audience(self, None, frozenset())  #: of calls without a socket

    def of(self, socket: SocketFacts) -> Audience:
        """Who is told of a socket's calls, until its row or what is kept of it changes."""
        given = frozenset(self._places.intersection(socket.kept))
        sorts = frozenset([sort for sort in self._sorts if getattr(socket, sort)])
        found = self._alike.get((sorts, given))
        if found is None:
            if len(self._alike) >= _MOST:
                self._alike.clear()
            found = self._alike[sorts, given] = Audience(self, sorts, given)
        socket.audience = found
        return found

    def name(self, number: int) -> str:
        """The name of a system call."""
        return self._names.get(number) or f"syscall {number}"

    def choose(self, key: int, sorts: frozenset[str] | None, given: frozenset[int]) -> tuple[Handler, ...]:
        """The handlers for a call on sockets that are of these sorts, and of which trackers at these places keep something."""
        name, moment = self.name(key >> 3), key & 7
        kind, moved, waited = (
            ("entered", True, moment == 1) if moment < 2 else ("returned", moment >= 6, moment & 1 == 1)
        )
        return tuple(
            handler
            for wish, handler, place in self._wishes
            if wish.kind == kind
            and (not wish.names or name in wish.names)
            and (wish.of is None or (sorts is not None and wish.of in sorts))
            and (not wish.given or place in given)
            and (not wish.moved or moved)
            and (not wish.waited or waited)
        )
