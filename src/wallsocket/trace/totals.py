"""How often each call was made, how long it took and how it failed: of all, and of each socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from ..events import Call
from ..kernel import names as naming
from .calls import CallText
from .choice import Choice
from .labels import conversation_title, socket_label
from .syscalls import Role, moved
from .text import Style, paint
from .timeline import Timeline
from .verdict import duration

__all__ = ["CallTotal", "SocketTotal", "Totals"]

_AGAIN: Final = frozenset({11, 4, 115})  # EAGAIN, EINTR, EINPROGRESS: no failures


#: What tracing adds to a call is told from here on; a call takes about as long.
_TOLD_NS: Final = 1_000


class CallTotal(msgspec.Struct):
    """All calls of one name.

    Attributes:
        name: of the system call.
        calls: how many were made.
        errors: how many failed.
        total_ns: time that threads spent in them; of those that returned.
        longest_ns: the longest one.
        bytes: that they moved.
        failures: name of each error and how often.
        unfinished: how many never returned.
    """

    name: str
    calls: int = 0
    errors: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    bytes: int = 0
    failures: dict[str, int] = {}
    unfinished: int = 0


class SocketTotal(msgspec.Struct):
    """All calls on one socket.

    Attributes:
        socket: its id.
        title: of its conversation, in words.
        owner: the process that made it, in words.
        calls: how many were made.
        errors: how many failed for good (not EAGAIN, EINTR, EINPROGRESS).
        again: how many had to be made again: EAGAIN, EINTR, EINPROGRESS.
        waited_ns: time that threads spent in receiving, accepting and waiting.
        total_ns: time in all calls.
        sent: bytes. received: bytes.
    """

    socket: int
    title: str
    owner: str
    calls: int = 0
    errors: int = 0
    again: int = 0
    waited_ns: int = 0
    total_ns: int = 0
    sent: int = 0
    received: int = 0


class Totals:
    """Counts the calls of a recording in one pass."""

    def __init__(
        self, timeline: Timeline, choice: Choice, *, since_ns: int | None = None, until_ns: int | None = None
    ) -> None:
        """Of what ``choice`` leaves."""
        text = CallText(timeline.machine)
        self._added_ns = timeline.recording.meta_int("added_ns_per_call") or 0
        self._calls: dict[str, CallTotal] = {}
        self._sockets: dict[int, SocketTotal] = {}
        titles = {
            socket: conversation_title(timeline, conversation)
            for conversation in timeline.conversations
            for socket in (conversation.left, conversation.right)
            if socket is not None
        }
        failures: dict[str, Counter[str]] = {}
        for call in timeline.recording.calls(socket=choice.socket, since_ns=since_ns, until_ns=until_ns):
            if not choice.matches(call):
                continue
            name, role = text.name(call), text.role(call)
            total = self._calls.setdefault(name, CallTotal(name))
            total.calls += 1
            total.unfinished += call.took_ns is None
            total.total_ns += call.took_ns or 0
            total.longest_ns = max(total.longest_ns, call.took_ns or 0)
            if role in (Role.SEND, Role.RECEIVE):
                total.bytes += moved(call, name)[0]
            if call.errno is not None:
                total.errors += 1
                failures.setdefault(name, Counter())[naming.error(call.errno)] += 1
            if call.socket is not None and call.socket in timeline.tracks:
                self._of_socket(timeline, titles, call, role, name)
        for name, counter in failures.items():
            self._calls[name].failures = dict(counter.most_common())

    def _of_socket(self, timeline: Timeline, titles: dict[int, str], call: Call, role: Role, name: str) -> None:
        assert call.socket is not None
        total = self._sockets.get(call.socket)
        if total is None:
            owner = socket_label(timeline, call.socket).partition("  ")[2]
            total = self._sockets[call.socket] = SocketTotal(call.socket, titles.get(call.socket, ""), owner)
        total.calls += 1
        took_ns = call.took_ns or 0
        total.total_ns += took_ns
        if role in (Role.RECEIVE, Role.ACCEPT, Role.WAIT):
            total.waited_ns += took_ns
        if call.errno is not None:
            if call.errno in _AGAIN:
                total.again += 1
            else:
                total.errors += 1
        if role is Role.SEND:
            total.sent += moved(call, name)[0]
        elif role is Role.RECEIVE:
            total.received += moved(call, name)[0]

    @property
    def calls(self) -> list[CallTotal]:
        """By time, the longest first."""
        return sorted(self._calls.values(), key=lambda total: (-total.total_ns, total.name))

    @property
    def sockets(self) -> list[SocketTotal]:
        """In the order of their ids."""
        return sorted(self._sockets.values(), key=lambda total: total.socket)

    def lines(self, *, colour: bool) -> Iterator[str]:
        """Both tables as text: by call as ``strace -c`` has it, and by socket."""
        calls = self.calls
        whole_ns = sum(total.total_ns for total in calls) or 1
        head = f"{'% time':>6} {'time':>9} {'each':>9} {'longest':>9} {'calls':>8} {'errors':>7} {'bytes':>12}  call"
        yield paint(head, Style.DIM, colour=colour)
        for total in calls:
            returned = total.calls - total.unfinished
            each = duration(total.total_ns // returned) if returned else "-"
            failed = ", ".join(f"{name} ×{count}" for name, count in total.failures.items())
            unfinished = f"{total.unfinished} did not return" if total.unfinished else ""
            notes = "; ".join(filter(None, (failed, unfinished)))
            row = (
                f"{100 * total.total_ns / whole_ns:6.2f} {duration(total.total_ns):>9} {each:>9} "
                f"{duration(total.longest_ns):>9} {total.calls:>8} {total.errors or '':>7} {total.bytes or '':>12}  {total.name}"
            )
            yield row + (paint(f"  {notes}", Style.WARNING, colour=colour) if notes else "")
        yield (
            f"{100:6.2f} {duration(sum(total.total_ns for total in calls)):>9} {'':9} {'':9} "
            f"{sum(total.calls for total in calls):>8} {sum(total.errors for total in calls) or '':>7} {'':12}  total"
        )
        if self._added_ns >= _TOLD_NS:
            said = (
                f"times are those that the tracer saw: up to {duration(self._added_ns)} of each call are its own work"
            )
            yield paint(said, Style.DIM, colour=colour)
        if not self._sockets:
            return
        yield ""
        yield paint(
            f"{'socket':>6} {'time':>9} {'waited':>9} {'calls':>8} {'errors':>7} {'again':>7} {'sent':>12} {'received':>12}  what",
            Style.DIM,
            colour=colour,
        )
        for item in self.sockets:
            waited = duration(item.waited_ns) if item.waited_ns else ""
            yield (
                f"{item.socket:>6} {duration(item.total_ns):>9} {waited:>9} {item.calls:>8} "
                f"{item.errors or '':>7} {item.again or '':>7} {item.sent or '':>12} {item.received or '':>12}  "
                f"{item.title}  {item.owner}"
            )
