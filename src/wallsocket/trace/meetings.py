"""Which sockets make a conversation, and to which one a call or a segment belongs."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ..events import Call, Socket
from ..kernel.address import End, end_of, place_of
from .contemporaries import NEAREST, Contemporaries
from .conversations import Conversation, Kind, PackedRows, Rows
from .joins import Basis, Joins
from .recording import Recording
from .syscalls import Role, role
from .tracks import Track
from .wire import TCP, UDP

__all__ = ["Meetings"]

_AF_UNIX: Final = 1
_AF_INET: Final = 2
_AF_INET6: Final = 10
_SOCK_DGRAM: Final = 2
_UNKNOWN_ADDRESS: Final = b""

#: Correspondents of one datagram socket that get a conversation of their own.
_MAX_PEERS: Final = 64


class _Contact(NamedTuple):
    """How a datagram socket met a correspondent; the lesser one of two began."""

    answers: bool  #: it heard before it spoke
    at_ns: int


class Meetings:
    """The conversations of a recording: pairs of sockets that talk, and single sockets.

    Args:
        recording: one pass is made over its calls, at once.
        tables: the sockets that are looked at.
        tracks: of each of them. Those that listen are told so.
        names: of the system calls of its machine.
        role: what a call does to a conversation.
        rows: makes the rows of a conversation.
    """

    def __init__(
        self,
        recording: Recording,
        tables: Recording | Contemporaries,
        tracks: Mapping[int, Track],
        *,
        names: Mapping[int, str],
        role: Callable[[Call], Role],
        rows: Callable[[], Rows | PackedRows],
    ) -> None:
        self.conversations: list[Conversation] = []
        self._recording = recording
        self._tables = tables
        self._tracks = tracks
        self._names = names
        self._role = role
        self._rows = rows
        self._join(*self._first_look())
        self._flows = self._flow_index()

    def of_socket(self, socket: int) -> Conversation | None:
        """The conversation of a socket that has only one."""
        return self._of_socket.get(socket)

    def of_call(self, socket: int, call: Call) -> Conversation | None:
        """The conversation that a call on a socket belongs to."""
        if call.address is not None and self._tracks[socket].socket.type == _SOCK_DGRAM:
            peer = place_of(call.address)
            if peer is not None and (found := self._of_peer.get((socket, peer))) is not None:
                return found
        return self._of_socket.get(socket)

    def of_ends(self, protocol: int, source: End, destination: End) -> list[tuple[Conversation, int]]:
        """Conversations between two ends; an end whose own address is not known any more is known by its port."""
        flows = self._flows
        return (
            flows.get((protocol, source, destination))
            or flows.get((protocol, End(_UNKNOWN_ADDRESS, source.port), destination))
            or flows.get((protocol, source, End(_UNKNOWN_ADDRESS, destination.port)))
            or []
        )

    def nearest(self, found: list[tuple[Conversation, int]], at_ns: int) -> tuple[Conversation, int]:
        """Of conversations between the same ends, in the order of their start, the one that a segment of this time belongs to."""
        if len(found) == 1:
            return found[0]
        if len(found) > 2 * NEAREST:
            # Ends that were used over and over: who began next to this time is meant.
            middle = bisect_right(found, at_ns, key=lambda entry: entry[0].started_ns)
            found = found[max(0, middle - NEAREST) : middle + NEAREST]
        return min(found, key=lambda candidate: self._distance(candidate[0], at_ns))

    def _distance(self, conversation: Conversation, at_ns: int) -> tuple[int, int]:
        """How far a time is from a conversation's life; of two that fit the later one is meant."""
        lives = [
            self._tracks[socket].socket for socket in (conversation.left, conversation.right) if socket is not None
        ]
        begin = min(item.created_ns for item in lives)
        end = max(item.ended_ns if item.ended_ns is not None else 1 << 62 for item in lives)
        outside = begin - at_ns if at_ns < begin else max(0, at_ns - end)
        return outside, -begin

    def _first_look(self) -> tuple[Joins, dict[int, dict[End | bytes, _Contact]]]:
        """A pass over the calls: who talks with whom, who listens, and who asked whom of datagram sockets."""
        who = Joins(self._tables, decode=None, kept=0)
        for socket in self._tracks:
            who.learn(socket)
        contacts: dict[int, dict[End | bytes, _Contact]] = defaultdict(dict)
        #: Where sockets were last asked to connect to, which the kernel forgets when nobody answers.
        self._targets: dict[int, End] = {}
        telling = [
            number
            for number, name in self._names.items()
            if name == "listen" or role(name) in (Role.CONNECT, Role.ACCEPT)
        ]
        for call in self._recording.calls(telling=telling):
            what = self._role(call)
            if what is Role.CONNECT or what is Role.ACCEPT or call.made is not None:
                who.see(call)
            if what is Role.CONNECT and call.socket is not None and (target := end_of(call.address)) is not None:
                self._targets[call.socket] = target
            track = self._tracks.get(call.socket) if call.socket is not None else None
            if track is None:
                continue
            if what is Role.SET_UP and self._names.get(call.number) == "listen" and call.result == 0:
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
            self._tracks[socket].socket.created_ns
            for socket in (conversation.left, conversation.right)
            if socket is not None
        )
        conversation.rows = self._rows()
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
            if peer is None or peer.socket in self._of_socket or peer.socket not in self._tracks:
                conversation = self._add(Conversation(0, kind, item.id))
            else:
                first, second = who.in_order(item.id, peer.socket)
                conversation = self._add(Conversation(0, kind, first, second, peer.basis))
                self._of_socket[peer.socket] = conversation
            self._of_socket[item.id] = conversation
        self._join_datagrams(who, contacts)

    def _kind(self, item: Socket) -> Kind:
        if self._tracks[item.id].listening:
            return "listener"
        if item.family == _AF_UNIX:
            return "unix"
        if self._tracks[item.id].tcp:
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
                item = self._tracks[socket].socket
                local, remote = end_of(item.local), end_of(item.remote) or self._targets.get(socket)
                if local is not None and remote is not None and conversation.kind != "listener":
                    if local.any:
                        local = End(_UNKNOWN_ADDRESS, local.port)
                    note(TCP if self._tracks[socket].tcp else UDP, conversation, side, local, remote)
        for (socket, peer), conversation in self._of_peer.items():
            local = end_of(self._tracks[socket].socket.local)
            if local is not None and isinstance(peer, End):
                note(UDP, conversation, conversation.side_of(socket), local, peer)
        return {
            key: sorted(
                ((conversation, sender) for (_, sender), conversation in found.items()),
                key=lambda entry: entry[0].started_ns,
            )
            for key, found in flows.items()
        }


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
