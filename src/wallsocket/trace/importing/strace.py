"""Logs of strace(1): which line is what, when it was, and what a log says as a whole.

The form is that of strace 4.20 to 6.x: ``-f`` with ``[pid N]`` or a number in front, ``-t``, ``-tt``, ``-ttt`` or ``-r``,
with or without ``-T``, ``-y`` or ``-yy``, ``-Y``, ``-i``, ``-n``, ``-s``, ``-x``, ``-xx``, one file (``-o``) or one a process
(``-ff``). What a log lacks that nothing else tells is refused by one line with the command that records it. What is no line
of strace's, such as the output of the program between the lines, is left out and counted.
"""

from __future__ import annotations

import gzip
import heapq
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from ...errors import RecordingError

__all__ = ["COMMAND", "Entry", "Log", "Survey", "begins_log", "is_summary", "opened", "survey"]

#: What records everything that is read here.
COMMAND: Final = "strace -f -ttt -T -yy -s 256 -e trace=network,desc,process -o strace.log COMMAND"

#: A longer line is no line of strace's at any sensible ``-s``; the rest of it is left out.
_MAX_LINE: Final = 1 << 20
#: Lines that are looked at to see whether a file is a log.
_LOOK_LINES: Final = 400
#: A number of seconds from here on is a date (1973), not a difference.
_DATE_S: Final = 1e8
_DAY_NS: Final = 86_400 * 10**9
#: Most processes of a log that are told apart.
_MAX_TIDS: Final = 100_000

_LINE: Final = re.compile(
    r"(?:\[pid +(\d+)(?:<[^>]*>)?\] |(\d+)(?:<[^>]*>)? +)?"
    r" *(?:(\d\d:\d\d:\d\d(?:\.\d+)?) |(\d+\.\d+) |)"
    r" *(?:\(\+ +(\d+\.\d+)\) )?"
    r"(?:\[[ 0-9a-f?]+\] )*"
    r"([a-z_][a-z_0-9]*\(|<\.\.\. |--- |\+\+\+ )(.*)",
    re.DOTALL,
)
_RESUMED: Final = re.compile(r"([a-z_][a-z_0-9]*) resumed>(.*)", re.DOTALL)
_TOOK: Final = re.compile(r" <(\d+\.\d+)>$")
_EXIT: Final = re.compile(r"exited with (\d+) \+\+\+|killed by (SIG\w+)|superseded by execve in pid (\d+)")
_UNFINISHED: Final = " <unfinished ...>"
_ATTACHED: Final = re.compile(r"(?:strace: )?Process (\d+)(?:<[^>]*>)? attached")
#: The head of what ``-c`` prints.
_SUMMARY: Final = "% time     seconds  usecs/call"
_BRACKETED: Final = re.compile(r"\[pid +(\d{1,9})(?:<[^>]*>)?\]")
_FROM_PID: Final = re.compile(r"si_pid=(\d+)")
_CHILD: Final = re.compile(r"= (\d+)(?:<[^>]*>)?$")
_FORKS: Final = ("clone(", "clone3(", "fork(", "vfork(")
_OF_SOCKETS: Final = frozenset(
    "socket socketpair connect accept accept4 bind listen sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown "
    "getsockname getpeername setsockopt getsockopt".split()
)
_KINDS: Final = (
    "TCP",
    "UDP",
    "UNIX",
    "socket:",
    "NETLINK",
    "PACKET",
    "RAW",
    "ICMP",
    "PING",
    "SCTP",
    "UDPLITE",
    "MPTCP",
)
_CONNECTED: Final = re.compile(r"(?:TCP|TCPv6|MPTCP):\[[^>]*->[^>]*\]>")
#: Calls on descriptors, of which a log with ``-e trace=desc`` always has some.
_OF_DESCRIPTORS: Final = ("close(", "read(", "write(", "fcntl(", "poll(", "ppoll(", "epoll_wait(", "readv(", "writev(")
#: Of which the first argument is no number; one that cannot be read is written as its address.
_OF_LISTS: Final = frozenset(("poll(", "ppoll("))


class Entry(NamedTuple):
    """A line of a log."""

    at_ns: int  #: since 1970 (``-ttt``), since midnight (``-t``, ``-tt``) or since the first line (``-r``)
    tid: int
    kind: str  #: ``call``, ``begin`` (unfinished), ``end`` (resumed), ``signal``, ``exit``
    name: str  #: of the system call, of the signal
    text: str  #: arguments and result
    took_ns: int | None  #: ``-T``


