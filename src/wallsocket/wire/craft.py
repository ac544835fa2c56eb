"""Packets of your own making: layers joined with ``/``, everything filled in that you do not set.

::

    IPv4(destination="10.0.0.2") / TCP(destination_port=80, flags="S")

Lengths, checksums, types and header lengths are computed when the packet becomes bytes; a field that is given keeps its
value, also a wrong one. A field may be a list: :func:`sweep` then gives a packet for each combination. Layers are
immutable: ``layer.replace(time_to_live=1)`` makes a changed copy. Sources: RFC 791, 8200, 9293, 768, 792, 4443, 826,
2236, IEEE 802.1Q. Other modules have more layers: :mod:`.tunnels`, :mod:`.groups`, :mod:`.discovery`, :mod:`.dns`, :mod:`.dhcp`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import random
import re
import socket
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar

from .._core import wire as core
from ..errors import UsageError

__all__ = [
    "ARP",
    "ICMP",
    "IGMP",
    "TCP",
    "UDP",
    "Dot1Q",
    "Ethernet",
    "ICMPv6",
    "IPv4",
    "IPv6",
    "Layer",
    "Packet",
    "Padding",
    "Raw",
    "fragment",
    "sweep",
]

_LayerT = TypeVar("_LayerT", bound="Layer")

#: TCP flag letters as tcpdump has them, and their bits.
_FLAGS = {
    "F": 0x01,
    "S": 0x02,
    "R": 0x04,
    "P": 0x08,
    ".": 0x10,
    "A": 0x10,
    "U": 0x20,
    "E": 0x40,
    "W": 0x80,
    "e": 0x100,
}


def ethernet_bytes(text: str | bytes) -> bytes:
    """The six bytes of an Ethernet address."""
    if isinstance(text, bytes):
        if len(text) != 6:
            raise UsageError(f"an Ethernet address has 6 bytes, not {len(text)}")
        return text
    parts = text.replace("-", ":").split(":")
    try:
        found = bytes(int(part, 16) for part in parts)
    except ValueError:
        found = b""
    if len(found) != 6:
        raise UsageError(f"{text!r} is no Ethernet address, such as 02:00:00:00:00:01")
    return found


def address_bytes(text: str | bytes, family: int) -> bytes:
    """The bytes of an address, or of a name's first one."""
    if isinstance(text, bytes):
        return text
    try:
        return socket.inet_pton(family, str(text))
    except OSError:
        return _named(str(text), family)


@lru_cache(maxsize=256)
def _named(name: str, family: int) -> bytes:
    """The first address that this machine's resolver has for a name."""
    kind = "IPv4" if family == socket.AF_INET else "IPv6"
    # A name has a letter, and only what host names are made of; anything else is a mistyped address.
    if not re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9._-]{1,253}", name):
        raise UsageError(f"{name!r} is no {kind} address")
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{name!r} is no {kind} address, and no name of one: {error}") from None
    return socket.inet_pton(family, str(found[0][4][0]).split("%")[0])


def within(name: str, value: int, bits: int) -> int:
    """The value, if it fits so many bits."""
    if not 0 <= value < 1 << bits:
        raise UsageError(f"{name}={value} does not fit {bits} bits")
    return value


