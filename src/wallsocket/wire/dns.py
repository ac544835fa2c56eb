"""Messages of DNS (RFC 1035) as a layer; those of mDNS and LLMNR have the same form."""

from __future__ import annotations

import dataclasses
import socket
import struct
from typing import Any, ClassVar, Self

from ..errors import UsageError
from .craft import Layer, address_bytes, within

__all__ = ["DNS", "Question", "Record"]

#: Types with names (<https://www.iana.org/assignments/dns-parameters>).
_TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35, "OPT": 41,
    "DS": 43, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "SVCB": 64, "HTTPS": 65, "ANY": 255, "CAA": 257,
}  # fmt: skip
_WORDS = {number: word for word, number in _TYPES.items()}
_POINTER = 0xC000


def _type(kind: str | int) -> int:
    if isinstance(kind, int):
        return within("type", kind, 16)
    try:
        return _TYPES[kind.upper()]
    except KeyError:
        raise UsageError(f"no type {kind!r} of DNS: one of {', '.join(_TYPES)}, or a number") from None


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked: a name, its type as a word or number, and its class (1 Internet)."""

    name: str
    type: str | int = "A"
    class_: int = 1


@dataclasses.dataclass(frozen=True)
class Record:
    """A record.

    ``data`` is an address (A, AAAA), a name (NS, CNAME, PTR), (preference, name) for MX, the strings of TXT,
    (priority, weight, port, name) for SRV, (name, mailbox, serial, refresh_s, retry_s, expire_s, minimum_s) for SOA, or bytes.
    """

    name: str
    type: str | int = "A"
    data: Any = b""
    ttl_s: int = 0
    class_: int = 1


def _labels(name: str) -> list[bytes]:
    """The labels of a name; a dot or a backslash within one stands behind a backslash, other bytes as three digits."""
    labels: list[bytearray] = [bytearray()]
    at = 0
    # Beyond ASCII a name is written as it would be in mDNS (RFC 6762, 16).
    text = name.encode()
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b"\\" and text[at + 1 : at + 4].isdigit() and len(text[at + 1 : at + 4]) == 3:
            labels[-1].append(within("a byte of a name", int(text[at + 1 : at + 4]), 8))
            at += 4
            continue
        if byte == b"\\":
            byte, at = text[at + 1 : at + 2], at + 1
        elif byte == b".":
            labels.append(bytearray())
            at += 1
            continue
        labels[-1] += byte
        at += 1
    if not labels[-1]:
        labels.pop()
    if any(not 1 <= len(label) <= 63 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise UsageError(f"{name!r} is no name of DNS: labels of 1 to 63 bytes, 255 in all")
    return [bytes(label) for label in labels]


def _text(labels: list[bytes]) -> str:
    def escaped(label: bytes) -> str:
        return "".join(
            chr(byte)
            if 0x21 <= byte < 0x7F and byte not in b".\\"
            else f"\\{byte:03d}"
            if byte not in b".\\"
            else f"\\{byte:c}"
            for byte in label
        )

    return ".".join(map(escaped, labels)) + "." if labels else "."


class _Writer:
    """Builds a message; the end of a name that stands earlier becomes a pointer to it (RFC 1035, 4.1.4)."""

    def __init__(self, head: bytes, compress: bool) -> None:
        self.data = bytearray(head)
        self._places: dict[tuple[bytes, ...], int] | None = {} if compress else None

    def name(self, name: str, *, compress: bool = True) -> None:
        labels = [] if name == "." else _labels(name)
        for number in range(len(labels)):
            rest = tuple(labels[number:])
            place = None if self._places is None else self._places.get(rest)
            if place is not None and compress:
                self.data += struct.pack("!H", _POINTER | place)
                return
            if self._places is not None and len(self.data) < _POINTER ^ 0xFFFF:
                self._places.setdefault(rest, len(self.data))
            self.data += bytes([len(labels[number])]) + labels[number]
        self.data.append(0)

    def question(self, question: Question) -> None:
        self.name(question.name)
        self.data += struct.pack("!HH", _type(question.type), within("class", question.class_, 16))

    def record(self, record: Record) -> None:
        self.name(record.name)
        number = _type(record.type)
        self.data += struct.pack("!HHI", number, within("class", record.class_, 16), within("ttl_s", record.ttl_s, 32))
        start = len(self.data)
        self.data += bytes(2)
        try:
            self._record_data(_WORDS.get(number, ""), record.data)
        except (TypeError, ValueError, struct.error) as error:
            raise UsageError(f"{record.data!r} is no data of a record of type {record.type}: {error}") from error
        length = within("the length of a record", len(self.data) - start - 2, 16)
        self.data[start : start + 2] = struct.pack("!H", length)

    def _record_data(self, kind: str, data: Any) -> None:
        if isinstance(data, bytes):
            self.data += data
        elif kind in ("A", "AAAA"):
            self.data += address_bytes(data, socket.AF_INET if kind == "A" else socket.AF_INET6)
        elif kind in ("NS", "CNAME", "PTR"):
            self.name(data)
        elif kind == "MX":
            self.data += struct.pack("!H", data[0])
            self.name(data[1])
        elif kind == "SRV":
            self.data += struct.pack("!HHH", *data[:3])
            # RFC 2782: not compressed; mDNS does (RFC 6762, 18.14).
            self.name(data[3], compress=False)
        elif kind == "SOA":
            self.name(data[0])
            self.name(data[1])
            self.data += struct.pack("!IIIII", *data[2:])
        elif kind == "TXT":
            strings = (data,) if isinstance(data, str) else data
            for each in strings:
                text = each.encode() if isinstance(each, str) else bytes(each)
                self.data += bytes([within("the length of a string", len(text), 8)]) + text
        else:
            raise UsageError(f"the data of a record of type {kind or 'unknown'} is bytes, not {data!r}")


class _Cut(Exception):
    """The bytes end before the message does, or are no message."""


class _Reader:
    """Takes a message apart."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 12

    def unpack(self, form: str) -> tuple[Any, ...]:
        end = self.at + struct.calcsize(form)
        if end > len(self.data):
            raise _Cut
        values = struct.unpack_from(form, self.data, self.at)
        self.at = end
        return values

    def name(self) -> str:
        labels: list[bytes] = []
        at, limit, after, total = self.at, self.at, None, 0
        while True:
            if at >= len(self.data):
                raise _Cut
            length = self.data[at]
            if length >= 0xC0:
                if at + 2 > len(self.data):
                    raise _Cut
                target = int.from_bytes(self.data[at : at + 2], "big") & ~_POINTER
                after = at + 2 if after is None else after
                # Only backwards, so that following ends.
                if target >= limit:
                    raise _Cut
                at = limit = target
                continue
            if length >= 0x40:
                raise _Cut
            label = self.data[at + 1 : at + 1 + length]
            at += 1 + length
            total += 1 + length
            if len(label) < length or total > 255:
                raise _Cut
            if not length:
                break
            labels.append(label)
        self.at = at if after is None else after
        return _text(labels)

    def question(self) -> Question:
        name = self.name()
        kind, class_ = self.unpack("!HH")
        return Question(name, _WORDS.get(kind, kind), class_)

    def record(self) -> Record:
        name = self.name()
        kind, class_, ttl_s, length = self.unpack("!HHIH")
        start, end = self.at, self.at + length
        if end > len(self.data):
            raise _Cut
        word = _WORDS.get(kind, kind)
        try:
            data = self._record_data(str(word), self.data[start:end], end)
            if self.at != end:
                raise _Cut
        except _Cut:
            data = self.data[start:end]
        self.at = end
        return Record(name, word, data, ttl_s, class_)

    def _record_data(self, kind: str, data: bytes, end: int) -> Any:
        if (kind, len(data)) in (("A", 4), ("AAAA", 16)):
            self.at = end
            return socket.inet_ntop(socket.AF_INET if kind == "A" else socket.AF_INET6, data)
        if kind in ("NS", "CNAME", "PTR"):
            return self.name()
        if kind == "MX":
            return (*self.unpack("!H"), self.name())
        if kind == "SRV":
            return (*self.unpack("!HHH"), self.name())
        if kind == "SOA":
            return (self.name(), self.name(), *self.unpack("!IIIII"))
        if kind == "TXT" and data:
            strings = []
            while self.at < end:
                length = self.data[self.at]
                strings.append(self.data[self.at + 1 : self.at + 1 + length])
                self.at += 1 + length
            return tuple(strings)
        self.at = end
        return data


