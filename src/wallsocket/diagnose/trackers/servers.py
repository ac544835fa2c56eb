"""Which processes had listeners."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, returned
from ..vocabulary import ACCEPTS

__all__ = ["Servers"]

_KEPT = 10_000


class Servers(Tracker):
    """Keeps the processes that listened or accepted."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._processes: set[int] = set()

    @returned("listen", *ACCEPTS)
    def served(self, call: CallFacts) -> None:
        """A process listens, or accepts."""
        if call.succeeded and len(self._processes) < _KEPT:
            self._processes.add(call.call.process)

    def listened(self, process: int) -> bool:
        """Whether the process listened or accepted connections."""
        return process in self._processes
