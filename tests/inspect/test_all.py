"""`inspect --all`: of every socket of the machine only what is sick is told, and what comes of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from wallsocket.trace.inspect.machine import examine

from .conftest import Program, run_inspect

Start = Callable[..., Program]


def sick(*arguments: object) -> list[dict[str, Any]]:
    done = run_inspect("--all", "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["summary"]["sockets"] > 0
    return [line["sick"] for line in lines if "sick" in line]


def of(port: int | str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said of this test's own sockets: others on the machine may be sick as well."""
    return [one for one in found if str(port) in {str(one[end]).rpartition(":")[2] for end in ("local", "peer")}]


@pytest.fixture
def connect() -> Iterator[Callable[[int | str], socket.socket]]:
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(socket.create_connection(("127.0.0.1", int(port))))


LISTENER = (
    "import socket, time\nlistener = socket.create_server(('127.0.0.1', 0), backlog=2)\n"
    "print(listener.getsockname()[1], flush=True)\n"
)


def test_connections_that_nobody_accepts(start: Start, connect: Callable[[int | str], socket.socket]) -> None:
    server = start(name="server.py", source=LISTENER + "time.sleep(100)\n")
    connect(server.said)
    connect(server.said)
    (found,) = of(server.said, sick())
    assert (found["kind"], found["severity"], found["rule"]) == ("accept-queue", "warning", "accept-queue-stands")
    assert "2 of 2 connections stand" in found["why"]
    (who,) = found["processes"]
    assert (who["pid"], who["command"], who["call"]) == (server.pid, "server.py", "clock_nanosleep")
    assert (who["file"].rsplit("/")[-1], who["line"]) == ("server.py", 4)
    assert "server.py:4" in found["cause"]
    connect(server.said)
    (found,) = of(server.said, sick())
    assert (found["severity"], found["rule"]) == ("error", "accept-queue-full")


def test_close_wait_that_grows(start: Start, connect: Callable[[int | str], socket.socket]) -> None:
    source = LISTENER.replace("backlog=2", "backlog=99") + "kept = []\nwhile True: kept.append(listener.accept()[0])\n"
    server = start(name="server.py", source=source)
    for _ in range(5):
        connect(server.said).shutdown(socket.SHUT_WR)
    found = of(server.said, sick())
    assert [(one["kind"], one["count"]) for one in found] == [("close-wait", 5)]
    assert found[0]["severity"] == "warning"
    assert [one["pid"] for one in found[0]["processes"]] == [server.pid]


def test_data_that_nobody_reads_at_both_ends(start: Start, connect: Callable[[int | str], socket.socket]) -> None:
    endless = "connection, _ = listener.accept()\nwhile True: connection.sendall(bytes(1 << 20))\n"
    server = start(name="server.py", source=LISTENER + endless)
    mine = connect(server.said)
    mine.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            mine.sendall(bytes(1 << 20))
    time.sleep(0.5)  # the last bytes find their way
    found = of(server.said, sick())
    assert [one["kind"] for one in found] == ["deadlock"], found
    assert found[0]["severity"] == "error"
    assert {one["pid"] for one in found[0]["processes"]} == {server.pid, os.getpid()}


def test_datagrams_that_are_dropped_now(start: Start) -> None:
    flood = (
        "import socket, sys\nsender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nprint('sends', flush=True)\n"
        "while True: sender.sendto(bytes(1000), ('127.0.0.1', int(sys.argv[1])))\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        start(receiver.getsockname()[1], source=flood)
        deadline = time.monotonic() + 30
        found: list[dict[str, Any]] = []
        while not any(one["grew"] for one in found) and time.monotonic() < deadline:
            found = of(receiver.getsockname()[1], sick())
    assert [(one["kind"], one["severity"]) for one in found] == [("drops", "warning")]
    assert found[0]["grew"] > 0


def test_descriptors_near_their_limit(start: Start) -> None:
    source = (
        "import resource, socket, time\nresource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\nkept = []\n"
        "for _ in range(180): kept.append(socket.socket())\nprint('full', flush=True)\ntime.sleep(100)\n"
    )
    full = start(name="full.py", source=source)
    found = [one for one in sick() if one["kind"] == "descriptors" and one["processes"][0]["pid"] == full.pid]
    assert [one["severity"] for one in found] == ["warning"]
    assert "of 200 descriptors" in found[0]["why"]


def test_healthy_sockets_are_not_told(start: Start, connect: Callable[[int | str], socket.socket]) -> None:
    source = (
        LISTENER + "connection, _ = listener.accept()\nwhile data := connection.recv(100): connection.sendall(data)\n"
    )
    server = start(name="server.py", source=source)
    mine = connect(server.said)
    mine.sendall(b"hello")
    assert mine.recv(100) == b"hello"
    assert of(server.said, sick()) == []
    with socket.create_server(("127.0.0.1", 0)) as idle:
        assert of(idle.getsockname()[1], sick()) == []


def test_only_one_users_sockets(start: Start, connect: Callable[[int | str], socket.socket]) -> None:
    server = start(name="server.py", source=LISTENER + "time.sleep(100)\n")
    connect(server.said)
    assert of(server.said, sick("--user", os.geteuid()))
    assert of(server.said, sick("--user", 54_321)) == []
    assert of(server.said, sick(os.getpid()))
    assert run_inspect("--all", "--user", "nobody-is-called-so").returncode == 2


def test_it_is_told_to_people(start: Start, connect: Callable[[int | str], socket.socket]) -> None:
    server = start(name="server.py", source=LISTENER + "time.sleep(100)\n")
    connect(server.said)
    done = run_inspect("--all", "--fail-on", "warning")
    assert done.returncode == 1
    assert f"accept-queue  server.py (pid {server.pid})" in done.stdout
    assert f"wallsocket inspect {server.pid}" in done.stdout
    assert "sockets" in done.stdout.splitlines()[-1]
    assert run_inspect().returncode == 2


CROWD = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
kept = []
for _ in range(int(sys.argv[1])):
    kept.append(socket.create_connection(listener.getsockname()))
    kept.append(listener.accept()[0])
print("there", flush=True)
time.sleep(100)
"""


def test_the_time_grows_with_the_sockets_not_with_their_square(start: Start) -> None:
    def took_s(connections: int) -> float:
        before = time.process_time()
        running = subprocess.Popen(
            [sys.executable, "-c", CROWD, str(connections)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        try:
            assert running.stdout is not None
            running.stdout.readline()
            before = time.process_time()
            assert examine(interval_s=0.01).sockets >= 2 * connections
            return time.process_time() - before
        finally:
            running.kill()
            running.wait()
            assert running.stdout is not None
            running.stdout.close()

    few, many = took_s(250), took_s(4000)
    # Sixteen times as many: the square would be 256.
    assert many < 40 * few + 0.1
