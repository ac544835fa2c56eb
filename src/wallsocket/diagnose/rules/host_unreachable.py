"""The next hop does not answer, or somebody on the way says that the host cannot be reached."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from ...trace.verdict import duration, ordinal
from ..facts import Facts, json_list, json_object
from ..finding import Certainty, Proof
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import Destination
from ..trackers.first_packets import FirstPackets, packet_proof
from ..trackers.flows import Flows, Icmp
from ..trackers.host_answers import HostAnswers
from ..trackers.neighbours import Asked, Neighbours
from ..trackers.unreached import Failure, Unreached

__all__ = ["HostUnreachable"]


class HostUnreachable(Rule):
    """connect or send fails with EHOSTUNREACH, or by a route that forbids it."""

    id = "host-unreachable"
    title = "the host cannot be reached: nobody answers for its address"
    covers = (19,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Before a packet can leave, the next hop must answer who has its address (ARP, neighbour discovery). When it "
        "does not, or when a route or router says that the host cannot be reached, the connection fails after about "
        "three seconds, or at once."
    )
    symptoms = (
        "no route to host",
        "EHOSTUNREACH",
        "[Errno 113]",
        "host is unreachable",
        "destination host unreachable",
    )
    proof = (
        "connect or send failed with EHOSTUNREACH, and the kernel's neighbour table lists the next hop as failed, "
        "its route says unreachable, or an ICMP error about this connection was seen. EACCES with a route of kind "
        "prohibit."
    )
    fix = "Look whether the host is up and has this address, and whether the route and its gateway are right."
    disproof = "The neighbour table lists the next hop as reachable: then a router or firewall further on answered."
    references = ("arp(7)", "connect(2)", "RFC 1122 3.2.2.1")
    subject = "destination"
    needs = (FirstPackets, Flows, HostAnswers, Neighbours, Unreached)
    effects = ("failed-call-ignored", "forwarder-without-backend")

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        unreached, answers = facts[Unreached], facts[HostAnswers]
        for failure in unreached.all(subject, errno.EHOSTUNREACH, errno.EACCES):
            call, host = failure.seen.call, subject.where.host
            fact = answers.fact(call, "route")
            route = json_object(fact.value) if fact is not None else {}
            if failure.error == errno.EACCES and route.get("errno") != errno.EACCES:
                # A broadcast address, or a policy: not the route.
                continue
            if unreached.coped(subject, failure):
                yield Healthy(failure.calls, "the program was connected by another address")
                continue
            why, rows, certainty, title = self._why(facts, failure, host, route)
            yield Evidence(
                self,
                failure.at_ns,
                why,
                [failure.seen.proof(failure.how_seen()), *rows],
                call=failure.connect.call,
                socket=failure.socket.id,
                process=failure.process,
                certainty=certainty,
                title=title,
                calls=failure.calls,
                count=failure.count,
            )

    def _why(
        self, facts: Facts, failure: Failure, host: str, route: dict[str, Any]
    ) -> tuple[str, list[Proof], Certainty, str]:
        answers, call = facts[HostAnswers], failure.seen.call
        if "errno" in route:
            forbidden = route["errno"] == errno.EACCES
            word = "forbids" if forbidden else "has as unreachable"
            title = "a route of this host " + ("forbids the destination" if forbidden else "says unreachable")
            text = f"the route to {host} gives {errno.errorcode.get(route['errno'], 'an error')}"
            return f"This host's routing table {word} {host}.", answers.proof(call, "route", text), "certain", title
        next_hop = route.get("gateway") or host
        neighbours = answers.fact(call, "neighbours")
        for entry in json_list(neighbours.value) if neighbours is not None else ():
            if isinstance(entry, dict) and entry.get("state") in ("failed", "incomplete"):
                what = "the gateway of the route to it" if next_hop != host else "the destination itself"
                text = f"neighbour {next_hop} on {route.get('interface')}: {entry.get('state')}"
                return (
                    f"Nobody on {route.get('interface')} answers for {next_hop}, {what}.",
                    answers.proof(call, "neighbours", text),
                    "certain",
                    self.title,
                )
        opening = facts[FirstPackets].of(failure.socket.local, failure.where)
        if opening is not None and opening.icmp is not None:
            return (
                f"A host on the way to {host} answered that it cannot be reached.",
                [packet_proof(opening.icmp, opening.icmp_label)],
                "certain",
                "a router answers that the host cannot be reached",
            )
        return f"The kernel or a router says that {host} cannot be reached.", [], "strong", self.title

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        flows = facts[Flows]
        for target in flows.targets.values():
            if target.answered_ns is not None:
                continue
            for flow, icmp in target.unreachable:
                if not flows.own([flow]) or not _says_unreachable(icmp):
                    continue
                first = flow.halves[0].syn or flow.halves[0].first
                rows = [first.proof(f"from {flow.name(0)} to {flow.name(1)}")] if first is not None else []
                yield Evidence(
                    self,
                    icmp.seen.at_ns,
                    f"{icmp.source} answered packets to {flow.name(1)} with ICMP: the host or its network cannot be reached.",
                    [*rows, icmp.seen.proof(f"ICMP unreachable, code {icmp.code}, from {icmp.source}")],
                    socket=flow.socket(0),
                    certainty="strong",
                    subjects=flow.subjects,
                    count=len(target.unreachable),
                    where=flow.name(1),
                )
                break
        by_asker: dict[str, list[Asked]] = {}
        for one in facts[Neighbours].silent():
            by_asker.setdefault(one.asker, []).append(one)
        for asker, asked in by_asker.items():
            one = asked[0]
            more = f" The same for {len(asked) - 1} more addresses." if len(asked) > 1 else ""
            yield Evidence(
                self,
                one.last.at_ns,
                f"{asker} asked {one.times} times in {duration(one.last.at_ns - one.first.at_ns)} who has {one.who}, "
                f"and nobody answered.{more}",
                [one.first.proof(f"who has {one.who}?"), one.last.proof(f"asked for the {ordinal(one.times)} time")],
                certainty="strong",
                # Whether a program waits for it is not to be seen.
                severity="warning",
                where=asker,
            )


def _says_unreachable(icmp: Icmp) -> bool:
    """Whether an ICMP error says that no way leads to the host or its network (RFC 792; RFC 4443, 3.1)."""
    return (icmp.version, icmp.type, icmp.code) in ((4, 3, 0), (4, 3, 1), (6, 1, 0), (6, 1, 3))
