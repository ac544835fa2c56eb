"""TCP streams put together again from frames: what each side sent, and what went wrong on the way."""

from __future__ import annotations

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
        overlaps: ranges that came twice with *different* bytes; the first ones are kept.
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
        self.overlaps: list[Range] = []
        self.zero_windows: list[int] = []
        self.maximum_segment_size: int | None = None
        self.window_scale: int | None = None
        self.keep_alives = 0
        self.dropped_bytes = 0
        self._limit = limit
        self._first: int | None = None
        self._last = 0
        # Disjoint, sorted by start: where bytes are, and they.
        self._pieces: list[tuple[int, bytearray]] = []
        self._highest = 0
        self._end: int | None = None
        self._acknowledged = 0

    def _offset(self, number: int) -> int:
        """Offset of a sequence number: the one nearest to the last, so that a wrap at 2**32 is followed."""
        assert self._first is not None
        distance = (number - self._first - self._last) & 0xFFFFFFFF
        if distance >= 1 << 31:
            distance -= 1 << 32
        return self._last + distance

    def _take(self, tcp: Tcp, payload: bytes, missing: int, timestamp_ns: int) -> None:
        self.frames += 1
        if tcp.flags & _SYN:
            if self._first is None or not self.syn_seen:
                self._first = (tcp.sequence_number + 1) & 0xFFFFFFFF
                self._last = 0
            self.syn_seen = True
            self.maximum_segment_size = tcp.maximum_segment_size
            self.window_scale = tcp.window_scale
            offset = 0
        else:
            if self._first is None:
                self._first = tcp.sequence_number
            offset = self._offset(tcp.sequence_number)
        if tcp.flags & _RST:
            self.reset = True
            return
        if tcp.window == 0 and tcp.flags & _ACK:
            self.zero_windows.append(timestamp_ns)
        end = offset + len(payload) + missing
        if self._end is not None:
            # The FIN has a sequence number of its own, which is no byte of the stream.
            end = min(end, self._end)
        if not tcp.flags & (_SYN | _FIN) and len(payload) <= 1 and offset == self._highest - 1 and offset >= 0:
            # One byte (or none) before the next one: a keep-alive (RFC 9293, 3.8.4).
            self.keep_alives += 1
            return
        if payload:
            if offset < self._highest and self._has_any(offset, offset + len(payload)):
                self.retransmissions += 1
            elif offset < self._highest:
                self.out_of_order += 1
            self._insert(offset, payload)
        if tcp.flags & _FIN:
            self.fin_seen = True
            self._end = end
        self._highest = max(self._highest, end)
        self._last = max(self._last, end)

    def _has_any(self, start: int, end: int) -> bool:
        return any(at < end and at + len(piece) > start for at, piece in reversed(self._pieces))

    def _insert(self, offset: int, data: bytes) -> None:
        if offset < 0:
            # From before the first byte seen: the capture began in the middle.
            data = data[-offset:] if -offset < len(data) else b""
            offset = 0
        if not data:
            return
        room = self._limit - offset
        if len(data) > room:
            self.dropped_bytes += len(data) - max(room, 0)
            data = data[: max(room, 0)]
            if not data:
                return
        pieces = self._pieces
        # Nearly every segment continues the last piece.
        if pieces and pieces[-1][0] + len(pieces[-1][1]) == offset:
            pieces[-1][1].extend(data)
            return
        if not pieces or offset > pieces[-1][0] + len(pieces[-1][1]):
            pieces.append((offset, bytearray(data)))
            return
        low = 0
        while low < len(pieces) and pieces[low][0] + len(pieces[low][1]) < offset:
            low += 1
        high = low
        end = offset + len(data)
        while high < len(pieces) and pieces[high][0] <= end:
            high += 1
        start = min([offset, *(at for at, _ in pieces[low:high])])
        joined = bytearray(max([end, *(at + len(piece) for at, piece in pieces[low:high])]) - start)
        joined[offset - start : end - start] = data
        for at, piece in pieces[low:high]:
            both = Range(max(at, offset), min(at + len(piece), end))
            if both.start < both.end:
                self.retransmitted_bytes += both.end - both.start
                old = piece[both.start - at : both.end - at]
                if old != data[both.start - offset : both.end - offset]:
                    self.overlaps.append(both)
            joined[at - start : at - start + len(piece)] = piece
        pieces[low:high] = [(start, joined)]

    @property
    def length(self) -> int:
        """Bytes from the first to the last one seen, gaps included."""
        return self._highest

    @property
    def gaps(self) -> list[Range]:
        """Ranges that were never seen: lost before the capture, or by it."""
        found = []
        position = 0
        for at, piece in self._pieces:
            if at > position:
                found.append(Range(position, at))
            position = at + len(piece)
        if self._highest > position and self.dropped_bytes == 0:
            found.append(Range(position, self._highest))
        return found

    @property
    def data(self) -> bytes:
        """The bytes from the beginning up to the first gap."""
        if self._pieces and self._pieces[0][0] == 0:
            return bytes(self._pieces[0][1])
        return b""

    @property
    def pieces(self) -> list[tuple[int, bytes]]:
        """Every byte seen: (offset, bytes) between gaps."""
        return [(at, bytes(piece)) for at, piece in self._pieces]

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

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """Client to server, server to client."""
        return self.client, self.server

    @property
    def is_closed(self) -> bool:
        """Whether both sides ended their streams, or one reset the connection."""
        client, server = self.client, self.server
        return client.reset or server.reset or (client.fin_seen and server.fin_seen)

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

    def __repr__(self) -> str:
        client, server = self.client, self.server
        return (
            f"<Connection {client.source[0]}:{client.source[1]} to {server.source[0]}:{server.source[1]}, "
            f"{client.length} bytes there, {server.length} back>"
        )


def streams(frames: Iterable[Frame], *, limit: int = LIMIT) -> list[Connection]:
    """Put the TCP connections of a capture together, in the order they began.

    A SYN on ports whose connection has closed begins a new one. Frames that are malformed before their TCP payload, and
    fragments, are left out.

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
        opening = bool(tcp.flags & _SYN) and not tcp.flags & _ACK
        if connection is None or (opening and connection.is_closed):
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
