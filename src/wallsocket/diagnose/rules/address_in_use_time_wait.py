"""The port is kept by connections of an earlier server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.address_in_use import AddressInUse
from ..trackers.host_answers import HostAnswers
from ..trackers.options import Options
from ..trackers.set_up import SetUp
from ..vocabulary import SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET

__all__ = ["AddressInUseByTimeWait"]


class AddressInUseByTimeWait(Rule):
    """Only old connections have the port."""

    id = "address-in-use-time-wait"
    title = "the port is kept by old connections: SO_REUSEADDR was not set before bind"
    covers = (1,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The side that closes a connection first keeps it in TIME_WAIT for a minute. Without SO_REUSEADDR Linux "
        "refuses to bind a port on which such connections are left, so a server cannot be restarted at once."
    )
    symptoms = ("address already in use after restart", "EADDRINUSE", "TIME_WAIT", "works again after a minute")
    proof = (
        "bind failed with EADDRINUSE; no socket listens on the port; the kernel lists connections in closing states on "
        "it; SO_REUSEADDR was not set on the socket before."
    )
    fix = "Set SO_REUSEADDR on the listening socket before bind."
    disproof = "bind fails in the same way with SO_REUSEADDR set before it."
    references = ("socket(7)", "bind(2)", "RFC 9293 3.6")
    effects = ("nobody-listens", "failed-call-ignored")
    needs = (AddressInUse, HostAnswers, Options)
    given = SetUp

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        taken = facts[AddressInUse].of(subject)
        if taken is None or subject.type != SOCK_STREAM:
            return
        failed, asked = taken.call, taken.asked
        if facts[HostAnswers].sockets(failed.call) is None:
            yield self.cannot_tell("facts", "the sockets of the host were not looked up when bind failed")
            return
        found = facts[AddressInUse].cause(taken)
        option = facts[Options].call(subject, SOL_SOCKET, SO_REUSEADDR)
        if option is not None and option.end_ns <= failed.entry_ns and option.option_number:
            return
        if found is None or found[0].name not in ("time_wait", "connections_left"):
            return
        cause, old = found
        counts = Counter(entry.state_name for entry in old)
        states = ", ".join(f"{count} in {name}" for name, count in counts.items())
        yield Evidence(
            self,
            failed.end_ns,
            f"{cause.sentence[:1].upper()}{cause.sentence[1:]}.",
            [
                failed.proof(),
                *facts[HostAnswers].proof(failed.call, "sockets", f"port {asked.port}: {states}, no LISTEN"),
            ],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            severity="note" if taken.moved_on else "error",
        )