class Survey(NamedTuple):
    """What a log says as a whole; it is read once for this before its calls are taken."""

    clock: str  #: ``date`` (``-ttt``), ``day`` (``-t``, ``-tt``) or ``relative`` (``-r``)
    whole_seconds: bool  #: ``-t``
    durations: bool  #: ``-T``
    decorated: bool  #: ``-yy``: addresses stand behind descriptors
    tids: dict[int, None]  #: in the order of their first lines
    children: dict[int, tuple[int, bool]]  #: who was made: by whom, and whether as a thread
    forks: bool  #: calls that make processes are in the log
    alone: bool  #: threads or children were made, and no line of them is in the log
    separate: frozenset[int]  #: proven to have descriptors of their own
    payload: int  #: bytes of the longest string


class Log:
    """One log: one file, or those of ``-ff``.

    Raises:
        RecordingError: it cannot be read; from iterating: a file cannot be read to its end.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.skipped = 0  #: lines that are not strace's, of the latest reading
        self.clock = ""
        self.whole_seconds = False
        self.main = 0

    def __iter__(self) -> Iterator[Entry]:
        self.skipped = 0
        if len(self.paths) == 1:
            yield from self._file(self.paths[0])
            return
        if self.clock == "relative":
            raise RecordingError(
                f"{self.paths[0]}: times of -r cannot be joined over several files; record with: {COMMAND}"
            )
        # The files of -ff each stand in the order of time.
        for _, _, _, entry in heapq.merge(
            *(
                ((entry.at_ns, place, line, entry) for line, entry in enumerate(self._file(path)))
                for place, path in enumerate(self.paths)
            )
        ):
            yield entry

    def _file(self, path: Path) -> Iterator[Entry]:
        suffix = path.name.removesuffix(".gz").rpartition(".")[2]
        own = int(suffix) if suffix.isdecimal() and len(suffix) < 10 else 0
        now_ns = 0
        alive: dict[int, None] = {}
        first = True
        for line in lines(path):
            found = _LINE.match(line)
            if found is None:
                attached = _ATTACHED.match(line)
                if attached is not None:
                    alive[int(attached[1])] = None
                elif line.strip() and not line.startswith("strace: "):
                    self.skipped += 1
                continue
            bracket, before, day, seconds, relative, head, rest = found.groups()
            tid = _tid(bracket or before)
            if tid is None:
                # Only one is left, or -f was not given.
                tid = next(iter(alive)) if len(alive) == 1 else own or self.main
            if first:
                self._set_clock(path, day, seconds, relative)
                first = False
            stated = _stated_ns(day, seconds, relative)
            if stated is None:
                self.skipped += 1
                continue
            if self.clock == "relative":
                now_ns += stated
            else:
                while stated < now_ns - _DAY_NS // 2 and self.clock == "day":
                    stated += _DAY_NS
                now_ns = max(now_ns, stated)
            if len(alive) < _MAX_TIDS:
                alive[tid] = None
            if head == "--- ":
                yield Entry(now_ns, tid, "signal", rest.partition(" ")[0], rest, None)
                continue
            if head == "+++ ":
                alive.pop(tid, None)
                yield Entry(now_ns, tid, "exit", "", rest, None)
                continue
            took = _TOOK.search(rest)
            took_ns = None
            if took is not None:
                took_ns = _ns(took[1])
                rest = rest[: took.start()]
            if head == "<... ":
                resumed = _RESUMED.match(rest)
                if resumed is None:
                    self.skipped += 1
                    continue
                yield Entry(now_ns, tid, "end", resumed[1], resumed[2], took_ns)
            elif rest.endswith(_UNFINISHED):
                yield Entry(now_ns, tid, "begin", head[:-1], rest[: -len(_UNFINISHED)].rstrip(" "), took_ns)
            else:
                yield Entry(now_ns, tid, "call", head[:-1], rest, took_ns)
                if self.whole_seconds and took_ns is not None:
                    now_ns += took_ns

    def _set_clock(self, path: Path, day: str | None, seconds: str | None, relative: str | None) -> None:
        """What kind of time stands in front, by the first line; every other line must have the same."""
        if day is not None:
            clock = "day"
        elif seconds is not None:
            clock = "date" if float(seconds) >= _DATE_S else "relative"
        elif relative is not None:
            clock = "relative"
        else:
            raise RecordingError(f"{path}: the lines of this strace log have no times; record with: {COMMAND}")
        if self.clock not in ("", clock):
            raise RecordingError(f"{path}: its times are of another kind than those of {self.paths[0]}")
        self.clock = clock
        self.whole_seconds = day is not None and "." not in day


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file, also of one in gzip, without their ends."""
    try:
        with opened(path) as file:
            while line := file.readline(_MAX_LINE):
                if len(line) == _MAX_LINE and not line.endswith(b"\n"):
                    while (more := file.readline(_MAX_LINE)) and not more.endswith(b"\n"):
                        pass
                yield line.decode("utf-8", "backslashreplace").rstrip("\r\n")
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is cut off or damaged"
        raise RecordingError(f"{path}: cannot be read: {reason}") from error
    except Exception as error:  # zlib.error of a damaged file, which no module is loaded for otherwise
        if type(error).__name__ != "error":
            raise
        raise RecordingError(f"{path}: cannot be read: it is damaged") from error


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacked if it is in gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def begins_log(path: Path) -> bool:
    """Whether a file is a log of strace, by its first lines."""
    for place, line in enumerate(lines(path)):
        if place >= _LOOK_LINES:
            return False
        if "\0" in line:
            return False
        found = _LINE.match(line)
        if found is not None and (found[6] in ("--- ", "+++ ", "<... ") or _ends_as_call(found[7])):
            return True
    return False


