"""News of the page: each new status once, also when the stream was lost meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recordings import lost_letter
from tests.web.conftest import until
from wallsocket.view import Feed
from wallsocket.web.app import _statuses


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    lost_letter(tmp_path / "run.wsrec").close()
    with Feed(tmp_path / "run.wsrec") as feed:
        until(feed, lambda status: status.stage == "ready")
        yield feed


def told(feed: Feed, last_seen: str = "", looks: int = 2) -> list[dict[str, str]]:
    """What a stream says until it has looked so often whether it is to end."""
    left = iter([False] * looks + [True])

    async def read() -> list[bytes]:
        return [part async for part in _statuses(feed, last_seen, lambda: next(left))]

    events = []
    for part in asyncio.run(read()):
        lines = [line.partition(": ") for line in part.decode().strip().splitlines()]
        events.append({name: value for name, _, value in lines})
    return events


def test_a_new_stream_begins_with_the_status(feed: Feed) -> None:
    (event,) = told(feed)
    assert event["event"] == "status"
    status = json.loads(event["data"])
    assert (status["stage"], status["growing"], status["generation"]) == ("ready", False, 1)


def test_a_stream_that_is_taken_up_says_only_what_is_new(feed: Feed) -> None:
    (event,) = told(feed)
    assert told(feed, event["id"]) == []
    assert told(feed, "0-waiting-0") == [event]
    assert told(feed, "what is that\r\n") == [event]


def test_a_stream_of_which_nothing_comes_says_that_it_lives(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallsocket.web.app._LOOK_S", 0.01)
    monkeypatch.setattr("wallsocket.web.app._HEARTBEAT_S", 0.03)
    events = told(feed, looks=10)
    assert len(events) >= 3
    assert all("" in event for event in events[1:])  # comments
