"""TCP streams put together again from frames: what each side sent, and what went wrong on the way."""

from __future__ import annotations

import bisect
import collections
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from .._core.wire import Frame, Tcp
    from ..framing import Framing

__all__ = ["Connection", "Direction", "Range", "streams"]

_MessageT = TypeVar("_MessageT")

_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10

#: Bytes kept of one direction by default; more are counted, not kept.
LIMIT = 64 << 20


class Range(NamedTuple):
    """A part of a stream: offsets from its first byte."""

    start: int
    end: int


#: Bytes of a stream that are kept together: the work of one insertion is bounded by it.
_WINDOW = 1 << 16
#: How far before the first byte seen others may lie, where the beginning was not captured; farther ones are old duplicates.
_BEFORE = 1 << 20


class _Window:
    """A part of a stream of at most :data:`_WINDOW` bytes, some of which are there."""

    __slots__ = ("bytes", "ends", "starts")

    def __init__(self) -> None:
        self.bytes = bytearray()
        # Disjoint ranges with gaps between them, sorted.
        self.starts: list[int] = []
        self.ends: list[int] = []

    def insert(self, start: int, data: bytes) -> list[tuple[int, int, bool]]:
        """Keep bytes where none were before; the ranges where some were, and whether those were others."""
        end = start + len(data)
        low = bisect.bisect_left(self.ends, start)
        high = bisect.bisect_right(self.starts, end)
        if end > len(self.bytes):
            self.bytes.extend(bytes(end - len(self.bytes)))
        again = []
        position = start
        for at, until in zip(self.starts[low:high], self.ends[low:high], strict=True):
            left, right = max(at, start), min(until, end)
            if left < right:
                again.append((left, right, self.bytes[left:right] != data[left - start : right - start]))
            if position < left:
                self.bytes[position:left] = data[position - start : left - start]
            position = max(position, right)
        if position < end:
            self.bytes[position:end] = data[position - start :]
        if low < high:
            start, end = min(start, self.starts[low]), max(end, self.ends[high - 1])
        self.starts[low:high] = [start]
        self.ends[low:high] = [end]
        return again


