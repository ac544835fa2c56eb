"""A broadcast that the program did not ask to be allowed."""

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
from ..vocabulary import CONNECTS, SO_BROADCAST, SOL_SOCKET, WRITES

__all__ = ["BroadcastNotAllowed"]

_LIMITED = "255.255.255.255"
_BROADCAST = 3  # RTN_BROADCAST, linux/rtnetlink.h


class BroadcastNotAllowed(Rule):
    """A broadcast that the program did not ask to be allowed."""

    id = "broadcast-not-allowed"
    title = "the broadcast is refused: SO_BROADCAST is off"
    covers = (78,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Sending to a broadcast address needs SO_BROADCAST on the socket, so that nobody sends to a whole network by "
        "mistake. Without it sendto and connect fail with EACCES; privilege does not help."
    )
    symptoms = ("permission denied", "EACCES", "[Errno 13]", "sendto: Permission denied", "broadcast needs root")
    proof = "sendto or connect to a broadcast address failed with EACCES, and SO_BROADCAST was not set."
    fix = "setsockopt(SOL_SOCKET, SO_BROADCAST, 1) before the first broadcast."
    disproof = "The option was on: then a local filter refuses."
    references = ("socket(7)", "ip(7)")
    needs = (Errors, HostAnswers, Options)
    given = Errors
    live = True

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[Errors].first(subject, (errno.EACCES,), WRITES | CONNECTS)
        if failed is None or subject.stream:
            return
        set_call = facts[Options].call(subject, SOL_SOCKET, SO_BROADCAST)
        if set_call is not None and set_call.option_number:
            if set_call.entry_ns > failed.entry_ns:
                yield Healthy([failed.call.id], "the program switched SO_BROADCAST on and went on")
            return
        if facts[Options].in_force(subject, SOL_SOCKET, SO_BROADCAST):
            return
        rows = self._broadcast(facts, failed)
        if rows is None:
            return
        yield Evidence(
            self,
            failed.end_ns,
            f"{failed.address} is a broadcast address, and SO_BROADCAST was not set on this socket.",
            [failed.proof(), *rows],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            calls=[call.call.id for call in facts[Errors].of(subject).calls if call.errno == errno.EACCES],
        )

    @staticmethod
    def _broadcast(facts: Facts, failed: CallFacts) -> list[Proof] | None:
        """What shows that the address is a broadcast address; ``None``: nothing does."""
        where = failed.address
        if where is None:
            return None
        answers = facts[HostAnswers]
        route = answers.fact(failed.call, "route")
        if route is not None and json_object(route.value).get("kind") == _BROADCAST:
            return answers.proof(failed.call, "route", f"{where.host} is a broadcast address of this host's networks")
        return [] if where.host == _LIMITED else None
