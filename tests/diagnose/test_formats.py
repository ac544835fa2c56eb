"""SARIF and GitHub's annotations, and findings that a comment accepts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from wallsocket.diagnose import all_rules
from wallsocket.diagnose.finding import Diagnosis, Finding, ProcessName, SocketName
from wallsocket.diagnose.formats import github, sarif
from wallsocket.diagnose.suppression import without_accepted

FINDING = Finding(
    rule="close-with-unread-data",
    covers=(53,),
    severity="error",
    certainty="certain",
    title="close() with unread data",
    why="100 % of it,\nunread: 5 bytes",
    fix="read it",
    follows_from=None,
    process=ProcessName(7, "server.py"),
    socket=SocketName(1, "127.0.0.1:80", None),
    file="/project/src/a file.py",
    line=12,
    proof=(),
    rank=1,
)
EFFECT = msgspec.structs.replace(
    FINDING, rule="write-after-peer-closed", follows_from=FINDING.rule, file="/elsewhere/b.py", rank=2
)
UNPLACED = msgspec.structs.replace(FINDING, rule="nobody-listens", file=None, line=None, severity="note", rank=3)


def diagnosis(*findings: Finding) -> Diagnosis:
    return Diagnosis(findings, (), (), 0, 0)


def test_sarif_is_what_its_model_says_and_paths_are_relative_to_the_root() -> None:
    model = pytest.importorskip("sarif_pydantic")
    log = sarif([FINDING, EFFECT, UNPLACED], all_rules(), version="1.2", root=Path("/project"))
    parsed = model.Sarif.model_validate_json(json.dumps(log))
    first, second, third = parsed.runs[0].results
    rules = parsed.runs[0].tool.driver.rules
    assert [rules[result.rule_index].id for result in (first, second, third)] == [
        "close-with-unread-data",
        "write-after-peer-closed",
        "nobody-listens",
    ]
    place = first.locations[0].physical_location
    assert (place.artifact_location.uri, place.artifact_location.uri_base_id) == ("src/a%20file.py", "SRCROOT")
    assert place.region.start_line == 12
    assert second.locations[0].physical_location.artifact_location.uri == "file:///elsewhere/b.py"
    assert third.level.value == "note"
    assert third.locations[0].physical_location is None


def test_githubs_annotations_are_one_line_each_with_what_the_runner_decodes_escaped() -> None:
    assert github([FINDING, UNPLACED], root=Path("/project")) == [
        "::error file=src/a file.py,line=12,title=close() with unread data [close-with-unread-data]"
        "::100 %25 of it,%0Aunread: 5 bytes Usual fix: read it",
        "::notice title=close() with unread data [nobody-listens]::100 %25 of it,%0Aunread: 5 bytes Usual fix: read it",
    ]


def test_an_annotation_does_nothing_to_a_terminal() -> None:
    hostile = msgspec.structs.replace(FINDING, file="\u202e\x1b[2J.py", why="\x07")
    (line,) = github([hostile], root=Path("/project"))
    assert line.isprintable()
    assert r"file=\u202e\x1b[2J.py" in line


@pytest.mark.parametrize(
    ("comment", "kept"),
    [
        ("x.close()  # wallsocket: ignore", []),
        ("x.close();  // wallsocket: ignore[close-with-unread-data]", []),
        ("x.close()  # noqa  # wallsocket:ignore[ other , close-with-unread-data ]", []),
        ("x.close()  # wallsocket: ignore[other]", ["close-with-unread-data", "write-after-peer-closed"]),
        ("x.close()", ["close-with-unread-data", "write-after-peer-closed"]),
    ],
)
def test_a_comment_accepts_a_finding_and_what_follows_from_it(comment: str, kept: list[str]) -> None:
    def text_of(file: str | None, line: int | None, recorded_s: float | None) -> str:
        return comment if file == FINDING.file else ""

    left, accepted = without_accepted(diagnosis(FINDING, EFFECT), None, text_of)
    assert [finding.rule for finding in left.findings] == kept
    assert accepted == 2 - len(kept)
    assert [finding.rank for finding in left.findings] == list(range(1, len(kept) + 1))


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wallsocket", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_explain_writes_them_and_asks_chosen_rules(tmp_path: Path) -> None:
    script = tmp_path / "refused.py"
    connect = 'socket.create_connection(("127.0.0.1", 9))'
    script.write_text(f"import socket\ntry:\n    {connect}\nexcept OSError:\n    pass\n")
    recording = str(tmp_path / "run.wsrec")
    log = tmp_path / "log.sarif"
    done = explain("-o", recording, "--sarif", str(log), "--github", "--", sys.executable, str(script))
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("::error file=")
    assert json.loads(log.read_text())["runs"][0]["results"][0]["ruleId"] == "nobody-listens"
    assert json.loads(explain(recording, "--sarif", "-").stdout)["version"] == "2.1.0"
    assert explain(recording, "--not-rule", "nobody-listens").returncode == 0
    assert explain(recording, "--rule", "107").returncode == 1
    wrong = explain(recording, "--rule", "nobody-listen")
    assert wrong.returncode == 2
    assert "did you mean nobody-listens?" in wrong.stderr
    assert explain(recording, "--sarif", str(tmp_path / "none" / "x")).returncode == 2
    script.write_text(script.read_text().replace(connect, f"{connect}  # wallsocket: ignore[nobody-listens]"))
    done = explain("-o", str(tmp_path / "again.wsrec"), "--", sys.executable, str(script))
    assert done.returncode == 0
    assert "1 finding accepted by comments in the source" in done.stderr
