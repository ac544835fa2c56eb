"""Multicast: which groups a socket has joined and where, and how it sends."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from ..address import address_of
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import IPPROTO_IP, IPPROTO_IPV6

__all__ = ["Membership", "MembershipFacts", "Memberships"]

#: Memberships of one socket, and sockets that are remembered.
_KEPT = 256
_SOCKETS = 10_000
# linux/in.h, linux/in6.h: options that join and leave, and what their value starts with.
_BY_ADDRESS = {35: True, 36: False}  # IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP: struct ip_mreq or ip_mreqn
_BY_SOURCE = {39: True, 40: False}  # IP_ADD_SOURCE_MEMBERSHIP …: struct ip_mreq_source
_BY_INDEX = {42: True, 45: False, 46: True, 47: False}  # MCAST_JOIN_GROUP …: struct group_req, group_source_req
_BY_INDEX_6 = {20: True, 21: False}  # IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP: struct ipv6_mreq


class Membership(NamedTuple):
    """A group, and the interface that was named."""

    group: str
    interface: str  #: address of the interface; empty: none was named by address
    number: int  #: number of the interface; 0: none was named by number
    call: CallFacts

    @property
    def chosen(self) -> bool:
        """Whether the program named an interface; else the kernel takes that of the route to the group."""
        return bool(self.number) or self.interface not in ("", "0.0.0.0")  # noqa: S104


class MembershipFacts:
    """The memberships of one socket."""

    __slots__ = ("failed", "joined")

    def __init__(self) -> None:
        self.joined: dict[tuple[str, str, int], Membership] = {}
        self.failed: list[Membership] = []  #: joins that the kernel refused

    def of(self, group: str) -> Membership | None:
        """The membership of a group, on whichever interface."""
        return next((one for one in self.joined.values() if one.group == group), None)


class Memberships(SocketTracker[MembershipFacts]):
    """Reads the options that join and leave groups (ip(7), ipv6(7))."""

    kept = MembershipFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.joined_ever: dict[int, Membership] = {}  #: socket -> its first membership, also when it is gone
        self.members: dict[
            str, list[tuple[int, int | None, Membership]]
        ] = {}  #: group -> (socket, network, membership)

    @returned("setsockopt")
    def changed(self, call: CallFacts) -> None:
        """An option was set."""
        option = call.option
        if call.socket is None or option is None or option[0] not in (IPPROTO_IP, IPPROTO_IPV6):
            return
        found = _membership(call, *option)
        if found is None:
            return
        joins, one = found
        facts = self.keep(call.socket)
        key = (one.group, one.interface, one.number)
        if not joins:
            facts.joined.pop(key, None)
        elif not call.succeeded:
            if len(facts.failed) < _KEPT:
                facts.failed.append(one)
        elif len(facts.joined) < _KEPT:
            facts.joined[key] = one
            if len(self.joined_ever) < _SOCKETS:
                self.joined_ever.setdefault(call.socket.id, one)
                members = self.members.setdefault(one.group, [])
                if len(members) < _KEPT:
                    members.append((call.socket.id, call.socket.network, one))

    def has(self, socket: SocketFacts, group: str) -> bool:
        """Whether a socket has joined a group."""
        return self.of(socket).of(group) is not None


def _membership(call: CallFacts, level: int, name: int) -> tuple[bool, Membership] | None:
    value = call.value
    if level == IPPROTO_IP and name in _BY_ADDRESS and len(value) >= 8:
        index = int.from_bytes(value[8:12], "little") if len(value) >= 12 else 0
        return _BY_ADDRESS[name], Membership(_four(value), _four(value[4:]), index, call)
    if level == IPPROTO_IP and name in _BY_SOURCE and len(value) >= 12:
        return _BY_SOURCE[name], Membership(_four(value), _four(value[4:]), 0, call)
    if level == IPPROTO_IPV6 and name in _BY_INDEX_6 and len(value) >= 20:
        group = str(ipaddress.IPv6Address(value[:16]))
        return _BY_INDEX_6[name], Membership(group, "", int.from_bytes(value[16:20], "little"), call)
    if name in _BY_INDEX and len(value) >= 24:
        where = address_of(value[8 : 8 + (28 if level == IPPROTO_IPV6 else 16)])
        if where is not None:
            return _BY_INDEX[name], Membership(where.host, "", int.from_bytes(value[:4], "little"), call)
    return None


def _four(value: bytes) -> str:
    return str(ipaddress.IPv4Address(value[:4]))
