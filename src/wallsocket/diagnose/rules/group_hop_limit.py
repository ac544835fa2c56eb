"""Multicast that no router passes on."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.group_receivers import GroupReceivers
from ..trackers.memberships import Memberships
from ..trackers.network import Networks

__all__ = ["GroupHopLimit"]


class GroupHopLimit(Rule):
    """Multicast that no router passes on."""

    id = "group-hop-limit"
    title = "multicast ends at the first router: its TTL is 1"
    covers = (81,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Multicast datagrams start with a TTL (IPv6: hop limit) of 1 unless the program asks for more: every router throws "
        "them away, and they stay in the sender's own network."
    )
    symptoms = ("multicast does not cross router", "multicast only works in same subnet", "IP_MULTICAST_TTL")
    proof = (
        "The sender had a multicast TTL of 1; the receiver had joined the group in another network, shares no subnet with the "
        "sender, and read nothing."
    )
    fix = "Set IP_MULTICAST_TTL (IPV6_MULTICAST_HOPS) at the sender to the number of routers on the way plus one."
    disproof = "Sender and receiver are in one subnet."
    references = ("ip(7)", "RFC 1112 6.1")
    needs = (GroupReceivers, Memberships, Networks)
    given = Memberships

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        networks = facts[Networks]
        for deaf in facts[GroupReceivers].of(subject):
            if deaf.member is None or deaf.sends or deaf.frames:
                continue
            for one in deaf.elsewhere:
                if one.ttl > 1 or one.call is None:
                    continue
                here = _subnets(networks, subject.network)
                there = _subnets(networks, one.network)
                if not here or not there or here & there:
                    continue
                yield Evidence(
                    self,
                    one.at_ns,
                    f"{one.call.text()} went out with a TTL of {one.ttl}; {facts.who(subject.process)}, which had joined "
                    f"{deaf.member.group}, is behind a router and heard nothing.",
                    [
                        one.proof(),
                        deaf.member.call.proof(
                            f"call {deaf.member.call.call.id} setsockopt: joined {deaf.member.group}"
                        ),
                        *networks.proof(subject.network, "addresses", f"the receiver is in {', '.join(sorted(here))}"),
                        *networks.proof(one.network, "addresses", f"the sender is in {', '.join(sorted(there))}"),
                    ],
                    call=one.call.call,
                    socket=one.call.call.socket,
                    process=one.call.call.process,
                    subjects=frozenset({subject.id}),
                )
                return


def _subnets(networks: Networks, network: int | None) -> set[str]:
    return {
        str(address.network)
        for _, address in networks.addresses(network)
        if not address.ip.is_loopback and not address.ip.is_link_local
    }
