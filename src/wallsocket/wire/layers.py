"""A frame taken apart into layers that can be changed and built again; and packets with fields that nobody expects."""

from __future__ import annotations

import dataclasses
import random
import struct
from collections.abc import Iterator
from typing import Any

from .._core.wire import Frame
from ..errors import UsageError
from .craft import ARP, ICMP, IGMP, TCP, UDP, Dot1Q, Ethernet, ICMPv6, IPv4, IPv6, Layer, Packet, Padding, Raw
from .dhcp import DHCP
from .discovery import NDP
from .dns import DNS
from .encapsulation import MPLS, PPP, VLAN_TAGS, ControlWord, PortTag, PPPoE, stacked
from .frame import decode
from .groups import IGMPv3
from .tunnels import GRE, GTPU, VXLAN, BackboneBridge, Geneve

__all__ = ["fuzz", "layers"]


def layers(frame: Frame) -> Packet:
    """The layers of a frame, whose bytes are those of the frame without the padding of its link.

    Lengths, checksums and types that are as they would be filled in are left open, so that they follow a change::

        packet = layers(frame).replace(IPv4, time_to_live=1)

    Wrong ones are kept. What is not understood, or does not fit, is :class:`Raw`, which is whatever the frame holds there.
    What tunnels carry follows as layers of its own.
    """
    outer = [*_link(frame), *_between(frame), *_network(frame)] or [Raw(frame.bytes)]
    end = len(frame.bytes)
    if (ip := frame.ip) is not None and ip.length > (0 if ip.version == 4 else 40) and frame.problem is None:
        end = min(end, ip.offset + ip.length)
    elif frame.arp is not None and frame.arp.sender is not None:
        end = min(end, frame.arp.offset + 28)
    whole = frame.bytes[:end]
    carried = _carried(frame) if isinstance(outer[-1], _CARRIERS) else ()
    # From the innermost layer on, until what is built is what was captured.
    while True:
        packet = Packet((*outer, *carried))
        rest = whole[len(bytes(packet)) :]
        packet = Packet((*packet.layers, Raw(rest))) if rest else packet
        packet = _opened(_with_what_differs(packet, frame, len(outer)))
        if bytes(packet) == whole:
            return packet
        if carried:
            carried = ()
            continue
        outer.pop()
        if not outer:
            return Packet((Raw(whole),))


#: Layers that another packet may follow; UDP where its port says so.
_CARRIERS = (GRE, VXLAN, Geneve, GTPU, BackboneBridge, MPLS, PPP, ControlWord, IPv4, IPv6, UDP)
#: What building fills in, of layers whose values are all taken as they are at first.
_OPEN: dict[type[Layer], tuple[str, ...]] = {
    MPLS: ("bottom",),
    PPPoE: ("length",),
    PPP: ("protocol",),
    PortTag: ("type",),
    Geneve: ("protocol",),
    GTPU: ("length",),
}


def _opened(packet: Packet) -> Packet:
    """The packet with those values left open that are filled in the same."""
    changed = list(packet.layers)
    for number, layer in enumerate(changed):
        for name in _OPEN.get(type(layer), ()):
            if getattr(layer, name) is not None:
                attempt = [*changed[:number], layer.replace(**{name: None}), *changed[number + 1 :]]
                if bytes(Packet(tuple(attempt))) == bytes(packet):
                    changed = attempt
    return Packet(tuple(changed))


def _carried(frame: Frame) -> tuple[Layer, ...]:
    """The layers of the packet that a tunnel carries, and the padding of its link."""
    inner = frame.inner
    if inner is None or inner.link_type not in (1, 9, 101, 219, 228, 229):
        return ()
    packet = layers(inner)
    padding = inner.bytes[len(bytes(packet)) :]
    return (*packet.layers, Padding(padding)) if padding else packet.layers


def _link(frame: Frame) -> list[Layer]:
    if frame.link_type != 1 or frame.ethernet is None:
        return []
    found: list[Layer] = [Ethernet(frame.ethernet.source, frame.ethernet.destination)]
    at = 12
    for _ in frame.vlans:
        protocol, control = struct.unpack_from("!HH", frame.bytes, at)
        if protocol not in VLAN_TAGS:
            break
        found.append(Dot1Q(control & 0xFFF, control >> 13, bool(control & 0x1000), protocol=protocol))
        at += 4
    return found


#: EtherType of the header that frames of other link types begin with: PPP, PPPoE, MPLS.
_FIRST = {9: 0x880B, 50: 0x880B, 51: 0x8864, 219: 0x8847}


