"""qlog as JSON text sequences (RFC 7464): calls, segments, states and findings as events.

Of draft-ietf-quic-qlog-main-schema: the file's head, common fields and times are its own; the events have names of this
project, under a schema of their own, as the draft asks of protocols that it does not define.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

from ...events import Call, Packet, State
from ...kernel import names as naming
from ..calls import named
from ..text import json_line
from ..wire import segment
from .material import Material

__all__ = ["SCHEMA", "write"]

#: Names the events below.
SCHEMA: Final = "urn:wallsocket:qlog:events:1"
#: Record separator of RFC 7464, 2.2.
_RS: Final = b"\x1e"
_FLAGS: Final = {1: "FIN", 2: "SYN", 4: "RST", 8: "PSH", 16: "ACK", 32: "URG"}


def write(material: Material, file: IO[bytes]) -> None:
    """Write the recording."""
    for record in _records(material):
        file.write(_RS + json_line(record) + b"\n")


def _records(material: Material) -> Iterator[dict[str, Any]]:
    recording, told = material.recording, material.discretion
    yield {
        "file_schema": "urn:ietf:params:qlog:file:sequential",
        "serialization_format": "application/qlog+json-seq",
        "title": f"Wallsocket: {told.process(recording.processes.get(1))}",
        "trace": {
            "title": told.process(recording.processes.get(1)),
            "common_fields": {
                "time_format": "relative_to_epoch",
                "reference_time": {"clock_type": "monotonic", "epoch": "unknown"}
                | ({"wall_clock_time": _iso(material.started_ns)} if material.started_ns else {}),
            },
            "vantage_point": {"name": "wallsocket", "type": "network"},
            "event_schemas": [SCHEMA],
        },
    }
    found = sorted(material.findings, key=material.found_at)
    for event in recording.events():
        at_ns = event.entry_ns if isinstance(event, Call) else event.at_ns
        while found and material.found_at(found[0]) < at_ns:
            yield _finding(material, found.pop(0))
        match event:
            case Call():
                yield _call(material, event)
            case State():
                yield _state(material, event)
            case Packet():
                yield _packet(material, event)
    for finding in found:
        yield _finding(material, finding)


def _event(at_ns: int, name: str, data: dict[str, Any], **fields: Any) -> dict[str, Any]:
    # Milliseconds, as the draft has them; what is unknown is left out.
    given = {key: value for key, value in data.items() if value is not None}
    return {"time": at_ns / 1_000_000, "name": f"wallsocket:{name}", **fields, "data": given}


def _call(material: Material, call: Call) -> dict[str, Any]:
    source = material.source(call)
    process = material.recording.processes.get(call.process)
    data: dict[str, Any] = {
        "id": call.id,
        "call": material.discretion.name(call),
        "text": material.discretion.call(call),
        "pid": process.pid if process is not None else None,
        "tid": call.tid,
        "socket": call.socket,
        "result": call.result,
        "error": naming.error(call.errno) if call.errno is not None else None,
        "took_ms": call.took_ns / 1_000_000 if call.took_ns is not None else None,
        "length": call.length,
        "offset": call.offset,
        "file": source.file if source is not None else None,
        "line": source.line if source is not None else None,
        "known": material.known(call),
    }
    if material.discretion.with_payload and call.payload is not None:
        data["payload"] = call.payload.hex()
    return _event(call.entry_ns, "call", data, **_group(call.socket))


def _state(material: Material, state: State) -> dict[str, Any]:
    data = {
        "socket": state.socket,
        "state": named(naming.tcp_state, state.state) if state.state is not None else None,
        "receive_queue": state.receive_queue,
        "send_queue": state.send_queue,
        "drops": state.drops,
    }
    return _event(state.at_ns, "state_updated", data, **_group(state.socket))


def _packet(material: Material, packet: Packet) -> dict[str, Any]:
    found = segment(packet)
    call, socket, _ = material.senders.get(packet.id, (None, None, 0))
    data: dict[str, Any] = {"id": packet.id, "length": packet.length, "call": call, "socket": socket}
    if found is not None:
        data |= {
            "protocol": {1: "icmp", 6: "tcp", 17: "udp"}.get(found.protocol),
            "payload_length": found.length,
            "flags": [name for bit, name in _FLAGS.items() if found.flags & bit] if found.protocol == 6 else None,
            "sequence": found.sequence if found.protocol == 6 else None,
            "acknowledgement": found.acknowledgement if found.protocol == 6 else None,
        }
        if material.discretion.with_payload:
            data |= {"label": found.label, "payload": found.payload.hex()}
    return _event(packet.at_ns, "packet", data, **_group(socket))


def _finding(material: Material, finding: Any) -> dict[str, Any]:
    told = material.discretion
    data = {
        "rule": finding.rule,
        "severity": finding.severity,
        "certainty": finding.certainty,
        "rank": finding.rank,
        "title": told.text(finding.title),
        "why": told.text(finding.why),
        "fix": told.text(finding.fix),
        "file": finding.file,
        "line": finding.line,
        "proof": [{"table": proof.table, "row": proof.row, "text": told.text(proof.text)} for proof in finding.proof],
    }
    return _event(material.found_at(finding), "finding", data, **_group(finding.socket.id if finding.socket else None))


def _group(socket: int | None) -> dict[str, str]:
    return {} if socket is None else {"group_id": f"socket {socket}"}


def _iso(at_ns: int) -> str:
    import datetime

    moment = datetime.datetime.fromtimestamp(at_ns // 1_000_000_000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{at_ns % 1_000_000_000 // 1_000_000:03}Z"
