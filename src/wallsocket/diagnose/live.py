"""Findings while a trace runs: certain ones, told once, as soon as nothing can refute them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ..events import Call, Counter, Descriptor, Fact, Mark, Network, Packet, Process, Socket, Source, State
from .engine import Engine, Event
from .finding import Finding

__all__ = ["Watcher"]

_S = TypeVar("_S", bound=msgspec.Struct)


class _Grown:
    """The tables that are held as a whole, as far as they have come."""

    def __init__(self, meta: Mapping[str, str]) -> None:
        self.meta: dict[str, str] = dict(meta)
        self.processes: dict[int, Process] = {}
        self.networks: dict[int, Network] = {}
        self.sockets: dict[int, Socket] = {}
        self.descriptors: dict[int, Descriptor] = {}
        self.sources: dict[int, Source] = {}


class Watcher:
    """Takes each batch of rows that a trace writes, and gives the findings that have become certain.

    >>> from wallsocket.trace.run import run
    >>> watcher = Watcher({"calls": "yes", "kernel": "yes"})
    >>> run(["./server"], live=lambda rows: print(watcher.take(rows)))  # doctest: +SKIP
    """

    def __init__(self, meta: Mapping[str, str]) -> None:
        """``meta`` as in the recording: layers, and ``lab``. The machine, which says what call a number is, is this one."""
        self._tables = _Grown({"machine": platform.machine(), **meta})
        self._engine = Engine(self._tables)
        self._held: dict[str, tuple[type[Any], dict[int, Any]]] = {
            "process": (Process, self._tables.processes),
            "network": (Network, self._tables.networks),
            "socket": (Socket, self._tables.sockets),
            "descriptor": (Descriptor, self._tables.descriptors),
            "source": (Source, self._tables.sources),
        }
        self._kinds: dict[str, type[Any]] = {
            "call": Call,
            "state": State,
            "packet": Packet,
            "counter": Counter,
            "fact": Fact,
            "mark": Mark,
        }

    def take(self, rows: Mapping[str, list[tuple[Any, ...]]]) -> list[Finding]:
        """The next rows, by table, columns as in ``schema.sql``."""
        for table, (kind, held) in self._held.items():
            for row in rows.get(table, ()):
                held[row[0]] = kind(*row)
            if kind is Socket:
                self._engine.learn(held[row[0]] for row in rows.get(table, ()))
        for row in rows.get("meta", ()):
            self._tables.meta[row[0]] = row[1]
        events: list[Event] = [kind(*row) for table, kind in self._kinds.items() for row in rows.get(table, ())]
        events.sort(key=lambda event: event.entry_ns if isinstance(event, Call) else event.at_ns)
        self._engine.feed(events)
        return self._engine.news()
