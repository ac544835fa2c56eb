"""The socket is tied to an interface that does not lead there."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..facts import Facts, json_object
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.host_answers import HostAnswers
from ..trackers.network import Networks
from ..trackers.unreached import Failure, Unreached

__all__ = ["WrongDevice"]


class WrongDevice(Rule):
    """SO_BINDTODEVICE names another interface than that of the route."""

    id = "wrong-device"
    title = "SO_BINDTODEVICE ties the socket to an interface that does not lead to the destination"
    covers = (134,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A socket with SO_BINDTODEVICE sends by that interface only, whatever the routing table says. If the "
        "destination is behind another one nobody answers, or there is no route at all."
    )
    symptoms = (
        "no route to host",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "network is unreachable",
        "connection timed out",
        "SO_BINDTODEVICE",
    )
    proof = (
        "SO_BINDTODEVICE was set; connect or send failed with EHOSTUNREACH, ENETUNREACH or ETIMEDOUT (or was given "
        "up), and the kernel's route to that address leaves by another interface."
    )
    fix = "Leave the option out, or name the interface that leads there (ip route get ADDRESS)."
    disproof = "The route to the address leaves by the interface that the option names."
    references = ("socket(7)",)
    subject = "destination"
    needs = (HostAnswers, Networks, Unreached)
    supersedes = ("host-unreachable", "network-unreachable", "syn-unanswered")
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        unreached = facts[Unreached]
        missing = unreached.unsure(subject)
        if missing is not None:
            yield self.cannot_tell("kernel", f"whether {subject.where} ever answered: {missing}")
        for failure in unreached.of(subject, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, None):
            option = failure.device
            device = option.value.split(b"\0")[0].decode("ascii", "replace") if option is not None else ""
            if option is None or not device:
                continue
            leaves = self._leaves_by(facts, subject, failure)
            if leaves is None or leaves == device:
                continue
            yield Evidence(
                self,
                failure.at_ns,
                f"The socket may send by {device} only, and the route to {subject.where.host} leaves by {leaves}.",
                [
                    option.proof(f"call {option.call.id} setsockopt(SO_BINDTODEVICE, {device})"),
                    failure.seen.proof(failure.how_seen()),
                    *facts[HostAnswers].proof(
                        failure.seen.call, "route", f"{subject.where.host} is reached by {leaves}"
                    ),
                ],
                call=option.call,
                socket=failure.socket.id,
                process=failure.process,
                calls=failure.calls,
                count=failure.count,
            )

    @staticmethod
    def _leaves_by(facts: Facts, subject: Destination, failure: Failure) -> str | None:
        """The interface by which the host would send."""
        fact = facts[HostAnswers].fact(failure.seen.call, "route")
        if fact is not None:
            name = json_object(fact.value).get("interface")
            return name if isinstance(name, str) else None
        return facts[Networks].interface_to(subject.network, subject.where.host)
