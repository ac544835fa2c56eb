"""What two pictures of a running program show: it waits, or lets others wait. Only ``inspect`` asks these rules."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import CallFacts, Facts, SocketFacts, state_proof
from ..finding import CannotTell
from ..rule import Evidence, Rule
from ..vocabulary import ESTABLISHED, READS, SO_KEEPALIVE, SO_RCVTIMEO, SOL_SOCKET

__all__ = ["RULES"]


class SilentPeer(Rule):
    """A thread waits for a peer that says nothing, and nothing will wake it."""

    id = "silent-peer"
    title = "waits without a time limit for a peer that is silent"
    covers = (64,)
    severity = "note"
    certainty = "hint"
    layers = ("calls", "kernel")
    sentence = (
        "A blocking recv without a time limit ends only when the peer sends or closes. A peer that vanished without a "
        "word (power, cable, firewall) does neither, and without keepalive the kernel never asks."
    )
    symptoms = ("recv blocks forever", "connection hangs", "no timeout", "half-open connection")
    proof = (
        "A thread is inside recv, nothing is queued, neither SO_RCVTIMEO nor SO_KEEPALIVE is set, and nothing has come "
        "for at least ten seconds."
    )
    fix = "Set a time limit for the wait, or SO_KEEPALIVE with short intervals."
    disproof = "The peer is alive and has nothing to say: then the wait is as it should be."
    pictures = "only"

    _LEAST_MS = 10_000

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        """Only an idle wait: whether the peer is gone cannot be seen from here."""
        wait = next((call for call in socket.waiting.values() if call.name in READS), None)
        state = socket.last
        if not socket.tcp or wait is None or state is None or state.state != ESTABLISHED or state.receive_queue:
            return
        silent_ms = socket.silent_ms
        limited = socket.in_force(SOL_SOCKET, SO_RCVTIMEO) or socket.in_force(SOL_SOCKET, SO_KEEPALIVE)
        if limited or silent_ms is None or silent_ms < self._LEAST_MS:
            return
        yield Evidence(
            self,
            state.at_ns,
            f"{wait.name} on {socket.name()} waits without a time limit; nothing has come for {silent_ms // 1000} s, "
            "and no keepalive asks whether the peer is there.",
            [wait.proof(), state_proof(state, f"nothing to read, last data {silent_ms} ms ago")],
            call=wait.call,
            socket=socket.id,
            process=wait.call.process,
            certainty="hint",
            severity="note",
        )


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
    pictures = "only"

    _LEAST_NS = 500_000_000

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        """The queue has not changed between the pictures."""
        state = socket.last
        if not socket.tcp or state is None or state.state != ESTABLISHED or not state.receive_queue:
            return
        still_ns = state.at_ns - socket.quiet_since_ns
        if still_ns < self._LEAST_NS or any(call.name in READS for call in socket.waiting.values()):
            return
        busy = _busy(facts, socket)
        doing = f" A thread of it is in {busy.name}." if busy is not None else ""
        yield Evidence(
            self,
            state.at_ns,
            f"{state.receive_queue} bytes have waited on {socket.name()} for at least {still_ns / 1e9:.1f} s.{doing}",
            [state_proof(state, f"{state.receive_queue} bytes to read, unchanged for {still_ns / 1e9:.1f} s")],
            call=busy.call if busy is not None else None,
            socket=socket.id,
            process=socket.process,
            certainty="strong",
            severity="warning",
        )


def _busy(facts: Facts, socket: SocketFacts) -> CallFacts | None:
    """What a thread of the process waits in."""
    return next((call for (process, _), call in facts.waiting_threads.items() if process == socket.process), None)


RULES = (SilentPeer, UnreadData)
