"""Looking at running programs without stopping them: what each thread waits in, and what its sockets are.

Two pictures half a second apart are taken from ``/proc``, sock_diag and the target's memory. Nothing is traced: no
ptrace, no signal, so the target runs and sleeps as it did. Of a socket that a thread waits in, the descriptor is copied
for the moment of reading its time limits.

>>> inspection = inspect(":8080")                                                       # doctest: +SKIP
>>> [(thread.command, thread.call, thread.since_s) for thread in inspection.threads]    # doctest: +SKIP
[('store.py', 'recvfrom', 4.2)]
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from ..._core import python
from ..._core.trace import NativeLines
from ...errors import NotAvailable, NotPermitted, UsageError
from ...events import Known
from ...kernel import program, refusal
from ...kernel.sockets import command_of
from ...kernel.tcp_state import TcpState
from ..processes import is_32_bit, user_name
from ..run import guardian_path
from ..syscalls import ACCEPTS, EPOLL_WAITS, POLLS, READS, WRITES
from . import facts as facts_
from . import sockets as _sockets
from . import threads as _threads
from .facts import Fact, accept_queues
from .sockets import Key, Picture, Seen
from .surroundings import End, Links, children
from .tables import ProcessRow, Tables, ThreadRow, fill
from .targets import Target, has_ended, resolve
from .threads import SchedulerClock, Wait

__all__ = ["INTERVAL_S", "MAX_WAITING", "Growth", "Inspection", "Socket", "Task", "Thread", "Waiting", "inspect"]

#: Between two pictures: a little more than the half second after which rules call a queue unchanged.
INTERVAL_S: Final = 0.51
#: Processes at the other ends that are looked at.
_MAX_PEERS: Final = 32
#: Children of a process that waits for their end, that are looked at.
_MAX_CHILDREN: Final = 8
#: Connections of an accept queue that are named.
MAX_WAITING: Final = 64
#: How long those who hold the other ends are looked for, of sockets and pipes: that goes by before the second picture.
_LINKS_S: Final = 0.4
#: Calls that SO_RCVTIMEO and SO_SNDTIMEO limit (socket(7)).
_RECEIVING: Final = READS | ACCEPTS
_SENDING: Final = (WRITES - {"splice"}) | {"connect"}
_EVENTS: Final = 0x1 | 0x4 | 0x2000  # POLLIN, POLLOUT, POLLRDHUP: what a program waits for


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread and the call it waits in.

    Attributes:
        pid, command, tid: who.
        call: name of the system call; ``None`` when the thread runs (or may not be looked at: see `hidden`).
        fd: the descriptor it waits for.
        socket: id of the socket behind `fd`, or of the only one that a poll or an epoll instance watches.
        since_s: for how long it has slept in it, at least; ``None`` is unknown.
        timeout_s: the time limit of the wait in seconds; ``None``: none (`timeout_known`) or unknown.
        file, line, function: where; of a function without debug information its file, name and the distance from its begin.
        peer: whether it is a process at the other end, not one that was asked for.
        sockets: ids of all sockets that a poll, select or epoll call watches.
        slept: how `since_s` is known: ``scheduler`` (when it last ran) or ``pictures`` (it did not run in between).
        timeout_known: whether the time limit, or that there is none, could be read.
        place: whose code `file` is: ``user``, ``library`` or ``loop`` (an event loop: see the tasks).
        names: what `fd` is when it is no socket, such as ``pipe``.
        hidden: why the call is not known.
        name: what the thread is called.
        stack: its calls, innermost first, when asked for: ``file:line function``; those in Python if it has any, else
            native ones as far as they are found without its registers, such as ``libc.so.6`read+0xd``.

    """

    pid: int
    command: str
    tid: int
    call: str | None
    fd: int | None
    socket: int | None
    since_s: float | None
    timeout_s: float | None
    file: str | None
    line: int | None
    function: str | None
    peer: bool = False
    sockets: tuple[int, ...] = ()
    slept: str | None = None
    timeout_known: bool = False
    place: str | None = None
    names: str | None = None
    hidden: str | None = None
    name: str | None = None
    stack: tuple[str, ...] = ()


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """An asyncio task that is not done.

    Attributes:
        awaits: such as ``future`` or ``task Task-2``; ``None`` is unknown.
        socket: id of the socket it waits for, where that is known.
        local, remote: the ends of that socket.
        state: ``running``, ``ready`` or ``waiting``.

    """

    pid: int
    name: str
    awaits: str | None
    socket: int | None
    file: str | None
    line: int | None
    function: str | None = None
    state: str = "waiting"
    peer: bool = False
    local: str | None = None
    remote: str | None = None


