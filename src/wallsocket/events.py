"""The one vocabulary of facts: what a recording holds, and what a rule, a view or an export reads.

Each class mirrors a table of ``trace/schema.sql``; its fields keep the columns' names and order, so that a row can be
turned into an event by position. Numbers are raw (system-call numbers, ``AF_*``, errno); names are made by
``wallsocket.kernel``. Times are nanoseconds since the start of the recording.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

__all__ = [
    "Binary",
    "Call",
    "Counter",
    "Descriptor",
    "Fact",
    "Known",
    "Mark",
    "Moment",
    "Network",
    "Packet",
    "Process",
    "Socket",
    "Source",
    "Stack",
    "State",
    "Via",
]

#: A frame of ``stack.frames``.
_FRAME: Final = struct.Struct("<IQ")


class Known(IntEnum):
    """How the source line of a call is known."""

    UNKNOWN = 0
    DIRECT = 1  #: the innermost frame in the user's own code, at the call
    CREATOR = 2  #: the call was made by an event loop; this line made the socket
    AWAITING = 3  #: the coroutine that waits for the call's result
    LIBRARY = 4  #: no frame of the user's own code; the innermost library frame


class Moment(IntEnum):
    """When a socket was looked at."""

    ENTRY = 0
    EXIT = 1
    SAMPLE = 2
    DESTROYED = 3


class Via(IntEnum):
    """How a call was seen."""

    PTRACE = 0  #: at its stops
    PRELOAD = 1  #: by a library in the program
    IO_URING = 2  #: in a submission ring
    LOG = 3  #: in another tool's log


class Network(msgspec.Struct, frozen=True):
    """A network namespace: addresses, ports, routes and counters mean something only within one.

    ``access`` says how the kernel was asked about it: ``own``, ``entered``, ``refused: `` and the reason, or ``None``.
    """

    id: int
    inode: int | None
    cookie: int | None
    name: str | None
    access: str | None


class Process(msgspec.Struct, frozen=True):
    """A process that was followed."""

    id: int
    pid: int
    parent: int | None
    command: str | None
    executable: str | None
    language: str | None
    started_ns: int
    ended_ns: int | None
    exit_code: int | None
    signal: int | None
    network: int | None = None
    source: int | None = None


class Socket(msgspec.Struct, frozen=True):
    """A kernel socket; ``local`` and ``remote`` are raw ``struct sockaddr``."""

    id: int
    process: int
    family: int
    type: int
    protocol: int
    cookie: int | None
    inode: int | None
    origin: str
    call: int | None
    parent: int | None
    local: bytes | None
    remote: bytes | None
    created_ns: int
    ended_ns: int | None
    source: int | None
    network: int | None = None
    peer_inode: int | None = None
    peer_pid: int | None = None

    @property
    def met_late(self) -> bool:
        """Whether it lived before it was first seen: what was done with it until then is unknown."""
        return self.origin not in ("socket", "socketpair", "accept")

    @property
    def inferred(self) -> bool:
        """Whether nobody saw it: it follows from frames of an imported capture, and no call on it is known."""
        return self.origin == "inferred"

    def _repr_html_(self) -> str:
        """For notebooks."""
        from . import markup
        from ._core import kernel

        kind = (kernel.family(self.family), kernel.socket_type(self.type), kernel.protocol(self.family, self.protocol))
        ends = [str(kernel.Address.decode(end)) if end else "" for end in (self.local, self.remote)]
        lived = f"from {self.created_ns / 1e6:.3f} ms " + (
            f"to {self.ended_ns / 1e6:.3f} ms" if self.ended_ns is not None else "to the end of the recording"
        )
        facts = (
            ("kind", " ".join(filter(None, kind))),
            ("local", ends[0]),
            ("remote", ends[1]),
            ("origin", self.origin + (f" (from socket {self.parent})" if self.parent is not None else "")),
            ("process", str(self.process)),
            ("lived", lived),
            ("cookie", "" if self.cookie is None else str(self.cookie)),
            ("inode", "" if self.inode is None else str(self.inode)),
        )
        return markup.card(f"socket {self.id}", facts)


class Descriptor(msgspec.Struct, frozen=True):
    """A descriptor number that named a socket for a while."""

    id: int
    process: int
    number: int
    socket: int
    origin: str
    opened_ns: int
    closed_ns: int | None
    cloexec: int | None


#: What ``source.function`` begins with where a perf map named it.
_BY_MAP: Final = "perf map`"


class Source(msgspec.Struct, frozen=True):
    """A line of source code."""

    id: int
    file: str | None
    line: int | None
    function: str | None

    @property
    def begins(self) -> bool:
        """Whether ``line`` is where the function begins, and the line of the call itself is unknown: a perf map says no more."""
        return self.function is not None and self.function.startswith(_BY_MAP)

    @property
    def name(self) -> str | None:
        """The function, without a word on who named it."""
        return self.function.removeprefix(_BY_MAP) if self.function is not None else None


class Binary(msgspec.Struct, frozen=True):
    """A program file or library that calls came from."""

    id: int
    path: str | None
    build_id: bytes | None


class Stack(msgspec.Struct, frozen=True):
    """The native stack that a call was made on; see the ``stack`` table for the form of ``frames``."""

    id: int
    frames: bytes

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Binary id (0: no file) and offset in that file's own addresses, innermost first."""
        whole = len(self.frames) // _FRAME.size * _FRAME.size
        yield from _FRAME.iter_unpack(self.frames[:whole])


