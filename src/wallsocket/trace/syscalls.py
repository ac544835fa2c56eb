"""Numbers of the system calls that are followed, by machine.

Sources: ``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h`` of Linux 6.x; the numbers
of a machine never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Final

__all__ = ["NUMBERS", "Role", "names", "role"]

_X86_64: Final[dict[str, int]] = {
    "read": 0,
    "write": 1,
    "close": 3,
    "poll": 7,
    "ioctl": 16,
    "readv": 19,
    "writev": 20,
    "select": 23,
    "dup": 32,
    "dup2": 33,
    "sendfile": 40,
    "socket": 41,
    "connect": 42,
    "accept": 43,
    "sendto": 44,
    "recvfrom": 45,
    "sendmsg": 46,
    "recvmsg": 47,
    "shutdown": 48,
    "bind": 49,
    "listen": 50,
    "getsockname": 51,
    "getpeername": 52,
    "socketpair": 53,
    "setsockopt": 54,
    "getsockopt": 55,
    "fcntl": 72,
    "epoll_create": 213,
    "restart_syscall": 219,
    "epoll_wait": 232,
    "epoll_ctl": 233,
    "pselect6": 270,
    "ppoll": 271,
    "splice": 275,
    "epoll_pwait": 281,
    "accept4": 288,
    "epoll_create1": 291,
    "dup3": 292,
    "recvmmsg": 299,
    "sendmmsg": 307,
    "io_uring_setup": 425,
    "close_range": 436,
    "pidfd_getfd": 438,
    "epoll_pwait2": 441,
}

_AARCH64: Final[dict[str, int]] = {
    "epoll_create1": 20,
    "epoll_ctl": 21,
    "epoll_pwait": 22,
    "dup": 23,
    "dup3": 24,
    "fcntl": 25,
    "ioctl": 29,
    "close": 57,
    "read": 63,
    "write": 64,
    "readv": 65,
    "writev": 66,
    "sendfile": 71,
    "pselect6": 72,
    "ppoll": 73,
    "splice": 76,
    "restart_syscall": 128,
    "socket": 198,
    "socketpair": 199,
    "bind": 200,
    "listen": 201,
    "accept": 202,
    "connect": 203,
    "getsockname": 204,
    "getpeername": 205,
    "sendto": 206,
    "recvfrom": 207,
    "setsockopt": 208,
    "getsockopt": 209,
    "shutdown": 210,
    "sendmsg": 211,
    "recvmsg": 212,
    "accept4": 242,
    "recvmmsg": 243,
    "sendmmsg": 269,
    "io_uring_setup": 425,
    "close_range": 436,
    "pidfd_getfd": 438,
    "epoll_pwait2": 441,
}

#: Calls that a thread may be found waiting in though they are not followed; only `inspect` meets them.
_X86_64_OTHERS: Final[dict[str, int]] = {
    "pause": 34,
    "nanosleep": 35,
    "wait4": 61,
    "msgrcv": 70,
    "flock": 73,
    "fsync": 74,
    "rt_sigtimedwait": 128,
    "rt_sigsuspend": 130,
    "futex": 202,
    "io_getevents": 208,
    "semtimedop": 220,
    "clock_nanosleep": 230,
    "mq_timedreceive": 243,
    "waitid": 247,
    "openat": 257,
    "io_uring_enter": 426,
    "futex_waitv": 449,
    "futex_wait": 455,
}
_AARCH64_OTHERS: Final[dict[str, int]] = {
    "io_getevents": 4,
    "flock": 32,
    "openat": 56,
    "fsync": 82,
    "waitid": 95,
    "futex": 98,
    "nanosleep": 101,
    "clock_nanosleep": 115,
    "rt_sigsuspend": 133,
    "rt_sigtimedwait": 137,
    "mq_timedreceive": 183,
    "msgrcv": 188,
    "semtimedop": 192,
    "wait4": 260,
    "io_uring_enter": 426,
    "futex_waitv": 449,
    "futex_wait": 455,
}
_OTHERS: Final[Mapping[str, Mapping[str, int]]] = {"x86_64": _X86_64_OTHERS, "aarch64": _AARCH64_OTHERS}

#: ``uname -m`` -> name -> number.
NUMBERS: Final[Mapping[str, Mapping[str, int]]] = {"x86_64": _X86_64, "aarch64": _AARCH64}


class Role(Enum):
    """What a call does to a conversation."""

    SEND = "send"
    RECEIVE = "receive"
    CONNECT = "connect"
    ACCEPT = "accept"
    END = "end"
    WAIT = "wait"
    SET_UP = "set up"


_ROLES: Final[dict[str, Role]] = {
    **dict.fromkeys(("write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile"), Role.SEND),
    **dict.fromkeys(("read", "readv", "recvfrom", "recvmsg", "recvmmsg"), Role.RECEIVE),
    **dict.fromkeys(("accept", "accept4"), Role.ACCEPT),
    **dict.fromkeys(("close", "close_range", "shutdown"), Role.END),
    **dict.fromkeys(
        ("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "restart_syscall"),
        Role.WAIT,
    ),
    "connect": Role.CONNECT,
}


@cache
def names(machine: str) -> Mapping[int, str]:
    """Number -> name on a machine; empty where its numbers are not known."""
    known = {**_OTHERS.get(machine, {}), **NUMBERS.get(machine, {})}
    return {number: name for name, number in known.items()}


def role(name: str, *, sends: bool = False) -> Role:
    """What the call of this name does; ``sends`` tells the two directions of splice apart."""
    if name == "splice":
        return Role.SEND if sends else Role.RECEIVE
    return _ROLES.get(name, Role.SET_UP)
