"""Programs to trace, and the recording of a traced run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult, run

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture(scope="session")
def many_ways(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The program ``many_ways``, compiled once each as ``dynamic`` and ``static``."""
    built: dict[str, Path] = {}

    def build(how: str) -> Path:
        if how not in built:
            target = tmp_path_factory.mktemp(how) / "many_ways"
            flags = ["-static"] if how == "static" else []
            source = PROGRAMS / "many_ways.c"
            subprocess.run(["gcc", "-w", "-O1", "-pthread", *flags, "-o", target, source], check=True)
            built[how] = target
        return built[how]

    return build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A program of ``tests/programs`` by its name, compiled once."""
    folder = tmp_path_factory.mktemp("programs")

    def build(name: str) -> Path:
        target = folder / name
        if not target.exists():
            subprocess.run(["gcc", "-w", "-O1", "-pthread", "-o", target, PROGRAMS / f"{name}.c"], check=True)
        return target

    return build


@pytest.fixture
def traced(tmp_path: Path) -> Callable[..., tuple[RunResult, Recording]]:
    """Runs a command under the trace and opens what was recorded."""
    count = 0

    def trace(*command: object, **options: object) -> tuple[RunResult, Recording]:
        nonlocal count
        count += 1
        path = tmp_path / f"run-{count}.wsrec"
        result = run([str(word) for word in command], output=path, **options)  # type: ignore[arg-type]
        return result, Recording.open(path)

    return trace


@pytest.fixture
def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable
