"""Mistakes by name: what programs for these tasks do wrong that no rule of :mod:`wallsocket.diagnose` is about.

A mistake looks at a failed :class:`~.case.Case`; it speaks only when the calls of the recording, or what the other end saw, show
it. Texts speak to the student: what happened, and a question or a pointer, never the line to write.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import re
import signal
import socket as _socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ...kernel.address import end_of
from ...trace.syscalls import Role
from .case import Case, Place

if TYPE_CHECKING:
    from ...events import Call

__all__ = ["MISTAKES", "VANISHED", "Mistake", "Spotted"]

_NOWHERE: Final = Place(None, None)


class Spotted(NamedTuple):
    """A mistake that was found."""

    why: str
    place: Place = _NOWHERE
    certainty: Literal["certain", "strong", "hint"] = "certain"


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A mistake.

    Attributes:
        id: its name.
        title: in a few words.
        hint: what to think about.
        spot: looks for it; ``None`` where only the other end can tell, which names it.
        first: goes before findings of rules, because it is the nearer cause where both speak.
        where: the call whose line is shown where the other end tells it: the last ``send`` or ``receive`` of the
            conversation, its ``end``, the last ``accept``, or ``wait``, where the program stands.
        yields_to: mistakes, or rules of the same id, that name the nearer cause where they speak.

    """

    id: str
    title: str
    hint: str
    spot: Callable[[Case], Spotted | None] | None = None
    first: bool = False
    where: Literal["send", "receive", "end", "accept", "wait"] = "send"
    yields_to: tuple[str, ...] = ()


# -- it is not there


def _not_started(case: Case) -> bool:
    return case.played.kind == "not started"


def _no_bind(case: Case) -> Spotted | None:
    if not _not_started(case):
        return None
    bound = {call.socket for call in case.named("bind") if call.result == 0}
    for call in case.named("listen"):
        if call.socket not in bound:
            return Spotted(
                "listen() was called on a socket that was never bound, so the kernel chose a port that nobody knows",
                case.place(call),
            )
    if case.exercise.protocol == "udp":
        for call in case.calls:
            if case.role(call) is Role.RECEIVE and call.socket not in bound:
                return Spotted(
                    "the program receives on a socket that was never bound: no port leads to it", case.place(call)
                )
    return None


def _connects_instead(case: Case) -> Spotted | None:
    if not _not_started(case) or case.exercise.role != "server":
        return None
    if any(case.of_network(call) for call in case.named("bind", "listen")):
        return None
    for call in case.named("connect"):
        end = end_of(call.address)
        if end is not None and end.port == case.played.server_port:
            return Spotted(
                f"the program connects to port {end.port} as a client would, but it is the service there",
                case.place(call),
            )
    return None


def _other_port(case: Case) -> Spotted | None:
    if not _not_started(case):
        return None
    for call in case.named("bind"):
        end = end_of(call.address)
        if call.result == 0 and end is not None and end.port not in (0, case.played.server_port):
            wanted = case.played.server_port
            swapped = int.from_bytes(wanted.to_bytes(2, "big"), "little")
            why = f"the program was started with port {wanted} and bound port {end.port}"
            if end.port == swapped:
                why += ", which is the same number with its two bytes swapped: htons() is missing"
            return Spotted(why, case.place(call))
        if call.result == 0 and end is not None and end.port == 0:
            return Spotted("the program bound port 0: the kernel chose a port that nobody knows", case.place(call))
    return None


def _other_protocol(case: Case) -> Spotted | None:
    if not _not_started(case):
        return None
    wanted = _socket.SOCK_STREAM if case.exercise.protocol == "tcp" else _socket.SOCK_DGRAM
    for call in case.named("bind"):
        socket = case.recording.sockets.get(call.socket) if call.socket is not None else None
        end = end_of(call.address)
        if socket is None or end is None or end.port != case.played.server_port or call.result != 0:
            continue
        if socket.type & 0xF != wanted:
            kinds = {_socket.SOCK_STREAM: "TCP (SOCK_STREAM)", _socket.SOCK_DGRAM: "UDP (SOCK_DGRAM)"}
            had = kinds.get(socket.type & 0xF, "another kind")
            return Spotted(
                f"port {end.port} was bound by a socket for {had}; the task wants {kinds[wanted]}", case.place(call)
            )
    return None


def _loopback_only(case: Case) -> Spotted | None:
    if case.played.kind != "refused":
        return None
    for call in case.named("bind"):
        end = end_of(call.address)
        if call.result == 0 and end is not None and end.loopback and end.port == case.played.server_port:
            return Spotted(
                "the socket is bound to the loopback address, which only programs on the same host reach; "
                "the client came to another address of the host and was refused",
                case.place(call),
            )
    return None


def _inet6_only(case: Case) -> Spotted | None:
    if case.played.kind != "refused" or case.run is None or case.run.status is not None:
        return None
    for call in case.named("bind"):
        socket = case.recording.sockets.get(call.socket) if call.socket is not None else None
        end = end_of(call.address)
        if call.result != 0 or socket is None or end is None or end.port != case.played.server_port:
            continue
        if socket.family == _socket.AF_INET6 and end.any:
            return Spotted(
                "the socket is bound to :: and takes IPv6 only (IPV6_V6ONLY); the client came by IPv4 and was refused",
                case.place(call),
            )
    return None


