"""The byte river: which call gave each byte away, which segments carried it, which call returned it, and where it stood.

Rules of precedence: the top of :mod:`wallsocket.trace.joins`. Bytes of a stream are joined by their offset, which the
tracer counts from the socket's first byte; datagrams by what they say, then by order. Of what is kept, the oldest goes
first when the budget is used up.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from ..events import Call, Socket
from ..kernel.address import End, place_of
from .peers import SLACK_NS, Peers
from .wire import ACK, RST, SYN, TCP, UDP, Segment

__all__ = ["Carried", "Move", "River", "Turn", "Way"]

_AF_UNIX: Final = 1
_SOCK_STREAM: Final = 1
_MSG_OOB: Final = 1
_MSG_PEEK: Final = 2
_MSG_TRUNC: Final = 0x20
_SEQUENCE_MASK: Final = 0xFFFFFFFF
#: Flows of which segments are kept, and of one flow the holes that a later segment may fill.
_MAX_FLOWS: Final = 1 << 16
_MAX_HOLES: Final = 64
#: Threads whose next send is waited for.
_MAX_THREADS: Final = 1 << 16
#: Segments with one byte, and calls under way at once, that are told apart.
_MAX_COPIES: Final = 64
#: Datagrams that are compared with one receive.
_MAX_LOOKED: Final = 256


@dataclass(slots=True, eq=False)
class Turn:
    """What a thread received since it last gave bytes away, and when it did so next, on whatever socket."""

    answered_ns: int | None = None
    call: int | None = None  #: call.id of that send


@dataclass(slots=True, eq=False)
class Move:
    """Bytes that one call gave away or returned: a range of a stream, or one datagram."""

    call: int  #: call.id
    socket: int
    process: int
    tid: int
    begin: int  #: stream offset; 0 for a datagram
    end: int
    entry_ns: int
    exit_ns: int
    turn: Turn | None = None  #: of a receive
    payload: bytes | None = None  #: of a datagram what was kept of it
    place: End | bytes | None = None  #: of a datagram the address that was given, or that it came from
    cut: bool = False  #: of a datagram: it may have been longer than what was returned


class Carried(NamedTuple):
    """A segment with bytes of a stream."""

    packet: int  #: packet.id
    at_ns: int
    begin: int  #: stream offset
    end: int
    again: bool  #: all its bytes had travelled before


@dataclass(frozen=True, slots=True)
class Way:
    """Bytes that went the same way. ``None`` for a call: it has not happened, was not traced, or is unknown."""

    begin: int  #: stream offset; within the datagram for datagrams
    end: int
    sent: Move | None
    carried: tuple[Carried, ...]  #: in order of time: the first time, then again; at most 64
    acknowledged_ns: int | None  #: when the segment travelled that acknowledged the last of them
    received: Move | None
    doubt: str = (
        ""  #: why another way is possible, or why a part is unknown; empty: nothing else fits what was recorded
    )

    @property
    def certain(self) -> bool:
        """Whether nothing else fits what was recorded."""
        return not self.doubt

    @property
    def in_send_buffer_ns(self) -> int | None:
        """From the entry of the call that gave them away to the first segment with them."""
        return max(0, self.carried[0].at_ns - self.sent.entry_ns) if self.sent and self.carried else None

    @property
    def _arrived_ns(self) -> int | None:
        times = [self.acknowledged_ns, self.received.exit_ns if self.received else None]
        return min((at_ns for at_ns in times if at_ns is not None), default=None)

    @property
    def in_flight_ns(self) -> int | None:
        """From the first segment with them until an acknowledgement or a receive shows that they had arrived."""
        arrived_ns = self._arrived_ns
        return max(0, arrived_ns - self.carried[0].at_ns) if arrived_ns is not None and self.carried else None

    @property
    def in_receive_buffer_ns(self) -> int | None:
        """From that moment until the call that returned them returned."""
        arrived_ns = self._arrived_ns
        return max(0, self.received.exit_ns - arrived_ns) if self.received and arrived_ns is not None else None

    @property
    def in_program_ns(self) -> int | None:
        """From then until the thread that received them next gave bytes away, on whatever socket."""
        if self.received is None or self.received.turn is None or self.received.turn.answered_ns is None:
            return None
        return max(0, self.received.turn.answered_ns - self.received.exit_ns)


class _Datagram(NamedTuple):
    """A frame with a UDP datagram."""

    packet: int
    at_ns: int
    source: End
    length: int
    payload: bytes
    network: int | None


class _Ack(NamedTuple):
    """A segment that acknowledged more than those before it."""

    at_ns: int
    offset: int


_Thing: TypeAlias = "Move | Carried | _Datagram | _Ack"


class _Kept:
    """Things of one socket and direction, the oldest first."""

    __slots__ = ("doubt", "doubt_from", "gone", "items", "total", "version", "whole")

    def __init__(self, *, whole: bool) -> None:
        self.items: deque[_Thing] = deque()
        self.whole = whole  #: offsets count from the socket's first byte
        self.total = 0  #: bytes moved so far
        self.gone = 0  #: things that were kept no longer
        self.doubt = ""
        self.doubt_from = 1 << 62  #: from this offset on, offsets of both ends need not agree
        self.version = 0

    def moves(self) -> list[Move]:
        return [item for item in self.items if isinstance(item, Move)]


class _Flow:
    """The segments from one end to another: sequence numbers as stream offsets, which the calls count too."""

    __slots__ = ("acknowledged", "acks", "base", "first_ns", "holes", "pieces", "reached", "whole")

    def __init__(self, at_ns: int) -> None:
        self.first_ns = at_ns
        self.base: int | None = None  #: sequence number of offset 0
        self.whole = False  #: its SYN was seen
        self.reached = 0  #: offset up to which bytes were seen
        self.holes: list[tuple[int, int]] = []  #: ranges below that were not
        self.pieces = _Kept(whole=True)
        self.acks = _Kept(whole=True)  #: (at_ns, offset), each further than the one before
        self.acknowledged = 0

    def place(self, segment: Segment) -> Carried | None:
        """Put a segment's bytes at their offset."""
        sequence = segment.sequence
        if segment.flags & SYN:
            sequence = (sequence + 1) & _SEQUENCE_MASK
            self.base, self.whole = sequence, True
        if not segment.length:
            return None
        if self.base is None:
            # Its beginning was not seen: the first byte seen counts as the first one that the calls moved.
            self.base = sequence
        begin = self.reached + _signed(sequence - self.base - self.reached)
        if begin < 0:
            # A keep-alive probe repeats one byte before the window (RFC 9293, 3.8.4).
            return None
        end = begin + segment.length
        again = end <= self.reached and not any(hole[0] < end and begin < hole[1] for hole in self.holes)
        if begin > self.reached and len(self.holes) < _MAX_HOLES:
            self.holes.append((self.reached, begin))
        elif self.holes and begin < self.reached:
            self.holes = [
                part
                for low, high in self.holes
                for part in ((low, min(high, begin)), (max(low, end), high))
                if part[0] < part[1]
            ][:_MAX_HOLES]
        self.reached = max(self.reached, end)
        return Carried(segment.packet, segment.at_ns, begin, end, again)

    def acknowledge(self, segment: Segment) -> int | None:
        """The offset that a segment of the other direction acknowledges, when it is further than before."""
        if self.base is None or not segment.flags & ACK:
            return None
        offset = self.acknowledged + _signed(segment.acknowledgement - self.base - self.acknowledged)
        if offset <= self.acknowledged or offset > self.reached + 1:
            return None
        self.acknowledged = offset
        return offset


