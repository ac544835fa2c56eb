"""The ladder, whole, at fixed widths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.recordings import Script, icmp_unreachable, lost_letter, tcp_frame, udp_frame
from wallsocket.trace.ladder import Ladder, header, process_label
from wallsocket.trace.recording import Recording
from wallsocket.trace.text import column_width
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.wire import segment

A, B, C = "127.0.0.1:1000", "127.0.0.1:2000", "127.0.0.1:3000"


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


LETTER = """\
sh broken/run.sh   1.4 ms, 2 processes, 3 sockets, 12 calls

tcp listener 127.0.0.1:4567
       ms  upper.py  pid 70
    0.000  line 3  socket() = fd 3
    0.010  line 3  bind(127.0.0.1:4567)
    0.020  line 3  listen(128)  LISTEN
    1.105  line 3  accept() = fd 4  after 1.1 ms
    1.400  line 3  accept()  has not returned for 130 µs
           socket 1  upper.py pid 70: listened, backlog 128, accepted 1 connection; open to the end

tcp 127.0.0.1:51822 → 127.0.0.1:4567
       ms  nc  pid 71                                                wire              upper.py  pid 70
    1.000  socket() = fd 3
    1.010  connect(127.0.0.1:4567)  [SYN_SENT]          ─────────── SYN ────────────▶
    1.021  ESTABLISHED                                  ◀───────── SYN ACK ──────────
    1.100  write(3000)                                  ─ 3000 bytes "Dear Sir,\\n"… ─▶  [3000 queued]
    1.105                                                                              line 3  accept() = fd 4  after 1.1 ms
                                                                                         ESTABLISHED
    1.181                                                                              line 6  recv(1024) = 1024  1976 queued
    1.231  [1024 queued]                                ◀─ 1024 bytes "DEAR SIR,\\n"… ─  line 7  send(1024)
    1.260  CLOSE                                        ◀─────────── RST ────────────  line 8  close()  1976 unread  [CLOSE]
    1.280  shutdown(WR) ENOTCONN
    1.299  close()
           socket 2  nc pid 71: reset by the peer; sent 3000 bytes, received 0 bytes
           socket 3  upper.py pid 70: closed with 1976 bytes unread, which resets the peer; sent 1024 bytes, received
             1024 bytes
"""


def test_both_ends_and_the_wire(tmp_path: Path) -> None:
    assert drawn(lost_letter(tmp_path / "a.wsrec"), 126) == LETTER


NARROW = """\
tcp 127.0.0.1:51822 → 127.0.0.1:4567
       ms  nc  pid 71                      wire         upper.py  pid 70
    1.000  socket() = fd 3
    1.010  connect(127.0.0.1:4567)  ────── SYN ──────▶
             [SYN_SENT]
    1.021  ESTABLISHED              ◀──── SYN ACK ────
    1.100  write(3000)              ── 3000 bytes ───▶  [3000 queued]
    1.105                                               line 3  accept() = fd 4
                                                          after 1.1 ms
                                                          ESTABLISHED
    1.181                                               line 6
                                                          recv(1024) = 1024
                                                          1976 queued
    1.231  [1024 queued]            ◀── 1024 bytes ───  line 7  send(1024)
    1.260  CLOSE                    ◀────── RST ──────  line 8  close()
                                                          1976 unread  [CLOSE]
    1.280  shutdown(WR) ENOTCONN
    1.299  close()
           socket 2  nc pid 71: reset by the peer; sent 3000 bytes, received 0
             bytes
           socket 3  upper.py pid 70: closed with 1976 bytes unread, which
             resets the peer; sent 1024 bytes, received 1024 bytes
"""


def test_a_narrow_terminal_loses_nothing(tmp_path: Path) -> None:
    text = drawn(lost_letter(tmp_path / "a.wsrec"), 80)
    assert text[text.index("tcp 127.0.0.1:51822") :] == NARROW
    assert max(map(column_width, text.splitlines())) <= 80


WITHOUT_WIRE = """\
sh broken/run.sh   1.4 ms, 2 processes, 3 sockets, 12 calls
wire not recorded (needs CAP_NET_RAW)

tcp listener 127.0.0.1:4567
"""

WITHOUT_WIRE_ROWS = """\
tcp 127.0.0.1:51822 → 127.0.0.1:4567
       ms  nc  pid 71                                   upper.py  pid 70
    1.000  socket() = fd 3
    1.010  connect(127.0.0.1:4567)  ESTABLISHED
    1.100  write(3000)
    1.105                                               line 3  accept() = fd 4  after 1.1 ms
                                                          ESTABLISHED
    1.181                                               line 6  recv(1024) = 1024  1976 queued
    1.231                                               line 7  send(1024)
    1.260                                               line 8  close()  1976 unread  [CLOSE]
    1.280  shutdown(WR) ENOTCONN  CLOSE
    1.299  close()
           socket 2  nc pid 71: sent 3000 bytes, received 0 bytes
