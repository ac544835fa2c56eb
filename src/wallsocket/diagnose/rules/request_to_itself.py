"""A process waits for a connection that only it could accept."""

from __future__ import annotations

from collections.abc import Iterator

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.accepted_by import AcceptedBy
from ..trackers.bound import Bound
from ..trackers.descriptors import Descriptors
from ..trackers.loops import Loops
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp
from ..trackers.sockets import Sockets
from ..trackers.waits import Waits
from ..trackers.writes import Writes
from ..vocabulary import POLL_CALLS, READS

__all__ = ["RequestToItself"]

_LEAST_NS = 1_000_000_000


class RequestToItself(Rule):
    """A process waits for a connection that only it could accept."""

    id = "request-to-itself"
    title = "the program asks itself and waits for the answer: nobody is left to give it"
    covers = (127,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The kernel completes a connection to a listener without the program. When its only thread then waits for the "
        "answer, it cannot come to accept: it waits for itself."
    )
    symptoms = ("request to localhost hangs", "server calls itself", "deadlock", "webhook to the same server times out")
    proof = (
        "A socket of the process connected to a listener of the same process, the thread that accepts there waited a "
        "second or more for an answer on it, and the connection was not accepted meanwhile."
    )
    fix = "Let another thread or worker serve, make the request without blocking, or call the function itself."
    disproof = "Another process accepts on the same listener."
    references = ("accept(2)", "listen(2)")
    needs = (AcceptedBy, Bound, Descriptors, Loops, Peers, Reads, SetUp, Sockets, Waits, Writes)
    given = SetUp
    supersedes = ("loop-blocked", "silent-peer", "both-wait", "accept-queue-full")
    effects = ("left-before-accept", "listener-closed-with-queue")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        connect = facts[SetUp].of(subject).connect
        remote = subject.remote
        if (
            not subject.tcp
            or connect is None
            or remote is None
            or (facts[Reads].of(subject).calls and not facts[Waits].of(subject).now)
        ):
            return
        yield from self._by_child(facts, subject, connect, remote)
        wait = self._wait(facts, subject)
        if wait is None:
            return
        until_ns = facts[Waits].until_ns(wait)
        if until_ns - wait.entry_ns < _LEAST_NS:
            return
        for entry in facts[Bound].on(remote.port, network=subject.network):
            if (
                entry.process != connect.call.process
                or not entry.listened_at(connect.entry_ns)
                or not entry.takes(remote)
            ):
                continue
            peer = facts[Peers].of(subject)
            accepted = facts[AcceptedBy].of(peer).call if peer is not None else None
            made_ns = accepted.end_ns if accepted is not None else peer.created_ns if peer is not None else until_ns
            if made_ns < until_ns - _LEAST_NS // 10:
                return
            listener = facts[Sockets].get(entry.id)
            taker = facts[Loops].of(listener).taker if listener is not None else None
            threads = facts[Waits].known_threads(connect.call.process)
            if taker != wait.thread and len(threads) > 1:
                return
            owners = facts[Descriptors].owners(listener) if listener is not None else []
            alone = len(owners) == 1 and (taker == wait.thread or len(threads) == 1)
            rows = [*([entry.listen.proof()] if entry.listen is not None else []), connect.proof()]
            rows.append(wait.proof(f"{wait.text()}: waited {(until_ns - wait.entry_ns) / 1e9:.1f} s for the answer"))
            queue = facts[Loops].of(listener).since if listener is not None else None
            if queue is not None:
                rows.append(queue.proof(f"{queue.receive_queue} connections in the accept queue of {entry.local}"))
            yield Evidence(
                self,
                connect.end_ns,
                f"{facts.who(connect.call.process)} connected to {remote}, where it listens itself, and waited "
                f"{(until_ns - wait.entry_ns) / 1e9:.1f} s in {wait.name} for an answer; the thread that accepts "
                "there is the one that waits.",
                rows,
                call=wait.call,
                socket=subject.id,
                process=connect.call.process,
                certainty="certain" if alone else "strong",
                subjects=frozenset({entry.id}),
            )
            return

    def _by_child(self, facts: Facts, subject: SocketFacts, connect: CallFacts, remote: Address) -> Iterator[Evidence]:
        """A child of the server asked in vain, and the server accepted when that child had ended: it waited for it."""
        child, peer = facts.process(connect.call.process), facts[Peers].of(subject)
        accepted = facts[AcceptedBy].of(peer).call if peer is not None else None
        if child is None or child.ended_ns is None or accepted is None or child.parent != accepted.call.process:
            return
        if not facts[Writes].of(subject).bytes:
            return  # it asked nothing
        waited_ns = child.ended_ns - connect.end_ns
        if not connect.end_ns <= child.ended_ns <= accepted.end_ns or waited_ns < _LEAST_NS:
            return
        for entry in facts[Bound].on(remote.port, network=subject.network):
            if entry.process != accepted.call.process or not entry.takes(remote):
                continue
            yield Evidence(
                self,
                connect.end_ns,
                f"{facts.who(child.id)}, a child of {facts.who(entry.process)}, connected to {remote}, where its parent listens, "
                f"and waited {waited_ns / 1e9:.1f} s for an answer; the parent accepted the connection only when this child "
                "had ended.",
                [connect.proof(), accepted.proof(), facts.process_proof(child, "the child ended", child.ended_ns)],
                call=connect.call,
                source=child.source,  # the line of the server that started it
                socket=subject.id,
                process=child.id,
                certainty="strong",
                title="the program waits for a child that asks the program itself",
                fix="Start the child without waiting for it (asynchronously), or let another worker serve.",
                subjects=frozenset({entry.id}),
            )
            return

    @staticmethod
    def _wait(facts: Facts, socket: SocketFacts) -> CallFacts | None:
        """The longest wait for something to read."""
        waits = facts[Waits].of(socket)
        calls = [call for call in (*waits.long, *waits.now.values()) if call.name in READS or call.name in POLL_CALLS]
        return max(calls, key=lambda call: facts[Waits].until_ns(call) - call.entry_ns, default=None)
