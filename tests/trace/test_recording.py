"""The recording file: what survives, what is refused, and with which words."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallsocket import events
from wallsocket.errors import RecordingError
from wallsocket.trace.recording import Evidence, Recording, StoredFinding, Writer, schema, write_findings
from wallsocket.trace.recording.reader import _merged

META = {"version": "0", "command": '["true"]', "machine": "x86_64", "calls": "yes"}


def call(row: int, entry_ns: int, took_ns: int | None = 10, **fields: Any) -> tuple[Any, ...]:
    values: dict[str, Any] = dict.fromkeys(events.Call.__struct_fields__)
    values |= {
        "via": 0,
        "id": row,
        "process": 1,
        "tid": 1,
        "number": 42,
        "entry_ns": entry_ns,
        "took_ns": took_ns,
        "known": 0,
    }
    values |= {"result": None if took_ns is None else 0}
    values |= fields
    return tuple(values.values())


def state(row: int, at_ns: int) -> tuple[Any, ...]:
    return (row, 1, at_ns, 2, *[None] * 12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.wsrec"


def filled(path: Path, rows: int = 3) -> Path:
    with Writer(path, meta=META) as writer:
        writer.write("call", [call(n, n * 100) for n in range(1, rows + 1)])
        writer.finish({"ended_ns": "1000"})
    return path


def read_all(path: Path) -> None:
    with Recording.open(path) as recording:
        list(recording.events())
        list(recording.findings())
        recording.processes, recording.meta, recording.ended_ns  # noqa: B018
        list(recording.sockets.values())


def refused(path: Path) -> str:
    with pytest.raises(RecordingError) as caught:
        read_all(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text.removeprefix(f"{path}: ")


CLASSES = {
    name.lower(): kind
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


def test_each_class_mirrors_its_table() -> None:
    assert CLASSES.keys() == schema.shape().keys() - {"meta", "finding", "evidence"}
    for table, kind in CLASSES.items():
        assert kind.__struct_fields__ == schema.columns(table)


def test_column_types_agree_with_the_classes() -> None:
    names = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
    for table, kind in CLASSES.items():
        for (_, name, declared, required, _, primary, _), allowed in zip(
            schema.shape()[table], schema.field_types(kind), strict=True
        ):
            expected = {names[str(declared)]} | (set() if required or primary else {type(None)})
            assert set(allowed) == expected, f"{table}.{name}"


def test_a_clean_end_leaves_one_private_file(path: Path) -> None:
    filled(path)
    assert os.listdir(path.parent) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Recording.open(path) as recording:
        assert recording.meta == META | {"ended_ns": "1000"}
        assert [c.id for c in recording.calls()] == [1, 2, 3]
        assert recording.cut_off_ns is None
        assert recording.ended_ns == 1000
        assert not recording.growing


def test_private_whatever_the_mask(path: Path) -> None:
    old = os.umask(0)
    try:
        with Writer(path, meta=META) as writer:
            modes = {stat.S_IMODE(name.stat().st_mode) for name in path.parent.iterdir()}
            writer.finish({})
    finally:
        os.umask(old)
    assert modes == {0o600}


def test_a_row_replaces_the_earlier_one_of_the_same_id(path: Path) -> None:
    with Writer(path, meta=META) as writer:
        writer.write("call", [call(1, 5, None)])
        writer.commit()
        writer.write("call", [call(1, 5, 7, result=3)])
        writer.update("call", 1, length=9)
        writer.finish({})
    with Recording.open(path) as recording:
        (only,) = recording.calls()
    assert (only.took_ns, only.result, only.length, only.exit_ns) == (7, 3, 9, 12)


def test_committed_rows_are_seen_by_others_at_once(path: Path) -> None:
    with Writer(path, meta=META) as writer:
        writer.write("call", [call(1, 5)])
        writer.commit()
        writer.write("call", [call(2, 6)])
        with Recording.open(path) as recording:
            assert [c.id for c in recording.calls()] == [1]
            assert recording.growing
            assert recording.cut_off_ns == 15
        writer.finish({"ended_ns": "20"})
    assert os.listdir(path.parent) == [path.name]


def test_a_reader_does_not_stop_a_clean_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallsocket.trace.recording.writer._END_PATIENCE_MS", 10)
    writer = Writer(path, meta=META)
    writer.write("call", [call(1, 5)])
    writer.commit()
    with Recording.open(path) as early:
        writer.write("call", [call(2, 6)])
        writer.finish({"ended_ns": "20"})
        assert [c.id for c in early.calls()] == [1]
    with Recording.open(path) as late:
        assert [c.id for c in late.calls()] == [1, 2]
        assert late.cut_off_ns is None


KILLED = """
import sys, time
from wallsocket.trace.recording import Writer
sys.path.insert(0, sys.argv[2])
from test_recording import META, call
writer = Writer(sys.argv[1], meta=META)
for n in range(1, 4):
    writer.write("call", [call(10 * n + i, 10 * n + i) for i in range(10)])
    writer.commit()
