"""Tunnels as layers, around whole packets.

Sources: RFC 2784 and 2890 (GRE), RFC 7348 (VXLAN), RFC 8926 (Geneve), 3GPP TS 29.281 (GTP-U), IEEE 802.1ah.
"""

from __future__ import annotations

import dataclasses
import struct
from typing import ClassVar, Self

from .._core import wire as core
from ..errors import UsageError
from .craft import Ethernet, Layer, ether_type_of, within

__all__ = ["GRE", "GTPU", "VXLAN", "BackboneBridge", "Geneve"]

_CHECKSUM, _KEY, _SEQUENCE = 0x8000, 0x2000, 0x1000


def _inside(above: Layer | None) -> int:
    """The EtherType of a packet in GRE and Geneve: 0x6558 is Ethernet."""
    return 0x6558 if isinstance(above, Ethernet) else ether_type_of(above)


@dataclasses.dataclass(frozen=True, repr=False)
class GRE(Layer):
    """Generic routing encapsulation. ``key``, ``sequence_number`` and, with ``checksummed``, a checksum are there when given.

    Without ``protocol`` it is that of the layer inside: an EtherType, 0x6558 for Ethernet.
    """

    ip_protocol: ClassVar[int | None] = 47

    key: int | None = None
    sequence_number: int | None = None
    checksummed: bool = False
    protocol: int | None = None
    checksum: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        inside = _inside(above)
        summed = self.checksummed or self.checksum is not None
        flags = _CHECKSUM * summed | _KEY * (self.key is not None) | _SEQUENCE * (self.sequence_number is not None)
        fields = b""
        if self.key is not None:
            fields += struct.pack("!I", within("key", self.key, 32))
        if self.sequence_number is not None:
            fields += struct.pack("!I", within("sequence_number", self.sequence_number, 32))
        protocol = inside if self.protocol is None else within("protocol", self.protocol, 16)
        head = struct.pack("!HH", flags, protocol)
        if not summed:
            return head + fields + payload
        checksum = self.checksum
        if checksum is None:
            checksum = core.internet_checksum(head + bytes(4) + fields + payload)
        return head + struct.pack("!HH", within("checksum", checksum, 16), 0) + fields + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The header at the start of bytes, and what follows; ``None`` for other versions, source routes, and cut ones."""
        if len(data) < 4:
            return None
        flags, protocol = struct.unpack_from("!HH", data)
        if flags & ~(_CHECKSUM | _KEY | _SEQUENCE):
            return None
        words = [bool(flags & bit) for bit in (_CHECKSUM, _KEY, _SEQUENCE)]
        end = 4 + 4 * sum(words)
        if len(data) < end:
            return None
        values = iter(struct.unpack_from(f"!{sum(words)}I", data, 4))
        summed, key, number = (next(values) if there else None for there in words)
        found = cls(key, number, summed is not None, protocol, None if summed is None else summed >> 16)
        return found, data[end:]


@dataclasses.dataclass(frozen=True, repr=False)
class VXLAN(Layer):
    """Virtual extensible LAN around an Ethernet frame, in UDP to port 4789. ``flags`` 0x08 says that ``identifier`` counts."""

    udp_ports: ClassVar[tuple[int, int] | None] = (49152, 4789)

    identifier: int = 0
    flags: int = 0x08
    reserved: int = 0
    reserved_end: int = 0

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        first = within("flags", self.flags, 8) << 24 | within("reserved", self.reserved, 24)
        second = within("identifier", self.identifier, 24) << 8 | within("reserved_end", self.reserved_end, 8)
        return struct.pack("!II", first, second) + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The header at the start of bytes, and what follows; ``None`` for a cut one."""
        if len(data) < 8:
            return None
        first, second = struct.unpack_from("!II", data)
        return cls(second >> 8, first >> 24, first & 0xFFFFFF, second & 0xFF), data[8:]


