"""Calls that a signal interrupted, and what the program did next."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..tracker import SocketTracker, returned

__all__ = ["Interrupted", "InterruptedFacts"]


#: What the tracer sees in the place of EINTR before the signal's handler has run: ERESTARTSYS, ERESTARTNOINTR,
#: ERESTARTNOHAND, ERESTART_RESTARTBLOCK (include/linux/errno.h). A call that the kernel repeats by itself comes again.
_INTERRUPTED = (errno.EINTR, 512, 513, 514, 516)


class InterruptedFacts:
    """The latest interruption of one socket."""

    def __init__(self) -> None:
        self.call: CallFacts | None = None  #: that ended in EINTR, and was not repeated
        self.closed: CallFacts | None = None  #: the close or shutdown that followed without another call on the socket


class Interrupted(SocketTracker[InterruptedFacts]):
    """Follows each socket from EINTR to the next call on it."""

    kept = InterruptedFacts

    @returned()
    def did(self, call: CallFacts) -> None:
        """Any call."""
        socket = call.socket
        if socket is None:
            return
        if call.errno in _INTERRUPTED:
            facts = self.keep(socket)
            facts.call, facts.closed = call, None
            return
        found = socket.kept.get(self.place)
        if found is None or found.call is None or found.closed is not None:
            return
        if call.name in ("close", "shutdown"):
            found.closed = call
        elif call.name not in ("getsockopt", "getpeername", "getsockname", "ioctl", "fcntl"):
            found.call = None
