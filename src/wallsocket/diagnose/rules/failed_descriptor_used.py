"""A result that was not looked at: the descriptor -1."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.failed_makers import FailedMakers

__all__ = ["FailedDescriptorUsed"]


class FailedDescriptorUsed(Rule):
    """socket or accept failed, and its -1 was used as a descriptor."""

    id = "failed-descriptor-used"
    title = "the result -1 of a failed call was used as a descriptor"
    covers = (11,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A call that makes a descriptor returns -1 when it fails. Used as a descriptor, -1 gives EBADF, which says "
        "nothing about the cause; the error of the call that failed does."
    )
    symptoms = ("bad file descriptor", "EBADF", "[Errno 9]")
    proof = (
        "A call that makes descriptors failed, and the same thread's next use of a descriptor was -1, with EBADF, in the "
        "same function as far as functions are known."
    )
    fix = "Look at the result of socket and accept, report it with its errno, and stop there."
    disproof = "The number -1 came from elsewhere, such as a descriptor that had been closed and set to -1."
    references = ("socket(2)", "accept(2)", "errno(3)")
    subject = "process"
    needs = (FailedMakers,)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for made, used in facts[FailedMakers].uses.get(subject.id, ()):
            yield Evidence(
                self,
                made.end_ns,
                f"{made.text()} had failed when {used.name}(-1) was called.",
                [made.proof(), used.proof(f"call {used.call.id} {used.name}(-1) = EBADF")],
                call=made.call,
                process=subject.id,
            )
