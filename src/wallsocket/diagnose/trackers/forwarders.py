"""Programs that connect onward for a client that they have accepted."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import LatestOf, Tracker, failed, returned
from ..vocabulary import SO_ERROR, SOL_SOCKET
from .descriptors import Descriptors
from .set_up import SetUp

__all__ = ["Forwarders"]

#: Connects that are kept, and those of one process.
_KEPT = 10_000
_OF_ONE = 256
_ON_ITS_WAY = (errno.EINPROGRESS, errno.EALREADY, errno.EISCONN, errno.EINTR)
_NO_WAY = (errno.ECONNREFUSED, errno.ENOENT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)


class Forwarders(Tracker):
    """Keeps, by process, the latest connects that failed."""

    needs = (Descriptors, SetUp)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: LatestOf[int, tuple[CallFacts, CallFacts]] = LatestOf(_KEPT, _OF_ONE)

    @failed
    def fails(self, call: CallFacts) -> None:
        """Any call failed."""
        if call.name == "connect" and call.errno in _NO_WAY and call.socket is not None:
            self._add(call, call)

    @returned("getsockopt")
    def asked(self, call: CallFacts) -> None:
        """SO_ERROR told of a connect that did not block."""
        if call.succeeded and call.socket is not None and call.option == (SOL_SOCKET, SO_ERROR):
            connect = self.facts[SetUp].of(call.socket).connect
            if call.option_number in _NO_WAY and connect is not None and connect.errno in _ON_ITS_WAY:
                self._add(connect, call)

    def _add(self, connect: CallFacts, seen: CallFacts) -> None:
        if connect.socket is None or not (connect.socket.tcp or connect.socket.unix):
            return
        if connect.address is not None and connect.address.name_cache:
            return
        self._of.add(connect.call.process, (connect.without_samples(), seen.without_samples()))

    def failed_for(self, client: SocketFacts, until_ns: int) -> tuple[CallFacts, CallFacts] | None:
        """The last connect of a process that has the client which began and failed while the client was served."""
        found = None
        # The one that accepts often has a child that serves.
        for connect, seen in (
            one for process in self.facts[Descriptors].owners(client) for one in self._of.of(process)
        ):
            if connect.entry_ns >= client.created_ns and seen.end_ns <= until_ns:
                found = connect, seen
        return found
