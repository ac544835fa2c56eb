"""What the programs of a strace log did: their processes, descriptors and sockets, as rows of a recording.

A log says what each call was; which socket a number named at that moment follows from the calls before, and from what
``-yy`` wrote behind the number, which is believed where the two differ: closes that were not logged leave old numbers.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...events import Via
from ..syscalls import NUMBERS
from .descriptors import Descriptors, Process, Rows, Socket, wildcard
from .heads import announced, cut_character
from .strace import Entry, Survey
from .words import (
    Named,
    Result,
    address,
    arguments,
    bytes_of,
    decoration,
    fields,
    number,
    option_value,
    result_of,
)

__all__ = ["MACHINE", "Interpreter", "Rows"]

#: Whose system-call numbers the rows have; a log names calls.
MACHINE: Final = "x86_64"
_NUMBERS: Final = NUMBERS[MACHINE]

_SOCK_STREAM: Final = 1
_SOCK_CLOEXEC: Final = 0o2000000
_MSG_PEEK: Final = 2
_EBADF: Final = 9
_EINPROGRESS: Final = 115
_F_DUPFD: Final = (0, 1030)
_F_SETFD: Final = 2
#: Keep it over execve, close it there (ioctl_tty(2)).
_FIO_CLEX: Final = (0x5450, 0x5451)
_POLLIN, _POLLPRI, _POLLOUT = 1, 2, 4
_NO_TIME: Final = -1

_NOT_ALL: Final = "incomplete: threads and children are not in the log (strace -f)"
_NO_KERNEL: Final = "a strace log holds nothing of the kernel's"
#: What a call costs under strace, which its log does not say: 82 to 97 µs for two calls with --seccomp-bpf, measured
#: 2026-11; twice that without. Findings about less time are withheld.
_ADDED_NS: Final = 200_000

#: A descriptor in an argument or result, with what -y says of it.
_FD: Final = re.compile(r"(-?\d{1,10})(?:<(.*)>)?", re.DOTALL)
#: The first argument of a line whose call is about a descriptor.
_FIRST: Final = re.compile(r"(-?\d{1,10})(?:<((?:->|[^<>]|<[^<>]*>)*)>)?")
#: The second one, as of dup2.
_SECOND: Final = re.compile(r"-?\d{1,10}(?:<(?:->|[^<>]|<[^<>]*>)*>)?, (\d{1,9})(?:<((?:->|[^<>]|<[^<>]*>)*)>)?")
_REPLACES: Final = frozenset(("dup2", "dup3"))
_SHORT_NAMES: Final = {"send": "sendto", "recv": "recvfrom", "_newselect": "select", "pselect6_time64": "pselect6"} | {
    "ppoll_time64": "ppoll",
    "recvmmsg_time64": "recvmmsg",
    "fcntl64": "fcntl",
    "sendfile64": "sendfile",
}
#: Calls whose first argument may be any descriptor: of interest when it is a socket's.
_ANY: Final = frozenset("read write readv writev close dup dup2 dup3 fcntl ioctl sendfile".split())
#: What the kernel says to itself of a call that a signal has stopped (include/linux/errno.h), and calls of which a log shows
#: when they are made again: with the same arguments.
_STOPPED: Final = frozenset((-512, -513, -514, -516))
_AGAIN: Final = frozenset(
    "accept accept4 connect sendto recvfrom sendmsg recvmsg read write readv writev recvmmsg sendmmsg".split()
)
#: Calls that are not about a socket, but say what becomes of processes and descriptors.
_FORKS: Final = frozenset(("clone", "clone3", "fork", "vfork"))
_EPOLL_CREATES: Final = frozenset(("epoll_create", "epoll_create1"))


@dataclass(slots=True, eq=False)
class _Open:
    """A call that has been entered."""

    id: int
    process: Process
    tid: int
    name: str
    text: str
    at_ns: int
    socket: Socket | None
    fd: int | None
    columns: dict[str, Any] = field(default_factory=dict)
    args: list[str] = field(default_factory=list)
    result: int | None = None
    rest: str = ""
    exit_ns: int = 0

    def argument(self, place: int) -> str:
        """An argument as it is written, empty when there are fewer."""
        return self.args[place] if place < len(self.args) else ""

    @property
    def succeeded(self) -> bool:
        """Whether it returned, and no error."""
        return self.result is not None and self.result >= 0


class Interpreter:
    """Takes the lines of a log in their order and writes rows.

    Args:
        survey: what the whole log says.
        rows: takes them.
        origin_ns: the log's time of the recording's beginning.
    """

    def __init__(self, survey: Survey, rows: Rows, origin_ns: int) -> None:
        self._rows = rows
        self._origin_ns = origin_ns
        self._held = Descriptors(survey, rows)
        self._open: dict[int, _Open] = {}
        self._stopped: dict[int, _Open] = {}  #: tid -> its call that a signal has stopped
        self._count = 0
        self._facts = 0
        self.calls = 0
        self.unclear = 0  #: lines that are cut, or mixed with the program's own output
        self.last_ns = 0

    # -- lines

    def take(self, entry: Entry) -> None:
        """The next line."""
        at_ns = max(0, entry.at_ns - self._origin_ns)
        self.last_ns = max(self.last_ns, at_ns + (entry.took_ns or 0 if entry.kind == "call" else 0))
        if entry.kind == "exit":
            call = self._open.pop(entry.tid, None)
            if call is not None:
                self._never(call)
            stopped = self._stopped.pop(entry.tid, None)
            if stopped is not None:
                # The signal that stopped it ended the process: it never came back.
                self._write_call(stopped, None if entry.text.startswith("killed by ") else self._took_ns(stopped))
            self._held.ends_thread(entry.tid, entry.text, at_ns)
            return
        process = self._held.process(entry.tid, at_ns)
        if entry.kind == "signal":
            self._held.mark(at_ns, process.id, entry.tid, "signal", entry.name)
        elif entry.kind == "end":
            call = self._open.pop(entry.tid, None)
            if call is not None and _SHORT_NAMES.get(entry.name, entry.name) == call.name:
                call.text += entry.text
                took = entry.took_ns
                self._return(call, call.at_ns + took if took is not None else at_ns)
            elif call is not None:
                self.unclear += 1
        else:
            call = self._enter(process, entry, at_ns)
            if call is None:
                return
            call = self._resume(call)
            if entry.kind == "begin":
                lost = self._open.pop(entry.tid, None)
                if lost is not None:
                    self._never(lost)
                self._open[entry.tid] = call
            else:
                self._return(call, at_ns + (entry.took_ns or 0))

    def _resume(self, call: _Open) -> _Open:
        """The call, as one with that which a signal had stopped where the kernel or the program makes the same again."""
        stopped = self._stopped.pop(call.tid, None)
        if stopped is None:
            return call
        if (
            stopped.name != call.name
            or call.name not in _AGAIN
            or stopped.fd != call.fd
            or stopped.socket is not call.socket
        ):
            # A handler's call, perhaps: whether the first one came back with EINTR is not in a log.
            self._write_call(stopped, self._took_ns(stopped))
            return call
        call.id, call.at_ns = stopped.id, stopped.at_ns
        return call

    @staticmethod
    def _took_ns(call: _Open) -> int:
        return call.exit_ns - call.at_ns

    def finish(self) -> None:
        """The log has ended."""
        for call in self._open.values():
            self._never(call)
        self._open.clear()
        for call in self._stopped.values():
            self._write_call(call, self._took_ns(call))
        self._stopped.clear()
        self._held.finish()

    def name_ends(self, ends: Mapping[int, bytes]) -> None:
        """Local addresses of sockets by id, for those whose own the log does not have."""
        self._held.ends = ends

    @property
    def exit_status(self) -> int | None:
        """Of the first process; 128 and the signal's number as the shell has it."""
        first = self._held.first
        if first is None or first.ended_ns is None:
            return None
        return first.exit_code if first.signal is None else 128 + first.signal

    @property
    def command(self) -> str | None:
        """The argument vector of the first process, as JSON."""
        return self._held.first.command if self._held.first is not None else None

    def meta(self) -> dict[str, str]:
        """What is said of the calls, once all lines have come."""
        survey = self._held.survey
        meta = {
            "calls": _NOT_ALL if survey.alone else "yes",
            "kernel": _NO_KERNEL,
            "payload": str(survey.payload),
            # -t rounds to seconds: what took less cannot be told.
            "added_ns_per_call": str(10**9 if survey.whole_seconds else _ADDED_NS),
            "ended_ns": str(self.last_ns),
        }
        if self.exit_status is not None:
            meta["exit_status"] = str(self.exit_status)
        if self.command is not None:
            meta["command"] = self.command
        if self.unclear:
            meta["lost"] = str(self.unclear)
        return meta

    # -- calls

    def _enter(self, process: Process, entry: Entry, at_ns: int) -> _Open | None:
        """A call that is entered; ``None`` when it is not about sockets."""
        name = _SHORT_NAMES.get(entry.name, entry.name)
        if name not in _HANDLERS:
            return None
        fd: int | None = None
        one: Socket | None = None
        if name in _FORKS:
            if self._held.survey.forks:
                self._held.forking[entry.tid] = dict(process.table)
        elif name in _ANY or name in _ON_SOCKET:
            found = _FIRST.match(entry.text)
            if found is None:
                return None
            fd = int(found[1])
            if -(1 << 31) <= fd < 1 << 31:
                one = self._held.at(
                    process,
                    fd,
                    found[2],
                    at_ns,
                    is_socket=name in _ON_SOCKET and "ENOTSOCK" not in entry.text and "EBADF" not in entry.text,
                )
            if one is None and name in _REPLACES and (target := _SECOND.match(entry.text)) is not None:
                # What it replaces is closed, whatever the source is.
                fd = int(target[1])
                one = self._held.at(process, fd, target[2], at_ns)
            if one is None and name in _ANY and "EBADF" not in entry.text:
                if name == "close":
                    process.epolls.pop(fd, None)
                return None
        self._count += 1
        call = _Open(self._count, process, entry.tid, name, entry.text, at_ns, one, fd)
        if name == "close" and one is not None and fd is not None and entry.kind == "begin":
            # The number is free from here on, and may be given to another thread before this one returns.
            self._held.unname(process, fd, at_ns)
        return call

    def _return(self, call: _Open, exit_ns: int) -> None:
        parsed = arguments(call.text)
        result: Result | None = None
        if parsed is not None:
            call.args, tail = parsed
            result = result_of(tail)
        if parsed is None or result is None:
            if call.name not in _FORKS:
                self.unclear += 1
                if call.name == "close" and call.socket is not None and call.fd is not None:
                    self._held.unname(call.process, call.fd, exit_ns)
            return
        call.result, call.rest = result.number, result.rest
        call.exit_ns = exit_ns
        self.last_ns = max(self.last_ns, exit_ns)
        if not _HANDLERS[call.name](self, call):
            return
        if call.result in _STOPPED:
            self._stopped[call.tid] = call
        else:
            self._write_call(call, self._took_ns(call))

    def _never(self, call: _Open) -> None:
        """It had not returned when its thread or the log ended."""
        if call.name in _FORKS or call.name in _EPOLL_CREATES:
            return
        # What was written of its arguments before it was cut off.
        call.args, _ = arguments(call.text.rstrip(", ") + ")") or ([], "")
        call.result = None
        if _HANDLERS[call.name](self, call):
            self._write_call(call, None)

    def _write_call(self, call: _Open, took_ns: int | None) -> None:
        columns = call.columns
        one = call.socket
        self.calls += 1
        self._rows.add(
            "call",
            call.id,
            call.process.id,
            call.tid,
            _NUMBERS[call.name],
            call.at_ns,
            took_ns if call.result is not None else None,
            call.result if took_ns is not None else None,
            call.fd,
            one.id if one is not None else None,
            columns.get("made"),
            columns.get("a"),
            columns.get("b"),
            columns.get("c"),
            columns.get("address"),
            columns.get("value"),
            columns.get("length"),
            columns.get("offset"),
            columns.get("payload"),
            columns.get("flags"),
            None,
            0,
            columns.get("sockets"),
            None,
            int(Via.LOG),
        )

    def _numbers(self, call: _Open, **places: int) -> None:
        for column, place in places.items():
            call.columns[column] = number(call.argument(place))

    def _made(self, call: _Open, text: str) -> tuple[int, str | None] | None:
        found = _FD.match(text)
        return (int(found[1]), found[2]) if found is not None else None

    def _result_fd(self, call: _Open) -> str | None:
        """What -y wrote behind the result."""
        rest = call.rest
        return rest[1 : rest.rfind(">")] if rest.startswith("<") else None

    def _socket(self, call: _Open) -> bool:
        self._numbers(call, a=0, b=1, c=2)
        columns = call.columns
        if call.succeeded:
            assert call.result is not None
            kind = columns["b"]
            one = self._held.new(
                call.process,
                columns["a"] if columns["a"] is not None else -1,
                kind & 0xF if kind is not None else -1,
                columns["c"] if columns["c"] is not None else -1,
                "socket",
                call.at_ns,
                call=call.id,
            )
            self._open_result(call, one, call.result, self._result_fd(call), kind)
            columns["made"] = one.id
        return True

    def _open_result(self, call: _Open, one: Socket, fd: int, said: str | None, type: int | None) -> None:
        cloexec = None if type is None else int(type & _SOCK_CLOEXEC != 0)
        self._held.name(call.process, fd, one, "call", call.exit_ns, cloexec)
        told = decoration(said) if said is not None else None
        if told is not None:
            self._held.learn(one, told)

    def _socketpair(self, call: _Open) -> bool:
        self._numbers(call, a=0, b=1, c=2)
        columns = call.columns
        pair = [self._made(call, part) for part in fields(call.argument(3))] or [
            self._made(call, part.strip()) for part in call.argument(3).strip("[]").split(",")
        ]
        if call.succeeded and len(pair) == 2 and pair[0] is not None and pair[1] is not None:
            kind = columns["b"] or 0
            halves: list[Socket] = []
            for fd, said in (pair[0], pair[1]):
                one = self._held.new(
                    call.process,
                    columns["a"] if columns["a"] is not None else -1,
                    kind & 0xF,
                    columns["c"] or 0,
                    "socketpair",
                    call.at_ns,
                    call=call.id,
                    parent=halves[0].id if halves else None,
                )
                self._open_result(call, one, fd, said, kind)
                halves.append(one)
            columns["made"] = halves[0].id
            columns["value"] = struct.pack("<ii", pair[0][0], pair[1][0])
        return True

    def _accept(self, call: _Open) -> bool:
        if call.name == "accept4":
            self._numbers(call, a=3)
        listener = call.socket
        if call.succeeded and listener is not None:
            assert call.result is not None
            came_from = address(call.argument(1))
            local = listener.local if listener.local is not None and not wildcard(listener.local) else None
            one = self._held.new(
                call.process,
                listener.family,
                listener.type if listener.type >= 0 else _SOCK_STREAM,
                listener.protocol,
                "accept",
                call.exit_ns,
                call=call.id,
                parent=listener.id,
            )
            one.local, one.remote = local, came_from
            flags = call.columns.get("a") if call.name == "accept4" else 0
            self._open_result(call, one, call.result, self._result_fd(call), flags)
            self._held.index(one)
            call.columns |= {"made": one.id, "address": came_from}
        return True

    def _connect(self, call: _Open) -> bool:
        where = call.columns["address"] = address(call.argument(1))
        if call.socket is not None and where is not None and call.result in (0, -_EINPROGRESS):
            call.socket.remote = where
            self._held.index(call.socket)
        return True

    def _bind(self, call: _Open) -> bool:
        where = call.columns["address"] = address(call.argument(1))
        if call.socket is not None and call.succeeded and where is not None and where[2:4] != b"\0\0":
            call.socket.local = where
        return True

    def _ask_name(self, call: _Open) -> bool:
        if call.succeeded and call.socket is not None:
            where = call.columns["address"] = address(call.argument(1))
            if where is not None and call.name == "getsockname":
                call.socket.local = where
            elif where is not None:
                call.socket.remote = where
            self._held.index(call.socket)
        return True

    def _listen(self, call: _Open) -> bool:
        self._numbers(call, a=1)
        return True

    def _option(self, call: _Open) -> bool:
        self._numbers(call, a=1, b=2, c=4)
        if call.name == "setsockopt" or call.succeeded:
            call.columns["value"] = option_value(call.argument(3))
        return True

    def _send(self, call: _Open) -> bool:
        self._numbers(call, length=2, a=3)
        call.columns["address"] = address(call.argument(4))
        self._moved(call, 0, bytes_of(call.argument(1)))
        return True

    def _receive(self, call: _Open) -> bool:
        self._numbers(call, length=2, a=3)
        if call.succeeded:
            call.columns["address"] = address(call.argument(4))
        self._moved(call, 1, bytes_of(call.argument(1)))
        return True

    def _read(self, call: _Open) -> bool:
        self._numbers(call, length=2)
        self._moved(call, 1, bytes_of(call.argument(1)))
        return True

    def _write(self, call: _Open) -> bool:
        self._numbers(call, length=2)
        self._moved(call, 0, bytes_of(call.argument(1)))
        return True

    def _vector(self, call: _Open) -> bool:
        length, payload = _vector(call.argument(1))
        call.columns["length"] = length
        self._moved(call, int(call.name == "readv"), payload)
        return True

    def _message(self, call: _Open) -> bool:
        self._numbers(call, a=2)
        receives = call.name == "recvmsg"
        header = Named(call.argument(1))
        length, payload = _vector(header.get("msg_iov", ""))
        call.columns["length"] = length
        call.columns["address"] = address(header.get("msg_name", ""))
        if receives and call.succeeded:
            call.columns["flags"] = number(header.get("msg_flags", "0"))
        self._rights(call, header.get("msg_control", ""), receives=receives)
        self._moved(call, int(receives), payload)
        return True

    def _rights(self, call: _Open, control: str, *, receives: bool) -> None:
        """Descriptors that a message carries (SCM_RIGHTS)."""
        for part in fields(control):
            message = Named(part)
            if message.get("cmsg_type") != "SCM_RIGHTS" or not call.succeeded:
                continue
            numbers: list[int] = []
            sockets: list[int] = []
            for item in fields(message.get("cmsg_data", "")):
                made = self._made(call, item)
                if made is None:
                    continue
                fd, said = made
                numbers.append(fd)
                if receives:
                    call.process.table.pop(fd, None)
                    one = self._held.at(call.process, fd, said, call.exit_ns) if said is not None else None
                    if one is None and said is None:
                        one = self._held.new(call.process, -1, -1, -1, "received", call.exit_ns, call=call.id)
                        self._held.name(call.process, fd, one, "received", call.exit_ns, None)
                else:
                    one = self._held.at(call.process, fd, said, call.at_ns)
                sockets.append(one.id if one is not None else 0)
            packed = struct.pack(f"<{len(numbers)}i", *numbers)
            head = struct.pack("<Qii", 16 + len(packed), 1, 1)
            call.columns["value"] = head + packed
            call.columns["sockets"] = struct.pack(f"<{len(sockets)}I", *sockets)

    def _messages(self, call: _Open) -> bool:
        self._numbers(call, a=3, b=2)
        lengths: list[int] = []
        total = 0
        first: bytes | None = None
        for place, part in enumerate(fields(call.argument(1))):
            one = Named(part)
            header = Named(one.get("msg_hdr", ""))
            length, payload = _vector(header.get("msg_iov", ""))
            total += length or 0
            if place == 0:
                call.columns["address"] = address(header.get("msg_name", ""))
                first = payload
            moved = number(one.get("msg_len", ""))
            if call.succeeded and place < (call.result or 0) and moved is not None:
                lengths.append(moved & 0xFFFFFFFF)
        call.columns["length"] = total
        if call.succeeded:
            call.columns["value"] = struct.pack(f"<{len(lengths)}I", *lengths)
            call.columns["payload"] = first[: lengths[0]] if first is not None and lengths else None
        return True

    def _moved(self, call: _Open, direction: int, payload: bytes | None) -> None:
        """Bytes went through a call."""
        one, result = call.socket, call.result
        if result is None or result < 0:
            return
        # A string may be shorter than what moved (-s), and in recv with MSG_TRUNC what moved longer than the string.
        shown = call.columns["payload"] = payload[:result] if payload is not None else None
        if shown and one is not None and one.type == _SOCK_STREAM:
            self._says(call, shown, whole=len(shown) == result and direction == 1)
        if one is None or one.type != _SOCK_STREAM:
            return
        offset = one.offsets[direction]
        call.columns["offset"] = offset
        peeked = direction == 1 and call.name in ("recvfrom", "recvmsg") and (call.columns.get("a") or 0) & _MSG_PEEK
        if offset is not None and not peeked:
            one.offsets[direction] = offset + result

    def _says(self, call: _Open, shown: bytes, *, whole: bool) -> None:
        """What the bytes of a call announce, as the tracer says it in facts."""
        for kind, value in (("http", announced(shown)), ("text", cut_character(shown) if whole else None)):
            if value is not None:
                self._facts += 1
                self._rows.add("fact", self._facts, call.at_ns, call.id, kind, value, "message")

    def _sendfile(self, call: _Open) -> bool:
        other = self._made(call, call.argument(1))
        call.columns |= {"a": other[0] if other is not None else None, "length": number(call.argument(3))}
        self._moved(call, 0, None)
        return True

    def _splice(self, call: _Open) -> bool:
        source, target = self._made(call, call.argument(0)), self._made(call, call.argument(2))
        if source is None or target is None:
            return False
        into = self._held.at(call.process, *target, call.at_ns)
        out_of = self._held.at(call.process, *source, call.at_ns)
        call.socket = into or out_of
        if call.socket is None:
            return False
        call.fd = target[0] if into is not None else source[0]
        call.columns |= {"a": source[0] if into is not None else target[0], "b": number(call.argument(5))}
        call.columns |= {"c": int(into is not None), "length": number(call.argument(4))}
        self._moved(call, int(into is None), None)
        return True

    def _shutdown(self, call: _Open) -> bool:
        self._numbers(call, a=1)
        return True

    def _close(self, call: _Open) -> bool:
        if call.fd is not None and call.result is not None and call.result != -_EBADF and call.socket is not None:
            known = call.process.table.get(call.fd)
            if known is not None and known.socket is call.socket:
                self._held.unname(call.process, call.fd, call.exit_ns)
        return True

    def _close_range(self, call: _Open) -> bool:
        first, last = number(call.argument(0)), number(call.argument(1))
        call.columns |= {"b": last, "c": number(call.argument(2))}
        if first is None or last is None:
            return False
        call.fd = first
        inside = [fd for fd in call.process.table if first <= fd <= last]
        if call.succeeded and not (call.columns["c"] or 0) & 4:
            for fd in inside:
                self._held.unname(call.process, fd, call.exit_ns)
        return bool(inside)

    def _duplicate(self, call: _Open) -> bool:
        if call.name != "dup":
            target = self._made(call, call.argument(1))
            call.columns["a"] = target[0] if target is not None else None
        if call.name == "dup3":
            self._numbers(call, b=2)
        source = self._made(call, call.argument(0))
        if source is None or source[0] == call.fd:
            self._copied(call, call.columns.get("b"))
        elif call.succeeded and call.fd is not None:
            self._held.unname(call.process, call.fd, call.exit_ns)
        return True

    def _copied(self, call: _Open, flags: int | None) -> None:
        if call.succeeded and call.socket is not None and call.result is not None:
            cloexec = int(bool((flags or 0) & _SOCK_CLOEXEC))
            if call.result != call.fd:
                self._held.name(call.process, call.result, call.socket, "dup", call.exit_ns, cloexec)

    def _fcntl(self, call: _Open) -> bool:
        self._numbers(call, a=1, b=2)
        command = call.columns["a"]
        if command in _F_DUPFD:
            self._copied(call, _SOCK_CLOEXEC if command == _F_DUPFD[1] else 0)
        elif command == _F_SETFD and call.succeeded and call.fd is not None:
            descriptor = call.process.table.get(call.fd)
            if descriptor is not None:
                descriptor.cloexec = (call.columns["b"] or 0) & 1
        return True

    def _ioctl(self, call: _Open) -> bool:
        self._numbers(call, a=1, b=2)
        request = call.columns["a"]
        if request in _FIO_CLEX and call.succeeded and call.fd is not None:
            descriptor = call.process.table.get(call.fd)
            if descriptor is not None:
                descriptor.cloexec = int(request == _FIO_CLEX[1])
        return True

    # -- waiting

    def _poll(self, call: _Open) -> bool:
        entries = [Named(part) for part in fields(call.argument(0))]
        told = self._revents(call)
        watched: list[tuple[int, str | None, int]] = []
        for one in entries:
            made = self._made(call, one.get("fd", ""))
            if made is not None:
                watched.append((*made, (number(one.get("events", "0")) or 0) & 0xFFFF))
        timeout = call.argument(2)
        ms = (number(timeout) if call.name == "poll" else _milliseconds(timeout)) if timeout else _NO_TIME
        call.columns |= {"a": number(call.argument(1)) if call.argument(1) else len(watched), "b": ms}
        return self._watches(call, watched, told, ms)

    def _revents(self, call: _Open) -> dict[int, int]:
        """Number -> what poll reported."""
        found: dict[int, int] = {}
        place = call.rest.find("[")
        if call.result and call.result > 0 and place >= 0:
            inner = arguments(call.rest[1:]) if call.rest.startswith("(") else None
            for part in fields(inner[0][0]) if inner is not None and inner[0] else []:
                one = Named(part)
                made = self._made(call, one.get("fd", ""))
                if made is not None:
                    found[made[0]] = (number(one.get("revents", "0")) or 0) & 0xFFFF
        return found

    def _select(self, call: _Open) -> bool:
        asked: dict[int, tuple[str | None, int]] = {}
        for place, bit in ((1, _POLLIN), (2, _POLLOUT), (3, _POLLPRI)):
            for fd, said in _set(call.argument(place)):
                asked[fd] = (said, asked.get(fd, (None, 0))[1] | bit)
        told: dict[int, int] = {}
        if call.result and call.result > 0:
            for name, bit in (("in", _POLLIN), ("out", _POLLOUT), ("except", _POLLPRI)):
                found = re.search(rf"\b{name} (\[[^\]]*\])", call.rest)
                for fd, _ in _set(found[1]) if found is not None else ():
                    told[fd] = told.get(fd, 0) | bit
        ms = _milliseconds(call.argument(4)) if call.argument(4) else _NO_TIME
        call.columns |= {"a": number(call.argument(0)), "b": ms}
        return self._watches(call, [(fd, said, bits) for fd, (said, bits) in asked.items()], told, ms)

    def _watches(
        self, call: _Open, watched: list[tuple[int, str | None, int]], told: dict[int, int], ms: int | None
    ) -> bool:
        sockets: list[int] = []
        last: Socket | None = None
        for fd, said, _ in watched:
            one = self._held.at(call.process, fd, said, call.at_ns)
            sockets.append(one.id if one is not None else 0)
            last = one or last
        if last is None:
            return False
        call.columns["value"] = b"".join(
            struct.pack("<iHH", fd, bits & 0xFFFF, told.get(fd, 0)) for fd, _, bits in watched
        )
        call.columns["sockets"] = struct.pack(f"<{len(sockets)}I", *sockets)
        if sum(1 for one in sockets if one) == 1:
            call.socket = last
        return True

    def _epoll_create(self, call: _Open) -> bool:
        if call.succeeded and call.result is not None:
            call.process.epolls[call.result] = {}
        return False

    def _epoll_ctl(self, call: _Open) -> bool:
        epoll, watched = self._made(call, call.argument(0)), self._made(call, call.argument(2))
        if epoll is None or watched is None:
            return False
        call.fd = epoll[0]
        call.socket = self._held.at(call.process, *watched, call.at_ns)
        if call.socket is None:
            return False
        event = call.argument(3)
        data = _DATA.search(event)
        parts = fields(event)
        bits = number(parts[0].removeprefix("events=")) if parts else None
        call.columns |= {"a": number(call.argument(1)), "b": watched[0], "c": bits}
        if data is not None:
            value = int(data[1], 0) & ((1 << 64) - 1)
            call.columns["value"] = struct.pack("<Q", value)
            if call.succeeded:
                call.process.epolls.setdefault(epoll[0], {})[value] = call.socket
        return True

    def _epoll_wait(self, call: _Open) -> bool:
        epoll = self._made(call, call.argument(0))
        if epoll is None:
            return False
        call.fd = epoll[0]
        watched = call.process.epolls.get(epoll[0])
        if watched is None and call.process.elder is not None:
            watched = call.process.elder.epolls.get(epoll[0])
        timeout = call.argument(3)
        if call.name == "epoll_pwait2":
            ms: int | None = _milliseconds(timeout) if timeout else _NO_TIME
        else:
            ms = number(timeout) if timeout else _NO_TIME
        call.columns |= {"a": number(call.argument(2)), "b": ms}
        packed, sockets = b"", []
        if call.result and call.result > 0:
            for part in fields(call.argument(1)):
                data = _DATA.search(part)
                parts = fields(part)
                bits = number(parts[0].removeprefix("events=")) if parts else None
                if data is None or bits is None:
                    continue
                value = int(data[1], 0) & ((1 << 64) - 1)
                packed += struct.pack("<IQ", bits & 0xFFFFFFFF, value)
                one = (watched or {}).get(value)
                sockets.append(one.id if one is not None else 0)
        call.columns["value"] = packed
        call.columns["sockets"] = struct.pack(f"<{len(sockets)}I", *sockets)
        return bool(watched)

    # -- processes' own calls

    def _fork(self, call: _Open) -> bool:
        table = self._held.forking.pop(call.tid, None)
        child = call.result or 0
        if child > 0 and table is not None and "CLONE_THREAD" not in call.text and child not in self._held.of_tid:
            self._held.born[child] = table
            if child in self._held.survey.tids:
                # It has these from now on, whatever its parent closes before its own first line.
                self._held.process(child, call.exit_ns)
        return False

    def _exec(self, call: _Open) -> bool:
        if not call.succeeded:
            return False
        process = call.process
        path = bytes_of(call.argument(0))
        words = [bytes_of(word) for word in fields(call.argument(1))]
        process.executable = path.decode("utf-8", "replace") if path is not None else None
        process.command = json.dumps([word.decode("utf-8", "replace") for word in words if word is not None])
        for fd, descriptor in list(process.table.items()):
            if descriptor.cloexec:
                self._held.unname(process, fd, call.exit_ns)
        process.elder = None
        self._held.write_process(process)
        if process is not self._held.first or self.calls:
            self._held.mark(call.exit_ns, process.id, call.tid, "exec", process.command)
        return False

    def _io_uring(self, call: _Open) -> bool:
        self._held.mark(
            call.at_ns, call.process.id, call.tid, "io_uring", "calls through its rings are not in a strace log"
        )
        return False


