"""Sockets as awkward as the standard allows, at the seam between operations and drivers.

An endpoint made over an `AwkwardSocket` meets, at every call and from a seed, what the kernel may do at any time:
EAGAIN, EINTR, and reads and writes of a single byte.
"""

from __future__ import annotations

import errno
import random
import socket
from typing import Any, Final

__all__ = ["AwkwardSocket"]


class AwkwardSocket:
    """A socket whose calls come short.

    Args:
        sock: the real socket; everything else is passed on to it.
        seed: of the random choices.
        trouble: share of calls that fail with EAGAIN or EINTR.
        piece: bytes that one call on a stream moves at most; ``None``: as many as asked.
    """

    def __init__(self, sock: socket.socket, seed: int, *, trouble: float = 0.5, piece: int | None = 1) -> None:
        self._sock: Final = sock
        self._random: Final = random.Random(seed)  # noqa: S311  not for secrets
        self._trouble: Final = trouble
        self._piece: Final = piece if sock.type == socket.SOCK_STREAM else None
        #: How many calls failed on purpose.
        self.troubles = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def _may_fail(self) -> None:
        if self._random.random() < self._trouble:
            self.troubles += 1
            if self._random.random() < 0.5:
                raise BlockingIOError(errno.EAGAIN, "made awkward")
            raise InterruptedError(errno.EINTR, "made awkward")

    def _size(self, wanted: int) -> int:
        return wanted if self._piece is None else min(wanted, self._random.randint(1, self._piece))

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive a piece."""
        self._may_fail()
        return self._sock.recv(self._size(size), flags & ~socket.MSG_WAITALL)

    def recv_into(self, buffer: memoryview, size: int = 0, flags: int = 0) -> int:
        """Receive a piece."""
        self._may_fail()
        return self._sock.recv_into(buffer, self._size(size or len(buffer)), flags & ~socket.MSG_WAITALL)

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """Receive a datagram."""
        self._may_fail()
        return self._sock.recvfrom(size, flags)

    def recvmsg(self, *arguments: Any) -> Any:
        """Receive a datagram."""
        self._may_fail()
        return self._sock.recvmsg(*arguments)

    def recvmsg_into(self, *arguments: Any) -> Any:
        """Receive a datagram."""
        self._may_fail()
        return self._sock.recvmsg_into(*arguments)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send a piece."""
        self._may_fail()
        view = memoryview(data)
        return self._sock.send(view[: self._size(len(view))] if len(view) else view, flags)

    def sendto(self, *arguments: Any) -> int:
        """Send a datagram."""
        self._may_fail()
        return self._sock.sendto(*arguments)

    def sendmsg(self, *arguments: Any) -> int:
        """Send a datagram."""
        self._may_fail()
        return self._sock.sendmsg(*arguments)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        self._may_fail()
        return self._sock.accept()
