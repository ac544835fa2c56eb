"""Two threads read from, or write to, one stream at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.overlaps import Overlaps, Pair

__all__ = ["ThreadsShareStream"]

#: Overlaps that are no accident of the end of a connection.
_OFTEN = 2
#: A write of more does not go out in one piece.
_LARGE = 65_536


class ThreadsShareStream(Rule):
    """Two threads read from, or write to, one stream at the same time."""

    id = "threads-share-stream"
    title = "two threads use one connection at the same time"
    covers = (98,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A stream has one order of bytes. Of two threads that read from it at once, chance decides who gets the next "
        "bytes; two that write at once may put their bytes between each other's."
    )
    symptoms = (
        "answer of another request",
        "mixed messages",
        "interleaved output",
        "thread-safe socket",
        "protocol error under load",
    )
    proof = (
        "Calls of two threads of one process on one stream overlap in time: both read or waited for bytes, and both "
        "got some; or both wrote, and one write was too large to go out in one piece; or one thread's write went between "
        "the length and the body, or the parts of a line, that another one sent."
    )
    fix = (
        "Give each thread a connection of its own, or hold a lock from the first byte of a request to the last of its "
        "answer."
    )
    disproof = "The threads agree otherwise on who may take what."
    references = ("pthreads(7)", "send(2)")
    needs = (Overlaps,)
    given = Overlaps

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        overlaps = facts[Overlaps].of(subject)
        large = [pair for pair in overlaps.writes if self._cut(pair)]
        if len(overlaps.reads) >= _OFTEN and overlaps.several_read:
            yield self._evidence(subject, overlaps.reads, "read from, or waited for bytes of,")
        elif large:
            yield self._evidence(subject, large, "wrote to")
        elif overlaps.torn is not None:
            head, other, rest = overlaps.torn
            yield Evidence(
                self,
                rest.end_ns,
                f"Thread {head.call.tid} sent one message with {head.text()} and {rest.text()}; {other.text()} of thread "
                f"{other.call.tid} went between them.",
                [
                    head.proof(f"thread {head.call.tid}: {head.text()}"),
                    other.proof(f"thread {other.call.tid}: {other.text()}"),
                    rest.proof(f"thread {rest.call.tid}: {rest.text()}"),
                ],
                call=head.call,
                socket=subject.id,
                process=head.call.process,
                title="two threads put their bytes between each other's on one connection",
            )

    @staticmethod
    def _cut(pair: Pair) -> bool:
        return any(call.moved and (call.length > _LARGE or 0 < call.moved < call.length) for call in pair)

    def _evidence(self, socket: SocketFacts, pairs: Sequence[Pair], did: str) -> Evidence:
        one, other = pairs[0]
        return Evidence(
            self,
            other.end_ns,
            f"Threads {one.call.tid} and {other.call.tid} {did} {socket.name()} at the same time, {len(pairs)} "
            f"time{'s' if len(pairs) > 1 else ''}{' or more' if len(pairs) == Overlaps.PAIRS else ''}.",
            [
                one.proof(f"thread {one.call.tid}: {one.text()}"),
                other.proof(f"thread {other.call.tid}: {other.text()}"),
            ],
            call=other.call,
            socket=socket.id,
            process=other.call.process,
            certainty="strong",
            severity="warning",
        )
