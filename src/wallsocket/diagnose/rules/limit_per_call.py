"""A time limit holds for each call, not for the whole answer."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.call_limits import CallLimits

__all__ = ["LimitPerCall"]

_TIMES = 3
_READS = 5
_SMALL = 65_536


class LimitPerCall(Rule):
    """A time limit holds for each call, not for the whole answer."""

    id = "limit-per-call"
    title = "the answer took much longer than the time limit: it holds for each call"
    covers = (100,)
    severity = "note"
    certainty = "hint"
    layers = ("calls",)
    sentence = (
        "A time limit on a socket (settimeout, SO_RCVTIMEO, the timeout of most HTTP libraries) ends one wait. A peer "
        "that sends a little within each keeps the program for as long as it likes."
    )
    symptoms = ("timeout does not work", "request takes longer than timeout", "read timeout", "slow loris server")
    proof = (
        "Five or more reads of one answer waited, each within the limit, and together three times as long as the "
        "limit or more."
    )
    fix = (
        "Keep a deadline: give each wait the time that is left, or put a limit around the whole (asyncio.timeout, "
        "context.WithTimeout)."
    )
    disproof = "The limit is meant for silence, not for the whole: a stream of events, a large transfer."
    references = ("socket(7)", "recv(2)")
    needs = (CallLimits,)
    given = CallLimits

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        answer = facts[CallLimits].of(subject).slowest
        if answer is None or answer.waited < _READS or answer.bytes > _SMALL or answer.limit_ns < 200_000_000:
            return
        if answer.took_ns < _TIMES * answer.limit_ns or answer.longest_ns > answer.limit_ns:
            return
        limit, took = answer.limit_ns / 1e9, answer.took_ns / 1e9
        yield Evidence(
            self,
            answer.last.end_ns,
            f"{answer.bytes} bytes on {subject.name()} took {took:.1f} s: {answer.waited} reads waited, up to "
            f"{answer.longest_ns / 1e9:.2f} s each, within a limit of {limit:g} s for each.",
            [answer.first.proof(), answer.last.proof(f"{answer.last.text()}: {took:.1f} s after the first wait")],
            call=answer.last.call,
            socket=subject.id,
            process=answer.last.call.process,
            certainty="hint",
            severity="note",
        )
