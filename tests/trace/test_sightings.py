"""Frames that were captured in two network namespaces are one frame: it left here, and came there, or was lost between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recordings import MICROSECOND, Script, tcp_frame
from wallsocket.events import Packet
from wallsocket.trace.lines import Arrow, Lines
from wallsocket.trace.recording import Recording
from wallsocket.trace.sightings import Sightings
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.wire import segment

CLIENT, SERVER = "10.0.1.1:40000", "10.0.1.2:80"


def as_sent(flags: str, *, number: int, hops: int = 64, seq: int, payload: bytes = b"") -> bytes:
    """A segment with a number of its own, as IP gives it (RFC 791, 3.1), and so many hops left."""
    frame = bytearray(tcp_frame(CLIENT, SERVER, flags, seq=seq, ack=1, payload=payload))
    frame[18:20] = number.to_bytes(2, "big")
    frame[22] = hops
    return bytes(frame)


def two_hosts(path: Path, **meta: str) -> Script:
    script = Script(path, **meta)
    script.network(1, "machine", "own")
    script.network(2, "client", "entered")
    script.network(3, "server", "entered")
    script.process(1, 70, "client", network=2)
    script.process(2, 71, "server", network=3)
    script.socket(1, 1, 0, local=CLIENT, remote=SERVER, network=2)
    script.socket(2, 2, 10, local=SERVER, remote=CLIENT, origin="accept", network=3)
    return script


def arrows(recording: Recording) -> list[Arrow]:
    with recording:
        found = []
        for packed in (False, True):
            timeline = Timeline(recording, decode=segment, packed=packed)
            (conversation,) = timeline.conversations
            found.append([line.arrow for line in Lines(timeline).of(conversation) if line.arrow is not None])
        assert found[0] == found[1]
        return found[0]


@pytest.fixture(autouse=True)
def packed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallsocket.trace.timeline._UNPACKED_ROWS", 0)


def test_a_frame_is_one_arrow_that_says_when_it_arrived(tmp_path: Path) -> None:
    script = two_hosts(tmp_path / "t.wsrec")
    script.frame(100, as_sent("S", number=1, seq=0), network=2)
    # A router between took one hop.
    script.frame(150, as_sent("S", number=1, seq=0, hops=63), network=3)
    (syn,) = arrows(script.done())
    assert (syn.text, syn.segments, syn.again, syn.lost) == ("SYN", 1, False, False)
    assert syn.arrived_ns == 150 * MICROSECOND


def test_what_never_arrived_while_later_ones_did_was_lost(tmp_path: Path) -> None:
    script = two_hosts(tmp_path / "t.wsrec")
    script.frame(100, as_sent("A", number=1, seq=1, payload=b"first"), network=2)
    script.frame(900, as_sent("A", number=2, seq=1, payload=b"first"), network=2)
    script.frame(950, as_sent("A", number=2, seq=1, payload=b"first"), network=3)
    script.frame(960, as_sent("A", number=3, seq=6, payload=b"second"), network=2)
    first, again, second = arrows(script.done())
    assert (first.text, first.lost, first.arrived_ns) == ("5 bytes [lost]", True, None)
    assert (again.text, again.lost, again.arrived_ns) == ("again 5 bytes", False, 950 * MICROSECOND)
    # Of what is the last nobody can tell yet.
    assert (second.text, second.lost, second.arrived_ns) == ("6 bytes", False, None)


def test_what_was_overtaken_was_not_lost(tmp_path: Path) -> None:
    script = two_hosts(tmp_path / "t.wsrec")
    one, other = as_sent("A", number=1, seq=1, payload=b"one"), as_sent("A", number=2, seq=4, payload=b"other")
    script.frame(100, one, network=2)
    script.frame(110, other, network=2)
    script.frame(150, other, network=3)
    script.frame(190, one, network=3)
    (both,) = arrows(script.done())
    assert (both.text, both.segments, both.lost) == ("8 bytes, 2 segments", 2, False)


def test_a_frame_that_a_link_doubled_comes_again(tmp_path: Path) -> None:
    script = two_hosts(tmp_path / "t.wsrec")
    frame = as_sent("A", number=1, seq=1, payload=b"one")
    for at, network in ((100, 2), (150, 3), (151, 3)):
        script.frame(at, frame, network=network)
    assert [arrow.text for arrow in arrows(script.done())] == ["3 bytes", "again 3 bytes"]


def test_the_wire_of_hosts_is_there_where_that_of_the_machine_is_refused(tmp_path: Path) -> None:
    refused = "needs CAP_NET_RAW; --lab has it"
    with two_hosts(tmp_path / "hosts.wsrec", wire=refused).done() as recording:
        assert recording.missing == {}
    script = two_hosts(tmp_path / "both.wsrec", wire=refused)
    script.socket(3, 1, 20, network=1)
    with script.done() as recording:
        assert recording.missing == {"wire": refused}


def test_what_was_lost_waits_nowhere(tmp_path: Path) -> None:
    script = two_hosts(tmp_path / "t.wsrec")
    script.frame(80, as_sent("S", number=1, seq=0), network=2)
    script.frame(90, as_sent("S", number=1, seq=0), network=3)
    script.frame(100, as_sent("A", number=2, seq=1, payload=b"GET / HTTP/1.1\r\n\r\n"), network=2)
    script.frame(900, as_sent("A", number=3, seq=1, payload=b"GET / HTTP/1.1\r\n\r\n"), network=2)
    script.frame(950, as_sent("A", number=3, seq=1, payload=b"GET / HTTP/1.1\r\n\r\n"), network=3)
    with script.done() as recording:
        timeline = Timeline(recording, decode=segment)
        lines = [line for line in Lines(timeline).of(timeline.conversations[0]) if line.arrow is not None]
        said = [(line.arrow.text, [part.text for part in line.right]) for line in lines if line.arrow is not None]
    assert said == [
        ("SYN", []),
        ("18 bytes [lost] HTTP: GET / HTTP/1.1", []),
        ("again 18 bytes", ["18 queued"]),
    ]


def test_what_was_lost_changes_nobody_s_state(tmp_path: Path) -> None:
    script = Script(tmp_path / "t.wsrec")
    script.network(1, "machine", "own")
    script.network(2, "client", "entered")
    script.network(3, "server", "entered")
    script.process(1, 70, "client", network=2)
    script.socket(1, 1, 0, local=CLIENT, remote=SERVER, network=2)

    def answer(number: int, flags: str, seq: int) -> bytes:
        frame = bytearray(tcp_frame(SERVER, CLIENT, flags, seq=seq, ack=1))
        frame[18:20] = number.to_bytes(2, "big")
        return bytes(frame)

    script.frame(100, as_sent("S", number=1, seq=0), network=2)
    script.frame(150, as_sent("S", number=1, seq=0), network=3)
    script.frame(160, answer(1, "SA", 0), network=3)
    script.frame(300, answer(2, "SA", 0), network=3)
    script.frame(350, answer(2, "SA", 0), network=2)
    script.frame(360, answer(3, "FA", 1), network=3)
    script.frame(500, answer(4, "FA", 1), network=3)
    script.frame(550, answer(4, "FA", 1), network=2)
    with script.done() as recording:
        timeline = Timeline(recording, decode=segment)
    path = [(step.state.name, step.at_ns // MICROSECOND) for step in timeline.tracks[1].path]
    assert path == [("SYN_SENT", 100), ("ESTABLISHED", 350), ("CLOSE_WAIT", 550)]


def test_frames_that_came_before_a_second_network_was_met_are_known_again() -> None:
    def frame(number: int, network: int, port: int) -> Packet:
        return Packet(number, number, None, 1, 60, tcp_frame(f"10.0.0.1:{port}", "10.0.0.2:80", "A"), network)

    sightings = Sightings()
    assert [sightings.first(frame(number, 1, 4000 + number)) for number in range(5)] == [None] * 5
    assert sightings.first(frame(5, 2, 4003)) == 3
    assert sightings.first(frame(6, 2, 4003)) is None
    assert sightings.first(frame(7, 2, 4001)) == 1
