"""A capture file as the wire layer of a recording: its frames, and a socket for each end of each conversation.

Nobody saw these sockets: they follow from the frames, have the origin ``inferred`` and no process. A conversation is what
passes between two ends; a new one begins where one has ended and a SYN or a datagram opens the ends again.
"""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from ..._core import segments
from ...errors import RecordingError, UsageError
from ...kernel.address import End
from ...wire import pcap
from ...wire.frame import Frame
from .descriptors import Rows

__all__ = ["Capture", "Conversation", "Conversations", "sockaddr"]

_TCP: Final = 6
_UDP: Final = 17
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_MAPPED: Final = bytes(10) + b"\xff\xff"
#: Conversations that are remembered; who is silent the longest is forgotten first, and is a new one when it speaks again.
_MAX_CONVERSATIONS: Final = 20_000
#: A time that every column and every difference of two can hold.
_MAX_NS: Final = 1 << 61
#: Datagrams between two ends after so long a silence are another conversation: the time that Linux' connection tracking
#: keeps a UDP stream (nf_conntrack_udp_timeout_stream, 120 s).
_UDP_SILENCE_NS: Final = 120 * 10**9


def sockaddr(end: End) -> bytes:
    """The ``struct sockaddr`` of an end, as the kernel would give it."""
    port = end.port.to_bytes(2, "big")
    if end.address.startswith(_MAPPED):
        return struct.pack("=H", socket.AF_INET) + port + end.address[12:]
    return struct.pack("=H", socket.AF_INET6) + port + bytes(4) + end.address + bytes(4)


def group(end: End) -> bool:
    """Whether an end is no single host: multicast (RFC 5771, RFC 4291) or the limited broadcast."""
    if end.address.startswith(_MAPPED):
        return end.address[12] >= 224
    return end.address[0] == 0xFF


class Observed(NamedTuple):
    """What a frame says of a conversation."""

    protocol: int
    source: End
    destination: End
    flags: int
    sequence: int