writer.write("call", [call(100, 100)])
print("ready", flush=True)
time.sleep(60)
"""


def test_survives_the_death_of_its_writer(path: Path) -> None:
    here = str(Path(__file__).parent)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path), here], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        with Recording.open(path) as recording:
            assert recording.growing
        child.send_signal(signal.SIGKILL)
        child.wait()
    with Recording.open(path) as recording:
        assert [c.id for c in recording.calls()] == list(range(10, 40))
        assert recording.cut_off_ns == 39 + 10
        assert not recording.growing
    # It is still readable when moved without its log: what had been put into the file itself is there.
    moved = path.rename(path.with_name("moved.wsrec"))
    with Recording.open(moved) as recording:
        assert [c.id for c in recording.calls()] == list(range(10, 40))


FULL = """
import sys
from pathlib import Path
from wallsocket.errors import RecordingError
from wallsocket.trace.recording import Recording, Writer
sys.path.insert(0, sys.argv[1])
from test_recording import META, call
path = Path(sys.argv[2]) / "full.wsrec"
writer = Writer(path, meta=META)
n = 0
errors = []
try:
    while n < 100_000:
        rows = [call(n + i, n + i, payload=b"x" * 500) for i in range(1, 11)]
        writer.write("call", rows)
        writer.commit()
        n += 10
except RecordingError as error:
    errors.append(str(error))
try:
    writer.write("call", [call(n + 1, n + 1)])
except RecordingError as error:
    errors.append(str(error))
writer.finish({"ended_ns": "1"})
with Recording.open(path) as recording:
    kept = sum(1 for _ in recording.calls())
    # The last batch may be in: its commit succeeded and only the move from the log failed.
    print(n > 0 and kept in (n, n + 10), recording.cut_off_ns is not None, len(set(errors)), len(errors))
    print(recording.meta.get("failure"), recording.meta.get("lost"), recording.meta.get("calls"))
print(errors[0])
"""


def disk_full(command: str) -> list[str]:
    here = str(Path(__file__).parent)
    script = textwrap.dedent(command)
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, FULL, here], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def can_mount() -> bool:
    """Whether a small disk can be made, and this interpreter is reachable with a user's rights only."""
    command = ["unshare", "-Urm", sys.executable, "-c", ""]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


