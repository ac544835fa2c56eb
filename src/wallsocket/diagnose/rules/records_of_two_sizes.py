"""Records are written in one size and read in another."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import Closing
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["RecordsOfTwoSizes"]

#: Records larger than this are no structures of a few numbers.
_LARGEST = 64


class RecordsOfTwoSizes(Rule):
    """A C structure with its padding went on the wire."""

    id = "records-of-two-sizes"
    title = "a record was written with padding that its reader does not expect"
    covers = (51,)
    severity = "warning"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "A compiler fills gaps between the fields of a structure, and each machine has its byte order. Sent as it "
        "lies in memory, a structure has another size and other bytes than the reader expects."
    )
    symptoms = ("numbers arrive wrong", "struct.unpack gives wrong values", "fields are shifted")
    proof = (
        "The writer sent a record of few bytes in one write; the reader read fewer, by exactly as many bytes as the "
        "record has zeros in front of a field, and left the rest. Or it read on in records of its own size, so that "
        "each began further away from where the writer's began."
    )
    fix = 'Give the format explicitly at both ends: struct format "!…", fields written one by one with htonl; no raw structures.'
    disproof = "The rest of the record is optional, and the reader does not want it."
    references = ("recv(2)", "byteorder(3)")
    subject = "connection"
    needs = (Closing, Protocols, Reads, Writes)
    given = Writes
    supersedes = ("one-recv-per-message", "close-with-unread-data")
    effects = ("write-after-peer-closed",)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        if subject.other is None or not subject.one.stream:
            return
        for reader, writer in (subject, subject[::-1]):
            assert reader is not None
            assert writer is not None
            if reader.late or writer.late or facts[Protocols].framed(reader):
                continue
            found = self._sizes(facts, reader, writer)
            if found is not None:
                yield found
                return

    def _shifted(self, facts: Facts, reader: SocketFacts, writer: SocketFacts) -> Evidence | None:
        """The reader takes one record after the other, of a size that is not the writer's."""
        wrote, read = facts[Writes].of(writer), facts[Reads].of(reader)
        record, second = wrote.first, next((call for call in read.recent if call.offset == call.length), None)
        lengths = {call.length for call in read.recent}
        if record is None or second is None or len(lengths) != 1 or wrote.calls < 3:
            return None
        size, expected = record.moved, second.length
        filled = sum(call.moved == expected for call in read.recent)
        if (
            not 4 <= expected < size <= _LARGEST
            or 2 * expected <= size
            or filled < 3
            or filled < len(read.recent) - 1
            or read.bytes <= size
            or len(record.payload) != size
            or _printable(record.payload)
            or _gaps(record.payload) < size - expected
        ):
            return None
        return Evidence(
            self,
            record.end_ns,
            f"{facts.who(writer.process)} writes records of {size} bytes, with at least {size - expected} zeros where a "
            f"structure has gaps; {facts.who(reader.process)} reads records of {expected}: its second one began with the last "
            f"{size - expected} bytes of the first.",
            [record.proof(f"{record.text()}: {record.payload.hex(' ')}"), second.proof()],
            call=record.call,
            socket=writer.id,
            process=writer.process,
            subjects=frozenset({reader.id}),
        )

    def _unpadded(self, facts: Facts, reader: SocketFacts, writer: SocketFacts) -> Evidence | None:
        """The writer packs its fields, and the reader takes them for a structure, which has gaps and a size that is aligned."""
        wrote, read = facts[Writes].of(writer), facts[Reads].of(reader)
        record, second = wrote.first, next((call for call in read.recent if call.offset == call.length), None)
        if record is None or second is None or {call.length for call in read.recent} != {second.length}:
            return None
        size, expected = record.moved, second.length
        filled = sum(call.moved == expected for call in read.recent)
        if (
            not 4 <= size < expected <= _LARGEST
            or expected >= 2 * size
            or expected % 4
            or not size % 4
            or wrote.calls < 3
            or filled < 3
            or filled < len(read.recent) - 1
            or len(record.payload) != size
            or _printable(record.payload)
        ):
            return None
        return Evidence(
            self,
            second.end_ns,
            f"{facts.who(writer.process)} writes records of {size} bytes; {facts.who(reader.process)} reads records of "
            f"{expected}, a size that a structure with its gaps has: its second one began with byte {expected % size} of a record.",
            [record.proof(f"{record.text()}: {record.payload.hex(' ')}"), second.proof()],
            call=second.call,
            socket=reader.id,
            process=reader.process,
            title="records are read as a structure with gaps that their writer does not send",
            subjects=frozenset({writer.id}),
        )

    def _sizes(self, facts: Facts, reader: SocketFacts, writer: SocketFacts) -> Evidence | None:
        wrote, read = facts[Writes].of(writer), facts[Reads].of(reader)
        sizes = {call.moved for call in wrote.recent}
        if len(sizes) == 1:
            shifted = self._shifted(facts, reader, writer) or self._unpadded(facts, reader, writer)
            if shifted is not None:
                return shifted
        exact = [call for call in read.recent if call.moved == call.length]
        record = wrote.first
        if len(sizes) != 1 or len(exact) != read.calls or record is None or not facts[Closing].done(reader):
            return None
        size, taken = record.moved, read.bytes
        left = wrote.bytes - taken
        if (
            not 4 < size <= _LARGEST
            or not 0 < left < size
            or len(record.payload) != size
            or taken < 4
            or read.last is None
        ):
            return None
        expected = sum(call.length for call in exact) // wrote.calls
        gap = size - expected
        if gap <= 0 or gap >= size // 2 + 1 or expected * wrote.calls != taken or _printable(record.payload):
            return None
        padded = size % 2 == 0 and _gaps(record.payload) >= gap
        if not padded:
            return None
        return Evidence(
            self,
            record.end_ns,
            f"{facts.who(writer.process)} writes records of {size} bytes, with at least {gap} zeros where a structure has gaps; "
            f"{facts.who(reader.process)} reads records of {expected}.",
            [record.proof(f"{record.text()}: {record.payload.hex(' ')}"), read.last.proof()],
            call=record.call,
            socket=writer.id,
            process=writer.process,
            certainty="hint",
            severity="warning",
            subjects=frozenset({reader.id}),
        )


def _gaps(record: bytes) -> int:
    """Zero bytes up to a place where a field may be aligned."""
    found, run = 0, 0
    for position, byte in enumerate(record):
        if byte:
            if run and position % 2 == 0:
                found += min(run, 7)
            run = 0
        else:
            run += 1
    return found + run


def _printable(record: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in record)
