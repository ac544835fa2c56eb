"""When processes became other programs."""

from __future__ import annotations

from ...events import Mark
from ..facts import Facts
from ..finding import Proof
from ..tracker import Latest, Recent, Tracker, on_mark

__all__ = ["Execs"]

#: Programs of one process that are kept, the latest; processes whose latest exec is the latest.
_KEPT = 16
_PROCESSES = 10_000


class Execs(Tracker):
    """Keeps the execs (execve(2)) of each process."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: Recent[int, Latest[Mark]] = Recent(_PROCESSES)

    @on_mark
    def see(self, mark: Mark) -> None:
        """The next mark."""
        if mark.kind == "exec" and mark.process is not None:
            known = self._of.get(mark.process) or Latest(_KEPT)
            known.append(mark)
            self._of[mark.process] = known

    def between(self, process: int, since_ns: int, until_ns: int) -> Proof | None:
        """The latest exec of a process in a span of time, as a proof row."""
        for mark in reversed(self._of.get(process, ())):
            if since_ns <= mark.at_ns <= until_ns:
                return Proof("calls", "mark", mark.id, mark.at_ns, f"exec {mark.text}")
        return None
