"""The interpreters found on this machine, and programs that run on them beside their own oracle."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

#: Versions that must be readable: one that this machine lacks shows up as a skipped test that says so.
WANTED = ("3.11", "3.12", "3.13")
#: Read if it is there.
WELCOME = ("3.14", "3.15")


def _candidates(version: str) -> Iterator[str]:
    name = f"python{version}"
    roots = [os.environ.get("PYENV_ROOT"), "~/.pyenv", "~root/.pyenv", "/opt/pyenv"]
    for root in filter(None, roots):
        yield from sorted(glob.glob(f"{os.path.expanduser(root)}/versions/*/bin/{name}"))
    yield from sorted(glob.glob(f"/opt/*/bin/{name}"))
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        if "shims" not in directory and (path := shutil.which(name, path=directory)):
            yield path
    yield from (path for path in (f"/usr/local/bin/{name}", f"/usr/bin/{name}") if os.path.exists(path))


def _is(path: str, version: str) -> bool:
    program = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    try:
        result = subprocess.run([path, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return False
    return result.stdout.split() == ["cpython", version]


def find(version: str) -> str | None:
    """Path of a CPython of that version."""
    return next((path for path in _candidates(version) if _is(path, version)), None)


def interpreters() -> list[Any]:
    found = [(version, find(version)) for version in (*WANTED, *WELCOME)]
    system = "/usr/bin/python3"
    if os.path.exists(system) and os.path.realpath(system) not in {os.path.realpath(path) for _, path in found if path}:
        version = subprocess.run(
            [system, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        found.append((f"{version}-system", system if version in (*WANTED, *WELCOME) else None))
    missing = pytest.mark.skip(reason="this version of CPython is not installed here")
    return [
        pytest.param(path, id=name, marks=() if path else missing)
        for name, path in found
        if path or name not in WELCOME
    ]


@dataclass
class Program:
    """A running program that answers where it is."""

    process: subprocess.Popen[str]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        return int(self.facts["pid"])

    @property
    def main(self) -> int:
        return int(self.facts["main"])

    def read_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the program ended with status {self.process.wait(10)}"
        return dict(json.loads(line))

    def answer(self) -> dict[str, Any]:
        """Where the program says it is."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.read_line()


Start = Callable[..., Program]


def eventually(condition: Callable[[], Any], what: str, deadline_s: float = 30) -> Any:
    """Waits until ``condition()`` is true and returns its value."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.005)
    return value


def places(frames: list[Any]) -> list[list[Any]]:
    """Frames in the oracle's form."""
    return [[frame.file, frame.line, frame.function] for frame in frames]


def told(frames: list[list[Any]]) -> list[list[Any]]:
    """The oracle's frames with undecodable bytes of file names written as the reader writes them."""
    return [[file.encode("utf-8", "backslashreplace").decode(), line, function] for file, line, function in frames]
