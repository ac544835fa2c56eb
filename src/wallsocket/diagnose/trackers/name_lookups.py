"""DNS questions and answers (RFC 1035) on the wire of an imported capture."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ...events import Packet
from ...kernel.address import End
from ...trace.wire import UDP, Segment
from ..address import Address
from ..facts import Facts
from ..tracker import Tracker, on_packet
from .flows import Seen

__all__ = ["Lookup", "NameLookups"]

_PORT: Final = 53
_HEADER: Final = 12
_MAX_OPEN: Final = 10_000
_MAX_KEPT: Final = 1_000
_MAX_NAMES: Final = 20_000
_MAX_NAME: Final = 255


class Lookup:
    """A question, and what came of it; asked again with the same name, type and server it is the same."""

    __slots__ = (
        "answer",
        "asked",
        "asker",
        "code",
        "cut",
        "identifiers",
        "kind",
        "last",
        "name",
        "server",
        "times",
        "whole_ns",
    )

    def __init__(self, asker: bytes, server: End, name: str, kind: int, seen: Seen) -> None:
        self.asker = asker
        self.server = server
        self.name = name
        self.kind = kind
        self.asked = seen  #: the first time
        self.last = seen  #: the latest time
        self.times = 0
        self.answer: Seen | None = None  #: the latest answer
        self.code = 0  #: its response code
        self.cut: Seen | None = None  #: an answer with the truncation bit
        self.whole_ns = -1  #: when an answer without it last came
        self.identifiers: set[int] = set()

    @property
    def who(self) -> str:
        """The server in words."""
        return str(Address.of(*self.server) or "unknown")


class NameLookups(Tracker):
    """Pairs answers with questions."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._active = facts.imported
        self._open: OrderedDict[tuple[bytes, End, str, int], Lookup] = OrderedDict()
        self._over: list[Lookup] = []
        self.resolved: set[str] = set()  #: names that an answer had records for

    @property
    def all(self) -> list[Lookup]:
        """The lookups that are kept, in the order of their first questions."""
        return sorted((*self._over, *self._open.values()), key=lambda one: one.asked.at_ns)

    @on_packet
    def see(self, packet: Packet, segment: Segment | None) -> None:
        """The next frame."""
        if not self._active or segment is None or segment.protocol != UDP:
            return
        if _PORT not in (segment.source.port, segment.destination.port):
            return
        payload = segment.payload
        if len(payload) <= _HEADER + 4 or payload[4:6] != b"\0\1":
            return
        question = _question(payload)
        if question is None:
            return
        name, kind = question
        identifier = int.from_bytes(payload[:2], "big")
        seen = Seen(packet.id, packet.at_ns)
        if not payload[2] & 0xF8:
            if segment.destination.port == _PORT:
                self._asks(segment, name, kind, identifier, seen)
        elif payload[2] & 0x80 and segment.source.port == _PORT:
            self._answers(segment, payload, name, kind, identifier, seen)

    def _asks(self, segment: Segment, name: str, kind: int, identifier: int, seen: Seen) -> None:
        key = (segment.source.address, segment.destination, name, kind)
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = Lookup(*key, seen)
            if len(self._open) > _MAX_OPEN:
                _, oldest = self._open.popitem(last=False)
                if (oldest.answer is None or oldest.code or oldest.cut) and len(self._over) < _MAX_KEPT:
                    self._over.append(oldest)
        if identifier not in found.identifiers or seen.at_ns - found.last.at_ns > 500_000_000:
            # The loopback and bridges show one datagram more than once.
            found.times += 1
            found.last = seen
        if len(found.identifiers) < 16:
            found.identifiers.add(identifier)

    def _answers(self, segment: Segment, payload: bytes, name: str, kind: int, identifier: int, seen: Seen) -> None:
        found = self._open.get((segment.destination.address, segment.source, name, kind))
        if found is None or identifier not in found.identifiers:
            return
        found.answer = seen
        found.code = payload[3] & 0x0F
        if payload[2] & 0x02:
            found.cut = found.cut or seen
        else:
            found.whole_ns = seen.at_ns
        if not found.code and payload[6:8] != b"\0\0" and len(self.resolved) < _MAX_NAMES:
            self.resolved.add(name)


def _question(message: bytes) -> tuple[str, int] | None:
    """Name and type of the only question; ``None`` when it is cut or compressed."""
    labels: list[str] = []
    place, total = _HEADER, 0
    while place < len(message):
        length = message[place]
        if length == 0:
            rest = message[place + 1 : place + 3]
            return (".".join(labels) or ".", int.from_bytes(rest, "big")) if len(rest) == 2 else None
        total += length + 1
        if length > 63 or total > _MAX_NAME:
            return None
        label = message[place + 1 : place + 1 + length]
        labels.append("".join(chr(byte) if 33 <= byte < 127 else f"\\{byte:03}" for byte in label).lower())
        place += 1 + length
    return None
