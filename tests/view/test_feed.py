"""A recording is read while it grows, and once more when it has ended."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import Script, lost_letter
from wallsocket.errors import UsageError
from wallsocket.view import VIEWS, Feed, NotReady, Snapshot, ask


def wait(feed: Feed, fits: Any) -> Any:
    come = threading.Event()
    with feed.listen(lambda status: come.set() if fits(status) else None):
        assert fits(feed.status) or come.wait(60), feed.status
    return feed.status


def test_a_finished_recording_is_read_once(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    with Feed(tmp_path / "run.wsrec") as feed:
        status = wait(feed, lambda status: status.stage == "ready")
        assert (status.growing, status.problem, status.generation) == (False, None, 1)
        found: Any = feed.ask("overview", {})
        assert [card.rule for card in found.findings] == ["one-recv-per-message", "close-with-unread-data"]
    with pytest.raises(UsageError, match="no view"):
        ask(feed.snapshot, "nothing", {})  # type: ignore[arg-type]


def test_what_the_recorder_writes_is_seen_and_its_end_is_not_held_up(tmp_path: Path) -> None:
    path = tmp_path / "run.wsrec"
    with Feed() as feed:
        with pytest.raises(NotReady):
            feed.ask("overview", {})
        assert feed.status.stage == "waiting"
        script = Script(path)
        script.process(1, 7, "server")
        script.socket(1, 1, 0, local="127.0.0.1:80")
        flush(script)
        feed.begin(path)
        wait(feed, lambda status: status.generation >= 1 and count(feed) == 1)
        assert feed.status.growing
        script.socket(2, 1, 5, local="127.0.0.1:81")
        flush(script)
        wait(feed, lambda status: count(feed) == 2)
        script.done(10).close()
        status = wait(feed, lambda status: not status.growing and status.stage == "ready")
        assert status.problem is None
        # The recorder left one file: nobody was in its way.
        assert [item.name for item in tmp_path.iterdir()] == ["run.wsrec"]


def test_a_file_that_is_no_recording_is_said(tmp_path: Path) -> None:
    path = tmp_path / "letter.wsrec"
    path.write_bytes(b"Dear Sir" * 1000)
    with Feed(path) as feed:
        assert "no recording" in wait(feed, lambda status: status.problem is not None).problem


def test_every_view_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    with Snapshot.open(tmp_path / "run.wsrec") as snapshot:
        for name in VIEWS:
            with pytest.raises(UsageError, match=f"{name}: no argument 'other'"):
                ask(snapshot, name, {"other": "1"})


def flush(script: Script) -> None:
    for table, rows in script._rows.items():
        script.writer.write(table, rows)
    script._rows.clear()
    script.writer.commit()


def count(feed: Feed) -> int:
    found: Any = feed.ask("overview", {})
    return int(found.sockets)
