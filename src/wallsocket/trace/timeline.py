"""The joins: which sockets talk with each other, what travelled between them, and in which order it all happened.

One pass over a recording fills a :class:`Track` per socket (what it did and was) and a list of :class:`Row` per
:class:`Conversation`. Time orders the rows; where causality knows better it wins: bytes are sent before they travel,
and travel before they are received.

States come from three sources, and a :class:`Transition` says which: the kernel reported it, or it follows from a call
or from a segment by the graph of RFC 9293, figure 5 (inferred).
"""

from __future__ import annotations

import heapq
import struct
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from ..events import Call, Moment, Packet, Process, Socket, Source, State
from ..kernel.address import End, end_of
from ..kernel.tcp_state import TcpState
from .recording import Recording
from .syscalls import Role, names, role
from .wire import ACK, FIN, ICMP, RST, SYN, TCP, UDP, Decoder, Segment

__all__ = [
    "Conversation",
    "Row",
    "Timeline",
    "Track",
    "Transition",
]

_AF_UNIX: Final = 1
_AF_INET: Final = 2
_AF_INET6: Final = 10
_SOCK_STREAM: Final = 1
_SOCK_DGRAM: Final = 2
_SOCK_SEQPACKET: Final = 5
_UNKNOWN_ADDRESS: Final = b""

_EINTR: Final = 4
_EAGAIN: Final = 11
_EALREADY: Final = 114
_EINPROGRESS: Final = 115
_ECONNRESET: Final = 104
_ETIMEDOUT: Final = 110
_ECONNREFUSED: Final = 111

#: A recorder's clock reading and a frame's time stamp may disagree by this much about a life's end.
_SLACK_NS: Final = 5_000_000
#: Transitions kept per socket; a real one has at most a dozen.
_MAX_TRANSITIONS: Final = 1000
#: Correspondents of one datagram socket that get a conversation of their own.
_MAX_PEERS: Final = 64
#: Calls whose rows are remembered for what the kernel says after they returned.
_RECENT_CALLS: Final = 4096
_MSG_PEEK: Final = 2
_SOL_SOCKET: Final = 1
_SO_ERROR: Final = 4
_QUESTIONS: Final = frozenset({"getsockname", "getpeername", "epoll_ctl"})
_FCNTL_QUESTIONS: Final = frozenset({1, 3})  # F_GETFD, F_GETFL
_SEQUENCE_MASK: Final = 0xFFFFFFFF
_WAITING: Final = frozenset({Role.RECEIVE, Role.ACCEPT, Role.WAIT})


_STATES: Final = frozenset(TcpState)


class _Contact(NamedTuple):
    """How a datagram socket met a correspondent; the lesser one of two began."""

    answers: bool  #: it heard before it spoke
    at_ns: int


class Transition(NamedTuple):
    """A socket entered a state."""

    at_ns: int
    state: TcpState
    how: Literal["kernel", "call", "wire"]
    call: int | None
    packet: int | None

    @property
    def inferred(self) -> bool:
        """Whether nobody reported it: it follows from a call or a segment."""
        return self.how != "kernel"


