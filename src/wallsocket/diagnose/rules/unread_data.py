"""Data were delivered, and nobody takes them."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.samples import Samples
from ..trackers.waits import Waits
from ..vocabulary import EPOLLET, ESTABLISHED, READS

__all__ = ["UnreadData"]

_LEAST_NS = 500_000_000


class UnreadData(Rule):
    """Data were delivered, and nobody takes them."""

    id = "unread-data"
    title = "data have arrived and the program does not read them"
    covers = (71, 77)
    severity = "warning"
    certainty = "strong"
    layers = ("kernel",)
    sentence = (
        "The kernel has delivered bytes that the program leaves in the queue: it is busy or waits for something else. "
        "When the queue is full the peer cannot send on."
    )
    symptoms = ("transfer stalls", "zero window", "event loop blocked", "Recv-Q grows")
    proof = "In pictures at least half a second apart the same bytes wait to be read, and no thread is reading."
    fix = "Look at what the threads do instead; keep long work out of the thread or event loop that reads."
    disproof = "The program paces itself on purpose."
    references = ("recv(2)", "tcp(7)")
    pictures = "only"
    effects = ("silent-peer",)
    needs = (Peers, Polls, Samples, Waits)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        """The queue has not changed between the pictures."""
        sample = subject.last
        if not subject.tcp or sample is None or sample.state != ESTABLISHED or not sample.receive_queue:
            return
        still_ns = sample.at_ns - facts[Samples].of(subject).quiet_since_ns
        reading = any(call.name in READS for call in facts[Waits].of(subject).now.values())
        if still_ns < _LEAST_NS or reading:
            return
        busy = next(iter(facts[Waits].waiting_in(subject.process)), None)
        doing = (
            f" Nobody reads them: {facts.who(subject.process)} {facts[Waits].doing(busy)}." if busy is not None else ""
        )
        if facts[Polls].of(subject).epoll_events & EPOLLET:
            doing += " The socket is watched edge-triggered: nothing announces these bytes again."
        peer = facts[Peers].of(subject)  # it waits because of this
        yield Evidence(
            self,
            sample.at_ns,
            f"{sample.receive_queue} {'bytes have' if sample.receive_queue > 1 else 'byte has'} waited on {subject.name()} for "
            f"at least {still_ns / 1e9:.1f} s.{doing}",
            [sample.proof(f"{sample.receive_queue} bytes to read, unchanged for {still_ns / 1e9:.1f} s")],
            call=busy.call if busy is not None else None,
            socket=subject.id,
            process=subject.process,
            certainty="strong",
            severity="warning",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )
