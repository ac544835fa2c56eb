"""Programs that are attached to, inspected and recorded without stops again and again, and recordings that are damaged."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

from tests.diagnose.test_examples import lab_works
from tests.support.repository import ROOT
from wallsocket.trace.inspect import inspect
from wallsocket.trace.recording import Recording
from wallsocket.trace.run import attach, run
from wallsocket.trace.syscalls import names

pytestmark = [pytest.mark.soak, pytest.mark.timeout(14_400)]

ATTACHES = int(os.environ.get("SOAK_ATTACHES", "1000"))
INSPECTIONS = int(os.environ.get("SOAK_INSPECTIONS", "10000"))
#: Inspections at a time, between which the program is left alone for as long.
TURN = 20
DAMAGES = int(os.environ.get("SOAK_DAMAGES", "100000"))
PROCESSES, THREADS, SOCKETS = 1000, 500, 5000
NAMES = names("x86_64")


def attached_again_and_again(pid: int, folder: Path) -> None:
    path = folder / "attached.wsrec"
    for number in range(ATTACHES):
        # Sometimes long enough for calls to be seen, sometimes at once.
        result = attach([pid], output=path, replace=True, for_s=0.001 * (number % 5) ** 2)
        assert result.failure is None, (number, result.failure)
        assert result.end == "time limit", (number, result.end)


def test_waits_that_are_attached_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "waits"
    subprocess.run(["gcc", "-w", "-O1", "-pthread", "-o", program, ROOT / "tests/programs/waits.c"], check=True)
    with subprocess.Popen([program, "500"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            attached_again_and_again(process.pid, tmp_path)
            process.stdin.write("?\n")
            process.stdin.flush()
            interrupted, early, rounds = map(int, process.stdout.readline().split())
        finally:
            process.kill()
    with capsys.disabled():
        print(f"\nattached {ATTACHES} times: {interrupted} waits interrupted, {early} ended early, {rounds} rounds")
    assert (interrupted, early) == (0, 0)
    assert rounds > 0


@pytest.mark.skipif(shutil.which("redis-benchmark") is None, reason="needs redis (apt install redis)")
def test_redis_under_load_that_is_attached_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    client = ["redis-cli", "-p", port]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 60
            while subprocess.run([*client, "ping"], capture_output=True, check=False).stdout != b"PONG\n":
                assert time.monotonic() < deadline, "redis does not answer"
                time.sleep(0.05)
            load = ["redis-benchmark", "-p", port, "-t", "incr", "-c", "20", "-n", "1000000000"]
            with subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as benchmark:
                attached_again_and_again(server.pid, tmp_path)
                assert benchmark.poll() is None, benchmark.stderr.read() if benchmark.stderr is not None else b""
                benchmark.terminate()
            said = subprocess.run([*client, "info", "all"], capture_output=True, text=True, check=True).stdout
        finally:
            server.terminate()
    found = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    with capsys.disabled():
        print(f"\nattached {ATTACHES} times to redis: {found['total_commands_processed']} commands, no error")
    assert int(found["total_error_replies"]) == 0
    assert int(found["rejected_connections"]) == 0
    # Each command was answered: the next of a connection is sent then.
    assert int(found["total_commands_processed"]) > ATTACHES


BUSY = """
import asyncio, sys, threading, time

async def worker(number):
    while True:
        await asyncio.to_thread(time.sleep, 0.002)
        await asyncio.sleep(0)

async def measure():
    waits = []
    loop = asyncio.get_running_loop()
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        waits.append(time.perf_counter() - began)
        if asked.is_set():
            asked.clear()
            waits.sort()
            print(*(f"{waits[len(waits) * share // 100] * 1000:.3f}" for share in (50, 99)), flush=True)
            waits.clear()

async def main():
    tasks = [asyncio.create_task(worker(n), name=f"worker-{n}") for n in range(20)]
    tasks.append(asyncio.create_task(measure(), name="measure"))
    print("ready", flush=True)
    await asyncio.gather(*tasks)

