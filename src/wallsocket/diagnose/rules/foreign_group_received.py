"""Datagrams of a group that the socket has not joined."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.group_traffic import GroupTraffic
from ..trackers.memberships import Memberships
from ..trackers.options import Options
from ..trackers.reads import Reads
from ..vocabulary import IP_MULTICAST_ALL, IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6

__all__ = ["ForeignGroupReceived"]

_IPV6_MULTICAST_ALL = 29  # linux/in6.h
_IPV6_RECVPKTINFO = 49


class ForeignGroupReceived(Rule):
    """Datagrams of a group that the socket has not joined."""

    id = "foreign-group-received"
    title = "the socket gets datagrams of a group that it has not joined: IP_MULTICAST_ALL is on"
    covers = (84,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A socket bound to all addresses gets the datagrams of every group that anybody on the host has joined, on its port: "
        "IP_MULTICAST_ALL is on by default. Joining a group does not keep the others out."
    )
    symptoms = ("receives multicast from other groups", "wrong multicast group data", "IP_MULTICAST_ALL")
    proof = (
        "The socket has joined one group, read bytes that were sent to another one on its port, and neither switched "
        "IP_MULTICAST_ALL off nor asked for the destination address (IP_PKTINFO)."
    )
    fix = "Set IP_MULTICAST_ALL to 0, or bind to the group's address instead of all addresses."
    disproof = "The same bytes were sent to the socket's own group as well."
    references = ("ip(7)",)
    needs = (GroupTraffic, Memberships, Options, Reads)
    given = Memberships

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        members, options, local = facts[Memberships].of(subject), facts[Options], subject.local
        if local is None or not local.wildcard or not members.joined:
            return
        for level, name in ((IPPROTO_IP, IP_MULTICAST_ALL), (IPPROTO_IPV6, _IPV6_MULTICAST_ALL)):
            call = options.call(subject, level, name)
            if call is not None and not any(call.value[:4]):
                return
        for level, name in ((IPPROTO_IP, IP_PKTINFO), (IPPROTO_IPV6, _IPV6_RECVPKTINFO)):
            if options.number_set(subject, level, name):
                return
        sends = facts[GroupTraffic].sends(local.port)
        for read in facts[Reads].of(subject).recent:
            if len(read.payload) < 4:
                continue
            alike = [one for one in sends if one.is_read(read) and one.at_ns <= read.end_ns]
            if not alike or any(not one.where.group or members.of(one.where.host) is not None for one in alike):
                continue
            one = alike[-1]
            joined = next(iter(members.joined.values()))
            yield Evidence(
                self,
                read.end_ns,
                f"{read.text()} took a datagram to {one.where.host}; the socket has joined "
                f"{', '.join(dict.fromkeys(member.group for member in members.joined.values()))} only.",
                [
                    joined.call.proof(f"call {joined.call.call.id} setsockopt: joined {joined.group}"),
                    one.proof(),
                    read.proof(),
                ],
                call=joined.call.call,
                socket=subject.id,
                process=read.call.process,
                certainty="strong",
                severity="warning",
            )
            return
