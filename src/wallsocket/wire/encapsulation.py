"""Headers between link and network layer: labels, sessions, the tag of a port extender.

Sources: RFC 3032 and 4385 (MPLS), RFC 2516 (PPPoE), RFC 1661 and 1662 (PPP), IEEE 802.1BR.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import ClassVar, Self

from .craft import Dot1Q, Layer, ether_type_of, within

__all__ = ["MPLS", "PPP", "VLAN_TAGS", "ControlWord", "PPPoE", "PortTag", "stacked"]


@dataclasses.dataclass(frozen=True, repr=False)
class MPLS(Layer):
    """A label. Behind other labels, or in IP, UDP (RFC 7510) and GRE (RFC 4023), too.

    Without ``bottom`` it is the last of its stack when no other follows. What follows the last is IP, or Ethernet with or without
    a :class:`ControlWord`.
    """

    ether_type: ClassVar[int | None] = 0x8847
    ip_protocol: ClassVar[int | None] = 137
    udp_ports: ClassVar[tuple[int, int] | None] = (49152, 6635)
    link_type_first: ClassVar[int] = 219

    label: int = 16
    traffic_class: int = 0
    time_to_live: int = 64
    bottom: bool | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        bottom = not isinstance(above, MPLS) if self.bottom is None else self.bottom
        word = within("label", self.label, 20) << 12 | within("traffic_class", self.traffic_class, 3) << 9
        word |= bool(bottom) << 8 | within("time_to_live", self.time_to_live, 8)
        return struct.pack("!I", word) + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The label at the start of bytes, and what follows; ``None`` for a cut one."""
        if len(data) < 4:
            return None
        (word,) = struct.unpack_from("!I", data)
        return cls(word >> 12, word >> 9 & 7, word & 0xFF, bool(word & 0x100)), data[4:]


@dataclasses.dataclass(frozen=True, repr=False)
class ControlWord(Layer):
    """What may stand between the last label and the Ethernet frame of a pseudowire (RFC 4448)."""

    sequence_number: int = 0
    reserved: int = 0

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        number = within("sequence_number", self.sequence_number, 16)
        return struct.pack("!HH", within("reserved", self.reserved, 12), number) + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The word at the start of bytes, and what follows; ``None`` where it is none."""
        if len(data) < 4 or data[0] >> 4:
            return None
        reserved, number = struct.unpack_from("!HH", data)
        return cls(number, reserved), data[4:]


@dataclasses.dataclass(frozen=True, repr=False)
class PPPoE(Layer):
    """PPP over Ethernet. ``length`` is filled in unless given.

    ``code`` is 0 for what a session carries, with :class:`PPP` inside; 0x09 PADI, 0x07 PADO, 0x19 PADR, 0x65 PADS, 0xa7 PADT.
    """

    #: Of sessions; discovery has 0x8863.
    ether_type: ClassVar[int | None] = 0x8864
    link_type_first: ClassVar[int] = 51

    session: int = 0
    code: int = 0
    length: int | None = None
    version_and_type: int = 0x11

    @property
    def own_ether_type(self) -> int | None:
        """See :attr:`Layer.own_ether_type`."""
        return 0x8863 if self.code else 0x8864

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        length = len(payload) if self.length is None else self.length
        return (
            struct.pack(
                "!BBHH",
                within("version_and_type", self.version_and_type, 8),
                within("code", self.code, 8),
                within("session", self.session, 16),
                within("length", length, 16),
            )
            + payload
        )

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The header at the start of bytes, and what follows; ``None`` for a cut one."""
        if len(data) < 6:
            return None
        version_and_type, code, session, length = struct.unpack_from("!BBHH", data)
        return cls(session, code, length, version_and_type), data[6:]


#: Numbers of PPP by EtherType (RFC 1332, 5072, 3032).
_PPP_NUMBERS = {0x0800: 0x0021, 0x86DD: 0x0057, 0x8847: 0x0281, 0x8848: 0x0283}


