"""What somebody wants to see of a recording: sockets, ports, processes, calls."""

from __future__ import annotations

import errno
import fnmatch
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple

from ..errors import UsageError
from ..events import Call
from ..kernel import names as naming
from ..kernel.address import end_of
from .calls import CallText, library_name
from .conversations import Conversation
from .labels import process_label
from .recording import Recording
from .syscalls import NUMBERS

__all__ = ["CallFilter", "Choice"]

#: Numbers of errors that have names (include/linux/errno.h: up to 530).
_MOST_ERRORS: Final = 532
_UNITS_NS: Final = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


class CallFilter(NamedTuple):
    """Which calls: a name that matches, and an error that matches, and a time that is reached."""

    names: tuple[str, ...] = ()  #: the kernel's (``recvfrom``) or the C library's (``recv``), with ``*`` and ``?``
    errors: tuple[str, ...] = ()  #: names of errors; ``failed``: any
    took_ns: int | None = None  #: at least; a call that never returned counts

    @classmethod
    def parse(cls, text: str) -> CallFilter:
        """``recv*,send*``, ``failed``, ``ECONNRESET``, ``>10ms``, and any of them with commas between.

        Raises:
            UsageError: a word is none of these: no call that is recorded, no error that Linux has.
        """
        names: list[str] = []
        errors: list[str] = []
        took_ns: int | None = None
        for word in filter(None, (part.strip() for part in text.split(","))):
            if (time := re.fullmatch(r">\s*(\d+(?:\.\d+)?)\s*([a-zµ]+)", word)) and time[2] in _UNITS_NS:
                took_ns = round(float(time[1]) * _UNITS_NS[time[2]])
            elif word == "failed":
                errors.append(word)
            elif word in _errors():
                errors.append(_errors()[word])
            elif re.fullmatch(r"[a-z0-9_]*[*?][a-z0-9_*?]*", word) or word in _names():
                names.append(word)
            else:
                raise UsageError(
                    f"--call {text}: {word!r} is no call (connect, recv*), error (ECONNRESET, failed) or time (>10ms)"
                )
        return cls(tuple(names), tuple(errors), took_ns)

    def matches(self, name: str, call: Call) -> bool:
        """Whether a call is wanted."""
        called = (name, library_name(name))
        if self.names and not any(fnmatch.fnmatchcase(one, pattern) for pattern in self.names for one in called):
            return False
        if self.errors:
            if call.errno is None:
                return False
            if "failed" not in self.errors and naming.error(call.errno) not in self.errors:
                return False
        return self.took_ns is None or call.took_ns is None or call.took_ns >= self.took_ns


@cache
def _names() -> frozenset[str]:
    """What a call may be called."""
    kernel = {name for numbers in NUMBERS.values() for name in numbers}
    return frozenset(kernel | {library_name(name) for name in kernel})


@cache
def _errors() -> Mapping[str, str]:
    """Names of errors, also the second ones that some have (``EWOULDBLOCK``), and what they are called here."""
    own = {name: name for number in range(1, _MOST_ERRORS) if (name := naming.error(number)).startswith("E")}
    return {name: naming.error(number) for name, number in vars(errno).items() if name.startswith("E")} | own


class Choice:
    """What is wanted of a recording; without any of the words all of it.

    Args:
        recording: the one that is looked at.
        socket: the id of a socket.
        port: a port that a socket has at either end.
        process: a pid, or the name of a program.
        call: which calls, as of :meth:`CallFilter.parse`.

    Raises:
        UsageError: the recording has no such socket, port or process.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        socket: int | None = None,
        port: int | None = None,
        process: str | None = None,
        call: str | None = None,
    ) -> None:
        if socket is not None and socket not in recording.sockets:
            raise UsageError(f"the recording has no socket {socket}; --states lists them")
        self.socket = socket  #: the one that was named, if one was
        self._text = CallText(recording.meta.get("machine", ""))
        self._call = CallFilter.parse(call) if call is not None else None
        self._processes = _processes(recording, process) if process is not None else None
        self.sockets: frozenset[int] | None = None  #: ids of those that are wanted; ``None``: all
        if socket is not None:
            self.sockets = frozenset({socket})
        if port is not None:
            there = _with_port(recording, port)
            if socket is not None and socket not in there:
                raise UsageError(
                    f"socket {socket} does not have port {port}; --states lists sockets with their addresses"
                )
            self.sockets = there if self.sockets is None else self.sockets & there
        if self._processes is not None and (self.sockets is None or not self.sockets):
            # In the ladder a process is seen by its sockets.
            self._drawn: frozenset[int] | None = frozenset(
                item.id for item in recording.sockets.values() if item.process in self._processes
            ) | _used_by(recording, self._processes)
        else:
            self._drawn = self.sockets

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.sockets is None and self._processes is None and self._call is None

    def matches(self, call: Call) -> bool:
        """Whether a call is wanted."""
        if self.sockets is not None and call.socket not in self.sockets and call.made not in self.sockets:
            return False
        if self._processes is not None and call.process not in self._processes:
            return False
        return self._call is None or self._call.matches(self._text.name(call), call)

    def has_process(self, process: int | None) -> bool:
        """Whether what a process did beside its calls is wanted."""
        if self.sockets is not None or self._call is not None:
            return False
        return self._processes is None or process in self._processes

    def draws(self, conversation: Conversation) -> bool:
        """Whether a conversation is wanted: one of its sockets is."""
        drawn = self._drawn
        return drawn is None or conversation.left in drawn or conversation.right in drawn


def _processes(recording: Recording, wanted: str) -> frozenset[int]:
    test: Callable[[int, str], bool]
    if wanted.isdecimal():
        number = int(wanted) if len(wanted) < 12 else -1
        test = lambda pid, name: pid == number  # noqa: E731
    else:
        test = lambda pid, name: fnmatch.fnmatchcase(name, wanted)  # noqa: E731
    found = frozenset(item.id for item in recording.processes.values() if test(item.pid, process_label(item)))
    if not found:
        known = ", ".join(f"{process_label(item)} ({item.pid})" for item in list(recording.processes.values())[:8])
        raise UsageError(f"the recording has no process {wanted!r}; there are {known or 'none'}")
    return found


def _used_by(recording: Recording, processes: frozenset[int]) -> frozenset[int]:
    """Sockets that processes had a descriptor of, inherited or received."""
    return frozenset(item.socket for item in recording.descriptors.values() if item.process in processes)


def _with_port(recording: Recording, port: int) -> frozenset[int]:
    found = {
        item.id
        for item in recording.sockets.values()
        if any(end is not None and end.port == port for end in (end_of(item.local), end_of(item.remote)))
    }
    # Where a socket wanted to go stands in its calls alone when nobody answered; so does whom it sent datagrams to.
    for call in recording.calls():
        # The address that accept returns is that of the socket that it made.
        socket = call.made if call.made is not None else call.socket
        if call.address is not None and socket is not None and socket not in found:
            end = end_of(call.address)
            if end is not None and end.port == port:
                found.add(socket)
    if not found:
        raise UsageError(f"no socket in the recording has port {port}; --states lists them")
    return frozenset(found)
