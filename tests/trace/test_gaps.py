"""A layer that is lost half-way is a gap with a time and a reason, and rules that need it cannot tell."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wallsocket.events import Mark
from wallsocket.trace.recording import Recording

WALLSOCKET = [sys.executable, "-m", "wallsocket"]

#: Sends a little, waits for a word, does what it was told with it, and sends on.
PROGRAM = """
import ctypes, socket, sys
def talk(times):
    a, b = socket.socketpair()
    c = socket.create_server(("127.0.0.1", 0))
    d = socket.create_connection(c.getsockname())
    for _ in range(times):
        a.send(b"x" * 2000)
        b.recv(4000)
talk(10)
print("ready", flush=True)
word = sys.stdin.readline().strip()
if word == "undumpable":
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
talk(40_000 if word == "much" else 10)
print("done", flush=True)
sys.stdin.readline()
"""


@contextmanager
def traced(path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program under the trace, when it is ready."""
    command = [*WALLSOCKET, "trace", "--payload", "2000", "-o", str(path), "--", sys.executable, "-c", PROGRAM]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def guardian(process: subprocess.Popen[str]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if "guardian" in Path(f"/proc/{pid}/cmdline").read_text())


def the_end(process: subprocess.Popen[str], path: Path) -> tuple[str, dict[str, str], list[Mark]]:
    """The summary, ``meta`` and the marks of gaps, when the program was let end."""
    _, summary = process.communicate("end\n", timeout=60)
    assert process.returncode == 0, summary
    with Recording.open(path) as recording:
        return summary, recording.meta, [mark for mark in recording.marks() if mark.kind == "gap"]


def cannot_tell(path: Path) -> set[str]:
    done = subprocess.run([*WALLSOCKET, "explain", "--json", str(path)], capture_output=True, text=True, check=False)
    summary = json.loads(done.stdout.splitlines()[-1])
    return {question["missing"] for question in summary["cannot_tell"]}


def memory_kib(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def assert_kernel_is_lost(path: Path, process: subprocess.Popen[str], reason: str) -> None:
    summary, meta, marks = the_end(process, path)
    assert [mark.text.partition(": ")[0] for mark in marks] == ["kernel"]
    assert re.search(reason, marks[0].text)
    assert marks[0].at_ns > 0
    assert re.fullmatch(rf"incomplete since \d+\.\d{{3}} s: .*{reason}.*", meta["kernel"])
    assert "not recorded: kernel: incomplete since" in summary
    assert "kernel" in cannot_tell(path)


def test_a_tracer_without_descriptors(tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    with traced(path) as process:
        tracer = guardian(process)
        _, hard = resource.prlimit(tracer, resource.RLIMIT_NOFILE)
        resource.prlimit(tracer, resource.RLIMIT_NOFILE, (3, hard))
        tell(process, "on")
        assert_kernel_is_lost(path, process, "no descriptors left")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look at any program")
def test_a_program_that_makes_itself_undumpable(tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    with traced(path) as process:
        tell(process, "undumpable")
        assert_kernel_is_lost(path, process, "not dumpable")


def test_a_recorder_that_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    with traced(path) as process:
        process.send_signal(signal.SIGSTOP)
        tell(process, "much")
        assert memory_kib(guardian(process)) < 50_000
        process.send_signal(signal.SIGCONT)
        _summary, meta, marks = the_end(process, path)
    assert marks == []
    assert (meta["calls"], meta["lost"]) == ("yes", "0")


def test_a_recorder_that_was_stopped_where_no_more_may_be_written_to_files(tmp_path: Path) -> None:
    path = tmp_path / "r.wsrec"
    with traced(path) as process:
        process.send_signal(signal.SIGSTOP)
        resource.prlimit(guardian(process), resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        tell(process, "much")
        assert memory_kib(guardian(process)) < 100_000
        process.send_signal(signal.SIGCONT)
        _summary, meta, marks = the_end(process, path)
    assert "calls: the recorder did not keep up" in [mark.text for mark in marks]
    assert re.fullmatch(r"incomplete since \d+\.\d{3} s: the recorder did not keep up", meta["calls"])
    assert int(meta["lost"]) > 1000
    assert "calls" in cannot_tell(path)
