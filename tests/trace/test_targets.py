"""A traced program behaves as it does untraced."""

from __future__ import annotations

import importlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult

#: The module: in its package ``run`` is a function.
running = importlib.import_module("wallsocket.trace.run")

Traced = Callable[..., tuple[RunResult, Recording]]


@pytest.mark.parametrize("threads", [2, 8, 64])
def test_busy_threads_leave_the_others_their_turn(
    threads: int, built: Callable[[str], Path], traced: Traced, capfd: pytest.CaptureFixture[str]
) -> None:
    result, _ = traced(built("crowd"), "turns", threads, lines=False)
    assert result.exit_status == 0
    word, least, most = capfd.readouterr().out.split()
    assert word == "turns"
    # The first thread came round 200 times: so did each of the others, and none kept the tracer for itself.
    assert int(least) >= 20
    assert int(most) <= 200 * int(least)


@pytest.mark.parametrize(("how", "status"), [("exit", 0), ("exec", 0), ("kill", 137)])
def test_500_busy_threads_end_at_once(how: str, status: int, built: Callable[[str], Path], traced: Traced) -> None:
    began = time.monotonic()
    result, _ = traced(built("crowd"), "end", 500, how, lines=False)
    assert result.exit_status == status
    # One second where nothing else runs; minutes when a busy thread is served before those that wait.
    assert time.monotonic() - began < 60


def test_the_guardians_own_ticks_harm_nobody(
    built: Callable[[str], Path],
    traced: Traced,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Every child gets filters put in by calls in its name, which the guardian waits for.
    monkeypatch.setattr(running, "TICK_MS", 1)
    result, recording = traced(built("first_sockets"), 500, lines=False)
    assert capfd.readouterr().out == "0 of 500 harmed\n"
    assert result.exit_status == 0
    assert sum(item.origin == "socketpair" for item in recording.sockets.values()) == 1000
    assert recording.meta["lost"] == "0"


def test_the_programs_here_are_right_by_themselves(built: Callable[[str], Path]) -> None:
    done = subprocess.run([built("first_sockets"), "50"], capture_output=True, text=True, check=True)
    assert done.stdout == "0 of 50 harmed\n"
