"""Unix datagrams that found no room, and whether the program offered them again."""

from __future__ import annotations

import errno

from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, entered, returned
from ..vocabulary import EPOLLOUT, POLL_CALLS, POLLOUT, SOCK_DGRAM, WRITES
from .polls import Polls

__all__ = ["UnixRefusalFacts", "UnixRefusals"]


class UnixRefusalFacts:
    """One sending socket."""

    __slots__ = ("_pending", "after", "dropped", "first")

    def __init__(self) -> None:
        self.dropped = 0  #: datagrams that were refused and not offered again
        self.first: CallFacts | None = None  #: the first of them
        self.after: CallFacts | None = None  #: what the program sent instead
        self._pending: CallFacts | None = None

    def refused(self, call: CallFacts) -> None:
        """A datagram found no room."""
        if self._pending is not None and not _same(self._pending, call):
            self._drop(call)
        self._pending = call

    def sent(self, call: CallFacts) -> None:
        """A datagram was taken."""
        if self._pending is not None and not _same(self._pending, call):
            self._drop(call)
        self._pending = None

    def waited(self) -> None:
        """The program waits until there is room."""
        self._pending = None

    def ended(self) -> None:
        """Nothing more will be sent."""
        if self._pending is not None:
            self._drop(None)
        self._pending = None

    def _drop(self, after: CallFacts | None) -> None:
        self.dropped += 1
        if self.first is None:
            self.first, self.after = self._pending, after


class UnixRefusals(SocketTracker[UnixRefusalFacts]):
    """Follows EAGAIN and ENOBUFS of Unix datagram sockets (unix(7))."""

    needs = (Polls,)
    kept = UnixRefusalFacts

    def _known(self, socket: SocketFacts | None) -> UnixRefusalFacts | None:
        return socket.kept.get(self.place) if socket is not None else None

    @returned(*WRITES, of="unix")
    def wrote(self, call: CallFacts) -> None:
        """A send returned."""
        socket = call.socket
        if socket is None or socket.type != SOCK_DGRAM:
            return
        if call.errno in (errno.EAGAIN, errno.ENOBUFS):
            self.keep(socket).refused(call)
        elif call.succeeded:
            found = self._known(socket)
            if found is not None:
                found.sent(call)

    @entered(*POLL_CALLS)
    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """The program waits for room."""
        for socket, entry in self.facts[Polls].watched(call):
            found = self._known(socket)
            if found is not None and entry.events & POLLOUT:
                found.waited()

    @returned("epoll_ctl", given=True)
    def watched(self, call: CallFacts) -> None:
        """The same by an event loop."""
        found = self._known(call.socket)
        if found is not None and call.epoll_events & EPOLLOUT:
            found.waited()

    @returned("close", given=True)
    def closed(self, call: CallFacts) -> None:
        """The end of the socket, or of one of its descriptors."""
        found = self._known(call.socket)
        if found is not None:
            found.ended()


def _same(one: CallFacts, other: CallFacts) -> bool:
    return one.length == other.length and one.payload == other.payload
