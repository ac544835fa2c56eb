"""Rows of what two sockets did and what travelled between them, in an order in which causality beats clocks.

Time orders the rows; where causality knows better it wins: bytes are sent before they travel, and travel before they
are received.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from ..events import Call, State
from .joins import Basis
from .syscalls import Role
from .tracks import Transition
from .wire import FIN, ICMP, RST, SYN, Segment

__all__ = ["Cited", "Conversation", "Kind", "PackedRows", "Restore", "Row", "Rows"]

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
    packed: PackedRows | None = None  #: what has taken a copy of it, and must hear of what becomes known later

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
    rows: Rows | PackedRows = field(default_factory=lambda: Rows(None))
    segments: int = 0

    @property
    def lines(self) -> list[Row]:
        """The rows that were kept, in order; a row without event stands for those skipped. Packed ones are read again."""
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

    def __len__(self) -> int:
        return len(self._first) + (len(self._rest.middle) + len(self._rest.last) if self._rest is not None else 0)

    def finish(self) -> None:
        """No more rows will come."""
        self.arranged = _in_order(list(self))

    def holds(self, table: str, id: int) -> bool:
        """Whether a row of the recording is among them."""
        return any(row.is_one_of(frozenset({(table, id)})) for row in self)

    def roles(self) -> dict[int, Role]:
        """What each of the calls does, by call.id."""
        return {row.call.id: row.role for row in self if row.call is not None and row.role is not None}


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


def _in_order(rows: list[Row]) -> list[Row]:
    """Rows in order: by time, but never an effect before its cause."""
    if len(rows) < 2:
        return rows
    for side in (0, 1):
        given = [row for row in rows if _is_send(row, side)]
        travelled = [row for row in rows if row.segment is not None and row.side == side and row.end is not None]
        taken = [row for row in rows if _is_receive(row, 1 - side)]
        _not_before(travelled, given)
        _not_before(taken, [row for row in travelled if not (row.again or row.lost)] or given)
    rows.sort(key=lambda row: row.key)
    return rows


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


# -- many rows


class Restore(NamedTuple):
    """Reads what packed rows are made of again: each gives what it has of these ids, by id."""

    calls: Callable[[Collection[int]], Mapping[int, Call]]
    segments: Callable[[Collection[int]], Mapping[int, Segment]]
    states: Callable[[Collection[int]], Mapping[int, State]]


class _Rare(NamedTuple):
    """What few rows have."""

    before: int | None = None  #: state.id
    after: int | None = None
    transitions: tuple[tuple[int, Transition], ...] = ()
    arrived_ns: int | None = None
    lost: bool = False


_NOTHING_RARE: Final = _Rare()
_ROLES: Final = tuple(Role)
_ROLE_NUMBERS: Final = {role.value: number for number, role in enumerate(_ROLES)}
# What the bits of a packed row say; the lowest is its side, those from _ROLE on are its role, counted from 1.
_CALL: Final = 2
_SEGMENT: Final = 4
_PLACED: Final = 8  #: it has a place in the stream
_AGAIN: Final = 16
_NOTABLE: Final = 32
_GAP: Final = 64  #: it stands for rows that were skipped
_ROLE: Final = 8
_NOWHERE: Final = 0


class _Columns:
    """Rows as columns of numbers."""

    __slots__ = ("at", "begin", "bits", "end", "id", "number")

    def __init__(self) -> None:
        self.at = array("q")
        self.number = array("q")
        self.id = array("q")
        self.begin = array("q")
        self.end = array("q")
        self.bits = array("H")

    def add(self, at: int, number: int, ident: int, begin: int, end: int, bits: int) -> None:
        self.at.append(at)
        self.number.append(number)
        self.id.append(ident)
        self.begin.append(begin)
        self.end.append(end)
        self.bits.append(bits)

    def of(self, index: int) -> tuple[int, int, int, int, int, int]:
        return (
            self.at[index], self.number[index], self.id[index], self.begin[index], self.end[index], self.bits[index],
        )  # fmt: skip

    def forget(self, count: int) -> None:
        """The first rows are no longer wanted."""
        for column in (self.at, self.number, self.id, self.begin, self.end, self.bits):
            del column[:count]

    def __len__(self) -> int:
        return len(self.bits)


class PackedRows:
    """What :class:`Rows` are, in 42 bytes each: ids and times, of which the rows are made again when they are wanted."""

    __slots__ = ("_first", "_gaps", "_gone", "_last", "_limit", "_middle", "_notable", "_rare", "_restore")

    def __init__(self, limit: int | None, restore: Restore) -> None:
        self._limit = limit
        self._restore = restore
        self._first = _Columns()
        self._middle = _Columns()
        self._last = _Columns()
        self._gone = 0  #: so many at the front of the last ones are in the middle, or skipped
        self._notable = 0
        self._rare: dict[int, _Rare] = {}  #: by the number of the row
        self._gaps: list[list[int]] = []  #: skipped calls and segments

    def add(self, row: Row) -> None:
        """The next row; what is learned of it from now on is told by :meth:`learn`."""
        call, segment = row.call, row.segment
        bits = row.side | (_NOTABLE if row.notable else 0) | (_AGAIN if row.again else 0)
        ident = 0
        if segment is not None:
            bits, ident = bits | _SEGMENT, segment.packet
        elif call is not None:
            bits, ident = bits | _CALL, call.id
        if row.role is not None:
            bits |= _ROLE_NUMBERS[row.role._value_] + 1 << _ROLE
        begin, end = row.begin, row.end
        if begin is None or end is None:
            begin = end = _NOWHERE
        else:
            bits |= _PLACED
        limit = self._limit
        columns = self._first if limit is None or len(self._first) < limit else self._last
        at, number = row.key
        columns.at.append(at)
        columns.number.append(number)
        columns.id.append(ident)
        columns.begin.append(begin)
        columns.end.append(end)
        columns.bits.append(bits)
        row.packed = self
        if row.before is not None or row.after is not None or row.transitions or row.arrived_ns is not None or row.lost:
            self.learn(row)
        if limit is not None and len(self._last) - self._gone > limit:
            self._retire(limit)

    def learn(self, row: Row) -> None:
        """Something has become known of a row."""
        self._rare[row.key[1]] = _Rare(
            row.before.id if row.before is not None else None,
            row.after.id if row.after is not None else None,
            row.transitions,
            row.arrived_ns,
            row.lost,
        )

    def _retire(self, limit: int) -> None:
        """The oldest of the last ones goes to the middle, or is only counted."""
        values = self._last.of(self._gone)
        self._gone += 1
        if self._gone > limit:
            self._last.forget(self._gone)
            self._gone = 0
        at, number, _, _, _, bits = values
        rare = self._rare.get(number, _NOTHING_RARE)
        notable = bits & _NOTABLE or (bits & _CALL and rare.transitions) or (bits & _SEGMENT and rare.lost)
        if notable and self._notable < limit:
            self._notable += 1
            self._middle.add(*values)
            return
        self._rare.pop(number, None)
        middle = self._middle
        if not (len(middle) and middle.bits[-1] & _GAP):
            middle.add(at, number, 0, _NOWHERE, _NOWHERE, bits & 1 | _GAP)
            self._gaps.append([0, 0])
        self._gaps[-1][bool(bits & _SEGMENT)] += 1

    def finish(self) -> None:
        """No more rows will come."""
        self._last.forget(self._gone)
        self._gone = 0

    def _parts(self) -> Iterable[_Columns]:
        return self._first, self._middle, self._last

    def __len__(self) -> int:
        return sum(map(len, self._parts())) - self._gone

    def holds(self, table: str, ident: int) -> bool:
        """Whether a row of the recording is among them."""
        if table == "state":
            return any(ident in (rare.before, rare.after) for rare in self._rare.values())
        wanted = _CALL if table == "call" else _SEGMENT
        for columns in self._parts():
            at = -1
            try:
                while True:
                    at = columns.id.index(ident, at + 1)
                    if columns.bits[at] & wanted:
                        return True
            except (ValueError, OverflowError):
                continue
        return False

    def roles(self) -> dict[int, Role]:
        """What each of the calls does, by call.id."""
        return {
            ident: _ROLES[(bits >> _ROLE) - 1]
            for columns in self._parts()
            for ident, bits in zip(columns.id, columns.bits, strict=True)
            if bits & _CALL and bits >> _ROLE
        }

    @property
    def arranged(self) -> list[Row]:
        """The rows in order, read again."""
        calls: list[int] = []
        packets: list[int] = []
        for columns in self._parts():
            for ident, bits in zip(columns.id, columns.bits, strict=True):
                if bits & _CALL:
                    calls.append(ident)
                elif bits & _SEGMENT:
                    packets.append(ident)
        states = {ident for rare in self._rare.values() for ident in (rare.before, rare.after) if ident is not None}
        call, segment = self._restore.calls(calls), self._restore.segments(packets)
        state = self._restore.states(states)
        rows = []
        gaps = iter(self._gaps)
        for columns in self._parts():
            for index in range(len(columns)):
                at, number, ident, begin, end, bits = columns.of(index)
                if bits & _GAP:
                    skipped_calls, skipped_segments = next(gaps)
                    gap = Row((at, number), bits & 1, skipped_calls=skipped_calls, skipped_segments=skipped_segments)
                    rows.append(gap)
                    continue
                rare = self._rare.get(number, _NOTHING_RARE)
                rows.append(
                    Row(
                        (at, number),
                        bits & 1,
                        call.get(ident) if bits & _CALL else None,
                        segment.get(ident) if bits & _SEGMENT else None,
                        begin if bits & _PLACED else None,
                        end if bits & _PLACED else None,
                        state.get(rare.before) if rare.before is not None else None,
                        state.get(rare.after) if rare.after is not None else None,
                        _ROLES[(bits >> _ROLE) - 1] if bits >> _ROLE else None,
                        bool(bits & _AGAIN),
                        rare.arrived_ns,
                        rare.lost,
                        rare.transitions,
                    )
                )
        return _in_order(rows)
