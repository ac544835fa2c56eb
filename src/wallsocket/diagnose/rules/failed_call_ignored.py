"""A result that was not looked at: the failed bind."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.errors import Errors
from ..trackers.set_up import SetUp
from ..vocabulary import READS, WRITES

__all__ = ["FailedCallIgnored"]

_NOT_CONNECTED = (errno.ENOTCONN, errno.EPIPE, errno.EDESTADDRREQ)
#: No refusals: the connection is on its way.
_ON_ITS_WAY = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR, errno.EISCONN)


class FailedCallIgnored(Rule):
    """bind or connect failed, and the program went on with the socket."""

    id = "failed-call-ignored"
    title = "a call failed, and the program used the socket as if it had not"
    covers = (11,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "After a failed bind, listen chooses a port by itself, so the server listens where nobody looks; after a failed "
        "connect every send and recv fails. The first failure is the one to read."
    )
    symptoms = ("connection refused although the server runs", "broken pipe", "ENOTCONN", "listens on a random port")
    proof = "bind or connect failed, no later one succeeded, and listen, send or recv was called on the same socket."
    fix = "Look at the result of each call, report it with its errno, and stop there."
    disproof = "A later bind or connect on this socket succeeded before it was used."
    references = ("bind(2)", "connect(2)", "errno(3)")
    needs = (Errors, SetUp)
    given = Errors
    live = True
    effects = ("nobody-listens", "connected-before-listen")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        done = facts[SetUp].of(subject)
        bind = done.bind_failed
        if bind is not None and done.bind is None and done.listen is not None and done.listen.entry_ns > bind.end_ns:
            where = (
                f", which took port {subject.local.port}" if subject.local is not None and subject.local.port else ""
            )
            yield Evidence(
                self,
                bind.end_ns,
                f"{bind.text()} had failed when {done.listen.text()} was called{where}: clients look for {bind.address}.",
                [bind.proof(), done.listen.proof()],
                call=bind.call,
                socket=subject.id,
                process=bind.call.process,
                title="bind() failed, and the program listens all the same",
            )
            return
        connect = done.connect
        if connect is None or connect.errno is None or connect.errno in _ON_ITS_WAY:
            return
        used = facts[Errors].first(subject, _NOT_CONNECTED, frozenset({*READS, *WRITES}))
        if used is not None and used.entry_ns > connect.end_ns and used.call.tid == connect.call.tid:
            yield Evidence(
                self,
                used.end_ns,
                f"{connect.text()} had failed when {used.text()} was called: the socket is not connected.",
                [connect.proof(), used.proof()],
                call=used.call,
                socket=subject.id,
                process=used.call.process,
                title="connect() failed, and the program sends all the same",
            )
