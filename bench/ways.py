"""What each way to record costs a program: none, the preloaded library, ptrace, and strace beside them.

A program's own processor time does not depend on what else the machine does; requests a second do. Both are shown. strace
writes the same calls into a file.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import PATH, PEERS, Table, compiled, interleaved, present, ratios, spread
from bench.trace import CALL_SET

ROUNDS_OF_CALLS = {"C": 20_000, "Python": 10_000}
REDIS_REQUESTS = 30_000
WRK_S = 3
ENVIRONMENT = {**os.environ, "PATH": PATH}


def run(rounds: int) -> list[Table]:
    """All tables."""
    with tempfile.TemporaryDirectory(prefix="wallsocket-bench-") as name:
        folder = Path(name)
        # nginx gives up what root may read.
        folder.chmod(0o755)
        tables = [_calls(rounds, folder)]
        if present("redis-benchmark"):
            tables.append(_served(rounds, folder, _REDIS))
        if present("wrk"):
            tables += [
                _served(rounds, folder, service)
                for service in (_NGINX, _UVICORN)
                if present(service.needs, f"{Path(sys.executable).parent}:{PATH}")
            ]
    return tables


def _ways(folder: Path) -> dict[str, list[str]]:
    """Name of each way, and the command line before the program's."""
    wallsocket = [sys.executable, "-m", "wallsocket", "trace", "-q", "--overwrite", "-o", str(folder / "run.wsrec")]
    ways: dict[str, list[str]] = {"none": []}
    for via in ("preload --no-wire", "preload", "ptrace"):
        ways[f"--via {via}"] = [*wallsocket, "--via", *via.split(), "--"]
    if present("strace"):
        ways["strace -f --seccomp-bpf"] = [
            *("strace", "-f", "--seccomp-bpf", "-e", f"trace={CALL_SET}", "-s", "64", "-o", str(folder / "strace.out"))
        ]
    return ways


def _calls(rounds: int, folder: Path) -> Table:
    table = Table(
        "What a call costs by each way, µs",
        ("program", "way", "processor time of the program", "added", "by the clock", "added", "n"),
    )
    data = {}
    programs = {"C": [str(compiled("calls"))], "Python": [sys.executable, str(PEERS / "calls.py")]}
    for language, program in programs.items():
        clock: dict[str, list[float]] = {}
        command = [*program, str(ROUNDS_OF_CALLS[language])]
        peers = {name: _loop([*before, *command], clock.setdefault(name, [])) for name, before in _ways(folder).items()}
        processor = interleaved(rounds, peers, f"calls, {language}")
        data[language] = {"processor": processor, "clock": clock}
        for name, times in processor.items():
            added = [
                "–" if name == "none" else spread([a - b for a, b in zip(all_[name], all_["none"], strict=True)], 2)
                for all_ in (processor, clock)
            ]
            table.rows.append(
                (language, name, spread(times, 2), added[0], spread(clock[name], 2), added[1], str(len(times)))
            )
    table.notes.append(
        "send and recv of 64 bytes over a socketpair, after 1,000 rounds that are not counted; median (lowest–highest), "
        "differences within a round. By the clock the program also waits for whoever records, and for its processor."
    )
    table.data = data
    return table


def _loop(command: Sequence[str], clock: list[float]) -> Callable[[], float]:
    """A trial: microseconds of processor time per call; those by the clock are added to ``clock``."""

    def trial() -> float:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        said = json.loads(done.stdout.splitlines()[-1])
        calls = 2 * int(command[-1])
        clock.append(said["secs"] / calls * 1e6)
        return float(said["processor"] / calls * 1e6)

    return trial


@dataclass(frozen=True)
class _Service:
    """A server, and what asks it."""

    title: str
    needs: str
    #: From the folder and the port: the command, with what it needs in its environment.
    command: Callable[[Path, int], tuple[list[str], dict[str, str]]]
    #: Requests, and seconds.
    ask: Callable[[int], tuple[float, float]]
    #: Where its process id stands, in the folder.
    pid_file: str


