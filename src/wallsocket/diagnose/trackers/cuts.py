"""Reads of text that ended inside a character; the tracer looks at their last bytes (fact ``text``)."""

from __future__ import annotations

from ...events import Fact
from ..call import CallFacts
from ..facts import Facts, json_object
from ..tracker import Recent, SocketTracker, on_fact, returned
from ..vocabulary import MSG_PEEK, READS, WRITES

__all__ = ["CutFacts", "Cuts"]

#: Facts whose call has not come: those of calls that were lost let the oldest go.
_PENDING = 1_000


class CutFacts:
    """The latest of one socket."""

    __slots__ = ("bytes", "read")

    def __init__(self) -> None:
        self.read: CallFacts | None = None  #: nothing was read or written since
        self.bytes = 0  #: of the character that have come


class Cuts(SocketTracker[CutFacts]):
    """Notes them until the program goes on with the stream."""

    kept = CutFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._pending: Recent[int, int] = Recent(_PENDING)

    @on_fact
    def looked(self, fact: Fact) -> None:
        """What the tracer saw; it comes before the end of the call."""
        if fact.kind == "text" and fact.call is not None:
            cut = json_object(fact.value).get("cut")
            if cut in (1, 2, 3):
                self._pending[fact.call] = cut

    @returned(*READS, *WRITES)
    def moved(self, call: CallFacts) -> None:
        """A read or a write."""
        socket = call.socket
        cut = self._pending.pop(call.call.id, 0)
        if socket is None or not socket.stream or call.flags & MSG_PEEK:
            return
        if cut:
            facts = self.keep(socket)
            facts.read, facts.bytes = call, cut
        elif self.place in socket.kept and call.moved:
            self.keep(socket).read = None