@dataclasses.dataclass(frozen=True, repr=False)
class Geneve(Layer):
    """Generic network virtualisation around a packet, in UDP to port 6081.

    ``options`` are (class, type, bytes), with a length that is a multiple of 4; bit 0x80 of the type says that who does not know
    it must drop the packet. ``flags``: 0x80 control packet, 0x40 such an option is there. ``protocol`` is the EtherType of the
    layer inside, 0x6558 for Ethernet.
    """

    udp_ports: ClassVar[tuple[int, int] | None] = (49152, 6081)

    identifier: int = 0
    options: tuple[tuple[int, int, bytes], ...] = ()
    flags: int = 0
    protocol: int | None = None
    reserved: int = 0

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        options = b""
        for class_, kind, data in self.options:
            if len(data) % 4 or len(data) > 124:
                raise UsageError(f"an option of Geneve has 0 to 124 bytes, a multiple of 4, not {len(data)}")
            head = struct.pack("!HBB", within("class", class_, 16), within("type", kind, 8), len(data) // 4)
            options += head + data
        protocol = _inside(above) if self.protocol is None else within("protocol", self.protocol, 16)
        first = within("length of the options / 4", len(options) // 4, 6)
        last = within("identifier", self.identifier, 24) << 8 | within("reserved", self.reserved, 8)
        return struct.pack("!BBHI", first, within("flags", self.flags, 8), protocol, last) + options + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The header at the start of bytes, and what follows; ``None`` for other versions and cut or wrong ones."""
        if len(data) < 8:
            return None
        first, flags, protocol, last = struct.unpack_from("!BBHI", data)
        at, end = 8, 8 + 4 * (first & 0x3F)
        if first >> 6 or len(data) < end:
            return None
        options = []
        while at < end:
            class_, kind, words = struct.unpack_from("!HBB", data, at)
            # The three highest bits are reserved; an option that has them set is not made again.
            if words > 31 or at + 4 + 4 * words > end:
                return None
            options.append((class_, kind, data[at + 4 : at + 4 + 4 * words]))
            at += 4 + 4 * words
        return cls(last >> 8, tuple(options), flags, protocol, last & 0xFF), data[end:]


_GTP_NUMBER, _GTP_EXTENSION, _GTP_PDU = 0x02, 0x04, 0x01


@dataclasses.dataclass(frozen=True, repr=False)
class GTPU(Layer):
    """The user plane of the GPRS tunnelling protocol, version 1, in UDP between ports 2152.

    ``message`` 255 is a packet of the user; 1 and 2 are echoes, 26 an error, 254 the end of a tunnel. ``extension_headers`` are
    (type, bytes), of 4n - 2 bytes. ``length`` is filled in unless given.
    """

    udp_ports: ClassVar[tuple[int, int] | None] = (2152, 2152)

    identifier: int = 0
    message: int = 255
    sequence_number: int | None = None
    extension_headers: tuple[tuple[int, bytes], ...] = ()
    n_pdu_number: int | None = None
    length: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        flags = _GTP_NUMBER * (self.sequence_number is not None) | _GTP_PDU * (self.n_pdu_number is not None)
        flags |= _GTP_EXTENSION * bool(self.extension_headers)
        more = b""
        if flags:
            number = within("sequence_number", self.sequence_number or 0, 16)
            more = struct.pack("!HB", number, within("n_pdu_number", self.n_pdu_number or 0, 8))
            for kind, data in self.extension_headers:
                if len(data) % 4 != 2 or len(data) > 1018:
                    raise UsageError(f"an extension header of GTP-U has 4n - 2 bytes, not {len(data)}")
                more += bytes([within("type", kind, 8), (len(data) + 2) // 4]) + data
            more += b"\0"
        length = len(more) + len(payload) if self.length is None else self.length
        return (
            struct.pack(
                "!BBHI",
                0x30 | flags,
                within("message", self.message, 8),
                within("length", length, 16),
                within("identifier", self.identifier, 32),
            )
            + more
            + payload
        )

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The header at the start of bytes, and what follows; ``None`` for other versions and cut or wrong ones."""
        if len(data) < 8:
            return None
        flags, message, length, identifier = struct.unpack_from("!BBHI", data)
        if flags & 0xF8 != 0x30:
            return None
        found = cls(identifier, message, length=length)
        if not flags & 7:
            return found, data[8:]
        if len(data) < 12:
            return None
        number, pdu, kind = struct.unpack_from("!HBB", data, 8)
        at = 12
        extensions = []
        while kind and flags & _GTP_EXTENSION:
            end = at + 4 * data[at] if at < len(data) else at
            if not at < end <= len(data):
                return None
            extensions.append((kind, data[at + 1 : end - 1]))
            kind, at = data[end - 1], end
        found = found.replace(
            sequence_number=number if flags & _GTP_NUMBER else None,
            extension_headers=tuple(extensions),
            n_pdu_number=pdu if flags & _GTP_PDU else None,
        )
        return found, data[at:]


@dataclasses.dataclass(frozen=True, repr=False)
class BackboneBridge(Layer):
    """The service tag of a provider backbone bridge (802.1ah), around a customer's Ethernet frame.

    ``flags`` are priority (3 bits), drop eligible, use of customer addresses, and 3 reserved bits.
    """

    ether_type: ClassVar[int | None] = 0x88E7

    identifier: int = 0
    flags: int = 0

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        word = within("flags", self.flags, 8) << 24 | within("identifier", self.identifier, 24)
        return struct.pack("!I", word) + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The tag at the start of bytes, and what follows; ``None`` for a cut one."""
        if len(data) < 4:
            return None
        (word,) = struct.unpack_from("!I", data)
        return cls(word & 0xFFFFFF, word >> 24), data[4:]
