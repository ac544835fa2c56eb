"""The one vocabulary of facts: what a recording holds, and what a rule, a view or an export reads.

Each class mirrors a table of ``trace/schema.sql``; its fields keep the columns' names and order, so that a row can be
turned into an event by position. Numbers are raw (system-call numbers, ``AF_*``, errno); names are made by
``wallsocket.kernel``. Times are nanoseconds since the start of the recording.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

__all__ = [
    "Call",
    "Counter",
    "Descriptor",
    "Fact",
    "Known",
    "Mark",
    "Moment",
    "Packet",
    "Process",
    "Socket",
    "Source",
    "State",
]


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

    @property
    def met_late(self) -> bool:
        """Whether it lived before it was first seen: what was done with it until then is unknown."""
        return self.origin not in ("socket", "socketpair", "accept")


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


class Source(msgspec.Struct, frozen=True):
    """A line of source code."""

    id: int
    file: str | None
    line: int | None
    function: str | None


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


class Packet(msgspec.Struct, frozen=True):
    """A frame that travelled."""

    id: int
    at_ns: int
    interface: str | None
    link_type: int
    length: int
    frame: bytes


class Counter(msgspec.Struct, frozen=True):
    """A counter of the network namespace."""

    at_ns: int
    name: str
    value: int


class Fact(msgspec.Struct, frozen=True):
    """What the kernel said about the host when a call failed; ``value`` is JSON."""

    id: int
    at_ns: int
    call: int | None
    kind: str
    value: str


class Mark(msgspec.Struct, frozen=True):
    """Something that happened that is no call."""

    id: int
    at_ns: int
    process: int | None
    tid: int | None
    kind: str
    text: str
