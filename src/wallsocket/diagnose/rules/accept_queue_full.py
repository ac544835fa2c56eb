"""Connections come faster than the program accepts them."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.counters import Counters
from ..trackers.drops import Drops
from ..trackers.set_up import SetUp
from ..trackers.waits import Waits

__all__ = ["AcceptQueueFull"]

#: A queue that is over its limit for so long does not only have a bad moment.
_STAYS_NS = 500_000_000


class AcceptQueueFull(Rule):
    """Connections come faster than the program accepts them."""

    id = "accept-queue-full"
    title = "the accept queue is full: new connections are dropped"
    covers = (68,)
    severity = "error"
    certainty = "certain"
    layers = ("kernel",)
    sentence = (
        "The kernel completes handshakes by itself and keeps the connections in a queue until accept takes them. When "
        "the queue is longer than the backlog, further handshakes are dropped and clients try again after 1, 3, 7 s."
    )
    symptoms = ("connect timeout under load", "slow connect 1 second 3 seconds", "ListenOverflows", "SYN dropped")
    proof = (
        "A sample of the listener shows more connections than the backlog, and its drops or the namespace's "
        "ListenOverflows rose."
    )
    fix = "Call accept more often (in its own thread, before any work), and give listen a larger backlog."
    disproof = "The queue was never longer than the backlog; then the drops have another reason."
    references = ("listen(2)", "tcp(7)")
    pictures = "also"
    subject = "listener"
    needs = (Bound, Counters, Drops, SetUp, Waits)
    supersedes = ("loop-blocked", "syn-queue-full")
    effects = ("left-before-accept", "listener-closed-with-queue", "write-after-peer-closed")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp:
            return
        drops = facts[Drops].of(subject)
        last, full, dropped = drops.last, drops.fullest, drops.count
        overflows, counter = facts[Counters].risen(subject, "TcpExtListenOverflows")
        if not facts[Counters].private(subject.network):
            overflows, counter = 0, None
        now = subject.last
        stays = (
            full is not None
            and now is not None
            and (now.receive_queue or 0) > (now.send_queue or 0)
            and facts.now_ns - full.at_ns >= _STAYS_NS
            and subject.ended_ns is None
        )
        alone = overflows > 0 and dropped > 0 and facts[Bound].tcp_listeners == 1
        certain = (full is not None and (dropped > 0 or overflows > 0)) or alone
        if not certain and not stays:
            return
        set_up = facts[SetUp].of(subject)
        rows: list[Proof] = []
        queue = ""
        if full is not None:
            queue = f"{full.receive_queue} connections waited for accept, the limit is {full.send_queue}"
            rows.append(full.proof(f"accept queue {full.receive_queue}, backlog in force {full.send_queue}"))
        if dropped > 0 and last is not None:
            rows.append(last.proof(f"{last.drops} connection attempts dropped by socket {subject.id}"))
        if counter is not None:
            rows.append(counter)
        if set_up.listen is not None:
            rows.append(set_up.listen.proof())
        lost = max(dropped, overflows)
        why = f"On {subject.local} {queue or 'the queue was full'}"
        why += f"; {lost} packets of new connections were dropped." if lost else "; further connections are dropped."
        busy = next(iter(facts[Waits].waiting_in(subject.process)), None) if facts.pictures else None
        if busy is not None:
            why += f" {facts.who(subject.process)} does not accept: it {facts[Waits].doing(busy)}."
            rows.append(busy.proof())
        if not facts.pictures:
            why += f" accept was called {set_up.accepts} times{' since the trace began' if subject.late else ''}."
        yield Evidence(
            self,
            full.at_ns if full is not None else (last.at_ns if last is not None else 0),
            why,
            rows,
            call=set_up.listen.call if set_up.listen is not None else busy.call if busy is not None else None,
            socket=subject.id,
            process=subject.process,
            certainty="certain" if certain else "strong",
        )