def _port_still_used(case: Case) -> Spotted | None:
    if not _not_started(case) or len(case.played.runs) < 2:
        return None
    for call in case.named("bind"):
        if call.errno == _EADDRINUSE:
            return Spotted(
                "bind() failed with EADDRINUSE: a connection of the run before, which this side closed first, is in "
                "TIME_WAIT "
                "on that port for 60 s",
                case.place(call),
            )
    return None


_EADDRINUSE: Final = 98


def _not_there(case: Case) -> Spotted | None:
    if not _not_started(case):
        return None
    return Spotted(f"{case.played.seen}, and no client could come", case.place(case.waits()))


# -- it ended


def _program_error(case: Case) -> Spotted | None:
    """An error that no peer causes, such as a name that does not exist: nothing is nearer than that."""
    crash = case.crash
    if crash is None or crash.place.line is None or not _OF_PROGRAMMERS.match(crash.error):
        return None
    return _crashed(case)


_OF_PROGRAMMERS: Final = re.compile(
    "(Name|UnboundLocal|Attribute|Type|Index|Key|Import|ModuleNotFound|Indentation|ZeroDivision|Recursion|EOF)Error"
)


def _time_limit(case: Case) -> Spotted | None:
    crash = case.crash
    if crash is None or case.exercise.role != "server" or not _TIMED_OUT.match(crash.error):
        return None
    return Spotted(f"nothing came in time, and that ended it: {crash.error}", crash.place)


_TIMED_OUT: Final = re.compile(
    r"(TimeoutError|socket\.timeout|asyncio\.TimeoutError|asyncio\.exceptions\.TimeoutError)"
)


def _nothing_yet(case: Case) -> Spotted | None:
    crash = case.crash
    if crash is None:
        return _nothing_yet_is_end(case)
    refused = _refused(case)
    if not crash.error.startswith("BlockingIOError") or (refused is not None and case.role(refused) is Role.SEND):
        return None
    return Spotted(f"a socket that does not block had nothing yet, and the call failed: {crash.error}", crash.place)


def _closed_used(case: Case) -> Spotted | None:
    crash = case.crash
    if crash is None or not _CLOSED.search(crash.error) or not any(case.role(call) is Role.END for call in case.calls):
        return None
    return Spotted(f"the program closed a socket and used it afterwards: {crash.error}", crash.place)


#: What Python says of a closed socket: a call on it, select(), a selector, its file.
_CLOSED: Final = re.compile(
    r"Bad file descriptor|file descriptor cannot be a negative integer|Invalid file descriptor: -1|operation on closed"
)


def _crashed(case: Case) -> Spotted | None:
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


def _short_read(case: Case) -> Spotted | None:
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


def _decodes(case: Case) -> Spotted | None:
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


def _client_vanished(case: Case) -> Spotted | None:
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


def _full(case: Case) -> Spotted | None:
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
        if call.errno != _EAGAIN or (case.role(call), case.role(after)) != (Role.SEND, Role.END):
            continue
        if not _waited(case, call, after):
            why = f"{case.name(call)}() failed with EAGAIN (there was no room), and the program closed the connection"
            return Spotted(why, case.place(call))
    return None


def _refused(case: Case) -> Call | None:
    """The last call that could not be done at once."""
    return next((call for call in reversed(case.calls) if call.errno == _EAGAIN), None)


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
        if result == length or (result == 0 and call.errno != _EAGAIN):
            continue
        took = "failed with EAGAIN" if call.errno == _EAGAIN else f"took {result} of {length} bytes"
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


def _fewer_than_announced(case: Case) -> Spotted | None:
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


def _short_send(case: Case) -> Spotted | None:
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
        if 0 < result < length or call.errno == _EAGAIN:
            took = "failed with EAGAIN" if call.errno == _EAGAIN else f"took {result} of {length} bytes"
            return Spotted(
                f"{case.name(call)}() {took}. In the end the program had read {taken} bytes of this client and sent {sent}, "
                "and did not try again when there was room",
                case.place(call),
            )
    return None


def _shut_before(case: Case) -> Spotted | None:
    """It has said that nothing more comes, and sends."""
    ended: set[int | None] = set()
    for call in case.calls:
        if case.name(call) == "shutdown" and call.result == 0 and call.a in (_socket.SHUT_WR, _socket.SHUT_RDWR):
            ended.add(call.socket)
        elif case.role(call) is Role.SEND and call.errno == errno.EPIPE and call.socket in ended:
            return Spotted("shutdown() had ended the program's own side, and then it sent: EPIPE", case.place(call))
    return None


def _end_ignored(case: Case) -> Spotted | None:
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


def _empty_is_end(case: Case) -> Spotted | None:
    run = case.run
    if run is None or run.status is None or case.exercise.protocol != "udp":
        return None
    reads = [call for call in case.calls if case.role(call) is Role.RECEIVE and call.result is not None]
    if not reads or reads[-1].result != 0:
        return None
    return Spotted("an empty datagram came, and the program ended", case.place(reads[-1]))


def _one_client(case: Case) -> Spotted | None:
    """It served one client and ended."""
    run = case.run
    if run is None or run.status != 0 or case.exercise.role != "server" or _not_started(case):
        return None
    accepts = case.accepts()
    if case.exercise.protocol == "tcp":
        return Spotted(
            f"the program accepted {len(accepts)} connection{'s' if len(accepts) != 1 else ''} and then ended (status 0)",
            case.place(accepts[-1] if accepts else None),
        )
    writes = case.writes()
    return Spotted("the program answered and then ended (status 0)", case.place(writes[-1] if writes else None))


