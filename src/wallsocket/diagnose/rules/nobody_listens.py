"""Connection refused, the commonest fault of all."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations
from ..trackers.host_answers import HostAnswers
from ..trackers.resets import Resets
from ..trackers.sockets import Sockets

__all__ = ["NobodyListens"]


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
    subject = "destination"
    needs = (Bound, Destinations, HostAnswers, Resets, Sockets)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where, answers, bound = subject.where, facts[HostAnswers], facts[Bound]
        for coped in facts[Destinations].coped_with(subject):
            yield Healthy(coped.calls, "the program tried again, or elsewhere, until it was connected")
        for refusal in facts[Destinations].refused(subject):
            call = refusal.seen.call
            here = answers.is_local(call, where.host)
            listed = answers.sockets(call) is not None
            listeners = bound.listeners(refusal.seen, where.port, refusal.at_ns) or []
            rows = [refusal.connect.proof()] if refusal.connect is not refusal.seen else []
            rows.append(refusal.seen.proof(refusal.how_seen()))
            reset = facts[Resets].first(where, refusal.local, refusal.connect.entry_ns)
            if reset is not None:
                rows.append(reset)
            if here and any(listener.takes(where) for listener in listeners):
                yield self.cannot_tell(
                    "facts", f"{where} was refused, yet a socket listened there when the host was asked"
                )
                continue
            if here and listed:
                near = bound.near(refusal.seen, where, refusal.at_ns)
                names = "; ".join(f"{one.owner} on {one.local}" for one in near)
                why = f"No socket listens on {where}. " + (
                    f"What listens nearby: {names}." if near else "Nothing else does."
                )
                rows += answers.proof(call, "sockets", f"no LISTEN on {where}")
            elif here:
                why = (
                    f"No traced socket listened on {where}; this host refused the connection. It was not asked who "
                    "listens."
                )
            else:
                why = (
                    f"The host at {where} answered that it accepts no connection on this port (a firewall can do so, "
                    "too)."
                )
            yield Evidence(
                self,
                refusal.at_ns,
                why,
                rows,
                call=refusal.connect.call,
                socket=refusal.socket,
                process=refusal.process,
                certainty="certain" if here and listed else "strong",
                calls=refusal.calls,
                count=refusal.count,
            )
