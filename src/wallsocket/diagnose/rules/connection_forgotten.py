"""An end answers data with a reset because it does not know the connection."""

from __future__ import annotations

from collections.abc import Iterator

from ...trace.verdict import duration
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..trackers.flows import Flow, Flows

__all__ = ["ConnectionForgotten"]

#: So long at least it must have been silent.
_SILENT_NS = 1_000_000_000


class ConnectionForgotten(Rule):
    """An end answers data with a reset because it does not know the connection."""

    id = "connection-forgotten"
    title = "one end no longer knows the connection: half-open"
    covers = (160,)
    severity = "error"
    certainty = "strong"
    layers = ("wire",)
    sentence = (
        "A host that was restarted, or a firewall, NAT or balancer that has forgotten a connection for being idle, "
        "knows nothing of it, while the other end still believes in it. The next segment is answered with a reset "
        "that carries no ACK and takes its number from that segment: such is the answer of a host that has no such "
        "connection (RFC 9293, 3.10.7.1)."
    )
    symptoms = (
        "connection reset by peer after a long pause",
        "half-open connection",
        "ECONNRESET",
        "connection lost after the server was restarted",
    )
    proof = "RST without ACK, its sequence number the acknowledgement of the segment before, of an end that had sent no FIN."
    fix = (
        "Set keepalive below the idle limit of what stands between (SO_KEEPALIVE, TCP_KEEPIDLE); connect again at "
        "the first error."
    )
    disproof = "That end had sent its FIN, and the capture missed it."
    references = ("RFC 9293 3.5.1", "RFC 9293 3.10.7.1", "tcp(7)")
    subject = "flow"
    needs = (Flows,)
    supersedes = ("connection-reset",)

    def judge(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        if not flow.tcp or not flow.established or not flow.whole_capture:
            return
        for side in (0, 1):
            half, other = flow.halves[side], flow.halves[1 - side]
            reset = half.reset
            if reset is None or half.reset_acks or half.fin is not None or other.fin is not None or half.high is None:
                continue
            if other.reset is not None or other.said is None or half.reset_sequence != other.said or other.last is None:
                continue
            idle_ns = reset.at_ns - half.spoke_ns
            if idle_ns < _SILENT_NS:
                # Who has just spoken on it knows it: the reset is made by hand, or on the way.
                continue
            yield Evidence(
                self,
                reset.at_ns,
                f"{flow.name(side)} had last been heard {duration(idle_ns)} before; it answered {flow.name(1 - side)} as a host "
                "does that has no such connection.",
                [
                    other.last.proof(f"data of {flow.name(1 - side)}"),
                    reset.proof(f"RST without ACK of {flow.name(side)}, in the number that was acknowledged"),
                ],
                socket=flow.socket(1 - side),
                subjects=flow.subjects,
                where=flow.name(1),
            )
