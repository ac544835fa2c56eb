"""The port is kept by a process that inherited the socket of a server that has closed it."""

from __future__ import annotations

from collections.abc import Iterator

from ...events import Descriptor
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.address_in_use import AddressInUse, Taken
from ..trackers.bound import Bound, BoundSocket
from ..trackers.descriptors import Descriptors
from ..trackers.execs import Execs
from ..trackers.host_answers import HostAnswers
from ..trackers.inheritable import Inheritable
from ..trackers.set_up import SetUp

__all__ = ["AddressInUseInherited"]


class AddressInUseInherited(Rule):
    """A child kept the descriptor."""

    id = "address-in-use-inherited"
    title = "the port is kept by a child process that inherited the socket"
    covers = (3,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A descriptor that is not close-on-exec goes to every program that the process starts, and to every child of "
        "fork. The socket lives, and keeps its port, until the last of them has closed it."
    )
    symptoms = (
        "address already in use although the server was stopped",
        "EADDRINUSE",
        "port held by a child process",
        "restart fails while a worker runs",
    )
    proof = (
        "bind failed with EADDRINUSE; the socket that has the address was closed by the process that made it, and a "
        "descriptor that another process inherited was open at that moment."
    )
    fix = "Open the socket with SOCK_CLOEXEC (in Python leave it out of pass_fds), or close it in the child."
    disproof = "The process that is named did not have the descriptor when bind failed."
    references = ("fork(2)", "execve(2)", "socket(2)")
    subject = "socket"
    needs = (AddressInUse, Bound, Descriptors, Execs, HostAnswers, Inheritable)
    given = SetUp
    supersedes = ("address-in-use-listener", "address-in-use-time-wait")
    effects = ("nobody-listens",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        taken = facts[AddressInUse].of(subject)
        if taken is None:
            return
        for other in facts[Bound].on(taken.asked.port, subject.type, subject.network):
            if other.id == subject.id or other.bind is None or not other.local.clashes(taken.asked):
                continue
            row = self._inherited(facts, other, taken)
            if row is not None:
                yield self._evidence(facts, subject, taken, other, row)
                return
            itself = self._over_exec(facts, subject, other, taken)
            if itself is not None:
                yield itself
                return

    def _over_exec(self, facts: Facts, socket: SocketFacts, other: BoundSocket, taken: Taken) -> Evidence | None:
        """The process became another program, and the descriptor stayed open over that."""
        bind, failed = other.bind, taken.call
        if bind is None or failed.call.process != other.process:
            return None
        rows = facts[Descriptors].of(other.socket)
        kept = [row for row in rows if row.opened_ns <= failed.entry_ns <= (row.closed_ns or failed.entry_ns)]
        became = facts[Execs].between(other.process, bind.end_ns, failed.entry_ns)
        if became is None or [row.process for row in kept] != [other.process]:
            return None
        left = facts[Inheritable].of(other.socket).by
        return Evidence(
            self,
            failed.end_ns,
            f"{taken.asked} cannot be bound: {facts.who(other.process)} has it itself, by descriptor {kept[0].number}, which it "
            f"opened before it became another program with {became.text}, and which stayed open.",
            [failed.proof(), bind.proof(f"{bind.text()}: the socket that has it"), became],
            call=(left.call if left is not None else bind.call),
            socket=socket.id,
            process=other.process,
            title="the program kept the port from itself: the socket stayed open over exec",
            fix="Open the socket with SOCK_CLOEXEC (Python: leave out set_inheritable), or take over the descriptor by its number.",
            severity="note" if taken.moved_on else "error",
            subjects=frozenset({other.id}),
        )

    @staticmethod
    def _inherited(facts: Facts, other: BoundSocket, taken: Taken) -> Descriptor | None:
        """The descriptor that kept it, when the process that made it had none left."""
        at_ns = taken.call.entry_ns
        rows = facts[Descriptors].of(other.socket)
        held = [row for row in rows if row.opened_ns <= at_ns and (row.closed_ns is None or row.closed_ns > at_ns)]
        if any(row.process == other.process for row in held):
            return None
        return next((row for row in held if row.origin in ("fork", "exec", "inherited", "received")), None)

    def _evidence(
        self, facts: Facts, socket: SocketFacts, taken: Taken, other: BoundSocket, row: Descriptor
    ) -> Evidence:
        bind = other.bind
        assert bind is not None
        holder, maker = facts.who(row.process), facts.who(other.process)
        line = facts.line(bind.call)
        left = facts[Inheritable].of(other.socket).by
        return Evidence(
            self,
            taken.call.end_ns,
            f"{taken.asked} cannot be bound: {holder} has it. It inherited descriptor {row.number} from {maker}, which "
            "bound "
            f"the socket{f' at {line}' if line else ''} and has closed it.",
            [
                taken.call.proof(),
                bind.proof(f"{bind.text()}: the socket that has it"),
                Proof(
                    "calls",
                    "descriptor",
                    row.id,
                    row.opened_ns,
                    f"descriptor {row.number} of {holder}, by {row.origin}",
                ),
                *facts[HostAnswers].held(taken.call.call, taken.protocol, taken.asked),
            ],
            # The line to change: where the holder was started; where that is not known, where the socket was left inheritable.
            source=child.source if (child := facts.process(row.process)) is not None else None,
            call=(left.call if left is not None else bind.call),
            socket=socket.id,
            process=taken.call.call.process,
            severity="note" if taken.moved_on else "error",
            subjects=frozenset({other.id}),
        )
