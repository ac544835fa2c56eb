"""Sockets that go to other programs: the call that left, or made, them without close-on-exec."""

from __future__ import annotations

from typing import Final

from ..call import CallFacts
from ..tracker import SocketTracker, returned
from .sockets import Sockets

__all__ = ["Inheritable"]

_SOCK_CLOEXEC: Final = 0x80000
_F_SETFD: Final = 2
_FD_CLOEXEC: Final = 1
_FIONCLEX: Final = 0x5450
_FIOCLEX: Final = 0x5451


class InheritableFacts:
    """Of one socket."""

    __slots__ = ("by",)

    def __init__(self) -> None:
        self.by: CallFacts | None = None  #: the call because of which exec keeps it open; ``None``: none, or not seen


class Inheritable(SocketTracker[InheritableFacts]):
    """Follows the flag close-on-exec (fcntl(2), ioctl_fionclex in include/uapi/asm-generic/ioctls.h)."""

    needs = (Sockets,)
    kept = InheritableFacts

    @returned("socket")
    def made(self, call: CallFacts) -> None:
        """A socket was made."""
        socket = self.facts[Sockets].get(call.call.made)
        if socket is not None and not (call.call.b or 0) & _SOCK_CLOEXEC:
            self.keep(socket).by = call

    @returned("fcntl", "ioctl")
    def flagged(self, call: CallFacts) -> None:
        """The flag of a descriptor was changed."""
        if call.socket is None or not call.succeeded:
            return
        row = call.call
        if (call.name == "fcntl" and row.a == _F_SETFD and not (row.b or 0) & _FD_CLOEXEC) or row.a == _FIONCLEX:
            self.keep(call.socket).by = call
        elif (call.name == "fcntl" and row.a == _F_SETFD) or row.a == _FIOCLEX:
            self.keep(call.socket).by = None
