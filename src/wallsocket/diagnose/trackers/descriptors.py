"""Descriptors: which number of which process named which socket, and when."""

from __future__ import annotations

from itertools import islice

from ...events import Descriptor
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker
from .sockets import Sockets

__all__ = ["Descriptors"]


class Descriptors(Tracker):
    """An index of the table, which may grow."""

    needs = (Sockets,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._known = 0
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
        if len(rows) == self._known:
            return
        # Ids rise, so what is new stands at the end of the table.
        for row in islice(rows.values(), self._known, None):
            self._by_number.setdefault((row.process, row.number), []).append(row.id)
            self._by_socket.setdefault(row.socket, []).append(row.id)
        self._known = len(rows)
