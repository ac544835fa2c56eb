"""The table of socket options, and reading and setting them by name.

>>> import socket
>>> with socket.socket() as sock:
...     put(sock, "SO_RCVTIMEO", 2.5)
...     get(sock, "SO_RCVTIMEO").text
'2500 ms'
"""

from __future__ import annotations

import errno
import functools
import socket
from typing import Any

import msgspec

from .._core.kernel import SocketOption, get_option, option_table, set_option
from ..errors import UsageError

__all__ = ["OptionValue", "SocketOption", "find", "get", "kinds_of", "named", "put", "table"]


class OptionValue(msgspec.Struct, frozen=True):
    """A value read from a socket.

    Attributes:
        option: what was read.
        value: a bool, number, text, bytes, list, or a dict of a struct's members; time limits are seconds (float, 0 for
            none); ``None`` for keys, which are not shown.
        text: the value for people, with its unit and the names of its bits.

    """

    option: SocketOption
    value: Any
    text: str


@functools.cache
def table() -> tuple[SocketOption, ...]:
    """Every option, by level and number."""
    return tuple(option_table())


@functools.cache
def _by_name() -> dict[str, SocketOption]:
    return {option.name: option for option in table()}


@functools.cache
def _by_number() -> dict[tuple[int, int], SocketOption]:
    return {(option.level, option.number): option for option in table()}


def find(level: int, number: int) -> SocketOption | None:
    """Return the option of that level and number, or ``None`` when the table does not have it."""
    return _by_number().get((level, number))


def named(name: str) -> SocketOption:
    """Return the option called ``name`` (``"SO_RCVBUF"``); capitals do not matter.

    Raises:
        UsageError: there is none; the text names similar ones.

    """
    option = _by_name().get(name.upper()) or next((o for o in table() if o.name.upper() == name.upper()), None)
    if option is None:
        import difflib

        close = difflib.get_close_matches(name.upper(), _by_name(), n=3)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise UsageError(f"no socket option is called {name!r}{hint}")
    return option


def kinds_of(sock: socket.socket) -> frozenset[str]:
    """Return what the socket is, in the words of `SocketOption.applies`; empty for what the table does not know."""
    return _kinds().get((sock.family, sock.type), frozenset())


@functools.cache
def _kinds() -> dict[tuple[int, int], frozenset[str]]:
    kinds: dict[tuple[int, int], str] = {
        (socket.AF_INET, socket.SOCK_STREAM): "tcp",
        (socket.AF_INET, socket.SOCK_DGRAM): "udp",
        (socket.AF_INET, socket.SOCK_RAW): "raw",
        (socket.AF_INET6, socket.SOCK_STREAM): "tcp6",
        (socket.AF_INET6, socket.SOCK_DGRAM): "udp6",
        (socket.AF_INET6, socket.SOCK_RAW): "raw6",
        (socket.AF_NETLINK, socket.SOCK_RAW): "netlink",
        (socket.AF_NETLINK, socket.SOCK_DGRAM): "netlink",
    }
    kinds.update({(socket.AF_UNIX, kind): "unix" for kind in (1, 2, 5)})
    kinds.update({(socket.AF_PACKET, kind): "packet" for kind in (2, 3)})
    kinds.update({(socket.AF_VSOCK, kind): "vsock" for kind in (1, 2, 5)})
    kinds[(socket.AF_ALG, socket.SOCK_SEQPACKET)] = "alg"
    return {key: frozenset({kind}) for key, kind in kinds.items()}


def get(sock: socket.socket, option: SocketOption | str) -> OptionValue:
    """Read an option of a socket.

    Raises:
        UsageError: the option can only be set.
        OSError: the kernel's refusal: ENOPROTOOPT and EOPNOTSUPP mean that this socket or kernel does not have it.

    """
    if isinstance(option, str):
        option = named(option)
    if not option.readable:
        raise UsageError(f"{option.name} can only be set, not read")
    value, text = option.decode(_read(sock, option))
    return OptionValue(option, value, text)


def _read(sock: socket.socket, option: SocketOption) -> bytes:
    sizes: tuple[int, ...] = (option.read_size,)
    if option.kind == "address":
        # SO_PEERNAME refuses a buffer longer than the address is (net/core/sock.c).
        sizes = tuple(range(128, 1, -1)) if sock.family == socket.AF_UNIX else (128, 28, 16)
    for size in sizes[:-1]:
        try:
            return get_option(sock.fileno(), option.level, option.number, size)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return get_option(sock.fileno(), option.level, option.number, sizes[-1])


def put(sock: socket.socket, option: SocketOption | str, value: Any) -> None:
    """Set an option of a socket.

    Args:
        sock: the socket.
        option: the option or its name.
        value: in the form that `get` returns; numbers with names may be given by name, structs as a dict.

    Raises:
        UsageError: the value has not the option's form, or the option can only be read.
        OSError: the kernel's refusal; EPERM means that `SocketOption.privilege` is missing.

    """
    if isinstance(option, str):
        option = named(option)
    try:
        data = option.encode(value)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    set_option(sock.fileno(), option.level, option.number, data)