def is_summary(path: Path) -> bool:
    """Whether a file is what ``strace -c`` prints: counts, and no calls."""
    try:
        return any(line.startswith(_SUMMARY) for line in itertools.islice(lines(path), _LOOK_LINES))
    except RecordingError:
        return False


def _ends_as_call(text: str) -> bool:
    return text.endswith(_UNFINISHED) or re.search(r"\) += (?:-?\d|\?|0x)", text) is not None


def survey(log: Log) -> Survey:
    """Read a log once for what it says as a whole.

    Raises:
        RecordingError: it lacks what nothing else tells; the text names the command that records it.
    """
    path = log.paths[0]
    log.main = _main(path)
    tids: dict[int, None] = {}
    children: dict[int, tuple[int, bool]] = {}
    born_as_process: dict[int, int] = {}
    open_forks: dict[int, str] = {}
    forks = durations = of_descriptors = network = raw = cut = False
    payload = 0
    tables = _Contradictions()
    for entry in log:
        if entry.tid not in tids:
            if len(tids) >= _MAX_TIDS:
                raise RecordingError(f"{path}: more than {_MAX_TIDS} processes and threads")
            tids[entry.tid] = None
        if entry.kind == "signal":
            sender = _FROM_PID.search(entry.text) if entry.name == "SIGCHLD" else None
            if sender is not None and len(born_as_process) < _MAX_TIDS:
                born_as_process[int(sender[1])] = entry.tid
            continue
        if entry.kind == "exit":
            continue
        head = f"{entry.name}("
        if head in _FORKS:
            forks = True
            text = entry.text
            if entry.kind == "begin":
                open_forks[entry.tid] = text
                continue
            if entry.kind == "end":
                text = open_forks.pop(entry.tid, "") + text
            child = _CHILD.search(text)
            if child is not None and child[1] != "0" and len(children) < _MAX_TIDS:
                children[int(child[1])] = (entry.tid, "CLONE_THREAD" in text)
            continue
        durations = durations or entry.took_ns is not None
        if head in _OF_DESCRIPTORS:
            of_descriptors = True
            raw = raw or (entry.kind != "end" and entry.text.startswith("0x") and head not in _OF_LISTS)
        if entry.name in _OF_SOCKETS:
            network = True
        if not forks:
            tables.see(entry, entry.text)
        place = entry.text.find('"')
        if place >= 0 and entry.text.count('"', place) >= 2:
            payload = max(payload, min(entry.text.find('"', place + 1) - place - 1, 1 << 20))
            cut = cut or entry.text.startswith('""...', place)
    for process, parent in born_as_process.items():
        children.setdefault(process, (parent, False))
    if not tids:
        raise RecordingError(f"{path}: no line of strace in it that can be read; record with: {COMMAND}")
    if not network:
        raise RecordingError(f"{path}: no call on a socket in this strace log; record with: {COMMAND}")
    if not of_descriptors:
        raise RecordingError(
            f"{path}: read, write and close are not in this strace log (-e trace=network alone); record with: {COMMAND}"
        )
    if raw:
        raise RecordingError(f"{path}: arguments are not decoded in this strace log (-e raw); record with: {COMMAND}")
    if cut:
        # Lists, such as the numbers of a poll or of a pair, are cut to nothing as well.
        raise RecordingError(
            f"{path}: strings and lists are left out of this strace log (-s 0); record with: {COMMAND}"
        )
    if len(log.paths) > 1 and not durations:
        raise RecordingError(f"{path}: how long calls took is not in these files of -ff; record with: {COMMAND}")
    return Survey(
        log.clock,
        log.whole_seconds,
        durations,
        tables.decorated,
        tids,
        children,
        forks,
        len(tids) == 1 and bool(children) and tids.keys().isdisjoint(children),
        frozenset(tables.separate),
        payload,
    )


