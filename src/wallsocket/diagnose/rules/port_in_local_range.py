"""A service's port that the kernel gave to somebody's outgoing connection."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts, json_object
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.address_in_use import AddressInUse
from ..trackers.host_answers import HostAnswers
from ..trackers.set_up import SetUp
from ..vocabulary import LISTEN, TIME_WAIT

__all__ = ["PortInLocalRange"]

_RANGE = "net.ipv4.ip_local_port_range"


class PortInLocalRange(Rule):
    """bind fails because an outgoing connection has the port."""

    id = "port-in-local-range"
    title = "the port is the local port of a connection: it lies in the range for outgoing connections"
    covers = (130,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "The kernel takes local ports of outgoing connections from net.ipv4.ip_local_port_range. A service whose port lies "
        "in it cannot start whenever some connection happens to have that port."
    )
    symptoms = ("address already in use now and then", "EADDRINUSE", "nobody listens on the port")
    proof = (
        "bind failed with EADDRINUSE; the kernel listed no listener on the port, but a connection with that local port; the "
        "port lies in the range that was read then."
    )
    fix = "A port outside the range, or net.ipv4.ip_local_reserved_ports for this one."
    disproof = "The connection was accepted on that port by a server that has ended."
    references = ("ip(7)", "bind(2)")
    needs = (AddressInUse, HostAnswers)
    given = SetUp
    effects = ("nobody-listens",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        taken = facts[AddressInUse].of(subject)
        if taken is None or taken.protocol != "tcp":
            return
        call, port = taken.call, taken.asked.port
        answers = facts[HostAnswers]
        listed = answers.sockets(call.call)
        row = answers.fact(call.call, "sysctls")
        if listed is None or row is None:
            return
        first, last = _range(json_object(row.value).get(_RANGE))
        if not first <= port <= last:
            return
        same = [
            one for one in listed if one.protocol.startswith("tcp") and one.local is not None and one.local.port == port
        ]
        if any(one.state == LISTEN for one in same):
            return
        holder = next(
            (one for one in same if one.remote is not None and one.remote.port and one.state != TIME_WAIT), None
        )
        if holder is None:
            return
        yield Evidence(
            self,
            call.end_ns,
            f"Port {port} is the local port of {holder.owner()}'s connection to {holder.remote}; the kernel hands out "
            f"{first} to {last} for such connections.",
            [
                call.proof(),
                *answers.proof(
                    call.call, "sockets", f"{holder.local} → {holder.remote}, {holder.state_name}, no LISTEN"
                ),
                *answers.proof(call.call, "sysctls", f"{_RANGE} = {first} {last}"),
            ],
            call=call.call,
            socket=subject.id,
            process=call.call.process,
            certainty="strong",
            severity="note" if taken.moved_on else "error",
        )


def _range(value: object) -> tuple[int, int]:
    words = value.split() if isinstance(value, str) else []
    if len(words) != 2 or not all(word.isdecimal() and len(word) < 6 for word in words):
        return 1, 0
    return int(words[0]), int(words[1])
