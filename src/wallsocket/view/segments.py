"""The TCP segments of a recording, flow by flow, seen from near and far: for graphs over time."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final, NamedTuple, overload

from ..kernel.address import End
from ..trace.wire import ACK, RST, SYN, TCP, Segment
from .levels import Levels

__all__ = ["Bundle", "Flow", "Segments"]

_SEQUENCE_MASK: Final = 0xFFFFFFFF


class Bundle(NamedTuple):
    """One segment, or neighbours in time."""

    first_ns: int
    last_ns: int
    begin: int  #: lowest stream offset of a byte
    end: int  #: highest one, and one more
    segments: int
    again: int  #: of them those whose bytes had all travelled before
    flags: int  #: all flags that one of them had
    packet: int  #: packet.id of the first
    acknowledged: int  #: highest offset of the other direction that it acknowledges
    window: int  #: lowest window that it offers, in bytes, not scaled
    stalls: int  #: segments that say that there is no room (window 0)


class _Columns(Sequence[Bundle]):
    """Bundles as columns of numbers: a tenth of what as many tuples take."""

    columns: tuple[array[int], ...]

    @abstractmethod
    def _bundle(self, *values: int) -> Bundle:
        """What one value of each column means."""

    def clear(self) -> None:
        for column in self.columns:
            del column[:]

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, at: int) -> Bundle: ...
    @overload
    def __getitem__(self, at: slice) -> list[Bundle]: ...
    def __getitem__(self, at: int | slice) -> Bundle | list[Bundle]:
        if isinstance(at, slice):
            return [self._bundle(*values) for values in zip(*(column[at] for column in self.columns), strict=True)]
        return self._bundle(*(column[at] for column in self.columns))


class _Singles(_Columns):
    """Single segments."""

    _AGAIN: Final = 1 << 15

    def __init__(self) -> None:
        self.at, self.begin, self.acknowledged, self.packet = array("q"), array("q"), array("q"), array("q")
        self.length, self.window, self.bits = array("I"), array("H"), array("H")
        self.columns = (self.at, self.begin, self.acknowledged, self.packet, self.length, self.window, self.bits)

    def add(
        self,
        at_ns: int,
        begin: int,
        length: int,
        flags: int,
        packet: int,
        acknowledged: int,
        window: int,
        *,
        again: bool,
    ) -> None:
        self.at.append(at_ns)
        self.begin.append(begin)
        self.acknowledged.append(acknowledged)
        self.packet.append(packet)
        self.length.append(length)
        self.window.append(window)
        self.bits.append(flags | self._AGAIN if again else flags)

    def _bundle(self, *values: int) -> Bundle:
        at, begin, acknowledged, packet, length, window, bits = values
        again = bits >= self._AGAIN
        flags = bits & ~self._AGAIN
        return Bundle(
            at, at, begin, begin + length, 1, int(again), flags, packet, acknowledged, window, int(not window)
        )


class _Joined(_Columns):
    """Neighbours that were joined."""

    def __init__(self, bundles: Iterable[Bundle]) -> None:
        self.columns = tuple(array("q") for _ in Bundle._fields)
        for bundle in bundles:
            for column, value in zip(self.columns, bundle, strict=True):
                column.append(value)

    def _bundle(self, *values: int) -> Bundle:
        return Bundle(*values)


class Flow:
    """The segments from one end to another, with sequence numbers as stream offsets."""

    def __init__(self) -> None:
        self.scale_packet: int | None = None  #: packet.id of its SYN, whose options have the window scale
        self._base: int | None = None
        self._reached = 0
        self._segments = _Singles()
        self._opposite: Flow | None = None
        self._acknowledged_base: int | None = None
        self._acknowledged = 0

    def add(self, segment: Segment) -> None:
        """The next segment."""
        sequence = segment.sequence
        if segment.flags & SYN:
            if self._base is not None and sequence + 1 & _SEQUENCE_MASK != self._base:
                # The ports were used again: the graph is of the latest connection.
                self._segments.clear()
                self._reached, self._acknowledged, self._acknowledged_base = 0, 0, None
            self._base = sequence + 1 & _SEQUENCE_MASK
            self.scale_packet = segment.packet
            sequence = self._base
        elif self._base is None:
            self._base = sequence
        begin = self._reached + _signed(sequence - self._base - self._reached)
        if not segment.length:
            # It has a place in the stream, no bytes; after a FIN it counts one more than there are.
            begin = min(begin, self._reached)
        end = begin + segment.length
        again = segment.length > 0 and end <= self._reached
        self._reached = max(self._reached, end)
        if segment.flags & ACK:
            if self._acknowledged_base is None:
                self._acknowledged_base = segment.acknowledgement
            step = _signed(segment.acknowledgement - self._acknowledged_base - self._acknowledged)
            self._acknowledged = max(self._acknowledged, self._acknowledged + step)
        # A segment that resets offers nothing.
        window = segment.window if not segment.flags & RST else 0xFFFF
        self._segments.add(
            segment.at_ns, begin, segment.length, segment.flags, segment.packet, self._acknowledged, window, again=again
        )

    def finish(self, opposite: Flow | None) -> None:
        """No more will come; ``opposite`` is the other direction, whose offsets acknowledgements count in."""
        self._opposite = opposite

    @cached_property
    def levels(self) -> Levels[Bundle]:
        """The segments from near and far, built when somebody asks."""
        shift, opposite = 0, self._opposite
        if opposite is not None and opposite._base is not None and self._acknowledged_base is not None:
            shift = _signed(self._acknowledged_base - opposite._base)
        most = opposite._reached if opposite is not None else 0
        # An acknowledgement of a FIN counts one more than there are bytes.
        acknowledged = self._segments.acknowledged
        for at, offset in enumerate(acknowledged):
            acknowledged[at] = min(most, max(0, offset + shift))
        return Levels(self._segments, _joined, _Joined)


class Segments:
    """The segments of a recording, as they come from its decoder."""

    def __init__(self) -> None:
        self._flows: dict[tuple[End, End, int | None], Flow] = {}
        self.moments = array("q")  #: when each of all segments travelled
        self._packets: dict[tuple[End, End], array[int]] = {}

    def add(self, segment: Segment) -> None:
        """The next segment."""
        self.moments.append(segment.at_ns)
        ends = segment.source, segment.destination
        packets = self._packets.get(ends)
        if packets is None:
            packets = self._packets[ends] = array("q")
        packets.append(segment.packet)
        if segment.protocol == TCP:
            key = (segment.source, segment.destination, segment.network if segment.destination.loopback else None)
            flow = self._flows.get(key)
            if flow is None:
                flow = self._flows[key] = Flow()
            flow.add(segment)

    def finish(self) -> None:
        """No more segments will come."""
        for (one, other, scope), flow in self._flows.items():
            flow.finish(self._flows.get((other, one, scope)))

    def between(self, one: End, other: End) -> list[int]:
        """packet.id of all that travelled between two ends, whatever the network, in the order of the recording."""
        return sorted((*self._packets.get((one, other), ()), *self._packets.get((other, one), ())))

    def flow(self, source: End, destination: End, network: int | None) -> Flow | None:
        """What travelled from one end to another; of a loopback address, in which network."""
        return self._flows.get((source, destination, network if destination.loopback else None))


def _joined(bundles: Sequence[Bundle]) -> Bundle:
    flags = 0
    for bundle in bundles:
        flags |= bundle.flags
    return Bundle(
        bundles[0].first_ns,
        bundles[-1].last_ns,
        min(bundle.begin for bundle in bundles),
        max(bundle.end for bundle in bundles),
        sum(bundle.segments for bundle in bundles),
        sum(bundle.again for bundle in bundles),
        flags,
        bundles[0].packet,
        bundles[-1].acknowledged,
        min(bundle.window for bundle in bundles),
        sum(bundle.stalls for bundle in bundles),
    )


def _signed(difference: int) -> int:
    """A difference of sequence numbers, which go around (RFC 9293, 3.4)."""
    return (difference + 0x80000000 & _SEQUENCE_MASK) - 0x80000000
