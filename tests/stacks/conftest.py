"""Interpreters and programs under test, as fixtures."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stacks.programs import HERE, Program, Start, interpreters


@pytest.fixture(params=interpreters())
def interpreter(request: pytest.FixtureRequest) -> str:
    """Path of each CPython in turn."""
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts ``[interpreter, *options, program file]``; the program calls ``oracle.start()`` when it is ready."""
    running: list[subprocess.Popen[str]] = []

    def begin(interpreter: str, source: str, *options: str, name: str | bytes = "program.py") -> Program:
        path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
        with open(path, "wb") as file:
            file.write(f"import sys; sys.path.insert(0, {str(HERE)!r})\n{source}".encode())
        return command([interpreter, *options, path])

    def command(arguments: list[str | bytes], **more: Any) -> Program:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            **more,
        )
        running.append(process)
        program = Program(process)
        program.facts = program.read_line()
        return program

    begin.command = command  # type: ignore[attr-defined]
    yield begin
    for process in running:
        process.kill()
        process.communicate()
