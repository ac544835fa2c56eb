"""A fragment is lost, and the whole datagram with it."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Host
from ..trackers.counters import Counters
from ..trackers.large_sends import LargeSends

__all__ = ["FragmentsLost"]


class FragmentsLost(Rule):
    """A fragment is lost, and the whole datagram with it."""

    id = "fragments-lost"
    title = "large datagrams are lost: a fragment of each is missing"
    covers = (32,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "A datagram that is longer than the path's MTU travels in fragments, and is delivered only when all of them have come "
        "(within net.ipv4.ipfrag_time seconds, 30 by default). One that is lost or filtered on the way takes the whole "
        "datagram with it."
    )
    symptoms = (
        "large UDP packets lost, small ones arrive",
        "IpReasmFails",
        "fragments dropped",
        "DNS over UDP large answers lost",
    )
    proof = (
        "Fragments came to a host of the run (ReasmReqds rose); reassembly failed there (ReasmFails rose), or not one datagram "
        "was put together, though traced programs had sent datagrams longer than a frame."
    )
    fix = "Keep datagrams below the path's MTU (1,200 bytes pass everywhere), or use a stream; let fragments pass the filter."
    disproof = "The counters rose for traffic of somebody else."
    references = ("ip(7)", "RFC 8900", "RFC 8085 3.2")
    subject = "host"
    needs = (Counters, LargeSends)

    def judge(self, facts: Facts, subject: Host) -> Iterator[Judgement]:
        counters, large = facts[Counters], facts[LargeSends]
        for prefix in ("Ip", "Ip6"):
            for network in counters.networks(f"{prefix}ReasmReqds"):
                came, row = counters.risen_in(network, f"{prefix}ReasmReqds")
                failed, proof = counters.risen_in(network, f"{prefix}ReasmFails")
                whole, _ = counters.risen_in(network, f"{prefix}ReasmOKs")
                if row is None or (not failed and (whole or not large.count)):
                    continue
                shared = counters.shared(network, f"{prefix}ReasmReqds")
                if shared is not None:
                    yield self.cannot_tell("facts", shared)
                    continue
                call = large.first[0] if large.first else None
                lost = f"reassembly failed {failed} times" if failed else "no datagram was put together"
                yield Evidence(
                    self,
                    row.at_ns,
                    f"{came} fragments came, and {lost}"
                    + (
                        f"; {large.count} datagrams longer than a frame had been sent, the first by {call.text()}."
                        if call
                        else "."
                    ),
                    [*([call.proof()] if call is not None else []), row, *([proof] if proof is not None else [])],
                    call=call.call if call is not None else None,
                    socket=call.call.socket if call is not None else None,
                    process=call.call.process if call is not None else None,
                    certainty="certain" if failed else "strong",
                )
