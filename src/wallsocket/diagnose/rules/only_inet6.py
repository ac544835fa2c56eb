"""The server listens on ::, but for IPv6 only."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations
from ..trackers.host_answers import HostAnswers
from ..vocabulary import AF_INET

__all__ = ["OnlyInet6"]


class OnlyInet6(Rule):
    """IPV6_V6ONLY keeps IPv4 out."""

    id = "only-inet6"
    title = "the server listens on :: for IPv6 only: IPV6_V6ONLY is set"
    covers = (14,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A socket bound to :: takes IPv4 as well, unless IPV6_V6ONLY is set on it or net.ipv6.bindv6only is 1. Then a "
        "client that connects to an IPv4 address of the host is refused."
    )
    symptoms = (
        "IPv4 connection refused although :: is bound",
        "IPV6_V6ONLY",
        "bindv6only",
        "127.0.0.1 refused, ::1 works",
    )
    proof = (
        "The connection to an IPv4 address of this host was refused, no later one succeeded, and on that port a socket "
        "listens on :: with IPV6_V6ONLY, as its setsockopt or the kernel says."
    )
    fix = "Turn IPV6_V6ONLY off before bind, or listen on 0.0.0.0 as well."
    disproof = "A socket listens on the port for IPv4."
    subject = "destination"
    needs = (Bound, Destinations, HostAnswers)
    supersedes = ("nobody-listens", "connected-before-listen", "other-ip-version")

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where, answers = subject.where, facts[HostAnswers]
        if where.family != AF_INET:
            return
        for refusal in facts[Destinations].refused(subject):
            if answers.is_local(refusal.seen.call, where.host) is not True:
                continue
            listeners = facts[Bound].listeners(refusal.seen, where.port, refusal.at_ns) or []
            only = next((one for one in listeners if one.local.host == "::" and one.only_inet6), None)
            if only is None or any(one.takes(where) for one in listeners):
                continue
            yield Evidence(
                self,
                refusal.at_ns,
                f"{only.owner} listens on {only.local} with IPV6_V6ONLY, so IPv4 does not reach it; "
                f"{where} was tried and refused.",
                [
                    refusal.seen.proof(),
                    *only.proof(),
                    *answers.proof(refusal.seen.call, "sockets", f"{only.local} takes IPv6 only"),
                ],
                call=only.bind.call if only.bind is not None else refusal.connect.call,
                socket=refusal.socket,
                process=refusal.process,
                subjects=only.subjects,
                calls=refusal.calls,
                count=refusal.count,
            )
