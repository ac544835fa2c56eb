"""Calls on a socket that failed."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, failed

__all__ = ["ErrorFacts", "Errors"]

#: Failed calls kept of one socket: the first ones tell more than the last.
_ERRORS = 16
#: No failures: the program is to wait, or to try again.
_LATER = (errno.EAGAIN, errno.EINTR)


class ErrorFacts:
    """The failed calls of one socket."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls: list[CallFacts] = []


class Errors(SocketTracker[ErrorFacts]):
    """Keeps the first failed calls of each socket."""

    kept = ErrorFacts

    @failed
    def fail(self, call: CallFacts) -> None:
        """A call failed."""
        if call.socket is not None and call.errno not in _LATER:
            calls = self.keep(call.socket).calls
            if len(calls) < _ERRORS:
                calls.append(call)

    def first(
        self, socket: SocketFacts, codes: tuple[int, ...], names: frozenset[str] | None = None
    ) -> CallFacts | None:
        """The first call (of these names) that failed with one of the errors."""
        for call in self.of(socket).calls:
            if call.errno in codes and (names is None or call.name in names):
                return call
        return None
