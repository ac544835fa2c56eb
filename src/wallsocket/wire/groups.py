"""Group membership, version 3 (RFC 3376)."""

from __future__ import annotations

import dataclasses
import socket
import struct
from typing import ClassVar, Self

from .._core import wire as core
from ..errors import UsageError
from .craft import Layer, address_bytes, within

__all__ = ["IGMPv3"]

_QUERY, _REPORT = 0x11, 0x22
#: Types of group records (RFC 3376, 4.2.12).
_RECORDS = {"is_include": 1, "is_exclude": 2, "to_include": 3, "to_exclude": 4, "allow": 5, "block": 6}


def _sources(sources: tuple[str | bytes, ...]) -> bytes:
    return b"".join(address_bytes(each, socket.AF_INET) for each in sources)


@dataclasses.dataclass(frozen=True, repr=False)
class IGMPv3(Layer):
    """IGMP version 3: a report (type 0x22) with ``records``, or a query (0x11) of ``group`` and ``sources``.

    A record is (type, group, source, …); its type a word, ``is_include``, ``is_exclude``, ``to_include``, ``to_exclude``,
    ``allow``, ``block``, or a number: ``IGMPv3(records=(("to_exclude", "239.1.2.3"),))`` joins a group.
    """

    ip_protocol: ClassVar[int | None] = 2

    type: int = _REPORT
    records: tuple[tuple[str | int | bytes, ...], ...] = ()
    group: str | bytes = "0.0.0.0"  # noqa: S104  the group of a general query
    sources: tuple[str | bytes, ...] = ()
    maximum_response: int = 0
    suppress: bool = False
    robustness: int = 0
    interval: int = 0
    checksum: int | None = None

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        if self.type == _QUERY:
            body = address_bytes(self.group, socket.AF_INET) + struct.pack(
                "!BBH",
                self.suppress << 3 | within("robustness", self.robustness, 3),
                within("interval", self.interval, 8),
                within("the number of sources", len(self.sources), 16),
            )
            body += _sources(self.sources)
        else:
            body = struct.pack("!HH", 0, within("the number of records", len(self.records), 16))
            for kind, group, *sources in self.records:
                number = _RECORDS.get(str(kind), kind)
                if not isinstance(number, int):
                    raise UsageError(f"no group record {kind!r}: one of {', '.join(_RECORDS)}, or a number")
                body += struct.pack("!BBH", within("the type of a record", number, 8), 0, len(sources))
                body += _sources((group, *sources))  # type: ignore[arg-type]
        head = struct.pack(
            "!BBH", within("type", self.type, 8), within("maximum_response", self.maximum_response, 8), 0
        )
        message = head + body + payload
        checksum = core.internet_checksum(message) if self.checksum is None else within("checksum", self.checksum, 16)
        return message[:2] + struct.pack("!H", checksum) + message[4:]

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The message at the start of bytes, and what follows; ``None`` for another version, or a cut one."""
        if len(data) < 8 or data[0] not in (_QUERY, _REPORT) or (data[0] == _QUERY and len(data) < 12):
            return None
        checksum = int.from_bytes(data[2:4], "big")

        def addresses(at: int, count: int) -> tuple[str, ...] | None:
            part = data[at : at + 4 * count]
            whole = len(part) == 4 * count
            return (
                tuple(socket.inet_ntoa(part[place : place + 4]) for place in range(0, len(part), 4)) if whole else None
            )

        if data[0] == _QUERY:
            sources = addresses(12, int.from_bytes(data[10:12], "big"))
            if sources is None or data[8] & 0xF0:
                return None
            found = cls(
                _QUERY,
                group=socket.inet_ntoa(data[4:8]),
                sources=sources,
                maximum_response=data[1],
                suppress=bool(data[8] & 8),
                robustness=data[8] & 7,
                interval=data[9],
                checksum=checksum,
            )
            return found, data[12 + 4 * len(sources) :]
        words = {number: word for word, number in _RECORDS.items()}
        records: list[tuple[str | int | bytes, ...]] = []
        at = 8
        for _ in range(int.from_bytes(data[6:8], "big")):
            ends = addresses(at + 4, 1 + int.from_bytes(data[at + 2 : at + 4], "big"))
            # Auxiliary data has no meaning yet (4.2.6).
            if ends is None or data[at + 1]:
                return None
            records.append((words.get(data[at], data[at]), *ends))
            at += 4 + 4 * len(ends)
        return cls(_REPORT, tuple(records), maximum_response=data[1], checksum=checksum), data[at:]
