"""The server listens, but only for the other version of IP."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations
from ..trackers.host_answers import HostAnswers
from ..vocabulary import AF_INET, AF_INET6

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
    supersedes = ("nobody-listens", "connected-before-listen")
    subject = "destination"
    needs = (Bound, Destinations, HostAnswers)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where, answers = subject.where, facts[HostAnswers]
        for refusal in facts[Destinations].refused(subject):
            if answers.is_local(refusal.seen.call, where.host) is not True:
                continue
            listeners = facts[Bound].listeners(refusal.seen, where.port, refusal.at_ns) or []
            if not listeners or any(one.local.family == where.family or one.takes(where) for one in listeners):
                continue
            listener = listeners[0]
            version = _VERSIONS.get(listener.local.family)
            yield Evidence(
                self,
                refusal.at_ns,
                f"{listener.owner} listens on {listener.local}, {version} only; {where} was tried and refused.",
                [
                    refusal.seen.proof(),
                    *listener.proof(),
                    *answers.proof(
                        refusal.seen.call, "sockets", f"port {where.port} is listened on at {listener.local} only"
                    ),
                ],
                call=refusal.connect.call,
                socket=refusal.socket,
                process=refusal.process,
                title=f"the server listens for {version} only",
                subjects=listener.subjects,
                calls=refusal.calls,
                count=refusal.count,
            )


_VERSIONS = {AF_INET: "IPv4", AF_INET6: "IPv6"}
