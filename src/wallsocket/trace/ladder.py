"""The ladder: what two ends did on the outer rails, what travelled between them, what each socket was inside.

States and queue figures that nobody reported but that follow from calls or segments stand in brackets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..events import Call, Known, Process
from ..kernel import names as naming
from ..kernel import program
from ..kernel.tcp_state import TcpState
from .calls import CallText, address, named
from .conversations import Conversation, Row
from .syscalls import Role
from .text import Style, column_width, escape, fit, pad, paint, printable_payload, wrap
from .timeline import Timeline
from .tracks import Transition
from .verdict import amount, duration, verdict
from .wire import ACK, FIN, RST, SYN, Segment

__all__ = ["Ladder", "conversation_title", "header", "process_label", "process_title", "socket_label", "source_text"]

_AF_UNIX: Final = 1
#: A pause this long between two rows is drawn as a pause.
_IDLE_NS: Final = 100_000_000
#: A call that took this long says so.
_SLOW_NS: Final = 1_000_000
#: Narrowest and widest column for the wire.
_WIRE_COLUMNS: Final = (18, 38)
#: States after our FIN, before it was acknowledged.
_ENDED: Final = frozenset({TcpState.FIN_WAIT1, TcpState.LAST_ACK, TcpState.CLOSING})
#: States in which bytes may still be on their way out.
_SENDING: Final = _ENDED | {TcpState.ESTABLISHED, TcpState.CLOSE_WAIT}
#: Columns for the name of an end that was not traced: an address and what it is.
_NAME_COLUMNS: Final = 28


def process_label(process: Process | None) -> str:
    """The name that people know a program by, safe for a terminal."""
    found = program.name_of_command(process.command, process.executable) if process is not None else ""
    return escape(found) or "unknown program"


def process_title(process: Process | None) -> str:
    """A process as every view writes it: ``server.py (pid 7)``."""
    return program.label(process_label(process), process.pid if process is not None else None)


def source_text(timeline: Timeline, call: Call, *, here: str | None = None) -> str:
    """The line of code of a call and how it is known; ``here`` is the file that needs no name."""
    source = timeline.source_of(call)
    if source is None or source.file is None or source.line is None or call.known == Known.UNKNOWN:
        return ""
    name = os.path.basename(source.file)
    place = f"line {source.line}" if name == here else f"{escape(name)}:{source.line}"
    match call.known:
        case Known.CREATOR:
            return f"made at {place}"
        case Known.AWAITING:
            return f"awaited at {place}"
        case Known.LIBRARY:
            return f"in {place}"
    return place


def socket_label(timeline: Timeline, socket: int) -> str:
    """``socket 3  upper.py (pid 70)``."""
    return f"socket {socket}  {process_title(timeline.processes.get(timeline.tracks[socket].socket.process))}"


def conversation_title(timeline: Timeline, conversation: Conversation) -> str:
    """``tcp 127.0.0.1:51822 → 127.0.0.1:4567``."""
    item = timeline.tracks[conversation.left].socket
    local = _end(conversation, item.local)
    match conversation.kind:
        case "listener":
            kind = "unix" if item.family == _AF_UNIX else "tcp"
            return f"{kind} listener {local or 'without address'}"
        case "socket":
            words = (named(naming.family, item.family), named(naming.socket_type, item.type))
            return " ".join((*words, named(naming.protocol, item.family, item.protocol), local)).strip()
    remote = _end(conversation, item.remote)
    if not remote and conversation.right is not None:
        remote = _end(conversation, timeline.tracks[conversation.right].socket.local)
    if not remote and (tried := timeline.target_of(conversation.left)) is not None:
        remote = _end(conversation, tried.address)
    if item.origin == "socketpair":
        return f"{conversation.kind} pair"
    arrow = "←" if item.origin == "accept" else "→"
    ends = [end for end in (local, remote) if end]
    if not ends:
        return f"{conversation.kind} without address"
    return f"{conversation.kind} {f' {arrow} '.join(ends) if local else f'{arrow} {remote}'}"


def _end(conversation: Conversation, sockaddr: bytes | None) -> str:
    """One end of a conversation; its kind, which stands before, is not said again."""
    text = address(sockaddr) if sockaddr else ""
    return text.removeprefix("unix:") if conversation.kind in ("unix", "listener") else text


def header(timeline: Timeline, *, colour: bool) -> Iterator[str]:
    """What was recorded, what was not and why, and where the recording was cut off."""
    meta = timeline.recording.meta
    command = " ".join(program.command_words(meta.get("command")))
    users = {track.socket.process for track in timeline.tracks.values()}
    others = len(timeline.processes.keys() - users)
    processes = f"{len(users)} processes" if len(users) != 1 else "1 process"
    if others:
        processes += f" (and {others} without sockets)"
    counts = f"{processes}, {amount(len(timeline.tracks), 'socket')}, {amount(timeline.calls, 'call')}"
    shown = paint(escape(command), Style.BOLD, colour=colour) if command else "an attached program"
    yield f"{shown}   {duration(timeline.recording.ended_ns)}, {counts}"
    missing = [
        f"{layer} not recorded ({escape(reason)})"
        for layer, word in (("calls", "calls"), ("kernel", "kernel"), ("wire", "wire"), ("source lines", "lines"))
        if (reason := meta.get(word, "yes")) != "yes"
    ]
    if missing:
        yield paint(" · ".join(missing), Style.DIM, colour=colour)
    cut = timeline.recording.cut_off_ns
    if cut is not None:
        how = "still being recorded" if timeline.recording.growing else "cut off"
        failure = timeline.recording.failure
        reason = f": {escape(failure)}" if failure is not None else ""
        yield paint(f"{how} at {duration(cut)}{reason}", Style.WARNING, colour=colour)
    lost = meta.get("lost", "0")
    if lost != "0":
        yield paint(f"{escape(lost)} events could not be recorded", Style.WARNING, colour=colour)


@dataclass(slots=True)
class _Line:
    """A row of the ladder as text: a time, two rails and an arrow."""

    at_ns: int
    rails: list[list[tuple[str, Style]]] = field(default_factory=lambda: [[], []])
    arrow: str = ""
    payload: Segment | None = None  #: whose first bytes stand behind the arrow's words where there is room
    side: int = 0
    style: Style = Style.PLAIN
    times: int = 1
    segments: int = 0
    moved: int = 0
    note: str = ""  #: instead of all else: a pause, or what was left out

    def same_call(self, other: _Line) -> bool:
        """Whether it is the same call once more, with nothing between."""
        return not self.arrow and not other.arrow and not self.note and self.rails == other.rails


class Ladder:
    """Draws conversations in a given width."""

    def __init__(self, timeline: Timeline, *, width: int, colour: bool) -> None:
        self._timeline = timeline
        self._width = width
        self._colour = colour
        self._calls = CallText(timeline.machine)
        last_ms = timeline.recording.ended_ns / 1_000_000
        self._time_width = max(9, len(f"{last_ms:.3f}"))

    def draw(self, conversation: Conversation) -> Iterator[str]:
        """A conversation: title, rails, rows, and a line per socket on how it went."""
        timeline = self._timeline
        two = conversation.right is not None
        wire = conversation.segments > 0
        rail, middle = self._columns(two=two, wire=wire)
        heads = [self._rail_head(conversation, 0), self._rail_head(conversation, 1)]
        title = self._paint(conversation_title(timeline, conversation), Style.BOLD)
        if conversation.kind in ("tcp", "udp") and timeline.recording.meta.get("wire") not in ("yes", None):
            # Why not, is told once for the recording.
            title += self._paint("  wire not recorded", Style.DIM)
        yield title
        cells = [pad("ms".rjust(self._time_width), self._time_width), pad(heads[0], rail)]
        if wire:
            cells.append(pad("wire".center(middle), middle))
        if two or wire:
            cells.append(heads[1])
        yield self._paint("  ".join(cells).rstrip(), Style.DIM)
        for drawn in self._lines(conversation):
            yield from self._text(drawn, rail, middle if wire else 0)
        for socket in (conversation.left, conversation.right):
            if socket is not None:
                track = timeline.tracks[socket]
                words = f"{socket_label(timeline, socket)}: {verdict(timeline, track)}".split(" ")
                for line in wrap(words, self._width - self._time_width - 2, "  "):
                    yield f"{'':{self._time_width}}  {line}"

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
            who = process_title(timeline.processes.get(call.process))
            where = source_text(timeline, call)
            text = self._paint(self._calls.full(call), Style.ERROR)
            yield f"{call.entry_ns / 1_000_000:{self._time_width}.3f}  {text}  {who}  {where}".rstrip()

    # -- columns

    def _columns(self, *, two: bool, wire: bool) -> tuple[int, int]:
        """The width of a rail and of the wire between."""
        rest = self._width - self._time_width - 2
        if not wire:
            return ((rest - 2) // 2 if two else rest), 0
        middle = min(_WIRE_COLUMNS[1], max(_WIRE_COLUMNS[0], rest // (4 if two else 3)))
        if not two:
            # The other end has nothing to say but its name.
            return max(16, rest - middle - 4 - _NAME_COLUMNS), middle
        return max(16, (rest - middle - 4) // 2), middle

    def _rail_head(self, conversation: Conversation, side: int) -> str:
        socket = conversation.socket_of(side)
        if socket is None:
            remote = self._timeline.tracks[conversation.left].socket.remote
            if remote is None and (tried := self._timeline.target_of(conversation.left)) is not None:
                remote = tried.address
            return f"{address(remote)} (not traced)" if remote else ""
        return process_title(self._timeline.processes.get(self._timeline.tracks[socket].socket.process))

    def _paint(self, text: str, style: Style) -> str:
        return paint(text, style, colour=self._colour)

    # -- rows to lines

    def _lines(self, conversation: Conversation) -> Iterator[_Line]:
        """Rows with arrows beside their calls, repetitions counted and pauses drawn."""
        last: _Line | None = None
        end_ns: int | None = None
        for line, at_end_ns in self._joined(conversation):
            if last is not None and line.same_call(last):
                last.times += 1
                end_ns = at_end_ns
                continue
            if last is not None:
                yield last
            if end_ns is not None and line.at_ns - end_ns >= _IDLE_NS and not line.note:
                yield _Line(line.at_ns, note=f"⋮ {duration(line.at_ns - end_ns)}")
            last, end_ns = line, at_end_ns
        if last is not None:
            yield last

    def _joined(self, conversation: Conversation) -> Iterator[tuple[_Line, int]]:
        queue = _Queues(self._timeline, conversation)
        rows = conversation.lines
        index = 0
        while index < len(rows):
            row = rows[index]
            index += 1
            if row.skipped_calls or row.skipped_segments:
                yield _Line(row.at_ns, note=_skipped(row)), row.at_ns
                continue
            line = _Line(row.at_ns, side=row.side)
            end_ns = row.at_ns
            if row.segment is None:
                line.rails[row.side] = self._call_cell(conversation, row)
                queue.take(row)
                self._others_transitions(conversation, row, line)
                # The segment that the call sent stands on its line.
                if index < len(rows) and _is_its_segment(row, rows[index]):
                    row = rows[index]
                    index += 1
                else:
                    yield line, end_ns
                    continue
            assert row.segment is not None
            first = row.segment
            count, moved = 1, first.length
            while index < len(rows) and _continues(rows[index - 1], rows[index]):
                queue.travel(rows[index - 1])
                count += 1
                row = rows[index]
                assert row.segment is not None
                moved += row.segment.length
                end_ns = row.at_ns
                index += 1
            queue.travel(row)
            line.side = row.side
            line.arrow, line.style = self._label(row, first, count, moved)
            line.payload = first if count == 1 and not row.again else None
            if not line.rails[row.side] and first.flags & (FIN | RST) and self._ended_with_process(conversation, row):
                line.rails[row.side].append(("end of the process", Style.DIM))
            for side, transition in row.transitions:
                line.rails[side].append(self._state(conversation, side, transition))
            waiting = queue.waiting(1 - row.side)
            if waiting and first.length:
                line.rails[1 - row.side].append((f"[{waiting} queued]", Style.DIM))
            yield line, max(end_ns, row.at_ns)

    def _ended_with_process(self, conversation: Conversation, row: Row) -> bool:
        """Whether the kernel sent a FIN or RST because the process that had the socket was gone."""
        socket = conversation.socket_of(row.side)
        track = self._timeline.tracks[socket] if socket is not None else None
        return track is not None and not track.closed and not track.write_ended and track.socket.ended_ns is not None

    def _others_transitions(self, conversation: Conversation, row: Row, line: _Line) -> None:
        for side, transition in row.transitions:
            if side != row.side:
                line.rails[side].append(self._state(conversation, side, transition))

    def _call_cell(self, conversation: Conversation, row: Row) -> list[tuple[str, Style]]:
        cell: list[tuple[str, Style]] = []
        call = row.call
        if call is not None:
            socket = conversation.socket_of(row.side)
            process = self._timeline.tracks[socket].socket.process if socket is not None else None
            here = process_label(self._timeline.processes.get(process)) if process is not None else None
            where = source_text(self._timeline, call, here=here)
            if call.process != process and (other := self._timeline.processes.get(call.process)) is not None:
                where = f"{where} {process_title(other)}".strip()
            if where:
                cell.append((where + " ", Style.DIM))
            failed = call.errno is not None and call.errno not in (11, 4, 115)
            text = self._calls.short(call)
            cell.append((text, Style.ERROR if failed else Style.PLAIN))
            cell += self._timing(call)
        for side, transition in row.transitions:
            if side == row.side and not self._is_beginning(conversation, side, transition):
                cell.append(self._state(conversation, side, transition))
        cell += self._queued(row)
        return cell

    def _timing(self, call: Call) -> list[tuple[str, Style]]:
        if call.took_ns is None:
            waited = duration(self._timeline.waited_until(call) - call.entry_ns)
            if self._timeline.cut_short(call) is not None:
                return [(f"cut short by the end of the process after {waited}", Style.WARNING)]
            return [(f"has not returned for {waited}", Style.WARNING)]
        if call.took_ns >= _SLOW_NS:
            waits = self._calls.role(call) in (Role.RECEIVE, Role.ACCEPT, Role.WAIT)
            return [(f"{'after' if waits else 'took'} {duration(call.took_ns)}", Style.DIM)]
        return []

    def _queued(self, row: Row) -> list[tuple[str, Style]]:
        call = row.call
        name = self._calls.name(call) if call is not None else ""
        if name == "close" and row.before is not None:
            notes: list[tuple[str, Style]] = []
            listening = row.before.state == TcpState.LISTEN
            if row.before.receive_queue:
                what = "not accepted" if listening else "unread"
                notes.append((f"{row.before.receive_queue} {what}", Style.WARNING))
            sent = row.before.send_queue or 0
            if row.before.state in _ENDED:
                sent -= 1  # the FIN, which the kernel counts as a byte
            if sent > 0 and row.before.state in _SENDING:
                notes.append((f"{sent} not acknowledged", Style.DIM))
            return notes
        after = row.after
        role = self._calls.role(call) if call is not None else None
        if role is Role.RECEIVE and row.before is not None and call is not None:
            # Only datagrams are looked at before they are taken: the figure is the length of the next one.
            length = row.before.receive_queue or 0
            if call.length is not None and length > call.length:
                return [(f"datagram of {length}", Style.WARNING)]
        if after is None or call is None:
            return []
        if role is Role.ACCEPT and after.state == TcpState.LISTEN:
            return [(f"{after.receive_queue} more waiting", Style.DIM)] if after.receive_queue else []
        if role is Role.RECEIVE and after.receive_queue:
            return [(f"{after.receive_queue} queued", Style.DIM)]
        if role is Role.SEND and after.send_queue and call.result != call.length:
            return [(f"{after.send_queue} not acknowledged", Style.DIM)]
        return []

    def _is_beginning(self, conversation: Conversation, side: int, transition: Transition) -> bool:
        """Whether it is the state in which every socket begins, which says nothing."""
        socket = conversation.socket_of(side)
        track = self._timeline.tracks[socket] if socket is not None else None
        return transition.state is TcpState.CLOSE and track is not None and track.path[0] == transition

    def _state(self, conversation: Conversation, side: int, transition: Transition) -> tuple[str, Style]:
        socket = conversation.socket_of(side)
        track = self._timeline.tracks[socket] if socket is not None else None
        inferred = transition.inferred
        if track is not None and inferred and transition in track.path:
            inferred = track.is_inferred(track.path.index(transition))
        name = naming.tcp_state(transition.state)
        return (f"[{name}]" if inferred else name), Style.GOOD

    def _label(self, row: Row, first: Segment, count: int, moved: int) -> tuple[str, Style]:
        segment = row.segment
        assert segment is not None
        if segment.protocol == 1:
            return escape(segment.label or "ICMP"), Style.ERROR
        names = [name for bit, name in ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST")) if segment.flags & bit]
        if segment.flags & SYN and segment.flags & ACK:
            names = ["SYN ACK"]
        if count > 1:
            names.insert(0, f"{amount(moved, 'byte')}, {count} segments")
        elif segment.length or (not names and segment.protocol != 6):
            names.insert(0, amount(segment.length, "byte"))
        if segment.protocol == 6 and not segment.window and not segment.flags & (RST | SYN):
            names.append("window 0")
        label = ("again " if row.again else "") + (" + ".join(names) or "ACK")
        if first.label and not row.again:
            label = f"{label} {escape(first.label)}"
        style = Style.SEND if row.side == 0 else Style.RECEIVE
        if segment.flags & RST:
            style = Style.ERROR
        elif row.again or "window 0" in names:
            style = Style.WARNING
        return label, style

    # -- lines to text

    def _text(self, line: _Line, rail: int, middle: int) -> Iterator[str]:
        margin = " " * self._time_width
        if line.note:
            yield self._paint(f"{margin}  {line.note}", Style.DIM)
            return
        if line.times > 1:
            for cell in line.rails:
                if cell:
                    cell.append((f"×{line.times}", Style.DIM))
        left = self._cell(line.rails[0], rail)
        right = self._cell(line.rails[1], rail)
        for number in range(max(len(left), len(right), 1)):
            first = number == 0
            time = f"{line.at_ns / 1_000_000:{self._time_width}.3f}" if first else margin
            parts = [time, left[number] if number < len(left) else " " * rail]
            if middle:
                shown = line.arrow and first
                parts.append(self._paint(_arrow(line, middle), line.style) if shown else " " * middle)
            parts.append(right[number] if number < len(right) else "")
            yield "  ".join(parts).rstrip()

    def _cell(self, cell: Sequence[tuple[str, Style]], width: int) -> list[str]:
        """A cell's pieces set into lines of the rail's width, each filled with spaces."""
        lines: list[str] = []
        text, used = "", 0
        for piece, style in cell:
            for number, part in enumerate(wrap(piece.rstrip().split(" "), width, "  ")):
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


class _Queues:
    """Bytes that arrived at a traced end and were not taken yet, from the stream offsets."""

    def __init__(self, timeline: Timeline, conversation: Conversation) -> None:
        self._known = [
            (socket := conversation.socket_of(side)) is not None
            and timeline.tracks[socket].tcp
            and not timeline.tracks[socket].socket.met_late
            for side in (0, 1)
        ]
        self._arrived = [0, 0]
        self._taken = [0, 0]

    def travel(self, row: Row) -> None:
        if row.end is not None:
            receiver = 1 - row.side
            self._arrived[receiver] = max(self._arrived[receiver], row.end)

    def take(self, row: Row) -> None:
        if row.call is not None and not row.sends and row.end is not None:
            self._taken[row.side] = max(self._taken[row.side], row.end)

    def waiting(self, side: int) -> int:
        return self._arrived[side] - self._taken[side] if self._known[side] else 0


def _skipped(row: Row) -> str:
    parts = []
    if row.skipped_calls:
        parts.append(amount(row.skipped_calls, "call"))
    if row.skipped_segments:
        parts.append(amount(row.skipped_segments, "segment"))
    return f"… {', '.join(parts)} …"


def _is_its_segment(row: Row, following: Row) -> bool:
    segment = following.segment
    if segment is None or following.side != row.side or row.call is None:
        return False
    if row.sends:
        if segment.protocol != 6:
            return segment.length == row.call.result
        return (
            following.begin is not None
            and row.begin is not None
            and row.end is not None
            and row.begin <= following.begin < row.end
        )
    if row.role is Role.CONNECT:
        return bool(segment.flags & SYN)
    return row.role is Role.END and bool(segment.flags & (FIN | RST)) and not segment.length


def _continues(row: Row, following: Row) -> bool:
    """Whether a segment goes on with the data of the one before, so that one arrow serves both."""
    one, other = row.segment, following.segment
    if one is None or other is None or row.side != following.side or row.transitions:
        return False
    plain = FIN | SYN | RST
    return (
        one.protocol == 6
        and bool(one.length and other.length)
        and not (one.flags | other.flags) & plain
        and not (row.again or following.again)
        and row.end == following.begin
        and bool(one.window and other.window)
        and following.at_ns - row.at_ns < _IDLE_NS
    )


def _arrow(line: _Line, width: int) -> str:
    room = width - 6
    label = fit(line.arrow, room)
    segment = line.payload
    if segment is not None and segment.payload and segment.label is None:
        # Bytes that are no text say nothing here; --calls and --packets show them.
        room -= column_width(label) + 1
        whole = min(len(segment.payload), room)
        kept = next((n for n in range(whole, 0, -1) if len(_snippet(segment, n)) <= room), 0)
        if kept < min(6, segment.length):
            kept = 0
        snippet = _snippet(segment, kept) if kept else ""
        if snippet and "\\x" not in snippet:
            label = f"{label} {snippet}"
    dashes = width - column_width(label) - 3
    left = dashes // 2
    drawn = f"{'─' * left} {label} {'─' * (dashes - left)}"
    return f"{drawn}▶" if line.side == 0 else f"◀{drawn}"


def _snippet(segment: Segment, kept: int) -> str:
    return printable_payload(segment.payload, limit=kept, total=segment.length)