DIES = """
import itertools, os, sys
from wallsocket.trace.recording import Evidence, Recording, StoredFinding, Writer, schema, write_findings
from wallsocket.trace.recording.reader import _merged
sys.path.insert(0, sys.argv[1])
from test_recording import META, call

def write(path, say):
    writer = Writer(path, meta=META)
    for batch in range(4):
        writer.write("call", [call(batch * 10 + i, batch * 10 + i, payload=b"x" * 900) for i in range(1, 11)])
        writer.commit()
        say(batch * 10 + 10)
    writer.finish({"ended_ns": "1"})
    say("finished")
    findings = [StoredFinding(str(n), "{}" + " " * 9000, (Evidence("calls", "call", 1, "t"),) * 9) for n in range(9)]
    write_findings(path, findings)
    say("found")

for number in itertools.count(1):
    pid = os.fork()
    if pid == 0:
        os.environ["DIES_AT"] = str(number)
        log = os.open(f"{sys.argv[2]}/{number}.log", os.O_WRONLY | os.O_CREAT, 0o600)
        write(f"{sys.argv[2]}/{number}.wsrec", lambda word: os.write(log, f"{word}\\n".encode()))
        os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        break
"""


def test_a_kill_at_any_write_leaves_a_readable_file(tmp_path: Path) -> None:
    library = tmp_path / "dies_at.so"
    source = Path(__file__).parent.parent / "programs" / "dies_at.c"
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    subprocess.run(
        [sys.executable, "-c", DIES, str(Path(__file__).parent), str(tmp_path)],
        env={**os.environ, "LD_PRELOAD": str(library)},
        timeout=120,
        check=True,
    )
    logs = sorted(tmp_path.glob("*.log"), key=lambda log: int(log.stem))
    assert len(logs) > 40
    for log in logs:
        path, said = log.with_suffix(".wsrec"), log.read_text().split()
        assert not path.with_name(path.name + "-journal").exists()
        if not said and not path.exists():
            continue  # killed before it had its name
        with Recording.open(path) as recording:
            kept = sum(1 for _ in recording.calls())
            assert kept >= max([int(word) for word in said if word.isdecimal()], default=0)
            assert len(list(recording.findings())) == 9 or "found" not in said
            assert recording.cut_off_ns is None or "finished" not in said
        # What the dead one left does not stand in the way of the next.
        Writer(path, meta=META, replace=True).finish({})


def test_a_full_file_system_is_one_clear_line(path: Path) -> None:
    writer = Writer(path, meta=META)
    writer._open().execute("PRAGMA max_page_count = 40")
    written = 0

    def fill() -> None:
        nonlocal written
        while written < 10_000:
            writer.write("call", [call(written + 1, 1, payload=bytes(500))])
            writer.commit()
            written += 1

    with pytest.raises(RecordingError, match="the disk is full; what was recorded before is kept"):
        fill()
    writer.finish({"ended_ns": "1"})
    assert writer.missing == 1
    with Recording.open(path) as recording:
        assert sum(1 for _ in recording.calls()) == written > 0
        assert recording.cut_off_ns is not None