# -- it waits


def _waits_for_another(case: Case) -> Spotted | None:
    """It waits for one client while another one has sent something, or waits to be accepted."""
    if case.played.kind != "no answer" or case.exercise.protocol != "tcp":
        return None
    own = case.socket.id if case.socket is not None else None
    waiting = case.waiting()
    sends = [call for call in waiting if case.role(call) is Role.SEND and call.socket != own]
    if sends:
        return Spotted(
            "the program waits until one client takes more, and meanwhile nobody looks after the others",
            case.place(sends[-1]),
        )
    readers = [call for call in waiting if case.role(call) is Role.RECEIVE and call.socket != own]
    if case.exercise.at_once and len(readers) > 1 and case.socket is not None and not case.reads():
        return Spotted(
            f"{len(readers)} threads wait for what their clients send, and none is left that reads from this one",
            case.place(readers[-1]),
        )
    # Where each client has a thread, it is no fault that one waits.
    alone = len(waiting) == 1 and case.role(waiting[0]) is Role.RECEIVE
    if alone and (waiting[0].socket != own or (case.exercise.at_once and len(case.connections()) > 1)):
        return Spotted(
            "the program waits for what one client sends, and meanwhile nobody looks after the others",
            case.place(waiting[0]),
        )
    return None


def _accepts_instead(case: Case) -> Spotted | None:
    """It waits for a new connection while a client that it has accepted has sent something."""
    if case.played.kind != "no answer" or case.exercise.protocol != "tcp" or case.socket is None:
        return None
    call = case.waits()
    if call is None or case.name(call) not in ("accept", "accept4"):
        return None
    reads = case.reads()
    if any(read.tid != call.tid for read in reads):
        # Another thread, or process, looks after the connection.
        return None
    if not reads:
        why = "the program accepted a client and waits in accept() for another one: what the first one sends is read by nobody"
    else:
        why = f"after {len(reads)} read{'s' if len(reads) != 1 else ''} the program went back to accept(): "
        why += "what a client sends later on the same connection is read by nobody"
    return Spotted(why, case.place(call))


def _not_closed(case: Case) -> Spotted | None:
    """It has answered and keeps the connection."""
    if case.played.kind != "not ended" or case.socket is None:
        return None
    writes = case.writes()
    closed = [call for call in case.on_socket if case.role(call) is Role.END]
    finished = any(call.result == 0 for call in case.reads())
    # Of a file the program says the end, whether or not the client has finished.
    if closed or case.crash is not None or not (finished or (writes and case.exercise.name == "files")):
        return None
    what = "after its last answer" if writes else "when the client had finished"
    last = writes or case.reads()
    return Spotted(
        f"{what} the program left the connection open, and the client waits for its end", case.place(last[-1])
    )


def _waits_for_more(case: Case) -> Spotted | None:
    """It has read what the client sent, sent nothing back, and waits for something."""
    if case.played.kind != "no answer" or case.exercise.protocol != "tcp" or case.socket is None:
        return None
    reads = [call for call in case.reads() if (call.result or 0) > 0]
    writes = case.writes()
    if not reads or (writes and writes[-1].id > reads[-1].id):
        return None
    taken = sum(call.result or 0 for call in reads)
    call = case.waits()
    same = call is not None and call.socket == case.socket.id
    if not same and (call is None or case.role(call) is not Role.WAIT):
        return None
    return Spotted(
        f"the program has read {taken} bytes of this client, answered nothing to the last of them, and waits for more",
        case.place(call if same else reads[-1]),
        "strong",
    )


def _another_address(case: Case) -> Spotted | None:
    """A datagram went to somebody else than who asked last."""
    if case.exercise.protocol != "udp" or case.exercise.role != "server" or case.played.port is None:
        return None
    question = _question(case)
    writes = [
        call for call in case.writes() if question is not None and call.id > question.id and (call.result or -1) >= 0
    ]
    end = end_of(writes[-1].address) if writes else None
    if end is None or end.port == case.played.port:
        return None
    return Spotted(
        f"the last answer went to port {end.port}, but the question came from port {case.played.port}",
        case.place(writes[-1]),
    )


def _question(case: Case) -> Call | None:
    """The read that brought the last datagram of the client that waits."""
    for call in reversed(case.calls):
        end = end_of(call.address) if case.role(call) is Role.RECEIVE and (call.result or 0) > 0 else None
        if end is not None and end.port == case.played.port:
            return call
    return None


def _answers_after(case: Case) -> list[Call]:
    """The datagrams that the client was sent after its last question, through any socket."""
    question = _question(case)
    found = []
    for call in case.calls:
        if question is not None and call.id > question.id and case.role(call) is Role.SEND and (call.result or -1) >= 0:
            end = end_of(call.address)
            if end is not None and end.port == case.played.port:
                found.append(call)
    return found


def _other_socket(case: Case) -> Spotted | None:
    """The answer comes from a port that the client did not ask."""
    if case.exercise.protocol != "udp" or case.exercise.role != "server" or case.played.kind != "no answer":
        return None
    question = _question(case)
    for call in _answers_after(case):
        if question is not None and call.socket != question.socket:
            return Spotted(
                f"the question came to port {case.played.server_port}, and the answer was sent by another socket, "
                "which has another port: the client's kernel threw it away",
                case.place(call),
            )
    return None


