"""The server listens in another network namespace."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.bound import Bound
from ..trackers.destinations import Destinations
from ..trackers.host_answers import HostAnswers

__all__ = ["OtherNetworkNamespace"]


class OtherNetworkNamespace(Rule):
    """The address is the client's own host, the server is elsewhere."""

    id = "other-network-namespace"
    title = "the server listens in another network namespace"
    covers = (23,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "Each container has a network namespace of its own, with its own 127.0.0.1 and its own ports. A server in one "
        "namespace is not there for a client that connects to the loopback of another."
    )
    symptoms = (
        "connection refused",
        "ECONNREFUSED",
        "works on the host, refused in the container",
        "localhost in docker",
    )
    proof = (
        "The connection to an address of the client's own host was refused, nobody listens on the port in that "
        "network namespace, and a traced socket listens on it in another one."
    )
    fix = "Connect to the address of the container or publish the port; or let both share one namespace (--network container:NAME)."
    disproof = "The listener that is named is another service on the same port number."
    references = ("network_namespaces(7)", "setns(2)")
    supersedes = ("nobody-listens", "connected-before-listen")
    subject = "destination"
    needs = (Bound, Destinations, HostAnswers)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        where = subject.where
        if subject.protocol != "tcp" or subject.network is None:
            return
        for refusal in facts[Destinations].refused(subject):
            if facts[HostAnswers].is_local(refusal.seen.call, where.host) is not True:
                continue
            if facts[Bound].listeners(refusal.seen, where.port, refusal.at_ns):
                continue
            others = [
                one
                for one in facts[Bound].on(where.port)
                if one.tcp and not one.is_in(subject.network) and one.listened_at(refusal.at_ns) and one.takes(where)
            ]
            if not others or others[0].listen is None:
                continue
            other = others[0]
            listen = other.listen
            assert listen is not None
            yield Evidence.of_refusal(
                self,
                refusal,
                f"Nobody listens on {where} in the network namespace of {facts.who(refusal.process)}; "
                f"{facts.who(other.process)} listens on "
                f"{other.local} in another one.",
                [
                    refusal.seen.proof(refusal.how_seen()),
                    listen.proof(
                        f"{listen.text()} on {other.local}, in network namespace {other.socket.network} of the "
                        "recording"
                    ),
                    *facts[HostAnswers].proof(
                        refusal.seen.call, "sockets", f"no LISTEN on {where} in network namespace {subject.network}"
                    ),
                ],
                certainty="strong",
                subjects=frozenset({other.id}),
            )
