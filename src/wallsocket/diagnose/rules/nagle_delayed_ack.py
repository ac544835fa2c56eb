"""Small writes, then a read: each end waits for a timer of the other."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.exchanges import LATE_NS, Exchange, Exchanges
from ..trackers.flows import Flow
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..vocabulary import IPPROTO_TCP, TCP_CORK, TCP_NODELAY

__all__ = ["NagleDelayedAck"]

_MOST_NS = 500_000_000
#: Writes of one message follow each other as fast as this.
_CLOSE_NS = 5_000_000
_SMALL = 32_768  # below the segment size of loopback (65,483) and, on a path with 1,460, below what fills segments
#: Exchanges of one length that are no chance.
_OFTEN = 4
#: So few slow exchanges on a connection cost nobody anything.
_NOW_AND_THEN = 2
_COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven"}
#: Turns of a connection on the wire that are no chance.
_TURNS = 3


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
        "Small writes without a read between them, TCP_NODELAY off, at least 30 ms until the answer; and the traced peer "
        "waited all that time for the bytes behind the first write, or the kernel held them back (tcpi_notsent_bytes). "
        "Where only the reader was traced: a hint, when each message came in two parts 40 ms apart."
    )
    fix = "Write the whole request with one call (writev, sendmsg, a buffer), or set TCP_NODELAY."
    disproof = "The second write reached the peer at once: then the peer needed the time."
    references = ("tcp(7)", "RFC 9293 3.7.4", "RFC 1122 4.2.3.2")
    needs = (Exchanges, Options, Peers, Reads)
    given = Exchanges

    _LEAST_NS = 30_000_000
    _MOST_NS = 500_000_000
    _SMALL = 32_768  # below the segment size of loopback (65,483) and, on a path with 1,460, below what fills segments

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        exchanges = facts[Exchanges].of(subject)
        if not subject.tcp:
            return
        peer = facts[Peers].of(subject)
        if peer is None and len(exchanges.late) >= _OFTEN:
            found = self._as_reader(facts, subject, list(exchanges.late))
            if found is not None:
                yield found
                return
        slow = [run for run in exchanges.runs if self._slow(run)]
        if not slow or any(facts[Options].on(subject, IPPROTO_TCP, option) for option in (TCP_NODELAY, TCP_CORK)):
            return
        for run in slow:
            late = self._late_read(facts, peer, run) if peer is not None else None
            # What the peer saw decides; where it was not traced the kernel's word must do, and an answer that was awaited.
            if late is not None or (peer is None and run.held is not None and _awaited(run)):
                yield self._evidence(subject, slow, len(exchanges.runs), run, peer, late)
                return
        if len(slow) >= 3 and peer is None and facts.layer("kernel") is not None:
            yield self.cannot_tell("kernel", "whether the kernel held the second write back was not recorded")

    @staticmethod
    def _slow(run: Exchange) -> bool:
        reply = run.reply
        if reply is None or run.writes < 2:
            return False
        close = run.last.entry_ns - run.first.end_ns < _CLOSE_NS * (run.writes - 1)
        return LATE_NS <= _wait_ns(run) <= _MOST_NS and close and run.bytes < _SMALL

    @staticmethod
    def _late_read(facts: Facts, peer: SocketFacts, run: Exchange) -> CallFacts | None:
        """The peer's read that got what stood behind the first write late, though it had read all before that in time."""
        begin, last = run.second.offset, run.last.offset
        if begin is None or last is None:
            return None
        before: CallFacts | None = None
        for read in facts[Reads].of(peer).recent:
            if read.offset is None:
                continue
            if read.offset <= last < read.offset + read.moved:
                in_time = before is not None and before.end_ns - run.first.end_ns < LATE_NS // 3
                late = read.end_ns - run.last.end_ns >= LATE_NS
                # It was there to take the rest, and the rest begins where a write began.
                return read if in_time and late and read.offset >= begin else None
            before = read
        return None

    def _as_reader(self, facts: Facts, socket: SocketFacts, late: list[tuple[CallFacts, CallFacts]]) -> Evidence | None:
        """The other end writes: each message arrives in two parts, the second when our acknowledgement was due."""
        alike = [
            (part, rest)
            for part, rest in late
            if _is_timer(rest.end_ns - part.end_ns) and part.moved + rest.moved < _SMALL and _blocked(rest, part.end_ns)
        ]
        if len(alike) < _OFTEN or len(alike) * 2 < len(late):
            return None
        part, rest = alike[0]
        wait_ns = rest.end_ns - part.end_ns
        return Evidence(
            self,
            rest.end_ns,
            f"{part.moved} and {rest.moved} bytes of one message arrived {wait_ns / 1e6:.1f} ms apart, {len(alike)} times: "
            f"{socket.remote or 'the peer'} wrote them by two calls, and its kernel held the second back until ours "
            "acknowledged the first.",
            [part.proof(), rest.proof(f"{rest.text()}: waited {wait_ns / 1e6:.1f} ms for the rest")],
            call=rest.call,
            socket=socket.id,
            process=rest.call.process,
            # A peer that takes its time between the two looks the same.
            severity="note",
            certainty="hint",
            lost_ns=wait_ns,
        )

    def _evidence(
        self,
        socket: SocketFacts,
        slow: list[Exchange],
        runs: int,
        run: Exchange,
        peer: SocketFacts | None,
        late: CallFacts | None,
    ) -> Evidence:
        reply = run.reply
        assert reply is not None
        wait_ns = _wait_ns(run)
        rest = run.bytes - run.first.moved
        rows: list[Proof] = [run.first.proof(), run.second.proof()]
        if run.last is not run.second:
            rows.append(run.last.proof())
        if run.held is not None:
            rows.append(run.held.proof("bytes of the later write not sent yet: the first is not acknowledged"))
        if late is not None:
            delay = (late.end_ns - run.last.end_ns) / 1e6
            rows.append(late.proof(f"the peer's {late.text()}: got the rest {delay:.1f} ms after it was written"))
        rows.append(reply.proof(f"{reply.text()}: the answer, {wait_ns / 1e6:.1f} ms after the last write"))
        return Evidence(
            self,
            run.last.end_ns,
            f"{run.first.moved} and {rest} bytes were written by {_COUNTS.get(run.writes, run.writes)} calls, then the "
            f"answer was awaited: {wait_ns / 1e6:.1f} ms. {len(slow)} exchange{'s' if len(slow) > 1 else ''} of the last "
            f"{runs} of this kind on the connection took that long; TCP_NODELAY is off.",
            rows,
            call=run.last.call,
            socket=socket.id,
            process=run.last.call.process,
            # Once or twice costs nobody anything, as in rsync's greeting; in a burst without answers it is by chance.
            severity="warning" if len(slow) > _NOW_AND_THEN else "note",
            certainty="certain" if late is not None or (run.held is not None and len(slow) >= 2) else "strong",
            subjects=frozenset({peer.id} if peer is not None else ()),
            lost_ns=wait_ns,
        )

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        if flow.nagle < _TURNS or flow.nagle_first is None or not flow.tcp:
            return
        first, acknowledged, second = flow.nagle_first
        side = flow.nagle_side
        yield Evidence(
            self,
            second.at_ns,
            f"In {flow.nagle} turns {flow.name(side)} sent a first segment, and the rest of its message only when the other "
            f"end's delayed acknowledgement had come, {flow.nagle_ns / 1e6:.0f} ms later; then it got its answer.",
            [
                first.proof(f"first segment of {flow.name(side)}"),
                acknowledged.proof(f"acknowledgement, {(acknowledged.at_ns - first.at_ns) / 1e6:.1f} ms later"),
                second.proof(f"second segment, {(second.at_ns - acknowledged.at_ns) / 1e6:.2f} ms after it"),
            ],
            socket=flow.socket(side),
            certainty="strong",
            subjects=flow.subjects,
            where=flow.name(1),
        )


def _wait_ns(run: Exchange) -> int:
    return run.reply.end_ns - run.last.end_ns if run.reply is not None else 0


def _blocked(read: CallFacts, since_ns: int) -> bool:
    """Whether the program did nothing but wait for this read since a time, in it or in a wait just before it."""
    return read.entry_ns - since_ns < LATE_NS // 3 or (read.call.took_ns or 0) >= LATE_NS // 2


def _awaited(run: Exchange) -> bool:
    return run.reply is not None and run.reply.moved > 0 and _blocked(run.reply, run.last.end_ns)


def _is_timer(wait_ns: int) -> bool:
    """Whether a time looks like the kernel's delay of an acknowledgement: 40 ms, rounded up to a tick."""
    return 38_000_000 <= wait_ns <= 60_000_000
