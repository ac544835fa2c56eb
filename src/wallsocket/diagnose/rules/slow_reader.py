"""The receiver does not read: its buffer is full and its window closed."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ...trace.verdict import duration
from ..facts import Facts
from ..finding import Certainty, Proof, Severity
from ..rule import Evidence, Judgement, Rule
from ..sample import Sample
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.errors import Errors
from ..trackers.flows import Flow
from ..trackers.fullest import Fullest
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..trackers.waits import Waits
from ..trackers.writes import Writes
from ..vocabulary import WRITES

__all__ = ["SlowReader"]

_LEAST_US = 1_000_000
#: A receive queue like this is no packet that has just come.
_FULL = 32_768
#: The cause in docs/causes.md that both directions together are.
_BOTH_WRITE = 44
_BROKEN = (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT)

#: On the wire: so long a closed window is noticed.
_CLOSED_NS = 1_000_000_000


class SlowReader(Rule):
    """The receiver does not read: its buffer is full and its window closed."""

    id = "slow-reader"
    title = "the transfer stands still: the receiver does not read, its window is closed"
    covers = (71,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "A receiver offers as much window as its buffer has room. When its program does not read, the window closes, "
        "the sender's buffer fills as well, and its writes wait, give EAGAIN, or run into their time limit."
    )
    symptoms = ("zero window", "send blocks", "sendall timed out", "transfer stalls", "Send-Q full", "TCP ZeroWindow")
    proof = (
        "The kernel counted a second or more in which the peer's window held the sender back (tcpi_rwnd_limited), and "
        "the receiver's queue was full or the closed window was probed."
    )
    fix = (
        "Read as soon as bytes come, and do slow work elsewhere; a sender should have a time limit and must expect "
        "this wait."
    )
    disproof = "The receiver slows the sender down on purpose."
    references = ("send(2)", "RFC 9293 3.8.6")
    needs = (Closing, Errors, Fullest, Peers, Reads, Samples, Waits, Writes)
    given = Writes
    supersedes = ("write-after-peer-closed", "close-with-unread-data")
    effects = ("connection-reset", "peer-process-died")
    explains = (errno.EPIPE, errno.ECONNRESET)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp:
            return
        peer = facts[Peers].of(subject)
        fullest = facts[Fullest].of(peer).received if peer is not None else None
        probing = facts[Fullest].of(subject).probing
        end = facts[Samples].of(subject).measured
        limited_us = self._limited_us(end)
        if limited_us < _LEAST_US and probing is not None:
            # What the kernel counted to the end may not have been told: then the write that waited says it.
            end, limited_us = probing, self._blocked_us(facts, subject, probing)
        if end is None or limited_us < _LEAST_US:
            return
        full = fullest is not None and (fullest.receive_queue or 0) >= _FULL
        if not full and probing is None:
            return
        yield self._evidence(facts, subject, peer, end, limited_us, fullest if full else None, probing)

    @staticmethod
    def _limited_us(sample: Sample | None) -> int:
        info = sample.info if sample is not None else None
        return (info.receive_window_limited_us or 0) if info is not None else 0

    @staticmethod
    def _blocked_us(facts: Facts, subject: SocketFacts, probing: Sample) -> int:
        """For how long a write waited that was going on when the closed window was probed."""
        waits = facts[Waits].of(subject)
        spans = [
            facts[Waits].until_ns(call) - call.entry_ns
            for call in (*waits.long, *waits.now.values())
            if call.name in WRITES and call.entry_ns <= probing.at_ns <= facts[Waits].until_ns(call)
        ]
        return max(spans, default=0) // 1000

    def _evidence(
        self,
        facts: Facts,
        subject: SocketFacts,
        peer: SocketFacts | None,
        end: Sample,
        limited_us: int,
        fullest: Sample | None,
        probing: Sample | None,
    ) -> Evidence:
        rows: list[Proof] = [end.proof(f"the peer's window held the sender back for {limited_us / 1e6:.1f} s")]
        why = f"For {limited_us / 1e6:.1f} s {subject.name()} could not send because the peer's window was closed."
        if probing is not None:
            rows.append(probing.proof("the closed window is probed"))
        written = facts[Writes].of(subject)
        call = written.last
        reads = facts[Reads].of(peer) if peer is not None else None
        if peer is not None and reads is not None:
            if fullest is not None:
                why += f" {fullest.receive_queue} bytes stood unread at the receiver."
                rows.append(fullest.proof(f"{fullest.receive_queue} bytes to be read on socket {peer.id}"))
            who = facts.who(peer.process)
            if reads.last is None:
                why += f" {who} read nothing."
            else:
                why += f" {who} read {reads.bytes} bytes in {reads.calls} calls."
                rows.append(reads.last.proof())
                call = reads.last
        mutual = peer is not None and self._mutual(facts, subject, peer)
        if mutual:
            why += " The other direction stood as well: both ends write, and neither reads."
        failed = self._broke_off(facts, subject, peer) or mutual
        severity: Severity = "warning" if failed else "note"
        certainty: Certainty = "certain" if fullest is not None else "strong"
        return Evidence(
            self,
            probing.at_ns if probing is not None else end.at_ns - limited_us * 1000,
            why,
            rows,
            call=call.call if call is not None else None,
            socket=subject.id,
            process=peer.process
            if peer is not None and reads is not None and reads.last is not None
            else subject.process,
            certainty=certainty,
            severity=severity,
            title="both ends write and neither reads: every buffer is full" if mutual else "",
            covers=(*self.covers, _BOTH_WRITE) if mutual else (),
            subjects=frozenset({peer.id} if peer is not None else ()),
            lost_ns=limited_us * 1000,
            # Who stands for good is ended at last; who only reads slowly was ended by something else.
            no_effects=frozenset() if mutual else frozenset({"peer-process-died"}),
        )

    def _mutual(self, facts: Facts, subject: SocketFacts, peer: SocketFacts) -> bool:
        """Whether the peer could not send either, while bytes for this end stood unread."""
        here = facts[Fullest].of(subject).received
        held = self._limited_us(facts[Samples].of(peer).measured)
        return here is not None and (here.receive_queue or 0) >= _FULL and held >= _LEAST_US

    @staticmethod
    def _broke_off(facts: Facts, subject: SocketFacts, peer: SocketFacts | None) -> bool:
        """Whether the transfer came to no good end: it failed, was given up, or stands still."""
        if facts[Errors].first(subject, _BROKEN) is not None:
            return True
        if any(call.name in WRITES for call in facts[Waits].of(subject).now.values()):
            return True
        if peer is not None and facts[Closing].unread(peer) is not None:
            return True
        last = subject.last
        return last is not None and subject.ended_ns is not None and bool(last.info and last.info.not_sent_bytes)

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        if not flow.tcp or not flow.established:
            return
        for side in (0, 1):
            half = flow.halves[side]
            longest = half.zero_longest
            if half.zero is not None and (
                longest is None or flow.last_ns - half.zero.at_ns > longest[1] - longest[0].at_ns
            ):
                longest = (half.zero, flow.last_ns, half.zero_probed)
            # Only a sender that has more to send probes.
            if longest is None or longest[1] - longest[0].at_ns < _CLOSED_NS or not longest[2]:
                continue
            since, until_ns, probes = longest
            yield Evidence(
                self,
                since.at_ns,
                f"{flow.name(side)} offered a window of 0 for {duration(until_ns - since.at_ns)}: its program did not read, while "
                f"{flow.name(1 - side)} had more to send and asked {probes} time{'s' if probes > 1 else ''}.",
                [since.proof(f"window 0 of {flow.name(side)}")],
                socket=flow.socket(side),
                certainty="strong",
                subjects=flow.subjects,
                where=flow.name(1),
            )
