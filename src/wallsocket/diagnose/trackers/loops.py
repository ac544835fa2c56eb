"""Loops that serve several sockets: what a thread did between two of its waits, and what waited for it meanwhile."""

from __future__ import annotations

from collections import deque

from ..call import CallFacts
from ..facts import Facts
from ..sample import Sample
from ..subjects import SocketFacts, Thread
from ..tracker import SocketTracker, entered, on_end, on_sample, returned
from ..vocabulary import ACCEPTS, CLOSE_WAIT, EPOLL_WAITS, LISTEN, POLL_CALLS, POLLOUT, READS
from .polls import Polls
from .sockets import Sockets

__all__ = ["Gap", "Loops", "QueueFacts", "Waited"]

#: What waits for less is no symptom.
_LEAST_NS = 300_000_000
#: Gaps of one thread that are kept, threads that are told apart, and sockets of one loop that are looked at.
_GAPS = 16
_THREADS = 10_000
_SOCKETS = 4_096
#: Epoll instances of one thread.
_SETS = 8
#: Entries of a poll for one listener: itself, and pipes by which a runtime wakes itself.
_FEW = 3
_WAITS = (*EPOLL_WAITS, *POLL_CALLS)


class QueueFacts:
    """What stands in the receive or accept queue of one socket."""

    __slots__ = ("since", "taker")

    def __init__(self) -> None:
        self.since: Sample | None = (
            None  #: the first sample with something in the queue since the program last took some
        )
        self.taker: tuple[int, int] | None = None  #: the thread that last took, or asked whether there is, something


class Waited:
    """Something that waited in a queue while a loop was elsewhere."""

    __slots__ = ("sample", "socket", "until_ns", "where")

    def __init__(self, socket: SocketFacts, sample: Sample, until_ns: int) -> None:
        self.socket = socket
        self.sample = sample  #: the first one that shows it
        self.until_ns = until_ns
        self.where = socket.name()

    @property
    def took_ns(self) -> int:
        """For how long it waited."""
        return self.until_ns - self.sample.at_ns

    @property
    def connections(self) -> bool:
        """Whether connections waited for accept, rather than bytes for a read."""
        return self.sample.state == LISTEN


class Gap:
    """What one thread did between two waits of its loop."""

    __slots__ = ("after", "before", "begin", "end", "longest", "longest_ns", "silent_ns", "waited")

    def __init__(self, begin: CallFacts) -> None:
        self.begin = begin  #: the wait, or accept, that it came from
        self.end: CallFacts | None = None  #: the next one; ``None``: it never came back
        self.longest: CallFacts | None = None  #: the call that took longest …
        self.longest_ns = -1  #: … and how long
        self.silent_ns = 0  #: the longest time in no recorded call …
        self.before: CallFacts = begin  #: … after this one …
        self.after: CallFacts | None = None  #: … and before this one
        self.waited: list[Waited] = []

    @property
    def begin_ns(self) -> int:
        """When it left the wait."""
        return self.begin.end_ns


class _Loop:
    __slots__ = ("gap", "gaps", "polls", "previous", "served", "sockets")

    def __init__(self) -> None:
        self.gap: Gap | None = None
        self.gaps: deque[Gap] = deque(maxlen=_GAPS)
        self.polls = False  # it waits for sets of sockets
        self.previous: CallFacts | None = None
        self.served = 0
        self.sockets: dict[int, None] = {}  # that it takes from


