"""One row of the recording with all that is known of it: a call, a packet, or what a socket was at a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from ..diagnose.text import source_text
from ..errors import UsageError
from ..events import Call, Known, Packet, State
from ..kernel import names as naming
from ..kernel.address import end_of
from ..kernel.tcp_info import TcpInfo
from ..trace.calls import CallText, address, named
from ..trace.labels import process_title, socket_label
from ..trace.text import escape
from ..trace.verdict import amount, duration, lasting
from ..trace.wire import segment, summary
from ..wire.frame import decode, fields
from .snapshot import Snapshot

__all__ = ["Detail", "DetailAsked", "Fact", "Field", "Place", "detail"]

_KNOWN: Final[dict[int, str]] = {
    Known.DIRECT: "at the call",
    Known.CREATOR: "made here; an event loop made the call",
    Known.AWAITING: "awaited here",
    Known.LIBRARY: "in library code; no line of your own code made it",
}
_MOMENTS: Final = {
    0: "at the entry of a call",
    1: "at the return of a call",
    2: "between calls",
    3: "as it was destroyed",
}


class DetailAsked(msgspec.Struct, frozen=True):
    """Which row."""

    table: Literal["call", "packet", "state"]
    row: int


class Fact(msgspec.Struct):
    """A name and what stands for it, in words."""

    name: str
    text: str


class Field(msgspec.Struct, array_like=True):
    """A field of a frame's headers; as a list in JSON.

    Attributes:
        offset, length: which bytes of the frame. name: with its layer, such as ``tcp.window``. value: in words.
    """

    offset: int
    length: int
    name: str
    value: str


class Place(msgspec.Struct):
    """A line of code.

    Attributes:
        file, line, function: where. how: how that is known, in words.
        text: the line itself; empty where the file cannot be read, or has changed since.
    """

    file: str
    line: int | None
    function: str
    how: str
    text: str


class Detail(msgspec.Struct):
    """All that is known of a row.

    Attributes:
        table, row: which it is. at_ns: when.
        title: what it is, in words. facts: what is known of it.
        place: the line of code of a call; ``None`` unknown.
        payload: the bytes that were kept of what it moved. length: how many it moved; ``None`` for none.
        frame: the bytes of a packet that were kept. frame_length: how many it had. fields: what they mean, in their order.
    """

    table: str
    row: int
    at_ns: int
    title: str
    facts: list[Fact]
    place: Place | None = None
    payload: bytes = b""
    length: int | None = None
    frame: bytes = b""
    frame_length: int = 0
    fields: list[Field] = []


def detail(snapshot: Snapshot, asked: DetailAsked) -> Detail:
    """All that is known of a row."""
    if asked.table == "call":
        call = snapshot.recording.call(asked.row)
        if call is not None:
            return _call(snapshot, call)
    elif asked.table == "packet":
        packet = snapshot.recording.packet(asked.row)
        if packet is not None:
            return _packet(packet)
    else:
        state = snapshot.recording.state(asked.row)
        if state is not None:
            return _state(snapshot, state)
    raise UsageError(f"the recording has no {asked.table} {asked.row}")


def _call(snapshot: Snapshot, call: Call) -> Detail:
    timeline = snapshot.timeline
    text = CallText(timeline.machine, payload_bytes=0)
    process = timeline.processes.get(call.process)
    facts = [Fact("program", process_title(process, snapshot.recording.networks))]
    if process is not None and process.pid != call.tid:
        facts.append(Fact("thread", str(call.tid)))
    for name, socket in (("socket", call.socket), ("new socket", call.made)):
        if socket is not None and socket in timeline.tracks:
            facts.append(Fact(name, socket_label(timeline, socket)))
    if call.took_ns is None:
        facts.append(Fact("took", f"has not returned{lasting(timeline.waited_until(call) - call.entry_ns)}"))
    else:
        facts.append(Fact("took", duration(call.took_ns)))
    if call.errno is not None:
        facts.append(Fact("error", named(naming.error, call.errno)))
    if call.offset is not None and call.result is not None and call.result > 0:
        facts.append(Fact("bytes of the stream", f"{call.offset} to {call.offset + call.result}"))
    moved = call.result if call.payload is not None and call.result is not None and call.result > 0 else call.length
    return Detail(
        "call", call.id, call.entry_ns, text.full(call), facts, _place(snapshot, call), call.payload or b"", moved
    )


def _place(snapshot: Snapshot, call: Call) -> Place | None:
    source = snapshot.timeline.source_of(call)
    if source is None or source.file is None or call.known == Known.UNKNOWN:
        return None
    started = snapshot.recording.meta_int("started_realtime_ns")
    return Place(
        escape(source.file),
        source.line,
        escape(source.name or ""),
        "where the function begins, by the program's perf map" if source.begins else _KNOWN.get(call.known, ""),
        escape(source_text(source.file, source.line, started / 1e9 if started is not None else None)),
    )


def _packet(packet: Packet) -> Detail:
    facts = [Fact("interface", escape(packet.interface or "unknown")), Fact("length", amount(packet.length, "byte"))]
    if len(packet.frame) < packet.length:
        facts.append(Fact("kept", f"the first {amount(len(packet.frame), 'byte')}"))
    found = segment(packet)
    if found is not None and found.label:
        facts.append(Fact("holds", escape(found.label)))
    return Detail(
        "packet", packet.id, packet.at_ns, escape(summary(packet)), facts,
        payload=found.payload if found is not None else b"", length=found.length if found is not None else None,
        frame=packet.frame, frame_length=packet.length, fields=_fields(packet),
    )  # fmt: skip


def _fields(packet: Packet) -> list[Field]:
    frame = decode(packet.frame, packet.link_type & 0xFFFFFFFF, original_length=packet.length & 0xFFFFFFFF)
    found = [Field(offset, length, escape(name), escape(value)) for offset, length, name, value in fields(frame)]
    return sorted(found, key=lambda field: (field.offset, -field.length))


def _state(snapshot: Snapshot, state: State) -> Detail:
    timeline = snapshot.timeline
    facts = [Fact("seen", _MOMENTS.get(state.moment, "at an unknown moment"))]
    if state.socket in timeline.tracks:
        facts.insert(0, Fact("socket", socket_label(timeline, state.socket)))
    for name, value in (
        ("receive queue", state.receive_queue), ("send queue", state.send_queue), ("dropped", state.drops),
    ):  # fmt: skip
        if value is not None:
            facts.append(Fact(name, str(value)))
    for name, raw in (("local", state.local), ("remote", state.remote)):
        if raw and end_of(raw) is not None:
            facts.append(Fact(name, address(raw)))
    if state.tcp_info:
        facts += _tcp_info(state.tcp_info)
    title = named(naming.tcp_state, state.state) if state.state is not None else "no state"
    return Detail("state", state.id, state.at_ns, title, facts)


def _tcp_info(raw: bytes) -> list[Fact]:
    """The figures that say how a connection does (tcp(7), TCP_INFO)."""
    info = TcpInfo.parse(raw)
    wanted: tuple[tuple[str, int | None, Callable[[int], str]], ...] = (
        ("round trip", info.rtt_us, lambda value: duration(value * 1000)),
        ("congestion window", info.congestion_window, lambda value: amount(value, "segment")),
        ("segment size", info.send_mss, lambda value: amount(value, "byte")),
        ("in flight", info.unacked_segments, lambda value: amount(value, "segment")),
        ("sent again", info.total_retransmitted_segments, lambda value: amount(value, "segment")),
        ("room at the peer", info.send_window, lambda value: amount(value, "byte")),
    )
    return [Fact(name, write(value)) for name, value, write in wanted if value is not None]
