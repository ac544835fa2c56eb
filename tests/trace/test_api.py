"""Recording and reading from Python: ``from wallsocket import trace, explain``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow
import pytest

import wallsocket
from tests.support.recordings import lost_letter
from tests.support.repository import ROOT
from wallsocket import events, trace
from wallsocket.errors import NotStarted, RecordingError, UsageError
from wallsocket.trace.query import FUNCTIONS, TABLES
from wallsocket.trace.recording import Recording

PAGE = ROOT / "docs/api.md"
TALK = "import socket; a, b = socket.socketpair(); a.send(b'hello'); print(b.recv(9))"


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    examples = list(re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert len(examples) == 5
    names: dict[str, object] = {}
    for example in examples:
        line = text.count("\n", 0, example.start(1))
        exec(compile("\n" * line + example[1], str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    assert "it ended with 1 after" in said
    assert "connection refused: nobody listens there" in said
    assert "connect      ECONNREFUSED    1" in said


def test_the_page_names_every_table_and_function() -> None:
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for name in TABLES)
    assert all(f"`{name}(" in text for name in FUNCTIONS)


def test_what_a_command_says_comes_through_pipes(tmp_path: Path) -> None:
    echo = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('err')"
    with trace.run(
        [sys.executable, "-c", echo],
        output=tmp_path / "a.wsrec",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as t:
        assert t.running
        assert t.stdin is not None
        assert t.stdout is not None
        t.stdin.write(b"words")
        t.stdin.close()
        assert sorted(t.stdout.read()) == sorted(b"WORDSerr")
    assert (t.exit_status, t.running) == (0, False)
    assert t.path == tmp_path / "a.wsrec"
    assert t.result.end == "exit"


def test_its_environment_is_what_was_given(tmp_path: Path) -> None:
    with trace.run(
        ["/bin/sh", "-c", "echo $COLOUR$HOME"],
        output=tmp_path / "a.wsrec",
        env={"COLOUR": "green"},
        stdout=subprocess.PIPE,
    ) as t:
        assert t.stdout is not None
        assert t.stdout.read() == b"green\n"


def test_a_recording_is_read_after_the_end_only(tmp_path: Path) -> None:
    with trace.run([sys.executable, "-c", "input()"], output=tmp_path / "a.wsrec", stdin=subprocess.PIPE) as t:
        with pytest.raises(UsageError, match="has not ended yet"):
            t.recording  # noqa: B018
        with pytest.raises(TimeoutError, match=f"pid {t.pid} still runs after 0"):
            t.wait(timeout_s=0)
        deadline = time.monotonic() + 30
        while not (seen := Recording.open(t.path).processes):  # what there is so far is committed again and again
            assert time.monotonic() < deadline
        assert seen[1].pid == t.pid
        assert t.stdin is not None
        t.stdin.write(b"\n")
    assert t.exit_status == 0
    assert t.recording is t.recording


def test_signals_reach_the_command_and_stop_does_not(tmp_path: Path) -> None:
    with trace.run(["sleep", "1000"], output=tmp_path / "a.wsrec") as t:
        t.terminate()
    assert t.exit_status == 128 + signal.SIGTERM
    with trace.run(["sleep", "1000"], output=tmp_path / "b.wsrec") as t:
        recording = t.stop()
    assert recording.meta["end"] == "interrupted"
    os.kill(t.pid, signal.SIGKILL)  # it ran on


def test_an_exception_in_the_block_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), trace.run(["sleep", "1000"], output=tmp_path / "a.wsrec") as t:
        raise ZeroDivisionError
    assert not t.running
    assert t.exit_status == 128 + signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        while True:  # the guardian, its parent, reaps it
            os.kill(t.pid, 0)


def test_signals_of_the_program_that_records_stay_its_own(tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with trace.run([sys.executable, "-c", "input()"], output=tmp_path / "a.wsrec", stdin=subprocess.PIPE) as t:
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == [signal.SIGTERM]
            assert t.stdin is not None
            t.stdin.write(b"\n")
        assert t.exit_status == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_cannot_be_started_is_said_where_it_is_asked(tmp_path: Path) -> None:
    with pytest.raises(NotStarted) as refused:
        trace.run(["/there/is/no/such"], output=tmp_path / "a.wsrec")
    assert refused.value.exit_status == 127
    (tmp_path / "script").write_text("#!/no/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    with pytest.raises(NotStarted):
        trace.run([tmp_path / "script"], output=tmp_path / "a.wsrec", stdout=subprocess.PIPE)
    (tmp_path / "b.wsrec").write_text("mine")
    with pytest.raises(RecordingError, match="exists already"):
        trace.run(["true"], output=tmp_path / "b.wsrec")
    with pytest.raises(UsageError, match="no such process"):
        trace.attach(2**22 - 1, output=tmp_path / "c.wsrec")
    with pytest.raises(UsageError, match="no process given"):
        trace.attach()
    for line in ("ls -l", b"ls -l", tmp_path / "ls"):
        with pytest.raises(UsageError, match="list of words"):
            trace.run(line)  # type: ignore[arg-type]


def test_a_flight_recorder(tmp_path: Path) -> None:
    code = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.create_connection(('127.0.0.1', 1))"
    with trace.run(
        [sys.executable, "-c", code], output=tmp_path / "a.wsrec", ring=["60s"], freeze_on=["errno=ECONNREFUSED"]
    ) as t:
        assert t.copies == []
    assert [path.name for path in t.copies] == ["a-ECONNREFUSED-1.wsrec"]
    with pytest.raises(UsageError, match="goes with ring="):
        trace.run(["true"], freeze_on=["exit"])
    with pytest.raises(UsageError, match="is for wallsocket trace"):
        trace.run(["true"], ring=["60s"], freeze_on=["finding"])


def test_a_program_that_was_attached_to_runs_on(tmp_path: Path) -> None:
    program = (
        "import socket, sys\na, b = socket.socketpair()\n"
        "for line in sys.stdin: a.send(line.encode()); print(b.recv(9), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True)\n{program}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with trace.attach(process.pid, output=tmp_path / "a.wsrec") as t:
            process.stdin.write("one\n")
            process.stdout.readline()
            with pytest.raises(UsageError, match=r"os\.kill"):
                t.terminate()
        assert {call.payload for call in t.recording.calls() if call.payload} == {b"one\n"}
        assert wallsocket.explain(t).checked
        process.stdin.write("two\n")
        assert process.stdout.readline() == "b'two\\n'\n"
        process.stdin.close()
        assert process.wait(60) == 0


def test_explain_takes_whatever_is_at_hand(tmp_path: Path) -> None:
    recording = lost_letter(tmp_path / "a.wsrec")
    found = [finding.rule for finding in wallsocket.explain(recording).findings]
    assert found
    assert [finding.rule for finding in wallsocket.explain(tmp_path / "a.wsrec").findings] == found
    assert wallsocket.explain(str(tmp_path / "a.wsrec"), rules=found[:1]).checked == (found[0],)
    assert wallsocket.explain(
        [sys.executable, "-c", TALK], output=tmp_path / "b.wsrec", stdout=subprocess.DEVNULL
    ).checked
    with pytest.raises(UsageError, match="no rule 'nonsense'"):
        wallsocket.explain(recording, rules=["nonsense"])


def test_each_table_is_an_arrow_stream(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        for name, kind in TABLES.items():
            table = pyarrow.table(recording.arrow(name))
            assert tuple(table.column_names) == kind.__struct_fields__
            assert list(zip(*table.to_pydict().values(), strict=True)) == list(recording.arrow(name))
        assert polars.DataFrame(recording.arrow("call")).height == len(list(recording.calls()))
        frame = pandas.DataFrame.from_arrow(recording.arrow("packet"))
        assert list(frame["frame"]) == [packet.frame for packet in recording.packets()]
        states = recording.arrow("state")
        assert duckdb.sql("SELECT count(*) FROM states").fetchall() == [(len(list(recording.states())),)]
        # Another thread may take it, and a stream may be asked for twice.
        assert pyarrow.table(states) == pyarrow.table(states)
        with pytest.raises(UsageError, match="there is no table 'calls'; there are process, "):
            recording.arrow("calls")


def test_more_rows_than_a_batch_holds(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        many = recording.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n"
        )
        table = pyarrow.table(many)
        assert table.column("i").to_pylist() == list(range(1, 20001))
        assert len(table.to_batches()) > 1


def test_a_fault_in_the_file_reaches_who_takes_the_stream(tmp_path: Path) -> None:
    recording = lost_letter(tmp_path / "a.wsrec")
    recording.close()
    with pytest.raises(Exception, match="was closed"):
        pyarrow.table(recording.arrow("call"))


def test_a_closed_recording_says_that_it_is(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        assert repr(recording) == f"<recording {tmp_path / 'a.wsrec'}>"
    for ask in (lambda: list(recording.calls()), lambda: recording.sql("SELECT call_name(number) FROM call")):
        with pytest.raises(RecordingError, match=r"a\.wsrec: was closed: it can be read no more"):
            ask()


def test_ctrl_c_in_the_middle_of_a_query_is_no_damage(tmp_path: Path) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    with lost_letter(tmp_path / "a.wsrec") as recording:
        # As when the signal comes while the function runs that counts what a query does.
        recording._connection.set_progress_handler(interrupted, 1)
        for ask in (lambda: list(recording.calls()), lambda: recording.sql("SELECT count(*) FROM call")):
            with pytest.raises(KeyboardInterrupt):
                ask()


def test_sql(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        found = recording.sql(
            "SELECT call_name(number) AS name, error_name(result) AS error, count(*) AS n FROM call GROUP BY 1, 2"
        )
        assert found.column_names == ["name", "error", "n"]
        assert len(found) == len(list(found))
        assert {"name": "shutdown", "error": "ENOTCONN", "n": 1} in list(found.dicts())
        assert polars.DataFrame(found).schema == {"name": polars.String, "error": polars.String, "n": polars.Int64}
        assert recording.sql("SELECT address(local) FROM socket WHERE id = ?", [1])[0] == ("127.0.0.1:4567",)
        assert recording.sql("SELECT state_name(state) FROM state WHERE id = :id", {"id": 2})[0] == ("LISTEN",)
        assert list(recording.sql("SELECT state_name('x'), error_name('x'), call_name(77777), address(NULL)")) == [
            (None, None, "syscall 77777", None)
        ]
        assert str(pyarrow.table(recording.sql("SELECT 1 AS x UNION SELECT 1.5")).schema.field("x").type) == "double"
        with pytest.raises(UsageError, match="column 'x' holds bytes and str: CAST"):
            pyarrow.table(recording.sql("SELECT 'a' AS x UNION SELECT x'00'"))


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("DELETE FROM call", "only read: ask it with SELECT"),
        ("PRAGMA query_only = OFF", "only read"),
        ("ATTACH '/etc/passwd' AS x", "only read"),
        ("COMMIT", "only read"),
        ("", "only read"),
        ("SELECT", "incomplete input"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT ?", "Incorrect number of bindings"),
        ("SELECT load_extension('x')", "not authorized"),
        ("SELECT zeroblob(1 << 40)", "larger than|too big"),
    ],
)
def test_sql_only_reads(statement: str, complaint: str, tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        before = (tmp_path / "a.wsrec").read_bytes()
        with pytest.raises((UsageError, RecordingError), match=complaint) as refused:
            recording.sql(statement)
        assert "\n" not in str(refused.value)
        assert len(list(recording.calls())) == recording.sql("SELECT count(*) FROM call")[0][0]
        assert (tmp_path / "a.wsrec").read_bytes() == before


def test_conversations_and_findings_are_objects(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        talk = next(item for item in recording.conversations() if item.right is not None)
        assert (talk.kind, talk.title) == ("tcp", "tcp 127.0.0.1:51822 → 127.0.0.1:4567")
        assert isinstance(recording.sockets[talk.left], events.Socket)
        judged = wallsocket.explain(recording)
        table = polars.DataFrame(judged)
        assert table["rank"].to_list() == [finding.rank for finding in judged.findings]
        assert table["proof"].to_list()[0].startswith('[{"layer":"')


def test_names_load_lazily() -> None:
    program = (
        "import sys, wallsocket; from wallsocket import trace; trace.run; print('wallsocket.diagnose' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert set(trace.__all__) == set(trace._PLACES)
    assert trace.run.__module__ == "wallsocket.trace.session"