@dataclass(slots=True)
class Conversation:
    """What passes between two ends of TCP or UDP."""

    protocol: int
    left: End  #: who began, as far as is known
    right: End
    started_ns: int
    number: int
    last_ns: int = 0
    opening: int | None = None  #: sequence number of the SYN
    answer: int | None = None  #: of the SYN that answers
    fins: int = 0  #: 1 the left one has ended its stream, 2 the right one
    reset: bool = False
    sockets: tuple[int, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing more belongs to it but what is late."""
        return self.reset or self.fins == 3


class Conversations:
    """Tells which conversation a frame belongs to; the same for who writes them down and who judges them."""

    def __init__(self, limit: int = _MAX_CONVERSATIONS) -> None:
        self._limit = limit
        self._of: OrderedDict[tuple[int, End, End], Conversation] = OrderedDict()
        self.count = 0
        self.gone: list[Conversation] = []  #: those that a new one has taken the place of, or that were forgotten

    def of(self, seen: Observed, at_ns: int) -> tuple[Conversation, bool]:
        """The conversation of a frame, and whether this frame begins it."""
        ends = (seen.source, seen.destination)
        key = (seen.protocol, *sorted(ends))
        found = self._of.get(key)  # type: ignore[arg-type]
        if found is not None and self._begins_anew(found, seen, at_ns):
            self.gone.append(found)
            found = None
        fresh = found is None
        if found is None:
            self.count += 1
            answer = seen.protocol == _TCP and seen.flags & (_SYN | _ACK) == _SYN | _ACK
            left, right = (ends[1], ends[0]) if answer else ends
            found = self._of[key] = Conversation(seen.protocol, left, right, at_ns, self.count)  # type: ignore[index]
            if len(self._of) > self._limit:
                self.gone.append(self._of.popitem(last=False)[1])
        self._of.move_to_end(key)  # type: ignore[arg-type]
        found.last_ns = max(found.last_ns, at_ns)
        if seen.protocol == _TCP:
            from_left = seen.source == found.left
            if seen.flags & _SYN:
                if not seen.flags & _ACK:
                    found.opening = seen.sequence
                else:
                    found.answer = seen.sequence
            if seen.flags & _FIN:
                found.fins |= 1 if from_left else 2
            if seen.flags & _RST:
                found.reset = True
        return found, fresh

    @staticmethod
    def _begins_anew(found: Conversation, seen: Observed, at_ns: int) -> bool:
        if seen.protocol != _TCP:
            return at_ns - found.last_ns > _UDP_SILENCE_NS
        if seen.flags & (_SYN | _ACK | _RST) != _SYN or seen.sequence == found.opening:
            return False
        # The same ends with another first sequence number: after the old connection's end, or instead of it.
        return found.over or found.opening is not None or found.answer is not None or found.fins != 0

    def known(self, protocol: int, one: End, other: End) -> Conversation | None:
        """The conversation between two ends that is remembered."""
        return self._of.get((protocol, *sorted((one, other))))  # type: ignore[arg-type]

    def living(self) -> Iterable[Conversation]:
        """Those that are remembered."""
        return self._of.values()


class Capture:
    """A capture file on its way into a recording.

    Raises:
        RecordingError: it is no capture file, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = pcap.read(path)
        except (UsageError, OSError) as error:
            raise RecordingError(_told(path, error)) from error
        self.origin_ns: int | None = None  #: time of the first frame since 1970
        self.last_ns = 0
        self.frames = 0
        self.snap_length = 0

    def write(
        self, rows: Rows, *, origin_ns: int | None = None, first_socket: int = 1, traced: Traced | None = None
    ) -> None:
        """Read all frames into the tables ``packet`` and ``socket``.

        Args:
            rows: takes them.
            origin_ns: the recording's beginning since 1970; without it that is the first frame.
            first_socket: the id of the first socket.
            traced: says of which ends the sockets are known already.
        """
        self.origin_ns = origin_ns
        conversations = Conversations()
        next_socket = first_socket
        now_ns = 0
        names: dict[int, str | None] = {}
        try:
            for frame in self.frames_of():
                stamp = frame.timestamp_ns
                if stamp is not None:
                    stamp = min(stamp, _MAX_NS)
                    if self.origin_ns is None:
                        self.origin_ns = stamp
                    now_ns = max(0, stamp - self.origin_ns)
                self.last_ns = max(self.last_ns, now_ns)
                self.frames += 1
                interface = frame.interface
                if interface not in names:
                    names[interface] = self._name(interface)
                data = bytes(frame)
                self.snap_length = max(self.snap_length, len(data))
                rows.add("packet", self.frames, now_ns, names[interface], frame.link_type, frame.original_length, data)
                found = segments.segment(frame.link_type & 0xFFFFFFFF, data, frame.original_length & 0xFFFFFFFF)
                if found is None or found.protocol not in (_TCP, _UDP):
                    continue
                source = End(found.source, found.source_port)
                destination = End(found.destination, found.destination_port)
                seen = Observed(found.protocol, source, destination, found.flags, found.sequence)
                conversation, fresh = conversations.of(seen, now_ns)
                if fresh:
                    known = traced is not None and traced.knows(conversation)
                    if not known:
                        ends = 1 if group(conversation.right) or conversation.left == conversation.right else 2
                        conversation.sockets = tuple(range(next_socket, next_socket + ends))
                        next_socket += ends
                        self._write(rows, conversation, None)
                for gone in conversations.gone:
                    self._write(rows, gone, gone.last_ns)
                conversations.gone.clear()
            for left in conversations.living():
                if left.over:
                    self._write(rows, left, left.last_ns)
        except OSError as error:
            raise RecordingError(_told(self.path, error)) from error

    def frames_of(self) -> Iterator[Frame]:
        """The frames one after the other, without writing them."""
        try:
            yield from self._reader
        except OSError as error:
            raise RecordingError(_told(self.path, error)) from error

    @property
    def format(self) -> str:
        """``pcap`` or ``pcapng``."""
        return str(self._reader.format)

    @property
    def cut(self) -> str | None:
        """Why the end of the file could not be read."""
        tail = self._reader.tail
        return (
            None if tail is None else f"the file's last {tail.unusable_bytes} bytes hold no whole frame ({tail.reason})"
        )

    def meta(self) -> dict[str, str]:
        """What is said of the wire layer, once all of it is written."""
        cut = self.cut
        meta = {
            "wire": "yes" if cut is None else f"incomplete: {cut}",
            "snap_length": str(self.snap_length),
            "payload": "all",
            "ended_ns": str(self.last_ns),
        }
        if self.origin_ns is not None:
            meta["started_realtime_ns"] = str(self.origin_ns)
        return meta

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _name(self, interface: int) -> str | None:
        known = self._reader.interfaces
        name = known[interface].get("name") if 0 <= interface < len(known) else None
        return str(name)[:64] if name else None

    @staticmethod
    def _write(rows: Rows, conversation: Conversation, ended_ns: int | None) -> None:
        ends = ((conversation.left, conversation.right), (conversation.right, conversation.left))
        kind = socket.SOCK_STREAM if conversation.protocol == _TCP else socket.SOCK_DGRAM
        for number, (local, remote) in zip(conversation.sockets, ends, strict=False):
            here, there = sockaddr(local), sockaddr(remote)
            family = int.from_bytes(here[:2], "little")
            rows.add(
                "socket",
                number,
                0,
                family,
                kind,
                conversation.protocol,
                None,
                None,
                "inferred",
                None,
                None,
                here,
                there,
                conversation.started_ns,
                ended_ns,
            )


class Traced(Protocol):
    """Knows which conversations have a traced end."""

    def knows(self, conversation: Conversation) -> bool:
        """Whether one of its ends is a socket that calls were made on."""


def _told(path: Path, error: Exception) -> str:
    """One line about a file, which the error may name already."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    reason = reason.removeprefix(f"{path}: ")
    return f"{path}: {reason}"
