"""qlog: JSON text sequences as RFC 7464 has them, the head as the draft has it; which calls failed?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.recordings import lost_letter
from wallsocket.trace.export import export
from wallsocket.trace.export.qlog import SCHEMA
from wallsocket.trace.recording import Recording


def parse(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    whole = path.read_bytes()
    assert whole.startswith(b"\x1e")
    records = [json.loads(part) for part in whole.split(b"\x1e")[1:]]
    assert all(part.endswith(b"\n") and part.count(b"\n") == 1 for part in whole.split(b"\x1e")[1:])
    return records[0], records[1:]


def test_the_head(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec", started_realtime_ns="1796021124258462625") as recording:
        export(recording, tmp_path / "a.sqlog")
    head, events = parse(tmp_path / "a.sqlog")
    assert head["file_schema"] == "urn:ietf:params:qlog:file:sequential"
    assert head["serialization_format"] == "application/qlog+json-seq"
    assert head["trace"]["event_schemas"] == [SCHEMA]
    assert head["trace"]["vantage_point"]["type"] in ("client", "server", "network", "unknown")
    reference = head["trace"]["common_fields"]["reference_time"]
    assert reference == {"clock_type": "monotonic", "epoch": "unknown", "wall_clock_time": "2026-11-30T06:45:24.258Z"}
    assert all(
        isinstance(event["time"], float) and re.fullmatch(r"wallsocket:[a-z_]+", event["name"]) for event in events
    )
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_which_calls_failed(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        export(recording, tmp_path / "a.sqlog")
    _, events = parse(tmp_path / "a.sqlog")
    failed = [event for event in events if event["name"] == "wallsocket:call" and "error" in event["data"]]
    assert [(event["group_id"], event["data"]["call"], event["data"]["error"]) for event in failed] == [
        ("socket 2", "shutdown", "ENOTCONN")
    ]
    resets = [event["data"] for event in events if "RST" in (event["data"].get("flags") or ())]
    sender = next(
        event["data"]
        for event in events
        if event["name"] == "wallsocket:call" and event["data"]["id"] == resets[0]["call"]
    )
    assert (sender["call"], sender["line"]) == ("close", 8)


def test_how_a_line_is_known(every_known: Path) -> None:
    with Recording.open(every_known) as recording:
        export(recording, every_known.with_suffix(".sqlog"))
    _, events = parse(every_known.with_suffix(".sqlog"))
    calls = [event["data"] for event in events if event["name"] == "wallsocket:call"]
    assert [(call.get("line"), call.get("known")) for call in calls] == [
        (7, "direct"), (7, "creator"), (7, "awaiting"), (7, "library"), (None, None)
    ]  # fmt: skip


def test_findings_come_when_they_were_proved(with_wire: Path, exported: Callable[..., Path]) -> None:
    _, events = parse(exported(with_wire, "a.sqlog"))
    rules = [event["data"]["rule"] for event in events if event["name"] == "wallsocket:finding"]
    assert "close-with-unread-data" in rules
    assert "payload" not in {key for event in events for key in event["data"]}
    _, events = parse(exported(with_wire, "b.sqlog", with_payload=True))
    assert "payload" in {key for event in events for key in event["data"]}
