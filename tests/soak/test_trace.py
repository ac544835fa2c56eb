"""Long runs of tracing and inspecting: nothing grows, nothing is lost, no moment is a bad one to die at."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from wallsocket.trace.recording import Recording

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

WALLSOCKET = [sys.executable, "-m", "wallsocket"]
SEED = int(os.environ.get("SOAK_SEED", "1"))

#: Sends to itself for ever; the file named by its argument has the number of rounds.
COUNTER = """
import os, socket, sys
a, b = socket.socketpair()
progress = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
count = 0
while True:
    a.send(b"x")
    b.recv(1)
    count += 1
    os.pwrite(progress, b"%020d" % count, 0)
"""

CHILDREN = """
import os, socket
for number in range(3000):
    pid = os.fork()
    if pid == 0:
        a, b = socket.socketpair()
        a.send(b"child")
        b.recv(10)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def value_kib(pid: int, name: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def family(pid: int) -> list[int]:
    """A process and all that come from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(word) for word in task.read_text().split()]
            except OSError:
                continue
    return found


class Peaks:
    """The most memory and descriptors that the recorder and the guardian had."""

    def __init__(self) -> None:
        self.memory_mib: dict[str, float] = {}
        self.descriptors: dict[str, int] = {}

    def watch(self, process: subprocess.Popen[bytes]) -> int:
        while process.poll() is None:
            for name, pid in (("recorder", process.pid), *(("guardian", pid) for pid in guardians(process.pid))):
                self.memory_mib[name] = max(self.memory_mib.get(name, 0), value_kib(pid, "VmHWM") / 1024)
                try:
                    count = len(os.listdir(f"/proc/{pid}/fd"))
                except OSError:
                    continue
                self.descriptors[name] = max(self.descriptors.get(name, 0), count)
            time.sleep(0.2)
        return process.wait()


def guardians(recorder: int) -> Iterator[int]:
    for pid in family(recorder):
        try:
            if os.readlink(f"/proc/{pid}/exe").endswith("/guardian"):
                yield pid
        except OSError:
            continue


def traced(recording: Path, *command: object, via: str = "auto") -> subprocess.Popen[bytes]:
    words = [*WALLSOCKET, "trace", "-q", "--via", via, "-o", str(recording), "--", *(str(word) for word in command)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def sysprog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("sysprog") / "sysprog"
    subprocess.run(["gcc", "-O2", "-w", "-o", program, ROOT / "bench/peers/sysprog.c"], check=True)
    return program


def test_a_million_calls(sysprog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peaks = Peaks()
    recording = tmp_path / "r.wsrec"
    assert peaks.watch(traced(recording, sysprog, 500_000)) == 0
    with Recording.open(recording) as opened:
        assert opened.meta["lost"] == "0"
        assert sum(1 for _ in opened.calls()) >= 1_000_000
    with capsys.disabled():
        print(f"\n1,000,000 calls: {peaks.memory_mib} MiB, {recording.stat().st_size / 1e6:.0f} MB on disk")
    assert max(peaks.memory_mib.values()) < 100


def test_thousands_of_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peaks = Peaks()
    recording = tmp_path / "r.wsrec"
    assert peaks.watch(traced(recording, sys.executable, "-c", CHILDREN)) == 0
    with Recording.open(recording) as opened:
        assert len(opened.processes) == 3001
        assert all(process.ended_ns is not None for process in opened.processes.values())
        assert opened.meta["lost"] == "0"
    with capsys.disabled():
        print(f"\n3,000 processes: {peaks.memory_mib} MiB, descriptors {peaks.descriptors}")
    assert max(peaks.descriptors.values()) < 64
    assert max(peaks.memory_mib.values()) < 100


@contextmanager
def counting(
    tmp_path: Path, number: int, via: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path, Callable[[], int]]]:
    recording, progress = tmp_path / f"{number}.wsrec", tmp_path / f"{number}.progress"
    process = traced(recording, sys.executable, "-c", COUNTER, progress, via=via)
    pids: set[int] = set()

    def count() -> int:
        pids.update(family(process.pid))
        try:
            return int(progress.read_bytes() or b"0")
        except FileNotFoundError:
            return 0

    try:
        yield process, recording, count
    finally:
        for pid in sorted(pids | set(family(process.pid)), reverse=True):
            try:
                if str(progress).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        process.wait()


def until(count: Callable[[], int], least: int, otherwise: str) -> None:
    """Wait for the program's progress."""
    deadline = time.monotonic() + 60
    while count() < least:
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


@pytest.mark.parametrize("via", ["ptrace", "preload"])
def test_the_recorder_may_be_killed_at_any_moment(via: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for number in range(200):
        with counting(tmp_path, number, via) as (process, recording, count):
            until(count, 1, f"run {number}: the program did not start")
            wait_s = chance.uniform(0, 0.6)
            time.sleep(wait_s)
            process.kill()
            process.wait()
            at_death = count()
            until(count, at_death + 100, f"run {number}: the program stood still after {wait_s:.3f} s")
            if wait_s > 0.25:
                with Recording.open(recording) as opened:
                    assert sum(1 for _ in opened.calls()) > 0, f"run {number}: killed after {wait_s:.3f} s"


@pytest.mark.parametrize("via", ["ptrace", "preload"])
def test_the_guardians_death_ends_the_program_and_leaves_the_recording(via: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for number in range(50):
        with counting(tmp_path, number, via) as (process, recording, count):
            until(count, 1, f"run {number}: the program did not start")
            wait_s = chance.uniform(0, 0.6)
            time.sleep(wait_s)
            (guardian, *_) = guardians(process.pid)
            os.kill(guardian, signal.SIGKILL)
            assert process.wait(60) == 128 + signal.SIGKILL
            before = count()
            with Recording.open(recording) as opened:
                seen = sum(1 for _ in opened.calls())
            # What the guardian had not handed on yet is lost with it.
            assert seen > 0 or wait_s < 0.25, f"run {number}: killed after {wait_s:.3f} s"
            assert count() == before


#: Runs where no other sockets are: a picture holds those of the whole network namespace.
INSPECTOR = """
import os, subprocess, sys
from wallsocket.trace.inspect import inspect

WAITS = '''
import socket, threading
a, b = socket.socketpair()
for _ in range(8):
    threading.Thread(target=b.recv, args=(1,)).start()
print("ready", flush=True)
b.recv(1)
'''

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

target = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE)
target.stdout.readline()
theirs = os.listdir(f"/proc/{target.pid}/fd")
for number in range(550):
    if number == 50:
        ours, before = len(os.listdir("/proc/self/fd")), memory()
    found = inspect(str(target.pid), interval_s=0.02)
    assert {thread.call for thread in found.threads} == {"recvfrom"}, found.threads
assert os.listdir(f"/proc/{target.pid}/fd") == theirs
assert len(os.listdir("/proc/self/fd")) == ours
print("grown by", memory() - before, "KiB")
target.kill()
assert memory() - before < 10_000
"""


def test_inspect_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["unshare", "--user", "--net", "--map-current-user", sys.executable, "-c", INSPECTOR]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    with capsys.disabled():
        print(f"\n500 inspections: {done.stdout.strip()}")


def test_no_kill_of_the_command_leaves_an_unreadable_recording(tmp_path: Path) -> None:
    library = tmp_path / "dies_at.so"
    source = ROOT / "tests" / "programs" / "dies_at.c"
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    # Only the recorder is to die: what it starts does not inherit the library's order.
    start = (
        "import os, sys; os.environ.pop('LD_PRELOAD'); from wallsocket.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    talk = "import socket; a, b = socket.socketpair(); [(a.send(b'x' * 900), b.recv(999)) for _ in range(300)]"
    killed = 0
    for number in range(1, 201):
        path = tmp_path / f"{number}.wsrec"
        done = subprocess.run(
            [sys.executable, "-c", start, "explain", "-q", "-o", str(path), "--", sys.executable, "-c", talk],
            env={**os.environ, "LD_PRELOAD": str(library), "DIES_AT": str(number)},
            capture_output=True,
            timeout=120,
            check=False,
        )
        killed += done.returncode == -signal.SIGKILL
        if path.exists():
            with Recording.open(path) as recording:
                assert sum(1 for _ in recording.events()) >= 0
                list(recording.findings())
    assert killed > 30
