"""What is said at the end about ``--one-core``: from what was measured, and only where it would have been felt."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult, run
from wallsocket.trace.summary import describe

PROGRAM = "import socket\na, b = socket.socketpair()\nfor _ in range(200): a.send(b'x'); b.recv(1)\n"


def result(calls: int, saves_ns: int, duration_ns: int) -> RunResult:
    return RunResult(
        path=Path("x.wsrec"),
        exit_status=0,
        end="exit",
        failure=None,
        calls=calls,
        sockets=2,
        lost=0,
        stops=2 * calls,
        added_ns_per_call=150_000,
        duration_ns=duration_ns,
        missing={},
        on_one_core_saves_ns=saves_ns,
    )


@pytest.mark.parametrize(
    ("calls", "saves_ns", "duration_ns", "said"),
    [
        (10_000, 110_000, 2_000_000_000, True),
        (10, 110_000, 2_000_000_000, False),  # too few calls to be felt
        (100_000, 5_000, 2_000_000_000, False),  # the cores were shared anyway
    ],
)
def test_it_is_said_when_it_would_be_felt(calls: int, saves_ns: int, duration_ns: int, said: bool) -> None:
    line = "  of it 10000 calls waited about 110 µs each for another core: --one-core"
    assert (line in describe(result(calls, saves_ns, duration_ns), 0).splitlines()) is said


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is only one core")
def test_both_are_measured_and_the_programs_cores_stay(tmp_path: Path) -> None:
    counted = tmp_path / "cores"
    program = f"{PROGRAM}import os\nopen({str(counted)!r}, 'w').write(str(len(os.sched_getaffinity(0))))"
    made = run([sys.executable, "-c", program], output=tmp_path / "a.wsrec")
    assert counted.read_text() == str(len(os.sched_getaffinity(0)))
    with Recording.open(made.path) as recording:
        several, one = (recording.meta_int(key) for key in ("switch_ns", "switch_on_one_core_ns"))
    assert several is not None
    assert one is not None
    assert several > 0
    assert one > 0
    assert made.on_one_core_saves_ns == max(0, several - one)


def test_nothing_is_measured_where_it_was_asked_for(tmp_path: Path) -> None:
    made = run([sys.executable, "-c", PROGRAM], output=tmp_path / "a.wsrec", one_core=True)
    with Recording.open(made.path) as recording:
        assert recording.meta_int("switch_on_one_core_ns") is None
    assert made.on_one_core_saves_ns == 0
