"""A recorder that cannot keep up costs the program no wait, the recording no row, and an interrupt only what waits."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from wallsocket.events import Call
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import Control, Rows, RunResult, run
from wallsocket.trace.summary import describe

PAYLOAD = Call.__struct_fields__.index("payload")
ROUNDS = 12_000
BYTES = 4096
#: More of them than memory keeps: 32 MiB, and one.
PROGRAM = f"""
import os, socket
os.read(0, 1)
a, b = socket.socketpair()
for _ in range({ROUNDS}):
    a.send(bytes({BYTES}))
    b.recv({BYTES})
os.write(1, b"done")
"""


class Slow:
    """Reads what the program's start has sent, and then nothing before it is done."""

    def __init__(self) -> None:
        self.said, self.says = os.pipe()
        self.awaited, self.begins = os.pipe()
        self.waiting: list[int] = []
        self.control = Control()
        self.policies: list[int] = []
        self.has_payload = threading.Event()

    def run(self, path: Path, *, interrupt: bool = False, stop: bool = False) -> RunResult:
        """Record the program; if asked, interrupt when it is said how much waits, or stop when it is done and runs on."""
        self.stops = stop
        program = PROGRAM + "os.read(0, 1)\n" if stop else PROGRAM

        def behind(waiting: int) -> None:
            self.waiting.append(waiting)
            if interrupt:
                assert self.has_payload.wait(60)
                self.control.stop()

        return run(
            [sys.executable, "-c", program],
            output=path,
            payload=BYTES,
            samples=False,
            lines=False,
            via="preload",
            live=self._read,
            on_behind=behind,
            control=self.control,
            files=[(self.awaited, 0), (self.says, 1)],
        )

    def _read(self, rows: Rows) -> None:
        if any(len(call[PAYLOAD] or b"") == BYTES for call in rows.get("call", ())):
            self.has_payload.set()
        if not self.policies:
            os.write(self.begins, b"!")
        self.policies.append(os.sched_getscheduler(0))
        if self.said >= 0:
            assert os.read(self.said, 4) == b"done"
            for descriptor in (self.said, self.says, self.awaited):
                os.close(descriptor)
            self.said = -1
            if self.stops:
                self.control.stop()
            else:
                self.end()

    def end(self) -> None:
        """Let a program end that runs on."""
        os.close(self.begins)


@pytest.mark.parametrize("urgent", [1 << 20, 1 << 30])
def test_a_program_does_not_wait_for_its_recorder_and_nothing_is_lost(
    urgent: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[run.__module__], "_URGENT_BYTES", urgent)
    slow = Slow()
    result = slow.run(tmp_path / "r.wsrec")
    assert (result.exit_status, result.lost, result.failure) == (0, 0, None)
    assert max(slow.waiting) > 33 << 20
    with Recording.open(result.path) as recording:
        lengths = [call.result for call in recording.calls() if call.payload and len(call.payload) == BYTES]
    assert lengths == [BYTES] * (2 * ROUNDS)
    # Behind everybody while the program runs, and as everybody when it has ended.
    assert (slow.policies[0], slow.policies[-1]) == (os.SCHED_IDLE, os.SCHED_OTHER)
    assert list(tmp_path.iterdir()) == [result.path]


def test_a_program_that_runs_on_unrecorded_does_not_hold_up_its_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[run.__module__], "_COMMIT_INTERVAL_S", 0.01)
    slow = Slow()
    result = slow.run(tmp_path / "r.wsrec", stop=True)
    slow.end()
    assert (result.end, result.lost, result.failure) == ("interrupted", 0, None)
    assert (slow.policies[0], slow.policies[-1]) == (os.SCHED_IDLE, os.SCHED_OTHER)


def test_an_interrupt_leaves_out_what_still_waits_and_says_how_much(tmp_path: Path) -> None:
    slow = Slow()
    result = slow.run(tmp_path / "r.wsrec", interrupt=True)
    assert result.exit_status == 0
    assert result.lost > 1000
    assert result.calls < 2 * ROUNDS
    with Recording.open(result.path) as recording:
        assert recording.meta["calls"] == "cut off: ended before all that was seen was written"
        assert recording.meta["lost"] == str(result.lost)
        kept = [call for call in recording.calls() if call.payload and len(call.payload) == BYTES]
        assert result.cut_off_ns == recording.cut_off_ns
    assert 0 < len(kept) < 2 * ROUNDS
    assert f"cut off at {(result.cut_off_ns or 0) / 1e9:.3f} s: {result.lost} events are missing" in describe(result)
    assert list(tmp_path.iterdir()) == [result.path]
