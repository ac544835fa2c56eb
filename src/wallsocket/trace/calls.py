"""System calls as text: one recorded call as ``strace`` writes it, or short as people say it.

``connect(5, 127.0.0.1:80) = -1 ECONNREFUSED (Connection refused)``

What a column of a call means is the table in ``docs/recording.md``. Everything is made safe for a terminal here.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import Final

from ..events import Call
from ..kernel import names as naming
from .syscalls import Role, names, role
from .text import escape, printable_payload

__all__ = ["CallText", "address", "library_name", "named"]

#: Payload shown in one line unless more is asked for.
_PAYLOAD_BYTES: Final = 32
#: Entries of a poll set or of returned epoll events that are written out.
_ENTRIES: Final = 8
_POLL_ENTRY: Final = struct.Struct("<iHH")
_EPOLL_EVENT: Final = struct.Struct("<IQ")
_SOCK_NONBLOCK: Final = 0o4000
_EPOLL_CTL_DEL: Final = 2
_F_DUPFD: Final = 0
_F_GETFD: Final = 1
_F_SETFD: Final = 2
_F_GETFL: Final = 3
_F_SETFL: Final = 4
_F_DUPFD_CLOEXEC: Final = 1030

_Say = Callable[["CallText", Call], str]


class CallText:
    """Writes the calls of one machine.

    Args:
        machine: ``uname -m`` of the recording, from its meta.
        payload_bytes: payload shown per call, 0 for none.
    """

    def __init__(self, machine: str, *, payload_bytes: int = _PAYLOAD_BYTES) -> None:
        self._names = names(machine)
        self._payload_bytes = payload_bytes

    def name(self, call: Call) -> str:
        """The system call's name, or ``syscall 999`` when it has none here."""
        return self._names.get(call.number, f"syscall {call.number}")

    def role(self, call: Call) -> Role:
        """What the call does to a conversation."""
        return role(self.name(call), sends=call.c == 1)

    def full(self, call: Call) -> str:
        """The call with all arguments and its result, for a line of its own."""
        name = self.name(call)
        try:
            return f"{name}({self._arguments(name, call)}){self._result(name, call)}"
        except OverflowError:
            return self._raw(call)

    def short(self, call: Call) -> str:
        """The call as a programmer writes it, without the descriptor: ``recv(1024) = 0``."""
        try:
            return self._short(call)
        except OverflowError:
            return self._raw(call)

    def _raw(self, call: Call) -> str:
        """Numbers that no kernel uses, and so have no names."""
        values = ", ".join(str(value) for value in (call.fd, call.a, call.b, call.c) if value is not None)
        return f"{self.name(call)}({values}) = {_number(call.result)}"

    def _short(self, call: Call) -> str:
        name = self.name(call)
        word = name if name in _WITH_ADDRESS and call.address is not None else library_name(name)
        arguments = self._short_arguments(name, call)
        return f"{word}({arguments}){self._short_result(name, call)}"

    # -- all of it

    def _arguments(self, name: str, call: Call) -> str:
        say = _ARGUMENTS.get(name)
        if say is not None:
            return say(self, call)
        known = [call.fd, call.a, call.b, call.c]
        return ", ".join(str(value) for value in known if value is not None)

    def _result(self, name: str, call: Call) -> str:
        if call.result is None:
            return " has not returned"
        if call.errno is not None:
            return f" = {_error(call.errno)}"
        text = f" = {call.result}"
        moved = role(name, sends=call.c == 1)
        if moved is Role.RECEIVE and call.payload and call.result > 0 and self._payload_bytes:
            text += f" {self._payload(call)}"
        if call.flags:
            text += f" [{naming.message_flags(call.flags)}]"
        if name in ("fcntl",) and call.a == _F_GETFL:
            text += f" ({naming.status_flags(call.result)})"
        return text

    def _payload(self, call: Call) -> str:
        return printable_payload(call.payload or b"", limit=self._payload_bytes, total=call.result)

    def _sent(self, call: Call) -> str:
        """The bytes given to a send, or how many where they are not shown."""
        if call.payload and self._payload_bytes:
            limit = self._payload_bytes
            return f"{printable_payload(call.payload, limit=limit, total=call.length)}, {_number(call.length)}"
        return _number(call.length)

    # -- the short form

    def _short_arguments(self, name: str, call: Call) -> str:
        match name:
            case "connect" | "bind" | "sendto" | "recvfrom" | "sendmsg" | "recvmsg":
                parts = []
                if role(name) in (Role.SEND, Role.RECEIVE):
                    parts.append(_number(call.length))
                if call.address is not None:
                    parts.append(address(call.address))
                if call.a and name not in ("connect", "bind"):
                    parts.append(naming.message_flags(call.a))
                return ", ".join(parts)
            case "read" | "readv" | "write" | "writev" | "sendfile" | "splice":
                return _number(call.length)
            case "listen":
                return _number(call.a)
            case "shutdown":
                return naming.shutdown(call.a or 0).removeprefix("SHUT_")
            case "setsockopt" | "getsockopt":
                return ", ".join(part for part in _option(call, with_level=False, setting=name == "setsockopt") if part)
            case "fcntl" | "ioctl" | "dup" | "dup2" | "dup3":
                return self._arguments(name, call).partition(", ")[2]
            case "poll" | "ppoll" | "select" | "pselect6":
                return _timeout(call.b) or ""
            case "epoll_ctl":
                return self._arguments(name, call)
        return ""

    def _short_result(self, name: str, call: Call) -> str:
        if call.result is None:
            return ""
        if call.errno is not None:
            return f" {naming.error(call.errno)}"
        match role(name, sends=call.c == 1):
            case Role.SEND:
                return "" if call.result == call.length else f" = {call.result}"
            case Role.RECEIVE:
                more = f" [{naming.message_flags(call.flags)}]" if call.flags else ""
                return f" = {call.result}{more}"
            case Role.ACCEPT:
                return f" = fd {call.result}"
        if name in ("socket", "dup", "dup2", "dup3"):
            return f" = fd {call.result}"
        if role(name) is Role.WAIT:
            ready = [returned for _, _, returned in _entries(call.value, _POLL_ENTRY) if returned]
            if call.result == 0:
                return " timed out"
            return f" = {naming.poll_events(ready[0])}" if len(ready) == 1 else f" = {call.result}"
        if name == "fcntl" and call.result != 0:
            return f" = {call.result}"
        return ""


