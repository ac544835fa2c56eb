"""Sockets that were given the numbers 0 to 2, and what was done with these numbers afterwards."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, entered, returned
from ..vocabulary import ACCEPTS
from .set_up import SetUp
from .sockets import Sockets

__all__ = ["StandardNumberFacts", "StandardNumbers"]


class StandardNumberFacts:
    """A socket with the number of a standard stream."""

    __slots__ = ("hit", "made", "number", "written")

    def __init__(self) -> None:
        self.made: CallFacts | None = None  #: the call that returned the number
        self.number = -1
        self.hit: CallFacts | None = None  #: a call that was meant for the stream
        self.written: CallFacts | None = (
            None  #: a write at the number of an output: to the peer, or text for the stream
        )


class StandardNumbers(SocketTracker[StandardNumberFacts]):
    """Follows sockets with the numbers 0 to 2."""

    needs = (SetUp, Sockets)
    kept = StandardNumberFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._at: dict[tuple[int, int], int] = {}  # (process, number) -> socket

    @returned("socket", *ACCEPTS)
    def made(self, call: CallFacts) -> None:
        """A descriptor was made."""
        if call.result is None or not 0 <= call.result <= 2:
            return
        socket = self.facts[Sockets].get(call.call.made)
        if socket is not None and len(self._at) < 10_000:
            facts = self.keep(socket)
            facts.made, facts.number = call, call.result
            self._at[call.call.process, call.result] = socket.id

    @entered("dup2", "dup3")
    def duplicated(self, call: CallFacts) -> None:
        """Something else is put at a number."""
        target = call.call.a
        if target is None or not 0 <= target <= 2:
            return
        socket = self.facts[Sockets].get(self._at.get((call.call.process, target)))
        # The row has the source where that is a socket, else what it replaces: the target.
        same = call.call.fd != target and call.socket is socket
        if socket is not None and not same:
            self._hit(socket.id, call)

    @returned("write", "writev", given=True)
    def wrote(self, call: CallFacts) -> None:
        """Text for a stream goes to a listening socket, or fails on one that is not connected."""
        socket = call.socket
        if socket is None or socket.kept.get(self.place) is None or call.call.fd is None:
            return
        if self.facts[SetUp].of(socket).listen is not None and call.errno is not None:
            self._hit(socket.id, call)
        elif call.moved and call.call.fd in (1, 2) and self._at.get((call.call.process, call.call.fd)) == socket.id:
            facts = self.keep(socket)
            facts.written = facts.written or call

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """The number is free again."""
        if call.call.fd is not None:
            self._at.pop((call.call.process, call.call.fd), None)

    def _hit(self, id: int, call: CallFacts) -> None:
        socket = self.facts[Sockets].get(id)
        if socket is not None:
            facts = self.keep(socket)
            facts.hit = facts.hit or call
