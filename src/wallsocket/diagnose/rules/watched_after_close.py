"""epoll reports a descriptor that the process has closed."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.readiness import Readiness

__all__ = ["WatchedAfterClose"]

_OFTEN = 3


class WatchedAfterClose(Rule):
    """epoll reports a descriptor that the process has closed."""

    id = "watched-after-close"
    title = "epoll reports a descriptor that is closed: a duplicate keeps it in the set"
    covers = (99,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "An epoll set watches the open socket, not the number. While a duplicate lives (dup, a child after fork) the "
        "entry stays after close, cannot be taken out by its number any more, and goes on reporting."
    )
    symptoms = (
        "events for a closed fd",
        "epoll_wait returns a closed descriptor",
        "EPOLL_CTL_DEL EBADF",
        "100% CPU after close",
    )
    proof = (
        "The process closed its last descriptor of the socket, and epoll_wait reported the socket three or more times "
        "afterwards."
    )
    fix = "Call epoll_ctl(EPOLL_CTL_DEL) before close; open sockets with SOCK_CLOEXEC and close them in children."
    disproof = "The process has another descriptor of the socket that it still serves."
    references = ("epoll(7)", "epoll_ctl(2)", "dup(2)")
    needs = (Closing, Readiness)
    given = Readiness
    supersedes = ("ready-ignored", "writable-spin")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        readiness = facts[Readiness].of(subject)
        closed, event = facts[Closing].of(subject).closed, readiness.first_after_close
        if closed is None or event is None or readiness.after_close < _OFTEN:
            return
        yield Evidence(
            self,
            event.end_ns,
            f"{closed.text()} closed {subject.name()} without EPOLL_CTL_DEL; {event.name} reported it "
            f"{readiness.after_close} "
            "times afterwards: a duplicate of the descriptor keeps the socket open and in the set.",
            [closed.proof(), event.proof(f"{event.text()}: reports the closed socket")],
            call=closed.call,
            socket=subject.id,
            process=closed.call.process,
            severity="warning",
        )
