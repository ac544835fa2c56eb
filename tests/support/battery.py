"""The programs of ``tests/programs/hostile.c``: what each does by itself, and traced in every way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.repository import ROOT

SOURCE: Final = ROOT / "tests/programs/hostile.c"
#: How long any of them may take, on a machine that has other things to do.
PATIENCE_S: Final = 120
WALLSOCKET: Final = [sys.executable, "-m", "wallsocket"]


class Outcome(NamedTuple):
    """What somebody who runs a program can tell."""

    status: int
    output: str


def build(folder: Path) -> Path:
    """Compile the programs."""
    program = folder / "hostile"
    subprocess.run(["gcc", "-w", "-O1", "-pthread", "-o", program, SOURCE], check=True)
    return program


def names(program: Path) -> list[str]:
    """The programs' names."""
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()


def outcome_of(words: list[str]) -> Outcome:
    """Of any command."""
    return _ended(_start(words))


def untraced(program: Path, name: str) -> Outcome:
    """The judge."""
    return _ended(_start([str(program), name]))


def run(program: Path, name: str, folder: Path, *options: str) -> Outcome:
    """Under ``wallsocket trace``."""
    recording = folder / f"{name}.wsrec"
    recording.unlink(missing_ok=True)
    words = [*WALLSOCKET, "trace", "-q", *options, "-o", str(recording), "--", str(program), name]
    return _ended(_start(words))


def attached(program: Path, name: str, folder: Path) -> Outcome:
    """With ``wallsocket trace -p`` from its beginning to its end."""
    return _attached(program, name, folder, lambda tracer: None)


def let_go(program: Path, name: str, folder: Path) -> Outcome:
    """The same, and the recorder is told to leave while the program runs."""
    return _attached(program, name, folder, lambda tracer: tracer.send_signal(signal.SIGINT))


def abandoned(program: Path, name: str, folder: Path) -> Outcome:
    """The same, and the guardian is killed while the program runs."""

    def kill(tracer: subprocess.Popen[str]) -> None:
        for task in Path(f"/proc/{tracer.pid}/task").glob("*/children"):
            for pid in task.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    return _attached(program, name, folder, kill)


def _attached(program: Path, name: str, folder: Path, meanwhile: Callable[[subprocess.Popen[str]], None]) -> Outcome:
    recording = folder / f"{name}.wsrec"
    recording.unlink(missing_ok=True)
    with _start([str(program), name, "wait"], stdin=subprocess.PIPE) as target:
        assert target.stdin is not None
        words = [*WALLSOCKET, "trace", "-p", str(target.pid), "-o", str(recording)]
        with _start(words, stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            # The first line is written when all threads are followed.
            tracer.stderr.readline()
            target.stdin.write("x")
            target.stdin.close()
            target.stdin = None
            meanwhile(tracer)
            outcome = _ended(target)
            tracer.communicate(timeout=PATIENCE_S)
    return outcome


def _start(
    words: list[str], *, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True, bufsize=1
    )


def _ended(process: subprocess.Popen[str]) -> Outcome:
    try:
        output, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Outcome(-1, f"did not end within {PATIENCE_S} s")
    status = process.returncode
    return Outcome(128 - status if status < 0 else status, output)


class Load:
    """Busy loops, as many as given, while active: they wait for nothing and end with the test."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._loops: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> None:
        for _ in range(self._count):
            self._loops.append(subprocess.Popen(["nice", "sh", "-c", "while :; do :; done"]))

    def __exit__(self, *exception: object) -> None:
        for loop in self._loops:
            loop.kill()
            loop.wait()
