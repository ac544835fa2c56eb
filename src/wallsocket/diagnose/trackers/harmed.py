"""Where clients were connected to when they were told that the connection is broken."""

from __future__ import annotations

import errno

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, failed
from .peers import Peers
from .set_up import SetUp

__all__ = ["Harmed"]

_KEPT = 10_000
_OF_ONE = 16
_BROKEN = (errno.ECONNRESET, errno.EPIPE)


class Harmed(Tracker):
    """Keeps the destinations of connections that broke, and calls that were told so before anybody had accepted them."""

    needs = (Peers, SetUp)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._where: dict[tuple[Address, int | None], list[CallFacts]] = {}

    @failed
    def fails(self, call: CallFacts) -> None:
        """A call failed."""
        socket = call.socket
        if call.errno not in _BROKEN or socket is None or socket.origin == "accept" or socket.remote is None:
            return
        key = (socket.remote, socket.network)
        if key not in self._where and len(self._where) >= _KEPT:
            return
        told = self._where.setdefault(key, [])
        known = socket.local is not None and socket.local.port and self.facts[Peers].joins.peer(socket.id) is None
        if known and len(told) < _OF_ONE and all(one.socket is not socket for one in told):
            told.append(call)

    def by_listener(self, local: Address, network: int | None) -> bool:
        """Whether a client of that listener was told so."""
        if (local, network) in self._where:
            return True
        return local.wildcard and any(local.covers(where) and there == network for where, there in self._where)

    def waiting(self, local: Address, network: int | None, at_ns: int) -> list[CallFacts]:
        """Calls by which clients of a listener were told after a moment; they had connected before it, and nobody accepted them."""
        found: list[CallFacts] = []
        for (where, there), told in self._where.items():
            if there == network and (where == local or (local.wildcard and local.covers(where))):
                found += [call for call in told if self._waited(call, at_ns)]
        return found

    def _waited(self, call: CallFacts, at_ns: int) -> bool:
        connect = self.facts[SetUp].of(call.socket).connect if call.socket is not None else None
        return connect is not None and connect.end_ns < at_ns <= call.end_ns
