"""Findings as OpenTelemetry log records: OTLP in JSON, as a collector's ``otlp_json`` receivers and its HTTP endpoint take it.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids are hexadecimal digits, 64-bit numbers are texts. A finding
about a connection on which a W3C ``traceparent`` travelled in clear bytes belongs to that trace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..trace.recording import Recording
from .finding import Finding, Severity

__all__ = ["otlp"]

#: SeverityNumber of logs.proto.
_SEVERITIES: Final[dict[Severity, tuple[int, str]]] = {
    "error": (17, "ERROR"),
    "warning": (13, "WARN"),
    "note": (9, "INFO"),
}
#: https://www.w3.org/TR/trace-context/#traceparent-header, as a header of HTTP/1 or as a text in a message.
_TRACEPARENT: Final = re.compile(
    rb"(?i)traceparent[\"']?\s*[:=]\s*[\"']?[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\b"
)


def otlp(
    recording: Recording, findings: Sequence[Finding], *, version: str, told: Callable[[str], str] = str
) -> dict[str, Any]:
    """A request of the logs service with one record for each finding.

    Args:
        recording: that the findings are of.
        findings: in the order of rank.
        version: of Wallsocket.
        told: leaves out of a text what is not to be told.
    """
    started_ns = recording.meta_int("started_realtime_ns") or 0
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": [_attribute("service.name", "wallsocket")]},
                "scopeLogs": [
                    {
                        "scope": {"name": "wallsocket", "version": version},
                        "logRecords": [_record(recording, finding, started_ns, told) for finding in findings],
                    }
                ],
            }
        ]
    }


def _record(recording: Recording, finding: Finding, started_ns: int, told: Callable[[str], str]) -> dict[str, Any]:
    at_ns = max(0, started_ns + max((proof.at_ns for proof in finding.proof), default=0))
    number, name = _SEVERITIES[finding.severity]
    values: dict[str, Any] = {
        "event.name": f"wallsocket.finding.{finding.rule}",
        "wallsocket.rule": finding.rule,
        "wallsocket.certainty": finding.certainty,
        "wallsocket.rank": finding.rank,
        "wallsocket.fix": told(finding.fix),
        "wallsocket.follows_from": finding.follows_from,
        "code.file.path": finding.file,
        "code.line.number": finding.line,
    }
    if finding.process is not None:
        values |= {
            "process.pid": finding.process.pid,
            "process.executable.name": told(finding.process.command or "") or None,
        }
    if finding.socket is not None:
        values |= {
            "wallsocket.socket": finding.socket.id,
            "network.local.address": told(finding.socket.local or "") or None,
            "network.peer.address": told(finding.socket.peer or "") or None,
        }
    record: dict[str, Any] = {
        "timeUnixNano": str(at_ns),
        "observedTimeUnixNano": str(at_ns),
        "severityNumber": number,
        "severityText": name,
        "body": {"stringValue": told(f"{finding.title}. {finding.why}")},
        "attributes": [_attribute(key, value) for key, value in values.items() if value is not None],
    }
    context = _context(recording, finding)
    if context is not None:
        record |= {"traceId": context[0], "spanId": context[1], "flags": int(context[2], 16) & 1}
    return record


def _context(recording: Recording, finding: Finding) -> tuple[str, str, str] | None:
    """Trace id, span id and flags that travelled last on the finding's socket before its proof."""
    if finding.socket is None:
        return None
    until_ns = max((proof.at_ns for proof in finding.proof), default=None)
    found = None
    for call in recording.calls(socket=finding.socket.id, until_ns=until_ns):
        for match in _TRACEPARENT.finditer(call.payload or b""):
            found = match
    if found is None:
        return None
    trace, span, flags = (part.decode().lower() for part in found.groups())
    # Ids of zeros are invalid (3.2.2.3, 3.2.2.4).
    return (trace, span, flags) if trace.strip("0") and span.strip("0") else None


def _attribute(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
