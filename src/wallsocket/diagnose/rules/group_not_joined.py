"""A receiver that cannot get the group's datagrams."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.group_receivers import GroupReceivers
from ..trackers.memberships import Memberships
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp

__all__ = ["GroupNotJoined"]


class GroupNotJoined(Rule):
    """A receiver that cannot get the group's datagrams."""

    id = "group-not-joined"
    title = "multicast does not reach the socket: it is bound to a unicast address, or has not joined the group"
    covers = (80,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A socket gets datagrams of a group when it is bound to the group's address or to all addresses, and the group was "
        "joined. One that is bound to an address of an interface gets only what is sent to that address, joined or not."
    )
    symptoms = ("multicast not received", "IP_ADD_MEMBERSHIP no packets", "multicast works on Windows but not on Linux")
    proof = (
        "Datagrams went to a group on the socket's port in its network while it was bound, and it read none of them; it is "
        "bound to another address than the group or all, or had not joined the group."
    )
    fix = "Bind to the group's address or to all addresses (''), and join the group with IP_ADD_MEMBERSHIP."
    disproof = "The socket is not meant to hear that group."
    references = ("ip(7)", "RFC 1112 7.1")
    needs = (GroupReceivers, Memberships, Reads, SetUp)
    given = SetUp

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        bind = facts[SetUp].of(subject).bind
        if bind is None or not subject.udp:
            return
        asked = bind.address or subject.local
        for deaf in facts[GroupReceivers].of(subject):
            came = deaf.proof_of()
            if came is None or asked is None:
                continue
            unicast = not asked.wildcard and not asked.group
            member = deaf.member
            own = unicast or facts[Memberships].of(subject).joined or facts[Reads].of(subject).calls
            if member is None and own:
                # Nothing says that it was to hear this group: it has an address, groups or senders of its own.
                continue
            if member is None and (asked.group and asked.host != deaf.where.host):
                continue
            if member is not None and not unicast:
                continue
            rows = [bind.proof(), came.proof()]
            if member is not None:
                rows.insert(1, member.call.proof(f"call {member.call.call.id} setsockopt: joined {member.group}"))
                why = f"The group {member.group} was joined, but the socket is bound to {asked.host}: datagrams to " + (
                    f"{deaf.where} are not for it."
                )
                call = bind
            else:
                why = f"Datagrams to {deaf.where} came to the port of this socket, which has not joined the group."
                call = bind
            yield Evidence(
                self,
                came.at_ns,
                why,
                rows,
                call=call.call,
                socket=subject.id,
                process=bind.call.process,
                title="the socket joined the group, but is bound to a unicast address"
                if member is not None
                else "datagrams of a group came, and the socket has not joined it",
                certainty="certain" if member is not None else "strong",
                subjects=frozenset(
                    one.call.call.socket for one in deaf.sends if one.call is not None and one.call.call.socket
                ),
            )
            return
