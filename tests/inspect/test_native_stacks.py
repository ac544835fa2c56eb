"""Whole stacks of native threads that are not stopped: of compilers as they are used, at every level of optimisation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import PATIENCE_S, Answer, Program

Start = Callable[..., Program]
Look = Callable[..., Answer]

PROGRAMS = Path(__file__).parent / "programs"
#: Numbers of x86-64 system calls.
READ, RECVFROM = 0, 45


def marked(name: str) -> list[tuple[str, ...]]:
    """The words of each mark, and its line."""
    lines = enumerate((PROGRAMS / name).read_text().splitlines(), 1)
    return [(*mark[1].split(), str(number)) for number, line in lines if (mark := re.search(r"// HERE (.+)$", line))]


def frames(answer: Answer, call: str, name: str) -> list[str]:
    """The frames of the thread in a call that are in a file of ours: ``LINE FUNCTION``, innermost first."""
    (stack,) = [thread["stack"] for thread in answer.threads if thread["call"] == call]
    found = [re.fullmatch(rf".*/{re.escape(name)}:(\d+) (.*)", frame) for frame in stack]
    return [f"{one[1]} {one[2]}" for one in found if one is not None]


@pytest.mark.parametrize(
    "flags",
    [
        "-O0",
        "-O0 -static",
        "-O0 -fcf-protection -fno-pie -no-pie",
        "-O1",
        "-O2 -fomit-frame-pointer",
        # What says how to unwind it is for debuggers, and not loaded.
        "-O0 -fno-asynchronous-unwind-tables",
        "-O2 -fomit-frame-pointer -fno-asynchronous-unwind-tables",
    ],
)
def test_a_c_program(start: Start, look: Look, tmp_path: Path, flags: str) -> None:
    program = tmp_path / "frames"
    subprocess.run(["gcc", "-w", "-g", *flags.split(), "-o", program, PROGRAMS / "frames.c"], check=True)
    started = start(program).threads_wait_in(RECVFROM)
    wanted = [f"{line} {function}" for _, function, line in sorted(marked("frames.c"))]
    assert frames(look(started.pid, "--stack"), "recvfrom", "frames.c") == wanted


@pytest.mark.skipif(shutil.which("go") is None, reason="needs go")
def test_a_go_program_and_c_that_it_calls(start: Start, look: Look, tmp_path: Path) -> None:
    program = tmp_path / "frames"
    environment = {**os.environ, "HOME": str(tmp_path), "GOCACHE": str(tmp_path / "cache"), "CGO_ENABLED": "1"}
    words = ["go", "build", "-p", "2", "-o", str(program), str(PROGRAMS / "frames.go")]
    subprocess.run(words, check=True, env=environment, cwd=tmp_path)
    started = start(program)
    deadline = time.monotonic() + PATIENCE_S
    while not {READ, RECVFROM} <= set(started.calls()):
        assert time.monotonic() < deadline, started.calls()
        time.sleep(0.01)
    answer = look(started.pid, "--stack")
    for call in ("read", "recvfrom"):
        wanted = [f"{line} {function}" for on, _, function, line in sorted(marked("frames.go")) if on == call]
        found = frames(answer, call, "frames.go")
        # Lines that cgo writes for the call stand between.
        assert [frame for frame in found if frame in wanted] == wanted, found
