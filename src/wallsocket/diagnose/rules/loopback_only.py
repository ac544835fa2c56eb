"""The server listens, but only on another address of the host."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.refused import Refused

__all__ = ["LoopbackOnly"]


class LoopbackOnly(Rule):
    """The server listens, but only on another address of the host."""

    id = "loopback-only"
    title = "the server listens on another address of this host only"
    covers = (12,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A socket bound to one address gets only what is sent to that address. Bound to 127.0.0.1 it cannot be "
        "reached through any other address of the host, nor from outside."
    )
    symptoms = (
        "works on localhost, refused from the network",
        "connection refused with the host name",
        "127.0.0.1 only",
    )
    proof = (
        "The connection was refused; the address is one of this host; a socket listens on the same port, bound to "
        "another address of the same family, and none listens on this one or on all."
    )
    fix = "Bind the server to the address that clients use, or to all addresses (0.0.0.0 or ::)."
    disproof = "A socket listens on the very address that was tried."
    references = ("ip(7)", "bind(2)")
    supersedes = ("nobody-listens", "connected-before-listen")
    subject = "destination"
    needs = (Refused,)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        for one in facts[Refused].of(subject, "loopback_only", "other_address"):
            refusal, listener = one.refusal, one.listener
            assert listener is not None
            yield Evidence.of_refusal(
                self,
                refusal,
                one.why,
                one.proof,
                call=listener.bind.call if listener.bind is not None else refusal.connect.call,
                certainty=one.cause.certainty,
                title=f"the server listens on {listener.local.host} only",
                subjects=listener.subjects,
            )
