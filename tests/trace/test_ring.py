"""The flight recorder: bounded, and frozen when something happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.recordings import NUMBER, row
from wallsocket import events
from wallsocket.cli.explain import report_lines
from wallsocket.diagnose import diagnose
from wallsocket.errors import RecordingError, UsageError
from wallsocket.trace.ladder import header
from wallsocket.trace.recording import Recording, Writer, freeze_window
from wallsocket.trace.ring import Bounds, Ring
from wallsocket.trace.run import run
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.verdict import duration, verdict

SECOND = 1_000_000_000
META = {"machine": "x86_64", "calls": "yes", "kernel": "yes", "wire": "no", "lines": "yes", "started_monotonic_ns": "0"}

#: A talk that goes on, then a connection that is refused, then a pause in which a copy is made.
TALK = """
import contextlib, socket, sys, time
a, b = socket.socketpair()
end = time.monotonic() + 3
while time.monotonic() < end:
    a.send(b"x" * 40); b.recv(40)
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 1))
time.sleep(2)
a.send(b"last"); b.recv(9)
"""


@pytest.mark.parametrize(
    ("words", "bounds"),
    [
        (["60s"], Bounds(60.0, None)),
        (["5m", "200MB"], Bounds(300.0, 200_000_000)),
        (["1.5GiB"], Bounds(None, 3 << 29)),
    ],
)
def test_bounds(words: list[str], bounds: Bounds) -> None:
    assert Bounds.parse(words) == bounds


@pytest.mark.parametrize("words", [["1s", "2s"], ["1MB", "60s", "2MB"]])
def test_one_time_and_one_size(words: list[str]) -> None:
    with pytest.raises(UsageError, match="one of each"):
        Bounds.parse(words)


@pytest.mark.parametrize("word", ["60", "0s", "5 parsecs", "10kB", "", "-1s"])
def test_bounds_that_are_none(word: str) -> None:
    with pytest.raises(UsageError, match="write a time"):
        Bounds.parse([word])


@pytest.mark.parametrize("word", ["errno=NOPE", "ECONNRESET", "errno=", "crash", "errno=__doc__"])
def test_triggers_that_are_none(word: str) -> None:
    with pytest.raises(UsageError, match="write finding, signal, exit"):
        Ring(Bounds(1.0), [word])


def written(path: Path, seconds: int, per_second: int = 1000) -> Writer:
    """A recording of a socket that talks steadily, beside one that ended early."""
    writer = Writer(path, meta=META)
    writer.write("process", [row(events.Process, id=1, pid=70, started_ns=0)])
    base = {"process": 1, "family": 2, "type": 1, "protocol": 6, "origin": "socket"}
    writer.write(
        "socket",
        [
            row(events.Socket, id=1, created_ns=0, call=1, **base),
            row(events.Socket, id=2, created_ns=0, ended_ns=5, **base),
        ],
    )
    common = {"process": 1, "tid": 70, "took_ns": 10}
    rows = [
        row(events.Call, id=1, number=NUMBER["socket"], entry_ns=1, result=3, made=1, **common),
        row(events.Call, id=2, number=NUMBER["setsockopt"], entry_ns=2, result=0, socket=2, **common),
        row(events.Call, id=3, number=NUMBER["accept4"], entry_ns=3, socket=1, process=1, tid=71),
    ]
    counters = []
    for number in range(seconds * per_second):
        at_ns = 10 + number * (SECOND // per_second)
        rows.append(
            row(
                events.Call,
                id=4 + number,
                number=NUMBER["sendto"],
                entry_ns=at_ns,
                result=9,
                socket=1,
                length=9,
                offset=9 * number,
                payload=b"x" * 9,
                **common,
            )
        )
        if number % 100 == 0:
            counters.append((at_ns, "TcpOutSegs", number, None))
    writer.write("call", rows)
    writer.write("counter", [(1, "TcpInSegs", 5, None), *counters])
    writer.write(
        "state",
        [
            row(events.State, id=1, socket=1, at_ns=4, moment=2, state=1),
            row(events.State, id=2, socket=2, at_ns=4, moment=2, state=7),
        ],
    )
    writer.commit()
    return writer


def test_what_is_old_is_dropped_and_what_is_needed_stays(tmp_path: Path) -> None:
    writer = written(tmp_path / "a.wsrec", 10)
    assert writer.drop_before(8 * SECOND) == 8 * SECOND
    writer.finish({"ended_ns": str(10 * SECOND)})
    with Recording.open(tmp_path / "a.wsrec") as recording:
        assert recording.meta["since_ns"] == str(8 * SECOND)
        calls = list(recording.calls())
        # What made the socket, the call that has not returned, and two seconds.
        assert [call.id for call in calls[:2]] == [1, 3]
        assert len(calls) == 2 + 2000
        assert all(call.entry_ns >= 8 * SECOND and call.offset is None for call in calls[2:])
        assert list(recording.sockets) == [1]
        assert recording.sockets[1].origin == "attached"
        assert [state.id for state in recording.states()] == [1]
        counters = list(recording.counters())
        # The last value before the beginning of each, then all that follow.
        assert [(counter.name, counter.value) for counter in counters[:2]] == [("TcpInSegs", 5), ("TcpOutSegs", 7900)]
        assert len(counters) == 2 + 20
        assert diagnose(recording).checked


def test_the_size_is_bounded_and_pages_are_used_again(tmp_path: Path) -> None:
    path = tmp_path / "a.wsrec"
    writer = written(path, 20)
    limit = 300_000
    sizes = []
    for turn in range(12):
        first = 4 + 20_000 + turn * 2000
        common = {"process": 1, "tid": 70, "took_ns": 10, "number": NUMBER["sendto"], "result": 9, "socket": 1}
        start_ns = (20 + turn * 2) * SECOND
        writer.write(
            "call", [row(events.Call, id=first + n, entry_ns=start_ns + n * 1_000_000, **common) for n in range(2000)]
        )
        writer.commit()
        since_ns = writer.drop_before(0, size_bytes=limit, now_ns=start_ns + 2 * SECOND)
        assert since_ns > 0
        writer.commit()
        sizes.append(path.stat().st_size)
    assert max(sizes[1:]) == sizes[1]
    writer.finish({"ended_ns": str(44 * SECOND)})
    assert path.stat().st_size < 2 * limit
    with Recording.open(path) as recording:
        assert recording.sql("SELECT max(id) FROM call")[0] == (4 + 20_000 + 12 * 2000 - 1,)


def test_a_copy_is_made_while_it_grows(tmp_path: Path) -> None:
    writer = written(tmp_path / "a.wsrec", 2)
    freeze_window(tmp_path / "a.wsrec", tmp_path / "b.wsrec", reason="asked for")
    with Recording.open(tmp_path / "b.wsrec") as copy:
        assert not copy.growing
        assert (copy.meta["end"], copy.sockets[1].origin) == ("frozen: asked for", "socket")
        assert len(list(copy.calls())) == 2003
    with pytest.raises(RecordingError, match="exists already"):
        freeze_window(tmp_path / "a.wsrec", tmp_path / "b.wsrec", reason="again")
    writer.write("mark", [row(events.Mark, id=1, at_ns=9, kind="signal", text="SIGTERM")])
    writer.finish({"ended_ns": str(2 * SECOND)})
    with Recording.open(tmp_path / "a.wsrec") as recording:
        assert len(list(recording.calls())) == 2003
    assert (tmp_path / "b.wsrec").stat().st_mode & 0o777 == 0o600
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", "freeze", str(tmp_path / "a.wsrec"), "-o", str(tmp_path / "c.wsrec")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"frozen: {tmp_path}/c.wsrec\n")


def test_a_program_under_the_flight_recorder(tmp_path: Path) -> None:
    said: list[object] = []
    ring = Ring(Bounds(1.0), ["errno=ECONNREFUSED", "errno=EPIPE"], say=said.append)
    result = run([sys.executable, "-c", TALK], output=tmp_path / "a.wsrec", ring=ring)
    assert result.exit_status == 0
    assert ring.copies == [tmp_path / "a-ECONNREFUSED-1.wsrec"]
    assert said == [f"frozen (ECONNREFUSED): {ring.copies[0]}"]
    with Recording.open(ring.copies[0]) as copy:
        since_ns = copy.meta_int("since_ns")
        assert since_ns is not None
        sends = copy.sql("SELECT count(*) FROM call WHERE call_name(number) = 'sendto' AND entry_ns >= ?", [since_ns])[
            0
        ]
        assert sends[0] > 0
        assert "nobody-listens" in {finding.rule for finding in diagnose(copy).findings}
        assert {copy.sockets[1].origin, copy.sockets[2].origin} == {"attached"}
        timeline = Timeline(copy)
        assert f"kept from {duration(since_ns)} on" in "\n".join(header(timeline, colour=False))
        assert verdict(timeline, timeline.tracks[1]).endswith("it was open before what was kept")
        assert "was not kept" in " ".join(report_lines(copy, diagnose(copy), sys.stdout))
    with Recording.open(tmp_path / "a.wsrec") as recording:
        assert b"last" in {call.payload for call in recording.calls()}
        assert recording.meta_int("since_ns")


@pytest.mark.parametrize(
    ("trigger", "program", "name"), [("exit", "sys.exit(3)", "exit-3"), ("signal", "os.abort()", "signal-6")]
)
def test_the_end_of_a_process_freezes(trigger: str, program: str, name: str, tmp_path: Path) -> None:
    ring = Ring(Bounds(60.0), [trigger])
    code = f"import os, socket, sys; a, b = socket.socketpair(); a.send(b'x'); {program}"
    run([sys.executable, "-c", code], output=tmp_path / "a.wsrec", ring=ring)
    assert [path.name for path in ring.copies] == [f"a-{name}-1.wsrec"]
    quiet = Ring(Bounds(60.0), ["exit", "signal"])
    run([sys.executable, "-c", "pass"], output=tmp_path / "b.wsrec", ring=quiet)
    assert quiet.copies == []


def test_as_a_command(tmp_path: Path) -> None:
    def trace(*words: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "wallsocket", "trace", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        return done.stderr

    code = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.create_connection(('127.0.0.1', 1))"
    said = trace(
        "--ring", "60s", "--freeze-on", "errno=ECONNREFUSED", "-o", "a.wsrec", "--", sys.executable, "-c", code
    )
    assert "wallsocket: frozen (ECONNREFUSED): a-ECONNREFUSED-1.wsrec" in said
    assert "--freeze-on goes with --ring" in trace("--freeze-on", "exit", "--", "true", status=2)
    assert "write a time" in trace("--ring", "x", "--", "true", status=2)


def test_explain_keeps_a_flight_recorder_too(tmp_path: Path) -> None:
    def explain(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "wallsocket", "explain", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        return done

    # It goes on until the copy is there, which is made of a finding that is told while it runs.
    code = """
