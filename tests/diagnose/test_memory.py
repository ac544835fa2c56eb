"""What explain holds follows what lives at one time, not the length of the recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.recordings import row
from wallsocket.events import Call, Counter, Descriptor, Process, Socket, State
from wallsocket.trace.recording import Writer

META = {"version": "1", "command": '["x"]', "machine": "x86_64", "calls": "yes", "kernel": "yes"}
PEAK = """
import sys
from wallsocket.diagnose import diagnose
from wallsocket.trace.recording import Recording
with Recording.open(sys.argv[1]) as recording:
    diagnose(recording)
# Of this program alone: ru_maxrss keeps the peak of who started it (getrusage(2), execve).
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
#: On x86-64.
_SOCKET, _CLOSE, _SENDTO, _RECVFROM = 41, 3, 44, 45


def peak_of(path: Path) -> float:
    """MiB that explain needs for a recording."""
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def peak_mib(path: Path, sockets: int) -> float:
    """Of a recording in which 10,000 sockets are made in each second, and closed a moment later."""
    with Writer(path, meta=META) as writer:
        writer.write("process", [row(Process, id=1, pid=7, command='["x"]', started_ns=0)])
        for n in range(1, sockets + 1):
            at, end = n * 100_000, n * 100_000 + 50_000
            made = {"origin": "socket", "call": 2 * n - 1, "created_ns": at, "ended_ns": end}
            named = {"socket": n, "opened_ns": at, "closed_ns": end}
            common = {"process": 1, "tid": 7, "took_ns": 1000, "socket": n}
            writer.write("socket", [row(Socket, id=n, process=1, family=2, type=1, protocol=6, **made)])
            writer.write("descriptor", [row(Descriptor, id=n, process=1, number=3, origin="call", **named)])
            writer.write("state", [row(State, id=n, socket=n, at_ns=at + 2000, moment=2, state=7)])
            calls = [
                row(Call, id=2 * n - 1, number=_SOCKET, entry_ns=at, result=3, made=n, a=2, b=1, c=6, **common),
                row(Call, id=2 * n, number=_CLOSE, entry_ns=end - 1000, result=0, fd=3, **common),
            ]
            writer.write("call", calls)
        writer.finish({"ended_ns": str((sockets + 10) * 100_000)})
    return peak_of(path)


def address(port: int) -> bytes:
    """A ``struct sockaddr_in`` of loopback (ip(7))."""
    return bytes([2, 0, 0, port, 127, 0, 0, 1])


def peak_of_a_talk(path: Path, calls: int) -> float:
    """Of a recording in which a process sends datagrams to itself."""
    with Writer(path, meta=META) as writer:
        writer.write("process", [row(Process, id=1, pid=7, command='["x"]', started_ns=0)])
        for n in (1, 2):
            made = {"origin": "socket", "local": address(n), "created_ns": 0}
            writer.write("socket", [row(Socket, id=n, process=1, family=2, type=2, protocol=17, **made)])
        for start in range(0, calls, 1000):
            rows = []
            for n in range(start, start + 1000, 2):
                common = {"process": 1, "tid": 7, "took_ns": 1000, "result": 5, "length": 5}
                entry = 1_000_000 + n * 10_000
                rows.append(
                    row(Call, id=n + 1, number=_SENDTO, entry_ns=entry, socket=1, fd=3, address=address(2), **common)
                )
                rows.append(
                    row(
                        Call,
                        id=n + 2,
                        number=_RECVFROM,
                        entry_ns=entry + 5000,
                        socket=2,
                        fd=4,
                        address=address(1),
                        **common,
                    )
                )
            writer.write("call", rows)
        writer.finish({"ended_ns": str((calls + 1000) * 10_000)})
    return peak_of(path)


def test_many_times_as_many_sockets_take_no_more_memory(tmp_path: Path) -> None:
    short, long = peak_mib(tmp_path / "short.wsrec", 4_000), peak_mib(tmp_path / "long.wsrec", 30_000)
    assert long - short < 24
    assert long < 80


def test_a_longer_talk_takes_no_more_memory(tmp_path: Path) -> None:
    short, long = peak_of_a_talk(tmp_path / "short.wsrec", 68_000), peak_of_a_talk(tmp_path / "long.wsrec", 100_000)
    assert long - short < 4
    assert long < 75


def test_a_million_events_at_one_moment_do_not_wait_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "moment.wsrec"
    with Writer(path, meta=META) as writer:
        for start in range(0, 1_000_000, 10_000):
            rows = [row(Counter, at_ns=start + n, name="TcpExtListenDrops", value=start + n) for n in range(10_000)]
            writer.write("counter", rows)
        writer.finish({"ended_ns": "1000000000"})
    assert peak_of(path) < 200
