"""Attaching to running programs: what was there is found, what happens is recorded, and the program does not notice."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from wallsocket.errors import NotAvailable, NotPermitted, UsageError, WallsocketError
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import RunResult, attach
from wallsocket.trace.syscalls import names

from ..support import deny

#: The module: in its package ``attach`` is a function.
attaching = importlib.import_module("wallsocket.trace.attach")
WALLSOCKET = [sys.executable, "-m", "wallsocket"]
PROGRAMS = Path(__file__).parent.parent / "programs"
NAMES = names(os.uname().machine)
#: Yama lets only ancestors attach unless the program says otherwise (prctl(2), PR_SET_PTRACER).
ALLOW = "import ctypes, sys; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)\n"
LISTEN, ESTABLISHED = 10, 1
DEADLINE_S = 30


@contextmanager
def running(*command: object, ready: str = "ready") -> Iterator[subprocess.Popen[str]]:
    """A program that has said that it is ready; ended at the end if it still runs."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([str(word) for word in command], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == f"{ready}\n", process.stderr.read() if process.stderr else ""
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]


def python_running(code: str) -> contextmanager[subprocess.Popen[str]]:  # type: ignore[valid-type]
    return running(sys.executable, "-c", ALLOW + code)  # type: ignore[return-value]


def ask(process: subprocess.Popen[str], line: str = "?") -> str:
    """Send the program a line and read its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().rstrip("\n")


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def status(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/status") as file:
        return next(line.partition(":")[2].strip() for line in file if line.startswith(f"{name}:"))


def is_followed(pid: int) -> bool:
    return status(pid, "TracerPid") != "0"


def in_call(pid: int, number: int, tid: int | None = None) -> list[int] | None:
    """The arguments of the call with this number that a thread is blocked in, or ``None``."""
    with open(f"/proc/{pid}/task/{tid or pid}/syscall") as file:
        words = file.read().split()
    if words[0] != str(number):
        return None
    return [int(word, 16) for word in words[1:7]]


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., tuple[RunResult, Recording]]:
    """Attaches, and opens what was recorded."""
    count = 0

    def record(*pids: int, **options: object) -> tuple[RunResult, Recording]:
        nonlocal count
        count += 1
        path = tmp_path / f"attach-{count}.wsrec"
        result = attach(pids, output=path, **options)  # type: ignore[arg-type]
        return result, Recording.open(path)

    return record


@contextmanager
def recording_of(pid: int, path: Path, *options: str, command: str = "trace") -> Iterator[subprocess.Popen[str]]:
    """``wallsocket`` attached to a process."""
    words = [*WALLSOCKET, command, "-p", str(pid), "-o", str(path), *options]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line == f"wallsocket: attached to pid {pid}; Ctrl-C ends the recording, not it\n", line
        yield process
    finally:
        process.kill()
        process.communicate()


Record = Callable[..., tuple[RunResult, Recording]]


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program ``waits``."""
    target = tmp_path_factory.mktemp("waits") / "waits"
    subprocess.run(["gcc", "-w", "-O1", "-pthread", "-o", target, PROGRAMS / "waits.c"], check=True)
    return target


# ── the program does not notice ──


def test_no_wait_is_interrupted_or_shortened(waits: Path, recorded: Record) -> None:
    with running(waits, 700) as process:
        for _ in range(4):
            result, _ = recorded(process.pid, for_s=0.25)
            assert result.end == "time limit"
            time.sleep(0.05)
        until(lambda: int(ask(process).split()[2]) >= 2, "the waits do not end")
        interrupted, early, _ = map(int, ask(process).split())
        assert not is_followed(process.pid)
        process.kill()
        assert (interrupted, early) == (0, 0), process.stderr.read() if process.stderr else ""


def test_a_signal_that_nobody_handles_interrupts_no_wait(waits: Path, tmp_path: Path) -> None:
    # SIGCHLD is ignored by default: untraced, the kernel does not even queue it; a tracer is told of it.
    with running(waits, 60_000, "epoll_wait") as process:
        thread = next(int(tid) for tid in os.listdir(f"/proc/{process.pid}/task") if int(tid) != process.pid)
        until(lambda: in_call(process.pid, 232, thread), "it does not wait")
        with recording_of(process.pid, tmp_path / "r.wsrec") as recorder:
            for _ in range(3):
                assert ask(process, "c") == "0 0 0"
            os.kill(process.pid, signal.SIGURG)
            assert ask(process) == "0 0 0"
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(DEADLINE_S) == 0
        assert ask(process) == "0 0 0"


