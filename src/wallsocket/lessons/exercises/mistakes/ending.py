"""Mistakes of a program that ended, or that ended a conversation: by an error, a signal, a close() too early."""

from __future__ import annotations

import errno
import itertools
import re
import signal
import socket as _socket
from typing import TYPE_CHECKING, Final

from ....trace.syscalls import Role
from ..case import Case
from . import running, start
from .mistake import Spotted

if TYPE_CHECKING:
    from ....events import Call

__all__ = [
    "VANISHED",
    "client_vanished",
    "closed_used",
    "crashed",
    "decodes",
    "empty_is_end",
    "end_ignored",
    "fewer_than_announced",
    "full",
    "nothing_yet",
    "one_client",
    "position",
    "program_error",
    "short_read",
    "short_send",
    "shut_before",
    "time_limit",
]


def program_error(case: Case) -> Spotted | None:
    """An error that no peer causes, such as a name that does not exist: nothing is nearer than that."""
    crash = case.crash
    if crash is None or crash.place.line is None or not _OF_PROGRAMMERS.match(crash.error):
        return None
    return crashed(case)


_OF_PROGRAMMERS: Final = re.compile(
    "(Name|UnboundLocal|Attribute|Type|Index|Key|Import|ModuleNotFound|Indentation|ZeroDivision|Recursion|EOF)Error"
)


def time_limit(case: Case) -> Spotted | None:
    """A time limit that was over ended the program."""
    crash = case.crash
    if crash is None or case.exercise.role != "server" or not _TIMED_OUT.match(crash.error):
        return None
    return Spotted(f"nothing came in time, and that ended it: {crash.error}", crash.place)


_TIMED_OUT: Final = re.compile(
    r"(TimeoutError|socket\.timeout|asyncio\.TimeoutError|asyncio\.exceptions\.TimeoutError)"
)


def nothing_yet(case: Case) -> Spotted | None:
    """EAGAIN, where there was nothing to receive, ended the program or the conversation."""
    crash = case.crash
    if crash is None:
        return running.nothing_yet_is_end(case)
    refused = _refused(case)
    if not crash.error.startswith("BlockingIOError") or (refused is not None and case.role(refused) is Role.SEND):
        return None
    return Spotted(f"a socket that does not block had nothing yet, and the call failed: {crash.error}", crash.place)


def closed_used(case: Case) -> Spotted | None:
    """A socket was used after its close()."""
    crash = case.crash
    if crash is None or not _CLOSED.search(crash.error) or not any(case.role(call) is Role.END for call in case.calls):
        return None
    return Spotted(f"the program closed a socket and used it afterwards: {crash.error}", crash.place)


#: What Python says of a closed socket: a call on it, select(), a selector, its file.
_CLOSED: Final = re.compile(
    r"Bad file descriptor|file descriptor cannot be a negative integer|Invalid file descriptor: -1|operation on closed"
)


def crashed(case: Case) -> Spotted | None:
    """An error ended the program, or was written to its standard error."""
    crash = case.crash
    if crash is None:
        return None
    run = case.run
    ended = case.played.kind in ("not started", "ended") or (run is not None and run.status not in (None, 0))
    how = "the program ended with" if ended else "the program reported"
    return Spotted(f"{how} {crash.error}", crash.place)


#: The framings in which a program knows how many bytes it needs, and the first of those numbers.
_KNOWN_LENGTH: Final = {"fixed": 16, "length-prefixed": 4}
_MSG_WAITALL: Final = 0x100


def short_read(case: Case) -> Spotted | None:
    """A read of just what is needed that gave less, and was not followed by one for the rest."""
    first = _KNOWN_LENGTH.get(case.exercise.name)
    if first is None or case.played.kind in ("not started", "refused"):
        return None
    calls = [call for call in case.on_socket if case.role(call) in (Role.RECEIVE, Role.SEND, Role.END)]
    for before, call, after in zip((None, *calls), calls, (*calls[1:], None), strict=False):
        asked, got = call.length or 0, call.result or 0
        if case.role(call) is not Role.RECEIVE or not 0 < got < asked or (call.a or 0) & _MSG_WAITALL:
            continue
        header = before.payload if before is not None and before.result == first == 4 else None
        if asked != first and (header is None or int.from_bytes(header[:4], "big") != asked):
            continue
        # A loop that collects asks for the rest, for a byte, or for as much again.
        if before is not None and case.role(before) is Role.RECEIVE and 0 < (before.result or 0) < (before.length or 0):
            continue
        if after is not None and case.role(after) is Role.RECEIVE and (after.length or 0) in (asked - got, 1, asked):
            continue
        why = f"recv({asked}) returned {got} byte{'s' if got != 1 else ''}, and the program went on as if it had all {asked}"
        crash = case.crash
        return Spotted(f"{why}: it ended with {crash.error}" if crash is not None else why, case.place(call), "strong")
    return None


