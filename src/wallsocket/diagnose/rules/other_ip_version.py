"""The server listens, but only for the other version of IP."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.refused import Refused

__all__ = ["OtherFamily"]


class OtherFamily(Rule):
    """The server listens, but only for the other version of IP."""

    id = "other-ip-version"
    title = "the server listens for the other version of IP only"
    covers = (13,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A name such as localhost may stand for ::1 and 127.0.0.1. A server on one of them does not answer on the "
        "other, and a client that tries only the first address is refused."
    )
    symptoms = ("connection refused on localhost", "::1 refused, 127.0.0.1 works", "IPv6 connection refused")
    proof = (
        "The connection to an IPv6 address was refused, no later one succeeded, and on that port a socket listens on "
        "an IPv4 address only (or the reverse)."
    )
    fix = "Let the server listen on both versions, or let the client try every address that the name has."
    disproof = "A socket listens on the port for the version of IP that was tried."
    references = ("ipv6(7)", "getaddrinfo(3)", "RFC 8305")
    supersedes = ("nobody-listens", "connected-before-listen")
    subject = "destination"
    needs = (Refused,)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        for one in facts[Refused].of(subject, "other_ip_version"):
            refusal, listener = one.refusal, one.listener
            assert listener is not None
            yield Evidence.of_refusal(
                self,
                refusal,
                one.why,
                one.proof,
                certainty=one.cause.certainty,
                title=f"the server listens for {'IPv6' if ':' in listener.local.host else 'IPv4'} only",
                subjects=listener.subjects,
            )
