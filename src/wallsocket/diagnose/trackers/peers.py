"""The traced socket at the other end of a connection, by the one join of ``trace.joins``."""

from __future__ import annotations

from ...trace.joins import Joins
from ..call import CallFacts
from ..facts import Facts
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import Tracker, on_end, on_met, on_retire, on_sample, returned
from ..vocabulary import ACCEPTS, READS, WRITES
from .sockets import Sockets

__all__ = ["Peers"]


class Peers(Tracker):
    """Feeds the join and answers with sockets."""

    needs = (Sockets,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._sockets = facts[Sockets]
        self.joins = Joins(facts.tables)

    def of(self, socket: SocketFacts) -> SocketFacts | None:
        """The traced socket at the other end; ``None``: not traced, not known which, or retired."""
        peer = self.joins.peer(socket.id)
        return self._sockets.get(peer.socket) if peer is not None else None

    def inferred(self, socket: SocketFacts) -> bool:
        """Whether the peer is a conclusion rather than a fact."""
        peer = self.joins.peer(socket.id)
        return peer is not None and peer.inferred

    @on_met
    def met(self, socket: SocketFacts) -> None:
        """A socket, or a new row of it."""
        self.joins.learn(socket.id)

    @returned("connect", "socketpair", *ACCEPTS)
    def joined(self, call: CallFacts) -> None:
        """A call that joins sockets."""
        self.joins.see(call.call)

    @returned(*READS, *WRITES)
    def spoke(self, call: CallFacts) -> None:
        """A datagram with an address."""
        if call.call.address is not None:
            self.joins.see(call.call)

    @on_sample(more=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """Addresses that have become known."""
        row, last = sample.row, socket.last
        if row.local is None and row.remote is None:
            return
        if last is None or last.row.local != row.local or last.row.remote != row.remote:
            self.joins.see(row)

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """A socket that nobody will ask about again."""
        self.joins.forget((socket.id,))

    @on_end
    def finish(self) -> None:
        """No more events will come."""
        self.joins.finish()
