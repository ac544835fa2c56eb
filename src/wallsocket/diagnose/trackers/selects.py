"""Processes that call select, and the highest descriptor numbers that their sockets had."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..subjects import ProcessFacts
from ..tracker import Tracker, returned
from ..vocabulary import ACCEPTS

__all__ = ["SelectFacts", "Selects"]

_PROCESSES = 10_000
#: Bits of an ``fd_set`` (select(2)).
_LIMIT = 1024


class SelectFacts:
    """One process."""

    __slots__ = ("beyond", "first", "last", "widest")

    def __init__(self) -> None:
        self.first: CallFacts | None = None  #: its first select
        self.last: CallFacts | None = None
        self.widest = 0  #: the largest nfds
        self.beyond: CallFacts | None = None  #: the first call that made a descriptor of number 1024 or more


class Selects(Tracker):
    """By process."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._all: dict[int, SelectFacts] = {}

    def of(self, process: ProcessFacts) -> SelectFacts | None:
        """What is known of a process; ``None``: it called no select and had no such descriptor."""
        return self._all.get(process.id)

    def _keep(self, process: int) -> SelectFacts | None:
        found = self._all.get(process)
        if found is None and len(self._all) < _PROCESSES:
            found = self._all[process] = SelectFacts()
        return found

    @returned("select", "pselect6")
    def selected(self, call: CallFacts) -> None:
        """A select returned."""
        facts = self._keep(call.call.process)
        if facts is not None:
            facts.first = facts.first or call
            facts.last = call
            facts.widest = max(facts.widest, call.call.a or 0)

    @returned("socket", "dup", *ACCEPTS)
    def made(self, call: CallFacts) -> None:
        """A descriptor was made."""
        if call.result is not None and call.result >= _LIMIT:
            facts = self._keep(call.call.process)
            if facts is not None and facts.beyond is None:
                facts.beyond = call
