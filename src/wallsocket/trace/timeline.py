"""A recording in the order in which it happened: a :class:`Track` per socket, a list of :class:`Row` per :class:`Conversation`.

Which sockets talk with each other, and where bytes belong, :mod:`wallsocket.trace.joins` says.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple, TypeAlias

from ..errors import RecordingError
from ..events import Call, Moment, Packet, Process, Socket, Source, State
from ..kernel.address import End, end_of, place_of
from ..kernel.tcp_state import TcpState
from .conversations import Cited, Conversation, Kind, PackedRows, Restore, Row, Rows
from .joins import SLACK_NS, Basis, Joins
from .recording import Recording
from .sightings import Sightings
from .syscalls import Role, moved, names, role
from .tracks import Track, Transition
from .wire import ACK, FIN, ICMP, RST, SYN, TCP, UDP, Decoder, Segment, segment

__all__ = ["Timeline"]

_AF_UNIX: Final = 1
_AF_INET: Final = 2
_AF_INET6: Final = 10
_SOCK_STREAM: Final = 1
_SOCK_DGRAM: Final = 2
_UNKNOWN_ADDRESS: Final = b""

_EINTR: Final = 4
_EAGAIN: Final = 11
_EALREADY: Final = 114
_EINPROGRESS: Final = 115
_ECONNRESET: Final = 104
_ETIMEDOUT: Final = 110
_ECONNREFUSED: Final = 111
_ENOTCONN: Final = 107

#: Correspondents of one datagram socket that get a conversation of their own.
_MAX_PEERS: Final = 64
#: Moves and segments that the join remembers for each row that is kept of a conversation.
_KEPT_PER_ROW: Final = 4096
#: Of many conversations between the same two ends those that began nearest to a time are looked at, on either side.
_NEAREST: Final = 8
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
_SEQUENCE_MASK: Final = 0xFFFFFFFF
#: (To look through three is quicker than to ask an Enum for its hash.)
_WAITING: Final = (Role.RECEIVE, Role.ACCEPT, Role.WAIT)


_STATES: Final = frozenset(TcpState)

#: Sockets whose conversations are held in memory at once: about half a GiB.
_MAX_SOCKETS: Final = 100_000
#: For the conversations of some sockets only those that lived at their time are held where there are more than these.
_FEW_SOCKETS: Final = 1_000


class _Contemporaries:
    """The tables of a recording, of the sockets those that lived while one of some did, or had its addresses at another time."""

    def __init__(self, recording: Recording, wanted: Collection[int], most: int) -> None:
        self.meta = recording.meta
        self.processes = recording.processes
        lives = [recording.sockets[socket] for socket in wanted]
        self.sockets: dict[int, Socket] = {}
        before: list[deque[Socket]] = [deque(maxlen=_NEAREST) for _ in lives]
        after: list[list[Socket]] = [[] for _ in lives]
        for row in recording.sockets.values():
            if any(_lived_together(row, one) for one in lives):
                if len(self.sockets) == most:
                    which = ", ".join(map(str, wanted))
                    what = f"{most} sockets lived while socket {which} did"
                    raise _too_many(recording, what, "look at --calls --socket N")
                self.sockets[row.id] = row
                continue
            for place, one in enumerate(lives):
                if _same_ends(row, one):
                    if row.created_ns < one.created_ns:
                        before[place].append(row)
                    elif len(after[place]) < _NEAREST:
                        after[place].append(row)
        self.sockets |= {row.id: row for rows in (*before, *after) for row in rows}


def _lived_together(one: Socket, other: Socket) -> bool:
    before = one.ended_ns is not None and one.ended_ns < other.created_ns - SLACK_NS
    after = other.ended_ns is not None and one.created_ns > other.ended_ns + SLACK_NS
    return not (before or after)


def _same_ends(one: Socket, other: Socket) -> bool:
    """Whether the segments of the one could be taken for those of the other, at another time."""
    return None not in (one.local, one.remote) and {one.local, one.remote} == {other.local, other.remote}


def _tables(recording: Recording, wanted: Collection[int] | None, most: int) -> Recording | _Contemporaries:
    """What the joins read: all of it, or so much that the conversations of some sockets can be told."""
    if len(recording.sockets) <= (most if wanted is None else min(most, _FEW_SOCKETS)):
        return recording
    if wanted is None:
        raise _too_many(
            recording,
            f"{most} sockets are recorded",
            "look at one of them with --socket N, or at all calls with --calls",
        )
    return _Contemporaries(recording, wanted, most)


def _too_many(recording: Recording, what: str, instead: str) -> RecordingError:
    return RecordingError(f"{recording.name}: more than {what}, too many to draw at once; {instead}")


class _Contact(NamedTuple):
    """How a datagram socket met a correspondent; the lesser one of two began."""

    answers: bool  #: it heard before it spoke
    at_ns: int


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
        self.conversations: list[Conversation] = []
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
        self._ends: dict[tuple[int, int], int] = {}
        self._tables = _tables(recording, wanted, _MAX_SOCKETS if most is None else most)
        for item in self._tables.sockets.values():
            tcp = item.family in (_AF_INET, _AF_INET6) and item.type == _SOCK_STREAM
            self.tracks[item.id] = Track(item, tcp)
        #: Failed calls without a socket, such as socket() itself: the first ones.
        self.failed_alone: list[Call] = []
        self.joins = Joins(self._tables, decode=None, kept=_KEPT_PER_ROW if packed else limit and limit * _KEPT_PER_ROW)
        self._join(*self._first_look())
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
        self._flows = self._flow_index()
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

    # -- the joins

    def _first_look(self) -> tuple[Joins, dict[int, dict[End | bytes, _Contact]]]:
        """A pass over the calls: who talks with whom, who listens, and who asked whom of datagram sockets."""
        who = Joins(self._tables, decode=None, kept=0)
        for socket in self.tracks:
            who.learn(socket)
        contacts: dict[int, dict[End | bytes, _Contact]] = defaultdict(dict)
        #: Where sockets were last asked to connect to, which the kernel forgets when nobody answers.
        self._targets: dict[int, End] = {}
        telling = [
            number
            for number, name in self._names.items()
            if name == "listen" or role(name) in (Role.CONNECT, Role.ACCEPT)
        ]
        for call in self.recording.calls(telling=telling):
            what = self.role(call)
            if what is Role.CONNECT or what is Role.ACCEPT or call.made is not None:
                who.see(call)
            if what is Role.CONNECT and call.socket is not None and (target := end_of(call.address)) is not None:
                self._targets[call.socket] = target
            track = self.tracks.get(call.socket) if call.socket is not None else None
            if track is None:
                continue
            if what is Role.SET_UP and self.name(call) == "listen" and call.result == 0:
                track.listening = True
                track.backlog = call.a
            if call.address is not None and call.result is not None and call.result >= 0 and _is_datagram(track.socket):
                who.see(call)
                place = place_of(call.address)
                if place is not None and len(contacts[track.socket.id]) < _MAX_PEERS:
                    # Who speaks first asks; who is spoken to answers.
                    contacts[track.socket.id].setdefault(place, _Contact(what is Role.RECEIVE, call.entry_ns))
        who.finish()
        return who, contacts

    def _add(self, conversation: Conversation) -> Conversation:
        conversation.number = len(self.conversations) + 1
        conversation.started_ns = min(
            self.tracks[socket].socket.created_ns
            for socket in (conversation.left, conversation.right)
            if socket is not None
        )
        restore = self._restore
        conversation.rows = Rows(self._limit, self._cited) if restore is None else PackedRows(self._limit, restore)
        self.conversations.append(conversation)
        return conversation

    def _join(self, who: Joins, contacts: dict[int, dict[End | bytes, _Contact]]) -> None:
        self._of_socket: dict[int, Conversation] = {}
        self._of_peer: dict[tuple[int, End | bytes], Conversation] = {}
        for item in self._tables.sockets.values():
            if item.id in self._of_socket or _is_datagram(item):
                continue
            kind = self._kind(item)
            peer = who.peer(item.id) if kind != "listener" else None
            if peer is None or peer.socket in self._of_socket or peer.socket not in self.tracks:
                conversation = self._add(Conversation(0, kind, item.id))
            else:
                first, second = who.in_order(item.id, peer.socket)
                conversation = self._add(Conversation(0, kind, first, second, peer.basis))
                self._of_socket[peer.socket] = conversation
            self._of_socket[item.id] = conversation
        self._join_datagrams(who, contacts)

    def _kind(self, item: Socket) -> Kind:
        if self.tracks[item.id].listening:
            return "listener"
        if item.family == _AF_UNIX:
            return "unix"
        if self.tracks[item.id].tcp:
            return "tcp"
        if item.family in (_AF_INET, _AF_INET6) and item.type == _SOCK_DGRAM:
            return "udp"
        return "socket"

    def _join_datagrams(self, who: Joins, contacts: dict[int, dict[End | bytes, _Contact]]) -> None:
        datagram = [item for item in self._tables.sockets.values() if _is_datagram(item)]
        for item in datagram:
            talks = dict(contacts.get(item.id, {}))
            remote = who.ends(item.id)[1] or (place_of(item.remote) if item.family == _AF_UNIX else None)
            if remote is not None:
                talks.setdefault(remote, _Contact(answers=False, at_ns=item.created_ns))
            for place, contact in talks.items():
                if (item.id, place) in self._of_peer:
                    continue
                found = who.at(place, item.id, contact.at_ns)
                if not found:
                    continue
                other = self._tables.sockets[found[0]]
                own = next((one for one in contacts.get(other.id, {}) if _same_place(one, item)), None)
                existing = self._of_peer.get((other.id, own)) if own is not None else None
                if existing is None:
                    first, second = item.id, other.id
                    if own is not None and contacts[other.id][own] < contact:
                        first, second = second, first
                    basis = Basis.ADDRESSES if len(found) == 1 else Basis.INFERRED
                    existing = self._add(Conversation(0, self._kind(item), first, second, basis))
                self._of_peer[item.id, place] = existing
                back = own if own is not None else place_of(item.local)
                if back is not None:
                    self._of_peer[other.id, back] = existing
        joined: dict[int, set[int]] = defaultdict(set)
        by_number = {conversation.number: conversation for conversation in self.conversations}
        for (socket, _), conversation in self._of_peer.items():
            joined[socket].add(conversation.number)
        for item in datagram:
            own_numbers = joined.get(item.id, set())
            if len(own_numbers) == 1:
                # Calls without an address belong to its only conversation.
                self._of_socket[item.id] = by_number[next(iter(own_numbers))]
            else:
                self._of_socket[item.id] = self._add(Conversation(0, self._kind(item), item.id))

    def _flow_index(self) -> dict[tuple[int, End, End], list[tuple[Conversation, int]]]:
        """(protocol, source, destination) of a segment -> conversations and the side that sends it."""
        flows: dict[tuple[int, End, End], dict[tuple[int, int], Conversation]] = defaultdict(dict)

        def note(protocol: int, conversation: Conversation, side: int, local: End, remote: End) -> None:
            for key, sender in (((protocol, local, remote), side), ((protocol, remote, local), 1 - side)):
                flows[key][conversation.number, sender] = conversation

        for conversation in self.conversations:
            if conversation.kind not in ("tcp", "udp", "listener"):
                continue
            for side in (0, 1):
                socket = conversation.socket_of(side)
                if socket is None:
                    continue
                item = self.tracks[socket].socket
                local, remote = end_of(item.local), end_of(item.remote) or self._targets.get(socket)
                if local is not None and remote is not None and conversation.kind != "listener":
                    if local.any:
                        local = End(_UNKNOWN_ADDRESS, local.port)
                    note(TCP if self.tracks[socket].tcp else UDP, conversation, side, local, remote)
        for (socket, peer), conversation in self._of_peer.items():
            local = end_of(self.tracks[socket].socket.local)
            if local is not None and isinstance(peer, End):
                note(UDP, conversation, conversation.side_of(socket), local, peer)
        return {
            key: sorted(
                ((conversation, sender) for (_, sender), conversation in found.items()),
                key=lambda entry: entry[0].started_ns,
            )
            for key, found in flows.items()
        }

    # -- the pass

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

    def _place(self, socket: int, call: Call) -> Conversation | None:
        """The conversation that a call on a socket belongs to."""
        if call.address is not None and self.tracks[socket].socket.type == _SOCK_DGRAM:
            peer = place_of(call.address)
            if peer is not None and (found := self._of_peer.get((socket, peer))) is not None:
                return found
        return self._of_socket.get(socket)

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
        if state.state == TcpState.CLOSE and track.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT):
            track.died = not track.closed
        transition = track.enter(TcpState(state.state), state.at_ns, "kernel", call=state.call)
        if transition is None:
            return
        if placed:
            _attach(placed, state.socket, transition)
        elif (conversation := self._of_socket.get(state.socket)) is not None:
            row = self._row(state.at_ns, conversation.side_of(state.socket))
            row.after = state
            row.transitions += ((row.side, transition),)
            self._keep(conversation, row)

    # -- the wire

    def _travel(self, segment: Segment) -> None:
        ends = (segment.source, segment.destination)
        if segment.protocol == ICMP:
            found = self._flow(UDP, *ends) or self._flow(TCP, *ends)
        else:
            found = self._flow(segment.protocol, *ends)
        if not found and isinstance(self._tables, _Contemporaries):
            return  # of a socket that is not looked at
        carried = self.joins.travelled(segment)
        if not found:
            self.stray_segments += 1
            return
        if len(found) > 2 * _NEAREST:
            # Ends that were used over and over: who began next to this time is meant.
            middle = bisect_right(found, segment.at_ns, key=lambda entry: entry[0].started_ns)
            found = found[max(0, middle - _NEAREST) : middle + _NEAREST]
        conversation, side = (
            found[0]
            if len(found) == 1
            else min(found, key=lambda candidate: self._distance(candidate[0], segment.at_ns))
        )
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
            self._drive_receiver(found.conversation, row.side, row.segment, row, at_ns)
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

    def _flow(self, protocol: int, source: End, destination: End) -> list[tuple[Conversation, int]]:
        """Conversations between two ends; an end whose own address is not known any more is known by its port."""
        flows = self._flows
        return (
            flows.get((protocol, source, destination))
            or flows.get((protocol, End(_UNKNOWN_ADDRESS, source.port), destination))
            or flows.get((protocol, source, End(_UNKNOWN_ADDRESS, destination.port)))
            or []
        )

    def _distance(self, conversation: Conversation, at_ns: int) -> tuple[int, int]:
        """How far a time is from a conversation's life; of two that fit the later one is meant."""
        lives = [self.tracks[socket].socket for socket in (conversation.left, conversation.right) if socket is not None]
        begin = min(item.created_ns for item in lives)
        end = max(item.ended_ns if item.ended_ns is not None else 1 << 62 for item in lives)
        outside = begin - at_ns if at_ns < begin else max(0, at_ns - end)
        return outside, -begin

    def _drive(
        self, conversation: Conversation, side: int, segment: Segment, row: Row, travelling: _Travelling | None
    ) -> None:
        """What a segment makes of its sender and, when it is there, of its receiver (RFC 9293, figure 5)."""
        if (
            not segment.flags & (RST | SYN | FIN)
            and conversation.number not in self._half_seen
            and (conversation.number, 1 - side) not in self._ends
        ):
            return
        self._drive_sender(conversation, side, segment, row)
        receiver = self._track(conversation, 1 - side)
        if receiver is None:
            return
        there = receiver.socket.network
        if travelling is not None and there != segment.network and there in self._captured:
            # Frames are captured at its host, too: it may be lost on the way.
            travelling.drives = bool(segment.flags & (RST | SYN | FIN)) or self._may_drive(
                conversation, 1 - side, segment, receiver
            )
        else:
            self._drive_receiver(conversation, side, segment, row, segment.at_ns)

    def _drive_sender(self, conversation: Conversation, side: int, segment: Segment, row: Row) -> None:
        flags, at_ns = segment.flags, segment.at_ns
        sender = self._track(conversation, side)
        if flags & FIN and not flags & (RST | SYN):
            self._ends[conversation.number, side] = (segment.sequence + segment.length + 1) & _SEQUENCE_MASK
        if sender is None:
            return
        if flags & RST:
            sender.reset_sent = True
            if sender.path:
                self._wire(row, sender, side, TcpState.CLOSE, segment, at_ns)
        elif flags & SYN:
            if not flags & ACK and sender.may_try:
                self._wire(row, sender, side, TcpState.SYN_SENT, segment, at_ns)
            elif flags & ACK and sender.socket.inferred and sender.state is None:
                self._wire(row, sender, side, TcpState.SYN_RECV, segment, at_ns)
        elif flags & FIN:
            after = {TcpState.ESTABLISHED: TcpState.FIN_WAIT1, TcpState.CLOSE_WAIT: TcpState.LAST_ACK}.get(
                sender.state or TcpState.CLOSE
            )
            if after is not None:
                self._wire(row, sender, side, after, segment, at_ns)

    def _may_drive(self, conversation: Conversation, side: int, segment: Segment, receiver: Track) -> bool:
        """Whether an acknowledgement may change the state of who gets it."""
        return bool(segment.flags & ACK) and (
            (receiver.socket.inferred and receiver.state is TcpState.SYN_RECV)
            or self._acknowledges_end(conversation, side, segment)
        )

    def _drive_receiver(self, conversation: Conversation, side: int, segment: Segment, row: Row, at_ns: int) -> None:
        flags = segment.flags
        receiver = self._track(conversation, 1 - side)
        if receiver is None:
            return
        if flags & RST:
            receiver.reset_received = True
            if receiver.path:
                self._wire(row, receiver, 1 - side, TcpState.CLOSE, segment, at_ns)
            return
        if flags & SYN:
            if flags & ACK and receiver.state is TcpState.SYN_SENT:
                self._wire(row, receiver, 1 - side, TcpState.ESTABLISHED, segment, at_ns)
            return
        if flags & ACK and receiver.socket.inferred and receiver.state is TcpState.SYN_RECV:
            self._wire(row, receiver, 1 - side, TcpState.ESTABLISHED, segment, at_ns)
        if flags & ACK and self._acknowledges_end(conversation, 1 - side, segment):
            after = {
                TcpState.FIN_WAIT1: TcpState.FIN_WAIT2,
                TcpState.CLOSING: TcpState.TIME_WAIT,
                TcpState.LAST_ACK: TcpState.CLOSE,
            }.get(receiver.state or TcpState.CLOSE)
            if after is not None:
                self._wire(row, receiver, 1 - side, after, segment, at_ns)
        if flags & FIN:
            receiver.peer_ended = True
            after = {
                TcpState.ESTABLISHED: TcpState.CLOSE_WAIT,
                TcpState.FIN_WAIT1: TcpState.CLOSING,
                TcpState.FIN_WAIT2: TcpState.TIME_WAIT,
            }.get(receiver.state or TcpState.CLOSE)
            if after is not None:
                self._wire(row, receiver, 1 - side, after, segment, at_ns)

    def _acknowledges_end(self, conversation: Conversation, side: int, segment: Segment) -> bool:
        end = self._ends.get((conversation.number, side))
        return end is not None and _signed(segment.acknowledgement - end) >= 0

    def _track(self, conversation: Conversation, side: int) -> Track | None:
        socket = conversation.socket_of(side)
        track = self.tracks.get(socket) if socket is not None else None
        return track if track is not None and track.tcp else None

    @staticmethod
    def _wire(row: Row, track: Track, side: int, state: TcpState, segment: Segment, at_ns: int) -> None:
        transition = track.enter(state, at_ns, "wire", packet=segment.packet)
        if transition is not None:
            row.transitions += ((side, transition),)


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


def _signed(difference: int) -> int:
    """A difference of sequence numbers, which count modulo 2**32, as the nearer of its two meanings."""
    return ((difference + (1 << 31)) & _SEQUENCE_MASK) - (1 << 31)


def _is_datagram(item: Socket) -> bool:
    """Whether a socket may have many correspondents."""
    if item.type != _SOCK_DGRAM or item.origin == "socketpair":
        return False
    return item.family in (_AF_UNIX, _AF_INET, _AF_INET6)


def _same_place(place: End | bytes, item: Socket) -> bool:
    local = place_of(item.local)
    if isinstance(local, End) and isinstance(place, End):
        return local.port == place.port and (local.address == place.address or local.any)
    return local == place
