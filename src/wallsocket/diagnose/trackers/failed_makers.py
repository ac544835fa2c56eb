"""Calls that should have made a descriptor and failed, and what was then done with the number -1."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Tracker, failed, returned

__all__ = ["FailedMakers"]

_MAKERS = frozenset(
    {"socket", "accept", "accept4", "socketpair", "dup", "pidfd_getfd", "epoll_create", "epoll_create1"}
)
#: Threads whose latest failure is kept, and uses that are kept.
_THREADS = 4096
_USES = 256


class FailedMakers(Tracker):
    """Pairs a failed call that returns descriptors with the next use of -1 by the same thread."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._latest: dict[tuple[int, int], CallFacts] = {}
        self.uses: dict[int, list[tuple[CallFacts, CallFacts]]] = {}  #: process -> (what failed, use of -1)
        self._count = 0

    @returned()
    def uses_another(self, call: CallFacts) -> None:
        """The thread goes on with a descriptor that it has: what failed before was looked at."""
        if self._latest and call.succeeded and call.call.fd is not None:
            self._latest.pop(call.thread, None)

    @failed
    def fails(self, call: CallFacts) -> None:
        """Any call failed."""
        if call.name in _MAKERS and call.errno not in (errno.EAGAIN, errno.EINTR):
            if call.thread in self._latest or len(self._latest) < _THREADS:
                self._latest[call.thread] = call
        elif call.errno == errno.EBADF and call.call.fd == -1:
            made = self._latest.pop(call.thread, None)
            if made is not None and self._one_function(made, call) and self._count < _USES:
                self._count += 1
                self.uses.setdefault(call.call.process, []).append((made, call))

    def _one_function(self, made: CallFacts, used: CallFacts) -> bool:
        """Whether both calls may be of one function: a runtime's closed socket has the number -1, too."""
        here, there = self.facts.source(made.call), self.facts.source(used.call)
        return here is None or there is None or (here.file, here.function) == (there.file, there.function)
