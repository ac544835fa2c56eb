"""Items in order of time, seen from near and far: a graph never gets more of them than it has pixels."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["STEP", "Levels", "Spanning"]

#: Neighbours that are joined on each further level.
STEP: Final = 8


class Spanning(Protocol):
    """Something that lasts, or stands for several things."""

    @property
    def first_ns(self) -> int:
        """When it begins."""

    @property
    def last_ns(self) -> int:
        """When it ends."""


_T = TypeVar("_T", bound=Spanning)


class Levels(Generic[_T]):
    """Items, and above them levels of which each joins neighbours of the one below; built once.

    Args:
        items: in order of time.
        join: makes one item of neighbours.
        hold: makes what a level is held in.
    """

    def __init__(
        self,
        items: Sequence[_T],
        join: Callable[[Sequence[_T]], _T],
        hold: Callable[[Iterable[_T]], Sequence[_T]] = list,
    ) -> None:
        self._levels = [items]
        while len(items) > STEP:
            below = items
            items = hold(join(below[at : at + STEP]) for at in range(0, len(below), STEP))
            self._levels.append(items)

    @property
    def nearest(self) -> Sequence[_T]:
        """The items themselves."""
        return self._levels[0]

    @property
    def furthest(self) -> Sequence[_T]:
        """The fewest: at most as many as are joined at a time."""
        return self._levels[-1]

    def between(self, since_ns: int, until_ns: int, most: int) -> Sequence[_T]:
        """The items of a time, and one more on each side, so that lines reach the edge; as near as ``most`` allow."""
        found: Sequence[_T] = ()
        for level in self._levels:
            first = bisect_left(level, since_ns, key=lambda item: item.last_ns)
            last = bisect_left(level, until_ns + 1, key=lambda item: item.first_ns)
            found = level[max(0, first - 1) : last + 1]
            if last - first <= most:
                break
        return found
