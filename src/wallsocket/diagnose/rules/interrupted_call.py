"""A call was interrupted by a signal, and the connection given up for it."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.interrupted import Interrupted
from ..trackers.waits import Waits
from ..vocabulary import CLOSE_WAIT

__all__ = ["InterruptedCall"]

_SOON_NS = 200_000_000
_ENDS_NS = 500_000_000
#: An alarm that ends a longer wait, for the first time, is a time limit: alarm(2) counts whole seconds.
_LIMIT_NS = 900_000_000
#: Signals that do not ask a program to end.
_HARMLESS = ("SIGALRM", "SIGCHLD", "SIGIO", "SIGPROF", "SIGURG", "SIGWINCH")


class InterruptedCall(Rule):
    """A call was interrupted by a signal, and the connection given up for it."""

    id = "interrupted-call"
    title = "a signal interrupted a call, and EINTR was taken for an error"
    covers = (121,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A signal with a handler ends a call that waits with EINTR, unless the handler was set with SA_RESTART (and "
        "some calls in spite of it). Nothing is wrong with the socket: the call is to be made again."
    )
    symptoms = (
        "Interrupted system call",
        "EINTR",
        "connection lost when a timer or profiler runs",
        "accept: Interrupted system call",
    )
    proof = (
        "A call on a connection ended in EINTR, the program closed the socket without another try though the peer had "
        "not closed, and then went on."
    )
    fix = "Repeat the call at EINTR, or set the handler with SA_RESTART."
    disproof = "The signal asked the program to end, or was a time limit of its own: then it closes on purpose."
    references = ("signal(7)", "errno(3)")
    needs = (Interrupted, Waits)
    given = Interrupted
    effects = ("write-after-peer-closed", "close-with-unread-data", "nobody-listens")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        found = facts[Interrupted].of(subject)
        call, closed = found.call, found.closed
        if call is None or closed is None or closed.entry_ns - call.end_ns > _SOON_NS:
            return
        last = call.exit or subject.last
        if not subject.stream or (last is not None and last.state == CLOSE_WAIT):
            return
        process = facts.process(call.call.process)
        ended = process.ended_ns if process is not None else None
        went_on = ended is None or ended - closed.end_ns > _ENDS_NS
        failed = process is not None and (process.exit_code or 0) not in (0, 130, 143)
        harmless = found.signal in _HARMLESS
        if not went_on and not failed and not harmless:
            return
        if found.signal == "SIGVTALRM":
            # A timer of used processor time cannot end a wait: the runtime woke the thread, as Ruby's does at a time limit.
            return
        limit = found.signal == "SIGALRM" and not found.earlier and (call.call.took_ns or 0) >= _LIMIT_NS
        sure = (went_on or (failed and harmless)) and not limit
        then = ", and the program ended with an error" if failed and not went_on else ""
        yield Evidence(
            self,
            call.end_ns,
            f"{call.text()}: {found.signal or 'a signal'} came while it waited on {subject.name()}. {closed.text()} gave it up "
            f"{(closed.entry_ns - call.end_ns) / 1e6:.1f} ms later without another try{then}.",
            [call.proof(), closed.proof()],
            call=call.call,
            socket=subject.id,
            process=call.call.process,
            certainty="strong" if sure else "hint",
            severity="warning" if sure else "note",
        )
