"""What was seen, as rows of a recording: the rules that judge traces judge it too."""

from __future__ import annotations

import json
import platform
import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...events import Via
from ...kernel import TcpInfo
from ...kernel.tcp_state import TcpState
from ..recording import Recording, Writer
from .facts import Fact
from .sockets import Key, Picture, Seen
from .threads import Wait

__all__ = ["ProcessRow", "ThreadRow", "fill", "packed_tcp_info"]

_SOL_SOCKET: Final = 1
_SO_KEEPALIVE: Final = 9
_SO_RCVTIMEO: Final = 20
_SO_SNDTIMEO: Final = 21
_SAMPLE: Final = 2
_KNOWN: Final = {"user": 1, "task": 3, "library": 4}

#: The first 104 bytes of struct tcp_info (include/uapi/linux/tcp.h): eight single bytes, then these, 32 bits each.
_BYTES: Final = ("state", "congestion_state", "retransmits", "probes", "backoff", "options")
_WORDS: Final = (
    "rto_us",
    "ato_us",
    "send_mss",
    "receive_mss",
    "unacked_segments",
    "sacked_segments",
    "lost_segments",
    "retransmitted_segments",
    "fackets",
    "last_data_sent_ms",
    "last_ack_sent_ms",
    "last_data_received_ms",
    "last_ack_received_ms",
    "path_mtu",
    "receive_slow_start_threshold",
    "rtt_us",
    "rtt_variance_us",
    "send_slow_start_threshold",
    "congestion_window",
    "advertised_mss",
    "reordering",
    "receive_rtt_us",
    "receive_space",
    "total_retransmitted_segments",
)
_LONGS: Final = ("pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received")
_LATER_WORDS: Final = ("segments_out", "segments_in", "not_sent_bytes", "min_rtt_us")
_TIMERS: Final = {"none": 0, "retransmit": 1, "keepalive": 2, "time_wait": 3, "zero_window_probe": 4}
_MEMORY: Final = (
    "receive_allocated",
    "receive_buffer",
    "send_allocated",
    "send_buffer",
    "forward_allocated",
    "send_queued",
    "option_memory",
    "backlog",
    "drops",
)


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
) -> Recording:
    """Write the tables, in memory.

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
    origin = min([row.entry_ns for row in threads] + [pictures[0].at_ns - 1])
    states = list(_states(pictures, ids))
    origin = min([origin, *(at_ns for at_ns, _, _ in states)])
    end_ns = pictures[-1].at_ns - origin
    realtime = time.time_ns() - time.monotonic_ns() + origin
    writer = Writer.in_memory(
        meta={
            "command": json.dumps(command),
            "machine": platform.machine(),
            "release": platform.release(),
            "started_monotonic_ns": str(origin),
            "started_realtime_ns": str(realtime),
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
    )
    numbers = {row.pid: number for number, row in enumerate(processes, 1)}
    writer.write(
        "process",
        [
            (
                numbers[row.pid],
                row.pid,
                None,
                json.dumps(row.command),
                row.executable,
                row.language,
                0,
                None,
                None,
                None,
                None,
                None,
            )
            for row in processes
        ],
    )
    _write_sockets(writer, processes, numbers, pictures, ids)
    _write_calls(writer, threads, numbers, ids, origin)
    limits = {row.socket: row.limits_s for row in threads if row.socket is not None and row.limits_s is not None}
    writer.write(
        "mark",
        [
            (number, end_ns, numbers[pid], tid, "runs", "was in no call that waits")
            for number, (pid, tid) in enumerate(running, 1)
        ],
    )
    writer.write(
        "fact",
        [
            (number, end_ns, None, fact.kind, json.dumps(fact.value), "pictures", None, None, _id(ids, fact.socket))
            for number, fact in enumerate(facts, 1)
        ],
    )
    writer.write(
        "state",
        [
            (number, ids[seen.key], at_ns - origin, _SAMPLE, None, *_state(seen, whole, limits.get(seen.key)))
            for number, (at_ns, seen, whole) in enumerate(states, 1)
        ],
    )
    return writer.recording()


def _write_sockets(
    writer: Writer,
    processes: list[ProcessRow],
    numbers: Mapping[int, int],
    pictures: list[Picture],
    ids: Mapping[Key, int],
) -> None:
    owner: dict[Key, int] = {}
    rows: list[tuple[Any, ...]] = []
    for row in processes:
        for descriptor, key in row.descriptors.items():
            if key in ids:
                owner.setdefault(key, numbers[row.pid])
                values = (len(rows) + 1, numbers[row.pid], descriptor, ids[key], "inherited", 0, None, None)
                rows.append(values)
    latest: dict[Key, Seen] = {}
    for picture in pictures:
        latest |= {key: picture.by_key[key] for key in ids if key in picture.by_key}
    last = pictures[-1]
    networks = {inode: number for number, inode in enumerate(dict.fromkeys(key[0] for key in latest), 1)}
    writer.write("network", [(number, inode, None, None, None) for inode, number in networks.items()])
    sockets: list[tuple[Any, ...]] = []
    for key, seen in latest.items():
        # The two ends of a Unix connection name each other by inode only: the recording says so as of a pair.
        other = ids.get((key[0], seen.peer_inode)) if seen.peer_inode is not None else None
        gone = key not in last.by_key
        sockets.append(
            (
                ids[key],
                owner.get(key, 0),
                seen.family,
                seen.type,
                seen.number,
                _signed(seen.cookie),
                key[1],
                "socketpair" if other is not None else "accept" if last.incoming(seen) and not seen.listens else "seen",
                None,
                other,
                _encoded(seen.local),
                _encoded(seen.peer),
                0,
                last.at_ns - pictures[0].at_ns if gone else None,
                None,
                networks[key[0]],
                seen.peer_inode,
                None,
            )
        )
    writer.write("socket", sockets)
    writer.write("descriptor", rows)


def _write_calls(
    writer: Writer, threads: list[ThreadRow], numbers: Mapping[int, int], ids: Mapping[Key, int], origin: int
) -> None:
    sources: dict[tuple[str, int | None, str | None], int] = {}
    rows: list[tuple[Any, ...]] = []
    for number, row in enumerate(threads, 1):
        source = None
        if row.source_file is not None:
            place = (row.source_file, row.line, row.function)
            source = sources.setdefault(place, len(sources) + 1)
        wait = row.wait
        rows.append(
            (
                number,
                numbers[row.pid],
                wait.tid,
                wait.number,
                row.entry_ns - origin,
                None,
                None,
                wait.fd,
                ids.get(row.socket) if row.socket is not None else None,
                None,
                _signed(wait.a),
                _signed(wait.b),
                _signed(wait.c),
                wait.address,
                wait.value,
                _signed(wait.length),
                None,
                None,
                None,
                source,
                _KNOWN.get(row.place or "", 0) if source is not None else 0,
                None,
                None,
                Via.PTRACE,
            )
        )
    writer.write("source", [(number, *place) for place, number in sources.items()])
    writer.write("call", rows)


def _states(pictures: list[Picture], ids: Mapping[Key, int]) -> Iterable[tuple[int, Seen, bool]]:
    """(time, socket, whether its queues are of that time)."""
    first = pictures[0]
    for key in ids:
        seen = first.by_key.get(key)
        if seen is not None and seen.state == TcpState.CLOSE_WAIT and seen.info is not None:
            # The peer's FIN came with an acknowledgement, and none came after this one: it was in CLOSE_WAIT then.
            yield first.at_ns - (seen.info.last_ack_received_ms or 0) * 1_000_000 - 1, seen, False
    for picture in pictures:
        for key in ids:
            if key in picture.by_key:
                yield picture.at_ns, picture.by_key[key], True


def _state(seen: Seen, whole: bool, limits_s: tuple[float, float] | None) -> tuple[Any, ...]:
    memory = seen.memory
    options = b""
    if seen.keepalive is not None:
        options = struct.pack("<HHHi", _SOL_SOCKET, _SO_KEEPALIVE, 4, int(seen.keepalive))
    for option, limit_s in zip((_SO_RCVTIMEO, _SO_SNDTIMEO), limits_s or (), strict=False):
        options += struct.pack("<HHHqq", _SOL_SOCKET, option, 16, int(limit_s), int(limit_s % 1 * 1e6))
    return (
        seen.state,
        seen.receive_queue if whole else None,
        seen.send_queue if whole else None,
        memory.get("drops") if memory is not None and whole else None,
        _encoded(seen.local),
        _encoded(seen.peer),
        packed_tcp_info(seen.info) if seen.info is not None and whole else None,
        struct.pack("<9I", *(min(memory.get(name) or 0, 2**32 - 1) for name in _MEMORY))
        if memory is not None and whole
        else None,
        options or None,
        _TIMERS.get(seen.timer) if whole else None,
        seen.timer_expires_ms if whole and seen.timer in _TIMERS else None,
    )


def packed_tcp_info(info: TcpInfo) -> bytes:
    """The part of ``struct tcp_info`` that every supported kernel has, in the form that getsockopt(2) gives it."""
    values = [getattr(info, name) or 0 for name in _BYTES]
    scales = (info.send_window_scale or 0) | (info.receive_window_scale or 0) << 4
    limited = (info.delivery_rate_app_limited or 0) | (info.fastopen_client_fail or 0) << 1
    words = [getattr(info, name) or 0 for name in _WORDS]
    longs = [getattr(info, name) or 0 for name in _LONGS]
    later = [getattr(info, name) or 0 for name in _LATER_WORDS]
    return struct.pack("<8B24I4Q4I", *values, scales, limited, *words, *longs, *later)


def _id(ids: Mapping[Key, int], key: Key | None) -> int | None:
    return ids.get(key) if key is not None else None


def _encoded(address: Any) -> bytes | None:
    return address.encode() if address is not None else None


def _signed(value: int | None) -> int | None:
    """SQLite's integers are signed; flags and cookies may use all 64 bits."""
    if value is None or value < 1 << 63:
        return value
    return value - (1 << 64)