def test_a_full_disk_is_one_clear_line_and_loses_nothing_committed(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("no user namespaces here, or no Python in them")
    inside = f'mount -t tmpfs -o size=1m none {tmp_path}; exec "$0" -c "$1" "$2" {tmp_path}'
    first, said, second = disk_full(f"""exec unshare -Urm sh -ec '{inside}' "$@" """)
    assert first == "True True 1 2"
    assert second == f"{tmp_path}/full.wsrec: the disk is full; what was recorded before is kept"
    assert said in ("the disk is full 11 cut off: the disk is full", "the disk is full 1 cut off: the disk is full")


def test_a_size_limit_is_one_clear_line(tmp_path: Path) -> None:
    first, said, second = disk_full(f"""trap '' XFSZ; ulimit -f 400; exec "$1" -c "$2" "$3" {tmp_path}""")
    assert first == "True True 1 2"
    assert second.endswith("the disk refused a write (full, over quota, or failing); what was recorded before is kept")


def test_an_existing_recording_is_kept(path: Path) -> None:
    filled(path)
    with pytest.raises(RecordingError, match="exists already; choose another name, or replace it with --overwrite"):
        Writer(path, meta=META)
    with Recording.open(path) as recording:
        assert len(list(recording.calls())) == 3


def test_replacing_takes_only_recordings(path: Path) -> None:
    path.write_text("a letter\n")
    with pytest.raises(RecordingError, match="is not a recording of Wallsocket"):
        Writer(path, meta=META, replace=True)
    assert path.read_text() == "a letter\n"
    path.unlink()
    filled(path)
    with Writer(path, meta=META, replace=True) as writer:
        with pytest.raises(RecordingError, match="another trace is writing it"):
            Writer(path, meta=META, replace=True)
        writer.finish({})
    with Recording.open(path) as recording:
        assert list(recording.calls()) == []


def test_where_a_recording_is_not_written(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    path.symlink_to(elsewhere)
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)
    for replace in (False, True):
        with pytest.raises(RecordingError, match="is a symbolic link"):
            Writer(path, meta=META, replace=replace)
        with pytest.raises(RecordingError, match="is a directory"):
            Writer(path.parent, meta=META, replace=replace)
        for special in ("/dev/null", pipe):
            with pytest.raises(RecordingError, match="is a special file"):
                Writer(special, meta=META, replace=replace)
    with pytest.raises(RecordingError, match="cannot be created: No such file or directory"):
        Writer(path.parent / "nowhere" / "b", meta=META)
    assert not elsewhere.exists()


def test_a_link_is_not_followed_to_a_recording(path: Path) -> None:
    filled(path)
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(RecordingError, match="is a symbolic link"):
        Writer(link, meta=META, replace=True)
    with Recording.open(path) as recording:
        assert len(list(recording.calls())) == 3


def test_an_empty_file_is_replaced_only_when_asked(path: Path) -> None:
    path.touch(mode=0o644)
    with pytest.raises(RecordingError, match="--overwrite"):
        Writer(path, meta=META)
    Writer(path, meta=META, replace=True).finish({})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.root
def test_a_file_of_another_user_is_not_replaced(path: Path) -> None:
    filled(path)
    os.chown(path, 65534, 65534)
    for replace in (False, True):
        with pytest.raises(RecordingError, match="belongs to another user"):
            Writer(path, meta=META, replace=replace)
    with Recording.open(path) as recording:
        assert len(list(recording.calls())) == 3


def test_without_files_that_have_no_name_yet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refusing(name: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    assert len(list(Recording.open(filled(path)).calls())) == 3
    with pytest.raises(RecordingError, match="exists already"):
        Writer(path, meta=META)


@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "device"])
def test_what_stands_beside_a_recording_is_a_plain_file(path: Path, ending: str, kind: str) -> None:
    filled(path)
    beside = path.with_name(path.name + ending)
    precious = path.with_name("precious")
    precious.write_text("precious")
    {
        "pipe": lambda: os.mkfifo(beside),
        "link": lambda: beside.symlink_to(precious),
        "folder": beside.mkdir,
        "device": lambda: beside.symlink_to("/dev/zero"),
    }[kind]()
    with pytest.raises(RecordingError, match="is not a regular file, as a recording's log must be"):
        Recording.open(path)
    with pytest.raises(RecordingError, match="is not a regular file"):
        write_findings(path, [])
    assert precious.read_text() == "precious"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = :deep WHERE key = 'command'",
        "INSERT INTO process (id, pid, command, started_ns) VALUES (1, 1, :deep, 0)",
        "INSERT INTO fact (id, at_ns, kind, value) VALUES (1, 0, 'sockets', :deep)",
    ],
)
@pytest.mark.parametrize("deep", ["[" * 100_000, '[{"a":' * 5000 + "1" + "}]" * 5000])
def test_json_nested_deeply_is_refused(path: Path, statement: str, deep: str) -> None:
    filled(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, {"deep": deep})
        connection.commit()
    with pytest.raises(RecordingError, match="a value is nested more than 64 deep"):
        read_all(path)


