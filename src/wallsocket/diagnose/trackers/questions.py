"""Who asks whom by datagrams, and which questions are open: by socket and far end."""

from __future__ import annotations

import errno
from collections import deque

from ..address import Address
from ..call import CallFacts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import MSG_ERRQUEUE, POLL_CALLS, READS, WRITES

__all__ = ["Question", "QuestionFacts", "Questions"]

#: Far ends of one socket that are told apart, and events of each kind that are kept.
_FAR_ENDS = 64
_KEPT = 16


class Question:
    """What one socket sent to one far end without having been spoken to by it before."""

    __slots__ = ("answered_ns", "answers", "first", "given_up", "last", "sends", "where")

    def __init__(self, where: Address, call: CallFacts) -> None:
        self.where = where
        self.first = call
        self.last = call  #: the latest send
        self.sends = 0
        self.answers = 0
        self.answered_ns = -1  #: when the latest answer was read
        self.given_up: CallFacts | None = None  #: the latest wait for an answer that was in vain

    @property
    def open(self) -> bool:
        """Whether nothing has come since the latest send."""
        return self.answered_ns < self.last.entry_ns


class QuestionFacts:
    """One datagram socket."""

    __slots__ = ("asked", "callers", "elsewhere", "in_vain", "latest")

    def __init__(self) -> None:
        self.asked: dict[Address, Question] = {}
        self.callers: set[Address] = set()  #: far ends that spoke first: what goes to them are answers
        self.latest: Question | None = None  #: asked last
        self.in_vain: deque[tuple[Question, CallFacts]] = deque(maxlen=_KEPT)  #: waits that ended without an answer
        #: reads from the port that was asked, on another host: (question, read)
        self.elsewhere: deque[tuple[Question, CallFacts]] = deque(maxlen=_KEPT)


class Questions(SocketTracker[QuestionFacts]):
    """Follows questions, answers, and waits in vain of each UDP socket."""

    kept = QuestionFacts

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A datagram went out."""
        socket = call.socket
        if socket is None or not call.succeeded:
            return
        where = call.address or socket.remote
        if where is None or not where.port:
            return
        facts = self.keep(socket)
        if where in facts.callers:
            return
        question = facts.asked.get(where)
        if question is None:
            if len(facts.asked) >= _FAR_ENDS:
                return
            question = facts.asked[where] = Question(where, call)
        question.last = call
        question.sends += 1
        facts.latest = question

    @returned(*READS, of="udp")
    def read(self, call: CallFacts) -> None:
        """A datagram came, or none."""
        socket = call.socket
        if socket is None or call.flags & MSG_ERRQUEUE:
            return
        if not call.succeeded:
            if call.errno == errno.EAGAIN and (call.call.took_ns or 0) > 1_000_000:
                self._in_vain(socket, call)
            return
        facts = self.keep(socket)
        where = call.address or socket.remote
        question = facts.asked.get(where) if where is not None else facts.latest
        if question is None and where is not None:
            question = self._asked_by_all(facts, where)
        if question is not None:
            question.answers += 1
            question.answered_ns = call.end_ns
            return
        if where is None:
            return
        latest = facts.latest
        if latest is not None and latest.open and where.port == latest.where.port:
            facts.elsewhere.append((latest, call))
        elif len(facts.callers) < _FAR_ENDS:
            facts.callers.add(where)

    @staticmethod
    def _asked_by_all(facts: QuestionFacts, where: Address) -> Question | None:
        """A question to a group or to all is answered from anybody's own address."""
        for question in facts.asked.values():
            if question.where.port == where.port and question.where.many:
                return question
        return None

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A wait for this socket alone ended."""
        if call.result == 0 and call.timeout_ms and call.socket is not None and call.socket.udp:
            self._in_vain(call.socket, call)

    def _in_vain(self, socket: SocketFacts, call: CallFacts) -> None:
        found = socket.kept.get(self.place)
        question = found.latest if found is not None else None
        if found is not None and question is not None and question.open:
            question.given_up = call
            found.in_vain.append((question, call))
