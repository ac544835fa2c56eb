"""Descriptors that came in messages (SCM_RIGHTS)."""

from __future__ import annotations

import struct

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, returned

__all__ = ["Passed", "PassedFacts"]

_MSG_CTRUNC = 0x8
_SOL_SOCKET, _SCM_RIGHTS = 1, 1
#: ``struct cmsghdr`` on 64-bit machines.
_HEAD = struct.Struct("<qii")
_PROCESSES = 10_000


class PassedFacts:
    """What one process was handed."""

    __slots__ = ("cut", "cuts", "first", "grown", "grown_first", "highest", "received", "sockets")

    def __init__(self) -> None:
        self.cut: CallFacts | None = None  #: the first message that lost descriptors: MSG_CTRUNC
        self.cuts = 0
        self.first: CallFacts | None = None  #: the first message with a socket in it
        self.received = 0  #: sockets that came
        self.sockets: set[int] = set()
        #: Messages in a row whose descriptors had higher numbers than all before: the kernel gives the lowest that is free.
        self.grown = 0
        self.grown_first: CallFacts | None = None
        self.highest = -1


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
        numbers = _numbers(call.value)
        if not cut and not sockets and not numbers:
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
        if numbers and min(numbers) > facts.highest:
            facts.grown += 1
            facts.grown_first = facts.grown_first or call
            facts.highest = max(numbers)
        elif numbers:
            facts.grown, facts.grown_first, facts.highest = 1, call, max(numbers)


def _numbers(control: bytes) -> list[int]:
    """The descriptors in a control message: cmsg(3), SCM_RIGHTS of unix(7)."""
    found: list[int] = []
    position = 0
    while position + _HEAD.size <= len(control):
        length, level, kind = _HEAD.unpack_from(control, position)
        if not _HEAD.size <= length <= len(control) - position:
            break
        if (level, kind) == (_SOL_SOCKET, _SCM_RIGHTS):
            count = (length - _HEAD.size) // 4
            found += struct.unpack_from(f"<{count}i", control, position + _HEAD.size)
        position += (length + 7) // 8 * 8
    return found
