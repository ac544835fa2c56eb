"""What was seen, in the types of a recording: the rules that judge traces judge it too."""

from __future__ import annotations

import json
import platform
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from ...events import Call, Descriptor, Known, Mark, Moment, Network, Process, Socket, Source, State, Via
from ...events import Fact as FactRow
from ...kernel import Address
from ...kernel.tcp_state import TcpState
from ..recording import Event, event_time_ns
from .facts import Fact
from .sockets import Key, Picture, Seen
from .threads import Wait

__all__ = ["ProcessRow", "Tables", "ThreadRow", "fill"]

_SOL_SOCKET: Final = 1
_SO_KEEPALIVE: Final = 9
_SO_RCVTIMEO: Final = 20
_SO_SNDTIMEO: Final = 21
_KNOWN: Final = {"user": Known.DIRECT, "task": Known.AWAITING, "library": Known.LIBRARY}


class Tables(msgspec.Struct, frozen=True):
    """The tables of a recording by their ids, and what has a time, in its order."""

    meta: dict[str, str]
    processes: dict[int, Process]
    sockets: dict[int, Socket]
    descriptors: dict[int, Descriptor]
    sources: dict[int, Source]
    rows: list[Event]

    @property
    def networks(self) -> dict[int, Network]:
        """Network namespaces: none is told from the others."""
        return {}

    def events(self) -> list[Event]:
        """Everything that has a time."""
        return self.rows

    @property
    def ended_at_s(self) -> float:
        """When the last picture was taken, in seconds since 1970."""
        return (int(self.meta["started_realtime_ns"]) + int(self.meta["ended_ns"])) / 1e9


class ProcessRow:
    """A process and its sockets."""

    __slots__ = ("command", "descriptors", "executable", "language", "pid")

    def __init__(self, pid: int, command: list[str], executable: str | None, language: str | None) -> None:
        self.pid = pid
        self.command = command
        self.executable = executable
        self.language = language
        self.descriptors: dict[int, Key] = {}


class ThreadRow:
    """A thread's wait, its socket, the time limits of that (both in seconds; 0: none) and its line.

    A thread that runs an event loop waits in one call for all tasks: there is a row more for each that awaits a socket,
    with the task's line and the place ``task``.
    """

    __slots__ = ("entry_ns", "function", "limits_s", "line", "pid", "place", "socket", "source_file", "wait")

    def __init__(self, pid: int, wait: Wait, entry_ns: int, socket: Key | None) -> None:
        self.pid = pid
        self.wait = wait
        self.entry_ns = entry_ns
        self.socket = socket
        self.limits_s: tuple[float, float] | None = None
        self.source_file: str | None = None
        self.line: int | None = None
        self.function: str | None = None
        self.place: str | None = None


def fill(
    processes: Iterable[ProcessRow],
    threads: Iterable[ThreadRow],
    running: Iterable[tuple[int, int]],
    pictures: list[Picture],
    ids: Mapping[Key, int],
    command: list[str],
    facts: Iterable[Fact] = (),
) -> Tables:
    """Put it together.

    Args:
        processes: those that were looked at.
        threads: those of their threads that wait in a call, as of the last picture.
        running: (process, thread) of those that wait in no call.
        pictures: in order of time, on the monotonic clock.
        ids: the sockets that are concerned, and their numbers.
        command: what was asked, for the record.
        facts: what surrounds the waits.

    """
    processes, threads = list(processes), sorted(threads, key=lambda row: row.entry_ns)
    seen = list(_seen(pictures, ids))
    origin = min([row.entry_ns for row in threads] + [at_ns for at_ns, _, _ in seen] + [pictures[0].at_ns - 1])
    end_ns = pictures[-1].at_ns - origin
    meta = {
        "command": json.dumps(command),
        "machine": platform.machine(),
        "release": platform.release(),
        "started_monotonic_ns": str(origin),
        "started_realtime_ns": str(time.time_ns() - time.monotonic_ns() + origin),
        "ended_ns": str(end_ns),
        "pictures": str(len(pictures)),
        "payload": "none",
        "calls": "only those that wait",
        "kernel": "yes",
        "wire": "inspect does not look at the wire",
        "lines": "yes",
        "lab": "no",
        "lost": "0",
    }
    numbers = {row.pid: number for number, row in enumerate(processes, 1)}
    descriptors = dict(enumerate(_descriptors(processes, numbers, ids), 1))
    sources: dict[tuple[str | None, int | None, str | None], int] = {}
    limits = {row.socket: row.limits_s for row in threads if row.socket is not None and row.limits_s is not None}
    rows: list[Event] = [
        Mark(number, end_ns, numbers[pid], tid, "runs", "was in no call that waits")
        for number, (pid, tid) in enumerate(running, 1)
    ]
    rows += [_call(number, row, numbers[row.pid], ids, origin, sources) for number, row in enumerate(threads, 1)]
    rows += [
        _state(number, ids[one.key], at_ns - origin, one, whole, limits.get(one.key))
        for number, (at_ns, one, whole) in enumerate(seen, 1)
    ]
    rows += [
        FactRow(number, end_ns, None, fact.kind, json.dumps(fact.value), "pictures", socket=_id(ids, fact.socket))
        for number, fact in enumerate(facts, 1)
    ]
    return Tables(
        meta,
        {numbers[row.pid]: _process(numbers[row.pid], row) for row in processes},
        {one.id: one for one in _sockets(descriptors.values(), pictures, ids)},
        descriptors,
        {number: Source(number, *place) for place, number in sources.items()},
        sorted(rows, key=event_time_ns),
    )


