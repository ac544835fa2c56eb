"""The other views, whole."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.expected import expect
from tests.support.recordings import Script, lost_letter, row, tcp_frame
from wallsocket import events
from wallsocket.kernel.tcp_state import TcpState
from wallsocket.trace.choice import Choice
from wallsocket.trace.labels import conversation_title
from wallsocket.trace.lines import Arrow, ConversationLine, Line, Lines, Part, WayLine
from wallsocket.trace.recording import Recording
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.verdict import amount, duration, ordinal, verdict
from wallsocket.trace.views import call_lines, json_lines, packet_lines, state_lines
from wallsocket.trace.wire import decoded, segment, summary

EXPECTED = Path(__file__).with_name("expected")
A, B = "127.0.0.1:1000", "127.0.0.1:2000"


@pytest.fixture
def letter(tmp_path: Path) -> Recording:
    return lost_letter(tmp_path / "a.wsrec")


def printed(lines: Any) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_calls(letter: Recording) -> None:
    expect(EXPECTED, "calls", printed(call_lines(letter, colour=False)))


def test_calls_of_one_socket_in_a_span_of_time(letter: Recording) -> None:
    lines = list(
        call_lines(letter, colour=False, choice=Choice(letter, socket=3), since_ns=1_200_000, until_ns=1_240_000)
    )
    assert len(lines) == 1
    assert "sendto(4, " in lines[0]


def test_marks_stand_between_the_calls(tmp_path: Path) -> None:
    script = Script(tmp_path / "m.wsrec")
    script.process(1, 70, "one")
    script.process(2, 71, "quiet")
    script.socket(1, 1, 0)
    script.mark(1, 1, "exec", '["one"]')
    script.mark(2, 2, "exec", '["quiet"]')
    script.mark(5, 1, "signal", "SIGCHLD")
    script.mark(9, 1, "signal", "SIGTERM")
    script.call("close", 4, 1, fd=3, socket=1)
    with script.done(20) as recording:
        assert printed(call_lines(recording, colour=False)) == (
            '      0.001  70/101           --- exec: ["one"] ---\n'
            "      0.004  70/101           close(3) = 0  <1 µs>\n"
            "      0.009  70/101           --- signal: SIGTERM ---\n"
        )
        every = printed(call_lines(recording, colour=False, every_mark=True))
    assert 'exec: ["quiet"]' in every
    assert "SIGCHLD" in every


def test_states(letter: Recording) -> None:
    expect(EXPECTED, "states", printed(state_lines(Timeline(letter, decode=segment), colour=False)))


def test_what_has_lasted_no_time_says_none(tmp_path: Path) -> None:
    script = Script(tmp_path / "f.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0, local=A, remote=B)
    script.state(1, 5, 2, None, int(TcpState.ESTABLISHED))
    script.state(1, 9, 2, None, int(TcpState.CLOSE_WAIT))
    script.call("recvfrom", 9, None, fd=3, socket=1)
    with script.done(9) as recording:
        timeline = Timeline(recording, decode=segment)
        text = printed(state_lines(timeline, colour=False)) + printed(call_lines(recording, colour=False))
    assert "0 ns" not in text
    assert "waited in recvfrom when the recording ended" in text


def test_packets(letter: Recording) -> None:
    expect(EXPECTED, "packets", printed(packet_lines(letter, summary)))
    assert len(list(packet_lines(letter, summary, since_ns=1_200_000, until_ns=1_232_000))) == 1


def test_json(letter: Recording) -> None:
    objects = [json.loads(line) for line in json_lines(letter, segment=decoded)]
    assert all(len(item) == 1 for item in objects)
    kinds = [next(iter(item)) for item in objects]
    assert kinds[:8] == ["recording", "process", "process", "source", "source", "source", "source", "socket"]
    assert {"call", "state", "packet"} <= set(kinds)
    assert objects[0]["recording"]["schema"] == 1
    sockets = [item["socket"] for item in objects if "socket" in item]
    assert (sockets[2]["local"], sockets[2]["remote"], sockets[2]["family"]) == (
        "127.0.0.1:4567",
        "127.0.0.1:51822",
        "AF_INET",
    )
    calls = {item["call"]["id"]: item["call"] for item in objects if "call" in item}
    assert calls[8]["name"] == "recvfrom"
    assert (calls[8]["file"], calls[8]["line"], calls[8]["known"]) == ("/srv/upper.py", 6, "direct")
    assert bytes.fromhex(calls[8]["payload"]).startswith(b"Dear Sir")
    shutdown = next(item for item in calls.values() if item["name"] == "shutdown")
    assert (shutdown["result"], shutdown["error"]) == (-107, "ENOTCONN")
    states = [item["state"] for item in objects if "state" in item]
    assert (states[-1]["state"], states[-1]["moment"]) == ("CLOSE", "exit")
    packets = [item["packet"] for item in objects if "packet" in item]
    assert packets[3]["decoded"]["length"] == 3000
    times = [
        next(iter(item.values())).get("at_ns", next(iter(item.values())).get("entry_ns"))
        for item in objects
        if next(iter(item)) in ("call", "state", "packet", "mark")
    ]
    assert times == sorted(times)


def test_json_of_facts_and_odd_bytes(tmp_path: Path) -> None:
    script = Script(tmp_path / "f.wsrec")
    script._add("fact", row(events.Fact, id=1, at_ns=1, call=None, kind="limits", value='{"a":1}'))
    script._add("fact", row(events.Fact, id=2, at_ns=2, call=None, kind="limits", value="{no json"))
    script._add("counter", row(events.Counter, at_ns=3, name="TcpInSegs", value=4))
    script.socket(1, 1, 0, local=b"\x01\x00/tmp/\xff\x1b")
    with script.done(10) as recording:
        objects = [json.loads(line) for line in json_lines(recording)]
    assert objects[1]["socket"]["local"].isprintable()
    assert [item["fact"]["value"] for item in objects if "fact" in item] == [{"a": 1}, "{no json"]
    assert objects[-1]["counter"]["name"] == "TcpInSegs"


@pytest.mark.parametrize(
    ("span_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1 µs"),
        (9_940, "9.9 µs"),
        (9_960, "10 µs"),
        (85_400, "85 µs"),
        (999_600, "1 ms"),
        (4_200_000, "4.2 ms"),
        (1_500_000_000, "1.5 s"),
        (119_000_000_000, "119 s"),
        (125_000_000_000, "2 min 5 s"),
        (7_380_000_000_000, "2 h 3 min"),
    ],
)
def test_durations(span_ns: int, text: str) -> None:
    assert duration(span_ns) == text


def test_amounts() -> None:
    assert [amount(count, "byte") for count in (0, 1, 2)] == ["0 bytes", "1 byte", "2 bytes"]


def script_of(tmp_path: Path, *, ended: float | None = None) -> Script:
    script = Script(tmp_path / "v.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0, ended, local=A, remote=B)
    return script


def judged(script: Script) -> str:
    with script.done(1_000_000) as recording:
        timeline = Timeline(recording, decode=segment)
    return verdict(timeline, timeline.tracks[1])


def test_verdicts_on_failed_connections(tmp_path: Path) -> None:
    script = script_of(tmp_path)
    script.call("connect", 1, 1, -111, fd=3, socket=1)
    assert judged(script) == "could not connect: ECONNREFUSED"


def test_verdict_on_an_attempt_that_was_not_waited_for(tmp_path: Path) -> None:
    script = script_of(tmp_path)
    script.call("connect", 1, 1, -115, fd=3, socket=1)
    script.call("getsockopt", 5, 1, 0, fd=3, socket=1, a=1, b=4, value=(111).to_bytes(4, "little"))
    assert judged(script) == "could not connect: ECONNREFUSED"


def test_verdict_on_a_socket_that_did_nothing(tmp_path: Path) -> None:
    assert judged(script_of(tmp_path)) == "never connected"


def test_verdict_on_an_orderly_end(tmp_path: Path) -> None:
    script = script_of(tmp_path, ended=51)
    script.call("connect", 1, 1, fd=3, socket=1)
    script.call("sendto", 5, 1, 5, fd=3, socket=1, length=5)
    script.call("recvfrom", 10, 1, 0, fd=3, socket=1, length=5)
    script.call("close", 50, 1, fd=3, socket=1)
    assert judged(script) == "both sides ended; sent 5 bytes, received 0 bytes"


def test_verdict_on_a_leak(tmp_path: Path) -> None:
    script = script_of(tmp_path)
    script.call("connect", 1, 1, fd=3, socket=1)
    script.call("recvfrom", 10, 1, 0, fd=3, socket=1, length=5)
    assert judged(script) == "the peer ended, this side did not close it"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", "ended with its process"),
        ("own first", "ended with its process"),
        ("peer first", "the peer ended, this side did not close until its process ended"),
    ],
)
def test_verdict_on_the_end_of_a_process(tmp_path: Path, flags: str, expected: str) -> None:
    script = script_of(tmp_path, ended=500)
    script.call("connect", 1, 1, fd=3, socket=1)
    own, peer = tcp_frame(A, B, "FA", seq=5), tcp_frame(B, A, "FA", seq=9)
    for number, frame in enumerate({"": [], "own first": [own, peer], "peer first": [peer, own]}[flags]):
        script.frame(400 + number, frame)
    assert judged(script) == expected


def test_verdict_on_a_wait_without_end(tmp_path: Path) -> None:
    script = script_of(tmp_path)
    script.call("connect", 1, 1, fd=3, socket=1)
    script.call("recvfrom", 10, None, fd=3, socket=1, length=5)
    assert judged(script) == "waited in recvfrom for 1 s when the recording ended"


def test_verdict_on_a_connection_that_the_kernel_gave_up(tmp_path: Path) -> None:
    script = script_of(tmp_path)
    connected = script.call("connect", 1, 1, fd=3, socket=1)
    script.state(1, 3, 1, connected, 1)
    script.state(1, 900, 2, None, 7)
    assert judged(script) == "gone before this side closed it: reset, or timed out"


def test_verdict_on_datagrams(tmp_path: Path) -> None:
    script = Script(tmp_path / "v.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0, 20, type=2, protocol=17, local=A)
    script.call("recvfrom", 1, 1, 5, fd=3, socket=1, length=9, address=B)
    script.state(1, 3, 2, None, 7, drops=4)
    script.call("close", 19, 1, fd=3, socket=1)
    assert judged(script) == "closed; sent 0 bytes, received 5 bytes in 1 message; 4 dropped by the kernel"


def test_the_ladder_as_data_is_what_its_types_say(tmp_path: Path) -> None:
    """Each object validates against the schema, whose every key is documented."""
    with lost_letter(tmp_path / "a.wsrec") as recording:
        found = [json.loads(line) for line in json_lines(recording, timeline=Timeline(recording, decode=segment))]
    kinds = {"conversation": ConversationLine, "line": Line, "way": WayLine}
    told = [(key, value) for entry in found for key, value in entry.items() if key in kinds]
    assert {key for key, _ in told} == set(kinds)
    for key, value in told:
        if key == "line" and value["arrow"] is not None:
            value["arrow"]["payload"] = base64.b64encode(bytes.fromhex(value["arrow"]["payload"])).decode()
        msgspec.convert(value, kinds[key], strict=True)
        assert value.keys() == set(kinds[key].__struct_fields__)
    documented = (Path(__file__).parents[2] / "docs" / "show.md").read_text(encoding="utf-8")
    for kind in (*kinds.values(), Part, Arrow):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in documented, (kind, field)


def test_lines_and_ways_of_the_lost_letter(tmp_path: Path) -> None:
    """3000 bytes in one segment; 1024 of them were read, the others never."""
    with lost_letter(tmp_path / "a.wsrec") as recording:
        timeline = Timeline(recording, decode=segment)
        conversation = timeline.wanted()[1]
        lines = Lines(timeline)
        write = next(line for line in lines.of(conversation) if 6 + 1 in line.calls)
        ways = [way for way in lines.ways(conversation) if way.source == conversation.left]
    assert (write.kind, write.side, write.packets, write.begin, write.end) == ("call", "left", [4], 0, 3000)
    assert write.arrow is not None
    assert (write.arrow.length, write.arrow.begin, write.arrow.end) == (3000, 0, 3000)
    assert [(way.begin, way.end, way.sent, way.packets, way.received, way.doubt) for way in ways] == [
        (0, 1024, 7, [4], 8, ""),
        (1024, 3000, 7, [4], None, ""),
    ]
    assert ways[0].in_send_buffer_ns == 1000
    assert ways[0].acknowledged_ns == 1_102_000
    assert ways[0].in_receive_buffer_ns == 79_000
    assert ways[0].in_program_ns == 50_000


def test_a_socket_without_address_is_called_so(tmp_path: Path) -> None:
    script = Script(tmp_path / "n.wsrec")
    script.process(1, 70, "lonely")
    script.socket(1, 1, 0, local="0.0.0.0:0", remote="0.0.0.0:0")
    with script.done(10) as recording:
        timeline = Timeline(recording)
        assert conversation_title(timeline, timeline.conversations[0]) == "tcp without address"


def test_ordinals() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 200)] == (
        "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th 200th".split()
    )
