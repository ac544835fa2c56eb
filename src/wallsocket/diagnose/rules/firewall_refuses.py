"""A firewall answers in the place of the host."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.closing import Closing
from ..trackers.destinations import Destinations, Refusal
from ..trackers.first_packets import FirstPackets, packet_proof
from ..trackers.flows import Flows, Icmp
from ..trackers.host_answers import HostAnswers
from ..trackers.unreached import Unreached
from ..vocabulary import LISTEN

__all__ = ["FirewallRefuses"]

_TCP = 6


class FirewallRefuses(Rule):
    """An ICMP error, not a reset, refused the connection."""

    id = "firewall-refuses"
    title = "a firewall refuses the connection, not the host"
    covers = (102,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A host on whose port nobody listens answers a SYN with a reset (RFC 9293, 3.10.7.1). An ICMP error in answer "
        "to a SYN comes from a packet filter that rejects it: port unreachable gives ECONNREFUSED, the prohibited "
        "ones give EHOSTUNREACH."
    )
    symptoms = (
        "connection refused",
        "ECONNREFUSED",
        "no route to host",
        "EHOSTUNREACH",
        "administratively prohibited",
        "REJECT",
    )
    proof = (
        "The connection failed with ECONNREFUSED or EHOSTUNREACH, and the wire shows an ICMP error about its SYN that "
        "only a filter sends."
    )
    fix = "Allow the port in the firewall that rejects it (nft list ruleset, iptables -L -v, a security group)."
    disproof = "The wire shows a reset in answer to the SYN."
    references = ("nft(8)", "icmp(7)", "RFC 1812 5.2.7.1")
    subject = "destination"
    needs = (Bound, Closing, Destinations, FirstPackets, Flows, HostAnswers, Unreached)
    supersedes = (
        "nobody-listens",
        "connected-before-listen",
        "host-unreachable",
        "loopback-only",
        "network-unreachable",
    )
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        if subject.protocol != "tcp":
            return
        packets = facts[FirstPackets]
        for refusal in facts[Destinations].refused(subject):
            opening = packets.of(refusal.local, subject.where)
            missing = facts.wire(subject.network)
            if missing is not None and facts[HostAnswers].is_local(refusal.seen.call, subject.where.host) is not True:
                yield self.cannot_tell(
                    "wire", f"whether a packet filter or the host itself refused {subject.where}: {missing}"
                )
            if opening is None or opening.icmp is None or opening.reset is not None:
                yield from self._listened(facts, subject, refusal)
                continue
            yield Evidence.of_refusal(
                self,
                refusal,
                f"The SYN to {subject.where} was answered by an ICMP error, not by a reset: a packet filter rejects it.",
                [refusal.seen.proof(refusal.how_seen()), packet_proof(opening.icmp, opening.icmp_label)],
            )
        for failure in facts[Unreached].of(subject, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES):
            opening = packets.of(failure.socket.local, subject.where)
            prohibited = opening is not None and ("prohibit" in opening.icmp_label or "filter" in opening.icmp_label)
            if opening is None or opening.icmp is None or not prohibited:
                continue
            yield Evidence(
                self,
                failure.at_ns,
                f"A packet filter on the way to {subject.where} answered that it is prohibited.",
                [failure.seen.proof(failure.how_seen()), packet_proof(opening.icmp, opening.icmp_label)],
                call=failure.connect.call,
                socket=failure.socket.id,
                process=failure.process,
                calls=failure.calls,
                count=failure.count,
            )

    def _listened(self, facts: Facts, subject: Destination, refusal: Refusal) -> Iterator[Evidence]:
        """A reset although a traced socket listened there all the time: not the kernel of this host answered."""
        for one in facts[Bound].on(subject.where.port, network=subject.network):
            listen, last = one.listen, one.socket.last
            if not one.tcp or listen is None or not one.takes(subject.where) or last is None or last.state != LISTEN:
                continue
            if listen.end_ns >= refusal.connect.entry_ns or not one.listened_at(refusal.last_ns):
                continue
            if one.socket.network is None or facts[Closing].of(one.socket).shut:
                continue
            yield Evidence.of_refusal(
                self,
                refusal,
                f"{facts.who(one.process)} listened on {one.local} before and after {subject.where} was refused: a "
                "packet "
                "filter rejects it with a reset.",
                [
                    refusal.seen.proof(refusal.how_seen()),
                    listen.proof(f"{listen.text()} on {one.local}"),
                    last.proof(f"{last.state_name} on {one.local}"),
                ],
                certainty="strong",
                subjects=frozenset({one.id}),
            )
            return

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        flows = facts[Flows]
        for (protocol, _), target in flows.targets.items():
            if protocol != _TCP or target.answered_ns is not None:
                continue
            for flow, icmp in target.unreachable:
                syn = flow.halves[0].syn
                if syn is None or not flows.own([flow]) or not _filters(icmp):
                    continue
                yield Evidence(
                    self,
                    icmp.seen.at_ns,
                    f"The SYN to {flow.name(1)} was answered by ICMP from {icmp.source} (code {icmp.code}), not by a reset.",
                    [
                        syn.proof(f"SYN from {flow.name(0)} to {flow.name(1)}"),
                        icmp.seen.proof(f"ICMP unreachable, code {icmp.code}, from {icmp.source}"),
                    ],
                    socket=flow.socket(0),
                    certainty="strong",
                    subjects=flow.subjects,
                    count=len(target.unreachable),
                    where=flow.name(1),
                )
                break


def _filters(icmp: Icmp) -> bool:
    """Whether an ICMP error about a SYN comes from a packet filter (RFC 1812, 5.2.7.1; RFC 4443, 3.1)."""
    return (icmp.version, icmp.type, icmp.code) in (
        *((4, 3, code) for code in (3, 9, 10, 13)),
        *((6, 1, code) for code in (1, 4, 5, 6)),
    )