def _in_parts(case: Case) -> Spotted | None:
    if case.exercise.protocol != "udp" or case.exercise.role != "server" or case.played.kind != "wrong answer":
        return None
    answers = _answers_after(case)
    if len(answers) < 2:
        return None
    return Spotted(f"one datagram was answered with {len(answers)} datagrams", case.place(answers[-1]))


def _connected(case: Case) -> Spotted | None:
    """A socket for datagrams that is connected hears one peer only."""
    if (
        case.exercise.protocol != "udp"
        or case.exercise.role != "server"
        or case.played.kind not in ("no answer", "refused")
    ):
        return None
    bound = {call.socket for call in case.named("bind") if call.result == 0}
    for call in case.named("connect"):
        end = end_of(call.address)
        if call.result == 0 and call.socket in bound and end is not None and end.port not in (0, case.played.port):
            return Spotted(
                f"connect() tied the socket to port {end.port} of one client: datagrams of all others are refused by "
                "the kernel: udp(7)",
                case.place(call),
            )
    return None


def _whole_buffer(case: Case) -> Spotted | None:
    """What was sent is as long as the buffer, not as what was read."""
    if case.played.kind not in ("wrong answer", "too much"):
        return None
    reads = [call for call in case.reads() if (call.result or 0) > 0]
    for read in reads:
        write = next((call for call in case.writes() if call.id > read.id), None)
        if write is not None and (read.result or 0) < (read.length or 0) == write.length:
            return Spotted(
                f"{read.result} bytes were read into a buffer of {read.length}, and {write.length} bytes were sent",
                case.place(write),
            )
    return None


def _nothing_sent(case: Case) -> Spotted | None:
    """It has read the question and called nothing that sends."""
    if case.played.kind != "no answer" or case.exercise.role != "server" or case.crash is not None:
        return None
    if case.scenario != case.exercise.scenarios[0]:
        # It may have sent something in those before.
        return None
    calls = [call for call in case.calls if case.of_network(call)]
    reads = [call for call in calls if case.role(call) is Role.RECEIVE and (call.result or 0) > 0]
    if not reads or any(case.role(call) is Role.SEND for call in calls):
        return None
    answer = (reads[-1].payload or b"").decode("latin-1").strip().upper()
    printed = case.run is not None and answer != "" and answer in case.run.output
    if case.exercise.protocol == "tcp" and not printed:
        # It may wait for more before it answers.
        return None
    how = "the answer was printed, and nothing was sent" if printed else "nothing was sent"
    taken = reads[-1].result
    return Spotted(f"the program read {taken} byte{'s' if taken != 1 else ''}; {how}", case.place(reads[-1]))


def _closes_early(case: Case) -> Spotted | None:
    """It ends a conversation of messages that the client has not ended."""
    # Of a file the program says the end.
    if case.exercise.protocol != "tcp" or case.exercise.level < _MESSAGES or case.exercise.name == "files":
        return None
    if case.played.kind not in ("ended early", "reset") or case.crash is not None or case.scenario.mistake is not None:
        return None
    closed = next((call for call in case.on_socket if case.role(call) is Role.END), None)
    if closed is None or any(call.result == 0 for call in case.reads()):
        return None
    answers = len(case.writes())
    return Spotted(
        f"the program closed the connection after {answers} answer{'s' if answers != 1 else ''}, and the client had not "
        "finished sending",
        case.place(closed),
        "strong",
    )


#: The level from which on a connection carries more than one message.
_MESSAGES: Final = 2


def _silence_is_end(case: Case) -> Spotted | None:
    """A wait with a limit was over, and then the program did as if all had come."""
    if (
        case.exercise.protocol != "tcp"
        or case.exercise.role != "server"
        or case.socket is None
        or case.crash is not None
    ):
        return None
    if case.played.kind not in ("ended early", "reset", "wrong answer"):
        return None
    socket = case.socket.id
    for number, call in enumerate(case.calls):
        waited = case.role(call) is Role.WAIT and socket in (call.socket, *call.entry_sockets) and call.result == 0
        timed_out = case.role(call) is Role.RECEIVE and call.socket == socket and call.errno == errno.EAGAIN
        if not (waited or timed_out) or (call.took_ns or 0) < _WAITED_NS:
            continue
        done = (Role.RECEIVE, Role.SEND, Role.END)
        after = next((one for one in case.calls[number + 1 :] if one.socket == socket and case.role(one) in done), None)
        if after is not None and case.role(after) is not Role.RECEIVE:
            return Spotted(
                f"nothing came for {(call.took_ns or 0) / 1e9:.1f} s, and the program did as if the client had finished",
                case.place(call),
            )
    return None


#: A wait, not a look.
_WAITED_NS: Final = 20_000_000


def _nothing_yet_is_end(case: Case) -> Spotted | None:
    """A read that had nothing yet, and then the program did as if all had come."""
    if case.exercise.protocol != "tcp" or case.exercise.role != "server" or case.crash is not None:
        return None
    if case.played.kind not in ("ended early", "reset", "wrong answer"):
        return None
    calls = [call for call in case.on_socket if case.role(call) in (Role.RECEIVE, Role.SEND, Role.END)]
    for call, after in itertools.pairwise(calls):
        if case.role(call) is Role.RECEIVE and call.errno == errno.EAGAIN and case.role(after) is Role.END:
            return Spotted("recv() had nothing yet (EAGAIN), and the program closed the connection", case.place(call))
    return None


