"""A system call for every byte, or again and again for none."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.steps import Run, Steps

__all__ = ["TinyCalls"]

_BYTES = 200
_MANY_BYTES = 1_000
_TRIES = 1_000
_TRIES_NS = 200_000_000
#: Who sleeps between tries is slower than this on average.
_EACH_NS = 2_000_000


class TinyCalls(Rule):
    """A system call for every byte, or again and again for none."""

    id = "tiny-calls"
    title = "one system call for every byte"
    covers = (76,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A system call costs as much for one byte as for thousands. Reading byte by byte what has already arrived, or "
        "asking a "
        "socket that does not block again and again, spends the processor on calls."
    )
    symptoms = ("high CPU", "recv(1)", "slow reading line by line", "EAGAIN storm", "busy loop")
    proof = (
        "Hundreds of reads (writes) of one byte each, each right after the one before and without a wait; or a "
        "thousand calls in a row "
        "that ended in EAGAIN, without a wait between them."
    )
    fix = (
        "Read into a buffer and take the bytes from there (makefile, BufferedReader, fgets); wait with poll until "
        "there is something."
    )
    disproof = "The peer sends single bytes: then each read has waited."
    references = ("recv(2)", "stdio(3)")
    needs = (Steps,)
    given = Steps

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        steps = facts[Steps].of(subject)
        for run, verb in ((steps.reads, "asked for"), (steps.writes, "wrote")):
            if run is not None and run.count >= _BYTES:
                what = f"{run.count} calls in a row {verb} one byte each"
                severity = "warning" if run.count >= _MANY_BYTES else "note"
                yield self._evidence(subject, run, what, "", severity=severity)
        vain = steps.in_vain
        if vain is not None and vain.count >= _TRIES and _TRIES_NS <= vain.took_ns < vain.count * _EACH_NS:
            what = f"{vain.count} calls in a row ended in EAGAIN, with no wait between them"
            yield self._evidence(subject, vain, what, "asks again and again instead of waiting: EAGAIN")

    def _evidence(self, socket: SocketFacts, run: Run, what: str, title: str, *, severity: str = "warning") -> Evidence:
        first, last = run.first, run.last
        return Evidence(
            self,
            first.end_ns,
            f"{what} on {socket.name()}, in {run.took_ns / 1e9:.2f} s.",
            [first.proof(), last.proof(f"{last.text()}: the last of them")],
            call=first.call,
            socket=socket.id,
            process=first.call.process,
            title=title,
            severity="note" if severity == "note" else "warning",
            calls=(),
        )
