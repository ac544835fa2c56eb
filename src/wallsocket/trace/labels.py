"""What things are called: one name for a process, a socket, a conversation and a line of code, in every view."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from ..events import Call, Known, Network, Process
from ..kernel import names as naming
from ..kernel import program
from ..kernel.address import end_of
from .calls import address, named
from .conversations import Conversation
from .text import escape
from .timeline import Timeline

__all__ = ["conversation_title", "process_label", "process_title", "socket_label", "source_text"]

_AF_UNIX: Final = 1


def process_label(process: Process | None) -> str:
    """The name that people know a program by, safe for a terminal."""
    found = program.name_of_command(process.command, process.executable) if process is not None else ""
    return escape(found) or program.UNKNOWN


def process_title(process: Process | None, networks: Mapping[int, Network]) -> str:
    """A process as every view writes it: ``server.py (pid 7)``, in a host of a lab ``server.py (pid 7) on a``."""
    title = program.label(process_label(process), process.pid if process is not None else None)
    network = networks.get(process.network) if process is not None and process.network is not None else None
    return f"{title} on {escape(network.name)}" if network is not None and network.name else title


def source_text(timeline: Timeline, call: Call, *, here: str | None = None) -> str:
    """The line of code of a call and how it is known; ``here`` is the file that needs no name.

    In parentheses, behind its name, where a function begins of which no line is known.
    """
    source = timeline.source_of(call)
    if source is None or call.known == Known.UNKNOWN:
        return ""
    if source.file is not None and source.line is not None:
        name = os.path.basename(source.file)
        place = f"line {source.line}" if name == here else f"{escape(name)}:{source.line}"
        if source.begins:
            place = f"{escape(source.name or '')} ({place})"
    elif source.file is None and source.function is not None:
        # Of a program without debug information.
        place = escape(source.name or "")
    else:
        return ""
    match call.known:
        case Known.CREATOR:
            return f"made at {place}"
        case Known.AWAITING:
            return f"awaited at {place}"
        case Known.LIBRARY:
            return f"in {place}"
    return place


def socket_label(timeline: Timeline, socket: int) -> str:
    """``socket 3  upper.py (pid 70)``."""
    row = timeline.tracks[socket].socket
    if row.inferred:
        return f"socket {socket}  {address(row.local or b'')} [inferred]"
    return f"socket {socket}  {process_title(timeline.processes.get(row.process), timeline.recording.networks)}"


def conversation_title(timeline: Timeline, conversation: Conversation) -> str:
    """``tcp 127.0.0.1:51822 → 127.0.0.1:4567``."""
    item = timeline.tracks[conversation.left].socket
    local = _end(conversation, item.local)
    match conversation.kind:
        case "listener":
            kind = "unix" if item.family == _AF_UNIX else "tcp"
            return f"{kind} listener {local or 'without address'}"
        case "socket":
            words = (named(naming.family, item.family), named(naming.socket_type, item.type))
            return " ".join((*words, named(naming.protocol, item.family, item.protocol), local)).strip()
    remote = _end(conversation, item.remote)
    if not remote and conversation.right is not None:
        remote = _end(conversation, timeline.tracks[conversation.right].socket.local)
    if not remote and (tried := timeline.target_of(conversation.left)) is not None:
        remote = _end(conversation, tried.address)
    if item.origin == "socketpair":
        return f"{conversation.kind} pair"
    if remote and conversation.kind == "tcp" and (end := end_of(item.local)) is not None and end.any:
        local = ""  # what the kernel leaves of the address when a connect has failed
    arrow = "←" if item.origin == "accept" else "→"
    ends = [end for end in (local, remote) if end]
    if not ends:
        return f"{conversation.kind} without address"
    return f"{conversation.kind} {f' {arrow} '.join(ends) if local else f'{arrow} {remote}'}"


def _end(conversation: Conversation, sockaddr: bytes | None) -> str:
    """One end of a conversation; its kind, which stands before, is not said again."""
    end = end_of(sockaddr)
    if end is not None and end.any and not end.port:
        return ""  # the kernel's word for none
    text = address(sockaddr) if sockaddr else ""
    return text.removeprefix("unix:") if conversation.kind in ("unix", "listener") else text