def _redis_command(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return [*words, "--pidfile", str(folder / "redis.pid")], {}


def _ask_redis(port: int) -> tuple[float, float]:
    words = ["redis-benchmark", "-p", str(port), "-t", "get", "-n", str(REDIS_REQUESTS), "--csv"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    return REDIS_REQUESTS, REDIS_REQUESTS / float(list(csv.DictReader(io.StringIO(done.stdout)))[-1]["rps"])


def _nginx_command(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;\n"
        f"events {{ worker_connections 256; }}\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{port}; "
        f'location / {{ return 200 "hello world\\n"; }} }} }}\n'
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], {}


def _uvicorn_command(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    words = [sys.executable, "-m", "uvicorn", "--app-dir", str(PEERS), "--port", str(port), "--log-level", "error"]
    return [*words, "--no-access-log", "app:app"], {"APP_PID": str(folder / "app.pid")}


def _ask_wrk(port: int) -> tuple[float, float]:
    words = ["wrk", "-t1", "-c16", f"-d{WRK_S}", f"http://127.0.0.1:{port}/"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300, env=ENVIRONMENT)
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1]), float(found[2]) * (1e-3 if found[3] == "ms" else 1)


_REDIS = _Service("redis-benchmark -t get, 50 connections", "redis-server", _redis_command, _ask_redis, "redis.pid")
_NGINX = _Service("nginx with one worker, wrk with 16 connections", "nginx", _nginx_command, _ask_wrk, "nginx.pid")
_UVICORN = _Service("a uvicorn service, wrk with 16 connections", "uvicorn", _uvicorn_command, _ask_wrk, "app.pid")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(service: _Service, before: Sequence[str], folder: Path) -> Iterator[tuple[int, int]]:
    """The service behind the words ``before``: its port and process."""
    port = _free_port()
    command, more = service.command(folder, port)
    pid_file = folder / service.pid_file
    pid_file.unlink(missing_ok=True)
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen([*before, *command], stdout=log, stderr=log, env={**ENVIRONMENT, **more})
    pid = None
    try:
        ends_at = time.monotonic() + 60
        while pid is None or not _accepts(port):
            if server.poll() is not None or time.monotonic() > ends_at:
                raise RuntimeError(f"no {service.needs}: {(folder / 'server.log').read_text()[-500:]}")
            time.sleep(0.02)
            if pid_file.exists() and (text := pid_file.read_text().strip()):
                pid = int(text)
        yield port, pid
    finally:
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _processor_s(pid: int) -> float:
    """User and system time of a process and its children, which live."""
    ticks = 0
    for one in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _served(rounds: int, folder: Path, service: _Service) -> Table:
    rates: dict[str, list[float]] = {}

    def trial(name: str, before: Sequence[str]) -> float:
        with _running(service, before, folder) as (port, pid):
            spent_s = _processor_s(pid)
            requests, seconds = service.ask(port)
            spent_s = _processor_s(pid) - spent_s
        rates.setdefault(name, []).append(requests / seconds)
        return spent_s / requests * 1e6

    peers: dict[str, Callable[[], float]] = {
        name: lambda name=name, before=before: trial(name, before)  # type: ignore[misc]
        for name, before in _ways(folder).items()
    }
    costs = interleaved(rounds, peers, service.title)
    table = Table(
        service.title,
        ("way", "requests/s", "of none's", "processor time of the server per request, µs", "of none's", "n"),
    )
    for name in peers:
        table.rows.append(
            (
                name,
                spread(rates[name], 0),
                spread(ratios(rates[name], rates["none"]), 2),
                spread(costs[name]),
                spread(ratios(costs[name], costs["none"]), 2),
                str(len(rates[name])),
            )
        )
    table.data = {"per_second": rates, "processor_us": costs}
    return table
