"""The ladder in windows: a few of a conversation's lines, or of groups of lines when it is seen from further away.

The lines are those of :mod:`wallsocket.trace.lines`. Each level above them joins :data:`STEP` neighbours of the level
below, so that a screen never gets more than it can show, however long the conversation is.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ..errors import UsageError
from ..trace.calls import address
from ..trace.conversations import Conversation
from ..trace.joins import Basis
from ..trace.labels import process_title
from ..trace.lines import Line, Lines
from ..trace.syscalls import Role
from ..trace.text import escape
from .snapshot import Snapshot, key_of

__all__ = [
    "STEP", "ConversationCard", "Conversations", "ConversationsAsked", "Group", "Ladder", "LadderAsked", "Locate",
    "LocateAsked", "Rail", "Rung", "conversations", "ladder", "locate", "rail",
]  # fmt: skip

#: Neighbours that are joined on each further level.
STEP: Final = 4
_MOST_LEVELS: Final = 12
#: Lines that one answer holds at most.
_MOST: Final = 500

Table = Literal["call", "packet", "state"]


class ConversationsAsked(msgspec.Struct, frozen=True):
    """Which conversations: from the ``first`` one on, those whose words hold ``search``."""

    first: int = 0
    count: int = 100
    search: str = ""


class ConversationCard(msgspec.Struct):
    """A conversation to pick.

    Attributes:
        key: its address.
        kind: ``tcp``, ``udp``, ``unix``, ``listener`` or ``socket``.
        title: in words.
        left, right: the programs at its ends, in words; empty where there is none, or it was not traced.
        verdicts: how each socket went, in words.
        rows: calls and segments that were kept.
        segments: how many of its segments travelled.
        findings: numbers of the findings about its sockets.
        says_much: data moved, something failed, or something is still waited for.
    """

    key: str
    kind: str
    title: str
    left: str
    right: str
    verdicts: list[str]
    rows: int
    segments: int
    findings: list[int]
    says_much: bool


class Conversations(msgspec.Struct):
    """Conversations to pick from, those with findings first; ``matching``: how many fit the search."""

    cards: list[ConversationCard]
    matching: int


class LadderAsked(msgspec.Struct, frozen=True):
    """A window of a ladder.

    Attributes:
        conversation: its key, or the id of a socket of it.
        first: the first line, or group, that is wanted. count: how many.
        level: 0 for lines; each level above joins four of the one below.
        search: words that a line must hold.
        only: kinds that are wanted, with commas: ``call``, ``segment``, ``state``, ``failed``; empty for all.
    """

    conversation: str
    first: int = 0
    count: int = 100
    level: int = 0
    search: str = ""
    only: str = ""


class Rail(msgspec.Struct):
    """An end of a conversation.

    Attributes:
        title: the program, in words. address: of its socket, in words.
        socket: id; ``None``: it was not traced.
        verdict: how the socket went, in words.
    """

    title: str
    address: str
    socket: int | None
    verdict: str


class Group(msgspec.Struct):
    """Neighbouring lines, seen from further away.

    Attributes:
        first: position of the first line, counted among those that fit search and filter. lines: how many.
        at_ns, until_ns: from when until when.
        calls, failed, segments: how many. calls_right, failed_right: of them those of the right program.
        again: segments whose bytes had travelled before. failures: resets, ICMP errors.
        to_right, to_left: bytes that travelled, or where the wire was not recorded were given away.
        idle_ns: how much of the time nothing happened.
        states: the last state that each side reached in it; empty for none.
    """

    first: int
    lines: int
    at_ns: int
    until_ns: int
    calls: int = 0
    failed: int = 0
    calls_right: int = 0
    failed_right: int = 0
    segments: int = 0
    again: int = 0
    failures: int = 0
    to_right: int = 0
    to_left: int = 0
    idle_ns: int = 0
    states: list[str] = msgspec.field(default_factory=lambda: ["", ""])


class Rung(msgspec.Struct, omit_defaults=True):
    """What stands at one position: a line, or a group of them.

    Attributes:
        index: the position.
        line: the line. meanwhile: of a pause, how many calls other sockets made in it.
        direction: of a call ``in`` when the program gives the socket something, ``out`` when it gets something back.
        group: the group.
    """

    index: int
    line: Line | None = None
    meanwhile: int = 0
    direction: Literal["", "in", "out"] = ""
    group: Group | None = None


class Ladder(msgspec.Struct):
    """A window of a ladder.

    Attributes:
        key: of the conversation. kind, title: as of :class:`ConversationCard`.
        left, right: its ends; no right one for a listener, or where nothing is known of it.
        inferred: that these two talk is inferred.
        wire: segments were recorded. wire_missing: else why not, in words.
        level, levels: which it is, and how many there are.
        total: lines or groups on this level. whole: lines without search and filter.
        rungs: the window.
    """

    key: str
    kind: str
    title: str
    left: Rail
    right: Rail | None
    inferred: bool
    wire: bool
    wire_missing: str
    level: int
    levels: int
    total: int
    whole: int
    rungs: list[Rung]


class LocateAsked(msgspec.Struct, frozen=True):
    """Where a row of the recording stands; ``conversation``: look here first; ``search``, ``only``: as of the ladder."""

    table: Table
    row: int
    conversation: str = ""
    search: str = ""
    only: str = ""


class Locate(msgspec.Struct):
    """Where a row stands: key of a conversation, and the position of its line there; ``None``: in no ladder."""

    conversation: str | None
    index: int | None


def conversations(snapshot: Snapshot, asked: ConversationsAsked) -> Conversations:
    """The conversations of a recording."""
    cards = snapshot.remember("conversations", lambda: _cards(snapshot))
    words = asked.search.lower().split()
    fitting = [card for card in cards if all(word in _words_of(card) for word in words)]
    return Conversations(fitting[asked.first : asked.first + min(asked.count, _MOST)], len(fitting))


def ladder(snapshot: Snapshot, asked: LadderAsked) -> Ladder:
    """A window of a conversation's ladder."""
    timeline = snapshot.timeline
    conversation = snapshot.conversation(asked.conversation)
    lines = snapshot.lines(conversation)
    fitting = _fitting(snapshot, conversation, asked.search, asked.only)
    levels = _levels(len(fitting))
    level = max(0, min(asked.level, levels - 1))
    first, count = max(0, asked.first), max(0, min(asked.count, _MOST))
    if level:
        groups = snapshot.remember(
            ("groups", conversation.number, asked.search, asked.only, level), lambda: _groups(lines, fitting, level)
        )
        total = len(groups)
        rungs = [Rung(index, group=groups[index]) for index in range(first, min(first + count, total))]
    else:
        total = len(fitting)
        roles = snapshot.remember(("roles", conversation.number), conversation.rows.roles)
        rungs = []
        for index in range(first, min(first + count, total)):
            line = lines[fitting[index]]
            meanwhile = snapshot.moments.between(line.at_ns, line.until_ns) if line.kind == "pause" else 0
            rungs.append(Rung(index, line, meanwhile, _direction(roles, line)))
    wire = conversation.segments > 0
    reason = timeline.recording.missing.get("wire", "")
    about = Lines(timeline).conversation(conversation)
    left = rail(snapshot, conversation, 0, about.verdicts[0])
    assert left is not None
    return Ladder(
        key_of(conversation),
        conversation.kind,
        about.title,
        left,
        rail(snapshot, conversation, 1, about.verdicts[1] if conversation.right is not None else ""),
        conversation.basis is Basis.INFERRED,
        wire,
        escape(reason) if not wire and conversation.kind in ("tcp", "udp") else "",
        level,
        levels,
        total,
        len(lines),
        rungs,
    )


