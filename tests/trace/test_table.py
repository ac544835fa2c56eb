"""A table of a recording is a mapping that does not hold its rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from wallsocket.errors import RecordingError
from wallsocket.trace import contemporaries
from wallsocket.trace import timeline as timelines
from wallsocket.trace.recording import Recording, Writer
from wallsocket.trace.timeline import Timeline

META = {"version": "1", "command": '["x"]', "ended_ns": "1000000000", "machine": "x86_64"}
LOCAL, REMOTE = bytes([2, 0, 0, 80, 127, 0, 0, 1]), bytes([2, 0, 4, 0, 127, 0, 0, 1])


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """30,000 sockets, each a microsecond old when the next is made; number 12,345 is missing."""
    path = tmp_path / "r.wsrec"
    with Writer(path, meta=META) as writer:
        rows = [
            (
                number,
                1,
                2,
                1,
                6,
                number,
                number,
                "socket",
                None,
                None,
                LOCAL,
                REMOTE,
                number * 1000,
                number * 1000 + 900,
            )
            for number in range(1, 30_001)
            if number != 12_345
        ]
        writer.write("process", [(1, 7, None, '["x"]', None, None, 0, None, None, None, None, None)])
        with Recording.open(path) as empty:
            columns = len(empty._connection.execute("SELECT * FROM socket").description)
        writer.write("socket", [row + (None,) * (columns - len(row)) for row in rows])
    return Recording.open(path)


def test_it_is_a_mapping(recording: Recording) -> None:
    sockets = recording.sockets
    assert len(sockets) == 29_999
    assert [row.id for row in sockets.values()] == list(sockets) == [number for number, _ in sockets.items()]
    assert sockets[1].id == 1
    assert sockets[30_000].created_ns == 30_000_000
    assert sockets.get(12_345) is None
    assert 12_345 not in sockets
    assert 12_344 in sockets
    for number in (0, -1, 30_001, 1 << 62, 1 << 80, -(1 << 80)):
        assert sockets.get(number) is None
    with pytest.raises(KeyError):
        sockets[30_001]
    assert {1, 2, 40_000} & sockets.keys() == {1, 2}


def test_what_was_asked_for_long_ago_is_let_go(recording: Recording) -> None:
    for number in range(1, 30_001):
        recording.sockets.get(number)
    assert sum(map(len, recording.sockets._blocks.values())) <= 32 * 256


def test_more_sockets_than_can_be_drawn(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "_MAX_SOCKETS", 25_000)
    monkeypatch.setattr(contemporaries, "SLACK_NS", 5_000)
    with pytest.raises(RecordingError, match="more than 25000 sockets are recorded, .* with --socket N, or .* --calls"):
        Timeline(recording)
    # Those that lived at the same time are looked at, and the nearest that had the same addresses: segments are shared out.
    timeline = Timeline(recording, socket=20_000)
    assert [conversation.left for conversation in timeline.wanted()] == [20_000]
    assert 18 <= len(timeline.tracks) < 40
    assert {19_999, 20_001} <= timeline.tracks.keys()


def test_of_some_conversations_no_others_are_held(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contemporaries, "SLACK_NS", 5_000)
    timeline = Timeline(recording, socket={20_000, 25_000})
    assert sorted(conversation.left for conversation in timeline.wanted()) == [20_000, 25_000]
    assert len(timeline.tracks) < 80
    with pytest.raises(RecordingError, match="more than 10 sockets lived while socket 20000 did"):
        Timeline(recording, socket=20_000, most=10)
