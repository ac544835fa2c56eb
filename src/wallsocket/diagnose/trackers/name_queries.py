"""Questions to name servers, and those that nobody answered."""

from __future__ import annotations

from collections import deque
from typing import Final

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Recent, Tracker, on_end, on_retire, returned
from ..vocabulary import READS, WRITES

__all__ = ["NameQueries", "Question"]

#: Questions that are followed at once, questions that nobody answered that are kept of one process, and answered ones.
_OPEN = 4096
_KEPT = 256
_ANSWERED = 20_000
_PORT: Final = 53
#: Ports of relatives of the DNS to which nobody need answer: NetBIOS names, multicast DNS, LLMNR.
_OTHERS: Final = frozenset({137, 5353, 5355})


class Question:
    """One datagram with a question, and what came of it."""

    __slots__ = ("again", "call", "name", "over_ns", "server", "socket")

    def __init__(self, call: CallFacts, socket: int, server: Address, name: str) -> None:
        self.call = call
        self.socket = socket
        self.server = server
        self.name = name
        self.again: CallFacts | None = None  #: the same question once more, here or to another server
        self.over_ns = 0  #: when it was asked again or given up

    @property
    def waited_ns(self) -> int:
        """How long nothing came."""
        return self.over_ns - self.call.end_ns


class NameQueries(Tracker):
    """Follows questions of the DNS (RFC 1035, 4.1) that go by UDP to port 53, or elsewhere and are nothing else."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._open: dict[tuple[int, bytes], Question] = {}
        self._of_socket: dict[int, set[tuple[int, bytes]]] = {}
        self._silent: dict[int, deque[Question]] = {}
        self._answered: Recent[tuple[int, bytes], int] = Recent(_ANSWERED)

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A datagram was sent."""
        socket = call.socket
        if socket is None or not call.succeeded or len(call.payload) < 17:
            return
        server = call.address or socket.remote
        if server is None or call.payload[2] & 0x80:
            return
        if server.port != _PORT and not (server.port not in _OTHERS and _plain_question(call.payload, call.moved)):
            return
        found = _question(call.payload)
        if found is None:
            return
        raw, name = found
        key = (call.call.process, raw)
        before = self._open.pop(key, None)
        if before is not None:
            before.again = call
            self._of_socket.get(before.socket, set()).discard(key)
            self._over(before, call.entry_ns)
        if len(self._open) < _OPEN:
            self._open[key] = Question(call, socket.id, server, name)
            self._of_socket.setdefault(socket.id, set()).add(key)

    @returned(*READS, of="udp")
    def read(self, call: CallFacts) -> None:
        """A datagram came, or the kernel told an error: in both cases nobody waits in silence."""
        socket = call.socket
        if socket is None or socket.id not in self._of_socket:
            return
        if call.errno is not None and call.errno not in (11, 4):
            for key in self._of_socket.pop(socket.id):
                self._open.pop(key, None)
        elif call.moved > 12:
            found = _question(call.payload)
            keys = self._of_socket[socket.id]
            for key in [key for key in keys if found is None or key[1] == found[0]]:
                keys.discard(key)
                self._open.pop(key, None)
                self._answered[key] = call.end_ns

    @on_retire
    def ended(self, socket: SocketFacts) -> None:
        """A socket was closed: its questions were given up."""
        for key in self._of_socket.pop(socket.id, ()):
            question = self._open.get(key)
            if question is not None and question.socket == socket.id:
                del self._open[key]
                self._over(question, socket.ended_ns or self.facts.now_ns)

    @on_end
    def finish(self) -> None:
        """What is still waited for."""
        for question in self._open.values():
            row = self.facts.tables.sockets.get(question.socket)
            self._over(question, (row.ended_ns if row is not None else None) or self.facts.now_ns)
        self._open.clear()

    def _over(self, question: Question, at_ns: int) -> None:
        question.over_ns = at_ns
        process = question.call.call.process
        if process in self._silent or len(self._silent) < _OPEN:
            self._silent.setdefault(process, deque(maxlen=_KEPT)).append(question)

    def silent(self, process: int) -> list[Question]:
        """Questions of a process that nobody answered until they were asked again or given up."""
        return list(self._silent.get(process, ()))

    def answered(self, question: Question) -> bool:
        """Whether the same question was answered later, to the same process."""
        found = _question(question.call.payload)
        key = (question.call.call.process, found[0] if found is not None else b"")
        return self._answered.get(key, -1) > question.over_ns


def _question(payload: bytes) -> tuple[bytes, str] | None:
    """The first question of a message, in small letters, and its name; of a longer one what was kept of it."""
    labels: list[str] = []
    at = 12
    while at < len(payload):
        length = payload[at]
        if length == 0:
            return payload[12 : at + 5].lower(), ".".join(labels) or "."
        if length > 63:
            return None
        labels.append(payload[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return (payload[12:].lower(), ".".join(labels) + "…") if len(payload) >= 32 else None


def _plain_question(payload: bytes, size: int) -> bool:
    """Whether a datagram is one question of the Internet class and nothing else, but for an OPT record (RFC 6891)."""
    if len(payload) != size or payload[2] & 0x78 or payload[4:10] != b"\0\1\0\0\0\0" or payload[10]:
        return False
    found = _question(payload)
    if found is None:
        return False
    end = 12 + len(found[0])
    words = found[1].replace("-", "").replace("_", "").replace(".", "")
    alone = payload[11] == 0 and end == size
    with_option = payload[11] == 1 and payload[end : end + 3] == b"\0\0\x29"
    return words.isalnum() and payload[end - 2 : end] == b"\0\1" and (alone or with_option)
