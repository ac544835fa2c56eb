"""A process that was told to end waits for its connections."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.listeners_closed import ListenersClosed
from ..trackers.signals import Signals
from ..trackers.sockets import Sockets

__all__ = ["ShutdownWaits"]

_LEAST_NS = 2_000_000_000


class ShutdownWaits(Rule):
    """After SIGTERM the listener is closed, and idle connections keep the process."""

    id = "shutdown-waits"
    title = "the process does not end after SIGTERM: it waits for open connections"
    covers = (142,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A graceful end waits until the last connection is closed. Idle keep-alive connections, streams and clients that never "
        "leave hold it for as long as they like."
    )
    symptoms = ("does not stop", "killed after the grace period", "docker stop takes 10 s", "SIGKILL")
    proof = (
        "SIGTERM was delivered, then the listener was closed, connections were still open two seconds later, and the process "
        "lived on or was killed."
    )
    fix = "Close idle connections at once and the rest after a limit (closeIdleConnections, a shutdown timeout)."
    disproof = "The process was busy with something else than its connections."
    references = ("signal(7)", "shutdown(2)")
    subject = "process"
    needs = (ListenersClosed, Signals, Sockets)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        term = facts[Signals].first(subject.id, "SIGTERM", "SIGINT")
        closed = facts[ListenersClosed].of(subject.id)
        # A handler closes at once, and neither moment is exact: what counts is that the close had not returned.
        if term is None or closed is None or closed.end_ns < term.at_ns:
            return
        row = facts.process(subject.id)
        until_ns = row.ended_ns if row is not None and row.ended_ns is not None else facts.now_ns
        if until_ns - closed.end_ns < _LEAST_NS:
            return
        open_ones = [
            socket
            for socket in facts[ListenersClosed].connections(subject.id)
            if socket.created_ns < closed.entry_ns
            and (socket.ended_ns is None or socket.ended_ns - closed.end_ns >= _LEAST_NS)
        ]
        if not open_ones:
            return
        rows = [Proof("calls", "mark", term.id, term.at_ns, f"{term.text} delivered"), closed.proof()]
        rows += [
            one.last.proof(f"{one.name()}: {one.last.state_name}, {one.last.receive_queue or 0} bytes to read")
            for one in open_ones[:4]
            if one.last is not None
        ]
        number = f"{len(open_ones)} connections are" if len(open_ones) > 1 else "a connection is"
        yield Evidence(
            self,
            closed.end_ns,
            f"{facts.who(subject.id)} closed its listener after {term.text} and lived on for "
            f"{(until_ns - closed.end_ns) / 1e9:.1f} s: {number} still open.",
            rows,
            call=closed.call,
            process=subject.id,
            severity="warning",
            certainty="strong",
            subjects=frozenset(one.id for one in open_ones),
        )
