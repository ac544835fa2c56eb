"""ECONNREFUSED on a datagram socket."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import Destination
from ..trackers.flows import Flows
from ..trackers.host_answers import HostAnswers
from ..trackers.unheard import Unheard

__all__ = ["DatagramRefused"]

_UDP = 17
_TRACED_PORTS = (33434, 33534)


class DatagramRefused(Rule):
    """ECONNREFUSED on a datagram socket."""

    id = "datagram-refused"
    title = "an earlier datagram met a closed port: no socket is bound to it"
    covers = (29,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "UDP has no connection that could be refused. The host answers a datagram for a closed port with ICMP port "
        "unreachable; a connected socket keeps that error and gives it to the next call, whichever it is."
    )
    symptoms = ("UDP connection refused", "ECONNREFUSED on recv", "[Errno 111] UDP", "ConnectionRefusedError sendto")
    proof = (
        "A call on a connected UDP socket failed with ECONNREFUSED after a datagram had gone out, no answer ever came from "
        "that port, and no traced socket had it."
    )
    fix = "Start the receiver, or use the port that it has bound; treat the error as one lost datagram, and ask again."
    disproof = "A socket was bound to that address and port when the datagram came."
    references = ("udp(7)", "RFC 1122 4.1.3.3")
    subject = "destination"
    needs = (Flows, HostAnswers, Unheard)
    effects = ("no-time-limit-for-answer", "failed-call-ignored")

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        unheard = facts[Unheard]
        found = unheard.of(subject)
        if found is None or not found.refused:
            return
        told = found.refused[0]
        if unheard.coped(subject, found):
            yield Healthy(
                [call.call.id for call in found.refused], "the program asked again, or elsewhere, until it was answered"
            )
            return
        late = unheard.bound_later(subject, found)
        if late is not None and late.bind is not None and not found.lost_before(late.bind.end_ns):
            # It was sent again when the receiver was there: that one need not answer.
            return
        lost = next((call for call in reversed(found.sends) if call.end_ns <= told.end_ns), found.first)
        gone = unheard.gone(subject, told.end_ns)
        other = ""
        if gone:
            other = f" {facts.who(gone[-1].process)} had it and closed it before."
        why = f"{lost.text()} met no socket: {subject.where} is not bound. The answer of its host was given to {told.name}."
        answers = facts[HostAnswers]
        rows = [lost.proof(), told.proof(_how(told.call.id, told.name, told.errno)), *unheard.proof(subject, found)]
        held = answers.holder(told.call, "udp", subject.where)
        if held is not None:
            yield self.cannot_tell("facts", f"{subject.where} was refused, yet a socket was bound there afterwards")
            return
        if answers.is_local(told.call, subject.where.host):
            rows += answers.proof(told.call, "sockets", f"no UDP socket on {subject.where}")
        yield Evidence(
            self,
            told.end_ns,
            why + other,
            rows,
            call=told.call,
            socket=next(iter(found.sockets)),
            process=told.call.process,
            subjects=frozenset({*found.sockets, *(entry.id for entry in gone)}),
            calls=[call.call.id for call in found.refused],
            count=len(found.refused),
        )

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        flows = facts[Flows]
        for (protocol, where), target in flows.targets.items():
            # traceroute(8) asks ports from 33434 on, of which it expects nothing else.
            if protocol != _UDP or target.answered_ns is not None or _TRACED_PORTS[0] <= where.port < _TRACED_PORTS[1]:
                continue
            for flow, icmp in target.unreachable:
                first = flow.halves[0].first
                closed = (icmp.version, icmp.type, icmp.code) in ((4, 3, 3), (6, 1, 4))
                if first is None or not closed or not flows.own([flow]):
                    continue
                yield Evidence(
                    self,
                    icmp.seen.at_ns,
                    f"{icmp.source} answered the datagram to {flow.name(1)} with ICMP port unreachable, and no datagram ever "
                    "came from that port.",
                    [
                        first.proof(f"datagram from {flow.name(0)} to {flow.name(1)}"),
                        icmp.seen.proof(f"ICMP port unreachable from {icmp.source}"),
                    ],
                    socket=flow.socket(0),
                    title="a datagram met a closed port: no socket is bound to it",
                    certainty="strong",
                    severity="warning",
                    subjects=flow.subjects,
                    count=len(target.unreachable),
                    where=flow.name(1),
                )
                break


def _how(id: int, name: str, error: int | None) -> str:
    if error == errno.ECONNREFUSED:
        return f"call {id} {name} = ECONNREFUSED"
    return f"call {id} getsockopt(SO_ERROR) gave ECONNREFUSED"