def _copy_kept(case: Case) -> Spotted | None:
    """One process has closed the connection, and another one has it still."""
    if case.played.kind != "not ended" or case.socket is None:
        return None
    closed = [call for call in case.on_socket if case.name(call) == "close" and call.result == 0]
    if not closed or len(case.processes) < 2:
        return None
    accepted = next((call for call in case.accepts() if case.socket is not None and call.made == case.socket.id), None)
    return Spotted(
        "one process closed the connection, and another one that has a copy of it did not: the end of the stream is "
        "sent when the last copy is closed",
        case.place(accepted),
    )


def _no_timeout(case: Case) -> Spotted | None:
    if case.exercise.role != "client" or case.played.kind not in ("hangs", "no answer"):
        return None
    call = case.waits()
    if call is None or case.role(call) not in (Role.RECEIVE, Role.WAIT) or _limit_ms(case, call) is not None:
        return None
    return Spotted("no answer came, and the program waits for one without a limit", case.place(call))


def _waits_too_long(case: Case) -> Spotted | None:
    if case.exercise.role != "client" or case.played.kind not in ("hangs", "no answer"):
        return None
    call = case.waits()
    limit_ms = _limit_ms(case, call) if call is not None else None
    if call is None or not limit_ms:
        return None
    return Spotted(f"no answer came, and {case.name(call)}() waits for one for {limit_ms / 1000:g} s", case.place(call))


def _limit_ms(case: Case, call: Call) -> int | None:
    """How long a call may wait, 0: nobody knows; ``None``: for ever."""
    if case.role(call) is Role.WAIT:
        return call.b if call.b is not None and call.b >= 0 else None
    limited = any(one.socket == call.socket and one.b == _SO_RCVTIMEO for one in case.named("setsockopt"))
    return 0 if limited else None


#: include/uapi/asm-generic/socket.h
_SO_RCVTIMEO: Final = 20


def _restless(case: Case) -> Spotted | None:
    if case.played.kind != "restless":
        return None
    call = case.busiest()
    if call is None:
        return Spotted("the program computes without end and makes no call on a socket", _NOWHERE)
    name = case.name(call)
    if case.role(call) in (Role.RECEIVE, Role.SEND) and (call.result or 0) > 0:
        # It works; a client has sent much before.
        return None
    how = "fails at once with EAGAIN" if call.errno == _EAGAIN else "returns at once"
    return Spotted(
        f"nobody sent anything for a second, and {name}() was called again and again at this line; it {how}",
        case.place(call),
    )


_EAGAIN: Final = 11
#: So few bytes with each call are too few for a client that sends much.
_SMALL_BYTES: Final = 64


def _small_calls(case: Case) -> Spotted | None:
    """It is not done with what came, because each call takes so little."""
    if case.played.kind not in ("restless", "no answer"):
        return None
    call = case.busiest()
    if call is None or case.role(call) is not Role.RECEIVE or not 0 < (call.result or 0) < _SMALL_BYTES:
        return None
    count = f"{call.result} byte{'s' if call.result != 1 else ''}"
    return Spotted(
        f"the program is not done with what a client has sent: it takes {count} with each {case.name(call)}()",
        case.place(call),
        "strong",
    )


def _reply_missed(case: Case) -> Spotted | None:
    """A reply was read, and the program says that there was none."""
    if case.exercise.protocol != "icmp" or case.played.kind != "wrong output":
        return None
    if "timeout" not in case.played.seen or "timeout" in case.played.expected:
        return None
    reads = [call for call in case.reads() if (call.result or 0) >= 8]
    replies = [(call, reply) for call in reads if (reply := _reply_of(call.payload or b"")) is not None]
    if not replies:
        return None
    call, (header, sequence) = replies[0]
    behind = f"an IP header of {header} bytes and then " if header else ""
    return Spotted(
        f"{case.name(call)}() returned {behind}the echo reply {sequence}, and the program says timeout",
        case.place(call),
    )


def _reply_of(packet: bytes) -> tuple[int, int] | None:
    """Of an echo reply: the bytes of the IP header in front (0: there is none), and its sequence number."""
    header = (packet[0] & 15) * 4 if packet[:1] and packet[0] >> 4 == 4 else 0
    message = packet[header:]
    if len(message) < 8 or message[0] != 0:
        return None
    return header, int.from_bytes(message[6:8], "big")


def _exit_status(case: Case) -> Spotted | None:
    if case.played.kind != "wrong status" or case.crash is not None:
        return None
    return Spotted(f"expected {case.played.expected}; the program ended with {case.played.seen}")


# -- it keeps what it should not


def _no_limit(case: Case) -> Spotted | None:
    if case.played.kind not in ("not ended", "memory", "no answer") or case.scenario.name not in (
        "too-long",
        "too-large",
        "largest",
    ):
        return None
    reads = [call for call in case.reads() if (call.result or 0) > 0]
    taken = sum(call.result or 0 for call in reads)
    return Spotted(
        f"the client sends more than the task allows; the program has read {taken} bytes of it and keeps the connection open",
        case.place(reads[-1] if reads else None),
        "strong",
    )


