"""What it takes to look at a machine full of sockets, and what pytest pays; parts of the benchmark ``diagnose``."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.measure import Missing, Table, interleaved, spread

__all__ = ["inspecting", "testing"]

WALLSOCKET = [sys.executable, "-m", "wallsocket"]
#: Ends of TCP connections that one process holds: its limit of descriptors is 20,000 at most in common containers.
ONE_HOLDS = 4_000
HOLDER = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
listener = socket.create_server(("127.0.0.1", 0), backlog=128)
held = []
for _ in range(int(sys.argv[1]) // 2):
    held += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
print("ready", flush=True)
sys.stdin.read()
"""
TESTS = """
import socket
import pytest

@pytest.mark.parametrize("number", range(200))
def test_plain(number):
    assert number >= 0

@pytest.mark.parametrize("number", range(20))
def test_sockets(number):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as one:
        accepted, _ = listener.accept()
        with accepted:
            one.sendall(b"x" * 1000)
            assert accepted.recv(1000)
"""


@contextmanager
def sockets(count: int) -> Iterator[list[int]]:
    """That many ends of connections, held by processes whose ids these are."""
    holders: list[subprocess.Popen[str]] = []
    try:
        for begin in range(0, count, ONE_HOLDS):
            words = [sys.executable, "-c", HOLDER, str(min(ONE_HOLDS, count - begin))]
            holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            holders.append(holder)
            assert holder.stdout is not None
            if "ready" not in holder.stdout.readline():
                raise Missing(f"{count:,} sockets cannot be had here")
        yield [holder.pid for holder in holders]
    finally:
        for holder in holders:
            holder.communicate("")


def timed(command: list[str], folder: str, statuses: tuple[int, ...] = (0,)) -> float:
    """Seconds of a command."""
    environment = {**os.environ, "XDG_STATE_HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    took = time.perf_counter() - start
    if done.returncode not in statuses:
        raise Missing(f"{' '.join(command[1:4])}: {done.stderr.strip()[-300:] or done.stdout.strip()[-300:]}")
    return took


def worked(command: list[str], folder: str, took: list[float]) -> float:
    """Processor seconds of a command; how long it took is added to ``took``."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    took.append(timed(command, folder, (0, 1)))
    return used() - before


def inspecting(rounds: int, counts: tuple[int, ...] = (1_000, 20_000)) -> Table:
    """``inspect`` of one process and of the whole machine, by how many sockets there are."""
    head = ("sockets", "command", "processor seconds", "seconds")
    table = Table("inspect, by ends of TCP connections on the machine", head)
    trials: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for count in counts:
            with sockets(count) as holders:
                words = {
                    "inspect --all": [*WALLSOCKET, "inspect", "--all", "--json"],
                    "inspect PID": [*WALLSOCKET, "inspect", "--json", str(holders[0])],
                }
                # Status 1 is a finding, such as about what others run on the machine.
                took: dict[str, list[float]] = {name: [] for name in words}
                peers = {name: partial(worked, command, folder, took[name]) for name, command in words.items()}
                for name, processor in interleaved(rounds, peers, f"{count:,} sockets").items():
                    table.rows.append((f"{count:,}", name, spread(processor, 2), spread(took[name], 2)))
                    trials[f"{name}, {count}"] = processor
    table.notes.append(f"The process has {ONE_HOLDS:,} of them at most. Starting Python is in it.")
    table.notes.append("inspect PID waits between its pictures; on a busy machine only processor time can be compared.")
    table.data = trials
    return table


def testing(rounds: int) -> Table:
    """A suite of 220 tests, 20 of them with sockets: without the plugin, with it, and with its options."""
    table = Table("pytest, 220 tests of which 20 use sockets", ("plugin", "seconds", "quickest run costs"))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        (Path(folder) / "test_it.py").write_text(TESTS)
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        ways = {
            "not loaded": [*pytest, "-p", "no:wallsocket"],
            "without its options": pytest,
            "--wallsocket-hang 30": [*pytest, "--wallsocket-hang", "30"],
            "--wallsocket": [*pytest, "--wallsocket"],
        }
        peers = {name: partial(timed, command, folder) for name, command in ways.items()}
        trials = interleaved(rounds, peers, "pytest")
    # The least disturbed run of each: the difference is a few milliseconds.
    least = min(trials["not loaded"])
    for name, seconds in trials.items():
        table.rows.append((name, spread(seconds, 3), f"{(min(seconds) - least) * 1e3:+.0f} ms"))
    table.data = trials
    return table
