"""No local port is left for a new connection."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator

from ..facts import Facts, json_object
from ..rule import Evidence, Judgement, Rule
from ..subjects import Destination
from ..trackers.host_answers import HostAnswers
from ..trackers.set_up import SetUp
from ..trackers.unreached import Unreached
from ..vocabulary import LISTEN

__all__ = ["LocalPortsExhausted"]

_SYSCTL = "net.ipv4.ip_local_port_range"
#: Rows that one look-up lists at most (facts/host.rs).
_LISTED = 200


class LocalPortsExhausted(Rule):
    """connect fails with EADDRNOTAVAIL."""

    id = "local-ports-exhausted"
    title = "every local port towards this destination is in use"
    covers = (17,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A connection needs a local port that no other connection to the same destination has. Each one that this "
        "side closes stays in TIME_WAIT for a minute and keeps its port; with 28,000 ports that is about 470 new "
        "connections a second to one destination."
    )
    symptoms = ("cannot assign requested address", "EADDRNOTAVAIL", "[Errno 99]", "out of ephemeral ports", "TIME_WAIT")
    proof = (
        "connect failed with EADDRNOTAVAIL, and the kernel lists connections from this host to that destination: as "
        "many as net.ipv4.ip_local_port_range has ports, or as one answer holds (200)."
    )
    fix = (
        "Keep connections open and use them again (a pool, keep-alive). Where that cannot be done, a wider "
        "ip_local_port_range, or more addresses at either end."
    )
    disproof = "Few sockets have that destination: then the source address is not this host's."
    references = ("ip(7)", "connect(2)", "RFC 6056")
    subject = "destination"
    needs = (HostAnswers, SetUp, Unreached)
    effects = ("failed-call-ignored",)

    def judge(self, facts: Facts, subject: Destination) -> Iterator[Judgement]:
        answers = facts[HostAnswers]
        # Ports come back: that a later connection found one takes nothing from those that did not.
        for failure in facts[Unreached].all(subject, errno.EADDRNOTAVAIL):
            if failure.connect.name != "connect":
                continue
            call = failure.seen.call
            listed = answers.sockets(call)
            sysctls = answers.fact(call, "sysctls")
            words = str(json_object(sysctls.value).get(_SYSCTL, "")).split() if sysctls is not None else []
            if listed is None or len(words) != 2 or not all(word.isdecimal() for word in words):
                yield self.cannot_tell(
                    "facts", f"the sockets of the host were not looked up when {failure.seen.text()}"
                )
                continue
            lowest, highest = int(words[0]), int(words[1])
            taken = Counter(
                one.state_name
                for one in listed
                if one.protocol.startswith("tcp") and one.state != LISTEN and one.remote == subject.where
            )
            count = sum(taken.values())
            # connect looks at an even number of ports, one parity after the other (inet_hashtables.c, __inet_hash_connect).
            if count < min((highest - lowest + 1) & ~1, _LISTED - 20):
                continue
            states = ", ".join(f"{number} in {state}" for state, number in taken.most_common(3))
            more = "at least " if len(listed) >= _LISTED else ""
            yield Evidence(
                self,
                failure.at_ns,
                f"This host has {more}{count} sockets to {subject.where} ({states}); its ports are {lowest} to {highest}.",
                [
                    failure.seen.proof(failure.how_seen()),
                    *answers.proof(call, "sockets", f"{more}{count} sockets to {subject.where}: {states}"),
                    *answers.proof(call, "sysctls", f"{_SYSCTL} = {lowest} {highest}"),
                ],
                call=failure.connect.call,
                socket=failure.socket.id,
                process=failure.process,
                calls=failure.calls,
                count=failure.count,
            )
