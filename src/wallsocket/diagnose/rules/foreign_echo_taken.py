"""A raw ICMP socket gets everybody's replies."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.echoes import Echoes

__all__ = ["ForeignEchoTaken"]


class ForeignEchoTaken(Rule):
    """A raw ICMP socket gets everybody's replies."""

    id = "foreign-echo-taken"
    title = "another program's echo reply was taken for the answer"
    covers = (92,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A raw ICMP socket gets a copy of every ICMP message that reaches the host, also those that answer other programs. "
        "Only the identifier in the message says whose it is."
    )
    symptoms = ("ping gets wrong replies", "raw socket receives other ICMP packets", "reply from a host I did not ping")
    proof = (
        "A read on a raw ICMP socket returned an echo reply whose identifier the program had not sent, and it did not read "
        "on: it sent the next request or closed the socket."
    )
    fix = "Compare the identifier (and the sequence number) of each reply, and read on when it is not yours."
    disproof = "The program had its answer already, or does not look at replies."
    references = ("raw(7)", "icmp(7)", "RFC 792")
    needs = (Echoes,)
    given = Echoes

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        for request, reply in facts[Echoes].of(subject).foreign:
            call = reply.call
            yield Evidence(
                self,
                call.end_ns,
                f"The reply read has identifier {reply.identifier}, the request that waited for one had "
                f"{request.identifier}: it answers another program, and the program did not read on.",
                [
                    request.call.proof(f"{request.call.text()}: echo request {request.identifier}/{request.sequence}"),
                    call.proof(f"{call.text()}: echo reply {reply.identifier}/{reply.sequence}"),
                ],
                call=call.call,
                socket=subject.id,
                process=call.call.process,
                certainty="strong",
                severity="warning",
            )
