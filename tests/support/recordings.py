"""Small recordings for tests: written as a tracer writes them, with frames as they travel."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wallsocket import events
from wallsocket.trace.recording import Recording, Writer
from wallsocket.trace.syscalls import NUMBERS

NUMBER = NUMBERS["x86_64"]
MICROSECOND = 1_000
MILLISECOND = 1_000_000


def inet(text: str) -> bytes:
    """``struct sockaddr`` of ``127.0.0.1:80`` or ``[::1]:80``."""
    host, _, port = text.rpartition(":")
    if host.startswith("["):
        address = socket.inet_pton(socket.AF_INET6, host[1:-1])
        return struct.pack("<H", socket.AF_INET6) + struct.pack("!HI", int(port), 0) + address + bytes(4)
    return struct.pack("<H", socket.AF_INET) + struct.pack("!H", int(port)) + socket.inet_aton(host) + bytes(8)


def unix(name: bytes) -> bytes:
    """``struct sockaddr_un`` as the kernel returns it."""
    return struct.pack("<H", socket.AF_UNIX) + name


def row(kind: type[Any], /, **fields: Any) -> tuple[Any, ...]:
    """A row; columns that are not given have their default, or are empty."""
    names = kind.__struct_fields__
    unknown = fields.keys() - set(names)
    assert not unknown, unknown
    values = dict.fromkeys(names) | dict(zip(names[::-1], kind.__struct_defaults__[::-1], strict=False)) | fields
    return tuple(values.values())


FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}


def tcp_frame(
    source: str, destination: str, flags: str, *, seq: int = 0, ack: int = 0, window: int = 1000, payload: bytes = b""
) -> bytes:
    """An Ethernet frame with an IPv4 TCP segment; checksums are left zero."""
    bits = sum(FLAGS[letter] for letter in flags)
    (a, ap), (b, bp) = _ends(source, destination)
    header = struct.pack("!HHIIBBHHH", ap, bp, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, bits, window, 0, 0)
    return _ipv4(a, b, 6, header + payload)


def udp_frame(source: str, destination: str, payload: bytes) -> bytes:
    """An Ethernet frame with an IPv4 UDP datagram."""
    (a, ap), (b, bp) = _ends(source, destination)
    return _ipv4(a, b, 17, struct.pack("!HHHH", ap, bp, 8 + len(payload), 0) + payload)


def icmp_unreachable(router: str, source: str, destination: str, quoted: bytes) -> bytes:
    """ICMP port unreachable from ``router`` to ``source``, quoting an Ethernet frame that ``source`` sent."""
    body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted[14 : 14 + 28]
    return _ipv4(socket.inet_aton(router), socket.inet_aton(source), 1, body)


def _ends(source: str, destination: str) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    (a, _, ap), (b, _, bp) = source.rpartition(":"), destination.rpartition(":")
    return (socket.inet_aton(a), int(ap)), (socket.inet_aton(b), int(bp))


def _ipv4(source: bytes, destination: bytes, protocol: int, body: bytes) -> bytes:
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0, source, destination)
    return bytes(12) + struct.pack("!H", 0x0800) + header + body


class Script:
    """Builds a recording line by line; times are in microseconds."""

    def __init__(self, path: Path, **meta: str) -> None:
        values = {"version": "0", "machine": "x86_64", "command": '["true"]', "calls": "yes", "kernel": "yes"}
        self.path = path
        self.writer = Writer(path, meta=values | {"wire": "yes", "lines": "yes", "payload": "64", "lost": "0"} | meta)
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._sources: dict[tuple[str, int, str], int] = {}
        self._calls = 0

    def _add(self, table: str, values: tuple[Any, ...]) -> None:
        self._rows.setdefault(table, []).append(values)

    def process(self, number: int, pid: int, *command: str, **fields: Any) -> None:
        fields = {"started_ns": 0, "executable": command[0] if command else None} | fields
        self._add("process", row(events.Process, id=number, pid=pid, command=json.dumps(command), **fields))

    def socket(self, number: int, process: int, created: float, ended: float | None = None, **fields: Any) -> None:
        base: dict[str, Any] = {"family": 2, "type": 1, "protocol": 6, "origin": "socket"}
        for name in ("local", "remote"):
            if isinstance(fields.get(name), str):
                fields[name] = inet(fields[name])
        self._add(
            "socket",
            row(
                events.Socket,
                id=number,
                process=process,
                created_ns=_ns(created),
                ended_ns=None if ended is None else _ns(ended),
                **(base | fields),
            ),
        )

    def call(
        self,
        name: str,
        at: float,
        took: float | None = 1,
        result: int | None = 0,
        *,
        process: int = 1,
        line: tuple[str, int, str] | None = None,
        known: int = 1,
        **fields: Any,
    ) -> int:
        self._calls += 1
        source = None
        if line is not None:
            source = self._sources.setdefault(line, len(self._sources) + 1)
        if isinstance(fields.get("address"), str):
            fields["address"] = inet(fields["address"])
        self._add(
            "call",
            row(
                events.Call,
                id=self._calls,
                process=process,
                tid=fields.pop("tid", 100 + process),
                number=NUMBER[name],
                entry_ns=_ns(at),
                took_ns=None if took is None else _ns(took),
                result=None if took is None else result,
                source=source,
                known=known if source is not None else 0,
                **fields,
            ),
        )
        return self._calls

    def state(self, socket: int, at: float, moment: int, call: int | None, state: int | None, **fields: Any) -> None:
        number = len(self._rows.get("state", ())) + 1
        values = {"socket": socket, "at_ns": _ns(at), "moment": moment, "call": call, "state": state}
        self._add("state", row(events.State, id=number, **values, **fields))

    def network(self, number: int, name: str, access: str) -> None:
        self._add("network", row(events.Network, id=number, name=name, access=access))

    def frame(
        self, at: float, frame: bytes, *, interface: str = "lo", kept: int = 256, network: int | None = None
    ) -> None:
        number = len(self._rows.get("packet", ())) + 1
        self._add("packet", (number, _ns(at), interface, 1, len(frame), frame[:kept], network))

    def mark(self, at: float, process: int, kind: str, text: str) -> None:
        number = len(self._rows.get("mark", ())) + 1
        self._add("mark", (number, _ns(at), process, 100 + process, kind, text))

    def done(self, ended: float | None = None, **meta: str) -> Recording:
        self.writer.write("source", [(number, *line) for line, number in self._sources.items()])
        for table, rows in self._rows.items():
            self.writer.write(table, rows)
        end = {} if ended is None else {"ended_ns": str(_ns(ended))}
        self.writer.finish(end | meta)
        return Recording.open(self.path)


def _ns(microseconds: float) -> int:
    return round(microseconds * MICROSECOND)


def lost_letter(path: Path, *, wire: bool = True, **meta: str) -> Recording:
    """The service that reads once: 3000 bytes arrive, 1024 are taken, and close resets the client."""
    server, client = "127.0.0.1:4567", "127.0.0.1:51822"
    script = Script(path, command='["sh","broken/run.sh"]', **({} if wire else {"wire": "needs CAP_NET_RAW"}), **meta)
    script.process(1, 70, "/usr/bin/python3", "upper.py")
    script.process(2, 71, "nc", "-N", "127.0.0.1", "4567")
    main, serve = ("/srv/upper.py", 3, "<module>"), ("/srv/upper.py", 6, "serve")
    script.socket(1, 1, 0, local=server)
    script.socket(2, 2, 1000, 1300, local=client, remote=server)
    script.socket(3, 1, 1105, 1265, local=server, remote=client, origin="accept", parent=1)
    made = script.call("socket", 0, result=3, made=1, a=2, b=1, c=6, line=main)
    script.state(1, 2, 1, made, 7)
    script.call("bind", 10, fd=3, socket=1, address=server, line=main)
    listening = script.call("listen", 20, fd=3, socket=1, a=128, line=main)
    script.state(1, 22, 1, listening, 10, receive_queue=0, send_queue=128)
    accepted = script.call("accept4", 50, 1055, 4, fd=3, socket=1, made=3, a=0, address=client, line=main)
    made = script.call("socket", 1000, process=2, result=3, made=2, a=2, b=1, c=6)
    script.state(2, 1002, 1, made, 7)
    connected = script.call("connect", 1010, 80, fd=3, socket=2, address=server, process=2)
    script.state(2, 1091, 1, connected, 1)
    script.state(3, 1106, 1, accepted, 1)
    letter = b"Dear Sir,\n" * 6 + b"...."
    script.call("write", 1100, 20, 3000, fd=3, socket=2, process=2, length=3000, offset=0, payload=letter)
    received = script.call(
        "recvfrom", 1150, 31, 1024, fd=4, socket=3, a=0, length=1024, offset=0, payload=letter, line=serve
    )
    script.state(3, 1182, 1, received, 1, receive_queue=1976)
    answer = ("/srv/upper.py", 7, "serve")
    script.call(
        "sendto", 1231, 9, 1024, fd=4, socket=3, a=0, length=1024, offset=0, payload=letter.upper(), line=answer
    )
    closed = script.call("close", 1260, 5, fd=4, socket=3, line=("/srv/upper.py", 8, "serve"))
    script.state(3, 1260.5, 0, closed, 1, receive_queue=1976, send_queue=0)
    script.call("accept4", 1270, None, fd=3, socket=1, a=0, line=main)
    failed = script.call("shutdown", 1280, 1, -107, fd=3, socket=2, a=1, process=2)
    script.state(2, 1281.5, 1, failed, 7)
    script.call("close", 1299, 1, fd=3, socket=2, process=2)
    if wire:
        script.frame(1020, tcp_frame(client, server, "S", seq=1000))
        script.frame(1021, tcp_frame(server, client, "SA", seq=9000, ack=1001))
        script.frame(1022, tcp_frame(client, server, "A", seq=1001, ack=9001))
        script.frame(1101, tcp_frame(client, server, "PA", seq=1001, ack=9001, payload=letter.ljust(3000)))
        script.frame(1102, tcp_frame(server, client, "A", seq=9001, ack=4001))
        script.frame(1232, tcp_frame(server, client, "PA", seq=9001, ack=4001, payload=letter.upper().ljust(1024)))
        script.frame(1233, tcp_frame(client, server, "A", seq=4001, ack=10025))
        script.frame(1262, tcp_frame(server, client, "RA", seq=10025, ack=4001))
    return script.done(1400, exit_status="0", end="exit")


def text(lines: Sequence[str]) -> str:
    """Lines as they are printed, for a comparison of the whole."""
    return "\n".join(lines) + "\n"
