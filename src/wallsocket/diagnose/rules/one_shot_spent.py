"""EPOLLONESHOT: the one report was given, and the socket was not armed again."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.one_shots import OneShots
from ..vocabulary import LISTEN

__all__ = ["OneShotSpent"]

_LEAST_NS = 500_000_000


class OneShotSpent(Rule):
    """EPOLLONESHOT: the one report was given, and the socket was not armed again."""

    id = "one-shot-spent"
    title = "epoll is silent about the socket: EPOLLONESHOT was not armed again after its one report"
    covers = (164,)
    severity = "error"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "With EPOLLONESHOT epoll_wait reports a socket once and then watches it no more, until epoll_ctl with EPOLL_CTL_MOD arms "
        "it again. What comes in between stays in the queue, and nobody is told."
    )
    symptoms = (
        "EPOLLONESHOT",
        "epoll_wait hangs after the first event",
        "only the first message is read",
        "the second request is never answered",
    )
    proof = (
        "The socket was put into the set with EPOLLONESHOT and reported; no epoll_ctl followed; the kernel showed bytes (or "
        "connections) in its queue, and the thread that had it last slept over them in epoll_wait for half a second or more."
    )
    fix = "After each event call epoll_ctl with EPOLL_CTL_MOD and the same events, on every path; or leave EPOLLONESHOT out."
    disproof = "The program arms a socket only while something waits for it, and nothing waited for this one."
    references = ("epoll(7)", "epoll_ctl(2)")
    needs = (OneShots,)
    given = OneShots
    supersedes = ("one-recv-per-message",)
    effects = ("both-wait", "close-with-unread-data", "peer-process-died")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        found = facts[OneShots].of(subject)
        sample, event, last = found.kept, found.event, found.touched
        if sample is None or event is None or last is None or found.armed is None:
            return
        slept_ns = facts[OneShots].slept_ns(subject)
        if slept_ns < _LEAST_NS:
            return
        count = sample.receive_queue or 0
        what = "connection" if sample.state == LISTEN else "byte"
        left = f"{count} {what}{'s' if count != 1 else ''}"
        # Libraries that arm a socket when something is to be read of it do so by EPOLL_CTL_MOD, again and again: in these a
        # socket that nobody wants to read is not armed either.
        own = not facts[OneShots].arms_again(found.armed.call.process)
        rows = [
            found.armed.proof(f"{found.armed.text()}: watched with EPOLLONESHOT"),
            event.proof(f"{event.text()}: its one report"),
            *([last.proof(f"{last.text()}: the last that was done with it")] if last is not event else []),
            sample.proof(f"{left} left in the queue"),
        ]
        yield Evidence(
            self,
            sample.at_ns,
            f"{event.name} reported {subject.name()} once, and no epoll_ctl has armed it since; {left} stayed in its queue, and "
            f"the thread slept in epoll_wait for {slept_ns / 1e9:.1f} s.",
            rows,
            call=last.call,
            socket=subject.id,
            process=last.call.process,
            certainty="strong" if own else "hint",
            severity="error" if own else "note",
            lost_ns=slept_ns,
        )
