"""The link-layer address that a packet is sent to: of its destination, or of the router on the way (RFC 1122, 3.3.1)."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

from .. import kernel
from ..errors import NotAvailable, UsageError
from .interfaces import HasSockets, Interface, host_or_here

__all__ = ["hardware_address"]

_BROADCAST = b"\xff" * 6


class _BySockets(kernel.Host):
    """What the kernel says of a host of which only sockets can be had."""

    def __init__(self, host: HasSockets) -> None:
        self._host = host
        self.name = str(getattr(host, "name", "a host"))

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0, /) -> socket.socket:
        return self._host.socket(family, kind, proto)

    def read_proc(self, path: str) -> str:
        raise NotAvailable(f"{self.name}: {path} cannot be read through sockets")


def hardware_address(
    destination: str, interface: Interface, host: HasSockets | None, *, timeout_s: float = 1.0
) -> bytes:
    """Where a frame for an IP address goes on an Ethernet link.

    Groups and broadcasts have addresses that follow from theirs. Else the kernel's routes say who is next, and its neighbour
    table where that is; who is not in it is asked for, by ARP (RFC 826) or neighbour discovery (RFC 4861).

    Raises:
        UsageError: no route, or no answer.

    """
    address = ipaddress.ip_address(destination.partition("%")[0])
    if address.is_multicast:
        packed = address.packed
        if address.version == 6:
            return b"\x33\x33" + packed[12:]
        return b"\x01\x00\x5e" + bytes([packed[1] & 0x7F]) + packed[2:]
    if str(address) == "255.255.255.255":
        return _BROADCAST
    if interface.hardware_type == 772:
        return bytes(6)
    found = host_or_here(host)
    place = found if isinstance(found, kernel.Host) else _BySockets(found)
    fix = "; or give the address: Ethernet(destination=…)"
    try:
        route = place.route_to(str(address), interface=interface.index)
    except OSError as error:
        raise UsageError(f"{interface.name}: no way to {address}: {os.strerror(error.errno or 0)}{fix}") from error
    if route.type == "broadcast":
        return _BROADCAST
    if route.type == "local":
        raise UsageError(f"{interface.name}: {address} is this host's own address{fix}")
    hop = route.gateway or str(address)
    for entry in place.neighbours():
        known = len(entry.hardware_address) == 6 and entry.state not in ("FAILED", "INCOMPLETE")
        if known and entry.interface == interface.index and entry.address == hop:
            return entry.hardware_address
    answer = _ask(hop, interface, host, timeout_s)
    if answer is None:
        asked = "neighbour discovery" if ":" in hop else "ARP"
        raise UsageError(f"{interface.name}: {hop} does not answer {asked}{fix}")
    return answer


def _ask(hop: str, interface: Interface, host: HasSockets | None, timeout_s: float) -> bytes | None:
    if ":" not in hop:
        from .arp import arp

        for neighbour in arp(hop, interface.name, host=host, timeout_s=timeout_s):
            return bytes.fromhex(neighbour.mac.replace(":", ""))
        return None
    from .ask import ask
    from .craft import Ethernet, ICMPv6, IPv6

    packed = ipaddress.IPv6Address(hop).packed
    mac = interface.mac or "00:00:00:00:00:00"
    # The group of all nodes whose address ends so (RFC 4291, 2.7.1).
    group = b"\xff\x02" + bytes(9) + b"\x01\xff" + packed[13:]
    question = (
        Ethernet(source=mac, destination=b"\x33\x33" + group[12:])
        / IPv6(_source(hop, interface, host), group, hop_limit=255)
        / ICMPv6(135, rest=0)
        / (packed + b"\x01\x01" + bytes.fromhex(mac.replace(":", "")))
    )

    def answers(_sent: Any, received: Any) -> bool:
        icmp = received.icmp
        return icmp is not None and icmp.version == 6 and icmp.type == 136 and icmp.target == hop

    for _ in range(2):
        found = ask(question, timeout_s, interface=interface.name, host=host, match=answers)
        if found is not None and found.icmp is not None and found.icmp.target_link_layer is not None:
            return bytes.fromhex(found.icmp.target_link_layer.replace(":", ""))
    return None


def _source(hop: str, interface: Interface, host: HasSockets | None) -> str:
    with host_or_here(host).socket(socket.AF_INET6, socket.SOCK_DGRAM, 0) as sock:
        sock.connect((hop, 9, 0, interface.index))
        return str(sock.getsockname()[0]).partition("%")[0]
