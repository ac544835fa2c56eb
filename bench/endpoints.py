"""Endpoints beside hand-written code and other libraries, in one run, interleaved.

Usage: python bench/endpoints.py [--rounds N] [--seconds S] [--only REGEX] [--json FILE]

Every server answers each message in upper case. It runs on core 0; the load generator of bench/peers, a closed loop in C,
runs on core 1. Each round runs every server once, and ratios are taken within a round: that is what a shared machine leaves
comparable. ``foreign`` is the median number of cores that other processes took: above 0.2 a table is weak.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
BIN = HERE / "bin"
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

#: ours, peer, least ratio, what it means.
GOALS = [
    ("tcp", "wallsocket sync", "threads (hand-written)", 1 / 1.3, "sync within 1.3x of hand-written"),
    ("tcp", "wallsocket aio, asyncio", "asyncio streams", 1.0, "async at or above asyncio's streams"),
    ("tcp", "wallsocket aio, asyncio", "anyio streams", 1.0, "async at or above anyio's streams"),
    ("udp", "wallsocket aio, asyncio", "asyncio DatagramProtocol", 3.0, "UDP async 3x asyncio's DatagramProtocol"),
]


def build() -> None:
    BIN.mkdir(exist_ok=True)
    for name in ("tcp_load", "udp_load"):
        source, program = PEERS / f"{name}.c", BIN / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", "-w", "-o", program, source], check=True)


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


def run(transport: str, servers: dict[str, list[str]], modes: dict[str, list[str]], options: Any) -> dict[str, Any]:
    results: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    port = 20_000 + os.getpid() % 20_000
    chosen = {name: command for name, command in servers.items() if re.search(options.only, f"{transport} {name}")}
    for name in [name for name in chosen if missing(name)]:
        print(f"left out: {transport} {name}: {missing(name)}", file=sys.stderr)
        del chosen[name]
    for number in range(options.rounds):
        for name, command in chosen.items():
            port += 1
            command = pinned(0, [part.replace("{port}", str(port)) for part in command])
            server = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "WALLSOCKET_REASONS": "off"})
            try:
                assert server.stdout is not None
                if server.stdout.readline().strip() != b"ready":
                    raise RuntimeError(f"{name} did not start")
                for mode, arguments in modes.items():
                    load = [str(BIN / f"{transport}_load"), "127.0.0.1", str(port), *arguments, str(options.seconds)]
                    if transport == "udp":
                        load.append("block")
                    results[mode][name].append(trial(server, load))
            finally:
                server.kill()
                server.wait()
                server.stdout.close()  # type: ignore[union-attr]
        print(f"{transport}: round {number + 1} of {options.rounds}", file=sys.stderr)
    return results


def table(transport: str, results: dict[str, Any], base: str) -> None:
    for mode, by_name in results.items():
        print(f"\n### {transport.upper()}, {mode}\n")
        print(f"| server | k/s, median (min-max) | p50 us | p99 us | server CPU | x {base} | foreign |")
        print("|---|---|---|---|---|---|---|")
        for name, trials in by_name.items():
            rates = [each["rate"] / 1000 for each in trials]
            ratio = "-"
            if base in by_name:
                pairs = [a["rate"] / b["rate"] for a, b in zip(trials, by_name[base], strict=True)]
                ratio = f"{statistics.median(pairs):.2f} ({min(pairs):.2f}-{max(pairs):.2f})"

            def middle(field: str, trials: list[dict[str, float]] = trials) -> float:
                return statistics.median(each[field] for each in trials)

            print(
                f"| {name} | {statistics.median(rates):.1f} ({min(rates):.1f}-{max(rates):.1f}) | {middle('p50'):.0f} "
                f"| {middle('p99'):.0f} | {middle('server_cpu'):.2f} | {ratio} | {middle('foreign'):.2f} |"
            )


def goals(everything: dict[str, dict[str, Any]]) -> None:
    print("\n### Goals\n\n| goal | mode | median ratio (min-max) | least | |\n|---|---|---|---|---|")
    for transport, ours, peer, least, meaning in GOALS:
        for mode, by_name in everything.get(transport, {}).items():
            if ours not in by_name or peer not in by_name:
                continue
            pairs = [a["rate"] / b["rate"] for a, b in zip(by_name[ours], by_name[peer], strict=True)]
            median = statistics.median(pairs)
            verdict = "met" if median >= least else "not met"
            print(
                f"| {meaning} | {mode} | {median:.2f} ({min(pairs):.2f}-{max(pairs):.2f}) | {least:.2f} | {verdict} |"
            )


def reasons(count: int) -> dict[str, float]:
    """Return what a reason adds to a refused connect, in milliseconds: median and p99."""
    import socket

    from wallsocket import tcp
    from wallsocket.endpoints import reasons as lookup

    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    added = {}
    for state in ("off", "on"):
        os.environ["WALLSOCKET_REASONS"] = state
        times = []
        for _ in range(count):
            lookup._recent.clear()
            start = time.perf_counter()
            try:
                tcp.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                times.append((time.perf_counter() - start) * 1000)
        added[state] = sorted(times)
    os.environ["WALLSOCKET_REASONS"] = "on"
    p99 = -max(count // 100, 1)
    return {
        "median_ms": statistics.median(added["on"]) - statistics.median(added["off"]),
        "p99_ms": added["on"][p99] - statistics.median(added["off"]),
        "deadline_ms": lookup.DEADLINE_S * 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument(
        "--only", default="", help="regular expression: only servers whose 'tcp NAME' or 'udp NAME' match"
    )
    parser.add_argument("--json", type=Path, default=HERE / "results" / "endpoints.json")
    options = parser.parse_args()
    build()
    everything = {
        "tcp": run("tcp", TCP_SERVERS, TCP_MODES, options),
        "udp": run("udp", UDP_SERVERS, UDP_MODES, options),
    }
    table("tcp", everything["tcp"], "threads (hand-written)")
    table("udp", everything["udp"], "recvfrom/sendto (hand-written)")
    goals(everything)
    added = reasons(300)
    print(
        f"\nReasons: a refused connect takes {added['median_ms']:.2f} ms longer (median), {added['p99_ms']:.2f} ms (p99); "
        f"the limit is {added['deadline_ms']:.0f} ms."
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({**everything, "reasons": added}, indent=1))
    print(
        f"\nMachine: {os.cpu_count()} cores, Linux {os.uname().release}, Python {sys.version.split()[0]}. {options.json}"
    )


if __name__ == "__main__":
    main()
