"""Exchanges that stand still: one end has asked and waits, the other has read all of it and waits for more."""

from __future__ import annotations

from collections import deque

from ..call import CallFacts
from ..facts import Facts
from ..subjects import Connection, SocketFacts
from ..tracker import Recent, SocketTracker, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, POLLIN, READS, WRITES
from .peers import Peers
from .polls import Polls
from .reads import Reads
from .waits import Waits
from .writes import Writes

__all__ = ["STALL_NS", "Stall", "Stalls"]

#: Both ends wait for at least this long: what takes shorter may be an answer that is being made.
STALL_NS = 900_000_000
#: Long waits and writes of one process that are kept, and processes, the latest.
_KEPT = 32
_PROCESSES = 10_000


class Stall:
    """Nothing moves on a connection."""

    __slots__ = ("answerer", "asker", "asks", "from_ns", "message", "reads", "until_ns")

    def __init__(self, asker: SocketFacts, answerer: SocketFacts, asks: CallFacts, reads: CallFacts) -> None:
        self.asker = asker  #: it wrote last, and waits for the answer
        self.answerer = answerer  #: it has read everything, and waits for more
        self.asks = asks  #: the asker's wait
        self.reads = reads  #: the answerer's
        self.from_ns = 0
        self.until_ns = 0
        self.message: list[CallFacts] = []  #: what the asker wrote since it last read something

    @property
    def waited_ns(self) -> int:
        """For how long both waited."""
        return self.until_ns - self.from_ns

    @property
    def size(self) -> int:
        """Size of what the asker wrote since it last read something."""
        return sum(call.moved for call in self.message)

    def payload(self) -> bytes | None:
        """All of that, when it was recorded as a whole."""
        if any(len(call.payload) != call.moved for call in self.message):
            return None
        return b"".join(call.payload for call in self.message)


class LongReads:
    """Reads and polls of one socket that took long, whatever they brought."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest: deque[CallFacts] = deque(maxlen=4)


class Stalls(SocketTracker[LongReads]):
    """Finds them among the waits, and remembers what event loops waited for and what processes wrote elsewhere."""

    needs = (Peers, Polls, Reads, Waits, Writes)
    kept = LongReads

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: process -> long waits of event loops
        self._loops: Recent[int, deque[CallFacts]] = Recent(_PROCESSES)
        #: process -> (when, socket) of its latest writes
        self._writes: Recent[int, deque[tuple[int, int]]] = Recent(_PROCESSES)
        self._asked: tuple[SocketFacts, SocketFacts, int] | None = None
        self._latest: Stall | None = None  # the answer to what was asked last

    @returned(*EPOLL_WAITS, waited=True)
    def looped(self, call: CallFacts) -> None:
        """An event loop woke up."""
        if (call.call.took_ns or 0) >= STALL_NS:
            known = self._loops[call.call.process] = self._loops.get(call.call.process) or deque(maxlen=_KEPT)
            known.append(call)

    @returned(*READS, *POLL_CALLS, of="stream", waited=True)
    def waited(self, call: CallFacts) -> None:
        """A read or a poll returned."""
        if (call.call.took_ns or 0) >= STALL_NS and call.socket is not None:
            self.keep(call.socket).latest.append(call)

    @returned(*WRITES, moved=True)
    def wrote(self, call: CallFacts) -> None:
        """A process wrote."""
        socket = call.socket
        if socket is None or socket.origin == "socketpair":
            return
        latest = self._writes.get(call.call.process)
        if latest is None:
            latest = self._writes[call.call.process] = deque(maxlen=_KEPT)
        if latest and latest[-1][1] == socket.id:
            latest.pop()
        latest.append((call.end_ns, socket.id))

    def on(self, connection: Connection) -> Stall | None:
        """The stall in which a connection stood at its end, or stands."""
        one, other = connection
        if other is None or one.late or other.late or not one.stream:
            return None
        # Several rules ask about one connection after each other.
        asked = (one, other, self.facts.now_ns)
        if asked != self._asked:
            self._asked = asked
            self._latest = self._between(one, other) or self._between(other, one)
        return self._latest

    def loop_wait(self, socket: SocketFacts) -> CallFacts | None:
        """The latest long wait of the event loop that watches a socket; one that has not ended comes first."""
        now = self.facts[Waits].waiting_in(socket.process)
        waiting = [call for call in now if call.name in EPOLL_WAITS]
        return next(iter((*waiting, *reversed(self._loops.get(socket.process, ())))), None)

    def _between(self, asker: SocketFacts, answerer: SocketFacts) -> Stall | None:
        facts = self.facts
        wrote, read = facts[Writes].of(asker), facts[Reads].of(answerer)
        last_write, last_read = wrote.last, read.last
        if last_write is None or last_read is None or wrote.bytes != read.bytes:
            return None
        asks = self._wait(asker, last_write.end_ns, timers=True)
        reads = self._wait(answerer, last_read.end_ns, timers=asker.process == answerer.process)
        if asks is None or reads is None:
            return None
        stall = Stall(asker, answerer, asks, reads)
        stall.from_ns = max(asks.entry_ns, reads.entry_ns, last_read.end_ns, last_write.end_ns)
        stall.until_ns = min(facts[Waits].until_ns(asks), facts[Waits].until_ns(reads))
        if stall.waited_ns < STALL_NS:
            return None
        # Nothing came back in the meantime, and the one that reads did not ask somebody else.
        answers = facts[Writes].of(answerer).recent
        if any(last_read.end_ns < call.end_ns and call.entry_ns < stall.until_ns for call in answers):
            return None
        later = [call for call in answers if call.entry_ns >= stall.until_ns]
        if reads.name in EPOLL_WAITS:
            end = read.zero_last
            if any(end is None or call.entry_ns < end.end_ns for call in later):
                # The loop has answered without a byte more: somebody made the answer in the meantime.
                return None
        elif any(call.thread != reads.thread for call in later):
            return None
        elsewhere = self._writes.get(answerer.process, ())
        if any(
            last_read.entry_ns <= at_ns <= stall.until_ns and other not in (asker.id, answerer.id)
            for at_ns, other in elsewhere
        ):
            return None
        heard = facts[Reads].of(asker).last
        since_ns = heard.end_ns if heard is not None and heard.end_ns < last_write.end_ns else 0
        stall.message = [call for call in wrote.recent if call.entry_ns >= since_ns]
        return stall

    def _wait(self, socket: SocketFacts, after_ns: int, *, timers: bool) -> CallFacts | None:
        """The latest wait for something to read on a socket, begun after the last byte had moved.

        Of an event loop one that watches the socket; without ``timers`` one that had nothing else to do.
        """
        waits = self.facts[Waits].of(socket)
        for call in (*waits.now.values(), *reversed(self.of(socket).latest), *reversed(waits.long)):
            reading = call.name in READS or call.name in EPOLL_WAITS
            if call.name in POLL_CALLS:
                reading = call.entry_ns >= after_ns and (
                    any(entry.events & POLLIN for entry in call.watched) or not call.watches
                )
            if reading and call.entry_ns >= after_ns:
                return call
        if not self.facts[Polls].of(socket).event_loop:
            return None
        waiting = self.facts[Waits].waiting
        now = [call for (process, _), call in waiting.items() if process == socket.process] if len(waiting) < 64 else []
        for call in (*now, *reversed(self._loops.get(socket.process, ()))):
            if call.name not in EPOLL_WAITS or self.facts[Waits].until_ns(call) <= after_ns + STALL_NS:
                continue
            if timers or (call.timeout_ms or 0) < 0:
                return call
        return None