class Waiting(msgspec.Struct, frozen=True):
    """A connection in an accept queue: its other end's address, and the processes there as far as they are of this host."""

    peer: str | None
    peer_pids: tuple[int, ...]


class Socket(msgspec.Struct, frozen=True, kw_only=True):
    """A socket, as of the last picture.

    Attributes:
        accept_queue, backlog: of a listener; then `receive_queue` and `send_queue` are ``None``.
        pids: processes of those looked at that hold it. peer_pids: processes that hold the other end on this host,
            or the listener in whose accept queue it stands.
        timers: the kernel's timer of it: ``{"kind": "retransmit", "expires_ms": 200, "retransmits": 1}``.
        options: those that can be read from outside.
        namespace: number of its network namespace, when it is another one than ours.
        incoming: whether the connection came in through a listener.
        silent_s: for how long no data has come; ``None`` is unknown.
        peer_accepted: false when the other end is here, in an accept queue, and nobody has accepted it.
        peer_inode: of the other end when that is here.
        peer_closed: state of the other end when that is here and no process has it any more, such as ``FIN_WAIT2``.
        drops: datagrams, or connections to a listener, that the kernel has dropped since it was made.
        waiting: of a listener the connections in its accept queue, the first `MAX_WAITING` of them.

    """

    id: int
    inode: int
    state: str
    local: str | None
    peer: str | None
    receive_queue: int | None
    send_queue: int | None
    accept_queue: int | None
    backlog: int | None
    pids: tuple[int, ...]
    peer_pids: tuple[int, ...]
    timers: tuple[dict[str, Any], ...]
    options: dict[str, Any]
    protocol: str
    namespace: int | None = None
    incoming: bool = False
    silent_s: float | None = None
    peer_accepted: bool = True
    peer_inode: int | None = None
    peer_closed: str | None = None
    drops: int | None = None
    waiting: tuple[Waiting, ...] = ()


class Growth(msgspec.Struct, frozen=True):
    """Sockets of a process in CLOSE_WAIT in the first and in the last picture."""

    pid: int
    command: str
    first: int
    last: int


class Inspection(msgspec.Struct, frozen=True):
    """What was seen.

    Attributes:
        took_s: from the first look to the last.
        notes: what could not be seen and why, in words.
        close_wait: processes with sockets in CLOSE_WAIT.
        tables: the same in the types of a recording, for the rules.
        interrupted: Ctrl-C ended it early.
        blind: no thread could be looked at.

    """

    target: str
    threads: tuple[Thread, ...]
    tasks: tuple[Task, ...]
    sockets: tuple[Socket, ...]
    notes: tuple[str, ...]
    close_wait: tuple[Growth, ...]
    took_s: float
    tables: Tables
    blind: bool
    interrupted: bool = False


def inspect(
    target: str,
    *,
    watch_s: float | None = None,
    interval_s: float = INTERVAL_S,
    on_picture: Callable[[float], None] | None = None,
    on_first: Callable[[Inspection], None] | None = None,
    stacks: bool = False,
    children: bool = False,
    user_code: Sequence[os.PathLike[str]] = (),
    library: Sequence[os.PathLike[str]] = (),
) -> Inspection:
    """Look at running processes and at those at the other ends of their connections.

    Args:
        target: process number, ``:PORT``, name of a program or script, or ``container:`` and its name or id.
        watch_s: keep looking for so long; by default two pictures are taken.
        interval_s: time between two pictures.
        user_code, library: files and directories of the user's own code and of library code; see docs/lines.md.
        on_picture: called with the seconds that are left after each picture but the last.
        on_first: called with what the first two pictures show, when more are taken.
        stacks: note the whole stack of each thread.
        children: look at the processes that these started as well.

    Raises:
        UsageError: there is no such process, or it has ended meanwhile.
        NotPermitted: this user may not look into it.

    """
    chosen = list(map(os.fspath, user_code)), list(map(os.fspath, library))
    look = _Look(target, resolve(target, children=children), chosen, stacks=stacks)
    return look.run(watch_s or interval_s, interval_s, on_picture, on_first)


