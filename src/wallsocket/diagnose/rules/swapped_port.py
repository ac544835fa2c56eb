"""The port number has its bytes in the wrong order."""

from __future__ import annotations

from collections.abc import Iterator

from ..address import Address, swapped
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.datagrams import Datagrams
from ..trackers.refused import Refused
from ..vocabulary import SOCK_DGRAM

__all__ = ["SwappedPort"]


class SwappedPort(Rule):
    """The port number has its bytes in the wrong order."""

    id = "swapped-port"
    title = "the two bytes of the port are swapped"
    covers = (15,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Ports travel with the high byte first. A port that is stored without htons, or put through it twice, names "
        "another port: 5001 becomes 35091."
    )
    symptoms = ("connects to the wrong port", "listens on an odd port", "htons", "byte order")
    proof = (
        "What was tried on a port failed because nothing is there, while a socket has the port whose two bytes are "
        "exchanged. Certain when that socket belongs to the traced programs."
    )
    fix = "Convert the port to network byte order exactly once: htons(port); in Python give the plain number."
    disproof = "Both port numbers are what their programs were told to use."
    references = ("byteorder(3)", "ip(7)")
    supersedes = ("nobody-listens", "connected-before-listen")
    subject = "destination"
    needs = (Bound, Datagrams, Refused)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where = subject.where
        meant = Address(where.host, swapped(where.port), where.family)
        if meant.port == where.port:
            return
        if subject.protocol == "udp":
            yield from self._datagrams(facts, subject, meant)
            return
        for one in facts[Refused].of(subject, "byte_swapped_port"):
            refusal, listener = one.refusal, one.listener
            assert listener is not None
            yield Evidence.of_refusal(
                self,
                refusal,
                one.why,
                one.proof,
                certainty=one.cause.certainty,
                subjects=listener.subjects,
            )

    def _datagrams(self, facts: Facts, subject: Destination, meant: Address) -> Iterator[Evidence]:
        """Datagrams to a port that nobody has, while a traced receiver waits in vain on the port exchanged."""
        where, bound = subject.where, facts[Bound]
        if any(True for _ in bound.on(where.port, SOCK_DGRAM, subject.network)):
            return
        for receiver in bound.on(meant.port, SOCK_DGRAM, subject.network):
            bind = receiver.bind
            asked = bind.address if bind is not None else None
            if bind is None or asked is None or asked.port != meant.port or receiver.received:
                continue
            sent = [
                call
                for call in facts[Datagrams].to(where.port)
                if call.end_ns >= bind.end_ns and _reaches(call.address, receiver.local)
            ]
            if not sent:
                continue
            yield Evidence(
                self,
                sent[0].end_ns,
                f"{facts.command(receiver.process)} waits on UDP port {meant.port} and got nothing; {len(sent)} datagrams "
                f"went to {where.port} (0x{where.port:04x}), the same port with its bytes exchanged "
                f"(0x{meant.port:04x}).",
                [sent[0].proof(), bind.proof()],
                call=sent[0].call,
                socket=sent[0].call.socket,
                process=sent[0].call.process,
                subjects=frozenset({receiver.id}),
            )


def _reaches(where: Address | None, receiver: Address) -> bool:
    """Whether a datagram for ``where`` would have reached the receiver, were it not for the port."""
    return where is not None and (where.host == receiver.host or (where.loopback and receiver.wildcard))
