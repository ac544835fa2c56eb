"""DNS over UDP: answers that say that they are cut, or that there is none (RFC 1035, 4.1.1), and what came of it."""

from __future__ import annotations

from typing import NamedTuple

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..tracker import Recent, SocketTracker, returned
from ..vocabulary import READS, WRITES

__all__ = ["DnsAnswers", "Failed", "Truncated"]

#: Open questions of one socket, and cut answers in all.
_OPEN = 64
_KEPT = 256
_NAMES = 10_000
_HEADER = 12


class Truncated(NamedTuple):
    """An answer with the truncation bit."""

    question: CallFacts
    answer: CallFacts
    server: Address
    asked: bytes  #: the question section, as far as it was recorded


class Failed(NamedTuple):
    """An answer with a code that is no success."""

    question: CallFacts
    answer: CallFacts
    server: Address
    name: str
    code: int  #: SERVFAIL 2, NXDOMAIN 3, REFUSED 5


class _Open:
    __slots__ = ("questions",)

    def __init__(self) -> None:
        self.questions: dict[bytes, tuple[CallFacts, Address, bytes]] = {}


class DnsAnswers(SocketTracker[_Open]):
    """Recognises a DNS answer by its question: same identifier, same question section."""

    kept = _Open

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.truncated: dict[int, list[Truncated]] = {}  #: by process
        self.failed: dict[int, list[Failed]] = {}  #: by process
        self.resolved: set[tuple[int, str]] = set()  #: (process, name) for which an answer had records
        self._count = 0
        #: (process, port) -> when a TCP connection to it was last begun
        self._again: Recent[tuple[int, int], int] = Recent(_NAMES)
        #: (process, question) -> when a whole answer last came
        self._whole: Recent[tuple[int, bytes], int] = Recent(_NAMES)

    @returned(*WRITES, of="udp")
    def asked(self, call: CallFacts) -> None:
        """A question."""
        socket, head = call.socket, call.payload
        if socket is None or not call.succeeded or len(head) <= _HEADER + 4:
            return
        where = call.address or socket.remote
        # A query: QR and opcode 0, one question (RFC 1035, 4.1.1).
        if where is None or head[2] & 0xF8 or head[4:6] != b"\0\1":
            return
        questions = self.keep(socket).questions
        if len(questions) < _OPEN:
            questions[head[:2]] = (call, where, _question(head))

    @returned(*READS, given=True)
    def answered(self, call: CallFacts) -> None:
        """An answer."""
        socket, head = call.socket, call.payload
        found: _Open | None = socket.kept.get(self.place) if socket is not None else None
        if found is None or not call.succeeded or len(head) <= _HEADER:
            return
        known = found.questions.get(head[:2])
        if known is None or not head[2] & 0x80:
            return
        question, server, name = known
        if _question(head)[: len(name)] != name[: len(head) - _HEADER]:
            return
        process = call.call.process
        code = head[3] & 0x0F
        if code and self._count < _KEPT:
            self._count += 1
            self.failed.setdefault(process, []).append(Failed(question, call, server, _name(name), code))
        elif not code and head[6:8] != b"\0\0" and len(self.resolved) < _NAMES:
            self.resolved.add((process, _name(name)))
        if not head[2] & 0x02:
            self._whole[process, name] = call.end_ns
        elif self._count < _KEPT:
            self._count += 1
            self.truncated.setdefault(process, []).append(Truncated(question, call, server, name))

    @returned("connect")
    def again(self, call: CallFacts) -> None:
        """A connection, perhaps to ask for the whole answer."""
        if call.socket is not None and call.socket.tcp and call.address is not None:
            self._again[call.call.process, call.address.port] = call.entry_ns

    def used_as_it_is(self, one: Truncated) -> bool:
        """Whether the program was content with a cut answer: no connection to that port, no whole answer afterwards."""
        process, since_ns = one.answer.call.process, one.answer.end_ns
        return (
            self._again.get((process, one.server.port), -1) < since_ns
            and self._whole.get((process, one.asked), -1) < since_ns
        )


def _question(message: bytes) -> bytes:
    """The question section, as far as it is there: labels up to the empty one, type and class."""
    message = message[: _HEADER + 260]  # a name takes 255 bytes at most
    end = message.find(b"\0", _HEADER)
    return message[_HEADER : end + 5] if end >= 0 else message[_HEADER:]


def _name(question: bytes) -> str:
    """The name in a question section, in small letters; of one that was cut what is there."""
    labels = []
    at = 0
    while at < len(question) and 0 < question[at] <= 63:
        label = question[at + 1 : at + 1 + question[at]]
        labels.append("".join(chr(byte) if 33 <= byte < 127 else f"\\{byte:03}" for byte in label).lower())
        at += 1 + question[at]
    return ".".join(labels) or "."