def _process(number: int, row: ProcessRow) -> Process:
    command = json.dumps(row.command)
    return Process(number, row.pid, None, command, row.executable, row.language, 0, None, None, None)


def _descriptors(
    processes: list[ProcessRow], numbers: Mapping[int, int], ids: Mapping[Key, int]
) -> Iterator[Descriptor]:
    number = 0
    for row in processes:
        for descriptor, key in row.descriptors.items():
            if key in ids:
                number += 1
                yield Descriptor(number, numbers[row.pid], descriptor, ids[key], "inherited", 0, None, None)


def _sockets(descriptors: Iterable[Descriptor], pictures: list[Picture], ids: Mapping[Key, int]) -> Iterator[Socket]:
    owner: dict[int, int] = {}
    for descriptor in descriptors:
        owner.setdefault(descriptor.socket, descriptor.process)
    last = pictures[-1]
    networks: dict[int, int] = {}
    for key, number in ids.items():
        seen = next((picture.by_key[key] for picture in reversed(pictures) if key in picture.by_key), None)
        if seen is None:
            continue
        # The two ends of a Unix connection name each other by inode only: this is said as of a pair.
        other = ids.get((key[0], seen.peer_inode)) if seen.peer_inode is not None else None
        origin = "socketpair" if other is not None else "seen"
        if other is None and last.incoming(seen) and not seen.listens:
            origin = "accept"
        yield Socket(
            id=number,
            process=owner.get(number, 0),
            family=seen.family,
            type=seen.type,
            protocol=seen.number,
            cookie=_signed(seen.cookie),
            inode=key[1],
            origin=origin,
            call=None,
            parent=other,
            local=_encoded(seen.local),
            remote=_encoded(seen.peer),
            created_ns=0,
            ended_ns=None if key in last.by_key else last.at_ns - pictures[0].at_ns,
            source=None,
            network=networks.setdefault(key[0], len(networks) + 1),
            peer_inode=seen.peer_inode,
        )


def _call(
    number: int,
    row: ThreadRow,
    process: int,
    ids: Mapping[Key, int],
    origin: int,
    sources: dict[tuple[str | None, int | None, str | None], int],
) -> Call:
    wait = row.wait
    source, known = None, Known.UNKNOWN
    if row.source_file is not None:
        source = sources.setdefault((row.source_file, row.line, row.function), len(sources) + 1)
        known = _KNOWN.get(row.place or "", Known.UNKNOWN)
    return Call(
        id=number,
        process=process,
        tid=wait.tid,
        number=wait.number,
        entry_ns=row.entry_ns - origin,
        took_ns=None,
        result=None,
        fd=wait.fd,
        socket=_id(ids, row.socket),
        made=None,
        a=_signed(wait.a),
        b=_signed(wait.b),
        c=_signed(wait.c),
        address=wait.address,
        value=wait.value,
        length=_signed(wait.length),
        offset=None,
        payload=None,
        flags=None,
        source=source,
        known=known,
        via=Via.PTRACE,
    )


def _seen(pictures: list[Picture], ids: Mapping[Key, int]) -> Iterator[tuple[int, Seen, bool]]:
    """(time, socket, whether its queues are of that time)."""
    first = pictures[0]
    for key in ids:
        seen = first.by_key.get(key)
        if seen is not None and seen.state == TcpState.CLOSE_WAIT and seen.tcp_info:
            # The peer's FIN came with an acknowledgement, and none came after this one: it was in CLOSE_WAIT then.
            yield first.at_ns - (seen.measure("last_ack_received_ms") or 0) * 1_000_000 - 1, seen, False
    for picture in pictures:
        for key in ids:
            if key in picture.by_key:
                yield picture.at_ns, picture.by_key[key], True


def _state(
    number: int, socket: int, at_ns: int, seen: Seen, whole: bool, limits_s: tuple[float, float] | None
) -> State:
    memory = seen.memory if whole else None
    return State(
        id=number,
        socket=socket,
        at_ns=at_ns,
        moment=Moment.SAMPLE,
        call=None,
        state=seen.state,
        receive_queue=seen.receive_queue if whole else None,
        send_queue=seen.send_queue if whole else None,
        drops=memory.drops if memory is not None else None,
        local=_encoded(seen.local),
        remote=_encoded(seen.peer),
        tcp_info=seen.tcp_info if whole else None,
        memory=seen.socket_memory if whole else None,
        options=_options(seen, limits_s) or None,
        timer=seen.timer if whole else None,
        timer_ms=seen.timer_expires_ms if whole else None,
    )


def _options(seen: Seen, limits_s: tuple[float, float] | None) -> bytes:
    """In the form that they have in a recording."""
    options = b""
    if seen.keepalive is not None:
        options = struct.pack("<HHHi", _SOL_SOCKET, _SO_KEEPALIVE, 4, seen.keepalive)
    for option, limit_s in zip((_SO_RCVTIMEO, _SO_SNDTIMEO), limits_s or (), strict=False):
        options += struct.pack("<HHHqq", _SOL_SOCKET, option, 16, int(limit_s), int(limit_s % 1 * 1e6))
    return options


def _id(ids: Mapping[Key, int], key: Key | None) -> int | None:
    return ids.get(key) if key is not None else None


def _encoded(address: Address | None) -> bytes | None:
    return address.encode() if address is not None else None


def _signed(value: int | None) -> int | None:
    """Numbers of a recording are signed; flags and cookies may use all 64 bits."""
    if value is None or value < 1 << 63:
        return value
    return value - (1 << 64)