def _between(frame: Frame) -> list[Layer]:
    """Labels, sessions and tags in front of the network layer; the header of 802.1ah; the word in front of a pseudowire's frame."""
    found: list[Layer]
    if frame.ethernet is not None:
        at = 14 + 4 * len(frame.vlans)
        if frame.port_tag is not None or frame.labels or frame.pppoe is not None or frame.ppp_protocol is not None:
            # Tags behind one of these are counted among the VLANs, too.
            at = 14
            while int.from_bytes(frame.bytes[at - 2 : at], "big") in VLAN_TAGS:
                at += 4
        found = stacked(frame.bytes[at:], int.from_bytes(frame.bytes[at - 2 : at], "big"))
    else:
        at = 0
        found = stacked(frame.bytes, _FIRST.get(frame.link_type, 0))
    if (tunnel := frame.tunnel) is None:
        return found
    if tunnel.kind == "802.1ah":
        return [*found, *_parsed(BackboneBridge, frame.bytes[tunnel.offset :])]
    if tunnel.kind == "pseudowire" and tunnel.sequence_number is not None:
        return [*found, *_parsed(ControlWord, frame.bytes[tunnel.offset :])]
    return found


def _network(frame: Frame) -> list[Layer]:
    if (arp := frame.arp) is not None and arp.sender_hardware is not None:
        ends = (arp.sender_hardware, arp.sender, arp.target_hardware, arp.target)
        return [ARP(arp.operation, *(str(end) for end in ends))]
    ip = frame.ip
    if ip is None:
        return []
    head: Layer
    if ip.version == 4:
        head = IPv4(
            ip.source,
            ip.destination,
            ip.time_to_live,
            identification=ip.identification or 0,
            dont_fragment=bool(ip.dont_fragment),
            more_fragments=ip.more_fragments,
            fragment_offset=ip.fragment_offset,
            traffic_class=ip.traffic_class,
            options=frame.bytes[ip.offset + 20 : ip.offset + ip.header_length],
            length=_unsaid(frame, ip.length),
        )
    else:
        head = IPv6(
            ip.source,
            ip.destination,
            ip.time_to_live,
            traffic_class=ip.traffic_class,
            flow_label=ip.flow_label or 0,
            extension_headers=tuple((number, data or b"") for number, data in ip.options),
            payload_length=_unsaid(frame, ip.length - 40),
        )
    if ip.fragment_offset or ip.more_fragments:
        return [head]
    if frame.udp is None and (tunnel := frame.tunnel) is not None and tunnel.kind in ("gre", "erspan"):
        return [head, *_parsed(GRE, frame.bytes[tunnel.offset :])]
    return [head, *_transport(frame)]


def _unsaid(frame: Frame, length: int) -> int | None:
    """A length of 0 because no field could say it; else it is left open."""
    return 0 if length == 0 and len(frame.bytes) > 0xFFFF else None


_Parsed = DNS | DHCP | GRE | GTPU | IGMPv3 | NDP | VXLAN | BackboneBridge | ControlWord | Geneve


def _parsed(kind: type[_Parsed], data: bytes) -> list[Layer]:
    found = kind.parse(data)
    if found is None:
        return []
    # What building fills in is given only where it differs: see below.
    open_ = {name: None for name in ("checksum", "protocol") if hasattr(found[0], name) and kind not in _OPEN}
    return [found[0].replace(**open_)]


def _transport(frame: Frame) -> list[Layer]:
    if (tcp := frame.tcp) is not None and tcp.present == 20:
        return [
            TCP(
                tcp.source_port,
                tcp.destination_port,
                tcp.sequence_number,
                tcp.acknowledgement_number,
                tcp.flags,
                tcp.window,
                tcp.urgent_pointer,
                frame.bytes[tcp.offset + 20 : tcp.offset + tcp.header_length],
            )
        ]
    if (udp := frame.udp) is not None and udp.present == 8:
        head = UDP(udp.source_port, udp.destination_port, length=_unsaid(frame, udp.length))
        return [head, *_message(udp.source_port, udp.destination_port, frame)]
    if (icmp := frame.icmp) is not None:
        message = frame.bytes[icmp.offset : frame.payload_offset + len(frame.payload)]
        if icmp.version == 6 and (found := _parsed(NDP, message)):
            return found
        kind = ICMP if icmp.version == 4 else ICMPv6
        if icmp.identifier is not None and icmp.sequence_number is not None:
            return [kind(icmp.type, icmp.code, icmp.identifier, icmp.sequence_number)]
        return [kind(icmp.type, icmp.code, rest=icmp.rest)]
    if (igmp := frame.igmp) is not None:
        message = frame.bytes[igmp.offset : frame.payload_offset + len(frame.payload)]
        # A query of version 3 is longer (RFC 3376, 7.1).
        if igmp.type == 0x22 or (igmp.type == 0x11 and len(message) >= 12):
            return _parsed(IGMPv3, message)
        return [IGMP(igmp.type, message[1], igmp.group)]
    return []


#: What is spoken on UDP ports, DNS also by multicast and on the link.
_CARRIED_BY_UDP: dict[str, type[_Parsed]] = {"gre": GRE, "erspan": GRE, "vxlan": VXLAN, "geneve": Geneve, "gtp": GTPU}
_MESSAGES = {53: DNS, 5353: DNS, 5355: DNS, 67: DHCP, 68: DHCP}


