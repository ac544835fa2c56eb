"""Threads in calls on pipes, and who holds the other ends, as pictures show them."""

from __future__ import annotations

from typing import NamedTuple

from ...events import Fact
from ..facts import Facts, json_object
from ..finding import Proof
from ..tracker import Tracker, on_fact
from .other_ends import Holder, holders_of

__all__ = ["PipeWait", "Pipes"]

_KEPT = 10_000


class PipeWait(NamedTuple):
    """A thread in a read or write on a pipe."""

    row: int  #: the fact
    at_ns: int
    process: int
    tid: int
    pipe: str
    writes: bool
    sole: bool  #: it is the only thread of its process
    complete: bool  #: nobody else holds the other end
    holders: tuple[Holder, ...]  #: who holds the other end
    polls: bool  #: it waits for one of several pipes
    limited: bool  #: the wait has a time limit
    parent: object  #: pid of the process that started its process, and the session of that; ``None``: unknown
    session: object

    def proof(self, text: str) -> Proof:
        """The fact as a proof row."""
        return Proof("kernel", "fact", self.row, self.at_ns, text)


class Pipes(Tracker):
    """Takes what `inspect` saw of pipes."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._by_thread: dict[tuple[int, int], PipeWait] = {}

    def of(self, process: int, tid: int) -> PipeWait | None:
        """The wait of a thread on a pipe."""
        return self._by_thread.get((process, tid))

    def of_process(self, process: int) -> list[PipeWait]:
        """The waits of a process on pipes."""
        return [wait for (owner, _), wait in self._by_thread.items() if owner == process]

    @on_fact
    def see(self, fact: Fact) -> None:
        """A thread that waits on a pipe."""
        if fact.kind != "pipe" or len(self._by_thread) >= _KEPT:
            return
        value = json_object(fact.value)
        process, tid = value.get("process"), value.get("tid")
        if isinstance(process, int) and isinstance(tid, int):
            self._by_thread[process, tid] = PipeWait(
                fact.id,
                fact.at_ns,
                process,
                tid,
                str(value.get("pipe")),
                bool(value.get("writes")),
                bool(value.get("sole")),
                bool(value.get("complete")),
                holders_of(value.get("holders")),
                bool(value.get("polls")),
                bool(value.get("limited")),
                value.get("parent"),
                value.get("session"),
            )
