"""Which protocol a stream carries, by its first bytes; recognised in one place, ``wallsocket-wire``."""

from __future__ import annotations

from ..._core import segments
from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import READS, WRITES

__all__ = ["ProtocolFacts", "Protocols"]

#: Calls of one direction that are looked at; OpenSSL reads the head of a record by itself.
_LOOKS = 4
#: Of these a reader may stop early, and knows by itself where a message ends.
_FRAMED = frozenset({"tls", "http", "http/2", "ssh", "proxy"})


class ProtocolFacts:
    """What one socket carries, by direction: ``tls``, ``http``, ``http/2``, ``ssh``, ``proxy``; ``None``: not recognised."""

    __slots__ = ("_reads", "_writes", "first_read", "first_write", "received", "sent")

    def __init__(self) -> None:
        self.received: str | None = None
        self.sent: str | None = None
        self.first_read: CallFacts | None = None  #: the first that brought bytes which were recorded
        self.first_write: CallFacts | None = None
        self._reads = _LOOKS
        self._writes = _LOOKS

    def read(self, call: CallFacts) -> None:
        """Look at bytes that were received."""
        if self._reads:
            self._reads -= 1
            payload = call.call.payload
            if self.first_read is None and call.offset:
                self._reads = 0  # the beginning was not recorded
            elif payload:
                self.first_read = self.first_read or call
                self.received = self.received or segments.protocol(payload)
                if self.received is not None:
                    self._reads = 0

    def wrote(self, call: CallFacts) -> None:
        """Look at bytes that were sent."""
        if self._writes:
            self._writes -= 1
            payload = call.call.payload
            if self.first_write is None and call.offset:
                self._writes = 0
            elif payload:
                self.first_write = self.first_write or call
                self.sent = self.sent or segments.protocol(payload)
                if self.sent is not None:
                    self._writes = 0


class Protocols(SocketTracker[ProtocolFacts]):
    """Looks at the beginning of both directions of every stream."""

    kept = ProtocolFacts

    @returned(*READS, of="stream", moved=True)
    def read(self, call: CallFacts) -> None:
        """Bytes were received."""
        if call.socket is not None:
            self.keep(call.socket).read(call)

    @returned(*WRITES, of="stream", moved=True)
    def wrote(self, call: CallFacts) -> None:
        """Bytes were sent."""
        if call.socket is not None:
            self.keep(call.socket).wrote(call)

    def tls(self, socket: SocketFacts) -> bool:
        """Whether either direction is TLS: what its bytes mean cannot be told."""
        facts = self.of(socket)
        return "tls" in (facts.received, facts.sent)

    def framed(self, socket: SocketFacts) -> bool:
        """Whether what is received is of a protocol whose readers may stop early."""
        return self.of(socket).received in _FRAMED or self.tls(socket)