def locate(snapshot: Snapshot, asked: LocateAsked) -> Locate:
    """Where a row of the recording stands in the ladders."""
    wanted = snapshot.conversation(asked.conversation) if asked.conversation else None
    holding = _holding(snapshot, asked.table, asked.row)
    for conversation in sorted(holding, key=lambda conversation: conversation is not wanted):
        lines = snapshot.lines(conversation)
        for index, position in enumerate(_fitting(snapshot, conversation, asked.search, asked.only)):
            line = lines[position]
            if asked.row in (
                line.calls if asked.table == "call" else line.packets if asked.table == "packet" else line.states
            ):
                return Locate(key_of(conversation), index)
    return Locate(key_of(holding[0]) if holding else None, None)


def _holding(snapshot: Snapshot, table: Table, row: int) -> list[Conversation]:
    """The conversations in whose ladder a row of the recording stands."""

    def find() -> list[Conversation]:
        return [one for one in snapshot.timeline.conversations if one.rows.holds(table, row)]

    return snapshot.remember(("holding", table, row), find)


# -- conversations


def _cards(snapshot: Snapshot) -> list[ConversationCard]:
    timeline = snapshot.timeline
    about: dict[int, list[int]] = {}
    for number, finding in enumerate(snapshot.findings, 1):
        if finding.socket is not None:
            about.setdefault(finding.socket.id, []).append(number)
    lines = Lines(timeline)
    cards = []
    for conversation in timeline.conversations:
        found = lines.conversation(conversation)
        sockets = [socket for socket in (conversation.left, conversation.right) if socket is not None]
        cards.append(
            ConversationCard(
                key_of(conversation),
                conversation.kind,
                found.title,
                _program(snapshot, conversation.left),
                _program(snapshot, conversation.right) if conversation.right is not None else "",
                found.verdicts,
                len(conversation.rows),
                conversation.segments,
                sorted({number for socket in sockets for number in about.get(socket, ())}),
                timeline.says_much(conversation),
            )
        )
    # Python's sort keeps the order of their beginning.
    cards.sort(key=lambda card: (min(card.findings, default=1 << 30), not card.says_much))
    return cards


