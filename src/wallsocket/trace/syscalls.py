"""The system calls that concern sockets: what each is, its number by machine, and where a recording has its arguments.

The table itself is in Rust (``wallsocket_kernel::syscalls``), where the tracer reads it; everything in Python that says
what a call is reads it here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Final

import msgspec

from .. import _core
from ..events import Call

__all__ = [
    "ACCEPTS",
    "CONNECTS",
    "EPOLL_WAITS",
    "NUMBERS",
    "POLLS",
    "READS",
    "WRITES",
    "Arguments",
    "Role",
    "Subject",
    "Syscall",
    "Value",
    "moved",
    "names",
    "role",
    "syscalls",
]


class Subject(Enum):
    """What a call does with its first argument."""

    NEW = "new"  #: it makes sockets
    SOCKET = "socket"  #: a socket, or the call fails with ENOTSOCK
    ANY = "any"  #: any descriptor
    SET = "set"  #: it watches, or closes, many descriptors
    UNFOLLOWED = "unfollowed"  #: not in a trace; ``inspect`` meets threads that wait in it


class Role(Enum):
    """What a call does to a conversation."""

    SEND = "send"
    RECEIVE = "receive"
    EITHER = "either"  #: ``splice``, whose argument ``into_socket`` decides; see :func:`role`
    CONNECT = "connect"
    ACCEPT = "accept"
    END = "end"
    WAIT = "wait"
    SET_UP = "set up"


class Value(Enum):
    """What the column ``value`` of a call holds; forms: docs/recording.md."""

    NOTHING = "nothing"
    CONTROL = "control"
    LENGTHS = "lengths"
    OPTION = "option"
    DESCRIPTORS = "descriptors"
    POLL_ENTRIES = "poll entries"
    EPOLL_DATA = "epoll data"
    EPOLL_EVENTS = "epoll events"
    STRUCTURE = "structure"


class Syscall(msgspec.Struct, frozen=True):
    """A system call.

    Attributes:
        name: its name.
        numbers: ``uname -m`` -> its number there.
        subject: what its first argument is.
        role: what it does to a conversation.
        arguments: what the columns ``a``, ``b`` and ``c`` are, empty where nothing.
        value: what the column ``value`` is.

    """

    name: str
    numbers: Mapping[str, int]
    subject: Subject
    role: Role
    arguments: tuple[str, str, str]
    value: Value


_MACHINES: Final = ("x86_64", "aarch64")


def _read() -> tuple[Syscall, ...]:
    return tuple(
        Syscall(
            name,
            {machine: number for machine, number in zip(_MACHINES, numbers, strict=True) if number is not None},
            Subject(subject),
            Role(role),
            (arguments[0], arguments[1], arguments[2]),
            Value(value),
        )
        for name, *numbers, subject, role, arguments, value in _core.trace.syscalls()
    )


_ALL: Final = _read()
_BY_NAME: Final = {call.name: call for call in _ALL}

#: ``uname -m`` -> name -> number, of the calls that a trace follows.
NUMBERS: Final[Mapping[str, Mapping[str, int]]] = {
    machine: {
        call.name: call.numbers[machine]
        for call in _ALL
        if machine in call.numbers and call.subject is not Subject.UNFOLLOWED
    }
    for machine in _MACHINES
}


def _with(*roles: Role) -> frozenset[str]:
    return frozenset(call.name for call in _ALL if call.role in roles)


#: Names of calls that take bytes from a socket.
READS: Final = _with(Role.RECEIVE)
#: Names of calls that give bytes to a socket; ``splice``, which may do either, is among them.
WRITES: Final = _with(Role.SEND, Role.EITHER)
#: Names of calls that take a connection.
ACCEPTS: Final = _with(Role.ACCEPT)
#: Names of calls that begin a connection.
CONNECTS: Final = _with(Role.CONNECT)
#: Names of calls that wait for a set of descriptors given with the call.
POLLS: Final = frozenset(call.name for call in _ALL if call.value is Value.POLL_ENTRIES)
#: Names of calls that wait for the descriptors of an epoll set.
EPOLL_WAITS: Final = frozenset(call.name for call in _ALL if call.value is Value.EPOLL_EVENTS)


@cache
def syscalls(machine: str) -> Mapping[int, Syscall]:
    """Number -> call on a machine (``uname -m``); empty where its numbers are not known."""
    return {call.numbers[machine]: call for call in _ALL if machine in call.numbers}


@cache
def names(machine: str) -> Mapping[int, str]:
    """Number -> name on a machine; empty where its numbers are not known."""
    return {number: call.name for number, call in syscalls(machine).items()}


def role(name: str, *, sends: bool = False) -> Role:
    """What the call of this name does; ``sends`` tells the two directions of splice apart."""
    call = _BY_NAME.get(name)
    if call is None:
        return Role.SET_UP
    if call.role is Role.EITHER:
        return Role.SEND if sends else Role.RECEIVE
    return call.role


def may_send(name: str) -> bool:
    """Whether a call of this name may give bytes away."""
    return role(name, sends=True) is Role.SEND


class Arguments:
    """The arguments of one call by name, as numbers; ``None`` where the call has no such argument or it is not known.

    A pointer's content is in the call itself: ``address``, ``value``, ``length``.
    """

    __slots__ = ("_call", "_names")

    def __init__(self, name: str, call: Call) -> None:
        known = _BY_NAME.get(name)
        self._names = known.arguments if known is not None else ("", "", "")
        self._call = call

    def __repr__(self) -> str:
        values = (self._call.a, self._call.b, self._call.c)
        return ", ".join(f"{name}={value}" for name, value in zip(self._names, values, strict=True) if name)

    def _named(self, name: str) -> int | None:
        first, second, third = self._names
        call = self._call
        return call.a if name == first else call.b if name == second else call.c if name == third else None

    @property
    def family(self) -> int | None:
        """``AF_*`` of ``socket`` and ``socketpair``."""
        return self._named("family")

    @property
    def type(self) -> int | None:
        """``SOCK_*`` with flag bits, of ``socket`` and ``socketpair``."""
        return self._named("type")

    @property
    def protocol(self) -> int | None:
        """Protocol number of ``socket`` and ``socketpair``."""
        return self._named("protocol")

    @property
    def backlog(self) -> int | None:
        """Of ``listen``."""
        return self._named("backlog")

    @property
    def flags(self) -> int | None:
        """``MSG_*`` of sends and receives, ``SOCK_*`` of ``accept4``, ``O_CLOEXEC`` of ``dup3``, ``SPLICE_F_*``."""
        return self._named("flags")

    @property
    def messages(self) -> int | None:
        """How many messages ``sendmmsg`` or ``recvmmsg`` was asked to move."""
        return self._named("messages")

    @property
    def how(self) -> int | None:
        """``SHUT_*`` of ``shutdown``."""
        return self._named("how")

    @property
    def level(self) -> int | None:
        """``SOL_*`` or ``IPPROTO_*`` of ``setsockopt`` and ``getsockopt``."""
        return self._named("level")

    @property
    def option(self) -> int | None:
        """The option's number of ``setsockopt`` and ``getsockopt``."""
        return self._named("option")

    @property
    def option_length(self) -> int | None:
        """Bytes given to ``setsockopt``, returned by ``getsockopt``."""
        return self._named("option_length")

    @property
    def other_fd(self) -> int | None:
        """The descriptor at the other end of ``sendfile`` and ``splice``."""
        return self._named("other_fd")

    @property
    def into_socket(self) -> bool | None:
        """Whether ``splice`` moves bytes into the socket."""
        value = self._named("into_socket")
        return None if value is None else value != 0

    @property
    def new_fd(self) -> int | None:
        """The number asked of ``dup2`` and ``dup3``."""
        return self._named("new_fd")

    @property
    def last_fd(self) -> int | None:
        """The last number that ``close_range`` closes."""
        return self._named("last_fd")

    @property
    def command(self) -> int | None:
        """``F_*`` of ``fcntl``."""
        return self._named("command")

    @property
    def request(self) -> int | None:
        """The request of ``ioctl``."""
        return self._named("request")

    @property
    def argument(self) -> int | None:
        """What ``fcntl`` or ``ioctl`` was given; of ``FIONREAD`` and ``SIOCOUTQ`` the number that came back."""
        return self._named("argument")

    @property
    def entries(self) -> int | None:
        """How many descriptors ``poll`` watches."""
        return self._named("entries")

    @property
    def descriptors(self) -> int | None:
        """One more than the highest descriptor that ``select`` looks at."""
        return self._named("descriptors")

    @property
    def timeout_ms(self) -> int | None:
        """Time limit of ``poll``, ``select`` and ``epoll_wait`` in milliseconds; -1: none."""
        return self._named("timeout_ms")

    @property
    def maximum(self) -> int | None:
        """Most events that ``epoll_wait`` may return."""
        return self._named("maximum")

    @property
    def operation(self) -> int | None:
        """``EPOLL_CTL_*``."""
        return self._named("operation")

    @property
    def watched_fd(self) -> int | None:
        """The descriptor that ``epoll_ctl`` is about."""
        return self._named("watched_fd")

    @property
    def events(self) -> int | None:
        """``EPOLL*`` bits that ``epoll_ctl`` asks for."""
        return self._named("events")


def moved(call: Call, name: str) -> tuple[int, int]:
    """Bytes and messages that a send or receive moved; none when it failed or did not return."""
    if call.result is None or call.result < 0:
        return 0, 0
    if name not in ("sendmmsg", "recvmmsg"):
        return call.result, 1
    sizes = call.value or b""
    lengths = struct.unpack(f"<{len(sizes) // 4}I", sizes[: len(sizes) // 4 * 4])
    return sum(lengths[: call.result]), call.result
