"""The ladder, whole, at fixed widths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.expected import expect
from tests.support.recordings import Script, icmp_unreachable, lost_letter, tcp_frame, udp_frame, unix
from wallsocket.trace.labels import process_label
from wallsocket.trace.ladder import Ladder, header
from wallsocket.trace.recording import Recording
from wallsocket.trace.text import column_width
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.wire import segment

A, B = "127.0.0.1:1000", "127.0.0.1:2000"
EXPECTED = Path(__file__).with_name("expected")


@pytest.fixture
def script(tmp_path: Path) -> Script:
    script = Script(tmp_path / "t.wsrec")
    script.process(1, 70, "one")
    script.process(2, 71, "two")
    return script


def drawn(recording: Recording, width: int, *, colour: bool = False, limit: int | None = None) -> str:
    timeline = Timeline(recording, decode=segment, limit=limit)
    ladder = Ladder(timeline, width=width, colour=colour)
    lines = [*header(timeline, colour=colour)]
    for conversation in timeline.wanted():
        lines += ["", *ladder.draw(conversation)]
    recording.close()
    return "\n".join(lines) + "\n"


def test_both_ends_and_the_wire(tmp_path: Path) -> None:
    expect(EXPECTED, "lost_letter", drawn(lost_letter(tmp_path / "a.wsrec"), 126))


def test_a_narrow_terminal_loses_nothing(tmp_path: Path) -> None:
    text = drawn(lost_letter(tmp_path / "a.wsrec"), 80)
    expect(EXPECTED, "lost_letter_narrow", text)
    assert max(map(column_width, text.splitlines())) <= 80


def test_without_the_wire_there_are_no_arrows(tmp_path: Path) -> None:
    text = drawn(lost_letter(tmp_path / "a.wsrec", wire=False), 100)
    expect(EXPECTED, "lost_letter_without_wire", text)
    assert not re.search("[─▶◀]", text)


def test_one_end_has_one_rail(script: Script) -> None:
    script.socket(1, 1, 0, 90, local=A, remote=B)
    line = ("/srv/client.py", 12, "main")
    script.call("connect", 1, 2, fd=3, socket=1, address=B, line=line)
    script.call("sendto", 10, 1, 5, fd=3, socket=1, length=5, offset=0, payload=b"hello", line=line)
    script.call("recvfrom", 20, 5000, 0, fd=3, socket=1, length=99, offset=0, line=line, known=3)
    script.call("close", 6000, 1, fd=3, socket=1, line=line, known=2)
    script.frame(10.5, tcp_frame(A, B, "PA", seq=1, payload=b"hello"))
    script.frame(5019, tcp_frame(B, A, "FA", seq=1, ack=6))
    with script.done(7000) as recording:
        text = drawn(recording, 100)
    expect(EXPECTED, "one_end", text)


def test_pauses_repetitions_and_what_was_left_out(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    for number in range(5):
        script.call("recvfrom", number, 0.1, -11, fd=3, socket=1, length=9)
    script.call("recvfrom", 2_000_010, 0.1, 3, fd=3, socket=1, length=9, offset=0)
    for number in range(30):
        script.call("sendto", 2_000_020 + number, 0.1, number, fd=3, socket=1, length=number, offset=0)
    with script.done(2_000_100) as recording:
        text = drawn(recording, 80, limit=8)
    expect(EXPECTED, "pauses", text)


def test_segments_of_one_send_share_an_arrow(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    script.frame(1, tcp_frame(A, B, "S", seq=0))
    script.call("sendto", 10, 9, 3000, fd=3, socket=1, length=4000, offset=0)
    for number in range(3):
        script.frame(11 + number, tcp_frame(A, B, "A", seq=1 + 1000 * number, payload=bytes(1000)))
    script.frame(20, tcp_frame(A, B, "A", seq=2001, payload=bytes(1000)))
    script.frame(30, tcp_frame(B, A, "A", seq=0, ack=3001, window=0))
    with script.done(100) as recording:
        text = drawn(recording, 90)
    expect(EXPECTED, "segments", text)


def test_datagrams_and_icmp(script: Script) -> None:
    script.socket(1, 1, 0, type=2, protocol=17, local=A, remote=B)
    sent = udp_frame(A, B, b"hello")
    script.call("sendto", 10, 1, 5, fd=3, socket=1, length=5)
    script.frame(10.2, sent)
    script.frame(10.4, icmp_unreachable("127.0.0.1", "127.0.0.1", "127.0.0.1", sent))
    script.call("recvfrom", 20, 1, -111, fd=3, socket=1, length=9)
    with script.done(100) as recording:
        text = drawn(recording, 160)
    expect(EXPECTED, "datagrams", text)


def test_a_datagram_that_was_cut(script: Script) -> None:
    script.socket(1, 1, 0, type=2, protocol=17, local=A, remote=B)
    call = script.call("recvfrom", 10, 1, 4, fd=3, socket=1, length=4)
    script.state(1, 10.5, 0, call, 7, receive_queue=8)
    with script.done(100) as recording:
        assert "recv(4) = 4  datagram of 8\n" in drawn(recording, 100)


def test_the_end_of_a_process_ends_its_connections(script: Script) -> None:
    script.socket(1, 1, 0, 50, local=A, remote=B)
    script.call("connect", 1, 1, fd=3, socket=1, address=B)
    script.call("recvfrom", 10, 1, 5, fd=3, socket=1, length=9, offset=0)
    script.frame(49, tcp_frame(A, B, "FA", seq=7))
    with script.done(100) as recording:
        expect(EXPECTED, "end_of_process", drawn(recording, 100))


def test_a_refused_connection(script: Script) -> None:
    script.socket(1, 1, 0, local="0.0.0.0:1000")
    script.call("connect", 1, 5, -111, fd=3, socket=1, address=B)
    script.frame(2, tcp_frame(A, B, "S", seq=7))
    script.frame(3, tcp_frame(B, A, "RA", ack=8))
    with script.done(100) as recording:
        expect(EXPECTED, "refused", drawn(recording, 100))


def test_names_from_the_recording_cannot_reach_the_terminal(script: Script) -> None:
    script.process(3, 72, "evil\x1b]0;x\x07\u202e")
    script.socket(1, 3, 0, family=1, protocol=0, local=b"\x01\x00/tmp/\x1b[2J", remote=b"\x01\x00\0a\xff\n")
    script.call(
        "sendto", 1, 1, 3, fd=3, socket=1, length=3, payload=b"\x1b[H", line=("/x/\x1b[1m\u2066.py", 3, "f\x9b")
    )
    script.mark(2, 3, "exec\x1b", "\x1b]2;t\x07")
    with script.done(100, wire="no \x1b[5m") as recording:
        text = drawn(recording, 100, colour=False)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert r"\x1b" in text


def test_colours_change_nothing_else(tmp_path: Path) -> None:
    coloured = drawn(lost_letter(tmp_path / "a.wsrec"), 126, colour=True)
    assert "\x1b[31m" in coloured
    expect(EXPECTED, "lost_letter", re.sub("\x1b\\[[0-9]*m", "", coloured))


@pytest.mark.parametrize(
    ("command", "label"),
    [
        ('["/usr/bin/python3.11","/srv/a.py","-x"]', "a.py"),
        ('["python3","-m","http.server","80"]', "http.server"),
        ('["python3","-c","x"]', "python3"),
        ('["node","srv.js"]', "srv.js"),
        ('["/usr/sbin/nginx","-g"]', "nginx"),
        ('["bash","-c","x"]', "bash"),
        ("[]", "prog"),
        ("no json", "prog"),
        ("[1]", "prog"),
        (None, "prog"),
    ],
)
def test_process_labels(tmp_path: Path, command: str | None, label: str) -> None:
    from wallsocket.events import Process

    process = Process(1, 1, None, command, "/bin/prog", None, 0, None, None, None)
    assert process_label(process) == label


def test_cut_off_and_lost_are_said(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec", lost="7") as recording:
        assert "7 events could not be recorded\n" in drawn(recording, 100)
    script = Script(tmp_path / "b.wsrec")
    script.call("socket", 5, 1, 3)
    with script.done() as recording:
        assert "cut off at 6 µs\n" in drawn(recording, 100)


def test_a_join_that_is_inferred_is_said_to_be(script: Script) -> None:
    name = unix(b"/run/service")
    script.socket(1, 1, 0, family=1, protocol=0, local=name)
    script.call("listen", 1, fd=3, socket=1, a=1)
    script.socket(2, 2, 10, family=1, protocol=0, remote=name)
    script.call("connect", 11, fd=3, socket=2, address=name, process=2)
    script.socket(3, 1, 20, family=1, protocol=0, origin="accept", parent=1, local=name)
    script.call("accept4", 19, 1, 4, fd=3, socket=1, made=3)
    script.call("sendto", 30, 1, 5, fd=3, socket=2, length=5, offset=0, process=2)
    script.call("recvfrom", 25, 10, 5, fd=4, socket=3, length=9, offset=0)
    with script.done(100) as recording:
        text = drawn(recording, 100)
    assert "[that these two talk is inferred]" in text
    assert "two (pid 71)" in text


def excerpt(
    recording: Recording, cited: list[tuple[str, int]], *, width: int = 78, height: int = 8, limit: int = 4
) -> list[str]:
    """Of the first conversation in which one of the rows stands."""
    timeline = Timeline(recording, decode=segment, limit=limit, cited=frozenset(cited))
    ladder = Ladder(timeline, width=width, colour=False)
    drawn = [ladder.excerpt(conversation, cited, height=height) for conversation in timeline.wanted()[::-1]]
    recording.close()
    return next(filter(None, drawn), [])


def counted(lines: list[str]) -> int:
    """How many calls and segments an excerpt says that it leaves out."""
    return sum(int(found[1]) for line in lines if (found := re.match(r" *… (\d+) calls? ", line)))


def test_an_excerpt_has_the_cited_rows_their_neighbours_and_a_count_of_the_rest(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    calls = [
        script.call("sendto", 10 + number, 0.1, number, fd=3, socket=1, length=number, offset=0)
        for number in range(1000)
    ]
    with script.done(2000) as recording:
        lines = excerpt(recording, [("call", calls[500])])
    marked = [line for line in lines if line.startswith("▸")]
    assert len(marked) == 1
    assert "send(500)" in marked[0]
    assert any("send(499)" in line for line in lines)
    assert any("send(501)" in line for line in lines)
    assert len(lines) <= 8
    assert counted(lines) + sum("send(" in line for line in lines) == 1000


@pytest.mark.parametrize("width", [78, 60])
@pytest.mark.parametrize("height", [3, 8, 20])
def test_an_excerpt_keeps_its_size_and_the_first_of_the_proof(tmp_path: Path, width: int, height: int) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        numbers = [("call", call.id) for call in recording.calls()][::-1]
        frames = [("packet", packet.id) for packet in recording.packets()]
        lines = excerpt(recording, numbers + frames, width=width, height=height, limit=40)
    assert max(map(column_width, lines)) <= width + 2
    assert any(line.startswith("▸") for line in lines)
    # A line that takes more than its share stands all the same: it is the proof.
    assert len(lines) <= max(height, 6)


def test_an_excerpt_has_the_wire_where_a_frame_is_the_proof(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        last = max(packet.id for packet in recording.packets())
        first = min(call.id for call in recording.calls())
    assert any("─▶" in line or "◀─" in line for line in excerpt(lost_letter(tmp_path / "b.wsrec"), [("packet", last)]))
    assert not any("─" in line for line in excerpt(lost_letter(tmp_path / "c.wsrec"), [("call", first)]))
    assert excerpt(lost_letter(tmp_path / "d.wsrec"), [("call", 12345)]) == []
