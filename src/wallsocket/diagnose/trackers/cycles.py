"""Connections of one client that end alike: asked, waited until its own limit was over, closed, and asked again."""

from __future__ import annotations

import re

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import READS, WRITES
from .call_limits import CallLimits
from .set_up import SetUp

__all__ = ["Cycle", "Cycles", "waits_asked_s"]

#: Destinations that are told apart, and cycles of one that are kept.
_GROUPS = 10_000
_KEPT = 8

#: A parameter of a request that says how long the server may wait: ``?timeout=60``, ``wait=30s``, ``"block": 5000``.
_PARAMETER = re.compile(
    rb"(?i)\b(?:timeout|wait|max_?wait|wait_?time(?:_?seconds)?|poll|block|hold)[\"']?\s*[=:]\s*[\"']?(\d{1,6})(ms|s)?"
)
#: Commands of RESP (redis) that block: their time limit is the last argument, in seconds.
_BLOCKING = re.compile(rb"(?i)\b(?:BLPOP|BRPOP|BLMPOP|BRPOPLPUSH|BLMOVE|BZPOPMIN|BZPOPMAX)\b")
_BLOCK_MS = re.compile(rb"(?i)\bBLOCK\r\n\$\d+\r\n(\d{1,9})\r\n")
_LAST = re.compile(rb"(\d{1,6})(?:\.\d+)?\s*$")


class Cycle:
    """One connection that ended so."""

    __slots__ = ("asked", "closed", "ran_out", "socket")

    def __init__(self, asked: CallFacts, ran_out: CallFacts, closed: CallFacts, socket: SocketFacts) -> None:
        self.asked = asked
        self.ran_out = ran_out
        self.closed = closed
        self.socket = socket.id

    @property
    def waited_ns(self) -> int:
        """How long it waited for the answer."""
        return self.ran_out.end_ns - self.asked.end_ns


class _Use:
    __slots__ = ("asked", "read")

    def __init__(self) -> None:
        self.asked: CallFacts | None = None
        self.read: CallFacts | None = None


class Cycles(SocketTracker[_Use]):
    """By process and destination."""

    needs = (CallLimits, SetUp)
    kept = _Use

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.all: dict[tuple[int, Address], list[Cycle]] = {}

    @returned(*WRITES, of="stream", moved=True)
    def wrote(self, call: CallFacts) -> None:
        """A request."""
        if call.socket is not None:
            self.keep(call.socket).asked = call

    @returned(*READS, given=True, moved=True)
    def read(self, call: CallFacts) -> None:
        """An answer, or a part of one."""
        if call.socket is not None:
            found = call.socket.kept.get(self.place)
            if found is not None:
                found.read = call

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """Given up?"""
        socket = call.socket
        found = socket.kept.get(self.place) if socket is not None else None
        if socket is None or found is None or found.asked is None or socket.remote is None:
            return
        connect = self.facts[SetUp].of(socket).connect
        ran_out = self.facts[CallLimits].of(socket).ran_out
        if connect is None or ran_out is None or ran_out.entry_ns < found.asked.entry_ns:
            return
        if found.read is not None and found.read.end_ns > found.asked.entry_ns:
            return
        key = (call.call.process, socket.remote)
        cycles = self.all.get(key)
        if cycles is None:
            if len(self.all) >= _GROUPS:
                return
            cycles = self.all[key] = []
        if len(cycles) < _KEPT:
            cycles.append(Cycle(found.asked, ran_out, call, socket))


def waits_asked_s(request: bytes) -> float | None:
    """For how long a request asks the server to wait; ``None``: it does not say so, or not in a form that is known."""
    found = _BLOCK_MS.search(request)
    if found is not None:
        return int(found[1]) / 1000
    if _BLOCKING.search(request):
        last = _LAST.search(request)
        return float(last[1]) if last is not None else None
    found = _PARAMETER.search(request)
    if found is None:
        return None
    number = int(found[1])
    return number / 1000 if found[2] == b"ms" or (found[2] is None and number >= 1000) else float(number)
