"""Echo requests and replies of programs that ping by themselves (RFC 792, RFC 4443)."""

from __future__ import annotations

import errno
from collections import deque
from typing import NamedTuple

from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, entered, returned
from ..vocabulary import (
    AF_INET,
    AF_INET6,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    POLL_CALLS,
    READS,
    SOCK_DGRAM,
    SOCK_RAW,
    WRITES,
)

__all__ = ["Echo", "EchoFacts", "Echoes"]

#: Requests of one socket that replies are compared with.
_SENT = 64
_REQUESTS = (8, 128)
_REPLIES = (0, 129)


class Echo(NamedTuple):
    """The head of an echo request or reply."""

    type: int
    identifier: int
    sequence: int
    data: bytes
    call: CallFacts


class EchoFacts:
    """What one ICMP socket sent and read."""

    __slots__ = ("_foreign", "_replaced", "answered", "foreign", "identifiers", "replaced", "sent")

    def __init__(self) -> None:
        self.sent: deque[Echo] = deque(maxlen=_SENT)
        self.identifiers: set[int] = set()
        self.answered: set[int] = set()  #: sequence numbers of requests whose data came back, whatever the identifier
        #: (request, reply of another identifier with its number and data, the wait after it that was in vain)
        self.replaced: list[tuple[Echo, Echo, CallFacts]] = []
        #: (latest request, reply that belongs to none of ours, and was not followed by another read)
        self.foreign: list[tuple[Echo, Echo]] = []
        self._replaced: tuple[Echo, Echo] | None = None
        self._foreign: tuple[Echo, Echo] | None = None


def _echo(socket: SocketFacts, call: CallFacts, *, received: bool) -> Echo | None:
    raw = call.payload
    if socket.type == SOCK_RAW and socket.family == AF_INET and received:
        # raw(7): an IPv4 raw socket reads the IP header as well.
        raw = raw[(raw[0] & 0xF) * 4 :] if raw and raw[0] >> 4 == 4 else b""
    if len(raw) < 8 or raw[0] not in (_REPLIES if received else _REQUESTS):
        return None
    return Echo(raw[0], int.from_bytes(raw[4:6], "big"), int.from_bytes(raw[6:8], "big"), raw[8:], call)


class Echoes(SocketTracker[EchoFacts]):
    """Compares what a program asked with what it read."""

    kept = EchoFacts

    def _of(self, socket: SocketFacts | None) -> EchoFacts | None:
        icmp = ((AF_INET, IPPROTO_ICMP), (AF_INET6, IPPROTO_ICMPV6))
        if socket is None or socket.type not in (SOCK_DGRAM, SOCK_RAW) or (socket.family, socket.protocol) not in icmp:
            return None
        return self.keep(socket)

    @returned(*WRITES, of="messages")
    def asked(self, call: CallFacts) -> None:
        """A request went out."""
        facts = self._of(call.socket) if call.succeeded else None
        if facts is None or call.socket is None:
            return
        self._settle(facts)
        request = _echo(call.socket, call, received=False)
        if request is not None:
            facts.sent.append(request)
            facts.answered.discard(request.sequence)
            if len(facts.identifiers) < 4096:
                facts.identifiers.add(request.identifier)

    @returned(*READS, of="messages")
    def read(self, call: CallFacts) -> None:
        """Something came, or nothing did."""
        facts = self._of(call.socket)
        if facts is None or call.socket is None:
            return
        if call.errno == errno.EAGAIN:
            self._in_vain(facts, call)
            return
        facts._foreign = None
        reply = _echo(call.socket, call, received=True) if call.succeeded else None
        if reply is None or not facts.sent:
            return
        if reply.identifier in facts.identifiers:
            facts._replaced = None
            if len(facts.answered) < 4096:
                facts.answered.add(reply.sequence)
            return
        if call.socket.type == SOCK_DGRAM:
            ours = [
                one
                for one in facts.sent
                if one.sequence == reply.sequence and one.data[: len(reply.data)] == reply.data[: len(one.data)]
            ]
            facts._replaced = (ours[-1], reply) if ours else None
            if ours and len(facts.answered) < 4096:
                facts.answered.add(reply.sequence)
        else:
            facts._foreign = (facts.sent[-1], reply)

    @returned(*POLL_CALLS, of="messages")
    def polled(self, call: CallFacts) -> None:
        """A wait for this socket ended."""
        facts = self._of(call.socket)
        if facts is None:
            return
        facts._foreign = None
        if call.result == 0:
            self._in_vain(facts, call)

    @entered(*READS, *POLL_CALLS, of="messages", waited=True)
    def waits(self, call: CallFacts) -> None:
        """A wait that may never end."""
        facts = self._of(call.socket)
        if facts is not None and call.unfinished:
            self._in_vain(facts, call)

    @returned("close", of="messages")
    def closed(self, call: CallFacts) -> None:
        """Nothing more is read."""
        facts = self._of(call.socket)
        if facts is not None:
            self._settle(facts)

    def _in_vain(self, facts: EchoFacts, call: CallFacts) -> None:
        found = facts._replaced
        # With another request still open, the wait may be for that one's reply.
        others = any(one.sequence not in facts.answered for one in facts.sent)
        if found is not None and not others and len(facts.replaced) < 64:
            facts.replaced.append((*found, call))
        facts._replaced = None

    def _settle(self, facts: EchoFacts) -> None:
        """The program has taken what it read for its answer, or given it up: it goes on."""
        if facts._foreign is not None and len(facts.foreign) < 64:
            facts.foreign.append(facts._foreign)
        facts._foreign = facts._replaced = None
