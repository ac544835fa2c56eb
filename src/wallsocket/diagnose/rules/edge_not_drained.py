"""Edge-triggered epoll, and the queue was not emptied after the event."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.edges import Edges
from ..vocabulary import LISTEN

__all__ = ["EdgeNotDrained"]

_LEAST_NS = 500_000_000


class EdgeNotDrained(Rule):
    """Edge-triggered epoll, and the queue was not emptied after the event."""

    id = "edge-not-drained"
    title = "edge-triggered epoll: the socket was not read until EAGAIN"
    covers = (97,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "With EPOLLET epoll_wait reports a socket once when something comes, not for as long as something is there. "
        "What is not taken then stays until the next packet comes, or for ever."
    )
    symptoms = (
        "epoll hangs",
        "EPOLLET",
        "edge triggered",
        "last bytes are read with the next message",
        "accept misses connections",
    )
    proof = (
        "After an event of a socket in an edge-triggered set the read filled its buffer (accept took one), the kernel "
        "showed more in the queue, and the thread slept in epoll_wait for half a second or more until the next event "
        "of the socket."
    )
    fix = "After each event read (accept) again and again until EAGAIN, or leave EPOLLET out."
    disproof = "The program remembers the sockets that it has not emptied, and comes back to them without an event."
    references = ("epoll(7)", "epoll_ctl(2)")
    needs = (Closing, Edges)
    given = Edges
    supersedes = ("one-recv-per-message",)
    effects = ("listener-closed-with-queue", "both-wait", "close-with-unread-data", "peer-process-died")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        edges = facts[Edges].of(subject)
        if edges.by_itself:
            return
        cases = [case for case in edges.cases if case.slept_ns >= _LEAST_NS]
        unfinished = facts[Edges].unfinished(subject)
        ended = bool(cases)
        if not cases and unfinished is not None and unfinished.slept_ns >= _LEAST_NS:
            cases = [unfinished]
        if not cases:
            return
        case = cases[0]
        sample = case.sample
        assert sample is not None
        closed = facts[Closing].last_close(subject)
        if not ended and closed is not None and closed.entry_ns - sample.at_ns < _LEAST_NS:
            # It was closed with what was left: the thread slept over other sockets.
            return
        connections = sample.state == LISTEN
        left = f"{sample.receive_queue} {'connections' if connections else 'bytes'}"
        rows = [case.event.proof(f"{case.event.text()}: the event")] if case.event is not None else []
        rows += [case.taken.proof(), sample.proof(f"{left} left in the queue")]
        if case.again is not None:
            rows.append(case.again.proof(f"{case.again.text()}: the next event of the socket"))
        # Runtimes that read on demand (Go's, Rust's) keep such sockets on purpose; they wait by epoll_pwait or come back later.
        own = case.event is not None and case.event.name == "epoll_wait" and case.event.thread == case.taken.thread
        yield Evidence(
            self,
            sample.at_ns,
            f"{case.taken.name} on {subject.name()} took "
            f"{'one connection' if connections else f'{case.taken.moved} bytes, as many as it asked for'}, and {left} "
            f"stayed; the thread slept in {case.event.name if case.event is not None else 'epoll_wait'} for "
            f"{case.slept_ns / 1e9:.1f} s "
            f"{'until the next event' if ended else 'and nothing woke it'}.",
            rows,
            call=case.taken.call,
            socket=subject.id,
            process=case.taken.call.process,
            certainty="strong" if own else "hint",
            severity="warning" if own else "note",
            count=len(cases),
            lost_ns=case.slept_ns,
        )
