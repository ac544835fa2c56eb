"""One end reset a connection, in a capture that does not show why."""

from __future__ import annotations

from collections.abc import Iterator

from ...trace.verdict import duration
from ..facts import Facts
from ..finding import Severity
from ..rule import Evidence, Judgement, Rule
from ..trackers.flows import Flow, Flows

__all__ = ["ConnectionReset"]


class ConnectionReset(Rule):
    """One end reset a connection, in a capture that does not show why."""

    id = "connection-reset"
    title = "one end reset the connection instead of ending it"
    covers = (159,)
    severity = "warning"
    certainty = "strong"
    layers = ("wire",)
    sentence = (
        "A reset throws away what is on its way in both directions. A kernel that knows the connection sends it "
        "when its program closes with unread data, with SO_LINGER and a time of 0, or when that program dies; a "
        "capture shows who sent it, the calls of that end would show why."
    )
    symptoms = ("connection reset by peer", "ECONNRESET", "TCP RST", "RST, ACK", "[Errno 104]")
    proof = "A segment with RST and ACK of one end of an established connection that had not sent its FIN."
    fix = "Look at the end that sent it: trace its program, or log it with strace and explain both together."
    disproof = "A firewall or proxy on the way sent it in the name of that end: capture at that end, too."
    references = ("tcp(7)", "RFC 9293 3.10.7", "RFC 1122 4.2.2.13")
    subject = "flow"
    needs = (Flows,)

    def judge(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        if not flow.tcp or not flow.established:
            return
        for side in (0, 1):
            half, other = flow.halves[side], flow.halves[1 - side]
            reset = half.reset
            first = other.reset is None or reset is None or reset.at_ns <= other.reset.at_ns
            if reset is None or not half.reset_acks or half.fin is not None or not first:
                continue
            unanswered = flow.turn == 1 - side
            unread = half.acked is not None and half.high is not None and half.acked != half.high
            if other.fin is not None and not unread:
                # Who has read to the end may leave in this way, too.
                continue
            severity: Severity = "warning" if unanswered or unread else "note"
            last = other.last if unanswered else half.last
            rows = (
                [last.proof(f"the last data, of {flow.name(1 - side if unanswered else side)}")]
                if last is not None
                else []
            )
            if last is not None and last.at_ns <= reset.at_ns:
                when = f"{duration(reset.at_ns - last.at_ns)} after "
                when += f"data of {flow.name(1 - side)}, which it did not answer" if unanswered else "its own last data"
            else:
                when = "before any data"
            lost = "; part of its own data was not acknowledged" if unread else ""
            yield Evidence(
                self,
                reset.at_ns,
                f"{flow.name(side)} reset the connection with {flow.name(1 - side)} {when}{lost}.",
                [*rows, reset.proof(f"RST of {flow.name(side)}")],
                socket=flow.socket(side),
                severity=severity,
                subjects=flow.subjects,
                where=flow.name(1),
            )
            return
