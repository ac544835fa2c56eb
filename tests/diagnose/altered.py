"""Recordings with something taken away, or told in another order: what rules say must follow what is there.

An :class:`Altered` holds the rows of a recording; each function gives another one, in memory. What is altered stays a
recording that a trace could have written: with a call go the samples and facts of that call, a layer that is taken away says so in
``meta``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from wallsocket import events
from wallsocket.diagnose import Diagnosis, diagnose
from wallsocket.diagnose.finding import Proof
from wallsocket.trace.recording import Recording, Writer

__all__ = ["REMOVABLE", "Altered"]

#: Tables by name, in which a row of a proof may stand that can be missing while all else is there.
REMOVABLE = frozenset({"call", "state", "packet", "counter", "fact", "mark"})
_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(events.Network, events.Process, events.Socket, events.Descriptor, events.Source, events.Binary, events.Stack),
        *(events.Call, events.State, events.Packet, events.Counter, events.Fact, events.Mark),
    )
}
#: Rows of each layer; facts about the host are looked up for calls, whatever the sockets were asked.
_OF_LAYER = {"kernel": ("state", "counter"), "wire": ("packet",)}
#: How much earlier a call may have begun, or later have returned, than the tracer wrote down: far less than what any rule
#: measures, and more than a stop takes.
_SLACK_NS = 200_000


class Altered:
    """The rows of a recording, to be changed."""

    def __init__(self, meta: dict[str, str], tables: dict[str, list[Any]]) -> None:
        self.meta = meta
        self.tables = tables

    @classmethod
    def of(cls, recording: Recording) -> Altered:
        """All of a recording but its findings."""
        tables = {table: list(recording.rows(kind)) for table, kind in _KINDS.items() if table != "counter"}
        tables["counter"] = list(recording.counters())
        return cls(dict(recording.meta), tables)

    def diagnosis(self) -> Diagnosis:
        """What all rules say."""
        writer = Writer.in_memory(meta=self.meta)
        for table, rows in self.tables.items():
            writer.write(table, [msgspec.structs.astuple(row) for row in rows])
        return diagnose(writer.recording())

    def without(self, proofs: Iterable[Proof]) -> Altered:
        """The same, when these rows had not been recorded."""
        gone: dict[str, set[int]] = {}
        for proof in proofs:
            gone.setdefault(proof.table, set()).add(proof.row)
        calls = gone.get("call", set())

        def stays(table: str, number: int, row: Any) -> bool:
            lost = gone.get(table, ())
            if table == "counter":
                return number not in lost
            return row.id not in lost and not (table in ("state", "fact") and row.call in calls)

        return self._kept(stays)

    def stripped(self, layer: str) -> Altered:
        """The same, when a layer (``kernel``, ``wire``) or the source ``lines`` had not been recorded."""
        if layer == "lines":
            meta = {**self.meta, "lines": "not asked for"}
            tables = dict(self.tables)
            for table in ("process", "socket", "call"):
                tables[table] = [replace(row, source=None) for row in self.tables[table]]
            tables["call"] = [replace(row, known=0, stack=None) for row in tables["call"]]
            tables["source"] = []
            return Altered(meta, tables)
        lost = _OF_LAYER[layer]
        # Of each network namespace it is said as well whether its frames were recorded.
        stripped = self._kept(
            lambda table, _number, row: table not in lost and (table, getattr(row, "kind", "")) != ("fact", layer)
        )
        stripped.meta[layer] = "not asked for"
        return stripped

    def retimed(self, seed: int) -> Altered:
        """The same, as a tracer that wrote the moments of calls a little earlier and later would have recorded it.

        What each thread did stays in its order, and no call gets shorter: which of two threads came first is left open where
        the clock left it open.
        """
        chance = random.Random(seed)
        latest: dict[tuple[int, int], int] = {}
        following: dict[int, int] = {}
        last: dict[tuple[int, int], events.Call] = {}
        calls = sorted(self.tables["call"], key=lambda call: (call.entry_ns, call.id))
        for call in calls:
            before = last.get((call.process, call.tid))
            if before is not None:
                following[before.id] = call.entry_ns
            last[call.process, call.tid] = call
        changed = {}
        for call in calls:
            thread = (call.process, call.tid)
            floor = max(latest.get(thread, 0), call.entry_ns - _SLACK_NS)
            entry = call.entry_ns if floor > call.entry_ns else chance.randint(floor, call.entry_ns)
            took = call.took_ns
            end = call.entry_ns if took is None else call.entry_ns + took
            if took is not None:
                room = min(end + _SLACK_NS, max(end, following.get(call.id, end + _SLACK_NS)))
                end = chance.randint(end, room)
                took = end - entry
            latest[thread] = end
            changed[call.id] = replace(call, entry_ns=entry, took_ns=took)
        # Ids are in the order of entry.
        order = sorted(changed.values(), key=lambda call: (call.entry_ns, call.id))
        number = {call.id: new for new, call in enumerate(order, 1)}
        tables = dict(self.tables)
        tables["call"] = [replace(call, id=number[call.id]) for call in order]
        for table in ("socket", "state", "fact"):
            tables[table] = [
                replace(row, call=number[row.call]) if row.call in number else row for row in self.tables[table]
            ]
        return Altered(dict(self.meta), tables)

    def _kept(self, stays: Callable[[str, int, Any], bool]) -> Altered:
        tables = {
            table: [row for number, row in enumerate(rows, 1) if stays(table, number, row)]
            for table, rows in self.tables.items()
        }
        return Altered(dict(self.meta), tables)


def removable(proofs: Collection[Proof]) -> list[Proof]:
    """Those of a proof that can be missing while all else is there."""
    return [proof for proof in proofs if proof.table in REMOVABLE]
