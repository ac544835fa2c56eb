"""Sockets that should have heard a group and did not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..address import Address
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker
from .group_traffic import GroupTraffic, ToMany
from .memberships import Membership, Memberships
from .network import Networks
from .reads import Reads
from .set_up import SetUp

__all__ = ["Deaf", "GroupReceivers"]


class Deaf(NamedTuple):
    """A receiver that read nothing of a group whose datagrams came to its port."""

    where: Address  #: group and port
    member: Membership | None  #: its membership of that group
    sends: list[ToMany]  #: in its network, while it was bound
    frames: list[ToMany]  #: seen in its network, while it was bound
    elsewhere: list[ToMany]  #: sends in other networks

    def proof_of(self) -> ToMany | None:
        """What shows that datagrams came: a frame, else a send."""
        return next(iter([*self.frames, *self.sends]), None)


class GroupReceivers(Tracker):
    """Compares who is bound with what was sent to groups."""

    needs = (GroupTraffic, Memberships, Networks, Reads, SetUp)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._known: tuple[SocketFacts, list[Deaf]] | None = None

    def of(self, socket: SocketFacts) -> list[Deaf]:
        """The groups on a socket's port that it heard nothing of."""
        if self._known is None or self._known[0] is not socket:
            self._known = (socket, list(self._deaf(socket)))
        return self._known[1]

    def _deaf(self, socket: SocketFacts) -> Iterator[Deaf]:
        bind = self.facts[SetUp].of(socket).bind
        local = socket.local
        if not socket.udp or bind is None or local is None or not local.port:
            return
        until_ns = socket.ended_ns if socket.ended_ns is not None else self.facts.now_ns
        traffic, members, reads = self.facts[GroupTraffic], self.facts[Memberships], self.facts[Reads].of(socket)
        groups: dict[Address, Deaf] = {}
        for one in (*traffic.sends(local.port), *traffic.frames(local.port)):
            if not one.where.group or not bind.end_ns <= one.at_ns < until_ns:
                continue
            if one.call is not None and one.call.call.socket == socket.id:
                continue
            deaf = groups.get(one.where)
            if deaf is None:
                deaf = groups[one.where] = Deaf(one.where, members.of(socket).of(one.where.host), [], [], [])
            if one.network is not None and socket.network is not None and one.network != socket.network:
                if one.call is not None:
                    deaf.elsewhere.append(one)
            else:
                (deaf.frames if one.call is None else deaf.sends).append(one)
        for deaf in groups.values():
            everything = (*deaf.sends, *deaf.frames, *deaf.elsewhere)
            if not any(one.is_read(read) for one in everything for read in reads.recent):
                yield deaf

    def interface(self, socket: SocketFacts, member: Membership) -> str | None:
        """The interface on which a group was joined; ``None``: not known."""
        networks = self.facts[Networks]
        if member.number:
            return networks.interface_numbered(socket.network, member.number)
        if member.chosen:
            return networks.interface_of(socket.network, member.interface)
        return networks.interface_to(socket.network, member.group)
