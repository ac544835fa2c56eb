"""A datagram that does not fit."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts, json_object
from ..finding import Proof
from ..rule import Evidence, Healthy, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.errors import Errors
from ..trackers.host_answers import HostAnswers
from ..trackers.options import Options
from ..trackers.path_sizes import PathSizes
from ..vocabulary import AF_INET, AF_INET6, AF_UNIX, IP_MTU_DISCOVER, IPPROTO_IP, SOCK_DGRAM, WRITES

__all__ = ["DatagramTooLong"]

#: The most that one datagram carries: 65,535 bytes less the headers of IPv4 and UDP; IPv6 does not count its own.
_LARGEST = {AF_INET: 65_507, AF_INET6: 65_527}
_DO = (2, 3)  # IP_PMTUDISC_DO, IP_PMTUDISC_PROBE


class DatagramTooLong(Rule):
    """A datagram that does not fit."""

    id = "datagram-too-long"
    title = "the datagram is too long to be sent"
    covers = (31,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A UDP datagram carries at most 65,507 bytes over IPv4 (65,527 over IPv6); where the program forbids fragments, at "
        "most what the path takes. What is longer is not sent at all: the call fails with EMSGSIZE."
    )
    symptoms = ("message too long", "EMSGSIZE", "[Errno 90]", "sendto: Message too long")
    proof = "A send on a datagram socket failed with EMSGSIZE, and the length is above the limit that the kernel names."
    fix = "Split messages into numbered datagrams of at most about 1,200 bytes, which any path takes, or use a stream."
    disproof = "The length is below the limit of the protocol and of the path."
    references = ("udp(7)", "ip(7)", "RFC 8085 3.2")
    needs = (Errors, HostAnswers, Options, PathSizes)
    given = Errors
    live = True
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[Errors].first(subject, (errno.EMSGSIZE,), WRITES)
        if failed is None or subject.type != SOCK_DGRAM:
            return
        calls = [call.call.id for call in facts[Errors].of(subject).calls if call.errno == errno.EMSGSIZE]
        if facts[PathSizes].asked(subject, failed.entry_ns):
            yield Healthy(calls, "the program looks for the largest datagram that the path takes")
            return
        found = self._limit(facts, subject, failed)
        if found is None:
            yield self.cannot_tell("facts", "what the path takes was not looked up when the datagram was refused")
            return
        why, rows = found
        yield Evidence(
            self,
            failed.end_ns,
            f"{failed.name} offered {failed.length} bytes: {why} Nothing of it was sent.",
            [failed.proof(), *rows],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            calls=calls,
        )

    @staticmethod
    def _limit(facts: Facts, socket: SocketFacts, failed: CallFacts) -> tuple[str, list[Proof]] | None:
        length = failed.length
        if socket.family == AF_UNIX:
            return "a Unix datagram must fit into the send buffer (SO_SNDBUF).", []
        largest = _LARGEST.get(socket.family)
        if largest is not None and length > largest:
            return f"one datagram carries at most {largest:,}.", []
        answers = facts[HostAnswers]
        route, links = answers.fact(failed.call, "route"), answers.fact(failed.call, "links")
        way = json_object(route.value) if route is not None else {}
        mtu = way.get("mtu")
        if not isinstance(mtu, int) or not mtu:
            mtu = answers.mtu(failed.call, way.get("interface")) if links is not None else None
        headers = 28 if socket.family == AF_INET else 48
        if mtu is None or length + headers <= mtu:
            return None
        forbidden = (
            facts[Options].in_force(socket, IPPROTO_IP, IP_MTU_DISCOVER) in _DO
            or facts[Options].number_set(socket, IPPROTO_IP, IP_MTU_DISCOVER) in _DO
        )
        rows = answers.proof(failed.call, "route" if route is not None else "links", f"the path takes {mtu} bytes")
        return (
            f"with {headers} bytes of headers it is longer than the {mtu} bytes that the path takes"
            + (", and IP_MTU_DISCOVER forbids fragments." if forbidden else ", and fragments are forbidden."),
            rows,
        )