def library_name(name: str) -> str:
    """What programs call a system call: ``recv`` of ``recvfrom``, ``accept`` of ``accept4``."""
    return _LIBRARY_NAMES.get(name, name)


def named(say: Callable[..., str], *values: int) -> str:
    """A name for recorded numbers, or the last of them where it is one that no kernel uses."""
    try:
        return escape(say(*values))
    except OverflowError:
        return str(values[-1])


def address(raw: bytes) -> str:
    """A ``struct sockaddr`` as text; what cannot be decoded is shown as bytes."""
    return escape(naming.address(raw))


def _error(number: int) -> str:
    name = naming.error(number)
    text = os.strerror(number)
    return f"-1 {name}" if text.startswith("Unknown error") else f"-1 {name} ({text})"


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)


def _list(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part is not None)


def _socket(_: CallText, call: Call) -> str:
    family = call.a if call.a is not None else -1
    pair = None
    if call.value is not None and len(call.value) == 8:
        first, second = struct.unpack("<ii", call.value)
        pair = f"[{first}, {second}]"
    return _list(naming.family(family), naming.socket_type(call.b or 0), naming.protocol(family, call.c or 0), pair)


def _addressed(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), address(call.address) if call.address is not None else "NULL")


def _accept(_: CallText, call: Call) -> str:
    flags = naming.socket_type_flags(call.a) if call.a else None
    return _list(_number(call.fd), address(call.address) if call.address is not None else "NULL", flags)


def _send(text: CallText, call: Call) -> str:
    flags = naming.message_flags(call.a) if call.a else None
    to = address(call.address) if call.address is not None else None
    return _list(_number(call.fd), text._sent(call), flags, to, _control(call))


def _receive(_: CallText, call: Call) -> str:
    flags = naming.message_flags(call.a) if call.a else None
    sender = address(call.address) if call.address is not None else None
    return _list(_number(call.fd), _number(call.length), flags, sender, _control(call))


def _control(call: Call) -> str | None:
    return f"[{escape(naming.control_messages(call.value))}]" if call.value else None


def _many(_: CallText, call: Call) -> str:
    lengths = None
    if call.value:
        sizes = struct.unpack(f"<{len(call.value) // 4}I", call.value[: len(call.value) // 4 * 4])
        shown = ", ".join(map(str, sizes[:_ENTRIES]))
        lengths = f"[{shown}{', …' if len(sizes) > _ENTRIES else ''}]"
    flags = naming.message_flags(call.a) if call.a else None
    return _list(_number(call.fd), _number(call.b), flags, lengths)


def _write(text: CallText, call: Call) -> str:
    return _list(_number(call.fd), text._sent(call))


def _read(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), _number(call.length))


def _option(call: Call, *, with_level: bool, setting: bool) -> list[str | None]:
    level, number = call.a or 0, call.b or 0
    name, value = naming.option(level, number, call.value)
    if not setting and call.errno is not None:
        value = None
    shown = escape(value) if value is not None else None
    if not with_level:
        return [escape(name), shown]
    # An option without a name is told with its level, which stands before already.
    level_name = naming.level(level)
    return [level_name, escape(name.removeprefix(f"{level_name}/")), shown]


def _set_option(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), *_option(call, with_level=True, setting=True))


def _get_option(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), *_option(call, with_level=True, setting=False))


def _shutdown(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), naming.shutdown(call.a or 0))


