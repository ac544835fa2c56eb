"""A Unix listener whose backlog is full."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.set_up import SetUp
from ..trackers.unix_names import UnixNames, name_of

__all__ = ["UnixBacklogFull"]


class UnixBacklogFull(Rule):
    """connect to a Unix socket gives EAGAIN."""

    id = "unix-backlog-full"
    title = "connect to a Unix socket failed: the listener's backlog is full"
    covers = (124,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A Unix listener takes as many connections as its backlog allows until accept takes one. Then a connect that "
        "does not block fails with EAGAIN (one that blocks waits). Nothing tells the program when there is room."
    )
    symptoms = ("resource temporarily unavailable", "EAGAIN", "[Errno 11]", "connect() to unix:… failed (11)")
    proof = "connect to a Unix stream or seqpacket socket failed with EAGAIN, and did not succeed later."
    fix = "Accept faster, or give listen a larger backlog (and net.core.somaxconn, which limits it)."
    disproof = "The same socket connected later."
    references = ("unix(7)", "listen(2)")
    needs = (SetUp, UnixNames)
    given = SetUp
    live = True
    effects = ("write-after-peer-closed",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[SetUp].of(subject).connect
        if failed is None or not subject.unix or failed.errno != errno.EAGAIN:
            return
        name = name_of(failed.call.address)
        why = f"{failed.text()}: unix(7) gives this error to a connect that does not block when the queue is full."
        rows = [failed.proof()]
        process = failed.call.process
        holders = [entry for entry in facts[UnixNames].on(name) if entry.listen is not None] if name else []
        listener = next((entry for entry in holders if entry.lived(failed.entry_ns)), None)
        if listener is not None and listener.listen is not None:
            line = facts.line(listener.listen.call)
            who = facts.who(listener.process) + (f", {line}" if line else "")
            why += f" {who} listens with a backlog of {listener.listen.backlog}."
            rows.append(listener.listen.proof())
        yield Evidence(
            self,
            failed.end_ns,
            why,
            rows,
            call=failed.call,
            socket=subject.id,
            process=process,
            subjects=frozenset({listener.id} if listener is not None else ()),
        )
