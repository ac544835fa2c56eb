"""Endpoints beside hand-written code and other libraries.

Every server answers each message in upper case. It runs on core 0; the load generator of bench/peers, a closed loop in C,
runs on core 1. Each round runs every server once, and ratios are taken within a round: that is what a shared machine leaves
comparable. ``foreign`` is the median number of cores that other processes took: above 0.2 a table is weak.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.measure import Table, compiled, ratios, spread

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
TICKS = os.sysconf("SC_CLK_TCK")

OURS = [sys.executable, str(HERE / "endpoints_server.py"), "{port}"]
TCP_PEER = [sys.executable, str(PEERS / "tcp_server.py"), "{port}"]
UDP_PEER = [sys.executable, str(PEERS / "udp_server.py"), "{port}"]

#: name -> command. "threads" is hand-written correct code: all complete frames of one recv, answered by one sendall.
TCP_SERVERS = {
    "threads (hand-written)": [*TCP_PEER, "threads"],
    "wallsocket sync": [*OURS, "tcp-sync"],
    "wallsocket sync, one message a call": [*OURS, "tcp-sync-each"],
    "asyncio streams": [*TCP_PEER, "asyncio-streams"],
    "anyio streams": [*OURS, "tcp-anyio"],
    "trio (hand-written)": [*TCP_PEER, "trio"],
    "uvloop Protocol (hand-written)": [*TCP_PEER, "uvloop-proto"],
    "wallsocket aio, asyncio": [*OURS, "tcp-asyncio"],
    "wallsocket aio, asyncio, one message a call": [*OURS, "tcp-asyncio-each"],
    "wallsocket aio, trio": [*OURS, "tcp-trio"],
    "wallsocket aio, uvloop": [*OURS, "tcp-uvloop"],
}
UDP_SERVERS = {
    "recvfrom/sendto (hand-written)": [*UDP_PEER, "recvfrom"],
    "wallsocket sync": [*OURS, "udp-sync"],
    "wallsocket sync, one datagram a call": [*OURS, "udp-sync-each"],
    "asyncio DatagramProtocol": [*UDP_PEER, "asyncio"],
    "anyio UDP": [*OURS, "udp-anyio"],
    "trio socket (hand-written)": [*UDP_PEER, "trio"],
    "uvloop DatagramProtocol": [*UDP_PEER, "uvloop"],
    "wallsocket aio, asyncio": [*OURS, "udp-asyncio"],
    "wallsocket aio, asyncio, one datagram a call": [*OURS, "udp-asyncio-each"],
    "wallsocket aio, trio": [*OURS, "udp-trio"],
}
#: mode -> arguments of the load generator behind address and port.
TCP_MODES = {"1 in flight": ["1", "1"], "16 in flight": ["1", "16"]}
UDP_MODES = {"1 in flight": ["1"], "64 in flight": ["64"]}

#: transport, mode ("" for all), ours, peer, least ratio, what it means. asyncio's DatagramProtocol loses to the 256 KiB buffer
#: of each receive, which tells when many wait; with one in flight even C is only 2.4 times as fast, for the rest is the wait.
GOALS = [
    ("tcp", "", "wallsocket sync", "threads (hand-written)", 1 / 1.3, "sync within 1.3× of hand-written"),
    ("tcp", "", "wallsocket aio, asyncio", "asyncio streams", 1.0, "async at or above asyncio's streams"),
    ("tcp", "", "wallsocket aio, asyncio", "anyio streams", 1.0, "async at or above anyio's streams"),
    (
        "udp",
        "64 in flight",
        "wallsocket aio, asyncio",
        "asyncio DatagramProtocol",
        3.0,
        "UDP async 3× DatagramProtocol",
    ),
]
#: Seconds of each trial.
SECONDS = 0.5


def pinned(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else command


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def busy_s() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / TICKS


def own_s(pid: int) -> float:
    used = cpu_s(pid)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        used += usage.ru_utime + usage.ru_stime
    return used


def trial(server: subprocess.Popen[bytes], load: list[str]) -> dict[str, float]:
    own, busy, began = own_s(server.pid), busy_s(), time.monotonic()
    server_cpu = cpu_s(server.pid)
    done = subprocess.run(pinned(1, load), capture_output=True, text=True, timeout=60)
    took = time.monotonic() - began
    if done.returncode or not done.stdout:
        raise RuntimeError(f"{' '.join(load)}: {done.stderr.strip() or done.stdout.strip()}")
    result: dict[str, float] = json.loads(done.stdout)
    if result.get("bad"):
        raise RuntimeError(f"{' '.join(load)}: {result['bad']:.0f} wrong answers")
    result["server_cpu"] = (cpu_s(server.pid) - server_cpu) / took
    result["foreign"] = ((busy_s() - busy) - (own_s(server.pid) - own)) / took
    return result


def missing(name: str) -> str | None:
    """Say what a server needs that is not installed."""
    if "uvloop" in name:
        try:
            import uvloop  # noqa: F401
        except ImportError:
            return "uvloop is not installed"
    return None


def measured(transport: str, servers: dict[str, list[str]], modes: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    load_program = str(compiled(f"{transport}_load"))
    results: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    port = 20_000 + os.getpid() % 20_000
    chosen = dict(servers)
    for name in [name for name in chosen if missing(name)]:
        print(f"left out: {transport} {name}: {missing(name)}", file=sys.stderr)
        del chosen[name]
    for _ in range(rounds):
        for name, command in chosen.items():
            port += 1
            command = pinned(0, [part.replace("{port}", str(port)) for part in command])
            environment = {**os.environ, "WALLSOCKET_REASONS": "off"}
            with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as server:
                try:
                    assert server.stdout is not None
                    if server.stdout.readline().strip() != b"ready":
                        raise RuntimeError(f"{name} did not start")
                    for mode, arguments in modes.items():
                        load = [load_program, "127.0.0.1", str(port), *arguments, str(SECONDS)]
                        if transport == "udp":
                            load.append("block")
                        results[mode][name].append(trial(server, load))
                finally:
                    server.kill()
    return results


def table(transport: str, mode: str, by_name: dict[str, list[dict[str, float]]], base: str) -> Table:
    made = Table(
        f"{transport.upper()}, {mode}",
        ["server", "thousand/s", "p50 µs", "p99 µs", "server CPU", f"× {base}", "foreign"],
        data=by_name,
    )
    for name, trials in by_name.items():

        def middle(field: str, trials: list[dict[str, float]] = trials) -> float:
            return statistics.median(each[field] for each in trials)

        rates, floor = ([each["rate"] / 1000 for each in some] for some in (trials, by_name[base]))
        made.rows.append(
            [
                f"**{name}**" if name.startswith("wallsocket") else name,
                spread(rates), f"{middle('p50'):.0f}", f"{middle('p99'):.0f}", f"{middle('server_cpu'):.2f}",
                spread(ratios(rates, floor), 2), f"{middle('foreign'):.2f}",
            ]
        )  # fmt: skip
    return made


def goals(everything: dict[str, dict[str, Any]]) -> Table:
    made = Table("Endpoints: goals", ["goal", "mode", "ratio, median (lowest–highest)", "at least", ""])
    for transport, only, ours, peer, least, meaning in GOALS:
        for mode, by_name in everything[transport].items():
            if only in ("", mode) and ours in by_name and peer in by_name:
                pairs = [a["rate"] / b["rate"] for a, b in zip(by_name[ours], by_name[peer], strict=True)]
                verdict = "met" if statistics.median(pairs) >= least else "**not met**"
                made.rows.append([meaning, mode, spread(pairs, 2), f"{least:.2f}", verdict])
    return made


def reasons(count: int) -> Table:
    """What a reason adds to a refused connect, in milliseconds."""
    import socket

    from wallsocket import tcp
    from wallsocket.endpoints import reasons as lookup

    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    times: dict[str, list[float]] = {"off": [], "on": []}
    found = 0
    for _ in range(count):
        for state, taken in times.items():
            os.environ["WALLSOCKET_REASONS"] = state
            lookup._recent.clear()
            start = time.perf_counter()
            try:
                tcp.connect(("127.0.0.1", port))
            except ConnectionRefusedError as error:
                taken.append((time.perf_counter() - start) * 1000)
                reason = lookup.of(error)
                found += reason is not None and reason.status == "found"
                lookup.settle(error, 1.0)
    os.environ.pop("WALLSOCKET_REASONS")
    without = statistics.median(times["off"])
    added = sorted(each - without for each in times["on"])
    made = Table(
        "Reasons: what a refused connect takes longer", ["median ms", "p99 ms", "limit ms", "found in time"], data=added
    )
    p99 = added[-max(count // 100, 1)]
    limit = lookup.DEADLINE_S * 1000
    made.rows.append([f"{statistics.median(added):.2f}", f"{p99:.2f}", f"{limit:.0f}", f"{found / count:.0%}"])
    return made


def run(rounds: int) -> list[Table]:
    """Measure everything; the goals come last."""
    everything = {
        "tcp": measured("tcp", TCP_SERVERS, TCP_MODES, rounds),
        "udp": measured("udp", UDP_SERVERS, UDP_MODES, rounds),
    }
    tables = [
        table(
            transport,
            mode,
            by_name,
            "recvfrom/sendto (hand-written)" if transport == "udp" else "threads (hand-written)",
        )
        for transport, results in everything.items()
        for mode, by_name in results.items()
    ]
    return [*tables, reasons(300), goals(everything)]
