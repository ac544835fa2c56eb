"""The peer's process was killed or crashed."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from ...events import Process
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import ENDED_LATE_NS, Closing
from ..trackers.errors import Errors
from ..trackers.messages import Messages
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["PeerProcessDied"]

_BROKEN = (errno.ECONNRESET, errno.EPIPE)
#: Signals by which people and service managers end programs in order.
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Writes in a row that are a stream.
_MANY = 8
#: Signals of crashes: nobody ends a program in rest by them.
_CRASHED = (
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGABRT,
    signal.SIGILL,
    signal.SIGFPE,
    signal.SIGSYS,
    signal.SIGTRAP,
)


class PeerProcessDied(Rule):
    """The connection broke because the process at the other end died."""

    id = "peer-process-died"
    title = "the connection broke because the peer's process died"
    covers = (56,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "When a process dies the kernel closes its sockets: with FIN, or with RST where bytes were unread. The other end sees the "
        "end of the stream or a reset in the middle of a conversation."
    )
    symptoms = ("connection reset by peer", "ECONNRESET", "unexpected end of file", "broken pipe", "connection closed")
    proof = (
        "A signal ended the process while its socket was open, and the other end was waiting for an answer, or its next call "
        "failed with ECONNRESET or EPIPE, or the signal was that of a crash and the other end read the end of the stream. "
        "SIGKILL counts also when it came while the process was writing one piece after the other, or before the end of an "
        "HTTP message. "
        "Strong when the process ended with a status that says failure, and the call failed."
    )
    fix = "Find out what ended the process: its signal is named. On this end expect it: reconnect, and repeat what may be repeated."
    disproof = "The process had closed the socket before it died."
    references = ("exit(2)", "signal(7)", "RFC 9293 3.10.7")
    subject = "connection"
    needs = (Closing, Errors, Messages, Reads, Writes)
    effects = ("write-after-peer-closed", "close-with-unread-data", "ended-before-answer")
    supersedes = ("ended-before-answer",)
    explains = _BROKEN

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        one, other = subject
        if other is None:
            return
        for dead, left in ((one, other), (other, one)):
            yield from self._died(facts, dead, left)

    def _died(self, facts: Facts, dead: SocketFacts, left: SocketFacts) -> Iterator[Judgement]:
        if not dead.stream or dead.ended_ns is None:
            return
        process = facts[Closing].ended_by(dead)
        if process is None or process.signal == signal.SIGPIPE or not (process.signal or process.exit_code):
            return
        told = facts[Errors].first(left, _BROKEN)
        if told is not None and told.end_ns + ENDED_LATE_NS < dead.ended_ns:
            told = None
        reads, writes = facts[Reads].of(left), facts[Writes].of(left)
        end = reads.zero_last
        asked = writes.last is not None and (reads.last is None or reads.last.end_ns < writes.last.entry_ns)
        waiting = asked and end is not None and end.end_ns + ENDED_LATE_NS >= dead.ended_ns
        cut = end is not None and end.end_ns + ENDED_LATE_NS >= dead.ended_ns and process.signal in _CRASHED
        late = end is not None and end.end_ns + ENDED_LATE_NS >= dead.ended_ns
        streamed = self._streamed(facts, dead, left) if late and process.signal == signal.SIGKILL else None
        if told is None and not (waiting and process.signal) and not cut and streamed is None:
            return
        # What only the rhythm of its writes tells may have been all that there was to say.
        paused = told is None and not waiting and not cut and streamed == "stream"
        seen = told if told is not None else end
        assert seen is not None
        name = _name(process.signal) if process.signal else f"An error (status {process.exit_code})"
        yield Evidence(
            self,
            dead.ended_ns,
            f"{name} ended {facts.who(process.id)} with {dead.name()} open; {facts.who(seen.call.process)} was told by "
            f"{seen.text()}.",
            [facts.process_proof(process, _how(process), dead.ended_ns), seen.proof()],
            call=seen.call,
            socket=left.id,
            process=seen.call.process,
            certainty="certain" if process.signal and not paused else "strong",
            severity="note" if process.signal in _ASKED else "warning" if paused else "error",
            subjects=frozenset({dead.id}),
        )

    @staticmethod
    def _streamed(facts: Facts, dead: SocketFacts, left: SocketFacts) -> Literal["message", "stream"] | None:
        """What it was writing when it was killed: an announced message, or one piece after the other; ``None``: nothing."""
        received = facts[Messages].of(left).received
        message = received.latest
        if message is not None and message.end is not None and not received.lost:
            return "message" if facts[Reads].of(left).bytes < message.end else None
        writes, ended_ns = facts[Writes].of(dead), dead.ended_ns or 0
        last = writes.recent[-_MANY:]
        if len(last) < _MANY or facts[Closing].of(dead).shut:
            return None
        pauses = [later.entry_ns - earlier.end_ns for earlier, later in pairwise(last)]
        heard = facts[Reads].of(dead).last
        if (heard is not None and heard.end_ns >= last[0].entry_ns) or ended_ns - last[-1].end_ns > 2 * max(pauses):
            return None
        return "stream"


def _how(process: Process) -> str:
    return f"ended by {_name(process.signal)}" if process.signal else f"ended with status {process.exit_code}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
