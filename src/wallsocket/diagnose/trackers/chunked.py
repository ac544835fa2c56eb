"""Requests with a chunked body, and what was answered."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..tracker import SocketTracker, returned
from ..vocabulary import READS, WRITES
from .messages import Message, Messages

__all__ = ["ChunkedFacts", "ChunkedRequests"]


class ChunkedFacts:
    """The first chunked request of one socket."""

    __slots__ = ("answered", "behind", "client", "refusal", "request", "unasked")

    def __init__(self) -> None:
        self.request: Message | None = None
        self.client = False  #: this end sent it
        self.answered = False
        self.behind: CallFacts | None = None  #: what came behind the answer, and is none
        self.refusal: Message | None = None  #: the first answer after it with a status from 400 on
        self.unasked = False  #: there are more answers than requests


class ChunkedRequests(SocketTracker[ChunkedFacts]):
    """Looks at the messages of both directions once a request has been chunked."""

    needs = (Messages,)
    kept = ChunkedFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._messages = facts[Messages]

    @returned(*WRITES, *READS, moved=True)
    def moved(self, call: CallFacts) -> None:
        """Bytes moved; the messages know them already."""
        socket = call.socket
        if socket is None or self._messages.place not in socket.kept:
            return
        both = self._messages.of(socket)
        found = socket.kept.get(self.place)
        if found is not None and found.answered and found.behind is None:
            answers = both.received if found.client else both.sent
            if answers.over is not None and answers.over[1] is call:
                found.behind = call
        for direction, client in ((both.sent, True), (both.received, False)):
            latest = direction.latest
            if latest is None or latest.call is not call:
                continue
            if latest.chunked and latest.status is None:
                facts = self.keep(socket)
                if facts.request is None:
                    facts.request, facts.client = latest, client
            elif latest.status is not None and latest.status >= 200 and self.place in socket.kept:
                facts = self.keep(socket)
                facts.answered = True
                requests = both.sent if client is False else both.received
                facts.unasked = facts.unasked or direction.count > requests.count
                if latest.status >= 400 and facts.refusal is None:
                    facts.refusal = latest
