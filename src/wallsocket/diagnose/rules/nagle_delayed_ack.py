"""Small writes, then a read: each end waits for a timer of the other."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.exchanges import Exchange, Exchanges
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..vocabulary import IPPROTO_TCP, TCP_CORK, TCP_NODELAY

__all__ = ["NagleDelayedAck"]


class NagleDelayedAck(Rule):
    """Two small writes, then a read: each end waits for the other's timer."""

    id = "nagle-delayed-ack"
    title = "about 40 ms per exchange: Nagle's algorithm waits for a delayed ACK"
    covers = (66,)
    severity = "warning"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "Nagle's algorithm keeps a second small segment back until the first is acknowledged; the receiver delays that "
        "acknowledgement (40 ms on Linux) in the hope of an answer to send it with. Write, write, read meets both."
    )
    symptoms = ("40 ms latency", "slow request response", "TCP_NODELAY", "delayed ACK", "latency on localhost")
    proof = (
        "Two small writes without a read between them, TCP_NODELAY off, at least 30 ms until the answer; and the "
        "kernel held the second one back (tcpi_notsent_bytes), or the traced peer waited all that time for its bytes."
    )
    fix = "Write the whole request with one call (writev, sendmsg, a buffer), or set TCP_NODELAY."
    disproof = "The second write reached the peer at once: then the peer needed the time."
    needs = (Exchanges, Options, Peers, Reads)
    given = Exchanges

    _LEAST_NS = 30_000_000
    _MOST_NS = 500_000_000
    _SMALL = 32_768  # below the segment size of loopback (65,483) and, on a path with 1,460, below what fills segments

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        runs = facts[Exchanges].of(subject).runs
        if not subject.tcp or not runs:
            return
        if any(facts[Options].on(subject, IPPROTO_TCP, option) for option in (TCP_NODELAY, TCP_CORK)):
            return
        slow = [run for run in runs if self._slow(run)]
        peer = facts[Peers].of(subject) if slow else None
        for run in slow:
            late = self._late_read(facts, peer, run) if peer is not None else None
            # What the peer saw decides; where it was not traced the kernel's word must do, and an answer.
            if late is not None or (
                peer is None and run.held is not None and run.reply is not None and run.reply.moved
            ):
                yield self._evidence(subject, slow, len(runs), run, peer, late)
                return
        if len(slow) >= 3 and peer is None and facts.layer("kernel") is not None:
            yield self.cannot_tell("kernel", "whether the kernel held the second write back was not recorded")

    def _slow(self, run: Exchange) -> bool:
        reply, before = run.reply, run.before_last
        if reply is None or before is None:
            return False
        wait = reply.end_ns - run.last.end_ns
        close = run.last.entry_ns - before.end_ns < 5_000_000
        return (
            self._LEAST_NS <= wait <= self._MOST_NS
            and close
            and 0 < before.moved < self._SMALL
            and 0 < run.last.moved < self._SMALL
        )

    def _late_read(self, facts: Facts, peer: SocketFacts, run: Exchange) -> CallFacts | None:
        """The peer's read that got the last write late, though the peer had read all before it."""
        offset = run.last.offset
        if offset is None or run.before_last is None:
            return None
        before: CallFacts | None = None
        for read in facts[Reads].of(peer).recent:
            if read.offset is None:
                continue
            if read.offset <= offset < read.offset + read.moved:
                # It had taken what came before in time, and so was there to take the rest.
                if before is None or before.end_ns - run.before_last.end_ns >= self._LEAST_NS // 3:
                    return None
                late = read.end_ns - run.last.end_ns >= self._LEAST_NS
                return read if late and read.offset == offset else None
            before = read
        return None

    def _evidence(
        self,
        socket: SocketFacts,
        slow: list[Exchange],
        runs: int,
        run: Exchange,
        peer: SocketFacts | None,
        late: CallFacts | None,
    ) -> Evidence:
        before, reply = run.before_last, run.reply
        assert before is not None
        assert reply is not None
        wait_ns = reply.end_ns - run.last.end_ns
        rows: list[Proof] = [before.proof(), run.last.proof()]
        if run.held is not None:
            rows.append(run.held.proof("bytes of the second write not sent yet: the first is not acknowledged"))
        if late is not None:
            delay = (late.end_ns - run.last.end_ns) / 1e6
            rows.append(late.proof(f"the peer's {late.text()}: got the second write {delay:.1f} ms after it was made"))
        rows.append(reply.proof(f"{reply.text()}: the answer, {wait_ns / 1e6:.1f} ms after the second write"))
        return Evidence(
            self,
            run.last.end_ns,
            f"{before.moved} and {run.last.moved} bytes were written by two calls, then the answer was awaited: "
            f"{wait_ns / 1e6:.1f} ms. {len(slow)} exchange{'s' if len(slow) > 1 else ''} of the last {runs} "
            f"of this kind on the connection took that long; TCP_NODELAY is off.",
            rows,
            call=run.last.call,
            socket=socket.id,
            process=run.last.call.process,
            severity="warning",
            certainty="certain" if late is not None or len(slow) >= 2 else "strong",
            subjects=frozenset({peer.id} if peer is not None else ()),
            lost_ns=wait_ns,
        )