class _Process:
    """A process that is looked at."""

    def __init__(self, pid: int, peer: bool) -> None:
        self.pid = pid
        self.peer = peer
        self.command = command_of(pid)
        self.words, self.executable = _command_line(pid)
        own = _sockets.namespace("self") or 0
        self.namespace = _sockets.namespace(pid) or own
        self.names: dict[int, str] = {}
        self.keys: dict[int, Key] = {}  #: descriptor -> socket
        self.hidden_descriptors = False
        self.hidden_calls = False
        self.waits: dict[int, tuple[int | None, Wait | None]] = {}  #: thread -> (switches, wait), in the last picture
        self.steady_ns: dict[int, int] = {}  #: thread -> since when it has been seen in its call without running
        self.interpreter: python.Interpreter | None = None
        self.python_unknown: str | None = None
        self.narrow = is_32_bit(pid)

    def learn_descriptors(self) -> None:
        try:
            self.names = _sockets.descriptors(self.pid)
        except PermissionError:
            self.hidden_descriptors = True
        self.keys = {
            number: (self.namespace, int(name[8:-1]))
            for number, name in self.names.items()
            if name.startswith("socket:[") and name[8:-1].isdecimal()
        }

    def look(self, at_ns: int, machine: str) -> None:
        """The threads' calls; a thread that did not run since the last look has been waiting since then."""
        waits: dict[int, tuple[int | None, Wait | None]] = {}
        steady: dict[int, int] = {}
        for tid in _threads.thread_ids(self.pid):
            before = _threads.switches(self.pid, tid)
            try:
                wait = _threads.wait_of(self.pid, tid, "" if self.narrow else machine)
            except PermissionError:
                self.hidden_calls = True
                wait = None
            if wait is not None and before != _threads.switches(self.pid, tid):
                wait = None  # it ran while it was looked at: arguments and memory may not belong together
            waits[tid] = before, wait
            known = self.waits.get(tid)
            if known is not None and wait is not None and known[0] == before and _same(known[1], wait):
                steady[tid] = self.steady_ns.get(tid, at_ns)
            elif wait is not None:
                steady[tid] = at_ns
        self.waits, self.steady_ns = waits, steady

    def find_python(self, chosen: tuple[list[str], list[str]]) -> None:
        if self.narrow or self.hidden_calls:
            return
        try:
            self.interpreter = python.describe(self.pid, *chosen)
        except (NotAvailable, NotPermitted, OSError) as error:
            self.python_unknown = str(error)
        executable = os.path.basename(self.executable or "")
        if self.interpreter is None and self.python_unknown is None and executable.startswith(("python", "pypy")):
            self.python_unknown = f"no interpreter is recognised in {executable} (CPython 3.11 to 3.15 are read)"

    def row(self) -> ProcessRow:
        version = self.interpreter.version.rpartition(".")[0] if self.interpreter is not None else None
        row = ProcessRow(self.pid, self.words, self.executable, f"python {version}" if version is not None else None)
        row.descriptors = self.keys
        return row


def _stacks(process: _Process) -> dict[int, python.Stack]:
    """The Python stacks of the threads that have not run since they were looked at."""
    waiting = [tid for tid, (_, wait) in process.waits.items() if wait is not None]
    if process.interpreter is None or not waiting:
        return {}
    try:
        stacks = process.interpreter.stacks(waiting)
    except (NotAvailable, NotPermitted, OSError):
        return {}
    return {
        tid: stack
        for tid, stack in stacks.items()
        if stack.waiting and stack.top is not None and process.waits[tid][0] == _threads.switches(process.pid, tid)
    }


def _same(one: Wait | None, two: Wait) -> bool:
    return one is not None and (one.number, one.arguments) == (two.number, two.arguments)


def _command_line(pid: int) -> tuple[list[str], str | None]:
    words: list[str] = []
    executable = None
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        words = [os.fsdecode(word) for word in file.read(65_536).split(b"\0")[:-1]]
    with contextlib.suppress(OSError):
        executable = os.readlink(f"/proc/{pid}/exe")
    # Its other arguments may hold secrets and are not kept.
    return program.telling(words), executable


