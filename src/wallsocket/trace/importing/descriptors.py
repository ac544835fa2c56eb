"""The processes, descriptors and sockets of a strace log, and the rows that they become.

Which socket a number names follows from the calls before, and from what ``-yy`` wrote behind the number, which is believed
where the two differ: closes that were not logged leave old numbers.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .strace import Survey
from .words import Decoration, decoration

__all__ = ["Descriptor", "Descriptors", "Process", "Rows", "Socket", "wildcard"]

_AF_INET: Final = 2
_AF_INET6: Final = 10
_SOCK_STREAM: Final = 1
#: Sockets without a number that are remembered.
_ENDED: Final = 4096


class Rows(Protocol):
    """Takes rows of the tables of a recording."""

    def add(self, table: str, *columns: Any) -> None:
        """A row; the last columns may be left out."""


@dataclass(slots=True, eq=False)
class Socket:
    """A socket that a log speaks of."""

    id: int
    process: int
    family: int
    type: int
    protocol: int
    origin: str
    created_ns: int
    call: int | None = None
    parent: int | None = None
    inode: int | None = None
    peer_inode: int | None = None
    local: bytes | None = None
    remote: bytes | None = None
    ended_ns: int | None = None
    names: int = 0  #: descriptors that name it
    offsets: list[int | None] = field(default_factory=lambda: [0, 0])  #: next byte to be sent, to be received
    key: tuple[object, ...] | None = None


@dataclass(slots=True, eq=False)
class Descriptor:
    """A number that names a socket."""

    id: int
    number: int
    socket: Socket
    origin: str
    opened_ns: int
    cloexec: int | None


@dataclass(slots=True, eq=False)
class Process:
    """A process of the log, with the threads that share its descriptors."""

    id: int
    pid: int
    parent: int | None
    started_ns: int
    table: dict[int, Descriptor] = field(default_factory=dict)
    epolls: dict[int, dict[int, Socket]] = field(default_factory=dict)
    threads: set[int] = field(default_factory=set)
    command: str | None = None
    executable: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    ended_ns: int | None = None
    elder: Process | None = None  #: whose descriptors it has where the log does not say when it was made


class Descriptors:
    """Which process has which socket behind which number.

    Args:
        survey: what the whole log says.
        rows: takes them.
    """

    def __init__(self, survey: Survey, rows: Rows) -> None:
        self.survey = survey
        self.rows = rows
        self.ends: Mapping[int, bytes] = {}  #: socket -> its local address, where the log does not have it
        self.first: Process | None = None
        self.born: dict[int, dict[int, Descriptor]] = {}  #: child -> what its parent had open
        self.forking: dict[int, dict[int, Descriptor]] = {}  #: tid in a fork -> what it had open
        self.of_tid: dict[int, Process] = {}
        self._all: list[Process] = []
        self._by_ends: dict[tuple[object, ...], Socket] = {}
        self._by_inode: dict[int, Socket] = {}
        self._counts = {"socket": 0, "descriptor": 0, "mark": 0}
        self._living: dict[int, Socket] = {}
        self._ended: deque[Socket] = deque()

    def finish(self) -> None:
        """The log has ended: write what is still there."""
        for process in self._all:
            self.write_process(process)
            if process.ended_ns is None:
                for descriptor in process.table.values():
                    self._write_descriptor(process, descriptor, None)
        for one in self._living.values():
            self._write_socket(one)

    # -- processes

    def process(self, tid: int, at_ns: int) -> Process:
        """The process of a thread; made when its first line comes."""
        found = self.of_tid.get(tid)
        if found is not None:
            return found
        survey = self.survey
        parent_tid, thread = survey.children.get(tid, (None, tid not in survey.separate))
        parent = self.of_tid.get(parent_tid) if parent_tid is not None else self.first
        if parent is not None and thread:
            parent.threads.add(tid)
            self.of_tid[tid] = parent
            return parent
        process = Process(len(self._all) + 1, tid, parent.id if parent is not None else None, at_ns)
        process.threads.add(tid)
        self.of_tid[tid] = process
        self._all.append(process)
        if self.first is None:
            self.first = process
        self.write_process(process)
        if parent is not None:
            process.command, process.executable = parent.command, parent.executable
            table = self.born.pop(tid, None)
            if table is None and parent_tid is not None:
                table = self.forking.get(parent_tid)
            if table is not None:
                for descriptor in table.values():
                    if descriptor.socket.ended_ns is None:
                        self.name(process, descriptor.number, descriptor.socket, "fork", at_ns, descriptor.cloexec)
            else:
                process.elder = parent
        return process

    def ends_thread(self, tid: int, text: str, at_ns: int) -> None:
        """A thread has ended, and with the last one its process; ``text``: what strace says of it."""
        process = self.of_tid.pop(tid, None)
        if process is None:
            return
        self.forking.pop(tid, None)
        process.threads.discard(tid)
        if text.startswith("superseded"):
            return
        if text.startswith("killed by "):
            name = text[10:].split(" ")[0]
            process.signal = int(getattr(signal, name, 0)) or None
        elif tid == process.pid or process.exit_code is None:
            code = text.removeprefix("exited with ").partition(" ")[0]
            process.exit_code = int(code) if code.isdecimal() and len(code) < 4 else None
        if process.threads:
            return
        process.ended_ns = at_ns
        for number_ in list(process.table):
            self.unname(process, number_, at_ns)
        self.write_process(process)

    def write_process(self, process: Process) -> None:
        """Its row, which replaces the one before."""
        self.rows.add(
            "process",
            process.id,
            process.pid,
            process.parent,
            process.command,
            process.executable,
            None,
            process.started_ns,
            process.ended_ns,
            process.exit_code if process.signal is None else None,
            process.signal,
        )

    def mark(self, at_ns: int, process: int | None, tid: int | None, kind: str, text: str) -> None:
        """Something that is no call."""
        self._counts["mark"] += 1
        self.rows.add("mark", self._counts["mark"], at_ns, process, tid, kind, text)

    # -- sockets and descriptors

    def new(
        self, process: Process, family: int, type: int, protocol: int, origin: str, at_ns: int, **more: Any
    ) -> Socket:
        """A socket that has not been met before."""
        self._counts["socket"] += 1
        late = origin not in ("socket", "socketpair", "accept")
        one = Socket(self._counts["socket"], process.id, family, type, protocol, origin, at_ns, **more)
        if late or type != _SOCK_STREAM:
            one.offsets = [None, None]
        self._living[one.id] = one
        return one

    def learn(self, one: Socket, told: Decoration) -> None:
        """Take what strace wrote behind a number of a socket."""
        if one.family < 0:
            one.family, one.type, one.protocol = told.family, told.type, told.protocol
        elif one.type < 0:
            one.type = told.type
        if one.protocol <= 0 and told.protocol > 0:
            one.protocol = told.protocol
        if told.inode is not None:
            one.inode = told.inode
            one.peer_inode = told.peer_inode or one.peer_inode
            self._by_inode[told.inode] = one
        if told.local is not None:
            one.local = told.local
        if told.remote is not None:
            one.remote = told.remote
        self.index(one)

    def index(self, one: Socket) -> None:
        """Make it known by its two ends, when it has them."""
        if one.local is not None and one.remote is not None and one.type == _SOCK_STREAM:
            key = (one.local, one.remote)
            if one.key != key:
                if one.key is not None and self._by_ends.get(one.key) is one:
                    del self._by_ends[one.key]
                one.key = key
                self._by_ends[key] = one

    def name(self, process: Process, fd: int, one: Socket, origin: str, at_ns: int, cloexec: int | None) -> Descriptor:
        """A number names a socket from now on."""
        if fd in process.table:
            # Its close was not logged, or dup2 closed it.
            self.unname(process, fd, at_ns)
        self._counts["descriptor"] += 1
        one.names += 1
        one.ended_ns = None
        found = process.table[fd] = Descriptor(self._counts["descriptor"], fd, one, origin, at_ns, cloexec)
        self._write_descriptor(process, found, None)
        return found

    def _write_descriptor(self, process: Process, found: Descriptor, closed_ns: int | None) -> None:
        self.rows.add(
            "descriptor",
            found.id,
            process.id,
            found.number,
            found.socket.id,
            found.origin,
            found.opened_ns,
            closed_ns,
            found.cloexec,
        )

    def unname(self, process: Process, fd: int, at_ns: int) -> None:
        """A number is free again; a socket without numbers has ended."""
        descriptor = process.table.pop(fd, None)
        process.epolls.pop(fd, None)
        if descriptor is None:
            return
        self._write_descriptor(process, descriptor, at_ns)
        one = descriptor.socket
        one.names -= 1
        if one.names <= 0:
            one.ended_ns = at_ns
            self._write_socket(one)
            self._living.pop(one.id, None)
            self._ended.append(one)
            if len(self._ended) > _ENDED:
                self._forget(self._ended.popleft())

    def _forget(self, one: Socket) -> None:
        """Nobody can have inherited it any more."""
        if one.names > 0:
            return
        if one.key is not None and self._by_ends.get(one.key) is one:
            del self._by_ends[one.key]
        if one.inode is not None and self._by_inode.get(one.inode) is one:
            del self._by_inode[one.inode]

    def _write_socket(self, one: Socket) -> None:
        self.rows.add(
            "socket",
            one.id,
            one.process,
            one.family,
            one.type,
            one.protocol,
            None,
            one.inode,
            one.origin,
            one.call,
            one.parent,
            one.local if one.local is not None and not wildcard(one.local) else self.ends.get(one.id, one.local),
            one.remote,
            one.created_ns,
            one.ended_ns,
            None,
            None,
            one.peer_inode,
        )

    def at(self, process: Process, fd: int, said: str | None, at_ns: int, *, is_socket: bool = False) -> Socket | None:
        """The socket behind a number; ``said``: what -y wrote behind it."""
        known = process.table.get(fd)
        if known is None and process.elder is not None:
            inherited = process.elder.table.get(fd)
            if inherited is not None:
                known = self.name(process, fd, inherited.socket, "fork", at_ns, inherited.cloexec)
        if said is None:
            if known is None and is_socket and fd >= 0:
                one = self.new(process, -1, -1, -1, "seen", at_ns)
                known = self.name(process, fd, one, "inherited", at_ns, None)
            return known.socket if known is not None else None
        told = decoration(said)
        if told is None:
            if known is not None and not is_socket:
                self.unname(process, fd, at_ns)
                return None
            return known.socket if known is not None else None
        if known is not None and not _contradicts(known.socket, told):
            self.learn(known.socket, told)
            return known.socket
        if known is not None:
            self.unname(process, fd, at_ns)
        found: Socket | None = None
        if told.inode is not None:
            found = self._by_inode.get(told.inode)
        elif told.local is not None and told.remote is not None and told.type == _SOCK_STREAM:
            found = self._by_ends.get((told.local, told.remote))
        if found is not None and found.ended_ns is not None:
            # A child whose making is not in the log may have what its parent has closed since.
            found = found if process.elder is not None else None
        if found is None:
            found = self.new(process, told.family, told.type, told.protocol, "seen", at_ns)
        self._living[found.id] = found
        self.learn(found, told)
        self.name(process, fd, found, "inherited", at_ns, None)
        return found


def wildcard(sockaddr: bytes) -> bool:
    """Whether an address stands for all addresses of the host."""
    family = int.from_bytes(sockaddr[:2], "little")
    if family == _AF_INET:
        return sockaddr[4:8] == bytes(4)
    return family == _AF_INET6 and sockaddr[8:24] == bytes(16)


def _contradicts(one: Socket, told: Decoration) -> bool:
    """Whether a socket cannot be the one that a line speaks of."""
    if told.family >= 0 and one.family >= 0 and told.family != one.family:
        return True
    if told.type >= 0 and one.type >= 0 and told.type != one.type:
        return True
    if told.inode is not None and one.inode is not None:
        return told.inode != one.inode
    if one.type != _SOCK_STREAM or told.remote is None or one.remote is None:
        return False
    return told.remote != one.remote or (told.local is not None and one.local is not None and _differ(told, one))


def _differ(told: Decoration, one: Socket) -> bool:
    assert one.local is not None
    return told.local != one.local and not wildcard(one.local) and one.local[2:4] == (told.local or b"")[2:4]
