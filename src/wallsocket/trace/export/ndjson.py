"""NDJSON: what ``show --json`` gives, without what is not told."""

from __future__ import annotations

import json
from typing import IO, Any, Final

from ..._core import segments
from ..text import json_line
from ..views import json_lines
from ..wire import decoded
from .material import Material

__all__ = ["write"]

#: Fields that hold bytes of a program, by the kind of object.
_LEFT_OUT: Final = {
    "process": ("command",),
    "recording": ("command", "attached"),
    "call": ("address", "value", "payload", "a", "b", "c", "sockets"),
    "state": ("options",),
    "mark": (),
}
#: Facts with what programs chose; of the others every number and address is the kernel's.
_TOLD_FACTS: Final = frozenset(
    {"addresses", "links", "routes", "route", "neighbours", "sysctls", "limits", "groups", "wire"}
)


def write(material: Material, file: IO[bytes]) -> None:
    """Write the recording."""
    told = material.discretion
    if told.with_payload:
        for line in json_lines(material.recording, segment=decoded, timeline=material.timeline):
            file.write(line + b"\n")
    else:
        file.write(json_line({"note": "payload, argument values and Unix paths were left out"}) + b"\n")
        for line in json_lines(material.recording, segment=None, timeline=material.timeline):
            ((kind, value),) = json.loads(line).items()
            file.write(json_line({kind: _told(material, kind, value)}) + b"\n")
    for finding in material.findings:
        file.write(json_line({"finding": told.value(_plain(finding))}) + b"\n")


def _told(material: Material, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    told, recording = material.discretion, material.recording
    value = {key: item for key, item in value.items() if key not in _LEFT_OUT.get(kind, ())}
    match kind:
        case "process":
            value["name"] = told.process(recording.processes.get(value["id"]))
            value["executable"] = told.text(value["executable"] or "") or None
        case "socket":
            item = recording.sockets[value["id"]]
            value |= {"local": told.address(item.local), "remote": told.address(item.remote)}
        case "call":
            call = material.call(value["id"])
            value["text"] = told.call(call) if call is not None else ""
        case "state":
            value |= {
                "local": told.text(value["local"] or "") or None,
                "remote": told.text(value["remote"] or "") or None,
            }
        case "packet":
            frame = bytes.fromhex(value["frame"])
            value["frame"] = segments.headers(
                value["link_type"] & 0xFFFFFFFF, frame, value["length"] & 0xFFFFFFFF
            ).hex()
        case "fact":
            if value["kind"] not in _TOLD_FACTS:
                value["value"] = None
        case "mark":
            if value["kind"] not in ("signal", "stopped", "continued", "lost"):
                value["text"] = told.text(value["text"]) if value["kind"] != "exec" else ""
        case "conversation" | "line":
            value = told.value(_without_payload(value))
        case "recording":
            value = told.value(value)
    return value


def _without_payload(value: dict[str, Any]) -> dict[str, Any]:
    arrow = value.get("arrow")
    if arrow is not None:
        # What travelled is told in words by length, flags and failure; the words may quote what it was.
        value["arrow"] = arrow | {
            "payload": "",
            "label": None,
            "text": "" if arrow["length"] or arrow["label"] else arrow["text"],
        }
    for side in ("left", "right"):
        if isinstance(value.get(side), list):
            value[side] = [part for part in value[side] if part["kind"] not in ("call", "failed")]
    return value


def _plain(finding: Any) -> Any:
    return json.loads(json_line(finding))