@dataclasses.dataclass(frozen=True, repr=False)
class DNS(Layer):
    """A message of DNS, in UDP of port 53.

    ``questions`` are names, which ask for A, or :class:`Question`; ``answers``, ``authorities`` and ``additional`` are
    :class:`Record`. Names in records are compressed as servers do it, unless ``compress`` is false.

    ``DNS(1, questions=("example.com",))``
    """

    udp_ports: ClassVar[tuple[int, int] | None] = (40000, 53)

    identifier: int = 0
    questions: tuple[str | Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authorities: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    response: bool = False
    operation: int = 0
    authoritative: bool = False
    truncated: bool = False
    recursion_desired: bool = True
    recursion_available: bool = False
    zero: int = 0
    authentic_data: bool = False
    checking_disabled: bool = False
    response_code: int = 0
    compress: bool = True

    def build(self, payload: bytes, above: Layer | None, below: Layer | None) -> bytes:
        """See :meth:`Layer.build`."""
        flags = (
            self.response << 15
            | within("operation", self.operation, 4) << 11
            | self.authoritative << 10
            | self.truncated << 9
            | self.recursion_desired << 8
            | self.recursion_available << 7
            | within("zero", self.zero, 1) << 6
            | self.authentic_data << 5
            | self.checking_disabled << 4
            | within("response_code", self.response_code, 4)
        )
        sections = (self.answers, self.authorities, self.additional)
        counts = [within("the number of records", len(part), 16) for part in (self.questions, *sections)]
        writer = _Writer(
            struct.pack("!HHHHHH", within("identifier", self.identifier, 16), flags, *counts), self.compress
        )
        for question in self.questions:
            writer.question(Question(question) if isinstance(question, str) else question)
        for section in sections:
            for record in section:
                writer.record(record)
        return bytes(writer.data) + payload

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes] | None:
        """The message at the start of bytes, and what follows; ``None`` for what is none, or is cut."""
        if len(data) < 12:
            return None
        identifier, flags, *counts = struct.unpack_from("!HHHHHH", data)
        reader = _Reader(data)
        try:
            questions = tuple(reader.question() for _ in range(counts[0]))
            answers, authorities, additional = (tuple(reader.record() for _ in range(count)) for count in counts[1:])
        except _Cut:
            return None
        found = cls(
            identifier,
            questions,
            answers,
            authorities,
            additional,
            response=bool(flags >> 15 & 1),
            operation=flags >> 11 & 15,
            authoritative=bool(flags >> 10 & 1),
            truncated=bool(flags >> 9 & 1),
            recursion_desired=bool(flags >> 8 & 1),
            recursion_available=bool(flags >> 7 & 1),
            zero=flags >> 6 & 1,
            authentic_data=bool(flags >> 5 & 1),
            checking_disabled=bool(flags >> 4 & 1),
            response_code=flags & 15,
        )
        read = data[: reader.at]
        if bytes(found) != read:
            found = dataclasses.replace(found, compress=False)
        return found, data[reader.at :]