def test_a_handled_signal_still_interrupts(tmp_path: Path) -> None:
    code = (
        "import select, signal, socket\n"
        "class Heard(Exception): pass\n"
        "def handler(*_): raise Heard\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "waiter = select.epoll(); quiet = socket.socketpair(); waiter.register(quiet[0], select.EPOLLIN)\n"
        "print('ready', flush=True)\n"
        "try: waiter.poll(60)\n"
        "except Heard: print('heard', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    with python_running(code) as process:
        until(lambda: in_call(process.pid, 232), "it does not wait")
        path = tmp_path / "r.wsrec"
        with recording_of(process.pid, path) as recorder:
            process.send_signal(signal.SIGUSR1)
            assert process.stdout is not None
            assert process.stdout.readline() == "heard\n"
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(DEADLINE_S) == 0
    with Recording.open(path) as recording:
        waited = [call for call in recording.calls() if NAMES[call.number] == "epoll_wait"]
        assert [(call.errno, call.took_ns is not None) for call in waited] == [(errno.EINTR, True)]
        assert [mark.text for mark in recording.marks() if mark.kind == "signal"] == ["SIGUSR1"]


def test_a_wait_goes_on_with_the_time_that_is_left(waits: Path, tmp_path: Path) -> None:
    limit_ms = 60_000
    with running(waits, limit_ms, "epoll_wait") as process:
        thread = next(int(tid) for tid in os.listdir(f"/proc/{process.pid}/task") if int(tid) != process.pid)

        def left_ms() -> int | None:
            arguments = in_call(process.pid, 232, thread)
            return arguments[3] if arguments else None

        until(lambda: left_ms() == limit_ms, "it does not wait")
        waiting_since = time.monotonic()
        time.sleep(0.3)
        before_attach = time.monotonic()
        path = tmp_path / "r.wsrec"
        with recording_of(process.pid, path) as recorder:
            attached = time.monotonic()  # before `left` is read: this process may be kept waiting in between
            until(lambda: left_ms() not in (None, limit_ms), "the wait does not go on")
            left = left_ms()
            assert left is not None
            # Never less than what is left; the scheduler tells how long it has slept, to a few milliseconds.
            assert left >= limit_ms - 1000 * (time.monotonic() - waiting_since) - 60
            assert left <= limit_ms - 1000 * (before_attach - waiting_since) + 60
            time.sleep(0.3)
            recorder.send_signal(signal.SIGTERM)
            assert recorder.wait(DEADLINE_S) == 0
        until(lambda: left_ms() is not None, "the wait does not go on")
        assert left_ms() <= left - 300 + 60  # type: ignore[operator]
        assert left_ms() >= left - 1000 * (time.monotonic() - attached) - 200  # type: ignore[operator]
        assert ask(process) == "0 0 0"
    # What the program asked for is recorded, not what was left of it.
    waited = [call for call in Recording.open(path).calls() if NAMES[call.number] == "epoll_wait"]
    assert [call.b for call in waited] == [limit_ms]


def test_a_stopped_program_stays_stopped(recorded: Record) -> None:
    with python_running(
        "print('ready', flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)\n"
    ) as process:
        process.send_signal(signal.SIGSTOP)
        until(lambda: status(process.pid, "State").startswith("T (stopped)"), "it does not stop")
        result, _ = recorded(process.pid, for_s=0.2)
        assert result.end == "time limit"
        assert status(process.pid, "State").startswith("T (stopped)")
        process.send_signal(signal.SIGCONT)
        assert ask(process, "there?") == "there?"


COUNTING = """
import os, socket
a, b = socket.socketpair()
print("ready", flush=True)
import threading
count = 0
def exchange():
    global count
    while True:
        a.sendall(b"x")
        assert b.recv(1) == b"x"
        count += 1
threading.Thread(target=exchange, daemon=True).start()
for line in sys.stdin:
    print(count, flush=True)
"""


def goes_on(process: subprocess.Popen[str]) -> None:
    """The program exchanges bytes with itself, without an error."""
    before = int(ask(process))
    until(lambda: int(ask(process)) > before + 10, "it does not go on")


@pytest.mark.parametrize("victim", ["guardian", "recorder"])
def test_the_program_runs_on_when_the_tracer_is_killed(victim: str, tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"

    def bytes_seen() -> bool:
        with Recording.open(path) as recording:
            return any(call.payload == b"x" for call in recording.calls())

    with python_running(COUNTING) as process, recording_of(process.pid, path) as recorder:
        until(bytes_seen, "nothing is recorded")
        os.kill(int(status(process.pid, "TracerPid")) if victim == "guardian" else recorder.pid, signal.SIGKILL)
        if victim == "guardian":
            _, errors = recorder.communicate(timeout=DEADLINE_S)
            assert recorder.returncode == 2
            assert "the tracing program was killed; the recorded program runs on" in errors
        until(lambda: not is_followed(process.pid), "it is still followed")
        goes_on(process)
    assert bytes_seen()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_recording_and_not_the_program(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    with python_running(COUNTING) as process:
        with recording_of(process.pid, path) as recorder:
            goes_on(process)
            recorder.send_signal(number)
            _, errors = recorder.communicate(timeout=DEADLINE_S)
            assert recorder.returncode == 0, errors
            assert "the program runs on" in errors
        assert not is_followed(process.pid)
        goes_on(process)
    with Recording.open(path) as recording:
        assert recording.meta["end"] == "interrupted"
        assert recording.cut_off_ns is None
        assert json.loads(recording.meta["attached"]) == [process.pid]


# ── what was there is found ──


def test_open_sockets_are_found_with_state_addresses_and_options(recorded: Record) -> None:
    code = (
        "import socket\n"
        "listener = socket.create_server(('127.0.0.1', 0), backlog=7)\n"
        "listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)\n"
        "client = socket.create_connection(listener.getsockname())\n"
        "server, _ = listener.accept()\n"
        "client.sendall(b'unread')\n"
        "datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); datagrams.bind(('::1', 0))\n"
        "pair = socket.socketpair()\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
    )
    with python_running(code) as process:
        result, recording = recorded(process.pid, for_s=0.1)
    assert result.sockets == 6
    assert {item.origin for item in recording.sockets.values()} == {"attached"}
    assert {item.call for item in recording.sockets.values()} == {None}
    assert {item.source for item in recording.sockets.values()} == {None}
    first = {}
    for state in recording.states():
        first.setdefault(state.socket, state)
    tcp = [first[item.id] for item in recording.sockets.values() if item.protocol == 6]
    assert sorted(state.state for state in tcp) == [ESTABLISHED, ESTABLISHED, LISTEN]
    listening = next(state for state in tcp if state.state == LISTEN)
    assert (listening.receive_queue, listening.send_queue) == (0, 7)
    keepalive = struct.pack("<HHHi", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 4, 1)
    assert [keepalive in (state.options or b"") for state in tcp].count(True) == 2  # an accepted one inherits it
    assert sorted(state.receive_queue or 0 for state in tcp) == [0, 0, 6]
    assert all(item.local is not None for item in recording.sockets.values() if item.protocol in (6, 17))
    descriptors = recording.descriptors.values()
    assert {item.origin for item in descriptors} == {"attached"}
    assert {item.cloexec for item in descriptors} == {1}
    process_row = next(iter(recording.processes.values()))
    assert json.loads(process_row.command or "")[0] == sys.executable
    assert os.path.samefile(process_row.executable or "", sys.executable)


def test_a_call_that_had_begun_is_recorded_with_its_end(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    code = (
        f"import socket\ns = socket.socket(fileno={theirs.fileno()})\n"
        "print('ready', flush=True)\nprint(s.recv(10), flush=True)\nsys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", ALLOW + code]
    pipe = subprocess.PIPE
    with (
        ours,
        theirs,
        subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=pipe, stdout=pipe, text=True) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until(lambda: in_call(process.pid, 45), "it does not receive")
        path = tmp_path / "r.wsrec"
        with recording_of(process.pid, path) as recorder:
            until(lambda: in_call(process.pid, 45), "it does not receive again")
            ours.sendall(b"hello")
            assert process.stdout.readline() == "b'hello'\n"
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(DEADLINE_S) == 0
        process.kill()
    with Recording.open(path) as recording:
        received = [call for call in recording.calls() if NAMES[call.number] == "recvfrom"]
        assert [(call.payload, call.result, call.offset) for call in received] == [(b"hello", 5, None)]
        source = recording.sources[received[0].source or 0]
        assert (source.file, source.line) == ("<string>", 5)
        marks = [mark.text for mark in recording.marks() if mark.kind == "attached"]
        assert f"call {received[0].id} had begun before" in marks


def test_an_event_loop_that_runs_already_is_followed(tmp_path: Path) -> None:
    code = (
        "import asyncio\n"
        "async def serve(reader, writer):\n"
        "    while line := await reader.readline():\n"
        "        writer.write(line.upper())\n"
        "async def main():\n"
        "    server = await asyncio.start_server(serve, '127.0.0.1', 0)\n"
        "    print('ready', flush=True); print(server.sockets[0].getsockname()[1], flush=True)\n"
        "    await server.serve_forever()\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path / "r.wsrec"
    with python_running(code) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as old, old.makefile("rwb") as stream:
            stream.write(b"before\n")
            stream.flush()
            assert stream.readline() == b"BEFORE\n"
            with recording_of(process.pid, path) as recorder:
                stream.write(b"during\n")
                stream.flush()
                assert stream.readline() == b"DURING\n"
                with socket.create_connection(("127.0.0.1", port)) as new:
                    new.sendall(b"new\n")
                    assert new.recv(10) == b"NEW\n"
                # The bytes are here before the call that sent them has returned: one more turn of the loop, and it has.
                stream.write(b"last\n")
                stream.flush()
                assert stream.readline() == b"LAST\n"
                recorder.send_signal(signal.SIGINT)
                assert recorder.wait(DEADLINE_S) == 0
            stream.write(b"after\n")
            stream.flush()
            assert stream.readline() == b"AFTER\n"
    with Recording.open(path) as recording:
        calls = list(recording.calls())
        called = {NAMES[call.number] for call in calls}
        assert {"epoll_wait", "recvfrom", "sendto", "accept4"} <= called
        payloads = {call.payload: call for call in calls if call.payload}
        assert {b"during\n", b"DURING\n", b"new\n", b"NEW\n"} <= payloads.keys()
        # Where bytes may have moved before, their position is unknown; of a new connection it is known.
        assert payloads[b"during\n"].offset is None
        assert payloads[b"new\n"].offset == 0
        accepted = recording.sockets[payloads[b"new\n"].socket or 0]
        assert accepted.origin == "accept"
        assert recording.sockets[accepted.parent or 0].origin == "attached"


# ── what it does while it is followed ──


def test_threads_that_are_made_all_the_time_are_all_followed(tmp_path: Path) -> None:
    code = (
        "import socket, threading\n"
        "ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "count = failed = 0\n"
        "def one():\n"
        "    global failed\n"
        "    try:\n"
        "        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: s.getsockopt(1, 3)\n"
        "    except OSError: failed += 1\n"
        "def many():\n"
        "    global count\n"
        "    while True:\n"
        "        threads = [threading.Thread(target=one) for _ in range(4)]\n"
        "        for t in threads: t.start()\n"
        "        for t in threads: t.join()\n"
        "        count += 4\n"
        "threading.Thread(target=many, daemon=True).start()\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin: print(count, failed, flush=True)\n"
    )
    path = tmp_path / "r.wsrec"
    with python_running(code) as process:
        for _ in range(3):
            with recording_of(process.pid, path, "--overwrite") as recorder:
                before = int(ask(process).split()[0])
                until(lambda before=before: int(ask(process).split()[0]) >= before + 40, "no threads")  # type: ignore[misc]
                recorder.send_signal(signal.SIGINT)
                assert recorder.wait(DEADLINE_S) == 0
            after = int(ask(process).split()[0])
            until(lambda after=after: int(ask(process).split()[0]) > after, "it does not go on")  # type: ignore[misc]
        assert ask(process).split()[1] == "0"
    with Recording.open(path) as recording:
        made = [call for call in recording.calls() if NAMES[call.number] == "socket"]
        assert len({call.tid for call in made}) >= 40
        # One thread makes a socket, asks it, and closes it: nothing of the whole ones is missing.
        whole = [item for item in recording.sockets.values() if item.origin == "socket" and item.ended_ns is not None]
        asked = {call.socket for call in recording.calls() if NAMES[call.number] == "getsockopt"}
        assert len(whole) >= 36
        assert {item.id for item in whole} <= asked


def test_exec_and_children_are_followed(tmp_path: Path) -> None:
    child = "import socket; a, b = socket.socketpair(); a.sendall(b'child'); print(b.recv(9), flush=True)"
    after = "import socket, sys; a, b = socket.socketpair(); a.sendall(b'after'); print(b.recv(9), flush=True); input()"
    code = (
        "import os, socket, subprocess\n"
        "kept = socket.socket(); kept.set_inheritable(True)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"subprocess.run([sys.executable, '-S', '-c', {child!r}], check=True)\n"
        f"os.execv(sys.executable, [sys.executable, '-S', '-c', {after!r}])\n"
    )
    path = tmp_path / "r.wsrec"
    with python_running(code) as process:
        assert process.stdout is not None
        with recording_of(process.pid, path) as recorder:
            assert ask(process) == "b'child'"
            assert process.stdout.readline() == "b'after'\n"
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(DEADLINE_S) == 0
        assert process.poll() is None
    with Recording.open(path) as recording:
        sent = {call.payload: call.process for call in recording.calls() if NAMES[call.number] == "sendto"}
        assert set(sent) == {b"child", b"after"}
        first, second = recording.processes[sent[b"after"]], recording.processes[sent[b"child"]]
        assert (first.pid, first.parent) == (process.pid, None)
        assert (second.parent, second.exit_code) == (first.id, 0)
        assert [mark.kind for mark in recording.marks()].count("exec") == 2
        # Both execs keep what is not close-on-exec.
        inherited = [item for item in recording.sockets.values() if item.origin == "attached"]
        assert len(inherited) == 1
        assert inherited[0].ended_ns is None


def test_the_end_of_the_program_is_the_end_of_the_recording(tmp_path: Path) -> None:
    code = "import socket\ns = socket.socket()\nprint('ready', flush=True)\nsys.exit(int(sys.stdin.readline()))\n"
    path = tmp_path / "r.wsrec"
    with python_running(code) as process, recording_of(process.pid, path) as recorder:
        assert process.stdin is not None
        process.stdin.write("7\n")
        process.stdin.flush()
        assert recorder.wait(DEADLINE_S) == 7
        assert process.wait(DEADLINE_S) == 7
    with Recording.open(path) as recording:
        assert (recording.meta["end"], recording.meta["exit_status"]) == ("exit", "7")
        assert [item.exit_code for item in recording.processes.values()] == [7]
        assert [item.ended_ns is not None for item in recording.sockets.values()] == [True]


def test_programs_that_end_while_they_are_attached_to(recorded: Record) -> None:
    code = "import threading, time\nfor _ in range(8): threading.Thread(target=time.sleep, args=(0.05,)).start()\n"
    for delay_s in (0, 0.03, 0.06):
        with python_running(code + f"print('ready', flush=True)\ntime.sleep({delay_s})\n") as process:
            with suppress(UsageError):
                result, recording = recorded(process.pid, for_s=5)
                assert (result.end, result.exit_status) == ("exit", 0)
                recording.close()
            assert process.wait(DEADLINE_S) == 0


def test_several_programs_are_one_recording(tmp_path: Path, recorded: Record) -> None:
    with python_running(COUNTING) as one, python_running(COUNTING) as other:
        _, recording = recorded(one.pid, other.pid, one.pid, for_s=2)
        goes_on(one)
        goes_on(other)
    assert sorted(item.pid for item in recording.processes.values()) == sorted([one.pid, other.pid])
    assert {call.process for call in recording.calls()} == {1, 2}


def test_options_mean_the_same_as_for_a_command(recorded: Record) -> None:
    with python_running(COUNTING) as process:
        _, recording = recorded(process.pid, for_s=0.2, payload=0, samples=False, lines=False)
        assert {call.payload for call in recording.calls()} == {None}
        assert {call.source for call in recording.calls()} == {None}
        assert recording.meta["kernel"] == recording.meta["lines"] == "not asked for"


# ── what cannot be attached to ──


def test_what_cannot_be_attached_to_is_one_line(tmp_path: Path) -> None:
    zombie = subprocess.Popen(["true"])
    until(lambda: status(zombie.pid, "State").startswith("Z"), "it does not end")
    free = next(pid for pid in range(4_000_000, 100, -1) if not os.path.exists(f"/proc/{pid}"))
    cases = [(free, "there is no such process"), (zombie.pid, "has ended; it is kept only until")]
    kernel = [int(pid) for pid in os.listdir("/proc") if pid.isdecimal() and attaching._flags(int(pid)) & 0x00200000]
    cases += [(pid, "is a thread of the kernel") for pid in kernel[:1]]
    if os.geteuid() != 0:
        cases.append((1, "runs as user root: only that user or root may attach to it"))
    for pid, text in cases:
        path = tmp_path / "r.wsrec"
        words = [*WALLSOCKET, "trace", "-p", str(pid), "-o", str(path)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        assert text in result.stderr
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert not path.exists()
    zombie.wait()
    with pytest.raises(UsageError, match="this wallsocket itself"):
        attach([os.getpid()])


def test_a_program_has_one_tracer(tmp_path: Path) -> None:
    with python_running(COUNTING) as process, recording_of(process.pid, tmp_path / "r.wsrec"):
        with pytest.raises(
            NotAvailable, match=r"traced already, by wallsocket-gua?\w* pid \d+|traced already, by guardian"
        ):
            attach([process.pid], output=tmp_path / "s.wsrec")
        goes_on(process)


def test_a_thread_names_its_process(recorded: Record) -> None:
    with python_running(COUNTING) as process:
        goes_on(process)
        thread = next(int(tid) for tid in os.listdir(f"/proc/{process.pid}/task") if int(tid) != process.pid)
        _, recording = recorded(thread, for_s=0.1)
    assert [item.pid for item in recording.processes.values()] == [process.pid]


def test_a_32_bit_program_is_refused(tmp_path: Path) -> None:
    # The smallest that runs: ELF32, one segment, `jmp .` (elf(5)).
    base, code = 0x08048000, b"\xeb\xfe"
    entry = base + 52 + 32
    header = (
        b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    )
    segment = struct.pack("<IIIIIIII", 1, 0, base, base, 84 + len(code), 84 + len(code), 5, 4096)
    program = tmp_path / "small"
    program.write_bytes(header + segment + code)
    program.chmod(0o755)
    try:
        process = subprocess.Popen([program])
    except OSError as error:
        assert error.errno == errno.ENOEXEC
        pytest.skip("this kernel runs no 32-bit programs")
    try:
        until(lambda: status(process.pid, "Name") == "small", "it has not begun")
        with pytest.raises(NotAvailable, match="small pid .* is a 32-bit program"):
            attach([process.pid])
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("1", r"ptrace_scope is 1, .*trace it from its start|ptrace_scope is 1, .*wallsocket trace -- COMMAND"),
        ("2", "ptrace_scope is 2, so only root"),
        ("3", "ptrace_scope is 3, so nothing may be traced until the next boot"),
        ("0", "PR_SET_DUMPABLE"),
        ("", "PR_SET_DUMPABLE"),
    ],
)
def test_a_refusal_names_the_setting_and_a_way_without(scope: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = attaching._read

    def seen(path: str) -> str:
        return f"{scope}\n" if path.endswith("ptrace_scope") else read(path)

    monkeypatch.setattr(attaching, "_read", seen)
    with python_running("print('ready', flush=True)\nsys.stdin.readline()\n") as process:
        error = attaching.refusal(process.pid, errno.EPERM)
        with pytest.raises(NotPermitted, match=text):
            raise error
        assert "\n" not in str(error)
    gone = attaching.refusal(process.pid, errno.ESRCH)
    assert isinstance(gone, UsageError)


def test_a_refused_attach_leaves_no_recording_and_no_trace(tmp_path: Path) -> None:
    if not deny.available():
        pytest.skip("no seccomp filters here")
    path = tmp_path / "r.wsrec"
    with python_running(COUNTING) as process:
        words = [*WALLSOCKET, "trace", "-p", str(process.pid), "-o", str(path)]
        result = deny.run(["ptrace"], words, capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        assert f"pid {process.pid} cannot be attached to" in result.stderr or "ptrace_scope" in result.stderr
        assert not path.exists()
        goes_on(process)


def test_if_one_of_several_is_refused_none_is_disturbed(waits: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing refuses root")
    with running(waits, 60_000) as process:
        words = [*WALLSOCKET, "trace", "-p", str(process.pid), "-p", "1", "-o", str(tmp_path / "r.wsrec")]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert ask(process) == "0 0 0"


@pytest.mark.parametrize("command", ["trace", "explain"])
@pytest.mark.parametrize("option", ["--lab", "--kill", "--one-core", "--deny-io-uring", "-u nobody"])
def test_options_for_commands_are_refused(command: str, option: str) -> None:
    words = [*WALLSOCKET, command, "-p", "1", *option.split()]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"{option.split()[0]} is for a command that is started, not for -p PID" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["trace", "explain"])
def test_a_command_and_a_process_are_one_too_many(command: str) -> None:
    words = [*WALLSOCKET, command, "-p", "1", "--", "true"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


# ── findings ──


def explained(*pids: int, path: Path, for_s: str) -> tuple[int, list[dict[str, object]]]:
    words = [*WALLSOCKET, "explain", "--json", "--for", for_s, "-o", str(path)]
    for pid in pids:
        words += ["-p", str(pid)]
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, [json.loads(line) for line in result.stdout.splitlines()]


def test_two_ends_that_wait_for_each_other_are_named(tmp_path: Path) -> None:
    server = (
        "import socket\nlistener = socket.create_server(('127.0.0.1', 0))\nprint('ready', flush=True)\n"
        "print(listener.getsockname()[1], flush=True)\npeer, _ = listener.accept()\npeer.recv(10)\n"
    )
    with python_running(server) as waiting:
        assert waiting.stdout is not None
        port = int(waiting.stdout.readline())
        client = (
            f"import socket\npeer = socket.create_connection(('127.0.0.1', {port}))\nprint('ready', flush=True)\n"
            "peer.recv(10)\n"
        )
        with python_running(client) as other:
            until(lambda: in_call(waiting.pid, 45) and in_call(other.pid, 45), "they do not wait")
            code, found = explained(waiting.pid, other.pid, path=tmp_path / "r.wsrec", for_s="1500ms")
            # They wait on afterwards.
            until(lambda: in_call(waiting.pid, 45) and in_call(other.pid, 45), "they do not wait any more")
    assert [one.get("rule") for one in found[:-1]] == ["both-wait"]
    assert code == 1
    assert found[0]["certainty"] == "certain"
    assert found[0]["line"] in (5, 7)


def test_connections_that_nobody_closes_are_found_in_a_server_that_runs(tmp_path: Path) -> None:
    server = (
        "import socket\nlistener = socket.create_server(('127.0.0.1', 0))\nkept = []\nprint('ready', flush=True)\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "while True:\n    peer, _ = listener.accept()\n    peer.recv(10)\n    kept.append(peer)\n    print('next', flush=True)\n"
    )
    with python_running(server) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(4):
            socket.create_connection(("127.0.0.1", port)).close()
            assert process.stdout.readline() == "next\n"
        until(lambda: in_call(process.pid, 288), "it does not accept")
        code, found = explained(process.pid, path=tmp_path / "r.wsrec", for_s="1500ms")
    assert [(one["rule"], one["severity"], one["certainty"]) for one in found[:-1]] == [
        ("close-wait", "warning", "strong")
    ]
    assert "4 sockets have been in CLOSE_WAIT" in str(found[0]["why"])
    assert "read the end" not in str(found[0]["why"])
    assert code == 0


def test_a_healthy_server_under_load_gives_no_finding(tmp_path: Path) -> None:
    server = (
        "import asyncio\n"
        "async def serve(reader, writer):\n"
        "    while line := await reader.readline():\n"
        "        writer.write(line); await writer.drain()\n"
        "    writer.close()\n"
        "async def main():\n"
        "    server = await asyncio.start_server(serve, '127.0.0.1', 0)\n"
        "    print('ready', flush=True); print(server.sockets[0].getsockname()[1], flush=True)\n"
        "    await server.serve_forever()\n"
        "asyncio.run(main())\n"
    )
    over = threading.Event()
    with python_running(server) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        counts = [0, 0, 0]

        def load(which: int) -> None:
            while not over.is_set():
                with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rwb") as stream:
                    for _ in range(10 if which else 10_000_000):
                        stream.write(b"x" * 100 * (which + 1) + b"\n")
                        stream.flush()
                        assert len(stream.readline()) == 100 * (which + 1) + 1
                        counts[which] += 1
                        if over.is_set():
                            break

        threads = [threading.Thread(target=load, args=(which,)) for which in range(3)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: min(counts) > 5, "no load")
            before = list(counts)
            code, found = explained(process.pid, path=tmp_path / "r.wsrec", for_s="1s")
            assert all(now > then for now, then in zip(counts, before, strict=True))
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert [one for one in found if "rule" in one] == []
    assert code == 0
    with pytest.raises(WallsocketError):
        attach([])
