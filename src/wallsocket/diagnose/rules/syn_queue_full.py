"""More handshakes are under way than the listener keeps."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound
from ..trackers.counters import Counters
from ..trackers.set_up import SetUp

__all__ = ["SynQueueFull"]


class SynQueueFull(Rule):
    """More handshakes are under way than the listener keeps."""

    id = "syn-queue-full"
    title = "the queue of half-open connections is full"
    covers = (70,)
    severity = "warning"
    certainty = "certain"
    layers = ("kernel",)
    sentence = (
        "Between SYN and the last ACK a connection stands in the listener's queue of half-open ones, which is at "
        "most as long as the backlog. Beyond it the kernel answers with SYN cookies (without window scale, SACK …), "
        "or drops the SYN where they are off."
    )
    symptoms = (
        "possible SYN flooding on port",
        "SYN cookies",
        "SYN_RECV",
        "handshake lost",
        "connect slow under load",
        "TCPReqQFullDoCookies",
    )
    proof = (
        "TCPReqQFullDoCookies or TCPReqQFullDrop of the listener's network namespace rose, and no other TCP listener "
        "was traced there."
    )
    fix = (
        "Find out who sends SYNs and never finishes; a larger backlog, tcp_max_syn_backlog and somaxconn for real load."
    )
    disproof = "Another listener of the same namespace was meant."
    references = ("tcp(7)", "RFC 4987")
    subject = "listener"
    needs = (Bound, Counters, SetUp)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp:
            return
        cookies, cookie_row = facts[Counters].risen(subject, "TcpExtTCPReqQFullDoCookies")
        drops, drop_row = facts[Counters].risen(subject, "TcpExtTCPReqQFullDrop")
        if not cookies and not drops:
            return
        alone = facts[Bound].tcp_listeners == 1
        set_up = facts[SetUp].of(subject)
        rows = [row for row in (cookie_row, drop_row) if row is not None]
        if set_up.listen is not None:
            rows.append(set_up.listen.proof())
        last = subject.last
        queue = last.send_queue if last is not None else None
        if last is not None and queue is not None:
            rows.append(last.proof(f"backlog in force {queue}, accept queue {last.receive_queue}"))
        done = [f"{cookies} SYNs were answered with cookies"] if cookies else []
        done += [f"{drops} SYNs were dropped"] if drops else []
        yield Evidence(
            self,
            rows[0].at_ns,
            f"The kernel found the queue of half-open connections full; {' and '.join(done)}. "
            f"{subject.local} {'is the only listener that was traced' if alone else 'is one of the listeners'} there"
            f"{f', its backlog is {queue}' if queue is not None else ''}; accept took {set_up.accepts} connections.",
            rows,
            call=set_up.listen.call if set_up.listen is not None else None,
            socket=subject.id,
            process=subject.process,
            certainty="certain" if alone else "hint",
            severity="warning" if alone else "note",
        )
