"""What exports are made of: a recording with its joins, its findings, and what may be told of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, Protocol

from ...events import Call, Known, Source
from ..lines import ConversationLine, Line, Lines
from ..recording import Recording
from ..timeline import Timeline
from ..wire import segment
from .discretion import Discretion

__all__ = ["Finding", "Material"]

#: What the formats can hold: a damaged recording may say anything.
_LAST_NS: Final = (1 << 63) - 1
#: What a line is to the call that it stands beside.
_KNOWN: Final[Mapping[int, str]] = {
    Known.DIRECT: "at",
    Known.CREATOR: "on a socket made at",
    Known.AWAITING: "awaited at",
    Known.LIBRARY: "in",
}


class _Proof(Protocol):
    @property
    def table(self) -> str: ...
    @property
    def row(self) -> int: ...
    @property
    def at_ns(self) -> int: ...
    @property
    def text(self) -> str: ...


class _Of(Protocol):
    @property
    def id(self) -> int: ...


class Finding(Protocol):
    """What is read of a finding of ``wallsocket.diagnose``, which stands above this package."""

    @property
    def rule(self) -> str: ...  # noqa: D102
    @property
    def severity(self) -> str: ...  # noqa: D102
    @property
    def certainty(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def why(self) -> str: ...  # noqa: D102
    @property
    def fix(self) -> str: ...  # noqa: D102
    @property
    def file(self) -> str | None: ...  # noqa: D102
    @property
    def line(self) -> int | None: ...  # noqa: D102
    @property
    def rank(self) -> int: ...  # noqa: D102
    @property
    def socket(self) -> _Of | None: ...  # noqa: D102
    @property
    def proof(self) -> Sequence[_Proof]: ...  # noqa: D102


class Material:
    """A recording that is being exported.

    Attributes:
        recording: what is exported.
        findings: of ``explain``, most probable cause first.
        discretion: what of it may be told.
        tls_keys: a key log, where it is to go along.
        implied: packets that nobody captured were made of calls; the file says so.
    """

    def __init__(
        self,
        recording: Recording,
        findings: Sequence[Finding],
        *,
        with_payload: bool,
        tls_keys: bytes | None = None,
    ) -> None:
        self.recording = recording
        self.findings = list(findings)
        self.discretion = Discretion(recording, with_payload=with_payload)
        self.tls_keys = tls_keys
        self.implied = False

    @cached_property
    def timeline(self) -> Timeline:
        """All conversations with all their rows."""
        return Timeline(self.recording, decode=segment, everything=True)

    @cached_property
    def lines(self) -> Mapping[int, tuple[ConversationLine, list[Line]]]:
        """The ladder of each conversation as data, by number, in the order of their start."""
        made = Lines(self.timeline)
        return {item.number: (made.conversation(item), list(made.of(item))) for item in self.timeline.wanted()}

    @cached_property
    def started_ns(self) -> int:
        """When the recording began, in ns since 1970; 0 where that is unknown."""
        started = self.recording.meta_int("started_realtime_ns")
        return started if started is not None and 0 <= started < 1 << 62 else 0

    def at(self, at_ns: int) -> int:
        """A time of the recording in ns since 1970."""
        return max(0, min(self.started_ns + at_ns, _LAST_NS))

    @cached_property
    def senders(self) -> dict[int, tuple[int | None, int | None, int]]:
        """By the id of a packet: the call that sent it (else the kernel did), the socket that it left from, its conversation."""
        found: dict[int, tuple[int | None, int | None, int]] = {}
        for conversation in self.timeline.wanted():
            for row in conversation.lines:
                if row.segment is not None:
                    found[row.segment.packet] = (None, conversation.socket_of(row.side), conversation.number)
            for line in self.lines[conversation.number][1]:
                if line.kind == "call" and line.calls:
                    socket = conversation.socket_of(0 if line.side == "left" else 1)
                    for packet in line.packets:
                        found[packet] = (line.calls[-1], socket, conversation.number)
            for left in (conversation.left, conversation.right):
                for way in self.timeline.joins.ways(left) if left is not None else ():
                    for carried in way.carried:
                        if way.sent is not None:
                            found[carried.packet] = (way.sent.call, left, conversation.number)
        return found

    def call(self, id: int | None) -> Call | None:
        """A call by its id."""
        if id is None:
            return None
        if id not in self._remembered:
            if len(self._remembered) > 10_000:
                self._remembered.clear()
            self._remembered[id] = self.recording.call(id)
        return self._remembered[id]

    @cached_property
    def _remembered(self) -> dict[int, Call | None]:
        return {}

    def source(self, call: Call | None) -> Source | None:
        """The line of code of a call, where one is known; what it is to the call says :meth:`where`."""
        source = self._source(call)
        return source if source is not None and source.file is not None and source.line is not None else None

    def at_the_call(self, call: Call) -> bool:
        """Whether the line is that of the call itself."""
        source = self.source(call)
        return source is not None and not source.begins and call.known == Known.DIRECT

    def known(self, call: Call) -> str | None:
        """How the line of a call is known: ``direct``, ``creator``, ``awaiting``, ``library``; ``None``: it is not."""
        return Known(call.known).name.lower() if call.known in _KNOWN and self._source(call) is not None else None

    def where(self, call: Call | None, *, short: bool = False) -> str:
        """Where a call was made, and how that is known: ``at client.py:19``, ``on a socket made at client.py:7``.

        The function stands for a line that is not known; empty: neither is.

        Args:
            call: the call.
            short: the file's name without its folder.
        """
        source = self._source(call)
        if source is None or call is None:
            return ""
        place = source.name or ""
        if source.file is not None and source.line is not None:
            line = f"{source.file.rpartition('/')[2] if short else source.file}:{source.line}"
            place = f"{place} ({line})" if source.begins else line
        return f"{_KNOWN[call.known]} {place}" if place else ""

    def _source(self, call: Call | None) -> Source | None:
        if call is None or call.source is None or call.known not in _KNOWN:
            return None
        return self.recording.sources.get(call.source)

    @cached_property
    def found(self) -> Mapping[tuple[str, int], list[Finding]]:
        """Findings by each row that they rest on: table and id."""
        rows: dict[tuple[str, int], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            for proof in finding.proof:
                if finding not in rows[proof.table, proof.row]:
                    rows[proof.table, proof.row].append(finding)
        return dict(rows)

    def found_at(self, finding: Finding) -> int:
        """When what a finding tells was there: its last proof."""
        return max((proof.at_ns for proof in finding.proof), default=0)