class Direction:
    """One side's bytes, in order.

    Attributes:
        source: (address, port) of the sender.
        destination: (address, port) of the receiver.
        frames: segments seen.
        syn_seen: whether the beginning was captured; otherwise offsets count from the first byte seen.
        fin_seen: whether the sender ended the stream.
        reset: whether the sender reset the connection.
        retransmitted_bytes: bytes that were seen again.
        retransmissions: segments that held any of them.
        out_of_order: segments that came before a byte with a smaller number.
        zero_windows: times (ns) at which the sender said that it takes nothing more.
        maximum_segment_size: of its SYN.
        window_scale: of its SYN.
        keep_alives: segments that only ask whether the other side is there.
        dropped_bytes: bytes beyond the limit, not kept.
    """

    def __init__(self, source: tuple[str, int], destination: tuple[str, int], limit: int) -> None:
        self.source = source
        self.destination = destination
        self.frames = 0
        self.syn_seen = False
        self.fin_seen = False
        self.reset = False
        self.retransmitted_bytes = 0
        self.retransmissions = 0
        self.out_of_order = 0
        self.zero_windows: list[int] = []
        self.maximum_segment_size: int | None = None
        self.window_scale: int | None = None
        self.keep_alives = 0
        self.dropped_bytes = 0
        self._limit = limit
        # Places count from the first sequence number seen; the stream begins at the origin, which becomes known later.
        self._first: int | None = None
        self._origin = 0
        self._last = 0
        self._windows: dict[int, _Window] = {}
        self._overlaps: list[Range] = []
        self._highest = 0
        self._end: int | None = None

    def _place(self, number: int) -> int:
        """Place of a sequence number: the one nearest to the last, so that a wrap at 2**32 is followed."""
        if self._first is None:
            self._first = number
            return 0
        distance = (number - self._first - self._last) & 0xFFFFFFFF
        if distance >= 1 << 31:
            distance -= 1 << 32
        return self._last + distance

    def _begins_another(self, number: int) -> bool:
        """Whether a SYN with this number cannot be the beginning of this stream."""
        if self._first is None:
            return False
        beginning = self._place((number + 1) & 0xFFFFFFFF)
        if self.syn_seen:
            return beginning != self._origin
        return not self._origin - _BEFORE <= beginning <= self._origin

    def _take(self, tcp: Tcp, payload: bytes, missing: int, timestamp_ns: int) -> None:
        self.frames += 1
        if tcp.flags & _SYN:
            place = self._place((tcp.sequence_number + 1) & 0xFFFFFFFF)
            if not self.syn_seen:
                self._origin = place
                self._highest = max(self._highest, place)
            self.syn_seen = True
            self.maximum_segment_size = tcp.maximum_segment_size
            self.window_scale = tcp.window_scale
        else:
            place = self._place(tcp.sequence_number)
        if tcp.flags & _RST:
            self.reset = True
            return
        if tcp.window == 0 and tcp.flags & _ACK:
            self.zero_windows.append(timestamp_ns)
        end = place + len(payload) + missing
        if self._end is not None:
            # The FIN has a sequence number of its own, which is no byte of the stream.
            end = min(end, self._end)
        if not tcp.flags & (_SYN | _FIN) and len(payload) <= 1 and place == self._highest - 1:
            # One byte (or none) before the next one: a keep-alive (RFC 9293, 3.8.4).
            self.keep_alives += 1
            return
        if payload:
            again = self._insert(place, payload)
            if again:
                self.retransmissions += 1
                self.retransmitted_bytes += again
            elif place < self._highest:
                self.out_of_order += 1
        if tcp.flags & _FIN:
            self.fin_seen = True
            self._end = end
        self._highest = max(self._highest, end)
        self._last = max(self._last, end)

    def _insert(self, place: int, data: bytes) -> int:
        """Keep bytes; how many of them were there before."""
        if place < self._origin:
            if not self.syn_seen and self._origin - place <= _BEFORE:
                self._origin = place
            else:
                # Older than the stream.
                data = data[self._origin - place :]
                place = self._origin
        room = max(0, self._limit - (place - self._origin))
        if len(data) > room:
            self.dropped_bytes += len(data) - room
            data = data[:room]
        again = 0
        while data:
            index, start = divmod(place, _WINDOW)
            part, data = data[: _WINDOW - start], data[_WINDOW - start :]
            window = self._windows.get(index)
            if window is None:
                window = self._windows[index] = _Window()
            for left, right, other in window.insert(start, part):
                again += right - left
                if other:
                    self._overlaps.append(Range(index * _WINDOW + left, index * _WINDOW + right))
            place += len(part)
        return again

    @property
    def overlaps(self) -> list[Range]:
        """Ranges that came twice with *different* bytes; the first ones are kept."""
        return [Range(start - self._origin, end - self._origin) for start, end in self._overlaps]

    @property
    def length(self) -> int:
        """Bytes from the first to the last one seen, gaps included."""
        return self._highest - self._origin

    @property
    def gaps(self) -> list[Range]:
        """Ranges that were never seen: lost before the capture, or by it."""
        found = []
        position = 0
        for at, piece in self.pieces:
            if at > position:
                found.append(Range(position, at))
            position = at + len(piece)
        if self.length > position and self.dropped_bytes == 0:
            found.append(Range(position, self.length))
        return found

    @property
    def data(self) -> bytes:
        """The bytes from the beginning up to the first gap."""
        at, piece = next(self._joined(), (0, b""))
        return piece if at == 0 else b""

    @property
    def pieces(self) -> list[tuple[int, bytes]]:
        """Every byte seen: (offset, bytes) between gaps."""
        return list(self._joined())

    def _joined(self) -> Iterator[tuple[int, bytes]]:
        begin, parts = 0, bytearray()
        for index in sorted(self._windows):
            window = self._windows[index]
            for start, end in zip(window.starts, window.ends, strict=True):
                offset = index * _WINDOW + start - self._origin
                if parts and begin + len(parts) != offset:
                    yield begin, bytes(parts)
                    parts = bytearray()
                if not parts:
                    begin = offset
                parts += window.bytes[start:end]
        if parts:
            yield begin, bytes(parts)

    def messages(self, framing: Framing[_MessageT]) -> Iterator[_MessageT]:
        """The messages in the stream, up to the first gap.

        Raises:
            FramingError: the bytes are not messages of that framing, or the stream ended inside one.

        """
        decoder = framing.decoder()
        data = self.data
        for start in range(0, len(data), 65536):
            yield from decoder.feed(data[start : start + 65536])
        if self.fin_seen and not self.gaps:
            yield from decoder.finish()

    def __repr__(self) -> str:
        (source, from_port), (destination, to_port) = self.source, self.destination
        return f"<Direction {source}:{from_port} to {destination}:{to_port}, {self.length} bytes>"


