"""The server listens, but only on another address of the host."""

from __future__ import annotations

from collections.abc import Iterator

from ...events import Call
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound, Listener
from ..trackers.destinations import Destinations, Refusal
from ..trackers.host_answers import HostAnswers

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
        "A socket bound to one address gets only what is sent to that address. Bound to 127.0.0.1 it cannot be reached "
        "through any other address of the host, and not from outside."
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
    supersedes = ("nobody-listens", "connected-before-listen")
    subject = "destination"
    needs = (Bound, Destinations, HostAnswers)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where, answers = subject.where, facts[HostAnswers]
        for refusal in facts[Destinations].refused(subject):
            if answers.is_local(refusal.seen.call, where.host) is not True:
                continue
            listeners = facts[Bound].listeners(refusal.seen, where.port, refusal.at_ns) or []
            others = [one for one in listeners if one.local.family == where.family]
            if not others or any(one.takes(where) for one in listeners):
                continue
            listener = others[0]
            only = "loopback" if listener.local.loopback else "that address"
            yield Evidence(
                self,
                refusal.at_ns,
                f"{listener.owner} listens on {listener.local} and so is reached by {only} only; "
                f"{where} was tried and refused.",
                [
                    refusal.seen.proof(),
                    *listener.proof(),
                    *answers.proof(
                        refusal.seen.call, "sockets", f"port {where.port} is listened on at {listener.local} only"
                    ),
                ],
                call=_bind_or(listener, refusal),
                socket=refusal.socket,
                process=refusal.process,
                title=f"the server listens on {listener.local.host} only",
                subjects=listener.subjects,
                calls=refusal.calls,
                count=refusal.count,
            )


def _bind_or(listener: Listener, refusal: Refusal) -> Call:
    """Where the fault can be mended: the server's bind when it was traced, else the client's connect."""
    if listener.bound is not None and listener.bound.bind is not None:
        return listener.bound.bind.call
    return refusal.connect.call