def _message(source_port: int, destination_port: int, frame: Frame) -> list[Layer]:
    if frame.tunnel is not None:
        carrier = _CARRIED_BY_UDP.get(frame.tunnel.kind)
        return [] if carrier is None else _parsed(carrier, frame.payload)
    kind = _MESSAGES.get(destination_port) or _MESSAGES.get(source_port)
    return [] if kind is None else _parsed(kind, frame.payload)


def _filled_in(frame: Frame) -> dict[type[Layer], dict[str, Any]]:
    """The values of a frame that building fills in."""
    found: dict[type[Layer], dict[str, Any]] = {}
    if frame.vlans:
        found[Dot1Q] = {"type": frame.ether_type}
        found[Ethernet] = {"type": int.from_bytes(frame.bytes[12:14], "big")}
    elif frame.ethernet is not None:
        found[Ethernet] = {"type": int.from_bytes(frame.bytes[12:14], "big")}
    if (ip := frame.ip) is not None and ip.version == 4:
        found[IPv4] = {"protocol": ip.next_header, "length": ip.length, "checksum": ip.checksum}
    elif ip is not None:
        found[IPv6] = {"next_header": ip.protocol, "payload_length": ip.length - 40}
    if frame.tcp is not None:
        found[TCP] = {"checksum": frame.tcp.checksum, "header_length": frame.tcp.header_length}
    if frame.udp is not None:
        found[UDP] = {"length": frame.udp.length, "checksum": frame.udp.checksum}
    if frame.icmp is not None:
        for kind in (ICMP,) if frame.icmp.version == 4 else (ICMPv6, NDP):
            found[kind] = {"checksum": frame.icmp.checksum}
    if frame.igmp is not None:
        found[IGMP] = found[IGMPv3] = {"checksum": frame.igmp.checksum}
    if (tunnel := frame.tunnel) is not None and tunnel.kind == "gre":
        found[GRE] = {"protocol": tunnel.protocol}
        if tunnel.flags & 0x8000:
            found[GRE]["checksum"] = int.from_bytes(frame.bytes[tunnel.offset + 4 : tunnel.offset + 6], "big")
    return found


def _with_what_differs(packet: Packet, frame: Frame, count: int) -> Packet:
    """The packet with those values given that would be filled in otherwise than the frame has them, in its first layers."""
    # Types first: what is inside is seen only then.
    for _ in range(3):
        built = _filled_in(decode(packet))
        for kind, values in _filled_in(frame).items():
            # Of several tags the last has the type of what is inside.
            places = [number for number, layer in enumerate(packet.layers[:count]) if type(layer) is kind]
            other = {name: value for name, value in values.items() if built.get(kind, {}).get(name) != value}
            if places and other:
                changed = list(packet.layers)
                changed[places[-1]] = changed[places[-1]].replace(**other)
                packet = Packet(tuple(changed))
    return packet


def fuzz(packet: Layer | Packet, seed: int = 0) -> Iterator[Packet]:
    """Packets like this one, without end, each with one to three fields of any value; the same ones for the same seed.

    Addresses stay, so that the packets arrive; lengths and checksums are filled in, or among what is made up.
    """
    whole = packet if isinstance(packet, Packet) else Packet((packet,))
    chance = random.Random(seed)  # noqa: S311  no secret
    kept = {"source", "destination", "sender", "target", "sender_hardware", "target_hardware", "group"}
    places = [
        (number, field.name)
        for number, layer in enumerate(whole.layers)
        for field in dataclasses.fields(layer)  # type: ignore[arg-type]
        if field.name not in kept and not isinstance(layer, Ethernet)
    ]
    if not places:
        raise UsageError("nothing in this packet can be made up: only addresses")
    while True:
        changed = list(whole.layers)
        for number, name in chance.sample(places, min(len(places), chance.randrange(1, 4))):
            value: Any
            for bits in (chance.choice((1, 3, 4, 8, 12, 13, 16, 20, 32)), 3, 1):
                value = _made_up(getattr(changed[number], name), name, bits, chance)
                attempt = changed[number].replace(**{name: value})
                try:
                    bytes(Packet((*changed[:number], attempt, *changed[number + 1 :])))
                except UsageError:
                    continue
                changed[number] = attempt
                break
        yield Packet(tuple(changed))


def _made_up(old: Any, name: str, bits: int, chance: random.Random) -> Any:
    if isinstance(old, tuple):
        return tuple(chance.choices(old, k=chance.randrange(2 * len(old) + 1))) if old else ()
    if isinstance(old, str) and name not in ("flags", "options"):
        return old
    if isinstance(old, bytes) or name == "options":
        return chance.randbytes(chance.randrange(0, 1 << min(bits, 5)) // 4 * 4)
    if isinstance(old, bool):
        return chance.random() < 0.5
    if name == "extension_headers":
        return ()
    value = chance.getrandbits(bits)
    return value * 8 % 65536 if name == "fragment_offset" else value
