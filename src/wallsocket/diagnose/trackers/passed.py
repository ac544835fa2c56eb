"""Descriptors that came in messages (SCM_RIGHTS)."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, returned

__all__ = ["Passed", "PassedFacts"]

_MSG_CTRUNC = 0x8
_PROCESSES = 10_000


class PassedFacts:
    """What one process was handed."""

    __slots__ = ("cut", "cuts", "first", "received", "sockets")

    def __init__(self) -> None:
        self.cut: CallFacts | None = None  #: the first message that lost descriptors: MSG_CTRUNC
        self.cuts = 0
        self.first: CallFacts | None = None  #: the first message with a socket in it
        self.received = 0  #: sockets that came
        self.sockets: set[int] = set()


class Passed(Tracker):
    """By process."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.all: dict[int, PassedFacts] = {}

    @returned("recvmsg")
    def received(self, call: CallFacts) -> None:
        """A message came."""
        if not call.succeeded:
            return
        cut = call.returned_flags & _MSG_CTRUNC
        sockets = [number for number in call.call.entry_sockets if number]
        if not cut and not sockets:
            return
        facts = self.all.get(call.call.process)
        if facts is None:
            if len(self.all) >= _PROCESSES:
                return
            facts = self.all[call.call.process] = PassedFacts()
        if cut and call.socket is not None and call.socket.unix:
            facts.cut = facts.cut or call
            facts.cuts += 1
        if sockets:
            facts.first = facts.first or call
            facts.received += len(sockets)
            if len(facts.sockets) < _PROCESSES:
                facts.sockets.update(sockets)