def decodes(case: Case) -> Spotted | None:
    """Bytes were taken for text, or text for bytes."""
    crash = case.crash
    if crash is None:
        return None
    if "UnicodeEncodeError" in crash.error:
        return Spotted(
            f"text was turned into bytes in an encoding that does not have all of it: {crash.error}", crash.place
        )
    if "UnicodeDecodeError" in crash.error:
        return Spotted(f"bytes were turned into text, and these are none: {crash.error}", crash.place)
    if re.match("TypeError", crash.error) and "bytes" in crash.error and "str" in crash.error:
        return Spotted(f"a socket takes and gives bytes, which are no str: {crash.error}", crash.place)
    return None


def client_vanished(case: Case) -> Spotted | None:
    """One client that vanished ended the program."""
    crash, run = case.crash, case.run
    if case.exercise.role != "server" or run is None or run.status in (None, 0):
        return None
    if run.status == -signal.SIGPIPE:
        failed = [call for call in case.calls if call.errno in (errno.EPIPE, errno.ECONNRESET)]
        return Spotted(
            "one client vanished, the program wrote to it, and the signal SIGPIPE ended the program: signal(7)",
            case.place(failed[-1] if failed else None),
        )
    if crash is None or not VANISHED.search(crash.error):
        return None
    return Spotted(f"one client vanished, and the program ended with {crash.error}", crash.place)


#: Errors by which a program notices that a client has vanished.
VANISHED: Final = re.compile(
    r"ConnectionResetError|BrokenPipeError|BrokenResourceError|ConnectionAbortedError|ECONNRESET|EPIPE|"
    r"[Cc]onnection reset by peer|[Bb]roken pipe"
)


def full(case: Case) -> Spotted | None:
    """A socket that takes no more now is taken for one that takes no more at all."""
    crash, refused = case.crash, _refused(case)
    if crash is not None:
        if not crash.error.startswith("BlockingIOError") or refused is None or case.role(refused) is not Role.SEND:
            return None
        return Spotted(f"a socket that does not block had no room for more bytes: {crash.error}", crash.place)
    if case.exercise.protocol != "tcp" or case.played.kind not in ("ended early", "reset"):
        return None
    calls = [call for call in case.on_socket if case.role(call) in (Role.SEND, Role.RECEIVE, Role.END)]
    for call, after in itertools.pairwise(calls):
        if call.errno != errno.EAGAIN or (case.role(call), case.role(after)) != (Role.SEND, Role.END):
            continue
        if not _waited(case, call, after):
            why = f"{case.name(call)}() failed with EAGAIN (there was no room), and the program closed the connection"
            return Spotted(why, case.place(call))
    return None


def _refused(case: Case) -> Call | None:
    """The last call that could not be done at once."""
    return next((call for call in reversed(case.calls) if call.errno == errno.EAGAIN), None)


def _waited(case: Case, call: Call, after: Call) -> bool:
    """Whether the thread waited for something between two calls."""
    return any(
        case.role(one) is Role.WAIT and one.tid == call.tid and call.id < one.id < after.id for one in case.calls
    )


def _skipped(case: Case) -> Spotted | None:
    """A write that does not go on where the one before it ended: it offers less than is left, or comes from a later place."""
    sent = 0
    for call, after in itertools.pairwise(case.writes()):
        length, result = call.length or 0, max(call.result or 0, 0)
        sent += result
        if result == length or (result == 0 and call.errno != errno.EAGAIN):
            continue
        took = "failed with EAGAIN" if call.errno == errno.EAGAIN else f"took {result} of {length} bytes"
        place = position(after.payload or b"")
        if place is not None and place > sent:
            why = f"{case.name(call)}() {took}, and the next one went on {place - sent} bytes later in the stream"
            return Spotted(why, case.place(call))
        if (after.length or 0) < length - result:
            why = f"{case.name(call)}() {took}; {length - result} bytes were left, and the next one offered {after.length}"
            return Spotted(why, case.place(call), "strong")
    return None