class _Look:
    """One inspection."""

    def __init__(self, text: str, target: Target, chosen: tuple[list[str], list[str]], *, stacks: bool) -> None:
        self.text = text
        self.stacks = stacks
        self.chosen = chosen  #: the user's own code and library code
        self.target = target
        self.machine = platform.machine()
        self.notes = list(target.notes)
        self.processes = {pid: _Process(pid, False) for pid in target.pids}
        self.owners: dict[Key, tuple[int, ...]] = {}  #: the other ends
        self.concerned: dict[Key, int] = {}
        self.pictures: list[Picture] = []
        self.pipes: dict[str, list[End]] = {}  #: who holds the pipes that threads wait for
        self.links: Links | None = None
        self.native: NativeLines | None = None
        try:
            self.native = NativeLines(guardian_path(), *chosen)
        except NotAvailable as error:
            self.notes.append(f"lines of native code are not known: {error}")

    def run(
        self,
        duration_s: float,
        interval_s: float,
        on_picture: Callable[[float], None] | None,
        on_first: Callable[[Inspection], None] | None,
    ) -> Inspection:
        started_ns = time.monotonic_ns()
        for process in self.processes.values():
            process.learn_descriptors()
        self._refuse()
        until_ns = started_ns + int(duration_s * 1e9)
        self._picture()
        self._look()
        self._find_peers()
        self._look()
        self._find_pipes()
        for process in self.processes.values():
            process.find_python(self.chosen)
        try:
            while True:
                left_s = (until_ns - time.monotonic_ns()) / 1e9
                wait_s = max(self.pictures[-1].at_ns / 1e9 + interval_s - time.monotonic(), 0)
                if on_picture is not None and left_s > interval_s:
                    on_picture(left_s)
                time.sleep(wait_s)
                for process in self.processes.values():
                    process.learn_descriptors()
                self._picture()
                self._look()
                if time.monotonic_ns() + int(interval_s * 0.5e9) >= until_ns:
                    break
                if on_first is not None:
                    on_first(self._conclude(started_ns))
                    on_first = None
        except KeyboardInterrupt:
            return msgspec.structs.replace(self._conclude(started_ns), interrupted=True)
        return self._conclude(started_ns)

    # -- looking

    def _refuse(self) -> None:
        """Say no when nothing of the processes can be seen."""
        if self.processes and self.target.port is None:
            hidden = [process for process in self.processes.values() if process.hidden_descriptors]
            if len(hidden) == len(self.processes):
                raise NotPermitted(_refusal(hidden[0]))

    def _picture(self) -> None:
        spaces = {process.namespace: process.pid for process in self.processes.values()}
        if not spaces:
            spaces = {_sockets.namespace("self") or 0: os.getpid()}
        known = {key[1] for process in self.processes.values() for key in process.keys.values()}
        known |= {key[1] for key in self.concerned}
        port = self.target.port if not self.target.pids else None
        picture = _sockets.take(spaces, time.monotonic_ns(), known, port or 0)
        self.pictures.append(picture)
        wanted = {key for process in self.processes.values() if not process.peer for key in process.keys.values()}
        for seen in picture.all:
            mine = seen.key in wanted
            if not mine and port is not None and seen.protocol in ("tcp", "udp"):
                mine = seen.local is not None and seen.local.port == port
            if mine and seen.key[1]:
                self.concerned.setdefault(seen.key, len(self.concerned) + 1)
                others = [picture.peer(seen), picture.queued_at(seen)]
                if seen.listens:
                    others += [client for _, client in picture.clients(seen, MAX_WAITING)]
                others += picture.askers(seen, MAX_WAITING)
                for other in others:
                    if other is not None and other.key[1]:
                        self.concerned.setdefault(other.key, len(self.concerned) + 1)

    def _find_peers(self) -> None:
        """The processes at the other ends of the connections."""
        picture = self.pictures[-1]
        ends, listeners = {}, {}
        for key in self.concerned:
            other = picture.peer(picture.by_key[key])
            if other is not None and other.key[1]:
                ends[other.key[1]] = other.key
            if (queued := picture.queued_at(picture.by_key[key])) is not None:
                ends[queued.key[1]] = queued.key  # who is to accept it is looked at as well
            elif other is not None and (listener := picture.listener(other)) is not None:
                listeners[listener.key[1]] = listener.key
            ends |= {asker.key[1]: asker.key for asker in picture.askers(picture.by_key[key], MAX_WAITING)}
            if picture.by_key[key].listens:
                clients = [client for _, client in picture.clients(picture.by_key[key], MAX_WAITING)]
                ends |= {client.key[1]: client.key for client in clients if client is not None and client.key[1]}
        for inode, key in (listeners | ends).items():
            if held := self._held().owners(inode):
                self.owners[key] = held
        peers = dict.fromkeys(pid for key in ends.values() for pid in self.owners.get(key, ()))
        self._find_pipes()
        peers |= dict.fromkeys(end.pid for ends_ in self.pipes.values() for end in ends_)
        peers |= dict.fromkeys(self._awaited())
        new = [pid for pid in peers if pid not in self.processes and pid != os.getpid()]
        if len(new) > _MAX_PEERS:
            self.notes.append(f"{len(new) - _MAX_PEERS} more processes at the other ends were not looked at")
        for pid in new[:_MAX_PEERS]:
            process = self.processes[pid] = _Process(pid, True)
            process.learn_descriptors()

    def _held(self) -> Links:
        """Who holds what, asked for once: that may take as long as a picture."""
        if self.links is None:
            self.links = Links(next(iter(self.processes), 0), _LINKS_S)
        return self.links

    def _find_pipes(self) -> None:
        """Who holds the pipes that threads wait for."""
        for process in self.processes.values():
            for _, wait in process.waits.values():
                name = facts_.pipe_of(wait, process.names)[0] if wait is not None else None
                if name is not None and name not in self.pipes:
                    self.pipes[name] = self._held().ends(name)

    def _awaited(self) -> Iterator[int]:
        """The children that threads wait for the end of."""
        for process in list(self.processes.values()):
            calls = {wait.call for _, wait in process.waits.values() if wait is not None}
            if not process.peer and calls & {"wait4", "waitid"}:
                yield from children(process.pid)[:_MAX_CHILDREN]

    def _look(self) -> None:
        asked = [process for process in self.processes.values() if not process.peer]
        if asked and all(has_ended(process.pid) for process in asked):
            names = ", ".join(program.label(process.command, process.pid) for process in asked[:5])
            raise UsageError(f"{names}: ended while it was looked at")
        at_ns = time.monotonic_ns()
        for process in self.processes.values():
            process.look(at_ns, self.machine)

    # -- telling

    def _conclude(self, started_ns: int) -> Inspection:
        clock = SchedulerClock()
        threads: list[Thread] = []
        rows: list[ThreadRow] = []
        running: list[tuple[int, int]] = []
        tasks: list[Task] = []
        facts = list(accept_queues(self.pictures, self.concerned))
        ids = {pid: number for number, pid in enumerate(self.processes, 1)}
        for process in self.processes.values():
            own = len(rows)
            stacks = _stacks(process)
            for tid, (_, wait) in process.waits.items():
                thread, row = self._thread(process, tid, wait, clock, stacks.get(tid))
                threads.append(thread)
                if row is not None:
                    rows.append(row)
                elif thread.hidden is None:
                    running.append((process.pid, tid))
            found = self._found_tasks(process)
            facts += self._facts(process, stacks, ids, found)
            told = self._tasks(process, found)
            tasks += told
            loops = [row for row in rows[own:] if row.wait.call in EPOLL_WAITS]
            if len(loops) == 1:
                rows += self._awaiting(loops[0], told)
        command = ["wallsocket", "inspect", self.text]
        tables = fill(
            [process.row() for process in self.processes.values()],
            rows,
            running,
            self.pictures,
            self.concerned,
            command,
            facts,
        )
        self._note()
        return Inspection(
            self.text,
            tuple(threads),
            tuple(tasks),
            tuple(self._told_sockets()),
            tuple(self.notes),
            tuple(self._growth()),
            (time.monotonic_ns() - started_ns) / 1e9,
            tables,
            all(process.hidden_calls for process in self.processes.values() if not process.peer),
        )

    def _facts(
        self, process: _Process, stacks: dict[int, python.Stack], ids: dict[int, int], tasks: list[python.Task]
    ) -> Iterator[Fact]:
        waits = {tid: wait for tid, (_, wait) in process.waits.items()}
        switches = {tid: count for tid, (count, _) in process.waits.items()}
        known = facts_.Process(ids[process.pid], process.pid, waits, process.names, stacks, switches)
        yield from facts_.due(known, tasks)
        yield facts_.watches(known)
        yield from facts_.locks(known)
        yield from facts_.pipes(known, self.pipes, self.links is None or self.links.complete, ids)
        yield from facts_.other_ends(known, process.keys, self.pictures[-1], self.owners, ids)

    def _thread(
        self, process: _Process, tid: int, wait: Wait | None, clock: SchedulerClock, stack: python.Stack | None
    ) -> tuple[Thread, ThreadRow | None]:
        if wait is None:
            hidden = "not permitted" if process.hidden_calls else None
            thread = Thread(
                pid=process.pid,
                command=process.command,
                tid=tid,
                call=None,
                fd=None,
                socket=None,
                since_s=None,
                timeout_s=None,
                file=None,
                line=None,
                function=None,
                peer=process.peer,
                hidden=hidden,
                name=_threads.name_of(process.pid, tid),
            )
            return thread, None
        # All times are as of the last picture, so that they can be compared with what the sockets say.
        now_ns = self.pictures[-1].at_ns
        steady_ns = max(now_ns - process.steady_ns[tid], 0)
        asleep_ns = clock.asleep_ns(process.pid, tid)
        if asleep_ns is not None:
            asleep_ns = max(asleep_ns - (time.monotonic_ns() - now_ns), 0)
        # The scheduler's word is taken where it agrees with what was seen.
        slept, since_ns = "scheduler", asleep_ns or 0
        if asleep_ns is None or asleep_ns + 50_000_000 < steady_ns:
            slept, since_ns = "pictures", steady_ns
        watched = self._watched(process, wait)
        keys = process.keys
        key = keys.get(wait.fd) if wait.fd is not None and wait.call not in EPOLL_WAITS else None
        if key is None and wait.call in POLLS and len(watched) == 1 and len(wait.watched) == 1:
            key = watched[0]
        row = ThreadRow(process.pid, wait, now_ns - since_ns, key if key in self.concerned else None)
        if stack is not None and stack.top is not None:
            row.source_file, row.line, row.function = stack.top.file, stack.top.line, stack.top.function
            row.place = stack.place
        elif (place := self._native(process, tid, wait)) is not None:
            row.source_file, row.line, row.function, row.place = place
        timeout_s, timeout_known = self._limit(process, row)
        only = watched[0] if key is None and len(watched) == 1 else key
        name = process.names.get(wait.fd) if wait.fd is not None else None
        thread = Thread(
            pid=process.pid,
            command=process.command,
            tid=tid,
            call=wait.call,
            fd=wait.fd,
            socket=self.concerned.get(only) if only is not None else None,
            since_s=round(since_ns / 1e9, 3),
            timeout_s=timeout_s,
            file=row.source_file,
            line=row.line,
            function=row.function,
            peer=process.peer,
            sockets=tuple(sorted(self.concerned[one] for one in set(watched) if one in self.concerned)),
            slept=slept,
            timeout_known=timeout_known,
            place=row.place,
            names=None if key is not None or name is None else _kind(name),
            name=_threads.name_of(process.pid, tid),
            stack=self._frames(process, tid, wait, stack),
        )
        return thread, row if wait.number >= 0 else None

    def _native(
        self, process: _Process, tid: int, wait: Wait
    ) -> tuple[str | None, int | None, str | None, Literal["user", "library"]] | None:
        """Where a thread without Python frames waits, if it has not run since it was looked at."""
        if self.native is None or process.narrow or not wait.stack:
            return None
        found = self.native.at(process.pid, wait.instruction, wait.stack)
        if found is None or process.waits[tid][0] != _threads.switches(process.pid, tid):
            return None
        file, line, function, known = found
        return file, line, function, "library" if known == Known.LIBRARY else "user"

    def _frames(self, process: _Process, tid: int, wait: Wait, stack: python.Stack | None) -> tuple[str, ...]:
        """The whole stack of a thread, innermost first: its Python calls, else its native ones as far as they are found."""
        if not self.stacks:
            return ()
        if stack is not None:
            return tuple(f"{frame.file}:{frame.line or '?'} {frame.function}" for frame in stack.frames)
        if process.narrow or not wait.stack or self.native is None:
            return ()
        found = self.native.stack(process.pid, wait.instruction, wait.stack)
        if found is None or process.waits[tid][0] != _threads.switches(process.pid, tid):
            return ()
        return tuple(
            f"{file}:{line or '?'} {function or ''}".rstrip() if file is not None else function or "?"
            for file, line, function in found
        )

    @staticmethod
    def _limit(process: _Process, row: ThreadRow) -> tuple[float | None, bool]:
        """The time limit of a wait, and whether it is known; from the call's arguments or the socket's options."""
        wait = row.wait
        if wait.fd is None or row.socket is None or wait.call not in (*_RECEIVING, *_SENDING):
            return wait.timeout_s, wait.timeout_known
        row.limits_s = _threads.limits_s(process.pid, wait.fd)
        if row.limits_s is None:
            return None, False
        return row.limits_s[wait.call in _SENDING] or None, True

    def _watched(self, process: _Process, wait: Wait) -> list[Key]:
        keys = process.keys
        entries = list(wait.watched)
        if wait.call in EPOLL_WAITS and wait.fd is not None:
            entries = _threads.watched(process.pid, wait.fd) or []
        return [keys[descriptor] for descriptor, events in entries if descriptor in keys and events & _EVENTS]

    @staticmethod
    def _found_tasks(process: _Process) -> list[python.Task]:
        if process.interpreter is None:
            return []
        try:
            return process.interpreter.tasks()
        except (NotAvailable, NotPermitted, OSError) as error:
            process.python_unknown = process.python_unknown or str(error)
            return []

    def _tasks(self, process: _Process, tasks: list[python.Task]) -> list[Task]:
        keys = process.keys
        found = []
        for task in tasks:
            frame = task.top
            key = keys.get(task.descriptor) if task.descriptor is not None else None
            seen = self.pictures[-1].by_key.get(key) if key is not None else None
            found.append(
                Task(
                    pid=process.pid,
                    name=task.name,
                    awaits=task.awaits,
                    socket=self.concerned.get(key) if key is not None else None,
                    file=frame.file if frame is not None else None,
                    line=frame.line if frame is not None else None,
                    function=frame.function if frame is not None else None,
                    state=task.state,
                    peer=process.peer,
                    local=_text(seen.local) if seen is not None else None,
                    remote=_text(seen.peer) if seen is not None else None,
                )
            )
        return sorted(found, key=lambda task: (len(task.name), task.name))

    def _awaiting(self, loop: ThreadRow, tasks: list[Task]) -> Iterator[ThreadRow]:
        """The loop's wait once for each task that awaits a socket, or that could go on."""
        keys = {number: key for key, number in self.concerned.items()}
        for task in tasks:
            if (task.socket in keys and task.state == "waiting") or task.state == "ready":
                key = keys.get(task.socket) if task.socket is not None else None
                row = ThreadRow(loop.pid, loop.wait, loop.entry_ns, key)
                row.source_file, row.line, row.function, row.place = task.file, task.line, task.function, "task"
                yield row

    def _told_sockets(self) -> list[Socket]:
        picture = self.pictures[-1]
        own = _sockets.namespace("self") or 0
        holders: dict[Key, list[int]] = {}
        for process in self.processes.values():
            for key in set(process.keys.values()):
                holders.setdefault(key, []).append(process.pid)
        found = []
        for key, number in self.concerned.items():
            seen = picture.by_key.get(key)
            if seen is not None:
                found.append(self._told(seen, number, picture, holders, own))
        return found

    def _told(self, seen: Seen, number: int, picture: Picture, holders: dict[Key, list[int]], own: int) -> Socket:
        other = picture.peer(seen)
        queued = picture.queued_at(seen)
        end = queued if queued is not None else other
        peers = tuple(holders.get(end.key, ()) or self.owners.get(end.key, ())) if end is not None else ()
        timers: tuple[dict[str, Any], ...] = ()
        if (kind := seen.timer_name) is not None:
            timers = ({"kind": kind, "expires_ms": seen.timer_expires_ms, "retransmits": seen.retransmits},)
        memory = seen.memory
        tcp = seen.protocol == "tcp"
        accepted = queued is None and (other is None or other.key[1] != 0 or not picture.waits_for_accept(other))
        silent_ms = seen.measure("last_data_received_ms") if not seen.listens else None
        return Socket(
            id=number,
            inode=seen.key[1],
            state=seen.state_name,
            local=_text(seen.local),
            peer=_text(seen.peer),
            receive_queue=None if seen.listens else seen.receive_queue,
            send_queue=None if seen.listens else seen.send_queue,
            accept_queue=seen.receive_queue if seen.listens else None,
            backlog=seen.send_queue if seen.listens else None,
            pids=tuple(holders.get(seen.key, ())),
            peer_pids=peers,
            timers=timers,
            options=seen.options,
            protocol=seen.protocol,
            namespace=seen.key[0] if seen.key[0] != own else None,
            incoming=picture.incoming(seen),
            silent_s=silent_ms / 1000 if silent_ms is not None else None,
            peer_accepted=accepted,
            peer_inode=(other.key[1] or None) if other is not None else None,
            peer_closed=other.state_name if other is not None and not other.key[1] and accepted else None,
            # Of a TCP connection the count is of segments, such as repeated ones, which costs it nothing.
            drops=memory.drops if memory is not None and (not tcp or seen.listens) else None,
            waiting=tuple(
                Waiting(
                    _text(address),
                    tuple(holders.get(client.key, ()) or self.owners.get(client.key, ())) if client is not None else (),
                )
                for address, client in (picture.clients(seen, MAX_WAITING) if seen.listens else ())
            ),
        )

    def _growth(self) -> list[Growth]:
        found = []
        for process in self.processes.values():
            keys = set(process.keys.values())
            counts = [
                sum(1 for key in keys if key in picture.by_key and picture.by_key[key].state == TcpState.CLOSE_WAIT)
                for picture in (self.pictures[0], self.pictures[-1])
            ]
            if any(counts):
                found.append(Growth(process.pid, process.command, counts[0], counts[1]))
        return found

    def _note(self) -> None:
        others = [process for process in self.processes.values() if process.namespace in self.pictures[-1].poor]
        if others:
            self.notes.append(
                f"{_listed(others)} in another network namespace: its TCP and UDP sockets are read from /proc/PID/net, "
                "without TCP_INFO, backlog, options and Unix sockets (root sees them, or wallsocket inside that namespace)"
            )
        for process in self.processes.values():
            if process.hidden_descriptors or process.hidden_calls:
                self.notes.append(_refusal(process))
            elif process.narrow:
                self.notes.append(
                    f"{program.label(process.command, process.pid)} is a 32-bit program: its calls are not decoded"
                )
            elif process.python_unknown is not None:
                self.notes.append(
                    f"{program.label(process.command, process.pid)}: Python lines unknown: {process.python_unknown}"
                )


