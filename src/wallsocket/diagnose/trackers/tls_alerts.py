"""Alerts that end a TLS connection, in what programs write: in clear, or sealed and told by their length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..call import CallFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import WRITES

__all__ = ["TlsAlertFacts", "TlsAlerts", "is_sealed", "last_record"]

#: Content types (RFC 8446, section 5.1).
_CHANGE_CIPHER, _ALERT, _DATA = 20, 21, 23
_HEAD = 5
_FATAL = 2
#: A sealed alert of TLS 1.3: two bytes, the content type, and the tag of 16 bytes of every cipher but one.
_SEALED_ALERT = 19
#: One of TLS 1.2 has a nonce, padding and a longer tag around the two bytes.
_LONGEST_ALERT = 80


class _Record(NamedTuple):
    kind: int
    length: int
    body: bytes  #: as far as it was recorded


class TlsAlertFacts:
    """What one end wrote."""

    __slots__ = ("clear", "greeted", "messages", "previous", "sealed", "writes")

    def __init__(self) -> None:
        self.writes = 0
        self.greeted = False  #: its first record was of a handshake, or an alert that refuses one
        self.clear: tuple[CallFacts, int] | None = None  #: a fatal alert in clear, and its number
        self.sealed: CallFacts | None = None  #: its latest write, when that was a sealed alert and nothing else
        self.messages = False  #: it had sent longer sealed records, such as Finished, before
        self.previous: CallFacts | None = None  #: the write before the latest


class TlsAlerts(SocketTracker[TlsAlertFacts]):
    """Reads the heads of records in what is written."""

    kept = TlsAlertFacts

    @returned(*WRITES, of="stream", moved=True)
    def wrote(self, call: CallFacts) -> None:
        """Bytes were sent."""
        socket = call.socket
        if socket is None:
            return
        known = socket.kept.get(self.place)
        if known is not None and not known.greeted:
            return
        payload = call.payload or b""
        if known is None and not _begins_tls(payload):
            if call.offset == 0:
                self.keep(socket)  # it begins with something else
            return
        facts = self.keep(socket)
        facts.greeted = True
        records = list(_records(payload))
        facts.writes += 1
        last = records[-1] if records else None
        whole = sum(_HEAD + record.length for record in records) == call.moved
        facts.previous = facts.sealed or facts.previous
        if last is not None and last.kind == _ALERT and last.length == 2 and last.body[:1] == bytes([_FATAL]):
            facts.clear = facts.clear or (call, last.body[1])
        only = [record for record in records if record.kind != _CHANGE_CIPHER]
        if whole and len(only) == 1 and (only[0].kind, only[0].length) == (_DATA, _SEALED_ALERT):
            facts.sealed = call
        else:
            facts.sealed, facts.previous = None, call
            facts.messages |= any(record.kind == _DATA and record.length > _SEALED_ALERT for record in only)


def is_sealed(call: CallFacts) -> bool:
    """Whether a write has a sealed record: keys were agreed when it was made."""
    return any(record.kind == _DATA for record in _records(call.payload or b""))


def last_record(call: CallFacts) -> int | None:
    """The length of the record with which a write ends, where that is longer than an alert; ``None``: it is not, or not known."""
    records = list(_records(call.payload or b""))
    whole = sum(_HEAD + record.length for record in records) == call.moved
    last = records[-1] if records else None
    return last.length if last is not None and whole and last.kind == _DATA and last.length > _LONGEST_ALERT else None


def _begins_tls(payload: bytes) -> bool:
    return payload[:1] in (b"\x15", b"\x16") and payload[1:2] == b"\x03"


def _records(payload: bytes) -> Iterator[_Record]:
    """The records in the first bytes of a write."""
    position = 0
    while position + _HEAD <= len(payload):
        kind, length = payload[position], int.from_bytes(payload[position + 3 : position + _HEAD], "big")
        if not _CHANGE_CIPHER <= kind <= _DATA or payload[position + 1] != 3:
            return
        body = payload[position + _HEAD : position + _HEAD + length]
        yield _Record(kind, length, body)
        position += _HEAD + length