def test_brackets_in_words_are_no_nesting(path: Path) -> None:
    filled(path)
    command = json.dumps(["[" * 5000, '\\"[{"' * 500])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'command'", (command,))
        connection.commit()
    with Recording.open(path) as recording:
        assert recording.meta["command"] == command


def test_a_number_that_no_column_holds_is_none(path: Path) -> None:
    filled(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'ended_ns'", ("9" * 5000,))
        connection.commit()
    with Recording.open(path) as recording:
        assert recording.meta_int("ended_ns") is None
        assert recording.cut_off_ns is not None


def test_a_change_that_was_left_half_done(path: Path) -> None:
    filled(path)
    journal = path.with_name(path.name + "-journal")
    journal.write_bytes(bytes(8) + b"finished")
    read_all(path)
    journal.write_bytes(bytes.fromhex("d9d505f920a163d7") + b"x" * 1000)
    with pytest.raises(RecordingError, match="another program has left a change of the recording half-done"):
        Recording.open(path)


def test_values_that_are_too_large(path: Path) -> None:
    writer = Writer(path, meta=META)
    with pytest.raises(RecordingError, match="a value is larger than a recording can hold"):
        writer.write("call", [call(1, 1, payload=bytes((64 << 20) + 1))])
    writer.finish({})


def test_text_of_odd_bytes_is_kept_escaped(path: Path) -> None:
    with Writer(path, meta=META) as writer:
        writer.write("source", [(1, os.fsdecode(b"/tmp/\xff.py"), 1, "f")])
        writer.finish({})
    with Recording.open(path) as recording:
        assert recording.sources[1].file == "/tmp/\\udcff.py"


# -- refusals


def test_not_there_or_not_a_file(path: Path) -> None:
    assert refused(path) == "no such file"
    path.with_name(path.name + "-wal").write_bytes(b"x")
    assert refused(path) == "no such file; only its log is left"
    assert (
        refused(path.with_name(path.name + "-wal"))
        == "is the log of a recording; give the recording's own name: a.wsrec"
    )
    path.mkdir()
    assert refused(path) == "is a directory, not a recording"
    assert refused(Path("/dev/zero")) == "is a special file, not a recording"


def test_no_permission(path: Path) -> None:
    filled(path).chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert refused(path) == "no permission to read it"


def test_other_files(path: Path) -> None:
    path.touch()
    assert refused(path) == "is empty: no recording, or one that was cut off before its first row"
    path.write_bytes(b"\x7fELF" * 1000)
    assert refused(path) == "is not a recording of Wallsocket (not an SQLite file)"
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE call (id)")
    assert refused(path) == "is not a recording of Wallsocket (an SQLite file of another program)"


OLD = Path(__file__).parent.parent / "data" / "schema-1.wsrec"


def test_a_file_of_schema_version_1_is_read_as_it_is(path: Path) -> None:
    """A trace of a small echo service, made when there was no other version."""
    shutil.copy(OLD, path)
    with Recording.open(path) as recording:
        assert (recording.networks, recording.binaries, recording.stacks) == ({}, {}, {})
        assert [process.network for process in recording.processes.values()] == [None]
        assert len(recording.sockets) == 6
        assert {socket.network for socket in recording.sockets.values()} == {None}
        calls = list(recording.calls())
        assert len(calls) == 35
        assert {(call.sockets, call.stack, call.via) for call in calls} == {(None, None, 0)}
        assert [call.errno for call in calls if call.errno] == [errno.ECONNREFUSED, errno.ENOTCONN]
        assert {state.timer for state in recording.states()} == {None}
        assert {packet.network for packet in recording.packets()} == {None}
        assert {counter.network for counter in recording.counters()} == {None}
        assert [(fact.kind, fact.occasion, fact.network) for fact in recording.facts()] == [("sockets", None, None)]
        assert len(list(recording.events())) > 60
        assert [len(batch) for batch in recording.follow()] == [len(list(recording.events()))]
    write_findings(path, [StoredFinding("refused", "{}", ())])
    with Recording.open(path) as recording:
        assert [finding.rule for finding in recording.findings()] == ["refused"]


@pytest.mark.parametrize(("command", "status"), [("show", 0), ("explain", 1)])
def test_commands_read_a_file_of_schema_version_1(path: Path, command: str, status: int) -> None:
    shutil.copy(OLD, path)
    done = subprocess.run(
        [sys.executable, "-m", "wallsocket", command, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "ECONNREFUSED" in done.stdout


def test_a_file_of_schema_version_1_with_columns_of_version_2_is_refused(path: Path) -> None:
    shutil.copy(OLD, path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE process ADD COLUMN network INTEGER")
    assert refused(path) == "damaged: the table 'process' has other columns than a recording's"


def tampered(path: Path, *statements: str) -> Path:
    filled(path)
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["PRAGMA user_version = 3"], r"was written by a newer Wallsocket \(schema 3; this one reads up to 2\)"),
        (["PRAGMA user_version = 0"], "damaged: it has no schema version"),
        (["DROP TABLE mark"], "cut off or damaged: the table 'mark' is missing"),
        (
            ["DROP TABLE mark", "CREATE VIEW mark AS SELECT * FROM call"],
            ".*holds the view 'mark', as no recording does",
        ),
        (["CREATE TRIGGER t AFTER INSERT ON call BEGIN DELETE FROM call; END"], ".*holds the trigger 't'.*"),
        (["CREATE INDEX i ON call (abs(id))"], ".*holds the index 'i'.*"),
        (["CREATE TABLE extra (a)"], ".*holds the table 'extra'.*"),
        (["DROP TABLE mark", "CREATE TABLE mark (id INTEGER PRIMARY KEY, at_ns BLOB)"], ".*'mark' has other columns.*"),
        (["DROP TABLE mark", "CREATE VIRTUAL TABLE mark USING fts5(text)"], "damaged or hostile: .*"),
        (["ALTER TABLE call ADD COLUMN more INTEGER"], ".*'call' has other columns.*"),
        (["UPDATE call SET number = 'x' WHERE id = 2"], "damaged: call.number holds str in one row"),
        (["UPDATE call SET payload = 1.5 WHERE id = 3"], "damaged: call.payload holds float in one row"),
        (
            ["INSERT INTO socket VALUES (1,1,2,1,6,0,0,x'00',0,0,x'',x'',1,1,1,1,1,1)"],
            "damaged: socket.origin holds bytes in one row",
        ),
        (["INSERT INTO mark VALUES (1, 5, 1, 1, 'exec', zeroblob(70000000))"], ".*a value is larger than 64 MiB"),
    ],
)
def test_tampered(path: Path, statements: list[str], expected: str) -> None:
    text = refused(tampered(path, *statements))
    assert re.fullmatch(expected, text), text


def test_pages_in_a_circle(path: Path) -> None:
    """An interior page whose children are all the same leaf would give rows without end."""
    filled(path, 20_000)
    data = bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'call'").fetchone()
    size = 4096
    page = data[(root - 1) * size : root * size]
    assert page[0] == 5, "the root of the table is an interior page"
    cells = int.from_bytes(page[3:5], "big")
    first = int.from_bytes(page[12:14], "big")
    for index in range(cells):
        at = int.from_bytes(page[12 + 2 * index : 14 + 2 * index], "big")
        page[at : at + 4] = page[first : first + 4]
    data[(root - 1) * size : root * size] = page
    path.write_bytes(data)
    assert refused(path) == "damaged: its rows are out of order"


def test_cut_short(path: Path) -> None:
    filled(path, 20_000)
    os.truncate(path, path.stat().st_size // 2)
    assert refused(path).startswith(("damaged", "the disk failed while it was read, or the file was cut off"))


@given(data=st.data())
@settings(max_examples=200, deadline=None, database=None)
def test_any_damage_gives_an_error_or_a_reading(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    good = tmp_path_factory.getbasetemp() / "good.wsrec"
    if not good.exists():
        filled(good, 50)
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        # Most pages hold one row or none: aim at the bytes that mean something.
        page = data.draw(st.integers(0, len(content) // 4096 - 1)) * 4096
        at = page + data.draw(st.one_of(st.integers(0, 200), st.integers(0, 4095)))
        content[at] = data.draw(st.integers(0, 255))
    bad = good.with_name("bad.wsrec")
    bad.write_bytes(content)
    try:
        read_all(bad)
    except RecordingError as error:
        assert "\n" not in str(error)
    finally:
        for name in ("bad.wsrec-wal", "bad.wsrec-shm"):
            good.with_name(name).unlink(missing_ok=True)


# -- reading


def test_one_pass_in_the_order_of_time(path: Path) -> None:
    with Writer(path, meta=META) as writer:
        writer.write("call", [call(1, 10, 50), call(2, 20, 5), call(3, 30, None), call(4, 70, 1)])
        writer.write("state", [state(1, 60), state(2, 25), state(3, 10)])
        writer.write("packet", [(1, 22, "lo", 1, 60, b"frame", None)])
        writer.write("mark", [(1, 0, 1, 1, "exec", "x")])
        writer.write("counter", [(0, "Tcp.InSegs", 1, None), (65, "Tcp.InSegs", 2, None)])
        writer.write("fact", [(1, 71, 4, "limits", "{}", "failure", None, None, None)])
        writer.finish({})
    with Recording.open(path) as recording:
        by_entry = [(type(e).__name__, getattr(e, "id", 0)) for e in recording.events()]
        by_exit = [(type(e).__name__, getattr(e, "id", 0)) for e in recording.events(calls_at="exit")]
    assert by_entry == [
        ("Mark", 1),
        ("Counter", 0),
        ("Call", 1),
        ("State", 3),
        ("Call", 2),
        ("Packet", 1),
        ("State", 2),
        ("Call", 3),
        ("State", 1),
        ("Counter", 0),
        ("Call", 4),
        ("Fact", 1),
    ]
    assert [item for item in by_exit if item[0] == "Call"] == [("Call", 2), ("Call", 1), ("Call", 4), ("Call", 3)]
    assert by_exit.index(("State", 2)) == by_exit.index(("Call", 2)) + 1


def test_calls_by_what_they_concern(path: Path) -> None:
    with Writer(path, meta=META) as writer:
        writer.write(
            "call",
            [
                call(1, 10, 5, made=1),
                call(2, 20, 5, socket=1, number=45),
                call(3, 30, 5, socket=2, process=2),
                call(4, 40, None, socket=1),
            ],
        )
        writer.finish({})
    with Recording.open(path) as recording:

        def ids(**conditions: Any) -> list[int]:
            return [c.id for c in recording.calls(**conditions)]

        assert ids(socket=1) == [1, 2, 4]
        assert ids(process=2) == [3]
        assert ids(numbers=[45]) == [2]
        assert ids(since_ns=25) == [2, 3, 4]
        assert ids(since_ns=26, until_ns=30) == [3]
        assert recording.call(3) is not None
        assert recording.call(9) is None


def test_memory_is_bounded_in_one_pass(path: Path) -> None:
    import tracemalloc

    with Writer(path, meta=META) as writer:
        for start in range(0, 40_000, 10_000):
            writer.write("call", [call(start + n, start + n, payload=bytes(64)) for n in range(1, 10_001)])
        writer.finish({})
    with Recording.open(path) as recording:
        tracemalloc.start()
        count = sum(1 for _ in recording.events())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 40_000
    assert peak < 3 << 20


def test_following(path: Path) -> None:
    writer = Writer(path, meta=META)
    writer.write("call", [call(1, 1), call(2, 2, None), call(4, 4)])
    writer.commit()

    def steps(_: float) -> None:
        try:
            next(progress)
        except StopIteration:
            raise AssertionError("followed beyond the end") from None

    def happen() -> Iterator[None]:
        writer.write("call", [call(3, 3), call(2, 2, 9)])
        writer.write("counter", [(1, "a", 1, None)])
        writer.commit()
        yield
        writer.write("counter", [(9, "a", 2, None)])
        writer.commit()
        yield
        writer.finish({"ended_ns": "12"})
        yield

    progress = happen()
    with Recording.open(path) as recording:
        follower = recording.follow(wait=steps)
        first = next(follower)
    batches = [first, *follower]
    told = [[(type(e).__name__, getattr(e, "id", 0), getattr(e, "took_ns", 0)) for e in batch] for batch in batches]
    assert told == [
        [("Call", 1, 10), ("Call", 2, None), ("Call", 4, 10)],
        [("Counter", 0, 0), ("Call", 2, 9), ("Call", 3, 10)],
        [("Counter", 0, 0)],
        [],
    ]
    assert os.listdir(path.parent) == [path.name]


def test_following_ends_with_its_writer(path: Path) -> None:
    writer = Writer(path, meta=META)
    writer.commit()
    with Recording.open(path) as recording:
        follower = recording.follow(wait=lambda _: writer._release())
        assert list(follower) == [[], []]


def test_in_memory() -> None:
    writer = Writer.in_memory(meta=META)
    writer.write("call", [call(1, 1)])
    recording = writer.recording()
    assert [c.id for c in recording.calls()] == [1]
    assert recording.meta == META
    assert list(recording.follow()) == [list(recording.events())]


def test_findings(path: Path) -> None:
    filled(path)
    with Recording.open(path) as recording:
        assert list(recording.findings()) == []
    proof = Evidence("calls", "call", 2, "recv = 1024")
    write_findings(path, [StoredFinding("x", "{}", (proof,)), StoredFinding("y", "{}", ())])
    write_findings(path, [StoredFinding("z", "{}", (proof, proof))])
    with Recording.open(path) as recording:
        assert list(recording.findings()) == [StoredFinding("z", "{}", (proof, proof))]
    assert os.listdir(path.parent) == [path.name]


def test_findings_are_not_written_under_a_recorder(path: Path) -> None:
    with Writer(path, meta=META) as writer:
        with pytest.raises(RecordingError, match="another program is writing it"):
            write_findings(path, [])
        writer.finish({})
    path.chmod(0o400)
    if not os.access(path, os.W_OK):
        with pytest.raises(RecordingError, match="findings cannot be written into it: Permission denied"):
            write_findings(path, [])


def test_more_sockets_than_can_be_held_are_one_clear_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallsocket.trace.recording.reader._MAX_HELD_ROWS", 100)
    filled(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO process (id, pid, started_ns) VALUES (?, ?, 0)", ((number, number) for number in range(1, 102))
        )
        connection.commit()
    with Recording.open(path) as recording, pytest.raises(RecordingError, match="more than 100 rows in the table"):
        _ = recording.processes


@given(st.lists(st.lists(st.integers(0, 40), max_size=30).map(sorted), max_size=4), st.integers(1, 5))
def test_streams_in_blocks_are_merged_by_time_and_then_by_stream(streams: list[list[int]], size: int) -> None:
    def blocks(rank: int, times: list[int]) -> Any:
        events = [(at_ns, rank, number) for number, at_ns in enumerate(times)]
        for start in range(0, len(times), size):
            yield times[start : start + size], events[start : start + size]

    merged = list(_merged([blocks(rank, times) for rank, times in enumerate(streams)]))
    events = [event for block in merged for event in block]
    assert events == sorted((at, rank, number) for rank, times in enumerate(streams) for number, at in enumerate(times))