class Call(msgspec.Struct, frozen=True):
    """A system call that concerns sockets; see the ``call`` table for the columns."""

    id: int
    process: int
    tid: int
    number: int
    entry_ns: int
    took_ns: int | None
    result: int | None
    fd: int | None
    socket: int | None
    made: int | None
    a: int | None
    b: int | None
    c: int | None
    address: bytes | None
    value: bytes | None
    length: int | None
    offset: int | None
    payload: bytes | None
    flags: int | None
    source: int | None
    known: int
    sockets: bytes | None = None
    stack: int | None = None
    via: int = 0

    @property
    def entry_sockets(self) -> tuple[int, ...]:
        """The socket of each entry of ``value`` (poll, select, epoll_wait) or of each descriptor passed; 0 unknown or none."""
        packed = self.sockets or b""
        return struct.unpack(f"<{len(packed) // 4}I", packed[: len(packed) // 4 * 4])

    @property
    def exit_ns(self) -> int | None:
        """When the call returned, or ``None`` if it did not."""
        return None if self.took_ns is None else self.entry_ns + self.took_ns

    @property
    def errno(self) -> int | None:
        """The error number of a failed call, or ``None``."""
        return -self.result if self.result is not None and -4096 < self.result < 0 else None


class State(msgspec.Struct, frozen=True):
    """What a socket was at a moment."""

    id: int
    socket: int
    at_ns: int
    moment: int
    call: int | None
    state: int | None
    receive_queue: int | None
    send_queue: int | None
    drops: int | None
    local: bytes | None
    remote: bytes | None
    tcp_info: bytes | None
    memory: bytes | None
    options: bytes | None
    timer: int | None = None
    timer_ms: int | None = None


class Packet(msgspec.Struct, frozen=True):
    """A frame that travelled."""

    id: int
    at_ns: int
    interface: str | None
    link_type: int
    length: int
    frame: bytes
    network: int | None = None


class Counter(msgspec.Struct, frozen=True):
    """A counter of a network namespace; ``network`` ``None`` is that of the tracer."""

    at_ns: int
    name: str
    value: int
    network: int | None = None


class Fact(msgspec.Struct, frozen=True):
    """What the kernel said about the host; ``value`` is JSON, ``occasion`` why it was asked (``failure``, ``start`` …)."""

    id: int
    at_ns: int
    call: int | None
    kind: str
    value: str
    occasion: str | None = None
    network: int | None = None
    process: int | None = None
    socket: int | None = None


class Mark(msgspec.Struct, frozen=True):
    """Something that happened that is no call."""

    id: int
    at_ns: int
    process: int | None
    tid: int | None
    kind: str
    text: str
