"""What the frames of an imported capture show of each conversation, where no call and no kernel tells more.

A capture may stand anywhere on the way: frames may be missing, come twice (of the loopback and of bridges each interface
shows one), or be of one direction alone. What a rule says must hold wherever it stood.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from ...events import Packet, Socket
from ...kernel.address import End, end_of
from ...trace.importing.capture import Conversation, Conversations, Observed
from ...trace.wire import ACK, FIN, RST, SYN, Segment
from ...wire.frame import decode
from ..address import Address
from ..facts import Facts
from ..finding import Proof
from ..tracker import Tracker, on_each_packet

__all__ = ["Flow", "Flows", "Half", "Icmp", "Seen", "Target"]

_TCP: Final = 6
_UDP: Final = 17
_MASK: Final = 0xFFFFFFFF
#: Bytes of each direction's beginning that are kept: what tells protocols apart.
_FIRST_BYTES: Final = 64
#: Bytes of a frame by which a copy is known: all headers.
_HEADERS: Final = 128
#: Two sightings of one segment on two interfaces follow each other as fast as this.
_COPY_NS: Final = 5_000_000
_MAX_HOLES: Final = 16
_MAX_ICMP: Final = 8
_MAX_TARGETS: Final = 20_000
_MAX_KEPT: Final = 64
_MAX_HOSTS: Final = 100_000
#: Rows of the table of sockets that are read ahead: frames may stand in another order than their times.
_AHEAD: Final = 4096
#: A delayed acknowledgement: 40 ms on Linux (TCP_DELACK_MIN), up to 200 ms elsewhere, 500 ms at most (RFC 9293, 3.8.6.3).
_DELAYED_NS: Final = (30_000_000, 300_000_000)
#: What was held back by Nagle's algorithm leaves as soon as the acknowledgement has come.
_RELEASED_NS: Final = 3_000_000


class Seen(NamedTuple):
    """A frame that matters."""

    packet: int
    at_ns: int

    def proof(self, text: str) -> Proof:
        """It as a proof row."""
        return Proof("wire", "packet", self.packet, self.at_ns, f"packet {self.packet}: {text}")


class Icmp(NamedTuple):
    """An ICMP error about a conversation."""

    seen: Seen
    type: int
    code: int
    version: int  #: of IP
    mtu: int | None  #: that it names
    side: int  #: whose packet it quotes: 0 the left one's, 1 the right one's
    source: str  #: who sent it


class Stuck(NamedTuple):
    """A segment that was sent again and again without an acknowledgement."""

    sequence: int
    length: int
    times: int  #: that it was sent again
    first: Seen  #: when it was first sent again
    last: Seen


class Half:
    """One direction of a conversation: what one end sent."""

    __slots__ = (
        "acked", "after_end_bytes", "again", "again_first", "again_last", "answer", "base", "bytes", "fin", "fin_acked",
        "fin_sequence", "first", "first_bytes", "heard_ns", "high", "holes", "largest", "last", "late", "open_small", "recent",
        "reset", "reset_acks", "reset_sequence", "round_trip_ns", "said", "segments", "spoke_ns", "stuck", "stuck_most", "syn",
        "syn_last", "syns", "unseen", "window", "zero", "zero_longest", "zero_probed",
    )  # fmt: skip

    def __init__(self) -> None:
        self.syn: Seen | None = None  #: its first SYN
        self.syn_last: Seen | None = None
        self.syns = 0  #: how often it was sent
        self.answer: Seen | None = None  #: its SYN ACK
        self.base: int | None = None  #: sequence number of its first byte, where the SYN was seen
        self.high: int | None = None  #: behind the last byte that was seen
        self.acked: int | None = None  #: behind the last byte that the other end has acknowledged
        self.segments = 0  #: with payload, copies left out
        self.bytes = 0  #: payload that was new
        self.largest = 0  #: payload of its largest segment
        self.first: Seen | None = None  #: its first segment with payload
        self.first_bytes = b""
        self.last: Seen | None = None  #: its latest new payload
        self.again = 0  #: segments whose bytes had been seen before
        self.again_first: Seen | None = None
        self.again_last: Seen | None = None
        self.late = 0  #: segments that came after later ones: in another order, or the capture missed the first sending
        self.holes: list[tuple[int, int]] = []
        self.after_end_bytes = 0  #: payload that it sent although it knew that the other end had ended
        self.round_trip_ns: int | None = None  #: between a SYN of it, as the capture saw it, and the answer to that
        self.unseen = 0  #: acknowledgements of what was never seen: the capture misses frames
        self.stuck: Stuck | None = None
        self.stuck_most: Stuck | None = None
        self.heard_ns = -1  #: when it last sent anything
        self.spoke_ns = -1  #: the same, resets left out
        self.said: int | None = None  #: what it last acknowledged
        self.fin: Seen | None = None
        self.fin_sequence = 0
        self.fin_acked = 0  #: what its FIN acknowledged
        self.reset: Seen | None = None
        self.reset_sequence = 0
        self.reset_acks = False  #: whether the reset carries ACK: sent for a connection that its kernel knows
        self.window: int | None = None  #: the latest it offered, before scaling
        self.zero: Seen | None = None  #: since when it offers nothing
        self.zero_longest: tuple[Seen, int, int] | None = None  #: since, until when (ns), probes in that time
        self.zero_probed = 0
        self.open_small: tuple[Seen, int, Seen | None] | None = (
            None  #: first segment of a turn, its end, its delayed ACK
        )
        self.recent: deque[tuple[tuple[int, int, int, int], bytes, int, int]] = deque(maxlen=4)


class Flow:
    """What was seen of one conversation."""

    __slots__ = (
        "after_end", "alert", "conversation", "crossing", "ends", "halves", "icmp", "last_ns",
        "nagle", "nagle_first", "nagle_ns", "nagle_side", "sockets", "traced", "turn", "turns",
    )  # fmt: skip

    def __init__(self, conversation: Conversation, sockets: tuple[int, ...], *, traced: bool) -> None:
        self.conversation = conversation
        self.ends = (conversation.left, conversation.right)
        self.sockets = sockets
        self.traced = traced  #: calls on one of its ends are known
        self.halves = (Half(), Half())
        self.last_ns = conversation.started_ns
        self.icmp: list[Icmp] = []
        self.turn = -1  #: who sent payload last
        self.turns = 0  #: how often that changed
        self.crossing: Seen | None = None  #: payload that the first FIN did not acknowledge, or that came after it
        self.after_end: Seen | None = None  #: payload for an end that had sent its FIN
        self.alert: tuple[Seen, int, int] | None = None  #: a fatal TLS alert in clear: its side, its number
        self.nagle = 0  #: turns whose second segment left when the delayed acknowledgement of the first came
        self.nagle_first: tuple[Seen, Seen, Seen] | None = None
        self.nagle_ns = 0
        self.nagle_side = 0

    @property
    def tcp(self) -> bool:
        """Whether it is TCP; else UDP."""
        return self.conversation.protocol == _TCP

    @property
    def whole(self) -> bool:
        """Whether its beginning was seen."""
        return self.halves[0].syn is not None

    @property
    def established(self) -> bool:
        """Whether both ends had agreed."""
        return self.halves[1].answer is not None or all(half.spoke_ns >= 0 for half in self.halves)

    @property
    def whole_capture(self) -> bool:
        """Whether nothing shows that the capture misses frames of it."""
        return not any(half.unseen for half in self.halves)

    def name(self, side: int) -> str:
        """An end in words."""
        return str(Address.of(*self.ends[side]) or "unknown")

    def socket(self, side: int) -> int | None:
        """The id of the socket that stands for an end."""
        return self.sockets[side] if side < len(self.sockets) else None

    @property
    def subjects(self) -> frozenset[int]:
        """The ids of its sockets."""
        return frozenset(self.sockets)


class Target:
    """An end that others tried to reach, and what came of it."""

    __slots__ = ("answered_ns", "count", "refused", "silent", "unreachable", "where")

    def __init__(self, where: End) -> None:
        self.where = where
        self.count = 0  #: attempts
        self.answered_ns: int | None = None  #: when it last answered
        self.refused: list[Flow] = []  #: by a reset
        self.silent: list[Flow] = []
        self.unreachable: list[tuple[Flow, Icmp]] = []


class Flows(Tracker):
    """Follows the conversations of an imported capture."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._active = facts.imported
        self._conversations = Conversations()
        self._flows: dict[int, Flow] = {}  # by the number of the conversation
        self._sockets = _Inferred(facts)
        self.done: list[Flow] = []  #: those that will not go on, not judged yet
        self.targets: dict[tuple[int, End], Target] = {}
        self._answered_ns: dict[int, int] = {}  # by port
        self.beyond = 0  #: targets that were too many to be kept
        self.reached: set[bytes] = set()  #: addresses to which something was sent by another than themselves

    @on_each_packet("_active")
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if not self._active or segment is None:
            return
        if segment.protocol == 1:
            self._icmp(packet, segment)
            return
        if segment.protocol not in (_TCP, _UDP):
            return
        if len(self.reached) < _MAX_HOSTS:
            self.reached.add(segment.destination.address)
        seen = Observed(segment.protocol, segment.source, segment.destination, segment.flags, segment.sequence)
        conversation, fresh = self._conversations.of(seen, packet.at_ns)
        if fresh:
            sockets, traced = self._sockets.of(conversation)
            self._flows[conversation.number] = Flow(conversation, sockets, traced=traced)
            for gone in self._conversations.gone:
                self._end(gone)
            self._conversations.gone.clear()
        flow = self._flows[conversation.number]
        side = 0 if segment.source == conversation.left else 1
        if flow.tcp:
            self._segment(flow, side, packet, segment)
        else:
            half = flow.halves[side]
            half.segments += 1
            half.bytes += segment.length
            half.heard_ns = packet.at_ns
            half.last = Seen(packet.id, packet.at_ns)
            half.first = half.first or half.last
        flow.last_ns = max(flow.last_ns, packet.at_ns)

    def finish(self) -> Iterator[Flow]:
        """The conversations that have not been judged; the capture has ended."""
        for conversation in list(self._conversations.living()):
            self._end(conversation)
        yield from self.done
        self.done = []

    def answered_ns(self, port: int) -> int:
        """When an end with this port of any host last accepted a connection; -1: none did."""
        return self._answered_ns.get(port, -1)

    def own(self, flows: list[Flow]) -> list[Flow]:
        """Of flows those that are judged by the wire: where calls were recorded, those without a traced end."""
        return flows if self.facts.layer("calls") is not None else [flow for flow in flows if not flow.traced]

    def _end(self, conversation: Conversation) -> None:
        flow = self._flows.pop(conversation.number, None)
        if flow is None:
            return
        self.done.append(flow)
        left, right = flow.halves
        if flow.tcp and left.syn is None:
            if flow.established:
                # It lives: whoever was silent or refused before is there.
                self._answered(flow)
            return
        target = self._target(flow)
        if target is None:
            return
        target.count += 1
        about = [icmp for icmp in flow.icmp if icmp.side == 0 and not _too_big(icmp)]
        if (flow.tcp and right.answer is not None) or (not flow.tcp and right.segments):
            self._answered(flow)
        elif flow.tcp and right.reset is not None:
            _keep(target.refused, flow)
        elif about:
            if len(target.unreachable) < _MAX_KEPT:
                target.unreachable.append((flow, about[0]))
        elif flow.tcp:
            _keep(target.silent, flow)

    def _answered(self, flow: Flow) -> None:
        target = self._target(flow)
        if target is not None:
            target.answered_ns = max(target.answered_ns or 0, flow.last_ns)
            port = flow.ends[1].port
            if flow.tcp:
                self._answered_ns[port] = max(self.answered_ns(port), flow.last_ns)

    def _target(self, flow: Flow) -> Target | None:
        key = (flow.conversation.protocol, flow.ends[1])
        found = self.targets.get(key)
        if found is None:
            if len(self.targets) >= _MAX_TARGETS:
                self.beyond += 1
                return None
            found = self.targets[key] = Target(flow.ends[1])
        return found

    # -- ICMP

    def _icmp(self, packet: Packet, segment: Segment) -> None:
        for protocol in (_TCP, _UDP):
            key = (protocol, segment.source, segment.destination)
            flow = self._by_ends(*key)
            if flow is None:
                continue
            frame = decode(packet.frame, packet.link_type & _MASK, original_length=packet.length & _MASK)
            if frame.icmp is None or frame.ip is None or len(flow.icmp) >= _MAX_ICMP:
                return
            quoted = frame.quoted
            if quoted is None or (quoted.tcp is None) == (protocol == _TCP):
                continue
            side = 0 if segment.source == flow.ends[0] else 1
            seen = Seen(packet.id, packet.at_ns)
            icmp = frame.icmp
            flow.icmp.append(
                Icmp(seen, icmp.type, icmp.code, frame.ip.version, icmp.next_hop_mtu, side, str(frame.ip.source))
            )
            flow.last_ns = max(flow.last_ns, packet.at_ns)
            return

    def _by_ends(self, protocol: int, source: End, destination: End) -> Flow | None:
        conversation = self._conversations.known(protocol, source, destination)
        return self._flows.get(conversation.number) if conversation is not None else None

    # -- TCP

    def _segment(self, flow: Flow, side: int, packet: Packet, segment: Segment) -> None:
        half, other = flow.halves[side], flow.halves[1 - side]
        flags = segment.flags
        if self._is_copy(half, packet, segment):
            return
        seen = Seen(packet.id, packet.at_ns)
        if flags & SYN:
            if flags & ACK:
                half.answer = half.answer or seen
                if other.syn is not None and other.syns == 1 and other.round_trip_ns is None:
                    other.round_trip_ns = seen.at_ns - other.syn.at_ns
            else:
                half.syns += 1
                half.syn = half.syn or seen
                half.syn_last = seen
            half.base = half.high = (segment.sequence + 1) & _MASK
            half.heard_ns = half.spoke_ns = packet.at_ns
            return
        if flags & RST:
            if half.reset is None:
                half.reset = seen
                half.reset_sequence = segment.sequence
                half.reset_acks = bool(flags & ACK)
            half.heard_ns = packet.at_ns
            return
        if flags & ACK:
            half.said = segment.acknowledgement
            if other.answer is not None and other.round_trip_ns is None:
                other.round_trip_ns = seen.at_ns - other.answer.at_ns
            self._acknowledges(flow, half, other, segment, seen)
        self._offers(half, other, segment, seen)
        if segment.length:
            self._carries(flow, side, segment, seen)
        elif half.high is None:
            half.high = segment.sequence
        elif other.zero is not None and _after(half.high, segment.sequence) >= 1:
            other.zero_probed += 1
        if flags & FIN and half.fin is None:
            half.fin = seen
            half.fin_sequence = (segment.sequence + segment.length) & _MASK
            half.fin_acked = segment.acknowledgement
            first = other.fin is None
            if first and other.high is not None and other.last is not None and _after(other.high, half.fin_acked) > 0:
                flow.crossing = other.last
        half.heard_ns = half.spoke_ns = packet.at_ns

    def _acknowledges(self, flow: Flow, half: Half, other: Half, segment: Segment, seen: Seen) -> None:
        """What ``half`` acknowledges of ``other``."""
        number = segment.acknowledgement
        if other.acked is None or _after(number, other.acked) > 0:
            other.acked = number
            if other.stuck is not None and _after(number, other.stuck.sequence) > 0:
                other.stuck = None
            if other.high is not None and _after(number, other.high) > 1:
                # One more is a FIN's; further on lies what the capture has missed.
                other.unseen += 1
                other.high = number
        small = other.open_small
        if small is not None and small[2] is None and _after(number, small[1]) >= 0:
            waited_ns = seen.at_ns - small[0].at_ns
            bare = not segment.length and not segment.flags & (FIN | RST)
            # What takes no longer than the way there and back was not delayed.
            delayed = (
                bare
                and other.round_trip_ns is not None
                and _DELAYED_NS[0] <= waited_ns - other.round_trip_ns <= _DELAYED_NS[1]
            )
            other.open_small = (small[0], small[1], seen) if delayed else None

    def _offers(self, half: Half, other: Half, segment: Segment, seen: Seen) -> None:
        """The window that ``half`` offers."""
        if segment.window == 0:
            if half.zero is None:
                half.zero = seen
                half.zero_probed = 0
        elif half.zero is not None:
            longest = half.zero_longest
            if longest is None or seen.at_ns - half.zero.at_ns > longest[1] - longest[0].at_ns:
                half.zero_longest = (half.zero, seen.at_ns, half.zero_probed)
            half.zero = None
        half.window = segment.window

    def _carries(self, flow: Flow, side: int, segment: Segment, seen: Seen) -> None:
        """Payload."""
        half, other = flow.halves[side], flow.halves[1 - side]
        begin = segment.sequence
        end = (begin + segment.length) & _MASK
        ahead = 0 if half.high is None else _after(begin, half.high)
        fresh = half.high is None or _after(end, half.high) > 0
        if not fresh:
            if segment.length == 1 and (other.zero is not None or (half.acked is not None and half.acked == half.high)):
                # A probe of a closed window, or keep-alive with a byte that has been acknowledged (RFC 9293, 3.8.4).
                other.zero_probed += other.zero is not None
                return
            if half.holes and self._fills(half, begin, end):
                half.late += 1
            else:
                half.segments += 1
                half.again += 1
                half.again_first = half.again_first or seen
                half.again_last = seen
                self._sticks(half, begin, segment.length, seen)
            return
        if ahead > 0 and len(half.holes) < _MAX_HOLES:
            half.holes.append((half.high or 0, begin))
        half.segments += 1
        half.bytes += segment.length if ahead >= 0 else segment.length + ahead
        half.largest = max(half.largest, segment.length)
        half.high = end
        half.last = seen
        if half.first is None:
            half.first = seen
            half.first_bytes = segment.payload[:_FIRST_BYTES] if half.base in (None, begin) else b""
        if other.fin is not None:
            flow.crossing = flow.crossing or seen
            if segment.flags & ACK and _after(segment.acknowledgement, other.fin_sequence) > 0:
                # Its kernel has got the FIN: it was not on its way.
                flow.after_end = flow.after_end or seen
                half.after_end_bytes += segment.length
        head = segment.payload[:7]
        if flow.alert is None and segment.length == 7 and head[:2] == b"\x15\x03" and head[3:6] == b"\0\2\2":
            # RFC 8446, 5.1 and 6; one that is encrypted is longer.
            flow.alert = (seen, side, head[6])
        if flow.turn != side:
            before = half if flow.turn < 0 else flow.halves[flow.turn]
            self._turns(flow, before, other, seen)
            flow.turn = side
            flow.turns += 1
            half.open_small = (seen, end, None) if other.bytes or flow.turns == 1 else None
            other.open_small = None
        elif half.open_small is not None:
            self._follows(flow, half, seen)

    def _turns(self, flow: Flow, before: Half, other: Half, seen: Seen) -> None:
        """The other end speaks: what was held back before was its question."""
        held = before.open_small
        if held is not None and held[2] is not None and held[1] == _HELD:
            flow.nagle += 1
            flow.nagle_ns = max(flow.nagle_ns, held[2].at_ns - held[0].at_ns)

    def _follows(self, flow: Flow, half: Half, seen: Seen) -> None:
        """A second segment of one turn: did it leave because the first was acknowledged?"""
        assert half.open_small is not None
        first, end, acknowledged = half.open_small
        if end == _HELD:
            return
        if acknowledged is not None and seen.at_ns - acknowledged.at_ns <= _RELEASED_NS:
            half.open_small = (first, _HELD, acknowledged)
            if flow.nagle_first is None:
                flow.nagle_first = (first, acknowledged, seen)
                flow.nagle_side = flow.turn
        else:
            half.open_small = None

    @staticmethod
    def _sticks(half: Half, begin: int, length: int, seen: Seen) -> None:
        stuck = half.stuck
        if stuck is not None and stuck.sequence == begin:
            half.stuck = stuck._replace(times=stuck.times + 1, last=seen, length=max(stuck.length, length))
        elif half.acked is None or _after(begin, half.acked) <= 0:
            half.stuck = Stuck(begin, length, 1, seen, seen)
        if half.stuck is not None and (half.stuck_most is None or half.stuck.times > half.stuck_most.times):
            half.stuck_most = half.stuck

    @staticmethod
    def _fills(half: Half, begin: int, end: int) -> bool:
        """Whether a segment brings what was missing."""
        for place, (since, until) in enumerate(half.holes):
            if _after(begin, until) < 0 and _after(end, since) > 0:
                left = [(since, begin)] if _after(begin, since) > 0 else []
                left += [(end, until)] if _after(until, end) > 0 else []
                half.holes[place : place + 1] = left
                return True
        return False

    @staticmethod
    def _is_copy(half: Half, packet: Packet, segment: Segment) -> bool:
        """Whether a frame shows a segment that another frame has shown: on another interface, or on both sides of a router."""
        key = (segment.sequence, segment.acknowledgement, segment.flags << 20 | segment.window, segment.length)
        copy = False
        for known, head, at_ns, length in half.recent:
            if known == key and _same(head, packet, length, packet.at_ns - at_ns):
                copy = True
                break
        if not copy:
            half.recent.append((key, packet.frame[:_HEADERS], packet.at_ns, packet.link_type))
        return copy


