"""Whether a server answers on the connections that it accepts at one line."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, returned
from ..vocabulary import WRITES

__all__ = ["Answered"]

_KEPT = 10_000


class Answered(Tracker):
    """Keeps the listeners whose connections were written to."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._listeners: set[int] = set()

    @returned(*WRITES, moved=True)
    def wrote(self, call: CallFacts) -> None:
        """Bytes were sent."""
        socket = call.socket
        if socket is None or socket.origin != "accept" or socket.parent is None:
            return
        if len(self._listeners) < _KEPT:
            self._listeners.add(socket.parent)

    def at(self, socket: SocketFacts) -> bool:
        """Whether some connection of the same listener was answered."""
        return socket.parent in self._listeners
