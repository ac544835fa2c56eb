"""What all formats share: the ending, the file, what is refused."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from sarif_pydantic import Sarif

from tests.support.recordings import lost_letter
from wallsocket.errors import UsageError
from wallsocket.trace.export import FORMATS, export, format_of


def wallsocket(*words: object, status: int = 0, cwd: Path | None = None) -> str:
    command = [sys.executable, "-m", "wallsocket", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=cwd)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "suffix"), [(item.name, suffix) for item in FORMATS.values() for suffix in item.suffixes]
)
def test_the_ending_says_the_format(name: str, suffix: str) -> None:
    assert format_of(f"run.2{suffix.upper()}").name == name


def test_what_is_refused(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        with pytest.raises(UsageError, match=r"names no format \(\.pcapng, "):
            export(recording, tmp_path / "a.xyz")
        with pytest.raises(UsageError, match="no format 'xyz'"):
            export(recording, tmp_path / "a.xyz", to="xyz")
        with pytest.raises(UsageError, match="go into pcapng"):
            export(recording, tmp_path / "a.mmd", tls_keys=b"")
    assert "is the recording itself" in wallsocket(
        "export", tmp_path / "a.wsrec", tmp_path / "a.wsrec", "--to", "qlog", status=2
    )
    assert "write: wallsocket export" in wallsocket("export", status=2)
    assert "No such file" in wallsocket("export", tmp_path / "a.wsrec", "/nowhere/at/all.mmd", status=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wsrec"]


def test_sarif_fits_its_schema(with_wire: Path, tmp_path: Path) -> None:
    wallsocket("export", with_wire, tmp_path / "a.sarif")
    log = Sarif.model_validate_json((tmp_path / "a.sarif").read_text())
    results = {result.rule_id: result for result in log.runs[0].results or ()}
    place = results["close-with-unread-data"].locations[0].physical_location  # type: ignore[index]
    assert place.artifact_location.uri.endswith("talk.py")  # type: ignore[union-attr]
    assert place.region.start_line == 9  # type: ignore[union-attr]


def test_opentelemetry_decodes_the_findings_and_finds_their_trace(with_wire: Path, tmp_path: Path) -> None:
    wallsocket("export", with_wire, tmp_path / "a.otlp.json")
    value: dict[str, Any] = json.loads((tmp_path / "a.otlp.json").read_text())
    traces = set()
    for record in value["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        # OTLP writes ids as hexadecimal digits; protobuf's own JSON wants base64.
        for key in ("traceId", "spanId"):
            if key in record:
                record[key] = base64.b64encode(bytes.fromhex(record[key])).decode()
    request = json_format.ParseDict(value, ExportLogsServiceRequest())
    records = request.resource_logs[0].scope_logs[0].log_records
    by_rule = {
        attribute.value.string_value: record
        for record in records
        for attribute in record.attributes
        if attribute.key == "wallsocket.rule"
    }
    reset = by_rule["close-with-unread-data"]
    traces = {record.trace_id.hex() for record in records}
    assert "0af7651916cd43dd8448eb211c80319c" in traces
    attributes = {attribute.key: attribute.value for attribute in reset.attributes}
    assert attributes["code.file.path"].string_value.endswith("talk.py")
    assert attributes["code.line.number"].int_value == 9
    assert reset.severity_text == "ERROR"
    assert reset.time_unix_nano > 1_700_000_000 * 10**9
