"""A recording as it was at one moment, with its joins and findings: what every view is made of."""

from __future__ import annotations

import itertools
import os
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Sized
from functools import cached_property
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

from ..diagnose import Diagnosis, Finding, diagnose
from ..errors import UsageError, WallsocketError
from ..events import Call, Packet
from ..trace.conversations import Conversation
from ..trace.joins import Joins
from ..trace.lines import Line, Lines
from ..trace.recording import Event, Recording
from ..trace.syscalls import Role, may_send, names
from ..trace.timeline import Timeline
from ..trace.wire import Segment, segment
from .segments import Segments

__all__ = ["Moments", "NotReady", "Progress", "Snapshot"]

_T = TypeVar("_T")
_SOCK_STREAM: Final = 1
#: Is told how many events have been looked at.
Progress: TypeAlias = Callable[[int], None]

#: Rows of a recording with more events than these are held as numbers, and read again when they are looked at. A row that
#: is held whole takes about 1 kB.
_SMALL_EVENTS: Final = 20_000
#: A recording with more events than these is read with so many rows at each end of a conversation, beside the notable
#: ones; what is left out between is counted.
_WHOLE_EVENTS: Final = 300_000
_KEPT_ROWS: Final = 20_000
#: How often progress is told, in events.
_TOLD_EVERY: Final = 4096
#: Answers that are remembered, such as the lines of a conversation, and how many things they may hold together.
_REMEMBERED: Final = 64
_REMEMBERED_THINGS: Final = 150_000


class NotReady(WallsocketError):
    """What was asked for is still being read."""


class Moments:
    """When calls were entered, in order: how much happened between two times."""

    def __init__(self) -> None:
        self._entries = array("q")

    def add(self, at_ns: int) -> None:
        """The next call."""
        self._entries.append(at_ns)

    def between(self, since_ns: int, until_ns: int) -> int:
        """Calls that were entered after the one time and before the other."""
        return max(0, bisect_left(self._entries, until_ns) - bisect_left(self._entries, since_ns + 1))


class _Reader(Recording):
    """A recording that tells how far it has been read, and when its calls were."""

    progress: Progress | None = None
    moments: Moments | None = None
    most: int | None = None  #: events that are read of it
    _seen: int = 0

    def events(self, *, calls_at: Literal["entry", "exit"] = "entry") -> Iterator[Event]:
        moments = self.moments
        for event in self._told(itertools.islice(super().events(calls_at=calls_at), self.most)):
            if moments is not None and isinstance(event, Call):
                moments.add(event.entry_ns)
            yield event

    def calls(self, **which: Any) -> Iterator[Call]:
        if self.most is not None:
            # To look for few of them would be to look at all.
            which.pop("telling", None)
        return self._told(itertools.islice(super().calls(**which), self.most))

    def _told(self, events: Iterator[_T]) -> Iterator[_T]:
        if self.progress is None:
            yield from events
            return
        for event in events:
            self._seen += 1
            if self._seen % _TOLD_EVERY == 0:
                self.progress(self._seen)
            yield event