@dataclass(slots=True)
class Track:
    """What one socket did and was."""

    socket: Socket
    tcp: bool
    path: list[Transition] = field(default_factory=list)
    confirmed: set[int] = field(default_factory=set)  #: indexes in ``path`` that the kernel later reported too
    calls: int = 0
    sent: int = 0
    received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    accepted: int = 0
    connected: bool = False
    listening: bool = False
    backlog: int | None = None
    failed: Call | None = None  #: the last call that failed for good (not EAGAIN, EINPROGRESS, EINTR)
    connecting: Call | None = None  #: a connect that returned before it was done (EINPROGRESS)
    pending_error: int | None = None  #: error number that SO_ERROR told
    waiting: Call | None = None  #: a call that never returned
    peer_ended: bool = False  #: a receive returned 0, or a FIN came in
    write_ended: bool = False  #: shutdown for writing
    closed: bool = False  #: the program closed its last descriptor
    unread: int | None = None  #: bytes in the receive queue when it was closed
    reset_sent: bool = False
    reset_received: bool = False
    died: bool = False  #: the kernel reported it closed though this side had ended nothing
    receive_queue: int | None = None  #: the last one known
    send_queue: int | None = None
    drops: int | None = None
    last_ns: int = 0

    @property
    def state(self) -> TcpState | None:
        """The last state, ``None`` when unknown."""
        return self.path[-1].state if self.path else None

    @property
    def may_try(self) -> bool:
        """Whether an attempt to connect begins: an answer can be there before the call that asked has returned."""
        return self.state in (None, TcpState.CLOSE) and not self.has_been(TcpState.SYN_SENT)

    def has_been(self, state: TcpState) -> bool:
        """Whether the state is on the path."""
        return any(step.state is state for step in self.path)

    def enter(
        self,
        state: TcpState,
        at_ns: int,
        how: Literal["kernel", "call", "wire"],
        *,
        call: int | None = None,
        packet: int | None = None,
    ) -> Transition | None:
        """Note a state; returns the transition when it is a new one."""
        if self.path and self.path[-1].state == state:
            if how == "kernel":
                self.confirmed.add(len(self.path) - 1)
            return None
        if len(self.path) >= _MAX_TRANSITIONS:
            return None
        transition = Transition(at_ns, state, how, call, packet)
        self.path.append(transition)
        return transition

    def is_inferred(self, index: int) -> bool:
        """Whether the state at this index of the path was never reported by the kernel."""
        return self.path[index].inferred and index not in self.confirmed


@dataclass(slots=True)
class Row:
    """One line of a ladder, before it is text."""

    key: tuple[int, int]  #: order: time in ns where causality has no say, then number
    side: int  #: 0 left, 1 right: who did it, or sent it
    call: Call | None = None
    segment: Segment | None = None
    begin: int | None = None  #: stream offset of the first byte moved
    end: int | None = None  #: stream offset after the last byte moved
    before: State | None = None
    after: State | None = None
    role: Role | None = None  #: of the call
    again: bool = False  #: a segment whose bytes had travelled before
    transitions: list[tuple[int, Transition]] = field(default_factory=list)  #: (side, what its socket became)
    skipped_calls: int = 0
    skipped_segments: int = 0

    @property
    def at_ns(self) -> int:
        """When it happened."""
        return self.key[0]

    @property
    def sends(self) -> bool:
        """Whether it is a call that gives bytes away."""
        return self.role is Role.SEND

    @property
    def notable(self) -> bool:
        """Whether it is kept when a long conversation is shortened."""
        if self.segment is not None:
            return bool(self.segment.flags & (SYN | FIN | RST)) or self.again or self.segment.protocol == ICMP
        if self.call is not None:
            failed = self.call.errno is not None and self.call.errno not in (_EAGAIN, 4)
            return failed or self.call.took_ns is None or bool(self.transitions)
        return True


@dataclass(slots=True)
class Conversation:
    """What is drawn together: two sockets that talk, one whose peer was not traced, or a listener."""

    number: int
    kind: Literal["tcp", "udp", "unix", "listener", "socket"]
    left: int  #: socket.id
    right: int | None = None  #: socket.id of the traced peer
    started_ns: int = 0
    rows: _Rows = field(default_factory=lambda: _Rows(None))
    bases: list[int | None] = field(default_factory=lambda: [None, None])  #: sequence number of stream offset 0
    travelled: list[int] = field(default_factory=lambda: [0, 0])  #: stream offset up to which bytes were seen
    segments: int = 0

    @property
    def lines(self) -> list[Row]:
        """The rows that were kept, in order; a row without event stands for those skipped."""
        return self.rows.arranged

    def side_of(self, socket: int) -> int:
        """0 for the left socket, 1 for the right one."""
        return 1 if socket == self.right and socket != self.left else 0

    def socket_of(self, side: int) -> int | None:
        """The traced socket on a side."""
        return self.right if side else self.left


