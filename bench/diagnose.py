"""All rules over recordings of synthetic sockets: what an event costs, whatever lives and dies meanwhile.

Each recording is built in memory, with the rows that a trace would have written; the time is that of the judgement alone, in
seconds of this process, so that other programs disturb it little. Memory is what it takes beside the rows.

Three tables are printed: seconds and µs per event of each recording; processor seconds and seconds of ``inspect`` with 1,000
and with 20,000 sockets; seconds of a pytest suite with and without the plugin. ``--rounds 1`` shows the order of magnitude.
"""

from __future__ import annotations

import errno
import gc
import resource
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.looking import inspecting, testing
from bench.measure import Table, spread
from wallsocket.diagnose import all_rules, diagnose
from wallsocket.events import Call, Descriptor, Fact, Process, Socket, Source, State
from wallsocket.trace.syscalls import NUMBERS

X86 = NUMBERS["x86_64"]
US = 1_000
MS = 1_000_000
S = 1_000_000_000
SERVER = ("127.0.0.1", 4567)


def inet(host: str, port: int) -> bytes:
    return struct.pack("=HH", socket.AF_INET, socket.htons(port)) + socket.inet_aton(host) + bytes(8)


def client_address(number: int) -> bytes:
    return inet(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 40000)


class Tape:
    """Rows of a recording, in order of time."""

    def __init__(self) -> None:
        self.meta = {
            "machine": "x86_64",
            "calls": "yes",
            "kernel": "yes",
            "wire": "yes",
            "lab": "yes",
            "exit_status": "0",
        }
        self.processes: dict[int, Process] = {}
        self.sockets: dict[int, Socket] = {}
        self.descriptors: dict[int, Descriptor] = {}
        self.sources: dict[int, Source] = {1: Source(1, "/srv/app.py", 10, "main")}
        self.rows: list[Any] = []
        self.now = MS
        self.calls = 0
        self.states = 0
        self.facts = 0
        for number in (1, 2):
            values = {"parent": None, "command": '["app"]', "executable": "/bin/app", "language": None}
            ends = {"started_ns": 0, "ended_ns": None, "exit_code": None, "signal": None}
            self.processes[number] = make(Process, id=number, pid=1000 + number, **values, **ends)

    def socket(self, process: int, local: bytes | None, remote: bytes | None, origin: str = "socket") -> int:
        number = len(self.sockets) + 1
        ends = {"local": local, "remote": remote, "created_ns": self.now, "ended_ns": None, "source": 1}
        kind = {"family": socket.AF_INET, "type": socket.SOCK_STREAM, "protocol": 6, "cookie": None, "inode": None}
        self.sockets[number] = make(
            Socket, id=number, process=process, origin=origin, call=None, parent=None, **kind, **ends
        )
        self.descriptors[number] = make(
            Descriptor,
            id=number,
            process=process,
            number=3 + number,
            socket=number,
            origin="call",
            opened_ns=self.now,
            closed_ns=None,
            cloexec=1,
        )
        return number

    def call(self, name: str, number: int, result: int = 0, **more: Any) -> int:
        self.calls += 1
        row = self.sockets[number]
        values: dict[str, Any] = dict.fromkeys(Call.__struct_fields__)
        values |= {"id": self.calls, "process": row.process, "tid": 1000 + row.process, "number": X86[name], "known": 1}
        values |= {
            "entry_ns": self.now,
            "took_ns": 5 * US,
            "result": result,
            "fd": 3 + number,
            "socket": number,
            "source": 1,
        }
        self.rows.append(Call(**values | more))
        self.now += 10 * US
        if name == "close":
            self.sockets[number] = replaced(row, ended_ns=self.now)
        return self.calls

    def state(self, number: int, **more: Any) -> None:
        self.states += 1
        values: dict[str, Any] = dict.fromkeys(State.__struct_fields__)
        values |= {"id": self.states, "socket": number, "at_ns": self.now, "moment": 2, "state": 1}
        self.rows.append(State(**values | {"receive_queue": 0, "send_queue": 0} | more))

    def fact(self, call: int, kind: str, value: str) -> None:
        self.facts += 1
        self.rows.append(make(Fact, id=self.facts, at_ns=self.now, call=call, kind=kind, value=value))

    def events(self) -> Iterator[Any]:
        return iter(self.rows)


def make(struct_type: type[Any], /, **values: Any) -> Any:
    return struct_type(**{name: values.get(name) for name in struct_type.__struct_fields__})


def replaced(row: Any, **values: Any) -> Any:
    return type(row)(**{name: getattr(row, name) for name in row.__struct_fields__} | values)


# -- recordings


