"""A connection is asked for and nobody answers."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.waits import Waits
from ..vocabulary import SYN_SENT

__all__ = ["ConnectUnanswered"]


class ConnectUnanswered(Rule):
    """A connection is asked for and nobody answers."""

    id = "connect-unanswered"
    title = "connect gets no answer: the SYN is dropped"
    covers = (18,)
    severity = "warning"
    certainty = "strong"
    layers = ("kernel",)
    sentence = (
        "A host that is there answers a SYN, with SYN-ACK or RST. No answer at all means that the packet or its answer "
        "is dropped: a firewall, a wrong route, a host that is off, or a listener whose accept queue is full."
    )
    symptoms = ("connection timed out", "ETIMEDOUT from connect", "connect hangs", "SYN_SENT")
    proof = "The socket is in SYN_SENT, and the kernel has sent the SYN again without an answer."
    fix = "Look for a firewall or a wrong route on the way; give connect a time limit of a few seconds."
    disproof = "The answer comes after a single repetition: the SYN was lost by chance."
    references = ("connect(2)", "tcp(7)", "RFC 6298 5")
    pictures = "only"
    needs = (Waits,)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        last, earlier = subject.last, subject.earlier
        info = last.info if last is not None else None
        if last is None or not subject.tcp or last.state != SYN_SENT or earlier is None or earlier.state != SYN_SENT:
            return
        again = (info.total_retransmitted_segments or info.retransmits or 0) if info is not None else 0
        if not again:
            return
        wait = next(iter(facts[Waits].of(subject).now.values()), None)
        rows: list[Proof] = [last.proof(f"SYN_SENT, the SYN was repeated {again} times")]
        if wait is not None:
            rows.append(wait.proof())
        who = (
            f"{facts.who(subject.process)} {facts[Waits].doing(wait)}"
            if wait is not None
            else facts.who(subject.process)
        )
        yield Evidence(
            self,
            wait.entry_ns if wait is not None else last.at_ns,
            f"{who}: {subject.remote} has not answered the SYN, which was sent {again + 1} times.",
            rows,
            call=wait.call if wait is not None else None,
            socket=subject.id,
            process=subject.process,
            certainty="strong" if again > 1 else "hint",
            severity="warning" if again > 1 else "note",
        )
