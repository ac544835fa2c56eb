"""Where clients were connected to when they were told that the connection is broken."""

from __future__ import annotations

import errno

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, failed

__all__ = ["Harmed"]

_KEPT = 10_000
_BROKEN = (errno.ECONNRESET, errno.EPIPE)


class Harmed(Tracker):
    """Keeps the destinations of connections that broke."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._where: set[tuple[Address, int | None]] = set()

    @failed
    def fails(self, call: CallFacts) -> None:
        """A call failed."""
        socket = call.socket
        broke = call.errno in _BROKEN and socket is not None and socket.origin != "accept"
        if broke and socket is not None and socket.remote is not None and len(self._where) < _KEPT:
            self._where.add((socket.remote, socket.network))

    def by_listener(self, local: Address, network: int | None) -> bool:
        """Whether a client of that listener was told so."""
        if (local, network) in self._where:
            return True
        return local.wildcard and any(local.covers(where) and there == network for where, there in self._where)
