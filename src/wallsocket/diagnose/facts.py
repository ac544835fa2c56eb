"""The fact tables that rules read: what one ordered pass over a recording leaves of each socket.

Nothing here judges. Memory is bounded: of each socket a fixed number of calls and samples is kept, counted sums of the
rest, and :class:`~.engine.Engine` retires closed sockets. Numbers of flags and states are those of Linux' user-space
headers (``include/uapi``); the same on every machine that the recording format knows.
"""

from __future__ import annotations

import errno
import json
import signal
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ..events import Call, Counter, Descriptor, Fact, Mark, Moment, Process, Socket, Source, State
from ..trace.wire import RST, segment
from .finding import Proof
from .vocabulary import (
    ACCEPTS,
    AF_INET,
    AF_INET6,
    AF_UNIX,
    CLOSE_WAIT,
    EPOLL_WAITS,
    EPOLLOUT,
    ESTABLISHED,
    LISTEN,
    MSG_PEEK,
    POLL_CALLS,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    READS,
    SO_ERROR,
    SO_LINGER,
    SOCK_STREAM,
    SOL_SOCKET,
    STATE_NAMES,
    WRITES,
    Address,
    address_of,
)

if TYPE_CHECKING:
    from ..events import Packet

__all__ = [
    "CallFacts",
    "CounterFacts",
    "Facts",
    "Flow",
    "HostSocket",
    "Listener",
    "Refusal",
    "SocketFacts",
    "Tables",
    "Turn",
]

#: Calls of one socket that are kept as they were; older ones only as sums.
_RECENT = 64
#: Writes of one socket that are kept to find out where a reader's cut fell. Loopback holds a few MiB between two
#: programs (tcp(7), tcp_rmem and tcp_wmem): more small writes than these can be on the way only when nobody reads.
_RECENT_WRITES = 1024
#: Failed calls kept of one socket: the first ones tell more than the last.
_ERRORS = 16
#: Samples kept of the changes of a socket's state.
_TRANSITIONS = 32
#: A wait that is worth a question.
LONG_WAIT_NS = 1_000_000_000
#: Failed look-ups and failures kept of the whole recording.
_KEPT = 10_000
#: Offset of tcpi_last_data_recv in struct tcp_info, milliseconds (include/uapi/linux/tcp.h).
_LAST_DATA_RECEIVED = 52


class Tables(Protocol):
    """What is read of a recording; :class:`wallsocket.trace.recording.Recording` has it, in memory or from a file."""

    @property
    def meta(self) -> Mapping[str, str]:
        """What is said of the whole recording."""

    @property
    def processes(self) -> Mapping[int, Process]:
        """By id."""

    @property
    def sockets(self) -> Mapping[int, Socket]:
        """By id."""

    @property
    def descriptors(self) -> Mapping[int, Descriptor]:
        """By id."""

    @property
    def sources(self) -> Mapping[int, Source]:
        """By id."""


