"""What the tests of the lab share: programs run apart, and the search for what they left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 20.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; fail with what it was after a long time."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}; last: {condition()!r}")
        time.sleep(0.005)


class Apart:
    """Runs Python programs in processes of their own, whose descendants can be told by a mark in their environment."""

    def __init__(self) -> None:
        self.mark = f"WALLSOCKET_TEST_MARK={uuid.uuid4()}"
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self, program: str, *arguments: str, under: tuple[str, ...] = (), **options: object
    ) -> subprocess.Popen[str]:
        """Start a program, ``under`` another command if wanted."""
        name, _, value = self.mark.partition("=")
        process = subprocess.Popen(
            [*under, sys.executable, "-c", program, *arguments],
            env={**os.environ, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        self._started.append(process)
        return process

    def left(self) -> list[str]:
        """Processes with the mark that still run."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
            except OSError:
                continue
        return found

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
