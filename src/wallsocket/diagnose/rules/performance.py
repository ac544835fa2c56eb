"""Faults that cost time: queues that are full, algorithms that wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import CallFacts, Facts, SocketFacts, WritePair, state_proof
from ..finding import CannotTell, Proof
from ..rule import Evidence, Rule
from ..vocabulary import IPPROTO_TCP, LISTEN, READS, TCP_CORK, TCP_NODELAY

__all__ = ["RULES"]


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

    _LEAST_NS = 30_000_000
    _MOST_NS = 500_000_000
    _SMALL = 32_768  # below the segment size of loopback (65,483) and, on a path with 1,460, below what fills segments

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        if not socket.tcp or not socket.pairs:
            return
        if socket.option_number(IPPROTO_TCP, TCP_NODELAY) or socket.in_force(IPPROTO_TCP, TCP_NODELAY):
            return
        if socket.option_number(IPPROTO_TCP, TCP_CORK) or socket.in_force(IPPROTO_TCP, TCP_CORK):
            return
        slow = [pair for pair in socket.pairs if self._slow(pair)]
        if not slow:
            return
        peer = facts.peer(socket)
        for pair in slow:
            late = _late_read(peer, pair, self._LEAST_NS) if peer is not None else None
            # What the peer saw decides; where it was not traced the kernel's word must do, and an answer.
            if late is not None or (peer is None and pair.held is not None and pair.reply.moved):
                yield self._evidence(facts, socket, slow, pair, peer, late)
                return
        if len(slow) >= 3 and peer is None and facts.layer("kernel") is not None:
            yield self.cannot_tell("kernel", "whether the kernel held the second write back was not recorded")

    def _slow(self, pair: WritePair) -> bool:
        wait = pair.reply.end_ns - pair.second.end_ns
        close = pair.second.entry_ns - pair.first.end_ns < 5_000_000
        return (
            self._LEAST_NS <= wait <= self._MOST_NS
            and close
            and 0 < pair.first.moved < self._SMALL
            and 0 < pair.second.moved < self._SMALL
        )

    def _evidence(
        self,
        facts: Facts,
        socket: SocketFacts,
        slow: list[WritePair],
        pair: WritePair,
        peer: SocketFacts | None,
        late: CallFacts | None,
    ) -> Evidence:
        wait_ms = (pair.reply.end_ns - pair.second.end_ns) / 1e6
        rows: list[Proof] = [pair.first.proof(), pair.second.proof()]
        if pair.held is not None:
            rows.append(state_proof(pair.held, "bytes of the second write not sent yet: the first is not acknowledged"))
        if late is not None:
            delay = (late.end_ns - pair.second.end_ns) / 1e6
            rows.append(late.proof(f"the peer's {late.text()}: got the second write {delay:.1f} ms after it was made"))
        rows.append(pair.reply.proof(f"{pair.reply.text()}: the answer, {wait_ms:.1f} ms after the second write"))
        return Evidence(
            self,
            pair.second.end_ns,
            f"{pair.first.moved} and {pair.second.moved} bytes were written by two calls, then the answer was awaited: "
            f"{wait_ms:.1f} ms. {len(slow)} exchange{'s' if len(slow) > 1 else ''} of the last {len(socket.pairs)} "
            f"of this kind on the connection took that long; TCP_NODELAY is off.",
            rows,
            call=pair.second.call,
            socket=socket.id,
            process=pair.second.call.process,
            severity="warning",
            certainty="certain" if late is not None or len(slow) >= 2 else "strong",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )


def _late_read(peer: SocketFacts, pair: WritePair, least_ns: int) -> CallFacts | None:
    """The peer's read that got the second write late, though the peer had read all before it."""
    offset = pair.second.call.offset
    if offset is None:
        return None
    before: CallFacts | None = None
    for read in peer.recent:
        if read.name not in READS or read.moved == 0 or read.call.offset is None:
            continue
        if read.call.offset <= offset < read.call.offset + read.moved:
            first = pair.first.call.offset
            # It had taken the first write in time, and so was there to take the second.
            taken = before is not None and first is not None and before.call.offset is not None
            if taken and before is not None and before.end_ns - pair.first.end_ns < least_ns // 3:
                return read if read.end_ns - pair.second.end_ns >= least_ns and read.call.offset == offset else None
            return None
        before = read
    return None


class AcceptQueueFull(Rule):
    """Connections come faster than the program accepts them."""

    id = "accept-queue-full"
    title = "the accept queue is full: new connections are dropped"
    covers = (68,)
    severity = "error"
    certainty = "certain"
    layers = ("kernel",)
    sentence = (
        "The kernel completes handshakes by itself and keeps the connections in a queue until accept takes them. When "
        "the queue is longer than the backlog, further handshakes are dropped and clients try again after 1, 3, 7 s."
    )
    symptoms = ("connect timeout under load", "slow connect 1 second 3 seconds", "ListenOverflows", "SYN dropped")
    proof = (
        "A sample of the listener shows more connections than the backlog, and its drops or the namespace's "
        "ListenOverflows rose."
    )
    fix = "Call accept more often (in its own thread, before any work), and give listen a larger backlog."
    disproof = "The queue was never longer than the backlog; then the drops have another reason."
    pictures = "also"

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        if not socket.tcp or (socket.listen is None and (socket.last is None or socket.last.state != LISTEN)):
            return
        first, last, full = socket.drops_first, socket.drops_last, socket.listen_full
        dropped = (last.drops or 0) - (first.drops or 0) if first is not None and last is not None else 0
        overflows, counter = facts.risen("TcpExtListenOverflows")
        private = overflows if facts.private else 0
        alone = sum(1 for one in facts.binders() if one.listen is not None and one.tcp) == 1
        stays = (
            full is not None
            and socket.last is not None
            and (socket.last.receive_queue or 0) > (socket.last.send_queue or 0)
            and facts.now_ns - full.at_ns >= 500_000_000
            and facts.ended_ns(socket) is None
        )
        if (full is not None and (dropped > 0 or private > 0)) or (private > 0 and dropped > 0 and alone):
            certain = True
        elif stays:
            certain = False
        else:
            return
        rows: list[Proof] = []
        queue = ""
        if full is not None:
            queue = f"{full.receive_queue} connections waited for accept, the limit is {full.send_queue}"
            rows.append(state_proof(full, f"accept queue {full.receive_queue}, backlog in force {full.send_queue}"))
        if dropped > 0 and last is not None:
            rows.append(state_proof(last, f"{last.drops} connection attempts dropped by socket {socket.id}"))
        if counter is not None and facts.private:
            rows.append(counter)
        if socket.listen is not None:
            rows.append(socket.listen.proof())
        lost = max(dropped, private)
        why = f"On {socket.local} {queue or 'the queue was full'}"
        why += f"; {lost} packets of new connections were dropped." if lost else "; further connections are dropped."
        if not facts.pictures:
            why += f" accept was called {socket.accepts} times{' since the trace began' if socket.late else ''}."
        yield Evidence(
            self,
            full.at_ns if full is not None else (last.at_ns if last is not None else 0),
            why,
            rows,
            call=socket.listen.call if socket.listen is not None else None,
            socket=socket.id,
            process=socket.process,
            certainty="certain" if certain else "strong",
        )


RULES = (NagleDelayedAck, AcceptQueueFull)