class Connection:
    """One TCP connection, as far as it was seen.

    Attributes:
        client: bytes of the side that opened it (the side seen first, when the opening was not captured).
        server: bytes of the other side.
        started_ns: time of its first frame.
        ended_ns: time of its last frame.
        frames: how many it has.
        round_trip_s: time between SYN and the acknowledgement of SYN+ACK, as seen here; ``None`` when not captured.
    """

    def __init__(self, source: tuple[str, int], destination: tuple[str, int], limit: int) -> None:
        self.client = Direction(source, destination, limit)
        self.server = Direction(destination, source, limit)
        self.started_ns: int | None = None
        self.ended_ns: int | None = None
        self.frames = 0
        self.round_trip_s: float | None = None
        self._syn_ns: int | None = None
        # Who spoke, and up to which place: one entry while it is the same side's turn.
        self._turns: list[tuple[Direction, int]] = []

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """Client to server, server to client."""
        return self.client, self.server

    @property
    def is_closed(self) -> bool:
        """Whether both sides ended their streams, or one reset the connection."""
        client, server = self.client, self.server
        return client.reset or server.reset or (client.fin_seen and server.fin_seen)

    def conversation(self) -> Iterator[tuple[str, bytes]]:
        """What both sides sent, in turns as it was captured: ("client" or "server", bytes), each byte once, gaps left out."""
        pieces = {id(side): collections.deque(side.pieces) for side in self.directions}
        said: tuple[str, bytearray] | None = None
        for side, place in self._turns:
            name = "client" if side is self.client else "server"
            end = place - side._origin
            waiting = pieces[id(side)]
            while waiting and waiting[0][0] < end:
                at, data = waiting.popleft()
                if at + len(data) > end:
                    waiting.appendleft((end, data[end - at :]))
                    data = data[: end - at]
                if said is not None and said[0] != name:
                    yield said[0], bytes(said[1])
                    said = None
                said = said or (name, bytearray())
                said[1].extend(data)
        if said is not None:
            yield said[0], bytes(said[1])

    def _is_over(self, source: tuple[str, int], tcp: Tcp) -> bool:
        """Whether a SYN from this side begins another connection on the same ports."""
        direction = self.client if self.client.source == source else self.server
        if not tcp.flags & _ACK:
            if not self.client.syn_seen and not self.server.syn_seen and direction is self.server:
                # Now it is known who opened it.
                self.client, self.server = self.server, self.client
            if self.is_closed:
                return True
        return direction._begins_another(tcp.sequence_number)

    def _take(self, frame: Frame, tcp: Tcp, direction: Direction) -> None:
        now = frame.timestamp_ns or 0
        self.started_ns = now if self.started_ns is None else self.started_ns
        self.ended_ns = now
        self.frames += 1
        payload = frame.payload
        # What the capture cut off was on the wire all the same.
        missing = 0
        if frame.ip is not None and frame.ip.length and len(frame) < frame.original_length:
            header = tcp.offset - frame.ip.offset + tcp.header_length
            missing = max(0, frame.ip.length - header - len(payload))
        if tcp.flags & _SYN and direction is self.client and self._syn_ns is None:
            self._syn_ns = now
        elif (
            self.round_trip_s is None
            and self._syn_ns is not None
            and direction is self.client
            and tcp.flags & _ACK
            and self.server.syn_seen
        ):
            self.round_trip_s = (now - self._syn_ns) / 1e9
        direction._take(tcp, payload, missing, now)
        if payload:
            end = direction._highest
            if self._turns and self._turns[-1][0] is direction:
                self._turns[-1] = (direction, end)
            else:
                self._turns.append((direction, end))

    def __repr__(self) -> str:
        client, server = self.client, self.server
        return (
            f"<Connection {client.source[0]}:{client.source[1]} to {server.source[0]}:{server.source[1]}, "
            f"{client.length} bytes there, {server.length} back>"
        )


def streams(frames: Iterable[Frame], *, limit: int = LIMIT) -> list[Connection]:
    """Put the TCP connections of a capture together, in the order they began.

    A SYN on ports whose connection has closed, or with another number than the one it began with, begins a new one. Frames
    that are malformed before their TCP payload, and fragments, are left out.

    Args:
        frames: a capture, a file, or a list.
        limit: bytes kept of each direction.

    """
    found: list[Connection] = []
    open_connections: dict[Any, Connection] = {}
    for frame in frames:
        tcp, ip = frame.tcp, frame.ip
        if tcp is None or ip is None or tcp.present < 20 or ip.more_fragments or ip.fragment_offset:
            continue
        source, destination = (ip.source, tcp.source_port), (ip.destination, tcp.destination_port)
        key = (source, destination) if source <= destination else (destination, source)
        connection = open_connections.get(key)
        if connection is None or (tcp.flags & _SYN and connection._is_over(source, tcp)):
            # A SYN+ACK seen first comes from the server.
            if tcp.flags & _SYN and tcp.flags & _ACK:
                connection = Connection(destination, source, limit)
            else:
                connection = Connection(source, destination, limit)
            open_connections[key] = connection
            found.append(connection)
        direction = connection.client if connection.client.source == source else connection.server
        connection._take(frame, tcp, direction)
    return found
