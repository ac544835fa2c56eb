"""A forked child waits for a lock that nobody in it can release."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.locks import Locks
from ..trackers.waits import Waits

__all__ = ["LockOfParent"]


class LockOfParent(Rule):
    """A forked child waits for a lock that nobody in it can release."""

    id = "lock-of-parent"
    title = "a forked process waits for a lock that nobody in it holds"
    covers = (158,)
    severity = "error"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "fork copies the memory, locks included, but only the thread that called it. A lock that another thread "
        "held at that moment stays locked in the child for ever."
    )
    symptoms = ("worker process hangs after fork", "multiprocessing deadlock", "child stuck in futex")
    proof = (
        "The only thread of a process that was made by fork without exec waits, without a time limit, for a lock of that "
        "process alone; its owner, where it is noted, is no thread of the process."
    )
    fix = "Start workers with spawn or forkserver, or fork before the first thread is started."
    disproof = "A signal handler releases the lock."
    references = ("fork(2)", "futex(2)", "pthread_atfork(3)")
    pictures = "only"
    subject = "process"
    needs = (Locks, Waits)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        waits = facts[Waits]
        for lock in facts[Locks].of(subject.id):
            waiter = lock.waiters[0]
            wait = waits.waiting.get((subject.id, waiter.tid))
            if wait is None or not (waiter.sole and waiter.forked and waiter.private) or waiter.limited or lock.alive:
                continue
            owner = (
                f"thread {lock.owner}, which is not in it, held it"
                if lock.owner is not None
                else "it has no other thread"
            )
            yield Evidence(
                self,
                wait.entry_ns,
                f"{facts.who(subject.id)} was made by fork and {waits.doing(wait)}; {owner}: the lock was taken when the "
                "process was made, and nobody is left to release it.",
                [wait.proof(), waiter.proof("the only thread waits for a private lock, without a time limit")],
                call=wait.call,
                process=subject.id,
                certainty="strong",
                severity="error",
            )
