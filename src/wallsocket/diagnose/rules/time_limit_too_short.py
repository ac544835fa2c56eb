"""Every question is answered, and each answer comes too late."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.late_replies import LateReplies, Tries
from ..trackers.polls import Polls

__all__ = ["TimeLimitTooShort"]

_LEAST = 2
#: Who asks more often than this asks something new each time.
_MOST = 10
#: Of the same question asked again: the pause between two tries, and the bytes at its front that may number it.
_PAUSE_NS = 20_000_000
_NUMBER = 4

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
        "in time, and the asker had no success afterwards. A hint where an event loop asked the same thing again under another "
        "number before each answer came: whether it took a late one is not seen."
    )
    fix = "Wait longer, and twice as long after each try; keep the identifiers of earlier tries, and take their late answers."
    disproof = "The asker took one of the late answers."
    references = ("recv(2)", "socket(7)")
    subject = "process"
    needs = (LateReplies, Polls)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for (process, where), tries in facts[LateReplies].of.items():
            if process != subject.id or len(tries.late) < _LEAST:
                continue
            again = self._asked_again(facts, tries)
            if (tries.timely or tries.content) and not again:
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
                certainty="hint" if again else "strong",
                severity="note" if again else "error",
                subjects=frozenset(
                    one.reply.call.socket for one in tries.late if one.reply is not None and one.reply.call.socket
                ),
            )

    @staticmethod
    def _asked_again(facts: Facts, tries: Tries) -> bool:
        """Whether an event loop, which nobody sees wait in vain, asked the same thing anew, each time under another number."""
        asked = [one.sent for one in tries.late]
        socket, first = asked[0].socket, asked[0].payload
        # How long it waited for the latest is not known.
        if socket is None or not facts[Polls].of(socket).event_loop or tries.timely > 1:
            return False
        if tries.count > _MOST or len(asked) + tries.timely != tries.count or len(first) <= _NUMBER:
            return False
        return all(
            later.entry_ns - earlier.end_ns >= _PAUSE_NS
            and later.payload[:_NUMBER] != earlier.payload[:_NUMBER]
            and later.payload[_NUMBER:] == first[_NUMBER:]
            for earlier, later in pairwise(asked)
        )
