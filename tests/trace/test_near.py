"""Threads whose calls come quickly share the tracer's core, and nothing of that is seen by the program."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wallsocket.trace.recording import Recording

PROGRAM = Path(__file__).parents[1] / "programs" / "cores.py"
ALL = len(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(os.sched_getaffinity(0) < {0, 1}, reason="there is only one core")


def cores(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Cpus_allowed_list"))


MINE = cores(os.getpid())


def trace(recording: Path, *program: str, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", "wallsocket", "trace", *options, "-o", str(recording), "--", *program]


def output(tmp_path: Path, *arguments: str) -> list[str]:
    """What the program prints when it is traced; some of its calls were made on the tracer's core."""
    recording = tmp_path / "cores.wsrec"
    done = subprocess.run(
        trace(recording, sys.executable, str(PROGRAM), *arguments),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    with Recording.open(recording) as opened:
        assert (opened.meta_int("near_calls") or 0) > 100, done.stderr
    return done.stdout.splitlines()


def wait_for(told: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not told():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_asked_for_its_cores_it_has_all_of_them(tmp_path: Path) -> None:
    assert output(tmp_path, "asked") == [str(ALL)] * 20


def test_cores_that_it_chooses_are_its_own(tmp_path: Path) -> None:
    assert output(tmp_path, "set") == ["1", "[0, 1]"]


@pytest.mark.parametrize("kind", ["child", "thread"])
def test_what_it_makes_has_its_own_cores(tmp_path: Path, kind: str) -> None:
    assert output(tmp_path, kind) == [MINE] * 20


def test_a_command_that_it_starts_has_its_own_cores(tmp_path: Path) -> None:
    assert [line.split()[1] for line in output(tmp_path, "command")] == [MINE] * 20


def test_a_program_in_its_place_has_its_own_cores(tmp_path: Path) -> None:
    assert output(tmp_path, "exec") == [str(ALL)]


def test_it_gets_them_back_when_it_computes(tmp_path: Path) -> None:
    assert output(tmp_path, "computes", MINE) == [MINE]


@contextlib.contextmanager
def running(tmp_path: Path, kind: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The tracer, and the process id of the program, which has printed its first line."""
    told = tmp_path / "pid"
    script = f'echo $$ > {told}; exec "$@"'
    command = trace(
        tmp_path / "cores.wsrec", "sh", "-c", script, "sh", sys.executable, str(PROGRAM), kind, options=options
    )
    pid = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tracer:
        try:
            assert tracer.stdout is not None
            assert tracer.stdout.readline().strip() in ("busy", "asleep")
            pid = int(told.read_text())
            yield tracer, pid
        finally:
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_it_gets_them_back_when_it_sleeps(tmp_path: Path) -> None:
    with running(tmp_path, "sleeps") as (_, pid):
        wait_for(lambda: cores(pid) == MINE)


def test_it_is_confined_while_its_calls_come_quickly(tmp_path: Path) -> None:
    with running(tmp_path, "busy") as (_, pid):
        wait_for(lambda: "-" not in cores(pid) and "," not in cores(pid))


def test_it_has_them_when_the_recording_has_ended(tmp_path: Path) -> None:
    with running(tmp_path, "busy", "--for", "1s") as (tracer, pid):
        tracer.wait(60)
        wait_for(lambda: cores(pid) == MINE)
        for _ in range(100):
            assert cores(pid) == MINE


def test_spread_confines_nobody(tmp_path: Path) -> None:
    recording = tmp_path / "cores.wsrec"
    subprocess.run(
        trace(recording, sys.executable, str(PROGRAM), "asked", options=("--spread",)),
        capture_output=True,
        timeout=100,
        check=True,
    )
    with Recording.open(recording) as opened:
        assert opened.meta_int("near_calls") == 0
