"""Binds and connects of Unix names that failed, and those that succeeded later."""

from __future__ import annotations

import errno
from typing import NamedTuple

from ..call import CallFacts
from ..facts import Facts
from ..tracker import Recent, Tracker, failed, returned
from .unix_names import name_of

__all__ = ["UnixFailure", "UnixFailures"]

#: Failures of one process, and names of which the latest success is kept.
_OF_ONE = 64
_KEPT = 10_000


class UnixFailure(NamedTuple):
    """A bind or connect of a name that nobody would serve."""

    call: CallFacts
    name: bytes


class UnixFailures(Tracker):
    """Keeps EADDRINUSE of bind and ECONNREFUSED of connect and send, by process."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[int, list[UnixFailure]] = {}
        self._got: Recent[tuple[int, bytes], int] = Recent(_KEPT)

    @failed
    def fails(self, call: CallFacts) -> None:
        """Any call failed."""
        socket = call.socket
        if socket is None or not socket.unix or call.errno not in (errno.EADDRINUSE, errno.ECONNREFUSED):
            return
        name = name_of(call.call.address)
        if name is None or (call.call.process not in self._of and len(self._of) >= _KEPT):
            return
        failures = self._of.setdefault(call.call.process, [])
        if len(failures) < _OF_ONE:
            failures.append(UnixFailure(call, name))

    @returned("bind", "connect")
    def succeeded(self, call: CallFacts) -> None:
        """A name was had."""
        if call.succeeded and call.socket is not None and call.socket.unix:
            name = name_of(call.call.address)
            if name is not None:
                self._got[call.call.process, name] = call.end_ns

    def of(self, process: int) -> list[UnixFailure]:
        """The failures of a process."""
        return self._of.get(process, [])

    def got_over(self, failure: UnixFailure) -> bool:
        """Whether the process bound or reached the name later."""
        return self._got.get((failure.call.call.process, failure.name), -1) > failure.call.end_ns