_FlowKey: TypeAlias = tuple[End, End, int | None]


class River:
    """Moves and segments as they come, and their ways when asked."""

    def __init__(self, peers: Peers, *, kept: int | None) -> None:
        self._peers = peers
        self._kept = kept
        self._ages: deque[_Kept] = deque()  #: whose thing is the next oldest
        self._sent: dict[int, _Kept] = {}
        self._received: dict[int, _Kept] = {}
        self._flows: dict[_FlowKey, list[_Flow]] = {}
        self._datagrams: dict[tuple[int, End], _Kept] = {}  #: (port that sent, where to) -> frames of UDP
        self._turns: dict[tuple[int, int], Turn] = {}
        self._delivered: dict[int, tuple[tuple[int, ...], dict[int, _Match]]] = {}
        self.doubt = ""  #: why no way can be certain

    # -- facts

    def moved(self, call: Call, row: Socket, *, sends: bool, flags: int, many: bool) -> None:
        """A call moved bytes; ``flags`` as given to send and recv, ``many``: several datagrams."""
        result = call.result
        assert result is not None
        if not sends and flags & _MSG_PEEK:
            return
        exit_ns = call.entry_ns + (call.took_ns or 0)
        table = self._sent if sends else self._received
        half = table.get(row.id)
        if half is None:
            half = table[row.id] = _Kept(whole=not row.met_late)
        turn = self._turn(call) if not sends else None
        if sends and result:
            self._answer(call)
        if row.type == _SOCK_STREAM:
            if not result:
                return
            begin = call.offset
            if begin is None:
                begin, half.whole = half.total, False
            move = Move(call.id, row.id, call.process, call.tid, begin, begin + result, call.entry_ns, exit_ns, turn)
            half.total = max(half.total, begin + result)
            if flags & _MSG_OOB:
                # Of a send the last byte is urgent (tcp(7)), and stands in no receive without MSG_OOB.
                self.lose_count(
                    row.id, "urgent data has no place in the stream", begin + result - 1 if sends else begin
                )
            self._keep(half, move)
            return
        place = place_of(call.address)
        if many:
            # Of several datagrams in a call only the lengths are told apart.
            sizes = (call.value or b"")[: len(call.value or b"") // 4 * 4]
            lengths = struct.unpack(f"<{len(sizes) // 4}I", sizes)[:result]
            datagrams = [(length, None if length else b"", not sends) for length in lengths]
        else:
            # With MSG_TRUNC recv tells the length of what came, not of what was returned.
            length = min(result, call.length) if call.length is not None else result
            cut = not sends and (result >= (call.length or 0) or bool((call.flags or 0) & _MSG_TRUNC))
            datagrams = [(length, call.payload if length else b"", cut)]
        for length, payload, cut in datagrams:
            move = Move(
                call.id, row.id, call.process, call.tid, 0, length, call.entry_ns, exit_ns, turn, payload, place, cut
            )
            half.total += 1
            self._keep(half, move)

    def lose_count(self, socket: int, doubt: str, offset: int | None = None) -> None:
        """From an offset on, else from now on, offsets of this socket need not be those of the other end."""
        for table in (self._sent, self._received):
            half = table.get(socket)
            if half is None:
                half = table[socket] = _Kept(whole=True)
            begin = half.total if offset is None else offset
            if half.doubt_from > begin:
                half.doubt, half.doubt_from = doubt, begin

    def travelled(self, segment: Segment) -> Carried | None:
        """A TCP segment travelled; returns where its bytes belong, ``None`` when it has none of the stream."""
        if segment.protocol == UDP:
            self._datagram(segment)
        if segment.protocol != TCP:
            return None
        scope = segment.network if segment.destination.loopback else None
        flow = self._flow((segment.source, segment.destination, scope), segment)
        carried = flow.place(segment)
        if carried is not None:
            self._keep(flow.pieces, carried)
        if segment.flags & ACK and not segment.flags & RST:
            opposite = self._flows.get((segment.destination, segment.source, scope))
            if opposite and (offset := opposite[-1].acknowledge(segment)) is not None:
                self._keep(opposite[-1].acks, _Ack(segment.at_ns, offset))
        return carried

    def _datagram(self, segment: Segment) -> None:
        key = (segment.source.port, segment.destination)
        kept = self._datagrams.get(key)
        if kept is None:
            if len(self._datagrams) >= _MAX_FLOWS:
                del self._datagrams[next(iter(self._datagrams))]
            kept = self._datagrams[key] = _Kept(whole=True)
        length, payload = segment.length, segment.payload
        self._keep(kept, _Datagram(segment.packet, segment.at_ns, segment.source, length, payload, segment.network))

    def forget(self, sockets: Iterable[int]) -> None:
        """Sockets that nobody will ask about again."""
        for socket in sockets:
            local, remote = self._peers.ends(socket)
            for place in self._peers.correspondents(socket):
                if isinstance(place, End) and local is not None:
                    self._datagrams.pop((local.port, place), None)
            if local is not None and remote is not None:
                self._datagrams.pop((local.port, remote), None)
                row = self._peers.row(socket)
                network = row.network if row is not None and remote.loopback else None
                self._flows.pop((local, remote, network), None)
            self._sent.pop(socket, None)
            self._received.pop(socket, None)
            self._delivered.pop(socket, None)

    def _keep(self, half: _Kept, item: _Thing) -> None:
        half.items.append(item)
        half.version += 1
        if self._kept is None:
            return
        self._ages.append(half)
        if len(self._ages) > self._kept:
            oldest = self._ages.popleft()
            if oldest.items:
                oldest.items.popleft()
                oldest.gone += 1

    def _turn(self, call: Call) -> Turn:
        key = (call.process, call.tid)
        turn = self._turns.get(key)
        if turn is None:
            if len(self._turns) >= _MAX_THREADS:
                del self._turns[next(iter(self._turns))]
            turn = self._turns[key] = Turn()
        return turn

    def _answer(self, call: Call) -> None:
        turn = self._turns.pop((call.process, call.tid), None)
        if turn is not None:
            turn.answered_ns, turn.call = call.entry_ns, call.id

    def _flow(self, key: _FlowKey, segment: Segment) -> _Flow:
        flows = self._flows.get(key)
        if flows is None:
            if len(self._flows) >= _MAX_FLOWS:
                del self._flows[next(iter(self._flows))]
            flows = self._flows[key] = [_Flow(segment.at_ns)]
        flow = flows[-1]
        if segment.flags & SYN and flow.base is not None and (segment.sequence + 1) & _SEQUENCE_MASK != flow.base:
            # The two ends are in use again.
            flow = _Flow(segment.at_ns)
            flows.append(flow)
            del flows[:-4]
        return flow

    # -- questions

    def ways(self, socket: int, *, out: bool) -> list[Way]:
        """The ways of bytes that a socket sent (``out``), or that came to it, in the order of their offsets."""
        row = self._peers.row(socket)
        if row is None:
            return []
        if row.type != _SOCK_STREAM:
            return self._letters(row, out=out)
        peer = self._peers.peer(socket)
        other = peer.socket if peer is not None else None
        sender, receiver = (socket, other) if out else (other, socket)
        doubt = "the other end is inferred" if peer is not None and peer.inferred else ""
        return list(self._stream(sender, receiver, out=out, doubt=doubt))

    def _flow_of(self, socket: int, *, out: bool) -> _Flow | None:
        local, remote = self._peers.ends(socket)
        row = self._peers.row(socket)
        if local is None or remote is None or row is None:
            return None
        key = (local, remote) if out else (remote, local)
        network = row.network if key[1].loopback else None
        flows = self._flows.get((*key, network)) or []
        end_ns = row.created_ns if row.origin == "accept" else row.ended_ns
        fitting = [flow for flow in flows if end_ns is None or flow.first_ns <= end_ns + SLACK_NS]
        return fitting[-1] if fitting else None

    def _stream(self, sender: int | None, receiver: int | None, *, out: bool, doubt: str) -> Iterator[Way]:
        sent = self._sent.get(sender) if sender is not None else None
        received = self._received.get(receiver) if receiver is not None else None
        one = sender if out else receiver
        assert one is not None
        flow = self._flow_of(one, out=out)
        doubt = self.doubt or doubt
        if sent is not None and received is not None and not (sent.whole and received.whole):
            # Their offsets have different origins.
            doubt = "bytes may have moved before the socket was first seen"
            if out:
                received = None
            else:
                sent = None
        own = sent if out else received
        if flow is not None and own is not None and not (own.whole and flow.whole):
            doubt = doubt or "where the wire's bytes begin in the stream is inferred"
        if flow is not None and not flow.whole:
            doubt = doubt or "the beginning of the connection was not seen"
        sends = sorted(sent.moves(), key=lambda move: (move.begin, move.exit_ns)) if sent is not None else []
        receives = sorted(received.moves(), key=lambda move: (move.begin, move.exit_ns)) if received is not None else []
        pieces = [item for item in flow.pieces.items if isinstance(item, Carried)] if flow is not None else []
        acks = [item for item in flow.acks.items if isinstance(item, _Ack)] if flow is not None else []
        reach = _Reach(sends, pieces, whole=sent is not None and sent.whole and not sent.gone)
        send_doubts = _in_doubt(sends, None)
        receive_doubts = _in_doubt(receives, reach)
        halves = [half for half in (sent, received) if half is not None and half.doubt]
        doubt_from = min((half.doubt_from for half in halves), default=1 << 62)
        miscounted = halves[0].doubt if halves else ""
        ack_offsets = [ack.offset for ack in acks]
        for begin, end, send, copies, receive in _cut(sends, pieces, receives):
            why = doubt
            if not why and send >= 0 and send_doubts[send]:
                why = "sends of several threads overlap"
            if not why and receive >= 0 and receive_doubts[receive]:
                why = "receives of several threads overlap"
            if not why and end > doubt_from:
                why = miscounted
            place = bisect_right(ack_offsets, end - 1)
            yield Way(
                begin,
                end,
                sends[send] if send >= 0 else None,
                copies,
                acks[place].at_ns if place < len(acks) else None,
                receives[receive] if receive >= 0 else None,
                why,
            )

    # -- datagrams

    def _letters(self, row: Socket, *, out: bool) -> list[Way]:
        if not out:
            half = self._received.get(row.id)
            matches = self._deliver(row)
            senders = {match.sent.socket for match in matches.values() if match.sent is not None}
            frames = {key: value for sender in senders for key, value in self._frames(sender).items()}
            ways = []
            for move in half.moves() if half is not None else ():
                match = matches.get(id(move), _NOT_FOUND)
                copies, unsure = frames.get(id(match.sent), ((), ""))
                ways.append(Way(0, move.end, match.sent, copies, None, move, self.doubt or match.doubt or unsure))
            return ways
        half = self._sent.get(row.id)
        letters = half.moves() if half is not None else []
        found: dict[int, list[tuple[Move, str]]] = {}
        receivers = {other for letter in letters for other in self._receivers(letter, row)}
        for receiver in sorted(receivers):
            other_row = self._peers.row(receiver)
            if other_row is None:
                continue
            self._deliver(other_row)
            for match in self._delivered[receiver][1].values():
                if match.sent is not None and match.received is not None:
                    found.setdefault(id(match.sent), []).append((match.received, match.doubt))
        frames = self._frames(row.id)
        ways = []
        for letter in letters:
            copies, unsure = frames.get(id(letter), ((), ""))
            reads = found.get(id(letter))
            if not reads:
                ways.append(Way(0, letter.end, letter, copies, None, None, self.doubt or unsure))
            for received, doubt in reads or ():
                ways.append(Way(0, letter.end, letter, copies, None, received, self.doubt or doubt or unsure))
        return ways

    def _frames(self, sender: int) -> dict[int, tuple[tuple[Carried, ...], str]]:
        """The frames that carried each datagram of a UDP socket, by the move's identity; and why they may not have."""
        half = self._sent.get(sender)
        local, remote = self._peers.ends(sender)
        row = self._peers.row(sender)
        if half is None or local is None or row is None or row.family == _AF_UNIX:
            return {}
        letters: dict[tuple[End, int], list[Move]] = {}
        for letter in half.moves():
            place = letter.place if letter.place is not None else remote
            if isinstance(place, End):
                letters.setdefault((place, letter.end), []).append(letter)
        found: dict[int, list[Carried]] = {}
        doubts: dict[int, str] = {}
        for place in {place for place, _ in letters}:
            kept = self._datagrams.get((local.port, place))
            for frame in kept.items if kept is not None else ():
                if not isinstance(frame, _Datagram) or (not local.any and frame.source.address != local.address):
                    continue
                if place.loopback and None not in (frame.network, row.network) and frame.network != row.network:
                    continue
                fitting = _fitting(letters.get((place, frame.length), []), frame)
                if not fitting:
                    continue
                copies = found.setdefault(id(fitting[0]), [])
                copies.append(Carried(frame.packet, frame.at_ns, 0, frame.length, bool(copies)))
                if len(fitting) > 1:
                    doubts.update((id(letter), _ALIKE) for letter in fitting)
        return {key: (tuple(copies[:_MAX_COPIES]), doubts.get(key, "")) for key, copies in found.items()}

    def _receivers(self, letter: Move, row: Socket) -> list[int]:
        place = letter.place
        if place is None and row.family != _AF_UNIX:
            place = self._peers.ends(row.id)[1]
        if place is None:
            peer = self._peers.peer(row.id)
            return [peer.socket] if peer is not None else []
        return self._peers.at(place, row.id, letter.entry_ns)

    def _deliver(self, row: Socket) -> dict[int, _Match]:
        """Which datagram each receive of a socket returned."""
        half = self._received.get(row.id)
        reads = sorted(half.moves(), key=lambda move: move.exit_ns) if half is not None else []
        senders: dict[End | bytes | None, list[int] | None] = {}
        for read in reads:
            if read.place in senders:
                continue
            senders[read.place] = self._senders(read, row)
        all_senders = sorted({sender for found in senders.values() for sender in found or ()})
        state = tuple(
            half.version for half in (half, *(self._sent.get(sender) for sender in all_senders)) if half is not None
        )
        known = self._delivered.get(row.id)
        if known is not None and known[0] == state:
            return known[1]
        letters = {sender: self._letters_to(sender, row) for sender in all_senders}
        matches: dict[int, _Match] = {}
        earliest = [1 << 62] * (len(reads) + 1)  # when the first of the reads from here on was entered
        for number in range(len(reads) - 1, -1, -1):
            earliest[number] = min(earliest[number + 1], reads[number].entry_ns)
        for number, read in enumerate(reads):
            before_ns = reads[number - 1].exit_ns if number else -1
            alone = before_ns <= read.entry_ns and read.exit_ns <= earliest[number + 1]
            found = senders[read.place]
            boxes = [letters[sender] for sender in found or ()]
            matches[id(read)] = _choose(read, boxes, in_turn=alone)
        self._delivered[row.id] = (state, matches)
        return matches

    def _senders(self, read: Move, row: Socket) -> list[int] | None:
        """Sockets that a received datagram can have come from; ``None``: more than are remembered."""
        if read.place is not None:
            return self._peers.at(read.place, row.id, read.exit_ns)
        # The call did not ask where it came from, or it came from a Unix socket without a name.
        if row.origin == "socketpair":
            peer = self._peers.peer(row.id)
            return [peer.socket] if peer is not None else []
        remote = self._peers.ends(row.id)[1]
        if remote is not None:
            return self._peers.at(remote, row.id, read.exit_ns)
        return self._peers.speakers(row.id)

    def _letters_to(self, sender: int, row: Socket) -> _Letters:
        half = self._sent.get(sender)
        sender_row = self._peers.row(sender)
        found: list[Move] = []
        reaches: dict[End | bytes | None, bool] = {}
        for letter in half.moves() if half is not None and sender_row is not None else ():
            assert sender_row is not None
            if letter.place not in reaches:
                reaches[letter.place] = row.id in self._receivers(letter, sender_row)
            if reaches[letter.place]:
                found.append(letter)
        local, _ = self._peers.ends(row.id)
        _, remote = self._peers.ends(row.id)
        ordered = row.family == _AF_UNIX or any(end is not None and end.loopback for end in (local, remote))
        whole = half is not None and half.whole and not half.gone
        return _Letters(found, ordered=ordered, whole=whole)


def _fitting(letters: list[Move], frame: _Datagram) -> list[Move]:
    """Datagrams of its length that a frame can be, the latest first: one alone when it left while that one was sent."""
    found: list[Move] = []
    last = bisect_right(letters, frame.at_ns, key=lambda letter: letter.entry_ns)
    for letter in reversed(letters[max(0, last - _MAX_COPIES) : last]):
        compared = min(len(letter.payload), len(frame.payload)) if letter.payload is not None else 0
        if letter.payload is None or letter.payload[:compared] == frame.payload[:compared]:
            found.append(letter)
    inside = [letter for letter in found if frame.at_ns <= letter.exit_ns]
    return inside or found


_ALIKE: Final = "other datagrams say the same"


class _Match(NamedTuple):
    sent: Move | None
    received: Move | None
    doubt: str


_NOT_FOUND: Final = _Match(None, None, "no datagram that was sent fits")


class _Letters:
    """Datagrams from one socket to another, to be found by what they say."""

    def __init__(self, letters: list[Move], *, ordered: bool, whole: bool) -> None:
        self.ordered = ordered  #: none overtakes another, and none comes twice: it never leaves the host
        self.whole = whole
        self.letters = sorted(letters, key=lambda letter: letter.entry_ns)
        self.taken = [False] * len(letters)
        self.surely = [False] * len(letters)  #: taken by a receive that can have returned no other
        self.floor = 0  #: the ones before have been read or lost
        self._by_content: dict[tuple[int, bytes | None], list[int]] = {}
        self._by_length: dict[int, list[int]] = {}
        self._starts: dict[tuple[str, object], int] = {}
        self.blank = False  #: of some only the length is known
        for number, letter in enumerate(self.letters):
            length = letter.end - letter.begin
            self._by_content.setdefault((length, letter.payload), []).append(number)
            self._by_length.setdefault(length, []).append(number)
            self.blank |= letter.payload is None

    def alike(self, read: Move) -> tuple[list[int], bool]:
        """Those that a receive may have returned, the oldest first, and whether there are no more of them."""
        length = read.end - read.begin
        candidates: Sequence[int]
        key: tuple[str, object]
        if read.cut:
            candidates, key = range(len(self.letters)), ("any", None)
        elif read.payload is None or self.blank:
            candidates, key = self._by_length.get(length, ()), ("length", length)
        else:
            candidates, key = self._by_content.get((length, read.payload), ()), ("content", (length, read.payload))
        start = self._starts.get(key, 0)
        if self.ordered:
            while start < len(candidates) and (self.surely[candidates[start]] or candidates[start] < self.floor):
                start += 1
            self._starts[key] = start
        found: list[int] = []
        for looked, place in enumerate(range(start, len(candidates))):
            number = candidates[place]
            letter = self.letters[number]
            if letter.entry_ns > read.exit_ns:
                break
            if looked >= _MAX_LOOKED:
                return found, False
            long_enough = letter.end >= length if read.cut else letter.end == length
            if long_enough and self._fits(number, read) and not (self.ordered and self.surely[number]):
                found.append(number)
        return found, True

    def _fits(self, number: int, read: Move) -> bool:
        letter = self.letters[number]
        if letter.payload is None or read.payload is None:
            return True
        compared = min(len(letter.payload), len(read.payload))
        return letter.payload[:compared] == read.payload[:compared]


def _choose(read: Move, boxes: list[_Letters], *, in_turn: bool) -> _Match:
    """The datagram that a receive returned: the only one that fits, or the oldest of those that do, in doubt."""
    fitting: list[tuple[int, int, _Letters]] = []
    complete = True
    for box in boxes:
        numbers, whole = box.alike(read)
        complete &= whole and box.whole
        fitting += [(box.letters[number].entry_ns, number, box) for number in numbers]
    if not fitting:
        return _Match(None, read, _NOT_FOUND.doubt)
    fitting.sort(key=lambda entry: entry[:2])
    _, number, box = next((entry for entry in fitting if not entry[2].taken[entry[1]]), fitting[0])
    certain = complete and len(fitting) == 1
    if certain and in_turn and box.ordered:
        # What was sent before it to the same socket was returned before, or is lost.
        box.floor = max(box.floor, number + 1)
    box.taken[number] = True
    box.surely[number] |= certain
    return _Match(box.letters[number], read, "" if certain else _ALIKE)


# -- ranges


class _Reach:
    """How many bytes of a stream can have arrived at a time, by what was sent or had travelled until then."""

    def __init__(self, sends: Sequence[Move], pieces: Sequence[Carried], *, whole: bool) -> None:
        steps = [(piece.at_ns, piece.end) for piece in pieces]
        if whole:
            steps = [(move.entry_ns, move.end) for move in sends]
        self.known = bool(steps) or whole
        steps.sort()
        self._times: list[int] = []
        self._ends: list[int] = []
        reached = 0
        for at_ns, end in steps:
            reached = max(reached, end)
            self._times.append(at_ns)
            self._ends.append(reached)

    def by(self, at_ns: int) -> int:
        """Bytes that had been given away by then; without knowledge as many as there can be."""
        if not self.known:
            return 1 << 62
        place = bisect_right(self._times, at_ns)
        return self._ends[place - 1] if place else 0


def _in_doubt(moves: Sequence[Move], reach: _Reach | None) -> list[bool]:
    """Whether a call's bytes may be others: calls that overlap need not have moved bytes in the order of their returns.

    Receives are sure when the bytes were not there yet that the other order would have taken.
    """
    changes = [0] * (len(moves) + 1)
    by_entry = sorted(range(len(moves)), key=lambda index: moves[index].entry_ns)
    under_way: set[int] = set()
    waiting = 0
    for index, move in enumerate(moves):
        while waiting < len(by_entry) and moves[by_entry[waiting]].entry_ns < move.exit_ns:
            under_way.add(by_entry[waiting])
            waiting += 1
        under_way.discard(index)
        if not under_way:
            continue
        if len(under_way) > _MAX_COPIES:
            rivals = [max(under_way)]
        elif reach is None:
            rivals = list(under_way)
        else:
            there = reach.by(move.exit_ns)
            rivals = [other for other in under_way if there >= move.end + moves[other].end - moves[other].begin]
        last = max(rivals, default=-1)
        if last > index:
            changes[index] += 1
            changes[last + 1] -= 1
    depth = 0
    doubts = []
    for change in changes[:-1]:
        depth += change
        doubts.append(depth > 0)
    return doubts


def _cut(
    sends: Sequence[Move], pieces: Sequence[Carried], receives: Sequence[Move]
) -> Iterator[tuple[int, int, int, tuple[Carried, ...], int]]:
    """Cut the stream where anything begins or ends: (begin, end, index of send, segments, index of receive)."""
    edges = sorted({edge for part in (sends, pieces, receives) for item in part for edge in (item.begin, item.end)})
    ordered = sorted(pieces, key=lambda piece: piece.begin)
    active: list[Carried] = []
    send = receive = piece = 0
    for begin, end in pairwise(edges):
        while send < len(sends) and sends[send].end <= begin:
            send += 1
        while receive < len(receives) and receives[receive].end <= begin:
            receive += 1
        active = [one for one in active if one.end > begin]
        while piece < len(ordered) and ordered[piece].begin <= begin:
            if ordered[piece].end > begin:
                active.append(ordered[piece])
            piece += 1
        if len(active) > _MAX_COPIES:
            active = sorted(active, key=lambda one: one.at_ns)[:_MAX_COPIES]
        has_send = send < len(sends) and sends[send].begin <= begin
        has_receive = receive < len(receives) and receives[receive].begin <= begin
        if not (has_send or active or has_receive):
            continue
        copies = tuple(sorted(active, key=lambda one: one.at_ns))
        yield begin, end, send if has_send else -1, copies, receive if has_receive else -1


def _signed(difference: int) -> int:
    """A difference of sequence numbers, which count modulo 2**32, as the nearer of its two meanings."""
    return ((difference + (1 << 31)) & _SEQUENCE_MASK) - (1 << 31)
