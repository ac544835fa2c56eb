"""Programs as students write them: the wrong ones get the right hint at the right line, the right ones pass."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from wallsocket.lessons.exercises.check import check
from wallsocket.lessons.exercises.source import SUFFIXES

HERE = Path(__file__).parent
TABLE: dict[str, dict[str, Any]] = tomllib.loads((HERE / "programs.toml").read_text(encoding="utf-8"))
#: Stands in the line of a wrong program that is to be named.
MARK = "HERE"


def marked(path: Path) -> int | None:
    """The line that bears the mark."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if MARK in line), None)


def needs(path: Path) -> None:
    tool = SUFFIXES[path.suffix]
    if tool != "python3" and shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


def test_every_program_stands_in_the_table() -> None:
    for kind in ("right", "wrong"):
        there = {path.name for path in (HERE / kind).iterdir() if path.suffix in SUFFIXES}
        assert there == set(TABLE[kind])


def sample(kind: str, every: int) -> list[Any]:
    """The programs of a kind; one of ``every`` of them is played by the long runs only."""
    return [
        pytest.param(name, marks=pytest.mark.soak) if place % every == every - 1 else name
        for place, name in enumerate(TABLE[kind])
    ]


@pytest.mark.parametrize("name", sample("right", 3))
def test_a_right_program_passes(name: str) -> None:
    path = HERE / "right" / name
    needs(path)
    verdict = check(path, TABLE["right"][name])
    assert verdict.verdict == "right", verdict


@pytest.mark.parametrize("name", sample("wrong", 2))
def test_a_wrong_program_gets_the_right_hint(name: str) -> None:
    path = HERE / "wrong" / name
    needs(path)
    expected = TABLE["wrong"][name]
    verdict = check(path, expected["exercise"], first=not expected.get("all"))
    assert verdict.verdict == ("could not run" if expected.get("could_not_run") else "wrong"), verdict
    assert verdict.failed == expected.get("scenario", verdict.failed), verdict
    cause = verdict.cause
    assert cause is not None
    assert cause.id == expected["cause"], verdict
    assert cause.hint
    if cause.line is not None or marked(path) is not None:
        assert (cause.line, cause.file) == (marked(path), str(path)), verdict
        assert cause.code
        assert cause.code in path.read_text(encoding="utf-8")
