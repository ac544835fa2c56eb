"""Mistakes by name: what programs for these tasks do wrong that no rule of :mod:`wallsocket.diagnose` is about.

A mistake looks at a failed :class:`~.case.Case`; it speaks only when the calls of the recording, or what the other end saw, show
it. Texts speak to the student: what happened, and a question or a pointer, never the line to write.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import socket as _socket
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from ...kernel.address import end_of
from ...trace.syscalls import Role
from .case import Case, Place

__all__ = ["MISTAKES", "Mistake", "Spotted"]

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
            conversation, the last ``accept``, or ``wait``, where the program stands.

    """

    id: str
    title: str
    hint: str
    spot: Callable[[Case], Spotted | None] | None = None
    first: bool = False
    where: Literal["send", "receive", "accept", "wait"] = "send"


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


def _crashed(case: Case) -> Spotted | None:
    crash = case.crash
    if crash is None:
        return None
    run = case.run
    ended = case.played.kind in ("not started", "ended") or (run is not None and run.status not in (None, 0))
    how = "the program ended with" if ended else "the program reported"
    return Spotted(f"{how} {crash.error}", crash.place)


#: Sizes that a program gives recv() because it knows how much is missing, not because a buffer has that size.
_BUFFER_BYTES: Final = 256
_MSG_WAITALL: Final = 0x100


def _short_read(case: Case) -> Spotted | None:
    """A read that gave less than the program needs, and was not followed by one for the rest."""
    if case.exercise.protocol != "tcp" or case.played.kind in ("not started", "refused"):
        return None
    calls = [call for call in case.on_socket if case.role(call) in (Role.RECEIVE, Role.SEND, Role.END)]
    for call, after in itertools.pairwise((*calls, None)):
        if call is None:
            break
        asked, got = call.length or 0, call.result or 0
        if case.role(call) is not Role.RECEIVE or not 0 < got < asked <= _BUFFER_BYTES or (call.a or 0) & _MSG_WAITALL:
            continue
        if after is not None and case.role(after) is Role.RECEIVE and (after.length or 0) in (asked - got, 1):
            continue
        why = f"recv({asked}) returned {got} byte{'s' if got != 1 else ''}, and the program went on as if it had all {asked}"
        crash = case.crash
        return Spotted(f"{why}: it ended with {crash.error}" if crash is not None else why, case.place(call), "strong")
    return None


def _decodes(case: Case) -> Spotted | None:
    crash = case.crash
    if crash is None or not re.search("Unicode(De|En)codeError", crash.error):
        return None
    return Spotted(f"bytes were turned into text, and these are none: {crash.error}", crash.place)


def _client_vanished(case: Case) -> Spotted | None:
    crash = case.crash
    if crash is None or case.exercise.role != "server" or not _VANISHED.search(crash.error):
        return None
    run = case.run
    if run is None or run.status in (None, 0):
        return None
    return Spotted(f"one client vanished, and the program ended with {crash.error}", crash.place)


_VANISHED: Final = re.compile(r"ConnectionResetError|BrokenPipeError|ConnectionAbortedError|ECONNRESET|EPIPE")


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
    last = case.calls[-1] if case.calls else None
    return Spotted("the program answered and then ended (status 0)", case.place(last))


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
    return Spotted(
        f"after {len(reads)} read{'s' if len(reads) != 1 else ''} the program went back to accept(): "
        "what a client sends later on the same connection is read by nobody",
        case.place(call),
    )


def _not_closed(case: Case) -> Spotted | None:
    """It has answered and keeps the connection."""
    if case.played.kind != "not ended" or case.socket is None:
        return None
    writes = case.writes()
    closed = [call for call in case.on_socket if case.role(call) is Role.END]
    if closed or not any(call.result == 0 for call in case.reads()):
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
    return Spotted(
        f"the program has read {taken} bytes of this client, answered nothing to the last of them, and waits for more",
        case.place(call if same else reads[-1]),
        "strong",
    )


def _another_address(case: Case) -> Spotted | None:
    """A datagram went to somebody else than who asked last."""
    if case.exercise.protocol != "udp" or case.exercise.role != "server" or case.played.port is None:
        return None
    writes = [call for call in case.writes() if (call.result or -1) >= 0]
    end = end_of(writes[-1].address) if writes else None
    if end is None or end.port == case.played.port:
        return None
    return Spotted(
        f"the last answer went to port {end.port}, but the question came from port {case.played.port}",
        case.place(writes[-1]),
    )


def _no_timeout(case: Case) -> Spotted | None:
    if case.exercise.role != "client" or case.played.kind not in ("hangs", "no answer"):
        return None
    call = case.waits()
    if call is None or case.role(call) not in (Role.RECEIVE, Role.WAIT):
        return None
    return Spotted("no answer came, and the program waits for one without a limit", case.place(call))


def _restless(case: Case) -> Spotted | None:
    if case.played.kind != "restless":
        return None
    call = case.busiest()
    if call is None:
        return Spotted("the program computes without end and makes no call on a socket", _NOWHERE)
    name = case.name(call)
    how = "fails at once with EAGAIN" if call.errno == _EAGAIN else "returns at once"
    return Spotted(
        f"nobody sent anything for a second, and {name}() was called again and again at this line; it {how}",
        case.place(call),
    )


_EAGAIN: Final = 11


# -- it keeps what it should not


def _no_limit(case: Case) -> Spotted | None:
    if case.played.kind not in ("not ended", "memory", "no answer") or case.scenario.name not in (
        "too-long",
        "too-large",
    ):
        return None
    reads = [call for call in case.reads() if (call.result or 0) > 0]
    taken = sum(call.result or 0 for call in reads)
    return Spotted(
        f"the program took {taken} bytes of a message that may have no more than the task allows, and keeps the connection",
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
        "bytes-as-text",
        "bytes are treated as text",
        "What comes from a socket are bytes; a border between two pieces may stand inside of a character, and "
        "not all bytes are text. "
        "bytes has methods of its own.",
        _decodes,
        first=True,
    ),
    Mistake(
        "client-vanished",
        "the program ends when a client vanishes",
        "A client may vanish at any moment; then recv() or send() fails. Whose problem is that, and who must go on?",
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
        "no-limit",
        "a peer can fill the memory",
        "A client may send for ever without the end of a message. How much does your program keep before it gives up?",
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
        "A blocking call on one connection stops the whole thread. Who looks after the other clients: "
        "threads, an event loop, select()?",
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
        "not-closed",
        "the connection is never closed",
        "The client reads until your program says that nothing more comes. Which call says so?",
        _not_closed,
    ),
    Mistake(
        "waits-for-more",
        "the program has all it needs and waits",
        "The client waits for its answer before it sends anything else. How does your program know that a message is complete?",
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
        "crashed",
        "the program ended with an error",
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
