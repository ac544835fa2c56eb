"""The end of the stream is read again and again."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.reads import Reads

__all__ = ["EndOfStreamIgnored"]

#: Reads of 0 in a row that no library makes by itself (TLS and HTTP stacks make one to three).
_RUN = 32
_APART_NS = 10_000_000
#: Who left the loop so soon has handled the end, if clumsily: iperf3 reads on until its other connection says that it may stop.
_BRIEF_RUN, _BRIEF_NS = 2 * _RUN, 3_000_000


class EndOfStreamIgnored(Rule):
    """The end of the stream is read again and again."""

    id = "end-of-stream-ignored"
    title = "the end of the stream is not handled: recv() returns 0 again and again"
    covers = (42,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "recv returns 0 bytes when the peer sends no more, and does so at once every time. A loop that does not "
        "stop there uses a whole processor."
    )
    symptoms = ("100% CPU after client disconnects", "recv returns empty string", "busy loop", "infinite loop on recv")
    proof = "At least 32 reads in a row on one stream returned 0, less than 10 ms apart on average."
    fix = "Leave the loop and close the socket when recv returns 0 bytes."
    disproof = "The reads had a length of 0."
    references = ("recv(2)", "read(2)")
    needs = (Closing, Reads)
    given = Reads
    live = True

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        reads = facts[Reads].of(subject)
        first, last, run = reads.zero_first, reads.zero_last, reads.zero_run
        if not subject.stream or run < _RUN or first is None or last is None:
            return
        span_ns = last.end_ns - first.entry_ns
        if span_ns > run * _APART_NS:
            return
        left = facts[Closing].last_close(subject) is not None
        yield Evidence(
            self,
            first.end_ns,
            f"{last.name} returned 0 (the peer sends no more) {run} times in a row within "
            f"{span_ns / 1e6:.0f} ms on {subject.name()}.",
            [first.proof(f"{first.text()}: the first"), last.proof(f"{last.text()}: the last")],
            call=last.call,
            socket=subject.id,
            process=last.call.process,
            severity="note" if left and run < _BRIEF_RUN and span_ns < _BRIEF_NS else "error",
        )