def requests(events: int, alive: int) -> Tape:
    """Pipelined requests over as many connections as live; each is read, answered and sampled now and then."""
    tape = Tape()
    sockets = [tape.socket(1, inet(*SERVER), client_address(number), "accept") for number in range(alive)]
    turn = 0
    while len(tape.rows) < events:
        one = sockets[turn % alive]
        tape.call("recvfrom", one, 64, length=4096, offset=64 * (turn // alive), a=0)
        tape.call("sendto", one, 64, length=64, offset=64 * (turn // alive), a=0)
        if turn % 8 == 0:
            tape.state(one)
        turn += 1
    return tape


def short_connections(events: int, _: int) -> Tape:
    """A host that gets a connection for each request, both ends traced."""
    tape = Tape()
    number = 0
    while len(tape.rows) < events:
        number += 1
        client = tape.socket(2, client_address(number), inet(*SERVER))
        tape.call("connect", client, 0, address=inet(*SERVER))
        server = tape.socket(1, inet(*SERVER), client_address(number), "accept")
        for one, other in ((client, server), (server, client)):
            tape.call("sendto", one, 64, length=64, offset=0, a=0)
            tape.call("recvfrom", other, 64, length=4096, offset=0, a=0)
        tape.call("close", client)
        tape.call("recvfrom", server, 0, length=4096, offset=64, a=0)
        tape.call("close", server)
        tape.now += MS
    return tape


def refused(events: int, _: int) -> Tape:
    """Ports that are bound and freed, and a connection to each that is refused."""
    tape = Tape()
    number = 0
    while len(tape.rows) < events:
        where = inet("127.0.0.1", 1024 + number % 60_000)
        number += 1
        server = tape.socket(1, where, None)
        tape.call("bind", server, 0, address=where)
        tape.call("close", server)
        client = tape.socket(2, None, None)
        call = tape.call("connect", client, -errno.ECONNREFUSED, address=where)
        tape.fact(call, "sockets", "[]")
        tape.call("close", client)
        tape.now += MS
    return tape


def close_wait(events: int, _: int) -> Tape:
    """A server that reads the end of each connection and never closes it."""
    tape = Tape()
    number = 0
    while len(tape.rows) < events:
        number += 1
        server = tape.socket(1, inet(*SERVER), client_address(number), "accept")
        tape.call("recvfrom", server, 64, length=4096, offset=0, a=0)
        tape.call("recvfrom", server, 0, length=4096, offset=64, a=0)
        tape.state(server, state=8)
    tape.now += 5 * S
    tape.meta["ended_ns"] = str(tape.now)
    return tape


# -- measuring


def cost(build: Callable[[int, int], Tape], events: int, alive: int) -> tuple[float, float]:
    """Seconds of this process, and MiB that it grew by."""
    tape = build(events, alive)
    gc.collect()
    gc.freeze()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    diagnose(tape)
    took = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    gc.unfreeze()
    return took, grown


CASES: tuple[tuple[str, Callable[[int, int], Tape], int, int], ...] = (
    ("requests, 100 sockets alive", requests, 100_000, 100),
    ("requests, 100 sockets alive", requests, 1_000_000, 100),
    ("requests, 10,000 sockets alive", requests, 1_000_000, 10_000),
    ("requests, 100,000 sockets alive", requests, 1_000_000, 100_000),
    ("short connections, both ends", short_connections, 45_000, 0),
    ("short connections, both ends", short_connections, 450_000, 0),
    ("refused × bound ports", refused, 10_000, 0),
    ("refused × bound ports", refused, 100_000, 0),
    ("CLOSE_WAIT", close_wait, 12_000, 0),
    ("CLOSE_WAIT", close_wait, 120_000, 0),
)


def run(rounds: int, cases: Iterable[tuple[str, Callable[[int, int], Tape], int, int]] = CASES) -> list[Table]:
    """Cost per event of each recording; what it takes to look at many sockets; what pytest pays."""
    table = Table(
        f"{len(all_rules())} rules over synthetic recordings", ("recording", "events", "seconds", "µs per event")
    )
    data = {}
    for name, build, events, alive in cases:
        trials = [cost(build, events, alive) for _ in range(rounds)]
        seconds = [took for took, _ in trials]
        each = [took / events * 1e6 for took in seconds]
        table.rows.append((name, f"{events:,}", spread(seconds, 2), spread(each)))
        data[f"{name}, {events}"] = {"seconds": seconds, "median_us": statistics.median(each)}
    table.notes.append("Cost of reading the file is not in it; time is that of the process.")
    table.data = data
    return [table, inspecting(rounds), testing(rounds)]
