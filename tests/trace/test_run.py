"""Running a command under the trace is transparent, survives what it must, and says one clear line when it cannot."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from wallsocket.errors import NotStarted
from wallsocket.trace.recording import SCHEMA_VERSION, Recording
from wallsocket.trace.run import RunResult
from wallsocket.trace.summary import describe

from ..support import deny

Trace = Callable[..., tuple[RunResult, Recording]]
WALLSOCKET = [sys.executable, "-m", "wallsocket"]
ECHO = """
import socket, sys, time
a, b = socket.socketpair()
a.sendall(b"x")
b.recv(1)
print("ready", flush=True)
"""


def wallsocket(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [*WALLSOCKET, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)  # type: ignore[call-overload, no-any-return]


@contextmanager
def started(*arguments: object, **options: object) -> Iterator[subprocess.Popen[str]]:
    """``wallsocket`` running, with its standard output readable; killed at the end if it still runs."""
    command = [*WALLSOCKET, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                # What was not flushed to a dead command is of no interest.
                with suppress(BrokenPipeError):
                    stream.close()


def gone(pid: int, seconds: float = 20) -> bool:
    """Wait until a process that is not our child has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("code", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
)
def test_the_exit_status_is_the_commands(code: str, status: int, tmp_path: Path) -> None:
    result = wallsocket("trace", "-q", "-o", tmp_path / "r.wsrec", "--", "sh", "-c", code)
    assert result.returncode == status
    assert result.stderr == ""


