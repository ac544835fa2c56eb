"""Two servers listen where a client expects one."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Certainty
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.bound import Bound, BoundSocket
from ..trackers.options import Options
from ..trackers.set_up import SetUp
from ..vocabulary import SO_REUSEPORT, SOL_SOCKET

__all__ = ["ListenersSharePort"]


class ListenersSharePort(Rule):
    """Sockets of two programs match the same connection."""

    id = "listeners-share-port"
    title = "two programs listen on the port: which one answers is left to the kernel"
    covers = (22,)
    severity = "warning"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "With SO_REUSEPORT several sockets may listen on one address, and the kernel spreads the connections over "
        "them. Of sockets with different addresses the more specific one wins: 127.0.0.1:80 before 0.0.0.0:80. A "
        "forgotten older instance answers, too."
    )
    symptoms = (
        "an answer from the wrong server",
        "sometimes the old version answers",
        "SO_REUSEPORT",
        "every second request is wrong",
    )
    proof = (
        "Two sockets of processes that were started apart listened on the same port at the same time, and both match a "
        "connection to it. A hint: workers of one service do the same on purpose."
    )
    fix = "Stop the one that is not wanted, or leave SO_REUSEPORT out so that the second bind fails."
    disproof = "Both are workers of one service."
    references = ("socket(7)", "bind(2)")
    subject = "listener"
    needs = (Bound, Options, SetUp)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        listen, local = facts[SetUp].of(subject).listen, subject.local
        if not subject.tcp or listen is None or local is None or not local.port:
            return
        for other in facts[Bound].on(local.port, network=subject.network):
            if other.id == subject.id or other.process == subject.process or not other.tcp or other.listen is None:
                continue
            if other.listen.entry_ns > listen.entry_ns or not other.listened_at(listen.end_ns):
                # The later one speaks.
                continue
            how = self._how(facts, subject, other)
            if how is None or _one_service(facts, subject.process, other.process):
                continue
            certainty, why = how
            shares = facts[Options].first(subject, SOL_SOCKET, SO_REUSEPORT)
            first, second = facts.who(other.process), facts.who(subject.process)
            yield Evidence(
                self,
                listen.end_ns,
                f"{first} listens on {other.local} and {second} on {local}: {why}.",
                [
                    other.listen.proof(f"{other.listen.text()} on {other.local}"),
                    listen.proof(f"{listen.text()} on {local}"),
                ],
                call=(shares or facts[SetUp].of(subject).bind or listen).call,
                socket=subject.id,
                process=subject.process,
                severity="warning",
                certainty=certainty,
                subjects=frozenset({other.id}),
            )
            return

    @staticmethod
    def _how(facts: Facts, subject: SocketFacts, other: BoundSocket) -> tuple[Certainty, str] | None:
        """How sure it is, and which of the two gets a connection."""
        local = subject.local
        assert local is not None
        if local.host == other.local.host:
            return "hint", "the kernel spreads the connections over both"
        if local.clashes(other.local):
            narrow = local if other.local.wildcard else other.local
            return "hint", f"what is sent to {narrow.host} reaches the one, everything else the other"
        if {local.host, other.local.host} == {"127.0.0.1", "::1"}:
            return "hint", "localhost is both addresses, and which one a client tries first decides"
        return None


def _one_service(facts: Facts, one: int, other: int) -> bool:
    """Whether two processes belong together: one made the other, or both were made by a program of the same kind."""
    first, second = facts.process(one), facts.process(other)
    if first is None or second is None:
        return True
    if first.parent in (second.id, None) or second.parent in (first.id, None):
        return True
    if first.parent != second.parent:
        return False
    parent = facts.process(first.parent)
    return parent is not None and parent.executable in (first.executable, second.executable)
