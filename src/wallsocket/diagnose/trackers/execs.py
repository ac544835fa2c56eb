"""When processes became other programs."""

from __future__ import annotations

from ...events import Mark
from ..facts import Facts
from ..finding import Proof
from ..tracker import Tracker, on_mark

__all__ = ["Execs"]

#: Programs of one process that are kept, the latest.
_KEPT = 16
_PROCESSES = 10_000


class Execs(Tracker):
    """Keeps the execs (execve(2)) of each process."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[int, list[Mark]] = {}

    @on_mark
    def see(self, mark: Mark) -> None:
        """The next mark."""
        if mark.kind == "exec" and mark.process is not None and len(self._of) < _PROCESSES:
            self._of.setdefault(mark.process, []).append(mark)
            del self._of[mark.process][:-_KEPT]

    def between(self, process: int, since_ns: int, until_ns: int) -> Proof | None:
        """The latest exec of a process in a span of time, as a proof row."""
        for mark in reversed(self._of.get(process, ())):
            if since_ns <= mark.at_ns <= until_ns:
                return Proof("calls", "mark", mark.id, mark.at_ns, f"exec {mark.text}")
        return None
