"""Accepting: what TCP and Unix listeners have in common."""

from __future__ import annotations

import errno
import socket
import warnings
from typing import TYPE_CHECKING, Final, TypeVar

from .base import Base
from .states import TCP
from .steps import READABLE, Pause, Steps
from .stream import StreamSteps

if TYPE_CHECKING:
    from ..kernel import Host

__all__ = ["AcceptedT", "Accepting"]

#: Errors of accept() that belong to one lost connection, not to the listener (accept(2), "Error handling").
_LOST: Final = frozenset(
    {
        errno.ECONNABORTED, errno.ENETDOWN, errno.EPROTO, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET,
        errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EPERM,
    }
)  # fmt: skip
#: Errors of accept() that pass when something is closed or freed.
_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_CAN_ACCEPT: Final = TCP.allowing("accept")

AcceptedT = TypeVar("AcceptedT", bound=StreamSteps)


class Accepting(Base):
    """A listening socket that goes on whatever becomes of single connections."""

    graph = TCP

    def __init__(self, sock: socket.socket, host: Host, state: str) -> None:
        super().__init__(sock, host, state)
        # A connection may vanish between poll() and accept(): a blocking accept() would then hang past its deadline.
        sock.setblocking(False)
        self._accepted = 0
        self._lost = 0
        self._starved = 0

    @property
    def accepted(self) -> int:
        """Connections that accept() returned."""
        return self._accepted

    @property
    def lost(self) -> int:
        """Connections that were gone before accept() took them."""
        return self._lost

    @property
    def starved(self) -> int:
        """How often accept() had to wait because no descriptor or memory was left (EMFILE, ENFILE, ENOBUFS, ENOMEM)."""
        return self._starved

    def _accept(self, kind: type[AcceptedT]) -> Steps[AcceptedT]:
        if self._state not in _CAN_ACCEPT:
            self._wrong("accept")
        pause_s = 0.05
        while True:
            starving: str | None = None
            try:
                sock, _ = self._socket.accept()
            except BlockingIOError:
                pass
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno in _LOST:
                    self._lost += 1
                    continue
                if error.errno not in _FULL:
                    raise self._failed(error, "accept") from None
                self._starved += 1
                starving = error.strerror
            else:
                self._accepted += 1
                return self._made(sock, kind)
            if starving is None:
                yield READABLE
                continue
            if self._starved == 1:
                text = (
                    f"{self!r}: accept() failed: {starving}; connections wait in the backlog until something is closed"
                )
                warnings.warn(text, ResourceWarning, stacklevel=2)
            yield Pause(pause_s)
            pause_s = min(pause_s * 2, 1.0)

    def _made(self, sock: socket.socket, kind: type[AcceptedT]) -> AcceptedT:
        """Return a connection around ``sock``."""
        sock.setblocking(True)
        return kind(sock, self._host, "established")
