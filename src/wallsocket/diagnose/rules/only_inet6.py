"""The server listens on ::, but for IPv6 only."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.refused import Refused

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
    references = ("ipv6(7)", "RFC 3493 5.3")
    subject = "destination"
    needs = (Refused,)
    supersedes = ("nobody-listens", "connected-before-listen", "other-ip-version")

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        for one in facts[Refused].of(subject, "only_inet6"):
            refusal, listener = one.refusal, one.listener
            assert listener is not None
            yield Evidence.of_refusal(
                self,
                refusal,
                one.why,
                one.proof,
                call=listener.bind.call if listener.bind is not None else refusal.connect.call,
                certainty=one.cause.certainty,
                subjects=listener.subjects,
            )
