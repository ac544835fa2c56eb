"""Mistakes of a program that runs, and waits, answers or keeps what it should not."""

from __future__ import annotations

import errno
import itertools
from typing import TYPE_CHECKING, Final

from ....kernel.address import end_of
from ....trace.syscalls import Role
from ..case import Case
from .mistake import Spotted

if TYPE_CHECKING:
    from ....events import Call

__all__ = [
    "accepts_instead",
    "another_address",
    "closes_early",
    "connected",
    "copy_kept",
    "exit_status",
    "in_parts",
    "no_limit",
    "no_timeout",
    "not_closed",
    "nothing_sent",
    "nothing_yet_is_end",
    "other_socket",
    "reply_missed",
    "restless",
    "silence_is_end",
    "small_calls",
    "waits_for_another",
    "waits_for_more",
    "waits_too_long",
    "whole_buffer",
]


def waits_for_another(case: Case) -> Spotted | None:
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


def accepts_instead(case: Case) -> Spotted | None:
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


def not_closed(case: Case) -> Spotted | None:
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


def waits_for_more(case: Case) -> Spotted | None:
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


def another_address(case: Case) -> Spotted | None:
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


def other_socket(case: Case) -> Spotted | None:
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


def in_parts(case: Case) -> Spotted | None:
    """One datagram was answered by several."""
    if case.exercise.protocol != "udp" or case.exercise.role != "server" or case.played.kind != "wrong answer":
        return None
    answers = _answers_after(case)
    if len(answers) < 2:
        return None
    return Spotted(f"one datagram was answered with {len(answers)} datagrams", case.place(answers[-1]))


def connected(case: Case) -> Spotted | None:
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


def whole_buffer(case: Case) -> Spotted | None:
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


def nothing_sent(case: Case) -> Spotted | None:
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


def closes_early(case: Case) -> Spotted | None:
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


def silence_is_end(case: Case) -> Spotted | None:
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


def nothing_yet_is_end(case: Case) -> Spotted | None:
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


def copy_kept(case: Case) -> Spotted | None:
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


def no_timeout(case: Case) -> Spotted | None:
    """A client waits without a limit."""
    if case.exercise.role != "client" or case.played.kind not in ("hangs", "no answer"):
        return None
    call = case.waits()
    if call is None or case.role(call) not in (Role.RECEIVE, Role.WAIT) or _limit_ms(case, call) is not None:
        return None
    return Spotted("no answer came, and the program waits for one without a limit", case.place(call))


def waits_too_long(case: Case) -> Spotted | None:
    """A client waits longer than the task says."""
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


def restless(case: Case) -> Spotted | None:
    """The program calls again and again, or computes, where it could wait."""
    if case.played.kind != "restless":
        return None
    call = case.busiest()
    if call is None:
        return Spotted("the program computes without end and makes no call on a socket")
    name = case.name(call)
    if case.role(call) in (Role.RECEIVE, Role.SEND) and (call.result or 0) > 0:
        # It works; a client has sent much before.
        return None
    how = "fails at once with EAGAIN" if call.errno == errno.EAGAIN else "returns at once"
    return Spotted(
        f"nobody sent anything for a second, and {name}() was called again and again at this line; it {how}",
        case.place(call),
    )


#: So few bytes with each call are too few for a client that sends much.
_SMALL_BYTES: Final = 64


def small_calls(case: Case) -> Spotted | None:
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


def reply_missed(case: Case) -> Spotted | None:
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


def exit_status(case: Case) -> Spotted | None:
    """A client ended with another status than the task wants."""
    if case.played.kind != "wrong status" or case.crash is not None:
        return None
    return Spotted(f"expected {case.played.expected}; the program ended with {case.played.seen}")


def no_limit(case: Case) -> Spotted | None:
    """More than the task allows is read on, and kept."""
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
