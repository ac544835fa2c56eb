"""Which processes used a socket, and when: to tell those that only hold it."""

from __future__ import annotations

from collections.abc import Mapping

from ..call import CallFacts
from ..tracker import NONE_YET, SocketTracker, returned
from ..vocabulary import ACCEPTS, READS, WRITES

__all__ = ["HolderFacts", "Holders"]

_PROCESSES = 64


class HolderFacts:
    """The processes of one socket."""

    __slots__ = ("closed", "used_ns")

    def __init__(self) -> None:
        self.used_ns: dict[int, int] = {}  #: process -> when it last read, wrote or accepted
        self.closed: Mapping[int, CallFacts] = NONE_YET  #: process -> its latest close


class Holders(SocketTracker[HolderFacts]):
    """Keeps, for each socket, the last use by each process."""

    kept = HolderFacts

    @returned(*READS, *WRITES, *ACCEPTS, "shutdown")
    def used(self, call: CallFacts) -> None:
        """A process did something with the socket."""
        if call.socket is not None:
            used = self.keep(call.socket).used_ns
            if call.call.process in used or len(used) < _PROCESSES:
                used[call.call.process] = call.end_ns

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """A process closed a descriptor of it."""
        if call.socket is not None and call.result == 0:
            facts = self.keep(call.socket)
            if call.call.process in facts.closed or len(facts.closed) < _PROCESSES:
                facts.closed = {**facts.closed, call.call.process: call}
