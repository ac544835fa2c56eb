"""Threads that wait: in which call, on which socket, for how long in vain."""

from __future__ import annotations

from collections import deque

from ...events import Fact, Known, Mark
from ..call import CallFacts
from ..facts import Facts, json_object
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import Recent, SocketTracker, entered, on_fact, on_mark, on_retire, on_sample, on_thread, returned
from ..vocabulary import EPOLL_WAITS, ESTABLISHED, INTERRUPTED, POLL_CALLS, POLLIN, READS, WRITES
from .reads import Reads

__all__ = ["LONG_WAIT_NS", "WaitFacts", "Waits", "watches_one", "while_waiting"]

#: A wait that is worth a question.
LONG_WAIT_NS = 1_000_000_000
#: Threads of one process that are told apart.
_THREADS = 1024
#: Threads whose interrupted waits are kept, the latest.
_INTERRUPTIONS = 1_000


#: Calls of a thread that waits for other threads, processes or signals.
_WAITS_FOR_OTHERS = frozenset(
    {"futex", "wait4", "waitid", "rt_sigtimedwait", "rt_sigsuspend", "pause", "rt_sigwaitinfo", "restart_syscall"}
)
#: Calls in words.
_DOING = {
    "clock_nanosleep": "sleeps",
    "nanosleep": "sleeps",
    "futex": "waits for a lock or another thread",
    "wait4": "waits for a child process",
    "waitid": "waits for a child process",
    "rt_sigtimedwait": "waits for a signal",
    "rt_sigsuspend": "waits for a signal",
    "pause": "waits for a signal",
}
#: What people call the calls that the C library makes of recv() and send().
_COMMON = {"recvfrom": "recv", "sendto": "send", "accept4": "accept", "epoll_pwait": "epoll_wait"}


class WaitFacts:
    """Who waits, and waited, on one socket."""

    __slots__ = ("long", "now", "woken")

    def __init__(self) -> None:
        self.now: dict[int, CallFacts] = {}  #: by thread: calls that have not returned
        self.long: deque[CallFacts] = deque(maxlen=8)  #: calls that waited for a second or more in vain
        self.woken: CallFacts | None = None  #: the latest long poll for this socket alone that came back


