"""What a person would notice: calls that failed, waits that nothing ended, datagrams dropped."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, failed, returned

__all__ = ["FailedCalls", "Symptoms"]

#: No failures: the program is to wait, to try again, or is told that it has begun.
_NO_FAILURES = frozenset({errno.EAGAIN, errno.EINTR, errno.EINPROGRESS, errno.EALREADY, 512, 513, 514, 516})
#: Groups that are told apart, and calls of one group that are kept.
_GROUPS = 10_000
_CALLS = 256


class FailedCalls:
    """Calls of one kind that failed in one way at one line of one process."""

    __slots__ = ("calls", "count", "errno", "first", "name", "process", "source")

    def __init__(self, call: CallFacts, error: int) -> None:
        self.name = call.name
        self.errno = error
        self.process = call.call.process
        self.source = call.call.source
        self.first = call
        self.count = 0
        self.calls: list[tuple[int, int | None, int]] = []  #: (id, socket, when it returned) of the first ones


class Symptoms(Tracker):
    """Keeps failed calls, grouped as findings are."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.failed: dict[tuple[int, str, int, int | None], FailedCalls] = {}
        self.beyond = 0  #: failed calls of groups that were too many to be kept

    @failed
    def fails(self, call: CallFacts) -> None:
        """A call failed."""
        if call.errno not in _NO_FAILURES:
            self._add(call, call.errno or 0)

    @returned("getsockopt")
    def asked(self, call: CallFacts) -> None:
        """A pending error that the program asked for counts as a call that failed."""
        if call.succeeded and call.option == (1, 4) and call.option_number:
            self._add(call, call.option_number)

    def _add(self, call: CallFacts, error: int) -> None:
        row = call.call
        key = (row.process, call.name, error, row.source)
        group = self.failed.get(key)
        if group is None:
            if len(self.failed) >= _GROUPS:
                self.beyond += 1
                return
            group = self.failed[key] = FailedCalls(call, error)
        group.count += 1
        if len(group.calls) < _CALLS:
            group.calls.append((row.id, row.socket, call.end_ns))
