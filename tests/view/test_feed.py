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


def test_the_next_recording_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    lost_letter(tmp_path / "one.wsrec").close()
    Script(tmp_path / "other.wsrec").done(10).close()
    with Feed(tmp_path / "one.wsrec", learns=True) as feed:
        wait(feed, lambda status: status.stage == "ready")
        before = feed.snapshot
        feed.begin(tmp_path / "one.wsrec")  # which is shown already
        feed.begin(tmp_path / "other.wsrec")
        assert feed.wait(60)
        assert feed.snapshot is not before
        assert before is not None
        assert before.closed
        assert (count(feed), feed.status.learns) == (0, True)
        # What cannot be read is said, and the one after it is shown again.
        (tmp_path / "letter.wsrec").write_bytes(b"Dear Sir" * 1000)
        feed.begin(tmp_path / "letter.wsrec")
        assert feed.wait(60)
        assert feed.status.problem is not None
        feed.begin(tmp_path / "one.wsrec")
        assert feed.wait(60)
        assert (feed.status.problem, count(feed) > 0) == (None, True)


def test_a_file_that_is_no_recording_is_said(tmp_path: Path) -> None:
    path = tmp_path / "letter.wsrec"
    path.write_bytes(b"Dear Sir" * 1000)
    with Feed(path) as feed:
        assert "not a recording" in wait(feed, lambda status: status.problem is not None).problem


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


def test_of_a_long_recording_the_beginning_is_shown_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(tmp_path / "long.wsrec")
    script.process(1, 7, "talker")
    script.socket(1, 1, 0, family=1, protocol=0, origin="socketpair")
    for number in range(6000):
        script.call("write", number * 10, 1, 5, fd=3, socket=1, length=5, offset=number * 5)
    script.done(60_000).close()
    monkeypatch.setattr("wallsocket.view.feed._LONG_EVENTS", 5000)
    monkeypatch.setattr("wallsocket.view.feed._BEGINNING", 100)
    seen = []
    feed = Feed(tmp_path / "long.wsrec")

    def look(status: Any) -> None:
        if status.generation > len(seen):
            found: Any = feed.ask("overview", {})
            rows: Any = feed.ask("conversations", {}).cards[0].rows if found.cards else 0  # type: ignore[attr-defined]
            seen.append((status.stage, rows, len(found.warnings), found.judged))

    with feed.listen(look), feed:
        wait(feed, lambda status: status.stage == "ready")
    assert seen == [
        ("reading", 0, 0, False),
        ("reading", 100, 1, False),
        ("judging", 6000, 0, False),
        ("ready", 6000, 0, True),
    ]
