"""A thread waits for a peer that says nothing, and nothing will wake it."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.options import Options
from ..trackers.waits import Waits
from ..vocabulary import ESTABLISHED, READS, SO_KEEPALIVE, SO_RCVTIMEO, SOL_SOCKET

__all__ = ["SilentPeer"]

_LEAST_MS = 10_000


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
    needs = (Options, Waits)
    given = Waits

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        """Only an idle wait: whether the peer is gone cannot be seen from here."""
        wait = next((call for call in facts[Waits].of(subject).now.values() if call.name in READS), None)
        sample = subject.last
        if not subject.tcp or wait is None or sample is None or sample.state != ESTABLISHED or sample.receive_queue:
            return
        options = facts[Options]
        if options.in_force(subject, SOL_SOCKET, SO_RCVTIMEO) or options.in_force(subject, SOL_SOCKET, SO_KEEPALIVE):
            return
        silent_ms = subject.silent_ms
        if silent_ms is None or silent_ms < _LEAST_MS:
            return
        yield Evidence(
            self,
            sample.at_ns,
            f"{wait.name} on {subject.name()} waits without a time limit; nothing has come for {silent_ms // 1000} s, "
            "and no keepalive asks whether the peer is there.",
            [wait.proof(), sample.proof(f"nothing to read, last data {silent_ms} ms ago")],
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="hint",
            severity="note",
        )
