"""Recordings made by hand: each line of a story becomes the rows that a trace would have written."""

from __future__ import annotations

import errno
import json
import socket as sockets
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from wallsocket import events
from wallsocket.diagnose import Diagnosis, all_rules, diagnose
from wallsocket.trace.recording import Recording, Writer
from wallsocket.trace.syscalls import NUMBERS

MS = 1_000_000
S = 1_000_000_000


def inet(host: str, port: int) -> bytes:
    """A ``struct sockaddr`` of the Internet families."""
    if ":" in host:
        return (
            struct.pack("=HHI", sockets.AF_INET6, sockets.htons(port), 0)
            + sockets.inet_pton(sockets.AF_INET6, host)
            + bytes(4)
        )
    return struct.pack("=HH", sockets.AF_INET, sockets.htons(port)) + sockets.inet_aton(host) + bytes(8)


def whole(table: str, columns: Iterable[Any]) -> tuple[Any, ...]:
    """A row whose last columns have their defaults."""
    return msgspec.structs.astuple(getattr(events, table.capitalize())(*columns))


class Story:
    """Builds one recording; time goes on by a tenth of a millisecond with each call unless told otherwise."""

    def __init__(self, **meta: str) -> None:
        self.meta = {
            "machine": "x86_64",
            "calls": "yes",
            "kernel": "yes",
            "wire": "no CAP_NET_RAW",
            "lines": "yes",
            "lab": "yes",
            "started_monotonic_ns": "0",
            "started_realtime_ns": "0",
            "exit_status": "0",
            **meta,
        }
        self.now = 1 * MS
        self.rows: dict[str, list[tuple[Any, ...]]] = {}
        self.ids: dict[str, int] = {}
        self.made: dict[int, dict[str, Any]] = {}
        self.offsets: dict[tuple[int, str], int] = {}
        self.processes: dict[int, list[Any]] = {}

    def add(self, table: str, *columns: Any) -> int:
        number = self.ids[table] = self.ids.get(table, 0) + 1
        if table == "counter":
            self.rows.setdefault(table, []).append(columns)
        else:
            self.rows.setdefault(table, []).append((number, *columns))
        return number

    def process(self, command: str = "server", pid: int | None = None) -> int:
        number = self.ids["process"] = self.ids.get("process", 0) + 1
        self.processes[number] = [number, pid or 1000 + number, None, json.dumps([command]), f"/bin/{command}", None]
        self.processes[number] += [0, None, None, None]
        return number

    def end(self, process: int, *, code: int | None = 0, signal: int | None = None, at: int | None = None) -> None:
        """A process ends and closes what it has open."""
        at = at or self.now
        self.processes[process][7:] = [at, code, signal]
        for made in self.made.values():
            if made["process"] == process and made["ended"] is None:
                made["ended"] = at

    def socket(self, process: int, local: tuple[str, int] | None, remote: tuple[str, int] | None, **more: Any) -> int:
        number = self.ids["socket"] = self.ids.get("socket", 0) + 1
        self.made[number] = {
            "process": process,
            "family": more.get("family", sockets.AF_INET),
            "type": more.get("type", sockets.SOCK_STREAM),
            "protocol": more.get("protocol", -1),
            "origin": more.get("origin", "socket"),
            "parent": more.get("parent"),
            "local": inet(*local) if local else None,
            "remote": inet(*remote) if remote else None,
            "created": self.now,
            "ended": None,
            "source": more.get("source"),
        }
        self.add("descriptor", process, 3 + number, number, "call", self.now, None, 1)
        return number

    def source(self, file: str, line: int) -> int:
        return self.add("source", file, line, "main")

    def call(
        self,
        name: str,
        socket: int,
        /,
        result: int | None = 0,
        *,
        length: int | None = None,
        took: int = MS // 20,
        payload: bytes | None = None,
        unread: int | None = None,
        left: int | None = None,
        state: int = 1,
        tid: int | None = None,
        entry: dict[str, Any] | None = None,
        exit: dict[str, Any] | None = None,
        **columns: Any,
    ) -> int:
        """A call on a socket; ``unread`` and ``left``: what the receive queue held when it was entered and returned."""
        made = self.made[socket]
        process = made["process"]
        direction = {"recvfrom": "in", "read": "in", "sendto": "out", "write": "out"}.get(name)
        offset = None
        if direction is not None and made["type"] == sockets.SOCK_STREAM and result is not None and result >= 0:
            offset = self.offsets.get((socket, direction), 0)
            self.offsets[socket, direction] = offset + result
        values = {"fd": 3 + socket, "socket": socket, "made": None, "a": None, "b": None, "c": None}
        values |= {"address": None, "value": None, "length": length, "offset": offset, "payload": payload}
        values |= {"flags": None, "source": None, "known": 1}
        values |= columns
        start = self.now
        number = self.add(
            "call",
            process,
            tid or self.processes[process][1],
            NUMBERS["x86_64"][name],
            start,
            None if result is None else took,
            result,
            *values.values(),
        )
        if unread is not None or entry is not None:
            self.state(socket, at=start, moment=0, call=number, **{"state": state, "receive": unread, **(entry or {})})
        if left is not None or exit is not None:
            self.state(
                socket, at=start + took, moment=1, call=number, **{"state": state, "receive": left, **(exit or {})}
            )
        self.now += took + MS // 10
        if name == "close" and result == 0:
            made["ended"] = start + took
        return number

    def state(
        self, socket: int, *, at: int | None = None, moment: int = 2, call: int | None = None, **columns: Any
    ) -> int:
        values = {"state": 1, "receive": 0, "send": 0, "drops": None, "local": None, "remote": None}
        values |= {"tcp_info": None, "memory": None, "options": None}
        values |= columns
        return self.add("state", socket, self.now if at is None else at, moment, call, *values.values())

    def counter(self, name: str, value: int, at: int | None = None, network: int | None = None) -> None:
        self.add("counter", self.now if at is None else at, name, value, network)

    def fact(self, call: int, kind: str, value: Any) -> None:
        self.add("fact", self.now, call, kind, json.dumps(value))

    def recording(self) -> Recording:
        writer = Writer.in_memory(meta={**self.meta, "ended_ns": self.meta.get("ended_ns", str(self.now))})
        self._fill(writer)
        return writer.recording()

    def save(self, path: Path) -> Path:
        """The recording as a file."""
        with Writer(path, meta=self.meta) as writer:
            self._fill(writer)
            writer.finish({"ended_ns": self.meta.get("ended_ns", str(self.now))})
        return path

    def _fill(self, writer: Writer) -> None:
        for process in self.processes.values():
            writer.write("process", [whole("process", process)])
        for number, made in self.made.items():
            row = (
                number,
                made["process"],
                made["family"],
                made["type"],
                made["protocol"],
                None,
                None,
                made["origin"],
                None,
            )
            row += (made["parent"], made["local"], made["remote"], made["created"], made["ended"], made["source"])
            row += (made.get("network"),)
            writer.write("socket", [whole("socket", row)])
        # Each network namespace in which a socket is has counters.
        rows = {"counter": [(0, "IpOutRequests", 0, None)], **self.rows}
        for table, those in rows.items():
            writer.write(table, [whole(table, row) for row in those])

    def diagnosis(self, *rules: str) -> Diagnosis:
        """What all rules say, or only those of these names."""
        return diagnose(self.recording(), [rule for rule in all_rules() if rule.id in rules] or None)

    def found(self) -> list[str]:
        """``rule certainty severity`` of each finding."""
        return [f"{one.rule} {one.certainty} {one.severity}" for one in self.diagnosis().findings]


def pair(story: Story, **more: Any) -> tuple[int, int]:
    """Both ends of one connection, of a server and a client process: their sockets."""
    server, client = story.process("server"), story.process("client")
    here, there = ("127.0.0.1", 4567), ("127.0.0.1", 51000)
    return (
        story.socket(server, here, there, origin="accept", **more),
        story.socket(client, there, here, **more),
    )


REFUSED = -errno.ECONNREFUSED
IN_USE = -errno.EADDRINUSE
PIPE = -errno.EPIPE
RESET = -errno.ECONNRESET
AGAIN = -errno.EAGAIN
