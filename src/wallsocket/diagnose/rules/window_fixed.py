"""SO_RCVBUF fixes the receive window, and the window is what limits the transfer."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.options import Options
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..vocabulary import SO_RCVBUF, SOL_SOCKET

__all__ = ["WindowFixed"]

#: On a shorter path no window is too small.
_LEAST_RTT_US = 2_000
_LEAST_NS = 500_000_000
#: Round trips that are enough to tell a window from the slow start.
_ROUNDS = 10
#: Of what the window allows; who is limited by something else stays below.
_SHARE = 0.6


class WindowFixed(Rule):
    """SO_RCVBUF fixes the receive window, and the window is what limits the transfer."""

    id = "window-fixed"
    title = "the transfer is no faster than its window allows: SO_RCVBUF keeps the window small"
    covers = (72,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "No more than one receive window is on its way in one round trip. The kernel makes the window as large as the path needs, "
        "unless the program sets SO_RCVBUF: then the buffer stays as it is, and the rate is window / round trip whatever the link "
        "could carry."
    )
    symptoms = (
        "slow download over a long path",
        "throughput limited on high latency link",
        "TCP window too small",
        "SO_RCVBUF disables autotuning",
    )
    proof = (
        "The program set SO_RCVBUF; over 10 round trips or more and half a second or more it read at least six tenths of what its "
        "window allows in that time (bytes against tcpi_rcv_wnd and the shortest round trip)."
    )
    fix = (
        "Leave SO_RCVBUF out: the kernel lets the window grow (up to the last number of net.ipv4.tcp_rmem). Where it must be set: "
        "before connect or listen, and to rate × round trip or more."
    )
    disproof = "The sender had no more to send, or the link carries no more."
    references = ("tcp(7)", "socket(7)", "RFC 7323 1.1")
    needs = (Options, Reads, Samples)
    given = Options

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        option = facts[Options].call(subject, SOL_SOCKET, SO_RCVBUF)
        if not subject.tcp or option is None:
            return
        reads, sample = facts[Reads].of(subject), facts[Samples].of(subject).measured
        info = sample.info if sample is not None else None
        if reads.first is None or reads.last is None or sample is None or info is None:
            return
        window, rtt_us = info.receive_window or 0, info.min_rtt_us or 0
        took_ns = reads.last.end_ns - reads.first.end_ns
        if window <= 0 or rtt_us < _LEAST_RTT_US or took_ns < _LEAST_NS:
            return
        rounds = took_ns / 1000 / rtt_us
        if rounds < _ROUNDS or reads.bytes < _SHARE * rounds * window:
            return
        yield Evidence(
            self,
            reads.last.end_ns,
            f"{reads.bytes} bytes came on {subject.name()} in {took_ns / 1e9:.1f} s, {reads.bytes / rounds:.0f} in each round "
            f"trip of {rtt_us / 1000:.1f} ms; the window is {window} bytes, for SO_RCVBUF was set to {option.option_number}.",
            [
                option.proof(f"{option.text()}: SO_RCVBUF {option.option_number}"),
                reads.last.proof(f"{reads.last.text()}: the last of {reads.bytes} bytes"),
                sample.proof(f"window {window} bytes, round trip {rtt_us / 1000:.1f} ms"),
            ],
            call=option.call,
            socket=subject.id,
            process=option.call.process,
        )
