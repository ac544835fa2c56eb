"""The port is taken by a socket that lives."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.address_in_use import AddressInUse, Taken
from ..trackers.bound import Bound, BoundSocket
from ..trackers.host_answers import HostAnswers
from ..trackers.set_up import SetUp

__all__ = ["AddressInUseByListener"]


class AddressInUseByListener(Rule):
    """A live socket has the port."""

    id = "address-in-use-listener"
    title = "the port is taken: another socket has it now"
    covers = (2,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A listening TCP socket (or any bound UDP socket) keeps its address and port to itself. bind fails with "
        "EADDRINUSE as long as that socket exists, whatever SO_REUSEADDR says."
    )
    symptoms = (
        "address already in use",
        "EADDRINUSE",
        "OSError: [Errno 98]",
        "bind failed",
        "port is already allocated",
    )
    proof = "bind failed with EADDRINUSE, and the kernel lists a socket that has this port."
    fix = "Stop the process that has the port, or use another port."
    disproof = "The socket that is named has gone when bind is tried again, and bind still fails."
    references = ("bind(2)", "ip(7)")
    supersedes = ("address-in-use-time-wait",)
    effects = ("nobody-listens", "failed-call-ignored")
    needs = (AddressInUse, Bound, HostAnswers)
    given = SetUp

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        taken = facts[AddressInUse].of(subject)
        if taken is None:
            return
        failed, asked = taken.call, taken.asked
        own = self._own(facts, subject, taken)
        rows: list[Proof] = []
        if own is not None and own.bind is not None:
            if own.process == failed.call.process and own.local.family != asked.family:
                # One port for both families: [::] takes IPv4 as well, and the second bind is known to fail.
                return
            line = facts.line(own.bind.call)
            why = f"{facts.who(own.process)}{f', {line},' if line else ''} has {own.local}, so {asked} is taken"
            rows.append(own.bind.proof(f"{own.bind.text()}: the socket that has it"))
        else:
            if facts[HostAnswers].sockets(failed.call) is None:
                yield self.cannot_tell("facts", "the sockets of the host were not looked up when bind failed")
                return
            found = facts[AddressInUse].cause(taken)
            if found is None or found[0].name != "in_use":
                return
            why = found[0].sentence
        rows += facts[HostAnswers].held(failed.call, taken.protocol, asked)
        yield Evidence(
            self,
            failed.end_ns,
            f"{asked} cannot be bound: {why}.",
            [failed.proof(), *rows],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            severity="note" if taken.moved_on else "error",
            subjects=frozenset({own.id} if own is not None else ()),
        )

    @staticmethod
    def _own(facts: Facts, socket: SocketFacts, taken: Taken) -> BoundSocket | None:
        for other in facts[Bound].on(taken.asked.port, socket.type, socket.network):
            lived = other.bind is not None and other.had_it(taken.call.end_ns)
            if lived and other.id != socket.id and other.local.clashes(taken.asked):
                return other
        return None
