"""Datagrams by the port they went to."""

from __future__ import annotations

from collections import deque

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, returned
from ..vocabulary import WRITES

__all__ = ["Datagrams"]

#: Datagrams to one port that are kept, and in all: when there are so many, each port keeps as many as it has.
_KEPT = 1024
_ALL = 50_000
#: Ports that are told apart.
_PORTS = 4096


class Datagrams(Tracker):
    """Keeps the latest datagrams that went to each port."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._to: dict[int, deque[CallFacts]] = {}
        self._count = 0

    @returned(*WRITES, of="messages")
    def sent(self, call: CallFacts) -> None:
        """A datagram was sent."""
        socket = call.socket
        if socket is None or not call.succeeded:
            return
        where = call.address or socket.remote
        if where is None:
            return
        queue = self._to.get(where.port)
        if queue is None:
            if len(self._to) >= _PORTS:
                return
            queue = self._to[where.port] = deque(maxlen=_KEPT)
        if self._count < _ALL:
            self._count += len(queue) < _KEPT
        elif queue:
            queue.popleft()
        else:
            return
        queue.append(call)

    def to(self, port: int) -> deque[CallFacts] | tuple[()]:
        """The latest datagrams that were sent to a port."""
        return self._to.get(port, ())
