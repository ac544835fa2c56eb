"""Interfaces, addresses, routes and neighbours of a host, as rtnetlink tells them."""

from __future__ import annotations

from typing import Any

import msgspec

from .._core import kernel as _core

__all__ = ["Hop", "InterfaceAddress", "Link", "LinkCounters", "Neighbour", "Route"]

_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_IFF_RUNNING = 0x40


class LinkCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What went through an interface since it was made: packets, bytes, bad and dropped packets."""

    received_packets: int
    sent_packets: int
    received_bytes: int
    sent_bytes: int
    receive_errors: int
    send_errors: int
    receive_drops: int
    send_drops: int


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface.

    Attributes:
        index: its number.
        name: its name.
        kind: ``"veth"``, ``"bridge"`` …, for virtual ones; else ``None``.
        flags: ``IFF_`` bits; `flags_text` has their names.
        mtu: largest packet, in bytes.
        hardware_type: ARP hardware type: 1 Ethernet, 772 loopback.
        hardware_address: link-layer address.
        master: number of the bridge or bond that it belongs to.
        peer: number of the other end of a veth, which may be in another namespace.
        carrier: whether the driver has a carrier.
        queue_length: packets that its queue may hold.
        counters: packets, bytes, errors and drops.

    """

    index: int
    name: str
    kind: str | None
    flags: int
    mtu: int
    hardware_type: int
    hardware_address: bytes
    master: int | None
    peer: int | None
    carrier: bool | None
    queue_length: int
    counters: LinkCounters

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Link:
        """Take a row of the compiled module."""
        row["counters"] = LinkCounters(**row["counters"])
        return cls(**row)

    @property
    def is_up(self) -> bool:
        """Whether it is switched on."""
        return bool(self.flags & _IFF_UP)

    @property
    def is_running(self) -> bool:
        """Whether it is switched on and has a carrier."""
        return self.is_up and bool(self.flags & _IFF_RUNNING)

    @property
    def is_loopback(self) -> bool:
        """Whether it is the loopback."""
        return bool(self.flags & _IFF_LOOPBACK)

    @property
    def flags_text(self) -> str:
        """The flags by name."""
        return _core.interface_flags(self.flags)


class InterfaceAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address of an interface.

    Attributes:
        interface: number of the interface.
        address: the address.
        prefix_length: length of the network's prefix, in bits.
        peer: the other end of a point-to-point interface.
        broadcast: the broadcast address.
        scope: ``"global"``, ``"link"`` or ``"host"``.
        flags: ``IFA_F_`` bits (linux/if_addr.h).

    """

    interface: int
    address: str
    prefix_length: int
    peer: str | None
    broadcast: str | None
    scope: str
    flags: int


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One way of a route with several: interface number, gateway, share of the traffic."""

    interface: int
    gateway: str | None
    weight: int


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route.

    Attributes:
        family: ``AF_INET`` or ``AF_INET6``.
        destination: network address; ``None`` is every address.
        prefix_length: length of its prefix, in bits.
        gateway: the next router, or ``None`` when the destination is on the link.
        interface: number of the interface.
        preferred_source: source address of packets whose program chose none.
        metric: smaller is preferred.
        table: 254 main, 255 local.
        origin: who made it: ``"kernel"``, ``"static"``, ``"dhcp"`` …
        scope: how far the destination is: ``"global"``, ``"link"``, ``"host"``.
        type: ``"unicast"``, ``"local"``, ``"broadcast"``, ``"blackhole"``, ``"unreachable"``, ``"prohibit"`` …
        mtu: largest packet, where the route sets or learned one.
        hops: all ways, where there are several.

    """

    family: int
    destination: str | None
    prefix_length: int
    gateway: str | None
    interface: int | None
    preferred_source: str | None
    metric: int
    table: int
    origin: str
    scope: str
    type: str
    mtu: int | None
    hops: tuple[Hop, ...]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Route:
        """Take a row of the compiled module."""
        row["hops"] = tuple(Hop(**hop) for hop in row["hops"])
        return cls(**row)


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the neighbour table (ARP or neighbour discovery).

    Attributes:
        interface: number of the interface.
        address: the neighbour's address.
        hardware_address: its link-layer address; empty while unknown.
        state: ``"REACHABLE"``, ``"STALE"``, ``"INCOMPLETE"``, ``"FAILED"``, ``"PERMANENT"`` …

    """

    interface: int
    address: str
    hardware_address: bytes
    state: str
