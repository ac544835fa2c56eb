"""Frames against the peers: decoding a file, capturing, injecting. Each round runs each contender once.

Needs a C compiler with libpcap's headers for the peers of ``bench/peers`` (Debian: gcc libpcap-dev); links are made in
private namespaces, without root.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import Missing, Table, compiled, present, ratios, spread

HERE = Path(__file__).parent
BINARIES = HERE / "bin"
FRAMES = 500_000


def run(rounds: int) -> list[Table]:
    """All tables about frames."""
    for name in ("gen_pcap", "afp_send", "cap_recv_c", "cap_ring"):
        compiled(name)
    return [decode(rounds), inject(rounds), capture(rounds)]


def table(title: str, results: dict[str, list[float]], unit: str, base: str) -> Table:
    """Medians with their ranges, and the ratio to ``base`` within the rounds."""
    made = Table(title, ("contender", unit, f"times {base}", "n"), data=results)
    for name, values in results.items():
        made.rows.append((name, spread(values, 0), spread(ratios(values, results[base]), 2), str(len(values))))
    return made


def decode(rounds: int) -> Table:
    """The same fields of the same file: rows of a C table against Arrow columns that are all kept."""
    path = Path(tempfile.gettempdir()) / f"wallsocket-bench-{os.getuid()}.pcap"
    if not path.exists():
        subprocess.run([BINARIES / "gen_pcap", path, str(FRAMES)], check=True)
    path.read_bytes()

    # Each gives thousand frames/s, and processor time in ns for each frame: that says more where other programs run.
    def c(mode: str) -> Callable[[], tuple[float, float]]:
        def run() -> tuple[float, float]:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([BINARIES / "pcap_c", path, mode], capture_output=True, text=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found = json.loads(done.stdout)
            assert found["packets"] == FRAMES
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return found["packets"] / found["secs"] / 1000, spent / FRAMES * 1e9

        return run

    def ours(workers: int) -> Callable[[], tuple[float, float]]:
        code = (
            "import sys, time\n"
            "from wallsocket.wire.columns import HEADERS\n"
            "from wallsocket.wire.pcap import read\n"
            "start, began = time.perf_counter(), time.process_time()\n"
            "tables = list(read(sys.argv[1]).columns(HEADERS, workers=int(sys.argv[2])))\n"
            "took, spent = time.perf_counter() - start, time.process_time() - began\n"
            "print(sum(map(len, tables)), took, spent)\n"
        )

        def run() -> tuple[float, float]:
            command = [sys.executable, "-c", code, str(path), str(workers)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            count, took, spent = done.stdout.split()
            assert int(count) == FRAMES
            return FRAMES / float(took) / 1000, float(spent) / FRAMES * 1e9

        return run

    contenders: dict[str, Callable[[], tuple[float, float]]] = {}
    lacking = ""
    try:
        compiled("pcap_c", "-lpcap")
        contenders = {"C libpcap, all fields": c("pcap-fields"), "C mmap, all fields": c("mmap-fields")}
    except Missing as error:
        lacking = f"- missing: the peers in C: {error}"
    contenders |= {
        "wallsocket columns": ours(1),
        "wallsocket columns, 2 workers": ours(2),
    }
    results: dict[str, list[float]] = {name: [] for name in contenders}
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            rate, time_ns = run()
            results[name].append(rate)
            spent[name].append(time_ns)
    first = next(iter(contenders))
    made = table("Decoding a file of 500,000 frames", results, "thousand frames/s", first)
    if lacking:
        made.notes.append(lacking)
    # Single rounds may be slow where a virtual machine tells its host which pages are free (free page reporting of virtio-balloon):
    # the host takes them, and each is fetched again at its next touch. Measured 2026-11: up to 4 ms for a huge page, so 100 ms
    # instead of 5 ms for the columns of this file. Processor time counts these waits, too.
    for name, values in spent.items():
        times = spread(ratios(spent[first], values), 2)
        spent_ns = statistics.median(values)
        made.notes.append(
            f"- {name}: {spent_ns:.0f} ns of processor time for each frame, {times} times better than {first}"
        )
    scaling = statistics.median(
        two / one
        for one, two in zip(results["wallsocket columns"], results["wallsocket columns, 2 workers"], strict=True)
    )
    made.notes.append(f"- two workers: {scaling:.2f} times the rate of one (goal: at least 1.6)")
    return made


def inject(rounds: int) -> Table:
    """Prebuilt frames and frames built on the way onto a veth link, beside C and dpkt."""
    import dpkt

    from wallsocket import lab
    from wallsocket.wire import UDP, Ethernet, IPv4
    from wallsocket.wire.inject import Injector

    count = 200_000
    results: dict[str, list[float]] = {
        name: []
        for name in (
            "C sendmmsg",
            "C TX ring",
            "wallsocket, prebuilt",
            "dpkt, built and sent",
            "wallsocket, sweep built on the way",
        )
    }
    #: Processor time in µs for each frame, which says more than the rate where other programs take the processors.
    spent: dict[str, list[float]] = {name: [] for name in results}
    frame = bytes(
        Ethernet(destination="02:00:00:00:00:99") / IPv4("198.51.100.1", "198.51.100.2") / UDP(5000, 5001) / bytes(18)
    )
    prebuilt = [frame] * count
    with lab.hosts("a", "b") as (a, _):
        name = a.interfaces[0].name

        def c(title: str, mode: str) -> None:
            command = [str(BINARIES / "afp_send"), name, mode, "0", "0.5", str(len(frame))]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = json.loads(a.run(command, capture_output=True, text=True, check=True).stdout)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            results[title].append(done["pps"] / 1000)
            spent[title].append(took / done["sent"] * 1e6)

        def ours(title: str, number: int, send: Callable[[], object]) -> None:
            start, began = time.perf_counter(), time.process_time()
            send()
            results[title].append(number / (time.perf_counter() - start) / 1000)
            spent[title].append((time.process_time() - began) / number * 1e6)

        def by_dpkt() -> None:
            with a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
                sock.bind((name, 0))
                for port in range(5000):
                    datagram = dpkt.udp.UDP(sport=5000, dport=port, data=bytes(18))
                    datagram.ulen = len(datagram)
                    packet = dpkt.ip.IP(src=b"\xc6\x33\x64\x01", dst=b"\xc6\x33\x64\x02", ttl=64, p=17, data=datagram)
                    packet.len = len(packet)
                    whole = dpkt.ethernet.Ethernet(src=b"\2\0\0\0\0\1", dst=b"\2\0\0\0\0\x99", type=0x800, data=packet)
                    sock.send(bytes(whole))

        for _ in range(rounds):
            with Injector(name, host=a) as injector:
                # The C sender makes its ring before its clock starts, too.
                deadline = time.monotonic() + 2
                while not injector._sender.has_ring() and time.monotonic() < deadline:
                    injector.send_all(prebuilt[:4096])
                c("C sendmmsg", "mmsg")
                ours("wallsocket, prebuilt", count, lambda: injector.send_all(prebuilt))
                c("C TX ring", "txring")
                ours("dpkt, built and sent", 5000, by_dpkt)
                fields = [(34, 2, range(count // 100)), (36, 2, range(100))]
                ours("wallsocket, sweep built on the way", count, lambda: injector.sweep(frame, fields))  # noqa: B023
    made = table(f"Injecting frames of {len(frame)} bytes into a veth link", results, "thousand frames/s", "C sendmmsg")
    for name, values in spent.items():
        made.notes.append(f"- {name}: {statistics.median(values):.2f} µs of processor time for each frame")
    for title, mine, others, goal in (
        ("prebuilt against the better of the two C senders", "wallsocket, prebuilt", ("C sendmmsg", "C TX ring"), 0.95),
        ("sweep against dpkt", "wallsocket, sweep built on the way", ("dpkt, built and sent",), 10),
    ):
        best = [max(rates) for rates in zip(*(results[other] for other in others), strict=True)]
        least = [min(times) for times in zip(*(spent[other] for other in others), strict=True)]
        rate = statistics.median(one / other for one, other in zip(results[mine], best, strict=True))
        time_ratio = statistics.median(other / one for one, other in zip(spent[mine], least, strict=True))
        made.notes.append(
            f"- {title}: {rate:.2f} times the rate, {time_ratio:.2f} by processor time (goal: at least {goal})"
        )
    return made


#: A receiver that decodes to columns with default settings until it is interrupted.
_RECEIVER = """
import json, signal, sys
from wallsocket.wire.capture import Capture
from wallsocket.wire.columns import HEADERS
stopped = []
signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
count = 0
with Capture(sys.argv[1]) as capture:
    print("ready", flush=True)
    while not stopped:
        count += len(capture.columns(HEADERS, duration_s=0.1))
    count += len(capture.columns(HEADERS, duration_s=0.1))
    print(json.dumps({"count": count, "drops": capture.statistics().dropped}))
