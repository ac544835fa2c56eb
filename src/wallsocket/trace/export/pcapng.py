"""pcapng: each packet with the line that sent it, for Wireshark and tshark.

Packets that were captured are written as they are (their payload only where it is asked for). A recording without any gets
packets that its calls imply; they say so, and so does the file.
"""

from __future__ import annotations

from typing import IO, Final

from ... import wire
from ...events import Call
from .implied import Implied, implied
from .material import Finding, Material

__all__ = ["write"]

#: The longest that a packet block can say a packet was.
_MOST_BYTES: Final = (1 << 32) - 1
#: Who sent a packet that no call sent.
_KERNEL = "sent by the kernel"


def write(material: Material, file: IO[bytes]) -> None:
    """Write the recording."""
    recording = material.recording
    any_captured = next(recording.packets(), None) is not None
    material.implied = not any_captured
    comment = f"Wallsocket's recording of {material.discretion.process(recording.processes.get(1))}."
    if not any_captured:
        reason = recording.meta.get("wire", "yes")
        why = f" ({material.discretion.text(reason)})" if reason != "yes" else ""
        comment += f" No packet was captured{why}: these are the packets that its calls imply."
    if not material.discretion.with_payload:
        comment += " Payload was left out."
    if material.tls_keys is not None:
        comment += " THIS FILE CONTAINS KEYS: who has it can read what was encrypted."
    with wire.Writer("recording.pcapng", file=file, comment=comment) as writer:
        if material.tls_keys is not None:
            writer.tls_keys(material.tls_keys)
        if any_captured:
            _captured(material, writer)
        else:
            for packet in implied(material):
                _write_implied(material, writer, packet)


def _captured(material: Material, writer: wire.Writer) -> None:
    interfaces: dict[tuple[int, str | None], int] = {}
    for packet in material.recording.packets():
        key = (packet.link_type & 0xFFFF, packet.interface)
        if key not in interfaces:
            interfaces[key] = writer.interface(key[0], name=packet.interface)
        call_id, socket, conversation = material.senders.get(packet.id, (None, None, None))
        call = material.call(call_id)
        sentences = [_who(material, call, socket)] if socket is not None else []
        if conversation is not None and socket is not None and call is None:
            sentences.append(_KERNEL)
        found = _findings(material, packet.id, call)
        frame = material.discretion.frame(packet)
        writer.write(
            frame,
            timestamp_ns=material.at(packet.at_ns),
            comment="; ".join(filter(None, [*sentences, *found])) or None,
            process_id=_pid(material, call, socket),
            interface=interfaces[key],
            original_length=min(max(packet.length, len(frame)), _MOST_BYTES),
        )


def _write_implied(material: Material, writer: wire.Writer, packet: Implied) -> None:
    sentences = ["implied, not captured", packet.why, _who(material, packet.call, packet.socket)]
    writer.write(
        packet.frame,
        timestamp_ns=material.at(packet.at_ns),
        comment="; ".join(filter(None, [*sentences, *_findings(material, None, packet.call)])),
        process_id=_pid(material, packet.call, packet.socket),
        interface=writer.interface(packet.link_type, name="implied", description="made of recorded calls"),
        original_length=packet.length,
    )


def _who(material: Material, call: Call | None, socket: int | None) -> str:
    """``client.py (pid 71): connect() at client.py:19``."""
    recording = material.recording
    item = recording.sockets.get(socket) if socket is not None else None
    process = recording.processes.get(call.process if call is not None else item.process if item is not None else 0)
    who = f"{material.discretion.process(process)} (pid {process.pid})" if process is not None else ""
    if call is None:
        return f"from {who}, socket {socket}" if who else ""
    return f"{who}: {material.discretion.call(call)}{_where(material, call)}"


def _where(material: Material, call: Call) -> str:
    where = material.where(call) or "line unknown"
    return f" {where}" if where.startswith(("at ", "in ")) else f", {where}"


def _pid(material: Material, call: Call | None, socket: int | None) -> int | None:
    item = material.recording.sockets.get(socket) if socket is not None else None
    number = call.process if call is not None else item.process if item is not None else None
    process = material.recording.processes.get(number) if number is not None else None
    return process.pid if process is not None and 0 < process.pid < 1 << 31 else None


def _findings(material: Material, packet: int | None, call: Call | None) -> list[str]:
    found: list[Finding] = list(material.found.get(("packet", packet), ())) if packet is not None else []
    if call is not None:
        found += [item for item in material.found.get(("call", call.id), ()) if item not in found]
    return [_finding(material, item) for item in found]


def _finding(material: Material, finding: Finding) -> str:
    where = f" at {finding.file}:{finding.line}" if finding.file is not None and finding.line is not None else ""
    return f"finding {finding.rank}: {material.discretion.text(finding.title)} [{finding.rule}]{where}"
