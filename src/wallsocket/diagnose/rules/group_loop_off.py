"""A sender that keeps its datagrams from its own host."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.group_receivers import GroupReceivers
from ..trackers.memberships import Memberships

__all__ = ["GroupLoopOff"]


class GroupLoopOff(Rule):
    """A sender that keeps its datagrams from its own host."""

    id = "group-loop-off"
    title = "receivers on the sender's own host hear nothing: IP_MULTICAST_LOOP is off"
    covers = (83,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "IP_MULTICAST_LOOP of the sending socket decides whether its multicast datagrams also go to members on its own host. "
        "It is on by default; where it is off, only other hosts hear them."
    )
    symptoms = ("multicast not received on same machine", "IP_MULTICAST_LOOP", "local multicast missing")
    proof = (
        "setsockopt switched IP_MULTICAST_LOOP off on the sending socket; a socket of the same network that had joined the "
        "group and bound its port read nothing of what was sent afterwards."
    )
    fix = "Leave IP_MULTICAST_LOOP on at the sender, and pass over one's own datagrams by their source."
    disproof = "The receiver gets those datagrams while the option is off."
    references = ("ip(7)", "RFC 1112 6.1")
    needs = (GroupReceivers, Memberships)
    given = Memberships

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        local = subject.local
        for deaf in facts[GroupReceivers].of(subject):
            member = deaf.member
            if member is None or local is None or not (local.wildcard or local.group) or not deaf.sends:
                continue
            if not all(one.loop_off is not None for one in deaf.sends):
                continue
            first = deaf.sends[0]
            if first.call is None or first.loop_off is None:
                continue
            option = first.loop_off
            yield Evidence(
                self,
                first.at_ns,
                f"{facts.who(first.call.call.process)} sent to {deaf.where} with IP_MULTICAST_LOOP off; "
                f"{facts.who(subject.process)} on the same host had joined the group and heard nothing.",
                [
                    option.proof(f"call {option.call.id} setsockopt(IP_MULTICAST_LOOP, 0)"),
                    first.proof(),
                    member.call.proof(f"call {member.call.call.id} setsockopt: joined {member.group}"),
                ],
                call=option.call,
                socket=first.call.call.socket,
                process=option.call.process,
                subjects=frozenset({subject.id}),
            )
            return