def _kind(name: str) -> str:
    """What a descriptor is, without its number: ``pipe``, ``eventpoll``, or a path."""
    if name.startswith("anon_inode:"):
        return name.removeprefix("anon_inode:").strip("[]")
    return name.partition(":[")[0]


def _listed(processes: list[_Process]) -> str:
    names = ", ".join(program.label(process.command, process.pid) for process in processes[:5])
    return f"{names} {'is' if len(processes) == 1 else 'are'}"


def _refusal(process: _Process) -> str:
    """Which permission is missing, and what is seen without it."""
    who = program.label(process.command, process.pid)
    try:
        uid = os.stat(f"/proc/{process.pid}").st_uid
    except OSError:
        return f"{who} has ended"
    if process.hidden_descriptors:
        owner = user_name(uid)
        reason = f"belongs to {owner}" if uid != os.geteuid() else "has more privileges than you (or is not dumpable)"
        return (
            f"{who} {reason}: its calls and descriptors are seen only by that user or with CAP_SYS_PTRACE "
            f"({refusal.as_root(f'inspect {process.pid}')}); without it, wallsocket inspect :PORT shows the sockets of a port"
        )
    found = refusal.memory()
    reason = "the kernel or a security policy refuses" if found.by == refusal.UNKNOWN else found.by
    return (
        f"{who}: {reason}, so the calls of its threads and Python lines are hidden (they need CAP_SYS_PTRACE: "
        f"{refusal.as_root(f'inspect {process.pid}')}); its sockets are seen"
    )


def _text(address: object) -> str | None:
    return None if address is None else str(address)
