"""Writability is asked for with nothing to write."""

from __future__ import annotations

from collections.abc import Iterator

from ...trace.verdict import ordinal
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.readiness import Readiness
from ..vocabulary import POLLOUT

__all__ = ["WritableSpin"]

_MANY = 200
_BRIEF_RUN, _BRIEF_NS = 1_000, 200_000_000
#: Without POLLWRNORM and POLLWRBAND, which say the same.
_EVENTS = 0xFCFF


class WritableSpin(Rule):
    """Writability is asked for with nothing to write."""

    id = "writable-spin"
    title = "busy loop: writability is asked for with nothing to write"
    covers = (152,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A socket is writable nearly always. A wait that asks for it returns at once, so a loop that keeps asking "
        "while it has "
        "nothing to send never sleeps."
    )
    symptoms = ("100% CPU", "busy loop", "EPOLLOUT", "epoll_wait returns immediately", "select returns immediately")
    proof = (
        "Two hundred or more waits in a row returned at once with POLLOUT alone for a socket, and no call was made on "
        "it meanwhile."
    )
    fix = (
        "Ask for writability only while unsent data wait, after a write that gave EAGAIN or took a part; then stop "
        "asking."
    )
    disproof = "A write between the waits."
    references = ("poll(2)", "epoll(7)")
    needs = (Readiness,)
    given = Readiness

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        spin = facts[Readiness].of(subject).worst
        if spin is None or spin.count < _MANY or not spin.busy or spin.events & _EVENTS != POLLOUT:
            return
        yield Evidence(
            self,
            spin.first.end_ns,
            f"{spin.count} waits in a row returned at once in {spin.took_ns / 1e9:.1f} s because {subject.name()} is "
            "writable; "
            "nothing was written meanwhile.",
            [spin.first.proof(), spin.last.proof(f"{spin.last.text()}: the same for the {ordinal(spin.count)} time")],
            call=spin.last.call,
            socket=subject.id,
            process=spin.last.call.process,
            # A moment before the end, as of iperf3 that waits for a word on its other connection, costs nobody anything.
            severity="note" if spin.took_ns < _BRIEF_NS and spin.count < _BRIEF_RUN else "warning",
        )