#: In the place of an end in ``open_small``: the second segment left when the first was acknowledged.
_HELD: Final = -1


def _same(head: bytes, packet: Packet, link_type: int, later_ns: int) -> bool:
    """Whether two frames with the same numbers are one packet: sent again, it has another identification or timestamp."""
    one = decode(head, link_type & _MASK, original_length=packet.length & _MASK)
    other = decode(packet.frame[:_HEADERS], packet.link_type & _MASK, original_length=packet.length & _MASK)
    if one.ip is None or other.ip is None or one.tcp is None or other.tcp is None:
        return later_ns < _COPY_NS
    if one.tcp.timestamps != other.tcp.timestamps:
        return False
    if one.ip.version == 4 and (one.ip.identification or other.ip.identification):
        return one.ip.identification == other.ip.identification and later_ns < 1_000_000_000
    return later_ns < _COPY_NS


def _after(one: int, other: int) -> int:
    """By how much a sequence number is behind another one, which count modulo 2**32."""
    return ((one - other + (1 << 31)) & _MASK) - (1 << 31)


def _too_big(icmp: Icmp) -> bool:
    """Whether it says that a packet is too large for a link: no refusal (RFC 1191, RFC 8201)."""
    return (icmp.version, icmp.type, icmp.code) == (4, 3, 4) or (icmp.version, icmp.type) == (6, 2)


