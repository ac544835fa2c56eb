"""A wait reports the same event for ever, and the program does nothing about it."""

from __future__ import annotations

from collections.abc import Iterator

from ...trace.verdict import ordinal
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.readiness import Readiness, Spin
from ..vocabulary import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP

__all__ = ["ReadyIgnored"]

_MANY = 200
_NAMES = ((POLLHUP, "HUP"), (POLLERR, "ERR"), (POLLRDHUP, "RDHUP"), (POLLIN, "IN"), (POLLOUT, "OUT"))


class ReadyIgnored(Rule):
    """A wait reports the same event for ever, and the program does nothing about it."""

    id = "ready-ignored"
    title = "busy loop: a hang-up or error is reported at once again and again, and ignored"
    covers = (151,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "poll and epoll report POLLHUP and POLLERR always, asked for or not, for as long as they last; so it is "
        "with POLLIN while something is unread. A program that does not act on it is woken again at once: a "
        "processor is busy and nothing moves."
    )
    symptoms = (
        "100% CPU",
        "busy loop",
        "EPOLLHUP",
        "EPOLLERR",
        "epoll_wait returns immediately",
        "poll returns immediately",
    )
    proof = (
        "Two hundred or more waits in a row returned at once with the same event of a socket, and no call was made on "
        "it meanwhile."
    )
    fix = "On HUP or ERR read what is left and close; take out of the set what is not to be served now."
    disproof = "A call on the socket between the waits."
    references = ("poll(2)", "epoll_ctl(2)")
    needs = (Readiness,)
    given = Readiness

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        spin = facts[Readiness].of(subject).worst
        if spin is None or spin.count < _MANY or not spin.busy or not spin.events & ~POLLOUT & 0xFFFF:
            return
        hangs_up = bool(spin.events & (POLLHUP | POLLERR | POLLRDHUP))
        yield Evidence(
            self,
            spin.first.end_ns,
            f"{spin.count} waits in a row returned at once in {spin.took_ns / 1e9:.1f} s with "
            f"{event_names(spin.events)} for "
            f"{subject.name()}; no call was made on the socket meanwhile.",
            proof_of(spin),
            call=spin.last.call,
            socket=subject.id,
            process=spin.last.call.process,
            severity="warning",
            title="" if hangs_up else "busy loop: data are reported at once again and again, and nobody reads them",
            fix=""
            if hangs_up
            else "Read until there is nothing more, or take the socket out of the set until it is to be read.",
        )


def event_names(events: int) -> str:
    """Bits of ``POLL*`` in words."""
    return "|".join(name for bit, name in _NAMES if events & bit) or hex(events)


def proof_of(spin: Spin) -> list[Proof]:
    """Its first and its last wait."""
    return [
        spin.first.proof(f"{spin.first.text()}: {event_names(spin.events)}"),
        spin.last.proof(f"{spin.last.text()}: the same for the {ordinal(spin.count)} time"),
    ]
