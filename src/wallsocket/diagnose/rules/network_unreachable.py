"""No route leads there."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_list, json_object
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import Destination
from ..trackers.connects import Connects
from ..trackers.host_answers import HostAnswers
from ..trackers.unreached import Failure, Unreached
from ..vocabulary import AF_INET6

__all__ = ["NetworkUnreachable"]


class NetworkUnreachable(Rule):
    """connect or send fails with ENETUNREACH."""

    id = "network-unreachable"
    title = "no route leads to the destination"
    covers = (20,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Without a route to the destination, and without a default route, the kernel sends nothing. In a new network "
        "namespace the loopback interface is down as well, and then even 127.0.0.1 has no route."
    )
    symptoms = ("network is unreachable", "ENETUNREACH", "[Errno 101]", "no route", "connect: network unreachable")
    proof = (
        "connect or send failed with ENETUNREACH, no other address of that port was reached later, and the kernel, "
        "asked for the route to that address, gave the same error."
    )
    fix = "Add the route (ip route add), or bring the interface up (ip link set lo up)."
    disproof = "`ip route get` finds a route to the address in that network namespace."
    references = ("connect(2)", "ip-route(8)")
    subject = "destination"
    needs = (Connects, HostAnswers, Unreached)
    effects = ("failed-call-ignored", "forwarder-without-backend")

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        unreached, answers = facts[Unreached], facts[HostAnswers]
        for failure in unreached.all(subject, errno.ENETUNREACH, errno.ENETDOWN):
            if unreached.coped(subject, failure):
                yield Healthy(failure.calls, "the program was connected by another address")
                continue
            if failure.connect.name == "connect" and subject.protocol == "udp":
                # Nothing was sent: so programs (and the resolver, which sorts addresses) ask for their own address.
                yield Healthy(failure.calls, "a connect of a datagram socket only asks for a route")
                continue
            if subject.where.family == AF_INET6 and facts[Connects].by_ipv4(failure.process, subject.where.port):
                # The name has addresses of both versions; what became of the other one is the question.
                yield Healthy(failure.calls, "this host has no IPv6, and the program tried IPv4")
                continue
            call = failure.seen.call
            route = answers.fact(call, "route")
            told = json_object(route.value) if route is not None else {}
            rows = [failure.seen.proof(failure.how_seen())]
            title, fix, certainty = self.title, self.fix, "certain"
            if "errno" in told:
                rows += answers.proof(call, "route", f"no route to {subject.where.host}")
                why = f"No route of this host leads to {subject.where.host}, so nothing was sent."
            elif route is None:
                certainty = "strong"
                why = f"The kernel has no way to {subject.where.host}; the routes were not read."
            else:
                certainty = "strong"
                why = (
                    f"This host has a route to {subject.where.host} (by {told.get('interface')}); a router on the way "
                    "answered that it has none."
                )
            loopback = self._loopback_down(answers, failure)
            if subject.where.loopback and loopback:
                title = "the loopback interface is down: this network namespace was never set up"
                why = f"{subject.where.host} is reached by lo, which is down in this network namespace."
                fix = "ip link set lo up (in the namespace), before the program starts."
                rows += answers.proof(call, "links", f"{loopback} is down")
            yield Evidence(
                self,
                failure.at_ns,
                why,
                rows,
                call=failure.connect.call,
                socket=failure.socket.id,
                process=failure.process,
                certainty=certainty,  # type: ignore[arg-type]
                title=title,
                fix=fix,
                calls=failure.calls,
                count=failure.count,
            )

    @staticmethod
    def _loopback_down(answers: HostAnswers, failure: Failure) -> str | None:
        """The name of the loopback interface when it is down."""
        links = answers.fact(failure.seen.call, "links")
        for entry in json_list(links.value) if links is not None else ():
            flags = entry.get("flags") if isinstance(entry, dict) else None
            if isinstance(flags, int) and flags & 0x8 and not flags & 0x1:  # IFF_LOOPBACK, IFF_UP (linux/if.h)
                return str(entry.get("interface"))
        return None
