"""The event loop stands in a call while its sockets have something for it."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.accept_queues import AcceptQueues
from ..trackers.descriptors import Descriptors
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.samples import Samples
from ..trackers.waits import Waits
from ..vocabulary import ESTABLISHED, POLLIN, READS

__all__ = ["LoopStands"]

_LEAST_NS = 500_000_000


class LoopStands(Rule):
    """The event loop stands in a call while its sockets have something for it."""

    id = "loop-stands"
    title = "the event loop stands in a blocking call"
    covers = (77,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "An event loop serves all its sockets with one thread. A call that waits (sleep, a blocking socket, a name "
        "lookup, a lock) or a long computation in it stops them all."
    )
    symptoms = ("event loop blocked", "asyncio slow", "all requests wait", "heartbeat missed")
    proof = (
        "A socket in an epoll set of the process has had unread data, or connections to accept, in both pictures, and no "
        "thread of the process waits for events."
    )
    fix = "Await it, or hand it to a thread (asyncio.to_thread, run_in_executor)."
    disproof = "Another thread takes what has come."
    references = ("epoll(7)", "poll(2)")
    pictures = "only"
    supersedes = ("accept-queue-stands", "unread-data", "silent-peer")
    effects = ("accept-queue-full",)
    needs = (AcceptQueues, Descriptors, Peers, Polls, Samples, Waits)
    given = Polls

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        queue, waits, last = facts[AcceptQueues].of(subject), facts[Waits], subject.last
        if last is None or not facts[Polls].of(subject).epoll_events & POLLIN:
            return
        still_ns = last.at_ns - facts[Samples].of(subject).quiet_since_ns
        unread = last.receive_queue if subject.tcp and last.state == ESTABLISHED and still_ns >= _LEAST_NS else 0
        if not queue.stood and not unread:
            return
        holders = facts[Descriptors].owners(subject)
        calls = [call for holder in holders for call in waits.waiting_in(holder)]
        if any(
            facts[Polls].waits_for(subject, call) or (call.name in READS and call.socket is subject) for call in calls
        ):
            return
        busy = calls[0] if calls else None
        if busy is None and not any(waits.runs(holder) for holder in holders):
            return  # its threads may not be looked at
        process = busy.call.process if busy is not None else subject.process
        doing = waits.doing(busy) if busy is not None else "runs on without waiting for events"
        what = f"{unread} bytes wait on {subject.name()}"
        if queue.stood:
            many = "1 connection waits" if queue.stood == 1 else f"{queue.stood} connections wait"
            what = f"{many} in the accept queue of {subject.local}"
        since = f" for {queue.waited_ms / 1000:.1f} s" if queue.stood else f" for {still_ns / 1e9:.1f} s"
        rows = [last.proof(what)]
        if queue.stood:
            rows = [Proof("kernel", "fact", queue.row, facts.now_ns, f"kernel: accept queue {queue.queue}")]
        if busy is not None:
            rows.append(busy.proof())
        peer = facts[Peers].of(subject)
        yield Evidence(
            self,
            busy.entry_ns if busy is not None else last.at_ns,
            f"The thread of the event loop of {facts.who(process)} {doing}; meanwhile {what}{since}.",
            rows,
            call=busy.call if busy is not None else None,
            socket=subject.id,
            process=process,
            subjects=frozenset({peer.id} if peer is not None else queue.clients),
            certainty="strong",
            severity="warning",
        )