class _Rows:
    """The rows of a conversation: all of them, or the first, the last and the notable ones."""

    def __init__(self, limit: int | None) -> None:
        self.first: list[Row] = []
        self.last: deque[Row] = deque()
        self.middle: list[Row] = []
        self.arranged: list[Row] = []
        self.total = 0
        self._limit = limit
        self._notable = 0

    def add(self, row: Row) -> None:
        self.total += 1
        if self._limit is None or len(self.first) < self._limit:
            self.first.append(row)
            return
        self.last.append(row)
        if len(self.last) > self._limit:
            self._retire(self.last.popleft())

    def _retire(self, row: Row) -> None:
        assert self._limit is not None
        if row.notable and self._notable < self._limit:
            self._notable += 1
            self.middle.append(row)
            return
        gap = self.middle[-1] if self.middle else None
        if gap is None or not (gap.skipped_calls or gap.skipped_segments):
            gap = Row(row.key, row.side)
            self.middle.append(gap)
        if row.segment is not None:
            gap.skipped_segments += 1
        else:
            gap.skipped_calls += 1

    def __iter__(self) -> Iterator[Row]:
        yield from self.first
        yield from self.middle
        yield from self.last


class Timeline:
    """A recording with its joins made.

    Args:
        recording: what to read; one pass is made over it, at once.
        decode: makes segments of frames; without it the wire is left out.
        limit: rows kept at each end of a conversation, ``None`` for all.
        socket: only the conversations of this socket (its id).
        since_ns: rows before this time are left out (states and totals still count them).
        until_ns: rows after this time are left out.
        everything: also keep segments that do nothing but acknowledge, and calls that only ask for names and flags.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        decode: Decoder | None = None,
        limit: int | None = None,
        socket: int | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        everything: bool = False,
    ) -> None:
        self.recording = recording
        self.machine = recording.meta.get("machine", "")
        self.conversations: list[Conversation] = []
        self.tracks: dict[int, Track] = {}
        self.calls = 0  #: all that were recorded
        self.stray_segments = 0  #: frames of conversations that no traced socket took part in
        self._names = names(self.machine)
        self._roles: dict[int, Role] = {}
        self._limit = limit
        self._since_ns = since_ns if since_ns is not None else 0
        self._until_ns = until_ns if until_ns is not None else 1 << 62
        self._numbers = 0
        self._everything = everything
        self._recent: dict[int, _Placed] = {}
        self._ends: dict[tuple[int, int], int] = {}
        for item in recording.sockets.values():
            tcp = item.family in (_AF_INET, _AF_INET6) and item.type == _SOCK_STREAM
            self.tracks[item.id] = Track(item, tcp)
        peers = self._correspondents()
        self._join(peers)
        self._wanted = {
            conversation.number
            for conversation in self.conversations
            if socket is None or socket in (conversation.left, conversation.right)
        }
        self._flows = self._flow_index()
        self._pass(decode)
        for conversation in self.conversations:
            _mend_order(conversation)
        self.conversations.sort(key=lambda conversation: (conversation.started_ns, conversation.number))

    # -- what the views ask

    @property
    def processes(self) -> dict[int, Process]:
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
        if conversation.kind == "socket":
            return False
        tracks = [self.tracks[socket] for socket in (conversation.left, conversation.right) if socket is not None]
        return any(
            track.sent
            or track.received
            or track.waiting
            or track.listening
            or (track.tcp and (track.failed or track.pending_error))
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

    def _correspondents(self) -> dict[int, dict[End, _Contact]]:
        """First look at the calls: who listens, and with whom each datagram socket talks."""
        datagram = {
            item.id
            for item in self.recording.sockets.values()
            if item.type == _SOCK_DGRAM and item.family in (_AF_INET, _AF_INET6)
        }
        unix = {item.id for item in self.recording.sockets.values() if item.family == _AF_UNIX}
        peers: dict[int, dict[End, _Contact]] = defaultdict(dict)
        self._unix_connects: dict[bytes, list[int]] = defaultdict(list)
        self._unix_accepts: dict[int, list[int]] = defaultdict(list)
        #: Where sockets were last asked to connect to, which the kernel forgets when nobody answers.
        self._targets: dict[int, End] = {}
        for call in self.recording.calls():
            name = self._names.get(call.number)
            track = self.tracks.get(call.socket) if call.socket is not None else None
            if name == "listen" and call.result == 0 and track is not None:
                track.listening = True
                track.backlog = call.a
            elif name in ("accept", "accept4") and call.made is not None and call.socket is not None:
                self._unix_accepts[call.socket].append(call.made)
            elif name == "connect" and call.address and call.socket is not None:
                if call.result == 0 and call.socket in unix:
                    self._unix_connects[call.address].append(call.socket)
                if (target := end_of(call.address)) is not None:
                    self._targets[call.socket] = target
            if call.socket in datagram and call.address is not None and call.result is not None and call.result >= 0:
                assert call.socket is not None
                peer = end_of(call.address)
                if peer is not None and len(peers[call.socket]) < _MAX_PEERS:
                    # Who speaks first asks; who is spoken to answers.
                    asks = self.role(call) is not Role.RECEIVE
                    peers[call.socket].setdefault(peer, _Contact(not asks, call.entry_ns))
        return peers

    def _add(self, conversation: Conversation) -> Conversation:
        conversation.number = len(self.conversations) + 1
        conversation.started_ns = min(
            self.tracks[socket].socket.created_ns
            for socket in (conversation.left, conversation.right)
            if socket is not None
        )
        conversation.rows = _Rows(self._limit)
        self.conversations.append(conversation)
        return conversation

    def _join(self, peers: dict[int, dict[End, _Contact]]) -> None:
        self._of_socket: dict[int, Conversation] = {}
        self._of_peer: dict[tuple[int, End], Conversation] = {}
        paired = self._stream_pairs()
        for item in self.recording.sockets.values():
            if item.id in self._of_socket:
                continue
            if item.type == _SOCK_DGRAM and item.family in (_AF_INET, _AF_INET6):
                continue
            other = paired.get(item.id)
            kind = self._kind(item)
            if other is None:
                conversation = self._add(Conversation(0, kind, item.id))
            else:
                first, second = self._in_order(item.id, other)
                conversation = self._add(Conversation(0, kind, first, second))
                self._of_socket[other] = conversation
            self._of_socket[item.id] = conversation
        self._join_datagrams(peers)

    def _kind(self, item: Socket) -> Literal["tcp", "udp", "unix", "listener", "socket"]:
        if self.tracks[item.id].listening:
            return "listener"
        if item.family == _AF_UNIX:
            return "unix"
        if self.tracks[item.id].tcp:
            return "tcp"
        if item.family in (_AF_INET, _AF_INET6) and item.type == _SOCK_DGRAM:
            return "udp"
        return "socket"

    def _in_order(self, one: int, other: int) -> tuple[int, int]:
        """Who started it stands left: the one that was not accepted, else the older one."""
        sockets = self.recording.sockets
        if sockets[one].origin == "accept" and sockets[other].origin != "accept":
            return other, one
        if sockets[other].origin == "accept" and sockets[one].origin != "accept":
            return one, other
        return min(one, other), max(one, other)

    def _stream_pairs(self) -> dict[int, int]:
        pairs: dict[int, int] = {}
        by_ends: dict[tuple[End, End], list[Socket]] = defaultdict(list)
        for item in self.recording.sockets.values():
            if item.origin == "socketpair" and item.parent in self.tracks:
                assert item.parent is not None
                pairs[item.id] = item.parent
                pairs[item.parent] = item.id
            local, remote = end_of(item.local), end_of(item.remote)
            if self.tracks[item.id].tcp and local is not None and remote is not None and local != remote:
                by_ends[local, remote].append(item)
        for (local, remote), ours in by_ends.items():
            for item in ours:
                if item.id in pairs:
                    continue
                best = min(
                    (
                        other
                        for other in by_ends.get((remote, local), ())
                        if other.id not in pairs and _lives_overlap(item, other)
                    ),
                    key=lambda other: abs(other.created_ns - item.created_ns),
                    default=None,
                )
                if best is not None:
                    pairs[item.id] = best.id
                    pairs[best.id] = item.id
        # A listener accepts Unix sockets in the order in which they connected (unix(7)).
        for listener, accepted in self._unix_accepts.items():
            name = self.tracks[listener].socket.local if listener in self.tracks else None
            if name is None or self.tracks[listener].socket.family != _AF_UNIX:
                continue
            for connecting, made in zip(self._unix_connects.get(name, ()), accepted, strict=False):
                if made in self.tracks and connecting not in pairs and made not in pairs:
                    pairs[connecting] = made
                    pairs[made] = connecting
        return pairs

    def _join_datagrams(self, peers: dict[int, dict[End, _Contact]]) -> None:
        bound: dict[int, list[Socket]] = defaultdict(list)
        datagram: list[Socket] = []
        for item in self.recording.sockets.values():
            if item.type == _SOCK_DGRAM and item.family in (_AF_INET, _AF_INET6):
                datagram.append(item)
                local = end_of(item.local)
                if local is not None:
                    bound[local.port].append(item)

        def at(place: End, asking: Socket) -> Socket | None:
            found = [
                item
                for item in bound.get(place.port, ())
                if item.id != asking.id
                and _lives_overlap(item, asking)
                and (local := end_of(item.local)) is not None
                and (local.address == place.address or local.any)
            ]
            own = end_of(asking.local)
            # Connected to the asking one is surer than bound where it sends to.
            found.sort(key=lambda item: (own is None or end_of(item.remote) != own, item.id))
            return found[0] if found else None

        for item in datagram:
            remote = end_of(item.remote)
            talks = dict(peers.get(item.id, {}))
            if remote is not None and remote.port:
                talks.setdefault(remote, _Contact(False, item.created_ns))
            for place in talks:
                other = at(place, item)
                if other is None:
                    continue
                own = next((p for p in peers.get(other.id, {}) if _same_place(p, item)), None)
                if (item.id, place) in self._of_peer:
                    continue
                existing = self._of_peer.get((other.id, own)) if own is not None else None
                if existing is None:
                    first, second = item.id, other.id
                    if own is not None and peers[other.id][own] < talks[place]:
                        first, second = second, first
                    existing = self._add(Conversation(0, "udp", first, second))
                self._of_peer[item.id, place] = existing
                if own is not None:
                    self._of_peer[other.id, own] = existing
                else:
                    local = end_of(item.local)
                    if local is not None:
                        self._of_peer[other.id, local] = existing
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
                self._of_socket[item.id] = self._add(Conversation(0, "udp", item.id))

    def _flow_index(self) -> dict[tuple[int, End, End], list[tuple[Conversation, int]]]:
        """(protocol, source, destination) of a segment -> conversations and the side that sends it."""
        flows: dict[tuple[int, End, End], list[tuple[Conversation, int]]] = defaultdict(list)

        def note(protocol: int, conversation: Conversation, side: int, local: End, remote: End) -> None:
            for key, sender in (((protocol, local, remote), side), ((protocol, remote, local), 1 - side)):
                if (conversation, sender) not in flows[key]:
                    flows[key].append((conversation, sender))

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
            if local is not None:
                note(UDP, conversation, conversation.side_of(socket), local, peer)
        return flows

    # -- the pass

    def _pass(self, decode: Decoder | None) -> None:
        #: Calls under way: (when they return, id, call, rows), the earliest first.
        pending: list[tuple[int, int, Call, _Placed]] = []

        def leave(until_ns: int) -> None:
            while pending and pending[0][0] <= until_ns:
                _, _, call, placed = heapq.heappop(pending)
                self._exit(call, placed)

        for event in self.recording.events():
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
            elif isinstance(event, Packet) and decode is not None and (segment := decode(event)) is not None:
                self._travel(segment)
        leave(1 << 62)

    def _place(self, socket: int, call: Call) -> Conversation | None:
        """The conversation that a call on a socket belongs to."""
        if call.address is not None and self.tracks[socket].socket.type == _SOCK_DGRAM:
            peer = end_of(call.address)
            if peer is not None and (found := self._of_peer.get((socket, peer))) is not None:
                return found
        return self._of_socket.get(socket)

    def _row(self, at_ns: int, side: int) -> Row:
        self._numbers += 1
        return Row((at_ns, self._numbers), side)

    def _keep(self, conversation: Conversation, row: Row) -> None:
        if conversation.number in self._wanted and self._since_ns <= row.at_ns <= self._until_ns:
            conversation.rows.add(row)

    def _enter(self, call: Call) -> _Placed:
        placed: _Placed = []
        for socket in dict.fromkeys((call.socket, call.made)):
            if socket is None or socket not in self.tracks:
                continue
            conversation = self._place(socket, call)
            if conversation is None or any(conversation is other for other, _, _ in placed):
                continue
            row = self._row(call.entry_ns, conversation.side_of(socket))
            row.call = call
            row.role = self.role(call)
            if call.offset is not None and call.result is not None and call.result >= 0:
                row.begin, row.end = call.offset, call.offset + call.result
            placed.append((conversation, socket, row))
            # What acts stands where it began; what waits stands where it got what it waited for.
            if self.role(call) not in _WAITING and (self._everything or not self._only_asks(call)):
                self._keep(conversation, row)
        self._recent[call.id] = placed
        if len(self._recent) > _RECENT_CALLS:
            del self._recent[next(iter(self._recent))]
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
        moved, messages = _moved(call, name)
        stream = track.socket.type != _SOCK_DGRAM
        match what:
            case Role.SEND:
                track.sent += moved
                track.messages_sent += messages
            case Role.RECEIVE if not (call.a or 0) & _MSG_PEEK or name in ("read", "readv", "splice"):
                track.received += moved
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
                if ended is not None and at >= ended - _SLACK_NS:
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
            row.transitions.append((row.side, transition))
            self._keep(conversation, row)

    # -- the wire

    def _travel(self, segment: Segment) -> None:
        ends = (segment.source, segment.destination)
        if segment.protocol == ICMP:
            found = self._flow(UDP, *ends) or self._flow(TCP, *ends)
        else:
            found = self._flow(segment.protocol, *ends)
        if not found:
            self.stray_segments += 1
            return
        conversation, side = min(found, key=lambda candidate: self._distance(candidate[0], segment.at_ns))
        if segment.protocol == ICMP:
            # It quotes a packet of one side, and so comes from where that packet was going.
            side = 1 - side
        conversation.segments += 1
        row = self._row(segment.at_ns, side)
        row.segment = segment
        if segment.protocol == TCP:
            self._position(conversation, side, segment, row)
            self._drive(conversation, side, segment, row)
            bare = not segment.size and not segment.flags & RST
            if bare and segment.window and not row.transitions and not self._everything:
                return
        self._keep(conversation, row)

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

    def _position(self, conversation: Conversation, side: int, segment: Segment, row: Row) -> None:
        """Sequence number -> stream offset, which is what the calls count."""
        if segment.flags & SYN:
            conversation.bases[side] = (segment.sequence + 1) & _SEQUENCE_MASK
            return
        if not segment.length:
            return
        base = conversation.bases[side]
        if base is None:
            # Its beginning was not seen: the first byte seen counts as the next one that the calls moved.
            base = conversation.bases[side] = (segment.sequence - conversation.travelled[side]) & _SEQUENCE_MASK
        reached = conversation.travelled[side]
        begin = reached + _signed(segment.sequence - base - reached)
        if begin < 0:
            # A keep-alive probe repeats one byte before the window (RFC 9293, 3.8.4).
            return
        row.begin, row.end = begin, begin + segment.length
        row.again = row.end <= reached
        conversation.travelled[side] = max(reached, row.end)

    def _drive(self, conversation: Conversation, side: int, segment: Segment, row: Row) -> None:
        """What a segment makes of its sender and of its receiver (RFC 9293, figure 5)."""
        sender = self._track(conversation, side)
        receiver = self._track(conversation, 1 - side)
        flags = segment.flags
        if flags & RST:
            for track in (sender, receiver):
                if track is not None:
                    track.reset_sent |= track is sender
                    track.reset_received |= track is receiver
                    if track.path:
                        self._wire(row, track, side if track is sender else 1 - side, TcpState.CLOSE, segment)
            return
        if flags & SYN:
            if sender is not None and not flags & ACK and sender.may_try:
                self._wire(row, sender, side, TcpState.SYN_SENT, segment)
            if receiver is not None and flags & ACK and receiver.state is TcpState.SYN_SENT:
                self._wire(row, receiver, 1 - side, TcpState.ESTABLISHED, segment)
            return
        if receiver is not None and flags & ACK and self._acknowledges_end(conversation, 1 - side, segment):
            after = {
                TcpState.FIN_WAIT1: TcpState.FIN_WAIT2,
                TcpState.CLOSING: TcpState.TIME_WAIT,
                TcpState.LAST_ACK: TcpState.CLOSE,
            }.get(receiver.state or TcpState.CLOSE)
            if after is not None:
                self._wire(row, receiver, 1 - side, after, segment)
        if not flags & FIN:
            return
        self._ends[conversation.number, side] = (segment.sequence + segment.length + 1) & _SEQUENCE_MASK
        if sender is not None:
            after = {TcpState.ESTABLISHED: TcpState.FIN_WAIT1, TcpState.CLOSE_WAIT: TcpState.LAST_ACK}.get(
                sender.state or TcpState.CLOSE
            )
            if after is not None:
                self._wire(row, sender, side, after, segment)
        if receiver is not None:
            receiver.peer_ended = True
            after = {
                TcpState.ESTABLISHED: TcpState.CLOSE_WAIT,
                TcpState.FIN_WAIT1: TcpState.CLOSING,
                TcpState.FIN_WAIT2: TcpState.TIME_WAIT,
            }.get(receiver.state or TcpState.CLOSE)
            if after is not None:
                self._wire(row, receiver, 1 - side, after, segment)

    def _acknowledges_end(self, conversation: Conversation, side: int, segment: Segment) -> bool:
        end = self._ends.get((conversation.number, side))
        return end is not None and _signed(segment.acknowledgement - end) >= 0

    def _track(self, conversation: Conversation, side: int) -> Track | None:
        socket = conversation.socket_of(side)
        track = self.tracks.get(socket) if socket is not None else None
        return track if track is not None and track.tcp else None

    @staticmethod
    def _wire(row: Row, track: Track, side: int, state: TcpState, segment: Segment) -> None:
        transition = track.enter(state, segment.at_ns, "wire", packet=segment.packet)
        if transition is not None:
            row.transitions.append((side, transition))


_Placed: TypeAlias = list[tuple[Conversation, int, Row]]


def _attach(placed: _Placed, socket: int, transition: Transition) -> None:
    for conversation, _, row in placed:
        if socket in (conversation.left, conversation.right):
            row.transitions.append((conversation.side_of(socket), transition))
            return


def _moved(call: Call, name: str) -> tuple[int, int]:
    """Bytes and messages that a successful call moved."""
    assert call.result is not None
    if name not in ("sendmmsg", "recvmmsg"):
        return call.result, 1
    sizes = call.value or b""
    lengths = struct.unpack(f"<{len(sizes) // 4}I", sizes[: len(sizes) // 4 * 4])
    return sum(lengths[: call.result]), call.result


def _signed(difference: int) -> int:
    """A difference of sequence numbers, which count modulo 2**32, as the nearer of its two meanings."""
    return ((difference + (1 << 31)) & _SEQUENCE_MASK) - (1 << 31)


def _lives_overlap(one: Socket, other: Socket) -> bool:
    def end(item: Socket) -> int:
        return (item.ended_ns if item.ended_ns is not None else 1 << 62) + _SLACK_NS

    return one.created_ns <= end(other) and other.created_ns <= end(one)


def _same_place(place: End, item: Socket) -> bool:
    local = end_of(item.local)
    return local is not None and local.port == place.port and (local.address == place.address or local.any)


def _mend_order(conversation: Conversation) -> None:
    """Put the kept rows in order: by time, but never an effect before its cause."""
    rows = list(conversation.rows)
    for side in (0, 1):
        given = [row for row in rows if _is_send(row, side)]
        travelled = [row for row in rows if row.segment is not None and row.side == side and row.end is not None]
        taken = [row for row in rows if _is_receive(row, 1 - side)]
        _not_before(travelled, given)
        _not_before(taken, [row for row in travelled if not row.again] or given)
    rows.sort(key=lambda row: row.key)
    conversation.rows.arranged = rows


def _is_send(row: Row, side: int) -> bool:
    return row.call is not None and row.side == side and row.end is not None and row.sends


def _is_receive(row: Row, side: int) -> bool:
    return row.call is not None and row.side == side and bool(row.end) and not row.sends


def _not_before(effects: list[Row], causes: list[Row]) -> None:
    """Move each effect behind the cause of its last byte."""
    causes = sorted(causes, key=lambda row: row.end or 0)
    ends = [row.end or 0 for row in causes]
    for row in effects:
        index = bisect_left(ends, row.end or 0)
        if row.end == row.begin or index == len(causes):
            continue
        cause = causes[index]
        if (cause.begin or 0) < (row.end or 0) and cause.key > row.key:
            row.key = (cause.key[0], cause.key[1] + 1)
