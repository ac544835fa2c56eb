"""Descriptors that came in messages were lost, or are never closed."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.descriptors import Descriptors
from ..trackers.passed import Passed, PassedFacts
from ..trackers.sockets import Sockets

__all__ = ["PassedDescriptors"]

_MANY = 10
#: Messages with files or others of which nobody sees whether they are closed.
_GROWN = 20


class PassedDescriptors(Rule):
    """Descriptors that came in messages were lost, or are never closed."""

    id = "passed-descriptors"
    title = "descriptors that came in messages are never closed"
    covers = (117,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "SCM_RIGHTS puts a new descriptor into the receiver at each message, also where the program does not look. "
        "What has no room in the control buffer is closed by the kernel, and only MSG_CTRUNC says so."
    )
    symptoms = ("EMFILE", "descriptors vanish", "MSG_CTRUNC", "SCM_RIGHTS", "file descriptor leak")
    proof = (
        "recvmsg returned MSG_CTRUNC; or ten or more sockets came, and nine of ten were still open when the last of them "
        "came, and until the process ended; or twenty messages in a row brought descriptors under ever higher numbers."
    )
    fix = "Make the control buffer large enough and check MSG_CTRUNC; close each descriptor that came when it is done."
    disproof = "The control message that was cut held no descriptors; the process serves all of them to its end."
    references = ("unix(7)", "cmsg(3)", "recv(2)")
    subject = "process"
    needs = (Descriptors, Passed, Sockets)
    effects = ("descriptor-limit",)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        passed = facts[Passed].all.get(subject.id)
        if passed is None:
            return
        cut = passed.cut
        if cut is not None:
            yield Evidence(
                self,
                cut.end_ns,
                f"{cut.text()} returned MSG_CTRUNC{f', {passed.cuts} times' if passed.cuts > 1 else ''}: the control "
                "buffer was too small, and the kernel "
                "closed the descriptors that had no room.",
                [cut.proof(f"{cut.text()}: MSG_CTRUNC")],
                call=cut.call,
                socket=cut.call.socket,
                process=subject.id,
                title="descriptors that came in a message are lost: MSG_CTRUNC",
                severity="warning",
            )
        if passed.received >= _MANY and passed.first is not None:
            yield from self._kept(facts, subject, passed)
        elif passed.grown >= _GROWN and passed.grown_first is not None:
            first = passed.grown_first
            yield Evidence(
                self,
                first.end_ns,
                f"{facts.who(subject.id)} was handed descriptors by {passed.grown} messages in a row, each time under a higher "
                f"number than ever before, up to {passed.highest}: none of the numbers before had become free.",
                [first.proof(f"{first.text()}: the first of them")],
                call=first.call,
                socket=first.call.socket,
                process=subject.id,
                certainty="strong",
            )

    def _kept(self, facts: Facts, subject: ProcessFacts, passed: PassedFacts) -> Iterator[Judgement]:
        rows = facts.tables.descriptors.values()
        received = [row for row in rows if row.process == subject.id and row.origin == "received"]
        process = facts.process(subject.id)
        ended_ns = process.ended_ns if process is not None else None
        # One that was closed before the next one came was closed when it was done, however soon the process ended.
        latest_ns = max((row.opened_ns for row in received), default=0)
        kept = [
            row
            for row in received
            if row.closed_ns is None
            or (ended_ns is not None and row.closed_ns > latest_ns and ended_ns - row.closed_ns < 500_000_000)
        ]
        first = passed.first
        if first is None or len(kept) < _MANY or len(kept) * 10 < len(received) * 9:
            return
        yield Evidence(
            self,
            first.end_ns,
            f"{len(received)} sockets came to {facts.who(subject.id)} in messages; {len(kept)} of them were open to "
            "the end.",
            [first.proof(f"{first.text()}: the first of them")],
            call=first.call,
            socket=first.call.socket,
            process=subject.id,
            certainty="strong",
            severity="warning",
        )
