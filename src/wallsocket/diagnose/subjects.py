"""What a rule can be about.

The engine asks each rule once for each subject of its kind: a socket, connection or listener when it has been closed and
its other end too, or at the end of the recording; everything else at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from .address import Address
from .vocabulary import (
    AF_INET,
    AF_INET6,
    AF_PACKET,
    AF_UNIX,
    IPPROTO_UDP,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
)

if TYPE_CHECKING:
    from ..events import Socket
    from .audience import Audience
    from .sample import Sample

__all__ = ["KINDS", "Connection", "Destination", "Host", "Kind", "Line", "ProcessFacts", "SocketFacts", "Thread"]

Kind = Literal["socket", "connection", "listener", "thread", "process", "destination", "line", "host", "flow"]
KINDS: Final[tuple[Kind, ...]] = (
    "socket",
    "connection",
    "listener",
    "destination",
    "line",
    "thread",
    "process",
    "host",
    "flow",
)

#: UDP, UDP-Lite, "whatever the kernel chooses", not recorded.
_UDP_PROTOCOLS: Final = (IPPROTO_UDP, 136, 0, -1)


class SocketFacts:
    """A socket: who and what it is. What trackers know of it: ``facts[Reads].of(socket)``."""

    __slots__ = (
        "audience",
        "connects",
        "earlier",
        "ended_ns",
        "family",
        "id",
        "kept",
        "last",
        "late",
        "local",
        "messages",
        "origin",
        "parent",
        "process",
        "protocol",
        "raw",
        "remote",
        "retired",
        "row",
        "stream",
        "tcp",
        "type",
        "udp",
        "unix",
        "whole",
    )

    def __init__(self, id: int, process: int) -> None:
        self.id = id
        self.process = process  #: of the recording, that made it or was first seen with it
        self.row: Socket | None = None
        self.origin = ""  #: how it came to be: 'socket', 'accept', 'inherited' …; empty when unknown
        self.parent: int | None = None  #: the listener that it was accepted from, or the other half of a socketpair
        self.ended_ns: int | None = None  #: when its last descriptor was closed
        self.family = -1
        self.type = -1
        self.protocol = -1
        self.stream = False  #: it carries a byte stream
        self.connects = False  #: both ends get what the other sends, in order: a stream, or records (SOCK_SEQPACKET)
        self.messages = True  #: it carries datagrams, packets or records, or is not known to be a stream
        self.raw = False  #: it reads and writes headers: raw(7), packet(7)
        self.tcp = False  #: it is TCP, or what the kernel makes of a stream of the Internet families
        self.udp = False
        self.unix = False
        self.late = False  #: it lived before it was first seen: what was done with it until then is unknown
        self.local: Address | None = None
        self.remote: Address | None = None
        self.last: Sample | None = None  #: the latest sample while it lived
        self.earlier: Sample | None = None  #: the one before it
        self.retired = False  #: judged and forgotten
        self.whole = 0  #: how many trackers ask that all stays known of it when it is retired: see ``Sockets.retire``
        self.kept: dict[int, Any] = {}  #: what trackers keep of it, by their place
        self.audience: Audience | None = None  #: who is told of its calls; ``None``: to be worked out again

    def take(self, row: Socket) -> None:
        """Take what the table says of it."""
        self.row = row
        self.origin, self.parent = row.origin, row.parent
        self.ended_ns = row.ended_ns
        self.family, self.type, self.protocol = row.family, row.type, row.protocol
        internet = row.family in (AF_INET, AF_INET6)
        self.unix = row.family == AF_UNIX
        self.stream = row.type == SOCK_STREAM and (internet or self.unix)
        self.connects = self.stream or (self.unix and row.type == SOCK_SEQPACKET)
        self.messages = not self.stream
        self.raw = row.family == AF_PACKET or (internet and row.type == SOCK_RAW)
        self.tcp = self.stream and internet
        self.udp = row.type == SOCK_DGRAM and internet and row.protocol in _UDP_PROTOCOLS
        self.late = self.late or row.met_late
        self.audience = None

    @property
    def created_ns(self) -> int:
        """When it was made or first seen."""
        return self.row.created_ns if self.row is not None else 0

    @property
    def made_at(self) -> int | None:
        """The source line that made it (id of the recording)."""
        return self.row.source if self.row is not None else None

    @property
    def network(self) -> int | None:
        """The network namespace that it was made in (of the recording); ``None``: not recorded."""
        return self.row.network if self.row is not None else None

    @property
    def silent_ms(self) -> int | None:
        """For how long nothing has come, as the kernel counts it for TCP; ``None``: it did not tell."""
        info = self.last.info if self.last is not None else None
        return info.last_data_received_ms if info is not None else None

    def name(self) -> str:
        """Its ends in words."""
        if self.remote is not None and self.remote.port != 0:
            return f"{self.local or 'unknown'} → {self.remote}"
        return str(self.local or "unknown")


class Connection(NamedTuple):
    """Two sockets that talk with each other; the accepted or first met one is ``one``. Asked once for the pair."""

    one: SocketFacts
    other: SocketFacts | None  #: ``None``: not traced, or not known which

    @property
    def ends(self) -> tuple[SocketFacts, ...]:
        """The traced ends."""
        return (self.one,) if self.other is None else (self.one, self.other)


class Destination(NamedTuple):
    """Where programs connect or send to; what happened there is in ``facts[Destinations]``."""

    protocol: str  #: 'tcp' or 'udp'
    where: Address
    network: int | None = None  #: the network namespace from which it was tried; ``None``: not recorded


class Line(NamedTuple):
    """The sockets that one line of one process made; what they did is in ``facts[Lines]``."""

    process: int
    source: int | None


class Thread(NamedTuple):
    """A thread that made calls or was seen to run."""

    process: int  #: of the recording
    tid: int


class ProcessFacts(NamedTuple):
    """A process."""

    id: int  #: of the recording
    pid: int


class Host(NamedTuple):
    """The host, or the network namespace, that the recording is about."""

    namespace: int | None = None
