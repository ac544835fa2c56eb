"""Rows of what two sockets did and what travelled between them, in an order in which causality beats clocks.

Time orders the rows; where causality knows better it wins: bytes are sent before they travel, and travel before they
are received.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from ..events import Call, State
from .joins import Basis
from .syscalls import Role
from .tracks import Transition
from .wire import FIN, ICMP, RST, SYN, Segment

__all__ = ["Cited", "Conversation", "Kind", "Row", "Rows", "mend_order"]

#: Rows of the recording by table (``call``, ``packet``, ``state``) and id.
Cited: TypeAlias = frozenset[tuple[str, int]]
Kind = Literal["tcp", "udp", "unix", "listener", "socket"]
_EAGAIN: Final = 11
_EINTR: Final = 4


@dataclass(slots=True, eq=False)
class Row:
    """One line of a ladder, before it is text."""

    key: tuple[int, int]  #: order: time in ns where causality has no say, then number
    side: int  #: 0 left, 1 right: who did it, or sent it
    call: Call | None = None
    segment: Segment | None = None
    begin: int | None = None  #: stream offset of the first byte moved
    end: int | None = None  #: stream offset after the last byte moved
    before: State | None = None
    after: State | None = None
    role: Role | None = None  #: of the call
    again: bool = False  #: a segment whose bytes had travelled before
    arrived_ns: int | None = None  #: of a segment: when it was seen at another host
    lost: bool = False  #: a segment that was not seen to arrive, while later ones of its direction were
    transitions: tuple[tuple[int, Transition], ...] = ()  #: (side, what its socket became); most rows have none
    skipped_calls: int = 0
    skipped_segments: int = 0

    @property
    def at_ns(self) -> int:
        """When it happened."""
        return self.key[0]

    @property
    def sends(self) -> bool:
        """Whether it is a call that gives bytes away."""
        return self.role is Role.SEND

    def is_one_of(self, cited: Cited) -> bool:
        """Whether its call, its segment or one of its samples is among these rows of the recording."""
        return (
            (self.call is not None and ("call", self.call.id) in cited)
            or (self.segment is not None and ("packet", self.segment.packet) in cited)
            or any(state is not None and ("state", state.id) in cited for state in (self.before, self.after))
        )

    @property
    def notable(self) -> bool:
        """Whether it is kept when a long conversation is shortened."""
        if self.segment is not None:
            return (
                bool(self.segment.flags & (SYN | FIN | RST)) or self.again or self.lost or self.segment.protocol == ICMP
            )
        if self.call is not None:
            failed = self.call.errno is not None and self.call.errno not in (_EAGAIN, _EINTR)
            return failed or self.call.took_ns is None or bool(self.transitions)
        return True


@dataclass(slots=True)
class Conversation:
    """What is drawn together: two sockets that talk, one whose peer was not traced, or a listener."""

    number: int
    kind: Kind
    left: int  #: socket.id
    right: int | None = None  #: socket.id of the traced peer
    basis: Basis | None = None  #: how the two are known to talk
    started_ns: int = 0
    rows: Rows = field(default_factory=lambda: Rows(None))
    segments: int = 0

    @property
    def lines(self) -> list[Row]:
        """The rows that were kept, in order; a row without event stands for those skipped."""
        return self.rows.arranged

    def side_of(self, socket: int) -> int:
        """0 for the left socket, 1 for the right one."""
        return 1 if socket == self.right and socket != self.left else 0

    def socket_of(self, side: int) -> int | None:
        """The traced socket on a side."""
        return self.right if side else self.left


class Rows:
    """The rows of a conversation: all, or the first, the last, the notable, and those ``cited`` with a neighbour on either side."""

    __slots__ = ("_cited", "_first", "_limit", "_rest", "arranged")

    def __init__(self, limit: int | None, cited: Cited = frozenset()) -> None:
        self.arranged: list[Row] = []
        self._first: list[Row] = self.arranged
        self._limit = limit
        self._cited = cited
        self._rest: _Rest | None = None

    def add(self, row: Row) -> None:
        """The next row."""
        if self._limit is None or len(self._first) < self._limit:
            self._first.append(row)
            return
        if self._rest is None:
            self._rest = _Rest(self._limit, self._cited)
        self._rest.add(row)

    def __iter__(self) -> Iterator[Row]:
        yield from self._first
        if self._rest is not None:
            yield from self._rest.middle
            yield from self._rest.last


class _Rest:
    """What comes after the first rows: few conversations have it."""

    __slots__ = ("_after_cited", "_cited", "_limit", "_notable", "last", "middle")

    def __init__(self, limit: int, cited: Cited) -> None:
        self.last: deque[Row] = deque()
        self.middle: list[Row] = []
        self._limit = limit
        self._notable = 0
        self._cited = cited
        self._after_cited = False

    def add(self, row: Row) -> None:
        self.last.append(row)
        if len(self.last) > self._limit:
            self._retire(self.last.popleft())

    def _retire(self, row: Row) -> None:
        if self._cited:
            cited = row.is_one_of(self._cited)
            beside = self._after_cited or self.last[0].is_one_of(self._cited)
            self._after_cited = cited
            if cited or beside:
                self.middle.append(row)
                return
        if row.notable and self._notable < self._limit:
            self._notable += 1
            self.middle.append(row)
            return
        gap = self.middle[-1] if self.middle else None
        if gap is None or not (gap.skipped_calls or gap.skipped_segments):
            gap = Row(row.key, row.side)
            self.middle.append(gap)
        if row.segment is not None:
            gap.skipped_segments += 1
        else:
            gap.skipped_calls += 1


def mend_order(conversation: Conversation) -> None:
    """Put the kept rows in order: by time, but never an effect before its cause."""
    rows = list(conversation.rows)
    if len(rows) < 2:
        return
    for side in (0, 1):
        given = [row for row in rows if _is_send(row, side)]
        travelled = [row for row in rows if row.segment is not None and row.side == side and row.end is not None]
        taken = [row for row in rows if _is_receive(row, 1 - side)]
        _not_before(travelled, given)
        _not_before(taken, [row for row in travelled if not (row.again or row.lost)] or given)
    rows.sort(key=lambda row: row.key)
    conversation.rows.arranged = rows


def _is_send(row: Row, side: int) -> bool:
    return row.call is not None and row.side == side and row.end is not None and row.sends


def _is_receive(row: Row, side: int) -> bool:
    return row.call is not None and row.side == side and bool(row.end) and not row.sends


def _not_before(effects: list[Row], causes: list[Row]) -> None:
    """Move each effect behind the cause of its last byte."""
    causes = sorted(causes, key=lambda row: row.end or 0)
    ends = [row.end or 0 for row in causes]
    for row in effects:
        index = bisect_left(ends, row.end or 0)
        if row.end == row.begin or index == len(causes):
            continue
        cause = causes[index]
        if (cause.begin or 0) < (row.end or 0) and cause.key > row.key:
            row.key = (cause.key[0], cause.key[1] + 1)
