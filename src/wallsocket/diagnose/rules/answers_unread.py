"""Answers that nobody reads hold every connection of a pool."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.unread_answers import UnreadAnswers

__all__ = ["AnswersUnread"]

#: For as long as this all of them stood still.
_STOOD_NS = 1_000_000_000


class AnswersUnread(Rule):
    """A pool whose connections wait to be read."""

    id = "answers-unread"
    title = "answers that nobody reads hold all connections to one server"
    covers = (119,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "A connection goes back to its pool when its answer has been read or released. Answers that are dropped half-read "
        "keep theirs, and the next request waits for a free one, without a call that could be seen."
    )
    symptoms = (
        "requests hang after a few calls",
        "connection pool is full",
        "EmptyPoolError",
        "Timeout waiting for connection from pool",
    )
    proof = (
        "All connections of a process to one server, two at least, had a request written and bytes of the answer unread; none "
        "of them was used for a second or more, and no new one was made in that time."
    )
    fix = "Read each answer to its end or close it (with …, response.close(), resp.Body.Close())."
    disproof = "The program was busy with something else, and came back to them."
    references = ("RFC 9112 9.3", "recv(2)")
    subject = "process"
    needs = (UnreadAnswers,)
    effects = ("loop-blocked", "slow-reader", "close-with-unread-data", "write-after-peer-closed", "unread-data")

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for where, members in facts[UnreadAnswers].pools(subject.id).items():
            held = [member for member in members if member.unread and not member.watched]
            if len(held) < 2:
                continue
            from_ns = max(member.since_ns for member in held)
            until_ns = min(member.until_ns for member in held)
            if until_ns - from_ns < _STOOD_NS:
                continue
            # All that were open in that time stand.
            if any(member not in held and member.until_ns > from_ns for member in members):
                continue
            last = max(held, key=lambda member: member.since_ns)
            sizes = ", ".join(str(member.unread) for member in held[:4])
            yield Evidence(
                self,
                from_ns,
                f"{facts.who(subject.id)} has {len(held)} connections to {where}; each has unread bytes of an answer ({sizes}), "
                f"and none was used for {(until_ns - from_ns) / 1e9:.1f} s.",
                [
                    proof
                    for member in held[:4]
                    for proof in ([member.asked.proof()] + ([member.read.proof()] if member.read else []))
                ],
                call=last.asked.call,
                socket=last.socket,
                process=subject.id,
                certainty="strong",
                severity="warning",
                subjects=frozenset(member.socket for member in held),
            )
