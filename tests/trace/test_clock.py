"""How times are written."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.recordings import Script
from wallsocket.errors import UsageError
from wallsocket.trace.clock import Clock


def test_milliseconds_since_the_beginning(tmp_path: Path) -> None:
    with Script(tmp_path / "a.wsrec").done(1400) as recording:
        clock = Clock(recording)
    assert (clock.head, clock.width) == ("ms", 9)
    assert clock.text(1_234_567) == "    1.235"
    assert clock.text(1_234_567, width=11) == "      1.235"


def test_the_time_of_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        with Script(tmp_path / "a.wsrec", started_realtime_ns="1796021124258462625").done(1) as recording:
            clock = Clock(recording, wall=True)
        assert clock.head == "2026-11-30 +0530"
        assert clock.text(0) == "12:15:24.258462"
        assert clock.text(1_000_000_000, width=17) == "  12:15:25.258462"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("started", [None, "", "-5", "99999999999999999999"])
def test_a_recording_that_does_not_say_when_it_was_made(started: str | None, tmp_path: Path) -> None:
    meta = {} if started is None else {"started_realtime_ns": started}
    with (
        Script(tmp_path / "a.wsrec", **meta).done(1) as recording,
        pytest.raises(UsageError, match="does not say when"),
    ):
        Clock(recording, wall=True)
