"""A descriptor that was used after its close."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import ProcessFacts
from ..trackers.closed_numbers import ClosedNumbers

__all__ = ["ClosedDescriptorUsed"]


class ClosedDescriptorUsed(Rule):
    """EBADF because the program had closed the descriptor itself."""

    id = "closed-descriptor-used"
    title = "the descriptor was used after it had been closed"
    covers = (63,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A descriptor is a number, and the kernel gives it to the next file that is opened. A program that uses a "
        "number after its close, or closes it twice, gets EBADF if it is lucky; if not, it hits somebody else's "
        "connection."
    )
    symptoms = ("bad file descriptor", "EBADF", "[Errno 9]", "data of another connection")
    proof = (
        "A call failed with EBADF on a number that named a socket until the same process closed it; strong where it was "
        "ENOTSOCK, because a file has the number now."
    )
    fix = (
        "Give each descriptor one owner, which forgets the number as soon as it has closed it and tells other "
        "threads before."
    )
    disproof = "The number was closed by the kernel at exec, not by the program."
    references = ("close(2)", "errno(3)")
    subject = "process"
    needs = (ClosedNumbers,)

    def judge(self, facts: Facts, subject: ProcessFacts) -> Iterator[Judgement]:
        for found in facts[ClosedNumbers].uses.get(subject.id, ()):
            closed, used = found.closed, found.first
            other = " by another thread" if closed.call.tid != used.call.tid else ""
            line = facts.line(closed.call)
            name = errno.errorcode.get(used.errno or 0, "")
            file = ", and a file had its number by then" if used.errno == errno.ENOTSOCK else ""
            rows = [closed.proof(), used.proof(f"call {used.call.id} {used.name}({used.call.fd}) = {name}")]
            twice = ""
            before = found.before
            if before is not None and before.socket is not closed.socket:
                where = facts.line(before.call)
                twice = (
                    f" The number had named another socket before, which was closed{f' at {where}' if where else ''}: "
                    "who closes that one again closes this one."
                )
                rows.append(before.proof())
            yield Evidence(
                self,
                used.end_ns,
                f"{used.name}({used.call.fd}) failed with {name}: the descriptor had been closed{other}"
                f"{f' at {line}' if line else ''}, {max(0, used.end_ns - closed.end_ns) / 1e6:.1f} ms before{file}.{twice}",
                rows,
                call=used.call,
                process=subject.id,
                subjects=frozenset({closed.socket.id} if closed.socket is not None else ()),
                certainty="strong" if file else "certain",
                count=found.count,
            )
