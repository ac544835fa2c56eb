"""Socket options of one socket: asked, in force, and why they differ.

The table of all options is `wallsocket.kernel.options`; this is its use on a socket.
"""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from typing import Any

import msgspec

from ..kernel import causes, here, limits
from ..kernel import options as table
from ..kernel.options import OptionValue, SocketOption

__all__ = ["OptionWarning", "Options", "Setting", "get", "live", "set_option"]


class OptionWarning(UserWarning):
    """The kernel put another value in force than was asked for; the text says which and why."""


class Setting(msgspec.Struct, frozen=True):
    """What setting an option did.

    Attributes:
        option: what was set.
        asked: the value that was asked for.
        in_force: the value that the kernel reports now; ``None`` when the option cannot be read.
        clamped: why it is not what was asked for; ``None`` when it is.

    """

    option: SocketOption
    asked: Any
    in_force: Any
    clamped: str | None


def get(sock: socket.socket, name: str) -> OptionValue:
    """Return the value in force, with its unit; see `wallsocket.kernel.options.get`."""
    return table.get(sock, name)


def set_option(sock: socket.socket, name: str, value: Any) -> Setting:
    """Set an option and return what is in force; warn (`OptionWarning`) when it is less than was asked for.

    Args:
        sock: the socket.
        name: ``"SO_RCVBUF"``, ``"TCP_NODELAY"``, ...
        value: in the form that `get` returns.

    Raises:
        UsageError: no such option, or a value of another form.
        OSError: the kernel's refusal, with the reason as a note where the table knows it.

    """
    option = table.named(name)
    try:
        table.put(sock, option, value)
    except OSError as error:
        if isinstance(error, PermissionError) and option.privilege:
            error.add_note(f"{option.name} needs {option.privilege}")
        elif option.when:
            error.add_note(f"{option.name} can be set {option.when}")
        raise
    in_force = table.get(sock, option).value if option.readable else None
    clamped = _clamped(option, value, in_force)
    if clamped is not None:
        warnings.warn(clamped, OptionWarning, stacklevel=3)
    return Setting(option, value, in_force, clamped)


def _clamped(option: SocketOption, asked: Any, in_force: Any) -> str | None:
    if type(asked) is not int or type(in_force) is not int:
        return None
    if option.name in ("SO_RCVBUF", "SO_SNDBUF"):
        # The kernel doubles what it grants, for its own overhead (socket(7)).
        if in_force >= 2 * asked:
            return None
        cause = causes.buffer_clamped(option.name, asked, in_force, limits.read(here.sysctl))
        return f"{cause.sentence}; {cause.fix}" if cause is not None else None
    if asked == in_force or isinstance(asked, bool):
        return None
    unit = f" {option.unit}" if option.unit else ""
    return f"{option.name}: asked for {asked}{unit}, {in_force}{unit} in force"


class Options:
    """The options of one socket, by name: ``endpoint.options["SO_RCVBUF"]``.

    Reading gives the value in force; assigning sets it, and warns (`OptionWarning`) when the kernel put less in force.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def __repr__(self) -> str:
        if self._socket.fileno() < 0:
            return "<Options of a closed socket>"
        kind = f"{self._socket.family.name} {self._socket.type.name}"
        return f"<Options of an {kind} socket, {sum(1 for _ in self)} by name>"

    def __getitem__(self, name: str) -> Any:
        return table.get(self._socket, name).value

    def __setitem__(self, name: str, value: Any) -> None:
        set_option(self._socket, name, value)

    def set(self, name: str, value: Any) -> Setting:
        """Set an option; return what was asked for, what is in force, and why they differ."""
        return set_option(self._socket, name, value)

    def describe(self, name: str) -> OptionValue:
        """Return the value in force with its text: unit, names of bits."""
        return table.get(self._socket, name)

    def __iter__(self) -> Iterator[str]:
        """Names of the options that this socket has."""
        return (value.option.name for value in live(self._socket))


def live(sock: socket.socket) -> list[OptionValue]:
    """Return every option that can be read from ``sock`` now, without changing anything."""
    kinds = table.kinds_of(sock)
    found = []
    for option in table.table():
        if not option.readable or option.reading_changes or option.secret:
            continue
        if option.applies and kinds and not kinds & set(option.applies):
            continue
        try:
            found.append(table.get(sock, option))
        except OSError:
            continue
    return found
