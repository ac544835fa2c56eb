"""The ladder: what two ends did on the outer rails, what travelled between them, what each socket was inside.

States and queue figures that nobody reported but that follow from calls or segments stand in brackets.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from ..kernel import program
from .calls import CallText, address
from .clock import Clock
from .conversations import Conversation
from .joins import Basis
from .labels import conversation_title, process_title, socket_label, source_text
from .lines import Arrow, Line, Lines, Part, PartKind
from .recording import Recording
from .text import Style, column_width, escape, fit, pad, paint, printable_payload, wrap
from .timeline import Timeline
from .verdict import amount, duration, verdict

__all__ = ["Ladder", "header", "incomplete"]

#: Narrowest and widest column for the wire.
_WIRE_COLUMNS: Final = (18, 38)
#: Columns for the name of an end that was not traced: an address and what it is.
_NAME_COLUMNS: Final = 28
_STYLES: Final[dict[PartKind, Style]] = {
    "source": Style.DIM,
    "call": Style.PLAIN,
    "failed": Style.ERROR,
    "time": Style.DIM,
    "waiting": Style.WARNING,
    "state": Style.GOOD,
    "queue": Style.DIM,
    "unread": Style.WARNING,
    "end": Style.DIM,
}


def header(timeline: Timeline, *, colour: bool) -> Iterator[str]:
    """What was recorded, what was not and why, and where the recording was cut off."""
    meta = timeline.recording.meta
    command = " ".join(program.command_words(meta.get("command")))
    users = {track.socket.process for track in timeline.tracks.values() if not track.socket.inferred}
    others = len(timeline.processes) - len(users & timeline.processes.keys())
    # A recording without sockets is about those that had none.
    processes = amount(len(users) or others, "process")
    if others:
        processes += f" (and {others} without sockets)" if users else " without sockets"
    counts = f"{processes}, {amount(len(timeline.recording.sockets), 'socket')}, {amount(timeline.calls, 'call')}"
    imported = program.command_words(meta.get("imported"))
    shown = paint(escape(command), Style.BOLD, colour=colour) if command else "an attached program"
    if imported:
        files = escape(" and ".join(imported))
        shown = f"{files}: {shown}" if command else paint(files, Style.BOLD, colour=colour)
    yield f"{shown}   {duration(timeline.recording.ended_ns)}, {counts}"
    missing = [f"{layer} not recorded ({escape(reason)})" for layer, reason in timeline.recording.missing.items()]
    if missing:
        yield paint(" · ".join(missing), Style.DIM, colour=colour)
    since_ns = timeline.recording.since_ns
    if since_ns is not None:
        yield paint(
            f"kept from {duration(since_ns)} on; before that, what made the open sockets", Style.DIM, colour=colour
        )
    yield from incomplete(timeline.recording, colour=colour)


def incomplete(recording: Recording, *, colour: bool) -> Iterator[str]:
    """Where a recording was cut off, or that it still grows, and how many events were lost; nothing of a whole one."""
    cut = recording.cut_off_ns
    if cut is not None:
        how = "still being recorded" if recording.growing else "cut off"
        reason = f": {escape(recording.failure)}" if recording.failure is not None else ""
        yield paint(f"{how} at {duration(cut)}{reason}", Style.WARNING, colour=colour)
    lost = recording.meta.get("lost", "0")
    if lost != "0":
        yield paint(f"{escape(lost)} events could not be recorded", Style.WARNING, colour=colour)


class Ladder:
    """Draws conversations in a given width."""

    def __init__(self, timeline: Timeline, *, width: int, colour: bool, clock: Clock | None = None) -> None:
        self._timeline = timeline
        self._width = width
        self._colour = colour
        self._calls = CallText(timeline.machine)
        self._clock = clock if clock is not None else Clock(timeline.recording)
        self._time_width = max(self._clock.width, len(self._clock.head))

    def draw(self, conversation: Conversation) -> Iterator[str]:
        """A conversation: title, rails, rows, and a line per socket on how it went."""
        timeline = self._timeline
        two = conversation.right is not None
        wire = conversation.segments > 0
        heads = [self._rail_head(conversation, 0), self._rail_head(conversation, 1)]
        rail, middle = self._columns(two=two, wire=wire, name=column_width(heads[1]))
        title = self._paint(conversation_title(timeline, conversation), Style.BOLD)
        if conversation.kind in ("tcp", "udp") and not wire and "wire" in timeline.recording.missing:
            # Why not, is told once for the recording.
            title += self._paint("  wire not recorded", Style.DIM)
        if conversation.basis is Basis.INFERRED:
            title += self._paint("  [that these two talk is inferred]", Style.DIM)
        yield title
        yield self._heading(heads if two or wire else [heads[0], ""], rail, middle if wire else 0)
        for drawn in Lines(timeline).of(conversation):
            yield from self._text(drawn, rail, middle if wire else 0)
        for socket in (conversation.left, conversation.right):
            if socket is not None:
                track = timeline.tracks[socket]
                words = f"{socket_label(timeline, socket)}: {verdict(timeline, track)}".split(" ")
                for line in wrap(words, self._width - self._time_width - 2, "  "):
                    yield f"{'':{self._time_width}}  {line}"

    def excerpt(self, conversation: Conversation, cited: Sequence[tuple[str, int]], *, height: int) -> list[str]:
        """The few lines of a conversation that matter, in at most so many lines of text.

        First those with ``cited`` rows of the recording (by table and id, the most important first), which are marked;
        then their neighbours, as room is left. What is left out between them is counted. The wire is drawn only where
        a frame is cited. Nothing, where none of the rows stands in this conversation.
        """
        ranks = {row: rank for rank, row in reversed(list(enumerate(cited)))}
        lines = list(Lines(self._timeline).of(conversation))
        rank_of = {
            index: min(found)
            for index, line in enumerate(lines)
            if (found := [ranks[row] for row in line.rows() if row in ranks])
        }
        if not rank_of:
            return []
        wire = any(("packet", packet) in ranks for index in rank_of for packet in lines[index].packets)
        heads = [self._rail_head(conversation, side) for side in (0, 1)]
        two = conversation.right is not None
        rail, middle = self._columns(two=two, wire=wire, name=column_width(heads[1]))
        if wire and two and self._time_width + 2 * rail + middle + 6 > self._width:
            # No room for it between two rails.
            wire = False
            rail, middle = self._columns(two=two, wire=False, name=0)
        room = self._width - self._time_width - rail - 4 - (middle + 2 if wire else 0)
        heads[1] = fit(heads[1], max(0, room)) if two or wire else ""
        if two and fit(heads[0], rail) == heads[1]:
            heads = [fit(self._end_head(conversation, side), max(0, room)) for side in (0, 1)]
        head = self._heading(heads, rail, middle if wire else 0)
        drawn = [list(self._text(line, rail, middle if wire else 0)) for line in lines]
        # A frame alone has nothing to show where the wire is not drawn; a gap is counted anew.
        usable = [
            index
            for index, line in enumerate(lines)
            if line.kind != "skipped" and (wire or line.left or line.right or line.note)
        ]
        order = sorted(
            usable,
            key=lambda index: (
                rank_of.get(index, len(cited)),
                min(abs(index - named) for named in rank_of),
                index,
            ),
        )
        chosen: list[int] = []
        for index in order:
            tried = sorted([*chosen, index])
            if not chosen or 1 + len(self._joined(lines, drawn, tried, rank_of)) <= height:
                chosen = tried
        return [f"  {head}", *self._joined(lines, drawn, chosen, rank_of)]

    def _joined(
        self, lines: Sequence[Line], drawn: Sequence[list[str]], chosen: Sequence[int], marked: Container[int]
    ) -> list[str]:
        """The chosen lines as text, with a count of what is missing before, between and after them."""
        text: list[str] = []
        margin = " " * (self._time_width + 4)
        for before, index in pairwise((-1, *chosen, len(lines))):
            missing = sum(lines[left_out].stands_for() for left_out in range(before + 1, index))
            if missing:
                what = "calls and segments" if missing > 1 else "call or segment"
                text.append(self._paint(f"{margin}… {missing} {what} …", Style.DIM))
            if index < len(lines):
                first, *rest = drawn[index]
                text += [f"{'▸' if index in marked else ' '} {first}", *(f"  {line}" for line in rest)]
        return text

    def _end_head(self, conversation: Conversation, side: int) -> str:
        """What tells the two ends of one program apart."""
        socket = conversation.socket_of(side)
        local = self._timeline.tracks[socket].socket.local if socket is not None else None
        return address(local) if local else f"socket {socket}"

    def summary(self, conversations: Iterable[Conversation]) -> Iterator[str]:
        """Conversations in a line per socket; sockets of one process to which the same happened share a line."""
        alike: dict[str, list[int]] = {}
        for conversation in conversations:
            title = conversation_title(self._timeline, conversation)
            for socket in (conversation.left, conversation.right):
                if socket is not None:
                    track = self._timeline.tracks[socket]
                    owner = socket_label(self._timeline, socket).partition("  ")[2]
                    text = f"{owner}  {title}: {verdict(self._timeline, track)}"
                    alike.setdefault(text, []).append(socket)
        for text, sockets in alike.items():
            if len(sockets) == 1:
                yield f"socket {sockets[0]}  {text}"
            else:
                shown = ", ".join(map(str, sockets[:6])) + (", …" if len(sockets) > 6 else "")
                yield f"{len(sockets)} sockets ({shown})  {text}"

    def failed_alone(self) -> Iterator[str]:
        """A line per failed call that belongs to no socket, such as a socket() that got none."""
        timeline = self._timeline
        for call in timeline.failed_alone:
            who = process_title(timeline.processes.get(call.process), timeline.recording.networks)
            where = source_text(timeline, call)
            text = self._paint(self._calls.full(call), Style.ERROR)
            yield f"{self._clock.text(call.entry_ns, width=self._time_width)}  {text}  {who}  {where}".rstrip()

    # -- columns

    def _columns(self, *, two: bool, wire: bool, name: int) -> tuple[int, int]:
        """The width of a rail and of the wire between; ``name`` is that of the right end."""
        rest = self._width - self._time_width - 2
        if not wire:
            return ((rest - 2) // 2 if two else rest), 0
        middle = min(_WIRE_COLUMNS[1], max(_WIRE_COLUMNS[0], rest // 4 if two else rest * 3 // 10))
        if not two:
            # The other end has nothing to say but its name.
            return max(16, rest - middle - 4 - min(name, _NAME_COLUMNS)), middle
        return max(16, (rest - middle - 4) // 2), middle

    def _heading(self, heads: Sequence[str], rail: int, middle: int) -> str:
        cells = [self._clock.head.rjust(self._time_width), pad(heads[0], rail)]
        if middle:
            cells.append(pad("wire".center(middle), middle))
        return self._paint("  ".join([*cells, heads[1]]).rstrip(), Style.DIM)

    def _rail_head(self, conversation: Conversation, side: int) -> str:
        socket = conversation.socket_of(side)
        if socket is None:
            remote = self._timeline.tracks[conversation.left].socket.remote
            if remote is None and (tried := self._timeline.target_of(conversation.left)) is not None:
                remote = tried.address
            return f"{address(remote)} (not traced)" if remote else ""
        row = self._timeline.tracks[socket].socket
        if row.inferred:
            return f"{address(row.local or b'')} [inferred]"
        return process_title(self._timeline.processes.get(row.process), self._timeline.recording.networks)

    def _paint(self, text: str, style: Style) -> str:
        return paint(text, style, colour=self._colour)

    # -- lines to text

    def _text(self, line: Line, rail: int, middle: int) -> Iterator[str]:
        margin = " " * self._time_width
        if line.note:
            yield self._paint(f"{margin}  {line.note}", Style.DIM)
            return
        left, right = (self._cell(self._styled(parts, line.times), rail) for parts in (line.left, line.right))
        for number in range(max(len(left), len(right), 1)):
            first = number == 0
            time = self._clock.text(line.at_ns, width=self._time_width) if first else margin
            parts = [time, left[number] if number < len(left) else " " * rail]
            if middle:
                arrow = line.arrow if first else None
                drawn = _arrow(arrow, line.side, middle) if arrow is not None else ""
                style = _arrow_style(arrow, line.side) if arrow is not None else Style.PLAIN
                parts.append(self._paint(drawn, style) if drawn else " " * middle)
            parts.append(right[number] if number < len(right) else "")
            yield "  ".join(parts).rstrip()

    @staticmethod
    def _styled(parts: Sequence[Part], times: int) -> list[tuple[str, Style]]:
        cell = [(f"[{part.text}]" if part.inferred else part.text, _STYLES[part.kind]) for part in parts]
        return [*cell, (f"×{times}", Style.DIM)] if cell and times > 1 else cell

    def _cell(self, cell: Sequence[tuple[str, Style]], width: int) -> list[str]:
        """A cell's pieces set into lines of the rail's width, each filled with spaces."""
        lines: list[str] = []
        text, used = "", 0
        for piece, style in cell:
            # What does not begin a cell may come to stand below, two columns in.
            for number, part in enumerate(wrap(piece.rstrip().split(" "), width - 2 * bool(lines or used), "  ")):
                gap = 0 if not used else 2
                if used and (number or used + gap + column_width(part) > width):
                    lines.append(text + " " * (width - used))
                    text, used, gap = "  ", 2, 0
                part = fit(part.strip() if used else part, width - used)
                text += " " * gap + self._paint(part, style)
                used += gap + column_width(part)
        if used:
            lines.append(text + " " * (width - used))
        return lines


def _arrow_style(arrow: Arrow, side: str) -> Style:
    if arrow.failure or arrow.lost:
        return Style.ERROR
    if arrow.again or arrow.stalled:
        return Style.WARNING
    return Style.SEND if side == "left" else Style.RECEIVE


def _arrow(arrow: Arrow, side: str, width: int) -> str:
    room = width - 6
    label = fit(arrow.text, room)
    if arrow.payload and arrow.label is None:
        # Bytes that are no text say nothing here; --calls and --packets show them.
        room -= column_width(label) + 1
        whole = min(len(arrow.payload), room)
        kept = next((n for n in range(whole, 0, -1) if len(_snippet(arrow, n)) <= room), 0)
        if kept < min(6, arrow.length):
            kept = 0
        snippet = _snippet(arrow, kept) if kept else ""
        if snippet and "\\x" not in snippet:
            label = f"{label} {snippet}"
    dashes = width - column_width(label) - 3
    left = dashes // 2
    drawn = f"{'─' * left} {label} {'─' * (dashes - left)}"
    return f"{drawn}▶" if side == "left" else f"◀{drawn}"


def _snippet(arrow: Arrow, kept: int) -> str:
    return printable_payload(arrow.payload, limit=kept, total=arrow.length)
