"""The first datagrams left before their receiver was there."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import Destination
from ..trackers.unheard import Unheard

__all__ = ["SentBeforeBound"]


class SentBeforeBound(Rule):
    """The first datagrams left before their receiver was there."""

    id = "sent-before-bound"
    title = "the first datagrams were sent before the receiver had bound its port"
    covers = (38,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The kernel keeps datagrams for sockets that are bound, and for nobody else. What comes before bind is thrown away, "
        "also when the receiver is just starting."
    )
    symptoms = ("first UDP packets lost", "first messages missing at start", "race at start UDP")
    proof = (
        "Datagrams went to a port before a traced socket bound it: an ICMP port unreachable quotes one, a call failed with "
        "ECONNREFUSED, or NoPorts rose; and they were not sent again after the bind."
    )
    fix = "Wait until the receiver says that it is ready, or send again until it answers."
    disproof = "Another socket had the port until then."
    references = ("udp(7)", "bind(2)")
    subject = "destination"
    needs = (Unheard,)
    supersedes = ("datagrams-to-nobody", "datagram-refused")
    effects = ("no-time-limit-for-answer",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        unheard = facts[Unheard]
        found = unheard.of(subject)
        late = unheard.bound_later(subject, found) if found is not None else None
        if found is None or late is None or late.bind is None or unheard.had_it(subject, found.first.entry_ns):
            return
        bound_ns = late.bind.end_ns
        told = [call for call in found.refused if call.end_ns < bound_ns]
        lost = found.lost_before(bound_ns)
        if not lost:
            if told:
                yield Healthy([call.call.id for call in told], "the program sent it again when the receiver was there")
            return
        proof = unheard.proof(subject, found)
        if not proof and not told:
            return
        first = lost[0]
        yield Evidence(
            self,
            first.end_ns,
            f"{_count(len(lost))} to {subject.where} left before {facts.who(late.process)} had bound it, "
            f"{(bound_ns - first.end_ns) / 1e9:.3f} s after the first, and met nobody.",
            [
                first.proof(),
                *[call.proof(f"call {call.call.id} {call.name} told of ECONNREFUSED") for call in told[:1]],
                *[row for row in proof if row.at_ns <= bound_ns + 1_000_000_000],
                late.bind.proof(f"{late.bind.text()}, later"),
            ],
            call=first.call,
            socket=first.call.socket,
            process=first.call.process,
            certainty="certain" if told or unheard.on_wire(subject) else "strong",
            subjects=frozenset({*found.sockets, late.id}),
            calls=[call.call.id for call in told],
            count=1,
        )


def _count(number: int) -> str:
    return "A datagram" if number == 1 else f"{number} datagrams"
