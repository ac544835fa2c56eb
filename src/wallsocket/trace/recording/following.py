"""What is new in a recording that grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...events import Call, Counter, Fact, Mark, Packet, State
from .reader import Event, Recording, event_time_ns

__all__ = ["Follower"]


class Follower:
    """What has been told of a growing recording: the last row of each table, and the calls to look at again."""

    #: Calls remembered as unfinished; threads are fewer, and a hostile file must not fill the memory.
    _MAX_OPEN = 10_000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, int] = {}
        self._open_calls: set[int] = set()

    def look(self) -> tuple[list[Event], bool]:
        """The events since the last look, and whether the recording has ended."""
        with Recording.open(self._path) as recording:
            batch: list[Event] = []
            for kind in (Mark, State, Packet, Fact, Counter):
                table = kind.__name__.lower()
                last = self._last.get(table, 0)
                events = list(recording._events(kind, ["rowid > ?"], [last]))
                batch += events  # type: ignore[arg-type]
                if events:
                    # Rows of `counter` have no id of their own; they are only ever added.
                    self._last[table] = last + len(events) if kind is Counter else events[-1].id  # type: ignore[attr-defined]
            batch += self._calls(recording)
            batch.sort(key=event_time_ns)
            return batch, "ended_ns" in recording.meta

    def _calls(self, recording: Recording) -> Iterator[Call]:
        waiting = sorted(self._open_calls)
        for start in range(0, len(waiting), 500):
            part = waiting[start : start + 500]
            for call in recording._events(Call, [f"id IN ({', '.join('?' * len(part))})"], part):
                if call.took_ns is not None:
                    self._open_calls.discard(call.id)
                    yield call
        last = self._last.get("call", 0)
        for call in recording._events(Call, ["id > ?"], [last]):
            # A call is numbered when it is entered and may be written only when it returns: gaps fill later.
            if len(self._open_calls) < self._MAX_OPEN:
                gap_end = min(call.id, last + 1 + self._MAX_OPEN - len(self._open_calls))
                self._open_calls.update(range(last + 1, gap_end))
                if call.took_ns is None:
                    self._open_calls.add(call.id)
            last = call.id
            yield call
        self._last["call"] = last
