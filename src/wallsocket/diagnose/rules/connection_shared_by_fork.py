"""Two processes ask and read on one connection that both inherited."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.sharers import Sharers

__all__ = ["ConnectionSharedByFork"]


class ConnectionSharedByFork(Rule):
    """A connection made before fork is used by several processes."""

    id = "connection-shared-by-fork"
    title = "two processes use one connection that was made before the fork"
    covers = (109,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A child of fork has the same connection, not a copy of it. When parent and child, or two children, ask on it, each "
        "reads what comes first: the other one's answer, or a part of it."
    )
    symptoms = (
        "answers of another worker",
        "decryption failed or bad record mac",
        "lost synchronization with server",
        "wrong answers after fork",
        "packet sequence number wrong",
    )
    proof = (
        "Two processes wrote to one socket and read from it, and one wrote while the other had not yet read the answer to "
        "what it had written."
    )
    fix = "Connect after the fork, in each process; drop inherited connections without a farewell (pool.dispose(close=False))."
    disproof = "The processes take turns, by a lock that both hold for a whole exchange."
    references = ("fork(2)",)
    needs = (Sharers,)
    given = Sharers
    supersedes = ("descriptor-kept",)
    effects = ("tls-alert", "connection-reset", "write-after-peer-closed", "close-with-unread-data")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        kept = facts[Sharers].of(subject)
        if kept.crossed is None or subject.origin == "socketpair":
            return
        both = [process for process in kept.readers if process in kept.writers]
        first, second = kept.crossed
        if len(both) < 2 or {first.call.process, second.call.process} - set(both):
            return
        who = [facts.process(process) for process in both]
        pids = ", ".join(str(row.pid) for row in who if row is not None)
        yield Evidence(
            self,
            second.end_ns,
            f"The processes {pids} write to {subject.name()} and read from it. Pid {facts.pid(second.call.process)} wrote "
            f"while pid {facts.pid(first.call.process)} had not read the answer to what it had written.",
            [
                first.proof(f"pid {facts.pid(first.call.process)}: {first.text()}"),
                second.proof(f"pid {facts.pid(second.call.process)}: {second.text()}"),
                *(
                    kept.readers[process].proof(f"pid {facts.pid(process)}: {kept.readers[process].text()}")
                    for process in both[:4]
                ),
            ],
            call=second.call,
            socket=subject.id,
            process=second.call.process,
        )
