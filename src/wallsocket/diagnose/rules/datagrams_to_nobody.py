"""Datagrams to a port that nobody has, and nobody is told."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.counters import Counters
from ..trackers.unheard import Unheard

__all__ = ["DatagramsToNobody"]


class DatagramsToNobody(Rule):
    """Datagrams to a port that nobody has, and nobody is told."""

    id = "datagrams-to-nobody"
    title = "datagrams vanish: no socket has the port, and the sender is not told"
    covers = (30,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A datagram for a port that no socket has is thrown away; its host answers with ICMP port unreachable. A socket that "
        "is not connected is never told, because the error could belong to any of its destinations."
    )
    symptoms = ("UDP packets not received", "sendto succeeds but nothing arrives", "NoPorts", "packets to unknown port")
    proof = (
        "Datagrams went to an address and port, an ICMP port unreachable quotes one of them (or the receiving host's NoPorts "
        "rose), no call of the sender failed, no answer came, and no traced socket had the port."
    )
    fix = "Start the receiver or correct the port; connect() the socket (or set IP_RECVERR) to be told."
    disproof = "A socket was bound to that address and port when the datagrams came."
    references = ("udp(7)", "RFC 1122 4.1.3.1")
    subject = "destination"
    needs = (Counters, Unheard)
    effects = ("no-time-limit-for-answer",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        unheard = facts[Unheard]
        found = unheard.of(subject)
        if found is None or found.refused or found.read_errors or unheard.coped(subject, found):
            return
        proof = unheard.proof(subject, found)
        there = unheard.had_it(subject, found.first.entry_ns)
        if there or (not proof and unheard.bound_later(subject, found) is None and not self._nobody(facts, subject)):
            return
        if not proof:
            yield self.cannot_tell("wire", f"whether datagrams to {subject.where} met a socket was not recorded")
            return
        seen = unheard.on_wire(subject)
        gone = unheard.gone(subject, proof[0].at_ns)
        other = f" {facts.who(gone[-1].process)} had it and closed it before." if gone else ""
        first = found.first
        yield Evidence(
            self,
            first.end_ns,
            f"No socket has {subject.where}: {'the datagram' if found.count == 1 else f'{found.count} datagrams'} sent there "
            f"met nobody, and no call of the sender failed.{other}",
            [first.proof(), *proof],
            call=first.call,
            socket=next(iter(found.sockets)),
            process=first.call.process,
            certainty="certain" if seen else "strong",
            subjects=frozenset({*found.sockets, *(entry.id for entry in gone)}),
        )

    @staticmethod
    def _nobody(facts: Facts, subject: Destination) -> bool:
        """Whether the question is open at all: this host's own address, and no frame or counter to answer it."""
        return (
            subject.where.loopback
            and facts.wire(subject.network) is not None
            and not facts[Counters].private(subject.network)
        )
