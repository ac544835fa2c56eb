"""Whatever a file holds: it is read, or refused with one line."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.talk import MS, Talk
from wallsocket.diagnose import diagnose
from wallsocket.errors import RecordingError
from wallsocket.trace import importing
from wallsocket.trace.calls import CallText
from wallsocket.trace.ladder import Ladder
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.wire import segment

TOGETHER = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
#: A log with a line of each kind.
LOG = (Path(__file__).parents[2] / "data/strace.log").read_text().strip()
#: What stands in a log and may stand where it should not.
WORDS = [
    "<unfinished ...>", "resumed>", "[", "]", "{", "}", '"', "\\", "->", "<", ">", "= -1 EBADF", "= ?", "-1", "NULL", "\x00",
    "\x1b[31m", "é", "4<TCP:[10.0.0.2:80->10.0.0.1:40000]>", "0x", "htons(", "SOCK_STREAM|", "CLONE_THREAD", "9" * 20,
]  # fmt: skip


def looked_through(*paths: Path) -> None:
    """All that is made of files: tables, findings, pictures; or one line of refusal."""
    try:
        recording = importing.open_files(paths)
    except RecordingError as error:
        assert "\n" not in str(error)
        return
    with recording:
        for finding in diagnose(recording).findings:
            assert finding.proof
        text = CallText(recording.meta["machine"])
        for call in recording.calls():
            text.full(call)
        timeline = Timeline(recording, decode=segment)
        ladder = Ladder(timeline, width=100, colour=False)
        for conversation in timeline.wanted():
            for line in ladder.draw(conversation):
                assert "\x1b" not in line


@cache
def capture() -> bytes:
    talk = Talk()
    talk.opens()
    talk.says(0, b"GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
    talk.says(1, b"ab")
    talk.wait(300 * MS)
    talk.segment(1, "F.")
    talk.segment(0, "P.", b"more")
    talk.icmp(3, 4, rest=1400)
    talk.segment(1, "R.")
    talk.asks_who_has("10.0.0.9")
    talk.ports = (40000, 53)
    talk.datagram(0, b"\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1")
    return talk.data()


@TOGETHER
@given(data=st.data())
def test_a_log_with_anything_in_it(tmp_path: Path, data: st.DataObject) -> None:
    lines = LOG.split("\n")
    for _ in range(data.draw(st.integers(1, 6))):
        number = data.draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        begin = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(begin, min(len(line), begin + 30)))
        word = data.draw(st.sampled_from(WORDS) | st.text(max_size=8))
        match data.draw(st.sampled_from(["replace", "cut", "drop", "move", "double"])):
            case "replace":
                lines[number] = line[:begin] + word + line[end:]
            case "cut":
                lines[number] = line[:begin]
            case "drop" if len(lines) > 1:
                del lines[number]
            case "move":
                lines.insert(begin % len(lines), lines.pop(number))
            case _:
                lines.insert(number, line)
    path = tmp_path / "strace.log"
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    looked_through(path)


@TOGETHER
@given(seed=st.integers(0, 1 << 32), changes=st.integers(1, 12))
def test_a_capture_with_anything_in_it(tmp_path: Path, seed: int, changes: int) -> None:
    chance = random.Random(seed)
    data = bytearray(capture())
    for _ in range(changes):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                data[place : place + 4] = chance.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
            case 2:
                del data[place : place + chance.randrange(1, 9)]
            case _:
                data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
    path = tmp_path / "talk.pcapng"
    path.write_bytes(data)
    looked_through(path)


@TOGETHER
@given(cut=st.integers(0, 4000))
def test_files_that_were_cut_off(tmp_path: Path, cut: int) -> None:
    log, wire = tmp_path / "strace.log", tmp_path / "talk.pcapng"
    log.write_text(LOG[:cut])
    wire.write_bytes(capture()[: cut // 2])
    looked_through(log)
    looked_through(wire)
    looked_through(wire, log)


def test_both_as_they_are(tmp_path: Path) -> None:
    log, wire = tmp_path / "strace.log", tmp_path / "talk.pcapng"
    log.write_text(LOG)
    wire.write_bytes(capture())
    with importing.open_files([wire, log]) as recording:
        assert recording.meta["calls"] == recording.meta["wire"] == "yes"
        origins = [one.origin for one in recording.sockets.values()]
        # The server's end was traced; the datagram's ends were not.
        assert origins.count("inferred") == 2
        assert len(list(recording.packets())) == 13
    looked_through(wire, log)


@pytest.mark.parametrize(
    "text", ["1.0 " + "(" * 100_000, '1.0 write(3, "' + "\\" * 100_001, "1.0 poll(" + "[" * 50_000]
)
def test_a_line_that_never_ends(tmp_path: Path, text: str) -> None:
    path = tmp_path / "strace.log"
    path.write_text(LOG + "\n" + text)
    looked_through(path)