def position(data: bytes) -> int | None:
    """Where in a stream of numbers, of which each has seven digits and a byte behind them, these bytes stand."""
    found = re.search(rb"(?<![0-9])[0-9]{7}(?=[ \n])", data[:32])
    return int(found[0]) * 8 - found.start() if found is not None else None


def fewer_than_announced(case: Case) -> Spotted | None:
    """A file that ends before it has the size that was announced."""
    if case.exercise.name != "files" or case.played.kind != "ended early":
        return None
    writes = [call for call in case.writes() if (call.result or 0) > 0]
    head = re.match(rb"OK (\d+)\n", (writes[0].payload or b"")) if writes else None
    if head is None or not any(case.role(call) is Role.END for call in case.on_socket):
        return None
    announced, sent = int(head[1]), sum(call.result or 0 for call in writes) - len(head[0])
    if sent >= announced:
        return None
    for call in reversed(case.writes()):
        if call.length is not None and 0 < (call.result or 0) < call.length:
            return Spotted(
                f"{case.name(call)}() took {call.result} of {call.length} bytes; of the file of {announced} bytes "
                f"{sent} were sent, and the connection was closed",
                case.place(call),
            )
    how = f"{sent} of them were sent, the last ones here" if sent else "none of them was sent"
    return Spotted(f"{announced} bytes were announced, {how}, and the connection was closed", case.place(writes[-1]))


def short_send(case: Case) -> Spotted | None:
    """Bytes for which there was no room were not sent later, although the client has read all that came."""
    if case.exercise.name in ("files", "chat") or case.played.kind not in ("no answer", "wrong answer", "ended early"):
        return None
    if (skipped := _skipped(case)) is not None:
        return skipped
    if case.exercise.role != "server" or case.played.kind != "no answer":
        return None
    taken, sent = (sum(max(call.result or 0, 0) for call in calls) for calls in (case.reads(), case.writes()))
    for call in case.writes() if sent < taken else ():
        length, result = call.length or 0, call.result or 0
        if 0 < result < length or call.errno == errno.EAGAIN:
            took = "failed with EAGAIN" if call.errno == errno.EAGAIN else f"took {result} of {length} bytes"
            return Spotted(
                f"{case.name(call)}() {took}. In the end the program had read {taken} bytes of this client and sent {sent}, "
                "and did not try again when there was room",
                case.place(call),
            )
    return None


def shut_before(case: Case) -> Spotted | None:
    """It has said that nothing more comes, and sends."""
    ended: set[int | None] = set()
    for call in case.calls:
        if case.name(call) == "shutdown" and call.result == 0 and call.a in (_socket.SHUT_WR, _socket.SHUT_RDWR):
            ended.add(call.socket)
        elif case.role(call) is Role.SEND and call.errno == errno.EPIPE and call.socket in ended:
            return Spotted("shutdown() had ended the program's own side, and then it sent: EPIPE", case.place(call))
    return None


def end_ignored(case: Case) -> Spotted | None:
    """The loop that reads goes on at the end of the stream."""
    if case.played.kind not in ("restless", "no answer", "not ended", "memory"):
        return None
    zeros = [call for call in case.reads() if call.result == 0]
    if len(zeros) < 20:
        return None
    return Spotted(
        f"recv() returned 0 bytes {len(zeros)} times or more on one connection: the client has finished, and the program reads on",
        case.place(zeros[-1]),
    )


def empty_is_end(case: Case) -> Spotted | None:
    """An empty datagram ended the program."""
    run = case.run
    if run is None or run.status is None or case.exercise.protocol != "udp":
        return None
    reads = [call for call in case.calls if case.role(call) is Role.RECEIVE and call.result is not None]
    if not reads or reads[-1].result != 0:
        return None
    return Spotted("an empty datagram came, and the program ended", case.place(reads[-1]))


def one_client(case: Case) -> Spotted | None:
    """It served one client and ended."""
    run = case.run
    if run is None or run.status != 0 or case.exercise.role != "server" or start.not_started(case):
        return None
    accepts = case.accepts()
    if case.exercise.protocol == "tcp":
        return Spotted(
            f"the program accepted {len(accepts)} connection{'s' if len(accepts) != 1 else ''} and then ended (status 0)",
            case.place(accepts[-1] if accepts else None),
        )
    writes = case.writes()
    return Spotted("the program answered and then ended (status 0)", case.place(writes[-1] if writes else None))
