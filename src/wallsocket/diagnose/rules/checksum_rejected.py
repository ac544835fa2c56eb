"""A packet that a program made by itself has a wrong checksum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.counters import Counters
from ..trackers.raw_sockets import RawSockets

__all__ = ["ChecksumRejected"]

_COUNTERS: Final = {
    "TcpInCsumErrors": "TCP",
    "UdpInCsumErrors": "UDP",
    "Udp6InCsumErrors": "UDP",
    "IcmpInCsumErrors": "ICMP",
    "Icmp6InCsumErrors": "ICMPv6",
    "IpExtInCsumErrors": "IP header",
}


class ChecksumRejected(Rule):
    """A packet that a program made by itself has a wrong checksum."""

    id = "checksum-rejected"
    title = "crafted packets were thrown away by the receiver: their checksum is wrong"
    covers = (89,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "A program that sends through a raw or packet socket computes the checksums itself. TCP and UDP include a "
        "pseudo-header of both addresses, the protocol and the length. A receiver throws away what does not fit, "
        "without an answer."
    )
    symptoms = (
        "raw socket packet ignored",
        "crafted TCP SYN gets no answer",
        "InCsumErrors",
        "bad checksum raw socket",
    )
    proof = (
        "A traced raw or packet socket sent packets, and the receiving namespace's counter of wrong checksums (InCsumErrors) "
        "rose, in a network that only this program uses."
    )
    fix = "Compute the checksum over pseudo-header, header and data with the checksum field at 0 (RFC 9293, 3.1; RFC 768)."
    disproof = "The counter rose for packets of somebody else."
    references = ("raw(7)", "RFC 1071", "RFC 9293 3.1")
    subject = "process"
    needs = (Counters, RawSockets)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        call, sent = facts[RawSockets].first_sent.get(subject.id, (None, 0))
        if call is None:
            return
        counters = facts[Counters]
        for name, what in _COUNTERS.items():
            for network in counters.networks(name):
                count, proof = counters.risen_in(network, name)
                if proof is None or proof.at_ns < call.entry_ns:
                    continue
                shared = counters.shared(network, name)
                if shared is not None:
                    yield self.cannot_tell("facts", shared)
                    continue
                yield Evidence(
                    self,
                    proof.at_ns,
                    f"{count} packet{'s' if count > 1 else ''} arrived with a wrong {what} checksum; the program sent "
                    f"{sent} of its own making.",
                    [call.proof(), proof],
                    call=call.call,
                    socket=call.call.socket,
                    process=subject.id,
                )
                return
