"""One client's reset ends the whole service."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination, SocketFacts
from ..trackers.destinations import Destinations
from ..trackers.errors import Errors
from ..trackers.servers import Servers
from ..trackers.set_up import SetUp
from ..trackers.sockets import Sockets

__all__ = ["DiesOfClientReset"]

_BROKEN = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN, errno.ECONNABORTED)
#: Between the failed call and the end of the process: an exception that nobody caught, and the interpreter's clean-up.
_AFTERWARDS_NS = 500_000_000


class DiesOfClientReset(Rule):
    """The server ended right after a call on one client's connection had failed."""

    id = "dies-of-client-reset"
    title = "the server ended because one client broke its connection"
    covers = (146,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "Clients reset connections: health checks, port scans, users who go away. An uncaught error of one "
        "connection ends the process, and with it the service for everybody else."
    )
    symptoms = (
        "the service is gone after a health check",
        "ConnectionResetError",
        "BrokenPipeError",
        "killed by SIGPIPE",
    )
    proof = (
        "A call on an accepted connection failed with ECONNRESET or EPIPE, and at once the process with the listener ended with "
        "an error status or by SIGPIPE."
    )
    fix = "Catch the errors of a connection where it is served: close it, and accept the next one."
    disproof = "The process was about to end for another reason."
    references = ("accept(2)", "send(2)", "signal(7)")
    needs = (Destinations, Errors, Servers, SetUp, Sockets)
    given = Errors
    supersedes = ("write-after-peer-closed",)
    effects = ("nobody-listens",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[Errors].first(subject, _BROKEN)
        if failed is None or not subject.stream or subject.origin != "accept":
            return
        process = facts.process(failed.call.process)
        if process is None or process.ended_ns is None or not facts[Servers].listened(process.id):
            return
        late_ns = process.ended_ns - failed.end_ns
        bad = process.signal == signal.SIGPIPE or (process.exit_code or 0) not in (0, 143, 130)
        if not 0 <= late_ns <= _AFTERWARDS_NS or not bad:
            return
        listener = facts[Sockets].get(subject.parent)
        if listener is None or (listener.ended_ns is not None and listener.ended_ns < failed.entry_ns):
            # It had stopped to listen: it was a conversation of two, not a service for all.
            return
        served = facts[SetUp].of(listener).accepts
        # What it was for: it had served others, or others came when it was gone.
        here = Destination("tcp", subject.local, subject.network) if subject.local is not None else None
        refused = facts[Destinations].refused(here) if here is not None and subject.tcp else []
        sure = served > 1 or any(one.seen.end_ns >= process.ended_ns for one in refused)
        how = "by SIGPIPE" if process.signal == signal.SIGPIPE else f"with status {process.exit_code}"
        yield Evidence(
            self,
            failed.end_ns,
            f"{failed.text()} on the connection of one client; {late_ns / 1e6:.0f} ms later {facts.who(process.id)}, which "
            f"listens for all of them, ended {how}.",
            [failed.proof(), facts.process_proof(process, f"ended {how}", failed.end_ns)],
            call=failed.call,
            # Of one conversation it is said what went wrong there: the write after the end.
            socket=subject.id if sure else listener.id,
            process=process.id,
            certainty="strong" if sure else "hint",
            severity="error" if sure else "note",
            subjects=frozenset({listener.id}),
        )
