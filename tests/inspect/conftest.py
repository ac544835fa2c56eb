"""Programs that hang, and what inspect says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: A loaded machine may take its time to let a program run.
PATIENCE_S = 30


class Program:
    """A program that was started for a test; its first line of output is its answer."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid
        assert process.stdout is not None
        self.said = process.stdout.readline().strip()

    def threads_wait_in(self, *calls: int) -> Program:
        """Wait until its threads are in these system calls, by number, in whatever order."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if sorted(self.calls()) == sorted(calls):
                return self
            time.sleep(0.01)
        raise AssertionError(f"its threads are in {self.calls()}, not in {calls}")

    def calls(self) -> list[int]:
        found = []
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            word = Path(f"/proc/{self.pid}/task/{tid}/syscall").read_text().split()[0]
            found.append(-2 if word == "running" else int(word))
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts a command, or the text of a Python program under a name, and ends it after the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(*command: object, name: str | None = None, source: str | None = None) -> Program:
        words = [str(word) for word in command]
        if source is not None:
            path = tmp_path / (name or "program.py")
            path.write_text(source)
            words = [sys.executable, str(path), *words]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        running.append(process)
        return Program(process)

    yield begin
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Answer:
    """What ``inspect --json`` printed."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.errors, self.text = done.returncode, done.stderr, done.stdout
        lines = [json.loads(line) for line in done.stdout.splitlines()] if done.stdout.startswith("{") else []
        self.threads: list[dict[str, Any]] = [line["thread"] for line in lines if "thread" in line]
        self.tasks: list[dict[str, Any]] = [line["task"] for line in lines if "task" in line]
        self.sockets: list[dict[str, Any]] = [line["socket"] for line in lines if set(line) == {"socket"}]
        self.findings: list[dict[str, Any]] = [line for line in lines if "rule" in line]
        self.summary: dict[str, Any] = lines[-1] if lines else {}

    @property
    def rules(self) -> list[str]:
        return [finding["rule"] for finding in self.findings]

    def socket(self, number: int) -> dict[str, Any]:
        return next(socket for socket in self.sockets if socket["id"] == number)


def run_inspect(*arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    words = [*prefix, sys.executable, "-m", "wallsocket", "inspect", *(str(word) for word in arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


@pytest.fixture
def look() -> Callable[..., Answer]:
    """Runs ``wallsocket inspect … --json``."""

    def run(*arguments: object) -> Answer:
        return Answer(run_inspect(*arguments, "--json"))

    return run


@pytest.fixture
def tell() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``wallsocket inspect …`` as people do."""
    return run_inspect
