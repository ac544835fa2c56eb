"""Nothing answers the first packets of a connection."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ...trace.verdict import duration, ordinal
from ..facts import Facts
from ..rule import Evidence, Healthy, Judgement, Rule
from ..sample import Sample
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.first_packets import FirstPackets, packet_proof
from ..trackers.flows import Flow, Flows
from ..trackers.fullest import Fullest
from ..trackers.host_answers import HostAnswers
from ..trackers.neighbours import Neighbours
from ..trackers.unreached import Failure, Unreached
from ..vocabulary import SYN_SENT

__all__ = ["SynUnanswered"]

_LONG_NS = 900_000_000
_TCP = 6


class SynUnanswered(Rule):
    """connect runs into its time limit, or the program gives it up."""

    id = "syn-unanswered"
    title = "connecting takes for ever: nothing answers the first packet"
    covers = (18,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A host that does not want a connection answers with a reset, and a router that cannot deliver says so. When "
        "neither comes, the packets are thrown away without a word: by a firewall, by a wrong route, or because the "
        "host is gone. The kernel repeats the SYN after 1, 3, 7, … seconds and gives up after about two minutes."
    )
    symptoms = (
        "connection timed out",
        "ETIMEDOUT",
        "[Errno 110]",
        "connect timeout",
        "i/o timeout",
        "hangs in connect",
        "SYN_SENT",
    )
    proof = (
        "The connection was in SYN_SENT when connect failed with ETIMEDOUT or the program gave up after a second or "
        "more, and the SYN was sent more than once (on the wire, or as the kernel counts it) without an answer, or "
        "with one that is on the wire and that the kernel never saw."
    )
    fix = "Look for a firewall that drops (not rejects) this port, and for a wrong address or route; give connect a time limit."
    disproof = "A capture at the destination shows that it answers."
    references = ("connect(2)", "tcp(7)", "RFC 6298 5")
    subject = "destination"
    needs = (Bound, FirstPackets, Flows, Fullest, HostAnswers, Neighbours, Unreached)
    effects = ("failed-call-ignored", "forwarder-without-backend")

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        unreached = facts[Unreached]
        missing = unreached.unsure(subject)
        if missing is not None:
            yield self.cannot_tell("kernel", f"whether {subject.where} ever answered: {missing}")
        for failure in unreached.all(subject, errno.ETIMEDOUT, None):
            if subject.protocol != "tcp":
                continue
            if unreached.coped(subject, failure):
                yield Healthy(failure.calls, "the program was connected later, or by another address")
                continue
            if failure.error is None and failure.waited_ns < _LONG_NS:
                continue
            here = [
                one
                for one in facts[Bound].on(subject.where.port, network=subject.network)
                if one.tcp and one.listened_at(failure.at_ns) and one.takes(subject.where)
            ]
            # A queue that nobody got into is not full.
            may_be_full = facts.wire(subject.network) is not None or facts[FirstPackets].answered(subject.where)
            dropped_here = self._dropped_here(facts, failure)
            if (
                may_be_full
                and not dropped_here
                and any(_full(one.socket.last) or _full(facts[Fullest].of(one.socket).received) for one in here)
            ):
                # That has a rule of its own.
                continue
            repeated, rows, certainty = dropped_here or self._repeated(facts, failure)
            if not repeated:
                continue
            here_too = facts[HostAnswers].is_local(failure.seen.call, subject.where.host) is True
            gave_up = failure.error is None
            how = "was given up" if gave_up else "failed"
            yield Evidence(
                self,
                failure.at_ns,
                f"The connection to {subject.where} {how} after {duration(failure.waited_ns)}: {repeated}.",
                [failure.seen.proof(failure.how_seen()), *rows],
                call=failure.connect.call,
                socket=failure.socket.id,
                process=failure.process,
                # At an own address the queue of a listener that is not traced may be full.
                certainty="hint" if here_too and not here else certainty,
                calls=failure.calls,
                count=failure.count,
            )

    @staticmethod
    def _dropped_here(facts: Facts, failure: Failure):  # type: ignore[no-untyped-def]
        """What shows that the answer was sent, and that the kernel never saw it: a filter took it."""
        last = failure.last
        counted = _repetitions(last)
        opening = facts[FirstPackets].of(failure.socket.local, failure.where)
        came = opening.answered if opening is not None else None
        if came is None or last is None or last.state != SYN_SENT or not counted:
            return None
        rows = [
            packet_proof(came, f"SYN-ACK of {failure.where}"),
            last.proof(f"SYN_SENT, SYN repeated {counted} times"),
        ]
        why = f"the answer was on its way, yet the kernel repeated the SYN {counted} times: a filter, here or on the way, drops it"
        return why, rows, "strong"

    @staticmethod
    def _repeated(facts: Facts, failure: Failure):  # type: ignore[no-untyped-def]
        """What shows that nothing answered, with its proof rows."""
        rows = []
        last = failure.last
        counted = _repetitions(last)
        if last is not None and counted:
            rows.append(last.proof(f"{last.state_name}, SYN repeated {counted} times"))
        if facts.wire(failure.socket.network) is None:
            opening = facts[FirstPackets].of(failure.socket.local, failure.where)
            if failure.error == errno.ETIMEDOUT and (opening is None or not opening.syns):
                return "the kernel repeated the SYN until it gave up, and nothing came back", rows, "strong"
            if opening is None or not opening.syns:
                # No SYN left: the next hop is not known, or a filter of this host took it.
                why = f"the kernel sent {counted + 1} SYNs and none left this host" if counted else ""
                return why, rows, "hint"
            if opening.answered or opening.reset is not None or opening.icmp is not None or opening.syns < 2:
                return "", [], "hint"
            assert opening.first is not None
            assert opening.last is not None
            rows += [
                packet_proof(opening.first, f"SYN to {failure.where}"),
                packet_proof(opening.last, f"the {ordinal(opening.syns)} SYN, none was answered"),
            ]
            return f"{opening.syns} SYNs left this host and nothing came back", rows, "strong"
        if failure.error == errno.ETIMEDOUT or counted:
            return "the kernel repeated the SYN and nothing came back", rows, "strong"
        return "", [], "hint"

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        flows = facts[Flows]
        by_host: dict[bytes, list[Flow]] = {}
        one_way = False
        for (protocol, place), target in flows.targets.items():
            if protocol != _TCP or target.answered_ns is not None or target.refused or target.unreachable:
                continue
            silent = [flow for flow in flows.own(target.silent) if _repeated_ns(flow) >= _LONG_NS]
            if any(flow.ends[0].address in flows.reached for flow in silent):
                by_host.setdefault(place.address, []).extend(silent)
            one_way = one_way or bool(silent)
        for silent in by_host.values():
            flow = max(silent, key=_repeated_ns)
            ports = {one.ends[1].port for one in silent}
            half = flow.halves[0]
            assert half.syn is not None
            assert half.syn_last is not None
            where = flow.name(1)
            more = f" The same happened at {len(ports) - 1} more of its ports." if len(ports) > 1 else ""
            yield Evidence(
                self,
                half.syn_last.at_ns,
                f"{flow.name(0)} sent {half.syns} SYNs to {where} in {duration(_repeated_ns(flow))} and nothing came back, "
                f"while other packets reached it.{more}",
                [
                    half.syn.proof(f"SYN to {where}"),
                    half.syn_last.proof(f"the {ordinal(half.syns)} SYN, none was answered"),
                ],
                socket=flow.socket(0),
                certainty="strong",
                subjects=frozenset().union(*(one.subjects for one in silent)),
                count=len(silent),
                where=where,
            )
        if one_way and not by_host:
            yield self.cannot_tell(
                "wire", "the capture shows nothing that was sent to the asker: perhaps it has one direction only"
            )


def _full(listener: Sample | None) -> bool:
    """Whether a listener's accept queue takes no more, or nobody looked."""
    return listener is None or (listener.receive_queue or 0) > (listener.send_queue or 0)


def _repetitions(last: Sample | None) -> int:
    """How often the kernel says that it sent the SYN again."""
    info = last.info if last is not None else None
    return (info.total_retransmitted_segments or info.retransmits or 0) if info is not None else 0


def _repeated_ns(flow: Flow) -> int:
    """How long the SYN of a connection was repeated."""
    half = flow.halves[0]
    return 0 if half.syn is None or half.syn_last is None or half.syns < 2 else half.syn_last.at_ns - half.syn.at_ns
