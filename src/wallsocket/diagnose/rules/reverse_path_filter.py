"""Packets that the kernel drops because of where they come from."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Host
from ..trackers.counters import Counters
from ..trackers.settings import Settings

__all__ = ["ReversePathFilter"]

_COUNTER = "TcpExtIPReversePathFilter"


class ReversePathFilter(Rule):
    """Packets that the kernel drops because of where they come from."""

    id = "reverse-path-filter"
    title = "packets were dropped by the reverse-path filter: the route back leads through another interface"
    covers = (82,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "With net.ipv4.conf.*.rp_filter on, the kernel drops a packet that came on another interface than the one on which it "
        "would answer its source. A capture still sees it; the program does not, and nobody is told."
    )
    symptoms = ("tcpdump sees packets but the program does not", "IPReversePathFilter", "rp_filter", "martian source")
    proof = "The namespace's counter IPReversePathFilter rose during the run, in a network that only this program uses."
    fix = (
        "Give the source a route through the interface it comes from, or set rp_filter to 2 (loose) for that interface."
    )
    disproof = "The packets that were counted were not for this program."
    references = ("ip(7)", "RFC 3704 2.2")
    subject = "host"
    needs = (Counters, Settings)

    def judge(self, facts: Facts, subject: Host) -> Iterator[Judgement]:
        counters = facts[Counters]
        for network in counters.networks(_COUNTER):
            shared = counters.shared(network, _COUNTER)
            if shared is not None:
                yield self.cannot_tell("facts", shared)
                continue
            count, proof = counters.risen_in(network, _COUNTER)
            if proof is None:
                continue
            yield Evidence(
                self,
                proof.at_ns,
                f"The kernel dropped {count} packet{'s' if count > 1 else ''} of this run: the route back to their source "
                "leads through another interface than the one they came on.",
                [proof, *facts[Settings].proof(network, "net.ipv4.conf.all.rp_filter")],
            )