class _Contradictions:
    """Finds who has descriptors of its own, where the log does not hold the calls that make processes and threads.

    Threads share one table: a number that one of them got was free for all, and what one has closed is closed for all.
    """

    def __init__(self) -> None:
        self.separate: set[int] = set()
        self.decorated = False
        self._order: dict[int, int] = {}  # tid -> when it was first seen
        self._owner: dict[int, int] = {}  # number that is open -> who got it
        self._closed: dict[int, int] = {}  # number -> who closed it
        self._names: dict[
            str, tuple[str, int]
        ] = {}  # number -> the connection that it was last seen to name, and by whom
        self._before: dict[str, set[str]] = {}

    def see(self, entry: Entry, text: str) -> None:
        """Take a call; ``text``: all of it, as far as it is there."""
        tid = entry.tid
        self._order.setdefault(tid, len(self._order))
        head = _NUMBER.match(text)
        if head is not None and entry.kind != "end" and len(head[1]) < 10:
            number = int(head[1])
            if head[2] is not None:
                self._decoration(head[1], text[head.end() :], tid)
            if entry.name == "close":
                self._owner.pop(number, None)
                if len(self._closed) < 1 << 16:
                    self._closed[number] = tid
            elif entry.name in _OF_SOCKETS and "EBADF" not in text and self._closed.get(number, tid) != tid:
                self._part(tid, self._closed[number])
        if entry.kind != "begin" and entry.name in _GIVE_NUMBERS:
            for number in _given(entry.name, text):
                owner = self._owner.get(number)
                if owner is not None and owner != tid:
                    self._part(tid, owner)
                elif len(self._owner) < 1 << 16:
                    self._owner[number] = tid
                self._closed.pop(number, None)

    def _decoration(self, number: str, rest: str, tid: int) -> None:
        found = _CONNECTED.match(rest)
        self.decorated = self.decorated or found is not None or rest.startswith(_KINDS)
        if found is None:
            return
        now = self._names.get(number)
        if now is not None and now[0] == found[0]:
            return
        before = self._before.setdefault(number, set())
        if now is not None:
            if found[0] in before:
                self._part(tid, now[1])
            if len(before) < 256:
                before.add(now[0])
        if len(self._names) < 1 << 16:
            self._names[number] = (found[0], tid)

    def _part(self, one: int, other: int) -> None:
        if one != other:
            self.separate.add(max(one, other, key=lambda tid: self._order.get(tid, 0)))


_NUMBER: Final = re.compile(r"(\d+)(<)?")
#: Calls that return a new descriptor, the lowest that is free.
_GIVE_NUMBERS: Final = frozenset(
    "open openat openat2 creat socket accept accept4 dup epoll_create epoll_create1 eventfd eventfd2 timerfd_create "
    "signalfd4 inotify_init1 memfd_create pidfd_open socketpair pipe pipe2".split()
)
_PAIR: Final = re.compile(r"\[(\d+)(?:<[^>]*(?:->[^>]*)*>)?, (\d+)")
_GIVEN: Final = re.compile(r"\) += (\d+)(?:<|$)")


def _given(name: str, text: str) -> list[int]:
    """The descriptors that a call gave."""
    found = _PAIR.search(text) if name in ("pipe", "pipe2", "socketpair") else _GIVEN.search(text)
    return [int(number) for number in found.groups() if len(number) < 10] if found is not None else []


def _main(path: Path) -> int:
    """Whose lines those are that have no number in front: of the first with a number that was not attached later."""
    attached: set[str] = set()
    for place, line in enumerate(lines(path)):
        if place >= 100_000:
            break
        if (new := _ATTACHED.match(line)) is not None:
            attached.add(new[1])
        elif (found := _BRACKETED.match(line)) is not None and found[1] not in attached:
            return int(found[1])
    return 0


def _tid(text: str | None) -> int | None:
    return int(text) if text is not None and len(text) < 10 else None


def _ns(text: str) -> int:
    """Seconds with a fraction, exactly."""
    whole, _, fraction = text.partition(".")
    return int(whole[-12:]) * 10**9 + int((fraction + "000000000")[:9])


def _stated_ns(day: str | None, seconds: str | None, relative: str | None) -> int | None:
    if day is not None:
        hours, minutes, rest = day.split(":")
        return (int(hours) * 3600 + int(minutes) * 60) * 10**9 + _ns(rest)
    text = seconds or relative
    return None if text is None else _ns(text)