@dataclasses.dataclass(frozen=True, repr=False)
class PPP(Layer):
    """The protocol field of the point-to-point protocol, in :class:`PPPoE` or GRE, or as a link.

    ``protocol`` is that of the layer inside: 0x21 IPv4, 0x57 IPv6, 0x281 MPLS, else 0xc021 (link control). ``framed`` puts the
    bytes ff 03 of a link in front, ``compressed`` leaves the first byte of a number below 256 away.
    """

    ether_type: ClassVar[int | None] = 0x880B
    link_type_first: ClassVar[int] = 9

    protocol: int | None = None
    framed: bool = False
    compressed: bool = False

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        inside = _PPP_NUMBERS.get(ether_type_of(above), 0xC021)
        number = inside if self.protocol is None else within("protocol", self.protocol, 16)
        field = bytes([number]) if self.compressed and number < 256 else struct.pack("!H", number)
        return b"\xff\x03" * self.framed + field + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The field at the start of bytes, and what follows; ``None`` for a cut one."""
        framed = data[:2] == b"\xff\x03"
        rest = data[2 * framed :]
        # A number of one byte is odd (RFC 1661, 2).
        compressed = bool(rest[:1]) and bool(rest[0] & 1)
        length = 1 if compressed else 2
        if len(rest) < length:
            return None
        return cls(int.from_bytes(rest[:length], "big"), framed, compressed), rest[length:]


@dataclasses.dataclass(frozen=True, repr=False)
class PortTag(Layer):
    """The tag of a bridge port extender: the channels that a frame goes to and came from, 20 bits each."""

    ether_type: ClassVar[int | None] = 0x893F

    channel: int = 0
    ingress: int = 0
    priority: int = 0
    drop_eligible: bool = False
    group: int = 0
    type: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        channel, ingress = within("channel", self.channel, 20), within("ingress", self.ingress, 20)
        first = within("priority", self.priority, 3) << 13 | self.drop_eligible << 12 | ingress & 0xFFF
        second = within("group", self.group, 2) << 12 | channel & 0xFFF
        ether_type = ether_type_of(above) if self.type is None else within("type", self.type, 16)
        return struct.pack("!HHBBH", first, second, ingress >> 12, channel >> 12, ether_type) + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The tag at the start of bytes, and what follows; ``None`` for a cut one."""
        if len(data) < 8:
            return None
        first, second, ingress, channel, ether_type = struct.unpack_from("!HHBBH", data)
        channel, ingress = channel << 12 | second & 0xFFF, ingress << 12 | first & 0xFFF
        return cls(channel, ingress, first >> 13, bool(first & 0x1000), second >> 12 & 3, ether_type), data[8:]


_BY_ETHER_TYPE: dict[int, type[MPLS | PPP | PPPoE | PortTag]] = {
    0x8847: MPLS,
    0x8848: MPLS,
    0x8863: PPPoE,
    0x8864: PPPoE,
    0x880B: PPP,
    0x893F: PortTag,
}
#: EtherTypes of VLAN tags.
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)


def stacked(data: bytes, ether_type: int) -> list[Layer]:
    """The headers of these kinds at the start of bytes that an EtherType names, one behind the other, VLAN tags among them."""
    found: list[Layer] = []
    while True:
        if ether_type in VLAN_TAGS and len(data) >= 4:
            control, following = struct.unpack_from("!HH", data)
            tag = Dot1Q(control & 0xFFF, control >> 13, bool(control & 0x1000), following, ether_type)
            found.append(tag)
            ether_type, data = following, data[4:]
            continue
        kind = _BY_ETHER_TYPE.get(ether_type)
        parsed = None if kind is None else kind.parse(data)
        if parsed is None:
            return found
        layer, data = parsed
        found.append(layer)
        if isinstance(layer, MPLS):
            ether_type = 0 if layer.bottom else 0x8847
        elif isinstance(layer, PPPoE):
            ether_type = 0 if layer.code else 0x880B
        elif isinstance(layer, PortTag):
            ether_type = layer.type or 0
        else:
            ether_type = 0x8847 if layer.protocol in (0x0281, 0x0283) else 0