"""


def test_without_the_wire_there_are_no_arrows(tmp_path: Path) -> None:
    text = drawn(lost_letter(tmp_path / "a.wsrec", wire=False), 100)
    assert text.startswith(WITHOUT_WIRE)
    start = text.index("tcp 127.0.0.1:51822")
    rows = text[start:].splitlines()
    assert rows[:12] == WITHOUT_WIRE_ROWS.splitlines()[:12]
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
    assert text.split("\n\n")[1] == (
        """\
tcp 127.0.0.1:1000 → 127.0.0.1:2000
       ms  one  pid 70                               wire           127.0.0.1:2000 (not traced)
    0.001  client.py:12  connect(127.0.0.1:2000)
             [ESTABLISHED]
    0.010  client.py:12  send(5)             ── 5 bytes "hello" ──▶
    5.019  [CLOSE_WAIT]                      ◀──────── FIN ────────
    5.020  awaited at client.py:12
             recv(99) = 0  after 5 ms
    6.000  made at client.py:12  close()
             [LAST_ACK]
           socket 1  one pid 70: both sides ended; sent 5 bytes, received 0 bytes
"""
    )


def test_pauses_repetitions_and_what_was_left_out(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    for number in range(5):
        script.call("recvfrom", number, 0.1, -11, fd=3, socket=1, length=9)
    script.call("recvfrom", 2_000_010, 0.1, 3, fd=3, socket=1, length=9, offset=0)
    for number in range(30):
        script.call("sendto", 2_000_020 + number, 0.1, number, fd=3, socket=1, length=number, offset=0)
    with script.done(2_000_100) as recording:
        text = drawn(recording, 80, limit=8)
    assert text.split("\n\n")[1] == (
        """\
tcp 127.0.0.1:1000 → 127.0.0.1:2000
       ms  one  pid 70
    0.000  recv(9) EAGAIN  ×5
           ⋮ 2 s
 2000.010  recv(9) = 3
 2000.020  send(0)
 2000.021  send(1)
           … 20 calls …
 2000.042  send(22)
 2000.043  send(23)
 2000.044  send(24)
 2000.045  send(25)
 2000.046  send(26)
 2000.047  send(27)
 2000.048  send(28)
 2000.049  send(29)
           socket 1  one pid 70: never connected; sent 435 bytes, received 3 bytes
"""
    )


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
    assert text.split("\n\n")[1] == (
        """\
tcp 127.0.0.1:1000 → 127.0.0.1:2000
       ms  one  pid 70                           wire          127.0.0.1:2000 (not traced)
    0.001  [SYN_SENT]                    ──────── SYN ───────▶
    0.010  send(4000) = 3000             ─ 3 segments, 30… ──▶
    0.020                                ─ 1000 bytes + a… ──▶
    0.030                                ◀───── window 0 ─────
           socket 1  one pid 70: still connecting when the recording ended; sent
             3000 bytes, received 0 bytes
"""
    )


def test_datagrams_and_icmp(script: Script) -> None:
    script.socket(1, 1, 0, type=2, protocol=17, local=A, remote=B)
    sent = udp_frame(A, B, b"hello")
    script.call("sendto", 10, 1, 5, fd=3, socket=1, length=5)
    script.frame(10.2, sent)
    script.frame(10.4, icmp_unreachable("127.0.0.1", "127.0.0.1", "127.0.0.1", sent))
    script.call("recvfrom", 20, 1, -111, fd=3, socket=1, length=9)
    with script.done(100) as recording:
        text = drawn(recording, 160)
    assert text.split("\n\n")[1] == (
        """\
udp 127.0.0.1:1000 → 127.0.0.1:2000
       ms  one  pid 70                                                                  wire                 127.0.0.1:2000 (not traced)
    0.010  send(5)                                                      ─────── 5 bytes "hello" ───────▶
    0.010                                                               ◀─ ICMP 127.0.0.1 udp port 2… ──
    0.021  recv(9) ECONNREFUSED
           socket 1  one pid 70: failed in recvfrom with ECONNREFUSED; sent 5 bytes in 1 message, received 0 bytes
"""  # noqa: E501
    )


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
    assert re.sub("\x1b\\[[0-9]*m", "", coloured) == LETTER


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
