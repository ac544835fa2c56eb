"""Connections that waited in the accept queue when the listener was closed."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..sample import Sample
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.harmed import Harmed
from ..trackers.set_up import SetUp
from ..vocabulary import LISTEN

__all__ = ["ListenerClosedWithQueue"]


class ListenerClosedWithQueue(Rule):
    """A listener was closed with connections in its queue."""

    id = "listener-closed-with-queue"
    title = "connections were reset: the listener was closed while they waited to be accepted"
    covers = (114,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The kernel completes handshakes before accept is called. Clients in the accept queue believe that they are connected; "
        "when the listener is closed they are reset, with whatever they have sent."
    )
    symptoms = ("connection reset at restart", "ECONNRESET during deployment", "connection reset by peer")
    proof = (
        "The kernel counted connections in the accept queue when the last descriptor of the listener was closed, and a traced "
        "client of that address was told ECONNRESET or EPIPE. Strong where the kernel was not asked: such a client had "
        "connected before, and no accept returned it."
    )
    fix = (
        "Stop what sends new clients, accept until the queue is empty, then close; or hand the socket to the successor."
    )
    disproof = "Another process had the listener open, too."
    references = ("listen(2)", "close(2)")
    subject = "listener"
    needs = (Closing, Harmed, SetUp)
    effects = ("write-after-peer-closed", "keep-alive-race", "nobody-listens")
    explains = (errno.ECONNRESET, errno.EPIPE)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp or subject.ended_ns is None:
            return
        closed = facts[Closing].last_close(subject)
        if facts.layer("kernel") is not None:
            if closed is not None:
                yield from self._by_clients(facts, subject, closed)
            return
        sample: Sample | None = closed.entry if closed is not None else subject.last
        if sample is None or sample.state != LISTEN or not sample.receive_queue:
            return
        process = facts[Closing].ended_by(subject)
        if closed is None and process is None:
            return
        if subject.local is not None and not facts[Harmed].by_listener(subject.local, subject.network):
            # Whoever waited there had gone, or is not traced and may have.
            return
        listen = facts[SetUp].of(subject).listen
        how = closed.text() if closed is not None else "the end of the process"
        rows = [sample.proof(f"{sample.receive_queue} connections in the accept queue of {subject.local}")]
        if closed is not None:
            rows.insert(0, closed.proof())
        elif process is not None:
            rows.insert(0, facts.process_proof(process, f"{facts.who(process.id)} ended", subject.ended_ns))
        call = closed or listen
        yield Evidence(
            self,
            subject.ended_ns,
            f"{sample.receive_queue} client{'s' if sample.receive_queue > 1 else ''} waited in the accept queue of "
            f"{subject.local} when {how} ended it: the kernel reset them.",
            rows,
            call=call.call if call is not None else None,
            socket=subject.id,
            process=subject.process,
            # Who kills a program from outside knows that its clients are cut off.
            severity="note" if process is not None and process.signal is not None else "error",
        )

    def _by_clients(self, facts: Facts, subject: SocketFacts, closed: CallFacts) -> Iterator[Judgement]:
        """Where nobody asked the kernel: clients that had connected, whom nobody accepted, and who were told of a reset."""
        done = facts[SetUp].of(subject)
        if done.listen is None or subject.local is None:
            return
        rows = [facts.tables.sockets.get(number) for number in done.accepted]
        if any(row is None or row.remote is None for row in rows):
            # Whom accept returned is not known.
            return
        told = facts[Harmed].waiting(subject.local, subject.network, closed.entry_ns)
        clients = {call.socket.id for call in told if call.socket is not None}
        if not clients:
            yield self.cannot_tell("kernel", f"who waited to be accepted at {subject.local}: {facts.layer('kernel')}")
            return
        yield Evidence(
            self,
            closed.end_ns,
            f"{len(clients)} client{'s' if len(clients) > 1 else ''} had connected to {subject.local}, and nobody had accepted "
            f"{'them' if len(clients) > 1 else 'it'} when {closed.text()} ended the listener: the kernel reset "
            f"{'them' if len(clients) > 1 else 'it'}.",
            [closed.proof(), *(call.proof(f"a client's {call.text()}") for call in told[:4])],
            call=closed.call,
            socket=subject.id,
            process=subject.process,
            # Whether the kernel had taken them in, only its queue says.
            certainty="strong",
            subjects=frozenset(clients),
            calls=[call.call.id for call in told],
        )
