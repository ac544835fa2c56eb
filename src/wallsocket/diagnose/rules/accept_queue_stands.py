"""Connections wait to be accepted while the program waits elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.accept_queues import AcceptQueues
from ..trackers.descriptors import Descriptors
from ..trackers.polls import Polls
from ..trackers.waits import Waits
from ..vocabulary import ACCEPTS, POLL_CALLS

__all__ = ["AcceptQueueStands"]


class AcceptQueueStands(Rule):
    """Connections wait to be accepted while the program waits elsewhere."""

    id = "accept-queue-stands"
    title = "connections wait in the accept queue while the program waits elsewhere"
    covers = (77,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "The kernel completes handshakes by itself, so clients are connected and wait for an answer; the thread that "
        "should call accept is busy with one client, waits for something else, or sleeps."
    )
    symptoms = ("clients connect but get no answer", "one client at a time", "server hangs under load")
    proof = "The same connections stand in the accept queue in both pictures, and no thread waits to accept them."
    fix = "Accept in a thread or task of its own, and give every wait for a client a time limit."
    disproof = "The program paces its accepts on purpose."
    references = ("listen(2)", "accept(2)")
    pictures = "only"
    supersedes = ("silent-peer",)
    subject = "listener"
    needs = (AcceptQueues, Descriptors, Polls, Waits)
    given = AcceptQueues

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        queue, waits, last = facts[AcceptQueues].of(subject), facts[Waits], subject.last
        if not queue.stood or last is None:
            return
        if subject.tcp and last.send_queue is not None and queue.queue > last.send_queue:
            return  # it is full: that has a rule of its own
        holders = facts[Descriptors].owners(subject)
        calls = [call for holder in holders for call in waits.waiting_in(holder)]
        if any(call.name in ACCEPTS and call.socket is subject for call in calls):
            return
        if any(call.name in POLL_CALLS and call.socket is None for call in calls):
            return  # it may watch the listener, and be about to wake
        if any(facts[Polls].waits_for(subject, call) for call in calls):
            return  # edge-triggered, or taken out of the set for now: whether that is meant is not known
        busy = calls[0] if calls else None
        if busy is None and not any(waits.runs(holder) for holder in holders):
            return  # its threads may not be looked at
        rows = [Proof("kernel", "fact", queue.row, facts.now_ns, f"kernel: accept queue {queue.queue}")]
        if busy is not None:
            doing = f"{facts.who(busy.call.process)} {waits.doing(busy)}"
            rows.append(busy.proof())
        else:
            doing = f"{facts.who(holders[0])} is busy with something else"
        many = f"{queue.stood} connections have" if queue.stood != 1 else "A connection has"
        yield Evidence(
            self,
            busy.entry_ns if busy is not None else last.at_ns,
            f"{many} waited for {queue.waited_ms / 1000:.1f} s in the accept queue of {subject.local} "
            f"(from {queue.places[0] if queue.places else 'unknown'}); nobody accepts: {doing}.",
            rows,
            call=busy.call if busy is not None else None,
            socket=subject.id,
            subjects=frozenset(queue.clients),
            process=busy.call.process if busy is not None else subject.process,
            certainty="strong",
            severity="warning",
        )
