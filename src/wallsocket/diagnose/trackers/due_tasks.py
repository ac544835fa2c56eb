"""Tasks of asyncio that could go on while their loop sleeps, as pictures show them."""

from __future__ import annotations

from typing import NamedTuple

from ...events import Fact
from ..facts import Facts, json_object
from ..finding import Proof
from ..tracker import Tracker, on_fact
from .sockets import Sockets

__all__ = ["DueTask", "DueTasks"]

_KEPT = 10_000


class DueTask(NamedTuple):
    """One task."""

    row: int  #: the fact
    at_ns: int
    tid: int  #: the thread of its loop
    name: str
    where: str  #: ``name.py:12``, or nothing

    def proof(self) -> Proof:
        """The fact as a proof row."""
        place = f" at {self.where}" if self.where else ""
        return Proof("kernel", "fact", self.row, self.at_ns, f"task {self.name}{place} is ready to go on")


class DueTasks(Tracker):
    """Takes what `inspect` saw of tasks."""

    needs = (Sockets,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.of_process: dict[int, list[DueTask]] = {}
        self._count = 0

    def left_waiting(self, process: int) -> frozenset[int]:
        """The sockets of a process, ids: whoever waits for it at their other ends waits for the task."""
        return frozenset(one.id for one in self.facts[Sockets].alive.values() if one.process == process)

    @on_fact
    def see(self, fact: Fact) -> None:
        """A task."""
        if fact.kind != "due" or self._count >= _KEPT:
            return
        value = json_object(fact.value)
        process, tid, file, line = (value.get(name) for name in ("process", "tid", "file", "line"))
        if not isinstance(process, int) or not isinstance(tid, int):
            return
        self._count += 1
        where = f"{file.rsplit('/', 1)[-1]}:{line}" if isinstance(file, str) and isinstance(line, int) else ""
        task = DueTask(fact.id, fact.at_ns, tid, str(value.get("task")), where)
        self.of_process.setdefault(process, []).append(task)