class Layer:
    """A header of a packet. Joined with others, or with bytes, by ``/``."""

    #: EtherType that names it, and IP protocol number; ``None``: that of experiments (0x88b5 of IEEE 802, 253 of RFC 3692).
    ether_type: ClassVar[int | None] = None
    ip_protocol: ClassVar[int | None] = None
    #: UDP ports, source and destination, that it has unless others are given.
    udp_ports: ClassVar[tuple[int, int] | None] = None
    #: LINKTYPE of a packet that begins with it.
    link_type_first: ClassVar[int] = 1

    @property
    def own_ether_type(self) -> int | None:
        """The EtherType that names it, where its fields decide."""
        return self.ether_type

    def __truediv__(self, other: Any) -> Packet:
        return Packet((self,)).__truediv__(other)

    def __rtruediv__(self, other: Any) -> Packet:
        return Packet((Raw(bytes(other)), self))

    def __repr__(self) -> str:
        """The layer as it is written: the fields that are not as they are without being given."""
        given = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def summary(self) -> str:
        """The layer in one line, as a capture would print it."""
        return Packet((self,)).summary()

    def hexdump(self) -> str:
        """The bytes, field by field."""
        return Packet((self,)).hexdump()

    def __bytes__(self) -> bytes:
        return bytes(Packet((self,)))

    def __len__(self) -> int:
        return len(bytes(self))

    @property
    def link_type(self) -> int:
        """LINKTYPE of the bytes."""
        return Packet((self,)).link_type

    def replace(self, **fields: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **fields)  # type: ignore[type-var]

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """The header and its payload. ``above`` is the layer inside of this one, ``below`` the one around it."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, repr=False)
class Packet:
    """Layers, outermost first."""

    layers: tuple[Layer, ...]

    def __truediv__(self, other: Any) -> Packet:
        if isinstance(other, Packet):
            return Packet(self.layers + other.layers)
        if isinstance(other, Layer):
            return Packet((*self.layers, other))
        return Packet((*self.layers, Raw(other.encode() if isinstance(other, str) else bytes(other))))

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """The packet in one line, as a capture would print it."""
        from .frame import decode

        return decode(self).summary()

    def hexdump(self) -> str:
        """The bytes, field by field."""
        from .frame import decode, hexdump

        return hexdump(decode(self))

    def __repr__(self) -> str:
        return " / ".join(map(repr, self.layers))

    def __bytes__(self) -> bytes:
        data = padding = b""
        for number in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[number]
            if isinstance(layer, Padding):
                padding = layer.data + padding
                continue
            above = self.layers[number + 1] if number + 1 < len(self.layers) else None
            below = self.layers[number - 1] if number > 0 else None
            data = layer.build(data, above, below)
            if isinstance(layer, Ethernet):
                data, padding = data + padding, b""
        return data + padding

    def __len__(self) -> int:
        return len(bytes(self))

    def __getitem__(self, kind: type[_LayerT]) -> _LayerT:
        for layer in self.layers:
            if isinstance(layer, kind):
                return layer
        raise KeyError(kind.__name__)

    def __contains__(self, kind: type[Layer]) -> bool:
        return any(isinstance(layer, kind) for layer in self.layers)

    def replace(self, kind: type[Layer], **fields: Any) -> Packet:
        """A copy in which the first layer of that kind has some fields changed."""
        changed = list(self.layers)
        changed[changed.index(self[kind])] = self[kind].replace(**fields)
        return Packet(tuple(changed))

    @property
    def link_type(self) -> int:
        """LINKTYPE of the bytes, by the first layer: raw IP, MPLS, PPP or PPPoE, else Ethernet."""
        return self.layers[0].link_type_first


@dataclasses.dataclass(frozen=True, repr=False)
class Raw(Layer):
    """Bytes as they are."""

    data: bytes = b""

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        return self.data + payload


@dataclasses.dataclass(frozen=True, repr=False)
class Padding(Layer):
    """Bytes at the end of the Ethernet frame around it, which no header counts."""

    data: bytes = b""

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        return self.data + payload


@dataclasses.dataclass(frozen=True, repr=False)
class Ethernet(Layer):
    """Ethernet. Without ``type`` it is that of the layer inside, else 0x88b5 (for experiments, IEEE 802).

    Addresses that are not given are found when the packet is sent: the interface's own as source, and as destination who
    has the IP destination, or the router to it. Bytes that are made without a network have zeros and the broadcast address.
    """

    #: RFC 8986.
    ip_protocol: ClassVar[int | None] = 143

    source: str | bytes | None = None
    destination: str | bytes | None = None
    type: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        ether_type = ether_type_of(above) if self.type is None else within("type", self.type, 16)
        destination = b"\xff" * 6 if self.destination is None else ethernet_bytes(self.destination)
        source = bytes(6) if self.source is None else ethernet_bytes(self.source)
        return destination + source + struct.pack("!H", ether_type) + payload


def ether_type_of(above: Layer | None) -> int:
    """The EtherType that names a layer."""
    found = None if above is None else above.own_ether_type
    return 0x88B5 if found is None else found


@dataclasses.dataclass(frozen=True, repr=False)
class Dot1Q(Layer):
    """A VLAN tag. ``protocol`` 0x88a8 makes it the outer one of 802.1ad."""

    vlan: int = 1
    priority: int = 0
    drop_eligible: bool = False
    type: int | None = None
    protocol: int = 0x8100

    @property
    def own_ether_type(self) -> int | None:
        """See :attr:`Layer.own_ether_type`."""
        return within("protocol", self.protocol, 16)

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        control = within("priority", self.priority, 3) << 13 | self.drop_eligible << 12 | within("vlan", self.vlan, 12)
        ether_type = ether_type_of(above) if self.type is None else within("type", self.type, 16)
        return struct.pack("!HH", control, ether_type) + payload


@dataclasses.dataclass(frozen=True, repr=False)
class ARP(Layer):
    """Address resolution for IPv4 on Ethernet: operation 1 asks, 2 answers."""

    ether_type: ClassVar[int | None] = 0x0806

    operation: int = 1
    sender_hardware: str | bytes = "00:00:00:00:00:00"
    sender: str | bytes = "0.0.0.0"  # noqa: S104  the address of a probe (RFC 5227)
    target_hardware: str | bytes = "00:00:00:00:00:00"
    target: str | bytes = "0.0.0.0"  # noqa: S104

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        return (
            struct.pack("!HHBBH", 1, 0x0800, 6, 4, within("operation", self.operation, 16))
            + ethernet_bytes(self.sender_hardware)
            + address_bytes(self.sender, socket.AF_INET)
            + ethernet_bytes(self.target_hardware)
            + address_bytes(self.target, socket.AF_INET)
            + payload
        )


def _protocol(above: Layer | None) -> int:
    return 253 if above is None or above.ip_protocol is None else above.ip_protocol


@dataclasses.dataclass(frozen=True, repr=False)
class IPv4(Layer):
    """IPv4. ``length``, ``checksum``, ``header_length`` (bytes) and ``protocol`` are filled in unless given.

    Without ``source``, :func:`wallsocket.wire.ask` takes the address the host would use; otherwise it is 127.0.0.1
    towards loopback and 0.0.0.0 elsewhere.
    """

    ether_type: ClassVar[int | None] = 0x0800
    ip_protocol: ClassVar[int | None] = 4
    link_type_first: ClassVar[int] = 101

    source: str | bytes | None = None
    destination: str | bytes = "127.0.0.1"
    time_to_live: int = 64
    protocol: int | None = None
    identification: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    traffic_class: int = 0
    options: bytes = b""
    length: int | None = None
    header_length: int | None = None
    checksum: int | None = None
    version: int = 4

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        options = self.options + bytes(-len(self.options) % 4)
        header_length = 20 + len(options) if self.header_length is None else self.header_length
        length = 20 + len(options) + len(payload) if self.length is None else self.length
        if self.fragment_offset % 8:
            raise UsageError(f"fragment_offset={self.fragment_offset} is no multiple of 8 bytes")
        word = (
            self.dont_fragment << 14
            | self.more_fragments << 13
            | within("fragment_offset / 8", self.fragment_offset // 8, 13)
        )
        fixed = struct.pack(
            "!BBHHHBBH",
            within("version", self.version, 4) << 4 | within("header_length / 4", header_length // 4, 4),
            within("traffic_class", self.traffic_class, 8),
            within("length", length, 16),
            within("identification", self.identification, 16),
            word,
            within("time_to_live", self.time_to_live, 8),
            within("protocol", _protocol(above) if self.protocol is None else self.protocol, 8),
            0,
        )
        header = fixed + self._ends() + options
        checksum = core.internet_checksum(header) if self.checksum is None else within("checksum", self.checksum, 16)
        return header[:10] + struct.pack("!H", checksum) + header[12:] + payload

    def _ends(self) -> bytes:
        destination = address_bytes(self.destination, socket.AF_INET)
        if self.source is None:
            return (destination if destination[0] == 127 else bytes(4)) + destination
        return address_bytes(self.source, socket.AF_INET) + destination

    def pseudo_header(self, protocol: int, length: int) -> bytes:
        """What the transport checksum covers beside the segment."""
        # A word of zeroes for all lengths that an IPv4 packet can have; longer ones are still to be segmented.
        return self._ends() + struct.pack("!HI", protocol, length)


@dataclasses.dataclass(frozen=True, repr=False)
class IPv6(Layer):
    """IPv6. ``extension_headers`` are (number, bytes) in order; their next-header bytes are filled in."""

    ether_type: ClassVar[int | None] = 0x86DD
    ip_protocol: ClassVar[int | None] = 41
    link_type_first: ClassVar[int] = 101

    source: str | bytes | None = None
    destination: str | bytes = "::1"
    hop_limit: int = 64
    next_header: int | None = None
    traffic_class: int = 0
    flow_label: int = 0
    extension_headers: tuple[tuple[int, bytes], ...] = ()
    payload_length: int | None = None
    version: int = 6

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        upper = _protocol(above) if self.next_header is None else within("next_header", self.next_header, 8)
        extensions = b""
        numbers = [number for number, _ in self.extension_headers] + [upper]
        for (_, data), following in zip(self.extension_headers, numbers[1:], strict=True):
            extensions += bytes([following]) + data[1:]
        payload = extensions + payload
        word = within("version", self.version, 4) << 28 | within("traffic_class", self.traffic_class, 8) << 20
        length = len(payload) if self.payload_length is None else self.payload_length
        return (
            struct.pack(
                "!IHBB",
                word | within("flow_label", self.flow_label, 20),
                within("payload_length", length, 16),
                numbers[0],
                within("hop_limit", self.hop_limit, 8),
            )
            + self._ends()
            + payload
        )

    def _ends(self) -> bytes:
        destination = address_bytes(self.destination, socket.AF_INET6)
        if self.source is None:
            return (destination if destination == bytes(15) + b"\x01" else bytes(16)) + destination
        return address_bytes(self.source, socket.AF_INET6) + destination

    def pseudo_header(self, protocol: int, length: int) -> bytes:
        """What the transport checksum covers beside the segment."""
        return self._ends() + struct.pack("!IHBB", length, 0, 0, protocol)


def with_checksum(
    header: bytes, field: int, payload: bytes, checksum: int | None, protocol: int, below: Layer | None
) -> bytes:
    """A transport header with its checksum in the two bytes at ``field``."""
    segment = header + payload
    if checksum is None:
        if isinstance(below, (IPv4, IPv6)):
            covered = below.pseudo_header(protocol, len(segment)) + segment
            checksum = core.internet_checksum(covered)
            if protocol == 17 and checksum == 0:
                checksum = 0xFFFF
        else:
            checksum = 0
    return header[:field] + struct.pack("!H", within("checksum", checksum, 16)) + header[field + 2 :] + payload


@dataclasses.dataclass(frozen=True, repr=False)
class TCP(Layer):
    """TCP. ``flags`` are letters as tcpdump prints them (``"S"``, ``"S."``, ``"P."``, ``"F."``, ``"R"``) or a number.

    ``options`` are bytes, or a list of: ``("mss", 1460)``, ``("wscale", 7)``, ``"sackOK"``, ``("TS", 1, 0)``,
    ``("sack", (left, right), …)``, ``"nop"``, ``"eol"``, ``(kind, b"data")``.
    """

    ip_protocol: ClassVar[int | None] = 6

    source_port: int = 40000
    destination_port: int = 80
    sequence_number: int = 0
    acknowledgement_number: int = 0
    flags: str | int = "S"
    window: int = 65535
    urgent_pointer: int = 0
    options: Any = b""
    header_length: int | None = None
    checksum: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        options = self.options if isinstance(self.options, bytes) else b"".join(map(_tcp_option, self.options))
        options += bytes(-len(options) % 4)
        header_length = 20 + len(options) if self.header_length is None else self.header_length
        flags = self.flags
        if isinstance(flags, str):
            try:
                flags = sum(_FLAGS[letter] for letter in dict.fromkeys(flags.replace("A", ".")))
            except KeyError as error:
                raise UsageError(f"no TCP flag {error.args[0]!r}: letters of F S R P . U E W e") from None
        header = struct.pack(
            "!HHIIHHHH",
            within("source_port", self.source_port, 16),
            within("destination_port", self.destination_port, 16),
            within("sequence_number", self.sequence_number, 32),
            within("acknowledgement_number", self.acknowledgement_number, 32),
            within("header_length / 4", header_length // 4, 4) << 12 | within("flags", flags, 12),
            within("window", self.window, 16),
            0,
            within("urgent_pointer", self.urgent_pointer, 16),
        )
        return with_checksum(header + options, 16, payload, self.checksum, 6, below)


def _tcp_option(option: Any) -> bytes:
    if isinstance(option, bytes):
        return option
    kind, *values = (option,) if isinstance(option, str) else option
    if kind == "nop":
        return b"\x01"
    if kind == "eol":
        return b"\x00"
    if kind == "mss":
        return struct.pack("!BBH", 2, 4, *values)
    if kind == "wscale":
        return struct.pack("!BBB", 3, 3, *values)
    if kind == "sackOK":
        return b"\x04\x02"
    if kind == "sack":
        return bytes([5, 2 + 8 * len(values)]) + b"".join(struct.pack("!II", *edges) for edges in values)
    if kind == "TS":
        return struct.pack("!BBII", 8, 10, *values)
    if isinstance(kind, int) and len(values) == 1:
        return bytes([kind, 2 + len(values[0]), *values[0]])
    raise UsageError(f"no TCP option {option!r}")


@dataclasses.dataclass(frozen=True, repr=False)
class UDP(Layer):
    """UDP. ``checksum=0`` sends none. Without ports they are those of the layer inside (DNS, DHCP, VXLAN), else 40000 and 9."""

    ip_protocol: ClassVar[int | None] = 17

    source_port: int | None = None
    destination_port: int | None = None
    length: int | None = None
    checksum: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        source, destination = (above.udp_ports if above is not None else None) or (40000, 9)
        header = struct.pack(
            "!HHHH",
            within("source_port", source if self.source_port is None else self.source_port, 16),
            within("destination_port", destination if self.destination_port is None else self.destination_port, 16),
            within("length", 8 + len(payload) if self.length is None else self.length, 16),
            0,
        )
        return with_checksum(header, 6, payload, self.checksum, 17, below)


@dataclasses.dataclass(frozen=True, repr=False)
class ICMP(Layer):
    """ICMP. An echo has ``identifier`` and ``sequence_number``; others ``rest``, the four bytes after the checksum."""

    ip_protocol: ClassVar[int | None] = 1

    type: int = 8
    code: int = 0
    identifier: int = 0
    sequence_number: int = 0
    rest: int | None = None
    checksum: int | None = None

    def _header(self) -> bytes:
        rest = self.rest
        if rest is None:
            rest = within("identifier", self.identifier, 16) << 16 | within("sequence_number", self.sequence_number, 16)
        return struct.pack("!BBHI", within("type", self.type, 8), within("code", self.code, 8), 0, rest)

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        message = self._header() + payload
        checksum = core.internet_checksum(message) if self.checksum is None else within("checksum", self.checksum, 16)
        return message[:2] + struct.pack("!H", checksum) + message[4:]


@dataclasses.dataclass(frozen=True, repr=False)
class ICMPv6(ICMP):
    """ICMPv6, whose checksum covers the pseudo-header."""

    ip_protocol: ClassVar[int | None] = 58

    type: int = 128

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        return with_checksum(self._header(), 2, payload, self.checksum, 58, below)


@dataclasses.dataclass(frozen=True, repr=False)
class IGMP(Layer):
    """IGMP version 2: type 0x11 query, 0x16 report, 0x17 leave. Version 3 is :class:`.groups.IGMPv3`."""

    ip_protocol: ClassVar[int | None] = 2

    type: int = 0x16
    maximum_response: int = 0
    group: str | bytes = "0.0.0.0"  # noqa: S104  the group of a general query
    checksum: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        message = (
            struct.pack("!BBH", within("type", self.type, 8), within("maximum_response", self.maximum_response, 8), 0)
            + address_bytes(self.group, socket.AF_INET)
            + payload
        )
        checksum = core.internet_checksum(message) if self.checksum is None else within("checksum", self.checksum, 16)
        return message[:2] + struct.pack("!H", checksum) + message[4:]


def _several(layer: Layer, name: str, value: Any) -> Sequence[Any] | None:
    """Every value of a field that stands for several: a list, a range, a network of addresses."""
    if name == "options":
        return None
    if isinstance(value, (list, range)):
        parts = [_several(layer, name, each) or [each] for each in value]
        return [each for part in parts for each in part]
    if isinstance(layer, (IPv4, IPv6)) and name in ("source", "destination") and "/" in str(value):
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError as error:
            raise UsageError(f"{value!r} is no network: {error}") from error
        if network.num_addresses > 1 << 24:
            raise UsageError(f"{value} has {network.num_addresses} addresses; a sweep takes 16777216 of a network")
        return [str(address) for address in network]
    return None


def sweep(packet: Layer | Packet) -> Iterator[Packet]:
    """A packet for each combination of the fields that stand for several values; the last one changes fastest.

    Such fields are lists, ranges, and networks: ``IPv4(destination="10.0.0.0/30")`` has four destinations.

    ``sweep(IPv4(destination="10.0.0.2") / TCP(destination_port=range(1, 1025)))``
    """
    layers = packet.layers if isinstance(packet, Packet) else (packet,)
    places = [
        (number, field.name, values)
        for number, layer in enumerate(layers)
        for field in dataclasses.fields(layer)  # type: ignore[arg-type]
        if (values := _several(layer, field.name, getattr(layer, field.name))) is not None
    ]
    for values in itertools.product(*(choice for _, _, choice in places)):
        made = list(layers)
        for (number, name, _), value in zip(places, values, strict=True):
            made[number] = made[number].replace(**{name: value})
        yield Packet(tuple(made))


def fragment(packet: Packet, mtu: int, *, identification: int | None = None) -> list[Packet]:
    """Cut an IPv4 or IPv6 packet so that no part is longer than ``mtu`` bytes (link header not counted).

    Raises:
        UsageError: no IP layer, or an MTU that leaves no room for 8 bytes of data.

    """
    place = next((n for n, layer in enumerate(packet.layers) if isinstance(layer, (IPv4, IPv6))), None)
    if place is None:
        raise UsageError("only IPv4 and IPv6 packets are fragmented")
    below, ip = packet.layers[:place], packet.layers[place]
    whole = bytes(Packet(packet.layers[place:]))
    if len(whole) <= mtu:
        return [packet]
    above = packet.layers[place + 1] if place + 1 < len(packet.layers) else None
    number = random.randrange(1, 1 << 16) if identification is None else identification  # noqa: S311  no secret
    if isinstance(ip, IPv4):
        overhead = 20 + len(ip.options) + -len(ip.options) % 4
    else:
        assert isinstance(ip, IPv6)
        overhead = 40 + 8
        if ip.extension_headers:
            raise UsageError("packets with extension headers are not fragmented here")
    size = (mtu - overhead) // 8 * 8
    if size < 8:
        raise UsageError(f"an MTU of {mtu} leaves no room for data")
    data = whole[overhead if isinstance(ip, IPv4) else 40 :]
    parts = []
    for offset in range(0, len(data), size):
        piece = Raw(data[offset : offset + size])
        more = offset + size < len(data)
        head: Layer
        if isinstance(ip, IPv4):
            head = ip.replace(
                identification=number,
                more_fragments=more,
                fragment_offset=offset,
                protocol=_protocol(above) if ip.protocol is None else ip.protocol,
            )
        else:
            header = struct.pack("!BBHI", 0, 0, offset | more, number)
            upper = _protocol(above) if ip.next_header is None else ip.next_header
            head = ip.replace(extension_headers=((44, header),), next_header=upper)
        parts.append(Packet((*below, head, piece)))
    return parts
