"""Descriptor numbers that were closed, and what was called with them afterwards."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Recent, Tracker, failed, returned
from ..vocabulary import READS, WRITES

__all__ = ["ClosedNumbers", "Used"]

#: Closes that are remembered, and uses that are kept.
_CLOSES = 10_000
_USES = 256


class Used:
    """A number that was used after its close."""

    __slots__ = ("before", "closed", "count", "first")

    def __init__(self, closed: CallFacts, first: CallFacts, before: CallFacts | None) -> None:
        self.closed = closed
        self.first = first  #: the first call that failed
        self.before = before  #: the close of another socket that had had the number
        self.count = 0


class ClosedNumbers(Tracker):
    """Pairs EBADF, and ENOTSOCK, with the close of that number."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._closes: Recent[tuple[int, int], tuple[CallFacts, CallFacts | None]] = Recent(_CLOSES)
        #: Failures for which no close has returned yet: the tracer may see the failure first.
        self._early: Recent[tuple[int, int], CallFacts] = Recent(_USES)
        self._used: dict[int, Used] = {}  # by the id of the close
        self.uses: dict[int, list[Used]] = {}  #: by process

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """A descriptor of a socket was closed."""
        number = call.call.fd
        if number is not None and call.result == 0:
            key = call.call.process, number
            call = call.without_samples()
            before, _ = self._closes.get(key, (None, None))
            self._closes[key] = call, before
            used = self._early.pop(key, None)
            if used is not None and call.entry_ns <= used.end_ns:
                self._keep(call, used, before)

    @failed
    def fails(self, call: CallFacts) -> None:
        """A call failed."""
        number = call.call.fd
        if number is None or number < 0 or call.name == "close":
            return
        # A file may have the number by then. Asking what a number is does no harm: only who sends or receives means a socket.
        reused = call.errno == errno.ENOTSOCK and call.name in READS | WRITES
        if call.errno != errno.EBADF and not reused:
            return
        key = call.call.process, number
        known = self._closes.get(key)
        if known is not None:
            self._keep(known[0], call, known[1])
        else:
            self._early[key] = call

    def _keep(self, closed: CallFacts, used: CallFacts, before: CallFacts | None) -> None:
        if (
            closed.socket is not None
            and closed.socket.origin == "socketpair"
            and used.name in WRITES
            and used.length == 1
        ):
            # One byte to wake an event loop, which ended just then: asyncio and others do not mind.
            return
        found = self._used.get(closed.call.id)
        if found is None:
            if len(self._used) >= _USES:
                return
            found = self._used[closed.call.id] = Used(closed, used, before)
            self.uses.setdefault(used.call.process, []).append(found)
        found.count += 1

    def after(self, closed: CallFacts) -> Used | None:
        """What was called with a number after this close."""
        return self._used.get(closed.call.id)
