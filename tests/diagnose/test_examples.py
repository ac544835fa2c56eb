"""Every rule on real programs: it speaks on its broken example and its variants; none speaks on a healthy one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wallsocket.diagnose import all_rules, rule_of
from wallsocket.diagnose.finding import Finding
from wallsocket.diagnose.picture import EXCERPT_LINES, Pictures
from wallsocket.diagnose.play import EXAMPLES, Stage, captured, command_of, examples, ready
from wallsocket.errors import UsageError
from wallsocket.trace.recording import Recording
from wallsocket.trace.text import column_width

from ..support.agreement import assert_views_agree

WALLSOCKET = [sys.executable, "-m", "wallsocket"]
#: How calls are recorded: ``preload`` in long runs, where every rule must say the same.
VIA = os.environ.get("EXAMPLES_VIA", "auto")
#: Rules of whose examples every view and export is compared; long runs do so with all.
EVERYWHERE = ("both-wait", "close-with-unread-data", "datagram-truncated", "passed-descriptors", "unix-backlog-full")


@cache
def lab_works() -> bool:
    done = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True)
    return done.returncode == 0


def judged(path: Path, tmp_path: Path, via: str = VIA) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    """Play an example and have it judged: findings, summary, and what was said to people."""
    try:
        command = command_of(path, tmp_path)
    except UsageError as error:
        pytest.skip(str(error))
    rule = rule_of(path.parent.name)
    assert rule is not None
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    report = tmp_path / "report"
    with Stage(path.parent) as stage, report.open("wb") as stdout:
        if stage.lab and not lab_works():
            pytest.skip("no namespaces here")
        if rule.pictures == "only":
            with stage.popen(command, stdout=subprocess.PIPE) as program:
                try:
                    ready(program, path.name)
                    who = path.name if stage.lab else str(program.pid)
                    words = [*WALLSOCKET, "inspect", "--json", who]
                    done = stage.run(words, stdout=stdout, stderr=subprocess.PIPE, timeout=100, env=environment)
                finally:
                    program.kill()
        elif rule.subject == "flow":
            captured(stage, command, tmp_path / "run.pcapng", timeout=100)
            words = [*WALLSOCKET, "explain", "--json", str(tmp_path / "run.pcapng")]
            done = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, timeout=100, env=environment)
        else:
            lab = ["--lab"] if lab_works() and not stage.lab else []
            words = [
                *WALLSOCKET,
                "explain",
                *lab,
                "--via",
                via,
                "--json",
                "-o",
                str(tmp_path / "run.wsrec"),
                "--",
                *command,
            ]
            done = stage.run(words, stdout=stdout, stderr=subprocess.PIPE, timeout=100, env=environment)
    said = done.stderr.decode()
    if (tmp_path / "run.wsrec").exists():
        everywhere = VIA != "auto" or path.parent.name in EVERYWHERE
        assert_views_agree(tmp_path / "run.wsrec", everywhere=everywhere)
    lines = [json.loads(line) for line in report.read_text().splitlines() if line.startswith("{")]
    assert lines, said
    assert "summary" in lines[-1], said
    findings = [line for line in lines if "rule" in line]
    if (tmp_path / "run.wsrec").exists():
        assert_excerpts(tmp_path / "run.wsrec", findings)
    assert done.returncode == (1 if any(finding["severity"] == "error" for finding in findings) else 0), said
    return findings, lines[-1], said


def assert_excerpts(recording: Path, findings: list[dict[str, Any]]) -> None:
    """Where rows of a proof stand in a ladder, an excerpt has the first of them, and is short."""
    with Recording.open(recording) as opened:
        found = [msgspec.convert(finding, Finding) for finding in findings]
        pictures = Pictures(opened, found, width=80)
        for finding in found:
            lines = pictures.excerpt(finding)
            assert max(map(column_width, lines), default=0) <= 80, lines
            # One line of the ladder may take several of text.
            assert len(lines) <= EXCERPT_LINES + 4, lines
            assert not lines or any(line.startswith("▸") for line in lines), lines
            own = [opened.call(proof.row) for proof in finding.proof if proof.table == "call"]
            if finding.socket is not None and any(call and call.socket == finding.socket.id for call in own):
                assert lines, finding


def programs(*kinds: str) -> list[Path]:
    return [path for rule in all_rules() for path in examples(rule) if path.stem.startswith(kinds)]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_every_rule_has_its_examples() -> None:
    for rule in all_rules():
        there = {path.stem for path in examples(rule) if path.suffix == ".py"}
        if rule.pictures != "only" or there:
            assert {"broken", "healthy"} <= there, rule.id
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} <= {rule.id for rule in all_rules()}


@pytest.mark.parametrize("path", programs("broken", "variant"), ids=name)
def test_the_rule_speaks(path: Path, tmp_path: Path) -> None:
    findings, _, report = judged(path, tmp_path)
    rule = rule_of(path.parent.name)
    assert rule is not None
    first = findings[0] if findings else None
    assert first is not None, report
    assert (first["rule"], first["rank"]) == (rule.id, 1), [finding["rule"] for finding in findings]
    assert first["certainty"] == rule.certainty
    if path.suffix == ".py" and first["file"] is not None:
        assert first["file"] in {str(one) for one in path.parent.glob("*.py")}
        assert first["line"] <= len(Path(first["file"]).read_text().splitlines())
    # What else is said follows from it: one fault, one cause.
    assert {finding["follows_from"] for finding in findings[1:]} <= {finding["rule"] for finding in findings}, findings


#: Of each kind of subject one; long runs have all (EXAMPLES_VIA=preload).
PRELOADED = ("linger-zero", "one-recv-per-message", "datagram-truncated", "nagle-delayed-ack", "writable-spin")


@pytest.mark.parametrize("rule", [rule for rule in PRELOADED if (EXAMPLES / rule / "broken.py").is_file()])
def test_the_rule_speaks_when_the_library_records(rule: str, tmp_path: Path) -> None:
    findings, summary, report = judged(EXAMPLES / rule / "broken.py", tmp_path, "preload")
    assert findings, report
    assert findings[0]["rule"] == rule, report
    assert summary["lost"] == 0


@pytest.mark.parametrize("path", programs("healthy"), ids=name)
def test_no_rule_speaks_on_the_healthy_one(path: Path, tmp_path: Path) -> None:
    findings, summary, _ = judged(path, tmp_path)
    assert findings == []
    assert summary["lost"] == 0
    if "target_status" in summary["summary"] and summary["summary"]["target_status"] is not None:
        assert summary["summary"]["target_status"] == 0