_DATA: Final = re.compile(r"(?:u64=|data=)(0x[0-9a-f]{1,16}|\d{1,20})")
_SET_ENTRY: Final = re.compile(r"(\d{1,10})(?:<((?:->|[^<>]|<[^<>]*>)*)>)?")


def _set(text: str) -> Iterator[tuple[int, str | None]]:
    """The numbers of an ``fd_set``: ``[3 5<TCP:[…]>]``."""
    if text.startswith("["):
        for found in _SET_ENTRY.finditer(text[1:-1]):
            yield int(found[1]), found[2]


def _vector(text: str) -> tuple[int | None, bytes | None]:
    """Length and first bytes of ``[{iov_base="…", iov_len=5}, …]``."""
    total = 0
    payload = b""
    whole = True
    for part in fields(text):
        one = Named(part)
        length = number(one.get("iov_len", ""))
        base = one.get("iov_base", "")
        total += length or 0
        if whole:
            payload += bytes_of(base) or b""
            whole = base.endswith('"')
    return total, payload


def _milliseconds(text: str) -> int | None:
    """A ``struct timespec`` or ``timeval``; -1 for none."""
    if text == "NULL":
        return _NO_TIME
    time = Named(text)
    seconds = number(time.get("tv_sec", ""))
    part = number(time.get("tv_nsec", time.get("tv_usec", "0"))) or 0
    if seconds is None or not 0 <= seconds < 1 << 40:
        return None
    return seconds * 1000 + part // (1_000_000 if "tv_nsec" in time else 1000)