def _listen(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), _number(call.a))


def _fcntl(_: CallText, call: Call) -> str:
    command = call.a if call.a is not None else -1
    argument: str | None = None
    if command == _F_SETFL:
        argument = naming.status_flags(call.b or 0)
    elif command == _F_SETFD:
        argument = naming.descriptor_flags(call.b or 0)
    elif command in (_F_DUPFD, _F_DUPFD_CLOEXEC) or (call.b and command not in (_F_GETFD, _F_GETFL)):
        argument = _number(call.b)
    return _list(_number(call.fd), naming.fcntl_command(command), argument)


def _ioctl(_: CallText, call: Call) -> str:
    argument = f"[{call.b}]" if call.b is not None else None
    if argument is None and call.value is not None:
        argument = printable_payload(call.value, limit=40)
    return _list(_number(call.fd), naming.ioctl_request(call.a or 0), argument)


def _poll(_: CallText, call: Call) -> str:
    watched = [f"{fd} {naming.poll_events(events)}" for fd, events, _ in _entries(call.value, _POLL_ENTRY)]
    ready = [
        f"{fd} {naming.poll_events(returned)}" for fd, _, returned in _entries(call.value, _POLL_ENTRY) if returned
    ]
    more = " → " + _few(ready) if ready else ""
    return _list(_few(watched) + more, _timeout(call.b))


def _epoll_wait(_: CallText, call: Call) -> str:
    ready = [f"{data} {naming.epoll_events(events)}" for events, data in _entries(call.value, _EPOLL_EVENT)]
    return _list(_number(call.fd), _few(ready), _number(call.a), _timeout(call.b))


def _epoll_ctl(_: CallText, call: Call) -> str:
    # What stands in the event of a removal is ignored (epoll_ctl(2)).
    events = naming.epoll_events(call.c) if call.c and call.a != _EPOLL_CTL_DEL else None
    return _list(_number(call.fd), naming.epoll_operation(call.a or 0), _number(call.b), events)


def _close_range(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), _number(call.b), str(call.c) if call.c else None)


def _two_descriptors(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), _number(call.a), _number(call.length))


def _splice(_: CallText, call: Call) -> str:
    ends = (call.a, call.fd) if call.c == 1 else (call.fd, call.a)
    return _list(_number(ends[0]), _number(ends[1]), _number(call.length))


def _duplicate(_: CallText, call: Call) -> str:
    return _list(_number(call.fd), str(call.a) if call.a is not None else None, "O_CLOEXEC" if call.b else None)


def _one_descriptor(_: CallText, call: Call) -> str:
    return _number(call.fd)


def _entries(value: bytes | None, entry: struct.Struct) -> Iterator[tuple[int, ...]]:
    if value:
        yield from entry.iter_unpack(value[: len(value) // entry.size * entry.size])


def _few(texts: list[str]) -> str:
    more = f", … {len(texts) - _ENTRIES} more" if len(texts) > _ENTRIES else ""
    return f"[{', '.join(texts[:_ENTRIES])}{more}]"


def _timeout(timeout_ms: int | None) -> str | None:
    if timeout_ms is None:
        return None
    return "no timeout" if timeout_ms < 0 else f"{timeout_ms} ms"


#: Calls of the C library that the kernel knows by another name only (their man pages, VERSIONS and NOTES).
_LIBRARY_NAMES: Final = {
    "accept4": "accept",
    "ppoll": "poll",
    "pselect6": "select",
    "recvfrom": "recv",
    "sendto": "send",
}
#: Those that are called by the kernel's name where they are given an address.
_WITH_ADDRESS: Final = frozenset({"recvfrom", "sendto"})

_ARGUMENTS: Final[dict[str, _Say]] = {
    "socket": _socket,
    "socketpair": _socket,
    "connect": _addressed,
    "bind": _addressed,
    "getsockname": _addressed,
    "getpeername": _addressed,
    "accept": _accept,
    "accept4": _accept,
    "listen": _listen,
    "shutdown": _shutdown,
    "setsockopt": _set_option,
    "getsockopt": _get_option,
    "sendto": _send,
    "sendmsg": _send,
    "recvfrom": _receive,
    "recvmsg": _receive,
    "sendmmsg": _many,
    "recvmmsg": _many,
    "read": _read,
    "readv": _read,
    "write": _write,
    "writev": _write,
    "sendfile": _two_descriptors,
    "splice": _splice,
    "dup": _duplicate,
    "dup2": _duplicate,
    "dup3": _duplicate,
    "fcntl": _fcntl,
    "ioctl": _ioctl,
    "poll": _poll,
    "ppoll": _poll,
    "select": _poll,
    "pselect6": _poll,
    "epoll_ctl": _epoll_ctl,
    "epoll_wait": _epoll_wait,
    "epoll_pwait": _epoll_wait,
    "epoll_pwait2": _epoll_wait,
    "close": _one_descriptor,
    "close_range": _close_range,
}
