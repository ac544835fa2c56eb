"""Recorded frames for the timeline and the views, by the one decoder."""

from __future__ import annotations

from typing import Any

from .._core import segments
from ..events import Packet
from .timeline import Endpoint, Segment

__all__ = ["decoded", "segment", "summary"]


def segment(packet: Packet) -> Segment | None:
    """The TCP segment, UDP datagram or ICMP error in a frame, ``None`` for anything else."""
    found = segments.segment(packet.link_type & 0xFFFFFFFF, packet.frame, packet.length & 0xFFFFFFFF)
    if found is None:
        return None
    return Segment(
        packet=packet.id,
        at_ns=packet.at_ns,
        protocol=found.protocol,
        source=Endpoint(found.source, found.source_port),
        destination=Endpoint(found.destination, found.destination_port),
        length=found.length,
        payload=found.payload,
        flags=found.flags,
        sequence=found.sequence,
        acknowledgement=found.acknowledgement,
        window=found.window,
        label=found.label,
    )


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