def _words_of(card: ConversationCard) -> str:
    return f"{card.key} {card.kind} {card.title} {card.left} {card.right} {' '.join(card.verdicts)}".lower()


def _program(snapshot: Snapshot, socket: int) -> str:
    timeline = snapshot.timeline
    return process_title(timeline.processes.get(timeline.tracks[socket].socket.process), timeline.recording.networks)


def rail(snapshot: Snapshot, conversation: Conversation, side: int, verdict: str) -> Rail | None:
    """An end of a conversation: 0 the left one, 1 the right one; ``None`` where nothing is known of it."""
    timeline = snapshot.timeline
    socket = conversation.socket_of(side)
    if socket is not None:
        local = timeline.tracks[socket].socket.local
        return Rail(_program(snapshot, socket), address(local) if local else "", socket, verdict)
    remote = timeline.tracks[conversation.left].socket.remote
    if remote is None and (tried := timeline.target_of(conversation.left)) is not None:
        remote = tried.address
    return Rail("not traced", address(remote), None, "") if remote else None


# -- lines


def _fitting(snapshot: Snapshot, conversation: Conversation, search: str, only: str) -> list[int] | range:
    """Positions of the lines that fit search and filter."""
    lines = snapshot.lines(conversation)
    wanted = frozenset(filter(None, only.split(",")))
    unknown = wanted - {"call", "segment", "state", "failed"}
    if unknown:
        raise UsageError(f"no kind of line {sorted(unknown)[0]!r}; there are call, segment, state and failed")
    words = search.lower().split()
    if not wanted and not words:
        return range(len(lines))

    def find() -> list[int]:
        return [
            position
            for position, line in enumerate(lines)
            if (not wanted or not wanted.isdisjoint(_kinds(line)))
            and (not words or all(word in text for text in (_text(line),) for word in words))
        ]

    return snapshot.remember(("fitting", conversation.number, search, only), find)


def _direction(roles: dict[int, Role], line: Line) -> Literal["", "in", "out"]:
    if not line.calls:
        return ""
    return "out" if roles.get(line.calls[0]) in (Role.RECEIVE, Role.ACCEPT, Role.WAIT) else "in"


def _kinds(line: Line) -> set[str]:
    kinds = set()
    if line.calls:
        kinds.add("call")
    if line.arrow is not None:
        kinds.add("segment")
        if line.arrow.failure:
            kinds.add("failed")
    for part in (*line.left, *line.right):
        if part.kind == "state":
            kinds.add("state")
        elif part.kind in ("failed", "waiting", "unread"):
            kinds.add("failed")
    return kinds


def _text(line: Line) -> str:
    pieces = [part.text for part in (*line.left, *line.right)]
    if line.arrow is not None:
        pieces.append(line.arrow.text)
        pieces.append(line.arrow.payload.decode("latin-1"))
    pieces.append(line.note)
    return " ".join(pieces).lower()


def _levels(count: int) -> int:
    levels = 1
    while count > STEP and levels < _MOST_LEVELS:
        count = -(-count // STEP)
        levels += 1
    return levels


def _groups(lines: list[Line], fitting: list[int] | range, level: int) -> list[Group]:
    size = STEP**level
    return [
        _group(first, [lines[position] for position in fitting[first : first + size]])
        for first in range(0, len(fitting), size)
    ]


def _group(first: int, lines: list[Line]) -> Group:
    group = Group(first, len(lines), lines[0].at_ns, max(line.until_ns for line in lines))
    for line in lines:
        group.calls += len(line.calls)
        if line.side == "right":
            group.calls_right += len(line.calls)
        if line.kind == "pause":
            group.idle_ns += line.until_ns - line.at_ns
        for side, parts in enumerate((line.left, line.right)):
            for part in parts:
                failed = part.kind in ("failed", "waiting")
                group.failed += failed
                group.failed_right += failed and side == 1
                if part.kind == "state":
                    group.states[side] = f"[{part.text}]" if part.inferred else part.text
        arrow = line.arrow
        moved = 0
        if arrow is not None:
            group.segments += arrow.segments
            group.again += arrow.again
            group.failures += arrow.failure
            moved = 0 if arrow.again else arrow.length
        if line.side == "left":
            group.to_right += moved
        else:
            group.to_left += moved
    return group