"""


def _processor_s(pid: int) -> float:
    """Processor time of a process so far, all its threads (proc(5), schedstat: nanoseconds first)."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def _file_decoder_us() -> float:
    """Processor time for decoding the same frames from a file, per frame."""
    from wallsocket.wire import UDP, Ethernet, IPv4, read, write
    from wallsocket.wire.columns import HEADERS

    count = 200_000
    frame = bytes(
        Ethernet(destination="02:00:00:00:00:99") / IPv4("198.51.100.1", "198.51.100.2") / UDP(5000, 5001) / bytes(22)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.pcap"
        write(path, [frame] * count)
        path.read_bytes()
        start = time.process_time()
        tables = list(read(path).columns(HEADERS))
        took = time.process_time() - start
        assert sum(map(len, tables)) == count
    return took / count * 1e6


def capture(rounds: int) -> Table:
    """Default settings, columns in the path, beside C and tcpdump: what is lost, and the receiver's processor time."""
    from wallsocket import lab

    receivers: dict[str, list[str]] = {
        "C TPACKET_V3, 8 MiB": [str(BINARIES / "cap_ring")],
        "C recv loop, default buffer": [str(BINARIES / "cap_recv_c")],
        "tcpdump -w /dev/null": ["tcpdump", "-n", "-w", "/dev/null", "-i"],
        "wallsocket to columns": [sys.executable, "-c", _RECEIVER],
    }
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if present("tcpdump", path) is None:
        del receivers["tcpdump -w /dev/null"]
    # For each receiver and rate: share lost, frames delivered per second, and processor time per frame in µs.
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    decoder: list[float] = []
    with lab.hosts("a", "b") as (a, b):
        near, far = a.interfaces[0].name, b.interfaces[0].name

        def trial(name: str, rate: int) -> tuple[float, float, float]:
            with b.popen(
                [*receivers[name], far],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PATH": path},
            ) as process:
                is_tcpdump = name.startswith("tcpdump")
                stream = process.stderr if is_tcpdump else process.stdout
                assert stream is not None
                line = ""
                while "ready" not in line and "listening" not in line:
                    line = stream.readline()
                    assert line, f"{name} did not start"
                before = _processor_s(process.pid)
                command = [str(BINARIES / "afp_send"), near, "mmsg", str(rate), "0.7"]
                sent = json.loads(a.run(command, capture_output=True, text=True, check=True).stdout)
                # libpcap hands a block over after up to a second.
                time.sleep(1.2 if is_tcpdump else 0.2)
                spent = _processor_s(process.pid) - before
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=30)
            if is_tcpdump:
                count = int(re.search(r"(\d+) packets? captured", errors)[1])  # type: ignore[index]
            else:
                count = json.loads(output.splitlines()[-1])["count"]
            return 1 - count / sent["sent"], count / sent["secs"], spent / max(count, 1) * 1e6

        for _ in range(rounds):
            decoder.append(_file_decoder_us())
            for rate in (200_000, 0):
                for name in receivers:
                    found.setdefault((name, rate), []).append(trial(name, rate))
    made = Table(
        "Capturing frames of 64 bytes on a veth link; the sender is C's sendmmsg",
        (
            "receiver",
            "lost at 200,000/s",
            "receiver's processor time, µs/frame",
            "lost at full rate",
            "delivered, thousand/s",
            "receiver's processor time, µs/frame",
        ),
        data=[[*key, *trials] for key, trials in found.items()],
    )
    middle = {
        key: tuple(statistics.median(part) for part in zip(*trials, strict=True)) for key, trials in found.items()
    }
    for name in receivers:
        (slow_lost, _, slow_us), (lost, rate, spent_us) = middle[name, 200_000], middle[name, 0]
        figures = (f"{slow_lost:.1%}", f"{slow_us:.2f}", f"{lost:.1%}", f"{rate / 1000:.0f}", f"{spent_us:.2f}")
        made.rows.append((name, *figures))
    file_us = statistics.median(decoder)
    made.notes.append(f"- file decoder, the same frames: {file_us:.2f} µs/frame")
    for rate, title in ((200_000, "at 200,000/s"), (0, "at full rate")):
        ours = middle["wallsocket to columns", rate][2]
        loop = middle["C recv loop, default buffer", rate][2]
        line = f"- {title}: {ours / loop:.2f} times the C recv loop (goal: at most 0.5)"
        if "tcpdump -w /dev/null" in receivers:
            limit = middle["tcpdump -w /dev/null", rate][2] + 1.2 * file_us
            line += f"; {ours:.2f} µs against tcpdump + 1.2 times the file decoder = {limit:.2f} µs"
        made.notes.append(line)
    return made
