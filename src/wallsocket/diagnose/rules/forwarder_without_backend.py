"""A forwarder accepted for a server that is not there."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.forwarders import Forwarders
from ..trackers.reads import Reads
from ..trackers.writes import Writes

__all__ = ["ForwarderWithoutBackend"]

#: Between the failure of the onward connection and the close.
_AFTER_NS = 1_000_000_000


class ForwarderWithoutBackend(Rule):
    """accept, a failed connect, close without a byte."""

    id = "forwarder-without-backend"
    title = "the forwarder accepts, finds nobody behind it, and closes"
    covers = (106,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A port forwarder or proxy (docker-proxy, ssh -L, kubectl port-forward, a load balancer) accepts before it "
        "connects to the server behind it. When that fails it can only close: the client was connected and sees the "
        "end or a reset without a byte."
    )
    symptoms = (
        "connects and is closed at once",
        "empty reply from server",
        "connection reset by peer",
        "EOF right after connect",
    )
    proof = (
        "A process accepted a connection, its own connect to another address failed afterwards, and within a second "
        "it closed the accepted one without having sent a byte."
    )
    fix = "Start what is behind the forwarder, or correct the address to which it forwards."
    disproof = "The failed connection was for another client."
    references = ("connect(2)", "RFC 9110 15.6.3")
    needs = (Closing, Forwarders, Reads, Writes)
    effects = (
        "close-with-unread-data",
        "ended-before-answer",
        "peer-process-died",
        "write-after-peer-closed",
        "mapped-address",
    )
    supersedes = ("nobody-listens",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if (
            subject.ended_ns is None
            or subject.origin != "accept"
            or not subject.stream
            or facts[Writes].of(subject).bytes
        ):
            return
        closed, ended = facts[Closing].last_close(subject), facts[Closing].ended_by(subject)
        if closed is not None:
            at_ns, last = closed.entry_ns, closed.proof()
        elif ended is not None and not facts.killed(ended):
            at_ns, last = subject.ended_ns, facts.process_proof(ended, f"{facts.who(ended.id)} ended", subject.ended_ns)
        else:
            return
        found = facts[Forwarders].failed_for(subject, at_ns)
        if found is None or at_ns - found[1].end_ns > _AFTER_NS:
            return
        connect, seen = found
        left = facts[Reads].of(subject).zero_last
        if left is not None and left.end_ns < connect.entry_ns:
            # The client had gone before.
            return
        yield Evidence(
            self,
            at_ns,
            f"{facts.who(subject.process)} had accepted a client on {subject.local}, could not connect to "
            f"{connect.address} for it, "
            "and closed it without an answer.",
            [connect.proof(), *([seen.proof()] if seen is not connect else []), last],
            call=connect.call,
            socket=subject.id,
            process=subject.process,
            certainty="strong",
            covers=(*self.covers, 107) if errno.ECONNREFUSED in (connect.errno, seen.errno, seen.option_number) else (),
            subjects=frozenset({connect.call.socket} if connect.call.socket is not None else ()),
        )
