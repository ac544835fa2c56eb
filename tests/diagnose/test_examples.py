"""Every rule on real programs: it speaks on its broken example and its variant; none speaks on a healthy one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from wallsocket.diagnose import all_rules
from wallsocket.diagnose.text import example_path

EXAMPLES = Path(example_path(all_rules()[0], "broken.py")).parent.parent
WALLSOCKET = [sys.executable, "-m", "wallsocket"]


@cache
def lab_works() -> bool:
    done = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True)
    return done.returncode == 0


def explain(command: list[str], tmp_path: Path) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    lab = ["--lab"] if lab_works() else []
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    report = tmp_path / "report"
    with report.open("wb") as stdout:
        done = subprocess.run(
            [*WALLSOCKET, "explain", *lab, "--json", "-o", str(tmp_path / "run.wsrec"), "--", *command],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            env=environment,
        )
    lines = [json.loads(line) for line in report.read_text().splitlines() if line.startswith("{")]
    assert lines, done.stderr
    assert "summary" in lines[-1], done.stderr
    assert done.returncode == (1 if any(line["severity"] == "error" for line in lines[:-1]) else 0)
    return lines[:-1], lines[-1], done.stderr


def command_of(path: Path, tmp_path: Path) -> list[str]:
    if path.suffix == ".py":
        return [sys.executable, str(path)]
    if path.suffix == ".js":
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        return ["node", str(path)]
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    program = tmp_path / "program"
    subprocess.run(["gcc", "-w", "-O1", "-o", str(program), str(path)], check=True)
    return [str(program)]


def examples(kind: str) -> list[Path]:
    return sorted(path for path in EXAMPLES.glob("*/*") if path.stem == kind and path.suffix in (".py", ".c", ".js"))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_every_rule_has_its_examples() -> None:
    played = [rule for rule in all_rules() if rule.pictures != "only"]  # the others need a program that runs
    for rule in played:
        there = {path.stem for path in (EXAMPLES / rule.id).iterdir()}
        assert {"broken", "healthy", "variant"} <= there, rule.id
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == {rule.id for rule in played}


@pytest.mark.parametrize("path", [*examples("broken"), *examples("variant")], ids=name)
def test_the_rule_speaks(path: Path, tmp_path: Path) -> None:
    findings, _, report = explain(command_of(path, tmp_path), tmp_path)
    rule = path.parent.name
    first = findings[0] if findings else None
    assert first is not None, report
    assert (first["rule"], first["rank"]) == (rule, 1), [finding["rule"] for finding in findings]
    assert first["certainty"] == "certain"
    if path.suffix == ".py" and first["file"] is not None:
        assert first["file"] == str(path)
        assert first["line"] <= len(path.read_text().splitlines())
    # What else is said follows from it: one fault, one cause.
    assert {finding["follows_from"] for finding in findings[1:]} <= {rule}, findings


@pytest.mark.parametrize("path", examples("healthy"), ids=name)
def test_no_rule_speaks_on_the_healthy_one(path: Path, tmp_path: Path) -> None:
    findings, summary, _ = explain(command_of(path, tmp_path), tmp_path)
    assert findings == []
    assert summary["lost"] == 0
    assert summary["summary"]["target_status"] == 0
