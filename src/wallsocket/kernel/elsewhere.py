"""The host of another process: its network namespace, for those who may enter it (setns(2): CAP_SYS_ADMIN)."""

from __future__ import annotations

import ctypes
import os
import socket as _socket
import threading

from .host import Here

__all__ = ["Elsewhere"]

_CLONE_NEWNET = 0x4000_0000


class Elsewhere(Here):
    """Makes its sockets in the network namespace of a process, and reads what that sees.

    A namespace is a thread's: each socket is made by a thread of its own, which enters the namespace and ends, so the
    caller stays where it is. Names are looked up as the calling process does.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.name = f"network namespace of pid {pid}"

    def socket(
        self, family: int = _socket.AF_INET, kind: int = _socket.SOCK_STREAM, proto: int = 0, /
    ) -> _socket.socket:
        """Return a socket of that namespace.

        Raises:
            OSError: EPERM: this user may not enter it; ENOENT: the process is gone; or the kernel has no such socket.

        """
        made: list[_socket.socket] = []
        failed: list[OSError] = []

        def make() -> None:
            try:
                _enter(self.pid)
                made.append(_socket.socket(family, kind, proto))
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=make, name="enters a namespace")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def read_proc(self, path: str) -> str:
        """Return the text of ``/proc/PATH``; what is under ``net`` is that of the namespace."""
        with open(f"/proc/{self.pid}/{path}" if path.startswith("net/") else f"/proc/{path}", encoding="utf-8") as file:
            return file.read()

    def __repr__(self) -> str:
        return f"<Host of pid {self.pid}>"


def _enter(pid: int) -> None:
    """Move the calling thread into the network namespace of a process."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
    finally:
        os.close(descriptor)
