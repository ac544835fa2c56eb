"""The peer waits for the end of a connection whose other end somebody else keeps open."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.options import Options
from ..trackers.other_ends import OtherEnds
from ..trackers.waits import Waits
from ..vocabulary import READS, SO_RCVTIMEO, SOL_SOCKET

__all__ = ["KeptOpenElsewhere"]

_LEAST_NS = 1_000_000_000


class KeptOpenElsewhere(Rule):
    """The peer waits for the end of a connection whose other end somebody else keeps open."""

    id = "kept-open-elsewhere"
    title = "the other end is still open in a process that does not use it: no end of the stream can come"
    covers = (59,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls", "kernel")
    sentence = (
        "A connection ends when its last descriptor is closed. A child that inherited one keeps the connection open "
        "after the server has closed its own, so the peer waits for an end that does not come."
    )
    symptoms = ("close does not send FIN", "client waits for EOF", "connection stays open after close")
    proof = (
        "A thread waits to receive; the socket at the other end is held by another program only, which was started by "
        "the process that holds the listener and waits for something else; or by nobody but the process that waits."
    )
    fix = "Make the descriptor close-on-exec (Python's default; SOCK_CLOEXEC in C, close_fds=True), or shutdown() before close()."
    disproof = "The child was given the connection to serve it, and will answer."
    references = ("fork(2)", "close(2)", "shutdown(2)")
    pictures = "only"
    supersedes = ("silent-peer", "both-wait")
    needs = (Options, OtherEnds, Waits)
    given = OtherEnds

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        waits, other = facts[Waits], facts[OtherEnds].of(subject)
        wait = next((call for call in waits.of(subject).now.values() if call.name in READS), None)
        if wait is None or not subject.stream or not other.holders or facts.now_ns - wait.entry_ns < _LEAST_NS:
            return
        if facts[Options].in_force(subject, SOL_SOCKET, SO_RCVTIMEO):
            return
        if subject.last is None or subject.last.receive_queue:
            return
        proof = Proof("kernel", "fact", other.row, facts.now_ns, f"kernel: {other.holders[0]} holds the other end")
        mine = {holder.process for holder in other.holders} == {wait.call.process}
        if mine and len(waits.known_threads(wait.call.process)) == 1:
            yield Evidence(
                self,
                wait.entry_ns,
                f"{facts.who(wait.call.process)} {waits.doing(wait)}, and nobody but it holds the other end: neither data "
                "nor the end of the stream can come, unless a signal handler writes there.",
                [wait.proof(), proof],
                call=wait.call,
                socket=subject.id,
                process=wait.call.process,
                severity="note",
                title="waits for the end of a stream whose other end it holds open itself",
                certainty="hint",
            )
            return
        if len(other.holders) != 1 or mine:
            return
        holder = other.holders[0]
        servers = [one for one in other.listening if one.pid == holder.parent]
        if (
            holder.forked
            or holder.process is None
            or not servers
            or any(one.pid == holder.pid for one in other.listening)
        ):
            return
        busy = waits.waiting_in(holder.process)
        if (
            not busy
            or waits.loops(holder.process)
            or any(call.socket is not None or call.name in READS for call in busy)
        ):
            return
        yield Evidence(
            self,
            wait.entry_ns,
            f"{facts.who(wait.call.process)} {waits.doing(wait)}; the other end is open only in {holder}, which inherited "
            f"it from {servers[0]} and {waits.doing(busy[0])}: the end of the stream comes when that ends.",
            [wait.proof(), proof],
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="strong",
            severity="warning",
        )
