"""The backlog that listen asked for is larger than the system allows."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.samples import Samples
from ..trackers.set_up import SetUp
from ..vocabulary import LISTEN

__all__ = ["BacklogCut"]

#: "As many as there may be."
_ALL = 2**31 - 1


class BacklogCut(Rule):
    """The backlog that listen asked for is larger than the system allows."""

    id = "backlog-cut"
    title = "listen asked for a longer queue than it got"
    covers = (69,)
    severity = "note"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "The kernel cuts the backlog of listen to net.core.somaxconn (4096 by default since Linux 5.4) and says "
        "nothing."
    )
    symptoms = ("backlog ignored", "somaxconn", "listen backlog too small", "Send-Q of a listener")
    proof = "The argument of listen is larger than the limit of the accept queue that the kernel shows for the socket."
    fix = (
        "Raise net.core.somaxconn before listen is called, or ask for what is allowed; accept fast enough and it does "
        "not matter."
    )
    disproof = "somaxconn was raised later: the next call of listen takes it."
    references = ("listen(2)", "tcp(7)")
    subject = "listener"
    needs = (SetUp, Samples)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        listen = facts[SetUp].of(subject).listen
        if listen is None or not subject.tcp:
            return
        asked = listen.backlog
        sample = (
            listen.exit
            if listen.exit is not None and listen.exit.state == LISTEN
            else facts[Samples].of(subject).listening
        )
        got = sample.send_queue if sample is not None else None
        if asked is None or sample is None or got is None or not got < asked < _ALL:
            return
        yield Evidence(
            self,
            listen.end_ns,
            f"listen({asked}) on {subject.local} got a queue for {got} connections: net.core.somaxconn is the limit.",
            [listen.proof(), sample.proof(f"limit of the accept queue {got}")],
            call=listen.call,
            socket=subject.id,
            process=listen.call.process,
            severity="note",
        )
