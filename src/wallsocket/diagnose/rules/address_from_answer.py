"""The address that does not work came from the server itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.advertised import Advertised
from ..trackers.unreached import Unreached

__all__ = ["AddressFromAnswer"]


class AddressFromAnswer(Rule):
    """A second connection goes where the first one's answer sent it."""

    id = "address-from-answer"
    title = "the server told the client an address at which it cannot be reached"
    covers = (141,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "FTP (227), Kafka (advertised.listeners), Redis Cluster (MOVED), service registries and redirects name the "
        "address for the next connection. What the server believes to be its address need not lead to it from where "
        "the client is."
    )
    symptoms = (
        "the first connection works, the second fails",
        "advertised.listeners",
        "passive mode",
        "MOVED",
        "connection refused",
    )
    proof = (
        "connect failed, and its address and port stand in bytes that the program had read from another peer just before; or "
        "the thread had just read a redirect of HTTP whose address was not recorded as a whole, and nothing since."
    )
    fix = "Let the server advertise an address that clients can reach (advertised.listeners, pasv_address, cluster-announce-ip)."
    disproof = "The advertised address is right, and what should listen there is down."
    references = ("connect(2)", "RFC 1123 4.1.2.6")
    subject = "destination"
    needs = (Advertised, Unreached)
    supersedes = (
        "nobody-listens",
        "connected-before-listen",
        "loopback-only",
        "syn-unanswered",
        "host-unreachable",
        "network-unreachable",
    )
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        if subject.protocol != "tcp":
            return
        for attempt in facts[Unreached].attempts(subject):
            read = facts[Advertised].by(attempt.socket)
            if read is None or read.socket is None:
                continue
            named = facts[Advertised].names(read, subject.where)
            told = f"the answer names {subject.where}" if named else "a redirect"
            yield Evidence(
                self,
                attempt.seen.end_ns,
                (
                    f"The answer of {read.socket.remote or 'a server'} names {subject.where}, which cannot be reached from here."
                    if named
                    else f"{read.socket.remote or 'A server'} answered with a redirect; {subject.where}, to which the same thread "
                    "connected next, cannot be reached from here."
                ),
                [
                    read.proof(f"{read.text()}: {told}"),
                    attempt.seen.proof(attempt.how_seen),
                ],
                call=attempt.connect.call,
                socket=attempt.socket,
                process=attempt.connect.call.process,
                certainty="strong",
                subjects=frozenset({read.socket.id}),
                calls=attempt.calls,
                count=attempt.times,
            )