class CallFacts:
    """A call, and what its socket was when it was entered and when it returned."""

    __slots__ = ("before", "begun", "call", "during", "entry", "exit", "name")

    def __init__(self, call: Call, name: str) -> None:
        self.call = call
        self.name = name
        self.begun = False  #: its entry is handled before its return
        self.entry: State | None = None
        self.exit: State | None = None
        self.before: State | None = None  #: the latest sample of its socket before it was entered
        self.during: State | None = None  #: the latest sample between the two

    @property
    def moved(self) -> int:
        """Bytes read or written; of calls that move several datagrams their sum. 0 for a failed call."""
        result = self.call.result
        if result is None or result < 0:
            return 0
        if self.name in ("sendmmsg", "recvmmsg") and self.call.value:
            count = min(result, len(self.call.value) // 4)
            return sum(struct.unpack_from(f"<{count}I", self.call.value))
        return result

    @property
    def end_ns(self) -> int:
        """When it returned; of an unfinished call when it was entered."""
        return self.call.exit_ns if self.call.exit_ns is not None else self.call.entry_ns

    @property
    def entry_ns(self) -> int:
        """When it was entered."""
        return self.call.entry_ns

    @property
    def flags(self) -> int:
        """The flags given to send and recv; 0 for read and write, which have none."""
        return (self.call.a or 0) if self.name.startswith(("send", "recv")) and self.name != "sendfile" else 0

    def text(self) -> str:
        """The call as in ``call 12 recvfrom(1024) = 1024``."""
        call = self.call
        where = address_of(call.address)
        if self.name in ("bind", "connect") or (where is not None and self.name.startswith("send")):
            given = str(where) if where is not None else "address unknown"
            inside = given if self.name in ("bind", "connect") else f"{call.length} to {given}"
        elif call.length is not None:
            inside = str(call.length)
        elif self.name == "listen":
            inside = str(call.a)
        elif self.name == "close":
            inside = str(call.fd)
        else:
            inside = ""
        if call.result is None:
            result = "still waiting"
        elif call.errno is not None:
            result = f"= {errno.errorcode.get(call.errno, f'error {call.errno}')}"
        else:
            result = f"= {call.result}"
        return f"call {call.id} {self.name}({inside}) {result}"

    def proof(self, text: str = "") -> Proof:
        """This call as a proof row."""
        return Proof("calls", "call", self.call.id, self.end_ns, text or self.text())


def state_proof(state: State, text: str) -> Proof:
    """A sample of a socket as a proof row."""
    return Proof("kernel", "state", state.id, state.at_ns, f"kernel: {text}")


class Flow:
    """What went one way through a socket."""

    __slots__ = ("bytes", "calls", "first", "last", "zero_first", "zero_last", "zero_run")

    def __init__(self) -> None:
        self.calls = 0  #: calls that moved bytes
        self.bytes = 0
        self.first: CallFacts | None = None
        self.last: CallFacts | None = None
        self.zero_run = 0  #: reads in a row that returned 0, up to now
        self.zero_first: CallFacts | None = None
        self.zero_last: CallFacts | None = None

    def add(self, call: CallFacts) -> None:
        """A call that moved bytes."""
        self.calls += 1
        self.bytes += call.moved
        self.first = self.first or call
        self.last = call


class Turn:
    """A run of reads with no write between them, and what followed."""

    __slots__ = ("answered", "before_last", "bytes", "filled", "first", "last", "looked_again", "reads", "whole")

    def __init__(self, *, whole: bool = True) -> None:
        self.whole = whole  #: no read before the first one is missing
        self.reads = 0
        self.bytes = 0
        self.filled = 0  #: reads that returned as many bytes as they asked for
        self.first: CallFacts | None = None
        self.last: CallFacts | None = None
        self.before_last: CallFacts | None = None
        self.answered: CallFacts | None = None  #: the first write after the reads
        self.looked_again = False  #: after its last bytes the program asked for more and got none

    def add(self, call: CallFacts) -> None:
        """The next read of the run."""
        self.reads += 1
        self.bytes += call.moved
        self.first = self.first or call
        self.before_last, self.last = self.last, call
        self.filled += call.moved == call.call.length
        self.looked_again = False


class ShortWrite:
    """A write that took less than was offered, and what was offered after it."""

    __slots__ = ("call", "offered", "owed", "waited")

    def __init__(self, call: CallFacts, owed: int) -> None:
        self.call = call
        self.owed = owed  #: bytes that were not taken
        self.offered = 0  #: bytes offered by later writes
        self.waited = False  #: the program asked the kernel when it may write again, and did not write since


class WritePair:
    """Two small writes without a read between them, and how long the reply took: what Nagle's algorithm slows down."""

    __slots__ = ("first", "held", "reply", "second")

    def __init__(self, first: CallFacts, second: CallFacts, reply: CallFacts, held: State | None) -> None:
        self.first = first
        self.second = second
        self.reply = reply  #: the read that returned the reply
        self.held = held  #: a sample after the second write with its bytes not yet sent


class CounterFacts:
    """A counter of the network namespace: its value at the start, now, and when it changed."""

    __slots__ = ("changes", "first", "last")

    def __init__(self, value: int) -> None:
        self.first = value
        self.last = value
        self.changes: deque[tuple[int, int, int, int]] = deque(maxlen=256)  #: (at_ns, row, value, by how much)

    @property
    def risen(self) -> int:
        """By how much it rose during the recording."""
        return self.last - self.first


#: What is said of the holder of a socket when none was found, by why.
_UNSEEN_OWNERS: Final[dict[str | None, str]] = {
    "time": "a process that was not found in time",
    "permission": "a process that this user may not see",
    None: "a socket that no process here holds",
}


class HostSocket(NamedTuple):
    """A socket of the host, as the kernel listed it when a call failed."""

    protocol: str
    state: int
    local: Address | None
    remote: Address | None
    owners: tuple[tuple[int, str], ...]  #: (pid, command)
    #: Why there may be others: ``time`` or ``permission``; ``None``: every process was looked at; ``""``: not recorded.
    owners_unknown: str | None = ""

    def owner(self) -> str:
        """Its owner in words."""
        if not self.owners:
            return _UNSEEN_OWNERS.get(self.owners_unknown, "a process that is not known")
        return ", ".join(f"{command} (pid {pid})" for pid, command in self.owners[:3])


class Listener(NamedTuple):
    """A TCP socket that listened."""

    local: Address
    owner: str
    socket: SocketFacts | None  #: when it was traced


class Refusal(NamedTuple):
    """A TCP connection that was refused."""

    seen: CallFacts  #: the call that told the program: connect, getsockopt of SO_ERROR, or the first use
    connect: CallFacts
    where: Address
    at_ns: int


class SocketFacts:
    """What is known of one socket."""

    __slots__ = (
        "accepts",
        "bind",
        "bind_failed",
        "close_wait_since",
        "closed",
        "closing",
        "connect",
        "destroyed",
        "drops_first",
        "drops_last",
        "earlier",
        "epoll_events",
        "errors",
        "event_loop",
        "family",
        "hangup_seen",
        "held",
        "id",
        "last",
        "late",
        "listen",
        "listen_full",
        "listening",
        "local",
        "long_waits",
        "options",
        "pairs",
        "process",
        "quiet_since_ns",
        "reads",
        "recent",
        "recent_writes",
        "refused",
        "remote",
        "seen_ns",
        "short",
        "shut",
        "small",
        "sources",
        "transitions",
        "truncated",
        "turn",
        "type",
        "waiting",
        "writes",
    )

    def __init__(self, id: int, process: int) -> None:
        self.id = id
        self.process = process
        self.family = -1
        self.type = -1
        self.late = False  #: it lived before it was first seen: what was done with it until then is unknown
        self.local: Address | None = None
        self.remote: Address | None = None
        self.options: dict[tuple[int, int], deque[CallFacts]] = {}  #: setsockopt calls that succeeded
        self.bind: CallFacts | None = None
        self.bind_failed: CallFacts | None = None
        self.listen: CallFacts | None = None
        self.listening: State | None = None  #: the first sample that shows it listening
        self.connect: CallFacts | None = None  #: the latest connect
        self.refused: CallFacts | None = None  #: the call through which ECONNREFUSED was seen
        self.accepts = 0
        self.reads = Flow()
        self.writes = Flow()
        self.turn = Turn()
        self.recent: deque[CallFacts] = deque(maxlen=_RECENT)
        self.recent_writes: deque[CallFacts] = deque(maxlen=_RECENT_WRITES)
        self.errors: list[CallFacts] = []
        self.short: ShortWrite | None = None
        self.truncated: deque[CallFacts] = deque(maxlen=8)  #: datagram reads that filled the whole buffer or were cut
        self.small: tuple[CallFacts, CallFacts | None] | None = None  #: writes since the last read: first, second
        self.held: State | None = None
        self.pairs: deque[WritePair] = deque(maxlen=16)
        self.shut: dict[int, CallFacts] = {}  #: shutdown calls by how: 0 read, 1 write, 2 both
        self.closed: CallFacts | None = None  #: the latest close
        self.closing: list[int] = []
        self.long_waits: deque[CallFacts] = deque(maxlen=8)  #: calls that waited for a second in vain
        self.waiting: dict[int, CallFacts] = {}  #: by thread: calls that have not returned
        self.sources: set[int] = set()
        self.last: State | None = None  #: the latest sample while it lived
        self.earlier: State | None = None  #: the one before it
        self.destroyed: State | None = None  #: what the kernel said when it was gone
        self.transitions: deque[State] = deque(maxlen=_TRANSITIONS)
        self.close_wait_since: State | None = None
        self.drops_first: State | None = None
        self.drops_last: State | None = None
        self.listen_full: State | None = None  #: the sample with the fullest accept queue, once it was over its limit
        self.epoll_events = 0
        self.event_loop = False  #: it was watched by epoll at some time
        self.hangup_seen: CallFacts | None = None  #: a poll that reported the peer's hang-up
        self.quiet_since_ns = 0  #: when its queues last changed
        self.seen_ns = 0  #: the latest fact about it

    @property
    def stream(self) -> bool:
        """Whether it carries a byte stream."""
        return self.type == SOCK_STREAM and self.family in (AF_INET, AF_INET6, AF_UNIX)

    @property
    def tcp(self) -> bool:
        """Whether it is TCP (or what the kernel makes of a stream of the Internet families)."""
        return self.type == SOCK_STREAM and self.family in (AF_INET, AF_INET6)

    def option(self, level: int, name: int) -> CallFacts | None:
        """The latest successful setsockopt of an option."""
        calls = self.options.get((level, name))
        return calls[-1] if calls else None

    def option_number(self, level: int, name: int) -> int | None:
        """The number in the first four bytes of what was last set; ``None``: never set, or not recorded."""
        call = self.option(level, name)
        if call is None or call.call.value is None or len(call.call.value) < 4:
            return None
        return int.from_bytes(call.call.value[:4], "little", signed=True)

    def in_force(self, level: int, name: int) -> int | None:
        """The value of an option in the latest sample that has it; ``None``: not sampled."""
        value = self.sampled(level, name)
        if value is None or len(value) < 4:
            return None
        # A struct timeval counts as set when any part of it is.
        return int.from_bytes(value[:4], "little", signed=True) if len(value) == 4 else int(any(value))

    def sampled(self, level: int, name: int) -> bytes | None:
        """The bytes of an option in the latest sample that has it; ``None``: not sampled."""
        for state in (self.last, *reversed(self.transitions)):
            if state is not None and state.options:
                for found_level, found_name, value in _options(state.options):
                    if (found_level, found_name) == (level, name):
                        return value
        return None

    @property
    def silent_ms(self) -> int | None:
        """For how long nothing has come, as the kernel counts it for TCP; ``None``: it did not tell."""
        info = self.last.tcp_info if self.last is not None else None
        if info is None or len(info) < _LAST_DATA_RECEIVED + 4:
            return None
        return int.from_bytes(info[_LAST_DATA_RECEIVED : _LAST_DATA_RECEIVED + 4], "little")

    def name(self) -> str:
        """Its ends in words."""
        if self.remote is not None and self.remote.port != 0:
            return f"{self.local or 'unknown'} → {self.remote}"
        return str(self.local or "unknown")


def _options(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 0
    while position + 6 <= len(raw):
        level, name, length = struct.unpack_from("<HHH", raw, position)
        yield level, name, raw[position + 6 : position + 6 + length]
        position += 6 + length


class Facts:
    """Everything the rules may know. :meth:`begin`, :meth:`end` and the ``see_*`` methods fill it in order of time."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.sockets: dict[int, SocketFacts] = {}
        self.counters: dict[str, CounterFacts] = {}
        self.now_ns = 0
        self.final = False  #: the recording has ended: what has not happened will not
        self.touched: set[int] = set()  #: sockets that have changed since the rules last looked
        self.connected: dict[tuple[int, int], int] = {}  #: (process, port) -> when a connect to it last succeeded
        self.reached: dict[tuple[str, int], int] = {}  #: (host, port) -> when anybody's connect last succeeded
        self.bound: dict[tuple[int, int, int], int] = {}  #: (process, type, port asked) -> when a bind last succeeded
        self.threads: dict[int, set[int]] = {}  #: process -> threads that made calls, or were seen to run
        self.attached: dict[int, frozenset[int]] = {}  #: process that ran before the trace -> threads that it had then
        self.waiting_threads: dict[tuple[int, int], CallFacts] = {}  #: (process, thread) -> its unfinished call
        self.datagrams_to: dict[int, deque[CallFacts]] = {}  #: port -> latest datagrams sent there
        self._binders: dict[int, None] = {}
        self._resets: dict[tuple[Address, Address], list[Packet]] = {}
        self._owing: set[int] = set()  #: sockets with a short write
        self._facts: dict[int, list[Fact]] = {}
        self._counter_rows = 0
        self._by_ends: dict[tuple[int, Address, Address], list[int]] = {}
        self._descriptors: dict[tuple[int, int], list[Descriptor]] = {}
        self._descriptors_of: dict[int, list[Descriptor]] = {}
        self._known_descriptors = 0
        self._host_sockets: dict[int, list[HostSocket]] = {}

    # -- looking things up

    def layer(self, name: str) -> str | None:
        """Why a layer is missing; ``None`` when it was recorded."""
        value = self.tables.meta.get(name)
        if name in ("calls", "kernel") and value is None:
            return None
        return None if value == "yes" else (value or "not recorded")

    @property
    def pictures(self) -> bool:
        """Whether this is no trace but pictures of a running program: of its calls only those that wait are there."""
        return "pictures" in self.tables.meta

    @property
    def private(self) -> bool:
        """Whether the counters count this program's traffic only."""
        return self.tables.meta.get("lab") == "yes"

    def command(self, process: int | None) -> str | None:
        """The name of a process' program: its script for an interpreter, else the file's name."""
        row = self.tables.processes.get(process) if process is not None else None
        if row is None:
            return None
        words = _words(row.command)
        if not words:
            return row.executable.rsplit("/", 1)[-1] if row.executable else None
        return _program(words)

    def pid(self, process: int | None) -> int | None:
        """The pid of a process."""
        row = self.tables.processes.get(process) if process is not None else None
        return row.pid if row is not None else None

    def source(self, call: Call | None) -> Source | None:
        """The source line of a call."""
        return self.tables.sources.get(call.source) if call is not None and call.source is not None else None

    def peer(self, socket: SocketFacts) -> SocketFacts | None:
        """The traced socket at the other end; ``None``: not traced, or not known which."""
        row = self.tables.sockets.get(socket.id)
        if row is not None and row.origin == "socketpair" and row.parent is not None:
            return self.sockets.get(row.parent)
        if row is not None and row.origin == "socketpair":
            for other in self.tables.sockets.values():
                if other.parent == socket.id and other.origin == "socketpair":
                    return self.sockets.get(other.id)
        if socket.local is None or socket.remote is None:
            return None
        candidates = self._by_ends.get((socket.type, socket.remote, socket.local), ())
        living = [
            self.sockets[number]
            for number in candidates
            if number != socket.id and number in self.sockets and self._overlap(socket.id, number)
        ]
        return living[-1] if living else None

    def _overlap(self, one: int, two: int) -> bool:
        a, b = self.tables.sockets.get(one), self.tables.sockets.get(two)
        if a is None or b is None:
            return True
        # An accepted socket is first met at accept, which may be after its peer has gone again.
        slack_ns = 60_000_000_000
        return (a.ended_ns is None or b.created_ns <= a.ended_ns + slack_ns) and (
            b.ended_ns is None or a.created_ns <= b.ended_ns + slack_ns
        )

    def ended_ns(self, socket: SocketFacts) -> int | None:
        """When its last descriptor was closed."""
        row = self.tables.sockets.get(socket.id)
        return row.ended_ns if row is not None else None

    def left_ns(self, socket: SocketFacts) -> int:
        """When the program began to close it for good, or its process ended; of a living socket now."""
        if socket.closed is not None and self.closed_for_good(socket):
            return socket.closed.entry_ns
        ended = self.ended_ns(socket)
        return self.now_ns if ended is None else ended

    def ended_by(self, socket: SocketFacts) -> Process | None:
        """The process whose end closed the socket; ``None``: it was closed by a call, or lives."""
        ended = self.ended_ns(socket)
        if ended is None or (socket.closed is not None and self.closed_for_good(socket)):
            return None
        for process in self.owners(socket):
            row = self.tables.processes.get(process)
            if row is not None and row.ended_ns is not None and abs(row.ended_ns - ended) < 1_000_000_000:
                return row
        return None

    def closed_for_good(self, socket: SocketFacts) -> bool:
        """Whether the latest close call closed the last descriptor."""
        if socket.closed is None or socket.closed.call.result != 0:
            return False
        ended = self.ended_ns(socket)
        return ended is not None and ended <= socket.closed.end_ns + 5_000_000

    def owners(self, socket: SocketFacts) -> list[int]:
        """Processes that have or had a descriptor of it."""
        self._learn_descriptors()
        found = [row.process for row in self._descriptors_of.get(socket.id, ())]
        return list(dict.fromkeys(found)) or [socket.process]

    def holders(self, socket: SocketFacts) -> list[Descriptor]:
        """Its descriptors that are still open."""
        self._learn_descriptors()
        return [row for row in self._descriptors_of.get(socket.id, ()) if row.closed_ns is None]

    def socket_at(self, process: int, number: int, at_ns: int) -> SocketFacts | None:
        """The socket behind a descriptor number at a time."""
        row = self._descriptor_at(process, number, at_ns)
        return self.sockets.get(row.socket) if row is not None else None

    def _descriptor_at(self, process: int, number: int, at_ns: int) -> Descriptor | None:
        self._learn_descriptors()
        for row in reversed(self._descriptors.get((process, number), ())):
            if row.opened_ns <= at_ns and (row.closed_ns is None or at_ns <= row.closed_ns):
                return row
        return None

    def _learn_descriptors(self) -> None:
        if len(self.tables.descriptors) == self._known_descriptors:
            return
        self._descriptors.clear()
        self._descriptors_of.clear()
        for row in self.tables.descriptors.values():
            self._descriptors.setdefault((row.process, row.number), []).append(row)
            self._descriptors_of.setdefault(row.socket, []).append(row)
        self._known_descriptors = len(self.tables.descriptors)

    def host_sockets(self, call: Call) -> list[HostSocket] | None:
        """Sockets of the host when ``call`` failed; ``None``: not looked up."""
        if call.id not in self._host_sockets:
            rows = [fact for fact in self._facts.get(call.id, ()) if fact.kind == "sockets"]
            if not rows:
                return None
            self._host_sockets[call.id] = [found for row in rows for found in _host_sockets(row.value)]
        return self._host_sockets[call.id]

    def fact(self, call: Call, kind: str) -> Fact | None:
        """One of the look-ups that followed a failed call."""
        return next((fact for fact in self._facts.get(call.id, ()) if fact.kind == kind), None)

    def local_host(self, call: Call, host: str) -> bool | None:
        """Whether an address is this host's own; ``None``: not known."""
        if host.startswith("127.") or host == "::1":
            return True
        row = self.fact(call, "addresses")
        if row is None:
            return None
        found = _json_list(row.value)
        return any(isinstance(entry, dict) and entry.get("address") == host for entry in found)

    def listeners(self, call: Call, at_ns: int) -> list[Listener] | None:
        """Who listened (TCP) when ``call`` was refused: traced sockets, and the host's when it was asked.

        ``None`` when neither is known to be complete: the host was not asked and nothing traced listened.
        """
        found = []
        for socket in self.binders():
            if socket.tcp and socket.local is not None and (socket.listen is not None or socket.listening is not None):
                ended = self.ended_ns(socket)
                since_ns = socket.listen.entry_ns if socket.listen is not None else 0
                if since_ns <= at_ns and (ended is None or ended > at_ns):
                    owner = f"{self.command(socket.process) or 'process'} (pid {self.pid(socket.process)})"
                    found.append(Listener(socket.local, owner, socket))
        host = self.host_sockets(call)
        if host is None:
            return found or None
        traced = {listener.local for listener in found}
        for entry in host:
            listens = entry.protocol.startswith("tcp") and entry.state == LISTEN
            if listens and entry.local is not None and entry.local not in traced:
                found.append(Listener(entry.local, entry.owner(), None))
        return found

    def refusal(self, socket: SocketFacts) -> Refusal | None:
        """A connection that was refused and that nobody got later; ``None``: none, or the program coped.

        A retry until the server is up and the next address of a name are ways to cope.
        """
        refused = socket.refused
        if refused is None or not socket.tcp or socket.connect is None:
            return None
        where = address_of(socket.connect.call.address) or socket.remote
        if where is None or where.port == 0:
            return None
        at_ns = refused.end_ns
        if self.reached.get((where.host, where.port), -1) > at_ns:
            return None
        if self.connected.get((refused.call.process, where.port), -1) > at_ns:
            return None
        if not self.final and self.now_ns - at_ns < 1_000_000_000:
            return None
        return Refusal(refused, socket.connect, where, at_ns)

    def listeners_on(self, port: int) -> list[SocketFacts]:
        """Traced sockets that listened on a port at any time."""
        return [
            socket
            for socket in self.binders()
            if socket.listen is not None and socket.local is not None and socket.local.port == port
        ]

    def reset(self, source: Address | None, destination: Address | None, since_ns: int) -> Proof | None:
        """The first RST that travelled from ``source`` to ``destination`` since a time, as a proof row."""
        if source is None or destination is None:
            return None
        for packet in self._resets.get((source, destination), ()):
            if packet.at_ns >= since_ns:
                late_us = (packet.at_ns - since_ns) / 1000
                text = f"wire: RST from {source} to {destination}" + (f", {late_us:.0f} µs later" if since_ns else "")
                return Proof("wire", "packet", packet.id, packet.at_ns, text)
        return None

    def binders(self) -> list[SocketFacts]:
        """Traced sockets that were bound by name or that listen: few even when there are many connections."""
        return [self.sockets[number] for number in self._binders if number in self.sockets]

    def risen(self, *names: str) -> tuple[int, Proof | None]:
        """By how much counters rose together, and the proof row of the last change."""
        total, last = 0, None
        for name in names:
            counter = self.counters.get(name)
            if counter is not None and counter.risen > 0:
                total += counter.risen
                at_ns, row, _, _ = counter.changes[-1]
                last = Proof(
                    "kernel", "counter", row, at_ns, f"kernel counter {name.removeprefix('TcpExt')} +{counter.risen}"
                )
        return total, last

    def risen_between(self, name: str, since_ns: int, until_ns: int) -> tuple[int, Proof | None]:
        """By how much a counter rose in a span of time, and its proof row."""
        counter = self.counters.get(name)
        total, proof = 0, None
        for at_ns, row, _, by in counter.changes if counter is not None else ():
            if since_ns <= at_ns <= until_ns:
                total += by
                proof = Proof("kernel", "counter", row, at_ns, f"kernel counter {name.removeprefix('TcpExt')} +{total}")
        return total, proof

    def status(self) -> int | None:
        """How the target ended: 0–255, 128 + signal; ``None``: unknown or still running."""
        value = self.tables.meta.get("exit_status", "")
        return int(value) if value.isdecimal() else None

    def unread(self, socket: SocketFacts) -> State | None:
        """The sample that shows bytes nobody had read when the socket ended; ``None``: none, or not sampled."""
        ended = self.ended_ns(socket)
        if ended is None:
            return None
        if socket.closed is not None and self.closed_for_good(socket):
            state = socket.closed.entry
        else:
            # The tracer looks at what a process has open just before it ends; that sample belongs to no call.
            state, read = socket.last or socket.destroyed, socket.turn.last
            if state is not None and read is not None and state.at_ns < read.end_ns:
                state = read.exit
        if state is None or not state.receive_queue:
            return None
        # sock_diag counts the peer's FIN as one byte until it was read (net/ipv4/tcp_diag.c).
        if state.receive_queue == 1 and state.state == CLOSE_WAIT:
            return None
        return state

    def aborts(self, socket: SocketFacts) -> bool:
        """Whether the program asked for a reset at close: SO_LINGER on with a time of 0."""
        call = socket.option(SOL_SOCKET, SO_LINGER)
        value = call.call.value if call is not None else socket.sampled(SOL_SOCKET, SO_LINGER)
        return value is not None and len(value) >= 8 and value[:4] != bytes(4) and value[4:8] == bytes(4)

    def line(self, call: Call | None) -> str:
        """``name.py:12`` of a call, or nothing when the line is unknown."""
        source = self.source(call)
        if source is None or source.file is None:
            return ""
        return f"{source.file.rsplit('/', 1)[-1]}:{source.line}"

    def killed(self, process: Process) -> bool:
        """Whether a process was ended by a signal from outside rather than by itself."""
        own = {signal.SIGPIPE, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
        return process.signal is not None and process.signal not in own

    # -- filling

    def socket(self, id: int, process: int) -> SocketFacts:
        """The facts of a socket, made when it is first met."""
        found = self.sockets.get(id)
        if found is None:
            found = self.sockets[id] = SocketFacts(id, process)
            self._learn_socket(found)
        self.touched.add(id)
        return found

    def _learn_socket(self, socket: SocketFacts) -> None:
        row = self.tables.sockets.get(socket.id)
        if row is not None:
            socket.family, socket.type = row.family, row.type
            if row.met_late and not socket.late:
                socket.late = True
                socket.turn.whole = False
            self._learn_ends(socket, row.local, row.remote)

    def _learn_ends(self, socket: SocketFacts, local: bytes | None, remote: bytes | None) -> None:
        new_local = address_of(local) if local else None
        new_remote = address_of(remote) if remote else None
        changed = False
        if new_local is not None and new_local.port and new_local != socket.local:
            # Once closed the kernel may report the unspecified address again: keep what was in use.
            if socket.local is None or not new_local.wildcard:
                socket.local, changed = new_local, True
        elif new_local is not None and socket.local is None:
            socket.local = new_local
        if new_remote is not None and new_remote.port and new_remote != socket.remote:
            socket.remote, changed = new_remote, True
        if changed and socket.local is not None and socket.remote is not None:
            numbers = self._by_ends.setdefault((socket.type, socket.local, socket.remote), [])
            if socket.id not in numbers:
                numbers.append(socket.id)

    def relearn(self, numbers: Iterable[int]) -> None:
        """Take the addresses of sockets again from the tables, which may have grown."""
        for number in numbers:
            socket = self.sockets.get(number)
            if socket is not None:
                self._learn_socket(socket)

    def retire(self, ids: Iterable[int]) -> None:
        """Forget closed sockets."""
        for number in ids:
            socket = self.sockets.pop(number, None)
            if socket is not None and socket.local is not None and socket.remote is not None:
                numbers = self._by_ends.get((socket.type, socket.local, socket.remote))
                if numbers is not None and number in numbers:
                    numbers.remove(number)
                    if not numbers:
                        del self._by_ends[socket.type, socket.local, socket.remote]
        self.touched -= set(ids)

    def begin(self, facts: CallFacts) -> None:
        """A call was entered."""
        call = facts.call
        self.now_ns = max(self.now_ns, call.entry_ns)
        threads = self.threads.get(call.process)
        if threads is None:
            threads = self.threads[call.process] = set()
        if len(threads) < 1024:
            threads.add(call.tid)
        if facts.begun:
            self.waiting_threads[call.process, call.tid] = facts
        if call.socket is not None:
            socket = self.socket(call.socket, call.process)
            if facts.begun:
                socket.waiting[call.tid] = facts
            last = socket.last
            facts.before = last if last is None or last.at_ns <= call.entry_ns else socket.earlier
            if facts.name in POLL_CALLS:
                self._polled(socket, facts, (call.a or 0) == 1)

    def end(self, facts: CallFacts) -> None:
        """A call returned; the samples around it are attached."""
        call = facts.call
        self.now_ns = max(self.now_ns, facts.end_ns)
        if self.waiting_threads.get((call.process, call.tid)) is facts:
            del self.waiting_threads[call.process, call.tid]
        if call.made is not None and call.result is not None and call.result >= 0:
            made = self.socket(call.made, call.process)
            made.seen_ns = facts.end_ns
            if facts.name in ACCEPTS and made.remote is None:
                self._learn_ends(made, None, call.address)
        if facts.name in POLL_CALLS:
            self._poll_entries(facts)
        elif facts.name in EPOLL_WAITS:
            self._epoll_waited(call)
        if call.socket is None:
            return
        socket = self.socket(call.socket, call.process)
        if socket.waiting.get(call.tid) is facts:
            del socket.waiting[call.tid]
        socket.seen_ns = facts.end_ns
        if call.source is not None and len(socket.sources) < 64:
            socket.sources.add(call.source)
        if facts.name not in POLL_CALLS:
            socket.recent.append(facts)
        if call.errno is not None and call.errno not in (errno.EAGAIN, errno.EINTR) and len(socket.errors) < _ERRORS:
            socket.errors.append(facts)
        enough = (call.length or 0) if facts.name in WRITES else 1
        if (call.took_ns or 0) >= LONG_WAIT_NS and (call.result or 0) < enough:
            socket.long_waits.append(facts)
        if call.errno == errno.ECONNREFUSED:
            socket.refused = socket.refused or facts
        if facts.name in READS:
            self._read(socket, facts)
        elif facts.name in WRITES:
            self._wrote(socket, facts)
        else:
            self._managed(socket, facts)

    def _managed(self, socket: SocketFacts, facts: CallFacts) -> None:
        call, name = facts.call, facts.name
        succeeded = call.result is not None and call.result >= 0
        if name == "connect":
            socket.connect = facts
            if call.errno in (None, errno.EINPROGRESS):
                self._learn_ends(socket, None, call.address)
            if succeeded:
                self._reached(socket, facts)
        elif name == "bind":
            if succeeded:
                socket.bind = facts
                self._binders[socket.id] = None
                asked = address_of(call.address)
                if asked is not None:
                    self.bound[call.process, socket.type, asked.port] = facts.end_ns
                    if socket.local is None:
                        socket.local = asked
            else:
                socket.bind_failed = facts
        elif name == "listen" and succeeded:
            socket.listen = facts
            self._binders[socket.id] = None
        elif name in ACCEPTS and succeeded:
            socket.accepts += 1
        elif name == "shutdown" and succeeded:
            socket.shut.setdefault(call.a or 0, facts)
        elif name == "setsockopt" and succeeded and call.a is not None and call.b is not None:
            socket.options.setdefault((call.a, call.b), deque(maxlen=4)).append(facts)
        elif name == "getsockopt" and succeeded and (call.a, call.b) == (SOL_SOCKET, SO_ERROR) and call.value:
            error = int.from_bytes(call.value[:4], "little", signed=True)
            if error == errno.ECONNREFUSED:
                socket.refused = socket.refused or facts
            elif error == 0 and socket.connect is not None:
                self._reached(socket, facts)
        elif name == "close" and call.result == 0:
            socket.closed = facts
        elif name == "epoll_ctl" and succeeded:
            socket.epoll_events = (call.c or 0) if call.a != 2 else 0  # 2: EPOLL_CTL_DEL
            socket.event_loop = True

    def _reached(self, socket: SocketFacts, facts: CallFacts) -> None:
        where = address_of(socket.connect.call.address) if socket.connect is not None else None
        if where is not None and socket.tcp:
            self.connected[facts.call.process, where.port] = facts.end_ns
            self.reached[where.host, where.port] = facts.end_ns

    def _read(self, socket: SocketFacts, facts: CallFacts) -> None:
        call = facts.call
        if call.result is None:
            return
        if call.result < 0:
            if call.errno in (errno.EAGAIN, errno.EINTR):
                socket.turn.looked_again = True
            return
        if facts.flags & MSG_PEEK:
            return
        if not socket.stream:
            last = socket.reads.last
            if facts.entry is None and facts.before is not None and (last is None or facts.before.at_ns >= last.end_ns):
                # No read came between: what was at the head of the queue then is what this read took.
                facts.entry = facts.before
            socket.reads.add(facts)
            if _fills(facts):
                socket.truncated.append(facts)
            return
        if socket.connect is not None and call.result > 0:
            self._reached(socket, facts)
        self._replied(socket, facts)
        if call.result == 0:
            if call.length == 0:
                return
            flow = socket.reads
            flow.zero_run += 1
            flow.zero_first = flow.zero_first or facts
            flow.zero_last = facts
            socket.turn.looked_again = True
            return
        socket.reads.zero_run, socket.reads.zero_first = 0, None
        socket.reads.add(facts)
        if socket.turn.answered is not None:
            socket.turn = Turn()
        socket.turn.add(facts)

    def _replied(self, socket: SocketFacts, facts: CallFacts) -> None:
        """A read ends a run of small writes."""
        if socket.small is not None:
            first, second = socket.small
            if second is not None:
                socket.pairs.append(WritePair(first, second, facts, socket.held))
        socket.small, socket.held = None, None

    def _wrote(self, socket: SocketFacts, facts: CallFacts) -> None:
        call = facts.call
        where = address_of(call.address) or socket.remote
        if not socket.stream:
            if call.result is not None and call.result >= 0:
                socket.writes.add(facts)
                if where is not None:
                    queue = self.datagrams_to.setdefault(where.port, deque(maxlen=_RECENT_WRITES))
                    queue.append(facts)
            return
        if call.result is None:
            return
        if call.result < 0:
            if call.errno == errno.EAGAIN and socket.short is not None:
                # It tried to send the rest and was told to wait.
                socket.short.waited = True
            return
        if socket.connect is not None and call.result > 0:
            self._reached(socket, facts)
        socket.writes.add(facts)
        socket.recent_writes.append(facts)
        if socket.turn.reads and socket.turn.answered is None:
            socket.turn.answered = facts
        self._count_short(socket, facts)
        if socket.small is None:
            socket.small = (facts, None)
        elif socket.small[1] is None:
            socket.small = (socket.small[0], facts)
            if facts.exit is not None and _not_sent(facts.exit):
                socket.held = facts.exit
        else:
            # Three writes: only the last two matter for what the reply waited for.
            socket.small = (socket.small[1], facts)
            if facts.exit is not None and _not_sent(facts.exit):
                socket.held = facts.exit

    def _count_short(self, socket: SocketFacts, facts: CallFacts) -> None:
        call = facts.call
        if facts.name in ("sendfile", "splice", "sendmmsg") or call.length is None or call.result is None:
            # A file may end before the count does: no number here says what was meant to be sent.
            socket.short = None
            return
        owed = call.length - call.result
        short = socket.short
        if short is not None:
            if call.length == short.owed or _continues(short.call, facts) or short.offered + call.length >= short.owed:
                socket.short = short = None
            else:
                short.offered += call.length
                short.waited = False
        if short is None and owed > 0:
            socket.short = ShortWrite(facts, owed)
            self._owing.add(socket.id)

    def _polled(self, socket: SocketFacts, facts: CallFacts, single: bool) -> None:
        if single and facts.call.value and len(facts.call.value) >= 8:
            self._asked(socket, struct.unpack_from("<iHH", facts.call.value)[1])

    def _asked(self, socket: SocketFacts, events: int) -> None:
        if events & POLLIN:
            socket.turn.looked_again = True
        if events & POLLOUT and socket.short is not None:
            socket.short.waited = True

    def _poll_entries(self, facts: CallFacts) -> None:
        call = facts.call
        value = call.value or b""
        count = len(value) // 8
        for position in range(count):
            number, events, returned = struct.unpack_from("<iHH", value, position * 8)
            socket: SocketFacts | None
            if call.socket is not None and count == 1:
                socket = self.sockets.get(call.socket)
            else:
                socket = self.socket_at(call.process, number, call.entry_ns)
            if socket is None:
                continue
            self._asked(socket, events)
            if returned & (POLLHUP | POLLERR):
                socket.hangup_seen = socket.hangup_seen or facts

    def _epoll_waited(self, call: Call) -> None:
        for number in [*self._owing]:
            socket = self.sockets.get(number)
            if socket is None or socket.short is None:
                self._owing.discard(number)
            elif (
                socket.process == call.process
                and socket.epoll_events & EPOLLOUT
                and socket.short.call.end_ns <= call.entry_ns
            ):
                socket.short.waited = True

    def see_state(self, state: State) -> None:
        """A sample of a socket."""
        self.now_ns = max(self.now_ns, state.at_ns)
        row = self.tables.sockets.get(state.socket)
        socket = self.socket(state.socket, row.process if row is not None else 0)
        self._learn_ends(socket, state.local, state.remote)
        if state.drops is not None:
            socket.drops_first = socket.drops_first or state
            if socket.drops_last is None or state.drops != socket.drops_last.drops:
                socket.drops_last = state
        if state.moment == Moment.DESTROYED:
            socket.destroyed = state
            return
        last = socket.last
        if last is None or (last.state, last.receive_queue, last.send_queue) != (
            state.state,
            state.receive_queue,
            state.send_queue,
        ):
            socket.quiet_since_ns = state.at_ns
        if last is None or last.state != state.state:
            socket.transitions.append(state)
        socket.earlier, socket.last = last, state
        if state.moment == Moment.SAMPLE and (state.state == ESTABLISHED or not socket.tcp):
            for wait in socket.waiting.values():
                wait.during = state
        socket.seen_ns = max(socket.seen_ns, state.at_ns)
        if state.state == CLOSE_WAIT and socket.tcp:
            socket.close_wait_since = socket.close_wait_since or state
        if state.state == LISTEN and socket.listening is None:
            socket.listening = state
            self._binders[socket.id] = None
        waiting, limit = state.receive_queue, state.send_queue
        if state.state == LISTEN and waiting is not None and limit is not None and waiting > limit:
            fullest = socket.listen_full
            if fullest is None or waiting > (fullest.receive_queue or 0):
                socket.listen_full = state
        if socket.small is not None and socket.small[1] is not None and socket.held is None and _not_sent(state):
            socket.held = state

    def see_counter(self, counter: Counter) -> None:
        """A counter of the namespace."""
        self.now_ns = max(self.now_ns, counter.at_ns)
        self._counter_rows += 1
        # `TcpExt.ListenDrops` and `TcpExtListenDrops` (as nstat writes it) are one counter.
        name = counter.name.replace(".", "")
        found = self.counters.get(name)
        if found is None:
            self.counters[name] = CounterFacts(counter.value)
        else:
            by = counter.value - found.last
            found.last = counter.value
            found.changes.append((counter.at_ns, self._counter_rows, counter.value, by))

    def see_fact(self, fact: Fact) -> None:
        """What the kernel said of the host when a call failed, or of a process when it was attached to."""
        self.now_ns = max(self.now_ns, fact.at_ns)
        if fact.kind == "attached":
            self._attached(fact)
        elif fact.call is not None and len(self._facts) < _KEPT:
            self._facts.setdefault(fact.call, []).append(fact)

    def _attached(self, fact: Fact) -> None:
        found = _json_object(fact.value)
        process, threads = found.get("process"), found.get("threads")
        if not isinstance(process, int) or process not in self.tables.processes:
            return
        if isinstance(threads, list):
            self.attached[process] = frozenset(tid for tid in threads[:1024] if isinstance(tid, int))
        for epoll in _objects(found.get("epolls")):
            for watch in _objects(epoll.get("watches")):
                number, events = watch.get("fd"), watch.get("events")
                row = self._descriptor_at(process, number, fact.at_ns) if isinstance(number, int) else None
                if row is not None and isinstance(events, int):
                    socket = self.socket(row.socket, process)
                    socket.epoll_events, socket.event_loop = events, True

    def see_mark(self, mark: Mark) -> None:
        """Something that was no call."""
        self.now_ns = max(self.now_ns, mark.at_ns)
        if mark.kind == "runs" and mark.process is not None and mark.tid is not None:
            self.threads.setdefault(mark.process, set()).add(mark.tid)

    def see_packet(self, packet: Packet) -> None:
        """A frame: of TCP the resets are kept, by their ends."""
        self.now_ns = max(self.now_ns, packet.at_ns)
        found = segment(packet)
        if found is None or found.protocol != 6 or not found.flags & RST:
            return
        ends = [Address.of(end.address, end.port) for end in (found.source, found.destination)]
        if ends[0] is not None and ends[1] is not None and len(self._resets) < _KEPT:
            self._resets.setdefault((ends[0], ends[1]), []).append(packet)


def _fills(facts: CallFacts) -> bool:
    """Whether a datagram read may have cut the datagram."""
    call = facts.call
    if facts.name == "recvmmsg" or call.length is None or call.result is None or call.length == 0:
        return False
    return call.result >= call.length or bool((call.flags or 0) & 0x20)  # 0x20: MSG_TRUNC


def _continues(short: CallFacts, later: CallFacts) -> bool:
    """Whether a write begins with the bytes that a short one left over, as far as the recorded payload shows."""
    taken = short.call.result or 0
    left = (short.call.payload or b"")[taken:]
    begin = later.call.payload or b""
    compared = min(len(left), len(begin))
    return compared > 0 and left[:compared] == begin[:compared]


#: Offset of tcpi_notsent_bytes in struct tcp_info (include/uapi/linux/tcp.h).
_NOTSENT_BYTES = 136


def _not_sent(state: State) -> bool:
    info = state.tcp_info
    if info is None or len(info) < _NOTSENT_BYTES + 4:
        return False
    return int.from_bytes(info[_NOTSENT_BYTES : _NOTSENT_BYTES + 4], "little") > 0


def state_name(state: int | None) -> str:
    """Name of a TCP state."""
    return STATE_NAMES.get(state or 0, f"state {state}")


def _words(command: str | None) -> list[str]:
    found = _json_list(command or "")
    return [word for word in found if isinstance(word, str)]


def _json_list(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value[:10_000] if isinstance(each, dict)] if isinstance(value, list) else []


_INTERPRETERS = ("python", "node", "ruby", "perl", "php", "java", "sh", "bash", "dash")


def _program(words: list[str]) -> str:
    first = words[0].rsplit("/", 1)[-1]
    if first.startswith(_INTERPRETERS):
        for position, word in enumerate(words[1:], 1):
            if word in ("-c", "-e", "-m") and position + 1 < len(words):
                return first if word != "-m" else f"{first} -m {words[position + 1]}"
            if not word.startswith("-"):
                return word.rsplit("/", 1)[-1]
    return first


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def _host_sockets(text: str) -> Iterator[HostSocket]:
    for entry in _json_list(text)[:1000]:
        if not isinstance(entry, dict):
            continue
        state = entry.get("state")
        owners = entry.get("pids")
        yield HostSocket(
            str(entry.get("protocol")),
            state if isinstance(state, int) else 0,
            Address.parse(entry.get("local")),
            Address.parse(entry.get("remote")),
            tuple(
                (owner["pid"], str(owner.get("command")))
                for owner in (owners if isinstance(owners, list) else ())
                if isinstance(owner, dict) and isinstance(owner.get("pid"), int)
            ),
            _text_or_none(entry.get("pids_unknown", "")),
        )
