"""Every question is answered, and each answer comes too late."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.late_replies import LateReplies

__all__ = ["TimeLimitTooShort"]

_LEAST = 2

#: Who waits for less does not wait.
_WAITED_NS = 5_000_000


class TimeLimitTooShort(Rule):
    """Every question is answered, and each answer comes too late."""

    id = "time-limit-too-short"
    title = "the time limit is shorter than the peer needs: every answer came after the program had given up"
    covers = (133,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A program that gives a question up after its time limit and asks again never gets an answer from a peer "
        "that needs longer: each answer comes when nobody waits for it, and asking again only adds to the peer's "
        "work."
    )
    symptoms = (
        "no answer after 3 tries but the server answers",
        "timeout too short",
        "RADIUS/SNMP timeouts, server logs fine",
    )
    proof = (
        "Two or more questions by datagram were answered by a traced server after the asker's wait for them had ended, none "
        "in time, and the asker had no success afterwards."
    )
    fix = "Wait longer, and twice as long after each try; keep the identifiers of earlier tries, and take their late answers."
    disproof = "The asker took one of the late answers."
    references = ("recv(2)", "socket(7)")
    subject = "process"
    needs = (LateReplies,)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for (process, where), tries in facts[LateReplies].of.items():
            if process != subject.id or tries.timely or tries.content or len(tries.late) < _LEAST:
                continue
            if max(one.limit_ns for one in tries.late) < _WAITED_NS:
                # It sent and went on: nobody waited for an answer.
                continue
            first = tries.late[0]
            rows = []
            for one in tries.late[:3]:
                rows.append(one.sent.proof())
                if one.gave_up is not None:
                    rows.append(one.gave_up.proof(f"{one.gave_up.text()}: given up after {one.limit_ns / 1e6:.0f} ms"))
                if one.reply is not None:
                    rows.append(one.reply.proof(f"{one.reply.text()}: answered after {one.needed_ns / 1e6:.0f} ms"))
            yield Evidence(
                self,
                first.sent.end_ns,
                f"{where} answered {len(tries.late)} questions, each after about "
                f"{min(one.needed_ns for one in tries.late) / 1e6:.0f} ms or more; the program gave each of them up after "
                f"{max(one.limit_ns for one in tries.late) / 1e6:.0f} ms or less.",
                rows,
                call=first.sent.call,
                socket=first.sent.call.socket,
                process=process,
                certainty="strong",
                subjects=frozenset(
                    one.reply.call.socket for one in tries.late if one.reply is not None and one.reply.call.socket
                ),
            )