class Waits(SocketTracker[WaitFacts]):
    """Follows calls that take long, and knows the threads of each process."""

    needs = (Reads,)
    kept = WaitFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.threads: dict[int, set[int]] = {}  #: process -> threads that made calls, or were seen to run
        self.attached: dict[int, frozenset[int]] = {}  #: process that ran before the trace -> threads that it had
        self.waiting: dict[tuple[int, int], CallFacts] = {}  #: (process, thread) -> its unfinished call
        #: (process, thread) -> its latest long wait that a signal ended, such as Ctrl-C
        self.interrupted: Recent[tuple[int, int], CallFacts] = Recent(_INTERRUPTIONS)

    @on_thread
    def meet(self, process: int, tid: int) -> None:
        """A thread made its first call."""
        threads = self.threads.setdefault(process, set())
        if len(threads) < _THREADS:
            threads.add(tid)

    @entered(waited=True)
    def begin(self, call: CallFacts) -> None:
        """A call that takes long was entered."""
        self.waiting[call.thread] = call
        if call.socket is not None:
            self.keep(call.socket).now[call.call.tid] = call

    @returned(waited=True)
    def end(self, call: CallFacts) -> None:
        """It returned."""
        row = call.call
        if self.waiting.get(call.thread) is call:
            del self.waiting[call.thread]
        if call.socket is not None:
            now = self.keep(call.socket).now
            if now.get(row.tid) is call:
                del now[row.tid]
        if (row.took_ns or 0) < LONG_WAIT_NS:
            return
        if call.errno in INTERRUPTED:
            self.interrupted[row.process, row.tid] = call
            if call.socket is not None:
                call.socket.whole += 1  # whether it may wait is asked at the end
        else:
            self.interrupted.pop((row.process, row.tid), None)
        if call.socket is not None:
            enough = call.length if call.name in WRITES else 1
            if (call.result or 0) < enough:
                self.keep(call.socket).long.append(call)
            elif call.name in POLL_CALLS and watches_one(call):
                self.keep(call.socket).woken = call

    @on_sample(given=True, between=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """What a socket is while somebody waits for it."""
        if sample.state != ESTABLISHED and socket.tcp:
            return
        facts = socket.kept.get(self.place)
        if facts is not None:
            for wait in facts.now.values():
                wait.during = sample

    @on_retire
    def left(self, socket: SocketFacts) -> None:
        """A socket has ended, and somebody waits for it still: whether that may be is asked at the end."""
        facts = socket.kept.get(self.place)
        if facts is not None and facts.now:
            socket.whole += 1

    @on_fact
    def was_attached(self, fact: Fact) -> None:
        """The threads that a process had when it was attached to."""
        if fact.kind == "attached":
            found = json_object(fact.value)
            process, threads = found.get("process"), found.get("threads")
            if isinstance(process, int) and process in self.facts.tables.processes and isinstance(threads, list):
                self.attached[process] = frozenset(tid for tid in threads[:_THREADS] if isinstance(tid, int))

    @on_mark
    def ran(self, mark: Mark) -> None:
        """A thread that was in no call."""
        if mark.kind == "runs" and mark.process is not None and mark.tid is not None:
            self.meet(mark.process, mark.tid)

    # -- questions

    def unlimited(self, socket: SocketFacts, kind: frozenset[str]) -> list[CallFacts]:
        """Calls of ``READS`` or ``WRITES`` that have not returned, or waited long and brought nothing.

        A poll for one socket without a time limit, and an event loop with a task that awaits it, count as reading.
        """
        found = []
        facts = self.of(socket)
        ended = (facts.woken,) if kind is READS and facts.woken is not None and self._for_the_end(facts.woken) else ()
        for call in (*facts.long, *ended, *facts.now.values()):
            polls = kind is READS and call.name in POLL_CALLS and (call.timeout_ms or 0) < 0
            awaits = kind is READS and call.name in EPOLL_WAITS and call.call.known == Known.AWAITING
            if call.name in kind or awaits or (polls and watches_one(call)):
                found.append(call)
        return found

    def _for_the_end(self, poll: CallFacts) -> bool:
        """Whether a poll was woken by the end of the stream alone: it had waited in vain."""
        assert poll.socket is not None
        reads = self.facts[Reads].of(poll.socket)
        end = reads.zero_first
        return (
            end is not None
            and end.entry_ns >= poll.end_ns
            and (reads.last is None or reads.last.end_ns <= poll.entry_ns)
        )

    def in_vain(self, wait: CallFacts) -> bool:
        """Whether a wait had not come to its end when the recording, the program or a signal ended it."""
        return wait.unfinished or wait.errno in INTERRUPTED

    def until_ns(self, wait: CallFacts) -> int:
        """When a wait ended: the call returned, or its process ended, or not yet."""
        if wait.call.exit_ns is not None:
            return wait.call.exit_ns
        process = self.facts.process(wait.call.process)
        ended = process.ended_ns if process is not None else None
        return self.facts.now_ns if ended is None else ended

    def of_process(self, process: int) -> CallFacts | None:
        """A call that a thread of a process is in, if it is in one."""
        for tid in self.threads.get(process, ()):
            call = self.waiting.get((process, tid))
            if call is not None:
                return call
        return None

    def waiting_in(self, process: int) -> list[CallFacts]:
        """The calls that the threads of a process are in, the likeliest to hold the process up first.

        That is the main thread, unless it only waits for others, then threads on connections.
        """
        pid = self.facts.pid(process)

        def rank(call: CallFacts) -> tuple[bool, bool, int]:
            others = call.name in _WAITS_FOR_OTHERS or call.name in EPOLL_WAITS
            stream = call.socket is not None and call.socket.stream
            return call.call.tid != pid or others, not stream, call.call.tid

        found = [self.waiting.get((process, tid)) for tid in self.threads.get(process, ())]
        return sorted((call for call in found if call is not None), key=rank)

    def runs(self, process: int) -> bool:
        """Whether a thread of a process was in no call that waits."""
        return any((process, tid) not in self.waiting for tid in self.threads.get(process, ()))

    def loops(self, process: int) -> bool:
        """Whether a thread of a process waits for events."""
        return any(call.name in EPOLL_WAITS or call.name in POLL_CALLS for call in self.waiting_in(process))

    def doing(self, call: CallFacts) -> str:
        """What a thread that waits does, in words: ``sleeps at server.py:12``."""
        line = self.facts.line(call.call)
        name = _COMMON.get(call.name, call.name)
        if call.name in _DOING:
            text = f"{_DOING[call.name]} ({name})"
        else:
            text = f"waits in {name}"
            if call.socket is not None:
                text += " on " + (
                    "a Unix socket" if call.socket.unix and call.socket.local is None else call.socket.name()
                )
        return text + (f" at {line}" if line else "")

    def known_threads(self, process: int) -> set[int]:
        """The threads of a process, as far as they were seen."""
        return self.threads.get(process, set()) | self.attached.get(process, frozenset())


def watches_one(call: CallFacts) -> bool:
    """Whether a poll waits for bytes of one descriptor and for nothing else."""
    watched = call.watched
    # Of a poll that has not returned the number of entries is not recorded, but the entries are.
    return len(watched) == 1 and call.call.a in (None, 1) and bool(watched[0].events & POLLIN)


def while_waiting(wait: CallFacts) -> Sample | None:
    """What the socket was in a wait: the latest sample in it, else the one at its beginning or before."""
    return wait.during or wait.entry or wait.before
