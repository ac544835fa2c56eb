"""Descriptors: which number of which process named which socket, and when."""

from __future__ import annotations

from itertools import islice
from typing import Final

from ...events import Descriptor
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, on_retire
from .sockets import Sockets

__all__ = ["Descriptors"]

#: A call and the row of the descriptor that it made are timed by two readings of the clock.
_AHEAD_NS: Final = 1_000_000_000
_NEVER: Final = 1 << 63


class Descriptors(Tracker):
    """An index of the table, which may grow; of retired sockets nothing is kept."""

    needs = (Sockets,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._known = 0  #: rows that were taken
        self._last = 0  #: the id of the last of them
        self._by_number: dict[tuple[int, int], list[int]] = {}
        self._by_socket: dict[int, list[int]] = {}

    def of(self, socket: SocketFacts) -> list[Descriptor]:
        """All descriptors that named a socket, in order of time."""
        self._learn()
        rows = self.facts.tables.descriptors
        return [rows[number] for number in self._by_socket.get(socket.id, ()) if number in rows]

    def owners(self, socket: SocketFacts) -> list[int]:
        """Processes that have or had a descriptor of it."""
        return list(dict.fromkeys(row.process for row in self.of(socket))) or [socket.process]

    def open(self, socket: SocketFacts) -> list[Descriptor]:
        """Its descriptors that are still open."""
        return [row for row in self.of(socket) if row.closed_ns is None]

    def at(self, process: int, number: int, at_ns: int) -> SocketFacts | None:
        """The socket behind a descriptor number at a time."""
        row = self.row_at(process, number, at_ns)
        return self.facts[Sockets].get(row.socket) if row is not None else None

    def row_at(self, process: int, number: int, at_ns: int) -> Descriptor | None:
        """The descriptor of a process with this number at a time."""
        self._learn()
        rows = self.facts.tables.descriptors
        for row_id in reversed(self._by_number.get((process, number), ())):
            row = rows.get(row_id)
            if row is not None and row.opened_ns <= at_ns and (row.closed_ns is None or at_ns <= row.closed_ns):
                return row
        return None

    def _learn(self) -> None:
        rows = self.facts.tables.descriptors
        if self._known == len(rows):
            return
        # Ids count up in the order in which descriptors were opened: those of later times wait in the table.
        until_ns = _NEVER if self.facts.final else self.facts.now_ns + _AHEAD_NS
        while (row := rows.get(self._last + 1)) is not None and row.opened_ns <= until_ns:
            self._take(row)
        if row is None and self._known < len(rows):
            # A number is left out, as in a damaged recording only.
            for row in list(islice(rows.values(), self._known, None)):
                self._take(row)

    def _take(self, row: Descriptor) -> None:
        self._known += 1
        self._last = row.id
        self._by_number.setdefault((row.process, row.number), []).append(row.id)
        self._by_socket.setdefault(row.socket, []).append(row.id)

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """A socket that nobody will ask about again."""
        rows = self.facts.tables.descriptors
        for number in self._by_socket.pop(socket.id, ()):
            row = rows.get(number)
            key = (row.process, row.number) if row is not None else None
            named = self._by_number.get(key) if key is not None else None
            if key is not None and named is not None and number in named:
                named.remove(number)
                if not named:
                    del self._by_number[key]
