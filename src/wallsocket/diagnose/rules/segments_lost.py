"""Segments are lost on the way."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.flows import Flow
from ..trackers.samples import Samples
from ..trackers.writes import Writes

__all__ = ["SegmentsLost"]

#: So many are no chance, of so many in a hundred.
_MANY = 8
_PERCENT = 2


class SegmentsLost(Rule):
    """Segments are lost on the way."""

    id = "segments-lost"
    title = "segments are lost on the way and sent again"
    covers = (73,)
    severity = "note"
    certainty = "strong"
    layers = ("kernel",)
    sentence = (
        "TCP sends again what is not acknowledged. Each loss halves the rate for a while; one that only the timer "
        "notices (the last segments of a burst, a lost retransmission) stops the transfer for 200 ms and more."
    )
    symptoms = ("slow transfer", "retransmissions", "packet loss", "throughput varies", "TCP Retransmission")
    proof = (
        "The kernel counted eight or more retransmitted segments of a connection, two in a hundred or more of those "
        "with data (tcpi_total_retrans, tcpi_data_segs_out), while the peer acknowledged others."
    )
    fix = (
        "Look for the place: a full queue, a bad cable or radio link, a policer. The program can only send less at "
        "once."
    )
    disproof = "The peer reported the segments twice (DSACK): they were late, not lost."
    references = ("tcp(7)", "RFC 6298", "RFC 5681")
    needs = (Samples, Writes)
    given = Writes

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp:
            return
        sample = facts[Samples].of(subject).measured
        info = sample.info if sample is not None else None
        if sample is None or info is None:
            return
        again = max(0, (info.total_retransmitted_segments or 0) - (info.dsack_duplicates or 0))
        sent = info.data_segments_out or 0
        acked = info.bytes_acked or 0
        if again < _MANY or again * 100 < sent * _PERCENT or acked < 100_000:
            return
        timer = info.total_rto
        by_timer = f", {timer} times only by the timer" if timer else ""
        yield Evidence(
            self,
            sample.at_ns,
            f"{again} of {sent} segments with data on {subject.name()} were sent again ({100 * again / sent:.1f} "
            f"%){by_timer}; "
            f"the round trip takes {(info.rtt_us or 0) / 1000:.1f} ms.",
            [sample.proof(f"{again} of {sent} data segments retransmitted")],
            call=call.call if (call := facts[Writes].of(subject).last) is not None else None,
            socket=subject.id,
            process=subject.process,
            certainty="strong",
            severity="note",
        )

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        for side in (0, 1):
            half = flow.halves[side]
            first, last = half.again_first, half.again_last
            if first is None or last is None or not flow.tcp:
                continue
            if half.again < _MANY or half.again * 100 < half.segments * _PERCENT or half.bytes < 100_000:
                continue
            late = f"; {half.late} came out of order" if half.late else ""
            yield Evidence(
                self,
                last.at_ns,
                f"{flow.name(side)} sent {half.again} of {half.segments} segments with data to {flow.name(1 - side)} again "
                f"({100 * half.again / half.segments:.1f} %){late}.",
                [first.proof("bytes that had been sent before"), last.proof("the latest of them")],
                socket=flow.socket(side),
                subjects=flow.subjects,
                where=flow.name(side),
            )
