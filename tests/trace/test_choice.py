"""What is wanted of a recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recordings import Script, lost_letter
from wallsocket.errors import UsageError
from wallsocket.trace.choice import CallFilter, Choice
from wallsocket.trace.recording import Recording
from wallsocket.trace.timeline import Timeline


@pytest.fixture
def letter(tmp_path: Path) -> Recording:
    return lost_letter(tmp_path / "a.wsrec")


def calls(recording: Recording, **wanted: object) -> list[int]:
    choice = Choice(recording, **wanted)  # type: ignore[arg-type]
    return [call.id for call in recording.calls() if choice.matches(call)]


def sql(recording: Recording, condition: str) -> list[int]:
    return [row[0] for row in recording.sql(f"SELECT id FROM call WHERE {condition} ORDER BY id")]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("connect", "call_name(number) = 'connect'"),
        ("recv*,send*", "call_name(number) GLOB 'recv*' OR call_name(number) GLOB 'send*'"),
        ("failed", "result < 0"),
        ("ENOTCONN", "result = -107"),
        ("accept4,>30us", "call_name(number) = 'accept4' AND (took_ns IS NULL OR took_ns >= 30000)"),
        (">0.03 ms", "took_ns IS NULL OR took_ns >= 30000"),
        ("shut????,failed", "call_name(number) = 'shutdown'"),
        ("connect,failed", "0"),
        ("recv,send", "call_name(number) IN ('recvfrom', 'sendto')"),
        ("accept", "call_name(number) = 'accept4'"),
        ("EWOULDBLOCK", "result = -11"),
        ("", "1"),
    ],
)
def test_calls_by_name_error_and_time(text: str, condition: str, letter: Recording) -> None:
    assert calls(letter, call=text) == sql(letter, condition)


@pytest.mark.parametrize(
    "text", ["Connect", "a b", ">10", ">10 days", "econnreset!", "\x1b", "recieve", "EFOO", "200", "*\x1b"]
)
def test_words_that_are_no_filter(text: str) -> None:
    with pytest.raises(UsageError, match="is no call"):
        CallFilter.parse(text)


def test_sockets_by_number_and_port(letter: Recording) -> None:
    assert calls(letter, socket=2) == sql(letter, "socket = 2 OR made = 2")
    assert calls(letter, port=51822) == sql(letter, "socket IN (2, 3) OR made IN (2, 3)")
    assert calls(letter, port=4567) == [call.id for call in letter.calls()]
    assert calls(letter, port=51822, socket=3, call="close") == sql(
        letter, "socket = 3 AND call_name(number) = 'close'"
    )
    with pytest.raises(UsageError, match="no socket 9"):
        Choice(letter, socket=9)
    with pytest.raises(UsageError, match="no socket in the recording has port 80"):
        Choice(letter, port=80)
    with pytest.raises(UsageError, match="socket 1 does not have port 51822"):
        Choice(letter, socket=1, port=51822)


def test_a_port_that_nobody_answered_at_is_found(tmp_path: Path) -> None:
    script = Script(tmp_path / "a.wsrec")
    script.process(1, 70, "one")
    script.socket(1, 1, 0)
    script.call("connect", 1, 1, -111, fd=3, socket=1, address="127.0.0.1:81")
    with script.done(10) as recording:
        assert calls(recording, port=81) == [1]


def test_processes_by_number_and_name(letter: Recording) -> None:
    assert calls(letter, process="71") == sql(letter, "process = 2") == calls(letter, process="nc")
    assert calls(letter, process="upper*") == sql(letter, "process = 1")
    with pytest.raises(UsageError, match=r"no process 'cat'; there are upper.py \(70\), nc \(71\)"):
        Choice(letter, process="cat")


def test_conversations_are_drawn_whole(letter: Recording) -> None:
    timeline = Timeline(letter)

    def drawn(**wanted: object) -> list[int]:
        choice = Choice(letter, **wanted)  # type: ignore[arg-type]
        return [item.left for item in timeline.wanted() if choice.draws(item)]

    assert drawn() == [1, 2]
    assert drawn(port=51822) == drawn(process="nc") == drawn(socket=3) == [2]
    assert drawn(process="upper.py") == [1, 2]
