"""A process waits for an answer that only it could give."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.accept_queues import AcceptQueues
from ..trackers.descriptors import Descriptors
from ..trackers.waits import Waits
from ..vocabulary import ACCEPTS, POLL_CALLS, READS

__all__ = ["WaitsForItself"]


class WaitsForItself(Rule):
    """A process waits for an answer that only it could give."""

    id = "waits-for-itself"
    title = "the program waits for an answer from itself"
    covers = (127,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "A handler asks the server that it runs in. The kernel completes the connection, but the only thread that could "
        "accept it is the one that waits for the answer."
    )
    symptoms = ("request to localhost hangs", "server calls itself and hangs", "deadlock in request handler")
    proof = (
        "A thread waits to receive on a connection whose other end stands in the accept queue of a listener of the same "
        "process, in both pictures, and no thread accepts there. Certain when the process has no other thread."
    )
    fix = "Serve with more than one thread or task, or call the function instead of asking over the network."
    disproof = "Another thread or process accepts on that listener a moment later."
    references = ("accept(2)", "listen(2)")
    pictures = "only"
    supersedes = ("accept-queue-stands", "accept-queue-full", "loop-stands", "unread-data", "silent-peer", "both-wait")
    subject = "listener"
    needs = (AcceptQueues, Descriptors, Waits)
    given = AcceptQueues

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        queue, waits = facts[AcceptQueues].of(subject), facts[Waits]
        holders = set(facts[Descriptors].owners(subject))
        if not queue.stood or any(call.name in ACCEPTS for call in waits.of(subject).now.values()):
            return
        for number in queue.clients:
            client = facts[AcceptQueues].client(number)
            wait = _reads(facts, client) if client is not None else None
            if client is None or wait is None or wait.call.process not in holders:
                continue
            process = wait.call.process
            alone = holders == {process} and len(waits.known_threads(process)) == 1
            unread = f", where {queue.unread} bytes lie unread" if queue.unread else ""
            yield Evidence(
                self,
                wait.entry_ns,
                f"{facts.who(process)} {waits.doing(wait)} for an answer, but the other end of that connection stands in "
                f"the accept queue of its own listener {subject.local}{unread}: "
                + ("it has no other thread to accept it." if alone else "no thread of it accepts there."),
                [
                    wait.proof(),
                    Proof("kernel", "fact", queue.row, facts.now_ns, f"kernel: {queue.queue} in its accept queue"),
                ],
                call=wait.call,
                socket=client.id,
                process=process,
                certainty="certain" if alone else "strong",
                subjects=frozenset({subject.id, client.id}),
            )


def _reads(facts: Facts, socket: SocketFacts) -> CallFacts | None:
    now = facts[Waits].of(socket).now.values()
    return next((call for call in now if call.name in READS or call.name in POLL_CALLS), None)
