"""The event loop sleeps though one of its tasks could go on."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.due_tasks import DueTasks
from ..trackers.waits import Waits

__all__ = ["LoopNotWoken"]

_LEAST_NS = 300_000_000


class LoopNotWoken(Rule):
    """The event loop sleeps though one of its tasks could go on."""

    id = "loop-not-woken"
    title = "the event loop sleeps though a task could go on: it was handed its result from another thread"
    covers = (156,)
    severity = "error"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "Futures, queues and events of asyncio belong to the loop's thread. Who sets one from another thread puts the task "
        "into the loop's list, and the loop sleeps on in epoll_wait until something else happens."
    )
    symptoms = (
        "asyncio future set from thread never wakes",
        "await hangs until another event arrives",
        "call_soon_threadsafe",
        "asyncio queue put from thread",
    )
    proof = (
        "A task of asyncio that is not done waits for nothing, or for a future that is done, and the thread of its loop has been "
        "in epoll_wait since before, without having run."
    )
    fix = "loop.call_soon_threadsafe(future.set_result, value), asyncio.run_coroutine_threadsafe, or janus for queues."
    disproof = "The loop's wait ends in the same moment."
    references = ("epoll_wait(2)", "eventfd(2)")
    pictures = "only"
    supersedes = ("silent-peer",)
    effects = ("silent-peer", "no-time-limit-for-answer")
    subject = "process"
    needs = (DueTasks, Waits)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        waits = facts[Waits]
        for task in facts[DueTasks].of_process.get(subject.id, ()):
            wait = waits.waiting.get((subject.id, task.tid))
            if wait is None or facts.now_ns - wait.entry_ns < _LEAST_NS:
                continue
            place = f" at {task.where}" if task.where else ""
            yield Evidence(
                self,
                wait.entry_ns,
                f"Task {task.name} of {facts.who(subject.id)}{place} has what it waited for, and its loop has been in "
                f"{wait.name} for {(facts.now_ns - wait.entry_ns) / 1e9:.1f} s: nobody woke it.",
                [wait.proof(), task.proof()],
                call=wait.call,
                process=subject.id,
                subjects=facts[DueTasks].left_waiting(subject.id),
                where=task.name,
            )
            return
