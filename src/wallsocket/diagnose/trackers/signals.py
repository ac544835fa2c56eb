"""Signals that processes were sent."""

from __future__ import annotations

from ...events import Mark
from ..facts import Facts
from ..tracker import Tracker, on_mark

__all__ = ["Signals"]

_PROCESSES = 4096
#: Names of signals of one process; Linux has 64.
_NAMES = 128


class Signals(Tracker):
    """Keeps the first signal of each name that a process got."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[int, dict[str, Mark]] = {}

    @on_mark
    def see(self, mark: Mark) -> None:
        """The next mark."""
        if mark.kind == "signal" and mark.process is not None:
            if mark.process not in self._of and len(self._of) >= _PROCESSES:
                return
            known = self._of.setdefault(mark.process, {})
            if len(known) < _NAMES:
                known.setdefault(mark.text, mark)

    def first(self, process: int, *names: str) -> Mark | None:
        """The first of these signals."""
        found = [mark for name, mark in self._of.get(process, {}).items() if name in names]
        return min(found, key=lambda mark: mark.at_ns, default=None)
