"""Connection refused, the commonest fault of all."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations
from ..trackers.flows import Flow, Flows
from ..trackers.host_answers import HostAnswers
from ..trackers.refused import Refused
from ..trackers.resets import Resets

__all__ = ["NobodyListens"]

_TCP = 6


class NobodyListens(Rule):
    """Connection refused, the commonest fault of all."""

    id = "nobody-listens"
    title = "connection refused: nobody listens there"
    covers = (107,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "No socket listens on the address and port, so the kernel of that host answers the first packet with a reset. "
        "A program that does not block is told later: through SO_ERROR, or by its first use of the socket."
    )
    symptoms = ("connection refused", "ECONNREFUSED", "[Errno 111]", "connect failed", "failed to connect", "POLLERR")
    proof = (
        "connect failed with ECONNREFUSED, or SO_ERROR said so, and no later attempt succeeded. Certain when the "
        "address is this host's own and the kernel listed no listener for it."
    )
    fix = "Start the server, or use the address and port on which it listens."
    disproof = "A socket listened on that address and port at that moment; then a firewall refuses."
    references = ("connect(2)", "RFC 9293 3.5.2")
    subject = "destination"
    needs = (Bound, Destinations, Flows, HostAnswers, Refused, Resets)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where, answers = subject.where, facts[HostAnswers]
        for coped in facts[Destinations].coped_with(subject):
            looks = facts[Destinations].looked_around(coped)
            why = "looks which ports are open" if looks else "tried again, or elsewhere, until it was connected"
            yield Healthy(coped.calls, f"the program {why}")
        if facts[Refused].contradicted(subject):
            yield self.cannot_tell("facts", f"{where} was refused, yet a socket listened there when the host was asked")
        for one in facts[Refused].general(subject):
            refusal = one.refusal
            call = refusal.seen.call
            unasked = one.cause.name == "nobody_listens" and answers.sockets(call) is None
            rows = list(one.proof)
            reset = facts[Resets].first(where, refusal.local, refusal.connect.entry_ns)
            if reset is not None:
                rows.append(reset)
            if one.cause.name == "nobody_listens":
                rows += answers.proof(call, "sockets", f"no LISTEN on {where}")
            yield Evidence.of_refusal(
                self,
                refusal,
                f"No traced socket listened on {where}; this host refused the connection. It was not asked who listens."
                if unasked
                else one.why,
                rows,
                certainty="strong" if unasked else one.cause.certainty,
                # Who listened there until something ended it.
                subjects=frozenset(
                    entry.id
                    for entry in facts[Bound].on(where.port, network=subject.network)
                    if entry.listens and (entry.ended_ns or refusal.at_ns) < refusal.at_ns and entry.takes(where)
                ),
            )

    def judge_wire(self, facts: Facts) -> Iterator[Judgement]:
        flows = facts[Flows]
        by_host: dict[bytes, list[Flow]] = {}
        for (protocol, place), target in flows.targets.items():
            # Who is refused and then tries the next address of the name has coped.
            refused = [flow for flow in flows.own(target.refused) if flows.answered_ns(place.port) < flow.last_ns]
            if protocol == _TCP and refused and target.answered_ns is None:
                by_host.setdefault(place.address, []).extend(refused)
        for refused in by_host.values():
            ports = sorted({flow.ends[1].port for flow in refused})
            flow = refused[0]
            syn, reset = flow.halves[0].syn, flow.halves[1].reset
            assert syn is not None
            assert reset is not None
            where = flow.name(1)
            more = f" and {len(ports) - 1} more of its ports" if len(ports) > 1 else ""
            yield Evidence(
                self,
                reset.at_ns,
                f"{where}{more} answered each SYN with a reset, and nothing was accepted there in this capture: no socket "
                "listens, or a firewall refuses in the host's name.",
                [syn.proof(f"SYN from {flow.name(0)} to {where}"), reset.proof(f"RST from {where}")],
                socket=flow.socket(0),
                certainty="strong",
                subjects=frozenset().union(*(one.subjects for one in refused)),
                count=len(refused),
                where=where,
            )
