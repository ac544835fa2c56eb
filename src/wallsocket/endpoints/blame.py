"""Which socket call a traceback ends in, read from the source line and the variables of its frame.

Only names, attributes in an instance's own dictionary, constants, tuples and indices are looked at; nothing is called.
"""

from __future__ import annotations

import ast
import linecache
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

__all__ = ["Blamed", "blame"]

#: Methods of ``socket.socket`` -> our word for the call, and which argument is the address.
_METHODS: Final[dict[str, tuple[str, int | None]]] = {
    "connect": ("connect", 0),
    "bind": ("bind", 0),
    "listen": ("listen", None),
    "accept": ("accept", None),
    "send": ("send", None),
    "sendall": ("send", None),
    "sendto": ("send", -1),
    "sendmsg": ("send", 3),
    "recv": ("receive", None),
    "recvfrom": ("receive", None),
    "recv_into": ("receive", None),
    "recvmsg": ("receive", None),
}


@dataclass(frozen=True, slots=True)
class Blamed:
    """What could be read; ``None`` for the rest."""

    call: str | None = None
    sock: socket.socket | None = None
    address: Any = None


class _Unreadable(Exception):
    """An expression that would have to run code."""


def blame(trace: TracebackType | None) -> Blamed:
    """Return the socket call in the innermost frame of ``trace`` that has one."""
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    for each in reversed(frames):
        found = _in_frame(each)
        if found is not None:
            return found
    return Blamed()


def _in_frame(trace: TracebackType) -> Blamed | None:
    frame, code = trace.tb_frame, trace.tb_frame.f_code
    positions = list(code.co_positions())
    index = trace.tb_lasti // 2
    if not 0 <= index < len(positions):
        return None
    first, last, start, end = positions[index]
    if first is None or last is None or start is None or end is None:
        return None
    lines = [linecache.getline(code.co_filename, number, frame.f_globals) for number in range(first, last + 1)]
    text = "".join(lines).encode()
    # Columns count bytes; `end` is on the last line.
    stop = len("".join(lines[:-1]).encode()) + end
    try:
        node = ast.parse(text[start:stop].decode().strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _METHODS:
        return None
    call, place = _METHODS[node.func.attr]
    names = {**frame.f_globals, **frame.f_locals}
    try:
        sock = _value(node.func.value, names)
    except _Unreadable:
        sock = None
    if not isinstance(sock, socket.socket):
        sock = None
    address = None
    if place is not None:
        try:
            address = _value(node.args[place], names)
        except (_Unreadable, IndexError):
            address = None
    elif sock is not None and sock.fileno() >= 0:
        address = _end(sock, local=call in ("listen", "accept"))
    return Blamed(call, sock, address)


def _end(sock: socket.socket, *, local: bool) -> Any:
    try:
        return sock.getsockname() if local else sock.getpeername()
    except OSError:
        return None


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.Tuple):
        return tuple(_value(each, names) for each in node.elts)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, names)
        try:
            return object.__getattribute__(owner, "__dict__")[node.attr]
        except (AttributeError, KeyError):
            raise _Unreadable from None
    if isinstance(node, ast.Subscript):
        owner, key = _value(node.value, names), _value(node.slice, names)
        if type(owner) in (dict, list, tuple) and type(key) in (int, str):
            try:
                return owner[key]
            except (KeyError, IndexError):
                raise _Unreadable from None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        left, right = _value(node.left, names), _value(node.right, names)
        if type(left) is int and type(right) is int:
            return left + right if isinstance(node.op, ast.Add) else left - right
    raise _Unreadable
