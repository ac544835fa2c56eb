"""A recording in the order in which it happened: a :class:`Track` per socket, a list of :class:`Row` per :class:`Conversation`.

Which sockets talk with each other, and where bytes belong, :mod:`wallsocket.trace.joins` says; :mod:`.meetings` makes
conversations of them, :mod:`.driving` says what segments make of states.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

from ..events import Call, Moment, Packet, Process, Source, State
from ..kernel.tcp_state import TcpState
from .contemporaries import Contemporaries, tables
from .conversations import Cited, Conversation, PackedRows, Restore, Row, Rows
from .driving import Driving
from .joins import SLACK_NS, Joins
from .meetings import Meetings
from .recording import Recording
from .sightings import Sightings
from .syscalls import Role, moved, names, role
from .tracks import Track, Transition
from .wire import FIN, ICMP, RST, SYN, TCP, UDP, Decoder, Segment, segment

__all__ = ["Timeline"]

_AF_INET: Final = 2
_AF_INET6: Final = 10
_SOCK_STREAM: Final = 1
_SOCK_DGRAM: Final = 2

_EINTR: Final = 4
_EAGAIN: Final = 11
_EALREADY: Final = 114
_EINPROGRESS: Final = 115
_ECONNRESET: Final = 104
_ETIMEDOUT: Final = 110
_ECONNREFUSED: Final = 111
_ENOTCONN: Final = 107

#: Moves and segments that the join remembers for each row that is kept of a conversation.
_KEPT_PER_ROW: Final = 4096
#: Failed calls without a socket that are told.
_MAX_ALONE: Final = 1000
#: Rows of all conversations that are held as they are before they are packed: what concerns them mostly comes soon.
_UNPACKED_ROWS: Final = 8192
#: Calls whose rows are remembered for what the kernel says after they returned.
_RECENT_CALLS: Final = 4096
#: Segments of one direction that may be on their way at once, or lost.
_MAX_TRAVELLING: Final = 1024
_MSG_PEEK: Final = 2
_SOL_SOCKET: Final = 1
_SO_ERROR: Final = 4
_QUESTIONS: Final = frozenset({"getsockname", "getpeername", "epoll_ctl"})
_FCNTL_QUESTIONS: Final = frozenset({1, 3})  # F_GETFD, F_GETFL
#: (To look through three is quicker than to ask an Enum for its hash.)
_WAITING: Final = (Role.RECEIVE, Role.ACCEPT, Role.WAIT)


#: How long a connection stays in TIME_WAIT (TCP_TIMEWAIT_LEN, include/net/tcp.h); meanwhile the kernel has it in a structure
#: of its own (tcp_time_wait, net/ipv4/tcp_minisocks.c), and the socket that a descriptor names says CLOSE.
_TIME_WAIT_NS: Final = 60_000_000_000
_STATES: Final = frozenset(TcpState)

#: Sockets whose conversations are held in memory at once: about half a GiB.
_MAX_SOCKETS: Final = 100_000


class _Travelling:
    """A segment that was not seen to arrive yet."""

    __slots__ = ("conversation", "drives", "row", "way")

    def __init__(self, way: deque[Row], row: Row, conversation: Conversation) -> None:
        self.way = way
        self.row = row
        self.conversation = conversation
        self.drives = False  #: it changes its receiver's state when it arrives


class Timeline:
    """A recording with its joins made.

    Args:
        recording: what to read; one pass is made over it, at once.
        decode: makes segments of frames; without it the wire is left out.
        limit: rows kept at each end of a conversation, ``None`` for all.
        socket: only the conversations of this socket (its id), or of these.
        since_ns: rows before this time are left out (states and totals still count them).
        until_ns: rows after this time are left out.
        cited: rows of the recording that are kept, with a neighbour on either side, whatever ``limit`` says.
        everything: also keep segments that do nothing but acknowledge, and calls that only ask for names and flags.
        most: sockets whose conversations may be held in memory at once; ``None``: 100,000.
        packed: rows are held as numbers, and read again when a conversation's lines are wanted; ``joins`` then know the
            ways of a few bytes only. Without ``cited``.

    Raises:
        RecordingError: there are more of them, or the recording is damaged.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        decode: Decoder | None = None,
        limit: int | None = None,
        socket: int | Collection[int] | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        cited: Cited = frozenset(),
        everything: bool = False,
        most: int | None = None,
        packed: bool = False,
    ) -> None:
        wanted = {socket} if isinstance(socket, int) else socket
        self.recording = recording
        self.machine = recording.meta.get("machine", "")
        self.tracks: dict[int, Track] = {}
        self.calls = 0  #: all that were recorded
        self.stray_segments = 0  #: frames of conversations that no traced socket took part in
        self._names = names(self.machine)
        self._roles: dict[int, Role] = {}
        self._limit = limit
        self._cited = cited
        self._restore = _restore(recording) if packed else None
        self._unpacked: deque[tuple[Conversation, Row]] = deque()
        self._since_ns = since_ns if since_ns is not None else 0
        self._until_ns = until_ns if until_ns is not None else 1 << 62
        self._numbers = 0
        self._everything = everything
        self._recent: dict[int, _Placed] = {}
        #: Segments that were not seen to arrive yet: by conversation, side and network in the order in which they left, and
        #: by packet.id.
        self._ways: dict[tuple[int, int, int | None], deque[Row]] = {}
        self._travelling: dict[int, _Travelling] = {}
        self._sightings: Sightings | None = None
        self._captured: set[int | None] = set()  #: networks in which frames were seen
        self._tables = tables(recording, wanted, _MAX_SOCKETS if most is None else most)
        for item in self._tables.sockets.values():
            tcp = item.family in (_AF_INET, _AF_INET6) and item.type == _SOCK_STREAM
            self.tracks[item.id] = Track(item, tcp)
        #: Failed calls without a socket, such as socket() itself: the first ones.
        self.failed_alone: list[Call] = []
        self.joins = Joins(self._tables, decode=None, kept=_KEPT_PER_ROW if packed else limit and limit * _KEPT_PER_ROW)
        meetings = self._meetings = Meetings(
            recording, self._tables, self.tracks, names=self._names, role=self.role, rows=self._make_rows
        )
        self._place = meetings.of_call
        self.conversations = meetings.conversations
        self._wanted = {
            conversation.number
            for conversation in self.conversations
            if wanted is None or conversation.left in wanted or conversation.right in wanted
        }
        #: Conversations with an end of which no call was seen: what it did is told by segments.
        self._half_seen = {
            conversation.number
            for conversation in self.conversations
            if any(
                self.tracks[socket].socket.inferred
                for socket in (conversation.left, conversation.right)
                if socket is not None
            )
        }
        self._driving = Driving(self.tracks, self._half_seen)
        self._pass(decode)
        for conversation, row in self._unpacked:
            conversation.rows.add(row)
        self._unpacked.clear()
        for conversation in self.conversations:
            conversation.rows.finish()
        self.conversations.sort(key=lambda conversation: (conversation.started_ns, conversation.number))

    # -- what the views ask

    @property
    def processes(self) -> Mapping[int, Process]:
        """By id."""
        return self.recording.processes

    def source_of(self, call: Call) -> Source | None:
        """The line of code that made a call."""
        return self.recording.sources.get(call.source) if call.source is not None else None

    def wanted(self) -> list[Conversation]:
        """The conversations that were asked for, in the order of their start."""
        return [conversation for conversation in self.conversations if conversation.number in self._wanted]

    def target_of(self, socket: int) -> Call | None:
        """The connect call of a socket, for where it wanted to go: the one that failed, or is in progress."""
        track = self.tracks[socket]
        return (
            track.failed if track.failed is not None and self.role(track.failed) is Role.CONNECT else track.connecting
        )

    def says_much(self, conversation: Conversation) -> bool:
        """Whether a conversation deserves a ladder: data moved, something failed or is still waited for."""
        tracks = [self.tracks[socket] for socket in (conversation.left, conversation.right) if socket is not None]
        if any(track.failed or track.refused for track in tracks):
            return True
        if conversation.segments and all(track.socket.inferred for track in tracks):
            return True
        return conversation.kind != "socket" and any(
            track.sent or track.received or track.waiting or track.listening or (track.tcp and track.pending_error)
            for track in tracks
        )

    def name(self, call: Call) -> str:
        """The name of a call's system call."""
        return self._names.get(call.number, f"syscall {call.number}")

    def cut_short(self, call: Call) -> int | None:
        """When the process of a call that never returned ended; ``None``: the recording ended first."""
        process = self.processes.get(call.process)
        return process.ended_ns if process is not None else None

    def waited_until(self, call: Call) -> int:
        """When a call returned, or its process or the recording ended, in ns since the start of the recording."""
        if call.exit_ns is not None:
            return call.exit_ns
        ended_ns = self.cut_short(call)
        return max(call.entry_ns, self.recording.ended_ns if ended_ns is None else ended_ns)

    def role(self, call: Call) -> Role:
        """What a call does to a conversation."""
        what = self._roles.get(call.number)
        if what is None:
            name = self._names.get(call.number, "")
            what = role(name, sends=call.c == 1)
            if name != "splice":
                self._roles[call.number] = what
        return what

    # -- the pass

    def _make_rows(self) -> Rows | PackedRows:
        if self._restore is None:
            return Rows(self._limit, self._cited)
        return PackedRows(self._limit, self._restore)

    def _pass(self, decode: Decoder | None) -> None:
        #: Calls under way: (when they return, id, call, rows), the earliest first.
        pending: list[tuple[int, int, Call, _Placed]] = []

        def leave(until_ns: int) -> None:
            while pending and pending[0][0] <= until_ns:
                _, _, call, placed = heapq.heappop(pending)
                self._exit(call, placed)

        joins = self.joins
        # In one network each frame is captured once.
        sightings = self._sightings = Sightings() if len(self.recording.networks) > 1 else None
        for event in self.recording.events():
            if not isinstance(event, Packet):
                joins.see(event)
            if isinstance(event, Call):
                leave(event.entry_ns)
                self.calls += 1
                placed = self._enter(event)
                at = event.exit_ns if event.exit_ns is not None else 1 << 62
                heapq.heappush(pending, (at, event.id, event, placed))
                continue
            leave(event.at_ns)
            if isinstance(event, State):
                self._look(event)
            elif isinstance(event, Packet) and decode is not None:
                earlier = sightings.first(event) if sightings is not None else None
                if earlier is not None:
                    self._arrive(earlier, event.at_ns)
                elif (segment := decode(event)) is not None:
                    self._travel(segment)
        leave(1 << 62)
        joins.finish()

    def _row(self, at_ns: int, side: int) -> Row:
        self._numbers += 1
        return Row((at_ns, self._numbers), side)

    def _keep(self, conversation: Conversation, row: Row) -> None:
        if conversation.number in self._wanted and self._since_ns <= row.key[0] <= self._until_ns:
            if self._restore is None:
                conversation.rows.add(row)
                return
            self._unpacked.append((conversation, row))
            if len(self._unpacked) > _UNPACKED_ROWS:
                conversation, row = self._unpacked.popleft()
                conversation.rows.add(row)

    def _enter(self, call: Call) -> _Placed:
        placed: _Placed = []
        what = self.role(call)
        # What acts stands where it began; what waits stands where it got what it waited for.
        keep = what not in _WAITING and (self._everything or not self._only_asks(call))
        sockets = (call.socket,) if call.made is None or call.made == call.socket else (call.socket, call.made)
        for socket in sockets:
            if socket is None or socket not in self.tracks:
                continue
            conversation = self._place(socket, call)
            if conversation is None or any(conversation is other for other, _, _ in placed):
                continue
            row = self._row(call.entry_ns, conversation.side_of(socket))
            row.call = call
            row.role = what
            if call.offset is not None and call.result is not None and call.result >= 0:
                row.begin, row.end = call.offset, call.offset + call.result
            placed.append((conversation, socket, row))
            if keep:
                self._keep(conversation, row)
        recent = self._recent
        recent[call.id] = placed
        if len(recent) > _RECENT_CALLS:
            del recent[next(iter(recent))]
        return placed

    def _only_asks(self, call: Call) -> bool:
        """Whether a call changes nothing that another row would not show."""
        name = self.name(call)
        return name in _QUESTIONS or (name == "fcntl" and call.a in _FCNTL_QUESTIONS)

    def _exit(self, call: Call, placed: _Placed) -> None:
        what = self.role(call)
        if what in _WAITING:
            at = self.waited_until(call)
            for conversation, _, row in placed:
                row.key = (at, row.key[1])
                self._keep(conversation, row)
        self._account(call, what, placed)

    def _account(self, call: Call, what: Role, placed: _Placed) -> None:
        at = call.exit_ns if call.exit_ns is not None else call.entry_ns
        if call.made is not None and (made := self.tracks.get(call.made)) is not None and what is Role.ACCEPT:
            made.connected = True
            self._become(made, TcpState.ESTABLISHED, at, call, placed)
        track = self.tracks.get(call.socket) if call.socket is not None else None
        if track is None:
            failed = call.errno is not None and call.errno not in (_EAGAIN, _EINTR)
            if failed and call.made is None and len(self.failed_alone) < _MAX_ALONE:
                self.failed_alone.append(call)
            return
        track.calls += 1
        track.last_ns = max(track.last_ns, at)
        if call.result is None:
            track.waiting = call
            return
        if call.errno is not None:
            self._account_failure(track, call, what, at, placed)
            return
        name = self.name(call)
        count, messages = moved(call, name)
        stream = track.socket.type != _SOCK_DGRAM
        match what:
            case Role.SEND:
                track.sent += count
                track.messages_sent += messages
            case Role.RECEIVE if not (call.a or 0) & _MSG_PEEK or name in ("read", "readv", "splice"):
                track.received += count
                track.messages_received += messages
                if call.result == 0 and call.length and stream:
                    track.peer_ended = True
                    if track.state is TcpState.ESTABLISHED:
                        self._become(track, TcpState.CLOSE_WAIT, at, call, placed)
                    elif track.state in (TcpState.FIN_WAIT1, TcpState.FIN_WAIT2):
                        self._become(track, TcpState.TIME_WAIT, at, call, placed)
            case Role.ACCEPT:
                track.accepted += 1
            case Role.CONNECT:
                track.connected = True
                if track.state in (None, TcpState.CLOSE, TcpState.SYN_SENT):
                    self._become(track, TcpState.ESTABLISHED, at, call, placed)
            case Role.END if name == "shutdown":
                if call.a in (1, 2):
                    track.write_ended = True
                    self._finish(track, at, call, placed)
            case Role.END:
                ended = track.socket.ended_ns
                if ended is not None and at >= ended - SLACK_NS:
                    track.closed = True
                    if track.unread:
                        self._become(track, TcpState.CLOSE, at, call, placed)
                    else:
                        self._finish(track, at, call, placed)
            case _ if name == "getsockopt" and (call.a, call.b) == (_SOL_SOCKET, _SO_ERROR) and call.value is not None:
                track.pending_error = int.from_bytes(call.value[:4], "little") or track.pending_error
                track.connected |= track.pending_error is None and track.state is TcpState.ESTABLISHED
            case _ if name == "listen":
                self._become(track, TcpState.LISTEN, at, call, placed)

    def _account_failure(self, track: Track, call: Call, what: Role, at: int, placed: _Placed) -> None:
        error = call.errno
        if error in (_EAGAIN, _EINTR, _EALREADY):
            return
        if what is Role.CONNECT and error == _EINPROGRESS:
            track.connecting = call
            if track.may_try:
                self._become(track, TcpState.SYN_SENT, at, call, placed)
            return
        if what is not Role.SET_UP or self.name(call) in ("bind", "listen"):
            track.failed = call
        elif track.refused is None and (self.name(call), error) != ("getpeername", _ENOTCONN):
            # (Asking for a peer that there is none is how programs find out, and how Python shows a socket.)
            track.refused = call
        if error == _ECONNRESET:
            track.reset_received = True
        if error in (_ECONNRESET, _ETIMEDOUT, _ECONNREFUSED) and track.path:
            self._become(track, TcpState.CLOSE, at, call, placed)

    def _become(self, track: Track, state: TcpState, at: int, call: Call, placed: _Placed) -> None:
        if track.tcp and (transition := track.enter(state, at, "call", call=call.id)) is not None:
            _attach(placed, track.socket.id, transition)

    def _finish(self, track: Track, at: int, call: Call, placed: _Placed) -> None:
        """Our end of the stream was closed."""
        if track.state is TcpState.ESTABLISHED:
            self._become(track, TcpState.FIN_WAIT1, at, call, placed)
        elif track.state is TcpState.CLOSE_WAIT:
            self._become(track, TcpState.LAST_ACK, at, call, placed)
        elif track.state in (TcpState.LISTEN, TcpState.SYN_SENT):
            self._become(track, TcpState.CLOSE, at, call, placed)

    def _look(self, state: State) -> None:
        track = self.tracks.get(state.socket)
        if track is None:
            return
        placed = self._recent.get(state.call, []) if state.call is not None else []
        for _, socket, row in placed:
            if socket == state.socket or len(placed) == 1:
                if state.moment == Moment.ENTRY:
                    row.before = state
                else:
                    row.after = state
                _learned(row)
        if state.receive_queue is not None:
            track.receive_queue = state.receive_queue
        if state.send_queue is not None:
            track.send_queue = state.send_queue
        if state.drops is not None:
            track.drops = state.drops
        if state.moment == Moment.ENTRY and any(row.call and self.name(row.call) == "close" for _, _, row in placed):
            track.unread = state.receive_queue if track.state is not TcpState.LISTEN else None
        if not track.tcp or state.state not in _STATES:
            return
        if state.state == TcpState.CLOSE and track.state is TcpState.TIME_WAIT:
            if state.at_ns - track.path[-1].at_ns < _TIME_WAIT_NS:
                return  # what was closed is the socket that the program had; another structure keeps the state
        elif state.state == TcpState.CLOSE and track.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT):
            track.died = not track.closed
        transition = track.enter(TcpState(state.state), state.at_ns, "kernel", call=state.call)
        if transition is None:
            return
        if placed:
            _attach(placed, state.socket, transition)
        elif (conversation := self._meetings.of_socket(state.socket)) is not None:
            row = self._row(state.at_ns, conversation.side_of(state.socket))
            row.after = state
            row.transitions += ((row.side, transition),)
            self._keep(conversation, row)

    # -- the wire

    def _travel(self, segment: Segment) -> None:
        ends = (segment.source, segment.destination)
        if segment.protocol == ICMP:
            found = self._meetings.of_ends(UDP, *ends) or self._meetings.of_ends(TCP, *ends)
        else:
            found = self._meetings.of_ends(segment.protocol, *ends)
        if not found and isinstance(self._tables, Contemporaries):
            return  # of a socket that is not looked at
        carried = self.joins.travelled(segment)
        if not found:
            self.stray_segments += 1
            return
        conversation, side = self._meetings.nearest(found, segment.at_ns)
        if segment.protocol == ICMP:
            # It quotes a packet of one side, and so comes from where that packet was going.
            side = 1 - side
        conversation.segments += 1
        row = self._row(segment.at_ns, side)
        row.segment = segment
        travelling = self._set_out(conversation, row) if self._sightings is not None else None
        if segment.protocol == TCP:
            if carried is not None:
                row.begin, row.end, row.again = carried.begin, carried.end, carried.again
            self._drive(conversation, side, segment, row, travelling)
            self._count(conversation, side, segment, again=row.again)
            bare = not segment.length and not segment.flags & (SYN | FIN | RST)
            awaited = travelling is not None and travelling.drives
            if bare and segment.window and not row.transitions and not awaited and not self._everything:
                return
        else:
            self._count(conversation, side, segment, again=False)
        self._keep(conversation, row)

    def _set_out(self, conversation: Conversation, row: Row) -> _Travelling:
        """Remember a segment until it is seen at another host."""
        assert row.segment is not None
        self._captured.add(row.segment.network)
        way = self._ways.setdefault((conversation.number, row.side, row.segment.network), deque())
        way.append(row)
        travelling = self._travelling[row.segment.packet] = _Travelling(way, row, conversation)
        if len(way) > _MAX_TRAVELLING:
            self._travelling.pop(way.popleft().segment.packet, None)  # type: ignore[union-attr]  # rows of segments
        return travelling

    def _arrive(self, packet: int, at_ns: int) -> None:
        """A segment is seen at another host; those that left before it and are seen nowhere were lost, or overtaken."""
        found = self._travelling.pop(packet, None)
        if found is None:
            return
        way, row = found.way, found.row
        row.arrived_ns, row.lost = at_ns, False
        if found.drives and row.segment is not None:
            self._driving.arrive(found.conversation, row.side, row.segment, row, at_ns)
        _learned(row)
        way.remove(row)
        for earlier in way:
            if earlier.key > row.key:
                break
            earlier.lost = True
            _learned(earlier)

    def _count(self, conversation: Conversation, side: int, segment: Segment, *, again: bool) -> None:
        """Bytes of ends whose calls nobody saw are counted on the wire."""
        if conversation.number not in self._half_seen or not segment.length or again:
            return
        for socket, sends in ((conversation.socket_of(side), True), (conversation.socket_of(1 - side), False)):
            track = self.tracks.get(socket) if socket is not None else None
            if track is None or not track.socket.inferred:
                continue
            if sends:
                track.sent += segment.length
                track.messages_sent += 1
            else:
                track.received += segment.length
                track.messages_received += 1

    def _drive(
        self, conversation: Conversation, side: int, segment: Segment, row: Row, travelling: _Travelling | None
    ) -> None:
        """What a segment makes of its sender and, when it is there, of its receiver (RFC 9293, figure 5)."""
        driving = self._driving
        if not driving.concerns(conversation, side, segment):
            return
        driving.send(conversation, side, segment, row)
        receiver = driving.track(conversation, 1 - side)
        if receiver is None:
            return
        there = receiver.socket.network
        if travelling is not None and there != segment.network and there in self._captured:
            # Frames are captured at its host, too: it may be lost on the way.
            travelling.drives = bool(segment.flags & (RST | SYN | FIN)) or driving.may_drive(
                conversation, 1 - side, segment, receiver
            )
        else:
            driving.arrive(conversation, side, segment, row, segment.at_ns)


_Placed: TypeAlias = list[tuple[Conversation, int, Row]]


def _attach(placed: _Placed, socket: int, transition: Transition) -> None:
    for conversation, _, row in placed:
        if socket in (conversation.left, conversation.right):
            row.transitions += ((conversation.side_of(socket), transition),)
            _learned(row)
            return


def _learned(row: Row) -> None:
    """Something has become known of a row that may be packed already."""
    if row.packed is not None:
        row.packed.learn(row)


def _restore(recording: Recording) -> Restore:
    """How rows are read again."""
    return Restore(
        lambda ids: recording.some(Call, ids),
        lambda ids: {
            number: found for number, packet in recording.some(Packet, ids).items() if (found := segment(packet))
        },
        lambda ids: recording.some(State, ids),
    )