MISTAKES: Final = (
    Mistake(
        "no-bind",
        "the socket has no address",
        "A client can only come to a port that it knows. Which call gives a socket its address and port?",
        _no_bind,
        first=True,
    ),
    Mistake(
        "other-protocol",
        "the socket speaks another protocol",
        "TCP and UDP have ports of their own: look at the second argument of socket().",
        _other_protocol,
        first=True,
    ),
    Mistake(
        "connects-instead",
        "the program connects, and should wait for clients",
        "A client connects; a service waits to be found at its port. Which calls make a socket that others can connect to?",
        _connects_instead,
        first=True,
    ),
    Mistake(
        "other-port",
        "the program uses another port than it was given",
        "The port is the first argument of the command, as text. Where does the number in your call come "
        "from, and in which byte order?",
        _other_port,
        first=True,
    ),
    Mistake(
        "loopback-only",
        "only programs on the same host can connect",
        "A socket is bound to an address as well as to a port. Which address means: all addresses of this host?",
        _loopback_only,
        first=True,
    ),
    Mistake(
        "only-inet6",
        "only clients with IPv6 can come",
        "A client with an IPv4 address cannot come to this socket. Which address family, or which option of ipv6(7), lets it?",
        _inet6_only,
        first=True,
    ),
    Mistake(
        "address-in-use-time-wait",
        "the port of the run before is still in TIME_WAIT",
        "There is a socket option, set between socket() and bind(), that allows a port whose old connections "
        "are in TIME_WAIT: socket(7).",
        _port_still_used,
    ),
    Mistake(
        "short-read",
        "recv() gave less than was asked for",
        "recv(n) returns what is there, at most n bytes. What must a program do that needs exactly n?",
        _short_read,
        first=True,
    ),
    Mistake(
        "full-is-no-fault",
        "a full socket is taken for a broken one",
        "EAGAIN says that there is no room for more bytes now; in Python that is a BlockingIOError. The connection is as good "
        "as before. When is the time to try again?",
        _full,
        first=True,
    ),
    Mistake(
        "bytes-as-text",
        "bytes are treated as text",
        "What comes from a socket are bytes; a border between two pieces may stand inside of a character, and "
        "not all bytes are text. "
        "bytes has methods of its own.",
        _decodes,
        first=True,
    ),
    Mistake(
        "nothing-yet-is-no-end",
        "there was nothing yet",
        "EAGAIN says that there is nothing yet; it is neither an end nor a fault. Which call waits until there is something?",
        _nothing_yet,
        first=True,
    ),
    Mistake(
        "ends-of-silence",
        "a time limit ends the program",
        "A client may be silent for a while. What should become of the program, and what of this client, when a time "
        "limit is over?",
        _time_limit,
        first=True,
    ),
    Mistake(
        "closed-descriptor-used",
        "a socket is used after it was closed",
        "A listener is needed as long as the service lives, a connection as long as its client. Which of them did your "
        "program close, and which call comes again afterwards?",
        _closed_used,
        first=True,
    ),
    Mistake(
        "programming-error",
        "a line of the program fails",
        "Read the message from its last line upwards. Which value in that line is another one than you thought?",
        _program_error,
        first=True,
    ),
    Mistake(
        "shut-before-answer",
        "the program ends its side before it has answered",
        "shutdown() tells the peer that nothing more comes. What must your program have sent by then?",
        _shut_before,
        first=True,
    ),
    Mistake(
        "client-vanished",
        "the program ends when a client vanishes",
        "A client may vanish at any moment; then recv() or send() fails, or, unless it is ignored, SIGPIPE comes. Whose problem "
        "is that, and who must go on?",
        _client_vanished,
        first=True,
    ),
    Mistake(
        "empty-datagram",
        "an empty datagram is taken for an end",
        "A datagram may be empty; there is no end of a stream in UDP.",
        _empty_is_end,
    ),
    Mistake(
        "answers-another",
        "the answer goes to somebody else",
        "recvfrom() gives two things: the datagram, and the address that it came from. Which address do you answer to?",
        _another_address,
        first=True,
    ),
    Mistake(
        "answer-from-another-address",
        "the answer came from another port than was asked",
        "The client asked one port and waits for an answer from there. Which of your sockets has that port?",
        _other_socket,
        first=True,
    ),
    Mistake(
        "connected-to-one",
        "the socket hears only one client",
        "A socket for datagrams can serve all clients as long as it is tied to none. Which call names the receiver of "
        "a single datagram?",
        _connected,
        first=True,
    ),
    Mistake(
        "answer-in-parts",
        "the answer comes in several datagrams",
        "Each datagram is a message of its own. How many calls that send does one answer take?",
        _in_parts,
        first=True,
    ),
    Mistake(
        "whole-buffer",
        "the whole buffer is sent",
        "A buffer is mostly longer than what was read into it. Which value tells how much of it counts?",
        _whole_buffer,
        first=True,
    ),
    Mistake(
        "kept-open-elsewhere",
        "another process keeps a copy of the connection",
        "After fork() both processes have the connection, and each must close its own. Which of yours closes it, and "
        "which does not?",
        _copy_kept,
        first=True,
    ),
    Mistake(
        "silence-is-end",
        "a pause is taken for the end",
        "A client, or the network, may pause in the middle of a message. What shows that a message is complete, besides time?",
        _silence_is_end,
        first=True,
    ),
    Mistake(
        "serves-one-client",
        "the program ends after its work for one client",
        "A service goes on. What must be repeated: accept(), or only what follows it?",
        _one_client,
    ),
    Mistake(
        "end-of-stream-ignored",
        "the end of the stream is not recognised",
        "recv() returns no bytes when the peer has finished, and will return none for ever. What does your "
        "loop do with that?",
        _end_ignored,
    ),
    Mistake(
        "short-send",
        "what send() did not take is lost",
        "send() on a non-blocking socket takes what there is room for and says how much that was; where there is no room it "
        "fails with EAGAIN. Where does your program keep the rest, and who tells it that there is room again?",
        _short_send,
    ),
    Mistake(
        "fewer-than-announced",
        "the file ends before its announced size",
        "Count the bytes that your program announces, and those that it sends. Which piece of the file does the loop leave "
        "out, the first one or the last one?",
        _fewer_than_announced,
    ),
    Mistake(
        "no-limit",
        "a message that is too long is not refused",
        "A client may send for ever without the end of a message. How much does your program take before it gives up, and "
        "what becomes of that client?",
        _no_limit,
    ),
    Mistake(
        "no-timeout",
        "the program waits for ever",
        "Datagrams get lost. How long may each wait last, and what happens then? settimeout(), poll() and "
        "SO_RCVTIMEO set a limit.",
        _no_timeout,
    ),
    Mistake(
        "waits-too-long",
        "the program waits longer than the task says",
        "How long may one wait last, by the task? And how long may all of them take together?",
        _waits_too_long,
    ),
    Mistake(
        "hurries",
        "the program does not wait long enough",
        "An answer may still be on its way. How long must your program wait for it, also when something else comes "
        "meanwhile?",
    ),
    Mistake(
        "limit-starts-again",
        "each datagram that is no answer starts the time limit anew",
        "A time limit of recv() or select() counts from that call. What can your program compute, before it waits again, "
        "from the time at which it sent the question?",
        where="receive",
    ),
    Mistake(
        "small-calls",
        "a call for each byte, or for a few",
        "A call costs nearly the same whether it returns one byte or 64 KB. How can your program take what is there, and find "
        "the messages in it afterwards?",
        _small_calls,
    ),
    Mistake(
        "busy-loop",
        "the program asks again and again instead of waiting",
        "Let the kernel wake your program: a blocking call, or select(), poll(), epoll with only those events "
        "that you can do something about.",
        _restless,
        first=True,
    ),
    Mistake(
        "waits-for-one-client",
        "one client keeps all others waiting",
        "What waits for one client (a blocking call, a lock that is kept meanwhile, in a coroutine an await) stops all that "
        "stands behind it. Who looks after the other clients meanwhile?",
        _waits_for_another,
        first=True,
    ),
    Mistake(
        "accepts-instead",
        "the program accepts where it should read on",
        "A connection can carry more than one piece of data. When may your program turn away from it?",
        _accepts_instead,
    ),
    Mistake(
        "nothing-sent",
        "no answer is sent",
        "Which call hands the answer to the client's socket, and does your program come to it? What is printed comes to your "
        "screen only.",
        _nothing_sent,
    ),
    Mistake(
        "closes-too-early",
        "the program closes before the client has finished",
        "A client may send as many messages as it likes, and recv() tells when it has finished. Why did your program close here?",
        _closes_early,
    ),
    Mistake(
        "not-closed",
        "the connection is never closed",
        "The client reads until your program says that nothing more comes. Which call says so?",
        _not_closed,
    ),
    Mistake(
        "waits-for-more",
        "the program has all it needs and waits",
        "The client waits for its answer before it sends anything else. How does your program know that a message is complete? "
        "And if it writes to a file object: when is that sent?",
        _waits_for_more,
    ),
    Mistake(
        "length-order",
        "the length is not in network byte order",
        "In network order the most significant byte comes first: for 5 the four bytes are 00 00 00 05. "
        "Which format does your packing use?",
    ),
    Mistake(
        "length-missing",
        "the answer does not begin with its length",
        "The answer is framed as the question: four bytes with the length, then so many bytes.",
    ),
    Mistake(
        "length-counts-itself",
        "the length counts its own four bytes, too",
        "The length is that of the text alone. For 5 letters it is 5, although 9 bytes travel.",
    ),
    Mistake(
        "length-size",
        "the length is read as two bytes",
        "A length has four bytes here. How many bytes does your program read for it, and which format of struct fits them?",
        where="receive",
    ),
    Mistake(
        "length-sign",
        "a length with its highest bit set is taken for a small or a negative number",
        "The length is an unsigned number. Which number does your program make of the bytes FF FF FF FF, and is that more "
        "than 100,000?",
        where="receive",
    ),
    Mistake(
        "length-wrong",
        "the length in front of the answer is another than that of its text",
        "The first four bytes are a binary number: how many bytes come behind it. Look at the four bytes that the other end "
        "saw.",
    ),
    Mistake(
        "limit-too-low",
        "a text that is allowed is refused",
        "A text may have 100,000 bytes. Which limit does your program set, and on which number?",
        where="end",
    ),
    Mistake(
        "empty-message",
        "an empty message is taken for the end",
        "A text may have no bytes at all. How does your program tell a message without text from the end of the stream?",
        where="end",
    ),
    Mistake(
        "answers-left",
        "the connection is closed before the last answers are sent",
        "A client that has finished sending still reads. What must have become of your output buffer before close()?",
        where="end",
        yields_to=("short-send",),
    ),
    Mistake(
        "delimiter-missing",
        "the answer has no end of line",
        "The client looks for a line feed to know that the answer is complete. Is it part of what your program sends?",
    ),
    Mistake(
        "glued",
        "only the first of several messages is answered",
        "One recv() may return two messages and a half. What does your program do with what stands behind the "
        "first one?",
        where="receive",
    ),
    Mistake(
        "half-answered",
        "half a message is answered",
        "The client ended in the middle of a message. How does your program know that what it has is a whole one?",
        where="send",
    ),
    Mistake(
        "part-answered",
        "a part of a message is taken for the whole",
        "TCP is a stream of bytes: a message may come in any number of pieces. "
        "How does your program know that it has the whole one?",
        where="receive",
    ),
    Mistake(
        "part-passed-on",
        "a part of a line is passed on",
        "recv() returns what is there, which may be half a line. What must wait until the other half has come?",
    ),
    Mistake(
        "empty-line",
        "an empty line is not answered",
        "A line may be empty: its line feed comes, and nothing before it. How does your program tell that from the end of "
        "the stream?",
        where="receive",
    ),
    Mistake(
        "line-feed-is-end",
        "a line feed is taken for the end of the text",
        "In this task a text ends where the client has finished sending; a line feed is a byte like any other. Does your "
        "way of reading know that?",
        where="receive",
    ),
    Mistake(
        "unchanged",
        "the answer is the same as the question",
        "upper() leaves its bytes as they are and returns new ones. Which of the two does your program send?",
    ),
    Mistake(
        "stripped",
        "bytes at the end or the beginning are missing",
        "Spaces, tabs and line ends belong to what the client sent. Which call of your program takes them away?",
    ),
    Mistake(
        "mixes-clients",
        "a client gets what another one sent",
        "The answer begins with bytes of another client. Where does your program keep what it has read, and when does it "
        "begin anew?",
    ),
    Mistake(
        "path-escapes",
        "a client can read files outside of the folder",
        "A name may hold .. or begin with a slash. What may a name look like that a stranger sends?",
    ),
    Mistake(
        "echoes-to-sender",
        "the sender gets its own line back",
        "A line goes to all others. How does your program know which of the connections is the one that the "
        "line came from?",
    ),
    Mistake(
        "stranger-believed",
        "an answer from somebody else is taken",
        "Anybody can send a datagram to your port. From which address must the answer come? connect() has the "
        "kernel look after it.",
        where="receive",
    ),
    Mistake(
        "identifier-ignored",
        "an answer to another question is taken",
        "Late and foreign answers come to the same socket. What in the answer tells which question it belongs to?",
        where="receive",
    ),
    Mistake(
        "answer-whole",
        "the answer is printed with its identifier",
        "The identifier is for your program. What of the answer is for whoever reads the output?",
        where="receive",
    ),
    Mistake(
        "identifier-constant",
        "the identifier is the same in each run",
        "Two runs of your program may ask the same service at the same time. How does each of them know its answer?",
    ),
    Mistake(
        "repeats-too-often",
        "the question is sent more often than the task says",
        "Three times in all: how often does your loop send?",
    ),
    Mistake(
        "not-repeated",
        "a lost datagram is not sent again",
        "UDP loses datagrams and tells nobody. What should your program do when no answer comes in time?",
    ),
    Mistake(
        "identifier-changes",
        "the repeated question has another identifier",
        "A question that is sent again is still the same question: its answer may be on the way.",
    ),
    Mistake(
        "checksum",
        "the ICMP checksum is wrong",
        "RFC 792: the checksum is computed over the whole ICMP message with its checksum field taken as zero, "
        "in 16-bit words, "
        "carries added, then inverted. The kernel fills it in only on datagram sockets for ICMP.",
    ),
    Mistake(
        "sequence-order",
        "the sequence number is not in network byte order",
        "All numbers in ICMP have the most significant byte first: 1 is 00 01. Which format does your packing use?",
    ),
    Mistake(
        "reply-missed",
        "the reply came, and the program does not recognise it",
        "Compare what recv() returned with what your program looks for. A datagram socket returns the ICMP message alone, "
        "with an identifier that the kernel chose; a raw socket returns the IP header before it, and how long that is "
        "stands in its first byte (RFC 791).",
        _reply_missed,
    ),
    Mistake(
        "sequence-ignored",
        "an answer with another sequence number is counted",
        "Each request has a number, and the answer repeats it: an old answer may come while you wait for a new one.",
        where="receive",
    ),
    Mistake(
        "foreign-echo",
        "an answer to another program's request is counted",
        "A raw socket sees every echo reply of the host. Which field tells whose it is?",
        where="receive",
    ),
    Mistake(
        "own-request",
        "the program takes its own request for the reply",
        "A raw socket sees the ICMP messages that come in; on the same host your own requests are among them. "
        "Which field tells a request from a reply?",
        where="receive",
    ),
    Mistake(
        "type-ignored",
        "another ICMP message is taken for the reply",
        "A raw socket sees all kinds of ICMP messages. Which field tells what a message is?",
        where="receive",
    ),
    Mistake(
        "thread-per-client",
        "there is a thread, or a process, for each client",
        "This task wants one loop that waits for all sockets at once. Which call can do that?",
        where="accept",
    ),
    Mistake(
        "exit-status",
        "the exit status is another one",
        "A shell or a script learns from the exit status how it went ($?). With which one does your program end, and where "
        "does it say so?",
        _exit_status,
    ),
    Mistake(
        "crashed",
        "an error that the program does not handle",
        "Read the message from its last line upwards. Which case did the program meet that it was not written for?",
        _crashed,
    ),
    Mistake(
        "not-there",
        "the program is not to be found at its port",
        "Which calls make a socket ready for clients? Does your program reach them when it is started with these arguments?",
        _not_there,
    ),
)
