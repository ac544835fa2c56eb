"""The client's time limit is shorter than the wait that it asks the server for."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.cycles import Cycle, Cycles, waits_asked_s

__all__ = ["LimitBelowWait"]

_MANY = 2


class LimitBelowWait(Rule):
    """The client's time limit is shorter than the wait that it asks the server for."""

    id = "limit-below-wait"
    title = "the client gives up before the wait that it asked for is over"
    covers = (140,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A blocking command or long poll asks the server to answer only when there is something, or after a time. A "
        "client whose own limit for reading is shorter ends each such wait itself and connects again, for ever."
    )
    symptoms = (
        "read timed out",
        "BLPOP timeout",
        "long poll timeout",
        "reconnects every few seconds",
        "socket.timeout in blocking pop",
    )
    proof = (
        "Twice or more the same request was sent to one destination, no byte came until the client's own time limit "
        "was over, and it closed; the request itself asks for a longer wait."
    )
    fix = "Set the limit for reading above the wait that is asked for, or ask for a shorter one."
    disproof = "The server was to answer at once, and did not."
    references = ("recv(2)", "socket(7)")
    subject = "process"
    needs = (Cycles,)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for (process, where), cycles in facts[Cycles].all.items():
            if process != subject.id or len(cycles) < _MANY:
                continue
            first = cycles[0]
            alike = [one for one in cycles if one.asked.payload == first.asked.payload and _as_long(one, first)]
            if len(alike) < _MANY or not first.asked.payload:
                continue
            asked_s = waits_asked_s(first.asked.payload)
            waited_s = first.waited_ns / 1e9
            known = asked_s is not None and asked_s > waited_s
            if not known:
                continue
            yield Evidence(
                self,
                first.closed.end_ns,
                f"{len(alike)} times {facts.who(process)} sent the same request to {where}, waited {waited_s:.1f} s, "
                "its own limit, and "
                f"closed the connection; the request asks the server to wait up to {asked_s:g} s.",
                [
                    first.asked.proof(),
                    first.ran_out.proof(f"{first.ran_out.text()}: the client's limit was over"),
                    first.closed.proof(),
                ],
                call=first.ran_out.call,
                socket=first.socket,
                process=process,
                certainty="strong",
                severity="warning",
                subjects=frozenset(one.socket for one in alike),
                lost_ns=first.waited_ns,
            )


def _as_long(one: Cycle, other: Cycle) -> bool:
    return abs(one.waited_ns - other.waited_ns) * 4 < other.waited_ns
