"""The port is bound, but nobody called listen."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations

__all__ = ["ListenForgotten"]


class ListenForgotten(Rule):
    """The port is bound, but nobody called listen."""

    id = "listen-forgotten"
    title = "the server is bound but does not listen: listen() was not called"
    covers = (5,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = "bind only names a TCP socket. Until listen is called the kernel answers every connection with a reset."
    symptoms = ("connection refused although the server is running", "ECONNREFUSED")
    proof = "connect was refused while a traced TCP socket was bound to the port and had not been given to listen."
    fix = "Call listen() after bind()."
    disproof = "Another socket listens on the port."
    references = ("listen(2)", "bind(2)")
    supersedes = ("nobody-listens",)
    subject = "destination"
    needs = (Bound, Destinations)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        for refusal in facts[Destinations].refused(subject):
            for other in facts[Bound].on(subject.where.port, network=subject.network):
                forgot = other.bind is not None and not other.listens and not other.connected
                if forgot and other.had_it(refusal.at_ns) and other.takes(subject.where):
                    assert other.bind is not None
                    yield Evidence.of_refusal(
                        self,
                        refusal,
                        f"{facts.who(other.process)} bound {other.local} but never called listen; the connection to "
                        f"{subject.where} was refused.",
                        [other.bind.proof(), refusal.seen.proof()],
                        call=other.bind.call,
                        process=other.process,
                        subjects=frozenset({other.id}),
                    )
                    break
