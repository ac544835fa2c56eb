"""The client was earlier than the server."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations

__all__ = ["ConnectedBeforeListen"]


class ConnectedBeforeListen(Rule):
    """The client was earlier than the server."""

    id = "connected-before-listen"
    title = "the client was too early: the server began to listen later"
    covers = (9,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = "A connection is refused as long as the server has not called listen; nothing queues it until then."
    symptoms = ("connection refused only at start", "works the second time", "ECONNREFUSED in CI")
    proof = "connect was refused, and later in the recording a traced socket began to listen on that address and port."
    fix = "Wait for the server: let it say that it is ready, or try again for a while."
    disproof = "The server listened already when the connection was tried."
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
                if other.listen is None or late_ns <= 0 or not other.takes(where):
                    continue
                yield Evidence(
                    self,
                    refusal.at_ns,
                    f"The connection to {where} was refused {late_ns / 1e6:.1f} ms before "
                    f"{facts.who(other.process)} called listen.",
                    [refusal.seen.proof(), other.listen.proof()],
                    call=refusal.connect.call,
                    socket=refusal.socket,
                    process=refusal.process,
                    subjects=frozenset({other.id}),
                    calls=refusal.calls,
                    count=refusal.count,
                )
                break
