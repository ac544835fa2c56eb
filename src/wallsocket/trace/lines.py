"""The ladder as data: one :class:`Line` for each thing that stands in it, before it is text.

Text, JSON, exports and pages are made of these. Texts in them are safe for a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from ..events import Call
from ..kernel import names as naming
from ..kernel.tcp_state import TcpState
from .calls import CallText
from .conversations import Conversation, Row
from .joins import Way
from .labels import conversation_title, process_label, process_title, source_text
from .syscalls import Role
from .text import escape
from .timeline import Timeline
from .tracks import Transition
from .verdict import amount, duration, lasting, verdict
from .wire import ACK, FIN, ICMP, RST, SYN, TCP

__all__ = ["Arrow", "ConversationLine", "Line", "LineKind", "Lines", "Part", "PartKind", "Side", "WayLine"]

Side: TypeAlias = Literal["left", "right"]
LineKind: TypeAlias = Literal["call", "segment", "state", "pause", "skipped"]
PartKind: TypeAlias = Literal["source", "call", "failed", "time", "waiting", "state", "queue", "unread", "end"]
_SIDES: Final[tuple[Side, Side]] = ("left", "right")
#: A pause this long between two rows is drawn as a pause.
_IDLE_NS: Final = 100_000_000
#: A call that took this long says so.
_SLOW_NS: Final = 1_000_000
#: States after our FIN, before it was acknowledged.
_ENDED: Final = frozenset({TcpState.FIN_WAIT1, TcpState.LAST_ACK, TcpState.CLOSING})
#: States in which bytes may still be on their way out.
_SENDING: Final = _ENDED | {TcpState.ESTABLISHED, TcpState.CLOSE_WAIT}


class Part(msgspec.Struct):
    """A piece of what stands on a rail.

    Attributes:
        kind: ``source`` the line of code, ``call`` or ``failed`` the call, ``time`` how long it took, ``waiting`` that it
            has not returned, ``state`` what the socket became, ``queue`` bytes that wait, ``unread`` bytes that were
            lost to the program, ``end`` that the process ended.
        text: in words.
        inferred: nobody reported it: it follows from calls and segments. Drawn in brackets.
    """

    kind: PartKind
    text: str
    inferred: bool = False


class Arrow(msgspec.Struct):
    """What travelled: a segment, several that go on with one another, a datagram, or an ICMP error.

    Attributes:
        text: in words.
        length: bytes of payload.
        segments: how many.
        begin: stream offset of the first byte, ``None`` without any.
        end: stream offset after the last byte.
        again: all its bytes had travelled before.
        label: what the payload is, where it is recognised; what an ICMP error says.
        payload: the first bytes of the first segment that were kept.
        stalled: the sender has no room to receive (window 0).
        failure: a reset, or an ICMP error.
        arrived_ns: when the last segment was seen at another host, where both were captured.
        lost: it was not seen to arrive, while later ones were.
    """

    text: str
    length: int
    segments: int
    begin: int | None = None
    end: int | None = None
    again: bool = False
    label: str | None = None
    payload: bytes = b""
    stalled: bool = False
    failure: bool = False
    arrived_ns: int | None = None
    lost: bool = False


class Line(msgspec.Struct):
    """One line of a ladder.

    Attributes:
        conversation: number of its conversation.
        kind: a ``call`` (with the segment that it sent), a ``segment``, a ``state`` that was seen between calls, a
            ``pause``, or what was ``skipped`` of a long conversation.
        at_ns: when; of a call that waits when it returned.
        until_ns: when the last of several alike happened.
        side: who did it, or sent it.
        calls: ids; several when the same call was made again and again.
        packets: ids of the segments of its arrow.
        states: ids of the samples that its figures are from.
        begin: stream offset of the first byte that the call moved, ``None`` for none or unknown.
        end: stream offset after the last one.
        times: how often the same call was made in a row; of what was skipped, how many calls and segments.
        left: what stands on the left rail.
        right: what stands on the right rail.
        arrow: what travelled.
        note: instead of all else: the pause, or what was left out, in words.
    """

    conversation: int
    kind: LineKind
    at_ns: int
    until_ns: int
    side: Side
    calls: list[int] = []
    packets: list[int] = []
    states: list[int] = []
    begin: int | None = None
    end: int | None = None
    times: int = 1
    left: list[Part] = []
    right: list[Part] = []
    arrow: Arrow | None = None
    note: str = ""

    def stands_for(self) -> int:
        """How many calls and segments it shows, or hides."""
        return self.times if self.kind == "skipped" else len(self.calls) + len(self.packets)

    def rows(self) -> Iterator[tuple[str, int]]:
        """The rows of the recording that it is made of, by table and id."""
        for table, ids in (("call", self.calls), ("packet", self.packets), ("state", self.states)):
            for row in ids:
                yield table, row

    def same_call(self, other: Line) -> bool:
        """Whether it is the same call once more, with nothing between."""
        alone = self.arrow is None and other.arrow is None and not self.note
        return alone and (self.left, self.right) == (other.left, other.right)


class ConversationLine(msgspec.Struct):
    """What is drawn together: two sockets that talk, one whose peer was not traced, or a listener.

    Attributes:
        number: its number in this recording.
        kind: ``tcp``, ``udp``, ``unix``, ``listener`` or ``socket``.
        title: in words.
        left: id of the socket on the left rail.
        right: id of the traced socket on the right rail, ``None`` for none.
        basis: how the two are known to talk: ``kernel``, ``addresses`` or ``inferred``; ``None`` without a right one.
        started_ns: when the first of them was made.
        verdicts: how each socket ended and what it moved, in words.
    """

    number: int
    kind: str
    title: str
    left: int
    right: int | None
    basis: str | None
    started_ns: int
    verdicts: list[str]


class WayLine(msgspec.Struct):
    """What became of bytes that went the same way; ``None``: it did not happen, was not recorded, or is unknown.

    Attributes:
        source: id of the socket that sent them.
        destination: id of the socket that they came to.
        begin: offset of the first one in the stream, or in the datagram.
        end: offset after the last one.
        sent: id of the call that gave them away.
        packets: ids of the packets that carried them, the first time first.
        received: id of the call that returned them.
        acknowledged_ns: when the segment travelled that acknowledged them.
        in_send_buffer_ns: from the entry of the sending call to the first segment.
        in_flight_ns: from there until an acknowledgement or a receive shows that they had arrived.
        in_receive_buffer_ns: from there until the receiving call returned.
        in_program_ns: from there until the thread that received them next sent anything, on whatever socket.
        doubt: why another way is possible, or why a part is unknown; empty: nothing else fits what was recorded.
    """

    source: int | None
    destination: int | None
    begin: int
    end: int
    sent: int | None
    packets: list[int]
    received: int | None
    acknowledged_ns: int | None
    in_send_buffer_ns: int | None
    in_flight_ns: int | None
    in_receive_buffer_ns: int | None
    in_program_ns: int | None
    doubt: str


class Lines:
    """Makes the lines of a timeline's conversations."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._calls = CallText(timeline.machine)

    def conversation(self, conversation: Conversation) -> ConversationLine:
        """What a conversation is."""
        timeline = self._timeline
        sockets = [socket for socket in (conversation.left, conversation.right) if socket is not None]
        return ConversationLine(
            conversation.number,
            conversation.kind,
            conversation_title(timeline, conversation),
            conversation.left,
            conversation.right,
            conversation.basis,
            conversation.started_ns,
            [verdict(timeline, timeline.tracks[socket]) for socket in sockets],
        )

    def ways(self, conversation: Conversation) -> Iterator[WayLine]:
        """What became of the bytes that went between its two sockets, or to and from the only one."""
        joins = self._timeline.joins
        left, right = conversation.left, conversation.right
        for source, destination in ((left, right), (right, left)):
            if source is not None:
                for way in joins.ways(source):
                    if destination is None or way.received is None or way.received.socket == destination:
                        yield _way(way, source, destination)
            elif destination is not None:
                for way in joins.ways_to(destination):
                    if way.sent is None:
                        yield _way(way, None, destination)

    def of(self, conversation: Conversation) -> Iterator[Line]:
        """Rows with arrows beside their calls, repetitions counted and pauses drawn."""
        last: Line | None = None
        end_ns: int | None = None
        for line, at_end_ns in self._joined(conversation):
            if last is not None and line.same_call(last):
                last.times += 1
                last.calls += line.calls
                last.until_ns = end_ns = at_end_ns
                continue
            if last is not None:
                yield last
            if end_ns is not None and line.at_ns - end_ns >= _IDLE_NS and not line.note:
                note = f"⋮ {duration(line.at_ns - end_ns)}"
                yield Line(conversation.number, "pause", end_ns, line.at_ns, line.side, note=note)
            last, end_ns = line, at_end_ns
        if last is not None:
            yield last

    def _joined(self, conversation: Conversation) -> Iterator[tuple[Line, int]]:
        queue = _Queues(self._timeline, conversation)
        rows = conversation.lines
        index = 0
        while index < len(rows):
            row = rows[index]
            index += 1
            if row.skipped_calls or row.skipped_segments:
                count = row.skipped_calls + row.skipped_segments
                skipped = Line(conversation.number, "skipped", row.at_ns, row.at_ns, "left", note=_skipped(row))
                skipped.times = count
                yield skipped, row.at_ns
                continue
            kind: LineKind = "segment" if row.segment is not None else "call" if row.call is not None else "state"
            line = Line(conversation.number, kind, row.at_ns, row.at_ns, _SIDES[row.side])
            rails = (line.left, line.right)
            end_ns = row.at_ns
            line.states += [state.id for state in (row.before, row.after) if state is not None]
            if row.segment is None:
                rails[row.side].extend(self._call_cell(conversation, row))
                if row.call is not None:
                    line.calls.append(row.call.id)
                    line.begin, line.end = row.begin, row.end
                queue.take(row)
                for side, transition in row.transitions:
                    if side != row.side:
                        rails[side].append(self._state(conversation, side, transition))
                # The segment that the call sent stands on its line.
                if index < len(rows) and _is_its_segment(row, rows[index]):
                    row = rows[index]
                    index += 1
                else:
                    yield line, end_ns
                    continue
            assert row.segment is not None
            first, first_row = row.segment, row
            count, moved = 1, first.length
            line.packets.append(first.packet)
            while index < len(rows) and _continues(rows[index - 1], rows[index]):
                queue.travel(rows[index - 1])
                count += 1
                row = rows[index]
                assert row.segment is not None
                moved += row.segment.length
                line.packets.append(row.segment.packet)
                end_ns = row.at_ns
                index += 1
            queue.travel(row)
            line.side = _SIDES[row.side]
            line.arrow = self._arrow(first_row, row, count, moved)
            if not rails[row.side] and first.flags & (FIN | RST) and self._ended_with_process(conversation, row):
                rails[row.side].append(Part("end", "end of the process"))
            for side, transition in row.transitions:
                rails[side].append(self._state(conversation, side, transition))
            waiting = queue.waiting(1 - row.side)
            if waiting and first.length:
                rails[1 - row.side].append(Part("queue", f"{waiting} queued", inferred=True))
            line.until_ns = max(end_ns, row.at_ns)
            yield line, line.until_ns

    def _ended_with_process(self, conversation: Conversation, row: Row) -> bool:
        """Whether the kernel sent a FIN or RST because the process that had the socket was gone."""
        socket = conversation.socket_of(row.side)
        track = self._timeline.tracks[socket] if socket is not None else None
        if track is None or track.socket.inferred:
            return False
        return not track.closed and not track.write_ended and track.socket.ended_ns is not None

    def _call_cell(self, conversation: Conversation, row: Row) -> list[Part]:
        cell: list[Part] = []
        call = row.call
        if call is not None:
            socket = conversation.socket_of(row.side)
            process = self._timeline.tracks[socket].socket.process if socket is not None else None
            here = process_label(self._timeline.processes.get(process)) if process is not None else None
            where = source_text(self._timeline, call, here=here)
            if call.process != process and (other := self._timeline.processes.get(call.process)) is not None:
                where = f"{where} {process_title(other, self._timeline.recording.networks)}".strip()
            if where:
                cell.append(Part("source", where))
            failed = call.errno is not None and call.errno not in (11, 4, 115)
            text = self._calls.short(call)
            cell.append(Part("failed" if failed else "call", text))
            cell += self._timing(call)
        for side, transition in row.transitions:
            if side == row.side and not self._is_beginning(conversation, side, transition):
                cell.append(self._state(conversation, side, transition))
        cell += self._queued(row)
        return cell

    def _timing(self, call: Call) -> list[Part]:
        if call.took_ns is None:
            waited_ns = self._timeline.waited_until(call) - call.entry_ns
            if self._timeline.cut_short(call) is not None:
                return [Part("waiting", f"cut short by the end of the process{lasting(waited_ns, 'after')}")]
            return [Part("waiting", f"has not returned{lasting(waited_ns)}")]
        if call.took_ns >= _SLOW_NS:
            waits = self._calls.role(call) in (Role.RECEIVE, Role.ACCEPT, Role.WAIT)
            return [Part("time", f"{'after' if waits else 'took'} {duration(call.took_ns)}")]
        return []

    def _queued(self, row: Row) -> list[Part]:
        call = row.call
        name = self._calls.name(call) if call is not None else ""
        if name == "close" and row.before is not None:
            notes: list[Part] = []
            listening = row.before.state == TcpState.LISTEN
            if row.before.receive_queue:
                what = "not accepted" if listening else "unread"
                notes.append(Part("unread", f"{row.before.receive_queue} {what}"))
            sent = row.before.send_queue or 0
            if row.before.state in _ENDED:
                sent -= 1  # the FIN, which the kernel counts as a byte
            if sent > 0 and row.before.state in _SENDING:
                notes.append(Part("queue", f"{sent} not acknowledged"))
            return notes
        after = row.after
        role = self._calls.role(call) if call is not None else None
        if role is Role.RECEIVE and row.before is not None and call is not None:
            # Only datagrams are looked at before they are taken: the figure is the length of the next one.
            length = row.before.receive_queue or 0
            if call.length is not None and length > call.length:
                return [Part("unread", f"datagram of {length}")]
        if after is None or call is None:
            return []
        if role is Role.ACCEPT and after.state == TcpState.LISTEN:
            return [Part("queue", f"{after.receive_queue} more waiting")] if after.receive_queue else []
        if role is Role.RECEIVE and after.receive_queue:
            return [Part("queue", f"{after.receive_queue} queued")]
        if role is Role.SEND and after.send_queue and call.result != call.length:
            return [Part("queue", f"{after.send_queue} not acknowledged")]
        return []

    def _is_beginning(self, conversation: Conversation, side: int, transition: Transition) -> bool:
        """Whether it is the state in which every socket begins, which says nothing."""
        socket = conversation.socket_of(side)
        track = self._timeline.tracks[socket] if socket is not None else None
        return transition.state is TcpState.CLOSE and track is not None and track.path[0] == transition

    def _state(self, conversation: Conversation, side: int, transition: Transition) -> Part:
        socket = conversation.socket_of(side)
        track = self._timeline.tracks[socket] if socket is not None else None
        inferred = transition.inferred
        if track is not None and inferred and transition in track.path:
            inferred = track.is_inferred(track.path.index(transition))
        return Part("state", naming.tcp_state(transition.state), inferred=inferred)

    def _arrow(self, first_row: Row, row: Row, count: int, moved: int) -> Arrow:
        first, segment = first_row.segment, row.segment
        assert first is not None
        assert segment is not None
        if segment.protocol == ICMP:
            return Arrow(escape(segment.label or "ICMP"), 0, 1, label=segment.label, failure=True)
        names = [name for bit, name in ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST")) if segment.flags & bit]
        if segment.flags & SYN and segment.flags & ACK:
            names = ["SYN ACK"]
        if count > 1:
            names.insert(0, f"{amount(moved, 'byte')}, {count} segments")
        elif segment.length or (not names and segment.protocol != TCP):
            names.insert(0, amount(segment.length, "byte"))
        stalled = segment.protocol == TCP and not segment.window and not segment.flags & (RST | SYN)
        if stalled:
            names.append("window 0")
        label = ("again " if row.again else "") + (" + ".join(names) or "ACK")
        # What a narrow place cuts off is what matters least.
        if row.lost:
            label += " [lost]"
        if first.label and not row.again:
            label = f"{label} {escape(first.label)}"
        return Arrow(
            label,
            moved,
            count,
            begin=first_row.begin,
            end=row.end,
            again=row.again,
            label=first.label,
            payload=first.payload if count == 1 and not row.again else b"",
            stalled=stalled,
            failure=bool(segment.flags & RST),
            arrived_ns=row.arrived_ns,
            lost=row.lost,
        )


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
        if row.end is not None and not row.lost:
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
        and not (row.again or following.again or row.lost or following.lost)
        and row.end == following.begin
        and bool(one.window and other.window)
        and following.at_ns - row.at_ns < _IDLE_NS
    )


def _way(way: Way, source: int | None, destination: int | None) -> WayLine:
    return WayLine(
        source,
        way.received.socket if way.received is not None else destination,
        way.begin,
        way.end,
        way.sent.call if way.sent is not None else None,
        [piece.packet for piece in way.carried],
        way.received.call if way.received is not None else None,
        way.acknowledged_ns,
        way.in_send_buffer_ns,
        way.in_flight_ns,
        way.in_receive_buffer_ns,
        way.in_program_ns,
        way.doubt,
    )
