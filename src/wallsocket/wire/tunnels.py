"""Tunnels as layers: GRE and VXLAN, around whole packets. Sources: RFC 2784, 2890, 7348."""

from __future__ import annotations

import dataclasses
import struct
from typing import ClassVar, Self

from .._core import wire as core
from .craft import Ethernet, Layer, ether_type_of, within

__all__ = ["GRE", "VXLAN"]

_CHECKSUM, _KEY, _SEQUENCE = 0x8000, 0x2000, 0x1000


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
        inside = 0x6558 if isinstance(above, Ethernet) else ether_type_of(above)
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
