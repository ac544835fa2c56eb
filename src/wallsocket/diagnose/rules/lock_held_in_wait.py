"""Threads wait for a lock that a thread holds while it waits on a connection."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.locks import Locks
from ..trackers.waits import Waits
from ..vocabulary import CONNECTS, POLL_CALLS, READS, WRITES

__all__ = ["LockHeldInWait"]


class LockHeldInWait(Rule):
    """Threads wait for a lock that a thread holds while it waits on a connection."""

    id = "lock-held-in-wait"
    title = "threads wait for a lock whose holder waits on a connection"
    covers = (153,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "A thread that waits for the network while it holds a lock stops everybody who needs the lock: one slow peer "
        "holds up the whole program."
    )
    symptoms = ("all threads stuck in futex", "one slow request blocks all others", "mutex held during recv")
    proof = (
        "Threads are in futex(2) on a mutex of the C library whose owner field names a thread that waits on a stream "
        "socket. Of locks of Python, which name no owner, a hint: one thread is further on in the function that takes it."
    )
    fix = "Give the wait a time limit, or do not hold the lock while waiting: a connection for each thread, or a pool."
    disproof = "The answer comes a moment later and the lock is released."
    references = ("futex(2)", "recv(2)")
    pictures = "only"
    supersedes = ("silent-peer",)
    subject = "process"
    needs = (Locks, Waits)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        waits = facts[Waits]
        for lock in facts[Locks].of(subject.id):
            holder = lock.owner if lock.owner is not None else lock.likely
            wait = waits.waiting.get((subject.id, holder)) if holder is not None else None
            if wait is None or wait.socket is None or not wait.socket.stream or not _waits(wait.name):
                continue
            sure = lock.owner is not None
            many = len(lock.waiters)
            who = f"{many} threads" if many > 1 else f"Thread {lock.waiters[0].tid}"
            line = facts.line(
                next((one.call for one in waits.waiting_in(subject.id) if one.call.tid == lock.waiters[0].tid), None)
            )
            at = f" at {line}" if line else ""
            yield Evidence(
                self,
                wait.entry_ns,
                f"{who} of {facts.who(subject.id)} wait{'s' * (many == 1)} for a lock{at}; thread {holder} "
                f"{'holds it' if sure else 'seems to hold it'} and {waits.doing(wait)} for "
                f"{(facts.now_ns - wait.entry_ns) / 1e9:.1f} s.",
                [wait.proof(), *(one.proof(f"thread {one.tid} waits for the lock") for one in lock.waiters[:5])],
                call=wait.call,
                socket=wait.socket.id,
                process=subject.id,
                certainty="strong" if sure else "hint",
                severity="warning" if sure else "note",
            )


def _waits(name: str) -> bool:
    return name in READS or name in WRITES or name in CONNECTS or name in POLL_CALLS