asked = threading.Event()
threading.Thread(target=lambda: [asked.set() for _ in sys.stdin], daemon=True).start()
asyncio.run(main())
"""


def test_a_busy_loop_that_is_inspected(capsys: pytest.CaptureFixture[str]) -> None:
    known = {f"worker-{number}" for number in range(20)} | {"measure", "Task-1"}
    words = [sys.executable, "-c", BUSY]
    seen: Counter[str] = Counter()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def waits_ms() -> list[float]:
            """p50 and p99 since it was asked last."""
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("?\n")
            process.stdin.flush()
            return [float(word) for word in process.stdout.readline().split()]

        alone, inspected = [], []
        try:
            assert process.stdout.readline() == "ready\n"
            took_s = 5.0
            for begin in range(0, INSPECTIONS, TURN):
                # In turns of the same length, so that whatever else the machine does concerns both.
                waits_ms()
                time.sleep(took_s)
                alone.append(waits_ms())
                began = time.monotonic()
                for number in range(begin, min(begin + TURN, INSPECTIONS)):
                    found = inspect(str(process.pid), interval_s=0.001)
                    told = [task.name for task in found.tasks]
                    assert set(told) <= known, (number, told)
                    assert len(told) == len(set(told)), (number, told)
                    seen.update(told)
                inspected.append(waits_ms())
                took_s = time.monotonic() - began
        finally:
            process.kill()
    middle = [[f"{median(column):.2f}" for column in zip(*turns, strict=True)] for turns in (alone, inspected)]
    with capsys.disabled():
        share = sum(seen.values()) / INSPECTIONS / len(known)
        print(
            f"\n{INSPECTIONS} inspections: {share:.3f} of the tasks seen; p50 and p99 in ms, medians of {len(alone)} turns:"
        )
        print(f"alone {middle[0]}, inspected {middle[1]}")
    assert set(seen) == known


#: Examples whose recordings are damaged: every table has rows in one of them.
DAMAGED = [
    *("datagram-truncated", "linger-zero", "nagle-delayed-ack"),
    *("passed-descriptors", "threads-share-stream", "tls-alert"),
]


def test_damaged_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = []
    for rule in DAMAGED:
        path = tmp_path / f"{rule}.wsrec"
        words = [sys.executable, str(ROOT / f"src/wallsocket/diagnose/examples/{rule}/broken.py")]
        run(words, output=path, lab=lab_works())
        good.append(str(path))
    seed = os.environ.get("SOAK_SEED", "1")
    # In a process of its own: what crashes or hangs ends that one.
    words = [sys.executable, "-m", "tests.support.damaged", seed, str(DAMAGES), str(tmp_path), *good]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=14_000, cwd=ROOT)
    with capsys.disabled():
        print(f"\n{DAMAGES} damaged recordings: {done.stdout.strip()}")
    assert done.returncode == 0, (tmp_path / "doing").read_text() + done.stderr[-3000:]


FAMILY = f"""
import os, socket, threading
def talk():
    a, b = socket.socketpair()
    for _ in range(3):
        a.send(b"x"); b.recv(1)
    a.close(); b.close()
for _ in range({PROCESSES}):
    pid = os.fork()
    if pid == 0:
        talk()
        os._exit(0)
    os.waitpid(pid, 0)
gate = threading.Barrier({THREADS})
def thread():
    gate.wait()
    talk()
threads = [threading.Thread(target=thread) for _ in range({THREADS})]
for one in threads: one.start()
for one in threads: one.join()
many = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range({SOCKETS})]
for one in many:
    one.bind(("127.0.0.1", 0))
    one.sendto(b"self", one.getsockname())
    one.recv(4)
"""


@pytest.mark.parametrize("via", ["ptrace", "preload"])
def test_a_large_family(via: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sh", "-c", 'ulimit -n 8192; exec "$@"', "sh", sys.executable, "-c", FAMILY]
    result = run(words, output=tmp_path / "r.wsrec", via=via)  # type: ignore[arg-type]
    assert (result.exit_status, result.lost) == (0, 0)
    with Recording.open(tmp_path / "r.wsrec") as recording:
        made = Counter(NAMES[call.number] for call in recording.calls() if call.result is not None)
        assert len(recording.processes) >= PROCESSES + 1
        assert all(process.ended_ns is not None for process in recording.processes.values())
        assert all(one.ended_ns is not None for one in recording.sockets.values())
    talks = PROCESSES + THREADS
    with capsys.disabled():
        print(f"\n{via}: {json.dumps(made)}, {result.stops} stops")
    assert (made["socketpair"], made["bind"]) == (talks, SOCKETS)
    assert made["sendto"] == made["recvfrom"] == 3 * talks + SOCKETS
    assert made["close"] >= 2 * talks