import contextlib, glob, socket, time
with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a:
    a.sendto(b"x" * 70000, ("127.0.0.1", 9))
b = socket.socket()
end = time.monotonic() + 60
while not glob.glob("a-*") and time.monotonic() < end:
    b.getsockname()
    time.sleep(0.05)
"""
    words = ["--ring", "60s", "--freeze-on", "finding", "--json", "-o", "a.wsrec"]
    done = explain(*words, "--", sys.executable, "-c", code, status=1)
    assert json.loads(done.stdout.splitlines()[0])["rule"] == "datagram-too-long"
    assert "wallsocket: frozen (finding): a-finding-1.wsrec" in done.stderr
    frozen = explain("--json", "a-finding-1.wsrec", status=1).stdout
    assert json.loads(frozen.splitlines()[0])["rule"] == "datagram-too-long"
    assert "--freeze-on goes with --ring" in explain("--freeze-on", "exit", "--", "true", status=2).stderr
    assert "--ring goes with a command" in explain("--ring", "60s", "a.wsrec", status=2).stderr
    assert "--tls-keys is for a command" in explain("--tls-keys", "k", "-p", "1", status=2).stderr


def test_a_finding_freezes_once(tmp_path: Path) -> None:
    writer = written(tmp_path / "a.wsrec", 1)
    ring = Ring(Bounds(60.0), ["finding"])
    assert ring.on_finding
    ring.freeze("finding")
    ring.freeze("finding")
    ring.turn(writer, last=True)
    ring.freeze("finding")  # a moment later
    ring.turn(writer, last=True)
    assert [path.name for path in ring.copies] == ["a-finding-1.wsrec"]
    writer.finish({"ended_ns": str(SECOND)})
