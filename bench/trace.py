"""What tracing costs the program: per send+recv pair, untraced, under Wallsocket and under strace, in C and Python.

The program sends itself 64 bytes over UDP and receives them, and times the loop alone. Wallsocket and strace record the
same calls into a file; "added" is the time per pair less the untraced time of the same round.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.measure import PATH, PEERS, Table, compiled, interleaved, present, ratios, spread

PAIRS = 15_000
REQUESTS = 10_000
WALLSOCKET = [sys.executable, "-m", "wallsocket", "trace", "-q"]
CALLS_ONLY = ["--no-kernel", "--no-lines", "--payload", "64"]

#: What Wallsocket records, in strace's words.
CALL_SET = (
    "%network,read,write,readv,writev,close,close_range,sendfile,splice,dup,dup2,dup3,fcntl,ioctl,poll,ppoll,select,"
    "pselect6,epoll_create,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait"
)


def _strace(output: Path) -> list[str]:
    return ["strace", "-f", "--seccomp-bpf", "-e", f"trace={CALL_SET}", "-s", "64", "-o", str(output)]


def run(rounds: int) -> list[Table]:
    """All tables about tracing."""
    with tempfile.TemporaryDirectory(prefix="wallsocket-bench-") as name:
        folder = Path(name)
        programs = {
            "C": [str(compiled("sysprog")), str(PAIRS)],
            "Python": [sys.executable, str(PEERS / "sysprog.py"), str(PAIRS)],
        }
        tables = [_pairs(rounds, folder, programs)]
        if present("redis-benchmark"):
            tables.append(_redis(rounds, folder))
        tables.append(_budgets(folder))
    return tables


def _tracers(folder: Path) -> dict[str, list[str]]:
    """Name of each way to trace, and the command line before the program's."""
    file = folder / "recording.wsrec"
    wallsocket = [*WALLSOCKET, "--overwrite", "-o", str(file)]
    tracers = {
        "wallsocket, calls only": [*wallsocket, *CALLS_ONLY, "--"],
        "wallsocket, calls only, --one-core": [*wallsocket, *CALLS_ONLY, "--one-core", "--"],
        "wallsocket, calls and kernel": [*wallsocket, "--no-lines", "--"],
        "wallsocket, calls and lines": [*wallsocket, "--no-kernel", "--"],
        "wallsocket, everything": [*wallsocket, "--"],
    }
    if present("strace"):
        tracers["strace -f --seccomp-bpf"] = _strace(folder / "strace.out")
        tracers["strace, pinned with the program to one core"] = ["taskset", "-c", "0", *_strace(folder / "strace.out")]
    if os.geteuid() == 0 and present("perf"):
        tracers["perf trace (root)"] = ["perf", "trace", "-o", str(folder / "perf.out"), "-e", "sendto,recvfrom"]
    return tracers


