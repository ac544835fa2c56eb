"""Connects that do not block, and whether anybody waited for what became of them."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import POLL_CALLS
from .polls import Polls

__all__ = ["Connecting", "ConnectingFacts"]

#: Calls that ask for nothing: they do not tell what became of the connection.
_NO_QUESTIONS = frozenset({"setsockopt", "fcntl", "ioctl", "getsockname", "bind", "close"})


class ConnectingFacts:
    """One connect that was told EINPROGRESS, of which nobody has asked what became of it."""

    __slots__ = ("begun", "closed")

    def __init__(self) -> None:
        self.begun: CallFacts | None = None  #: the connect that is on its way
        self.closed: CallFacts | None = None  #: the close that came without having asked


class Connecting(SocketTracker[ConnectingFacts]):
    """Follows each such connect until somebody asks, or closes."""

    needs = (Polls,)
    kept = ConnectingFacts

    @returned("connect")
    def began(self, call: CallFacts) -> None:
        """A connect returned."""
        if call.socket is None:
            return
        if call.errno == errno.EINPROGRESS:
            facts = self.keep(call.socket)
            facts.begun, facts.closed = call, None
        else:
            self.drop(call.socket)

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A poll returned: whoever polls waits."""
        for socket, _ in self.facts[Polls].watched(call):
            self.drop(socket)

    @returned(given=True)
    def used(self, call: CallFacts) -> None:
        """Any other call on the socket."""
        socket = call.socket
        if socket is None or call.name == "connect":
            return
        if call.name == "close":
            self.keep(socket).closed = call
        elif call.name not in _NO_QUESTIONS:
            self.drop(socket)
