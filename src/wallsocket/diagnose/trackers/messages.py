"""HTTP/1 messages in the two directions of a stream: what their heads announce, and where they end.

The heads are read by the tracer (fact ``http`` of a call), as the recorded payload ends before them. A direction whose
borders are not known for sure is given up.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from ..._core import segments
from ...events import Fact
from ..call import CallFacts
from ..facts import Facts, json_list
from ..tracker import Recent, SocketTracker, on_fact, returned
from ..vocabulary import MSG_PEEK, READS, WRITES

__all__ = ["Direction", "Message", "MessageFacts", "Messages"]

#: Facts whose call has not come: those of calls that were lost let the oldest go.
_PENDING = 1_000
#: Requests whose response has not come.
_OPEN = 64
#: The shortest request: ``GET / HTTP/1.1`` and two line ends.
_SHORTEST = 18


class Message:
    """A message whose head was seen."""

    __slots__ = ("begin", "body", "call", "chunked", "end", "expects_continue", "head_end", "method", "status")

    def __init__(self, call: CallFacts, begin: int, head: dict[str, Any]) -> None:
        self.call = call  #: that moved its head
        self.begin = begin  #: position in the stream
        length, body = _number(head.get("head")), _number(head.get("body"))
        self.method: str | None = head["method"][:32] if isinstance(head.get("method"), str) else None
        self.status = _number(head.get("status"))
        self.chunked = head.get("chunked") is True
        self.expects_continue = head.get("expects_continue") is True
        self.head_end = None if length is None else begin + length  #: ``None``: the head came in several calls
        self.body = body  #: bytes announced; ``None``: the end is told otherwise
        self.end = None if self.head_end is None or body is None else self.head_end + body


class Direction:
    """The messages of one direction of a stream."""

    __slots__ = ("count", "excess", "latest", "lost", "over", "refused", "requests")

    def __init__(self) -> None:
        self.latest: Message | None = None
        self.count = 0  #: without interim responses (1xx)
        self.lost = False  #: the borders are not known from here on
        self.over: tuple[Message, CallFacts] | None = None  #: the first message that more bytes followed
        self.excess = 0  #: how many, at least
        self.requests: deque[Message] = deque(maxlen=_OPEN)  #: that have not been answered
        self.refused: Message | None = None  #: the latest response with a status from 400 on

    def moved(self, call: CallFacts, heads: list[Any], answered: Direction) -> None:
        """Bytes moved in this direction; ``answered`` is the other one."""
        begin = call.offset
        if self.lost or begin is None:
            self.lost = True
            return
        heads = [head for head in heads if isinstance(head, dict)]
        if not heads:
            self._body(call, begin, answered)
            return
        for head in heads:
            at = _number(head.get("at")) or 0
            message = Message(call, begin + at, head)
            self._begin(message, answered)
            if self.lost:
                return
            excess = _number(head.get("excess")) or 0
            if excess and message.end is not None and self.over is None:
                self.over, self.excess = (message, call), excess

    def _begin(self, message: Message, answered: Direction) -> None:
        self.latest = message
        status = message.status
        if status is None:
            self.requests.append(message)
            self.count += 1
            return
        if 100 <= status < 200:
            # 101 ends HTTP on this connection.
            self.lost = answered.lost = status == 101
            return
        self.count += 1
        if status >= 400:
            self.refused = message
        request = answered.requests.popleft() if answered.requests else None
        if request is None:
            return
        if request.method == "HEAD":
            message.body, message.end = 0, message.head_end
        elif request.method == "CONNECT" and status < 300:
            self.lost = answered.lost = True

    def _body(self, call: CallFacts, begin: int, answered: Direction) -> None:
        latest = self.latest
        if latest is None or latest.head_end is None:
            self.lost = True
            return
        if latest.end is None or begin + call.moved <= latest.end:
            return
        excess = call.moved - max(0, latest.end - begin)
        seen = call.payload[max(0, latest.end - begin) :]
        if excess < _SHORTEST and len(seen) == excess and not seen.strip():
            return
        if latest.status is None and answered.lost:
            # The answer was not understood, as of a client that reads it byte by byte: perhaps it was 101, and ended HTTP here.
            self.lost = True
            return
        if (
            seen
            and self.over is None
            and not (excess < _SHORTEST and segments.http_may_begin(seen, latest.status is None))
        ):
            self.over, self.excess = (latest, call), excess
        self.lost = True


class MessageFacts:
    """Both directions of one socket."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.sent = Direction()
        self.received = Direction()


class Messages(SocketTracker[MessageFacts]):
    """Follows HTTP/1 messages from head to head."""

    kept = MessageFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._pending: Recent[int, list[Any]] = Recent(_PENDING)

    @on_fact
    def announced(self, fact: Fact) -> None:
        """What the heads in a call announce; it comes before the end of the call."""
        if fact.kind == "http" and fact.call is not None:
            self._pending[fact.call] = json_list(fact.value)

    @returned(*WRITES, moved=True)
    def wrote(self, call: CallFacts) -> None:
        """Bytes were sent."""
        heads = self._pending.pop(call.call.id, None)
        facts = self._facts(call, heads)
        if facts is not None:
            facts.sent.moved(call, heads or [], facts.received)

    @returned(*READS, moved=True)
    def read(self, call: CallFacts) -> None:
        """Bytes were received."""
        heads = self._pending.pop(call.call.id, None)
        facts = self._facts(call, heads)
        if facts is not None:
            facts.received.moved(call, heads or [], facts.sent)

    def _facts(self, call: CallFacts, heads: list[Any] | None) -> MessageFacts | None:
        """What is kept of a call's socket; it begins with the first head, which must be the first of its direction."""
        socket = call.socket
        if socket is None or not socket.stream or call.flags & MSG_PEEK:
            return None
        if heads is None and self.place not in socket.kept:
            return None
        return self.keep(socket)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62 else None