class Loops(SocketTracker[QueueFacts]):
    """Follows threads from wait to wait, and the queues of the sockets that they serve."""

    needs = (Sockets, Polls)
    kept = QueueFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: thread -> its loops: by the epoll instance that they wait for, all other waits together
        self._loops: dict[tuple[int, int], dict[int, _Loop]] = {}

    # -- queues

    @on_sample(of="stream", queued=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """Something came into a queue."""
        if sample.destroyed or (sample.receive_queue == 1 and sample.state == CLOSE_WAIT):
            return  # the peer's FIN counts as a byte until it is read
        facts = self.keep(socket)
        if facts.since is None:
            facts.since = sample

    # -- threads

    @returned()
    def went(self, call: CallFacts) -> None:
        """Any call: how long it took, and how long the thread had been in none."""
        loops = self._loops.get(call.thread)
        if loops is None:
            return
        row = call.call
        for loop in loops.values():
            gap, previous = loop.gap, loop.previous
            loop.previous = call
            if gap is None or previous is None:
                continue
            silent_ns = row.entry_ns - previous.end_ns
            if silent_ns > gap.silent_ns:
                gap.silent_ns, gap.before, gap.after = silent_ns, previous, call
            took_ns = row.took_ns or 0
            if took_ns > gap.longest_ns:
                gap.longest, gap.longest_ns = call, took_ns

    @returned(*_WAITS)
    def waited(self, call: CallFacts) -> None:
        """A wait for a set of sockets returned: what is ready had waited during the gap before it."""
        loop = self._loop(call)
        if loop is None or self._aside(call):
            return
        loop.polls = loop.polls or not self._accepts_only(call)
        ready = self._ready(call) if call.result and call.result > 0 else []
        for socket in ready:
            self.keep(socket).taker = call.thread
            if len(loop.sockets) < _SOCKETS:
                loop.sockets[socket.id] = None
        self._close_gap(loop, call, ready)
        self._open_gap(loop, call)

    @returned(*ACCEPTS)
    def accepted(self, call: CallFacts) -> None:
        """A connection was taken; an accept that blocks is a wait as well."""
        listener = call.socket
        if listener is None:
            return
        facts = self.keep(listener)
        loop = self._loop(call)
        if loop is not None and not any(one.polls for one in self._loops[call.thread].values()):
            self._close_gap(loop, call, [listener])
            self._open_gap(loop, call)
        if call.succeeded:
            facts.since = None
        facts.taker = call.thread

    @returned(*READS, given=True)
    def read(self, call: CallFacts) -> None:
        """Bytes were taken."""
        if call.socket is not None:
            facts = call.socket.kept.get(self.place)
            if facts is not None:
                facts.since = None
                facts.taker = call.thread

    @entered(*_WAITS, *ACCEPTS, waited=True)
    def waits(self, call: CallFacts) -> None:
        """A wait that takes long is the end of a gap in which nothing waited."""
        loop = self._loops.get(call.thread, {}).get(_key(call))
        if loop is not None and (loop.polls or call.name in ACCEPTS) and not self._aside(call):
            loop.gap = None

    @on_end
    def finish(self) -> None:
        """Loops that never came back to their wait."""
        sockets = self.facts[Sockets]
        for loop in (loop for loops in self._loops.values() for loop in loops.values()):
            gap = loop.gap
            if gap is None:
                continue
            process = self.facts.process(gap.begin.call.process)
            until_ns = self.facts.now_ns
            if process is not None and process.ended_ns is not None:
                until_ns = min(until_ns, process.ended_ns)
            previous = loop.previous or gap.begin
            if until_ns - previous.end_ns > gap.silent_ns:
                gap.silent_ns, gap.before, gap.after = until_ns - previous.end_ns, previous, None
            for socket in sockets.those(loop.sockets):
                facts = self.of(socket)
                if facts.taker == gap.begin.thread:
                    self._note(gap, socket, facts.since, min(until_ns, socket.ended_ns or until_ns))
            if gap.waited:
                loop.gaps.append(gap)
            loop.gap = None

    # -- questions

    def gaps(self, thread: Thread) -> list[Gap]:
        """Gaps of a thread in which something waited for it."""
        loops = self._loops.get((thread.process, thread.tid), {})
        return [gap for loop in loops.values() for gap in loop.gaps]

    def polls(self, thread: Thread) -> bool:
        """Whether it is an event loop: it waits for sets of sockets."""
        return any(loop.polls for loop in self._loops.get((thread.process, thread.tid), {}).values())

    # -- inside

    def _loop(self, call: CallFacts) -> _Loop | None:
        loops = self._loops.get(call.thread)
        if loops is None:
            if len(self._loops) >= _THREADS:
                return None
            loops = self._loops[call.thread] = {}
        found = loops.get(_key(call))
        if found is None and len(loops) < _SETS:
            found = loops[_key(call)] = _Loop()
            found.previous = call
        return found

    def _aside(self, call: CallFacts) -> bool:
        """Whether a poll is no wait of the thread's loop, but one for a single socket: a call that blocks, by another name."""
        if call.name not in POLL_CALLS:
            return False
        loops, watched = self._loops.get(call.thread, {}), call.watched
        if any(number >= 0 for number in loops):
            return len(watched) == 1 and watched[0].number not in loops
        # A server of one client after the other: it waits for connections by poll as well.
        loop = loops.get(_key(call))
        if loop is None or not loop.sockets or len(watched) != 1:
            return False
        socket = next((socket for socket, _ in self.facts[Polls].watched(call)), None)
        if socket is None or socket.id in loop.sockets:
            return False
        return socket.last is None or socket.last.state != LISTEN

    def _accepts_only(self, call: CallFacts) -> bool:
        """Whether a poll waits for connections of one listener, as an accept that blocks does."""
        if call.name not in POLL_CALLS or len(call.watched) > _FEW:
            return False
        sockets = [socket for socket, _ in self.facts[Polls].watched(call)]
        return len(sockets) == 1 and sockets[0].last is not None and sockets[0].last.state == LISTEN

    def _open_gap(self, loop: _Loop, call: CallFacts) -> None:
        loop.served += 1
        if call.socket is not None and len(loop.sockets) < _SOCKETS:
            loop.sockets[call.socket.id] = None
        loop.gap = Gap(call)

    def _close_gap(self, loop: _Loop, call: CallFacts, ready: list[SocketFacts]) -> None:
        gap, loop.gap = loop.gap, None
        if gap is None or call.entry_ns - gap.begin_ns < _LEAST_NS:
            return
        gap.end = call
        for socket in ready:
            self._note(gap, socket, self.of(socket).since, call.entry_ns)
        if gap.waited:
            loop.gaps.append(gap)

    def _note(self, gap: Gap, socket: SocketFacts, since: Sample | None, until_ns: int) -> None:
        if since is not None and since.at_ns >= gap.begin_ns and until_ns - since.at_ns >= _LEAST_NS:
            gap.waited.append(Waited(socket, since, until_ns))

    def _ready(self, call: CallFacts) -> list[SocketFacts]:
        if call.name in POLL_CALLS:
            ready = [socket for socket, entry in self.facts[Polls].reported(call) if entry.returned & ~POLLOUT]
            return [call.socket] if not ready and call.socket is not None else ready
        alive = self.facts[Sockets].alive
        return [alive[number] for number in call.call.entry_sockets if number in alive]


def _key(call: CallFacts) -> int:
    """Which loop of its thread a wait belongs to: a library may run one of its own inside another."""
    number = call.call.fd if call.name in EPOLL_WAITS else None
    return -1 if number is None else number