def _seconds(command: Sequence[str]) -> float:
    """What the program says of its loop."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return float(json.loads(done.stdout.splitlines()[-1])["secs"])


def _pairs(rounds: int, folder: Path, programs: dict[str, list[str]]) -> Table:
    table = Table(
        "Cost of tracing, µs per send+recv pair",
        ("program", "tracer", "time", "added", "added ÷ strace's added", "n"),
    )
    data = {}
    for language, program in programs.items():

        def trial(before: Sequence[str] = (), program: Sequence[str] = program) -> float:
            return _seconds([*before, *program]) / PAIRS * 1e6

        peers: dict[str, Callable[[], float]] = {"untraced": trial}
        for name, before in _tracers(folder).items():
            peers[name] = lambda before=before, trial=trial: trial(before)  # type: ignore[misc]
        results = interleaved(rounds, peers, f"pairs, {language}")
        data[language] = results
        added = {
            name: [a - b for a, b in zip(times, results["untraced"], strict=True)] for name, times in results.items()
        }
        reference = added.get("strace -f --seccomp-bpf")
        for name, times in results.items():
            ratio = spread(ratios(added[name], reference), 2) if reference and name != "untraced" else "–"
            table.rows.append(
                (
                    language,
                    name,
                    spread(times),
                    "–" if name == "untraced" else spread(added[name]),
                    ratio,
                    str(len(times)),
                )
            )
    table.notes.append(
        f"{PAIRS} pairs of 64 bytes over UDP to the program itself; median (lowest–highest); both record the same "
        "calls into a file. Ratios are taken within a round. Nothing is pinned but where it says so."
    )
    table.data = {"pairs": PAIRS, "microseconds": data}
    return table


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _redis_trial(before: Sequence[str], folder: Path) -> float:
    """Requests a second of a Redis server under a tracer, its client outside."""
    port = _free_port()
    command = [*before, "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PATH": PATH})
        try:
            ends_at = time.monotonic() + 30
            while b"Ready to accept" not in (folder / "redis.log").read_bytes():
                if server.poll() is not None or time.monotonic() > ends_at:
                    raise RuntimeError(f"no Redis: {(folder / 'redis.log').read_text()[-500:]}")
                time.sleep(0.02)
            asked = subprocess.run(
                ["redis-benchmark", "-p", str(port), "-t", "get", "-n", str(REQUESTS), "-c", "10", "--csv"],
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            )
        finally:
            # perf does not pass SIGTERM on; Redis itself is asked.
            subprocess.run(["redis-cli", "-p", str(port), "shutdown", "nosave"], capture_output=True, check=False)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.send_signal(signal.SIGKILL)
                server.wait()
    rows = list(csv.DictReader(io.StringIO(asked.stdout)))
    return float(rows[-1]["rps"])


def _redis(rounds: int, folder: Path) -> Table:
    peers: dict[str, Callable[[], float]] = {"untraced": lambda: _redis_trial([], folder)}
    for name, before in _tracers(folder).items():
        peers[name] = lambda before=before: _redis_trial(before, folder)  # type: ignore[misc]
    results = interleaved(rounds, peers, "Redis")
    table = Table(
        "redis-benchmark -t get -c 10, the server under each",
        ("tracer", "requests/s", "of untraced", "of strace's", "n"),
    )
    strace = results.get("strace -f --seccomp-bpf")
    for name, rates in results.items():
        table.rows.append(
            (
                name,
                spread(rates, 0),
                spread(ratios(rates, results["untraced"]), 2),
                spread(ratios(rates, strace), 2) if strace else "–",
                str(len(rates)),
            )
        )
    table.data = {"requests": REQUESTS, "per_second": results}
    return table


def _budgets(folder: Path) -> Table:
    """What a recording costs on disk and in memory, and what a program without sockets pays."""
    table = Table("Budgets", ("what", "measured", "goal"))
    program = str(compiled("sysprog"))

    recording = folder / "disk.wsrec"
    subprocess.run(
        [*WALLSOCKET, "-o", recording, "--no-kernel", "--no-lines", "--payload", "none", "--", program, "50000"],
        check=True,
        capture_output=True,
    )
    calls = _ask(recording, "SELECT count(*) FROM call")
    size = recording.stat().st_size / calls
    table.rows.append((f"bytes on disk per call, without payload ({calls} calls)", f"{size:.1f}", "≤ 120"))

    peak = _peak_memory_mib([*WALLSOCKET, "--overwrite", "-o", str(folder / "memory.wsrec"), "--", program, "50000"])
    recorded = _ask(folder / "memory.wsrec", "SELECT count(*) FROM call")
    table.rows.append(
        (f"guardian and recorder, highest resident memory, MiB ({recorded} calls)", f"{peak:.0f}", "≤ 100")
    )

    recording = folder / "stops.wsrec"
    busy = "import os; f = os.open('/dev/null', os.O_RDWR)\nfor _ in range(20000): os.write(f, b'x'); os.read(f, 1)"
    subprocess.run(
        [*WALLSOCKET, "--overwrite", "-o", recording, "--", sys.executable, "-c", busy], check=True, capture_output=True
    )
    stops = _ask(recording, "SELECT value FROM meta WHERE key = 'stops'")
    table.rows.append(("ptrace stops of a program that makes 40000 reads and writes and no socket", str(stops), "0"))

    help_ms = statistics.median(_milliseconds([sys.executable, "-m", "wallsocket", "--help"]) for _ in range(9))
    bare_ms = statistics.median(_milliseconds([sys.executable, "-c", "pass"]) for _ in range(9))
    table.rows.append((f"wallsocket --help, ms (bare Python: {bare_ms:.0f})", f"{help_ms:.0f}", "< 150"))
    table.data = {"bytes_per_call": size, "peak_mib": peak, "stops": stops, "help_ms": help_ms, "python_ms": bare_ms}
    return table


def _milliseconds(command: Sequence[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return (time.monotonic() - started) * 1e3


def _ask(recording: Path, question: str) -> int:
    database = sqlite3.connect(f"file:{recording}?mode=ro", uri=True)
    try:
        return int(database.execute(question).fetchone()[0])
    finally:
        database.close()


def _peak_memory_mib(command: Sequence[str]) -> float:
    """Highest resident memory of the command and of the guardian below it, added up."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for pid in {process.pid, *_guardians()}:
            try:
                with open(f"/proc/{pid}/status") as file:
                    highest = next((int(line.split()[1]) for line in file if line.startswith("VmHWM")), 0)
            except OSError:
                continue
            peaks[pid] = max(highest, peaks.get(pid, 0))
        time.sleep(0.01)
    return sum(peaks.values()) / 1024


def _guardians() -> set[int]:
    """The guardian that traces our program: it is no child of the recorder's, so it is known by its command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"guardian") and b"50000" in words:
                found.add(int(entry.name))
    return found
