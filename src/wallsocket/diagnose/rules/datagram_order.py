"""Datagrams in another order than they were sent, or twice."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.arrivals import Arrivals

__all__ = ["DatagramOrder"]


class DatagramOrder(Rule):
    """Datagrams in another order than they were sent, or twice."""

    id = "datagram-order"
    title = "datagrams were read out of order, or twice"
    covers = (37,)
    severity = "note"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "UDP keeps no order and may deliver a datagram twice. On one host that never happens; on the way through a "
        "network it does, and a program that appends what it reads then has wrong data."
    )
    symptoms = ("UDP packets out of order", "duplicate UDP packets", "UDP data corrupted")
    proof = (
        "Datagrams that one traced socket sent once each, recognised by their bytes, were read by another in "
        "another order, or one of them twice."
    )
    fix = "Number the datagrams; put them in order by their numbers and drop those that came before."
    disproof = "The receiver does not depend on the order, or has numbers in its messages."
    references = ("udp(7)", "RFC 8085 3.3")
    needs = (Arrivals,)
    given = Arrivals

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        found = facts[Arrivals].of(subject)
        if found.reordered is not None:
            sent, earlier, read = found.reordered
            times = f" {found.swaps} times" if found.swaps > 1 else ""
            yield self._evidence(
                subject,
                read,
                f"{read.text()} brought what had been sent before the datagram of {earlier.text()}{times}.",
                [sent.proof(), earlier.proof(), read.proof()],
                "datagrams were not read in the order in which they were sent",
            )
        if found.doubled is not None and facts[Arrivals].sent_once(found.doubled[0]):
            sent, read = found.doubled
            yield self._evidence(
                subject,
                read,
                f"{read.text()} brought a datagram once more that was sent once"
                + (f"; {found.doubles} came twice." if found.doubles > 1 else "."),
                [sent.proof(), read.proof()],
                "a datagram that was sent once was read twice",
            )

    def _evidence(self, subject: SocketFacts, read: CallFacts, why: str, rows: list[Proof], title: str) -> Evidence:
        return Evidence(
            self,
            read.end_ns,
            why,
            rows,
            call=read.call,
            socket=subject.id,
            process=read.call.process,
            title=title,
            certainty="strong",
            severity="note",
        )
