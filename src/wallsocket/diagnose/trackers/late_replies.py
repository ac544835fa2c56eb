"""Answers by datagram that came when the asker had given up."""

from __future__ import annotations

from collections import deque

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Tracker, on_retire, returned
from ..vocabulary import POLL_CALLS, READS, WRITES
from .questions import Questions

__all__ = ["LateReplies", "Tries", "Try"]

_ENDS = 10_000
_KEPT = 32


class Try:
    """One question and what became of it."""

    __slots__ = ("gave_up", "reply", "sent")

    def __init__(self, sent: CallFacts) -> None:
        self.sent = sent
        self.gave_up: CallFacts | None = None  #: the wait that ended, the next question, or the close
        self.reply: CallFacts | None = None  #: the send of the answer, when it came after that

    @property
    def limit_ns(self) -> int:
        """For how long the asker waited."""
        return self.gave_up.end_ns - self.sent.end_ns if self.gave_up is not None else 0

    @property
    def needed_ns(self) -> int:
        """How long the answer took to be sent."""
        return self.reply.entry_ns - self.sent.end_ns if self.reply is not None else 0


class Tries:
    """What one process asked one destination."""

    __slots__ = ("count", "late", "read_ns", "sent_ns", "timely", "vain_ns")

    def __init__(self) -> None:
        self.late: list[Try] = []
        self.count = 0  #: questions
        self.timely = 0  #: answers that were sent while the asker waited
        self.sent_ns = -1  #: when it last asked
        self.read_ns = -1  #: when it last read something from there
        self.vain_ns = -1  #: when a wait for it was last in vain

    @property
    def content(self) -> bool:
        """Whether what came last was taken: something was read, and nothing asked or waited for afterwards."""
        return self.read_ns > max(self.sent_ns, self.vain_ns)


class LateReplies(Tracker):
    """Joins questions with the answers of traced servers, in their order for each asking port."""

    needs = (Questions,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._questions = facts[Questions]
        self.of: dict[tuple[int, Address], Tries] = {}  #: by process and destination
        self._open: dict[tuple[int, int], deque[tuple[Try, Tries]]] = {}  # (asker's port, server's port)
        self._pending: dict[int, tuple[Try, Tries]] = {}  # asking socket -> its latest question, while it is open

    @returned(*WRITES, of="udp")
    def sent(self, call: CallFacts) -> None:
        """A question, or an answer."""
        socket = call.socket
        if socket is None or not call.succeeded:
            return
        where = call.address or socket.remote
        if where is None or where.many:
            return
        facts = self._questions.of(socket)
        if where in facts.callers:
            self._answered(socket, where, call)
        elif where in facts.asked:
            self._give_up(socket.id, call)
            tries = self.of.get((call.call.process, where))
            if tries is None:
                if len(self.of) >= _ENDS:
                    return
                tries = self.of[call.call.process, where] = Tries()
            tries.sent_ns = call.end_ns
            tries.count += 1
            if socket.local is not None and len(self._open) < _ENDS:
                one = Try(call)
                self._pending[socket.id] = (one, tries)
                self._open.setdefault((socket.local.port, where.port), deque(maxlen=_KEPT)).append((one, tries))

    def _answered(self, socket: SocketFacts, asker: Address, call: CallFacts) -> None:
        local = socket.local
        queue = self._open.get((asker.port, local.port)) if local is not None else None
        if not queue:
            return
        one, tries = queue.popleft()
        if one.gave_up is None or one.gave_up.end_ns > call.entry_ns:
            tries.timely += 1
        elif len(tries.late) < _KEPT:
            one.reply = call
            tries.late.append(one)

    @returned(*READS, of="udp")
    def read(self, call: CallFacts) -> None:
        """Something came, or the wait ended."""
        socket = call.socket
        if socket is None:
            return
        if not call.succeeded:
            self._in_vain(socket, call)
            return
        tries = self._tries(socket, call)
        if tries is not None:
            tries.read_ns = call.end_ns

    def _tries(self, socket: SocketFacts, call: CallFacts) -> Tries | None:
        where = call.address or socket.remote
        if where is None:
            latest = self._questions.of(socket).latest
            where = latest.where if latest is not None else None
        return self.of.get((call.call.process, where)) if where is not None else None

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """The wait ended."""
        if call.socket is not None and call.socket.udp:
            self._in_vain(call.socket, call)

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """Nobody waits any more."""
        if call.socket is None:
            return
        pending = self._pending.get(call.socket.id)
        if pending is not None and pending[1].read_ns < pending[0].sent.end_ns:
            self._give_up(call.socket.id, call)

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """It ended without a close, as with its process."""
        self._pending.pop(socket.id, None)

    def _in_vain(self, socket: SocketFacts, call: CallFacts) -> None:
        if call.succeeded and call.result:
            return
        tries = self._tries(socket, call) if (call.call.took_ns or 0) > 1_000_000 else None
        if tries is not None:
            tries.vain_ns = call.end_ns
        vain = self._questions.of(socket).in_vain
        if vain and vain[-1][1] is call:
            self._give_up(socket.id, call)

    def _give_up(self, socket: int, call: CallFacts) -> None:
        pending = self._pending.pop(socket, None)
        if pending is not None and pending[0].gave_up is None:
            pending[0].gave_up = call
