"""Recorded frames for the joins and the views, by the one decoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from .._core import segments
from ..events import Packet
from ..kernel.address import End

__all__ = [
    "ACK",
    "FIN",
    "ICMP",
    "RST",
    "SYN",
    "TCP",
    "UDP",
    "Decoder",
    "Segment",
    "decoded",
    "plain",
    "segment",
    "summary",
]

#: Protocol numbers (IANA).
ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
#: Flags of a TCP header (RFC 9293, 3.1).
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10


class Segment(NamedTuple):
    """A TCP segment or UDP datagram that travelled, or an ICMP error, with the ends of the packet that it is about."""

    packet: int  #: packet.id
    at_ns: int
    protocol: int  #: 6, 17, or 1 for an ICMP error
    source: End
    destination: End
    length: int  #: bytes of payload on the wire
    payload: bytes  #: those of them that were kept
    flags: int = 0
    sequence: int = 0
    acknowledgement: int = 0
    window: int = 0
    label: str | None = None  #: what the payload is, where it is recognised; what an ICMP error says
    network: int | None = None  #: network.id in which it travelled, where that was recorded

    @property
    def size(self) -> int:
        """Sequence numbers that it takes: payload, SYN and FIN."""
        return self.length + (1 if self.flags & SYN else 0) + (1 if self.flags & FIN else 0)


Decoder: TypeAlias = Callable[[Packet], Segment | None]


def segment(packet: Packet) -> Segment | None:
    """The TCP segment, UDP datagram or ICMP error in a frame, ``None`` for anything else."""
    found = segments.segment(packet.link_type & 0xFFFFFFFF, packet.frame, packet.length & 0xFFFFFFFF)
    if found is None:
        return None
    return Segment(
        packet=packet.id,
        at_ns=packet.at_ns,
        protocol=found.protocol,
        source=_end(found.source, found.source_port),
        destination=_end(found.destination, found.destination_port),
        length=found.length,
        payload=found.payload,
        flags=found.flags,
        sequence=found.sequence,
        acknowledgement=found.acknowledgement,
        window=found.window,
        label=found.label,
        network=packet.network,
    )


def plain(packet: Packet) -> bool:
    """Whether a frame is a TCP segment without SYN and RST: told sooner than what is in it."""
    return segments.plain(packet.link_type & 0xFFFFFFFF, packet.frame, packet.length & 0xFFFFFFFF)


@lru_cache(maxsize=4096)
def _end(address: bytes, port: int) -> End:
    """Few ends make most segments: each is held once."""
    return End(address, port)


def summary(packet: Packet) -> str:
    """A frame in one line."""
    return segments.summary(packet.link_type & 0xFFFFFFFF, packet.frame, packet.length & 0xFFFFFFFF)


def decoded(packet: Packet) -> dict[str, Any]:
    """A frame for JSON."""
    found = segment(packet)
    fields: dict[str, Any] = {"summary": summary(packet)}
    if found is not None:
        fields |= {
            "protocol": found.protocol,
            "source_port": found.source.port,
            "destination_port": found.destination.port,
            "length": found.length,
        }
        if found.protocol == 6:
            fields |= {
                "flags": found.flags,
                "sequence": found.sequence,
                "acknowledgement": found.acknowledgement,
                "window": found.window,
            }
    return fields
