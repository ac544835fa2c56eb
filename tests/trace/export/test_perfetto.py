"""Perfetto's protobuf, parsed by Perfetto's own definitions and asked: what did the thread do, and who got the bytes?"""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import lost_letter
from wallsocket.errors import NotAvailable
from wallsocket.trace.export import export
from wallsocket.trace.recording import Recording

protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")


def parse(path: Path) -> Any:
    trace = protos.Trace()
    trace.ParseFromString(path.read_bytes())
    return trace


def tracks_of(trace: Any) -> dict[int, Any]:
    """Descriptors by number."""
    found = (packet.track_descriptor for packet in trace.packet if packet.HasField("track_descriptor"))
    return {track.uuid: track for track in found}


def slices(trace: Any) -> dict[int, list[tuple[int, int, Any]]]:
    """Finished slices by track: begin, end, event. Fails where they are not nested as Perfetto wants them."""
    open_ones: dict[int, list[tuple[int, Any]]] = defaultdict(list)
    done: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
    for packet in trace.packet:
        event = packet.track_event
        if event.type == event.TYPE_SLICE_BEGIN:
            open_ones[event.track_uuid].append((packet.timestamp, event))
        elif event.type == event.TYPE_SLICE_END:
            begin, what = open_ones[event.track_uuid].pop()
            assert packet.timestamp >= begin
            done[event.track_uuid].append((begin, packet.timestamp, what))
    assert not any(open_ones.values())
    return done


def test_only_the_line_of_the_call_is_where_the_slice_is(every_known: Path) -> None:
    with Recording.open(every_known) as recording:
        export(recording, every_known.with_suffix(".pftrace"))
    calls = sorted(
        (
            (begin, event)
            for each in slices(parse(every_known.with_suffix(".pftrace"))).values()
            for begin, _, event in each
            if "call" in event.categories
        ),
        key=lambda call: call[0],
    )
    notes = [[note.string_value for note in event.debug_annotations if note.name == "line"] for _, event in calls]
    where = "/srv/a.py:7"
    assert notes == [[where], [f"on a socket made at {where}"], [f"awaited at {where}"], [f"in {where}"], []]
    assert [event.source_location.line_number for _, event in calls] == [7, 0, 0, 0, 0]


def test_calls_of_a_thread_with_their_lines(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        calls = list(recording.calls())
        export(recording, tmp_path / "a.pftrace")
    trace = parse(tmp_path / "a.pftrace")
    tracks = {
        packet.track_descriptor.uuid: packet.track_descriptor
        for packet in trace.packet
        if packet.HasField("track_descriptor")
    }
    names = {track.process.process_name for track in tracks.values() if track.HasField("process")}
    assert names == {"upper.py", "nc"}
    found = [
        (tracks[number].thread.tid, begin, end - begin, event)
        for number, each in slices(trace).items()
        for begin, end, event in each
        if "call" in event.categories
    ]
    assert Counter(event.name for *_, event in found)["accept4"] == 2
    assert {(tid, begin, took) for tid, begin, took, _ in found if took} >= {
        (call.tid, call.entry_ns, call.took_ns) for call in calls if call.took_ns
    }
    answer = next(event for *_, event in found if event.name == "sendto")
    assert (answer.source_location.file_name, answer.source_location.line_number) == ("/srv/upper.py", 7)
    # Who got the bytes: the same arrow begins at the send and ends at the receive.
    write = next(event for *_, event in found if event.name == "write")
    read = next(event for *_, event in found if event.name == "recvfrom")
    assert set(write.flow_ids) & set(read.flow_ids)


def test_states_and_queues_of_a_socket(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        export(recording, tmp_path / "a.pftrace")
    trace = parse(tmp_path / "a.pftrace")
    tracks = {
        packet.track_descriptor.uuid: packet.track_descriptor
        for packet in trace.packet
        if packet.HasField("track_descriptor")
    }
    states = [
        event.name
        for number, each in slices(trace).items()
        if tracks[number].name.startswith("socket 2")
        for _, _, event in sorted(each, key=lambda item: item[0])
    ]
    assert states[0] == "CLOSE"
    assert "ESTABLISHED" in states
    counted = {
        (tracks[p.track_event.track_uuid].name, p.track_event.counter_value)
        for p in trace.packet
        if p.track_event.type == p.track_event.TYPE_COUNTER
    }
    assert ("receive queue (bytes)", 1976) in counted


def test_findings_are_instants_with_their_rule(with_wire: Path, exported: Callable[..., Path]) -> None:
    trace = parse(exported(with_wire, "a.pftrace"))
    rules = {
        note.string_value
        for packet in trace.packet
        if packet.track_event.type == packet.track_event.TYPE_INSTANT
        for note in packet.track_event.debug_annotations
        if note.name == "rule"
    }
    assert "close-with-unread-data" in rules
    (snapshot,) = [packet.clock_snapshot for packet in trace.packet if packet.HasField("clock_snapshot")]
    assert {clock.clock_id for clock in snapshot.clocks} == {1, 3}


def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "perfetto.protos.perfetto.trace", None)
    with (
        lost_letter(tmp_path / "a.wsrec") as recording,
        pytest.raises(NotAvailable, match=r"pip install 'wallsocket\[perfetto\]'"),
    ):
        export(recording, tmp_path / "a.pftrace")
    assert not (tmp_path / "a.pftrace").exists()


@pytest.mark.parametrize("line", [-(2**63), 0, 2**32, 2**63 - 1])
def test_a_line_that_no_program_has_is_left_out(line: int, tmp_path: Path) -> None:
    lost_letter(tmp_path / "damaged.wsrec").close()
    with closing(sqlite3.connect(tmp_path / "damaged.wsrec")) as connection, connection:
        connection.execute("UPDATE source SET line = ?", (line,))
    with Recording.open(tmp_path / "damaged.wsrec") as recording:
        export(recording, tmp_path / "a.pftrace")
    places = [packet.track_event.source_location for packet in parse(tmp_path / "a.pftrace").packet]
    assert any(place.file_name for place in places)
    assert not any(place.line_number for place in places)