class Snapshot:
    """What a recording held at one moment.

    Attributes:
        recording: what it was read from.
        growing: whether it was still being written.
        diagnosis: the findings; ``None`` until they are made.
        moments: when the calls were.
        segments: the TCP segments, for graphs over time.
        lock: to be held while anything of it is used: one thread at a time.
        closed: it can no longer be used.
        good: another recording to compare with, of a run that went well; ``None``: none.
        only_first: only so many of its first events were read; ``None``: all.
    """

    def __init__(self, path: str | os.PathLike[str], *, growing: bool = False) -> None:
        """Open it, nothing more.

        Raises:
            RecordingError: it cannot be read.
        """
        self.path = path
        self.growing = growing
        # The recorder's last words must not have to wait for somebody who looks on.
        self.recording = _Reader.copied(path) if growing else _Reader.open(path)
        self.diagnosis: Diagnosis | None = None
        self.moments = Moments()
        self.segments = Segments()
        self.lock = threading.RLock()
        self.closed = False
        self.only_first: int | None = None
        self.good: Snapshot | None = None
        self._timeline: Timeline | None = None
        self._remembered: dict[Hashable, Any] = {}
        self._packed = False

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, growing: bool = False) -> Self:
        """A recording with its joins and findings made.

        Raises:
            RecordingError: it cannot be read.
        """
        snapshot = cls(path, growing=growing)
        try:
            snapshot.read()
            snapshot.judge()
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file, or of the copy."""
        with self.lock:
            self.closed = True
            self.recording.close()

    # -- making it

    @cached_property
    def events(self) -> int:
        """How many events there are."""
        return sum(map(self.recording.count, ("mark", "call", "state", "packet", "fact", "counter")))

    @cached_property
    def calls(self) -> int:
        """How many calls there are."""
        return self.recording.count("call")

    def read(self, progress: Progress | None = None, *, most: int | None = None) -> None:
        """Make the joins; ``progress`` is told how many events were looked at: in the end, all and the calls once more.

        With ``most`` only of the first events: a view of the beginning, while the rest takes its time.

        Raises:
            RecordingError: the recording is damaged, or too large to draw.
        """
        reader = self.recording
        reader.progress, reader.moments = progress, self.moments
        limit = None if min(self.events, most or self.events) <= _WHOLE_EVENTS else _KEPT_ROWS
        reader.most = most
        packed = min(self.events, most or self.events) > _SMALL_EVENTS
        self._timeline = Timeline(reader, decode=self._decode, limit=limit, packed=packed)
        self._packed = packed
        self.segments.finish()
        reader.progress = reader.moments = reader.most = None
        self.only_first = most if most is not None and most < self.events else None

    def _decode(self, packet: Packet) -> Segment | None:
        found = segment(packet)
        if found is not None:
            self.segments.add(found)
        return found

    def judge(self, progress: Progress | None = None) -> None:
        """Make the findings.

        Raises:
            RecordingError: the recording is damaged.
        """
        if self.growing:
            self.recording.progress = progress
            diagnosis = diagnose(self.recording)
            self.recording.progress = None
        else:
            # Of its own, so that views can be asked for meanwhile.
            with _Reader.open(self.path) as reader:
                reader.progress = progress
                diagnosis = diagnose(reader)
        with self.lock:
            # What was answered until now knew of no finding.
            self.diagnosis = diagnosis
            self._remembered.clear()

    # -- what views ask

    @property
    def timeline(self) -> Timeline:
        """The joins.

        Raises:
            NotReady: they are still being made.
        """
        if self._timeline is None:
            raise NotReady("the recording is still being read")
        return self._timeline

    @property
    def has_joins(self) -> bool:
        """Whether the joins are made."""
        return self._timeline is not None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, most probable cause first; none while they are being made."""
        return () if self.diagnosis is None else self.diagnosis.findings

    @cached_property
    def by_key(self) -> dict[str, Conversation]:
        """The conversations by :func:`key_of`."""
        return {key_of(conversation): conversation for conversation in self.timeline.conversations}

    def conversation(self, key: str) -> Conversation:
        """A conversation by its key, or the one of a socket.

        Raises:
            UsageError: there is none.
            NotReady: the joins are still being made.
        """
        found = self.by_key.get(key)
        if found is None and key.isdecimal():
            found = next(iter(self.of_socket.get(int(key), ())), None)
        if found is None:
            raise UsageError(f"no conversation {key!r} in this recording")
        return found

    @cached_property
    def of_socket(self) -> dict[int, list[Conversation]]:
        """The conversations of each socket, those in which most happened first."""
        found: dict[int, list[Conversation]] = {}
        for conversation in self.timeline.conversations:
            for socket in (conversation.left, conversation.right):
                if socket is not None:
                    found.setdefault(socket, []).append(conversation)
        for conversations in found.values():
            conversations.sort(key=lambda conversation: -len(conversation.rows))
        return found

    def lines(self, conversation: Conversation) -> list[Line]:
        """All lines of a conversation's ladder."""
        return self.remember(("lines", conversation.number), lambda: list(Lines(self.timeline).of(conversation)))

    def joins_of(self, conversation: Conversation) -> Joins:
        """The joins that know the ways of all bytes of a conversation."""
        joins = self.timeline.joins
        return joins.again(self._events_of(conversation)) if self._packed else joins

    def _events_of(self, conversation: Conversation) -> Iterator[Call | Segment]:
        """What moved the bytes of a conversation, in the order of time."""
        recording, timeline = self.recording, self.timeline
        sockets = [socket for socket in (conversation.left, conversation.right) if socket is not None]
        if timeline.tracks[conversation.left].socket.type != _SOCK_STREAM:
            # Datagrams of others stand in the same queues.
            calls: Iterable[Call] = recording.calls()
            packets: Iterable[Packet] = recording.packets()
        else:
            own = {call.id: call for socket in sockets for call in recording.calls(socket=socket)}
            threads = {(call.process, call.tid) for call in own.values() if timeline.role(call) is Role.RECEIVE}
            numbers = [number for number, name in names(timeline.machine).items() if may_send(name)]
            for process in {process for process, _ in threads}:
                for call in recording.calls(process=process, numbers=numbers):
                    if (call.process, call.tid) in threads:
                        own[call.id] = call
            calls = own.values()
            local, remote = timeline.joins.ends(conversation.left)
            travelled = self.segments.between(local, remote) if local is not None and remote is not None else []
            packets = recording.some(Packet, travelled).values()
        segments = (found for packet in packets if (found := segment(packet)) is not None)
        # A call stands before a segment of the same moment, which it may have sent.
        timed: list[tuple[int, int, int, Call | Segment]] = [(call.entry_ns, 0, call.id, call) for call in calls]
        timed += [(found.at_ns, 1, found.packet, found) for found in segments]
        timed.sort(key=lambda entry: entry[:3])
        return (event for _, _, _, event in timed)

    def remember(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What was made before for this key, or makes it; of many, those asked for last are remembered."""
        if key in self._remembered:
            found = self._remembered.pop(key)
        else:
            found = make()
            most = _REMEMBERED_THINGS - _size(found)
            while self._remembered and (
                len(self._remembered) >= _REMEMBERED or sum(map(_size, self._remembered.values())) > most
            ):
                del self._remembered[next(iter(self._remembered))]
        self._remembered[key] = found
        return found  # type: ignore[no-any-return]


def _size(answer: object) -> int:
    return len(answer) if isinstance(answer, Sized) else 1


def key_of(conversation: Conversation) -> str:
    """``2-3``, or ``2`` without a second traced socket: it stays the same while the recording grows."""
    return f"{conversation.left}" if conversation.right is None else f"{conversation.left}-{conversation.right}"
