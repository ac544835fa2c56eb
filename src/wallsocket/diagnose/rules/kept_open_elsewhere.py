"""The peer waits for the end of a connection whose other end somebody else keeps open."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.options import Options
from ..trackers.other_ends import Holder, OtherEnds
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
        "the process that holds the listener and waits for something else; or by nobody but the process that waits. A hint "
        "when the holder was made by fork alone, or several hold it."
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
        if wait is None or not subject.connects or not other.holders or facts.now_ns - wait.entry_ns < _LEAST_NS:
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
        if not mine:
            yield from self._inherited(facts, subject, wait, proof)

    def _inherited(self, facts: Facts, subject: SocketFacts, wait: CallFacts, proof: Proof) -> Iterator[Judgement]:
        """All who hold the other end have it from the one that served it, and do something else."""
        waits, other = facts[Waits], facts[OtherEnds].of(subject)
        pids = {holder.pid for holder in other.holders}
        servers = [one for one in other.listening if one.pid not in pids]
        if len(other.listening) != len(servers):
            return
        doing = [self._elsewhere(facts, holder) for holder in other.holders]
        heirs = [holder for holder in other.holders if holder.parent not in pids]
        if not all(doing) or len(heirs) != 1:
            return
        holder = heirs[0]
        origin = next((one for one in servers if one.pid == holder.parent), None)
        if origin is None:
            return
        # Who runs another program has no use for it; a process made by fork alone may be the one that is to answer.
        sure = len(other.holders) == 1 and not holder.forked
        more = f" (and in {len(pids) - 1} of its children)" if len(pids) > 1 else ""
        yield Evidence(
            self,
            wait.entry_ns,
            f"{facts.who(wait.call.process)} {waits.doing(wait)}; the other end is open only in {holder}{more}, which "
            f"inherited it from {origin} and {doing[other.holders.index(holder)]}: the end of the stream comes when that ends.",
            [wait.proof(), proof],
            call=wait.call,
            socket=subject.id,
            process=wait.call.process,
            certainty="strong" if sure else "hint",
            severity="warning" if sure else "note",
        )

    @staticmethod
    def _elsewhere(facts: Facts, holder: Holder) -> str:
        """What a process does that has nothing to do with sockets; empty: it may serve the connection."""
        waits = facts[Waits]
        busy = waits.waiting_in(holder.process) if holder.process is not None else []
        if holder.process is None or not busy or waits.loops(holder.process):
            return ""
        if any(call.socket is not None or call.name in READS for call in busy):
            return ""
        return waits.doing(busy[0])