def test_streams_directory_and_environment_are_the_commands(tmp_path: Path) -> None:
    code = "pwd; cat; echo error >&2; env | grep ^WALLSOCKET; ulimit -n; umask; readlink /proc/self/fd/9 || true"
    options = {"input": "given\n", "cwd": tmp_path, "env": {**os.environ, "WALLSOCKET_TEST": "a b"}}
    plain = subprocess.run(["sh", "-c", code], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    seen = wallsocket("trace", "-q", "-o", tmp_path / "r.wsrec", "--", "sh", "-c", code, **options)
    assert (seen.stdout, seen.stderr, seen.returncode) == (plain.stdout, plain.stderr, plain.returncode)


def test_signals_are_as_before(python: str, tmp_path: Path) -> None:
    code = "import signal; print([signal.getsignal(s) for s in (2, 3, 13, 15, 20, 25)], signal.pthread_sigmask(0, []))"
    command = [python, "-S", "-c", code]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    seen = wallsocket("trace", "-q", "-o", tmp_path / "r.wsrec", "--", *command)
    assert seen.stdout == plain.stdout
    # Signals that the caller ignores stay ignored: nohup is the well-known case.
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    grep = ["grep", "SigIgn", "/proc/self/status"]
    plain = subprocess.run([*ignoring, *grep], capture_output=True, text=True, check=False)
    seen = subprocess.run(
        [*ignoring, *WALLSOCKET, "trace", "-q", "-o", tmp_path / "s.wsrec", "--", *grep],
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.stdout == plain.stdout


def test_glibcs_own_signals_are_as_before(python: str, tmp_path: Path) -> None:
    # posix_spawn(3) leaves signals 32 and 33 ignored in what it starts, and so in everything below make.
    spawn = (
        "import os, sys\n"
        "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    grep = ["/bin/grep", "SigIgn", "/proc/self/status"]
    plain = subprocess.run([python, "-S", "-c", spawn, *grep], capture_output=True, text=True, check=True)
    traced = [*WALLSOCKET, "trace", "-q", "-o", str(tmp_path / "r.wsrec"), "--", *grep]
    seen = subprocess.run([python, "-S", "-c", spawn, *traced], capture_output=True, text=True, check=True)
    assert int(plain.stdout.split()[1], 16) >> 31 & 1
    # Starting Python itself makes 33 (SIGSETXID) caught, so that what it was before cannot be known; 32 can.
    assert int(seen.stdout.split()[1], 16) & 1 << 31 == int(plain.stdout.split()[1], 16) & 1 << 31


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_wallsocket_reaches_the_command(number: signal.Signals, python: str, tmp_path: Path) -> None:
    code = ECHO + (
        f"import signal\nsignal.signal({int(number)}, lambda n, f: (print('got', n, flush=True), sys.exit(9)))\n"
        "print('handler', flush=True)\nwhile True: signal.pause()\n"
    )
    with started("trace", "-o", tmp_path / "r.wsrec", "--", python, "-c", code) as process:
        assert process.stdout.readline() == "ready\n"
        assert process.stdout.readline() == "handler\n"
        process.send_signal(number)
        assert process.stdout.readline() == f"got {int(number)}\n"
        assert process.wait(20) == 9
    recording = Recording.open(tmp_path / "r.wsrec")
    assert recording.meta["exit_status"] == "9"
    assert recording.cut_off_ns is None


def test_a_terminals_interrupt_reaches_the_command_once(python: str, tmp_path: Path) -> None:
    code = ECHO + (
        "import signal\ncount = []\nsignal.signal(2, lambda n, f: count.append(n))\nprint('handler', flush=True)\n"
        "while not count: time.sleep(0.01)\ntime.sleep(0.3)\nprint('count', len(count), flush=True)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(
            sys.executable, [*WALLSOCKET, "trace", "-q", "-o", str(tmp_path / "r.wsrec"), "--", python, "-c", code]
        )
    seen = b""
    sent = False
    while True:
        try:
            data = os.read(terminal, 1000)
        except OSError:
            break
        if not data:
            break
        seen += data
        if b"handler" in seen and not sent:
            sent = True
            os.write(terminal, b"\x03")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert b"count 1" in seen
    assert os.waitstatus_to_exitcode(status) == 0


def test_stop_and_continue_are_seen_by_the_caller(python: str, tmp_path: Path) -> None:
    code = ECHO + "print(__import__('os').getpid(), flush=True)\nsys.stdin.readline()\nprint('on', flush=True)\n"
    with started("trace", "-q", "-o", tmp_path / "r.wsrec", "--", python, "-c", code, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        target = int(process.stdout.readline())
        os.kill(target, signal.SIGSTOP)
        # A shell waits like this: it sees its child, the recorder, stop with the command.
        pid, status = os.waitpid(process.pid, os.WUNTRACED)
        assert pid == process.pid
        assert os.WIFSTOPPED(status)
        os.kill(target, signal.SIGCONT)
        pid, status = os.waitpid(process.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "on\n"
        assert process.wait(20) == 0
    kinds = [mark.kind for mark in Recording.open(tmp_path / "r.wsrec").marks()]
    assert kinds.count("stopped") == kinds.count("continued") == 1


def test_killing_the_recorder_leaves_the_command_and_a_recording(python: str, tmp_path: Path) -> None:
    code = ECHO + (
        "import os\nprint(os.getpid(), flush=True)\nsys.stdin.readline()\n"
        "a.sendall(b'after')\nprint(b.recv(10), flush=True)\n"
    )
    path = tmp_path / "r.wsrec"
    with started("trace", "-q", "-o", path, "--", python, "-c", code, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        target = int(process.stdout.readline())
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if list(Recording.open(path).calls()):
                    break
            except Exception:
                pass
            time.sleep(0.02)
        process.kill()
        process.wait()
        # The command runs on: its socket calls still work although nobody records them.
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "b'after'\n"
        assert gone(target)
    recording = Recording.open(path)
    assert recording.cut_off_ns is not None
    assert [call.payload for call in recording.calls()].count(b"x") == 2


def test_killing_the_guardian_ends_the_command(python: str, tmp_path: Path) -> None:
    code = ECHO + "import os\nprint(os.getppid(), os.getpid(), flush=True)\nsys.stdin.readline()\n"
    with started("trace", "-o", tmp_path / "r.wsrec", "--", python, "-c", code, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        guardian, target = map(int, process.stdout.readline().split())
        os.kill(guardian, signal.SIGKILL)
        assert process.wait(20) == 128 + signal.SIGKILL
        assert gone(target)
        assert "tracing program was killed" in process.stderr.read()


@pytest.mark.parametrize("kill", [False, True])
def test_a_time_limit_ends_the_recording_and_only_with_kill_the_command(
    kill: bool, python: str, tmp_path: Path
) -> None:
    code = ECHO + "import os\nprint(os.getpid(), flush=True)\nsys.stdin.readline()\na.sendall(b'y')\nprint(b.recv(1))\n"
    options = ["--kill"] if kill else []
    with started(
        "trace", "--for", "1s", *options, "-o", tmp_path / "r.wsrec", "--", python, "-c", code, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == "ready\n"
        target = int(process.stdout.readline())
        status = process.wait(20)
        if kill:
            assert status == 137
        else:
            assert status == 0
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "b'y'\n"
        assert gone(target)
    recording = Recording.open(tmp_path / "r.wsrec")
    assert recording.meta["end"] == ("killed" if kill else "time limit")
    assert recording.cut_off_ns is None


def test_kill_ends_what_the_command_has_started_too(python: str, tmp_path: Path) -> None:
    child = "import time, socket\nkept = socket.socketpair()\nprint('ready', flush=True)\ntime.sleep(600)"
    code = '"$0" -S -c "$1" & echo $!; wait'
    words = ["trace", "--for", "1s", "--kill", "-o", tmp_path / "r.wsrec", "--", "sh", "-c", code, python, child]
    with started(*words) as process:
        lines = {process.stdout.readline(), process.stdout.readline()}
        assert "ready\n" in lines
        (pid,) = [int(line) for line in lines if line.strip().isdecimal()]
        assert process.wait(30) == 137
        assert gone(pid)
    recording = Recording.open(tmp_path / "r.wsrec")
    assert recording.meta["end"] == "killed"
    assert len(recording.sockets) == 2


def test_processes_that_outlive_the_command_are_recorded(python: str, tmp_path: Path) -> None:
    # The file tells the child when to go on; the command has ended by then.
    flag = tmp_path / "flag"
    child = f"import os,time,socket\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)\nsocket.socketpair()"
    code = '"$0" -S -c "$1" & exit 3'
    with started("trace", "-o", tmp_path / "r.wsrec", "--", "sh", "-c", code, python, child) as process:
        line = process.stderr.readline()
        assert "the command has ended (3); 1 of its processes still run" in line
        flag.touch()
        assert process.wait(20) == 3
    assert len(Recording.open(tmp_path / "r.wsrec").sockets) == 2


def test_what_cannot_be_run_is_one_line_and_the_shells_status(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/nonexistent/interpreter\n")
    script.chmod(0o755)
    plain = tmp_path / "plain"
    plain.write_text("hello\n")
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100))
    broken.chmod(0o755)
    for command, status, text in [
        ("no-such-command-anywhere", 127, "not found"),
        (tmp_path / "missing", 127, "no such file"),
        (tmp_path, 126, "is a directory"),
        (plain, 126, "not executable"),
        (script, 127, "No such file"),
        (broken, 126, "Exec format error"),
    ]:
        path = tmp_path / "r.wsrec"
        result = wallsocket("trace", "-o", path, "--", command)
        assert result.returncode == status, result.stderr
        assert text in result.stderr
        assert result.stderr.count("\n") == 1
        assert not path.exists()


def test_a_script_without_interpreter_line_runs_as_in_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello $1\n")
    script.chmod(0o755)
    result = wallsocket("trace", "-q", "-o", tmp_path / "r.wsrec", "--", script, "there")
    assert (result.stdout, result.returncode) == ("hello there\n", 0)


def test_set_uid_programs_are_refused(traced: Trace) -> None:
    if os.geteuid() == 0:
        pytest.skip("root gains nothing by set-uid")
    candidates = [path for path in ("/usr/bin/su", "/bin/su", "/usr/bin/passwd") if os.path.exists(path)]
    assert candidates
    with pytest.raises(NotStarted, match="is set-uid.*as root") as caught:
        traced(candidates[0])
    assert caught.value.exit_status == 126


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("mine")
    result = wallsocket("trace", "-o", path, "--", "true")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert path.read_text() == "mine"


def test_a_full_disk_costs_the_recording_and_nothing_else(python: str, tmp_path: Path) -> None:
    # A limit on file size stands for a full disk: the write fails in the same place, with another number.
    # The pause lets the beginning be committed; what follows does not fit.
    code = ECHO + "time.sleep(1)\nfor _ in range(3000): a.sendall(b'x' * 60); b.recv(60)\nprint('done'); sys.exit(4)"
    path = tmp_path / "r.wsrec"
    command = ["sh", "-c", 'ulimit -f 400; exec "$@"', "sh", *WALLSOCKET, "trace", "-o", path, "--", python, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.stdout, result.returncode) == ("ready\ndone\n", 4)
    assert any(word in result.stderr for word in ("disk", "full", "I/O", "file size", "large"))
    assert list(Recording.open(path).calls())


def test_a_full_disk_is_no_clean_bill(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-Urm", sys.executable, "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces here, or no Python in them")
    code = """
import socket
a, b = socket.socketpair()
for _ in range(20000):
    a.send(b"x" * 64)
    b.recv(100)
"""
    script = f"""mount -t tmpfs -o size=400k none {tmp_path}
export XDG_STATE_HOME={tmp_path}
"$0" -m wallsocket explain -- "$0" -c "$1" 2>&1; echo "STATUS $?"
"$0" -m wallsocket explain; echo "STATUS $?"
"$0" -m wallsocket show; echo "STATUS $?"
"$0" -m wallsocket explain --json | tail -n 1
"$0" -m wallsocket trace -- "$0" -c "$1" 2>&1; echo "STATUS $?"
"""
    command = ["unshare", "-Urm", "sh", "-c", script, sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert all(line.startswith("newest recording: ") for line in done.stderr.splitlines()), done.stderr
    ran, again, shown, rest = done.stdout.split("STATUS ", 3)
    for text in (ran, again):
        flat = " ".join(text.split())
        assert re.search(
            r"Recording cut off at \S+ \w+: the disk is full; \d{4,} events are missing, and rules cannot", flat
        )
        assert "No finding" not in text
        assert "0 rules checked" in flat
    assert re.search(r"cut off at \S+ \w+: the disk is full", " ".join(shown.split()))
    assert (again[0], shown[0], rest[0]) == ("2", "2", "0")
    summary = json.loads(rest.splitlines()[1])
    assert summary["summary"]["complete"] is False
    assert "the disk is full" in summary["summary"]["failure"]
    assert (summary["checked"], summary["lost"] > 1000) == ([], True)
    assert re.search(r"wsrec: .*the disk is full", rest)


def test_the_summary_is_short(python: str, tmp_path: Path) -> None:
    result = wallsocket("trace", "-o", tmp_path / "r.wsrec", "--", python, "-c", ECHO)
    lines = result.stderr.splitlines()
    assert len(lines) <= 15
    assert "calls on 2 sockets" in lines[0]
    assert any(str(tmp_path / "r.wsrec") in line for line in lines)
    assert any(
        re.search(
            r"tracing added about [\d.]+ µs × \d+ calls"
            r"(, (at most \d+|less than 1) % of the run| = \d+ ms in threads side by side)$",
            line,
        )
        for line in lines
    )


@pytest.mark.parametrize(
    ("calls", "stops", "added_us", "told"),
    [
        (100, 204, 50, "about 50 µs × 100 calls, at most 5 % of the run"),
        (100, 0, 0.3, "about 0.3 µs × 100 calls, less than 1 % of the run"),
        # Attached to: every call stops, and 20 that concern no socket delay the program as much as the 10 that do.
        (10, 60, 150, "about 50 µs × 30 calls (all that stopped; 10 concern sockets), at most 2 % of the run"),
        (10_000, 20_000, 30, "about 30 µs × 10000 calls = 300 ms in threads side by side"),
    ],
)
def test_what_tracing_added(calls: int, stops: int, added_us: float, told: str, tmp_path: Path) -> None:
    result = RunResult(
        path=tmp_path / "r.wsrec",
        exit_status=0,
        end="exit",
        failure=None,
        calls=calls,
        sockets=1,
        lost=0,
        stops=stops,
        added_ns_per_call=int(added_us * 1000),
        duration_ns=100_000_000,
        missing={},
    )
    assert f"  tracing added {told}" in describe(result).splitlines()


def test_live_prints_a_line_for_each_call(python: str, tmp_path: Path) -> None:
    result = wallsocket("trace", "-q", "--live", "-o", tmp_path / "r.wsrec", "--", python, "-c", ECHO)
    calls = [line for line in result.stderr.splitlines() if "sendto(" in line]
    assert len(calls) == 1
    assert "= 1" in calls[0]
    assert "<string>:4" in calls[0]


def test_a_recording_is_private_and_small(python: str, tmp_path: Path) -> None:
    code = ECHO + "for _ in range(5000): a.sendall(b'x' * 60); b.recv(60)\n"
    path = tmp_path / "r.wsrec"
    wallsocket("trace", "-q", "--payload", "none", "--no-kernel", "-o", path, "--", python, "-c", code)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not path.with_name(path.name + "-wal").exists()
    calls = len(list(Recording.open(path).calls()))
    assert calls > 10_000
    assert path.stat().st_size / calls <= 120


def test_the_environment_is_not_recorded(tmp_path: Path) -> None:
    secret = "a-secret-that-must-not-leak"
    path = tmp_path / "r.wsrec"
    wallsocket("trace", "-q", "-o", path, "--", "sh", "-c", "true", env={**os.environ, "TOKEN": secret})
    assert secret.encode() not in path.read_bytes()


@pytest.mark.parametrize("refused", ["ptrace", "seccomp"])
def test_where_tracing_is_refused_one_line_says_so(refused: str, tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    command = [*WALLSOCKET, "trace", "-o", str(path), "--", "true"]
    result = deny.run([refused], command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "refuse" in result.stderr
    assert "doctor" in result.stderr


def test_where_namespaces_are_refused_lab_says_so(tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    command = [*WALLSOCKET, "trace", "--lab", "-o", str(path), "--", "true"]
    result = deny.run(["unshare"], command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "without --lab" in result.stderr


def test_lab_has_its_own_loopback_and_records_the_wire(python: str, traced: Trace) -> None:
    code = (
        "import socket, os\ns = socket.create_server(('127.0.0.1', 80 if os.geteuid() == 0 else 8080))\n"
        "c = socket.create_connection(s.getsockname())\na, _ = s.accept()\nc.sendall(b'over the wire')\n"
        "assert a.recv(100) == b'over the wire'\nprint(os.getuid())\n"
    )
    result, recording = traced(python, "-c", code, lab=True)
    assert result.exit_status == 0
    assert recording.meta["wire"] == "yes"
    frames = [packet.frame for packet in recording.packets()]
    assert sum(b"over the wire" in frame for frame in frames) == 1
    counters = {counter.name: counter.value for counter in recording.counters()}
    assert counters["TcpPassiveOpens"] == 1


def test_packets_may_be_left_out(python: str, traced: Trace) -> None:
    code = "import socket\na, b = socket.socketpair()\na.send(b'x')\ns = socket.create_server(('127.0.0.1', 4567))\n"
    result, recording = traced(python, "-c", code, lab=True, wire=False)
    assert (result.exit_status, recording.meta["wire"]) == (0, "not asked for")
    assert not list(recording.packets())


def test_refused_connections_have_facts(python: str, traced: Trace) -> None:
    code = (
        "import socket\ns = socket.create_server(('127.0.0.1', 4567))\n"
        "c = socket.socket()\nassert c.connect_ex(('127.0.0.1', 4568)) == 111\n"
    )
    deadline = time.monotonic() + 60
    while True:
        _, recording = traced(python, "-c", code, lab=True)
        (fact,) = [fact for fact in recording.facts() if fact.kind == "sockets"]
        listening = [entry for entry in json.loads(fact.value) if entry["state"] == 10]
        assert [entry["local"] for entry in listening] == ["127.0.0.1:4567"]
        if listening[0]["pids"] or time.monotonic() > deadline:
            break
        # The program waits meanwhile, so owners are looked for 20 ms: with many processes and no processor that is too short.
        assert listening[0]["pids_unknown"] == "time"
    assert listening[0]["pids"][0]["command"].startswith("python")
    failed = recording.call(fact.call or 0)
    assert failed is not None
    assert failed.errno == errno.ECONNREFUSED


def test_a_blocked_call_is_in_the_recording_before_it_returns(python: str, tmp_path: Path) -> None:
    code = ECHO + "b.recv(1)\n"
    path = tmp_path / "r.wsrec"
    with started("trace", "-q", "-o", path, "--", python, "-c", code) as process:
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 20
        waiting: list[int | None] = []
        while not waiting and time.monotonic() < deadline:
            try:
                waiting = [call.fd for call in Recording.open(path).calls() if call.took_ns is None]
            except Exception:
                waiting = []
            time.sleep(0.02)
        assert len(waiting) == 1
        process.terminate()
        process.wait(20)


def test_a_recording_needs_no_more_than_sqlite(python: str, traced: Trace) -> None:
    result, _ = traced(python, "-c", ECHO)
    with sqlite3.connect(f"file:{result.path}?mode=ro", uri=True) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (calls,) = connection.execute("SELECT count(*) FROM call").fetchone()
    assert version == SCHEMA_VERSION
    assert calls == result.calls
