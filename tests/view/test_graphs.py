"""States, time-sequence graph, river and gauges as data: from small recordings, and from long ones seen from far away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import Script, lost_letter, tcp_frame, udp_frame
from wallsocket.view import Snapshot, ask
from wallsocket.view.levels import STEP, Levels
from wallsocket.view.river import STAGES

CLIENT, SERVER = "127.0.0.1:51822", "127.0.0.1:4567"


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[Snapshot]:
    lost_letter(tmp_path / "run.wsrec").close()
    with Snapshot.open(tmp_path / "run.wsrec") as snapshot:
        yield snapshot


@pytest.fixture
def bulk(tmp_path: Path) -> Iterator[Snapshot]:
    """2000 segments of 100 bytes, of which every hundredth travels twice, each acknowledged; sequence numbers go around."""
    script = Script(tmp_path / "bulk.wsrec")
    script.process(1, 7, "sender")
    script.process(2, 8, "reader")
    script.socket(1, 1, 0, local=CLIENT, remote=SERVER)
    script.socket(2, 2, 1, local=SERVER, remote=CLIENT, origin="accept")
    first = 2**32 - 50_000
    script.frame(1, tcp_frame(CLIENT, SERVER, "S", seq=first - 1))
    script.frame(2, tcp_frame(SERVER, CLIENT, "SA", seq=99, ack=first, window=5000))
    for number in range(2000):
        at, sequence = 10 + 10 * number, first + 100 * number
        script.call("write", at - 2, 1, 100, fd=3, socket=1, length=100, offset=100 * number)
        script.frame(at, tcp_frame(CLIENT, SERVER, "A", seq=sequence, ack=100, payload=bytes(100)))
        if number % 100 == 99:
            script.frame(at + 1, tcp_frame(CLIENT, SERVER, "A", seq=sequence, ack=100, payload=bytes(100)))
        script.frame(
            at + 3, tcp_frame(SERVER, CLIENT, "A", seq=100, ack=sequence + 100, window=0 if number == 500 else 5000)
        )
        script.call("read", at + 4, 1, 100, fd=3, socket=2, process=2, length=100, offset=100 * number)
        script.state(2, at + 5, 2, None, 1, receive_queue=number, send_queue=0)
    script.done(30_000).close()
    with Snapshot.open(tmp_path / "bulk.wsrec") as snapshot:
        yield snapshot


def view(snapshot: Snapshot, name: str, **arguments: Any) -> Any:
    return ask(snapshot, name, {"conversation": "1-2"} | arguments)


def test_the_path_through_the_states(snapshot: Snapshot) -> None:
    found: Any = ask(snapshot, "states", {"conversation": "2-3"})
    client, server = found.sockets
    assert [(step.state, step.inferred) for step in client.steps] == [
        ("CLOSE", False), ("SYN_SENT", True), ("ESTABLISHED", False), ("CLOSE", False),
    ]  # fmt: skip
    taken = {(edge.source, edge.target): edge.taken for edge in client.edges if edge.taken}
    assert taken == {
        ("", "CLOSE"): [1],
        ("CLOSE", "SYN_SENT"): [2],
        ("SYN_SENT", "ESTABLISHED"): [3],
        ("ESTABLISHED", "CLOSE"): [4],
    }
    lived = sum(node.for_ns for node in client.nodes)
    assert lived == client.steps[-1].at_ns + client.steps[-1].for_ns - client.steps[0].at_ns
    assert all(node.x >= 0 and node.x + node.width <= client.width for node in client.nodes)
    assert server.steps[0].state == "ESTABLISHED"
    listener: Any = ask(snapshot, "states", {"conversation": "1"})
    assert len(listener.sockets) == 1


def test_a_socket_without_states_says_why(tmp_path: Path) -> None:
    script = Script(tmp_path / "pair.wsrec")
    script.process(1, 7, "talker")
    script.socket(1, 1, 0, family=1, protocol=0, origin="socketpair")
    script.socket(2, 1, 0, family=1, protocol=0, origin="socketpair", parent=1)
    script.call("write", 1, 1, 5, fd=3, socket=1, length=5, offset=0, payload=b"hello")
    script.call("read", 3, 1, 5, fd=4, socket=2, length=5, offset=0, payload=b"hello")
    script.done(10).close()
    with Snapshot.open(tmp_path / "pair.wsrec") as snapshot:
        assert [socket.missing for socket in view(snapshot, "states").sockets] == [
            "It is no TCP socket: it has no states."
        ] * 2
        assert view(snapshot, "sequence").missing == "Only a TCP connection has a stream of numbered bytes."
        river = view(snapshot, "river")
        assert [(stage.name, stage.longest_ns, stage.row) for stage in river.stages] == [("on the way", 3000, "call:1")]
        assert view(snapshot, "gauges").missing == "Nobody looked at this socket."


def test_the_sequence_graph_counts_from_the_first_byte(snapshot: Snapshot) -> None:
    found: Any = ask(snapshot, "sequence", {"conversation": "2-3"})
    pieces = found.direction.pieces
    assert [(piece.begin, piece.end, piece.mark, piece.packet) for piece in pieces] == [
        (0, 0, "S", 1),
        (0, 3000, "", 4),
    ]
    assert [edge.acknowledged for edge in found.direction.edges] == [0, 3000, 3000]
    back: Any = ask(snapshot, "sequence", {"conversation": "2-3", "side": "right"})
    assert [(piece.begin, piece.end, piece.mark) for piece in back.direction.pieces] == [
        (0, 0, "S"),
        (0, 1024, ""),
        (1024, 1024, "R"),
    ]
    # Neither SYN offers a scale.
    assert found.direction.edges[-1].window == 3000 + 1000


def test_what_travelled_again_is_seen_from_afar(bulk: Snapshot) -> None:
    whole = view(bulk, "sequence", width=10_000)
    assert (whole.direction.sum.segments, whole.direction.sum.bytes, whole.direction.sum.again) == (2021, 200_000, 20)
    assert whole.direction.sum.stalls == 1
    assert len(whole.direction.pieces) == 2021
    far = view(bulk, "sequence", width=50)
    assert len(far.direction.pieces) <= 52
    assert sum(piece.again for piece in far.direction.pieces) == 20
    assert max(piece.end for piece in far.direction.pieces) == 200_000
    assert max(edge.acknowledged for edge in far.direction.edges) == 200_000
    near = view(bulk, "sequence", since_ns=5_000_000, until_ns=5_100_000, width=50)
    assert 9 <= len(near.direction.pieces) <= 14
    assert all(piece.segments == 1 for piece in near.direction.pieces)


def test_the_river_adds_up(bulk: Snapshot) -> None:
    river = view(bulk, "river", width=4000)
    assert len(river.stretches) == 2000
    stages = {stage.name: stage for stage in river.stages}
    assert set(stages) <= set(STAGES)
    assert stages["send buffer"].mean_ns == 2000
    assert stages["flight"].longest_ns >= 3000
    assert sum(stage.bytes for stage in river.stages) == 600_000
    assert river.lost == 0
    far = view(bulk, "river", width=30)
    assert len(far.stretches) <= 30
    assert sum(one.ways for one in far.stretches) == 2000
    assert (far.stretches[0].begin, far.stretches[-1].end) == (0, 200_000)


def test_gauges_keep_the_extremes(bulk: Snapshot) -> None:
    near = view(bulk, "gauges", side="right", width=4000)
    assert near.looks == 2000
    (chart,) = near.charts
    assert (chart.title, chart.unit, chart.highest) == ("Queues", "byte", 1999)
    assert len(chart.lines[0].points) == 2000
    far = view(bulk, "gauges", side="right", width=20)
    (line,) = far.charts[0].lines
    assert len(line.points) <= 22
    assert (line.points[0][1], line.points[-1][2]) == (0, 1999)
    assert view(bulk, "gauges", side="left").missing == "Nobody looked at this socket."


class Span:
    def __init__(self, first_ns: int, last_ns: int, count: int = 1) -> None:
        self.first_ns, self.last_ns, self.count = first_ns, last_ns, count


def talk(path: Path) -> Path:
    """A thread that answers on another socket than the one on which it was asked, and datagrams from two senders."""
    script = Script(path)
    script.process(1, 7, "asks")
    script.process(2, 8, "relays")
    script.socket(1, 1, 0, local=CLIENT, remote=SERVER)
    script.socket(2, 2, 1, local=SERVER, remote=CLIENT, origin="accept")
    script.socket(3, 2, 1, local="127.0.0.1:900", remote="127.0.0.1:901")
    for number, name in enumerate(("127.0.0.1:53", "127.0.0.1:5001", "127.0.0.1:5002"), 4):
        script.socket(number, 1 + (number == 4), 2, local=name, type=2, protocol=17)
    script.frame(1, tcp_frame(CLIENT, SERVER, "S", seq=99))
    script.frame(2, tcp_frame(SERVER, CLIENT, "SA", seq=99, ack=100))
    for number in range(30):
        at = 10 + 20 * number
        script.call("write", at, 1, 10, fd=3, socket=1, length=10, offset=10 * number)
        script.frame(at + 2, tcp_frame(CLIENT, SERVER, "A", seq=100 + 10 * number, ack=100, payload=bytes(10)))
        script.call("read", at + 3, 2, 10, fd=4, socket=2, process=2, length=64, offset=10 * number)
        script.call("write", at + 7, 1, 5, fd=5, socket=3, process=2, length=5, offset=5 * number)
        script.frame(at + 9, tcp_frame(SERVER, CLIENT, "A", seq=100, ack=110 + 10 * number))
        for sender, port in ((5, 5001), (6, 5002)):
            asked: dict[str, Any] = {"fd": 6, "length": 4, "payload": b"%4d" % number}
            script.call("sendto", at + sender, 0.2, 4, socket=sender, address="127.0.0.1:53", **asked)
            script.frame(at + sender + 0.1, udp_frame(f"127.0.0.1:{port}", "127.0.0.1:53", b"%4d" % number))
            script.call(
                "recvfrom", at + sender + 0.5, 0.2, 4, socket=4, process=2, address=f"127.0.0.1:{port}", **asked
            )
    script.done(2_000).close()
    return path


def test_a_long_recording_shows_the_same_though_it_is_held_as_numbers(
    tmp_path: Path, bulk: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (Path(bulk.path), talk(tmp_path / "talk.wsrec")):
        with Snapshot.open(path) as whole:
            monkeypatch.setattr("wallsocket.view.snapshot._SMALL_EVENTS", 0)
            monkeypatch.setattr("wallsocket.trace.timeline._KEPT_PER_ROW", 1)
            with Snapshot.open(path) as packed:
                monkeypatch.undo()
                rivers = 0
                for key in whole.by_key:
                    for name, sided in (("ladder", False), ("river", True), ("sequence", True)):
                        for side in ("left", "right") if sided else ("",):
                            asked = {"conversation": key} | ({"side": side} if sided else {})
                            expected = ask(whole, name, asked)
                            assert ask(packed, name, asked) == expected
                            rivers += name == "river" and bool(expected.stages)  # type: ignore[attr-defined]
                assert rivers
                for table in ("call", "packet", "state"):
                    for row in range(1, whole.recording.count(table) + 1, 97):
                        where = {"table": table, "row": str(row)}
                        assert ask(packed, "locate", where) == ask(whole, "locate", where)


@pytest.mark.parametrize("total", [0, 1, STEP, STEP + 1, 1000])
@pytest.mark.parametrize("most", [1, 10, 100, 10_000])
def test_levels_lose_nothing(total: int, most: int) -> None:
    levels = Levels(
        [Span(at, at) for at in range(total)],
        lambda spans: Span(spans[0].first_ns, spans[-1].last_ns, sum(span.count for span in spans)),
    )
    found = levels.between(0, total, most)
    assert sum(span.count for span in found) == total
    assert len(found) <= max(most, STEP) + 2
    middle = levels.between(total // 2, total // 2, most)
    assert not total or any(span.first_ns <= total // 2 <= span.last_ns for span in middle)


def test_what_was_asked_before_the_findings_were_made_is_answered_anew(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()

    def with_findings(snapshot: Snapshot) -> list[bool]:
        overview: Any = ask(snapshot, "overview", {})
        conversations: Any = ask(snapshot, "conversations", {})
        topology: Any = ask(snapshot, "topology", {})
        return [any(one.findings for one in found) for found in (overview.cards, conversations.cards, topology.places)]

    with Snapshot(tmp_path / "run.wsrec") as snapshot:
        snapshot.read()
        assert with_findings(snapshot) == [False, False, False]
        snapshot.judge()
        assert with_findings(snapshot) == [True, True, True]


def test_a_finding_has_its_proof_and_the_code_around(tmp_path: Path) -> None:
    lost_letter(tmp_path / "run.wsrec").close()
    with Snapshot.open(tmp_path / "run.wsrec") as snapshot:
        effect: Any = ask(snapshot, "finding", {"number": 2})
        assert effect.cause.rule == "one-recv-per-message"
        assert [card.number for card in view_finding(snapshot, 1).effects] == [2]
        assert {row.layer for row in effect.proof} >= {"calls", "kernel"}
        linked = [row for row in effect.proof if row.conversation]
        assert linked
        assert all(row.conversation == "2-3" for row in linked)
        assert effect.code.lines == []  # /srv/upper.py is not here
        assert effect.disproof


def view_finding(snapshot: Snapshot, number: int) -> Any:
    return ask(snapshot, "finding", {"number": number})
