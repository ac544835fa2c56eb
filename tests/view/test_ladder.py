"""The ladder in windows, on levels, searched and filtered; and where rows of the recording stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import Script, lost_letter
from wallsocket.errors import UsageError
from wallsocket.view import Snapshot, ask
from wallsocket.view.ladder import STEP


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[Snapshot]:
    lost_letter(tmp_path / "run.wsrec").close()
    with Snapshot.open(tmp_path / "run.wsrec") as snapshot:
        yield snapshot


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Snapshot]:
    """A pair of sockets over which 100 messages go, with a pause in which another socket is busy."""
    script = Script(tmp_path / "long.wsrec")
    script.process(1, 7, "talker")
    script.socket(1, 1, 0, family=1, protocol=0, origin="socketpair")
    script.socket(2, 1, 0, family=1, protocol=0, origin="socketpair", parent=1)
    script.socket(3, 1, 0, family=2)
    for number in range(100):
        at = number * 10 + (1_000_000 if number >= 50 else 0)
        payload = f"message {number}".encode()
        length = len(payload)
        script.call("write", at, 1, length, fd=3, socket=1, length=length, offset=number * 20, payload=payload)
        script.call("read", at + 5, 1, length, fd=4, socket=2, length=100, offset=number * 20, payload=payload)
    for number in range(7):
        script.call("setsockopt", 1000 + number, fd=5, socket=3)
    script.done(2_000_000).close()
    with Snapshot.open(tmp_path / "long.wsrec") as snapshot:
        yield snapshot


def ladder(snapshot: Snapshot, **arguments: Any) -> Any:
    return ask(snapshot, "ladder", {"conversation": "2-3"} | arguments)


def test_a_window_holds_what_was_asked_for(snapshot: Snapshot) -> None:
    whole = ladder(snapshot)
    assert (whole.total, whole.level, whole.wire, whole.wire_missing) == (10, 0, True, "")
    assert (whole.left.title, whole.right.title) == ("nc (pid 71)", "upper.py (pid 70)")
    part = ladder(snapshot, first="3", count="2")
    assert [rung.index for rung in part.rungs] == [3, 4]
    assert part.rungs == whole.rungs[3:5]
    assert ladder(snapshot, first="99").rungs == []
    assert ladder(snapshot, first="-5", count="-1").rungs == []


def test_calls_say_who_gets_something(snapshot: Snapshot) -> None:
    assert next(rung for rung in ladder(snapshot, search="write(3000)").rungs).direction == "in"
    assert next(rung for rung in ladder(snapshot, search="recv(1024)").rungs).direction == "out"


def test_search_and_filter(snapshot: Snapshot) -> None:
    found = ladder(snapshot, search="recv")
    assert (found.total, found.whole) == (1, 10)
    assert ladder(snapshot, search="dear sir").total == 2  # in the payload of segments
    assert ladder(snapshot, only="failed").total == 2  # the RST that close() caused, and shutdown()
    assert ladder(snapshot, only="segment,state").total < 10
    with pytest.raises(UsageError, match="no kind of line 'nothing'"):
        ladder(snapshot, only="nothing")
    with pytest.raises(UsageError, match="no conversation '9'"):
        ladder(snapshot, conversation="9")


def test_levels_lose_nothing(long: Snapshot) -> None:
    lines = ladder(long, conversation="1-2")
    assert lines.total == 201  # and a pause
    for level in range(1, lines.levels):
        groups = ladder(long, conversation="1-2", level=str(level))
        assert groups.total == -(-201 // STEP**level)
        assert sum(rung.group.lines for rung in groups.rungs) == 201
        assert sum(rung.group.calls for rung in groups.rungs) == 200
        # The one program writes, the other reads.
        assert sum(rung.group.calls_right for rung in groups.rungs) == 100
        assert sum(rung.group.idle_ns for rung in groups.rungs) > 900_000_000
    assert groups.total <= STEP
    # A level that is not there is the last one.
    assert ladder(long, conversation="1-2", level="99").level == lines.levels - 1


def test_a_pause_tells_what_happened_elsewhere(long: Snapshot) -> None:
    pause = next(rung for rung in ladder(long, conversation="1-2", first="100").rungs if rung.line.kind == "pause")
    assert pause.meanwhile == 7
    assert "1 s" in pause.line.note


@pytest.mark.parametrize(("table", "row"), [("call", 8), ("packet", 8), ("state", 3)])
def test_rows_are_found(snapshot: Snapshot, table: str, row: int) -> None:
    place: Any = ask(snapshot, "locate", {"table": table, "row": row})
    assert place.conversation == "2-3"
    line = ladder(snapshot).rungs[place.index].line
    assert row in {"call": line.calls, "packet": line.packets, "state": line.states}[table]
    detail: Any = ask(snapshot, "detail", {"table": table, "row": row})
    assert (detail.table, detail.row) == (table, row)


def test_rows_that_are_not_there(snapshot: Snapshot) -> None:
    place: Any = ask(snapshot, "locate", {"table": "call", "row": 999})
    assert (place.conversation, place.index) == (None, None)
    with pytest.raises(UsageError, match="no call 999"):
        ask(snapshot, "detail", {"table": "call", "row": 999})
    hidden: Any = ask(snapshot, "locate", {"table": "call", "row": 8, "search": "write"})
    assert (hidden.conversation, hidden.index) == ("2-3", None)


def test_conversations_with_findings_come_first(snapshot: Snapshot) -> None:
    found: Any = ask(snapshot, "conversations", {})
    assert [card.key for card in found.cards] == ["2-3", "1"]
    assert found.cards[0].findings == [1, 2]
    one: Any = ask(snapshot, "conversations", {"search": "LISTENER", "count": 1})
    assert [card.key for card in one.cards] == ["1"]


def test_the_overview_names_the_files_that_a_recording_was_read_from(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec", imported='["a.pcap","b\\u202e.log"]').close()
    with Snapshot.open(tmp_path / "run.wsrec") as snapshot:
        overview: Any = ask(snapshot, "overview", {})
        assert overview.command == "a.pcap and b\\u202e.log: sh broken/run.sh"


def test_a_line_that_is_known_in_a_way_that_no_tracer_writes(tmp_path: Path) -> None:
    script = Script(tmp_path / "hostile.wsrec")
    script.process(1, 7, "talker")
    script.socket(1, 1, 0)
    script.call("close", 1, fd=3, socket=1, line=("/srv/a.py", 6, "main"), known=-1)
    script.done(10).close()
    with Snapshot.open(tmp_path / "hostile.wsrec") as snapshot:
        detail: Any = ask(snapshot, "detail", {"table": "call", "row": 1})
    assert (detail.place.file, detail.place.line, detail.place.how) == ("/srv/a.py", 6, "")