def _keep(flows: list[Flow], flow: Flow) -> None:
    if len(flows) < _MAX_KEPT:
        flows.append(flow)


class _Inferred:
    """The sockets that were made for the ends of conversations, in the order in which those began."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._rows: Iterator[Socket] | None = None
        self._waiting: dict[tuple[End, End], list[int]] = {}
        self._ahead = 0

    def of(self, conversation: Conversation) -> tuple[tuple[int, ...], bool]:
        """Ids of the sockets of a conversation that begins, and whether it has others: those that calls were made on."""
        if self._rows is None:
            self._rows = (row for row in self._facts.tables.sockets.values() if row.inferred)
        ends = (conversation.left, conversation.right)
        self._read(ends, conversation.started_ns)
        found: list[int] = []
        for key in (ends, (ends[1], ends[0])):
            numbers = self._waiting.get(key)
            if numbers and not (found and ends[0] == ends[1]):
                found.append(numbers.pop(0))
                self._ahead -= 1
                if not numbers:
                    del self._waiting[key]
        return tuple(found), not found

    def _read(self, ends: tuple[End, End], at_ns: int) -> None:
        assert self._rows is not None
        while (ends not in self._waiting or ends[::-1] not in self._waiting) and self._ahead < _AHEAD:
            row = next(self._rows, None)
            if row is None:
                return
            local, remote = end_of(row.local), end_of(row.remote)
            if local is not None and remote is not None:
                self._waiting.setdefault((local, remote), []).append(row.id)
                self._ahead += 1
            if row.created_ns > at_ns + 1_000_000_000:
                return
