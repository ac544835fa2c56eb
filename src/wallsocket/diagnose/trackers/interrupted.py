"""Calls that a signal interrupted, and what the program did next."""

from __future__ import annotations

from ...events import Mark
from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, failed, on_mark, returned
from ..vocabulary import INTERRUPTED

__all__ = ["Interrupted", "InterruptedFacts"]

#: Processes whose latest interruption is known.
_PROCESSES = 10_000


class InterruptedFacts:
    """The latest interruption of one socket."""

    def __init__(self) -> None:
        self.call: CallFacts | None = None  #: that ended in EINTR, and was not repeated
        self.closed: CallFacts | None = None  #: the close or shutdown that followed without another call on the socket
        self.signal = ""  #: that interrupted it, such as SIGALRM; empty: not seen
        self.earlier = False  #: the process had been sent this signal before


class Interrupted(SocketTracker[InterruptedFacts]):
    """Follows each socket from EINTR to the next call on it."""

    kept = InterruptedFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._latest: dict[int, InterruptedFacts] = {}
        self._sent: set[tuple[int, str]] = set()

    @on_mark
    def signalled(self, mark: Mark) -> None:
        """A signal is seen after the call that it ends, and before the next one."""
        if mark.kind != "signal" or mark.process is None:
            return
        found = self._latest.get(mark.process)
        if found is not None and found.call is not None and found.closed is None and not found.signal:
            found.signal = mark.text
            found.earlier = (mark.process, mark.text) in self._sent
        if len(self._sent) < _PROCESSES:
            self._sent.add((mark.process, mark.text))

    @failed
    def fails(self, call: CallFacts) -> None:
        """A call failed, perhaps by a signal."""
        if call.errno in INTERRUPTED and call.socket is not None:
            facts = self.keep(call.socket)
            facts.call, facts.closed, facts.signal, facts.earlier = call, None, "", False
            if call.call.process in self._latest or len(self._latest) < _PROCESSES:
                self._latest[call.call.process] = facts

    @returned(given=True)
    def did(self, call: CallFacts) -> None:
        """Any call after that."""
        if call.socket is None or call.errno in INTERRUPTED:
            return
        found = self.keep(call.socket)
        if found.call is None or found.closed is not None:
            return
        if call.name in ("close", "shutdown"):
            found.closed = call
        elif call.name not in ("getsockopt", "getpeername", "getsockname", "ioctl", "fcntl"):
            found.call = None
