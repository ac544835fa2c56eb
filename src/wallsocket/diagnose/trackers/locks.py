"""Threads that wait for locks, as pictures show them."""

from __future__ import annotations

from typing import NamedTuple

from ...events import Fact
from ..facts import Facts, json_object
from ..finding import Proof
from ..tracker import Tracker, on_fact

__all__ = ["Lock", "Locks", "Waiter"]

_KEPT = 10_000


class Waiter(NamedTuple):
    """A thread that waits for a lock."""

    row: int  #: the fact
    at_ns: int
    tid: int
    limited: bool  #: the wait has a time limit, or it is not known whether it has
    private: bool  #: only threads of its process can give it the lock
    sole: bool  #: it is the only thread of its process
    forked: bool  #: its process was made by fork, and runs its parent's program

    def proof(self, text: str) -> Proof:
        """The fact as a proof row."""
        return Proof("kernel", "fact", self.row, self.at_ns, text)


class Lock:
    """A lock that somebody waits for."""

    __slots__ = ("alive", "likely", "owner", "waiters")

    def __init__(self) -> None:
        self.owner: int | None = None  #: the thread that holds it, as the C library notes it
        self.alive = False  #: that thread is one of the process
        self.likely: int | None = None  #: the only thread that is further on in the function that takes it
        self.waiters: list[Waiter] = []


class Locks(Tracker):
    """Takes what `inspect` saw of futexes."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._known: dict[int, dict[int, Lock]] = {}
        self._count = 0

    def of(self, process: int) -> list[Lock]:
        """The locks that threads of a process wait for."""
        return list(self._known.get(process, {}).values())

    @on_fact
    def see(self, fact: Fact) -> None:
        """A thread that waits for a lock."""
        if fact.kind != "lock" or self._count >= _KEPT:
            return
        value = json_object(fact.value)
        process, tid, word, owner, likely = (value.get(name) for name in ("process", "tid", "word", "owner", "likely"))
        if not isinstance(process, int) or not isinstance(tid, int) or not isinstance(word, int):
            return
        self._count += 1
        lock = self._known.setdefault(process, {}).setdefault(word, Lock())
        flags = (bool(value.get(name)) for name in ("limited", "private", "sole", "forked"))
        lock.waiters.append(Waiter(fact.id, fact.at_ns, tid, *flags))
        if isinstance(owner, int):
            lock.owner, lock.alive = owner, bool(value.get("known"))
        if isinstance(likely, int):
            lock.likely = likely
