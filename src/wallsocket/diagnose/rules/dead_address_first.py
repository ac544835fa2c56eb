"""The addresses of a name are tried one after another, and the first is dead."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ...trace.verdict import duration
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.connects import Connects
from ..trackers.destinations import Destinations
from ..trackers.unreached import Unreached

__all__ = ["DeadAddressFirst"]

_LONG_NS = 900_000_000
#: The next address follows within this time on the end of the attempt before.
_FOLLOWS_NS = 2_500_000_000


class DeadAddressFirst(Rule):
    """A long wait for one address, and the next one answers."""

    id = "dead-address-first"
    title = "a dead address is tried first, and the next one only after it"
    covers = (25,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A name may have several addresses. A program that tries them one after another waits for the whole time "
        "limit of a dead one before it tries the next, at every connection. Happy Eyeballs (RFC 8305) starts the next "
        "one after 250 ms."
    )
    symptoms = ("slow to connect", "a pause before it works", "IPv6 timeout then IPv4", "connecting takes seconds")
    proof = (
        "Nobody answered a connect to one address (ETIMEDOUT, EHOSTUNREACH, or given up) for a second or more; "
        "right afterwards the same process connected to another address on the same port, and got there."
    )
    fix = "Take the dead address out of the name, or try the addresses in parallel (RFC 8305), with a short limit for each."
    disproof = "The second connection had nothing to do with the first."
    references = ("getaddrinfo(3)", "gai.conf(5)", "RFC 8305")
    subject = "destination"
    needs = (Connects, Destinations, Unreached)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        if subject.protocol != "tcp":
            return
        missing = facts[Unreached].unsure(subject)
        if missing is not None:
            yield self.cannot_tell("kernel", f"whether {subject.where} ever answered: {missing}")
        for failure in facts[Unreached].all(subject, errno.ETIMEDOUT, errno.EHOSTUNREACH, None):
            following = facts[Connects].next_after(failure.connect)
            where = following.address if following is not None else None
            if following is None or where is None or failure.waited_ns < _LONG_NS:
                continue
            if not -_FOLLOWS_NS // 10 <= following.entry_ns - failure.at_ns <= _FOLLOWS_NS:
                continue
            there = Destination("tcp", where, subject.network)
            if facts[Destinations].known(there).reached_ns < following.entry_ns:
                continue
            yield Evidence(
                self,
                failure.at_ns,
                f"{subject.where} was waited for {duration(failure.waited_ns)}; {where}, tried after it, answered.",
                [failure.seen.proof(failure.how_seen()), following.proof()],
                call=failure.connect.call,
                socket=failure.socket.id,
                process=failure.process,
                severity="warning",
                certainty="strong",
                calls=failure.calls,
                count=failure.count,
                lost_ns=failure.waited_ns,
            )
