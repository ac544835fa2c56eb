"""Time limits of single calls, and how long an answer took that many of them brought."""

from __future__ import annotations

import errno
import struct

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import POLL_CALLS, POLLIN, READS, SO_RCVTIMEO, SOL_SOCKET, WRITES

__all__ = ["Answer", "CallLimits", "LimitFacts"]

#: A read that came after a shorter wait did not wait.
_WAITED_NS = 20_000_000
_TIMEVAL = struct.Struct("<qq")


class Answer:
    """Reads between two writes, each with a time limit."""

    __slots__ = ("bytes", "first", "last", "limit_ns", "longest_ns", "waited")

    def __init__(self, limit_ns: int, first: CallFacts) -> None:
        self.limit_ns = limit_ns  #: of each call
        self.first = first  #: the first call that waited
        self.last = first
        self.waited = 0  #: reads that had to wait
        self.longest_ns = 0
        self.bytes = 0

    @property
    def took_ns(self) -> int:
        """From the first wait to the last byte."""
        return self.last.end_ns - self.first.entry_ns


class LimitFacts:
    """The time limits of one socket."""

    __slots__ = ("answer", "limit_ns", "ran_out", "slowest", "waiting_ns")

    def __init__(self) -> None:
        self.limit_ns = 0  #: SO_RCVTIMEO, or the time limit of the latest poll for this socket; 0: none
        self.waiting_ns = 0  #: how long the latest poll took
        self.answer: Answer | None = None
        self.slowest: Answer | None = None  #: the answer that took longest
        self.ran_out: CallFacts | None = None  #: the latest wait whose time limit ended it


class CallLimits(SocketTracker[LimitFacts]):
    """Adds up waits with a limit until the next write."""

    kept = LimitFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)

    @returned("setsockopt")
    def was_set(self, call: CallFacts) -> None:
        """SO_RCVTIMEO."""
        if call.succeeded and call.socket is not None and call.option == (SOL_SOCKET, SO_RCVTIMEO):
            value = call.value
            if len(value) >= _TIMEVAL.size:
                seconds, micros = _TIMEVAL.unpack_from(value)
                self.keep(call.socket).limit_ns = seconds * 1_000_000_000 + micros * 1000

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A wait for one socket."""
        socket = call.socket
        if socket is None or (call.call.a != 1 and call.watches != 1):
            return
        if not any(entry.events & POLLIN for entry in call.watched):
            return
        limit_ms = call.timeout_ms
        if limit_ms is None or limit_ms <= 0:
            return
        facts = self.keep(socket)
        facts.limit_ns, facts.waiting_ns = limit_ms * 1_000_000, call.call.took_ns or 0
        if call.result == 0:
            facts.ran_out = call
        elif facts.answer is None and socket.stream:
            facts.answer = Answer(facts.limit_ns, call)

    @returned(*READS, given=True)
    def read(self, call: CallFacts) -> None:
        """A read returned."""
        socket = call.socket
        facts = socket.kept.get(self.place) if socket is not None else None
        if socket is None or facts is None or not facts.limit_ns:
            return
        took_ns = call.call.took_ns or 0
        if call.errno == errno.EAGAIN and took_ns * 10 >= facts.limit_ns * 9:
            facts.ran_out = call
        if not call.moved or not socket.stream:
            return
        waited_ns, facts.waiting_ns = max(facts.waiting_ns, took_ns), 0
        answer = facts.answer
        if answer is None:
            answer = facts.answer = Answer(facts.limit_ns, call)
        answer.last = call
        answer.limit_ns = max(answer.limit_ns, facts.limit_ns)
        answer.bytes += call.moved
        answer.waited += waited_ns >= _WAITED_NS
        answer.longest_ns = max(answer.longest_ns, waited_ns)
        if facts.slowest is None or answer.took_ns > facts.slowest.took_ns:
            facts.slowest = answer

    @returned(*WRITES, given=True)
    def wrote(self, call: CallFacts) -> None:
        """The next question."""
        facts = call.socket.kept.get(self.place) if call.socket is not None else None
        if facts is not None:
            facts.answer = None
