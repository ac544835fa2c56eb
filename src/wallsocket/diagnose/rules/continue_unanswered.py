"""Expect: 100-continue was never answered."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.continues import Continues
from ..trackers.peers import Peers

__all__ = ["ContinueUnanswered"]


class ContinueUnanswered(Rule):
    """The client waits for leave to send the body."""

    id = "continue-unanswered"
    title = "the client waits for 100 Continue, which the server does not send"
    covers = (120,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "With Expect: 100-continue a client sends the head, waits for leave, and sends the body when its patience ends: curl "
        "after one second. A server that does not answer makes each upload that much slower (RFC 9110, section 10.1.1)."
    )
    symptoms = ("each upload takes one second longer", "curl POST waits 1 second", "Done waiting for 100-continue")
    proof = "A request with that field was sent; nothing came back; the body followed after a pause of half a second or more."
    fix = "Answer 100 Continue (or the final status) when the head has come; or send without the field: curl -H 'Expect:'."
    disproof = "The answer was on its way, and slow."
    references = ("RFC 9110 10.1.1",)
    needs = (Continues, Peers)
    given = Continues

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        pause = facts[Continues].of(subject).pause
        if pause is None:
            return
        head, body = pause
        waited = body.entry_ns - head.end_ns
        peer = facts[Peers].of(subject)
        yield Evidence(
            self,
            body.entry_ns,
            f"{facts.who(subject.process)} sent the head of a request with Expect: 100-continue to {subject.remote or 'its peer'}, "
            f"got no answer, and sent the body after {waited / 1e9:.1f} s.",
            [head.proof(f"{head.text()}: Expect: 100-continue"), body.proof()],
            call=head.call,
            socket=subject.id,
            process=subject.process,
            subjects=frozenset({peer.id} if peer is not None else ()),
            severity="warning",
            lost_ns=waited,
        )
