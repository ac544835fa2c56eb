"""Frames against the peers: decoding a file, capturing, injecting. Each round runs each contender once.

``python -m bench.wire [decode] [inject] [capture] [--rounds N]`` needs a C compiler with libpcap's headers for the
peers of ``bench/peers`` (Debian: gcc libpcap-dev); links are made in private namespaces, without root.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
BINARIES = HERE / "bin"
FRAMES = 500_000


def build() -> None:
    """Compile the peers, once."""
    BINARIES.mkdir(exist_ok=True)
    for name, libraries in (
        ("pcap_c", ["-lpcap"]),
        ("gen_pcap", []),
        ("afp_send", []),
        ("cap_recv_c", []),
        ("cap_ring", []),
    ):
        target, source = BINARIES / name, HERE / "peers" / f"{name}.c"
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["cc", "-O2", "-w", "-o", target, source, *libraries], check=True)


def foreign_load() -> float:
    """Load average of the last minute: what others do to the figures."""
    return os.getloadavg()[0]


def table(title: str, results: dict[str, list[float]], unit: str, base: str) -> None:
    """Print medians with their ranges, and the ratio to ``base`` within the rounds."""
    print(f"\n{title}\n")
    print(
        f"| contender | {unit}, median (min to max) | times {base}, median (min to max) | rounds |\n|---|---|---|---|"
    )
    for name, values in results.items():
        ratios = [value / other for value, other in zip(values, results[base], strict=True)]
        print(
            f"| {name} | {statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f}) "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {len(values)} |"
        )
    print(f"\nload average {foreign_load():.1f} on {os.cpu_count()} processors", flush=True)


def decode(rounds: int) -> None:
    """The same fields of the same file: rows of a C table against Arrow columns that are all kept."""
    path = Path(tempfile.gettempdir()) / f"wallsocket-bench-{os.getuid()}.pcap"
    if not path.exists():
        subprocess.run([BINARIES / "gen_pcap", path, str(FRAMES)], check=True)
    path.read_bytes()

    def c(mode: str) -> Callable[[], float]:
        def run() -> float:
            done = subprocess.run([BINARIES / "pcap_c", path, mode], capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            assert found["packets"] == FRAMES
            return found["packets"] / found["secs"] / 1000

        return run

    def ours(workers: int) -> Callable[[], float]:
        code = (
            "import sys, time\n"
            "from wallsocket.wire.columns import HEADERS\n"
            "from wallsocket.wire.pcap import read\n"
            "start = time.perf_counter()\n"
            "tables = list(read(sys.argv[1]).columns(HEADERS, workers=int(sys.argv[2])))\n"
            "took = time.perf_counter() - start\n"
            "print(sum(map(len, tables)), took)\n"
        )

        def run() -> float:
            command = [sys.executable, "-c", code, str(path), str(workers)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            count, took = done.stdout.split()
            assert int(count) == FRAMES
            return FRAMES / float(took) / 1000

        return run

    contenders = {
        "C libpcap, all fields": c("pcap-fields"),
        "C mmap, all fields": c("mmap-fields"),
        "wallsocket columns": ours(1),
        "wallsocket columns, 2 workers": ours(2),
    }
    results: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            results[name].append(run())
    table("Decoding a file of 500,000 frames", results, "thousand frames/s", "C libpcap, all fields")


def inject(rounds: int) -> None:
    """Prebuilt frames, and a sweep built on the way, onto a veth link."""
    from wallsocket import lab
    from wallsocket.wire import UDP, Ethernet, IPv4
    from wallsocket.wire.inject import Injector

    count = 200_000
    with lab.hosts("a", "b") as (a, _):
        name = a.interfaces[0].name
        frame = bytes(Ethernet("02:00:00:00:00:09") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / bytes(18))
        prebuilt = [frame] * count
        results: dict[str, list[float]] = {"prebuilt": [], "sweep": [], "crafted in Python": []}
        for _ in range(rounds):
            with Injector(name, host=a) as injector:
                start = time.perf_counter()
                injector.send_all(prebuilt)
                results["prebuilt"].append(count / (time.perf_counter() - start) / 1000)
                start = time.perf_counter()
                injector.sweep(frame, [(34, 2, range(count // 100)), (36, 2, range(100))])
                results["sweep"].append(count / (time.perf_counter() - start) / 1000)
                start = time.perf_counter()
                injector.send_all(
                    Ethernet("02:00:00:00:00:09") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, port) / bytes(18)
                    for port in range(count // 40)
                )
                results["crafted in Python"].append(count / 40 / (time.perf_counter() - start) / 1000)
    table("Injecting frames of 60 bytes into a veth link", results, "thousand frames/s", "prebuilt")


def capture(rounds: int) -> None:
    """Default settings, columns in the path: what is lost, and the receiver's processor time."""
    from wallsocket import lab
    from wallsocket.wire import UDP, Ethernet, IPv4
    from wallsocket.wire.capture import Capture
    from wallsocket.wire.inject import Injector

    frame = bytes(Ethernet("02:00:00:00:00:09") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / bytes(18))
    count = 300_000
    print("\nCapturing to columns with default settings, sender at full rate\n")
    print("| sent | sent, thousand/s | received | lost | receiver's processor time, µs/frame |\n|---|---|---|---|---|")
    with lab.hosts("a", "b") as (a, b):
        near, far = a.interfaces[0].name, b.interfaces[0].name
        for _ in range(rounds):
            with Capture(far, host=b, filter="udp") as running, Injector(near, host=a) as injector:
                rate: list[float] = []

                def send() -> None:
                    start = time.perf_counter()
                    injector.send_all([frame] * count)
                    rate.append(count / (time.perf_counter() - start) / 1000)  # noqa: B023

                sender = threading.Thread(target=send)
                sender.start()
                begin = time.thread_time()
                received = len(running.columns(duration_s=30, rows=count))
                spent = time.thread_time() - begin
                sender.join()
                lost = running.statistics().dropped
            print(
                f"| {count} | {rate[0]:.0f} | {received} | {lost} | {spent / max(received, 1) * 1e6:.2f} |", flush=True
            )
    print(f"\nload average {foreign_load():.1f} on {os.cpu_count()} processors")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["decode", "inject", "capture"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    build()
    for part in arguments.parts:
        {"decode": decode, "inject": inject, "capture": capture}[part](arguments.rounds)


if __name__ == "__main__":
    main()
