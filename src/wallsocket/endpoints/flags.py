"""Flags of send and receive calls, as plain numbers.

The constants of Python's ``socket`` module are enum members: combining two of them takes longer than a system call.
"""

from __future__ import annotations

import socket
from typing import Final

__all__ = [
    "CMSG_CLOEXEC",
    "CTRUNC",
    "DONTWAIT",
    "ERRQUEUE",
    "MORE",
    "NOSIGNAL",
    "OOB",
    "PEEK",
    "SEND_NOW",
    "TRUNC",
    "WAITALL",
]

CMSG_CLOEXEC: Final = int(socket.MSG_CMSG_CLOEXEC)
CTRUNC: Final = int(socket.MSG_CTRUNC)
DONTWAIT: Final = int(socket.MSG_DONTWAIT)
ERRQUEUE: Final = int(socket.MSG_ERRQUEUE)
MORE: Final = int(socket.MSG_MORE)
NOSIGNAL: Final = int(socket.MSG_NOSIGNAL)
OOB: Final = int(socket.MSG_OOB)
PEEK: Final = int(socket.MSG_PEEK)
TRUNC: Final = int(socket.MSG_TRUNC)
WAITALL: Final = int(socket.MSG_WAITALL)

#: Send without waiting, and without the signal that kills programs which do not expect it.
SEND_NOW: Final = DONTWAIT | NOSIGNAL
