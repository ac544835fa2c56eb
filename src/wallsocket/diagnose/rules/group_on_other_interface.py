"""A group that was joined where its datagrams do not come."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.group_receivers import GroupReceivers
from ..trackers.host_answers import HostAnswers
from ..trackers.memberships import Memberships
from ..trackers.network import Networks

__all__ = ["GroupOnOtherInterface"]


class GroupOnOtherInterface(Rule):
    """A group that was joined where its datagrams do not come."""

    id = "group-on-other-interface"
    title = "the group was joined on another interface than the one its datagrams come to"
    covers = (79,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A group is joined on one interface. Where the program names none, the kernel takes that of the route to the group, "
        "usually the default route's; without such a route the call fails with ENODEV."
    )
    symptoms = (
        "multicast not received on second interface",
        "ENODEV IP_ADD_MEMBERSHIP",
        "No such device",
        "wrong interface",
    )
    proof = (
        "The socket joined the group on one interface, frames to the group and port were seen on another one of its network, "
        "and it read none; or the join failed with ENODEV."
    )
    fix = "Name the interface in the join: its address in imr_interface, or its number in ip_mreqn or MCAST_JOIN_GROUP."
    disproof = "The group was joined on the other interface as well."
    references = ("ip(7)", "ipv6(7)")
    needs = (GroupReceivers, HostAnswers, Memberships, Networks)
    given = Memberships
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        yield from self._refused(facts, subject)
        receivers = facts[GroupReceivers]
        for deaf in receivers.of(subject):
            member = deaf.member
            if member is None:
                continue
            here = {
                receivers.interface(subject, one)
                for one in facts[Memberships].of(subject).joined.values()
                if one.group == member.group
            }
            seen = next((one for one in deaf.frames if one.interface is not None), None)
            if None in here or seen is None or any(one.interface in here for one in deaf.frames):
                continue
            local = subject.local
            if local is None or not (local.wildcard or local.group):
                continue
            joined = ", ".join(sorted(name for name in here if name))
            named = "" if member.chosen else " (the route's: the program named none)"
            yield Evidence(
                self,
                seen.at_ns,
                f"{member.group} was joined on {joined}{named}; its datagrams came on {seen.interface}, and the socket read "
                "none of them.",
                [
                    member.call.proof(f"call {member.call.call.id} setsockopt: joined {member.group} on {joined}"),
                    seen.proof(),
                    *facts[Networks].proof(subject.network, "addresses", f"interfaces; joined on {joined}"),
                ],
                call=member.call.call,
                socket=subject.id,
                process=member.call.call.process,
            )
            return

    def _refused(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        members = facts[Memberships].of(subject)
        for one in members.failed:
            call = one.call
            if call.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL) or members.of(one.group) is not None:
                continue
            if one.chosen:
                which = f"with number {one.number}" if one.number else f"with the address {one.interface}"
                why = f"There is no interface {which}: {one.group} was not joined."
            else:
                why = f"No interface was named, and no route leads to {one.group}: the kernel knows none to join it on."
            name = errno.errorcode.get(call.errno or 0, "")
            yield Evidence(
                self,
                call.end_ns,
                why,
                [
                    call.proof(f"call {call.call.id} setsockopt: join {one.group} = {name}"),
                    *facts[HostAnswers].proof(call.call, "addresses", "the addresses of the interfaces"),
                ],
                call=call.call,
                socket=subject.id,
                process=call.call.process,
                title="the group was not joined: the kernel knows no interface for it",
            )