_Handler = Callable[[Interpreter, _Open], bool]
#: Call -> what takes it; it says whether the call is about a socket and becomes a row.
_HANDLERS: Final[dict[str, _Handler]] = {
    "socket": Interpreter._socket,
    "socketpair": Interpreter._socketpair,
    "accept": Interpreter._accept,
    "accept4": Interpreter._accept,
    "connect": Interpreter._connect,
    "bind": Interpreter._bind,
    "getsockname": Interpreter._ask_name,
    "getpeername": Interpreter._ask_name,
    "listen": Interpreter._listen,
    "setsockopt": Interpreter._option,
    "getsockopt": Interpreter._option,
    "sendto": Interpreter._send,
    "recvfrom": Interpreter._receive,
    "read": Interpreter._read,
    "write": Interpreter._write,
    "readv": Interpreter._vector,
    "writev": Interpreter._vector,
    "sendmsg": Interpreter._message,
    "recvmsg": Interpreter._message,
    "sendmmsg": Interpreter._messages,
    "recvmmsg": Interpreter._messages,
    "sendfile": Interpreter._sendfile,
    "splice": Interpreter._splice,
    "shutdown": Interpreter._shutdown,
    "close": Interpreter._close,
    "close_range": Interpreter._close_range,
    "dup": Interpreter._duplicate,
    "dup2": Interpreter._duplicate,
    "dup3": Interpreter._duplicate,
    "fcntl": Interpreter._fcntl,
    "ioctl": Interpreter._ioctl,
    "poll": Interpreter._poll,
    "ppoll": Interpreter._poll,
    "select": Interpreter._select,
    "pselect6": Interpreter._select,
    "epoll_create": Interpreter._epoll_create,
    "epoll_create1": Interpreter._epoll_create,
    "epoll_ctl": Interpreter._epoll_ctl,
    "epoll_wait": Interpreter._epoll_wait,
    "epoll_pwait": Interpreter._epoll_wait,
    "epoll_pwait2": Interpreter._epoll_wait,
    "clone": Interpreter._fork,
    "clone3": Interpreter._fork,
    "fork": Interpreter._fork,
    "vfork": Interpreter._fork,
    "execve": Interpreter._exec,
    "execveat": Interpreter._exec,
    "io_uring_setup": Interpreter._io_uring,
}
_ON_SOCKET: Final = frozenset(
    "accept accept4 connect bind listen getsockname getpeername setsockopt getsockopt sendto recvfrom sendmsg recvmsg "
    "sendmmsg recvmmsg shutdown".split()
)
