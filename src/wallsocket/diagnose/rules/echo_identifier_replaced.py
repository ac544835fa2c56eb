"""The kernel chooses the identifier of an ICMP datagram socket."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.echoes import Echoes

__all__ = ["EchoIdentifierReplaced"]


class EchoIdentifierReplaced(Rule):
    """The kernel chooses the identifier of an ICMP datagram socket."""

    id = "echo-identifier-replaced"
    title = "echo replies are passed over: the kernel had put its own identifier into the requests"
    covers = (135,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "On an ICMP datagram socket the kernel writes the socket's own identifier (its local port) into each echo request, "
        "and delivers only replies with it, without an IP header. A program that compares with the identifier it wrote "
        "itself finds no reply."
    )
    symptoms = ("ping 100% packet loss but the host answers", "ICMP id mismatch", "IPPROTO_ICMP SOCK_DGRAM wrong id")
    proof = (
        "A reply with the sequence number and data of a request was read, its identifier differs from the one that was "
        "sent, and the program went on waiting in vain."
    )
    fix = "Match replies by sequence number and data; the identifier is the socket's port as getsockname() tells it."
    disproof = "The program counted that reply."
    references = ("icmp(7)", "RFC 792")
    needs = (Echoes,)
    given = Echoes

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        for request, reply, wait in facts[Echoes].of(subject).replaced:
            call = reply.call
            yield Evidence(
                self,
                call.end_ns,
                f"The request went out with identifier {request.identifier} in its bytes; its reply (sequence number "
                f"{reply.sequence}, same data) has {reply.identifier}, which the kernel had put in. The program waited on.",
                [
                    request.call.proof(f"{request.call.text()}: echo request {request.identifier}/{request.sequence}"),
                    call.proof(f"{call.text()}: echo reply {reply.identifier}/{reply.sequence}"),
                    wait.proof(),
                ],
                call=call.call,
                socket=subject.id,
                process=call.call.process,
            )
