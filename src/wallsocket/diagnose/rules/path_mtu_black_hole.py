"""Large segments vanish, small ones pass, and no ICMP message says so."""

from __future__ import annotations

from collections.abc import Iterator

from ...trace.verdict import duration, ordinal
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.flows import Flow
from ..trackers.stuck import Stuck
from ..trackers.writes import Writes

__all__ = ["PathMtuBlackHole"]

_AGAIN = 3
#: What is smaller is no full-size segment on any usual link.
_LARGE = 1000


class PathMtuBlackHole(Rule):
    """Large segments vanish, small ones pass, and no ICMP message says so."""

    id = "path-mtu-black-hole"
    title = "full-size segments vanish on the way, small ones pass: a black hole for the path's MTU"
    covers = (74,)
    severity = "error"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "A link on the way takes smaller packets than the interface here. The router there should answer a packet "
        "that is too large with ICMP (fragmentation needed, packet too big); when that is filtered the sender goes on "
        "sending what cannot pass."
    )
    symptoms = (
        "connection hangs on large transfer",
        "handshake works, data hang",
        "VPN MTU",
        "ssh hangs after login",
        "TLS handshake hangs",
    )
    proof = (
        "After the handshake and small data had passed, segments of full size were sent again three times or more "
        "with a growing pause, nothing of them was acknowledged, and something small passed meanwhile or before; the "
        "path MTU did not change."
    )
    fix = (
        "Let ICMP type 3 code 4 (type 2 of ICMPv6) through; clamp the MSS on the router; net.ipv4.tcp_mtu_probing=1 "
        "finds the size by itself."
    )
    disproof = "Small packets do not arrive either: then the path or the peer is gone."
    references = ("ip(7)", "tcp(7)", "RFC 2923 2.1", "RFC 4821")
    needs = (Stuck, Writes)
    given = Stuck

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        stuck = facts[Stuck].of(subject)
        sample, before = stuck.again, stuck.acked
        if not subject.tcp or sample is None or sample.info is None:
            return
        info = sample.info
        mss = info.send_mss or 0
        if (info.retransmits or 0) < _AGAIN or not mss or (sample.send_queue or 0) < mss:
            return
        large = next((call for call in facts[Writes].of(subject).recent if call.moved >= mss), None)
        small = sum(
            call.moved
            for call in facts[Writes].of(subject).recent
            if large is not None and call.end_ns <= large.entry_ns
        )
        passed = (info.bytes_acked or 0) > 1 or (info.bytes_received or 0) > 0
        if large is None or not passed or (info.bytes_acked or 0) > small + mss:
            return
        lives = stuck.heard is not None
        rows = [*([before.proof("what was sent before was acknowledged")] if before is not None else []), large.proof()]
        rows.append(
            sample.proof(
                f"{info.unacked_segments} segments not acknowledged, sent again {info.retransmits} times, size {mss}, "
                f"path MTU {info.path_mtu}"
            )
        )
        if stuck.heard is not None:
            rows.append(stuck.heard.proof("the peer's segments still arrive"))
        yield Evidence(
            self,
            sample.at_ns,
            f"On {subject.name()} {info.bytes_acked or 0} bytes in small segments were acknowledged; segments of "
            f"{mss} bytes were sent "
            f"again {info.retransmits} times and none of them was. The kernel still takes the path's MTU for "
            f"{info.path_mtu}.",
            rows,
            call=large.call,
            socket=subject.id,
            process=large.call.process,
            certainty="strong" if lives else "hint",
            severity="error" if lives else "note",
        )

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        for side in (0, 1):
            half, other = flow.halves[side], flow.halves[1 - side]
            stuck = half.stuck
            # Of the two ends' limits and the interface's size none is known: full is what is as large as it gets, and more
            # than a path must carry (RFC 9293, 3.7.1; RFC 8200, 5).
            if (
                stuck is None
                or stuck.times < _AGAIN
                or stuck.length < max(_LARGE, half.largest)
                or not flow.established
            ):
                continue
            told = [icmp for icmp in flow.icmp if icmp.side == side and (icmp.type, icmp.code) in ((3, 4), (2, 0))]
            lives = other.heard_ns > stuck.first.at_ns
            small = half.acked is not None and half.base is not None and half.acked != half.base
            if not lives or not (small or other.bytes) or other.zero is not None or other.reset is not None:
                continue
            rows = [
                stuck.first.proof(f"{stuck.length} bytes, sent again"),
                stuck.last.proof(f"for the {ordinal(stuck.times)} time"),
            ]
            rows += [
                icmp.seen.proof(f"ICMP from {icmp.source}: fragmentation needed, MTU {icmp.mtu}") for icmp in told[:1]
            ]
            said = (
                f"{told[0].source} says by ICMP that they are too large (MTU {told[0].mtu}), and the sender does not heed it."
                if told
                else "No ICMP message about it was seen."
            )
            yield Evidence(
                self,
                stuck.last.at_ns,
                f"{flow.name(side)} sent a segment of {stuck.length} bytes to {flow.name(1 - side)} {stuck.times} times again in "
                f"{duration(stuck.last.at_ns - stuck.first.at_ns)}; it was not acknowledged, though smaller ones were and the "
                f"other end still sends. {said}",
                rows,
                socket=flow.socket(side),
                subjects=flow.subjects,
                where=flow.name(side),
            )
