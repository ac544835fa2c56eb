"""Programs that look for the largest datagram that a path takes."""

from __future__ import annotations

from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import IPPROTO_IP, IPPROTO_IPV6, MSG_ERRQUEUE, READS

__all__ = ["PathSizeFacts", "PathSizes"]

_IP_MTU = 14  # linux/in.h
_IPV6_MTU = 24  # linux/in6.h


class PathSizeFacts:
    """One socket."""

    __slots__ = ("last_ns",)

    def __init__(self) -> None:
        self.last_ns = -1  #: when it last asked


class PathSizes(SocketTracker[PathSizeFacts]):
    """Notes when a program asks for IP_MTU or reads the error queue (ip(7))."""

    kept = PathSizeFacts

    @returned("getsockopt")
    def option(self, call: CallFacts) -> None:
        """An option was asked for."""
        if call.socket is not None and call.option in ((IPPROTO_IP, _IP_MTU), (IPPROTO_IPV6, _IPV6_MTU)):
            self.keep(call.socket).last_ns = call.entry_ns

    @returned(*READS)
    def errors(self, call: CallFacts) -> None:
        """The error queue was read."""
        if call.socket is not None and call.flags & MSG_ERRQUEUE:
            self.keep(call.socket).last_ns = call.entry_ns

    def asked(self, socket: SocketFacts, since_ns: int) -> bool:
        """Whether the program asked after a time."""
        return self.of(socket).last_ns >= since_ns
