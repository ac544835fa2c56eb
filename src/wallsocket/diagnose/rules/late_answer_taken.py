"""After a timeout the connection was used on, and the late answer taken for the next one."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.late_answers import LateAnswers
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["LateAnswerTaken"]


class LateAnswerTaken(Rule):
    """Each answer belongs to the question before."""

    id = "late-answer-taken"
    title = "the connection was used again after a timeout: the late answer is taken for that of the next request"
    covers = (110,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A time limit ends the wait, not the request: its answer still comes, and is the first thing that the next read on "
        "this connection gets."
    )
    symptoms = ("answers are one behind", "wrong answer after timeout", "response does not match request")
    proof = (
        "Each request of the connection has an answer. A wait for one ended in vain, the program wrote its next request and "
        "read; the bytes that it got had been sent before the peer had read that request, and the program looked for no "
        "other answer."
    )
    fix = (
        "After a timeout close the connection, or match answers by an identifier and drop those that nobody waits for."
    )
    disproof = "The peer sends without being asked, or the program compares identifiers and dropped this answer."
    references = ("recv(2)", "socket(7)")
    effects = ("close-with-unread-data", "write-after-peer-closed", "dies-of-client-reset")
    needs = (LateAnswers, Peers, Polls, Reads, Writes)
    given = LateAnswers

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        late = facts[LateAnswers].taken(subject)
        if late is None or late.read is None or subject.late:
            return
        peer = facts[Peers].of(subject)
        if peer is None:
            yield self.cannot_tell("peer", "which request an answer belongs to was not recorded")
            return
        read, again = late.read, late.again
        if read.offset is None or again.offset is None or peer.late:
            return
        answer = next(
            (
                call
                for call in facts[Writes].of(peer).recent
                if call.offset is not None and call.offset <= read.offset < call.offset + call.moved
            ),
            None,
        )
        heard = next(
            (
                call
                for call in facts[Reads].of(peer).recent
                if call.offset is not None and call.offset + call.moved > again.offset
            ),
            None,
        )
        asked_end = (late.asked.offset or 0) + late.asked.moved
        first_heard = next(
            (
                call
                for call in facts[Reads].of(peer).recent
                if call.offset is not None and call.offset + call.moved >= asked_end
            ),
            None,
        )
        if answer is None or first_heard is None or first_heard.end_ns > answer.entry_ns:
            # What came was no answer to the first request.
            return
        requests, answers = facts[Writes].of(subject).calls, facts[Writes].of(peer).calls
        if not (answers >= 2 and requests - 1 <= answers <= requests):
            # Not every request has its answer here: the peer sends for other reasons.
            return
        if heard is not None and heard.end_ns <= answer.entry_ns and not facts[Polls].of(peer).event_loop:
            # An event loop reads what has come; what it answers is another matter.
            return
        if heard is None and facts[Reads].of(peer).bytes > again.offset:
            # Read long ago: when is not known any more.
            return
        if answer.end_ns <= late.wait.end_ns:
            return
        unsure = late.loop or (heard is not None and heard.end_ns <= answer.entry_ns)
        what = (
            "begins with the first answer" if unsure else "had been sent before the peer had read that second request"
        )
        yield Evidence(
            self,
            read.end_ns,
            f"{facts.who(subject.process)} waited {late.wait.end_ns / 1e9 - late.asked.end_ns / 1e9:.1f} s for the answer to "
            f"its {late.asked.name} of {late.asked.moved} bytes{'' if late.loop else ', gave up'}, and asked again on "
            f"{subject.name()}. What it read then, {read.moved} bytes, {what}.",
            [
                late.asked.proof(),
                late.wait.proof(),
                again.proof(),
                answer.proof(f"{facts.who(peer.process)}: {answer.text()}"),
                *([heard.proof(f"{facts.who(peer.process)}: {heard.text()}")] if heard is not None else []),
                read.proof(),
            ],
            call=again.call,
            socket=subject.id,
            process=subject.process,
            # A loop may have asked again without having given up, and tell the answers apart by their order.
            certainty="hint" if unsure else "strong",
            severity="note" if unsure else "error",
            subjects=frozenset({peer.id}),
        )
