"""Processes that closed their listeners, and the connections that they had accepted."""

from __future__ import annotations

from collections import OrderedDict

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, returned
from ..vocabulary import ACCEPTS
from .set_up import SetUp
from .sockets import Sockets

__all__ = ["ListenersClosed"]

_PROCESSES = 1000
_CONNECTIONS = 256


class ListenersClosed(Tracker):
    """Keeps the first close of a listener by process, and the latest accepted connections."""

    needs = (SetUp, Sockets)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._closed: dict[int, CallFacts] = {}
        self._accepted: dict[int, OrderedDict[int, None]] = {}

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """A descriptor was closed."""
        if call.socket is None or self.facts[SetUp].of(call.socket).listen is None or call.result != 0:
            return
        if len(self._closed) < _PROCESSES:
            self._closed.setdefault(call.call.process, call)

    @returned(*ACCEPTS)
    def accepted(self, call: CallFacts) -> None:
        """A connection was accepted."""
        made = call.call.made
        if made is None or (call.call.process not in self._accepted and len(self._accepted) >= _PROCESSES):
            return
        kept = self._accepted.setdefault(call.call.process, OrderedDict())
        kept[made] = None
        if len(kept) > _CONNECTIONS:
            kept.popitem(last=False)

    def of(self, process: int) -> CallFacts | None:
        """The close of the process' first listener."""
        return self._closed.get(process)

    def connections(self, process: int) -> list[SocketFacts]:
        """Those of its connections that have not been retired."""
        found = (self.facts[Sockets].get(number) for number in self._accepted.get(process, ()))
        return [socket for socket in found if socket is not None]
