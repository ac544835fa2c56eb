"""The client was earlier than the server."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations, Refusal

__all__ = ["ConnectedBeforeListen"]

#: A server that begins to listen later than this has another reason.
_MOST_NS = 30_000_000_000
_SIDE_BY_SIDE_NS = 2_000_000_000


class ConnectedBeforeListen(Rule):
    """The client was earlier than the server."""

    id = "connected-before-listen"
    title = "the client was too early: the server did not listen yet"
    covers = (9,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = "A connection is refused as long as the server has not called listen; nothing queues it until then."
    symptoms = ("connection refused only at start", "works the second time", "ECONNREFUSED in CI")
    proof = (
        "connect was refused, and within half a minute another traced thread began to listen on that address and "
        "port; its process was already running then, or the client's was still running."
    )
    fix = "Wait for the server: let it say that it is ready, or try again for a while."
    disproof = "The server was already listening when the connection was tried."
    references = ("listen(2)", "connect(2)")
    supersedes = ("nobody-listens",)
    subject = "destination"
    needs = (Bound, Destinations)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where, bound = subject.where, facts[Bound]
        for refusal in facts[Destinations].refused(subject):
            there = list(bound.on(where.port, network=subject.network))
            if any(other.takes(where) and other.listened_at(refusal.at_ns) for other in there):
                continue
            for other in there:
                late_ns = other.listen.end_ns - refusal.at_ns if other.listen is not None else 0
                if other.listen is None or not 0 < late_ns <= _MOST_NS or not other.takes(where):
                    continue
                if not self._belong(facts, refusal, other.listen):
                    continue
                yield Evidence.of_refusal(
                    self,
                    refusal,
                    f"The connection to {where} was refused {late_ns / 1e6:.1f} ms before "
                    f"{facts.who(other.process)} called listen.",
                    [refusal.seen.proof(), other.listen.proof()],
                    subjects=frozenset({other.id}),
                )
                break

    @staticmethod
    def _belong(facts: Facts, refusal: Refusal, listen: CallFacts) -> bool:
        """Whether the server was on its way, and not a later program that has the same port by chance."""
        if listen.thread == refusal.connect.thread:
            # One thread did both, one after the other; in an event loop they may run side by side.
            late_ns = listen.end_ns - refusal.at_ns
            return refusal.connect.errno == errno.EINPROGRESS and late_ns < _SIDE_BY_SIDE_NS
        server, client = facts.process(listen.call.process), facts.process(refusal.process)
        if server is not None and server.started_ns <= refusal.at_ns:
            return True
        return client is not None and (client.ended_ns is None or client.ended_ns > listen.end_ns)
