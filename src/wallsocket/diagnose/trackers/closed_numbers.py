"""Descriptor numbers that were closed, and what was called with them afterwards."""

from __future__ import annotations

import errno
from collections import OrderedDict

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, failed, returned
from ..vocabulary import WRITES

__all__ = ["ClosedNumbers"]

#: Closes that are remembered, and uses that are kept.
_CLOSES = 10_000
_USES = 256


class ClosedNumbers(Tracker):
    """Pairs EBADF with the close of that number."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._closes: OrderedDict[tuple[int, int], CallFacts] = OrderedDict()
        #: Failures for which no close has returned yet: the tracer may see the failure first.
        self._early: OrderedDict[tuple[int, int], CallFacts] = OrderedDict()
        self._count = 0
        self.uses: dict[int, list[tuple[CallFacts, CallFacts]]] = {}  #: process -> (close, use)

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """A descriptor of a socket was closed."""
        number = call.call.fd
        if number is not None and call.result == 0:
            key = call.call.process, number
            self._closes[key] = call
            self._closes.move_to_end(key)
            if len(self._closes) > _CLOSES:
                self._closes.popitem(last=False)
            used = self._early.pop(key, None)
            if used is not None and call.entry_ns <= used.end_ns:
                self._keep(call, used)

    @failed
    def fails(self, call: CallFacts) -> None:
        """A call failed."""
        number = call.call.fd
        if call.errno != errno.EBADF or number is None or number < 0 or call.name == "close":
            return
        key = call.call.process, number
        closed = self._closes.get(key)
        if closed is not None:
            self._keep(closed, call)
        else:
            self._early[key] = call
            if len(self._early) > _USES:
                self._early.popitem(last=False)

    def _keep(self, closed: CallFacts, used: CallFacts) -> None:
        if (
            closed.socket is not None
            and closed.socket.origin == "socketpair"
            and used.name in WRITES
            and used.length == 1
        ):
            # One byte to wake an event loop, which ended just then: asyncio and others do not mind.
            return
        if self._count < _USES:
            self._count += 1
            self.uses.setdefault(used.call.process, []).append((closed, used))
